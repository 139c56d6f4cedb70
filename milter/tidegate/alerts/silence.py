"""Silences: alerts of which nobody is to be told for a while. They stay in `tidegate status`, with the reason.

Promises: every silence ends by itself. Refuses: silences without an end or a reason.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate import records

NAME = "silences"
LONGEST = 30 * 86400.0  # seconds


@dataclass(frozen=True, slots=True)
class Silence:
    """One of them. Times are POSIX seconds."""

    key: str  # of the alert
    until: float
    reason: str
    by: str
    since: float


def standing(silences: Iterable[Silence], now: float) -> tuple[Silence, ...]:
    """Those that have not ended."""
    return tuple(one for one in silences if one.until > now)


def store(state: str | os.PathLike[str], silences: Iterable[Silence]) -> None:
    """Record them. Raises OSError."""
    records.write(Path(state) / NAME, json.dumps([asdict(one) for one in silences]).encode())


def recall(state: str | os.PathLike[str]) -> tuple[Silence, ...]:
    """Those that were recorded. A damaged record counts as none: then people are told."""
    try:
        rows = json.loads(records.read(Path(state) / NAME))
        return tuple(
            Silence(str(row["key"]), float(row["until"]), str(row["reason"]), str(row["by"]), float(row["since"]))
            for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
