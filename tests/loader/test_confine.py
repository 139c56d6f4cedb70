"""The confined child: its results come back, and its death has a name."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tidegate.channel import content
from tidegate.loader import confine
from tidegate.loader.confine import Confined, Death


def run(work: Callable[[Confined], object], wall_clock: float = 20.0) -> tuple[bytes, Death | None]:
    child = Confined("test")

    def named(own: Confined) -> None:
        own.progress("10.yaml: rule x")
        work(own)

    child.start(named, lambda: None, wall_clock)
    while True:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            break
        child.overdue(time.monotonic())
        time.sleep(0.01)
    death = child.ended(status)
    result = content(child.result)
    child.close()
    return result, death


def test_the_result_comes_back() -> None:
    """What the child wrote is there after it ended."""
    assert (b"fine", None) == run(lambda own: os.pwrite(own.result, b"fine", 0))


@pytest.mark.parametrize(
    ("work", "wall_clock", "text"),
    [
        (lambda own: os.kill(os.getpid(), signal.SIGSYS), 20, "SIGSYS"),
        (lambda own: bytearray(3 << 30), 20, "MemoryError"),
        (lambda own: 1 // 0, 20, "ZeroDivisionError"),
        (lambda own: os._exit(3), 20, "status 3"),
        (lambda own: signal.pause(), 1.5, "longer than 1.5 s"),
        (lambda own: raise_exit(), 20, "SystemExit"),
    ],
    ids=["signal", "memory", "exception", "exit", "time", "SystemExit"],
)
def test_a_death_is_named(work: Callable[[Confined], object], wall_clock: float, text: str) -> None:
    """How it died, and what it was busy with."""
    _, death = run(work, wall_clock)
    assert death is not None
    assert text in death.text
    assert "10.yaml: rule x" == death.culprit


@pytest.mark.parametrize(
    ("steps", "culprit"),
    [
        ([("10.yaml: rule a", 1), ("20.yaml: rule b", 25), ("20.yaml: rule c", 25), ("30.yaml: rule d", 1)], "20.yaml"),
        ([("10.yaml: rule a", 20), ("20.yaml: rule b", 1), ("the image", 1)], "10.yaml"),
        ([("10.yaml", 20), ("20.yaml: rule b", 40)], "20.yaml: rule b"),
        ([("10.yaml (last valid): rule a", 20), ("the image", 1)], "10.yaml"),
        ([("the image", 5)], "the image"),
    ],
    ids=["a file of many", "not who came last", "a heavy entry", "what was valid", "nobody else"],
)
def test_who_used_it_up(monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, int]], culprit: str) -> None:
    """Memory and time run out for all together: to blame is who took most, not who came last."""
    clock = 0.0
    child = Confined("test")
    monkeypatch.setattr(confine, "time", SimpleNamespace(monotonic=lambda: clock))
    for name, seconds in steps:
        child.progress(name)
        clock += seconds
    os.pwrite(child.result, b"MemoryError: no more", 0)
    death = child.ended(70 << 8)
    child.close()
    assert Death("MemoryError: no more", culprit) == death


def raise_exit() -> None:
    raise SystemExit(0)


def test_no_process_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises, and leaves nothing open."""
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "fork", no_fork)
    with pytest.raises(BlockingIOError):
        Confined("test").start(lambda own: None, lambda: None, 1.0)
    assert before == len(os.listdir("/proc/self/fd"))


def no_fork() -> int:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
