"""Verdicts to what libmilter is told: the reply, the edits, and a return code of the same class.

Promises: code, enhanced code and return code are of one class; a fault of ours is one `451 4.3.0`; DISCARD only where a
verdict says so; ACCEPT never before end of message.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import milter
from tidegate.engine.reply import temporary
from tidegate.front.desk import Desk
from tidegate.front.edits import execute, plan
from tidegate.front.session import Session
from tidegate.model import Changes, Disposition, Reply, Transaction, Truth, Verdict
from tidegate.observe.counters import ErrorKind, Event
from tidegate.observe.decision import Decision

MAX_OPERATIONS = 1000
_NAMES = {disposition: disposition.name.lower() for disposition in Disposition}


def set_reply(ctx: Any, reply: Reply) -> None:
    """Hand `reply` to libmilter, which takes its text for a format: every % is doubled."""
    ctx.setreply(str(reply.code), reply.enhanced, reply.text.replace("%", "%%"))


def fault(ctx: Any, desk: Desk, session: Session, kind: ErrorKind, why: str, queue_id: str = "") -> int:
    """Our own deferral at end of message, counted and logged before it is given."""
    reply = temporary(session.reference or desk.reference())
    desk.tally.error(kind)
    transaction = session.transaction(queue_id)
    desk.decide(
        Decision("eom", transaction, None, str(reply), time.time(), _spent(session), "fault", why), at_once=True
    )
    set_reply(ctx, reply)
    return int(milter.TEMPFAIL)


def _spent(session: Session) -> float:
    return (time.monotonic() - session.started) * 1000 if session.started else 0.0


def refuse_recipient(ctx: Any, desk: Desk, session: Session, verdict: Verdict, recipient: str) -> int:
    """A RCPT refused or deferred by a per_recipient rule, alone."""
    reply = verdict.reply or temporary(session.reference)
    transaction = session.transaction("", with_message=False)
    count(desk, verdict)
    desk.tally.event(Event.RECIPIENTS_REFUSED)
    name = _NAMES[verdict.disposition]
    desk.decide(
        Decision("rcpt", transaction, verdict, str(reply), time.time(), _spent(session), name, recipient=recipient),
        at_once=True,
    )
    set_reply(ctx, reply)
    return int(milter.REJECT if verdict.disposition is Disposition.REJECT else milter.TEMPFAIL)


def count(desk: Desk, verdict: Verdict) -> None:
    """The verdict and the rules that matched, into the metrics."""
    tally = desk.tally
    tally.verdict(verdict.disposition)
    for mark in verdict.trail:
        if mark.truth is Truth.YES:
            tally.rule(mark.rule, mark.shadow)
    if not verdict.certain:
        tally.event(Event.UNCERTAIN)


def give(ctx: Any, desk: Desk, session: Session, verdict: Verdict, transaction: Transaction) -> int:
    """The verdict on the message: log it, do it, and return libmilter's code for it."""
    operations = plan(verdict.changes, transaction) if verdict.changes else ()
    if len(operations) > MAX_OPERATIONS:
        # Postfix's cleanup(8) loses the session over ten thousand edits; a person has to look at such a message.
        reason = f"{len(operations)} edits would be needed, more than {MAX_OPERATIONS}"
        verdict, operations = replace(verdict, disposition=Disposition.HOLD, reason=reason, changes=Changes()), ()
    disposition = verdict.disposition
    reply = verdict.reply
    if disposition in (Disposition.REJECT, Disposition.DEFER):
        reply = reply or temporary(session.reference)
        refused = (reply.code >= 500) is (disposition is Disposition.REJECT)
        if not refused:
            raise ValueError(f"a {disposition.name} with reply {reply.code}")
    spent = _spent(session)
    name = _NAMES[disposition]
    decision = Decision("eom", transaction, verdict, str(reply or ""), time.time(), spent, name)
    desk.decide(decision, at_once=disposition is not Disposition.ACCEPT)
    count(desk, verdict)
    desk.tally.seconds(spent / 1000)
    if disposition is Disposition.REJECT and reply is not None:
        set_reply(ctx, reply)
        return int(milter.REJECT)
    if disposition is Disposition.DEFER and reply is not None:
        set_reply(ctx, reply)
        return int(milter.TEMPFAIL)
    if disposition is Disposition.DISCARD:
        return int(milter.DISCARD)
    if operations:
        execute(ctx, operations)
        desk.tally.event(Event.EDITED)
    if disposition is Disposition.HOLD:
        ctx.quarantine(verdict.reason or f"held by {verdict.rule}")
    return int(milter.CONTINUE)
