"""Two generations at a time: which one a message gets, what its connection needs, and how it is counted."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.builders.sessions import Front
from tests.builders.transactions import FakePolicies
from tests.builders.verdicts import rejecting
from tidegate.front.answer import CONTINUE, REJECT, TEMPFAIL
from tidegate.live import Canary
from tidegate.model import PolicySet
from tidegate.observe.sides import Outcome, Side, Sides


class Pair:
    """A front whose generation for all accepts, and which has another one on trial."""

    def __init__(self, trial: PolicySet, **front: Any) -> None:
        self.front = Front(FakePolicies([]), **front)
        self.sides = Sides(1)
        self._canary = Canary(2, cast(Any, trial), 50.0, 0, {"stop": 0}, frozenset(), self.sides.tally(0))
        self.begin()

    def begin(self) -> None:
        self.front.live.canary = self._canary

    def end(self) -> None:
        self.front.live.canary = None

    def sender(self, new: bool) -> str:
        """One on this side."""
        names = (f"user{number}@example.com" for number in range(100))
        return next(name for name in names if self._canary.part(name).new is new)

    def envelope(self, sender: str) -> int:
        login = {"{auth_authen}": sender, "{auth_type}": "PLAIN"}
        code = self.front.mail(sender, login=login)
        if code == CONTINUE:
            self.front.rcpt()
            self.front.header()
        return code

    def deliver(self, sender: str) -> int:
        self.envelope(sender)
        return self.front.end_of_message()

    def side(self, new: bool) -> Side:
        return self.sides.read(0)[new]


def test_the_sender_decides() -> None:
    """The share meets the rule, the others do not, and both are counted."""
    pair = Pair(FakePolicies([rejecting("stop")]))
    assert [REJECT, CONTINUE] == [pair.deliver(pair.sender(new)) for new in (True, False)]
    new, old = pair.side(True), pair.side(False)
    assert (1, 1, 1) == (new.of(Outcome.JUDGED).messages, new.of(Outcome.REFUSED).messages, new.rules[0])
    assert (1, 0) == (old.of(Outcome.JUDGED).messages, old.of(Outcome.STOPPED).messages)
    assert new.seconds > 0


@pytest.mark.parametrize("new", [True, False])
def test_a_message_keeps_its_side(new: bool) -> None:
    """What happens to the canary meanwhile is the next message's business (P7)."""
    pair = Pair(FakePolicies([rejecting("stop")]))
    pair.envelope(pair.sender(new))
    pair.end()
    assert (REJECT if new else CONTINUE) == pair.front.end_of_message()
    assert CONTINUE == pair.deliver(pair.sender(new))
    assert 1 == pair.side(new).of(Outcome.JUDGED).messages
    pair.envelope(pair.sender(new))
    pair.begin()
    assert CONTINUE == pair.front.end_of_message()


def test_an_older_connection_reconnects_for_its_share_alone() -> None:
    """The canary reads the body, which this connection was not negotiated for: 421 for whom it concerns."""
    trial = FakePolicies([])
    trial.reads_body = True
    pair = Pair(trial)
    assert TEMPFAIL == pair.envelope(pair.sender(True))
    assert "421 4.3.2" in pair.front.context.reply
    assert CONTINUE == pair.deliver(pair.sender(False))


def test_a_fault_is_counted_apart() -> None:
    """A judgement that raises is a fault of ours, on the side on which it happened."""
    pair = Pair(FakePolicies([rejecting("stop")]), deadline=-1.0)
    assert TEMPFAIL == pair.deliver(pair.sender(True))
    assert (1, 0) == tuple(pair.side(True).of(one).messages for one in (Outcome.FAULT, Outcome.STOPPED))
