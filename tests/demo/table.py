"""One table for people: aligned, wrapped, at most 158 columns, a mark where a row is not as promised."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

HEADINGS = ("what was sent", "SMTP reply", "rule, and why", "what arrived")
WIDTHS = (36, 44, 38, 28)  # with the mark and the gaps: 158
GAP = "  "


@dataclass(frozen=True, slots=True)
class Row:
    """What happened in one step, and what was promised: a pattern per column, empty for "nothing to say"."""

    title: str
    reply: str
    rule: str
    arrived: str
    promised: tuple[str, str, str]

    @property
    def missed(self) -> tuple[str, ...]:
        """The columns that are not as promised, each with its promise."""
        seen = (self.reply, self.rule, self.arrived)
        return tuple(
            f"{heading}: promised {pattern or 'nothing'}"
            for heading, text, pattern in zip(HEADINGS[1:], seen, self.promised, strict=True)
            if not (re.search(pattern, text) if pattern else not text)
        )


def lines(cells: Sequence[str], mark: str) -> list[str]:
    """One row's lines: each cell wrapped to its column."""
    wrapped = [textwrap.wrap(cell, width) or ["-"] for cell, width in zip(cells, WIDTHS, strict=True)]
    height = max(len(cell) for cell in wrapped)
    out = []
    for number in range(height):
        parts = [
            (cell[number] if number < len(cell) else "").ljust(width)
            for cell, width in zip(wrapped, WIDTHS, strict=True)
        ]
        out.append(GAP.join([(mark if number == 0 else "").ljust(4), *parts]).rstrip())
    return out


def table(groups: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """The whole table: a heading, then groups of rows."""
    rule = GAP.join("-" * width for width in (4, *WIDTHS))
    out = [*lines(HEADINGS, ""), rule]
    for title, rows in groups:
        out += ["", f"{title}:"]
        for row in rows:
            out += lines((row.title, row.reply, row.rule, row.arrived), "FAIL" if row.missed else "ok")
            out += [f"      ^ {miss}" for miss in row.missed]
    return "\n".join(out)
