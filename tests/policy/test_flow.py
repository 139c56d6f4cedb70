"""Broken rules in flow style: what of them stays readable, and what a quoted text never becomes."""

from __future__ import annotations

import pytest

from tests.builders.policies import a_policy, load_text, states
from tidegate.model import EntryKind, Mode, Source
from tidegate.policy.flow import flow_keys, lines_quoted
from tidegate.policy.read import read_file

HEADER = {"on_invalid": "defer", "priority": "5", "mode": "shadow", "max_stale": "7d"}
LAST = "on_invalid: defer, priority: 5, mode: shadow, max_stale: 7d"
DO = "do: {reject: {text: Stop}}"


def header_of(rule: str) -> dict[str, str]:
    """The scalars in the header of the broken rule `x`, with a good rule on either side of it."""
    good = "{id: %s, when: {login: b}, do: {hold: {reason: Look}}}"
    text = f"version: 1\nrules:\n  - {good % 'before'}\n{rule}\n  - {good % 'after'}\n...\n"
    file = read_file(Source("a.yaml", text.encode()))
    found = {entry.key.id: entry for entry in file.entries if entry.key.kind is EntryKind.RULE}
    assert {"before", "x", "after"} == set(found)
    assert [False, True, False] == [found[name].node is None for name in ("before", "x", "after")]
    header = found["x"].header
    return {} if header is None else {key.text: getattr(value, "text", "…") for key, value in header.pairs}


@pytest.mark.parametrize(
    "rule",
    [
        f"  - {{id: x, when: {{login: [bob}}, {DO}, {LAST}}}",
        f"  - {{id: x, when: {{login: bob]}}, {DO}, {LAST}}}",
        f"  - {{id: x, when: {{login: bob}}}}, {DO}, {LAST}}}",
        f"  - {{id: x, {LAST}, when: {{login: bob, {DO}}}",
        f"  - {{id: x, {LAST}, when: {{login: *bob}}, {DO}",
        f'  - {{id: x, {LAST}, description: "it never ends, when: {{login: bob}}, {DO}}}',
        f"  - {{id: x, when: {{login: [bob}},\n     {DO},\n     {LAST}}}",
        f"  - {{when: {{login: [bob}},   # whom\n     {DO}, id: x,\n {LAST}  # the rest\n    }}",
        f"  -\n    {{id: x, when: {{login: [bob}}, {DO}, {LAST}}}",
        f"  - {{'id': x, \"when\": {{login: [bob}}, {DO}, {LAST}}}",
        f"  - {{id: x, when: {{login: [bob}}, description: \"a, mode: off, }}\", owner: it's, {DO}, {LAST}}}",
    ],
    ids=[
        "a bracket is missing", "a bracket of the wrong kind", "a bracket too many", "a brace is missing",
        "the last brace is missing", "a quote without end", "over several lines", "at any column", "a dash alone",
        "quoted keys", "quoted keys of others",
    ],
)  # fmt: skip
def test_the_header_is_readable(rule: str) -> None:
    """Wherever the mistake stands, the keys of the header are found, as in block style."""
    assert HEADER.items() <= header_of(rule).items()


@pytest.mark.parametrize(
    ("rule", "header"),
    [
        (f"  - {{id: x, when: {{login: bob, {DO}, mode: off, on_invalid: defer}}", {"id", "do", "on_invalid"}),
        (f'  - {{id: x, description: "never ends, when: always, {DO}, mode: off}}', {"id", "do"}),
        (f'  - {{id: x, when: [, description: "a, mode: off, on_invalid: defer", {DO}}}', {"id", "do"}),
        ("  - {id: x, when: {login: [bob}, do: {}\n    {id: y, when: always, mode: off}}", {"id"}),
        (f"  - {{id: x, when: [, {DO}, mode: off, mode: enforce}}", {"id", "do"}),
    ],
    ids=["behind a missing brace", "behind a torn quote", "in a quoted text", "another rule's", "twice"],
)
def test_what_may_be_another_s_counts_only_where_it_is_stricter(rule: str, header: set[str]) -> None:
    """A `mode: off` whose place is not certain turns nothing off; nothing is read out of a quoted text."""
    assert header == set(header_of(rule)) - {"when"}


def test_a_deferring_rule() -> None:
    """A flow-style rule with a syntax error defers as it says, with its tags, priority and scope."""
    text = a_policy("""
        rules:
          - {id: r, priority: 5, tags: [one], when: {login: [bob}, do: {reject: {text: "No ({ref})"}},
             on_invalid: defer, scope: {logins: [bob]}}
    """)
    loaded = load_text(text)
    rule = loaded.loaded.rules[0]
    assert {"rule r": "deferring"} == states(loaded)
    assert (5, ("one",), ("bob",)) == (rule.priority, rule.tags, rule.when.children[0].values)


def test_an_obeyed_mode() -> None:
    """`mode: shadow` of a broken edit is obeyed while its last valid version serves."""
    good = load_text(a_policy(f"rules:\n  - {{id: r, when: {{login: bob}}, {DO}}}"))
    bad = a_policy(f"rules:\n  - {{id: r, mode: shadow, when: {{login: [bob}}, {DO}}}")
    loaded = load_text(bad, accepted=dict(good.loaded.texts))
    assert ({"rule r": "stale"}, Mode.SHADOW) == (states(loaded), loaded.loaded.rules[0].mode)


@pytest.mark.parametrize(
    "rule",
    [
        '- {id: x, when: {login: [bob}, description: "it was\n- {id: evil, when: always, do: {hold: {reason: e}}}\n'
        '- so", do: {hold: {reason: x}}}',
        "- {id: x, when: {login: [bob}, description: 'it was\n- {id: evil, when: always, do: {hold: {reason: e}}}\n"
        "- so'}",
        '- id: x\n  when: {login: [bob}\n  description: "it was\n- id: evil\n  when: always\n'
        '  do: {hold: {reason: e}}\n- so"\n  do: {hold: {reason: x}}',
    ],
    ids=["flow", "flow, single quotes", "block"],
)
def test_a_rule_quoted_in_a_broken_one_stays_dead(rule: str) -> None:
    """A quoted text over several lines holds a whole rule, and the rule around it is broken."""
    after = "- {id: after, when: {login: b}, do: {hold: {reason: Look}}}"
    loaded = load_text(f"version: 1\nrules:\n{rule}\n{after}\n...\n")
    assert {"rule x": "skipped", "rule after": "active"} == states(loaded)


def test_a_torn_quote_costs_its_entry() -> None:
    """A quote that somebody forgot takes nothing from the rules behind it, which have quotes of their own."""
    text = a_policy("""
        rules:
          - {id: torn, when: {login: bob}, do: {hold: {reason: "Look}}}
          - {id: after, when: {login: bob}, do: {hold: {reason: "Look"}}}
          - id: last
            when: {login: "bob"}
            do: {hold: {reason: "Look"}}
    """)
    assert {"rule torn": "skipped", "rule after": "active", "rule last": "active"} == states(load_text(text))


@pytest.mark.parametrize(
    ("text", "lines"),
    [('a: "b\nc"\nd', 2), ('a: "b\nc: "d"', 0), ("a: it's\nb: isn't", 0), ('a: b # "\nc: d"', 0), ('a: "b\n\nc"', 3)],
    ids=["reaches", "torn", "apostrophes", "a comment", "an empty line"],
)
def test_how_far_a_quoted_text_reaches(text: str, lines: int) -> None:
    """Only a quote in the place of a value begins one, and only one with a sensible end counts."""
    assert lines == lines_quoted(text, 1)


def test_only_flow_items() -> None:
    """A rule in block style has none of these keys, and no text makes it raise."""
    assert [] == flow_keys("- id: x\n  do: {a: b}")
    for text in ("- {", "- {,", "- {:", "- {]", "- {'", "- {a", "- {a:", "- {}}", "- {a: b}, ", "- {a: b}, c: d"):
        assert isinstance(flow_keys(text), list)
