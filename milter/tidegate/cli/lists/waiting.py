"""`--wait`: until a change of a list is in force on all workers of all hosts that can be heard, and how long that took.

A host is heard by its report in Redis; the daemon of this host is asked itself. A host whose policy does not ask the
list has nothing to do with it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.cli.lists.session import Session, Target
from tidegate.cli.output import UnableError
from tidegate.cli.progress import Bar
from tidegate.revisions.node import Node, read_node
from tidegate.store.lists import Version, version_from
from tidegate.store.nodes import heard

PATIENCE = 15.0
"""Seconds."""
_LOOK = 0.05
_ASK = 0.5  # seconds between two looks at the reports of the others
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Waited:
    """`seconds` until it was in force; None: it was not in time, and `why` says more. `hosts` have it."""

    seconds: float | None
    why: str = ""
    hosts: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For JSON."""
        known = {"hosts": list(self.hosts), "why": self.why}
        return {"in_force": self.seconds is not None, "seconds": self.seconds, **known}

    def text(self) -> str:
        """For a person."""
        where = f" on {', '.join(self.hosts[:_NAMED])}" if self.hosts else ""
        more = f" and {len(self.hosts) - _NAMED} more" if len(self.hosts) > _NAMED else ""
        if self.seconds is None:
            return f"NOT IN FORCE: {self.why}"
        return f"in force after {self.seconds:.1f} s{where}{more}"


def wait(opened: Session, target: Target, version: Version) -> Waited:
    """Look until all have the version. Raises UnableError where nobody can be heard, StoreError."""
    bar = Bar("waiting for all workers")
    try:
        return _wait(opened, target, version, bar)
    finally:
        bar.clear()


def _wait(opened: Session, target: Target, version: Version, bar: Bar) -> Waited:
    began = time.monotonic()
    asked, others = -_ASK, dict[str, bool]()
    here: bool | None = None
    why = ""
    while time.monotonic() - began < PATIENCE:
        if opened.daemon is not None:
            here, why = _here(opened, target, version)
        if here is not False and time.monotonic() - asked >= _ASK:
            asked = time.monotonic()
            others = _others(opened, target, version)
        if here is not False and all(others.values()) and (here or others):
            return Waited(round(time.monotonic() - began, 2), "", tuple(sorted(others)))
        hosts = [*others.values(), *([] if here is None else [here])]
        bar.show(sum(hosts), len(hosts), f"{sum(hosts)} of {len(hosts)} hosts" if hosts else "no host asks it so far")
        time.sleep(_LOOK)
    if here is None and not others:
        if opened.daemon is None:
            raise UnableError("it is written; no daemon can be heard, so nobody can say when it is in force")
        return Waited(None, f"no policy in force asks the list {target.name}")
    late = [name for name, has in sorted(others.items()) if not has]
    waiting = f"not on {', '.join(late[:_NAMED])} within {PATIENCE:.0f} s; see tidegate status there"
    return Waited(None, why or waiting, tuple(name for name, has in sorted(others.items()) if has))


def _here(opened: Session, target: Target, version: Version) -> tuple[bool | None, str]:
    """Does this host's daemon have it on all workers? None: its policy does not ask the list."""
    assert opened.daemon is not None
    rows = opened.daemon.status(brief=True).get("lists", {}).get("live", ())
    row: Mapping[str, Any] = next((one for one in rows if one["name"] == target.name), {})
    if not row:
        return None, ""
    return bool(row.get("in_force")) and _reached(str(row.get("version", "")), version), str(row.get("why", ""))


def _others(opened: Session, target: Target, version: Version) -> dict[str, bool]:
    """By host: does it have it? Those that fell silent can't be waited for."""
    found: dict[str, bool] = {}
    for one in heard(opened.link):
        node = read_node(one.report) if one.report else None
        if isinstance(node, Node) and target.name in node.lists:
            found[one.name] = _reached(node.lists[target.name], version)
    return found


def _reached(text: str, version: Version) -> bool:
    known = version_from(text)
    return known is not None and known >= version
