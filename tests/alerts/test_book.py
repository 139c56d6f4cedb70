"""Episodes: what is one alert, how it comes and goes, how it gets worse with age, and what a restart knows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.alerts import AGAIN, Alert, Debt, age, reconcile
from tidegate.alerts.book import FLAPS
from tidegate.alerts.debt import QUIET, TELLING
from tidegate.alerts.record import NAME, State, recall, write
from tidegate.model import Entry, EntryKey, EntryKind, EntryState, Place, Problem, Severity

KEY = EntryKey(EntryKind.RULE, "stop")
PLACE = Place("10.yaml", 4, 5)
BROKEN = Problem("unknown-key", "unknown key `wen`", PLACE, Severity.ERROR, KEY)
DEFERRING = [Entry(KEY, EntryState.DEFERRING, PLACE)]


def only(book: object) -> Alert:
    (alert,) = book.values()  # type: ignore[attr-defined]
    assert isinstance(alert, Alert)
    return alert


def test_the_key_is_of_entry_and_reason_alone() -> None:
    """The same for another place, message and time: over edits, restarts and hosts."""
    first = only(reconcile({}, [BROKEN], [], 1.0).book)
    other = only(
        reconcile({}, [Problem("unknown-key", "else", Place("99.yaml", 1, 1), Severity.ERROR, KEY)], [], 9.0).book
    )
    assert first.key == other.key
    assert first.key != only(reconcile({}, [], DEFERRING, 1.0).book).key


def test_what_comes_back_soon_is_the_same_episode() -> None:
    """With the time of its first raise and a count; after a while it is a new one."""
    change = reconcile({}, [BROKEN], [], 100.0)
    gone = reconcile(change.book, [], [], 110.0, change.resting)
    again = reconcile(gone.book, [BROKEN], [], 120.0, gone.resting)
    assert (100.0, 2) == (only(again.book).since, only(again.book).times)
    gone = reconcile(again.book, [], [], 130.0, again.resting)
    later = reconcile(gone.book, [BROKEN], [], 131.0 + AGAIN, gone.resting)
    assert (131.0 + AGAIN, 1) == (only(later.book).since, only(later.book).times)


def test_flapping_is_shown() -> None:
    """Raised again and again, it says so."""
    change = reconcile({}, [], [], 0.0)
    for turn in range(2 * FLAPS):
        change = reconcile(change.book, [BROKEN] if turn % 2 == 0 else [], [], 10.0 * turn, change.resting)
    assert only(change.resting).flapping
    assert FLAPS == only(change.resting).times


def test_a_misspelt_key_is_one_mistake() -> None:
    """`wen` instead of `when` is an unknown key and a missing one: one alert, counted twice."""
    missing = Problem("missing-key", "a rule needs the key `when`", PLACE, Severity.ERROR, KEY)
    alert = only(reconcile({}, [missing, BROKEN], [], 1.0).book)
    assert ("unknown-key", 2) == (alert.code, alert.count)
    assert "missing-key" == only(reconcile({}, [missing], [], 1.0).book).code


@pytest.mark.parametrize(
    ("seconds", "severity"),
    [(0, Severity.ERROR), (899, Severity.ERROR), (900, Severity.CRITICAL), (3600, Severity.EMERGENCY)],
)
def test_a_deferral_gets_worse(seconds: int, severity: Severity) -> None:
    """By age alone, and whatever the reason of the entry that defers."""
    book = reconcile({}, [BROKEN], DEFERRING, 1000.0).book
    aged, worse = age(book, 1000.0 + seconds)
    assert severity is only(aged).severity
    assert (severity is not Severity.ERROR) == bool(worse)
    assert severity is only(reconcile(book, [BROKEN], DEFERRING, 1000.0 + seconds).book).severity


def test_what_defers_nothing_does_not_get_worse() -> None:
    """A skipped rule is not a debt with a clock."""
    book = reconcile({}, [BROKEN], [Entry(KEY, EntryState.SKIPPED, PLACE)], 0.0).book
    assert Severity.ERROR is only(age(book, 1e6)[0]).severity


def test_what_stops_all_mail_is_critical_at_once() -> None:
    """No age is needed."""
    found = Problem("no-generation", "nothing could be loaded", Place("tidegate", 0, 0))
    assert Severity.CRITICAL is only(reconcile({}, [found], [], 0.0).book).severity


def test_what_a_restart_has_not_found_yet_stands() -> None:
    """It is carried until it is known to be gone, and not raised anew."""
    book = reconcile({}, [BROKEN], [], 100.0).book
    change = reconcile(book, [], [], 200.0, carried=frozenset(book))
    assert (book, (), ()) == (change.book, change.raised, change.cleared)
    assert 1 == len(reconcile(change.book, [], [], 300.0).cleared)


def test_what_was_seen_anew_is_carried_no_longer() -> None:
    """The alert of an earlier daemon is found by this one too: when its reason goes, it clears at once."""
    book = reconcile({}, [BROKEN], [], 100.0).book
    change = reconcile(book, [BROKEN], [], 200.0, carried=frozenset(book))
    assert frozenset() == change.carried
    assert 1 == len(reconcile(change.book, [], [], 300.0, carried=change.carried).cleared)


def test_the_record(tmp_path: Path) -> None:
    """Everything comes back; what is of the future began now, since the clock was set back."""
    change = reconcile({}, [BROKEN], DEFERRING, 100.0)
    state = State(change.book, reconcile(change.book, [], [], 150.0).resting, Debt(7, 120.0, 140.0))
    write(tmp_path, state.values())
    assert state == recall(tmp_path, 200.0)
    assert 50.0 == only(recall(tmp_path, 50.0).book).since
    assert Debt(7, 50.0, 50.0) == recall(tmp_path, 50.0).debt


@pytest.mark.parametrize("content", [b"", b"x", b"0" * 64 + b"\n{}", b"\xff" * 100], ids=repr)
def test_a_damaged_record_is_none(tmp_path: Path, content: bytes) -> None:
    """It is set aside; people are told once more, and that is all."""
    (tmp_path / NAME).write_bytes(content)
    assert State() == recall(tmp_path, 1.0)
    assert (tmp_path / f"{NAME}.damaged").exists()


def test_a_record_of_another_shape_is_none(tmp_path: Path) -> None:
    """Whole, but not ours."""
    write(tmp_path, {"alerts": 5})
    assert State() == recall(tmp_path, 1.0)


def test_a_debt() -> None:
    """It counts from its first deferral, and is paid after a while without one."""
    debt = Debt().grown(0, 10.0)
    assert Debt() == debt
    debt = debt.grown(2, 20.0).grown(1, 20.0 + TELLING)
    assert debt.lasting
    assert "3 deferrals by our own doing so far, the oldest 2 min ago" == debt.text(140.0)
    assert debt == debt.grown(0, debt.last + QUIET)
    assert Debt() == debt.grown(0, debt.last + QUIET + 1)
