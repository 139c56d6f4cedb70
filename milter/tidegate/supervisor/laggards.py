"""Workers that live and answer, but never take the newest generation: told, and replaced.

Such a worker judges by what is in force no more, for as long as it lives. It is asked to leave, which costs its
sessions nothing, and killed where it does not even do that.
"""

from __future__ import annotations

import os
import signal

import structlog

from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Child, Crew
from tidegate.supervisor.handover import Handover

PATIENCE = 30.0  # seconds that a worker may take over a generation
TURN = 2.0  # seconds more for each worker, since they are told one after the other
INSISTENCE = 10.0  # seconds from the request to leave to the end by force

_log = structlog.get_logger()


class Laggards:
    """Who lacks what since when; monotonic seconds."""

    def __init__(self, workers: Crew, handover: Handover, conditions: Conditions) -> None:
        self._workers = workers
        self._handover = handover
        self._conditions = conditions
        self._since: dict[tuple[int, int], float] = {}  # (process, generation): when it was first seen without
        self._asked: dict[int, float] = {}  # process: when it was asked to leave

    def tick(self, now: float) -> None:
        """Look, tell, and see to it."""
        offer = self._handover.offer
        if offer is None:
            return
        alive = self._workers.alive
        lacking = [one for one in alive if one.ready and not one.leaving and one.generation != offer.number]
        self._since = {(one.pid, offer.number): self._since.get((one.pid, offer.number), now) for one in lacking}
        patience = PATIENCE + TURN * len(alive)
        late = [one for one in lacking if now - self._since[one.pid, offer.number] > patience]
        pids = {one.pid for one in alive}
        self._asked = {pid: when for pid, when in self._asked.items() if pid in pids}
        for one in late:
            self._end(one, now, offer.number)
        names = ", ".join(one.name for one in late)
        self._conditions.judge("worker-behind", f"{names}: without generation {offer.number}" if late else "")

    def _end(self, child: Child, now: float, generation: int) -> None:
        asked = self._asked.get(child.pid)
        if asked is None:
            self._asked[child.pid] = now
            _log.error("worker behind", child=child.name, pid=child.pid, has=child.generation, generation=generation)
            os.kill(child.pid, signal.SIGTERM)
        elif now - asked > INSISTENCE:
            os.kill(child.pid, signal.SIGKILL)
