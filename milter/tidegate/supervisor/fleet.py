"""What the supervisor knows of Redis, told by the clerk, and what it has the clerk tell the fleet of us.

Promises: the supervisor itself never talks to Redis. A revision that was fetched and is neither in force nor on trial
after a while is an alert, whatever the reason. Refuses: reading what a revision holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import tidegate
from tidegate.alerts import Alert
from tidegate.channel import Packet
from tidegate.clerk.follow import CODES
from tidegate.loader.report import Report
from tidegate.model import EntryState, Severity
from tidegate.policy.vocabulary import LANGUAGE, words
from tidegate.revisions import Node
from tidegate.revisions.node import NAMED
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Crew, whole
from tidegate.supervisor.picture import Picture

BEHIND = 60.0
"""Seconds that a revision may take from the snapshot to a generation."""
_HELD = ("revision-older", "revision-local")  # the head is not taken until a person says so
_TROUBLED = frozenset({EntryState.STALE, EntryState.SKIPPED, EntryState.DEFERRING, EntryState.TRIPPED})


class Fleet:
    """One daemon's part of it."""

    def __init__(self, picture: Picture, workers: Crew, clerk: Crew, conditions: Conditions) -> None:
        self._picture = picture
        self._workers = workers
        self._clerk = clerk
        self._conditions = conditions
        self.lists: Callable[[], Mapping[str, str]] = dict  # the versions of live lists that all workers have
        self._followed: Mapping[str, Any] = {}
        self._behind = 0.0  # since when (monotonic) what was fetched is not what was loaded; 0: it is
        self._told: tuple[int, Node] | None = None  # to which clerk (its process), and what
        self._clean = 0
        self._words = tuple(sorted(words()))
        picture.parts["redis"] = self.document

    def heard(self, packet: Packet) -> None:
        """The clerk has polled, and something is new."""
        self._followed = packet.values
        self._picture.redis_up, self._picture.head = bool(packet.values.get("up")), whole(packet, "head")
        alerts = packet.values.get("alerts")
        for code in sorted(CODES):
            self._conditions.judge(code, _text_of(alerts, code))

    def tick(self, now: float, stage: str) -> None:
        """Once a second. `now` in monotonic seconds; `stage` names where in its life the daemon is."""
        if not self._picture.settings.redis:
            return
        self._conditions.judge("revision-behind", self._lag(now))
        node = self._node(stage)
        clerks = self._clerk.alive
        if clerks and self._told != (clerks[0].pid, node):
            self._clerk.send("node", **asdict(node))
            self._told = clerks[0].pid, node

    def accept(self) -> None:
        """A person says that the head in Redis is meant, older or not."""
        self._clerk.send("accept")

    def back(self, number: int) -> None:
        """A person brings a revision back that this host has on record; 0: none."""
        self._clerk.send("back", number=number)

    def _lag(self, now: float) -> str:
        """Why what was fetched is not what was loaded, where that lasts too long."""
        fetched, revised = self._followed.get("number"), self._newest().revised
        if not self._followed.get("serial") or fetched == revised.number or revised.held:
            self._behind = 0.0  # what holds it is an alert of its own
            return ""
        self._behind = self._behind or now
        if now - self._behind < BEHIND:
            return ""
        return f"revision {fetched} was fetched, and revision {revised.number} is what was loaded last"

    def _newest(self) -> Report:
        return self._picture.trial or self._picture.report

    def _node(self, stage: str) -> Node:
        picture, report, newest = self._picture, self._picture.report, self._newest()
        troubled = [f"{one.state.value} {one.key}" for one in picture.entries if one.state in _TROUBLED]
        health = picture.health(self._workers, stage)
        worst = max(picture.book.values(), key=_gravity, default=None)
        workers = self._workers.alive
        return Node(
            name=picture.settings.node_name,
            version=tidegate.__version__,
            language=LANGUAGE,
            words=self._words,
            started=int(picture.started),
            loaded=newest.revised.number,
            revision=report.revised.number,
            manifest=report.revised.manifest,
            held=newest.revised.held,
            since=int(picture.since),
            generation=picture.number,
            digest=report.digest,
            canary=picture.trial_number if picture.trial else 0,
            workers=len(workers),
            current=sum(child.generation == picture.number for child in workers),
            states=dict(sorted(picture.states().items())),
            troubled=tuple(troubled[:NAMED]),
            clean=self._clean_since(bool(troubled)),
            lists=dict(sorted(self.lists().items())),
            unready="; ".join(health.unready)[:500],
            error=f"{worst.code}: {worst.message}"[:500] if worst else "",
        )

    def _clean_since(self, troubled: bool) -> int:
        """Since when (POSIX seconds) every entry is in force as written; 0: one is not."""
        if troubled:
            self._clean = 0
        elif not self._clean:
            self._clean = int(time.time())
        return self._clean

    def document(self) -> dict[str, Any]:
        """For the status: the link, and which revision lies over the files."""
        settings = self._picture.settings
        if not settings.redis:
            return {"configured": False}
        trial = self._picture.trial
        return {
            "configured": True,
            "environment": settings.environment,
            "node": settings.node_name,
            "link": {key: value for key, value in self._followed.items() if key not in ("alerts", "row")},
            "older": next(filter(None, (_text_of(self._followed.get("alerts"), one) for one in _HELD)), ""),
            "revision": self._picture.report.revised.document(),
            "canary": trial.revised.document() if trial else None,
            "now": time.time(),
        }


def _text_of(alerts: object, code: str) -> str:
    return str(alerts.get(code, "")) if isinstance(alerts, dict) else ""


def _gravity(alert: Alert) -> Severity:
    return alert.severity
