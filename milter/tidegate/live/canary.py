"""A canary in a worker: a generation that a stable share of the senders gets, beside the one for all.

Promises: the same sender is on the same side, in every worker and whatever is loaded (the hash is keyed for the life of
the daemon); a message keeps the side that it began on, and counts for this canary or for none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from tidegate import image
from tidegate.model import Disposition
from tidegate.observe.senders import sender_name
from tidegate.observe.sides import HARM, Outcome, SideTally

_PARTS = 1 << 32


@dataclass(frozen=True, slots=True)
class Canary:
    """One on trial; `share` is a percentage, `columns` are those of the rules that differ, `expected` may hit much."""

    number: int
    generation: image.Generation
    share: float
    bank: int
    columns: Mapping[str, int]
    expected: frozenset[str]
    tally: SideTally

    def part(self, sender: str) -> Part:
        """Where this sender's message belongs."""
        number = number_of(sender, self.tally.key)
        return Part(self, chosen(number, self.share), number & _PARTS - 1)


@dataclass(frozen=True, slots=True)
class Part:
    """A message's part in a canary: on which side it is, and whose (a hash)."""

    canary: Canary
    new: bool
    sender: int

    def judged(self, disposition: Disposition, rules: Collection[str]) -> None:
        """The verdict, and the rules behind it. What a rule with `expect:` does is awaited, so it is no harm."""
        self._count(Outcome.JUDGED)
        if self.canary.expected.issuperset(rules):
            return
        harm = HARM[disposition]
        for outcome in harm:
            self._count(outcome)
        if harm:
            self._blame(rules)

    def refused(self, disposition: Disposition, rule: str) -> None:
        """A recipient was refused. The message may still go on, and is counted then."""
        if rule not in self.canary.expected:
            for outcome in HARM[disposition]:
                self._count(outcome)
            self._blame((rule,))

    def failed(self, rules: Iterable[str]) -> None:
        """A fault of our own, in the evaluation of these rules where that is known."""
        self._count(Outcome.JUDGED)
        self._count(Outcome.FAULT)
        self._blame(rules)

    def took(self, seconds: float) -> None:
        """Our own time."""
        self.canary.tally.seconds(self.canary.bank, self.new, seconds)

    def _count(self, outcome: Outcome) -> None:
        self.canary.tally.count(self.canary.bank, self.new, self.sender, outcome)

    def _blame(self, rules: Iterable[str]) -> None:
        for rule in rules:
            column = self.canary.columns.get(rule)
            if column is not None:
                self.canary.tally.rule(self.canary.bank, self.new, column)


def number_of(sender: str, key: bytes) -> int:
    """A number for the sender, the same as long as the key is."""
    hashed = blake2b(sender.encode("utf-8", "backslashreplace"), digest_size=8, key=key).digest()
    return int.from_bytes(hashed, "little")


def chosen(number: int, share: float) -> bool:
    """Is the sender of this number among the `share` percent?"""
    return (number >> 32) * 100 < share * _PARTS


def sender_of(login: str, sender: str, client_ip: str) -> str:
    """Who sends, for the choice of a side: the login, else the envelope sender, else the client's network."""
    return sender_name(login or sender, client_ip)
