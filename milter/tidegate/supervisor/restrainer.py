"""The restraint in force: kept in the record, sent to every worker, shown in the status.

Promises: what is eased when the daemon stops is eased when it starts; a worker that could not take the packet gets it
again; a new one has it before it serves. A record that can't be written costs its memory, never the easing itself.
Refuses: deciding what to ease. Who does (brake.py, the breaker) calls `ease` and `release`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

import structlog

from tidegate.channel import memory
from tidegate.live.restraints import By, Hold, Holds, encode, read_holds, write_holds
from tidegate.model import Restraint
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Crew
from tidegate.supervisor.picture import Picture

_RETRY = 10.0  # seconds after which a record that could not be written is tried again

_log = structlog.get_logger()


class Restrainer:
    """All holds of one daemon, and what they come to."""

    def __init__(self, state: str, workers: Crew, picture: Picture) -> None:
        self._state = state
        self._workers = workers
        self._picture = picture
        self.holds, self._damage = read_holds(state)
        self.restraint: Restraint = self.holds.restraint()
        self._version = 1
        self._told: dict[int, int] = {}  # process: version
        self._unwritten = False
        self._tried = 0.0
        picture.holds = self.holds

    def ease(self, holds: Iterable[Hold], conditions: Conditions) -> None:
        """These stand from now on; one for the same rule of the same kind gives way."""
        fresh = tuple(holds)
        for one in fresh:
            _log.warning("eased", **_told(one))
        self._change(self.holds.plus(fresh), conditions)

    def release(self, holds: Iterable[Hold], conditions: Conditions) -> None:
        """These stand no longer."""
        gone = tuple(holds)
        for one in gone:
            _log.info("no longer eased", **_told(one))
        self._change(self.holds.minus(gone), conditions)

    def tick(self, now: float, conditions: Conditions) -> None:
        """End what has ended (`now` in POSIX seconds), reach who was not reached, write what was not written."""
        left = self.holds.at(now)
        if left is not self.holds:
            self.release((one for key, one in self.holds.all.items() if key not in left.all), conditions)
        self._send()
        conditions.judge("restraints-damaged", self._damage)
        if self._unwritten and abs(now - self._tried) > _RETRY:
            self._write(conditions)

    def _change(self, holds: Holds, conditions: Conditions) -> None:
        if holds == self.holds:
            return
        self.holds = self._picture.holds = holds
        restraint = holds.restraint()
        if restraint != self.restraint:
            self.restraint = restraint
            self._version += 1
            self._send()
        self._damage = ""  # somebody has said since what is to be eased
        self._write(conditions)
        conditions.entries_changed()

    def _send(self) -> None:
        late = [child for child in self._workers.alive if child.channel and self._told.get(child.pid) != self._version]
        if not late:
            return
        try:
            descriptor = memory("tidegate-restraint", encode(self.restraint))
        except OSError as error:
            _log.error("restraint not sent", error=error.strerror)  # no descriptor is to be had; the next tick tries
            return
        try:
            for child in late:
                if child.channel and child.channel.send_with((descriptor,), "restraint"):
                    self._told[child.pid] = self._version
        finally:
            os.close(descriptor)
        alive = {child.pid for child in self._workers.alive}
        self._told = {pid: version for pid, version in self._told.items() if pid in alive}

    def _write(self, conditions: Conditions) -> None:
        self._tried = time.time()
        try:
            write_holds(self._state, self.holds)
        except OSError as error:
            self._unwritten = True
            conditions.raise_("restraints-unwritable", f"what is eased can't be recorded: {error.strerror}")
        else:
            self._unwritten = False
            conditions.settle("restraints-unwritable")

    def of(self, *kinds: By) -> tuple[Hold, ...]:
        """The holds of these kinds."""
        return self.holds.of(*kinds)


def _told(hold: Hold) -> dict[str, Any]:
    return {key: value for key, value in hold.document().items() if value is not None} | {
        "rule": hold.rule or "all rules"
    }
