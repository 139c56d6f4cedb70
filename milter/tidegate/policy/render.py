"""A problem as lines for a terminal: place, code and message; the source line with a caret under the span; the cure."""

from __future__ import annotations

import unicodedata

from tidegate.model import Problem, Severity

_WIDTH = 160
"""Columns of the source line that are shown."""
_MARGIN = 40


def line(problem: Problem) -> str:
    """`10-site.yaml:12:9: unknown-key: …`, one line, for editors and for comparison."""
    return _printable(f"{problem.place}: {problem.code}: {problem.message}")


def render(problem: Problem, source_line: str = "") -> str:
    """The whole, in several lines. `source_line` empty: the problem's own excerpt is shown."""
    grade = "" if problem.severity is Severity.ERROR else f"{problem.severity.name.lower()}: "
    parts = [f"{_printable(str(problem.place))}: {grade}{problem.code}: {_printable(problem.message)}"]
    text = source_line or problem.excerpt
    if text.strip() and problem.place.line:
        parts += _pointed(problem, text)
    if problem.cure:
        parts.append(f"  = {_printable(problem.cure)}")
    return "\n".join(parts)


def _pointed(problem: Problem, text: str) -> list[str]:
    place = problem.place
    column = min(max(place.column, 1), len(text) + 1) - 1
    end = place.end_column - 1 if place.end_column > place.column else column + 1
    begin = max(0, column - _MARGIN) if column > _WIDTH - _MARGIN else 0
    shown = text[begin : begin + _WIDTH]
    lead = _width(text[begin:column])
    span = max(1, _width(text[column : min(end, begin + _WIDTH)]))
    number = str(place.line)
    return [f"  {number} | {_printable(shown)}", f"  {' ' * len(number)} | {' ' * lead}{'^' * span}"]


def _width(text: str) -> int:
    """Columns of a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def _printable(text: str) -> str:
    """Nothing of a hostile file reaches a terminal as a control sequence."""
    return "".join(one if one.isprintable() else " " if one == "\t" else "?" for one in text)
