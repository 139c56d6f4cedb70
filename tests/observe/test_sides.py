"""Counts of a canary and of the generation beside it, in shared memory."""

from __future__ import annotations

import os
from hashlib import blake2b

import pytest

from tidegate.observe.distinct import distinct
from tidegate.observe.sides import BITS, RULES, Count, Outcome, Sides


def test_senders_are_counted_once() -> None:
    """Messages add up over the workers; a sender that several of them saw is one."""
    sides = Sides(2)
    for slot in (0, 1):
        for _ in range(3):
            sides.tally(slot).count(0, True, 4711, Outcome.JUDGED)
    sides.tally(0).count(0, True, 4712, Outcome.JUDGED)
    old, new = sides.read(0)
    assert Count(7, 2) == new.of(Outcome.JUDGED)
    assert Count() == old.of(Outcome.JUDGED) == new.of(Outcome.FAULT)


def test_what_a_dead_worker_counted_stays() -> None:
    """The memory was made before the fork."""
    sides = Sides(1)
    pid = os.fork()
    if pid == 0:
        tally = sides.tally(0)
        tally.count(1, False, 7, Outcome.REFUSED)
        tally.seconds(1, False, 0.25)
        tally.rule(1, False, RULES - 1)
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    old, _ = sides.read(1)
    assert Count(1, 1) == old.of(Outcome.REFUSED)
    assert (0.25, 1) == (old.seconds, old.rules[-1])


def test_banks_are_apart() -> None:
    """What one canary counted is not the next one's, and is gone when its bank is used again."""
    sides = Sides(1)
    for outcome in Outcome:
        for new in (False, True):
            sides.tally(0).count(0, new, BITS - 1, outcome)
    assert Count() == sides.read(1)[1].of(Outcome.JUDGED)
    assert all(Count(1, 1) == side.of(outcome) for side in sides.read(0) for outcome in Outcome)
    sides.clear(0)
    assert Count() == sides.read(0)[0].of(Outcome.JUDGED)


@pytest.mark.parametrize("senders", [0, 1, 2, 10, 100, 1000, 5000])
def test_distinct(senders: int) -> None:
    """The number of senders follows from the bits, to some percent."""
    hashes = (blake2b(b"%d" % number, digest_size=8).digest() for number in range(senders))
    taken = len({int.from_bytes(one, "little") % BITS for one in hashes})
    assert pytest.approx(senders, rel=0.06, abs=1) == distinct(BITS, taken)


def test_a_full_bitmap_is_a_number() -> None:
    """More senders than can be told apart."""
    assert distinct(BITS, BITS) > 2 * BITS
