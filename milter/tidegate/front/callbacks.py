"""libmilter's events. Each handler gathers and goes on; end of message asks the engine and answers.

Promises: every handler runs inside the one guard (front/guard.py). Without a positive verdict for this very message the
answer is TEMPFAIL. What was negotiated holds for the connection: a generation that needs more is answered 421 at MAIL.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import milter
from tidegate.front.answer import CONTINUE, DISCARD, REJECT, TEMPFAIL, fault, give, reconnect, refuse_recipient
from tidegate.front.braking import counted
from tidegate.front.desk import Desk, Worker
from tidegate.front.guard import guarded, record
from tidegate.front.judging import BarredError, dangerous, judged, judged_recipient
from tidegate.front.recorder import keep, keep_refused
from tidegate.front.released import readmitted
from tidegate.front.session import MAX_HEADER_BYTES, MAX_HEADERS, MAX_RECIPIENTS, Session, macro, text_of
from tidegate.model import NO_RESTRAINT, Connection, Disposition, PolicySet, Recipient, Verdict
from tidegate.observe.counters import ErrorKind, Event
from tidegate.observe.decision import Decision

# libmilter/mfdef.h, SMFIP_*: pymilter has most of them, under names that changed between releases.
NO_BODY, NO_UNKNOWN, NO_DATA, NO_EOH = 0x10, 0x100, 0x200, 0x40
QUIET_HEADER, QUIET_CONNECT, QUIET_HELO, QUIET_RCPT, QUIET_BODY = 0x80, 0x1000, 0x2000, 0x8000, 0x80000
# SMFIF_*: headers, recipients (with parameters), quarantine, sender. Never the body.
ACTIONS = 0x01 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80

_OWN = Verdict(Disposition.ACCEPT, reason="a notification of our own")
_NOT_UTF8 = "not UTF-8"


@dataclass(frozen=True, slots=True)
class Step:
    """One event: who handles it, the protocol step that makes it silent, and what may be answered to it."""

    handler: Callable[..., int]
    quiet: int = 0
    allowed: frozenset[int] = frozenset({CONTINUE})


def install(desk: Desk) -> None:
    """Give this process its desk. Before `run`."""
    Worker.desk = desk
    desk.start_flushing()
    desk.exposure.start()
    if desk.suspending is not None:
        desk.suspending.start()
    if desk.recorder is not None:
        desk.recorder.start()


def run() -> None:
    """libmilter's main(); returns only if libmilter ends."""
    milter.main()


def callbacks() -> dict[str, Callable[..., int]]:
    """The guarded callbacks, by the names that pymilter has for them."""
    return {name: guarded(name, step.handler, step.quiet, step.allowed) for name, step in STEPS.items()}


def register() -> None:
    """Tell libmilter which function serves which event. In the supervisor, before the socket is opened."""
    # CONTINUE would deliver unchecked where a call at end of message fails before our code.
    milter.set_exception_policy(milter.TEMPFAIL)
    for name, callback in callbacks().items():
        getattr(milter, f"set_{name}_callback")(callback)
    milter.register("tidegate", negotiate=negotiate)


def negotiate(ctx: Any, options: list[int]) -> int:
    """Ask for what the generation in force, and a canary, need; remember what this connection got.

    An MTA that offers less (Postfix with milter_protocol = 2) gets an answer to everything. What a later generation
    needs beyond this can't be asked for again: `_mail` compares, and makes the client reconnect.
    """
    try:
        desk = Worker.desk
        session = Session()
        ctx.setpriv(session)
        policies = desk.live.current
        wants_body = policies is not None and policies.reads_body
        wants_rcpt = policies is not None and bool(policies.per_recipient)
        canary = desk.live.canary
        if canary is not None:
            wants_body = wants_body or canary.generation.reads_body
            wants_rcpt = wants_rcpt or bool(canary.generation.per_recipient)
        steps = NO_UNKNOWN | NO_DATA | NO_EOH | QUIET_HEADER | QUIET_CONNECT | QUIET_HELO
        steps |= QUIET_BODY if wants_body else NO_BODY
        steps |= 0 if wants_rcpt else QUIET_RCPT
        options[0] &= ACTIONS
        options[1] &= steps
        options[2] = options[3] = 0
        session.quiet = options[1]
        session.reads_body = not options[1] & NO_BODY
        session.answers_rcpt = not options[1] & QUIET_RCPT
        desk.opened(session)
    except BaseException as error:  # noqa: BLE001 - as in the guard: this connection ends, and Postfix says 451
        record(None, "negotiate", error)
        return TEMPFAIL
    return CONTINUE


def _connect(_ctx: Any, session: Session, name: str, _family: int, address: Any) -> int:
    session.seen_connect = True
    session.client_name = name or ""
    # A tuple for IP (with flow and scope for IPv6), a path or None for the rest.
    port = 0
    if isinstance(address, tuple):
        session.client_ip, port = str(address[0]).removeprefix("IPv6:"), int(address[1])
    elif address:
        session.client_ip = str(address)
    session.from_here = name == "localhost" and session.client_ip == "127.0.0.1" and port == 0
    return CONTINUE


def _helo(_ctx: Any, session: Session, name: str) -> int:
    session.helo = name
    session.connection = None  # made anew at MAIL: the TLS macros come with the EHLO after STARTTLS
    return CONTINUE


def _mail(ctx: Any, session: Session, sender: bytes, *parameters: bytes) -> int:
    desk = Worker.desk
    policies = desk.begun(session)
    _identify(ctx, session)
    address, readable = macro(ctx, "{mail_addr}")
    # The argument is bytes: where the macro can't be read (smtputf8_enable = no lets any byte pass) it still tells all
    # but the letters of a foreign charset, which are read as in a header.
    given = text_of(sender)[0].strip()
    session.sender = address or given.strip("<>")
    canary = desk.live.canary
    if canary is not None:
        policies = desk.divide(session, canary)
    if policies is not None and _needs_more(policies, session):
        desk.tally.error(ErrorKind.NEGOTIATION)
        return reconnect(ctx, desk, session, "Policy changed, please reconnect")
    if desk.draining and session.used:  # whoever came in at the last moment gets one answer
        return reconnect(ctx, desk, session, "Service restarting, please reconnect")
    session.used = True
    desk.tally.event(Event.MESSAGES)
    if not readable and "@" not in session.sender:
        session.doubt("sender.address", _NOT_UTF8)
    for parameter in parameters:
        if parameter[:5].upper() == b"SIZE=" and parameter[5:].isdigit():
            session.size = int(parameter[5:20])
    if session.unreadable or not readable:
        desk.tally.error(ErrorKind.UNREADABLE)
    return CONTINUE


def _needs_more(policies: PolicySet, session: Session) -> bool:
    """Does this generation need what the connection was not negotiated for?"""
    return bool(policies.per_recipient and not session.answers_rcpt) or (policies.reads_body and not session.reads_body)


def _identify(ctx: Any, session: Session) -> None:
    """Login and TLS. {auth_authen} counts only with {auth_type}: an admin can fake the first by a default."""
    login, readable = macro(ctx, "{auth_authen}")
    method, known = macro(ctx, "{auth_type}")
    if not known or (method and not readable):
        session.doubt("login", _NOT_UTF8)
        session.type = method  # nobody knows who, but somebody has logged in
    elif login and method:
        session.type = method
        session.login = login
    # Mail from sendmail(1) comes by cleanup(8) (cleanup_milter.c): a client without a port that calls itself localhost
    # and, what nobody with XCLIENT can bring about, a queue id before the first recipient.
    local = session.from_here and bool(macro(ctx, "i")[0])
    if session.connection is None or session.connection.local is not local:
        session.connection = _connection(ctx, session, local)


def _connection(ctx: Any, session: Session, local: bool) -> Connection:
    unreadable: list[tuple[str, str]] = []
    daemon, version, cipher = (
        _read(ctx, name, field, unreadable)
        for name, field in (
            ("{daemon_name}", "daemon.name"),
            ("{tls_version}", "tls.version"),
            ("{cipher}", "tls.cipher"),
        )
    )
    if not session.seen_connect:
        unreadable.append(("client", "the client's name or address is not UTF-8"))
    elif not session.helo:
        # pymilter never calls us for a HELO that isn't UTF-8, which looks like none.
        unreadable.append(("client.helo", "not seen, or not UTF-8"))
    return Connection(
        session.client_ip, session.client_name, session.helo, daemon, version, cipher, local, tuple(unreadable)
    )


def _read(ctx: Any, name: str, field: str, unreadable: list[tuple[str, str]]) -> str:
    value, readable = macro(ctx, name)
    if not readable:
        unreadable.append((field, _NOT_UTF8))
    return value


def _rcpt(ctx: Any, session: Session, recipient: bytes, *_parameters: bytes) -> int:
    address, readable = macro(ctx, "{rcpt_addr}")
    given, decodable = text_of(recipient)
    if not readable or (not address and not decodable):
        session.doubt("rcpt", "a recipient that is not UTF-8")
        Worker.desk.tally.error(ErrorKind.UNREADABLE)
    if len(session.recipients) >= MAX_RECIPIENTS:
        session.doubt("rcpt", f"more than {MAX_RECIPIENTS} recipients")
        return CONTINUE
    one = Recipient(address or given.strip().strip("<>"), given)
    policies = session.policies
    if policies is not None and policies.per_recipient and session.in_message and not session.local:
        transaction = session.transaction("", with_message=False)
        try:
            verdict = judged_recipient(Worker.desk, session, transaction, one, policies)
        except BarredError as barred:
            session.fault = session.fault or str(barred)
            verdict = None
        if verdict is not None and verdict.faults:
            Worker.desk.failed(verdict, session, "")
        if verdict is not None and verdict.disposition in (Disposition.REJECT, Disposition.DEFER):
            if Worker.desk.recorder is not None:
                session.refused = (*session.refused, (one, verdict))
            return refuse_recipient(ctx, Worker.desk, session, verdict, one.address)
    session.recipients.append(one)
    return CONTINUE


def _header(_ctx: Any, session: Session, name: str, value: bytes) -> int:
    headers = session.headers
    session.header_bytes += len(name) + len(value) + 4
    if len(headers) < MAX_HEADERS and session.header_bytes <= MAX_HEADER_BYTES:
        headers.append((name, value))
    else:
        session.complete = False
    return CONTINUE


def _body(_ctx: Any, session: Session, block: bytes) -> int:
    session.body_bytes += len(block)
    policies = session.policies
    if policies is not None and policies.limited:
        if session.body is None:
            session.body = blake2b(digest_size=16)
        session.body.update(block)
    return CONTINUE


def _eom(ctx: Any, session: Session) -> int:
    desk = Worker.desk
    queue_id, _ = macro(ctx, "i")
    policies = session.policies
    if session.fault or not session.in_message or not session.recipients:
        why = session.fault or "end of message without MAIL and RCPT"
        code = fault(ctx, desk, session, ErrorKind.GATE, why, queue_id)
    elif session.local and not session.sender and desk.own(session.headers, session.addresses()):
        # It may say that there is no policy: before that is asked.
        code = give(ctx, desk, session, _OWN, session.transaction(queue_id))
    elif policies is None:
        code = fault(ctx, desk, session, ErrorKind.NO_POLICY, "no policy was ever loaded", queue_id)
    else:
        began, now = time.monotonic(), time.time()
        transaction = readmitted(session, session.transaction(queue_id), desk.state, now)
        restraint = desk.live.restraint
        verdict: Verdict | None = None
        try:
            verdict = judged(desk, session, transaction, policies, began, now)
        except BarredError as barred:
            why = str(barred)
        if verdict is not None and verdict.faults:
            desk.failed(verdict, session, queue_id)
        if verdict is None:
            code = fault(ctx, desk, session, ErrorKind.POISON, why, queue_id)
        elif time.monotonic() - began > desk.deadline:
            code = fault(ctx, desk, session, ErrorKind.DEADLINE, "deadline exceeded", queue_id)
        else:
            code = give(ctx, desk, session, verdict, transaction)
            desk.suspend(verdict, session, now)
            counted(verdict, session, desk.crowds, now)
            if desk.recorder is not None:
                keep(desk.recorder, session, transaction, verdict, now)
            if policies.watched or restraint is not NO_RESTRAINT:
                if dangerous(desk, session):
                    desk.exposure.pass_over()
                else:
                    desk.exposure.note(transaction, policies, verdict.disposition, now, restraint)
        spent = time.monotonic() - began
        desk.tally.seconds(spent)
        if session.part is not None:
            session.part.took(spent)
    desk.left(session)
    return code


def _abort(_ctx: Any, session: Session) -> int:
    """RSET, a new HELO, a lost client: Postfix sends it also where no message was begun."""
    desk = Worker.desk
    if session.in_message:
        desk.tally.event(Event.ABORTED)
        transaction = session.transaction("")
        if desk.recorder is not None:
            keep_refused(desk.recorder, session)
        spent = session.milliseconds
        desk.decide(Decision("abort", transaction, None, "", time.time(), spent, "aborted"), at_once=False)
    desk.left(session)
    return CONTINUE


def _close(ctx: Any, session: Session) -> int:
    Worker.desk.closed(session)
    ctx.setpriv(None)
    return CONTINUE


STEPS: dict[str, Step] = {
    "connect": Step(_connect, QUIET_CONNECT),
    "helo": Step(_helo, QUIET_HELO),
    "envfrom": Step(_mail, 0, frozenset({CONTINUE, TEMPFAIL})),
    "envrcpt": Step(_rcpt, QUIET_RCPT, frozenset({CONTINUE, TEMPFAIL, REJECT})),
    "header": Step(_header, QUIET_HEADER),
    "body": Step(_body, QUIET_BODY),
    "eom": Step(_eom, 0, frozenset({CONTINUE, TEMPFAIL, REJECT, DISCARD})),
    "abort": Step(_abort),
    "close": Step(_close),
}
"""Every event that we take. There is no DATA, end of headers or unknown command: nothing is decided there."""
