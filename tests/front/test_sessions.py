"""Dialogues with the front, callback by callback: what is gathered, and what end of message says."""

from __future__ import annotations

import time
from typing import Any

import pytest

import milter
from tests.builders.sessions import Front, Unreadable
from tests.builders.transactions import FakePolicies
from tests.builders.verdicts import closed_recipient, deferring, discarding, holding, labelling, rejecting
from tidegate.front import callbacks, judging, session
from tidegate.front.answer import CONTINUE, DISCARD, NOREPLY, REJECT, TEMPFAIL
from tidegate.front.callbacks import NO_BODY, QUIET_BODY, QUIET_CONNECT, QUIET_HEADER, QUIET_HELO, QUIET_RCPT
from tidegate.model import (
    Actions,
    Always,
    Bcc,
    Disposition,
    Edit,
    Mode,
    Redirect,
    RemoveHeader,
    RemoveRecipient,
    Rule,
    SetHeader,
    Template,
    Transaction,
    Verdict,
)

TEMPORARY = "451 4.3.0 Temporary failure in our policy check, please try again later"


@pytest.mark.parametrize(
    ("rule", "code", "reply", "calls"),
    [
        (rejecting(text="50% no"), REJECT, "550 5.7.1 50%% no", ["setreply"]),
        (deferring(), TEMPFAIL, "450 4.7.1 later", ["setreply"]),
        (holding(), CONTINUE, "", ["quarantine"]),
        (discarding(), DISCARD, "", []),
        (labelling(), CONTINUE, "", ["addheader"]),
        (None, CONTINUE, "", []),
    ],
    ids=["reject", "defer", "hold", "discard", "edit", "accept"],
)
def test_verdicts(rule: Rule | None, code: int, reply: str, calls: list[str]) -> None:
    """Each disposition has its one code; a percent sign is doubled for libmilter."""
    front = Front(FakePolicies([rule] if rule else []))
    front.envelope()
    assert code == front.end_of_message()
    assert (reply, calls) == (front.context.reply, [call[0] for call in front.context.calls])
    assert (1, 0) == front.numbers


def seen(monkeypatch: pytest.MonkeyPatch) -> list[Transaction]:
    """Every transaction that is judged from now on."""
    judged: list[Transaction] = []
    real = judging.judge

    def judge(transaction: Transaction, policies: Any, now: float, *_watched: Any) -> Verdict:
        judged.append(transaction)
        return real(transaction, policies, now)

    monkeypatch.setattr(judging, "judge", judge)
    return judged


def test_everything_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connection, envelope and message as Postfix told them; SIZE= counts where the body is not read."""
    judged = seen(monkeypatch)
    front = Front(FakePolicies())
    front.context.macros |= {"{tls_version}": "TLSv1.3", "{cipher}": "AES"}
    front.mail("alice@example.com", b"SIZE=5000", b"BODY=8BITMIME")
    front.rcpt("bob@example.net", b"<@relay.example:BOB@example.net>")
    front.header("Subject", b"\xff")
    assert CONTINUE == front.end_of_message()
    (one,) = judged
    connection, envelope, message = one.connection, one.envelope, one.message
    assert ("192.0.2.7", "client.example.com", "client.example.com") == (
        connection.client_ip,
        connection.client_name,
        connection.helo,
    )
    assert ("ORIGINATING", "TLSv1.3", "AES", False) == (
        connection.daemon_name,
        connection.tls_version,
        connection.tls_cipher,
        connection.local,
    )
    assert ("alice@example.com", "alice@example.com", "PLAIN", ()) == (
        envelope.sender,
        envelope.login,
        envelope.auth_type,
        envelope.unreadable,
    )
    (recipient,) = envelope.recipients
    assert ("bob@example.net", "<@relay.example:BOB@example.net>") == (recipient.address, recipient.given)
    assert message is not None
    assert ((("Subject", b"\xff"),), 5000, True) == (message.headers, message.size, message.complete)
    assert "4XyZ12abcd" == one.queue_id


@pytest.mark.parametrize(
    ("macros", "login", "unreadable"),
    [
        ({"{auth_authen}": "a", "{auth_type}": "PLAIN"}, "a", False),
        ({"{auth_authen}": "a"}, "", False),
        ({"{auth_type}": "PLAIN"}, "", False),
        ({"{auth_authen}": Unreadable(), "{auth_type}": "PLAIN"}, "", True),
        ({"{auth_authen}": "a", "{auth_type}": Unreadable()}, "", True),
        ({"{auth_authen}": Unreadable()}, "", False),
        ({"{auth_author}": "a", "{auth_type}": "PLAIN"}, "", False),
    ],
    ids=["both", "no type", "no login", "bad login", "bad type", "a bad default", "the client's own AUTH="],
)
def test_login(monkeypatch: pytest.MonkeyPatch, macros: dict[str, str], login: str, unreadable: bool) -> None:
    """{auth_authen} counts only with {auth_type}; one that is not UTF-8 is in doubt, not absent."""
    judged = seen(monkeypatch)
    front = Front(FakePolicies())
    front.mail(login=macros)
    front.rcpt()
    front.end_of_message()
    assert (login, unreadable) == (judged[0].envelope.login, bool(judged[0].envelope.unreadable))
    known = login or (unreadable and macros.get("{auth_type}") == "PLAIN")
    assert ("PLAIN" if known else "") == judged[0].envelope.auth_type


def test_addresses_without_macros(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument is taken where there is no macro; one that can't be decoded is in doubt."""
    judged = seen(monkeypatch)
    front = Front(FakePolicies())
    front.mail()
    front.context.macros |= {"{mail_addr}": ""}
    front.event("envfrom", b"<a@example.com>")
    front.event("envrcpt", b"<b@example.net>", macros={"{rcpt_addr}": ""})
    front.event("envrcpt", b"<\xff@example.net>")
    front.end_of_message()
    (one,) = judged
    assert ("a@example.com", "b@example.net") == (one.envelope.sender, one.envelope.recipients[0].address)
    assert ["rcpt"] == [field for field, _ in one.envelope.unreadable]


@pytest.mark.parametrize(
    ("argument", "sender"),
    [(b"<a\xe4@evil.example>", "a\xe4@evil.example"), (b" <a@EVIL.example> ", "a@EVIL.example")],
)
def test_a_sender_that_is_not_utf8_is_read_from_its_argument(
    monkeypatch: pytest.MonkeyPatch, argument: bytes, sender: str
) -> None:
    """smtputf8_enable = no lets any byte pass: one of them does not take the sender from under the rules."""
    judged = seen(monkeypatch)
    front = Front(FakePolicies())
    front.mail(macros={"{mail_addr}": Unreadable()})
    front.event("envfrom", argument)
    front.rcpt()
    front.end_of_message()
    assert (sender, ()) == (judged[0].envelope.sender, judged[0].envelope.unreadable)


def test_unreadable_macros_and_greetings(monkeypatch: pytest.MonkeyPatch) -> None:
    """pymilter never calls us for a client name or HELO that isn't UTF-8: those fields are in doubt, not absent."""
    judged = seen(monkeypatch)
    front = Front(FakePolicies(), greet=False)
    front.context.macros["{daemon_name}"] = Unreadable()
    front.mail("alice", macros={"{mail_addr}": Unreadable()})
    front.rcpt()
    assert CONTINUE == front.end_of_message()
    (one,) = judged
    assert {"client", "daemon.name"} == {field for field, _ in one.connection.unreadable}
    assert ["sender.address"] == [field for field, _ in one.envelope.unreadable]
    assert 1 == front.tally.counts["unreadable"]


def test_helo_changes_with_starttls(monkeypatch: pytest.MonkeyPatch) -> None:
    """One milter connection sees several HELO; the last one counts, from the next message on."""
    judged = seen(monkeypatch)
    front = Front(FakePolicies())
    front.envelope()
    front.end_of_message()
    front.event("helo", "second.example.com", macros={"{tls_version}": "TLSv1.2", "{cipher}": "X"})
    front.envelope()
    front.end_of_message()
    assert [("client.example.com", ""), ("second.example.com", "TLSv1.2")] == [
        (one.connection.helo, one.connection.tls_version) for one in judged
    ]


@pytest.mark.parametrize(
    ("name", "address", "queue_id", "local"),
    [
        ("localhost", ("127.0.0.1", 0), "4ABC", True),
        ("localhost", ("127.0.0.1", 0), "", False),
        ("localhost", ("127.0.0.1", 4711), "4ABC", False),
        ("client.example.com", ("192.0.2.7", 0), "4ABC", False),
    ],
    ids=["cleanup", "XCLIENT", "a client on this host", "another MTA"],
)
def test_local_mail(monkeypatch: pytest.MonkeyPatch, name: str, address: Any, queue_id: str, local: bool) -> None:
    """Only cleanup(8) has a queue id at MAIL; XCLIENT can forge all else."""
    judged = seen(monkeypatch)
    front = Front(FakePolicies([closed_recipient()]), greet=False)
    front.connect(name, address)
    front.helo()
    front.mail(macros={"i": queue_id})
    answer = front.rcpt("carol@example.net")
    assert (CONTINUE if local else REJECT) == answer
    front.rcpt()
    front.end_of_message()
    assert local is judged[0].connection.local


def test_gate() -> None:
    """End of message is TEMPFAIL without MAIL, without a recipient, and after it was answered once."""
    front = Front(FakePolicies())
    assert TEMPFAIL == front.end_of_message()
    assert TEMPORARY in front.context.reply
    front.mail()
    assert TEMPFAIL == front.end_of_message()
    front.envelope()
    assert CONTINUE == front.end_of_message()
    assert TEMPFAIL == front.end_of_message()
    assert 3 == front.tally.counts["gate"]


def test_no_policy_was_ever_loaded() -> None:
    """Then everything waits, at end of message."""
    front = Front(None)
    assert CONTINUE == front.mail()
    front.rcpt()
    assert TEMPFAIL == front.end_of_message()
    assert TEMPORARY in front.context.reply
    assert ["no policy was ever loaded"] == [line["fault"] for line in front.lines()]


def test_a_message_keeps_its_generation() -> None:
    """A set that comes into force after MAIL is for the next message."""
    front = Front(FakePolicies([], number=1))
    front.envelope()
    front.live.current = FakePolicies([rejecting()], number=2)  # type: ignore[assignment]
    assert CONTINUE == front.end_of_message()
    front.envelope()
    assert REJECT == front.end_of_message()
    assert [1, 2] == sorted(line["generation"] for line in front.lines())


def test_nothing_stays_of_a_message() -> None:
    """MAIL, abort and end of message forget recipients, headers and faults."""
    front = Front(FakePolicies([closed_recipient()]))
    front.envelope(["x@example.net"])
    front.event("abort")
    assert (1, 0) == front.numbers
    front.envelope(["y@example.net"])
    front.mail()
    assert ([], []) == (front.session.recipients, front.session.headers)
    assert (1, 1) == front.numbers
    front.event("close")
    assert (0, 0) == front.numbers
    assert ["aborted"] == [line["disposition"] for line in front.lines()]


def test_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judgement that took too long is not given: Postfix may have gone."""
    front = Front(FakePolicies([rejecting()]), deadline=8.0)
    front.envelope()
    clock = iter([100.0, 109.0])
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(clock, 109.0))
    assert TEMPFAIL == front.end_of_message()
    assert 1 == front.tally.counts["deadline"]
    assert TEMPORARY in front.context.reply


def test_per_recipient_rule() -> None:
    """It refuses that recipient alone, with a decision line; the message goes to the others."""
    front = Front(FakePolicies([closed_recipient()]))
    front.mail()
    assert REJECT == front.rcpt("carol@example.net")
    assert "550 5.7.1 closed" == front.context.reply
    assert CONTINUE == front.rcpt("bob@example.net")
    front.header()
    assert CONTINUE == front.end_of_message()
    lines = front.lines()
    assert [("rcpt", "reject", "carol@example.net"), ("eom", "accept", None)] == [
        (line["stage"], line["disposition"], line.get("rcpt")) for line in lines
    ]
    assert 1 == lines[1]["rcpt_count"]


def test_negotiation_asks_for_what_is_needed() -> None:
    """Silence wherever nothing is answered; RCPT is answered only where a rule is judged there."""
    quiet = QUIET_CONNECT | QUIET_HELO | QUIET_HEADER
    plain = Front(FakePolicies())
    assert quiet | QUIET_RCPT | NO_BODY == plain.options[1] & (quiet | QUIET_RCPT | NO_BODY | QUIET_BODY)
    assert (NOREPLY, CONTINUE, NOREPLY, NOREPLY) == (plain.helo(), plain.mail(), plain.rcpt(), plain.header())
    judged = Front(FakePolicies([closed_recipient()]))
    assert not judged.options[1] & QUIET_RCPT
    judged.mail()
    assert CONTINUE == judged.rcpt()
    assert judged.context.getpriv() is not None


def test_an_mta_that_offers_no_silence_is_answered() -> None:
    """Postfix with milter_protocol = 2 gets a reply to every event, and sends us the body."""
    front = Front(FakePolicies([labelling()]), offered=0x7F & ~NO_BODY)
    assert [CONTINUE] * 4 == [front.helo(), front.mail(), front.rcpt(), front.header()]
    assert CONTINUE == front.event("body", b"x" * 100)
    assert CONTINUE == front.end_of_message()


@pytest.mark.parametrize("need", ["per_recipient", "body"])
def test_a_generation_that_needs_more_than_was_negotiated(need: str) -> None:
    """421 at MAIL makes the client reconnect; a verdict without the field never happens."""
    front = Front(FakePolicies())
    newer = FakePolicies([closed_recipient()] if need == "per_recipient" else [])
    newer.reads_body = need == "body"
    front.live.current = newer  # type: ignore[assignment]
    assert TEMPFAIL == front.mail()
    assert "421 4.3.2 Policy changed, please reconnect" == front.context.reply
    assert (1, 0) == front.numbers
    assert TEMPFAIL == front.end_of_message()
    assert 1 == front.tally.counts["negotiation"]
    again = Front(newer)
    assert CONTINUE == again.mail()


def test_drain() -> None:
    """The message in hand gets its verdict, the next MAIL 421, with a line each."""
    front = Front(FakePolicies([rejecting()]))
    front.envelope()
    front.desk.draining = True
    assert REJECT == front.end_of_message()
    assert TEMPFAIL == front.mail()
    assert "421 4.3.2 Service restarting, please reconnect" == front.context.reply
    assert ["reject", "reconnect"] == [line["disposition"] for line in front.lines()]
    assert (1, 0) == front.numbers


@pytest.mark.parametrize("cap", ["headers", "bytes"])
def test_header_caps(monkeypatch: pytest.MonkeyPatch, cap: str) -> None:
    """Over a cap headers are not kept, and the message says that it is not complete."""
    monkeypatch.setattr(callbacks, "MAX_HEADERS" if cap == "headers" else "MAX_HEADER_BYTES", 10)
    judged = seen(monkeypatch)
    front = Front(FakePolicies())
    front.mail()
    front.rcpt()
    for number in range(20):
        front.header("X", b"" if cap == "headers" else b"%d" % number)
    assert CONTINUE == front.end_of_message()
    message = judged[0].message
    assert message is not None
    assert (False, True) == (message.complete, len(message.headers) <= 10)


def test_recipient_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the cap the recipients are in doubt that lasts: the rules say what becomes of that, not a retry."""
    monkeypatch.setattr(callbacks, "MAX_RECIPIENTS", 3)
    judged = seen(monkeypatch)
    front = Front(FakePolicies())
    front.envelope([f"u{number}@example.net" for number in range(9)])
    assert CONTINUE == front.end_of_message()
    assert (3, ["rcpt"]) == (
        len(judged[0].envelope.recipients),
        [field for field, _ in judged[0].envelope.unreadable],
    )


@pytest.mark.parametrize(
    "edit", [Redirect("d@example.net"), RemoveRecipient("u8@example.net")], ids=["redirect", "remove"]
)
@pytest.mark.parametrize("why", ["too many", "not UTF-8"])
def test_recipients_that_an_edit_would_miss(monkeypatch: pytest.MonkeyPatch, why: str, edit: Edit) -> None:
    """Who can't be read can't be removed: the message is held as it is, and nobody gets what he should not."""
    monkeypatch.setattr(callbacks, "MAX_RECIPIENTS", 3)
    front = Front(FakePolicies([Rule("r", Always(), Actions(edits=(edit,)))]))
    front.mail()
    for number in range(9 if why == "too many" else 2):
        front.rcpt(f"u{number}@example.net")
    if why == "not UTF-8":
        front.context.macros["{rcpt_addr}"] = Unreadable()
        front.event("envrcpt", b"<u\xe9@example.net>")
    assert CONTINUE == front.end_of_message()
    assert [("quarantine",)] == [call[:1] for call in front.context.calls]
    assert "can't be read" in front.context.calls[0][1]
    assert ["hold"] == [line["disposition"] for line in front.lines()]


def test_who_is_added_needs_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is made whoever else gets the message."""
    monkeypatch.setattr(callbacks, "MAX_RECIPIENTS", 3)
    front = Front(FakePolicies([Rule("r", Always(), Actions(edits=(Bcc("d@example.net"),)))]))
    front.envelope([f"u{number}@example.net" for number in range(9)])
    assert CONTINUE == front.end_of_message()
    assert ["addrcpt"] == [call[0] for call in front.context.calls]


@pytest.mark.parametrize("call", ["addheader", "quarantine", "setreply"])
def test_a_call_that_libmilter_refuses(call: str) -> None:
    """Postfix drops the edits with the message: 451, and the line says fault, not accept."""
    rule = {"addheader": labelling(), "quarantine": holding(), "setreply": rejecting()}[call]
    front = Front(FakePolicies([rule]))
    front.context.refuse[call] = milter.error("refused")
    front.envelope()
    assert TEMPFAIL == front.end_of_message()
    assert ["fault"] == [line["disposition"] for line in front.lines()]
    assert 0 == front.tally.counts["accept"] + front.tally.counts["hold"] + front.tally.counts["reject"]
    front.context.refuse.clear()
    front.envelope()
    assert TEMPFAIL != front.end_of_message()


def test_too_many_edits_are_a_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Postfix loses the session over them; a person has to look."""
    monkeypatch.setattr("tidegate.front.answer.MAX_OPERATIONS", 0)
    front = Front(FakePolicies([labelling()]))
    front.envelope()
    assert CONTINUE == front.end_of_message()
    assert ["quarantine"] == [call[0] for call in front.context.calls]
    assert ["hold"] == [line["disposition"] for line in front.lines()]


@pytest.mark.parametrize(
    ("rule", "held"),
    [
        (Rule("hide", Always(), Actions(edits=(RemoveHeader("X-Secret"),))), True),
        (Rule("set", Always(), Actions(edits=(SetHeader("X-Secret", (Template("no"),)),))), True),
        (labelling(), False),
    ],
    ids=["remove", "set", "add"],
)
def test_headers_beyond_the_cap_are_not_left_behind(monkeypatch: pytest.MonkeyPatch, rule: Rule, held: bool) -> None:
    """Who can't see all headers of a name can't remove them: a person has to look at such a message."""
    monkeypatch.setattr(callbacks, "MAX_HEADERS", 2)
    front = Front(FakePolicies([rule]))
    front.envelope()
    for _ in range(3):
        front.header("X-Secret", b"yes")
    assert CONTINUE == front.end_of_message()
    assert held == (["quarantine"] == [call[0] for call in front.context.calls])
    assert ["hold" if held else "accept"] == [line["disposition"] for line in front.lines()]


def test_a_refused_recipient_is_no_message() -> None:
    """Verdicts are counted for each message, refusals at RCPT for each recipient; their rules are counted in both."""
    front = Front(FakePolicies([closed_recipient()]))
    front.envelope(["carol@example.net", "bob@example.net"])
    assert CONTINUE == front.end_of_message()
    counts = front.tally.counts
    assert (1, 0, 1, 1) == (counts["accept"], counts["reject"], counts["recipients_refused"], counts["rule closed"])


def test_the_clients_own_time_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes a minute for its message is slow, not we; what is timed is our answer to the end of it."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    front = Front(FakePolicies())
    front.envelope()
    clock[0] += 60

    def judge(*_: object, **_how: object) -> Verdict:
        clock[0] += 0.25
        return Verdict(Disposition.ACCEPT)

    monkeypatch.setattr(judging, "judge", judge)
    timed: list[float] = []
    monkeypatch.setattr(front.tally, "seconds", timed.append)
    assert CONTINUE == front.end_of_message()
    assert [0.25] == timed
    assert [60250.0] == [line["ms"] for line in front.lines()]


@pytest.mark.parametrize(("size", "written"), [(1000, 0), (100_000, 1)], ids=["small", "large"])
@pytest.mark.parametrize("end", ["end_of_message", "abort"])
def test_the_line_of_a_large_message_does_not_wait(size: int, written: int, end: str) -> None:
    """Lines of accepted mail are written together, and hold their messages until then: memory has to stay bounded."""
    front = Front(FakePolicies())
    front.envelope()
    front.header("X-Long", b"x" * size)
    front.end_of_message() if end == "end_of_message" else front.event("abort")
    assert written == len(front.log.texts)
    assert 1 == len(front.lines())


def test_a_verdict_of_mixed_classes_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 5xx never goes out as a deferral, nor the other way round."""
    wrong = Verdict(Disposition.REJECT, None)
    monkeypatch.setattr(judging, "judge", lambda *_: wrong)
    front = Front(FakePolicies())
    front.envelope()
    assert TEMPFAIL == front.end_of_message()
    assert TEMPORARY in front.context.reply


def test_a_shadow_rule_changes_nothing() -> None:
    """It is in the line as `would`."""
    rule = rejecting()
    shadow = Rule(rule.id, rule.when, rule.do, mode=Mode.SHADOW)
    front = Front(FakePolicies([shadow]))
    front.envelope()
    assert CONTINUE == front.end_of_message()
    (line,) = front.lines()
    assert ("reject", ["stop: reject"]) == (line["would"], line["would_rules"])


def test_bodies_count_where_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the size is what came, whatever SIZE= said."""
    judged = seen(monkeypatch)
    policies = FakePolicies()
    policies.reads_body = True
    front = Front(policies)
    front.mail("alice@example.com", b"SIZE=99999999999999999999999")
    front.rcpt()
    front.event("body", b"x" * 100)
    front.end_of_message()
    assert judged[0].message is not None
    assert 100 == judged[0].message.size


@pytest.mark.parametrize("address", [None, "/run/client", ("2001:db8::1", 4711, 0, 0), ("IPv6:2001:db8::1", 1)])
def test_client_addresses(address: Any) -> None:
    """Whatever family pymilter tells of."""
    front = Front(FakePolicies(), greet=False)
    front.connect("client.example.com", address)
    assert {None: "", "/run/client": "/run/client"}.get(address, "2001:db8::1") == front.session.client_ip


def test_references_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over processes and within a second: ten letters and digits that can be read out."""
    front = Front(FakePolicies())
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    found = [front.desk.reference() for _ in range(4096)]
    assert (4096, {10}) == (len(set(found)), {len(one) for one in found})
    assert all(set(one) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for one in found)


def test_session_has_no_dictionary() -> None:
    """A session is a bounded thing."""
    assert not hasattr(session.Session(), "__dict__")
