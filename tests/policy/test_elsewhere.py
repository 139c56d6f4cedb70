"""What people write who come from another filter: the message names the cure."""

from __future__ import annotations

import pytest

from tests.builders.policies import a_rule, load_text
from tidegate.conditions.fields import FIELDS
from tidegate.model import Severity
from tidegate.policy import elsewhere
from tidegate.policy.actions import KNOWN
from tidegate.policy.comparisons import WRITTEN_OPERATORS
from tidegate.policy.keys import RULE_KEYS
from tidegate.policy.when import WORDS


def told(policy: str, **files: str) -> list[str]:
    """Each error or warning: message and cure."""
    loaded = load_text(policy, files=files).loaded
    return [f"{one.message}; {one.cure}" for one in loaded.problems if one.severity is not Severity.NOTICE]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("{sasl_username: bob}", "did you mean `login`?"),
        ("{client_address: 10.0.0.1}", "did you mean `client.ip`?"),
        ("{recipient: a@b.example}", "did you mean `any_rcpt`?"),
        ("{header.to.address: a@b.example}", "write `any_rcpt: {address: …}`"),
        ("{header.list-id.domain: a.example}", "write `header.list-id: {contains: …}`"),
        ("{login: {not: bob}}", "write `not: {login: …}` around the test"),
        ("{login: {equals: bob}}", "write the value alone: `login: …`"),
        ("{subject: {regex: bob}}", "did you mean `matches`?"),
        ("{subject: {matches: /bob/i}}", "patterns are written without slashes"),
        ("{message.size: {gt: 10M}}", "write bytes: 10485760"),
        ('{sender.address: ""}', "write `sender.null: true`"),
        ("{any: {login: bob, subject: x}}", "write `any:` with `- ` before each condition"),
        ("{any_rcpt: [a@b.example]}", "write `any_rcpt: {address: …}`"),
        ("{any_rcpt: {in: own-domains}}", "name the field before the operator: `FIELD: {in: …}`"),
        ("{login: {in: [staff]}}", "write `login: {in: staff}`"),
        ("{sender.domain: own-domains}", "write `sender.domain: {in: own-domains}`"),
        ("{sender.address: {in: own-domains}}", "ask `sender.domain`"),
        ("[{login: bob}]", "write `all:` or `any:` before the list"),
    ],
)
def test_conditions(when: str, said: str) -> None:
    """A name, an operator or a form of another filter."""
    lists = "lists: {own-domains: {type: domain, items: [example.com]}, staff: {type: login, items: [a]}}"
    found = told(a_rule(when, before=lists))
    assert (1, True) == (len(found), said in found[0]), found


@pytest.mark.parametrize(
    ("do", "more", "said"),
    [
        ("{quarantine: {reason: x}}", "", "did you mean `hold`?"),
        ("{tempfail: x}", "", "did you mean `defer`?"),
        ("{dunno: x}", "", "there is no bare `dunno`; write `except:`"),
        ("{add_header: {name: X-A, value: b}}", "", "write add_header: {X-Name: text}"),
        ("{reject: {code: 550}}", "", 'write it as "550 5.7.1"'),
        ("{reject: {message: x}}", "", "did you mean `text`?"),
        ("{hold: {reason: x}}", "examples: {match: [{from: a@b.example}]}", "did you mean `sender`?"),
        ("{hold: {reason: x}}", "mode: test", "did you mean `shadow`?"),
        ("{hold: {reason: x}}", "mode: on", "did you mean `enforce`?"),
        ("{hold: {reason: x}}", "stop: true", "order decides nothing"),
        ("{hold: {reason: x}}", "unless: x", "did you mean `except`?"),
        (
            '{reject: {text: "{header.x-class} stays"}}',
            "",
            "there is no placeholder `{header.x-class}`; there are ref,",
        ),
    ],
)
def test_rules(do: str, more: str, said: str) -> None:
    """An action, a key or a word of another filter."""
    found = told(a_rule("always", do, more))
    assert (1, True) == (len(found), said in found[0]), found


def test_a_login_map_the_wrong_way_round() -> None:
    """Postfix's smtpd_sender_login_maps says who may use an address; ours which addresses a login may use."""
    policy = "version: 1\nlists: {logins: {type: map, file: f}}\n...\n"
    found = told(policy, f="alice@example.com alice\n@example.org carol@example.com\n")
    assert (
        "`alice` is no address and no domain; `logins` says LOGIN, then the addresses" in found[0] + found[1] + found[2]
    )
    assert any("`@example.org` is no login" in one for one in found)


@pytest.mark.parametrize(
    ("table", "known"),
    [
        (elsewhere.FIELDS, {*FIELDS, *WORDS, "header.NAME"}),
        (elsewhere.OPERATORS, set(WRITTEN_OPERATORS)),
        (elsewhere.ACTIONS, set(KNOWN)),
        (elsewhere.RULE_KEYS, set(RULE_KEYS)),
    ],
    ids=["fields", "operators", "actions", "keys"],
)
def test_what_is_meant_exists(table: dict[str, str], known: set[str]) -> None:
    """And nothing that exists is explained away."""
    assert (set(), set()) == ({*table.values()} - known, {*table} & known)
