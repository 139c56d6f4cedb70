"""How the front notes what a skipped rule would have concerned: aside, bounded, and counted where it is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tests.builders.sessions import MemoryTally
from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine import exposure as engine_exposure
from tidegate.front import exposure
from tidegate.front.exposure import Exposure
from tidegate.ledger import BusyError, Pen, Row, read_rows
from tidegate.model import Actions, Always, Disposition, EntryState, Rule, Truth
from tidegate.observe.journal import Flight, Journal

SKIPPED = FakePolicies([Rule("r", Always(), Actions(), state=EntryState.SKIPPED)])


class StubbornPen(Pen):
    """A pen that fails as often as it is told to."""

    def __init__(self, state: str, failures: Sequence[OSError]) -> None:
        super().__init__(state)
        self.failures = list(failures)

    def write(self, rows: Iterable[Row]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        super().write(rows)


def noted(one: Exposure, count: int, size: int = 1000) -> None:
    for _ in range(count):
        one.note(a_transaction(size=size), SKIPPED, Disposition.ACCEPT, NOW)


def test_nothing_is_asked_before_the_flush(tmp_path: Path) -> None:
    """The message that is noted waits for nothing; but a large one is not kept, with its headers, until then."""
    tally = MemoryTally()
    one = Exposure(Pen(str(tmp_path)), tally, True, Journal(1).page(0))
    noted(one, 3)
    assert 0 == tally.counts["exposed r"]
    noted(one, 1, size=100_000)
    assert 1 == tally.counts["exposed r"]
    assert one.flush()
    assert 4 == tally.counts["exposed r"] == len(list(read_rows(str(tmp_path))))


def test_more_than_can_wait_is_counted_as_lost(tmp_path: Path) -> None:
    """Nothing grows without end."""
    tally = MemoryTally()
    one = Exposure(Pen(str(tmp_path)), tally, True, Journal(1).page(0))
    noted(one, 510)
    one.flush()
    assert (500, 10) == (tally.counts["exposed r"], tally.counts["exposure_lost"])


def test_beyond_a_bound_only_the_number_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row for the rest of each flush."""
    monkeypatch.setattr(exposure, "_LISTED", 3)
    one = Exposure(Pen(str(tmp_path)), MemoryTally(), True, Journal(1).page(0))
    noted(one, 10)
    one.flush()
    assert [1, 1, 1, 7] == [row.count for row in read_rows(str(tmp_path))]


def test_a_busy_ledger_is_tried_again(tmp_path: Path) -> None:
    """The rows wait on, in order, and nothing is lost."""
    tally = MemoryTally()
    one = Exposure(StubbornPen(str(tmp_path), [BusyError(11, "busy")] * 2), tally, True, Journal(1).page(0))
    noted(one, 2)
    assert not one.flush()
    noted(one, 1)
    one.finish()
    assert (3, 0) == (len(list(read_rows(str(tmp_path)))), tally.counts["exposure_lost"])


def test_what_can_not_be_written_is_counted_as_lost(tmp_path: Path) -> None:
    """And what comes after it is written."""
    tally = MemoryTally()
    one = Exposure(
        StubbornPen(str(tmp_path), [OSError(28, "No space left on device")]), tally, True, Journal(1).page(0)
    )
    noted(one, 2)
    assert one.flush()
    noted(one, 1)
    assert one.flush()
    assert (1, 2) == (len(list(read_rows(str(tmp_path)))), tally.counts["exposure_lost"])


@pytest.mark.parametrize(("mask", "shown"), [(True, "a***@example.com"), (False, "alice@example.com")])
def test_names_are_masked_as_the_settings_say(mask: bool, shown: str, tmp_path: Path) -> None:
    """As in the decision log; the fingerprint finds the person all the same."""
    pen = Pen(str(tmp_path))
    one = Exposure(pen, MemoryTally(), mask, Journal(1).page(0))
    noted(one, 1)
    one.flush()
    (row,) = read_rows(str(tmp_path))
    assert (shown, shown, pen.fingerprints("alice@example.com")) == (row.sender, row.login, row.who)


def test_what_is_asked_is_on_record_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that kills whoever asks it is known afterwards; a judgement that is over leaves nothing."""
    journal = Journal(1)
    seen: list[list[Flight]] = []

    def asked(*_arguments: object) -> tuple[Truth, None]:
        seen.append(journal.flights(0))
        return Truth.YES, None

    monkeypatch.setattr(engine_exposure, "answer", asked)
    one = Exposure(Pen(str(tmp_path)), MemoryTally(), True, journal.page(0))
    noted(one, 1)
    one.flush()
    ((flight,),) = seen
    assert (1, 0) == (flight.generation, flight.rule)
    assert [] == journal.flights(0)
