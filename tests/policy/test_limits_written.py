"""`limits:` as an admin writes it, and what it comes to. What is wrong with it: tests/badpolicies/78 to 81."""

from __future__ import annotations

import pytest

from tests.builders.policies import HOLD, a_rule, codes, errors, load_text, the_rule
from tidegate import image
from tidegate.model import (
    Counting,
    Limit,
    ListKind,
    OnError,
    OnStoreDown,
    Operator,
    Plan,
    Test,
)

DEFER = '{defer: {text: "{limit.name}: {limit.used} of {limit.max}, again in {limit.retry}"}}'
LISTS = "lists: {tenants: {type: map, items: {a: b}}, plans: {type: map, items: {a: '5'}}}"
PLAIN = Limit("hour", ("login",), Counting.MESSAGES, 300, 3600.0)


def written(limit: str, do: str = DEFER, when: str = "always", more: str = "") -> str:
    """A policy with one rule that has this limit."""
    return a_rule(when, do, f"limits: [{limit}]{more}", LISTS)


FORMS: dict[str, Limit] = {
    "{name: hour, by: login, count: messages, max: 300, per: 1h}": PLAIN,
    "{name: d, by: [login, client.net], count: recipients, max: 0, per: 7d}": Limit(
        "d", ("login", "client.net"), Counting.RECIPIENTS, 0, 604800.0
    ),
    "{name: d, by: all, count: bytes, max: 5, per: 90s, warn: 50, on_store_down: open}": Limit(
        "d", (), Counting.BYTES, 5, 90.0, warn=50, on_store_down=OnStoreDown.OPEN
    ),
    "{name: t, by: {field: login, map: tenants}, count: messages, max: 1, per: 1m, warn: 100%}": Limit(
        "t", ("login",), Counting.MESSAGES, 1, 60.0, "tenants", warn=100
    ),
    "{name: w, by: login, count: messages, max: 1, per: 1m, warn: 0.75}": Limit(
        "w", ("login",), Counting.MESSAGES, 1, 60.0, warn=75
    ),
    "{name: r, by: login, count: {rcpt: {domain: example.net}}, max: 1, per: 1m}": Limit(
        "r",
        ("login",),
        Counting.RECIPIENTS,
        1,
        60.0,
        who=Test("rcpt.domain", Operator.ONE_OF, ("example.net",), kind=ListKind.DOMAIN),
    ),
    "{name: u, by: login, count: {distinct: recipients}, max: 1, per: 1m}": Limit(
        "u", ("login",), Counting.DISTINCT, 1, 60.0, of="rcpt.address"
    ),
    "{name: u, by: login, count: {distinct: domain}, max: 1, per: 1m}": Limit(
        "u", ("login",), Counting.DISTINCT, 1, 60.0, of="rcpt.domain"
    ),
    "{name: u, by: login, count: {distinct: client.net}, max: 1, per: 1m}": Limit(
        "u", ("login",), Counting.DISTINCT, 1, 60.0, of="client.net"
    ),
    "{name: p, by: sender.domain, count: messages, max: {map: plans, default: 3}, per: 1m}": Limit(
        "p", ("sender.domain",), Counting.MESSAGES, 3, 60.0, plan=Plan("plans", "sender.domain")
    ),
    "{name: p, by: [sender.domain, login], count: messages, max: {map: plans, default: 3}, per: 1m}": Limit(
        "p", ("sender.domain", "login"), Counting.MESSAGES, 3, 60.0, plan=Plan("plans", "login")
    ),
    "{name: p, by: all, count: messages, max: {map: plans, by: auth.type, default: 3}, per: 1m}": Limit(
        "p", (), Counting.MESSAGES, 3, 60.0, plan=Plan("plans", "auth.type")
    ),
}


@pytest.mark.parametrize("text", FORMS)
def test_forms(text: str) -> None:
    """Each way to write a limit."""
    assert (FORMS[text],) == the_rule(load_text(written(text))).limits


def test_several_limits_in_order() -> None:
    """As they are written."""
    two = (
        "{name: b, by: login, count: messages, max: 1, per: 1h}, {name: a, by: login, count: messages, max: 1, per: 1h}"
    )
    assert ["b", "a"] == [one.name for one in the_rule(load_text(written(two))).limits]


@pytest.mark.parametrize(
    ("when", "by_share", "operator", "values"),
    [
        ("{limit.share: {ge: 80%}}", True, Operator.GE, (80,)),
        ("{limit.share: {gt: 0.05}}", True, Operator.GT, (5,)),
        ("{limit.share: {lt: 1.0}}", True, Operator.LT, (100,)),
        ("{limit.share: [10%, 20%]}", True, Operator.ONE_OF, (10, 20)),
        ("{limit.share: {exists: true}}", True, Operator.EXISTS, (True,)),
        ("{rcpt.count: {gt: 5}}", False, Operator.GT, (5,)),
    ],
)
def test_shares(when: str, by_share: bool, operator: Operator, values: tuple[int, ...]) -> None:
    """A share is a percentage or a fraction."""
    rule = the_rule(load_text(written("{name: h, by: login, count: messages, max: 1, per: 1h}", HOLD, when)))
    assert (by_share, Test(next(iter(when[1:].split(":"))), operator, values)) == (rule.by_share, rule.when)


@pytest.mark.parametrize("share", ["80", "0.8%", "eighty", "-1%", "80 %", "1"])
def test_what_is_no_share(share: str) -> None:
    """A plain number could be either."""
    text = written("{name: h, by: login, count: messages, max: 1, per: 1h}", HOLD, f"{{limit.share: {{ge: {share}}}}}")
    assert ["bad-number"] == codes(load_text(text))


def test_a_share_by_a_named_condition_and_in_an_exception() -> None:
    """Both say when the rule acts."""
    named = "conditions: {busy: {limit.share: {ge: 80%}}}"
    limits = "limits: [{name: h, by: login, count: messages, max: 1, per: 1h}]"
    assert the_rule(load_text(a_rule("{use: busy}", HOLD, limits, named))).by_share
    clause = "except: [{name: quiet, when: {limit.share: {lt: 50%}}}]"
    assert the_rule(load_text(a_rule("always", HOLD, f"{limits}, {clause}"))).by_share


def test_what_a_doubt_does() -> None:
    """As for every rule: a disposition defers, headers are skipped."""
    limit = "{name: h, by: login, count: messages, max: 1, per: 1h}"
    assert OnError.DEFER is the_rule(load_text(written(limit))).on_error
    assert OnError.SKIP is the_rule(load_text(written(limit, "{add_header: {X-A: '{limit.used}'}}"))).on_error


def test_a_list_that_a_limit_asks_is_told_where_it_is_broken() -> None:
    """Who waits for it is named."""
    text = written("{name: t, by: {field: login, map: tenants}, count: messages, max: 1, per: 1m}")
    broken = load_text(text.replace("tenants: {type: map, items: {a: b}}", "tenants: {type: map, item: {a: b}}"))
    assert "list-unavailable" in codes(broken)


def test_too_many_limits() -> None:
    """Twenty are enough for one rule."""
    limits = [f"{{name: n{number}, by: login, count: messages, max: 1, per: 1h}}" for number in range(21)]
    assert ["too-large: a rule has at most 20 limits"] == errors(load_text(written(", ".join(limits))).loaded)


@pytest.mark.parametrize("new", ["max: 301", "max: 300, warn: 70%"])
def test_an_edit_of_a_limit_is_an_edit_of_the_rule(new: str) -> None:
    """So it goes the way of every edit; the counter is (rule, limit, key), and stays."""
    one = written("{name: hour, by: login, count: messages, max: 300, per: 1h}")
    other = one.replace("max: 300", new)
    assert image.faces(load_text(one).loaded) != image.faces(load_text(other).loaded)


@pytest.mark.parametrize(
    ("limit", "reads"),
    [
        ("{name: h, by: login, count: bytes, max: 1, per: 1h}", True),
        ("{name: h, by: login, count: {distinct: message.size}, max: 1, per: 1h}", True),
        ("{name: h, by: login, count: recipients, max: 1, per: 1h}", False),
    ],
)
def test_bytes_are_counted_where_they_are_seen(limit: str, reads: bool) -> None:
    """What a client declares is only a claim; everything else does without the body."""
    generation = image.Generation(image.build(load_text(written(limit)).loaded, 1))
    assert (reads, True) == (generation.reads_body, generation.limited)


def test_a_generation_without_limits() -> None:
    """Also where the only rule that has some is off."""
    text = written("{name: h, by: login, count: bytes, max: 1, per: 1h}", more=", mode: off")
    generation = image.Generation(image.build(load_text(text).loaded, 1))
    assert (False, False) == (generation.reads_body, generation.limited)
