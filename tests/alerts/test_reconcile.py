"""Alerts are computed from what is wrong now, never from the event that brought it."""

from __future__ import annotations

import pytest

from tidegate.alerts import CODES, problem, reconcile
from tidegate.model import Entry, EntryKey, EntryKind, EntryState, Place, Problem, Severity

KEY = EntryKey(EntryKind.RULE, "spoofed-from")
PLACE = Place("20-accounts.yaml", 14, 3)
BROKEN = Problem("unknown-key", "unknown key `wen`", PLACE, Severity.ERROR, KEY)


def test_one_episode_over_many_cycles() -> None:
    """A thousand loads of the same broken file raise one alert, with the time of the first."""
    change = reconcile({}, [BROKEN], [], 100.0)
    assert ["unknown-key"] == [alert.code for alert in change.raised]
    for now in range(101, 1101):
        change = reconcile(change.book, [BROKEN], [], float(now))
        assert () == change.raised == change.cleared
    assert [100.0] == [alert.since for alert in change.book.values()]


@pytest.mark.parametrize("repair", ["fixed", "reverted", "deleted"])
def test_it_clears_whatever_the_repair(repair: str) -> None:
    """A fix, a byte-identical revert and a delete look the same: the problem isn't there any more."""
    entries = [] if repair == "deleted" else [Entry(KEY, EntryState.ACTIVE, PLACE)]
    book = reconcile({}, [BROKEN], [], 100.0).book
    change = reconcile(book, [], entries, 200.0)
    assert ["unknown-key"] == [alert.code for alert in change.cleared]
    assert {} == change.book


def test_two_faults_of_one_kind_are_one_alert() -> None:
    """The key is the entry and the code; the count says how many there are."""
    change = reconcile({}, [BROKEN, BROKEN], [], 1.0)
    assert [2] == [alert.count for alert in change.raised]


@pytest.mark.parametrize(
    ("severity", "raised"), [(Severity.NOTICE, 0), (Severity.WARNING, 1), (Severity.ERROR, 1)], ids=str
)
def test_notices_raise_nothing(severity: Severity, raised: int) -> None:
    """A notice is for `check`."""
    assert raised == len(reconcile({}, [problem("no-policy", "text", PLACE, severity)], [], 1.0).raised)


@pytest.mark.parametrize("state", list(EntryState), ids=str)
def test_an_entry_that_suffers_from_another_is_told(state: EntryState) -> None:
    """STALE, SKIPPED, DEFERRING and TRIPPED without a problem of their own raise one; chosen states don't."""
    told = state in (EntryState.STALE, EntryState.SKIPPED, EntryState.DEFERRING, EntryState.TRIPPED)
    change = reconcile({}, [], [Entry(KEY, state, PLACE, reason="list `vip` is not there")], 1.0)
    assert ([f"entry-{state.value}"] if told else []) == [alert.code for alert in change.raised]


def test_an_entry_with_a_problem_is_not_told_twice() -> None:
    """The problem says more than the state."""
    change = reconcile({}, [BROKEN], [Entry(KEY, EntryState.STALE, PLACE)], 1.0)
    assert ["unknown-key"] == [alert.code for alert in change.raised]


def test_many_of_a_kind_are_one() -> None:
    """A file with a thousand rules that can't be read is one alert, not a thousand."""
    entries = [Entry(EntryKey(EntryKind.RULE, str(n)), EntryState.STALE, PLACE) for n in range(1000)]
    change = reconcile({}, [], entries, 1.0)
    assert [("entry-stale", 1000)] == [(alert.code, alert.count) for alert in change.raised]
    assert () == reconcile(change.book, [], entries[1:], 2.0).raised


def test_every_code_has_a_summary_and_a_cure() -> None:
    """An alert without a cure leaves a person alone at night."""
    assert all(summary and cure for summary, cure in CODES.values())
