"""The brake file: its lines, and what is no file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.live.brakefile import LONGEST, MAX_BYTES, NAME, Found, Line, find, read_lines
from tidegate.model import Easing

WRITTEN = 1_800_000_000.0  # 15 January 2027, 08:00 UTC
TEN = WRITTEN + 7200.0


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("all 2027-01-15T10:00Z too many refusals", Line("all", Easing.SHADOW, TEN, "too many refusals")),
        ("  spoofed-from\t2027-01-15T11:00+01:00", Line("spoofed-from", Easing.SHADOW, TEN, "")),
        ("bulk 2027-01-15T10:00:00Z soft the new rule", Line("bulk", Easing.SOFT, TEN, "the new rule")),
        ("all 2026-01-15T10:00Z it is over", Line("all", Easing.SHADOW, TEN - 365 * 86400, "it is over")),
        ("\ufeffall 2027-01-15T10:00Z", Line("all", Easing.SHADOW, TEN, "")),
    ],
    ids=["all", "zone", "soft", "past", "byte-order-mark"],
)
def test_a_line(row: str, expected: Line) -> None:
    """What, until when, how far, why."""
    assert ((expected,), ()) == read_lines(row, WRITTEN)


@pytest.mark.parametrize(
    "row",
    ["all", "all tomorrow", "all 2027-01-15T10:00", "all 2027-13-15T10:00Z", "all soft 2027-01-15T10:00Z"],
    ids=["no-end", "word", "no-zone", "no-date", "order"],
)
def test_a_line_that_cannot_be_used(row: str) -> None:
    """It is told with its number, and costs no other line."""
    lines, problems = read_lines(f"# a remark\n\n{row}\nr 2027-01-15T10:00Z\n", WRITTEN)
    assert ("r",) == tuple(one.what for one in lines)
    assert problems[0].startswith("line 3: write WHAT UNTIL REASON")


def test_seven_days_are_the_most() -> None:
    """A brake that nobody ends must end."""
    (line,), (problem,) = read_lines("all 2030-01-01T00:00Z", WRITTEN)
    assert (WRITTEN + LONGEST, "line 1: it ends more than seven days") == (line.until, problem[:36])


def test_what_is_found(tmp_path: Path) -> None:
    """A file, none, and what is no file: nothing keeps the clerk."""
    place = tmp_path / NAME
    assert Found() == find(str(tmp_path))
    place.write_text("all 2027-01-15T10:00Z\n")
    os.utime(place, (WRITTEN, WRITTEN))
    assert Found("all 2027-01-15T10:00Z\n", WRITTEN) == find(str(tmp_path))
    place.write_bytes(b"\xff" * (MAX_BYTES + 1))
    assert "it is larger than 4 KiB" == find(str(tmp_path)).error
    place.unlink()
    os.mkfifo(place)
    assert "it is no regular file" == find(str(tmp_path)).error
    place.unlink()
    place.mkdir()
    assert find(str(tmp_path)).error
