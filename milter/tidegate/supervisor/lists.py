"""Live lists: what the clerk has of them is handed to every worker, and what is wrong with them becomes alerts.

Promises: a worker has a new copy a moment after the clerk does, and a worker that starts has it before its first
message; a copy is sealed before it is believed; what the clerk finds on disk after its death replaces nothing that it
had handed over. A list that nobody confirms for longer than its `max_stale` is handed out as overdue. Refuses: opening
a copy, and Redis.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from tidegate.channel import Packet
from tidegate.control import Parcel
from tidegate.loader.report import LiveList
from tidegate.model import Severity
from tidegate.observe.counters import Counters, Event
from tidegate.replicas.held import Copy
from tidegate.supervisor.conditions import Conditions
from tidegate.supervisor.crew import Child, Crew
from tidegate.supervisor.picture import Picture

BEHIND = 30.0
"""Seconds without a confirmation after which a list is behind."""
_WAITING = 1000  # entries of rules that wait for a clerk
_REMIND = 3600.0  # seconds
_PATIENCE = 5.0  # seconds for the clerk to read a list that is new
_NAMED = 3  # lists that an alert names
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW

Key = tuple[str, str]
_log = structlog.get_logger()


@dataclass(slots=True)
class _Held:
    """One list. `serial` moves whenever workers have to hear of it; `told` is what the clerk last said."""

    base: int = -1
    changes: int = -1
    version: str = ""
    serial: int = 0
    overdue: bool = False
    confirmed: float = 0.0  # POSIX seconds; a clerk that lost its copies knows less than we do
    told: Mapping[str, Any] = field(default_factory=dict)


class Lists:
    """Those of one daemon."""

    def __init__(
        self, picture: Picture, workers: Crew, clerk: Crew, conditions: Conditions, counters: Counters
    ) -> None:
        self._counters = counters
        self._picture = picture
        self._workers = workers
        self._clerk = clerk
        self._conditions = conditions
        self._held: dict[Key, _Held] = {}
        self._told: dict[int, dict[Key, int]] = {}  # process: the serials that it was sent
        self._has: dict[int, dict[Key, int]] = {}  # process: those that it has taken
        self._wanted: tuple[LiveList, ...] = ()
        self._asked: tuple[int, tuple[LiveList, ...]] = (0, ())  # which clerk was told of which
        self._puts: deque[Mapping[str, Any]] = deque()
        self._lost = 0  # of those that rules put on lists
        self._losses = (0, 0.0)  # how many, and when (POSIX seconds) there were last more of them
        self._since: dict[Key, float] = {}  # POSIX seconds: since when these are asked and not read
        self._looked = 0.0
        self._heard = 0.0  # POSIX seconds when the clerk last reported
        self._state: Mapping[str, Any] = {}
        picture.parts["lists"] = self.document

    # ── what the children say ────────────────────────────────────────────────────────────────────────────────

    def heard_clerk(self, packet: Packet) -> None:
        """A copy, what is known of one list, or of all."""
        match packet.word:
            case "replica":
                self._take(packet)
            case "list":
                key = (str(packet.values["name"]), str(packet.values["form"]))
                self._hear(self._held.setdefault(key, _Held()), packet.values)
            case "lists":
                self._state, self._heard = packet.values, time.time()

    def _hear(self, held: _Held, values: Mapping[str, Any]) -> None:
        held.told = values
        held.confirmed = max(held.confirmed, float(values["confirmed"]))

    def _take(self, packet: Packet) -> None:
        values = packet.values
        key = (str(values["name"]), str(values["form"]))
        held = self._held.setdefault(key, _Held())
        if len(packet.descriptors) != 2 or not all(map(_sealed, packet.descriptors)):
            _log.error("list copy refused", list=key[0])
            return
        if values.get("restored") and held.base >= 0:
            return
        old = (held.base, held.changes)
        held.base, held.changes = map(os.dup, packet.descriptors)
        held.version = str(values["version"])
        self._hear(held, values)
        held.serial += 1
        for descriptor in old:
            if descriptor >= 0:
                os.close(descriptor)
        self._send()

    def heard_worker(self, child: Child, packet: Packet) -> None:
        """It has taken a copy, or could not; or a rule puts somebody on a list."""
        values = packet.values
        if packet.word == "put":
            self._put(values)
        elif packet.word == "listed":
            self._has.setdefault(child.pid, {})[str(values["name"]), str(values["form"])] = int(values["serial"])
        else:
            _log.error("list refused", child=child.name, list=values.get("name"), error=values.get("why"))

    def _put(self, values: Mapping[str, Any]) -> None:
        """For the clerk, now or when there is one again."""
        if len(self._puts) >= _WAITING:
            self._lost += 1
        else:
            self._puts.append(values)
        self._pass_on()

    def _pass_on(self) -> None:
        clerk = next((child.channel for child in self._clerk.alive if child.channel is not None), None)
        while self._puts and clerk is not None and clerk.send("put", **self._puts[0]):
            self._puts.popleft()

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> None:
        """Tell the clerk what is asked, send what workers lack, look at ages; `now` is monotonic."""
        self._want()
        self._pass_on()
        if now - self._looked >= 1.0:
            self._looked = now
            self._look(time.time())
        self._send()

    def _want(self) -> None:
        """The lists that the policies in force and on trial ask."""
        reports = [self._picture.report, *([self._picture.trial] if self._picture.trial is not None else [])]
        self._wanted = tuple(dict.fromkeys(one for report in reports for one in report.live))
        child = next((child for child in self._clerk.alive if child.channel is not None), None)
        if child is None or child.channel is None or self._asked == (child.pid, self._wanted):
            return
        allows: dict[Key, bool] = {}
        for one in self._wanted:
            allows[one.key] = allows.get(one.key, False) or one.allows
        rows = [[name, form, allowing] for (name, form), allowing in allows.items()]
        if child.channel.send("want", lists=rows):
            self._asked = child.pid, self._wanted

    def _look(self, now: float) -> None:
        limits: dict[Key, float] = {}
        for one in self._wanted:
            if one.max_stale:
                limits[one.key] = min(one.max_stale, limits.get(one.key, one.max_stale))
        for key, held in self._held.items():
            overdue = key in limits and held.base >= 0 and now - held.confirmed > limits[key]
            if overdue is not held.overdue:
                held.overdue = overdue
                held.serial += 1
                _log.warning("list overdue" if overdue else "list no longer overdue", list=key[0])
        self._judge(now)

    def _send(self) -> None:
        """To each worker what it was not sent yet."""
        alive = self._workers.alive
        pids = {child.pid for child in alive}
        self._told = {pid: known for pid, known in self._told.items() if pid in pids}
        self._has = {pid: known for pid, known in self._has.items() if pid in pids}
        for child in alive:
            known = self._told.setdefault(child.pid, {})
            for (name, form), held in self._held.items():
                if child.channel is None or held.base < 0 or known.get((name, form)) == held.serial:
                    continue
                files = (held.base, held.changes)
                values = {"name": name, "form": form, "serial": held.serial, "overdue": held.overdue}
                if child.channel.send_with(files, "replica", **values):
                    known[name, form] = held.serial

    # ── what is wrong ────────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, now: float) -> None:
        asked = [(one, self._held.get(one.key, _Held())) for one in self._wanted]
        judge = self._conditions.judge
        judge("list-unread", _several(self._unread(asked, now)))
        judge("list-behind", _several(self._behind(asked, now)))
        kept = (f"{one.list}: {held.told['why']}" for one, held in asked if held.told.get("trouble") == "list-guarded")
        judge("list-guarded", _several(kept))
        bad = (
            f"{one.list}: {held.told['bad']} entries, as in: {held.told['bad_one']}"
            for one, held in asked
            if held.told.get("bad")
        )
        judge("list-entries", _several(bad))
        missing = (f"{one.list}: Redis holds no list `{one.name}`" for one, held in asked if held.told.get("missing"))
        judge("list-missing", _several(missing), Severity.WARNING)
        copies = [*map(str, self._state.get("damaged", ())), str(self._state.get("unwritable", ""))]
        judge("list-copy", _several(one for one in copies if one))
        self._judge_losses(now)

    def _judge_losses(self, now: float) -> None:
        """An hour after the last one it is no alert any more."""
        counted = self._counters.totals().events[Event.SUSPENSIONS_LOST]
        lost = counted + self._lost + int(self._state.get("lost", 0))
        if lost > self._losses[0]:
            self._losses = lost, now
        text = f"{lost} entries that rules put on lists were not written, the last within the last hour"
        unput = str(self._state.get("unput", ""))
        waiting = f"entries that rules put on lists wait, they can't be written: {unput}" if unput else ""
        self._conditions.judge("list-additions-lost", text if lost and now - self._losses[1] < _REMIND else waiting)

    def _unread(self, asked: Iterable[tuple[LiveList, _Held]], now: float) -> Iterable[str]:
        self._since = {one.key: self._since.get(one.key, now) for one, held in asked if held.base < 0}
        for one, held in asked:
            why = str(held.told.get("why", ""))
            if held.base < 0 and (why or now - self._since[one.key] > _PATIENCE):
                yield f"{one.list}: {why or 'the clerk does not report'}"

    def _behind(self, asked: Iterable[tuple[LiveList, _Held]], now: float) -> Iterable[str]:
        for one, held in asked:
            confirmed = held.confirmed
            guarded = held.told.get("trouble") == "list-guarded" and now - self._heard < BEHIND
            if held.base >= 0 and not guarded and now - confirmed > BEHIND:
                since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(confirmed))
                yield f"{one.list}: as it was at {since}: {held.told.get('why') or 'the clerk does not report'}"

    # ── for others ───────────────────────────────────────────────────────────────────────────────────────────

    def handed(self) -> tuple[Copy, ...]:
        """What a worker that starts gets at once."""
        return tuple(
            Copy(name, form, held.base, held.changes, held.overdue)
            for (name, form), held in self._held.items()
            if held.base >= 0
        )

    def lend(self, request: Mapping[str, Any]) -> Parcel:
        """One copy, by its place among those that are held, for who judges as a worker does; and how many there are."""
        copies, place = self.handed(), request.get("place")
        if not isinstance(place, int) or not 0 <= place < len(copies):
            return Parcel(json.dumps({"count": len(copies)}))
        one = copies[place]
        told = {"count": len(copies), "name": one.name, "form": one.form, "overdue": one.overdue}
        return Parcel(json.dumps(told), (os.dup(one.base), os.dup(one.changes)))

    def versions(self) -> dict[str, str]:
        """By name in Redis: the version that all workers have, for the report of this node; "" where not all do."""
        return {key[0]: held.version if self._everybody(key, held) else "" for key, held in self._asked_for()}

    def _asked_for(self) -> list[tuple[Key, _Held]]:
        keys = dict.fromkeys(one.key for one in self._wanted)
        return [(key, self._held[key]) for key in keys if key in self._held]

    def _everybody(self, key: Key, held: _Held) -> bool:
        staying = [child.pid for child in self._workers.alive if child.ready and not child.leaving]
        return held.base >= 0 and all(self._has.get(pid, {}).get(key) == held.serial for pid in staying)

    def confirm(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """A person says that what Redis holds of a list is meant."""
        name = str(request.get("list", ""))
        names = {one.name for one in self._wanted} | {one.list for one in self._wanted}
        if name not in names:
            return {"error": f"no live list `{name[:80]}` is in force"}
        found = [one.name for one in self._wanted if name in (one.name, one.list)]
        if not any(child.channel and child.channel.send("confirm-list", name=found[0]) for child in self._clerk.alive):
            return {"error": "the clerk can't be asked now; try again"}
        return {"done": True, "name": found[0]}

    def document(self) -> Mapping[str, Any]:
        """For the status."""
        rows = []
        for one in self._wanted:
            held = self._held.get(one.key, _Held())
            told = held.told
            rows.append(
                {
                    "list": one.list,
                    "name": one.name,
                    "form": one.form,
                    "version": held.version,
                    "in_force": self._everybody(one.key, held),
                    "entries": int(told.get("count", 0)),
                    "confirmed": held.confirmed,
                    "read": held.base >= 0,
                    "overdue": held.overdue,
                    "trouble": str(told.get("trouble", "")),
                    "why": str(told.get("why", "")),
                }
            )
        return {"live": rows}


def _sealed(descriptor: int) -> bool:
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
    except OSError:
        return False


def _several(texts: Iterable[str]) -> str:
    """The first few, in one text; "" where there are none."""
    found = list(dict.fromkeys(texts))
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more
