"""The reference page says what the registries say."""

from __future__ import annotations

from docs.reference import HERE, SETTINGS_PAGE, settings_page, table, text


def test_the_reference_is_up_to_date() -> None:
    """Where it is not, `make docs` writes it."""
    assert text() == HERE.read_text(encoding="utf-8")


def test_the_settings_are_up_to_date() -> None:
    """The same for the table of the settings' page, which has words of its own around it."""
    assert settings_page() == SETTINGS_PAGE.read_text(encoding="utf-8")


def test_a_table_escapes_its_bars() -> None:
    """A bar in a cell is no cell of its own."""
    assert ["| a |", "| --- |", "| x\\|y |"] == list(table(["a"], [["x|y"]]))
