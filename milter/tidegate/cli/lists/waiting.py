"""`--wait`: until a change of a list is in force on all workers of this host, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.cli.lists.session import Session, Target
from tidegate.cli.output import UnableError
from tidegate.store.lists import Version, version_from

PATIENCE = 15.0
"""Seconds."""
_LOOK = 0.05


@dataclass(frozen=True, slots=True)
class Waited:
    """`seconds` until it was in force; None: it was not in time, and `why` says more."""

    seconds: float | None
    why: str = ""

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"in_force": self.seconds is not None, "seconds": self.seconds, "why": self.why}

    def text(self) -> str:
        """For a person."""
        return f"in force after {self.seconds:.1f} s" if self.seconds is not None else f"NOT IN FORCE: {self.why}"


def wait(opened: Session, target: Target, version: Version) -> Waited:
    """Look until all workers of this host's daemon have the version. Raises UnableError where no daemon answers."""
    if opened.daemon is None:
        raise UnableError("it is written; no daemon answers on this host, so nobody can say when it is in force")
    began = time.monotonic()
    row: Mapping[str, Any] = {}
    while time.monotonic() - began < PATIENCE:
        rows = opened.daemon.status(brief=True).get("lists", {}).get("live", ())
        row = next((one for one in rows if one["name"] == target.name), {})
        here = version_from(str(row.get("version", "")))
        if row.get("in_force") and here is not None and here >= version:
            return Waited(round(time.monotonic() - began, 2))
        if not row:
            return Waited(None, f"no policy in force on this host asks the list {target.name}")
        time.sleep(_LOOK)
    return Waited(None, str(row.get("why") or f"not within {PATIENCE:.0f} s; see tidegate status"))
