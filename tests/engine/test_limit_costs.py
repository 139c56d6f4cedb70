"""Under which key a message counts, how much of it, and up to which maximum."""

from __future__ import annotations

import pytest

from tests.builders.ledgers import ExactLedger
from tests.builders.limits import ALICE, a_limit, full, judged, limiting
from tests.builders.policies import a_policy, errors, load_text
from tests.builders.transactions import NOW, FakeList, FakePolicies, a_transaction
from tidegate import image
from tidegate.engine.judge import judge
from tidegate.engine.metering import Meter
from tidegate.limits import Charge, OnStoreDown
from tidegate.model import (
    Cause,
    Conventions,
    Counting,
    Disposition,
    Doubt,
    Limit,
    ListKind,
    Plan,
)


class TestKeys:
    """Under which key a message counts."""

    @pytest.mark.parametrize(
        ("limit", "given", "key"),
        [
            (a_limit(), {"login": "Alice@Example.COM"}, "alice@example.com"),
            (a_limit(by=("sender.address",)), {"sender": "Bob@Example.com"}, "bob@example.com"),
            (a_limit(by=("sender.address",)), {"sender": ""}, "<> alice@example.com"),
            (a_limit(by=("sender.domain",)), {"sender": ""}, "<> alice@example.com"),
            (a_limit(by=("client.net",)), {"client": "192.0.2.77"}, "192.0.2.0/24"),
            (a_limit(by=("client.helo",)), {"helo": "MAIL|Example"}, "mail|example"),
            (a_limit(by=("client.helo", "login")), {"helo": "MAIL|Example"}, "mail%7Cexample|alice@example.com"),
            (a_limit(by=()), {"login": ""}, "*"),
            (a_limit(by=("direction",)), {}, "outbound"),
        ],
    )
    def test_they_are_folded_as_tests_compare(self, limit: Limit, given: dict[str, object], key: str) -> None:
        assert key == self._charge(limit, given).key

    @pytest.mark.parametrize(
        ("limit", "given"),
        [
            (a_limit(), {"login": ""}),
            (a_limit(by=("client.net", "login")), {"login": ""}),
            (a_limit(by=("sender.address",)), {"login": "", "sender": ""}),
            (a_limit(by=("tls.version",)), {"tls": ("", "")}),
        ],
        ids=["no login", "a part is missing", "the null sender without a login", "no TLS"],
    )
    def test_an_absent_field_is_never_a_key(self, limit: Limit, given: dict[str, object]) -> None:
        ledger = ExactLedger()
        judged([limiting("rate", Disposition.DEFER, limit, inbound=True)], ledger, **given)
        assert [] == ledger.calls

    def test_a_long_key_is_cut_and_still_its_own(self) -> None:
        keys = {self._charge(a_limit(by=("client.helo",)), {"helo": "x" * 300 + end}).key for end in "ab"}
        assert 2 == len(keys)
        assert all(len(key) < 230 for key in keys)

    @pytest.mark.parametrize(("login", "key"), [(ALICE, "acme"), ("bob@example.com", "bob@example.com")])
    def test_through_a_map(self, login: str, key: str) -> None:
        """Who is not in it is counted for himself."""
        ledger = ExactLedger()
        policies = FakePolicies(
            [limiting("rate", Disposition.DEFER, a_limit(through="tenants"))],
            {"tenants": _map("tenants", {ALICE: ("acme",)})},
        )
        judge(a_transaction(login=login), policies, NOW, meter=Meter(ledger))
        assert [key] == [one.key for one in ledger.calls[0].charges]

    @pytest.mark.parametrize("realm", ["", "example.com"])
    def test_a_map_by_another_field_than_the_login(self, realm: str) -> None:
        """Its keys are completed like logins, and so is what is looked up in it."""
        text = """
        lists: {customers: {type: map, items: {Example.org: ACME}}}
        rules:
          - id: r
            when: always
            limits: [{name: h, by: {field: sender.domain, map: customers}, count: messages, max: 1, per: 1h}]
            do: {defer: {}}
        """
        loaded = load_text(a_policy(text), conventions=Conventions(default_realm=realm)).loaded
        assert [] == errors(loaded)
        ledger = ExactLedger()
        policies = image.Generation(image.build(loaded, 1))
        judge(a_transaction(sender="a@example.org"), policies, NOW, meter=Meter(ledger))
        assert ["acme"] == [one.key for one in ledger.calls[0].charges]

    @pytest.mark.parametrize(
        ("plans", "maximum"), [({ALICE: ("1000",)}, 1000), ({}, 10), ({ALICE: ()}, 10), ({ALICE: ("0",)}, 0)]
    )
    def test_the_maximum_of_a_plan(self, plans: dict[str, tuple[str, ...]], maximum: int) -> None:
        ledger = ExactLedger()
        rule = limiting("rate", Disposition.REJECT, a_limit(plan=Plan("plans", "login")))
        judge(a_transaction(), FakePolicies([rule], {"plans": _map("plans", plans)}), NOW, meter=Meter(ledger))
        assert [maximum] == [one.maximum for one in ledger.calls[0].charges]

    @pytest.mark.parametrize(
        "known", [{"stale": True, "doubted": frozenset({ALICE})}, {"cause": Cause(Doubt.PASSING, "down")}]
    )
    def test_a_plan_that_cannot_be_trusted_is_a_doubt(self, known: dict[str, object]) -> None:
        rule = limiting("rate", Disposition.REJECT, a_limit(plan=Plan("plans", "login")))
        policies = FakePolicies([rule], {"plans": _map("plans", {ALICE: ("0",)}, **known)})
        verdict = judge(a_transaction(), policies, NOW, meter=Meter(ExactLedger()))
        assert (Disposition.DEFER, False) == (verdict.disposition, verdict.certain)

    @pytest.mark.parametrize(
        ("used", "wanted", "certain"),
        [(9, Disposition.ACCEPT, True), (10, Disposition.DEFER, False), (100, Disposition.REJECT, True)],
        ids=["below the default", "only the last good plan allows it", "beyond that too"],
    )
    def test_a_plan_of_which_only_the_last_good_version_is_known(
        self, used: int, wanted: Disposition, certain: bool
    ) -> None:
        rule = limiting("rate", Disposition.REJECT, a_limit(plan=Plan("plans", "login")))
        policies = FakePolicies([rule], {"plans": _map("plans", {ALICE: ("100",)}, stale=True)})
        verdict = judge(a_transaction(), policies, NOW, meter=Meter(full("rate", amount=used)))
        assert (wanted, certain) == (verdict.disposition, verdict.certain)

    def test_what_is_handed_on(self) -> None:
        limit = a_limit(maximum=3, count=Counting.DISTINCT, of="rcpt.address", on_store_down=OnStoreDown.OPEN)
        wanted = Charge("rate", "hour", ALICE, 3, 3600.0, 2, ("a@x.net", "b@x.net"), True, False, OnStoreDown.OPEN)
        assert wanted == self._charge(limit, {"rcpt": ["a@x.net", "B@X.net", "A@x.net"]})

    def _charge(self, limit: Limit, given: dict[str, object]) -> Charge:
        ledger = ExactLedger()
        judged([limiting("rate", Disposition.DEFER, limit, inbound=True)], ledger, **given)
        ((charge,),) = [call.charges for call in ledger.calls]
        return charge


def _map(name: str, values: dict[str, tuple[str, ...]], **changes: object) -> FakeList:
    """A map list whose values are plain texts."""
    found = FakeList(name, ListKind.MAP, (), **changes)  # type: ignore[arg-type]
    found.grants.update(values)
    return found
