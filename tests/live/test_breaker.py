"""The breaker of a rule: who opens it, for how long, and what closes it."""

from __future__ import annotations

from tidegate.live.breaker import AGAIN, SENDERS, WITHIN, Breakers, Phase, Trip, Why, trip_document, trips_from

NOW = 1_000_000.0


def breakers(**digests: str) -> Breakers:
    """Breakers of the rules that are named; `bad` is one."""
    return Breakers(digests={"bad": "d1", **digests})


def tripped(by: Why = Why.FAILURES) -> Breakers:
    """With one that is open."""
    found = breakers()
    if by is Why.DEATHS:
        assert found.killed("bad", NOW)
    else:
        assert [False] * (SENDERS - 1) + [True] == [found.failed("bad", sender, NOW) for sender in range(SENDERS)]
    return found


def phases(found: Breakers) -> list[tuple[str, Phase]]:
    return [(trip.rule, trip.phase) for trip in found.trips.values()]


def test_one_sender_can_not() -> None:
    """However often it fails over the mail of one or two; those messages wait alone."""
    found = breakers()
    assert not any(found.failed("bad", number % 2, NOW + number) for number in range(1000))
    assert () == found.tripped()


def test_several_senders_do() -> None:
    """Three, whatever came between; a rule that is not in force any more has no breaker."""
    found = tripped()
    assert ["bad"] == [trip.rule for trip in found.tripped()]
    assert not any(breakers().failed("gone", sender, NOW) for sender in range(10))


def test_not_over_any_time() -> None:
    """Three within ten minutes, not three in a week."""
    found = breakers()
    assert not any(found.failed("bad", number, NOW + number * WITHIN) for number in range(20))


def test_it_tries_again_and_closes() -> None:
    """After a minute it is on trial; a minute without failure closes it, and a day later it is forgotten."""
    found = tripped()
    assert () == found.tick(NOW + 59)
    assert [Phase.TRIAL] == [trip.phase for trip in found.tick(NOW + 60)]
    assert () == found.tripped()
    assert [Phase.CLOSED] == [trip.phase for trip in found.tick(NOW + 120)]
    found.tick(NOW + 121 + 86400)
    assert [] == phases(found)


def test_a_trial_that_fails() -> None:
    """Two senders are enough now, and it stays open twice as long; one alone can't keep it open."""
    found = tripped()
    found.tick(NOW + 60)
    assert [False] * (AGAIN - 1) + [True] == [found.failed("bad", sender, NOW + 61) for sender in range(AGAIN)]
    (trip,) = found.tripped()
    assert (2, 120.0) == (trip.turns, trip.until - trip.since)
    found.tick(NOW + 181)
    assert not any(found.failed("bad", 7, NOW + 182) for _ in range(100))


def test_it_never_stays_open_for_good() -> None:
    """An hour at most for failures, a day for deaths."""
    for why, longest in ((Why.FAILURES, 3600.0), (Why.DEATHS, 86400.0)):
        found = tripped(why)
        now = NOW
        for _ in range(40):
            (trip,) = found.tripped()
            assert trip.until - trip.since <= longest
            now = trip.until
            found.tick(now)
            assert found.on_trial("bad")
            found.killed("bad", now) if why is Why.DEATHS else [found.failed("bad", one, now) for one in range(3)]
        assert longest == found.tripped()[0].until - now


def test_deaths() -> None:
    """Ten minutes for the first time; said once."""
    found = tripped(Why.DEATHS)
    assert not found.killed("bad", NOW + 1)
    assert 600.0 == found.tripped()[0].until - NOW


def test_a_repaired_rule_begins_anew() -> None:
    """A text that changed, or is gone, has no breaker; an unchanged one keeps it over every reload, and so does one
    that is asked beside the repaired one yet."""
    found = tripped()
    assert () == found.revised([("bad", "d1"), ("other", "x")])
    assert () == found.revised([("bad", "d1"), ("bad", "d2")])
    assert {"bad": "d2"} == found.digests
    assert ["bad"] == [trip.rule for trip in found.revised([("bad", "d2")])]
    assert () == found.tripped()


def test_which_text_killed() -> None:
    """A breaker is that of the text that did it, which may not be the newest."""
    found = breakers()
    found.revised([("bad", "d1"), ("bad", "d2")])
    assert found.killed("bad", NOW, "d1")
    assert () == found.revised([("bad", "d1")])
    assert ["bad"] == [trip.rule for trip in found.revised([("bad", "d2")])]


def test_a_clock_that_is_set_back() -> None:
    """The rule is on trial rather than off until that day comes again."""
    found = tripped()
    assert [Phase.TRIAL] == [trip.phase for trip in found.tick(NOW - 86400)]


def test_it_survives_a_restart() -> None:
    """As JSON and back."""
    found = tripped(Why.DEATHS)
    assert found.trips == trips_from([trip_document(trip) for trip in found.trips.values()])
    assert {} == trips_from([])
    assert isinstance(found.trips["bad"], Trip)
