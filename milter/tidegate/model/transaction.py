"""Connection, envelope, message: what the client said and what was accepted at RCPT, never our own edits.

Bytes stay bytes only in header values; everything else is text that front/ has already decoded. A field that was
there but could not be read is named in `unreadable` with the reason (DESIGN section 6: HELO, client name, macros that
aren't UTF-8 never reach their callback).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connection:
    """Facts that live across messages. Empty text: absent."""

    client_ip: str = ""
    client_name: str = ""
    helo: str = ""
    daemon_name: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    local: bool = False  # non-SMTP mail, from sendmail(1) through pickup
    unreadable: tuple[tuple[str, str], ...] = ()  # (field name, why)


@dataclass(frozen=True, slots=True)
class Recipient:
    """`address` is Postfix's normalised {rcpt_addr}; `given` the argument of RCPT as typed, for delrcpt."""

    address: str
    given: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Sender and recipients of one message. `sender` "" is the null sender; `login` "" is none."""

    sender: str = ""
    recipients: tuple[Recipient, ...] = ()
    login: str = ""
    auth_type: str = ""
    unreadable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """Headers in order, as Postfix shows them (its own Received is hidden): (name, raw value bytes)."""

    headers: tuple[tuple[str, bytes], ...] = ()
    size: int = 0  # bytes of headers and body as seen, or SIZE= of MAIL where the body is not read
    complete: bool = True  # False: a cap was reached, later headers are missing
    unreadable: tuple[tuple[str, str], ...] = ()
    body: str = ""  # a digest of it, where limits want one and it is read


@dataclass(frozen=True, slots=True)
class Transaction:
    """What rules see. `message` None: not yet known (a verdict at RCPT)."""

    connection: Connection
    envelope: Envelope
    message: Message | None = None
    queue_id: str = ""
    reference: str = ""  # {ref}
