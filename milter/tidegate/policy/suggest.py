"""Did you mean: the nearest known name for one that isn't known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_LONGEST = 80
"""Characters of a name that are compared: difflib's work grows with the square."""
_MANY = 2000
"""Known names that are compared; among more, only those that begin alike."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`; "" where none is."""
    wanted = name[:_LONGEST].lower()
    names = list(known)
    if len(names) > _MANY:
        names = [one for one in names if one[:2].lower() == wanted[:2]][:_MANY]
    folded = {one.lower(): one for one in names}
    found = difflib.get_close_matches(wanted, folded, 1, 0.7)
    return folded[found[0]] if found else ""


def did_you_mean(name: str, known: Iterable[str], others: Mapping[str, str] = MappingProxyType({})) -> str:
    """`; did you mean "x"?` to end a message with, or "". `others` are names that `known` ones have elsewhere."""
    known = tuple(known)
    other = others.get(name.lower(), "")
    near = other if other in known else nearest(name, known)
    return f"; did you mean `{near}`?" if near else ""


def shown(text: str, limit: int = 60) -> str:
    """A piece of somebody's text for a message: one line, in back quotes, cut where it is long."""
    line = "".join(one if one.isprintable() else "?" for one in text[: limit + 1])
    return f"`{line[:limit]}…`" if len(line) > limit else f"`{line}`"
