"""`tidegate run` with a bug in it: `python3 tests/builders/saboteur.py run --config FILE`.

The operator `contains` kills, loops or raises where it is asked with the right word and the text holds it, as a bug in
an operator, or in the library behind it, would. A policy chooses what is done, by its operand:

    kill-9       os.kill(os.getpid(), 9)          segfault    ctypes.string_at(0)
    loop         for ever, in Python              raise       an exception
    stuck        for ever, holding the interpreter

The product has no hook for this: the operator is replaced here.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Sequence

from tidegate.cli import door
from tidegate.conditions import answers
from tidegate.model import Operator, Scalar


def _loop() -> None:
    while True:
        pass


def _raise() -> None:
    raise ZeroDivisionError("a bug")


DEEDS: dict[str, Callable[[], object]] = {
    "kill-9": lambda: os.kill(os.getpid(), 9),
    "segfault": lambda: ctypes.string_at(0),
    "loop": _loop,
    "raise": _raise,
    "stuck": lambda: ctypes.PyDLL(None).pause(),
}


def main() -> None:
    """Put the bug in, then do as the command does."""
    contains = answers._ON_TEXT[Operator.CONTAINS]

    def sabotaged(wanted: Sequence[Scalar], texts: Sequence[str]) -> str | None:
        for word in wanted:
            deed = DEEDS.get(str(word))
            if deed is not None and any(str(word) in text for text in texts):
                deed()
        return contains(wanted, texts)

    answers._ON_TEXT[Operator.CONTAINS] = sabotaged
    sys.argv[0] = "tidegate"
    door()


if __name__ == "__main__":
    main()
