"""What of a policy can change a verdict, and so needs a canary."""

from __future__ import annotations

import pytest

from tests.builders.policies import load_text
from tidegate import image

POLICY = """version: 1
lists:
  bad: {type: login, items: [mallory]}
conditions:
  big: {message.size: {gt: 1000}}
rules:
  - id: one
    when: {login: {in: bad}}
    do: {reject: {code: "550 5.7.1", text: "no"}}
  - id: two
    description: Second
    when: {use: big}
    do: {hold: {reason: big}}
...
"""


def faces(text: str) -> image.Faces:
    return image.faces(load_text(text).loaded)


def by_id(text: str) -> dict[str, str]:
    """Each rule's face."""
    loaded = load_text(text).loaded
    return dict(zip([rule.id for rule in loaded.rules], image.faces(loaded).rules, strict=True))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("[mallory]", "[mallory, eve]", id="an item more"),
        pytest.param("[mallory]", "[\n    eve\n  ]", id="items on other lines"),
        pytest.param("description: Second", "description: Another\n    owner: somebody", id="words for people"),
        pytest.param("rules:", "\n# a comment\nrules:", id="another place"),
    ],
)
def test_data_and_words_change_no_form(old: str, new: str) -> None:
    """List items are data, and what is written for people changes no verdict."""
    assert faces(POLICY) == faces(POLICY.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        pytest.param("gt: 1000", "gt: 10", ["two"], id="a condition that it uses"),
        pytest.param("no", "never", ["one"], id="a reply's text"),
        pytest.param("id: two", "id: two\n    mode: shadow", ["two"], id="mode"),
        pytest.param("id: two", "id: two\n    priority: 5", ["two"], id="priority"),
        pytest.param("bad: {type: login", "bad: {type: string", ["one"], id="a list's type"),
    ],
)
def test_whatever_else_does(old: str, new: str, changed: list[str]) -> None:
    """The form is another one, and so are the faces of the rules that it concerns."""
    edited = POLICY.replace(old, new)
    assert faces(POLICY).form != faces(edited).form
    before, after = by_id(POLICY), by_id(edited)
    assert changed == [rule for rule in before if before[rule] != after[rule]]


def test_a_rule_less_is_another_form() -> None:
    """Deletion counts too."""
    assert faces(POLICY).form != faces(POLICY[: POLICY.index("  - id: two")] + "...\n").form
