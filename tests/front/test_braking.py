"""The brake in the worker: what is counted, and when a refusal becomes a deferral at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders.transactions import NOW
from tidegate.front.braking import braked, counted, harm, who
from tidegate.front.session import Session
from tidegate.model import (
    NO_RESTRAINT,
    Changes,
    Disposition,
    Easing,
    Fault,
    Mark,
    Restraint,
    Suspension,
    Truth,
    Verdict,
)

REFUSED = Verdict(Disposition.REJECT, rule="r", generation=7, trail=(Mark("r", Truth.YES), Mark("e", Truth.YES)))


class Crowd:
    """Remembers what it is told; `limits` are the rules that are over."""

    def __init__(self, *limits: str) -> None:
        self.limits = limits
        self.hits: list[str] = []
        self.outcomes: list[Disposition] = []

    def saw(self, who: int, outcome: Disposition, generation: int, now: float) -> None:
        self.outcomes.append(outcome)

    def hit(self, rule: str, who: int, generation: int, now: float) -> None:
        self.hits.append(rule)

    def over(self, rule: str, generation: int, now: float) -> bool:
        return rule in self.limits

    def expects(self, rule: str) -> bool:
        return rule == "e"


def a_session(login: str = "", client: str = "192.0.2.7") -> Session:
    """A session of this sender."""
    session = Session()
    session.login, session.client_ip = login, client
    return session


def judged(verdict: Verdict, crowd: Crowd) -> tuple[Verdict, list[Restraint]]:
    """What may be given, and by which restraints it was judged again: `r` gives way to `s`, that to nothing."""
    asked: list[Restraint] = []

    def again(restraint: Restraint) -> Verdict:
        asked.append(restraint)
        soft = {rule for rule, easing in restraint.rules.items() if easing is Easing.SOFT}
        winner = next((rule for rule in ("r", "s") if rule not in soft), "")
        return replace(verdict, rule=winner or "r", disposition=Disposition.REJECT if winner else Disposition.DEFER)

    return braked(verdict, a_session("alice"), crowd, NOW, NO_RESTRAINT, again), asked


def test_within_its_limit_a_rule_acts() -> None:
    """It is counted, and the verdict is given as it is."""
    crowd = Crowd()
    verdict, asked = judged(REFUSED, crowd)
    assert (True, [], ["r"]) == (verdict is REFUSED, asked, crowd.hits)


def test_beyond_it_the_message_is_judged_again() -> None:
    """With the rule softened; and so on, while the next one that refuses is beyond its limit too."""
    verdict, asked = judged(REFUSED, Crowd("r"))
    assert ("s", [{"r": Easing.SOFT}]) == (verdict.rule, [dict(one.rules) for one in asked])
    crowd = Crowd("r", "s")
    verdict, asked = judged(REFUSED, crowd)
    assert (Disposition.DEFER, 2, ["r", "s", "r"]) == (verdict.disposition, len(asked), crowd.hits)


def test_all_that_are_beyond_it_are_softened_at_once() -> None:
    """However many rules refuse, the message is judged once more."""
    many = tuple(Mark(f"r{number}", Truth.YES) for number in range(100))
    others = (Mark("s", Truth.NO), Mark("r3", Truth.YES, shadow=True), Mark("r4", Truth.YES, exempted_by="x"))
    refused = replace(REFUSED, rule="r0", trail=(*many[:3], *others, Mark("free", Truth.YES)))
    crowd = Crowd(*(f"r{number}" for number in range(100)), "s")
    asked: list[Restraint] = []

    def again(restraint: Restraint) -> Verdict:
        asked.append(restraint)
        return replace(refused, disposition=Disposition.DEFER)

    braked(refused, a_session("alice"), crowd, NOW, NO_RESTRAINT, again)
    assert [dict.fromkeys(("r0", "r1", "r2"), Easing.SOFT)] == [dict(one.rules) for one in asked]
    assert ["r0", "r1", "r2", "r0"] == crowd.hits


@pytest.mark.parametrize(
    ("verdict", "hits"),
    [
        (replace(REFUSED, disposition=Disposition.DEFER), ["r"]),
        (replace(REFUSED, disposition=Disposition.HOLD), ["r"]),
        (replace(REFUSED, certain=False), []),
        (replace(REFUSED, faults=(Fault("r", "ValueError", "x.py:1"),)), []),
        (Verdict(Disposition.ACCEPT), []),
    ],
    ids=["defer", "hold", "doubt", "fault", "accept"],
)
def test_what_is_not_softened(verdict: Verdict, hits: list[str]) -> None:
    """A deferral is counted; a doubt, or a fault of ours, is nobody's doing."""
    crowd = Crowd("r")
    given, asked = judged(verdict, crowd)
    assert (True, [], hits) == (given is verdict, asked, crowd.hits)


def test_what_is_counted_at_the_end() -> None:
    """The outcome; and for a rule with `expect` that it matched, also where another one decided."""
    crowd = Crowd()
    counted(REFUSED, a_session("alice"), crowd, NOW)
    assert ([Disposition.REJECT], ["e"]) == (crowd.outcomes, crowd.hits)
    for hidden in (Mark("e", Truth.YES, shadow=True), Mark("e", Truth.YES, exempted_by="x"), Mark("e", Truth.UNKNOWN)):
        crowd = Crowd()
        counted(replace(REFUSED, trail=(hidden,)), a_session(), crowd, NOW)
        assert [] == crowd.hits
    crowd = Crowd()
    counted(replace(REFUSED, certain=False), a_session(), crowd, NOW)
    assert [] == crowd.outcomes


def test_who_sends() -> None:
    """A login in any case is one sender; without one it is the client's network."""
    assert who(a_session("Alice@Example.com")) == who(a_session("alice@example.com", "198.51.100.1"))
    assert who(a_session("", "192.0.2.7")) == who(a_session("", "192.0.2.99"))
    assert who(a_session("", "2001:db8::1")) == who(a_session("", "2001:db8::ffff:1"))
    assert who(a_session("", "192.0.2.7")) != who(a_session("", "192.0.3.7"))


def test_recipients_that_are_taken_away() -> None:
    """Mail that does not go to all whom it was for counts as held, by the rules that did it; what is added does not."""
    crowd = Crowd()
    moved = Changes(("bob@example.net",), ("nowhere@example.org",), removed_by=("r", "s"))
    verdict = Verdict(Disposition.ACCEPT, changes=moved)
    counted(verdict, a_session("alice"), crowd, NOW)
    assert (["r", "s"], [Disposition.HOLD]) == (crowd.hits, crowd.outcomes)
    assert (Disposition.HOLD, ("r", "s")) == harm(verdict)
    assert (Disposition.REJECT, ("r",)) == harm(REFUSED)
    copied = Verdict(Disposition.ACCEPT, changes=Changes(bcc=("archive@example.com",)))
    assert (Disposition.ACCEPT, ("",)) == harm(copied)


def test_who_is_put_on_a_list() -> None:
    """A rule that suspends everybody stops everybody, from the next message on: it counts as one that holds."""
    crowd = Crowd()
    one = Suspension("s", "blocked", "blocked", "login", "alice@example.com", 3600.0)
    verdict = Verdict(Disposition.ACCEPT, suspensions=(one, replace(one, rule="t", shadow=True)))
    counted(verdict, a_session("alice"), crowd, NOW)
    assert (["s"], [Disposition.HOLD]) == (crowd.hits, crowd.outcomes)
    crowd = Crowd()
    counted(replace(REFUSED, suspensions=(replace(one, rule=REFUSED.rule),)), a_session("alice"), crowd, NOW)
    assert [Disposition.REJECT] == crowd.outcomes
    assert REFUSED.rule not in crowd.hits
