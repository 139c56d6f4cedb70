"""docs/promises.md: every promise has a test, and that test speaks to a real Postfix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(
    r"^\| (P\d+) \|.*?\| (smtpd|cleanup) \| (.*) \|$", (ROOT / "docs" / "promises.md").read_text(), re.MULTILINE
)
NAMED = [(process, *test.split("::")) for _, process, tests in ROWS for test in re.findall(r"`([^`]+)`", tests)]


def test_every_promise_has_a_row() -> None:
    """Ten of them."""
    assert {f"P{number}" for number in range(1, 11)} == {promise for promise, _, _ in ROWS}


@pytest.mark.parametrize(("process", "file", "name"), NAMED)
def test_the_test_is_there_and_has_a_postfix(process: str, file: str, name: str) -> None:
    """Of the harness: a site, or a Postfix of its own; one that judges local mail where it is cleanup's."""
    text = (ROOT / "tests" / "e2e" / file).read_text()
    found = re.search(rf"^def {name}\((.*)\)", text, re.MULTILINE)
    assert found is not None
    assert re.search(r"\bsite: Site|client: Client|\bPostfix\b|OpenSite", found[1])
    assert re.search(r"^from tests\.e2e\.harness\.(site|postfix) import", text, re.MULTILINE)
    assert process == "smtpd" or "local=True" in text
