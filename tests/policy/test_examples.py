"""Cases in rules, and scenario files."""

from __future__ import annotations

import pytest

from tests.builders.policies import a_rule, codes, load_text
from tidegate.model import Conventions, Disposition, Source
from tidegate.policy.examples import DEFAULT_RECIPIENT, Case, CaseList
from tidegate.policy.scenarios import Expectation, PolicyText, parse_scenarios

CASES: dict[str, Case] = {
    "{rcpt: a@example.net}": Case(recipients=("a@example.net",)),
    "{rcpt: [a@example.net, b@example.net]}": Case(recipients=("a@example.net", "b@example.net")),
    "{login: bob@example.com}": Case(login="bob@example.com"),
    "{login: bob}": Case(login="bob"),
    '{sender: "<>"}': Case(sender=""),
    '{sender: ""}': Case(sender=""),
    "{client: 2001:db8::0001, client_name: a.example, helo: b, daemon: c}": Case(
        client="2001:db8::1", client_name="a.example", helo="b", daemon="c"
    ),
    "{headers: {X-A: [one, two], X-B: ''}, subject: hello}": Case(
        headers=(("X-A", "one"), ("X-A", "two"), ("X-B", ""), ("Subject", "hello"))
    ),
    "{headers: [{X-A: one}, {X-B: two}, {X-A: three}]}": Case(
        headers=(("X-A", "one"), ("X-B", "two"), ("X-A", "three"))
    ),
    "{size: 1000, local: true, now: 2027-06-30T18:00}": Case(size=1000, local=True, now=1814378400.0),
    "{lists: {suspended: [bob], logins: {bob: [a@example.com]}, partners: unavailable}}": Case(
        lists=(
            CaseList("suspended", (("bob", ()),)),
            CaseList("logins", (("bob", ("a@example.com",)),)),
            CaseList("partners", unavailable=True),
        )
    ),
    "{unreadable: [client.name, header.X-A, recipients]}": Case(unreadable=("client.name", "header.x-a", "recipients")),
    "{message: mails/one.eml}": Case(message="mails/one.eml"),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case: str) -> None:
    """A case says what matters to it; the rest is the same everywhere."""
    loaded = load_text(a_rule(more=f"examples: {{match: [{case}]}}"))
    assert [] == codes(loaded)
    assert [CASES[case]] == [one.case for one in loaded.examples["r"]]


def test_what_a_case_leaves_out() -> None:
    """The sender is by the login (trial/cases.py), the recipient is outside."""
    assert (None, (DEFAULT_RECIPIENT,)) == (Case().sender, Case().recipients)


def test_match_and_no_match() -> None:
    """Both kinds, with their places."""
    more = "examples: {match: [{login: bob}], no_match: [{login: eve}, {local: true}]}"
    found = load_text(a_rule(more=more)).examples["r"]
    assert [(True, 4), (False, 4), (False, 4)] == [(one.expect_match, one.place.line) for one in found]


@pytest.mark.parametrize(
    ("examples", "wanted"),
    [
        ("{}", ["empty-value"]),
        ("{matches: []}", ["unknown-key"]),
        ("{match: {login: bob}}", ["wrong-type"]),
        ("{match: [{}]}", ["empty-value"]),
        ("{match: [{sendr: bob}]}", ["unknown-key"]),
        ("{match: [{client: nowhere, size: big, now: then}]}", ["bad-item", "wrong-type", "bad-date"]),
        ("{match: [{message: a.eml, subject: x}]}", ["bad-value"]),
        ("{match: [{unreadable: [nothing]}]}", ["unknown-field"]),
        ("{match: [{headers: {'X A': b, X-B: 12}}]}", ["bad-header-name", "unquoted-text"]),
        ("{match: [{lists: {a: b}}]}", ["wrong-type"]),
    ],
)
def test_broken_examples_are_the_rules_problem(examples: str, wanted: list[str]) -> None:
    """What can't be tested is not said to work."""
    loaded = load_text(a_rule(more=f"examples: {examples}"))
    assert wanted == codes(loaded)
    assert {} == loaded.examples


SCENARIOS = """\
version: 1
about: The strictest wins
settings: {default_realm: example.com}
now: 2027-06-30T18:00
policy: |
  version: 1
  rules: []
  ...
scenarios:
  - name: all is well
    given: {login: bob}
    expect: {disposition: accept, rule: "", matched: [], headers: {X-A: [one], X-B: []}, rcpt: [a@example.net]}
  - name: refused at RCPT
    given: {rcpt: [a@example.net], now: 2027-01-01}
    expect: {refused: {a@example.net: 550 5.7.1}, certain: false, would: reject, sender: "<>", unknown: r}
"""


def test_scenarios() -> None:
    """A policy, cases, and what has to come of them; what is not named is not compared."""
    found, problems = parse_scenarios(Source("one.yaml", SCENARIOS.encode()))
    assert () == problems
    assert ["all is well", "refused at RCPT"] == [one.name for one in found]
    assert PolicyText(text="version: 1\nrules: []\n...\n") == found[0].policy
    assert Conventions(default_realm="example.com") == found[0].conventions
    assert [1814378400.0, 1798761600.0] == [one.case.now for one in found]
    assert (
        Expectation(
            disposition=Disposition.ACCEPT,
            rule="",
            matched=(),
            headers=(("X-A", ("one",)), ("X-B", ())),
            recipients=("a@example.net",),
        )
        == found[0].expect
    )
    assert (
        Expectation(
            refused=(("a@example.net", "550 5.7.1"),),
            certain=False,
            would=Disposition.REJECT,
            sender="",
            unknown=("r",),
        )
        == found[1].expect
    )


def test_a_scenario_may_name_a_policy() -> None:
    """One line is a path."""
    text = "version: 1\npolicy: ../policies\nscenarios: [{name: a, given: {login: b}, expect: {disposition: hold}}]\n"
    assert PolicyText(path="../policies") == parse_scenarios(Source("s.yaml", text.encode()))[0][0].policy


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("[]", ["wrong-type"]),
        ("version: 2\npolicy: a\nscenarios: [{name: a}]", ["unknown-version", "missing-key", "missing-key"]),
        (
            "version: 1\npolicy: a\nscenarios: [{name: a, given: {sendr: b}, expect: {rule: 1}}]",
            ["unknown-key", "unquoted-text"],
        ),
        ("version: 1\npolicy: a\nscenarios: [", ["yaml-syntax"]),
    ],
)
def test_broken_scenario_files(text: str, wanted: list[str]) -> None:
    """Named with their places, never raised."""
    assert wanted == [one.code for one in parse_scenarios(Source("s.yaml", text.encode()))[1]]


def test_an_unreadable_scenario_file() -> None:
    """Is a problem too."""
    found, problems = parse_scenarios(Source("s.yaml", error="Permission denied"))
    assert ((), ["unreadable-file"]) == (found, [one.code for one in problems])
