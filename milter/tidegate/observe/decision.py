"""The decision line: one for every transaction that ends in a reply of ours, RCPT refusals and aborts included.

Promises: one line each, whatever bytes the client sent; logins and localparts masked unless the settings say otherwise,
in the reply's text too. Refuses: content. The shape (JSON or logfmt) is observe/logs.py's, by structlog's renderers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tidegate.model import Disposition, LimitUse, Transaction, Truth, Verdict
from tidegate.observe.masking import harmless, masked, without_entries, without_people

_DOMAINS = 5  # recipient domains that a line names
_ENTRY = 200  # characters of what a rule matched on
_RULES = 20  # rules that a line names of each sort
_PLAIN_KEY = re.compile(r"\*\Z|(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:/[0-9]+)?\Z|[0-9a-f]*:[0-9a-f:.]*(?:/[0-9]+)?\Z")
"""Keys of limits that name nobody: everybody, addresses of hosts, networks."""
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


def line(decision: Decision, mask: bool, render: Render) -> str:
    """The decision as one line with its newline."""
    return f"{render(_event(decision, mask))}\n"


def _event(decision: Decision, mask: bool) -> dict[str, Any]:
    transaction, verdict = decision.transaction, decision.verdict
    envelope, message = transaction.envelope, transaction.message
    hide = masked if mask else str
    event: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(decision.now, UTC).isoformat(timespec="milliseconds"),
        "level": "warning" if verdict is None or decision.fault else _LEVELS.get(verdict.disposition, "warning"),
        "event": "decision",
        "disposition": decision.outcome,
        "stage": decision.stage,
        "queue_id": harmless(transaction.queue_id),
        "ref": transaction.reference,
        "client": harmless(transaction.connection.client_ip),
        "login": harmless(hide(envelope.login)),
        "sender": harmless(hide(envelope.sender)) if envelope.sender else "<>",
        "rcpt_domains": _domains(transaction),
        "rcpt_count": len(envelope.recipients),
        "size": message.size if message is not None else 0,
    }
    words = _Words(envelope.login, mask)
    if decision.recipient:
        event["rcpt"] = harmless(hide(decision.recipient))
    if decision.reply:
        event["reply"] = words.shown(decision.reply)
    if decision.fault:
        event["fault"] = words.shown(decision.fault)
    if verdict is not None:
        _add_verdict(event, verdict, words)
    event["ms"] = round(decision.milliseconds, 2)
    return event


@dataclass(frozen=True, slots=True)
class _Words:
    """How free texts of this transaction are shown."""

    login: str
    mask: bool

    def shown(self, text: str) -> str:
        return harmless(without_people(text, self.login) if self.mask else text)

    def entry(self, text: str) -> str:
        """What of the policy a rule matched on: whom a list entry names is masked, also `user@` and a bare login."""
        if self.mask:
            text = without_entries(text, self.login)
        return harmless(text if len(text) <= _ENTRY else f"{text[:_ENTRY]}…")


def _add_verdict(event: dict[str, Any], verdict: Verdict, words: _Words) -> None:
    event["generation"] = verdict.generation
    event["digest"] = verdict.digest[:12]
    if verdict.rule:
        event["rule"] = verdict.rule
    if verdict.reason:
        event["reason"] = words.shown(verdict.reason)
    if not verdict.certain:
        event["certain"] = False
    if verdict.would is not None:
        event["would"] = _NAMES[verdict.would]
    if verdict.limits:
        event["limits"] = [_limit(use, words) for use in verdict.limits[:_RULES]]
    if verdict.suspensions:
        for key, shadow in (("suspends", False), ("would_suspend", True)):
            told = [f"{one.rule}: {one.list}" for one in verdict.suspensions if one.shadow is shadow]
            if told:
                event[key] = told[:_RULES]
    if not verdict.trail:
        return
    matched = [mark.rule for mark in verdict.trail if mark.truth is Truth.YES and not mark.shadow]
    hits = [words.entry(f"{mark.rule}: {mark.hit}") for mark in verdict.trail if mark.hit and not mark.shadow]
    shadows = [
        mark.rule if mark.would is None else f"{mark.rule}: {_NAMES[mark.would]}"
        for mark in verdict.trail
        if mark.shadow and (mark.truth is Truth.YES or mark.would not in (None, verdict.disposition))
    ]
    unknown = [
        words.shown(f"{mark.rule}: {mark.cause.text if mark.cause else ''}")
        for mark in verdict.trail
        if mark.truth is Truth.UNKNOWN
    ]
    eased = [f"{mark.rule}: {mark.eased.value}" for mark in verdict.trail if mark.eased is not None]
    rows = (("rules", matched), ("hits", hits), ("would_rules", shadows), ("unknown", unknown), ("eased", eased))
    for key, values in rows:
        if values:
            event[key] = values[:_RULES]


def _limit(use: LimitUse, words: _Words) -> str:
    """`rate-per-login/hour: 290 + 12 of 300 for a***@example.com, exceeded`."""
    parts = use.key.split("|")
    key = "|".join([part if _PLAIN_KEY.match(part) else masked(part) for part in parts]) if words.mask else use.key
    count = f"{use.used} + {use.cost} of {use.maximum}" if use.cause is None else f"? + {use.cost} of {use.maximum}"
    marks = (
        ("exceeded", use.exceeded),
        ("warning", use.warned and not use.exceeded),
        ("shadow", use.shadow),
        ("local", use.local),
        (f"unknown: {use.cause.text if use.cause else ''}", use.cause is not None),
    )
    told = "".join([f", {mark}" for mark, holds in marks if holds])
    return harmless(f"{use.rule}/{use.limit}: {count} for {key}{told}")


def _domains(transaction: Transaction) -> str:
    domains = dict.fromkeys(one.address.rpartition("@")[2] for one in transaction.envelope.recipients[:200])
    found = list(domains)
    return harmless(",".join(found[:_DOMAINS])) + (f",+{len(found) - _DOMAINS}" if len(found) > _DOMAINS else "")
