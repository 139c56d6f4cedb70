"""How many different senders had which outcome, per generation and per rule; in shared memory made before the fork.

Promises: one byte is stored for a sender, whatever it sends; a store never blocks and is never half done; what is kept
of a sender is a position that nobody can take back to a name. Counts are estimates: exact for a few, within some
percent up to thousands. Refuses: clocks (the time is an argument), own faults (the caller leaves them out), deciding.

Theory: linear counting (distinct.py). A map has a byte for each value of a keyed hash; a sender leaves the number of
the current ten minutes there. A number instead of a bit makes the window slide without clearing, and a byte instead of
a bit makes the store whole without a lock: two workers that write the same byte write the same. The hash is Python's
own of texts: keyed anew for each supervisor, and the same in all processes forked from it. Numbers return after 41
hours; `sweep` clears what is too old in time.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Mapping
from functools import lru_cache

from tidegate.model import Disposition
from tidegate.observe.counters import RULES_LIMIT
from tidegate.observe.distinct import distinct

STEP = 600.0  # seconds
_NUMBERS = 250
OLDEST = 150  # steps of which a count may ask: a day and a margin
WIDE = 16 * 1024  # bytes of a map of all senders: some 150,000 can be told apart
NARROW = 1024  # of a rule's: some 7,000
_WIDE = WIDE - 1
_GENERATIONS = 4  # that are counted side by side
_OUTCOMES = len(Disposition)
_FRESH = _OUTCOMES  # in a generation's row: senders whom a new rule stopped, and nothing before it
_ROW = (_OUTCOMES + 1) * WIDE
_HOUR = 7  # steps: six, and the one that has begun
_SEEN = 0
_PAST = _SEEN + WIDE  # whom other rules stopped before: that is no news
_ROWS = _PAST + WIDE
_RULES = _ROWS + _GENERATIONS * _ROW
_LIMITS = _RULES + RULES_LIMIT * NARROW
_TOUCHED = _LIMITS + (RULES_LIMIT + 1) * 4
_SIZE = _TOUCHED + RULES_LIMIT
_EVERY = RULES_LIMIT  # the place of the limit for all
NEW = 1
"""The limit of a rule that is new with its generation."""


def step_of(now: float) -> int:
    """The number of the ten minutes in which `now` (POSIX seconds) is."""
    return int(now // STEP)


@lru_cache(maxsize=64)
def _window(step: int, steps: int) -> bytes:
    """A table that makes 1 of the numbers of the last `steps` ten minutes, and 0 of the others."""
    wanted = {number % _NUMBERS + 1 for number in range(step - steps + 1, step + 1)}
    return bytes(int(value in wanted) for value in range(256))


class Crowds:
    """All maps. Make it once, before any fork; every process that was forked since sees the same."""

    __slots__ = ("_cells", "_here", "_limits", "_memory", "_touched", "columns")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        view = memoryview(self._memory)
        self._cells = view[:_LIMITS]
        self._limits = view[_LIMITS:_TOUCHED].cast("I")
        self._touched = view[_TOUCHED:]
        # What `saw` needs of these ten minutes and the generation that it last saw, as one value: threads share it.
        self._here: tuple[float, float, int, int, tuple[int, ...]] = (0.0, 0.0, 0, 0, ())
        self.columns: Mapping[str, int] = {}  # of the counters (RuleColumns): in which place a rule counts

    # ── in a worker ──────────────────────────────────────────────────────────────────────────────────────────

    def saw(self, who: int, outcome: Disposition, generation: int, now: float) -> None:
        """A message of this sender (a hash) came to this outcome."""
        begin, end, known, number, starts = self._here
        if known != generation or not begin <= now < end:
            number, starts = self._turn(now, generation)
        self._cells[starts[outcome] + (who & _WIDE)] = number

    def _turn(self, now: float, generation: int) -> tuple[int, tuple[int, ...]]:
        """The number that is left by whoever comes now, and where the maps of a generation's outcomes begin."""
        step = int(now // STEP)
        row = _ROWS + generation % _GENERATIONS * _ROW
        starts = tuple(row + outcome * WIDE for outcome in range(_OUTCOMES))
        self._here = (step * STEP, step * STEP + STEP, generation, step % _NUMBERS + 1, starts)
        return step % _NUMBERS + 1, starts

    def hit(self, rule: str, who: int, generation: int, now: float) -> None:
        """The rule acted on a message of this sender."""
        column = self.columns.get(rule)
        if column is None:
            return
        number, _ = self._turn(now, generation)
        self._cells[_RULES + column * NARROW + (who & (NARROW - 1))] = number
        self._touched[column] = 1
        if self._limits[column] == NEW:
            place = who & _WIDE
            if not self._cells[_PAST + place]:
                self._cells[_ROWS + generation % _GENERATIONS * _ROW + _FRESH * WIDE + place] = number

    def over(self, rule: str, generation: int, now: float) -> bool:
        """Has the rule hit more senders than its limit allows?

        A rule that is new with its generation: more than a few, and more than the generation let pass (a quarter of
        that where it is more than any rule may hit). Another one: more than its own limit, and more than any rule
        may hit. One with an `expect`: more than that.
        """
        column = self.columns.get(rule)
        limit = self._limits[column] if column is not None else 0
        if not limit or column is None:
            return False
        step = step_of(now)
        if limit == NEW:
            stopped = self.stopped_by_new(generation, step)
            few, every = self.limits()
            if stopped <= few:
                return False
            passed = self.outcome(generation, Disposition.ACCEPT, step)
            return stopped > passed or (stopped > every and 4 * stopped > passed)
        steps, most = limit >> 16, limit & 0xFFFF
        if steps:
            return self.hits(column, step, steps) > most
        return self.hits(column, step, 2) > max(most, self.limits()[1])

    def expects(self, rule: str) -> bool:
        """Is what the rule hits counted even where another rule decided?"""
        column = self.columns.get(rule)
        return column is not None and self._limits[column] >> 16 > 0

    # ── counts ───────────────────────────────────────────────────────────────────────────────────────────────

    def _count(self, start: int, size: int, step: int, steps: int) -> int:
        # Of most maps the most is empty, and counting the few is fast.
        taken = bytes(self._cells[start : start + size]).translate(_window(step, min(steps, OLDEST))).count(1)
        return distinct(size, taken)

    def _joined(self, starts: Iterable[int], step: int, steps: int) -> int:
        """A byte of 1 for each that one of these maps has."""
        table, joined = _window(step, steps), 0
        for start in starts:
            joined |= int.from_bytes(bytes(self._cells[start : start + WIDE]).translate(table), "little")
        return joined

    def seen(self, step: int) -> int:
        """Different senders in the last hour."""
        rows = [_ROWS + at * WIDE for at in range(_GENERATIONS * (_OUTCOMES + 1))]
        return distinct(WIDE, self._joined([_SEEN, *rows], step, _HOUR).bit_count())

    def outcome(self, generation: int, outcome: Disposition, step: int) -> int:
        """Different senders with this outcome under a generation, since it is in force (a day at most)."""
        start = _ROWS + (generation % _GENERATIONS) * _ROW + outcome * WIDE
        return self._count(start, WIDE, step, OLDEST)

    def stopped(self, generation: int, step: int, steps: int) -> int:
        """Different senders of whom something was refused, deferred, held or discarded under a generation."""
        row = _ROWS + (generation % _GENERATIONS) * _ROW
        others = [row + one * WIDE for one in Disposition if one is not Disposition.ACCEPT]
        return distinct(WIDE, self._joined(others, step, steps).bit_count())

    def stopped_by_new(self, generation: int, step: int) -> int:
        """Different senders whom rules stopped that are new with this generation, and whom nothing stopped before."""
        start = _ROWS + (generation % _GENERATIONS) * _ROW + _FRESH * WIDE
        return self._count(start, WIDE, step, OLDEST)

    def hits(self, column: int, step: int, steps: int) -> int:
        """Different senders whom the rule in this place hit in the last `steps` ten minutes, these included."""
        return self._count(_RULES + column * NARROW, NARROW, step, steps)

    # ── in the supervisor ────────────────────────────────────────────────────────────────────────────────────

    def begin(self, generation: int, step: int) -> None:
        """A generation is about to go live: count its outcomes from nothing. Who was seen in the last hour stays."""
        for at in range(_GENERATIONS):
            row = _ROWS + at * _ROW
            outcomes = [row + one * WIDE for one in Disposition]
            self._keep(_SEEN, self._joined(outcomes, step, _HOUR), step)
            news = self._joined([row + _FRESH * WIDE], step, OLDEST)
            self._keep(_PAST, self._joined(outcomes[1:], step, _HOUR) & ~news, step)
        start = _ROWS + (generation % _GENERATIONS) * _ROW
        self._cells[start : start + _ROW] = bytes(_ROW)

    def settle(self, generation: int) -> None:
        """What this generation's new rules stop is no news any more."""
        start = _ROWS + (generation % _GENERATIONS) * _ROW + _FRESH * WIDE
        self._cells[start : start + WIDE] = bytes(WIDE)

    def _keep(self, start: int, joined: int, step: int) -> None:
        """Set a map to the current number where `joined` has a byte of 1."""
        here = int.from_bytes(bytes((step % _NUMBERS + 1,)) * WIDE, "little")
        before = int.from_bytes(bytes(self._cells[start : start + WIDE]), "little")
        mask = joined * 255
        self._cells[start : start + WIDE] = (before & ~mask | here & mask).to_bytes(WIDE, "little")

    def touched(self) -> list[int]:
        """The rules that hit somebody since the last call, by their places."""
        found: list[int] = []
        data = bytes(self._touched)
        at = data.find(1)
        while at >= 0:
            self._touched[at] = 0
            found.append(at)
            at = data.find(1, at + 1)
        return found

    def forget(self, column: int) -> None:
        """Count the rule in this place from nothing."""
        start = _RULES + column * NARROW
        self._cells[start : start + NARROW] = bytes(NARROW)

    def limit(self, column: int, most: int, steps: int = 0) -> None:
        """The rule's limit: 0 none, NEW, or a number of senders; `steps`: in so many ten minutes, and that alone."""
        self._limits[column] = (steps & 0xFFFF) << 16 | min(most, 0xFFFF)

    def limit_all(self, few: int, every: int) -> None:
        """How many senders are few, and beyond how many a rule hits too many."""
        self._limits[_EVERY] = min(few, 0xFFFF) << 16 | min(every, 0xFFFF)

    def limits(self) -> tuple[int, int]:
        """Both."""
        both = self._limits[_EVERY]
        return both >> 16, both & 0xFFFF

    def sweep(self, step: int, columns: tuple[int, ...]) -> None:
        """Clear what is too old; once in ten minutes, for the rules that have hit something."""
        starts = [
            (_SEEN, WIDE),
            (_PAST, WIDE),
            *((_ROWS + at * WIDE, WIDE) for at in range(_GENERATIONS * (_OUTCOMES + 1))),
        ]
        for start, size in (*starts, *((_RULES + column * NARROW, NARROW) for column in columns)):
            data = bytes(self._cells[start : start + size])
            kept = data.translate(_kept(step))
            if kept != data:
                self._cells[start : start + size] = kept


@lru_cache(maxsize=2)
def _kept(step: int) -> bytes:
    fresh = _window(step, OLDEST)
    return bytes(value if fresh[value] else 0 for value in range(256))
