"""Who is told what, and when; all of it with the clock as an argument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from tidegate.alerts import AGAIN, Alert, AlertSettings
from tidegate.alerts.book import FLAPS
from tidegate.alerts.schedule import SUMMARIES, Memory, Round, look
from tidegate.model import Place, Severity

BASE = 10_000.0
PLAN = AlertSettings(repeat=(100.0, 400.0), storm=3, window=300.0)


def an_alert(name: str = "one", severity: Severity = Severity.ERROR, since: float = 0.0, times: int = 1) -> Alert:
    return Alert(f"rule {name}", "unknown-key", "text", Place("a.yaml", 1, 1), severity, since, times=times)


def many(count: int, severity: Severity = Severity.ERROR) -> list[Alert]:
    return [an_alert(str(number), severity) for number in range(count)]


def at(
    now: float,
    standing: Sequence[Alert],
    memory: Memory = Memory(),  # noqa: B008 - it is frozen
    resting: Iterable[Alert] = (),
    silenced: frozenset[str] = frozenset(),
) -> Round:
    """One look, so many seconds after BASE."""
    return look(standing, resting, silenced, memory, PLAN, BASE + now)


def events(found: Round) -> list[str]:
    return [item.event.value for item in found.single]


def test_it_is_told_once_and_again_with_back_off() -> None:
    """After 100 s, then after 400 s, and so on."""
    alert = an_alert()
    memory = Memory()
    told = []
    for now in range(0, 1500, 10):
        found = at(float(now), [alert], memory)
        memory = found.memory
        told += [(now, event) for event in events(found)]
    assert [(0, "raised"), (100, "repeated"), (500, "repeated"), (900, "repeated"), (1300, "repeated")] == told


def test_a_restart_tells_nothing_anew() -> None:
    """What people know is an argument."""
    first = at(0.0, [an_alert()])
    assert [] == events(at(50.0, [an_alert()], first.memory))


def test_worse_is_told_at_once() -> None:
    """And the back-off begins anew."""
    first = at(0.0, [an_alert()])
    worse = [an_alert(severity=Severity.CRITICAL)]
    found = at(10.0, worse, first.memory)
    assert ["escalated"] == events(found)
    assert [] == events(at(109.0, worse, found.memory))
    assert ["repeated"] == events(at(110.0, worse, found.memory))


def test_the_end_is_told_once() -> None:
    """And nothing is known of it afterwards."""
    first = at(0.0, [an_alert()])
    found = at(10.0, [], first.memory, [replace(an_alert(), ended=BASE + 9.0)])
    assert (["resolved"], {}) == (events(found), found.memory.told)
    assert BASE + 9.0 == found.single[0].alert.ended


def test_the_end_of_what_flaps_is_told_once_it_stays_away() -> None:
    """Otherwise a thing that comes and goes every minute would be told every minute."""
    flapping = an_alert(times=FLAPS)
    first = at(0.0, [flapping])
    ended = [replace(flapping, ended=BASE + 10.0)]
    assert [] == events(at(11.0, [], first.memory, ended))
    assert [] == events(at(20.0, [flapping], first.memory))
    assert ["resolved"] == events(at(10.0 + AGAIN, [], first.memory, ended))
    assert ["resolved"] == events(at(11.0, [], first.memory))


def test_a_storm_is_one_summary() -> None:
    """More than the limit at once: all of them in one; and their ends in another, not before a minute is over."""
    found = at(0.0, many(5000))
    assert ([], [5000]) == (events(found), [len(items) for items in found.summaries])
    soon = at(30.0, [], found.memory)
    assert ((), (), True) == (soon.single, soon.summaries, soon.waiting)
    later = at(SUMMARIES, [], soon.memory)
    assert [5000] == [len(items) for items in later.summaries]
    assert {} == later.memory.told


def test_a_trickle_is_a_storm_too() -> None:
    """The window counts what was told before; when it has passed, there is room again."""
    memory = Memory()
    told: list[int] = []
    for number in range(6):
        found = at(10.0 * number, many(number + 1), memory)
        memory = found.memory
        told.append(len(found.single))
    assert [1, 1, 1, 0, 0, 0] == told
    assert (4, True) == (len(memory.told), found.waiting)
    assert ["raised"] == events(at(400.0, many(7)[6:], replace(memory, told={})))


def test_a_critical_one_does_not_drown() -> None:
    """It is told by itself among thousands of lesser ones."""
    found = at(0.0, [*many(5000), an_alert("worst", Severity.CRITICAL)])
    assert ["rule worst"] == [item.alert.subject for item in found.single]
    assert [5000] == [len(items) for items in found.summaries]


def test_thousands_of_critical_ones_are_a_summary_of_their_own() -> None:
    """They are not mixed with lesser ones."""
    found = at(0.0, [*many(2), *[an_alert(f"c{n}", Severity.CRITICAL) for n in range(100)]])
    assert (2, [100]) == (len(found.single), [len(items) for items in found.summaries])


def test_silence() -> None:
    """Nobody is told while it lasts; if the alert stands after it, people are; its end is told if it was known."""
    alert = an_alert()
    silenced = frozenset({alert.key})
    assert [] == events(at(0.0, [alert], silenced=silenced))
    assert ["raised"] == events(at(1.0, [alert]))
    first = at(0.0, [alert])
    assert [] == events(at(1000.0, [alert], first.memory, silenced=silenced))
    assert ["resolved"] == events(at(1000.0, [], first.memory, silenced=silenced))


@pytest.mark.parametrize("now", [-9000.0, -10.0], ids=str)
def test_a_clock_that_is_set_back(now: float) -> None:
    """New alerts are told all the same."""
    first = at(0.0, many(5000))
    fresh = an_alert("fresh")
    found = at(now, [*many(5000), fresh], first.memory)
    assert ["rule fresh"] == [item.alert.subject for item in found.single]
