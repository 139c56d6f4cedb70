"""What a field's reader may ask of the transaction: conditions/facts.py keeps it, conditions/readers.py asks.

The two know each other by this page only, so neither imports the other's inside.
"""

from __future__ import annotations

from typing import Protocol

from tidegate.model import Cause, PolicySet, Reading, Recipient, Transaction


class Asked(Protocol):
    """One transaction, and what has been read of it so far."""

    transaction: Transaction
    policies: PolicySet
    now: float
    cut: dict[str, tuple[str, ...]]

    def read(self, name: str) -> Reading:
        """Another field's reading."""

    def read_recipient(self, name: str, recipient: Recipient) -> Reading:
        """A recipient field's reading."""

    def external(self, domain: str) -> Reading:
        """Is a folded domain outside `own-domains`?"""

    def headers(self, name: str) -> list[bytes]:
        """The raw values of header `name` (lower case), in order."""

    def header_cause(self, name: str = "") -> Cause | None:
        """Why headers (of that name) may be missing, where they may."""

    def mailboxes(self, header: str) -> tuple[tuple[str, ...], Cause | None]:
        """All mailboxes of all headers of that name, and why there may be others."""

    def missing_recipients(self) -> Cause | None:
        """Why there may be recipients that are not in the envelope."""
