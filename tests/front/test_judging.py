"""What is judged is on record first; whoever has killed three workers is judged by less, everybody else as ever."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders.sessions import Front
from tests.builders.transactions import FakePolicies
from tests.builders.verdicts import closed_recipient, on_subject, rejecting
from tidegate.front import judging
from tidegate.front.answer import CONTINUE, REJECT, TEMPFAIL
from tidegate.live import Watchlist
from tidegate.model import Always, Easing, ListKind, OnUninspected, Operator, Restraint, Rule
from tidegate.model import Test as FieldTest
from tidegate.observe.journal import Flight, Journal, print_of, sender_key

BY_SUBJECT = on_subject("hello", rejecting("by-subject"))
BY_LOGIN = rejecting("by-login", when=FieldTest("login", Operator.ONE_OF, ("alice@example.com",), None, ListKind.LOGIN))
ALICE = sender_key("alice@example.com", "")
HEADERS = [("Subject", b"hello")]
MESSAGE = print_of(ALICE, HEADERS)


def deliver(front: Front) -> int:
    front.envelope()
    return front.end_of_message()


def a_front(*rules: Rule, watchlist: Watchlist | None = None) -> Front:
    front = Front(FakePolicies(rules))
    front.live.watchlist = watchlist
    return front


class Peeking:
    """Looks into the journal while a rule is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.journal = Journal(1)
        self.seen: list[Flight] = []
        self._judge = judging.judge
        monkeypatch.setattr(judging, "judge", self._peek)

    def _peek(self, *arguments: Any) -> Any:
        self.seen += self.journal.flights(0)
        return self._judge(*arguments)


def test_on_record_while_it_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which generation, who, how long; nothing is left of it afterwards, not even where the engine fails."""
    peeking = Peeking(monkeypatch)
    front = a_front(BY_SUBJECT)
    front.desk.page = peeking.journal.page(0)
    assert REJECT == deliver(front)
    (flight,) = peeking.seen
    assert (1, None, hash("alice@example.com"), 16, 0, 0) == (
        flight.generation,
        flight.rule,
        flight.who,
        flight.shape,
        flight.sender,
        flight.print,
    )
    assert [] == peeking.journal.flights(0)
    monkeypatch.setattr(judging, "judge", lambda *_: 1 / 0)
    assert TEMPFAIL == deliver(front)
    assert [] == peeking.journal.flights(0)


def test_where_workers_have_died(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are told apart by their headers, for good."""
    peeking = Peeking(monkeypatch)
    front = a_front(BY_SUBJECT, watchlist=Watchlist())
    front.desk.page = peeking.journal.page(0)
    assert REJECT == deliver(front)
    assert [(ALICE, MESSAGE)] == [(one.sender, one.print) for one in peeking.seen]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (OnUninspected.SKIP, CONTINUE),
        (OnUninspected.HOLD, CONTINUE),
        (OnUninspected.DEFER, TEMPFAIL),
        (OnUninspected.REJECT, REJECT),
    ],
    ids=lambda one: getattr(one, "value", ""),
)
def test_a_poison_message(mode: OnUninspected, expected: int) -> None:
    """The rules that read its content answer as they declare; those about its envelope as ever."""
    rule = Rule("by-subject", BY_SUBJECT.when, BY_SUBJECT.do, on_uninspected=mode)
    front = a_front(rule, watchlist=Watchlist({MESSAGE: False}))
    assert expected == deliver(front)
    assert (mode is OnUninspected.HOLD) is any(call[0] == "quarantine" for call in front.context.calls)
    assert "three times" in front.lines()[0]["unknown"][0]
    assert REJECT == deliver(a_front(rule, BY_LOGIN, watchlist=Watchlist({MESSAGE: False})))


def test_one_that_kills_by_its_envelope() -> None:
    """It is not judged at all: a fault of ours."""
    front = a_front(BY_LOGIN, watchlist=Watchlist({MESSAGE: True}))
    assert TEMPFAIL == deliver(front)
    (line,) = front.lines()
    assert ("fault", 1) == (line["disposition"], front.tally.counts["poison"])
    assert "killed its inspector" in line["fault"]


def test_another_message() -> None:
    """Of the same sender is judged as ever."""
    front = a_front(BY_SUBJECT, watchlist=Watchlist({MESSAGE + 1: True}, {ALICE + 1: frozenset({""})}))
    assert REJECT == deliver(front)


def test_a_sender() -> None:
    """The rules that its mail met are in doubt for it; its fate may not depend on them. What is eased stays so."""
    watchlist = Watchlist(senders={ALICE: frozenset({"by-subject"})})
    assert TEMPFAIL == deliver(a_front(BY_SUBJECT, watchlist=watchlist))
    assert REJECT == deliver(a_front(BY_SUBJECT, BY_LOGIN, watchlist=watchlist))
    front = a_front(BY_SUBJECT, BY_LOGIN, watchlist=watchlist)
    front.live.restraint = Restraint({"by-subject": Easing.SKIP, "by-login": Easing.SKIP})
    assert CONTINUE == deliver(front)


def test_a_sender_whose_mail_is_not_judged() -> None:
    """Neither at RCPT nor at the end; another one's is."""
    watchlist = Watchlist(senders={ALICE: frozenset({""})})
    assert TEMPFAIL == deliver(a_front(BY_SUBJECT, watchlist=watchlist))
    front = a_front(closed_recipient(), watchlist=watchlist)
    front.mail()
    assert CONTINUE == front.rcpt("carol@example.net")
    front.header()
    assert TEMPFAIL == front.end_of_message()


def test_the_look_up_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then every rule is asked, and the row is as before when the next message takes it."""
    front = Front(FakePolicies([BY_SUBJECT, Rule("all", Always(), BY_LOGIN.do)]))
    monkeypatch.setattr(FakePolicies, "pattern_rules", lambda *_: 1 / 0)
    front.live.watchlist = Watchlist(walks=True)
    assert REJECT == deliver(front)
    front.live.watchlist = None
    assert not front.desk.page.begin(0.0, 1.0, 1, 2, 3).walks
