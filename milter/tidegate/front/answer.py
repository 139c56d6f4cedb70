"""Verdicts to what libmilter is told: the reply, the edits, and a return code of the same class.

Promises: code, enhanced code and return code are of one class; a fault of ours is one `451 4.3.0`; DISCARD only where a
verdict says so; ACCEPT never before end of message. The decision line says what libmilter was told, so it comes last.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import milter
from tidegate.engine.reply import temporary
from tidegate.front.braking import harm
from tidegate.front.desk import Desk
from tidegate.front.edits import execute, plan
from tidegate.front.session import Session
from tidegate.model import Changes, Disposition, Reply, Transaction, Truth, Verdict
from tidegate.observe.counters import ErrorKind, Event
from tidegate.observe.decision import Decision

CONTINUE, REJECT, DISCARD, ACCEPT, TEMPFAIL, NOREPLY = 0, 1, 2, 3, 4, 7  # mfapi.h, SMFIS_*

MAX_OPERATIONS = 1000
_FAULTS = 5  # that a decision line names
_NAMES = {disposition: disposition.name.lower() for disposition in Disposition}
_REFUSALS = {Disposition.REJECT: REJECT, Disposition.DEFER: TEMPFAIL}


def set_reply(ctx: Any, reply: Reply) -> None:
    """Hand `reply` to libmilter, which takes its text for a format: every % is doubled."""
    ctx.setreply(str(reply.code), reply.enhanced, reply.text.replace("%", "%%"))


def fault(ctx: Any, desk: Desk, session: Session, kind: ErrorKind, why: str, queue_id: str = "") -> int:
    """Our own deferral at end of message, counted and logged before it is given.

    Where libmilter refuses even its text the answer is TEMPFAIL alone, and the text is Postfix's own.
    """
    reply = temporary(session.reference or desk.reference())
    try:
        set_reply(ctx, reply)
    except milter.error:
        desk.tally.error(ErrorKind.ANSWER)
    desk.tally.error(kind)
    if session.part is not None:
        session.part.failed(())
    _log(desk, session, "eom", session.transaction(queue_id), None, reply, "fault", fault=why)
    return TEMPFAIL


def reconnect(ctx: Any, desk: Desk, session: Session, text: str) -> int:
    """421 at MAIL: Postfix closes the SMTP connection, and the client comes back to a worker that can serve it."""
    reply = Reply(421, "4.3.2", text)
    transaction = session.transaction("", with_message=False)
    desk.left(session)
    set_reply(ctx, reply)
    _log(desk, session, "mail", transaction, None, reply, "reconnect")
    return TEMPFAIL


def refuse_recipient(ctx: Any, desk: Desk, session: Session, verdict: Verdict, recipient: str) -> int:
    """A RCPT refused or deferred by a per_recipient rule, alone."""
    code, reply = _refusal(verdict, session.reference)
    set_reply(ctx, reply)
    transaction = session.transaction("", with_message=False)
    outcome = _NAMES[verdict.disposition]
    _log(desk, session, "rcpt", transaction, verdict, reply, outcome, faults(verdict), recipient)
    _count_rules(desk, verdict)
    if session.part is not None:
        session.part.refused(verdict.disposition, verdict.rule)
    desk.tally.event(Event.RECIPIENTS_REFUSED)
    return code


def give(ctx: Any, desk: Desk, session: Session, verdict: Verdict, transaction: Transaction) -> int:
    """The verdict on the message: do it, log it, and return libmilter's code for it.

    Raises whatever libmilter raises over an edit; the guard makes that a deferral, with which Postfix drops the edits.
    """
    operations = plan(verdict.changes, transaction) if verdict.changes else ()
    obstacle = _obstacle(verdict.changes, transaction, len(operations)) if verdict.changes else ""
    if obstacle:
        verdict, operations = replace(verdict, disposition=Disposition.HOLD, reason=obstacle, changes=Changes()), ()
    disposition = verdict.disposition
    reply: Reply | None = None
    code = CONTINUE
    if disposition in _REFUSALS:
        code, reply = _refusal(verdict, session.reference)
        set_reply(ctx, reply)
    elif disposition is Disposition.DISCARD:
        code = DISCARD
    else:
        if operations:
            execute(ctx, operations)
            desk.tally.event(Event.EDITED)
        if disposition is Disposition.HOLD:
            ctx.quarantine(verdict.reason or f"held by {verdict.rule}")
    _log(desk, session, "eom", transaction, verdict, reply, _NAMES[disposition], faults(verdict))
    desk.tally.verdict(disposition)
    if not verdict.certain:
        desk.tally.event(Event.UNCERTAIN)
    if verdict.limits:
        _count_limits(desk, verdict)
    _count_rules(desk, verdict)
    if session.part is not None:
        if verdict.faults:
            session.part.failed(one.rule for one in verdict.faults)
        else:
            session.part.judged(*harm(verdict))
    return code


def _obstacle(changes: Changes, transaction: Transaction, operations: int) -> str:
    """Why the edits can't be carried out whole, so that a person has to look at the message; "" where they can."""
    if operations > MAX_OPERATIONS:  # Postfix's cleanup(8) loses the session over ten thousand edits
        return f"{operations} edits would be needed, more than {MAX_OPERATIONS}"
    message = transaction.message
    if message is not None and not message.complete and any(change.replace for change in changes.headers):
        return "more headers than are kept, so those of one name can't all be replaced"
    return ""


def faults(verdict: Verdict) -> str:
    """What failed in the judgement, in a few words; "" where nothing did."""
    if not verdict.faults:
        return ""
    return ", ".join([f"{one.kind} in {one.rule or 'the index'}" for one in verdict.faults[:_FAULTS]])


def _count_rules(desk: Desk, verdict: Verdict) -> None:
    """The rules that matched, into the metrics."""
    for mark in verdict.trail:
        if mark.truth is Truth.YES:
            desk.tally.rule(mark.rule, mark.shadow)


def _count_limits(desk: Desk, verdict: Verdict) -> None:
    """The limits that were asked, into the metrics; what a rule in shadow counts stays in the decision line."""
    for use in verdict.limits:
        if use.shadow:
            continue
        if use.cause is not None:
            desk.tally.event(Event.LIMIT_UNKNOWN)
        elif use.exceeded:
            desk.tally.event(Event.LIMIT_EXCEEDED)
        elif use.warned:
            desk.tally.event(Event.LIMIT_WARNED)
        if use.local:
            desk.tally.event(Event.LIMIT_LOCAL)


def _refusal(verdict: Verdict, reference: str) -> tuple[int, Reply]:
    """Return code and reply of a reject or defer. Raises ValueError where they are not of one class."""
    disposition = verdict.disposition
    reply = verdict.reply or temporary(reference)
    if (reply.code >= 500) is not (disposition is Disposition.REJECT):
        raise ValueError(f"a {disposition.name} with reply {reply.code}")
    return _REFUSALS[disposition], reply


def _log(
    desk: Desk,
    session: Session,
    stage: str,
    transaction: Transaction,
    verdict: Verdict | None,
    reply: Reply | None,
    outcome: str,
    fault: str = "",
    recipient: str = "",
) -> None:
    text = str(reply) if reply is not None else ""
    decision = Decision(stage, transaction, verdict, text, time.time(), session.milliseconds, outcome, fault, recipient)
    desk.decide(decision, at_once=outcome != "accept")
