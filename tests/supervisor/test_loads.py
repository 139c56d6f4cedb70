"""Loads: a death costs its culprit, one load at a time, the newest wins."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import time

import pytest

from tidegate.loader.child import Request
from tidegate.loader.confine import Confined
from tidegate.loader.report import Report, encode
from tidegate.model import Conventions
from tidegate.supervisor import loads as room
from tidegate.supervisor.loads import DEATHS, Loads, Outcome


def run(monkeypatch: pytest.MonkeyPatch, work: object, asks: int = 1, seen: str = "") -> tuple[Loads, list[Outcome]]:
    """Run loads whose child does `work(child, request)` until none is left; during the first, `seen` is on disk."""
    monkeypatch.setattr(room, "work", work)
    outcomes: list[Outcome] = []
    loads = Loads(lambda: Request("/p", "/s", Conventions(), 1), outcomes.append, lambda: None)
    for _ in range(asks):
        loads.ask()
    if seen:
        loads.ask(digest=seen)
    end = time.monotonic() + 30
    while loads.busy and time.monotonic() < end:
        loads.tick(time.monotonic())
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            loads.reaped(pid, status)
        else:
            time.sleep(0.002)
    return loads, outcomes


def deadly(names: set[str], last: str = "") -> object:
    """A load that dies at each of these entries unless it is told to skip them."""

    def work(child: Confined, request: Request) -> None:
        for name in sorted(names):
            child.progress(name)
            if name not in request.skip and name.partition(": ")[0] not in request.skip:
                os.kill(os.getpid(), signal.SIGSYS)
        child.progress(last)
        if last:
            os.kill(os.getpid(), signal.SIGSYS)
        problems = tuple(request.problems)
        os.pwrite(child.result, encode(Report(digest="d", sources_digest="s", image=True, problems=problems)), 0)

    return work


def test_each_culprit_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two entries kill the loader: the third try succeeds, with a problem for each."""
    _, outcomes = run(monkeypatch, deadly({"10.yaml: rule a", "10.yaml: rule b"}))
    assert 1 == len(outcomes)
    report = outcomes[0].report
    assert report is not None
    assert ["rule a", "rule b"] == [str(problem.entry) for problem in report.problems]
    assert all("SIGSYS" in problem.message and "10.yaml" == problem.place.source for problem in report.problems)


@pytest.mark.parametrize("name", ["10.yaml: rule a", "10.yaml", "the image", "the record of accepted entries", ""])
def test_a_kill_from_outside_blames_nobody(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The kernel took the loader for want of memory, in whatever step: the load is done once more, with everything."""
    _, outcomes = run(monkeypatch, killed(name, times=1))
    report = outcomes[0].report
    assert report is not None
    assert ((), 1) == (report.problems, outcomes[0].deaths)


def test_a_second_kill_is_no_accident(monkeypatch: pytest.MonkeyPatch) -> None:
    """What uses up the machine's memory each time is named and left out, and the rest is loaded."""
    _, outcomes = run(monkeypatch, killed("10.yaml: rule a", times=2))
    report = outcomes[0].report
    assert report is not None
    assert [("rule a", True)] == [(str(one.entry), "SIGKILL" in one.message) for one in report.problems]


def killed(name: str, times: int) -> object:
    """A load that is killed from outside at this step, so many times."""
    count = mmap.mmap(-1, 1)

    def work(child: Confined, request: Request) -> None:
        child.progress(name)
        if count[0] < times:
            count[0] += 1
            os.kill(os.getpid(), signal.SIGKILL)
        os.pwrite(
            child.result, encode(Report(digest="d", sources_digest="s", image=True, problems=request.problems)), 0
        )

    return work


def test_after_twenty_deaths_the_file_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file of killers ends the search, not the daemon."""
    _, outcomes = run(monkeypatch, deadly({f"10.yaml: rule {number:02}" for number in range(40)}))
    report = outcomes[0].report
    assert report is not None
    assert DEATHS + 1 == outcomes[0].deaths
    assert report.problems[-1].entry is None
    assert "10.yaml" == report.problems[-1].place.source


def test_a_death_without_a_culprit_keeps_the_last_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image could not be written: no report, and a problem that says so."""
    loads, outcomes = run(monkeypatch, deadly(set(), last="the image"))
    assert outcomes[0].report is None
    assert ["loader-failed"] == [problem.code for problem in outcomes[0].problems]
    assert 1 == loads.failed


def test_requests_during_a_load_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serialised, and the last state is loaded."""
    loads, outcomes = run(monkeypatch, deadly(set()), asks=5)
    assert 2 == len(outcomes) == loads.count


def test_it_is_told_while_another_load_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd must not hear READY for a HUP that came during the load that ends."""
    monkeypatch.setattr(room, "work", deadly(set()))
    due: list[bool] = []
    loads = Loads(lambda: Request("/p", "/s", Conventions(), 1), lambda _outcome: due.append(loads.due), lambda: None)
    loads.ask()
    loads.ask()
    while loads.busy:
        loads.reaped(*os.waitpid(loads.pid, 0))
    assert [True, False] == due


@pytest.mark.parametrize(("seen", "count"), [("s", 1), ("other", 2)])
def test_what_a_load_has_read_is_not_loaded_again(monkeypatch: pytest.MonkeyPatch, seen: str, count: int) -> None:
    """A change that is seen while a load runs is loaded after it, unless that load has read it already."""
    loads, outcomes = run(monkeypatch, deadly(set()), seen=seen)
    assert count == len(outcomes) == loads.count


def test_a_report_that_is_none_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that hostile text has taken over can write anything."""
    _, outcomes = run(monkeypatch, lambda child, request: os.pwrite(child.result, b'{"entries": 3}', 0))
    assert outcomes[0].report is None


def test_a_load_for_which_there_is_no_process_fails_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One moment of scarcity must not be the end of all loads."""

    def no_fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    outcomes: list[Outcome] = []
    loads = Loads(lambda: Request("/p", "/s", Conventions(), 1), outcomes.append, lambda: None)
    with monkeypatch.context() as scarce:
        scarce.setattr(os, "fork", no_fork)
        loads.ask()
    assert (False, 1, None) == (loads.busy, len(outcomes), outcomes[0].report)
    assert ["loader-failed"] == [one.code for one in outcomes[0].problems]
    assert "Resource temporarily unavailable" in outcomes[0].problems[0].message
    _, later = run(monkeypatch, deadly(set()))
    assert later[0].report is not None
