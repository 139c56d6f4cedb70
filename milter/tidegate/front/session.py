"""What one connection has told us, and the message in hand. Facts of the connection and of the message live apart.

Nothing is decided here. A field whose macro or argument can't be read is named in `unreadable`: macros that aren't
UTF-8 raise before our code sees them, and a HELO or client name that isn't never reaches its callback.
"""

from __future__ import annotations

import time
from hashlib import blake2b
from typing import Any

from tidegate.live import Part, Pass
from tidegate.model import Connection, Envelope, Message, PolicySet, Recipient, Transaction, Verdict

MAX_HEADERS = 10_000
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_RECIPIENTS = 50_000


class Session:
    """One connection."""

    __slots__ = (
        "answers_rcpt",
        "body",
        "body_bytes",
        "client_ip",
        "client_name",
        "complete",
        "connection",
        "fault",
        "from_here",
        "header_bytes",
        "headers",
        "helo",
        "in_message",
        "lasting_fault",
        "login",
        "open",
        "part",
        "policies",
        "quiet",
        "reads_body",
        "recipients",
        "reference",
        "refused",
        "released",
        "seen_connect",
        "sender",
        "size",
        "started",
        "type",
        "unreadable",
        "used",
    )

    def __init__(self) -> None:
        self.quiet = 0  # protocol steps that want no reply
        self.answers_rcpt = False
        self.reads_body = False
        self.open = False  # counted as a session
        self.used = False  # there was a message on this connection
        self.seen_connect = False
        self.client_ip = self.client_name = self.helo = ""
        self.from_here = False  # the client calls itself localhost and has no port, as cleanup(8) does
        self.connection: Connection | None = None  # made of these at the first MAIL
        self.lasting_fault = ""  # for all messages of this connection
        self.clear()

    def clear(self) -> None:
        """Forget the message: at MAIL, abort, end of message and close."""
        self.in_message = False
        self.policies: PolicySet | None = None
        self.part: Part | None = None  # in a canary, where there is one
        self.sender = self.login = self.type = self.reference = self.fault = ""
        self.recipients: list[Recipient] = []
        self.refused: tuple[tuple[Recipient, Verdict], ...] = ()  # at RCPT
        self.headers: list[tuple[str, bytes]] = []
        self.header_bytes = self.body_bytes = self.size = 0
        self.complete = True
        self.released: Pass | None = None  # the message was held, and a person has let it go
        self.unreadable: list[tuple[str, str]] = []
        self.started = 0.0
        self.body: blake2b | None = None  # made of the body as it comes, where limits want to know it

    def begin(self, policies: PolicySet | None, reference: str) -> None:
        """A new message; it keeps this policy set to its end."""
        self.clear()
        self.in_message = True
        self.policies = policies
        self.reference = reference
        self.fault = self.lasting_fault
        self.started = time.monotonic()

    @property
    def local(self) -> bool:
        """Was this message handed over by cleanup(8), not by smtpd(8)?"""
        return self.connection is not None and self.connection.local

    def addresses(self) -> tuple[str, ...]:
        """The recipients' addresses."""
        return tuple(one.address for one in self.recipients)

    @property
    def milliseconds(self) -> float:
        """Since MAIL; 0 outside of a message."""
        return (time.monotonic() - self.started) * 1000 if self.started else 0.0

    def doubt(self, field: str, why: str) -> None:
        """Note once that `field` (or a family of fields) of this message can't be read."""
        if not any(name == field for name, _ in self.unreadable):
            self.unreadable.append((field, why))

    def transaction(self, queue_id: str, with_message: bool = True) -> Transaction:
        """Everything gathered, frozen."""
        message = None
        if with_message:
            seen = self.header_bytes + self.body_bytes
            size = seen if self.reads_body else max(self.size, seen)
            body = self.body.hexdigest() if self.body is not None else ""
            message = Message(tuple(self.headers), size, self.complete, body=body)
        envelope = Envelope(self.sender, tuple(self.recipients), self.login, self.type, tuple(self.unreadable))
        return Transaction(self.connection or Connection(), envelope, message, queue_id, self.reference)


def macro(ctx: Any, name: str) -> tuple[str, bool]:
    """(value, readable) of a macro; "" where Postfix sent none."""
    try:
        return ctx.getsymval(name) or "", True
    except UnicodeDecodeError:
        return "", False


def text_of(argument: bytes | str) -> tuple[str, bool]:
    """(text, readable) of a command's argument."""
    if isinstance(argument, str):
        return argument, True
    try:
        return argument.decode("utf-8"), True
    except UnicodeDecodeError:
        return argument.decode("latin-1"), False
