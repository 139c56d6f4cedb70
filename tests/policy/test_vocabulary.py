"""What a release knows of the language, and what a text asks of it."""

from __future__ import annotations

import pytest

from tidegate.conditions.fields import FIELDS
from tidegate.model import ListKind
from tidegate.policy.actions import KNOWN
from tidegate.policy.comparisons import WRITTEN_OPERATORS
from tidegate.policy.keys import RULE_KEYS
from tidegate.policy.vocabulary import words, words_of


@pytest.mark.parametrize(
    "known",
    [
        [name for name in FIELDS if "*" not in name],
        list(KNOWN),
        [str(getattr(one, "value", one)) for one in WRITTEN_OPERATORS],
        [name for name in RULE_KEYS if name != "limits"],
        [kind.value for kind in ListKind],
    ],
    ids=["fields", "actions", "operators", "keys", "list types"],
)
def test_every_registry_is_in_it(known: list[str]) -> None:
    """A word that is added anywhere is told to the fleet."""
    assert [] == [name for name in known if name not in words() and "." not in name]


def test_what_a_text_uses() -> None:
    """Keys and values that are words of the language, and nothing that its author made up."""
    text = "version: 1\nrules:\n  - {id: mine, when: {login: {in: suspended}}, do: {hold: {reason: look at it}}}\n...\n"
    used = words_of(text)
    assert {"rules", "id", "when", "login", "in", "do", "hold", "reason"} <= used
    assert not {"mine", "suspended", "look at it"} & used


@pytest.mark.parametrize("text", ["", "[", "\x00", "rules: [", "- a\n b"], ids=repr)
def test_a_text_that_can_not_be_read_uses_nothing(text: str) -> None:
    """It is refused elsewhere."""
    assert frozenset() == words_of(text)
