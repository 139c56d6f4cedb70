"""What `{placeholders}` stand for in one message: made only for those that a text uses.

The names are conditions/placeholders.py's. Values are as the client wrote them and can hold anything; engine/reply.py
makes the result safe.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tidegate.conditions.facts import Facts
from tidegate.conditions.placeholders import OF_LIMITS, PLACEHOLDERS
from tidegate.model import LimitUse, Recipient, Rule


class Values(Mapping[str, str]):
    """The values for one rule and one message; `recipient` is whom a per_recipient rule is about, `use` the limit."""

    __slots__ = ("_facts", "_recipient", "_rule", "_use")

    def __init__(
        self, rule: Rule, facts: Facts, recipient: Recipient | None = None, use: LimitUse | None = None
    ) -> None:
        self._rule = rule
        self._facts = facts
        self._recipient = recipient
        self._use = use

    def __getitem__(self, name: str) -> str:
        if name == "rule":
            return self._rule.id
        if name == "rcpt.address":
            first = self._recipient or next(iter(self._facts.transaction.envelope.recipients), None)
            return first.address if first is not None else ""
        if name in OF_LIMITS:
            return _of_limit(name, self._use) if self._use is not None else ""
        return _SOURCES[name](self._facts)

    def get(self, name: str, default: Any = None) -> Any:
        """As ever; but what a reader raises is never taken for a name that does not exist."""
        return self[name] if name in PLACEHOLDERS or name in OF_LIMITS else default

    def __iter__(self) -> Iterator[str]:
        return iter((*PLACEHOLDERS, *OF_LIMITS))

    def __len__(self) -> int:
        return len(PLACEHOLDERS) + len(OF_LIMITS)


_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def in_words(seconds: float) -> str:
    """A time to wait as one says it, rounded up: `40 s`, `12 min`, `3 h`, `2 d`; `never` where no time is enough.

    One unit is enough, as long as it is at least 2 of it.
    """
    if math.isinf(seconds):
        return "never"
    unit, name = next((one for one in _UNITS if seconds > 2 * one[0]), _UNITS[-1])
    return f"{max(1, math.ceil(seconds / unit))} {name}"


def _of_limit(name: str, use: LimitUse) -> str:
    match name:
        case "limit.used":
            return str(use.used)
        case "limit.max":
            return str(use.maximum)
        case "limit.retry":
            return in_words(use.retry)
    return use.limit


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
