"""The decision line: one line, whatever the client sent, with nobody's address in it unless the settings say so."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders.transactions import NOW, a_transaction
from tidegate.model import Cause, Disposition, Doubt, Mark, Recipient, Transaction, Truth, Verdict
from tidegate.observe.decision import Decision, line
from tidegate.observe.logs import configure, render
from tidegate.observe.masking import harmless, masked, without_people

FORMS = ("json", "logfmt")
TRAIL = (
    Mark("stop", Truth.YES, "login in suspended"),
    Mark("trial", Truth.YES, shadow=True, would=Disposition.DEFER),
    Mark("maybe", Truth.UNKNOWN, shadow=True, would=Disposition.HOLD, cause=Cause(Doubt.PASSING, "list l: gone")),
    Mark("quiet", Truth.UNKNOWN, shadow=True, would=Disposition.REJECT, cause=Cause(Doubt.PASSING, "list l: gone")),
    Mark("uncounted", Truth.YES, shadow=True),
    Mark("doubt", Truth.UNKNOWN, cause=Cause(Doubt.LASTING, "subject: not decodable")),
)
VERDICT = Verdict(
    Disposition.REJECT, rule="stop", trail=TRAIL, would=Disposition.DEFER, generation=7, digest="0123456789abcdef"
)


def a_decision(
    transaction: Transaction | None = None, verdict: Verdict | None = VERDICT, reply: str = "", **more: str
) -> Decision:
    """A refusal at end of message."""
    return Decision("eom", transaction or a_transaction(), verdict, reply, NOW, 1.234, "reject", **more)


def parsed(text: str, form: str) -> dict[str, str]:
    """A line as a reader of its form takes it; every value as text."""
    if form == "json":
        return {key: str(value) for key, value in json.loads(text).items()}
    assert re.fullmatch(r'(?:[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^ ="]*) ?)+', text), text
    pairs = re.findall(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ ="]*)', text)
    return {key: value.strip('"') for key, value in pairs}


@pytest.mark.parametrize("form", FORMS)
def test_what_it_says(form: str) -> None:
    """Who, what, why, by which generation; how long it took."""
    configure("stderr", form)
    text = line(a_decision(reply="550 5.7.1 no (R3F)"), False, render)
    assert text.endswith("\n")
    event = parsed(text.rstrip("\n"), form)
    expected = {
        "timestamp": "2027-01-15T08:00:00.000+00:00",
        "event": "decision",
        "disposition": "reject",
        "stage": "eom",
        "queue_id": "4XyZ12abcd",
        "ref": "R3F",
        "client": "192.0.2.10",
        "login": "alice@example.com",
        "sender": "alice@example.com",
        "rcpt_domains": "example.net",
        "rcpt_count": "1",
        "size": "1000",
        "reply": "550 5.7.1 no (R3F)",
        "generation": "7",
        "digest": "0123456789ab",
        "rule": "stop",
        "would": "defer",
        "rules": "['stop']",
        "hits": "['stop: login in suspended']",
        "would_rules": "['trial: defer', 'maybe: hold', 'uncounted']",
        "unknown": "['maybe: list l: gone', 'quiet: list l: gone', 'doubt: subject: not decodable']",
        "ms": "1.23",
    }
    assert expected == {key: event[key] for key in expected}


def test_the_null_sender_and_no_login() -> None:
    """They look like what they are."""
    configure("stderr", "json")
    event = json.loads(line(a_decision(a_transaction(sender="", login="")), True, render))
    assert ("<>", "") == (event["sender"], event["login"])


def test_many_recipient_domains_are_counted() -> None:
    """The first five are named."""
    configure("stderr", "json")
    transaction = a_transaction(rcpt=[f"u@d{number}.example" for number in range(9)])
    event = json.loads(line(a_decision(transaction), True, render))
    assert ("d0.example,d1.example,d2.example,d3.example,d4.example,+4", 9) == (
        event["rcpt_domains"],
        event["rcpt_count"],
    )


@pytest.mark.parametrize("form", FORMS)
def test_masking_reaches_everything(form: str) -> None:
    """Login, sender and recipient, in replies, reasons and causes too; with `mask: false` they are as they were."""
    configure("stderr", form)
    transaction = a_transaction(sender="boss@example.com", login="jdoe")
    cause = Cause(Doubt.PASSING, "logins has no entry for JDoe")
    verdict = replace(VERDICT, reason="held for boss@example.com", trail=(Mark("doubt", Truth.UNKNOWN, cause=cause),))
    decision = a_decision(
        transaction, verdict, "550 5.7.1 jdoe may not send as <boss@example.com>", recipient="carol@example.net"
    )
    hidden = line(decision, True, render)
    for person in ("boss@", "jdoe", "JDoe", "carol@"):
        assert person not in hidden
    assert "j*** may not send as <b***@example.com>" in hidden
    shown = line(decision, False, render)
    for person in ("boss@example.com", "jdoe may not", "carol@example.net"):
        assert person in shown


HOSTILE = (
    'a" disposition=accept x="',
    'a\\" disposition=accept x="',
    "a\\",
    "a b\\",
    "a\nevent=decision disposition=accept",
    "a\r\n{}",
    "\x1b[2Ja",
    "a\x9b1;1Hb",
    "a\u2028b\u2029c\x85d",
    "a\udcffb\ud800",
    "a\0b",
    "=",
    '"',
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mask", [True, False], ids=["masked", "open"])
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_value_forges_a_field_or_a_line(form: str, mask: bool, text: str) -> None:
    """Quotes, backslashes, line ends and controls stay inside their value."""
    forged_everywhere(form, mask, text)


@given(st.text(max_size=30), st.sampled_from(FORMS), st.booleans())
def test_no_text_at_all_forges_one(text: str, form: str, mask: bool) -> None:
    """The same for any text."""
    forged_everywhere(form, mask, text)


def forged_everywhere(form: str, mask: bool, text: str) -> None:
    """Put `text` wherever a client or a rule can; the line must keep its shape."""
    configure("stderr", form)
    transaction = a_transaction(sender=text, login=text, client=text or "-")
    envelope = replace(transaction.envelope, recipients=(Recipient(f"{text}@{text}"),))
    transaction = replace(transaction, envelope=envelope, queue_id=text)
    trail = (Mark("doubt", Truth.UNKNOWN, cause=Cause(Doubt.LASTING, text)),)
    verdict = replace(VERDICT, reason=text, trail=trail)
    made = line(a_decision(transaction, verdict, text, fault=text, recipient=text), mask, render)
    assert 1 == len(made.splitlines())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", made)
    made.encode("utf-8")
    event = parsed(made.rstrip("\n"), form)
    assert ("reject", "decision", "eom") == (event["disposition"], event["event"], event["stage"])
    assert 1 == made.count("disposition=reject") + made.count('"disposition": "reject"')


@pytest.mark.parametrize(
    ("text", "safe"),
    [("plain ü", "plain ü"), ('"a"@b', "'a'@b"), ("a\\", "a/"), ("\x1b\x9b\u2028\udcff", "\\x1b\\x9b\\u2028\\udcff")],
)
def test_harmless(text: str, safe: str) -> None:
    """Readable where it can be."""
    assert safe == harmless(text)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [("alice@example.com", "a***@example.com"), ("alice", "a***"), ("", ""), ("@example.com", "***@example.com")],
)
def test_masked(text: str, hidden: str) -> None:
    """Enough to recognise."""
    assert hidden == masked(text)


@pytest.mark.parametrize(
    ("text", "login", "hidden"),
    [
        ("as a@b.example, or c@d.example!", "", "as a***@b.example, or c***@d.example!"),
        ("abba sends", "abba", "a*** sends"),
        ("cabbage for abbas", "abba", "cabbage for abbas"),
        ("none", "a@b", "none"),
        ("@" * 5000, "x", "@" * 5000),
    ],
)
def test_without_people(text: str, login: str, hidden: str) -> None:
    """Addresses and the login, as whole words."""
    assert hidden == without_people(text, login)


@pytest.mark.parametrize(
    ("hit", "login", "shown"),
    [
        ("login in suspended: jdoe", "jdoe", "login in suspended: j***"),
        ("login in suspended: jdoe", "JDoe@example.com", "login in suspended: J***"),
        ("login in suspended: jdoe@example.com", "jdoe@example.com", "login in suspended: j***@example.com"),
        ("sender.address in a: boss@", "", "sender.address in a: b***@"),
        ("sender.address in a: @example.com", "", "sender.address in a: @example.com"),
        ("any_rcpt rcpt.domain: example.net, subject: pills", "", "any_rcpt rcpt.domain: example.net, subject: pills"),
        ("subject: " + "x" * 300, "", "subject: " + "x" * 185 + "…"),
    ],
    ids=["a bare login", "of a login with a realm", "an address", "a local part", "a domain", "several", "a long one"],
)
def test_what_a_rule_matched_on_is_told(hit: str, login: str, shown: str) -> None:
    """The test and the entry, whoever it names masked; with `mask: false` as it is."""
    configure("stderr", "json")
    verdict = replace(VERDICT, trail=(Mark("stop", Truth.YES, hit),))
    decision = a_decision(a_transaction(login=login), verdict)
    assert [f"stop: {shown}"] == json.loads(line(decision, True, render))["hits"]
    if len(hit) < 200:
        assert [f"stop: {hit}"] == json.loads(line(decision, False, render))["hits"]
