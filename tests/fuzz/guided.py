"""A small coverage-guided fuzzer: an input that reaches a line or an edge that none before reached is kept, and changed
further. The lines are those of Tidegate alone, seen by sys.settrace; edges are pairs of lines of one frame.

It is honest about what it is not: some thousand inputs a second at the most, no comparison is looked into, no C code is
seen. Where atheris is installed `make fuzz` uses that instead (tests/fuzz/__main__.py).
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

_WORDS = (
    b"\0",
    b"\n",
    b"\r\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b": ",
    b"- ",
    b"=?",
    b"?=",
    b"<",
    b">",
    b"@",
    b"(",
    b'"',
    b"\xff",
)
_LONGEST = 4_096
Edge = tuple[str, int, int]


@dataclass(slots=True)
class Found:
    """What a run came to: the inputs that reached something new, how much was reached, and what failed."""

    corpus: list[bytes] = field(default_factory=list)
    edges: set[Edge] = field(default_factory=set)
    runs: int = 0
    failures: list[tuple[bytes, BaseException]] = field(default_factory=list)


def fuzz(
    target: Callable[[bytes], None],
    seeds: Iterable[bytes],
    *,
    runs: int,
    seed: int = 1,
    seconds: float = 3600.0,
    stop_at: int = 5,
    of: str = "/tidegate/",
) -> Found:
    """So many inputs, or so many seconds; fewer where `stop_at` failed. Paths with `of` in them are followed."""
    found, chance, end = Found(), random.Random(seed), time.monotonic() + seconds
    for data in seeds:
        _try(target, data, found, of)
    while found.runs < runs and time.monotonic() < end and len(found.failures) < stop_at:
        _try(target, changed(chance.choice(found.corpus), found.corpus, chance), found, of)
    return found


def _try(target: Callable[[bytes], None], data: bytes, found: Found, of: str) -> None:
    found.runs += 1
    edges: set[Edge] = set()
    sys.settrace(_tracer(edges, of))
    try:
        target(data)
    except Exception as error:  # noqa: BLE001 - whatever a target raises is what is looked for
        found.failures.append((data, error))
    finally:
        sys.settrace(None)
    if not edges <= found.edges:
        found.edges |= edges
        found.corpus.append(data)


def _tracer(edges: set[Edge], of: str) -> Callable[[FrameType, str, Any], Any]:
    def start(frame: FrameType, _event: str, _argument: object) -> Any:
        name = frame.f_code.co_filename
        if of not in name:
            return None
        last = 0

        def line(inner: FrameType, _event: str, _argument: object) -> Any:
            nonlocal last
            edges.add((name, last, inner.f_lineno))
            last = inner.f_lineno
            return line

        return line

    return start


def changed(data: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    """The input with one to four changes: a byte, a word, a piece taken out, doubled, or taken from another input."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(made))
        to = min(len(made), at + chance.choice((1, 2, 4, 16, 64)))
        match chance.randrange(6):
            case 0:
                made[at:to] = bytes(chance.randrange(256) for _ in range(to - at))
            case 1:
                made[at:at] = chance.choice(_WORDS)
            case 2:
                del made[at:to]
            case 3:
                made[at:at] = made[at:to] * chance.choice((1, 2, 8))
            case 4:
                other = chance.choice(corpus)
                start = chance.randint(0, len(other))
                made[at:to] = other[start : start + chance.choice((4, 32, 256))]
            case 5 if made:
                made[at % len(made)] ^= 1 << chance.randrange(8)
    return bytes(made[:_LONGEST])
