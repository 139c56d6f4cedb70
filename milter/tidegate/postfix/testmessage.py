"""A test message through one service, as a client would send it, and Postfix's answer.

Promises: one message, plainly marked as a test (`Auto-Submitted`, RFC 3834), to one recipient; a refusal is an answer
like another. Refuses to guess a password, and to check certificates: it is ourselves.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from tidegate.postfix.instance import Instance, Service
from tidegate.postfix.probe import address_of

_PATIENCE = 60.0  # seconds for one reply
_QUEUED = re.compile(r"queued as ([A-Za-z0-9]+)")
_REFERENCE = re.compile(r"\(([0-9A-Z]{10})\)")


@dataclass(frozen=True, slots=True)
class TestMail:
    """Who sends what to whom; without a login it is sent as a program on this machine sends."""

    sender: str
    recipient: str
    login: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it at one service: the reply, and by what our log would know it (a queue id, a reference)."""

    service: str
    reply: str
    known_by: str = ""
    trouble: str = ""  # it got no answer to the message


def send_test(instance: Instance, service: Service, mail: TestMail) -> Sent:
    """Send it through this service."""
    where = address_of(instance, service)
    if where is None:
        return Sent(service.key, "", trouble="its port has no number on this machine")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    wrapped = instance.value(service, "smtpd_tls_wrappermode") == "yes"
    try:
        client = smtplib.SMTP_SSL(*where, timeout=_PATIENCE, context=context) if wrapped else _plain(where, context)
        with client:
            if mail.login:
                client.login(mail.login, mail.password)
            return _answer(service, client, mail)
    except (smtplib.SMTPException, OSError) as error:
        return Sent(service.key, "", trouble=str(error))
    except ValueError:  # smtplib; its own text may hold a piece of the password
        return Sent(service.key, "", trouble="an address, the login or the password can't be written in SMTP's ASCII")


def _plain(where: tuple[str, int], context: ssl.SSLContext) -> smtplib.SMTP:
    client = smtplib.SMTP(*where, timeout=_PATIENCE)
    client.ehlo_or_helo_if_needed()
    if client.has_extn("starttls"):
        client.starttls(context=context)
        client.ehlo()
    return client


def _answer(service: Service, client: smtplib.SMTP, mail: TestMail) -> Sent:
    answer = client.mail(mail.sender)
    if answer[0] < 400:
        answer = client.rcpt(mail.recipient)
    if answer[0] < 400:
        answer = client.data(_message(mail))
    reply = f"{answer[0]} {answer[1].decode('utf-8', 'replace')}"
    found = _QUEUED.search(reply) or _REFERENCE.search(reply)
    return Sent(service.key, reply.replace("\n", " "), found[1] if found else "")


def _message(mail: TestMail) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = mail.sender, mail.recipient
    message["Subject"] = "Test of the mail policy"
    message["Date"], message["Message-ID"] = formatdate(localtime=True), make_msgid(domain="tidegate.invalid")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("This message tests whether mail of this service is judged. Nothing has to be done.\n")
    return message.as_bytes()
