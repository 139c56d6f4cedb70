"""Compiling in a process of its own that ends in time.

Nothing can stop the engine while it compiles, and how long it takes can't be told from the text: `foo.{0,100}bar` takes
0.4 s, `foo.{0,400}bar` a minute. So what looks dear (cost.py) is compiled in a child that the kernel ends.
Promises: never longer than it may, in processor time of the child, so that a busy machine changes nothing; a crash of
the engine is a refusal. Where no child is to be had the pattern is compiled here: the loader has limits of its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.patterns.engine import Database, PatternError


@dataclass(frozen=True, slots=True)
class Compiled:
    """The serialised database, or why there is none, and the seconds of processor time that it took."""

    data: bytes
    why: str
    seconds: float = 0.0
    dear: bool = False  # it was, or would be, compiled in a child
    in_time: bool = True


def compile_here(sources: Sequence[str], folded: bool) -> Compiled:
    """In this process, however long it takes."""
    began = time.process_time()
    data, why = _compile(sources, folded)
    return Compiled(data, why, time.process_time() - began)


def compile_within(sources: Sequence[str], folded: bool, seconds: float) -> Compiled:
    """In a child that may use so many seconds."""
    result = os.memfd_create("pattern", os.MFD_CLOEXEC)
    try:
        child = os.fork()
        if child == 0:
            _work(sources, folded, seconds, result)
        _, status, used = os.wait4(child, 0)
        took = used.ru_utime + used.ru_stime
        data = os.pread(result, os.fstat(result).st_size, 0)
    except OSError:
        return compile_here(sources, folded)
    finally:
        os.close(result)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGPROF:
            return Compiled(b"", f"the engine had not made it after {took:.2g} s", took, True, in_time=False)
        return Compiled(b"", f"the engine died of it ({signal.Signals(number).name})", took, True)
    if os.WEXITSTATUS(status) == _GOOD:
        return Compiled(data, "", took, True)
    return Compiled(b"", data.decode("utf-8", "replace") or "the engine gave no answer", took, True)


_GOOD, _REFUSED = 0, 1


def _compile(sources: Sequence[str], folded: bool) -> tuple[bytes, str]:
    try:
        return Database.compile(sources, folded).serialise(), ""
    except PatternError as error:
        return b"", str(error)


def _work(sources: Sequence[str], folded: bool, seconds: float, result: int) -> None:
    """The child: it never returns into the program of which it is a copy."""
    status = 70
    try:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, max(seconds, 0.001))
        data, why = _compile(sources, folded)
        answer = memoryview(data or why.encode("utf-8", "replace"))
        while answer:
            answer = answer[os.write(result, answer) :]
        status = _REFUSED if why else _GOOD
    finally:
        os._exit(status)
