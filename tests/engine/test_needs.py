"""What of a message's content a rule reads: what the replay store keeps of it, and nothing else."""

from __future__ import annotations

import pytest

from tests.builders.policies import a_rule, load_text, the_rule
from tidegate.conditions.fields import FIELDS
from tidegate.engine.needs import all_needs, need_of, needs_of
from tidegate.model import Stage


@pytest.mark.parametrize(
    ("when", "asked"),
    [
        ("always", ""),
        ("{login: alice, client.ip: {in: [192.0.2.0/24]}, any_rcpt: {domain: example.net}}", ""),
        ("{message.size: {gt: 1000}}", ""),
        ("{header.count: {gt: 1000}}", ""),
        ("{subject: hello}", "header.subject"),
        ("{not: {header.X-Seen: {exists: true}}}", "header.x-seen"),
        ("{any: [{header.from.domain: example.org}, {header.reply-to.address: a@example.org}]}",
         "header.from header.reply-to"),
        ("{disclosed.external_count: {gt: 50}}", "header.cc header.to"),
    ],
)  # fmt: skip
def test_what_conditions_ask_for(when: str, asked: str) -> None:
    """Envelope and connection are always kept; of the headers those that a test names, as its field reads them."""
    needs = needs_of(the_rule(load_text(a_rule(when))))
    assert (set(asked.split()), set()) == (set(needs.asked), set(needs.written))


@pytest.mark.parametrize(
    ("do", "written"),
    [
        ('{add_header: {X-Of: "{login}"}}', ""),
        ('{add_header: {X-Of: ["{login}", "{subject}"]}}', "header.subject"),
        ('{prefix_subject: "[outside] "}', "header.subject"),
        ('{reject: {code: "550 5.7.1", text: "not {subject}"}}', ""),
    ],
)
def test_what_edits_are_made_of(do: str, written: str) -> None:
    """A reply's text is no part of a verdict that is compared, so its placeholders keep nothing."""
    needs = needs_of(the_rule(load_text(a_rule(do=do))))
    assert (set(), set(written.split())) == (set(needs.asked), set(needs.written))


def test_exceptions_and_samples_count() -> None:
    """Whatever is read decides."""
    more = "except: [{name: a, when: {header.list-id: {exists: true}}}], sample: {percent: 5, by: header.from.address}"
    assert {"header.list-id", "header.from"} == set(needs_of(the_rule(load_text(a_rule(more=more)))).asked)


def test_limits_count() -> None:
    """What they count by, what they count, and by what their maximum is looked up."""
    text = """version: 1
lists:
  plans: {type: map, items: {"5": "10"}}
rules:
  - id: r
    when: always
    limits:
      - {name: a, by: login, count: {distinct: header.x-job}, max: 5, per: 1h}
      - {name: b, by: login, count: messages, max: {map: plans, by: disclosed.count, default: 5}, per: 1h}
    do: {defer: {code: "451 4.7.1", text: later}}
...
"""
    assert {"header.x-job", "header.to", "header.cc"} == set(needs_of(the_rule(load_text(text))).asked)


def test_rules_that_are_off_or_skipped_need_nothing() -> None:
    """Rules in shadow do: they are evaluated."""
    text = """version: 1
rules:
  - {id: a, mode: shadow, when: {header.x-a: y}, do: {hold: {reason: r}}}
  - {id: b, mode: off, when: {header.x-b: y}, do: {hold: {reason: r}}}
  - {id: c, when: {header.x-c: y}, do: {holt: {reason: r}}}
  - {id: d, when: {header.x-d: y}, do: {hold: {reason: r}}}
...
"""
    assert ("header.x-a", "header.x-d") == all_needs(load_text(text).loaded.rules)


def test_every_field_of_the_content_has_a_need() -> None:
    """A field that is known no earlier than the headers is kept by its header, or always; none is forgotten."""
    late = {name for name, row in FIELDS.items() if row.stage >= Stage.HEADERS}
    assert {"message.size", "header.count", "limit.share"} == {name for name in late if not need_of(name)}
