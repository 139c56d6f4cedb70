"""The decision line: one for every transaction that ends in a reply of ours, RCPT refusals and aborts included.

Promises: one line each, whatever bytes the client sent; logins and localparts masked unless the settings say otherwise.
Refuses: content. The shape (JSON or logfmt) is observe/logs.py's, through structlog's own renderers.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tidegate.model import Disposition, Transaction, Truth, Verdict

_DOMAINS = 5  # recipient domains that a line names
_NAMES = {disposition: disposition.name.lower() for disposition in Disposition}
_LEVELS = {Disposition.ACCEPT: "info", Disposition.DISCARD: "warning", Disposition.HOLD: "warning"}

Render = Callable[[MutableMapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Decision:
    """One transaction's end. `stage` is where the reply was given; `reply` what the client saw."""

    stage: str  # mail, rcpt, eom, abort
    transaction: Transaction
    verdict: Verdict | None
    reply: str
    now: float  # POSIX seconds
    milliseconds: float
    outcome: str  # a disposition's name, or aborted, reconnect, fault
    fault: str = ""
    recipient: str = ""


def masked(text: str) -> str:
    """`a***@example.com`: enough to recognise, too little to write to."""
    local, at, domain = text.rpartition("@")
    if not at:
        return f"{text[:1]}***" if text else ""
    return f"{local[:1]}***@{domain}"


def line(decision: Decision, mask: bool, render: Render) -> str:
    """The decision as one line with its newline."""
    return f"{render(_event(decision, mask))}\n"


def _event(decision: Decision, mask: bool) -> dict[str, Any]:
    transaction, verdict = decision.transaction, decision.verdict
    envelope, message = transaction.envelope, transaction.message
    hide = masked if mask else str
    event: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(decision.now, UTC).isoformat(timespec="milliseconds"),
        "level": _LEVELS.get(verdict.disposition, "warning")
        if verdict is not None and not decision.fault
        else "warning",
        "event": "decision",
        "disposition": decision.outcome,
        "stage": decision.stage,
        "queue_id": transaction.queue_id,
        "ref": transaction.reference,
        "client": transaction.connection.client_ip,
        "login": hide(envelope.login) if envelope.login else "",
        "sender": hide(envelope.sender) if envelope.sender else "<>",
        "rcpt_domains": _domains(transaction),
        "rcpt_count": len(envelope.recipients),
        "size": message.size if message is not None else 0,
    }
    if decision.recipient:
        event["rcpt"] = hide(decision.recipient)
    if decision.reply:
        event["reply"] = decision.reply
    if decision.fault:
        event["fault"] = decision.fault
    if verdict is not None:
        _add_verdict(event, verdict)
    event["ms"] = round(decision.milliseconds, 2)
    return event


def _add_verdict(event: dict[str, Any], verdict: Verdict) -> None:
    event["generation"] = verdict.generation
    event["digest"] = verdict.digest[:12]
    if verdict.rule:
        event["rule"] = verdict.rule
    if verdict.reason:
        event["reason"] = verdict.reason
    if not verdict.certain:
        event["certain"] = False
    if verdict.would is not None:
        event["would"] = _NAMES[verdict.would]
    if not verdict.trail:
        return
    matched = [mark.rule for mark in verdict.trail if mark.truth is Truth.YES and not mark.shadow]
    shadows = [mark.rule for mark in verdict.trail if mark.truth is Truth.YES and mark.shadow]
    unknown = [
        f"{mark.rule}: {mark.cause.text if mark.cause else ''}" for mark in verdict.trail if mark.truth is Truth.UNKNOWN
    ]
    for key, values in (("rules", matched), ("would_rules", shadows), ("unknown", unknown)):
        if values:
            event[key] = values[:20]


def _domains(transaction: Transaction) -> str:
    domains = dict.fromkeys(one.address.rpartition("@")[2] for one in transaction.envelope.recipients[:200])
    found = list(domains)
    return ",".join(found[:_DOMAINS]) + (f",+{len(found) - _DOMAINS}" if len(found) > _DOMAINS else "")
