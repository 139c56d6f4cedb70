"""libmilter's events. Each handler gathers and goes on; end of message asks the engine and answers.

Promises: one guard around every handler: whatever is raised is recorded and becomes one 451 at end of message. Only
codes that libmilter knows are returned. Without a positive verdict for this very message the answer is TEMPFAIL.
What was negotiated holds for the connection: a generation that needs more is answered 421 at MAIL.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

import milter
from tidegate.engine.judge import judge, judge_recipient
from tidegate.front.answer import fault, give, refuse_recipient
from tidegate.front.desk import Desk
from tidegate.front.session import MAX_HEADER_BYTES, MAX_HEADERS, MAX_RECIPIENTS, Session, macro, text_of
from tidegate.model import Connection, Disposition, Recipient
from tidegate.observe.counters import ErrorKind, Event
from tidegate.observe.decision import Decision

# libmilter/mfdef.h, SMFIP_*: pymilter has most of them, under names that changed between releases.
NO_BODY, NO_UNKNOWN, NO_DATA, NO_EOH = 0x10, 0x100, 0x200, 0x40
QUIET_HEADER, QUIET_CONNECT, QUIET_HELO, QUIET_RCPT, QUIET_BODY = 0x80, 0x1000, 0x2000, 0x8000, 0x80000
# SMFIF_*: what we may do. Never the body.
ACTIONS = 0x01 | 0x04 | 0x08 | 0x10 | 0x20 | 0x40 | 0x80

CONTINUE, TEMPFAIL, NOREPLY = 0, 4, 7
_CODES = frozenset({0, 1, 2, 3, 4, NOREPLY})
_log = structlog.get_logger()


class _Worker:
    """The one desk of this process; libmilter's callbacks are plain functions."""

    desk: Desk


def install(desk: Desk) -> None:
    """Give this process its desk. Before `run`."""
    _Worker.desk = desk
    desk.start_flushing()


def run(_desk: Desk) -> None:
    """libmilter's main(); returns only if libmilter ends."""
    milter.main()


def register() -> None:
    """Tell libmilter which function serves which event. In the supervisor, before the socket is opened."""
    milter.set_exception_policy(milter.TEMPFAIL)
    milter.set_connect_callback(_guarded("connect", _connect, QUIET_CONNECT))
    milter.set_helo_callback(_guarded("helo", _helo, QUIET_HELO))
    milter.set_envfrom_callback(_guarded("mail", _mail, 0))
    milter.set_envrcpt_callback(_guarded("rcpt", _rcpt, QUIET_RCPT))
    milter.set_header_callback(_guarded("header", _header, QUIET_HEADER))
    milter.set_body_callback(_guarded("body", _body, QUIET_BODY))
    milter.set_eom_callback(_guarded("eom", _eom, 0))
    milter.set_abort_callback(_guarded("abort", _abort, 0))
    milter.set_close_callback(_guarded("close", _close, 0))
    milter.register("tidegate", negotiate=_negotiate)


def _guarded(name: str, handler: Callable[..., int], quiet: int) -> Callable[..., int]:
    """The guard. A handler's fault is kept for end of message; at end of message it is answered at once."""

    def callback(ctx: Any, *arguments: Any) -> int:
        session = ctx.getpriv()
        try:
            if session is None:
                session = Session()
                ctx.setpriv(session)
            code = handler(ctx, session, *arguments)
            if type(code) is int and code in _CODES:
                return NOREPLY if code == CONTINUE and session.quiet & quiet else code
            _record(session, name, TypeError(f"return value {code!r}"))
        except BaseException as error:  # noqa: BLE001 - the front's boundary: nothing may pass it
            _record(session, name, error)
        return _answer_fault(ctx, session, name, quiet)

    return callback


def _record(session: Session | None, name: str, error: BaseException) -> None:
    """Note a fault without ever raising one."""
    try:
        if session is not None:
            why = f"{type(error).__name__} in {name}"
            session.fault = session.fault or why
            if name in ("connect", "helo"):
                session.lasting_fault = why
        _Worker.desk.tally.error(ErrorKind.EXCEPTION)
        _log.error("fault", stage=name, error=type(error).__name__, exc_info=error)
    except BaseException:  # noqa: BLE001 - memory or stack is gone; the answer is TEMPFAIL all the same
        return


def _answer_fault(ctx: Any, session: Session | None, name: str, quiet: int) -> int:
    if name != "eom":
        return NOREPLY if session is not None and session.quiet & quiet else CONTINUE
    try:
        if session is not None:
            reason, reference = session.fault, session.reference
            code = fault(ctx, _Worker.desk, session, ErrorKind.GATE, reason)
            _leave(session)
            return code if reference or code else TEMPFAIL
    except BaseException:  # noqa: BLE001 - even the answer failed: libmilter's own 451
        pass
    return TEMPFAIL


def _negotiate(ctx: Any, options: list[int]) -> int:
    """Ask for what the generation in force needs; remember what this connection got."""
    try:
        session = Session()
        ctx.setpriv(session)
        policies = _Worker.desk.live.current
        wants_body = policies is not None and policies.reads_body
        wants_rcpt = policies is not None and bool(policies.per_recipient)
        offered = options[1]
        steps = NO_UNKNOWN | NO_DATA | NO_EOH | QUIET_HEADER | QUIET_CONNECT | QUIET_HELO
        steps |= QUIET_BODY if wants_body else NO_BODY
        steps |= 0 if wants_rcpt else QUIET_RCPT
        options[0] &= ACTIONS
        options[1] = offered & steps
        options[2] = options[3] = 0
        session.quiet = options[1]
        session.reads_body = wants_body or not options[1] & NO_BODY
        session.answers_rcpt = wants_rcpt or not options[1] & QUIET_RCPT
        session.negotiated = True
    except BaseException as error:  # noqa: BLE001 - as in the guard
        _record(None, "negotiate", error)
        return TEMPFAIL
    return CONTINUE


def _connect(ctx: Any, session: Session, name: str, family: int, address: Any) -> int:
    desk = _Worker.desk
    if not session.open:
        session.open = True
        desk.sessions += 1
        desk.tally.event(Event.CONNECTIONS)
    daemon, readable = macro(ctx, "{daemon_name}")
    client, port = _client(address)
    # Mail from sendmail(1) comes from cleanup(8), which calls itself localhost and has no port (cleanup_milter.c).
    local = name == "localhost" and client == "127.0.0.1" and port == 0
    session.connection = Connection(
        client_ip=client,
        client_name=name or "",
        daemon_name=daemon,
        local=local,
        unreadable=() if readable else (("daemon.name", "not UTF-8"),),
    )
    return CONTINUE


def _client(address: Any) -> tuple[str, int]:
    """(address, port) of whatever pymilter hands over: a tuple for IP, a text or None for the rest."""
    if isinstance(address, tuple) and address:
        return str(address[0]).removeprefix("IPv6:"), int(address[1]) if len(address) > 1 else 0
    return (str(address), 0) if address else ("", 0)


def _helo(ctx: Any, session: Session, name: str) -> int:
    session.helo = name
    return CONTINUE


def _mail(ctx: Any, session: Session, sender: bytes, *parameters: bytes) -> int:
    desk = _Worker.desk
    _leave(session)
    policies = desk.live.current
    session.begin(policies, desk.reference())
    if policies is not None and (
        (policies.per_recipient and not session.answers_rcpt) or (policies.reads_body and not session.reads_body)
    ):
        desk.tally.error(ErrorKind.NEGOTIATION)
        return _reconnect(ctx, session, "Policy changed, please reconnect")
    if desk.draining:
        return _reconnect(ctx, session, "Service restarting, please reconnect")
    desk.messages += 1
    desk.tally.event(Event.MESSAGES)
    session.fault = session.lasting_fault
    _identify(ctx, session)
    address, readable = macro(ctx, "{mail_addr}")
    given, decodable = text_of(sender)
    session.sender = address or given.strip("<>")
    if not readable or (not address and not decodable):
        session.unreadable.append(("sender.address", "not UTF-8"))
    for parameter in parameters:
        word, _, value = text_of(parameter)[0].partition("=")
        if word.upper() == "SIZE" and value.isdigit():
            session.size = int(value[:15])
    return CONTINUE


def _identify(ctx: Any, session: Session) -> None:
    """Login and TLS. {auth_authen} counts only with {auth_type}: an admin can fake the first by a default."""
    login, readable = macro(ctx, "{auth_authen}")
    method, _ = macro(ctx, "{auth_type}")
    if method and not readable:
        session.unreadable.append(("login", "not UTF-8"))
    if login and method:
        session.type = method
        session.login = login
    version, cipher = macro(ctx, "{tls_version}")[0], macro(ctx, "{cipher}")[0]
    known = session.connection or Connection()
    unreadable = known.unreadable
    if not session.helo and not any(name == "client.helo" for name, _ in unreadable):
        # pymilter never calls us for a HELO that isn't UTF-8; Postfix sends one before MAIL in any case.
        unreadable = (*unreadable, ("client.helo", "not seen, or not UTF-8"))
    if known.helo != session.helo or known.tls_version != version or known.tls_cipher != cipher:
        session.connection = Connection(
            known.client_ip,
            known.client_name,
            session.helo,
            known.daemon_name,
            version,
            cipher,
            known.local,
            unreadable,
        )


def _reconnect(ctx: Any, session: Session, text: str) -> int:
    """421: Postfix closes the SMTP connection, and the client comes back to a worker that can serve it."""
    session.in_message = False
    reply = f"421 4.3.2 {text}"
    transaction = session.transaction("", with_message=False)
    _Worker.desk.decide(Decision("mail", transaction, None, reply, time.time(), 0.0, "reconnect"), at_once=True)
    ctx.setreply("421", "4.3.2", text)
    return TEMPFAIL


def _rcpt(ctx: Any, session: Session, recipient: bytes, *_parameters: bytes) -> int:
    address, readable = macro(ctx, "{rcpt_addr}")
    given, decodable = text_of(recipient)
    if not readable or (not address and not decodable):
        session.unreadable.append(("rcpt", "a recipient that is not UTF-8"))
    one = Recipient(address or given.strip("<>"), given)
    if len(session.recipients) >= MAX_RECIPIENTS:
        session.complete = False
        session.fault = session.fault or "too many recipients"
        return CONTINUE
    policies = session.policies
    local = session.connection is not None and session.connection.local
    if session.answers_rcpt and policies is not None and policies.per_recipient and not local and session.in_message:
        transaction = session.transaction("", with_message=False)
        verdict = judge_recipient(transaction, one, policies, time.time())
        if verdict is not None and verdict.disposition in (Disposition.REJECT, Disposition.DEFER):
            session.refused += 1
            return refuse_recipient(ctx, _Worker.desk, session, verdict, one.address)
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
    return CONTINUE


def _eom(ctx: Any, session: Session) -> int:
    desk = _Worker.desk
    queue_id, _ = macro(ctx, "i")
    if session.fault or not session.in_message or not session.recipients:
        why = session.fault or "end of message without MAIL and RCPT"
        return _finish(session, fault(ctx, desk, session, ErrorKind.GATE, why, queue_id))
    policies = session.policies
    if policies is None:
        return _finish(session, fault(ctx, desk, session, ErrorKind.NO_POLICY, "no policy was ever loaded", queue_id))
    transaction = session.transaction(queue_id)
    began = time.monotonic()
    verdict = judge(transaction, policies, time.time())
    if time.monotonic() - began > desk.deadline:
        return _finish(session, fault(ctx, desk, session, ErrorKind.DEADLINE, "deadline exceeded", queue_id))
    return _finish(session, give(ctx, desk, session, verdict, transaction))


def _finish(session: Session, code: int) -> int:
    _leave(session)
    return code


def _leave(session: Session) -> None:
    """The message is over, one way or the other."""
    if session.in_message:
        session.in_message = False
        _Worker.desk.messages -= 1
    session.clear()


def _abort(_ctx: Any, session: Session) -> int:
    """RSET, a new HELO, a lost client: Postfix sends it also where no message was begun."""
    if session.in_message:
        desk = _Worker.desk
        desk.tally.event(Event.ABORTED)
        spent = (time.monotonic() - session.started) * 1000
        transaction = session.transaction("")
        desk.decide(Decision("abort", transaction, None, "", time.time(), spent, "aborted"), at_once=False)
    _leave(session)
    return CONTINUE


def _close(ctx: Any, session: Session) -> int:
    _leave(session)
    if session.open:
        session.open = False
        _Worker.desk.sessions -= 1
        _Worker.desk.tally.event(Event.DISCONNECTIONS)
    ctx.setpriv(None)
    return CONTINUE
