"""What is kept of a rule that is skipped: whom it would have concerned, for the exposure ledger."""

from __future__ import annotations

import pytest

from tests.builders.policies import a_policy, a_rule, load_text
from tests.builders.transactions import NOW, FakePolicies, a_transaction
from tidegate.engine.exposure import Exposed, concerned, watched
from tidegate.model import NO_RESTRAINT, Rule, Transaction

ALICE = a_transaction("alice@example.com", "alice@example.com", ("bob@example.net",))
MALLORY = a_transaction("mallory@example.org", "mallory@example.org", ("eve@evil.example",))
BROKEN = "{rejekt: 1}"


def told(rules: tuple[Rule, ...], transaction: Transaction) -> str:
    """`certain`, `perhaps`, or nothing."""
    policies = FakePolicies(rules)
    found = concerned(transaction, watched(policies), policies, NO_RESTRAINT, NOW)
    assert len(found) <= 1
    return {(): "", (Exposed("r", True),): "certain", (Exposed("r", False),): "perhaps"}[found]


@pytest.mark.parametrize(
    ("text", "alice", "mallory"),
    [
        (a_rule("{login: alice@example.com}", BROKEN), "certain", ""),
        (a_rule("{login: mallory@example.org}", BROKEN), "", "certain"),
        (a_rule("{logn: mallory}"), "perhaps", "perhaps"),
        (a_rule("{logn: mallory}", more="scope: {senders: [mallory@example.org]}"), "", "perhaps"),
        (a_rule("{logn: mallory}", more="scope: {recipient_domains: [evil.example]}"), "", "perhaps"),
        (a_rule("always", BROKEN, more="except: [{name: a, when: {login: alice@example.com}}]"), "", "certain"),
        (a_rule("{rcpt.domain: evil.example}", BROKEN, more="per_recipient: true"), "", "certain"),
        (a_rule("{login: alice@example.com}", BROKEN, more="limits: [{name: hour}]"), "perhaps", ""),
        (a_rule("{login: mallory@example.org}", BROKEN, more="mode: shadow"), "", ""),
        (a_rule("{login: mallory@example.org}", BROKEN, more="mode: off"), "", ""),
        (a_rule("{login: mallory@example.org}", BROKEN, more="on_invalid: defer"), "", ""),
    ],
    ids=[
        "by its when", "by its when, another", "unreadable: everybody", "by its scope", "by a scope of recipients",
        "not who is excepted", "per recipient", "by limits: nobody counted", "in shadow", "off", "deferring",
    ],
)  # fmt: skip
def test_whom_a_skipped_rule_would_have_concerned(text: str, alice: str, mallory: str) -> None:
    """What can be read decides; what can't be read counts everybody, as perhaps."""
    rules = load_text(text).loaded.rules
    assert (alice, mallory) == (told(rules, ALICE), told(rules, MALLORY))


def test_of_two_with_one_id_both_count() -> None:
    """Neither is in force, so whoever met one of them is exposed."""
    text = a_policy("""
        rules:
          - {id: r, when: {login: alice@example.com}, do: {hold: {reason: a}}}
          - {id: r, when: {login: mallory@example.org}, do: {hold: {reason: b}}}
    """)
    rules = load_text(text).loaded.rules
    assert ("certain", "certain") == (told(rules, ALICE), told(rules, MALLORY))


def test_inbound_mail_is_not_counted_unasked() -> None:
    """A rule that nobody can read is about the mail that rules judge unasked."""
    rules = load_text(a_rule("{logn: mallory}")).loaded.rules
    assert "" == told(rules, a_transaction("x@example.org", "", ("bob@example.com",), client="198.51.100.9"))


def test_what_killed_the_loader_is_not_read_again() -> None:
    """Not for the ledger either."""
    text = a_rule("{login: alice@example.com}")
    rules = load_text(text, skip=("1.yaml: rule r",)).loaded.rules
    assert ("perhaps", "perhaps") == (told(rules, ALICE), told(rules, MALLORY))
