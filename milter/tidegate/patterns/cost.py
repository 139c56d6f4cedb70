"""What a pattern will cost to compile, told by its text.

The engine unrolls counted repeats. Of a plain letter or an ASCII class that is cheap; of a `.`, a negated class or a
Unicode property each repeat is many bytes of UTF-8, and the engine works for seconds (`a.{0,2000}z`: 4.5 s, then it is
too large; `(?s)a.{0,5000}z`: 16 s; `x\\p{L}{1,60}y`: 37 s). The loader has a minute for a whole policy, so such a
pattern is refused before it is tried. That is no bound: `foo.{0,400}bar` is let through and would take a minute. So
what `is_dear` says may take long is compiled under a limit of time (bounded.py, budget.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

LIMIT: Final = 1500
"""From here on a pattern is refused; `.{0,1499}` is just below."""

_DEAR: Final = 40
_LONG: Final = 200

_PROPERTY: Final = 120
_MANY: Final = 1
_MOST: Final = 10**9

_ATOM = re.compile(
    r"""
      \\[pP](?:\{[^}]*\}|.)           (?# a property )
    | \\Q.*?(?:\\E|\Z)                (?# quoted text )
    | \\x\{[^}]*\}                    (?# a character by its number )
    | \\.?                            (?# any other escape )
    | \[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*+\]?   (?# a class )
    | \(\?\#[^)]*\)?                  (?# a comment )
    | \{\d+(?:,\d*)?\}                (?# a repeat )
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_PROPERTY_IN = re.compile(r"\\[pP]")
_MANY_IN = re.compile(r"\\[DWSHVN]|[^\x00-\x7f]")


def cost(source: str) -> int:
    """About how many positions of many bytes the pattern unrolls to."""
    return _unrolled(source, _weight)


def is_dear(source: str) -> bool:
    """Could it take the engine more than some 50 ms?"""
    return cost(source) >= _DEAR or _unrolled(source, _one) >= _LONG


def _unrolled(source: str, weight: Callable[[str], int]) -> int:
    sums = [0]
    last = 0
    for found in _ATOM.finditer(source):
        atom = found[0]
        if atom[0] == "{" and len(atom) > 1:
            more = last * (max(map(_count, atom[1:-1].split(","))) - 1)
            sums[-1] = min(_MOST, sums[-1] + max(0, more))
            last = min(_MOST, last + max(0, more))
            continue
        if atom == "(":
            sums.append(0)
            continue
        if atom == ")":
            last = sums.pop() if len(sums) > 1 else 0
        elif atom not in ("?", "*", "+"):
            last = weight(atom)
        else:
            continue
        sums[-1] = min(_MOST, sums[-1] + last)
    return min(_MOST, sum(sums))


def _one(_atom: str) -> int:
    return 1


def _count(digits: str) -> int:
    return min(_MOST, int(digits[:10] or 0))


def _weight(atom: str) -> int:
    if atom == ".":
        return _MANY
    if atom[0] == "[":
        if _PROPERTY_IN.search(atom):
            return _PROPERTY
        return _MANY if atom.startswith("[^") or _MANY_IN.search(atom) else 0
    if atom[0] == "\\" and len(atom) > 1:
        if atom[1] in "pP":
            return _PROPERTY
        return _MANY if atom[1] in "DWSHVN" else 0
    return 0
