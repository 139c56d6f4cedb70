"""`tidegate run` with a bug in it: `python3 tests/builders/saboteur.py run --config FILE`.

The operator `contains` kills, loops or raises where it is asked with the right word and the text holds it, as a bug in
an operator, or in the library behind it, would. A policy chooses what is done, by its operand:

    kill-9       os.kill(os.getpid(), 9)          segfault    ctypes.string_at(0)
    loop         for ever, in Python              raise       an exception
    stuck        for ever, holding the interpreter

With SABOTAGE in the environment something else breaks:

    look-up      the look-up of the rules kills where the subject contains `look-up`
    deaf         a worker answers pings, and takes no new generation

The product has no hook for this: functions are replaced here, before the daemon starts.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable, Sequence

from tidegate.cli import door
from tidegate.conditions import answers
from tidegate.image import Generation
from tidegate.model import Operator, Scalar
from tidegate.supervisor import laggards
from tidegate.worker import Worker


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


def _kill_in_the_look_up() -> None:
    honest = Generation.pattern_rules

    def pattern_rules(self: Generation, field: str, text: str) -> Iterable[int]:
        if "look-up" in text:
            os.kill(os.getpid(), 9)
        return honest(self, field, text)

    Generation.pattern_rules = pattern_rules  # type: ignore[method-assign]


def _make_deaf() -> None:
    laggards.PATIENCE = laggards.TURN = 0.5
    Worker._activate = lambda *_: None  # type: ignore[method-assign]


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
    {"look-up": _kill_in_the_look_up, "deaf": _make_deaf}.get(os.environ.get("SABOTAGE", ""), int)()
    sys.argv[0] = "tidegate"
    door()


if __name__ == "__main__":
    main()
