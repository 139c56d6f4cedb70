"""What a person orders over the control socket about the policies: read them now, and what is meant to be so.

And what a command found that only root can look at (Postfix's queue, its log): it becomes an alert of the daemon's, or
clears one. Promises: what skips a safeguard says why, or is refused. Refuses: waiting; who asked looks at the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.alerts.codes import FOUND
from tidegate.supervisor.answers import DONE
from tidegate.supervisor.conditions import Conditions
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
    conditions: Conditions

    def reload(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Load; with `now` what comes of it is for all at once."""
        reason = str(request.get("reason") or "")[:_REASON].strip()
        if request.get("now") and not reason:
            return {"error": "what skips the canary needs a reason"}
        self.loads.ask(urgent=reason if request.get("now") else "")
        return DONE

    def back(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Bring back a policy revision that this host has on record, whatever Redis has."""
        number = request.get("number")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            return {"error": "a revision has a number from 0"}
        self.fleet.back(number)
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

    def finding(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """A command found this; an empty text: it looked, and there is nothing."""
        code, text = str(request.get("code")), str(request.get("text") or "")[:_REASON].strip()
        if code not in FOUND:
            return {"error": f"{code} is nothing that a command finds"}
        self.conditions.judge(code, text)
        return DONE
