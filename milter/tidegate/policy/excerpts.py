"""The source line of each problem, to show it in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from tidegate.model import Problem

MAX_EXCERPT = 2000
"""Characters of a line that are shown; beyond, the caret would be out of sight anyway."""

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # YAML 1.1's line breaks, which is how the reader counts lines


def with_excerpts(problems: Iterable[Problem], data: Mapping[str, bytes]) -> list[Problem]:
    """The problems, each with the line that it stands on where that can be shown."""
    lines: dict[str, list[str]] = {}
    found: list[Problem] = []
    for one in problems:
        source, line = one.place.source, one.place.line
        if one.excerpt or line < 1 or source not in data:
            found.append(one)
            continue
        if source not in lines:
            lines[source] = _BREAK.split(data[source].decode("utf-8", "replace").removeprefix("\ufeff"))
        known = lines[source]
        found.append(replace(one, excerpt=known[line - 1][:MAX_EXCERPT]) if line <= len(known) else one)
    return found
