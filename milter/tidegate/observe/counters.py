"""Counters in shared memory, made before the fork: one block per worker, cumulative over its restarts.

Promises: counting never blocks, never raises and costs well under a microsecond; a worker that dies loses nothing
that it counted. Refuses: labels that come from mail (sender, login, address); only closed sets and rule ids.

Theory: an anonymous shared mmap holds one row of 64-bit cells per worker slot. Only the worker in a slot writes its
row. Its sessions run in several threads, but `cells[n] += 1` is three bytecodes between which CPython (3.11 to 3.13)
never gives up the interpreter lock (it looks for other threads at calls and backward jumps only), so no lock is
needed. Readers (clerk, supervisor) may see a histogram one message ahead of its sum, which Prometheus tolerates.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from tidegate.model import Disposition
from tidegate.observe.sides import Sides

RULES_LIMIT = 20_000  # rules with a counter of their own; the others still count in the verdicts
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 8.0)  # seconds


class ErrorKind(str, Enum):
    """Our own faults, by kind (tidegate_errors_total{kind})."""

    EXCEPTION = "exception"  # a callback raised; the guard answered
    DEADLINE = "deadline"  # the message took longer than `deadline`
    NO_POLICY = "no_policy"  # no generation was ever loaded
    NEGOTIATION = "negotiation"  # a connection negotiated for less than its generation needs
    GATE = "gate"  # end of message without a verdict for this message
    ANSWER = "answer"  # a return value that is not on the whitelist, or a reply that libmilter refused
    UNREADABLE = "unreadable"  # a macro or an address that could not be read
    LOG = "log"  # a log line that could not be written
    POISON = "poison"  # a message that kills its inspector, or of a sender whose mail does, and was not judged
    RULE = "rule"  # the evaluation of a rule failed, which left that rule in doubt


class Event(str, Enum):
    """What else is counted, each a counter of its own."""

    CONNECTIONS = "connections"
    DISCONNECTIONS = "disconnections"
    MESSAGES = "messages"
    ABORTED = "aborted"
    RECIPIENTS_REFUSED = "recipients_refused"
    UNCERTAIN = "uncertain"
    EDITED = "edited"
    EXPOSURE_LOST = "exposure_lost"
    REPLAY_LOST = "replay_lost"
    LIMIT_WARNED = "limit_warned"
    LIMIT_EXCEEDED = "limit_exceeded"
    LIMIT_LOCAL = "limit_local"
    LIMIT_UNKNOWN = "limit_unknown"
    SUSPENSIONS_LOST = "suspensions_lost"


_DISPOSITIONS = tuple(Disposition)
_VERDICTS = 0
_ERRORS = _VERDICTS + len(_DISPOSITIONS)
_EVENTS = _ERRORS + len(ErrorKind)
_BUCKETS = _EVENTS + len(Event)
_MICROSECONDS = _BUCKETS + len(BUCKETS) + 1
_RULES = _MICROSECONDS + 1
_PER_RULE = 3  # enforced, shadow, exposed
_ROW = _RULES + _PER_RULE * RULES_LIMIT
_ERROR_CELL = {kind: _ERRORS + number for number, kind in enumerate(ErrorKind)}
_EVENT_CELL = {event: _EVENTS + number for number, event in enumerate(Event)}


@dataclass(frozen=True, slots=True)
class Totals:
    """The sum over all workers at one moment."""

    verdicts: Mapping[Disposition, int]
    errors: Mapping[ErrorKind, int]
    events: Mapping[Event, int]
    buckets: tuple[int, ...]  # not cumulative; the last one is +Inf
    seconds: float


class Tally:
    """One worker's row. All methods may be called from any of its threads."""

    __slots__ = ("_cells", "_columns")

    def __init__(self, cells: memoryview) -> None:
        self._cells = cells
        self._columns: Mapping[str, int] = {}

    def name_rules(self, columns: Mapping[str, int]) -> None:
        """From now on count rules by these columns (RuleColumns.columns of the supervisor)."""
        self._columns = columns

    def verdict(self, disposition: Disposition) -> None:
        self._cells[_VERDICTS + disposition] += 1

    def error(self, kind: ErrorKind) -> None:
        self._cells[_ERROR_CELL[kind]] += 1

    def event(self, event: Event) -> None:
        self._cells[_EVENT_CELL[event]] += 1

    def seconds(self, seconds: float) -> None:
        """One message took `seconds` of ours, from its end to our answer; the client's own time is not in it."""
        cells = self._cells
        cells[_BUCKETS + bisect_left(BUCKETS, seconds)] += 1
        cells[_MICROSECONDS] += max(0, int(seconds * 1e6))

    def rule(self, rule: str, shadow: bool = False) -> None:
        """The rule matched. One without a column (more than RULES_LIMIT rules) is not counted by name."""
        column = self._columns.get(rule)
        if column is not None:
            self._cells[_RULES + _PER_RULE * column + shadow] += 1

    def exposed(self, rule: str) -> None:
        """The rule would have been concerned, and is not in force."""
        column = self._columns.get(rule)
        if column is not None:
            self._cells[_RULES + _PER_RULE * column + 2] += 1

    def column(self, rule: str) -> int | None:
        """Where the rule is counted."""
        return self._columns.get(rule)

    def sessions(self) -> int:
        """Connections opened and not yet closed by the workers of this slot; restarts leave them too high."""
        cells = self._cells
        return int(cells[_EVENT_CELL[Event.CONNECTIONS]] - cells[_EVENT_CELL[Event.DISCONNECTIONS]])


class Counters:
    """All rows, and those of a canary. Make it once, before any fork; what was forked since sees the same cells."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.sides = Sides(slots)
        self._memory = mmap.mmap(-1, _ROW * 8 * slots)
        self._cells = memoryview(self._memory).cast("Q")

    def tally(self, slot: int) -> Tally:
        """The row of a slot, 0 to slots-1. Raises IndexError for others."""
        if not 0 <= slot < self._slots:
            raise IndexError(f"no counter slot {slot}")
        return Tally(self._cells[slot * _ROW : (slot + 1) * _ROW])

    def _sum(self, cell: int) -> int:
        return sum(self._cells[slot * _ROW + cell] for slot in range(self._slots))

    def totals(self) -> Totals:
        """Everything but the rules, summed over the slots."""
        return Totals(
            verdicts={disposition: self._sum(_VERDICTS + disposition) for disposition in _DISPOSITIONS},
            errors={kind: self._sum(cell) for kind, cell in _ERROR_CELL.items()},
            events={event: self._sum(cell) for event, cell in _EVENT_CELL.items()},
            buckets=tuple(self._sum(_BUCKETS + number) for number in range(len(BUCKETS) + 1)),
            seconds=self._sum(_MICROSECONDS) / 1e6,
        )

    def error_total(self, kind: ErrorKind) -> int:
        """How often this went wrong, in all workers."""
        return self._sum(_ERROR_CELL[kind])

    def deferrals(self) -> int:
        """Messages deferred by our own doing: our faults, and doubts on which their fate depended."""
        faults = (ErrorKind.GATE, ErrorKind.NO_POLICY, ErrorKind.DEADLINE)
        return sum(map(self.error_total, faults)) + self._sum(_EVENT_CELL[Event.UNCERTAIN])

    def rule_totals(self, column: int) -> tuple[int, int]:
        """How often the rule in this column matched: (enforced, in shadow)."""
        first = _RULES + _PER_RULE * column
        return self._sum(first), self._sum(first + 1)

    def exposed_total(self, column: int) -> int:
        """How many messages the rule in this column would have concerned while it was not in force."""
        return self._sum(_RULES + _PER_RULE * column + 2)

    def clear_rule(self, column: int) -> None:
        """Forget a rule that is gone, so that its column can serve another."""
        for slot in range(self._slots):
            first = slot * _ROW + _RULES + _PER_RULE * column
            for cell in range(first, first + _PER_RULE):
                self._cells[cell] = 0


@dataclass(slots=True)
class RuleColumns:
    """Which rule counts in which column; the supervisor allots them when a generation arrives."""

    columns: dict[str, int] = field(default_factory=dict)

    def allot(self, rules: Iterable[str], counters: Counters) -> None:
        """Give every rule a column: an old one where it has it, a free one, or one of a rule that is gone."""
        wanted = dict.fromkeys(rules)
        fresh = [rule for rule in wanted if rule not in self.columns]
        used = len(self.columns)
        if used + len(fresh) > RULES_LIMIT:
            for gone in [rule for rule in self.columns if rule not in wanted]:
                counters.clear_rule(self.columns[gone])
                del self.columns[gone]
        taken = set(self.columns.values())
        free = (column for column in range(RULES_LIMIT) if column not in taken)
        self.columns = {**self.columns, **dict(zip(fresh, free, strict=False))}
