"""Which message is the same again: what a client writes once, and never what others add on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.builders.transactions import a_transaction
from tidegate.limits import identity
from tidegate.model import Transaction

HEADERS = (
    ("Message-ID", "<1@client.example.com>"),
    ("Date", "Fri, 15 Jan 2027 08:00:00 +0000"),
    ("From", "Alice <alice@example.com>"),
    ("Subject", "hello"),
)


def a_message(**changes: object) -> Transaction:
    """A message with an identity."""
    return a_transaction(**{"headers": HEADERS, **changes})  # type: ignore[arg-type]


def with_body(transaction: Transaction, digest: str) -> Transaction:
    """The same, where the body was read."""
    assert transaction.message is not None
    return replace(transaction, message=replace(transaction.message, body=digest))


@pytest.mark.parametrize(
    "again",
    [
        a_message(),
        a_message(rcpt=("bob@example.net", "bob@example.net")),
        a_message(headers=(("Received", "from a by b; now"), *HEADERS)),
        a_message(headers=(*HEADERS, ("DKIM-Signature", "t=1800000001"))),
        a_message(headers=(HEADERS[0], ("Date", "Fri, 15 Jan 2027 08:01:00 +0000"), *HEADERS[2:])),
        a_message(headers=tuple((name.lower(), f" {text} ") for name, text in HEADERS)),
        replace(a_message(), queue_id="another", reference="ANOTHER"),
        a_message(client="198.51.100.7", helo="another.example.com"),
    ],
    ids=[
        "as it was",
        "recipients",
        "a trace",
        "a signature",
        "Postfix's Date",
        "white space",
        "a queue id",
        "another network",
    ],
)
def test_a_retry_is_the_same(again: Transaction) -> None:
    """What differs between two attempts at one message makes no difference."""
    assert identity(a_message()) == identity(again) != ""


@pytest.mark.parametrize(
    "other",
    [
        a_message(login="carol@example.com"),
        a_message(sender="sales@example.com"),
        a_message(rcpt=("bob@example.net", "carol@example.net")),
        a_message(size=1001),
        a_message(headers=(*HEADERS[:3], ("Subject", "hello again"))),
        a_message(headers=(("Message-ID", "<2@client.example.com>"), *HEADERS[1:])),
        a_message(headers=(*HEADERS, ("Cc", "dora@example.net"))),
        with_body(a_message(), "d1"),
    ],
    ids=["login", "sender", "recipients", "size", "subject", "message id", "a header more", "a body"],
)
def test_another_message_is_another(other: Transaction) -> None:
    """Each part counts."""
    assert identity(a_message()) != identity(other) != ""


def test_without_a_login_the_client_counts() -> None:
    """Two clients that nobody knows are two."""
    first, second = (a_message(login="", client=client) for client in ("192.0.2.1", "192.0.2.2"))
    assert identity(first) != identity(second)


def test_a_login_is_never_taken_for_a_client() -> None:
    """One that is written like the address of a host."""
    assert identity(a_message(login="192.0.2.1")) != identity(a_message(login="", client="192.0.2.1"))


@pytest.mark.parametrize(
    "headers", [HEADERS[1:], (("Message-ID", "  "), *HEADERS[1:])], ids=["no message id", "an empty one"]
)
def test_no_identity(headers: tuple[tuple[str, str], ...]) -> None:
    """Whoever gives no Message-ID means each message, even where all of them are alike."""
    assert "" == identity(a_message(headers=headers))
    assert "" == identity(with_body(a_message(headers=headers), "d1"))
    assert "" == identity(a_message(message=False))
