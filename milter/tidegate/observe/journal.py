"""What is being judged right now, in shared memory made before the fork: it outlives the worker that it killed.

Promises: a row for each judgement in flight says since when, by whose message, of which generation, and which rule is
being evaluated, written before it is evaluated; beside the rows a ring of the latest failures of rules. Writing never
blocks, never raises, and costs some 0.3 us a message and one store a rule. Refuses: names and content; a sender and a
message are 64-bit numbers that say only whether two are the same.

Theory: only the worker in a slot writes its part. Each of its sessions takes a row of its own from a pool (`pop` and
`append` are atomic), and the last cell that is written makes the row valid. The supervisor reads the rows of a dead
worker at leisure; those of a living one may change under it, so a row that looks overdue is one only if it looks the
same at two looks.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from zlib import crc32

from tidegate.observe.senders import sender_name

ROWS = 64
"""Judgements in flight that are on record, for each slot. More at once are judged without a row."""
RING = 64
"""Failures of rules that a slot remembers between two looks of the supervisor, a quarter of a second apart."""

_CELLS = 8  # of a row: since (a double), generation, who, shape, sender, print, state; one is spare
_STATE = 6
_FAULT = 2  # cells of a failure: rule column, sender
_SLOT = _CELLS * ROWS + 1 + _FAULT * RING
_HEAD = _CELLS * ROWS
_PACK = Struct("=dQqQQQQ").pack_into
_UNPACK = Struct("=dQqQQQQ").unpack_from
_SEARCH = 1  # engine/inquiry.py: the rules are being looked up; FIRST + number is a rule
_FIRST = 2
_COUNTING = (1 << 63) - 1  # likewise: limits are being asked


@dataclass(frozen=True, slots=True)
class Flight:
    """One judgement in flight. `rule` is the rule's number in that generation, None: the look-up of the rules.

    `counting`: it waits for the count of its limits; neither a rule nor the message is being evaluated.

    `sender` and `print` are 0 where nobody asked for them. `who` and `shape` always tell, if not as well, whether
    sender and message are the same; `who` only as long as the daemon lives: Python's hash has a new seed each time.
    """

    since: float  # monotonic seconds, the same in all processes of a machine
    generation: int
    rule: int | None
    who: int
    shape: int
    sender: int = 0
    print: int = 0
    counting: bool = False


def sender_key(login: str, client: str) -> int:
    """Who sends: the login, or the client's network where there is none. Never 0."""
    return crc32(sender_name(login, client).encode("utf-8", "backslashreplace")) + 1


def print_of(sender: int, headers: Iterable[tuple[str, bytes]]) -> int:
    """A message's number: the same whenever the same sender hands in the same headers. Never 0."""
    hashed = blake2b(digest_size=7, key=sender.to_bytes(8, "big"))
    for name, value in headers:
        hashed.update(name.encode("utf-8", "backslashreplace"))
        hashed.update(b":")
        hashed.update(value)
        hashed.update(b"\n")
    return int.from_bytes(hashed.digest(), "big") + 1


class Row:
    """One judgement's row, and its watch (engine/inquiry.py): what is evaluated, and whether the time is up."""

    __slots__ = ("cells", "memory", "offset", "place", "spare", "until", "walks")

    def __init__(self, cells: memoryview[int], place: int, spare: bool = False) -> None:
        """`spare`: on record nowhere, because all rows are taken."""
        self.cells = cells
        self.memory = cells.cast("B")
        self.place = place
        self.offset = (place - _STATE) * 8
        self.spare = spare
        self.until = 0.0  # monotonic seconds
        self.walks = False

    def late(self) -> bool:
        return time.monotonic() > self.until


class Page:
    """One worker's part."""

    __slots__ = ("_cells", "_rows")

    def __init__(self, memory: memoryview) -> None:
        self._cells = memory.cast("Q")
        self._rows = [Row(self._cells, _CELLS * number + _STATE) for number in range(ROWS)]

    def begin(
        self, began: float, until: float, generation: int, who: int, shape: int, sender: int = 0, print_: int = 0
    ) -> Row:
        """On record: a judgement begins. Give the row back to `end`."""
        rows = self._rows
        row = rows.pop() if rows else Row(memoryview(bytearray(8 * _CELLS)).cast("Q"), _STATE, spare=True)
        _PACK(row.memory, row.offset, began, generation, who, shape, sender, print_, _SEARCH)
        row.until = until
        return row

    def end(self, row: Row) -> None:
        """The judgement is over."""
        row.cells[row.place] = 0
        if not row.spare:
            self._rows.append(row)

    def failed(self, column: int, sender: int) -> None:
        """The rule that counts in this column failed over a message of this sender."""
        cells = self._cells
        head = cells[_HEAD]
        place = _HEAD + 1 + _FAULT * (head % RING)
        cells[place], cells[place + 1] = column, sender
        cells[_HEAD] = head + 1


class Journal:
    """All pages. Make it once, before any fork; the supervisor reads, and clears what the dead have left."""

    def __init__(self, slots: int) -> None:
        self._memory = memoryview(mmap.mmap(-1, _SLOT * 8 * slots))
        self._cells = self._memory.cast("Q")
        self.slots = slots

    def page(self, slot: int) -> Page:
        """The part of a slot, 0 to slots-1."""
        return Page(self._memory[slot * _SLOT * 8 : (slot + 1) * _SLOT * 8])

    def flights(self, slot: int) -> list[Flight]:
        """What is in flight in this slot, or was when its worker died."""
        found = []
        for first in range(slot * _SLOT, slot * _SLOT + _HEAD, _CELLS):
            if self._cells[first + _STATE]:
                since, generation, who, shape, sender, print_, state = _UNPACK(self._memory, first * 8)
                counting = state == _COUNTING
                rule = state - _FIRST if state >= _FIRST and not counting else None
                found.append(Flight(since, generation, rule, who, shape, sender, print_, counting))
        return found

    def clear(self, slot: int) -> None:
        """Before a new worker takes the slot. Its failures stay to be read."""
        for first in range(slot * _SLOT, slot * _SLOT + _HEAD, _CELLS):
            self._cells[first + _STATE] = 0

    def head(self, slot: int) -> int:
        """How many failures this slot has noted since the daemon began."""
        return int(self._cells[slot * _SLOT + _HEAD])

    def failures(self, slot: int, since: int) -> list[tuple[int, int]]:
        """(rule column, sender) of the failures from number `since` on, as far as they are remembered."""
        base = slot * _SLOT + _HEAD + 1
        head = self.head(slot)
        cells = self._cells
        places = [base + _FAULT * (number % RING) for number in range(max(since, head - RING), head)]
        return [(cells[place], cells[place + 1]) for place in places]
