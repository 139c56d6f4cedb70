"""Errands: short-lived confined children for what the supervisor may not do itself, since it never blocks.

Promises: an errand's end is told exactly once, with the name of its death where it died; at most one of a name runs.
Loads have a room of their own (loads.py): a death in them has a culprit that is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.loader.confine import WALL_CLOCK, Confined, Death

Work = Callable[[Confined], None]  # in the child
Done = Callable[[Confined, "Death | None"], None]  # back here; the child's memory files are open during the call only


@dataclass(slots=True)
class Errands:
    """Those of one daemon."""

    prepare: Callable[[], None]  # in the child: close what isn't its business
    _running: dict[str, tuple[Confined, Done]] = field(default_factory=dict)

    def start(self, name: str, work: Work, done: Done, spare: int = 0) -> None:
        """Send somebody. `spare`: bytes of memory beyond the limit. Raises OSError where no process is to be had."""
        assert name not in self._running, name
        child = Confined(name)
        child.start(work, self.prepare, WALL_CLOCK, spare)
        self._running[name] = (child, done)

    def busy(self, name: str) -> bool:
        """Is somebody on this errand?"""
        return name in self._running

    def tick(self, now: float) -> None:
        """Kill whoever takes too long."""
        for child, _ in self._running.values():
            child.overdue(now)

    def stop(self) -> None:
        """The daemon ends: nobody waits for them."""
        for child, _ in self._running.values():
            child.kill()

    def reaped(self, pid: int, status: int) -> bool:
        """A process ended; True if it was one of them."""
        for name, (child, done) in self._running.items():
            if child.pid == pid:
                del self._running[name]
                death = child.ended(status)
                try:
                    done(child, death)
                finally:
                    child.close()
                return True
        return False
