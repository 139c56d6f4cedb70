"""Which rules the supervisor calls exposed: bounded, whatever a load or a brake brings; and its record."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tidegate.engine.exposure import MAX_WATCHED
from tidegate.ledger import read_episodes
from tidegate.ledger.rows import locked
from tidegate.live.restraints import NO_HOLDS, By, Hold
from tidegate.loader.report import Report
from tidegate.model import Easing, Entry, EntryKey, EntryKind, EntryState, Place
from tidegate.supervisor.exposure import Exposures


def a_report(**states: EntryState) -> Report:
    """A load with rules in these states."""
    entries = tuple(
        Entry(EntryKey(EntryKind.RULE, rule), state, Place("a.yaml", 1, 1), reason="why")
        for rule, state in states.items()
    )
    return Report(image=True, entries=entries, rules=tuple(states))


def open_rules(state: Path) -> list[tuple[str, str]]:
    return [(one.rule, one.state) for one in read_episodes(str(state)) if one.open]


def test_an_episode_goes_on_over_a_restart(tmp_path: Path) -> None:
    """Its begin is the first look's; a repair ends it."""
    report = a_report(a=EntryState.SKIPPED, b=EntryState.ACTIVE)
    assert "" == Exposures(str(tmp_path), 1e6).look(report, NO_HOLDS, 100.0)
    again = Exposures(str(tmp_path), 1e6)
    assert "" == again.look(report, NO_HOLDS, 200.0)
    assert [("a", 100.0, 0.0)] == [(one.rule, one.since, one.until) for one in again.episodes]
    again.look(a_report(a=EntryState.ACTIVE), NO_HOLDS, 300.0)
    assert [("a", 300.0, "active")] == [(one.rule, one.until, one.ended) for one in read_episodes(str(tmp_path))]


def test_a_ledger_that_somebody_writes_is_no_trouble(tmp_path: Path) -> None:
    """A worker holds its lock for a moment: the record is written at a later look, and no alert is raised."""
    report, folder = a_report(a=EntryState.SKIPPED), tmp_path / "exposure"
    folder.mkdir()
    books = Exposures(str(tmp_path), 1e6)
    with locked(folder, fcntl.LOCK_SH):
        assert "" == books.look(report, NO_HOLDS, 100.0)
    assert "" == books.look(report, NO_HOLDS, 200.0)
    assert [("a", "skipped")] == open_rules(tmp_path)
    with locked(folder, fcntl.LOCK_SH):  # now there is a key, and nobody is in the way
        assert "" == books.look(a_report(a=EntryState.ACTIVE), NO_HOLDS, 300.0)
    assert [] == open_rules(tmp_path)


@pytest.mark.parametrize(
    ("hold", "state"),
    [
        (Hold("b", Easing.SOFT, By.HAND, "r", until=1e9), "braked"),
        (Hold("b", Easing.SKIP, By.BREAKER, "r"), "tripped"),
        (Hold("", Easing.SOFT, By.AUTOMATIC, "r"), "braked"),
    ],
    ids=["by hand", "by the breaker", "all rules"],
)
def test_what_is_eased_is_exposed(hold: Hold, state: str, tmp_path: Path) -> None:
    """Until it is released."""
    books = Exposures(str(tmp_path), 1e6)
    books.look(a_report(b=EntryState.ACTIVE), NO_HOLDS.plus([hold]), 100.0)
    assert [(hold.rule, state)] == open_rules(tmp_path)
    books.look(a_report(b=EntryState.ACTIVE), NO_HOLDS, 200.0)
    assert [] == open_rules(tmp_path)


def test_a_flood_of_broken_rules_is_bounded(tmp_path: Path) -> None:
    """The first by rank are watched, and how many are not is told; nothing changes from look to look."""
    report = a_report(**{f"r{number:05}": EntryState.SKIPPED for number in range(10_000)})
    books = Exposures(str(tmp_path), 1e6)
    books.look(report, NO_HOLDS, 100.0)
    assert (MAX_WATCHED, 10_000 - MAX_WATCHED) == (len(books.episodes), books.unwatched)
    before = books.episodes
    books.look(report, NO_HOLDS, 200.0)
    assert before == books.episodes


def test_a_ledger_that_can_not_be_kept_is_told(tmp_path: Path) -> None:
    """The text is the alert's; a damaged record begins anew, and says so once."""
    (tmp_path / "exposure").write_text("in the way")
    books = Exposures(str(tmp_path), 1e6)
    assert "can't be" in books.look(a_report(a=EntryState.SKIPPED), NO_HOLDS, 100.0)
    (tmp_path / "exposure").unlink()
    (tmp_path / "exposure").mkdir()
    (tmp_path / "exposure" / "episodes").write_text("damaged")
    anew = Exposures(str(tmp_path), 1e6)
    assert "damaged" in anew.look(a_report(a=EntryState.SKIPPED), NO_HOLDS, 200.0)
    assert "" == anew.look(a_report(a=EntryState.SKIPPED), NO_HOLDS, 300.0)
