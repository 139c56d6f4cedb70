"""A held message that comes in again: whom it came from, and which rules let it go this time (live/released.py).

Promises: only a message from this machine, with a pass for this very message, is taken for what the pass says; its
header is taken off, and what our rules added when it was held is not added twice. Refuses: silencing any other rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tidegate.front.session import Session
from tidegate.limits import Charge, Usage
from tidegate.live import HEADER, Pass, known_key, read_pass
from tidegate.model import Changes, Easing, HeaderChange, Restraint, Transaction, Verdict

_NAME = HEADER.lower()


class _CountedBefore:
    """A ledger for which nothing is ever exceeded."""

    def charge(self, charges: tuple[Charge, ...], retry_of: str, now: float, commit: bool) -> tuple[Usage, ...]:
        """Nothing is counted."""
        return tuple(Usage(0, one.maximum, 0.0, exceeded=False) for one in charges)


COUNTED_BEFORE = _CountedBefore()
"""Limits counted the message when it was held."""


def readmitted(session: Session, transaction: Transaction, state: str, now: float) -> Transaction:
    """The transaction to judge: the one in hand, or the one that it was before it was held."""
    session.released = released = pass_of(session, state, now)
    if released is None:
        return transaction
    session.login = released.login
    return restored(transaction, released)


def pass_of(session: Session, state: str, now: float) -> Pass | None:
    """The pass of the message in hand; nearly every message is from elsewhere, and costs no look at its headers."""
    if not session.local and not session.client_ip.startswith("127.") and session.client_ip != "::1":
        return None
    value = _header(session.headers, _NAME)
    if value is None:
        return None
    message_id = (_header(session.headers, "message-id") or b"").decode("utf-8", "surrogateescape")
    return read_pass(value, known_key(state), session.sender, session.addresses(), message_id, now)


def restored(transaction: Transaction, pass_: Pass) -> Transaction:
    """The transaction as it was before the message was held."""
    connection = replace(
        transaction.connection,
        client_ip=pass_.client_ip,
        client_name=pass_.client_name,
        helo=pass_.helo,
        local=transaction.connection.local and not pass_.client_ip,
    )
    envelope = replace(transaction.envelope, login=pass_.login, auth_type=pass_.auth_type)
    return replace(transaction, connection=connection, envelope=envelope)


def eased_by(restraint: Restraint, pass_: Pass) -> Restraint:
    """The rules that held it are asked without effect."""
    return restraint.plus(pass_.rules, Easing.SHADOW)


def cleaned(verdict: Verdict, transaction: Transaction) -> Verdict:
    """The verdict that takes the pass off as well, and adds no header that is there already."""
    there = {(name.lower(), value) for name, value in transaction.message.headers} if transaction.message else set()
    headers = [HeaderChange(HEADER, (), replace=True)]
    for change in verdict.changes.headers:
        values = change.values
        if not change.replace:
            values = tuple(one for one in values if (change.name.lower(), one.encode("utf-8", "replace")) not in there)
        if values or change.replace:
            headers.append(replace(change, values=values))
    return replace(verdict, changes=_with(verdict.changes, headers))


def _with(changes: Changes, headers: Sequence[HeaderChange]) -> Changes:
    return replace(changes, headers=tuple(headers))


def _header(headers: Sequence[tuple[str, bytes]], name: str) -> bytes | None:
    return next((value for key, value in headers if key.lower() == name), None)
