"""What is kept of a message, and that it is judged again as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders.kept import a_kept
from tests.builders.policies import a_rule, load_text
from tests.builders.transactions import NOW, Headers, a_transaction
from tidegate import image
from tidegate.engine.judge import judge
from tidegate.model import Message, PolicySet, Transaction
from tidegate.replay import Kept, keep_headers
from tidegate.replay.message import LARGEST, read, written

SHARED = frozenset({"header.from", "header.subject"})


def generation(*rules: str) -> PolicySet:
    """The generation of such a policy."""
    return image.Generation(image.build(load_text(*rules).loaded, 1))


def kept(transaction: Transaction, policies: PolicySet) -> Kept:
    """As the front keeps it."""
    message = transaction.message
    assert message is not None
    headers, known = keep_headers(message.headers, policies.needs)
    rest = (("", b""),) * (len(message.headers) - len(headers))
    found = replace(transaction, message=replace(message, headers=headers + rest))
    return Kept(NOW, found, None, (), known)


@pytest.mark.parametrize(
    "one",
    [
        a_kept(),
        a_kept(sender="", login="", rcpt=[], refused=["bob@example.net", "Carol <x"], message=False),
        a_kept(known=["header.subject"], headers=[("Subject", b"\xff\x00 \xc3\xa9"), ("From", "x")]),
        a_kept(login="j\u00fcrgen\udc80"),
    ],
    ids=["plain", "refused at RCPT", "bytes that are no text", "a login that is no UTF-8"],
)
def test_a_message_comes_back_as_it_was_written(one: Kept) -> None:
    """Field by field."""
    assert one == read(written(one, SHARED), SHARED)


def test_facts_of_the_connection_come_back() -> None:
    """What could not be read, too."""
    transaction = a_transaction(unreadable={"client.helo": "not UTF-8"}, local=True)
    one = replace(a_kept(), transaction=transaction, known=SHARED)
    again = read(written(one, SHARED), SHARED).transaction
    assert (transaction.connection, transaction.envelope) == (again.connection, again.envelope)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[[[", '{"time": "x"}', "\x00", '{"time": 1, "verdict": []}'])
def test_anything_else_is_no_message(text: str) -> None:
    """A line of another version is told, and passed over."""
    with pytest.raises(ValueError, match=r"."):
        read(text, SHARED)


CASES: list[tuple[str, Headers]] = [
    (a_rule("{subject: {contains: hell}}"), (("Subject", "hello"),)),
    (a_rule("{header.x-a: {exists: false}}"), (("X-B", "1"),)),
    (a_rule("{header.count: 3}"), (("A", "1"), ("B", "2"), ("C", "3"))),
    (a_rule("{message.size: 1000}"), ()),
    (a_rule("{header.from.domain: example.org}"), (("from", "a@example.com"), ("FROM", "b@example.org"))),
    (a_rule("{disclosed.count: 2}"), (("To", "a@example.com, b@example.com"),)),
    (a_rule(do='{prefix_subject: "[x] "}'), (("Subject", "hello"), ("X-Other", "1"))),
    (a_rule("{subject: {matches: '^=E9$'}}"), (("Subject", "=?utf-8?q?=C3=A9?="),)),
]


@pytest.mark.parametrize(("rule", "headers"), CASES)
def test_the_same_policy_gives_the_same_verdict(rule: str, headers: Headers) -> None:
    """By what is kept alone."""
    policies, transaction = generation(rule), a_transaction(headers=headers)
    one = kept(transaction, policies)
    assert not one.missing(policies.needs)
    again = read(written(one, SHARED), SHARED)
    assert judge(transaction, policies, NOW) == judge(again.asked_again(()), policies, NOW)


def test_only_what_a_rule_reads_is_kept() -> None:
    """Of the others the number is."""
    policies = generation(a_rule("{subject: hello}"))
    headers = (("Subject", "hello"), ("X-Secret", "password"), ("To", "bob@example.net"))
    message = kept(a_transaction(headers=headers), policies).transaction.message
    assert message == Message((("Subject", b"hello"), ("", b""), ("", b"")), 1000, True)


def test_what_was_not_kept_is_unreadable_then() -> None:
    """So that a rule that asks for it is in doubt, and no test is failed by what nobody knows."""
    policies = generation(a_rule("{header.x-a: {exists: true}}"))
    one = a_kept()
    missing = one.missing(policies.needs)
    assert {"header.x-a"} == missing
    verdict = judge(one.asked_again(missing), policies, NOW)
    (mark,) = verdict.trail
    assert mark.cause is not None
    assert "it was not kept for replay" in mark.cause.text


def test_headers_that_are_too_long_count_as_not_kept() -> None:
    """The longest first; the others are kept."""
    headers = (("Subject", b"s"), ("X-Long", b"x" * LARGEST))
    rows, known = keep_headers(headers, {"header.subject", "header.x-long", "header.from"})
    assert ((("Subject", b"s"),), {"header.subject", "header.from"}) == (rows, set(known))
