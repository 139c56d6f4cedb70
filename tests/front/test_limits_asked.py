"""Limits at the front: asked once for a message, whatever is judged again; counted and logged, or not touched."""

from __future__ import annotations

from tests.builders.ledgers import ExactLedger
from tests.builders.limits import ALICE, a_limit, full, limiting
from tests.builders.sessions import Front
from tests.builders.transactions import FakePolicies
from tests.builders.verdicts import on_subject, rejecting
from tidegate.engine.inquiry import COUNTING
from tidegate.front.answer import CONTINUE, REJECT, TEMPFAIL
from tidegate.limits import Charge, Usage
from tidegate.live import Watchlist
from tidegate.model import Counting, Disposition, Easing, Mode, Restraint, Rule
from tidegate.observe.counters import Event
from tidegate.observe.crowds import Crowds
from tidegate.observe.journal import Flight, Journal

RATE = limiting("rate", Disposition.REJECT)


def a_front(ledger: ExactLedger | None, *rules: Rule, body: bool = False) -> Front:
    policies = FakePolicies(rules)
    policies.reads_body = body
    front = Front(policies)
    front.desk.ledger = ledger
    return front


def deliver(front: Front, *headers: tuple[str, bytes], blocks: tuple[bytes, ...] = ()) -> int:
    front.mail()
    front.rcpt()
    for name, value in headers:
        front.header(name, value)
    for block in blocks:
        front.event("body", block)
    return front.end_of_message()


def test_what_is_used_up_is_refused() -> None:
    """And charged once for each message that went on."""
    ledger = full("rate", amount=8)
    front = a_front(ledger, RATE)
    assert [CONTINUE, CONTINUE, REJECT] == [deliver(front) for _ in range(3)]
    assert 10 == ledger.used("rate", "hour", ALICE)
    assert 3 == len(ledger.calls)


def test_the_decision_line_and_the_metrics() -> None:
    """What was asked, with the key masked where the settings say so."""
    front = a_front(full("rate", amount=7), RATE, limiting("tried", mode=Mode.SHADOW))
    front.desk._mask = True
    for _ in range(4):
        deliver(front)
    told = sorted(line["limits"] for line in front.lines())
    who = "of 10 for a***@example.com"
    assert [
        [f"rate/hour: 10 + 1 {who}, exceeded", f"tried/hour: 3 + 1 {who}, shadow"],
        [f"rate/hour: 7 + 1 {who}, warning", f"tried/hour: 0 + 1 {who}, shadow"],
        [f"rate/hour: 8 + 1 {who}, warning", f"tried/hour: 1 + 1 {who}, shadow"],
        [f"rate/hour: 9 + 1 {who}, warning", f"tried/hour: 2 + 1 {who}, shadow"],
    ] == told
    counts = front.tally.counts
    assert (3, 1, 0) == (counts[Event.LIMIT_WARNED], counts[Event.LIMIT_EXCEEDED], counts[Event.LIMIT_UNKNOWN])


class Beyond(Crowds):
    """Every rule has hit more senders than it may."""

    def over(self, rule: str, generation: int, now: float) -> bool:
        return True


def test_a_rule_that_the_brake_softens_is_not_asked_again() -> None:
    """The message is judged anew, its answer is the same, and nothing is charged."""
    ledger = full("rate")
    front = a_front(ledger, RATE)
    front.desk.crowds = Beyond()
    assert TEMPFAIL == deliver(front)
    assert 1 == len(ledger.calls)


def test_a_restraint_over_all_rules() -> None:
    """What it puts aside goes on counting, and stops nobody."""
    ledger = full("rate")
    front = a_front(ledger, RATE)
    front.live.restraint = Restraint(everything=Easing.SHADOW)
    assert CONTINUE == deliver(front)
    assert 11 == ledger.used("rate", "hour", ALICE)


def test_without_anybody_who_counts_the_message_waits() -> None:
    """No limit is passed over for want of a store."""
    assert TEMPFAIL == deliver(a_front(None, RATE))


def test_mail_that_meets_no_rule_with_limits_costs_no_call() -> None:
    """The ledger is not touched."""
    ledger = ExactLedger()
    front = a_front(ledger, on_subject("stop", RATE), on_subject("go", rejecting("other")))
    deliver(front, ("Subject", b"hello"))
    assert ([], 0) == (ledger.calls, front.tally.counts[Event.LIMIT_WARNED])
    assert "limits" not in front.lines()[0]


def test_a_retry_is_not_charged_twice() -> None:
    """The same message within ten minutes; with another body it is another one, where a rule reads it."""
    ledger = ExactLedger()
    front = a_front(
        ledger, limiting("rate", Disposition.DEFER, a_limit(count=Counting.BYTES, maximum=10_000)), body=True
    )
    named = ("Message-ID", b"<1@example.com>")
    for blocks in ((b"one", b"two"), (b"onetwo",), (b"onetwo",), (b"onetwo!",)):
        assert CONTINUE == deliver(front, named, blocks=blocks)
    headers = len("Message-ID: <1@example.com>") + 2
    assert [headers + 6, headers + 7] == [cost for _, _, cost in ledger.events[False, "rate", "hour", ALICE]]


class Looking(ExactLedger):
    """Looks into the journal while it is asked."""

    journal: Journal
    flights: tuple[Flight, ...] = ()

    def charge(self, charges: tuple[Charge, ...], retry_of: str, now: float, commit: bool) -> tuple[Usage, ...]:
        self.flights += tuple(self.journal.flights(0))
        return super().charge(charges, retry_of, now, commit)


def test_the_journal_says_that_limits_are_asked() -> None:
    """A worker that dies there was not killed by a rule; on the watch as ever."""
    for watchlist in (None, Watchlist()):
        ledger = Looking()
        ledger.journal = Journal(1)
        front = a_front(ledger, RATE)
        front.desk.page = ledger.journal.page(0)
        front.live.watchlist = watchlist
        deliver(front)
        assert not any(one.counting for one in ledger.journal.flights(0))
        assert [(True, None)] == [(one.counting, one.rule) for one in ledger.flights]
        assert [] == ledger.journal.flights(0)
    assert COUNTING < 1 << 64
