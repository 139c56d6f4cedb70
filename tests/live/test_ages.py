"""Since when an entry is in its state: it keeps its time until the state changes, and over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.live.ages import NAME, aged, read_ages, write_ages
from tidegate.model import Entry, EntryKey, EntryKind, EntryState, Place


def an_entry(name: str, state: EntryState, digest: str = "", since: float = 0.0) -> Entry:
    return Entry(EntryKey(EntryKind.RULE, name), state, Place("a.yaml", 1, 1), digest, since=since)


def test_an_entry_keeps_its_time_while_its_state_lasts() -> None:
    """Whatever is edited; a new state begins anew; what is gone is forgotten."""
    first = aged({}, [an_entry("a", EntryState.ACTIVE), an_entry("b", EntryState.STALE)], 100.0)
    again = aged(first, [an_entry("a", EntryState.ACTIVE, "new text"), an_entry("b", EntryState.STALE)], 200.0)
    assert again is first
    later = aged(first, [an_entry("a", EntryState.STALE), an_entry("c", EntryState.OFF)], 300.0)
    assert {"rule a": ("stale", 300.0), "rule c": ("off", 300.0)} == later
    assert {"rule a": ("stale", 300.0)} == aged(later, [an_entry("a", EntryState.STALE)], 400.0)


def test_the_loader_knows_since_when_an_entry_is_broken() -> None:
    """Its time counts: two records of one thing must agree."""
    known = aged({"rule a": ("active", 1.0)}, [an_entry("a", EntryState.STALE, since=50.0)], 100.0)
    assert {"rule a": ("stale", 50.0)} == known
    assert {"rule a": ("stale", 40.0)} == aged(known, [an_entry("a", EntryState.STALE, since=40.0)], 200.0)


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Also with names that hold blanks, and many of one time."""
    ages = {
        "rule a": ("stale", 1.5),
        "list b": ("active", 1.5),
        "rule c": ("active", 1.5),
        "condition d e": ("off", 2.0),
    }
    write_ages(str(tmp_path), ages)
    assert ages == read_ages(str(tmp_path))


@pytest.mark.parametrize(
    "content", [None, b"", b"nonsense", b'x\n{"format": 1}'], ids=["none", "empty", "text", "other"]
)
def test_without_a_record_ages_begin_anew(content: bytes | None, tmp_path: Path) -> None:
    """A damaged one is as none."""
    if content is not None:
        (tmp_path / NAME).write_bytes(content)
    assert {} == read_ages(str(tmp_path))
