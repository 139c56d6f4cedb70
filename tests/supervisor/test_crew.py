"""The crew: what becomes of a place for which no process can be had."""

from __future__ import annotations

import errno
import os
import selectors

import pytest

from tidegate.supervisor.crew import Child, Crew


def never(*_arguments: object) -> None:
    raise AssertionError("no child was started")


def test_a_place_waits_for_better_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a process to be had nothing is raised, nothing stays open, and the place is tried again, ever slower."""

    def no_fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    with selectors.DefaultSelector() as selector:
        crew = Crew("worker", selector, never, never, [Child("worker 0", 0, 0, 5.0)])
        before = len(os.listdir("/proc/self/fd"))
        child = crew.children[0]
        waits = []
        now = 100.0
        for _ in range(8):
            crew.tick(now)
            waits.append(round(child.due - now, 1))
            now = child.due
        assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0] == waits
        assert (0, None, 8) == (child.pid, child.channel, child.deaths)
        assert before == len(os.listdir("/proc/self/fd"))
