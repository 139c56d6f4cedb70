"""Putting a held message back in, by SMTP through a service on this machine that asks us and the signer.

Promises: all recipients or none, with the NOTIFY that each came with; what was accepted is accepted, what was not is
still held. Refuses: a service that does not ask us: nobody would judge the message, or sign it.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.postfix.checks import Ourselves, ours
from tidegate.postfix.held import HeldEnvelope, HeldRecipient
from tidegate.postfix.instance import Instance, Service
from tidegate.postfix.lists import MalformedError, parse_list
from tidegate.postfix.probe import address_of
from tidegate.postfix.relays import for_programs

_PATIENCE = 60.0  # seconds for one reply
_DOT_ATOM = re.compile(r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+(?:\.[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+)*")


class NotAcceptedError(Exception):
    """Postfix did not take it; the text is its reply."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """Where a message comes in again."""

    service: str
    host: str
    port: int


def entrance_of(instances: Iterable[Instance], us: Ourselves) -> Entrance | None:
    """The first service that asks us and relays for programs on this machine."""
    for instance in instances:
        for service in instance.services:
            found = address_of(instance, service) if _fits(instance, service, us) else None
            if found is not None:
                return Entrance(service.key, *found)
    return None


def _fits(instance: Instance, service: Service, us: Ourselves) -> bool:
    if service.kind != "inet" or instance.value(service, "smtpd_tls_wrappermode") == "yes":
        return False
    try:
        asks = bool(ours(instance, service, parse_list(instance.value(service, "smtpd_milters")), us))
    except MalformedError:
        return False
    return asks and for_programs(instance, service) and _lets_programs_in(instance, service)


def _lets_programs_in(instance: Instance, service: Service) -> bool:
    """Does nothing refuse a client on this machine before it has said a word? Submission does: it wants a login."""
    words = instance.value(service, "smtpd_client_restrictions").replace(",", " ").split()
    first = next((word for word in words if word in ("reject", "permit_mynetworks")), "")
    return first != "reject"


def send(entrance: Entrance, envelope: HeldEnvelope, message: bytes) -> str:
    """Hand it over; returns Postfix's reply, which names the new queue id. Raises NotAcceptedError."""
    try:
        client = smtplib.SMTP(entrance.host, entrance.port, timeout=_PATIENCE)
        try:
            client.ehlo_or_helo_if_needed()
            if client.has_extn("starttls"):
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is ourselves
                client.starttls(context=context)
                client.ehlo()
            return _transaction(client, envelope, message)
        finally:
            _leave(client)
    except (smtplib.SMTPException, OSError) as error:
        raise NotAcceptedError(str(error)) from error
    except ValueError as error:  # smtplib, over a line break or bytes that are no UTF-8
        raise NotAcceptedError("an address of its envelope can't be written in SMTP") from error


def _leave(client: smtplib.SMTP) -> None:
    """Whatever is said to QUIT, a message that was accepted is accepted."""
    try:
        client.quit()
    except (smtplib.SMTPException, OSError):
        client.close()


def _transaction(client: smtplib.SMTP, envelope: HeldEnvelope, message: bytes) -> str:
    options = ["BODY=8BITMIME"] if client.has_extn("8bitmime") else []
    people = [envelope.sender, *(one.address for one in envelope.recipients)]
    if not all(one.isascii() for one in people):
        options.append("SMTPUTF8")
        client.command_encoding = "utf-8"
    _expect(client.mail(_path(envelope.sender), options), 2)
    for recipient in envelope.recipients:
        _expect(client.rcpt(_path(recipient.address), _parameters(client, recipient)), 2)
    lines = message.replace(b"\r\n", b"\n").replace(
        b"\n", b"\r\n"
    )  # RFC 5321 section 2.3.8; smtplib leaves bytes alone
    return _expect(client.data(lines), 2)


def _path(address: str) -> str:
    """RFC 5321 section 4.1.2: an address as the queue has it, in angles, and its local part quoted where it has to be.

    smtplib would take `a,b@example.net` for a list, and send to `a`.
    """
    local, at, domain = address.rpartition("@")
    if not at or _DOT_ATOM.fullmatch(local):
        return f"<{address}>"
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'<"{escaped}"@{domain}>'


def _parameters(client: smtplib.SMTP, recipient: HeldRecipient) -> list[str]:
    if not client.has_extn("dsn"):
        return []
    found = [f"NOTIFY={','.join(recipient.notify)}"] if recipient.notify else []
    if recipient.original and recipient.original.isascii():
        found.append(f"ORCPT={_xtext(recipient.original)}")
    return found


def _xtext(text: str) -> str:
    """RFC 3461 section 4: printable ASCII, but `+` and `=` as `+2B` and `+3D`."""
    return "".join(one if "!" <= one <= "~" and one not in "+=" else f"+{ord(one):02X}" for one in text)


def _expect(answer: tuple[int, bytes], first: int) -> str:
    """The text of a reply of this class. Raises NotAcceptedError."""
    code, text = answer[0], answer[1].decode("utf-8", "replace").replace("\n", " ")
    if code // 100 != first:
        raise NotAcceptedError(f"{code} {text}")
    return f"{code} {text}"
