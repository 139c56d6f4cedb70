"""What is said to Postfix, over a real socket: a held message that comes in anew, and a test message."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.builders.mainconf import MakePostfix
from tests.builders.smtpend import SmtpEnd
from tidegate.postfix.held import HeldEnvelope, HeldRecipient
from tidegate.postfix.instance import Service, read_instance
from tidegate.postfix.reinjection import Entrance, NotAcceptedError, send
from tidegate.postfix.testmessage import TestMail as Mail
from tidegate.postfix.testmessage import send_test


@pytest.fixture
def end() -> Iterator[SmtpEnd]:
    with SmtpEnd() as end:
        yield end


PATHS = {
    "plain": ("bob.x+tag@example.net", "<bob.x+tag@example.net>"),
    "comma": ("a,b@example.net", '<"a,b"@example.net>'),
    "blank": ("first last@example.net", '<"first last"@example.net>'),
    "comment": ("a(b)@example.net", '<"a(b)"@example.net>'),
    "colon": ("a:b@example.net", '<"a:b"@example.net>'),
    "at": ("a@b@example.net", '<"a@b"@example.net>'),
    "quote": ('a"b\\c@example.net', '<"a\\"b\\\\c"@example.net>'),
    "dots": (".a..b@example.net", '<".a..b"@example.net>'),
    "no-domain": ("root", "<root>"),
    "null": ("", "<>"),
    "international": ("j\u00f6rg@example.net", "<j\u00f6rg@example.net>"),
}


@pytest.mark.parametrize("name", PATHS)
def test_it_goes_to_whom_it_was_for(name: str, end: SmtpEnd) -> None:
    """Sender and recipient are those of the queue, whatever stands in the local part (RFC 5321 section 4.1.2)."""
    address, path = PATHS[name]
    people = HeldEnvelope(address, (HeldRecipient(address or "bob@example.net", ("NEVER",)),))
    send(Entrance("x", "127.0.0.1", end.port), people, b"Subject: x\n\nhello\n")
    to = path if address else "<bob@example.net>"
    mail, rcpt = end.said("MAIL"), end.said("RCPT")
    assert (f"MAIL FROM:{path}", f"RCPT TO:{to} NOTIFY=NEVER") == (mail.partition(" BODY=")[0], rcpt)


@pytest.mark.parametrize("address", ["\udcff@example.net", "a\nb@example.net"], ids=["not-utf-8", "line-break"])
def test_an_address_that_cannot_be_written_keeps_it_held(address: str, end: SmtpEnd) -> None:
    """It is told, and the others go on."""
    people = HeldEnvelope("alice@example.com", (HeldRecipient(address),))
    with pytest.raises(NotAcceptedError, match="address"):
        send(Entrance("x", "127.0.0.1", end.port), people, b"Subject: x\n\nhello\n")
    assert "" == end.said("DATA")


def test_lines_end_as_smtp_has_them(end: SmtpEnd) -> None:
    """postcat prints bare line feeds, which Postfix may refuse (smtpd_forbid_bare_newline); no line is added."""
    people = HeldEnvelope("alice@example.com", (HeldRecipient("bob@example.net"),))
    send(Entrance("x", "127.0.0.1", end.port), people, b"Subject: x\n\n.hello\n\n")
    assert b"Subject: x\r\n\r\n..hello\r\n\r\n" == end.data


def test_what_was_accepted_is_accepted() -> None:
    """Whatever is said to QUIT: taken for refused it would be held still, and sent once more the next time."""
    with SmtpEnd(farewell=b"421 shutting down") as end:
        people = HeldEnvelope("alice@example.com", (HeldRecipient("bob@example.net"),))
        assert "250 ok" == send(Entrance("x", "127.0.0.1", end.port), people, b"Subject: x\n\nhello\n")


MAILS = {
    "recipient": Mail("alice@example.com", "j\u00f6rg@example.net"),
    "password": Mail("alice@example.com", "bob@example.net", "alice", "gr\u00fcn-secret"),
}


@pytest.mark.parametrize("name", MAILS)
def test_what_smtp_cannot_carry_is_told(name: str, end: SmtpEnd, make_postfix: MakePostfix) -> None:
    """In words that hold nothing of the password."""
    service = Service(f"127.0.0.1:{end.port}", "inet", "smtpd", False)
    sent = send_test(replace(read_instance(make_postfix()), services=(service,)), service, MAILS[name])
    assert ("", True) == (sent.reply, "ASCII" in sent.trouble)
    assert not set("\u00fc\u00f6") & set(sent.trouble)
