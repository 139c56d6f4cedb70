"""What the patterns of one policy may cost to compile, all together.

The loader has a minute for a policy. Patterns that look dear share DEAR seconds, each may take half of what is left, so
that a few hopeless ones don't use up what the others need; the cheap ones have CHEAP seconds of their own.
Promises: a pattern that the image in force holds is in, and counts with what it took when it was made, so loads of the
same policy agree. Theory: seconds are processor time. Sizes would be no clock, but tell nothing: of two patterns with
databases of 100 KB one takes 50 ms, the other a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from tidegate.patterns.bounded import Compiled, compile_here, compile_within
from tidegate.patterns.cost import LIMIT, cost, is_dear
from tidegate.patterns.engine import MAX_PATTERN, PatternError

DEAR: Final = 12.0
CHEAP: Final = 12.0
EACH: Final = 3.0
"""Seconds of processor time: all dear patterns, all cheap ones, and one of the dear ones."""

_LEAST: Final = 0.02  # a try shorter than this is none

_SIMPLER = "make the numbers in its {m,n} smaller, or split it into several tests"


@dataclass(slots=True)
class Budget:
    """What is left for the patterns of one policy, and the dearest so far."""

    dear: float = DEAR
    cheap: float = CHEAP
    dearest: str = ""
    most: float = 0.0

    def charge(self, source: str, made: Compiled) -> None:
        """One pattern took so long, now or when it was made."""
        if made.dear:
            self.dear -= made.seconds
        else:
            self.cheap -= made.seconds
        if made.seconds > self.most:
            self.dearest, self.most = source, made.seconds

    def spent(self, dear: bool) -> str:
        """Why nothing more is tried."""
        share = f"the {DEAR:g} s that all dear patterns" if dear else f"the {CHEAP:g} s that all patterns"
        worst = f" (the dearest, {_short(self.dearest)}, {self.most:.2g} s)" if self.dearest else ""
        return f"it was not tried: {share} of a policy may take to compile are used up{worst}; make those simpler"


_MADE: dict[str, Compiled] = {}


def remember(made: Mapping[str, Compiled]) -> None:
    """What this process, or another one with the same engine, made of these patterns before."""
    _MADE.update(made)


def forget() -> None:
    """As in a new process."""
    _MADE.clear()


def made(source: str) -> Compiled | None:
    """What a pattern came to, where it was asked for before."""
    return _MADE.get(source)


def check(source: str, budget: Budget | None = None) -> str:
    """ "" where the engine runs this pattern of a `matches` test or a regex list; otherwise why not, for a person."""
    if source not in _MADE:
        if not source:
            return "the pattern is empty"
        if len(source) > MAX_PATTERN:
            return f"the pattern has {len(source)} characters; at most {MAX_PATTERN} are allowed"
        if cost(source) >= LIMIT:
            return "it repeats . or a Unicode class too often; make the numbers in its {m,n} smaller"
    return _known(source, Budget() if budget is None else budget).why


def compiled(source: str) -> bytes:
    """The serialised database of one pattern alone. Raises PatternError."""
    why = "" if source in _MADE else check(source)
    known = _MADE.get(source) or Compiled(b"", why)
    if known.why:
        raise PatternError(known.why)
    return known.data


def _known(source: str, budget: Budget) -> Compiled:
    known = _MADE.get(source)
    if known is None:
        dear = is_dear(source)
        known = _dear(source, budget) if dear else _cheap(source, budget)
        if known is None:
            return Compiled(b"", budget.spent(dear))
        _MADE[source] = known
    budget.charge(source, known)
    return known


def _cheap(source: str, budget: Budget) -> Compiled | None:
    return compile_here((source,), folded=False) if budget.cheap > 0 else None


def _dear(source: str, budget: Budget) -> Compiled | None:
    """None: there is no time for it."""
    room = min(EACH, budget.dear / 2)
    if room < _LEAST:
        return None
    found = compile_within((source,), False, room)
    if found.in_time:
        return replace(found, dear=True)
    return replace(found, why=f"{found.why}, of the {room:.2g} s that it may take; {_SIMPLER}")


def _short(source: str) -> str:
    return f"`{source}`" if len(source) <= 60 else f"`{source[:60]}…`"
