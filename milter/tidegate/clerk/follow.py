"""Follows the head of our environment in Redis, one poll at a time, and leaves what is new as a snapshot on disk.

Promises: whatever Redis says, or does not say, what was fetched before stays until something newer is whole, verified
and its successor; what is refused is told, and every reason clears by itself once it is gone. An older head, one that
is gone and one that does not come after ours (FLUSHALL, an old dump, two histories) need a person's word (`accept`).
Refuses: threads (poller.py), and reading policy text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from tidegate.live import snapshot as snapshots
from tidegate.live.snapshot import Kept, Snapshot
from tidegate.revisions import Flaw, Revision
from tidegate.signing import Doubt, Trust
from tidegate.store.connection import Fault, StoreError
from tidegate.store.contents import Content, Refused, fetch, loose
from tidegate.store.failure import printable
from tidegate.store.revisions import Head, Revisions

MISSED = 3
"""Polls without an answer in a row, until somebody is told."""
_log = structlog.get_logger()
_LOOSE = 15  # polls between two looks at what was written by hand, where it is not in force anyway
_NAMED = 5  # entries that an alert names
_CUT = 40  # characters of a name that somebody made up

_FAULTS: Mapping[Fault, str] = {
    Fault.REFUSED: "redis-refused",
    Fault.SETTINGS: "redis-refused",
    Fault.WRONG_TYPE: "redis-foreign",
    Fault.REPLY: "redis-foreign",
}
"""The alert for a poll that failed so; for any other it is `redis-down`."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What stands after a poll. Times are POSIX seconds; 0: never. `alerts` are texts by code."""

    up: bool = False
    since: float = 0.0  # up, or down
    error: str = ""  # the last one, kept while it is up again
    error_at: float = 0.0
    head: int = 0  # the newest revision that was seen
    number: int = 0  # of the snapshot
    serial: int = 0
    row: str = ""  # the snapshot's file and digest, as the loader has it
    alerts: Mapping[str, str] = field(default_factory=dict)


class Follower:
    """One daemon's. Not for several threads."""

    def __init__(self, revisions: Revisions, state: str, *, allow: bool = False, trust: Trust | None = None) -> None:
        """`allow`: what was written past `tidegate policy` may be in force. `trust`: who has to have signed a revision,
        where that is demanded; then nothing that was written by hand is in force."""
        self._revisions = revisions
        self._state = state
        self._trust = trust
        self._allow = allow and trust is None
        self._kept = self._newest()
        self._mark = snapshots.mark(state, self._kept.name)
        self._seen: Head | None = None  # the head that was dealt with last
        self._refusal: dict[str, str] = {}  # what was said of it
        self._loose: Mapping[str, str] = {}
        self._polls = self._missed = 0
        self._accept = False
        self._found = replace(Followed(), row=self._row(), number=self._number(), serial=self._serial())

    @property
    def found(self) -> Followed:
        """After the last poll."""
        return self._found

    def accept(self) -> None:
        """A person says that the head is meant, older or not: the next poll that reaches it takes it."""
        self._accept = True

    def back(self, number: int, now: float) -> None:
        """A person brings a revision back that this host has on record, with Redis or without it; 0: none at all."""
        kept, environment = self._kept.snapshot, self._revisions.environment
        found = snapshots.readable(self._state, environment)
        wanted = next((one for one in found if one.number == number), None)
        if number == 0:
            wanted = Snapshot(0, environment, now)
        if wanted is None or kept is None:
            _log.error("revision not on record", number=number)
            return
        given_up = max(kept.given_up, kept.number)
        unwritten = self._put(replace(wanted, loose={}, given_up=given_up, local=True))
        self._seen = None
        alerts = {**self._found.alerts, **self._told_of_here(), **unwritten}
        self._found = replace(self._found, number=self._number(), serial=self._serial(), row=self._row(), alerts=alerts)

    def poll(self, now: float) -> Followed:
        """Ask once. `now` in POSIX seconds. Never raises what a store can do."""
        try:
            head = self._revisions.head()
            self._look_at_loose()
            alerts = self._follow(head, now)
        except StoreError as error:
            return self._lost(error, now)
        self._missed = 0
        found = self._found
        since = found.since if found.up else now
        self._found = Followed(
            True,
            since,
            found.error,
            found.error_at,
            _numbered(head),
            self._number(),
            self._serial(),
            self._row(),
            alerts,
        )
        return self._found

    def unwritable(self, why: str, now: float) -> None:
        """What we wanted to say could not be said (a replica, no memory left); "": it could."""
        alerts = {code: text for code, text in self._found.alerts.items() if code != "redis-unwritable"}
        if why:
            alerts["redis-unwritable"] = why
            self._found = replace(self._found, error=why, error_at=now)
        self._found = replace(self._found, alerts=alerts)

    def _lost(self, error: StoreError, now: float) -> Followed:
        """No answer. What was wrong with the last head is still so, as far as we know."""
        self._missed += 1
        found = self._found
        alerts = {code: text for code, text in found.alerts.items() if code not in _LINK}
        if self._missed >= MISSED:
            alerts[_FAULTS.get(error.fault, "redis-down")] = f"{error.why}; what was fetched last serves on"
        since = now if found.up or not found.since else found.since
        self._found = replace(found, up=False, since=since, error=error.why, error_at=now, alerts=alerts)
        return self._found

    def _look_at_loose(self) -> None:
        if self._allow or self._polls % _LOOSE == 0:
            self._loose = loose(self._revisions)
        self._polls += 1

    def _follow(self, head: Head, now: float) -> dict[str, str]:
        """Take it, or say why not. Raises StoreError."""
        self._heal()
        told = self._told_of_loose()
        if not self._settled(head):
            self._refusal = self._take(head, now)
            self._seen = head
        return {**told, **self._refusal, **self._told_of_here()}

    def _settled(self, head: Head) -> bool:
        """Was this head dealt with? What was refused is looked at every time: it may be whole by now."""
        kept = self._kept.snapshot
        if kept is None or head != self._seen or self._accept or self._refusal.keys() - {"revision-unreviewed"}:
            return False
        return kept.loose == self._wanted_loose()

    def _newest(self) -> Kept:
        """The newest snapshot; nothing is in it where its signature does not count."""
        kept = snapshots.newest(self._state, self._revisions.environment)
        doubt = self._doubt(kept.snapshot.revision) if kept.snapshot is not None else None
        return replace(kept, snapshot=None, why=doubt.why) if doubt is not None else kept

    def _before(self) -> Snapshot | None:
        """What a head has to follow: the newest snapshot that counts, also where a newer one is damaged or forged."""
        if self._kept.snapshot is not None:
            return self._kept.snapshot
        found = snapshots.readable(self._state, self._revisions.environment)
        return next((one for one in found if self._doubt(one.revision) is None), None)

    def _doubt(self, revision: Revision | None) -> Doubt | None:
        return self._trust.doubt(revision) if self._trust is not None and revision is not None else None

    def _heal(self) -> None:
        """A snapshot that somebody damaged meanwhile is looked at again."""
        name = self._kept.name
        if name and snapshots.mark(self._state, name) != self._mark:
            self._kept = self._newest()
            self._mark = snapshots.mark(self._state, self._kept.name)

    def _take(self, head: Head, now: float) -> dict[str, str]:
        kept, accepted = self._before(), self._accept
        self._accept = False  # the word was for this head
        content = fetch(self._revisions, head, kept.texts if kept else {}, self._allow)
        if isinstance(content, Refused):
            where = f"revision {_numbered(head)} of {self._revisions.environment}"
            return {"revision-refused": f"{where} is not taken: {content.why}"}
        told = self._untrusted(content)
        if told:
            return told
        if content.doubts:
            told["revision-unreviewed"] = f"in force, as the settings allow: {content.doubts[0]}"
        if self._holds(content) and not (accepted and kept and kept.local):
            return told
        if kept is not None and kept.local and not accepted and fresh_number(content) <= kept.given_up:
            return told
        why = "" if accepted or kept is None else self._no_successor(content.revision, kept)
        if why:
            return {"revision-older": why}
        unwritten = self._write(content, now, accepted)
        self._accept = accepted and bool(unwritten)
        return {**told, **unwritten}

    def _holds(self, content: Content) -> bool:
        """Is it what the snapshot has already?"""
        kept = self._kept.snapshot
        return (
            kept is not None
            and kept.revision == content.revision
            and kept.fallback == content.fallback
            and kept.loose == self._wanted_loose()
        )

    def _no_successor(self, revision: Revision | None, kept: Snapshot) -> str:
        """Why this head must not follow what we have; "": it may. Raises StoreError."""
        ours, environment = kept.revision, self._revisions.environment
        if ours is None or revision == ours:
            return ""
        serves = f"revision {ours.number} serves on"
        if revision is None:
            return f"Redis has no policy of {environment} any more; {serves}"
        if revision.number < ours.number:
            return f"Redis went back to revision {revision.number} of {environment}; {serves}"
        if revision.number == ours.number:
            return f"Redis has another revision {ours.number} of {environment} than the one that serves"
        there = self._revisions.revision(ours.number)
        if there == ours:
            return ""
        what = f"another revision {ours.number}" if isinstance(there, Revision) else f"no revision {ours.number}"
        if isinstance(there, Flaw):
            what = f"a revision {ours.number} that can't be read ({there})"
        return f"revision {revision.number} of {environment} comes after {what}; {serves}"

    def _untrusted(self, content: Content) -> dict[str, str]:
        """Why its signature does not count, where one is demanded."""
        doubt = self._doubt(content.revision)
        if doubt is None:
            return {}
        code = "signatures-unavailable" if doubt.unable else "revision-untrusted"
        where = f"revision {fresh_number(content)} of {self._revisions.environment}"
        return {code: f"{where} is not taken: {doubt.why}"}

    def _told_of_here(self) -> dict[str, str]:
        """What a person brought back on this host alone."""
        kept = self._kept.snapshot
        if kept is None or not kept.local:
            return {}
        which = f"revision {kept.number}" if kept.number else "no revision"
        return {"revision-local": f"{which} serves here, as a person said; revision {kept.given_up} was given up"}

    def _write(self, content: Content, now: float, accepted: bool) -> dict[str, str]:
        kept = self._kept.snapshot
        given_up = kept.given_up if kept else 0
        fresh = Snapshot(
            0,
            self._revisions.environment,
            now,
            content.revision,
            content.manifest,
            content.fallback,
            content.texts,
            self._wanted_loose(),
            max(given_up, kept.number) if accepted and kept else given_up,
        )
        return self._put(fresh)

    def _put(self, fresh: Snapshot) -> dict[str, str]:
        """On record, under the next serial number; what keeps it from being so."""
        environment = self._revisions.environment
        try:
            serial = snapshots.next_serial(self._state, environment)
            snapshots.write(self._state, replace(fresh, serial=serial))
        except OSError as error:
            return {"snapshot-unwritable": f"revision {fresh.number} can't be put on record: {error.strerror}"}
        self._kept = self._newest()
        self._mark = snapshots.mark(self._state, self._kept.name)
        return {}

    def _wanted_loose(self) -> Mapping[str, str]:
        return self._loose if self._allow else {}

    def _told_of_loose(self) -> dict[str, str]:
        if not self._loose:
            return {}
        names = ", ".join(printable(name[:_CUT]) for name in list(self._loose)[:_NAMED])
        names += ", …" if len(self._loose) > _NAMED else ""
        force = "in force, as the settings allow" if self._allow else "not in force"
        return {"revision-unreviewed": f"{len(self._loose)} entries were written by hand ({names}): {force}"}

    def _number(self) -> int:
        return self._kept.snapshot.number if self._kept.snapshot else 0

    def _serial(self) -> int:
        return self._kept.snapshot.serial if self._kept.snapshot else 0

    def _row(self) -> str:
        return f"{self._kept.name} {self._kept.digest}" if self._kept.name else ""


_LINK = frozenset({"redis-down", "redis-refused", "redis-foreign"})
CODES = _LINK | frozenset(
    {
        "redis-unwritable",
        "revision-refused",
        "revision-older",
        "revision-unreviewed",
        "revision-untrusted",
        "signatures-unavailable",
        "revision-local",
        "snapshot-unwritable",
    }
)
"""All alerts that a poll can tell."""


def fresh_number(content: Content) -> int:
    """Of the revision; 0: there is none."""
    return content.revision.number if content.revision else 0


def _numbered(head: Head) -> int:
    """Its number, as far as it has one."""
    if head.revision is not None:
        return head.revision.number
    return int(head.number) if head.number.isdigit() and len(head.number) < 15 else 0
