"""The supervisor's books: since when each entry is in its state, and which rules are exposed.

Both follow what is in force and what is eased, whoever changed it. Refuses: writing while a successor has the lock,
whose books these are by then.
"""

from __future__ import annotations

from tidegate.live.restraints import Holds
from tidegate.settings import Settings
from tidegate.supervisor.ages import AgesKeeper
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.exposure import Exposures
from tidegate.supervisor.generations import Generations


class Books:
    """Of one daemon."""

    def __init__(self, settings: Settings, generations: Generations) -> None:
        self._picture = generations.picture
        self._ages = AgesKeeper(settings.state, self._picture)
        self._exposures = Exposures(settings.state, settings.exposure)
        counters = generations.counters
        self._picture.parts["exposure"] = lambda: self._exposures.document(counters, generations.columns)

    def tick(self, now: float, holds: Holds, conditions: Conditions, *, ours: bool) -> None:
        """Look and write where there is something new; `now` in monotonic seconds."""
        if ours:
            self._ages.tick(now)
            self._exposures.tick(self._picture.report, holds, conditions)
