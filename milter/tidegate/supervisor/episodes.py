"""The daemon's alerts: the book kept over loads and restarts, aged, told to the clerk, silenced by a person.

Promises: what a restart finds in the record is neither raised nor logged anew, and is cleared only once it is known
to be gone. Refuses: sending (the clerk does), waiting for a disk (the clerk writes the record; only a silence, which
a person asks for, is written here).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

import structlog

from tidegate import alerts
from tidegate.alerts import record, silence
from tidegate.alerts.record import State
from tidegate.alerts.silence import Silence
from tidegate.channel import memory
from tidegate.model import Severity
from tidegate.observe.counters import Counters
from tidegate.supervisor.crew import Crew
from tidegate.supervisor.picture import Picture

OWN = "tidegate"  # the subject of what the daemon finds wrong with itself
_LINES = 100  # alerts of one cycle that get a line of their own; `status` has them all
_SETTLES = 10.0  # seconds after the first load in which the daemon finds out what is wrong with itself
_LOOK = 1.0

_log = structlog.get_logger()


class Episodes:
    """All of them; the book itself lies in the picture, for everybody to read."""

    def __init__(self, picture: Picture, counters: Counters, clerk: Crew) -> None:
        self._picture = picture
        self._counters = counters
        self._clerk = clerk
        self._plan = picture.settings.alerts
        found = record.recall(picture.settings.state, time.time())
        picture.book = found.book
        self._silences = silence.standing(silence.recall(picture.settings.state), time.time())
        self._channels: tuple[Mapping[str, Any], ...] = ()
        picture.parts["notifications"] = self.document
        picture.freeze()
        self._resting = found.resting
        picture.debt = found.debt
        self._carried: Collection[alerts.Key] = frozenset(found.book)  # from the record, and not yet seen anew
        self._settles = math.inf
        self._counted = counters.deferrals()
        self._looked = 0.0
        self._news = True  # which the clerk has not
        self._asked = 0  # number of the last test
        if found.book:
            _log.warning("alerts stand since before the start", alerts=len(found.book))

    def reconcile(self) -> None:
        """What is wrong may have changed."""
        picture = self._picture
        change = alerts.reconcile(
            picture.book,
            picture.problems,
            picture.entries,
            time.time(),
            self._resting,
            self._plan.escalate,
            self._carried,
        )
        picture.book, self._resting, self._carried = change.book, change.resting, change.carried
        picture.freeze()
        self._news = True
        for alert in change.raised[:_LINES]:
            _say("alert raised", alert)
        for alert in change.worse[:_LINES]:
            _say("alert got worse", alert)
        for alert in change.cleared[:_LINES]:
            _log.info("alert cleared", subject=alert.subject, code=alert.code, seconds=round(alert.ended - alert.since))
        more = max(len(change.raised), len(change.cleared)) - _LINES
        if more > 0:
            _log.error("more alerts", raised=len(change.raised), cleared=len(change.cleared), shown=_LINES)

    def loaded(self) -> None:
        """The policies are known: what the record says of them, and is not so any more, has cleared.

        What the daemon finds wrong with itself takes a while to be found again.
        """
        if self._picture.number:
            self._carried = frozenset(key for key in self._carried if key[0] == OWN)
        self._settles = min(self._settles, time.monotonic() + _SETTLES)

    def tick(self, now: float) -> str | None:
        """Once a second: ages, debts, the clerk. Returns what `mail-deferred` says now; None: it was not looked at."""
        if now - self._looked < _LOOK:
            return None
        self._looked = now
        wall = time.time()
        if now >= self._settles and any(key[0] == OWN for key in self._carried):
            self._carried = frozenset(key for key in self._carried if key[0] != OWN)
            self.reconcile()
        self._age(wall)
        counted = self._counters.deferrals()
        before = self._picture.debt
        debt = self._picture.debt = before.grown(counted - self._counted, wall)
        self._counted = counted
        if len(silence.standing(self._silences, wall)) != len(self._silences):
            self._silence(silence.standing(self._silences, wall))
        if self._news:
            self.tell_clerk()
        elif debt != before:  # alone: with thousands of alerts the whole would be too much for every second
            self._clerk.send("debt", **asdict(debt))
        named = any(alert.defers and alert.code != "mail-deferred" for alert in self._picture.book.values())
        return "mail is deferred by our own doing" if debt.lasting and not named else ""

    def _age(self, wall: float) -> None:
        book, worse = alerts.age(self._picture.book, wall, self._plan.escalate)
        if worse:
            self._picture.book = book
            self._picture.freeze()
            self._news = True
            for alert in worse[:_LINES]:
                _say("alert got worse", alert, self._picture.debt.text(wall))

    # ── the clerk ────────────────────────────────────────────────────────────────────────────────────────────

    def values(self) -> dict[str, Any]:
        """What the clerk has to know."""
        state = State(self._picture.book, self._resting, self._picture.debt)
        return {**state.values(), "silences": [asdict(one) for one in self._silences]}

    def tell_clerk(self) -> None:
        """Hand it what stands now. A clerk that takes nothing gets it at the next look."""
        ends = [child.channel for child in self._clerk.alive if child.channel]
        if not ends:
            return
        descriptor = memory("tidegate-alerts", json.dumps(self.values()).encode())
        self._news = not all(end.send_with((descriptor,), "alerts") for end in ends)
        os.close(descriptor)

    def document(self) -> Mapping[str, Any]:
        """For `tidegate status`: who is told, what nobody is told of, and what waits for us."""
        return {
            "channels": list(self._channels),
            "silences": [asdict(one) for one in self._silences],
            "deferred": asdict(self._picture.debt),
        }

    def heard(self, values: Mapping[str, Any]) -> None:
        """What the clerk says of its channels."""
        channels = values.get("channels", ())
        self._channels = tuple(one for one in channels if isinstance(one, dict))

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────

    def listen(self, on: Callable[[str, Callable[[Mapping[str, Any]], Mapping[str, Any] | None]], None]) -> None:
        """Answer the words of the control socket that are about alerts."""
        on("alerts-test", self.test)
        on("alerts-silence", self.silence)

    def test(self, _request: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Send a notification through each channel; its number tells the results apart. None: there is no clerk."""
        self._asked += 1
        number = int(time.time()) * 1000 + self._asked % 1000
        self._clerk.send("test", number=number)
        return {"test": number} if self._clerk.alive else None

    def silence(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nobody is told of an alert for a while; `seconds` 0 ends that."""
        now = time.time()
        try:
            key, seconds = str(request["key"]), float(request["seconds"])
            reason, by = str(request["reason"])[:500], str(request.get("by", ""))[:100]
        except (KeyError, TypeError, ValueError):
            return {"error": "a silence has key, seconds, reason and by"}
        known = {alert.key for alert in self._picture.book.values()} | {one.key for one in self._silences}
        if key not in known:
            return {"error": f"no alert with the key {key[:40]!r} stands"}
        if not 0 <= seconds <= silence.LONGEST or (seconds and not reason.strip()):
            return {"error": "a silence ends within 30 days, and has a reason"}
        others = tuple(one for one in self._silences if one.key != key)
        fresh = (Silence(key, now + seconds, reason, by, now),) if seconds else ()
        error = self._silence((*others, *fresh))
        _log.warning("alert silenced" if seconds else "silence ended", key=key, seconds=seconds, reason=reason, by=by)
        return {"done": True, "until": now + seconds, "error_of_record": error}

    def _silence(self, silences: tuple[Silence, ...]) -> str:
        self._silences = silences
        self._news = True
        try:
            silence.store(self._picture.settings.state, silences)
        except OSError as error:
            _log.error("silences can't be recorded", error=error.strerror)
            return error.strerror or "unknown"
        return ""


def _say(event: str, alert: alerts.Alert, more: str = "") -> None:
    level = _log.warning if alert.severity is Severity.WARNING else _log.error
    values = {"times": alert.times} if alert.times > 1 else {}
    level(
        event,
        key=alert.key,
        subject=alert.subject,
        code=alert.code,
        severity=alert.severity.name.lower(),
        place=str(alert.place),
        message=alert.message,
        cure=alert.cure,
        **values,
        **({"deferrals": more} if more else {}),
    )
