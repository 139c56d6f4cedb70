"""Reading a policy file never raises, and a mistake costs the entry in which it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import EntryKind, Source
from tidegate.policy.read import read_entry, read_file

GOOD = b"""version: 1
lists:
  own-domains: {type: domain, items: [example.com]}
conditions:
  ours: {sender.domain: example.com}
rules:
  - id: one
    when: {login: a}
    do: {reject: {code: "550 5.7.1", text: "No"}}
  - id: two
    description: |
      A text that quotes a rule:
        - id: quoted
          when: always
    when: {login: b}
    do: {hold: {reason: "Look"}}
  - id: three
    when:
      any: [{login: c}, {login: d}]
    do: {add_header: {X-A: b}}
...
"""

BROKEN = {
    "tab": b"  - id: two\n\twhen: {login: b}\n",
    "unclosed quote": b'  - id: two\n    description: "it never ends\n    when: {login: b}\n',
    "unclosed bracket": b"  - id: two\n    when: {login: [b\n",
    "missing colon": b"  - id: two\n    when always\n    do: {hold: {reason: x}}\n",
    "wrong indent": b"  - id: two\n      when: always\n     do: {hold: {reason: x}}\n",
    "latin-1": b"  - id: two\n    description: caf\xe9\n    when: {login: b}\n",
    "NUL": b"  - id: two\n    description: a\x00b\n    when: {login: b}\n",
    "deep": b"  - id: two\n    when: " + b"[" * 5000 + b"\n",
    "alias bomb": b"  - id: two\n    when: &a [x]\n    do: [*a, *a]\n",
}


def ids(data: bytes) -> list[str]:
    """The rules that have a node and no problem."""
    file = read_file(Source("a.yaml", data))
    rules = [entry for entry in file.entries if entry.key.kind is EntryKind.RULE]
    return [entry.key.id for entry in rules if entry.node is not None and not entry.problems]


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Whatever the bytes: an answer, and no exception."""
    assert read_file(Source("a.yaml", data)).name == "a.yaml"


@given(st.integers(0, len(GOOD)), st.binary(max_size=3), st.integers(0, 12))
def test_any_edit(place: int, insert: bytes, remove: int) -> None:
    """A good file with a hole and a few bytes in it."""
    file = read_file(Source("a.yaml", GOOD[:place] + insert + GOOD[place + remove :]))
    assert "quoted" not in [entry.key.id for entry in file.entries]


def test_every_cut() -> None:
    """A file that ends at any byte: an answer, and no rule that is not in the file."""
    for end in range(len(GOOD)):
        file = read_file(Source("a.yaml", GOOD[:end]))
        assert {entry.key.id for entry in file.entries} <= {
            "own-domains",
            "ours",
            "one",
            "two",
            "three",
            "tw",
            "t",
            "thr",
            "th",
            "thre",
            "o",
            "on",
        }


@pytest.mark.parametrize("middle", BROKEN.values(), ids=BROKEN.keys())
def test_a_mistake_costs_its_entry(middle: bytes) -> None:
    """The rules before and behind a broken one are read; the broken one is named."""
    first, _, rest = GOOD.partition(b"  - id: two\n")
    last = rest[rest.index(b"  - id: three") :]
    data = first + middle + last
    assert ids(data) == ["one", "three"]
    file = read_file(Source("a.yaml", data))
    problems = [*file.problems, *(one for entry in file.entries for one in entry.problems)]
    lines = range(first.count(b"\n") + 1, (first + middle).count(b"\n") + 2)
    assert any(one.place.line in lines for one in problems), problems


def test_an_entry_reads_again() -> None:
    """The text of an entry is enough to read it again, alone."""
    for entry in read_file(Source("a.yaml", GOOD)).entries:
        again = read_entry(entry.key, entry.text)
        assert again.node is not None
        assert not again.problems


def test_a_file_of_control_characters_is_read_in_one_go() -> None:
    """Somebody's backup in the place of a policy file: one problem for each line, where its first bad byte stands."""
    line = b"ab" + bytes(range(0x80, 0x100)) * 4 + b"\0" * 500
    file = read_file(Source("a.yaml", b"version: 1\n" + (line + b"\n") * 2000))
    told = [str(one.place) for one in file.problems if one.code == "not-utf8"]
    assert (2000, "a.yaml:2:3", "a.yaml:2001:3") == (len(told), told[0], told[-1])


def test_a_file_of_too_many_bad_lines_has_no_entries() -> None:
    """Nothing of it goes live with a character in the place of what could not be read."""
    bad = b"# \0\n" * 20_001
    file = read_file(Source("a.yaml", b"version: 1\nrules:\n" + bad + b"  - id: a\n    when: {login: b\xff}\n...\n"))
    assert ((), ["control-character"], False) == (file.entries, [one.code for one in file.problems], file.complete)


@pytest.mark.parametrize("broken", [b"", b"  - id: [broken\n"], ids=["sound", "cut"])
def test_too_many_entries_are_told(monkeypatch: pytest.MonkeyPatch, broken: bytes) -> None:
    """However the file is read: those beyond are not gone, and somebody hears of it."""
    monkeypatch.setattr("tidegate.policy.read.MAX_ENTRIES", 3)
    rules = b"".join(b"  - {id: r%d, when: always, do: {hold: {reason: a}}}\n" % number for number in range(5))
    file = read_file(Source("a.yaml", b"version: 1\nrules:\n" + rules + broken + b"...\n"))
    assert ["r0", "r1", "r2"] == [entry.key.id for entry in file.entries]
    assert ["a.yaml:6:5" if not broken else "a.yaml:6:3"] == [
        str(one.place) for one in file.problems if one.code == "too-many-entries"
    ]
    assert not file.complete
