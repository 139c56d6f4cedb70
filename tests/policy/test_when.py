"""Conditions as they are built: tests, nesting, quantifiers, `use`."""

from __future__ import annotations

import pytest

from tests.builders.policies import a_rule, codes, condition_of, load_text, the_rule
from tidegate.model import (
    AllOf,
    Always,
    AnyOf,
    Condition,
    Conventions,
    ListKind,
    Not,
    Operator,
    Quantifier,
    Recipients,
)
from tidegate.model import Test as FieldTest

ONE = Operator.ONE_OF
BOB = FieldTest("login", ONE, ("bob",), kind=ListKind.LOGIN)
EVE = FieldTest("login", ONE, ("eve",), kind=ListKind.LOGIN)
NET = FieldTest("rcpt.domain", ONE, ("example.net",), kind=ListKind.DOMAIN)
LISTS = "lists: {d: {type: domain, items: [example.net]}, m: {type: map, items: {a: b}}}"

BUILT: dict[str, Condition] = {
    "always": Always(),
    "{login: bob}": BOB,
    "{LOGIN: BOB}": BOB,
    "{login: [bob, eve, bob]}": FieldTest("login", ONE, ("bob", "eve"), kind=ListKind.LOGIN),
    "{login: {in: [bob]}}": FieldTest("login", Operator.IN, ("bob",), kind=ListKind.LOGIN),
    "{login: {exists: false}}": FieldTest("login", Operator.EXISTS, (False,)),
    "{all: [{login: bob}, {login: eve}]}": AllOf((BOB, EVE)),
    "{any: [{login: bob}, {login: eve}]}": AnyOf((BOB, EVE)),
    "{any: [{login: bob}]}": BOB,
    "{not: {login: bob}}": Not(BOB),
    "{not: {login: bob, any: [{login: bob}, {login: eve}]}}": Not(AllOf((BOB, AnyOf((BOB, EVE))))),
    "{any_rcpt: {domain: example.net}}": Recipients(Quantifier.ANY, NET),
    "{all_rcpt: {rcpt.domain: Example.NET}}": Recipients(Quantifier.ALL, NET),
    "{no_rcpt: {not: {domain: example.net}}}": Recipients(Quantifier.NO, Not(NET)),
    '{sender.address: ["@Example.COM", bob@]}': FieldTest(
        "sender.address", ONE, ("@example.com", "bob@"), kind=ListKind.ADDRESS
    ),
    "{sender.domain: bücher.example}": FieldTest(
        "sender.domain", ONE, ("xn--bcher-kva.example",), kind=ListKind.DOMAIN
    ),
    "{sender.domain: {suffix: .bücher.example}}": FieldTest(
        "sender.domain", Operator.SUFFIX, (".xn--bcher-kva.example",)
    ),
    '{client.ip: {in: [10.0.0.0/8, "2001:db8::1"]}}': FieldTest(
        "client.ip", Operator.IN, ("10.0.0.0/8", "2001:db8::1/128"), kind=ListKind.IP
    ),
    "{header.X-Tag: {contains: [ONE, Two]}}": FieldTest("header.x-tag", Operator.CONTAINS, ("one", "two")),
    "{subject: {matches: 'Invoice'}}": FieldTest("subject", Operator.MATCHES, ("Invoice",)),
    "{rcpt.count: {gt: 50}}": FieldTest("rcpt.count", Operator.GT, (50,)),
    "{rcpt.count: [1, 2]}": FieldTest("rcpt.count", ONE, (1, 2)),
    "{sender.null: true}": FieldTest("sender.null", ONE, (True,)),
    "{direction: {in: [outbound, internal]}}": FieldTest(
        "direction", ONE, ("outbound", "internal"), kind=ListKind.STRING
    ),
    "{sender.domain: {in: d}}": FieldTest("sender.domain", Operator.IN, (), "d", ListKind.DOMAIN),
    "{login: {in: m}}": FieldTest("login", Operator.IN, (), "m", None),
}


@pytest.mark.parametrize("when", BUILT)
def test_built(when: str) -> None:
    """A map is AND, a list of values is OR, all values are normalised as what they are compared with."""
    assert BUILT[when] == condition_of(when, before=LISTS)


def test_a_login_is_completed() -> None:
    """With the site's default realm, as the logins that it is compared with."""
    loaded = load_text(a_rule("{login: bob}"), conventions=Conventions(default_realm="example.com"))
    assert ("bob@example.com",) == the_rule(loaded).when.values


@pytest.mark.parametrize("when", ["{domain: example.net}", "{rcpt.domain: example.net}"])
def test_a_per_recipient_rule_speaks_of_its_recipient(when: str) -> None:
    """Bare names and `rcpt.*` are that one recipient's."""
    text = a_rule(when, '{reject: {text: "No ({ref})"}}', "per_recipient: true")
    assert NET == the_rule(load_text(text)).when


def test_a_per_recipient_rule_uses_what_is_known_at_rcpt() -> None:
    """Named conditions too, if they ask nothing that comes later."""
    before = "conditions: {early: {login: bob}, late: {subject: x}, all: {all_rcpt: {external: true}}}"
    for name, wanted in (("early", []), ("late", ["not-at-rcpt"]), ("all", ["not-at-rcpt"])):
        text = a_rule(f"{{use: {name}}}", '{reject: {text: "No ({ref})"}}', "per_recipient: true", before)
        assert wanted == codes(load_text(text))


def test_everything_wrong_is_found_at_once() -> None:
    """Not the first problem, all of them, in the order of the text."""
    when = "{logn: bob, any: [{rcpt.count: many}, {subject: {contain: x}}], not: {client.ip: nowhere}}"
    wanted = ["unknown-field", "wrong-type", "unknown-operator", "bad-item"]
    assert wanted == codes(load_text(a_rule(when)))


def test_each_problem_has_its_span() -> None:
    """Line, column and end, so that a caret can stand under it."""
    problem = load_text(a_rule("{logn: bob}")).loaded.problems[0]
    assert (4, 20, 24) == (problem.place.line, problem.place.column, problem.place.end_column)
    assert "logn" == problem.excerpt[problem.place.column - 1 : problem.place.end_column - 1]


def test_uses_that_double_are_counted() -> None:
    """Thirty conditions that each use the one before twice would be a thousand million tests."""
    grow = ", ".join(f"c{n}: {{all: [{{use: c{n - 1}}}, {{use: c{n - 1}}}]}}" for n in range(1, 31))
    loaded = load_text(a_rule("{use: c30}", before=f"conditions: {{c0: {{login: bob}}, {grow}}}"))
    assert {"too-large", "broken-dependency"} == set(codes(loaded))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sasl_username", "login"),
        ("heder.x-tag", "header.x-tag"),
        ("sender.adress", "sender.address"),
        ("to", "any_rcpt"),
    ],
)
def test_did_you_mean(name: str, meant: str) -> None:
    """By likeness, and by what other filters call it."""
    assert f"did you mean `{meant}`?" in load_text(a_rule(f"{{{name}: x}}")).loaded.problems[0].message
