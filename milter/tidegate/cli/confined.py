"""Policies are text that others wrote: the commands read them in the same confined child as the daemon does.

Promises: a file that would take gigabytes, minutes or the YAML parser's life costs one entry and a problem that
names it, not the admin's shell; on a terminal, what takes longer than a second says what it is doing. Refuses: a
record: what was accepted before does not count here, only what is written.
"""

from __future__ import annotations

import mmap
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import structlog

from tidegate import image
from tidegate.channel import content
from tidegate.cli.output import UnableError, safe
from tidegate.live import snapshot
from tidegate.loader.child import Request
from tidegate.loader.confine import WALL_CLOCK, Confined
from tidegate.loader.report import Report
from tidegate.loader.sources import names
from tidegate.model import Conventions, Problem
from tidegate.policy.layers import Layer
from tidegate.signing import Trust
from tidegate.supervisor.loads import Loads, Outcome

_REASONS = 3  # that are told where nothing can be loaded
_QUIET = 1.0  # seconds before a command says what it does
_LOOK = 0.01
_REDRAW = 0.2


@dataclass(frozen=True, slots=True)
class Opened:
    """What a load came to: its report, all problems, and the generation that workers would run."""

    report: Report
    problems: tuple[Problem, ...]
    generation: image.Generation


@dataclass(frozen=True, slots=True)
class Above:
    """The policy revision that this machine's daemon has: in its state directory, of this environment ("": none), with
    the signature that its settings demand."""

    state: str
    environment: str
    trust: Trust | None = None


def load(
    path: str, conventions: Conventions, layer: Layer | None = None, above: Above | None = None, *, redis: bool = True
) -> Opened:
    """Load a policy directory, or one file of it, as the daemon would that sees it first. `layer` lies over the files,
    or what the daemon has from Redis does (`above`). `redis` False: there is none, so no list can be kept in it.

    Raises UnableError.
    """
    environment = above.environment if above is not None else ""
    with tempfile.TemporaryDirectory(prefix="tidegate-") as aside:
        state = os.path.join(aside, "state")
        os.mkdir(state)
        try:
            if above is not None and environment:
                _lend_snapshots(above.state, state)
            directory = _alone(path, aside) if os.path.isfile(path) else path
            names(directory)
        except OSError as error:
            raise UnableError(f"{path}: {error.strerror}") from error
        outcome, data = _load(
            Request(
                directory,
                state,
                conventions,
                1,
                layer=layer,
                environment=environment,
                redis=redis,
                trust=above.trust if above is not None else None,
            )
        )
    report = outcome.report
    if report is None or data is None:
        reasons = [one.message for one in (*outcome.problems, *(report.problems if report else ()))]
        more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
        raise UnableError(f"{path}: {'; '.join(reasons[:_REASONS])}{more}")
    return Opened(report, (*outcome.problems, *report.problems), image.Generation(data))


def _lend_snapshots(state: str, aside: str) -> None:
    """What the daemon has fetched. Raises OSError."""
    folder = os.path.join(state, snapshot.FOLDER)
    if os.path.isdir(folder):
        shutil.copytree(folder, os.path.join(aside, snapshot.FOLDER))


def _alone(path: str, aside: str) -> str:
    """A directory that holds this policy file and whatever lies beside it, but no other policy file."""
    home, name = os.path.split(os.path.abspath(path))
    stage = os.path.join(aside, "policies")
    os.mkdir(stage)
    for other in [*os.listdir(home), name]:
        shown = other if other != name or name.endswith(".yaml") else f"{name}.yaml"
        link = os.path.join(stage, shown.lstrip(".") if other == name else shown)
        if (other == name or not other.endswith(".yaml")) and not os.path.lexists(link):
            os.symlink(os.path.join(home, other), link)
    return stage


def _load(request: Request) -> tuple[Outcome, mmap.mmap | None]:
    structlog.configure(processors=[_silence])  # the loads' log lines are the daemon's; here the problems say the same
    done: list[tuple[Outcome, mmap.mmap | None]] = []

    def keep(outcome: Outcome) -> None:
        whole = outcome.report is not None and outcome.report.image
        done.append((outcome, mmap.mmap(outcome.image, 0, prot=mmap.PROT_READ) if whole else None))

    loads = Loads(lambda: request, keep, lambda: None)
    loads.ask()
    _wait(lambda: loads.pid, loads.reaped, loads.tick, lambda: loads.busy_with)
    return done[-1]


def _silence(_logger: object, _method: str, _event: object) -> NoReturn:
    raise structlog.DropEvent


def run(work: Callable[[Callable[[str], None]], str]) -> str:
    """Run `work` in a confined child and return its text; it is given a function that takes what it does next.

    Raises UnableError where the child died.
    """
    child = Confined("command")
    ended: list[int] = []

    def written(own: Confined) -> None:
        text = work(own.progress).encode("utf-8", "surrogatepass")
        os.ftruncate(own.result, 0)
        with open(own.result, "wb", closefd=False) as file:
            file.write(text)

    def reaped(_pid: int, status: int) -> bool:
        ended.append(status)
        child.pid = 0
        return True

    try:
        child.start(written, lambda: None, WALL_CLOCK)
        _wait(lambda: child.pid, reaped, child.overdue, lambda: child.busy_with)
        death = child.ended(ended[0])
        if death:
            raise UnableError(f"{death.culprit or 'reading the files'}: {death.text}")
        return content(child.result).decode("utf-8", "surrogatepass")
    finally:
        child.close()


def _wait(
    pid: Callable[[], int],
    reaped: Callable[[int, int], bool],
    tick: Callable[[float], None],
    busy_with: Callable[[], str],
) -> None:
    """Until there is no child any more; it doesn't outlive us where we are interrupted."""
    indicator = Indicator(time.monotonic())
    try:
        while pid():
            ended, status = os.waitpid(pid(), os.WNOHANG)
            if ended:
                reaped(ended, status)
                continue
            now = time.monotonic()
            tick(now)
            indicator.show(busy_with(), now)
            time.sleep(_LOOK)
    finally:
        indicator.clear()
        if pid():
            os.kill(pid(), signal.SIGKILL)


class Indicator:
    """One line on a terminal's standard error that is written over."""

    def __init__(self, now: float) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = now + _QUIET
        self._shown = False

    def show(self, text: str, now: float) -> None:
        """Say it, where there is a terminal and it is time to."""
        if self._terminal and now >= self._next:
            self._next = now + _REDRAW
            self._shown = True
            line = safe(f"reading {text}")
            sys.stderr.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave no trace."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
