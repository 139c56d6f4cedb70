"""Limits in a judgement: what is asked in one call, what is charged, and what a doubt makes of it."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.builders.ledgers import ExactLedger
from tests.builders.limits import ALICE, LASTING, PASSING, a_limit, full, judged, limiting, plain
from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.judge import judge
from tidegate.engine.metering import Meter
from tidegate.model import (
    Actions,
    Always,
    Counting,
    Disposition,
    Easing,
    EntryState,
    Exempt,
    Mode,
    OnError,
    OnUninspected,
    Operator,
    Restraint,
    Rule,
    Test,
)


class TestOneCall:
    """All limits of a message are asked at once, and no more than once."""

    def test_all_limits_of_all_rules(self) -> None:
        ledger = ExactLedger()
        rules = [
            limiting("a", Disposition.DEFER, a_limit("hour", 10), a_limit("day", 50, per=86400.0)),
            limiting("b", Disposition.HOLD, a_limit("hour", 5)),
            limiting("c", Disposition.REJECT, a_limit("hour", 7), mode=Mode.SHADOW),
        ]
        assert Disposition.ACCEPT is judged(rules, ledger).disposition
        assert [
            [
                ("a", "hour", True, False),
                ("a", "day", True, False),
                ("b", "hour", False, False),
                ("c", "hour", True, True),
            ]
        ] == [[(one.rule, one.limit, one.stops, one.shadow) for one in call.charges] for call in ledger.calls]
        assert [1, 1, 1] == [ledger.used(*row, ALICE) for row in (("a", "hour"), ("a", "day"), ("b", "hour"))]
        assert 1 == ledger.used("c", "hour", ALICE, shadow=True)

    def test_no_call_where_no_rule_with_limits_is_concerned(self) -> None:
        ledger = ExactLedger()
        judged([limiting(when=Test("login", Operator.ONE_OF, ("bob@example.com",)))], ledger)
        judged([plain("p", Disposition.HOLD)], ledger)
        assert [] == ledger.calls

    def test_no_call_where_no_limit_applies(self) -> None:
        ledger = ExactLedger()
        assert Disposition.ACCEPT is judged([limiting()], ledger, login="", client="192.0.2.1").disposition
        assert [] == ledger.calls

    def test_a_second_judgement_of_the_message_asks_nobody(self) -> None:
        """Its answer is kept: a brake that softens a rule charges nothing."""
        ledger = full("rate")
        policies, meter = FakePolicies([limiting("rate", Disposition.REJECT)]), Meter(ledger)
        first = judge(a_transaction(), policies, NOW, meter=meter)
        again = judge(a_transaction(), policies, NOW, restraint=Restraint({"rate": Easing.SOFT}), meter=meter)
        assert [Disposition.REJECT, Disposition.DEFER] == [first.disposition, again.disposition]
        assert 1 == len(ledger.calls)
        assert first.limits == again.limits

    def test_the_message_has_an_identity(self) -> None:
        """The same one twice is charged once."""
        ledger = ExactLedger()
        headers = (("Message-ID", "<1@example.com>"), ("Subject", "hello"))
        for _ in range(3):
            judged([limiting()], ledger, headers=headers)
        assert 1 == ledger.used("rate", "hour", ALICE)
        assert 1 == len({call.retry_of for call in ledger.calls})


class TestCharging:
    """Charged only if the message goes on; all, or none."""

    @pytest.mark.parametrize("ending", [Disposition.REJECT, Disposition.DEFER, Disposition.DISCARD])
    def test_where_another_rule_stops_the_message_nothing_is_charged(self, ending: Disposition) -> None:
        ledger = ExactLedger()
        verdict = judged([limiting("rate", Disposition.REJECT), plain("stop", ending)], ledger)
        assert ending is verdict.disposition
        assert [] == [call for call in ledger.calls if call.commit]
        assert 0 == ledger.used("rate", "hour", ALICE)

    @pytest.mark.parametrize(
        ("other", "asked"),
        [(Disposition.REJECT, 0), (Disposition.DEFER, 0), (Disposition.DISCARD, 1), (Disposition.HOLD, 1)],
    )
    def test_a_limit_is_asked_only_if_it_can_make_the_verdict_stricter(self, other: Disposition, asked: int) -> None:
        ledger = full("rate")
        verdict = judged([limiting("rate", Disposition.DEFER), plain("other", other)], ledger)
        assert asked == len(ledger.calls)
        assert max(other, Disposition.DEFER) is verdict.disposition

    def test_held_mail_is_charged(self) -> None:
        ledger = full("full")
        rules = [limiting("full", Disposition.HOLD), limiting("other", Disposition.DEFER), plain("p", Disposition.HOLD)]
        assert Disposition.HOLD is judged(rules, ledger).disposition
        assert (11, 1) == (ledger.used("full", "hour", ALICE), ledger.used("other", "hour", ALICE))

    def test_one_limit_that_stops_keeps_all_from_being_charged(self) -> None:
        ledger = full("full")
        rules = [limiting("full"), limiting("other"), limiting("tried", Disposition.DEFER, mode=Mode.SHADOW)]
        assert Disposition.DEFER is judged(rules, ledger).disposition
        assert (10, 0) == (ledger.used("full", "hour", ALICE), ledger.used("other", "hour", ALICE))
        assert 0 == ledger.used("tried", "hour", ALICE, shadow=True)

    def test_a_rule_that_an_exempt_silences_is_neither_asked_nor_charged(self) -> None:
        ledger = full("rate")
        exempt = Rule("trust", Always(), Actions(exempt=Exempt(("rate",))))
        assert Disposition.ACCEPT is judged([limiting("rate"), exempt], ledger).disposition
        assert [] == ledger.calls

    def test_a_limit_in_doubt_of_its_rule_stops_what_the_doubt_would_stop(self) -> None:
        """A hold in doubt is a 451, so nothing may be charged where it is exceeded."""
        ledger = full("rate")
        verdict = judged([limiting("rate", Disposition.HOLD, when=PASSING), limiting("other")], ledger)
        assert (Disposition.DEFER, False) == (verdict.disposition, verdict.certain)
        assert (10, 0) == (ledger.used("rate", "hour", ALICE), ledger.used("other", "hour", ALICE))


class TestShadow:
    """Counters of its own; never a say."""

    def test_it_is_charged_as_if_it_were_enforced(self) -> None:
        ledger = full("tried", amount=9, shadow=True)
        rule = limiting("tried", Disposition.REJECT, mode=Mode.SHADOW)
        found = [judged([rule], ledger) for _ in range(3)]
        assert [Disposition.ACCEPT] * 3 == [one.disposition for one in found]
        assert [None, Disposition.REJECT, Disposition.REJECT] == [one.would for one in found]
        assert 10 == ledger.used("tried", "hour", ALICE, shadow=True)
        assert 0 == ledger.used("tried", "hour", ALICE)

    def test_a_rule_that_a_restraint_puts_aside_keeps_its_counters(self) -> None:
        """It stops nobody, and knows afterwards what was sent meanwhile."""
        ledger = full("rate")
        verdict = judged([limiting("rate")], ledger, Restraint({"rate": Easing.SHADOW}))
        assert (Disposition.ACCEPT, Disposition.DEFER) == (verdict.disposition, verdict.would)
        assert 11 == ledger.used("rate", "hour", ALICE)

    @pytest.mark.parametrize("easing", [Easing.SKIP, Easing.DEFER])
    def test_a_rule_that_is_not_asked_counts_nothing(self, easing: Easing) -> None:
        ledger = full("rate")
        judged([limiting("rate")], ledger, Restraint({"rate": easing}))
        assert [] == ledger.calls


class TestDoubt:
    """What can't be known is UNKNOWN, and the bracket decides."""

    def test_without_anybody_who_counts(self) -> None:
        verdict = judge(a_transaction(), FakePolicies([limiting()]), NOW)
        assert (Disposition.DEFER, False) == (verdict.disposition, verdict.certain)

    def test_a_count_that_is_down(self) -> None:
        ledger = ExactLedger(down=frozenset({("rate", "hour")}))
        verdict = judged([limiting("rate", Disposition.REJECT)], ledger)
        assert (Disposition.DEFER, False) == (verdict.disposition, verdict.certain)
        assert ["the store is down"] == [one.cause.text for one in verdict.trail if one.cause]

    def test_a_count_that_is_down_where_the_rule_skips_its_doubts(self) -> None:
        ledger = ExactLedger(down=frozenset({("rate", "hour")}))
        assert Disposition.ACCEPT is judged([limiting(on_error=OnError.SKIP)], ledger).disposition

    def test_a_ledger_that_raises_costs_its_limits_a_doubt(self) -> None:
        ledger = ExactLedger(fails=RuntimeError("secret@example.com"))
        verdict = judged([limiting("rate", Disposition.REJECT), plain("p", Disposition.HOLD)], ledger)
        assert (Disposition.DEFER, False) == (verdict.disposition, verdict.certain)
        assert ["RuntimeError"] == [one.kind for one in verdict.faults]

    @pytest.mark.parametrize(("used", "wanted"), [(9, Disposition.ACCEPT), (10, Disposition.DEFER)])
    def test_a_rule_in_doubt_counts_only_where_its_limits_are_exceeded(self, used: int, wanted: Disposition) -> None:
        verdict = judged([limiting("rate", Disposition.REJECT, when=PASSING)], full("rate", amount=used))
        assert (wanted, wanted is Disposition.ACCEPT) == (verdict.disposition, verdict.certain)

    def test_a_doubt_that_counts_as_not_matched_is_neither_asked_nor_charged(self) -> None:
        ledger = full("rate")
        assert Disposition.ACCEPT is judged([limiting(when=LASTING)], ledger).disposition
        assert [] == ledger.calls

    def test_what_was_declared_for_what_cannot_be_inspected(self) -> None:
        rule = limiting(when=LASTING, on_uninspected=OnUninspected.HOLD)
        assert Disposition.ACCEPT is judged([rule], full("rate", amount=9)).disposition
        assert Disposition.HOLD is judged([rule], full("rate")).disposition

    def test_a_login_that_cannot_be_read(self) -> None:
        verdict = judged(
            [limiting(on_uninspected=OnUninspected.DEFER)], ExactLedger(), unreadable={"login": "not UTF-8"}
        )
        assert (Disposition.DEFER, False) == (verdict.disposition, verdict.certain)

    @pytest.mark.parametrize(
        ("used", "wanted", "certain"),
        [(7, Disposition.DEFER, False), (9, Disposition.DEFER, True), (11, Disposition.DEFER, True)],
    )
    def test_recipients_that_cannot_be_read(self, used: int, wanted: Disposition, certain: bool) -> None:
        """There may be more: what is exceeded is certain, what is not is in doubt."""
        rule = limiting(
            "rate", Disposition.DEFER, a_limit(count=Counting.RECIPIENTS), on_uninspected=OnUninspected.DEFER
        )
        verdict = judged([rule], full("rate", amount=used), rcpt=("a@x.net", "b@x.net"), unreadable={"rcpt": "no"})
        assert (wanted, certain) == (verdict.disposition, verdict.certain)

    def test_a_broken_rule_is_not_asked_for_limits(self) -> None:
        ledger = ExactLedger()
        judged([limiting(state=EntryState.DEFERRING)], ledger)
        assert [] == ledger.calls

    def test_a_stale_rule_serves(self) -> None:
        assert (
            Disposition.REJECT
            is judged([limiting("rate", Disposition.REJECT, state=EntryState.STALE)], full("rate")).disposition
        )

    def test_when_the_deadline_has_passed_nobody_is_asked(self) -> None:
        class Late:
            cells: ClassVar = [0]
            place = 0
            walks = False

            def late(self) -> bool:
                return True

        ledger = ExactLedger()
        verdict = judge(a_transaction(), FakePolicies([limiting()]), NOW, Late(), meter=Meter(ledger))
        assert (Disposition.DEFER, []) == (verdict.disposition, ledger.calls)
