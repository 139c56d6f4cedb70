"""Messages as the replay store keeps them, for the tests of replay."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tests.builders.transactions import NOW, Headers, a_transaction
from tidegate.model import Disposition, Recipient
from tidegate.replay import Kept, Verdicted

HEADERS: Headers = (("From", "Alice <alice@example.com>"), ("Subject", "hello"), ("X-Mailer", "Swift"))


def a_kept(
    time: float = NOW,
    known: Collection[str] = ("header.from", "header.subject"),
    headers: Headers = HEADERS,
    verdict: Disposition = Disposition.ACCEPT,
    rule: str = "",
    refused: Sequence[str] = (),
    *,
    sender: str = "alice@example.com",
    login: str = "alice@example.com",
    rcpt: Sequence[str] = ("bob@example.net",),
    reference: str = "R3F",
    message: bool = True,
) -> Kept:
    """One of which these headers are known; the number of the others stays."""
    transaction = a_transaction(sender, login, rcpt, headers, message=message)
    found = transaction.message
    if found is not None:
        rows = tuple(row if f"header.{row[0].lower()}" in known else ("", b"") for row in found.headers)
        transaction = replace(transaction, message=replace(found, headers=tuple(sorted(rows, key=_unnamed))))
    return Kept(
        time,
        replace(transaction, reference=reference),
        Verdicted(verdict, rule, True, 1, "d1"),
        tuple(Recipient(one, f"<{one}>") for one in refused),
        frozenset(known),
    )


def _unnamed(row: tuple[str, bytes]) -> bool:
    return not row[0]
