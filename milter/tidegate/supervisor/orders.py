"""What a person orders over the control socket about the policies: read them now, and what is meant to be so.

Promises: what skips a safeguard says why, or is refused. Refuses: waiting; who asked looks at the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.supervisor.answers import DONE
from tidegate.supervisor.fleet import Fleet
from tidegate.supervisor.ladder import Ladder
from tidegate.supervisor.loads import Loads

_REASON = 300  # characters


@dataclass(frozen=True, slots=True)
class Orders:
    """Of one daemon."""

    loads: Loads
    ladder: Ladder
    fleet: Fleet

    def reload(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Load; with `now` what comes of it is for all at once."""
        reason = str(request.get("reason") or "")[:_REASON].strip()
        if request.get("now") and not reason:
            return {"error": "what skips the canary needs a reason"}
        self.loads.ask(urgent=reason if request.get("now") else "")
        return DONE

    def confirm(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is missing is meant to be gone; or, with `quarantine`, what did harm is meant; or, with `revision`, the
        head in Redis, older or not."""
        if request.get("revision"):
            self.fleet.accept()
        elif request.get("quarantine"):
            self.ladder.lift()
            self.loads.ask()
        else:
            self.loads.ask(confirmed=True)
        return DONE
