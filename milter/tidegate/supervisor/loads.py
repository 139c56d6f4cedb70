"""Loads, one at a time: fork the loader, watch it, find the culprit of its death, hand on what it found.

A death costs one entry: it is named, and the load is repeated without it, at most DEATHS times. The next one costs
the whole file, and if that doesn't help either, the last generation stays. A loader that is killed from outside (the
kernel needed memory) died of nothing that it read: it is tried again once, and only then somebody is blamed. A request
that comes during a load is done after it (the newest wins).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from tidegate.alerts import problem
from tidegate.channel import content
from tidegate.loader.child import Request, work
from tidegate.loader.confine import LAST_VALID, WALL_CLOCK, Confined, Death
from tidegate.loader.report import Report, decode, key_from
from tidegate.model import EntryKey, Place, Problem

DEATHS = 20

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a load ended. `report` None: it came to nothing, and `problems` say why. `image` is a memfd to be closed."""

    report: Report | None
    problems: tuple[Problem, ...]
    image: int
    seconds: float
    deaths: int
    urgent: str = ""  # why its generation must not wait for a canary


@dataclass(slots=True)
class Loads:
    """The loads of one daemon."""

    request: Callable[[], Request]  # a fresh one: where, and with which number
    done: Callable[[Outcome], None]  # `image` is open during the call only
    prepare: Callable[[], None]  # in the child: close what isn't its business
    attempted: float = 0.0  # POSIX seconds of the last start
    count: int = 0
    failed: int = 0
    stopped: bool = False
    _child: Confined | None = None
    _current: Request | None = None
    _again: bool = False
    _candidate: str = ""  # digest of the sources as seen by somebody while a load was running
    _read: str = ""  # digest of what the last load read
    _confirmed: bool = False
    _urgent: str = ""
    _began: float = 0.0
    _forgiven: bool = False
    _killed: list[Death] = field(default_factory=list)

    @property
    def busy(self) -> bool:
        return self._child is not None

    @property
    def pid(self) -> int:
        """The child's; 0: none runs."""
        return self._child.pid if self._child else 0

    @property
    def busy_with(self) -> str:
        """What the child does, as it names it."""
        return self._child.busy_with if self._child else ""

    @property
    def due(self) -> bool:
        """Is another load asked for, after the one that runs?"""
        return self._again

    def ask(self, confirmed: bool = False, digest: str = "", urgent: str = "") -> None:
        """Load now, or once more after the load that runs; not where that one has read the sources of this digest.

        `urgent`: why what comes of it is for all at once, without a canary.
        """
        self._confirmed = self._confirmed or confirmed
        self._urgent = urgent or self._urgent
        if self._child or self.stopped:
            self._again = self._again or not digest
            self._candidate = digest
            return
        self._began = time.monotonic()
        self._killed = []
        self._forgiven = False
        self._again = False
        self._candidate = ""
        self._current = replace(self.request(), confirmed=self._confirmed, urgent=self._urgent)
        self._confirmed, self._urgent = False, ""
        self._start()

    def _start(self) -> None:
        assert self._current is not None
        self.attempted = time.time()
        current = self._current
        try:
            # The image in force is mapped by the child: a policy that fits without one has to fit beside one.
            spare = os.fstat(current.before).st_size if current.before >= 0 else 0
            child = Confined("load")
            child.start(lambda own: work(own, current), self.prepare, WALL_CLOCK, spare)
        except OSError as error:
            self._give_up(Death(f"no process is to be had for it: {error.strerror}", ""))
        else:
            self._child = child

    def tick(self, now: float) -> None:
        if self._child:
            self._child.overdue(now)

    def stop(self) -> None:
        """No load from now on: the daemon ends, or a successor does them."""
        self.stopped = True
        if self._child and self._child.pid:
            self._child.kill()

    def resume(self) -> None:
        """The successor did not come: look what was missed."""
        self.stopped = False
        self.ask()

    def reaped(self, pid: int, status: int) -> bool:
        """A process ended; True if it was the loader."""
        child = self._child
        if child is None or child.pid != pid:
            return False
        death = child.ended(status)
        self._child = None
        try:
            if self.stopped:
                return True
            if death is None:
                self._finish(child)
            elif not self._retry(death):
                self._give_up(death)
        finally:
            child.close()
        if not self._child and (self._again or self._candidate not in ("", self._read)):
            self.ask()
        return True

    def _finish(self, child: Confined) -> None:
        try:
            report = decode(content(child.result))
        except ValueError as error:
            self._give_up(Death(str(error), ""))
            return
        self._read = report.sources_digest
        self.count += 1
        self.failed += not report.image
        urgent = self._current.urgent if self._current else ""
        self.done(Outcome(report, (), child.extra, time.monotonic() - self._began, len(self._killed), urgent))

    def _retry(self, death: Death) -> bool:
        """Once more without the culprit; False where there is none, or too many."""
        assert self._current is not None
        self._killed.append(death)
        _log.error("loader died", reason=death.text, culprit=death.culprit, deaths=len(self._killed))
        if death.foreign and not self._forgiven:
            self._forgiven = True
            self._start()
            return True
        name = death.culprit
        if not name or name in self._current.skip or name.startswith("the ") or len(self._killed) > 2 * DEATHS:
            return False
        if len(self._killed) > DEATHS:
            name = culprit_file(name)
        if name in self._current.skip:
            return False
        blame = problem(
            "loader-died", f"reading it killed the loader: {death.text}", place_of(name), entry=entry_of(name)
        )
        self._current = replace(
            self._current, skip=self._current.skip | {name}, problems=(*self._current.problems, blame)
        )
        self._start()
        return True

    def _give_up(self, death: Death) -> None:
        self._read = ""
        self.count += 1
        self.failed += 1
        earlier = self._current.problems if self._current else ()
        where = f" at {death.culprit}" if death.culprit else ""
        failed = problem("loader-failed", f"the policies could not be loaded: {death.text}{where}", Place(".", 0, 0))
        seconds = time.monotonic() - self._began
        self.done(Outcome(None, (*earlier, failed), -1, seconds, len(self._killed)))


def culprit_file(name: str) -> str:
    """The file of a progress name `FILE` or `FILE: KIND ID`."""
    return name.partition(": ")[0].removesuffix(LAST_VALID)


def place_of(name: str) -> Place:
    """Where a culprit stands, as far as its name says: the loader that lives knows an entry's line."""
    return Place(culprit_file(name), 0 if ": " in name else 1, 0 if ": " in name else 1)


def entry_of(name: str) -> EntryKey | None:
    """The entry that a progress name means; None: the whole file."""
    text = name.partition(": ")[2]
    try:
        return key_from(text) if text else None
    except ValueError:
        return None
