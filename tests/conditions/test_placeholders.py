"""Placeholders: which a text names, and what it becomes."""

from __future__ import annotations

import pytest

from tidegate.conditions.placeholders import expand, names


@pytest.mark.parametrize(
    ("text", "found", "clean", "expanded"),
    [
        ("plain", [], True, "plain"),
        ("a {ref} b", ["ref"], True, "a R b"),
        ("{ref}{login}", ["ref", "login"], True, "R{rule}"),
        ("{rule}", ["rule"], True, "-"),
        ("{{ref}}", [], True, "{ref}"),
        ("{{{ref}}}", ["ref"], True, "{R}"),
        ("{ref}}}", ["ref"], True, "R}"),
        ("{ref", [], False, "-ref"),
        ("ref}", [], False, "ref-"),
        ("{}", [""], True, "-"),
        ("{a b}", [], False, "-a b-"),
    ],
)
def test_placeholders(text: str, found: list[str], clean: bool, expanded: str) -> None:
    """Doubled braces are braces; a value is put in once and not looked into; no value becomes a dash."""
    assert (found, clean) == names(text)
    assert expanded == expand(text, {"ref": "R", "login": "{rule}"})
