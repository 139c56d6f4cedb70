"""Changes as the calls that Postfix executes (milter_header indexes count per name from 1, from the client's headers).

`plan` is pure; `execute` does it. Deletions run from the highest index down, because indexes shift after each. The last
recipient is never deleted: Postfix would answer 250 and the mail would be gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.model import Changes, Transaction

# Each changed header is a jump back in Postfix's queue file, of which cleanup follows a few hundred ("too many reverse
# jump records"); then this message gets 451 whenever it comes. Deletions and additions cost none.
_CHANGES = 50


@dataclass(frozen=True, slots=True)
class Operation:
    """One call on the milter context: its name and arguments."""

    call: str
    arguments: tuple[Any, ...]


def plan(changes: Changes, transaction: Transaction) -> tuple[Operation, ...]:
    """The calls for `changes`, in the order in which they have to be made.

    Raises ValueError where no recipient would be left: the engine holds such a message, so only a bug gets here.
    """
    operations: list[Operation] = []
    headers = transaction.message.headers if transaction.message is not None else ()
    for change in changes.headers:
        name = change.name.lower()
        count = sum(key.lower() == name for key, _ in headers) if change.replace else 0
        values = list(change.values)
        keep = min(count, len(values))
        if keep > _CHANGES:
            keep = 0
        operations += [Operation("chgheader", (change.name, index, "")) for index in range(count, keep, -1)]
        operations += [Operation("chgheader", (change.name, index + 1, _safe(values[index]))) for index in range(keep)]
        operations += [Operation("addheader", (change.name, _safe(value))) for value in values[keep:]]
    gone = set(changes.remove_recipients)
    removed = [one for one in transaction.envelope.recipients if one.address in gone]
    added = (*changes.add_recipients, *changes.bcc)
    if removed and len(removed) >= len(transaction.envelope.recipients) and not added:
        raise ValueError("no recipient would be left")
    operations += [Operation("addrcpt", (f"<{address}>",)) for address in changes.add_recipients]
    operations += [Operation("addrcpt", (f"<{address}>", "NOTIFY=NEVER")) for address in changes.bcc]
    operations += [Operation("delrcpt", (one.given or f"<{one.address}>",)) for one in removed]
    if changes.sender is not None:
        operations.append(Operation("chgfrom", (f"<{changes.sender}>",)))
    return tuple(operations)


def _safe(value: str) -> str:
    """A header value that can't begin a new header or the body: every line end is followed by a tab and text."""
    first, *rest = value.replace("\r", "").replace("\0", "").split("\n")
    return "\n\t".join([first, *(line for line in (one.strip("\t ") for one in rest) if line)])


def execute(ctx: Any, operations: Sequence[Operation]) -> None:
    """Make the calls. Raises milter.error where libmilter refuses one; Postfix then drops them all with the message."""
    for operation in operations:
        getattr(ctx, operation.call)(*operation.arguments)
