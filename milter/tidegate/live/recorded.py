"""Reading a record of the state directory: its value, or an empty one and the problem that says why.

Promises: whatever lies there, nothing is raised; what is damaged, or was written by another version, is set aside as
NAME.damaged for a person to look at, and the daemon goes on with an empty record. Refuses: writing (records.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tidegate import records
from tidegate.alerts import problem
from tidegate.model import Place, Problem

Value = TypeVar("Value")


class ForeignError(ValueError):
    """It is whole, and was written by a version of Tidegate that writes it in another way."""

    def __init__(self, found: object) -> None:
        super().__init__(f"another version of Tidegate wrote it (format {str(found)[:20]})")


def recorded(
    path: Path, what: str, decode: Callable[[bytes], Value], empty: Value
) -> tuple[Value, tuple[Problem, ...]]:
    """What `decode` makes of the record; `empty` where there is none, or none that can be used. `what` names it.

    `decode` may raise what json and unpacking raise.
    """
    try:
        return decode(records.read(path)), ()
    except FileNotFoundError:
        return empty, ()
    except OSError as error:
        return empty, (_unusable(path, what, error.strerror or "it can't be read"),)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        unusable = _unusable(path, what, str(error)[:200])
    try:
        records.set_aside(path)
    except OSError as error:
        return empty, (unusable, _unusable(path, what, f"it can't be set aside: {error.strerror}"))
    return empty, (unusable,)


def _unusable(path: Path, what: str, why: str) -> Problem:
    return problem("record-corrupt", f"{what} can't be used: {why}", Place(str(path), 0, 0))
