"""Live, ready, degraded: three questions that are often taken for one.

Live: the process answers. Ready: a message that comes now is judged. Degraded: something is not as it was written, and
somebody should look; mail goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidegate.supervisor.crew import Crew

_DRAINING = ("succeeded", "stopping")


@dataclass(frozen=True, slots=True)
class Health:
    """`unready`: why no message would be judged now; `degraded`: what is not as it should be. Empty is good."""

    unready: tuple[str, ...] = ()
    degraded: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For the status."""
        return {
            "live": True,
            "ready": not self.unready,
            "unready": list(self.unready),
            "degraded": bool(self.degraded),
            "reasons": list(self.degraded),
        }


def health(generation: int, alerts: int, restraints: int, workers: Crew, stage: str) -> Health:
    """How the daemon is at this moment: the number of the generation in force (0: none), and how many alerts and
    restraints stand."""
    unready = []
    if stage == "starting":
        unready.append("it is starting")
    if stage in _DRAINING:
        unready.append("it is draining")
    if not generation:
        unready.append("no policy is in force: all mail is deferred")
    if not any(child.ready and not child.leaving for child in workers.alive):
        unready.append("no worker is ready")
    degraded = list(unready)
    if alerts:
        degraded.append(_several(alerts, "alert stands", "alerts stand"))
    if restraints:
        degraded.append(_several(restraints, "restraint stands", "restraints stand"))
    missing = len(workers.children) - len(workers.alive)
    if missing > 0 and stage not in ("starting", *_DRAINING):
        degraded.append(_several(missing, "worker is missing", "workers are missing"))
    return Health(tuple(unready), tuple(degraded))


def _several(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
