"""The breaker before a store, moment by moment."""

from __future__ import annotations

from tidegate.store.breaker import Breaker


def opened() -> Breaker:
    """One that opened at 100 s."""
    breaker = Breaker()
    assert [False, False, True] == [breaker.failed(100.0, 0.5) for _ in range(3)]
    return breaker


def test_two_failures_are_none() -> None:
    """It opens at the third in a row."""
    breaker = Breaker()
    breaker.failed(1.0, 0.0)
    breaker.failed(2.0, 0.0)
    assert breaker.allows(2.0)
    assert not breaker.succeeded()
    breaker.failed(3.0, 0.0)
    breaker.failed(4.0, 0.0)
    assert breaker.allows(4.0)


def test_open_it_lets_one_try() -> None:
    """Nobody for five seconds and the jitter; then one, and the others wait for what comes of it."""
    breaker = opened()
    assert [False, False, True, False] == [breaker.allows(now) for now in (100.1, 105.4, 105.5, 105.6)]


def test_a_failed_try_opens_it_again() -> None:
    """For as long."""
    breaker = opened()
    assert breaker.allows(106.0)
    assert not breaker.failed(106.2, 1.0)
    assert [False, True] == [breaker.allows(now) for now in (112.1, 112.3)]


def test_a_good_try_closes_it() -> None:
    """And says so once."""
    breaker = opened()
    assert breaker.allows(106.0)
    assert breaker.succeeded()
    assert not breaker.succeeded()
    assert all(breaker.allows(106.0) for _ in range(3))


def test_a_try_that_never_ends_is_no_dead_end() -> None:
    """The thread that tried died: after another pause somebody else may."""
    breaker = opened()
    assert [True, False, True] == [breaker.allows(now) for now in (106.0, 110.9, 111.0)]


def test_a_clock_that_was_set_back() -> None:
    """It does not wait until that hour comes again."""
    assert opened().allows(50.0)
