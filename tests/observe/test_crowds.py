"""Crowds: distinct senders, windows that slide, limits, and that all processes see the same."""

from __future__ import annotations

import os
from hashlib import blake2b

import pytest

from tidegate.model import Disposition
from tidegate.observe.crowds import NEW, OLDEST, STEP, Crowds, step_of

NOW = 1_800_000_000.0
HERE = step_of(NOW)
ACCEPT, REJECT, HOLD = Disposition.ACCEPT, Disposition.REJECT, Disposition.HOLD


def who(number: int) -> int:
    """A hash of a login. Python's own differs from run to run, and now and then two of ten meet in one place."""
    return int.from_bytes(blake2b(f"login{number}".encode(), digest_size=8).digest(), "little")


@pytest.fixture
def crowds() -> Crowds:
    """Nobody yet; two rules."""
    made = Crowds()
    made.columns = {"r": 0, "s": 1}
    made.limit_all(3, 20)
    return made


def hit(crowds: Crowds, senders: range, rule: str = "r", now: float = NOW, generation: int = 1) -> None:
    """These senders are hit."""
    for number in senders:
        crowds.hit(rule, who(number), generation, now)


@pytest.mark.parametrize("count", [0, 1, 5, 50, 500, 3000])
def test_how_exact_it_is(crowds: Crowds, count: int) -> None:
    """Senders are counted once whatever they send: nearly exact for a few, within ten percent for many."""
    for _ in range(3):
        hit(crowds, range(count))
        for number in range(count):
            crowds.saw(who(number), REJECT, 1, NOW)
    margin = max(2, count // 10)
    assert abs(count - crowds.hits(0, HERE, 1)) <= margin
    assert abs(count - crowds.outcome(1, REJECT, HERE)) <= margin
    assert abs(count - crowds.seen(HERE)) <= margin
    assert (0, 0) == (crowds.hits(1, HERE, 1), crowds.outcome(1, ACCEPT, HERE))


def test_the_window_slides(crowds: Crowds) -> None:
    """What was an hour ago is not in the last ten minutes; after a day nothing is."""
    hit(crowds, range(10))
    counts = [crowds.hits(0, HERE + later, steps) for later, steps in ((0, 1), (1, 1), (1, 2), (6, 6), (6, 7))]
    assert [10, 0, 10, 0, 10] == counts
    crowds.sweep(HERE + OLDEST, (0,))
    assert 0 == crowds.hits(0, HERE + 250, 1)


def test_generations_side_by_side(crowds: Crowds) -> None:
    """Each counts for itself, and a new one from nothing."""
    crowds.saw(who(1), ACCEPT, 1, NOW)
    crowds.saw(who(1), REJECT, 2, NOW)
    crowds.saw(who(2), HOLD, 2, NOW)
    assert (1, 0) == (crowds.outcome(1, ACCEPT, HERE), crowds.stopped(1, HERE, 2))
    assert (0, 2) == (crowds.outcome(2, ACCEPT, HERE), crowds.stopped(2, HERE, 2))
    crowds.begin(5, HERE)  # stands where 1 stood
    assert 0 == crowds.outcome(5, ACCEPT, HERE)
    assert 2 == crowds.seen(HERE)
    crowds.begin(6, HERE)
    assert (2, 0) == (crowds.seen(HERE + 6), crowds.seen(HERE + 7))


def test_a_new_rule_is_over_soon(crowds: Crowds) -> None:
    """More than a few senders, and more than its generation let pass, or much of that beyond the limit for all."""
    crowds.limit(0, NEW)
    hit(crowds, range(3))
    assert not crowds.over("r", 1, NOW)
    hit(crowds, range(4))
    assert crowds.over("r", 1, NOW)
    for number in range(30):
        crowds.saw(who(number), ACCEPT, 1, NOW)
    assert not crowds.over("r", 1, NOW)
    hit(crowds, range(25))
    assert crowds.over("r", 1, NOW)
    for number in range(120):
        crowds.saw(who(number), ACCEPT, 1, NOW)
    assert not crowds.over("r", 1, NOW)


def test_several_new_rules_count_together(crowds: Crowds) -> None:
    """A generation may do its harm with many rules that each hit a few."""
    crowds.limit(0, NEW)
    crowds.limit(1, NEW)
    hit(crowds, range(2), "r")
    hit(crowds, range(2, 4), "s")
    assert crowds.over("r", 1, NOW)


def test_who_was_stopped_before_is_no_news(crowds: Crowds) -> None:
    """A new rule that stops whom others stopped before it does no harm; what new rules stopped is not `before`."""
    for number in range(10):
        crowds.saw(who(number), REJECT, 1, NOW)
    crowds.begin(2, HERE)
    crowds.limit(0, NEW)
    hit(crowds, range(13), generation=2)
    for number in range(13):
        crowds.saw(who(number), REJECT, 2, NOW)
    assert (3, False) == (crowds.stopped_by_new(2, HERE), crowds.over("r", 2, NOW))
    crowds.begin(3, HERE)
    hit(crowds, range(13), generation=3)
    assert 3 == crowds.stopped_by_new(3, HERE)
    crowds.settle(3)
    crowds.saw(who(12), REJECT, 3, NOW)
    crowds.begin(4, HERE)
    hit(crowds, range(13), generation=4)
    assert 2 == crowds.stopped_by_new(4, HERE)


def test_an_old_rule_has_its_own_limit(crowds: Crowds) -> None:
    """The greater of what is usual for it and the limit for all; without a limit it is never over."""
    hit(crowds, range(40))
    assert not crowds.over("r", 1, NOW)
    crowds.limit(0, 100)
    assert not crowds.over("r", 1, NOW)
    crowds.limit(0, 30)
    assert crowds.over("r", 1, NOW)
    crowds.limit_all(3, 60)
    assert not crowds.over("r", 1, NOW)


def test_what_is_expected_is_exact(crowds: Crowds) -> None:
    """Only the rule's own number counts, in its own time."""
    crowds.limit(0, 5, steps=6)
    hit(crowds, range(5), now=NOW - 5 * STEP)
    assert (True, False, False) == (crowds.expects("r"), crowds.expects("s"), crowds.over("r", 1, NOW))
    hit(crowds, range(6))
    assert (True, False) == (crowds.over("r", 1, NOW), crowds.over("r", 1, NOW + 7 * STEP))


def test_all_processes_see_the_same(crowds: Crowds) -> None:
    """A login has the same place in a forked worker as here."""
    hit(crowds, range(5))
    pid = os.fork()
    if pid == 0:
        hit(crowds, range(7))
        os._exit(0)
    os.waitpid(pid, 0)
    assert 7 == crowds.hits(0, HERE, 1)
