"""A rule's examples against that rule alone."""

from __future__ import annotations

import pytest

from tests.builders.policies import NOW, load_text
from tidegate import image, trial
from tidegate.model import Source, Truth
from tidegate.policy.scenarios import Scenario, parse_scenarios

LISTS = "lists:\n  suspended: {type: login, items: [mallory@example.com]}\n"


def failures(rules: str) -> list[str]:
    """The messages of the examples that fail in a policy of these rules."""
    policy = load_text(f"version: 1\n{LISTS}rules:\n{rules}\n...\n")
    assert [] == [one.message for one in policy.loaded.problems]
    found = trial.prove(policy, image.Generation(image.build(policy.loaded, 1)), NOW)
    assert all(one.code == "example-failed" and one.place.line and one.entry is not None for one in found)
    return [one.message for one in found]


def rule(when: str, examples: str, more: str = "") -> str:
    """One rule in flow style."""
    return f"  - {{id: r, when: {when}, {more} do: {{hold: {{reason: look}}}}, examples: {examples}}}"


@pytest.mark.parametrize(
    ("when", "examples", "more", "expected"),
    [
        ("{login: {in: suspended}}", "{match: [{login: mallory@example.com}]}", "", []),
        ("{login: {in: suspended}}", "{no_match: [{login: alice@example.com}]}", "", []),
        (
            "{login: {in: suspended}}",
            "{match: [{login: alice@example.com}]}",
            "",
            ["expected: it matches; got: it does not match (its condition is not met)"],
        ),
        (
            "{login: {in: suspended}}",
            "{no_match: [{login: mallory@example.com}]}",
            "",
            ["expected: it does not match; got: it matches"],
        ),
        ("{login: {in: suspended}}", "{match: [{login: a@example.com, lists: {suspended: [a@example.com]}}]}", "", []),
        (
            "{login: {in: suspended}}",
            "{no_match: [{login: a@example.com, lists: {suspendet: [a@example.com]}}]}",
            "",
            ["the policy has no list `suspendet`"],
        ),
        ("{subject: {contains: x}}", "{match: [{subject: x}]}", "mode: shadow,", []),
        ("{sender.domain: example.com}", "{match: [{sender: a@example.com}]}", "", []),
        ("{subject: {matches: '^a+b'}}", "{match: [{subject: aab}], no_match: [{subject: b}]}", "", []),
        ("{subject: {contains: x}}", "{match: [{subject: x}]}", "active: {days: [mon]},", []),
        (
            "{subject: {contains: x}}",
            "{no_match: [{subject: x, now: 2027-01-16T12:00}]}",
            "active: {days: [fri]},",
            [],
        ),
    ],
    ids=[
        "matches",
        "does not match",
        "should match",
        "should not match",
        "own list",
        "no such list",
        "in shadow",
        "without a login",
        "a pattern",
        "any day without a clock",
        "the schedule with one",
    ],
)
def test_examples_are_asked_of_their_rule_alone(when: str, examples: str, more: str, expected: list[str]) -> None:
    """What an example promises is compared with what the rule's own condition says."""
    assert expected == failures(rule(when, examples, more))


def test_an_unknown_answer_fails_both_ways() -> None:
    """A doubt is no match, and no promise that there is none."""
    case = "[{login: a@example.com, lists: {suspended: unavailable}}]"
    found = failures(rule("{login: {in: suspended}}", f"{{match: {case}, no_match: {case}}}"))
    assert 2 == len(found)
    assert all("it can't be known" in one for one in found)


def test_another_rule_does_not_interfere() -> None:
    """An exempt that silences the rule in the whole policy says nothing about its examples."""
    exempting = "  - {id: e, when: always, do: {exempt: r}}\n"
    assert [] == failures(exempting + rule("{subject: {contains: x}}", "{match: [{subject: x}]}"))


def scenario(text: str) -> Scenario:
    """The one scenario of a file."""
    found, problems = parse_scenarios(Source("s.yaml", text.encode()))
    assert () == problems
    return found[0]


def test_a_difference_names_what_was_expected_and_what_came() -> None:
    """Each expectation that is not met is told once."""
    written = scenario(
        "version: 1\npolicy: .\nscenarios:\n  - name: n\n    given: {login: mallory@example.com}\n"
        "    expect: {disposition: accept, matched: []}\n"
    )
    examples = "{match: [{login: mallory@example.com}]}"
    policy = load_text(f"version: 1\n{LISTS}rules:\n{rule('{login: {in: suspended}}', examples)}\n...\n")
    outcome = trial.run_scenario(written, image.Generation(image.build(policy.loaded, 1)), NOW)
    assert ("r",) == outcome.rules(Truth.YES)
    assert [
        trial.Difference("disposition", "accept", "hold"),
        trial.Difference("matched", "none", "r"),
    ] == list(trial.differences(written.expect, outcome))


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"Subject: a\r\n b\r\nX: y\r\n\r\nbody: z\r\n", ((("Subject"), b"a\n b"), ("X", b"y"))),
        (b"From alice Mon Jan\nA:b\n\n", (("A", b"b"),)),
        (b"A: \xff\nno header\nB: c\n", (("A", b"\xff"),)),
        (b"", ()),
    ],
    ids=["folded", "mbox line", "no header ends them", "nothing"],
)
def test_headers_are_read_as_postfix_shows_them(data: bytes, headers: tuple[tuple[str, bytes], ...]) -> None:
    """Names and raw values in order; the body is not read."""
    assert headers == trial.read_message(data).headers
