"""What a canary and the generation for all have done meanwhile, side by side, in shared memory made before the fork.

Promises: counts *distinct senders* beside messages, so that one sender with a thousand messages weighs as one; counting
never blocks, never raises and allocates nothing; a worker that dies loses nothing that it counted. Refuses: to keep a
sender: only one bit of a keyed hash is set.

Theory: as in counters.py each worker writes rows of its own slot, and readers add up. A set of senders is a bitmap of
BITS bits; how many there were follows from how many bits are still clear (distinct.py). There are two banks: of two
canaries one after the other, a message that began with the first can't count for the second.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tidegate.model import Disposition
from tidegate.observe.distinct import distinct

BITS = 4096
BANKS = 2
RULES = 256  # rules with a count of their own
_WORDS = BITS // 64


class Outcome(str, Enum):
    """What became of a message, as far as sides are compared: each of STOPPED, REFUSED, DISCARDED includes the next."""

    JUDGED = "judged"
    STOPPED = "stopped"  # it did not go on now: refused, deferred, held or discarded
    REFUSED = "refused"  # for good: it was rejected, or discarded
    DISCARDED = "discarded"
    FAULT = "fault"  # our own: it says nothing about the policy's harm


HARM: Mapping[Disposition, tuple[Outcome, ...]] = {
    Disposition.ACCEPT: (),
    Disposition.DEFER: (Outcome.STOPPED,),
    Disposition.HOLD: (Outcome.STOPPED,),
    Disposition.REJECT: (Outcome.STOPPED, Outcome.REFUSED),
    Disposition.DISCARD: (Outcome.STOPPED, Outcome.REFUSED, Outcome.DISCARDED),
}
"""So a rule that is made milder (reject becomes defer) does no harm, and one that is made stricter does."""

_MESSAGES = {outcome: number for number, outcome in enumerate(Outcome)}
_MICROSECONDS = len(_MESSAGES)
_SENDERS = {outcome: _MICROSECONDS + 1 + number * _WORDS for number, outcome in enumerate(Outcome)}
_RULES = _MICROSECONDS + 1 + len(_MESSAGES) * _WORDS
_SIDE = _RULES + RULES
_BANK = 2 * _SIDE
_ROW = BANKS * _BANK


@dataclass(frozen=True, slots=True)
class Count:
    """Messages, and how many different senders they had."""

    messages: int = 0
    senders: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """What one generation has done; `rules` counts the harm by its columns, `seconds` is our own time in all."""

    counts: Mapping[Outcome, Count] = field(default_factory=dict)
    seconds: float = 0.0
    rules: tuple[int, ...] = ()

    def of(self, outcome: Outcome) -> Count:
        """How often that was the outcome."""
        return self.counts.get(outcome, Count())


class SideTally:
    """One worker's row. All methods may be called from any of its threads."""

    __slots__ = ("_cells", "key")

    def __init__(self, cells: memoryview, key: bytes) -> None:
        """`key`: of the hash by which a sender is given a side; the same in all workers, whatever they load."""
        self._cells = cells
        self.key = key

    def count(self, bank: int, new: bool, sender: int, outcome: Outcome) -> None:
        """One message of this sender (a hash) had this outcome."""
        cells, side, bit = self._cells, bank * _BANK + new * _SIDE, sender % BITS
        number = side + _MESSAGES[outcome]
        cells[number] += 1
        word = side + _SENDERS[outcome] + bit // 64
        mask = 1 << bit % 64
        cells[word] |= mask

    def seconds(self, bank: int, new: bool, seconds: float) -> None:
        """One message took `seconds` of ours."""
        cell = bank * _BANK + new * _SIDE + _MICROSECONDS
        spent = max(0, int(seconds * 1e6))
        self._cells[cell] += spent

    def rule(self, bank: int, new: bool, column: int) -> None:
        """The rule in this column (below RULES) did harm once."""
        cell = bank * _BANK + new * _SIDE + _RULES + column
        self._cells[cell] += 1


class Sides:
    """All rows. Make it once, before any fork."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, _ROW * 8 * slots)
        self._cells = memoryview(self._memory).cast("Q")
        self.key = os.urandom(16)

    def tally(self, slot: int) -> SideTally:
        """The row of a slot."""
        return SideTally(self._cells[slot * _ROW : (slot + 1) * _ROW], self.key)

    def clear(self, bank: int) -> None:
        """Begin anew."""
        nothing = bytes(_BANK * 8)
        for slot in range(self._slots):
            first = (slot * _ROW + bank * _BANK) * 8
            self._memory[first : first + len(nothing)] = nothing

    def read(self, bank: int) -> tuple[Side, Side]:
        """The generation for all, and the canary."""
        return self._side(bank, new=False), self._side(bank, new=True)

    def _side(self, bank: int, new: bool) -> Side:
        places = [slot * _ROW + bank * _BANK + new * _SIDE for slot in range(self._slots)]
        return Side(
            {
                outcome: Count(
                    sum(self._cells[place + cell] for place in places),
                    self._distinct([place + _SENDERS[outcome] for place in places]),
                )
                for outcome, cell in _MESSAGES.items()
            },
            sum(self._cells[place + _MICROSECONDS] for place in places) / 1e6,
            tuple(sum(self._cells[place + _RULES + column] for place in places) for column in range(RULES)),
        )

    def _distinct(self, words: list[int]) -> int:
        together = 0
        for word in words:
            together |= int.from_bytes(self._memory[word * 8 : (word + _WORDS) * 8], "little")
        return distinct(BITS, together.bit_count())
