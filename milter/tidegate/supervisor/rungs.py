"""The ladder and the soak with all their children, as the loop sees them: one tick, one reaper, one end."""

from __future__ import annotations

import time
from collections.abc import Callable

from tidegate.live.soak import Wanted
from tidegate.loader.child import Request
from tidegate.model import Conventions, Problem
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Crew
from tidegate.supervisor.errands import Errands
from tidegate.supervisor.generations import Generations
from tidegate.supervisor.ladder import Ladder
from tidegate.supervisor.loads import Loads, Outcome
from tidegate.supervisor.picture import Picture
from tidegate.supervisor.soaking import Soaking

FIRST_LOAD = 6.0  # seconds that the first load gets before what is proven serves (the promise is 10 s)
_RECALL = 2.0  # seconds more, to open what is proven


class Rungs:
    """Those of one daemon."""

    def __init__(
        self,
        picture: Picture,
        generations: Generations,
        conditions: Conditions,
        workers: Crew,
        prepare: Callable[[], None],
        eased: Callable[[], bool],
    ) -> None:
        """`prepare`: in a child, close what isn't its business. `eased`: is something braked or tripped now?"""
        settings = picture.settings
        self._errands = Errands(prepare)
        self.ladder = Ladder(settings.state, generations, conditions, self._errands)
        self._generations = generations
        self._settings = settings
        self._baseline = Loads(self._request, self.ladder.baseline_loaded, prepare)
        self.ladder.baseline = self._baseline if settings.baseline else None
        wanted = Wanted(settings.soak, settings.soak_messages)
        self._soaking = Soaking(self.ladder, generations.counters, workers, wanted, eased)
        picture.parts["ladder"] = self.ladder.document
        picture.parts["soak"] = lambda: self._soaking.document(time.monotonic())

    def _request(self) -> Request:
        settings = self._settings
        conventions = Conventions(settings.default_realm, settings.recipient_delimiter)
        number = self._generations.highest + 1
        environment = settings.environment if settings.redis else ""
        return Request(
            settings.baseline,
            settings.state,
            conventions,
            number,
            instead_of=settings.policies,
            environment=environment,
            trust=settings.trust,
        )

    def loaded(self, outcome: Outcome) -> tuple[Problem, ...]:
        """A load ended. Returns the problems of the policies that stand now."""
        return self.ladder.loaded(outcome)

    def ready(self, waited: float, loads: Loads) -> bool:
        """May workers start, `waited` seconds after the daemon did? A load has ended or takes too long, and the
        ladder has looked for what serves instead."""
        late = waited > FIRST_LOAD
        if late and loads.busy and not loads.count:
            self.ladder.meanwhile()
        if self.ladder.busy and waited < FIRST_LOAD + _RECALL:
            return False
        return late or loads.count > 0

    def tick(self, now: float, serving: bool) -> None:
        """Kill whoever takes too long, and let what serves soak."""
        self._errands.tick(now)
        self._baseline.tick(now)
        self.ladder.stand()
        if serving:
            self._soaking.tick(now)

    def reaped(self, pid: int, status: int) -> bool:
        """A process ended; True if it was one of theirs."""
        return self._errands.reaped(pid, status) or self._baseline.reaped(pid, status)

    def stop(self) -> None:
        """The daemon ends, or a successor writes the records."""
        self._errands.stop()
        self._baseline.stop()

    def resume(self) -> None:
        """The successor did not come."""
        self._baseline.stopped = False
