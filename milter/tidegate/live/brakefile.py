"""The brake as a plain file, for when the daemon can't be asked: `brake` in the state directory.

    # WHAT  UNTIL               HOW
    all     2026-12-01T10:00Z   the helpdesk is flooded
    bulk    2026-12-01T18:00Z   soft  the new rule hits too much

WHAT is `all`, the id of a rule, or a tag. UNTIL is a time with its zone, at most seven days after the file was written.
`soft` makes refusals deferrals; without it the rules are in shadow. The rest is the reason.

Promises: a line that can't be read costs that line, and is told; what is no file, or too large, is an error.
Refuses: knowing which rules there are.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import datetime

from tidegate.model import Easing

NAME = "brake"
MAX_BYTES = 4096  # six times that, as JSON, fits into a packet of the clerk's
LONGEST = 7 * 86400.0
"""Seconds that any brake may last: one that nobody ends must end."""
EVERYTHING = "all"


@dataclass(frozen=True, slots=True)
class Line:
    """One readable line; `until` in POSIX seconds."""

    what: str
    easing: Easing
    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The file as it stands: its text, when it was written, or why it can't be read."""

    text: str = ""
    written: float = 0.0
    error: str = ""


def find(state: str) -> Found:
    """The brake file of this state directory; nothing where there is none."""
    try:
        with open(os.path.join(state, NAME), "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Found(error="it is no regular file")
            data = file.read(MAX_BYTES + 1)
            written = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return Found()
    except OSError as error:
        return Found(error=error.strerror or str(error))
    if len(data) > MAX_BYTES:
        return Found(error=f"it is larger than {MAX_BYTES // 1024} KiB")
    return Found(data.decode("utf-8", "replace"), written)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would keep the clerk for ever


def read_lines(text: str, written: float) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """The lines, and what is wrong with the others; `written` is when the file was, in POSIX seconds."""
    found: list[Line] = []
    problems: list[str] = []
    for number, row in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        words = row.split()
        if not words or words[0].startswith("#"):
            continue
        until = _moment(words[1]) if len(words) > 1 else None
        if until is None:
            problems.append(f"line {number}: write WHAT UNTIL REASON, as in: all 2026-12-01T10:00Z too many refusals")
            continue
        if until > written + LONGEST:
            problems.append(f"line {number}: it ends more than seven days after the file was written; seven count")
            until = written + LONGEST
        soft = len(words) > 2 and words[2] == Easing.SOFT.value
        reason = " ".join(words[3 if soft else 2 :])[:200]
        found.append(Line(words[0], Easing.SOFT if soft else Easing.SHADOW, until, reason))
    return tuple(found), tuple(problems)


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None
