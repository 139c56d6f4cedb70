"""The field registry: what can be asked for, and what is refused."""

from __future__ import annotations

import pytest

from tidegate.conditions.fields import FIELDS, RECIPIENT_FIELDS, find_field
from tidegate.model import FieldType, Stage


def test_rows_say_what_they_are() -> None:
    """Every row stands under its own lower-case name and has a manual line."""
    for name, row in FIELDS.items():
        assert name == row.name == name.lower()
        assert row.manual


def test_recipient_fields_are_marked() -> None:
    """The names inside a quantifier stand for exactly the fields of one recipient."""
    assert {row.name for row in FIELDS.values() if row.recipient} == set(RECIPIENT_FIELDS.values())


@pytest.mark.parametrize("name", ["header.x-tag", "header.List-Unsubscribe", "header.a.b", "header.from", "header.!"])
def test_any_header_is_a_text(name: str) -> None:
    """`header.NAME` is the decoded text of all headers of that name."""
    row = find_field(name)
    assert row is not None
    assert (name.lower(), FieldType.TEXT, Stage.HEADERS) == (row.name, row.type, row.stage)


@pytest.mark.parametrize("name", ["Sender.Domain", "SUBJECT", "header.From.Address"])
def test_case_of_names_is_ignored(name: str) -> None:
    """Field names have no case."""
    assert FIELDS[name.lower()] is find_field(name)


@pytest.mark.parametrize(
    "name", ["", "sender", "header.", "header.a b", "header.a:b", "header.\u00fc", "header." + "x" * 201]
)
def test_other_names_are_no_fields(name: str) -> None:
    """Nothing else is a field."""
    assert find_field(name) is None
