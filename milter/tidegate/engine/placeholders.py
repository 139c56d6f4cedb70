"""What `{placeholders}` stand for in one message: made only for those that a text uses.

The names are conditions/placeholders.py's. Values are as the client wrote them and can hold anything; engine/reply.py
makes the result safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tidegate.conditions.facts import Facts
from tidegate.conditions.placeholders import PLACEHOLDERS
from tidegate.model import Recipient, Rule


class Values(Mapping[str, str]):
    """The values for one rule and one message; `recipient` is whom a per_recipient rule is about."""

    __slots__ = ("_facts", "_recipient", "_rule")

    def __init__(self, rule: Rule, facts: Facts, recipient: Recipient | None = None) -> None:
        self._rule = rule
        self._facts = facts
        self._recipient = recipient

    def __getitem__(self, name: str) -> str:
        if name == "rule":
            return self._rule.id
        if name == "rcpt.address":
            first = self._recipient or next(iter(self._facts.transaction.envelope.recipients), None)
            return first.address if first is not None else ""
        return _SOURCES[name](self._facts)

    def get(self, name: str, default: Any = None) -> Any:
        """As ever; but what a reader raises is never taken for a name that does not exist."""
        return self[name] if name in PLACEHOLDERS else default

    def __iter__(self) -> Iterator[str]:
        return iter(PLACEHOLDERS)

    def __len__(self) -> int:
        return len(PLACEHOLDERS)


def _read(field: str) -> Callable[[Facts], str]:
    def source(facts: Facts) -> str:
        values = facts.read(field).values
        return str(values[0]) if values else ""

    return source


_SOURCES: dict[str, Callable[[Facts], str]] = {
    "ref": lambda facts: facts.transaction.reference,
    "queue_id": lambda facts: facts.transaction.queue_id,
    "login": lambda facts: facts.transaction.envelope.login,
    "client.ip": lambda facts: facts.transaction.connection.client_ip,
    "client.name": lambda facts: facts.transaction.connection.client_name,
    "sender.address": lambda facts: facts.transaction.envelope.sender or "<>",
    "sender.domain": lambda facts: facts.transaction.envelope.sender.rpartition("@")[2],
    "rcpt.count": lambda facts: str(len(facts.transaction.envelope.recipients)),
    "subject": _read("subject"),
    "message.size": _read("message.size"),
    "direction": _read("direction"),
}
