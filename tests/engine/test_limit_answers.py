"""What a rule with limits comes to: by its share, by a message that is too large; and what is told of it."""

from __future__ import annotations

import math

import pytest

from tests.builders.ledgers import ExactLedger
from tests.builders.limits import ALICE, PASSING, a_limit, full, judged, limiting
from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.judge import explain
from tidegate.engine.metering import Meter
from tidegate.model import (
    Actions,
    Always,
    Counting,
    Disposition,
    Easing,
    Limit,
    ListKind,
    Mode,
    Operator,
    Restraint,
    Rule,
    Suspend,
    Test,
    Truth,
)

_MANY = [f"a@{number}.example.net" for number in range(11)]


class TestTooLarge:
    """A message that no wait will ever let through."""

    @pytest.mark.parametrize(
        ("limit", "given", "reply"),
        [
            (
                a_limit(count=Counting.RECIPIENTS),
                {"rcpt": _MANY},
                "550 5.5.3 This message alone has 11 recipients",
            ),
            (a_limit(count=Counting.BYTES), {"size": 11}, "552 5.3.4 This message alone has 11 bytes, and 10"),
            (
                a_limit(count=Counting.DISTINCT, of="rcpt.domain"),
                {"rcpt": _MANY},
                "550 5.7.1 This message alone has 11",
            ),
        ],
    )
    def test_a_rule_that_defers_says_that_it_has_to_be_split(
        self, limit: Limit, given: dict[str, object], reply: str
    ) -> None:
        verdict = judged([limiting("rate", Disposition.DEFER, limit)], ExactLedger(), **given)
        assert (Disposition.REJECT, True) == (verdict.disposition, verdict.certain)
        assert str(verdict.reply).startswith(reply)
        assert math.inf == verdict.limits[0].retry

    @pytest.mark.parametrize(("known", "code"), [(10, 451), (11, 550)])
    def test_recipients_that_may_not_count_make_no_5xx(self, known: int, code: int) -> None:
        """One can't be read; only what is certain may be too much for ever."""
        far = Test("rcpt.domain", Operator.ONE_OF, ("far.example",), kind=ListKind.DOMAIN)
        rcpt = [
            *(f"{number}@far.example" for number in range(known)),
            "",
            *(f"{number}@near.example" for number in "ab"),
        ]
        rule = limiting("rate", Disposition.DEFER, a_limit(count=Counting.RECIPIENTS, who=far))
        verdict = judged([rule], full("rate", amount=1), rcpt=rcpt)
        assert verdict.reply is not None
        assert code == verdict.reply.code

    @pytest.mark.parametrize("ending", [Disposition.REJECT, Disposition.HOLD, Disposition.DISCARD])
    def test_every_other_rule_gives_its_own_answer(self, ending: Disposition) -> None:
        verdict = judged([limiting("rate", ending, a_limit(count=Counting.BYTES))], ExactLedger(), size=11)
        assert ending is verdict.disposition

    @pytest.mark.parametrize(
        ("rule", "restraint"),
        [
            (limiting("rate", Disposition.DEFER, a_limit(count=Counting.BYTES)), Restraint({"rate": Easing.SOFT})),
            (limiting("rate", Disposition.DEFER, a_limit(count=Counting.BYTES)), Restraint(everything=Easing.SOFT)),
            (limiting("rate", Disposition.DEFER, a_limit(count=Counting.BYTES), when=PASSING), Restraint()),
            (limiting("rate", Disposition.DEFER, a_limit(maximum=0)), Restraint()),
        ],
        ids=["eased", "all eased", "in doubt", "nothing is allowed at all"],
    )
    def test_it_is_a_4xx_where_a_5xx_would_not_be_certain(self, rule: Rule, restraint: Restraint) -> None:
        verdict = judged([rule], ExactLedger(), restraint, size=11)
        assert Disposition.DEFER is verdict.disposition
        assert verdict.reply is not None
        assert 451 == verdict.reply.code


SHARE = Test("limit.share", Operator.GE, (80,))


class TestShare:
    """A rule that says itself at which share of its limits it acts."""

    @pytest.mark.parametrize(("used", "held"), [(6, False), (7, True), (9, True), (10, True)])
    def test_it_acts_from_the_message_on_that_reaches_the_share(self, used: int, held: bool) -> None:
        ledger = full("busy", amount=used)
        verdict = judged([limiting("busy", Disposition.HOLD, when=SHARE, by_share=True)], ledger)
        assert held is (verdict.disposition is Disposition.HOLD)
        assert used + 1 == ledger.used("busy", "hour", ALICE)
        assert 1 == len(ledger.calls)

    def test_the_largest_share_counts(self) -> None:
        limits = (a_limit("hour", 10), a_limit("day", 1000))
        verdict = judged(
            [limiting("busy", Disposition.HOLD, *limits, when=SHARE, by_share=True)], full("busy", amount=8)
        )
        assert "8 + of 10" == verdict.reason

    def test_a_share_that_is_not_known_is_a_doubt(self) -> None:
        ledger = ExactLedger(down=frozenset({("busy", "hour")}))
        verdict = judged([limiting("busy", Disposition.HOLD, when=SHARE, by_share=True)], ledger)
        assert (Disposition.DEFER, False) == (verdict.disposition, verdict.certain)

    def test_one_limit_that_is_known_may_be_enough(self) -> None:
        ledger = full("busy", amount=8)
        ledger.down = frozenset({("busy", "day")})
        limits = (a_limit("hour", 10), a_limit("day", 1000))
        verdict = judged([limiting("busy", Disposition.HOLD, *limits, when=SHARE, by_share=True)], ledger)
        assert (Disposition.HOLD, True) == (verdict.disposition, verdict.certain)


class TestTold:
    """What the trail, the log and explain can say."""

    def test_the_limits_that_were_asked(self) -> None:
        verdict = judged([limiting("rate"), limiting("tried", mode=Mode.SHADOW)], full("rate", amount=7))
        first, second = verdict.limits
        assert ("rate", "hour", ALICE, 1, 7, 10, 80) == (
            first.rule, first.limit, first.key, first.cost, first.used, first.maximum, first.share
        )  # fmt: skip
        assert (True, False, False) == (first.warned, first.exceeded, first.shadow)
        assert (False, True) == (second.warned, second.shadow)

    @pytest.mark.parametrize(("used", "suspended"), [(9, []), (10, [ALICE])])
    def test_who_exceeds_a_limit_can_be_put_on_a_list(self, used: int, suspended: list[str]) -> None:
        wish = Suspend("blocked", "blocked", "login", "login", 86400.0)
        rule = Rule("rate", Always(), Actions(suspend=wish), limits=(a_limit(),))
        verdict = judged([rule], full("rate", amount=used))
        assert (Disposition.ACCEPT, suspended) == (verdict.disposition, [one.who for one in verdict.suspensions])

    def test_the_trail_names_limit_and_numbers(self) -> None:
        verdict = judged([limiting("rate")], full("rate"))
        assert ["limit hour: 10 + 1 of 10"] == [one.hit for one in verdict.trail]

    @pytest.mark.parametrize(
        ("used", "truth", "why"), [(10, Truth.YES, ""), (9, Truth.NO, "its limits are not exceeded")]
    )
    def test_explained(self, used: int, truth: Truth, why: str) -> None:
        meter = Meter(full("rate", amount=used))
        found = explain(a_transaction(), FakePolicies([limiting("rate")]), NOW, meter=meter).rules[0]
        assert (truth, why, [used]) == (found.truth, found.why_not, [one.used for one in found.limits])
