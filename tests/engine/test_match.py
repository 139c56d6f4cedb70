"""What narrows a rule besides its condition: exceptions, direction, schedule, sample, state; and whom it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.builders.transactions import NOW, FakePolicies, ListSpec, a_transaction
from tidegate.conditions.facts import Facts
from tidegate.engine.match import answer, as_at_rcpt, stand
from tidegate.engine.schedule import in_force, sampled
from tidegate.model import (
    Actions,
    AllOf,
    Always,
    Cause,
    Condition,
    Disposition,
    Doubt,
    Ending,
    EntryState,
    ExceptClause,
    ListKind,
    Never,
    Not,
    Operator,
    Quantifier,
    Recipient,
    Recipients,
    RemoveRecipient,
    Rule,
    Sample,
    Schedule,
    Transaction,
    Truth,
    Unknowable,
)
from tidegate.model import Test as FieldTest

PASSING = Unknowable(Cause(Doubt.PASSING, "passing"))
LASTING = Unknowable(Cause(Doubt.LASTING, "lasting"))
YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN
RULE = Rule("r", Always(), Actions(Ending(Disposition.HOLD)))


def facts_of(
    transaction: Transaction | None = None, lists: Mapping[str, ListSpec | str] | None = None, now: float = NOW
) -> Facts:
    """Facts of a plain message."""
    return Facts(transaction or a_transaction(), FakePolicies((), dict(lists or {})), now)


def excepting(*conditions: Condition, end: float | None = None) -> Rule:
    """The rule with these exceptions."""
    return replace(RULE, exceptions=tuple(ExceptClause(f"x{n}", one, end) for n, one in enumerate(conditions)))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (excepting(Never()), YES),
        (excepting(Always()), NO),
        (excepting(Never(), Always()), NO),
        (excepting(PASSING), UNKNOWN),
        (excepting(PASSING, Always()), NO),
        (excepting(Always(), end=NOW + 1), NO),
        (excepting(Always(), end=NOW), YES),
    ],
    ids=["does not apply", "applies", "one of two", "in doubt", "a certain one beside it", "not lapsed", "lapsed"],
)
def test_exceptions(rule: Rule, expected: Truth) -> None:
    """A rule matches if its `when` does and no exception in force does."""
    assert expected is answer(rule, facts_of())[0]


def test_exception_of_a_stale_rule() -> None:
    """What its last version lets through is in doubt."""
    truth, why = answer(replace(excepting(Always()), state=EntryState.STALE), facts_of())
    assert (UNKNOWN, Doubt.PASSING) == (truth, why.doubt if why else None)


@pytest.mark.parametrize(
    ("when", "exception", "doubt"),
    [(LASTING, Never(), Doubt.LASTING), (LASTING, PASSING, Doubt.PASSING), (Always(), LASTING, Doubt.LASTING)],
    ids=["one lasting", "lasting and passing", "a lasting exception"],
)
def test_cause(when: Condition, exception: Condition, doubt: Doubt) -> None:
    """A doubt is lasting only if all of it is."""
    truth, why = answer(replace(excepting(exception), when=when), facts_of())
    assert (UNKNOWN, doubt) == (truth, why.doubt if why else None)


INBOUND = a_transaction(login="", client="203.0.113.1")
NETWORKS: dict[str, ListSpec | str] = {"relay-networks": ("ip", ["192.0.2.0/24"])}


@pytest.mark.parametrize(
    ("transaction", "lists", "expected"),
    [
        (a_transaction(), {}, YES),
        (INBOUND, {}, NO),
        (INBOUND, NETWORKS, NO),
        (a_transaction(login=""), NETWORKS, YES),
        (a_transaction(login="", local=True), {}, YES),
        (INBOUND, {"relay-networks": "can't be read"}, UNKNOWN),
        (a_transaction(login="", unreadable={"client.ip": "bytes"}), NETWORKS, UNKNOWN),
        (a_transaction(login="", unreadable={"login": "bytes"}), {}, UNKNOWN),
        (a_transaction(login=""), {**NETWORKS, "own-domains": "can't be read"}, YES),
    ],
    ids=[
        "login",
        "no login, no networks",
        "outside the networks",
        "a relay client",
        "local",
        "networks in doubt",
        "client in doubt",
        "login in doubt",
        "only internal or outbound is in doubt",
    ],
)
def test_inbound_mail_is_not_judged_unless_named(
    transaction: Transaction, lists: dict[str, ListSpec | str], expected: Truth
) -> None:
    """A rule that names inbound mail judges it; the others don't, and are UNKNOWN where the direction is."""
    facts = facts_of(transaction, lists)
    assert expected is answer(RULE, facts)[0]
    assert YES is answer(replace(RULE, inbound=True), facts)[0]
    assert NO is answer(replace(RULE, when=Never()), facts)[0]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (EntryState.ACTIVE, YES),
        (EntryState.STALE, YES),
        (EntryState.SHADOW, YES),
        (EntryState.DEFERRING, UNKNOWN),
        (EntryState.SKIPPED, NO),
        (EntryState.OFF, NO),
        (EntryState.EXPIRED, NO),
        (EntryState.TRIPPED, NO),
    ],
)
def test_state(state: EntryState, expected: Truth) -> None:
    """A broken entry is never more than UNKNOWN; what is off is nothing."""
    assert expected is answer(replace(RULE, state=state), facts_of())[0]


def at(text: str) -> float:
    """A UTC time, as POSIX seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


OFFICE = Schedule(days=(0, 1, 2, 3, 4), hours=((8 * 60, 18 * 60),))
NIGHT = Schedule(days=(4,), hours=((22 * 60, 6 * 60),))
BERLIN = Schedule(hours=((8 * 60, 9 * 60),), tz="Europe/Berlin")


@pytest.mark.parametrize(
    ("schedule", "when", "expected"),
    [
        (Schedule(), "2027-01-15T00:00", True),
        (Schedule(start=at("2027-01-15T00:00")), "2027-01-14T23:59", False),
        (Schedule(start=at("2027-01-15T00:00")), "2027-01-15T00:00", True),
        (Schedule(end=at("2027-01-16T00:00")), "2027-01-15T23:59", True),
        (Schedule(end=at("2027-01-16T00:00")), "2027-01-16T00:00", False),
        (OFFICE, "2027-01-15T08:00", True),
        (OFFICE, "2027-01-15T18:00", False),
        (OFFICE, "2027-01-16T12:00", False),
        (Schedule(days=(5,)), "2027-01-16T12:00", True),
        (NIGHT, "2027-01-15T23:00", True),
        (NIGHT, "2027-01-16T05:59", True),
        (NIGHT, "2027-01-16T06:00", False),
        (NIGHT, "2027-01-16T23:00", False),
        (NIGHT, "2027-01-15T05:00", False),
        (BERLIN, "2027-01-15T07:30", True),
        (BERLIN, "2027-07-15T07:30", False),
        (BERLIN, "2027-07-15T06:30", True),
    ],
)
def test_schedule(schedule: Schedule, when: str, expected: bool) -> None:
    """`until` is exclusive here; hours over midnight belong to the day on which they begin; daylight saving counts."""
    assert expected is in_force(schedule, at(when))
    assert (YES if expected else NO) is answer(replace(RULE, schedule=schedule), facts_of(now=at(when)))[0]


def test_sample_is_stable_and_only_grows() -> None:
    """The same senders every time, whatever else the rule says; a larger percentage only adds senders."""
    senders = [f"user{number}@example.com" for number in range(400)]

    def drawn(percent: float) -> set[str]:
        sample = Sample(percent, "sender.address")
        return {one for one in senders if sampled(sample, facts_of(a_transaction(sender=one)))[0] is YES}

    assert drawn(20) == drawn(20)
    assert drawn(5) <= drawn(20) <= drawn(60) <= drawn(100) == set(senders)
    assert set() == drawn(0)
    assert 50 < len(drawn(20)) < 110


def test_sample_by_an_unreadable_field() -> None:
    """Whether the message is in the sample can't be known."""
    facts = facts_of(a_transaction(unreadable={"client.helo": "bytes"}))
    assert UNKNOWN is answer(replace(RULE, sample=Sample(50, "client.helo")), facts)[0]
    assert YES is answer(replace(RULE, sample=Sample(100, "client.helo")), facts)[0]
    assert NO is answer(replace(RULE, sample=Sample(0, "client.helo")), facts)[0]


def test_matched_recipients_in_doubt() -> None:
    """A certain rule that does not know all whom it would remove is in doubt."""
    domain = FieldTest("rcpt.domain", Operator.ONE_OF, ("a.example",), None, ListKind.DOMAIN)
    listed = FieldTest("rcpt.domain", Operator.IN, (), "broken", ListKind.DOMAIN)
    from_list = Recipients(Quantifier.ANY, listed)
    transaction = a_transaction(rcpt=("x@a.example", "y@b.example"))
    remove = Actions(edits=(RemoveRecipient(None),))

    def standing(when: Condition) -> tuple[Truth, tuple[str, ...]]:
        found = stand(Rule("r", when, remove), facts_of(transaction, {"broken": "can't be read"}))
        assert found is not None
        return found.truth, tuple(one.address for one in found.matched)

    assert (YES, ("x@a.example",)) == standing(Recipients(Quantifier.ANY, domain))
    assert (UNKNOWN, ("x@a.example", "y@b.example")) == standing(from_list)
    both = AllOf((Recipients(Quantifier.ANY, domain), Not(Never())))
    assert (YES, ("x@a.example",)) == standing(both)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (FieldTest("login", Operator.EXISTS, (True,)), YES),
        (FieldTest("subject", Operator.EXISTS, (True,)), UNKNOWN),
        (FieldTest("rcpt.count", Operator.GT, (0,)), UNKNOWN),
        (Recipients(Quantifier.ANY, Always()), UNKNOWN),
        (Not(Recipients(Quantifier.ANY, Always())), UNKNOWN),
        (AllOf((FieldTest("login", Operator.EXISTS, (False,)), Recipients(Quantifier.ANY, Always()))), NO),
    ],
    ids=["login", "a header", "count", "recipients", "not recipients", "settled by what is known"],
)
def test_what_a_message_rule_knows_at_rcpt(condition: Condition, expected: Truth) -> None:
    """Later fields and counts over recipients are UNKNOWN there."""
    facts = facts_of(a_transaction(message=False))
    assert expected is answer(replace(RULE, when=as_at_rcpt(condition)), facts, Recipient("bob@example.net"))[0]
