"""A message as it is kept for replay, and the JSON text of it.

Kept are connection, envelope, size, the number of headers, the headers that a rule of its generation reads, when it was
judged, and what became of it. Promises: judged again by the same policy it gives the same verdict; what is not kept is
unreadable then, and named. Refuses: encryption (replay/sealing.py) and files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tidegate.model import Connection, Disposition, Envelope, Message, Recipient, Transaction

NOT_KEPT = "it was not kept for replay"
LARGEST = 64 * 1024
"""Bytes of headers that are kept of one message; what is longer counts as not kept."""

_FILLER = (("", b""),)  # stands for a header of which only the number is known
_HEADER = "header."


@dataclass(frozen=True, slots=True)
class Verdicted:
    """What became of it when it came: the disposition, the rule behind it, and by which policy."""

    disposition: Disposition
    rule: str = ""
    certain: bool = True
    generation: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """One message. `transaction` has the accepted recipients; its message is None where no recipient was accepted.

    `known` are the headers (`header.NAME`) that the message is known to have as they stand here, or not to have; None:
    all of them.
    """

    time: float  # POSIX seconds
    transaction: Transaction
    verdict: Verdicted | None = None  # None: it was never judged, as a file
    refused: tuple[Recipient, ...] = ()  # at RCPT
    known: frozenset[str] | None = None

    def missing(self, needs: Collection[str]) -> frozenset[str]:
        """What of `needs` (PolicySet.needs) was not kept."""
        return frozenset() if self.known is None else frozenset(needs) - self.known

    def asked_again(self, missing: Iterable[str]) -> Transaction:
        """The transaction as it is judged again: with all recipients, and with what is missing unreadable."""
        found = self.transaction
        if self.refused:
            everybody = (*found.envelope.recipients, *self.refused)
            found = replace(found, envelope=replace(found.envelope, recipients=everybody))
        rows = tuple((need, NOT_KEPT) for need in sorted(missing))
        if rows and found.message is not None:
            unreadable = (*found.message.unreadable, *rows)
            found = replace(found, message=replace(found.message, unreadable=unreadable))
        return found


def keep_headers(
    headers: Sequence[tuple[str, bytes]], needs: Collection[str]
) -> tuple[tuple[tuple[str, bytes], ...], frozenset[str]]:
    """The headers that are kept, and which of `needs` they answer: those that are too long are left out whole."""
    found: dict[str, int] = {}
    for name, value in headers:
        need = f"{_HEADER}{name.lower()}"
        if need in needs:
            found[need] = found.get(need, 0) + len(name) + len(value)
    if sum(found.values()) > LARGEST:
        room, dropped = LARGEST, set()
        for need, size in sorted(found.items(), key=_size):
            room -= size
            if room < 0:
                dropped.add(need)
        needs = frozenset(needs) - dropped
    known = frozenset(need for need in needs if need.startswith(_HEADER))
    return tuple([row for row in headers if f"{_HEADER}{row[0].lower()}" in known]), known


def _size(row: tuple[str, int]) -> int:
    return row[1]


def written(one: Kept, shared: frozenset[str]) -> str:
    """One line of JSON without its line end. `shared`: what is known of every message of its block."""
    transaction = one.transaction
    known = one.known if one.known is not None else shared
    verdict = one.verdict or Verdicted(Disposition.ACCEPT)
    document: dict[str, Any] = {
        "time": round(one.time, 3),
        "connection": _short(_connection(transaction.connection)),
        "sender": transaction.envelope.sender,
        "login": transaction.envelope.login,
        "auth_type": transaction.envelope.auth_type,
        "recipients": _recipients(transaction.envelope.recipients),
        "queue_id": transaction.queue_id,
        "ref": transaction.reference,
        "verdict": [int(verdict.disposition), verdict.rule, verdict.certain, verdict.generation, verdict.digest],
    }
    optional: dict[str, Any] = {
        "refused": _recipients(one.refused),
        "unreadable": transaction.envelope.unreadable,
        "unkept": sorted(shared - known),
        "message": _message(transaction.message) if transaction.message is not None else None,
    }
    document |= {key: value for key, value in optional.items() if value}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _connection(one: Connection) -> list[Any]:
    texts = [one.client_ip, one.client_name, one.helo, one.daemon_name, one.tls_version, one.tls_cipher]
    return [*texts, one.local, one.unreadable]


def _short(values: list[Any]) -> list[Any]:
    """Without what is empty at the end."""
    while values and not values[-1]:
        values.pop()
    return values


def _recipients(those: Iterable[Recipient]) -> list[list[str]]:
    return [[one.address] if one.given == f"<{one.address}>" else [one.address, one.given] for one in those]


def _message(one: Message) -> list[Any]:
    """Names and values, size, completeness, unreadable fields; of headers that are not kept their number."""
    kept = [[name, value.decode("latin-1")] for name, value in one.headers if name]
    return [kept, len(one.headers), one.size, one.complete, one.unreadable]


def read(line: bytes | str, shared: frozenset[str]) -> Kept:
    """The inverse of `written`. Raises ValueError for anything else."""
    try:
        return _read(json.loads(line), shared)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError, UnicodeError) as error:
        raise ValueError(f"not a kept message: {error!r}") from error


def _read(document: Mapping[str, Any], shared: frozenset[str]) -> Kept:
    envelope = Envelope(
        str(document["sender"]),
        _read_recipients(document["recipients"]),
        str(document["login"]),
        str(document["auth_type"]),
        _pairs(document.get("unreadable", ())),
    )
    disposition, rule, certain, generation, digest = document["verdict"]
    message = document.get("message")
    return Kept(
        float(document["time"]),
        Transaction(
            _read_connection(document["connection"]),
            envelope,
            _read_message(message) if message is not None else None,
            str(document["queue_id"]),
            str(document["ref"]),
        ),
        Verdicted(Disposition(disposition), str(rule), bool(certain), int(generation), str(digest)),
        _read_recipients(document.get("refused", ())),
        shared.difference(document["unkept"]) if "unkept" in document else shared,
    )


def _read_connection(row: Sequence[Any]) -> Connection:
    values = [*row, *("", "", "", "", "", "", False, ())[len(row) :]]
    address, name, helo, daemon, version, cipher = map(str, values[:6])
    return Connection(address, name, helo, daemon, version, cipher, bool(values[6]), _pairs(values[7]))


def _read_recipients(rows: Iterable[Sequence[str]]) -> tuple[Recipient, ...]:
    return tuple([Recipient(row[0], row[1] if len(row) > 1 else f"<{row[0]}>") for row in rows])


def _read_message(row: Sequence[Any]) -> Message:
    kept, count, size, complete, unreadable = row
    headers = tuple([(name, value.encode("latin-1")) for name, value in kept])
    return Message(headers + _FILLER * (count - len(headers)), size, complete, _pairs(unreadable))


def _pairs(rows: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple([(str(name), str(why)) for name, why in rows])
