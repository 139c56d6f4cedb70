"""A policy file cut into documents: each says what the entry said, with its comments, and is cut to itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.model import Problem, Source
from tidegate.policy.codes import problem
from tidegate.policy.documents import Document, documents
from tidegate.policy.read import read_file

ROOT = Path(__file__).parents[2]
FILE = """\
# The site's policy.
version: 1

# What is ours.
lists:
  # our own
  own-domains:
    type: domain
    items: [example.com]   # and no more

  partners: {type: domain, items: [example.org]}
conditions:
  leaves-us: {any_rcpt: {external: true}}

# And now the rules.
rules:
  # Nobody sends this.
  # Ever.
  - id: stop     # an id
    description: |
      A text
      # that is no comment

    when: {header.subject: {contains: x}}
    do: {reject: {code: "550 5.7.1", text: "no"}}

  -
    id: halt
    when: always
    do: {hold: {reason: x}}
  # - id: commented-out
...
"""


def cut(text: str) -> list[Document]:
    found = list(documents(Source("a.yaml", text.encode())))
    assert all(isinstance(one, Document) for one in found), found
    return [one for one in found if isinstance(one, Document)]


def test_a_file_with_everything() -> None:
    """Comments above and in an entry stay with it; those above a section with its first entry."""
    texts = {str(one.key): one.text for one in cut(FILE)}
    assert {
        "list own-domains": "version: 1\nlists:\n# What is ours.\n  # our own\n  own-domains:\n    type: domain\n"
        "    items: [example.com]   # and no more\n...\n",
        "list partners": "version: 1\nlists:\n  partners: {type: domain, items: [example.org]}\n...\n",
        "condition leaves-us": "version: 1\nconditions:\n  leaves-us: {any_rcpt: {external: true}}\n...\n",
        "rule stop": "version: 1\nrules:\n# And now the rules.\n  # Nobody sends this.\n  # Ever.\n"
        "  - id: stop     # an id\n"
        "    description: |\n      A text\n      # that is no comment\n\n    when: {header.subject: {contains: x}}\n"
        '    do: {reject: {code: "550 5.7.1", text: "no"}}\n...\n',
        "rule halt": "version: 1\nrules:\n  -\n    id: halt\n    when: always\n    do: {hold: {reason: x}}\n"
        "  # - id: commented-out\n...\n",
    } == texts


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("version: 1\nrules: [{id: a, when: always}, {id: b,\n  when: always}]\n...\n", id="flow"),
        pytest.param("version: 1\nlists: {a: {type: login,\n   items: [x]}, b: {type: ip}}\n...\n", id="flow map"),
        pytest.param("version: 1\nrules:\n- id: a\n  when: always\n- id: b\n  when: always\n...\n", id="no indent"),
        pytest.param("version: 1\r\nrules:\r\n  - id: a\r\n    when: always\r\n...\r\n", id="crlf"),
        pytest.param("\ufeffversion: 1\nrules:\n  - id: a\n    when: always\n...\n", id="bom"),
        pytest.param(
            "version: 1\nrules:\n  - id: a\n    description: |+\n      x\n\n\n  - id: b\n...\n", id="kept blanks"
        ),
        pytest.param(
            "version: 1\nrules:\n  - id: a\n    description: |\n      x\n      # y\n  - id: b\n...\n", id="hash"
        ),
        pytest.param("version: 1\nrules:\n  - {id: a, when: always}\n  - {id: b}\n...\n", id="flow items"),
        pytest.param('version: 1\nconditions:\n  "a": always\n  b:\n    always\n...\n', id="quoted key"),
        pytest.param("version: 1\nrules:\n  - # why\n    id: a\n  -   id: b\n...\n", id="comment behind the dash"),
        pytest.param("version: 1\nrules:\n  - id: a\n    x: 'y\n\n      - id: b'\n...\n", id="a text of many lines"),
        pytest.param("version: 1\nrules:\n  - id: a\nlists:\n  a: {type: ip}\nrules2: 1\n...\n", id="other sections"),
        pytest.param("rules:\n  - id: a\nversion: 1\n...\n", id="version last"),
        pytest.param("version: 1\nrules:\n  - id: a\n", id="no end mark"),
        pytest.param("version: 1\nrules:\n  - id: ä\n  - id: a\n    description: größer\n...\n", id="not ascii"),
    ],
)
def test_each_way_to_write_it(text: str) -> None:
    """Every entry comes out as a document of its own, with the same entry in it."""
    entries = read_file(Source("a.yaml", text.encode())).entries
    found = cut(text)
    assert sorted(str(one.key) for one in entries) == sorted(str(one.key) for one in found)
    for one in found:
        assert [one.text] == [again.text for again in cut(one.text)]


def shipped() -> list[Path]:
    """Every policy that we ship or test with, and that has no error."""
    found = [*(ROOT / "policies").rglob("*.yaml"), *(ROOT / "tests" / "mutation" / "policy").rglob("*.yaml")]
    assert len(found) > 5
    return sorted(found)


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.name)
def test_what_we_ship(path: Path) -> None:
    """Cut, and cut again: the same; and all texts are as they stand in the file."""
    found = cut(path.read_text("utf-8"))
    assert found
    assert [one.text for one in found] == [again.text for one in found for again in cut(one.text)]
    original = {str(one.key): one.text for one in read_file(Source(path.name, path.read_bytes())).entries}
    for one in found:
        (entry,) = read_file(Source("", one.text.encode())).entries
        assert original[str(one.key)] == entry.text


@pytest.mark.parametrize("text", [FILE, "version: 1\nrules: [{id: a, when: always}, {id: b,\n  when: always}]\n...\n"])
def test_a_place_in_a_document_is_one_in_the_file(text: str) -> None:
    """Whatever is wrong with an entry is told where its author wrote it."""
    lines = text.split("\n")
    for one in cut(text):
        (entry,) = read_file(Source("", one.text.encode())).entries
        assert entry.node is not None
        told = one.at_home(problem("bad-value", "x", entry.node.place), "a.yaml", entry.place)
        assert isinstance(told, Problem)
        own = one.text.split("\n")[entry.node.place.line - 1][entry.node.place.column - 1 :]
        assert lines[told.place.line - 1][told.place.column - 1 :].startswith(own.rstrip())
        assert "a.yaml" == told.place.source
