"""The clerk's thread for lists: polls their versions, follows those that the policy asks, hands over copies.

Promises: one round trip each poll, a little earlier or later each time, so that a fleet does not ask in step; nothing
else waits for it; what Redis confirms is on disk before the next poll. What rules put on lists is written from a queue
that has an end: what does not fit is counted. Refuses: to die of anything that Redis says (a bug is logged, and the
next poll tries again).

To the supervisor: `replica` (a list's base and changes as sealed memory) where something is new; after every poll
`list` for each, and `lists` for all together.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from tidegate.channel import memory
from tidegate.image.replica import write_changes
from tidegate.model import Conventions
from tidegate.replicas import snapshot
from tidegate.replicas.entries import EntryReader
from tidegate.replicas.mirror import Mirror, Wanted, fits
from tidegate.store.connection import Breaker, Fault, Link, StoreError, StoreSettings, open_store
from tidegate.store.lists import MAX_OPERATIONS, Entry, ListStore, Version

POLL = 2.0
"""Seconds between two polls, at most."""
TIMEOUT = 2.0
"""Seconds that one call may take: nobody's message waits for it."""
MAX_WAITING = 1000
"""Entries that wait to be written."""
_JITTER = 0.1  # part of a poll
_KEPT = 30 * 86400.0  # seconds for which the copy of a list that nobody asks stays on disk
_RETRY = 60.0  # seconds after which a copy that could not be written is tried again

_NOBODY = frozenset({Fault.UNREACHABLE, Fault.TIMEOUT, Fault.SETTINGS})
"""Failures after which nothing more can be asked; any other may be that of one list."""

_log = structlog.get_logger()


class Sends(Protocol):
    """The way to the supervisor (channel.Channel)."""

    def send(self, word: str, **values: object) -> bool: ...
    def send_with(self, descriptors: Sequence[int], word: str, **values: object) -> bool: ...


@dataclass(frozen=True, slots=True)
class Put:
    """A rule puts an entry on a list. `seconds`: how long it stays; 0: for good. `at`: when (POSIX seconds)."""

    name: str
    form: str
    text: str
    seconds: float
    at: float
    by: str
    why: str


@dataclass(slots=True)
class _Kept:
    """A mirror, and what became of its copies. `memory`: descriptor of its base; -1: none yet."""

    mirror: Mirror
    memory: int = -1
    made_of: bytes = b""  # the base's bytes that `memory` holds
    unsent: bool = False
    unwritten: bool = False
    written_of: bytes = b""
    tried: float = 0.0
    unasked: bool = False  # the policy does not ask it


class ListKeeper:
    """All lists of one host. `want`, `confirm` and `put` come from the clerk's own thread."""

    def __init__(
        self, link: Link, channel: Sends, state: str, conventions: Conventions, poll: float = POLL, node: str = ""
    ) -> None:
        """`poll`: seconds. `node` names this host to whoever looks at an entry."""
        self._store = ListStore(link)
        self._where = link.where
        self._channel = channel
        self._state = state
        self._conventions = conventions
        self._poll = min(poll, POLL)
        self._node = node
        self._breaker = Breaker()
        self._lists: dict[tuple[str, str], _Kept] = {}
        self._wanted: tuple[Wanted, ...] | None = None
        self._confirm: deque[str] = deque()
        self._puts: deque[Put] = deque()
        self._lost = 0
        self._damaged: list[str] = []
        self._unwritable = ""
        self._unput = ""  # why what rules put on a list can't be written there
        self._stir = threading.Event()

    # ── from the clerk ───────────────────────────────────────────────────────────────────────────────────────

    def want(self, wanted: Iterable[Wanted]) -> None:
        """These are asked by the policies in force and on trial."""
        fresh = tuple(wanted)
        if fresh != self._wanted:
            self._wanted = fresh
            self._stir.set()

    def confirm(self, name: str) -> None:
        """What Redis holds of this list is meant."""
        self._confirm.append(name)
        self._stir.set()

    def put(self, one: Put) -> None:
        """Write it, when Redis can be asked."""
        if len(self._puts) >= MAX_WAITING:
            self._lost += 1
            return
        self._puts.append(one)
        self._stir.set()

    def start(self) -> None:
        """The thread; it ends with the process."""
        threading.Thread(target=self._live, name="lists", daemon=True).start()

    # ── the thread ───────────────────────────────────────────────────────────────────────────────────────────

    def _live(self) -> None:
        self.guarded(self.restore)
        while True:
            self.guarded(self.look)
            # Jittered, so that the hosts of a fleet do not ask in step.
            self._stir.wait(self._poll * random.uniform(1 - _JITTER, 1 + _JITTER))
            self._stir.clear()

    def guarded(self, work: Callable[[], None]) -> None:
        """A bug costs one poll."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - see above
            _log.error("lists fault", exc_info=error)

    def restore(self) -> None:
        """What is on disk, handed out at once: a restart without Redis has the lists."""
        for found in snapshot.read_all(self._state):
            if isinstance(found, str):
                _log.error("list copy damaged", error=found)
                self._damaged.append(found)
                continue
            header = found.base.header
            wanted = Wanted(header.name, header.form)
            if not fits(found.base, wanted, self._conventions):
                continue  # its keys are those of other conventions: it is read anew
            mirror = Mirror(wanted, self._conventions)
            mirror.restore(found.base, found.data, found.changes, found.version, found.confirmed)
            self._lists[mirror.key] = _Kept(mirror, unsent=True, written_of=found.data)
        self._hand_over(restored=True)

    def look(self) -> None:
        """One poll: write what waits, ask for the versions, follow what is new, hand it over, keep it."""
        self._adopt()
        now, clock = time.time(), time.monotonic()
        asked = [kept for kept in self._lists.values() if not kept.unasked]
        if (asked or self._puts) and self._breaker.allows(clock):
            try:
                self._write_puts(now)
                versions = self._store.versions()
            except StoreError as error:
                self._failed(error, asked, clock)
            else:
                self._breaker.succeeded()
                self._follow(asked, versions, now)
        self._hand_over()
        self._keep(clock, now)
        self._report()

    def _adopt(self) -> None:
        """The lists that are asked now."""
        wanted = self._wanted
        if wanted is None:
            return
        by_key = {(one.name, one.form): one for one in wanted}
        for key, one in by_key.items():
            kept = self._lists.get(key)
            if kept is None:
                self._lists[key] = _Kept(Mirror(one, self._conventions))
            else:
                kept.mirror.wanted, kept.unasked = one, False
        for key, kept in self._lists.items():
            kept.unasked = key not in by_key
        while self._confirm:
            name = self._confirm.popleft()
            for kept in self._lists.values():
                if kept.mirror.wanted.name == name:
                    kept.mirror.accept = True

    def _failed(self, error: StoreError, asked: Sequence[_Kept], clock: float) -> None:
        if self._breaker.failed(clock, random.random()):
            _log.warning("lists: Redis can't be asked", where=self._where, error=error.why)
        for kept in asked:
            kept.mirror.behind(error.why)

    def _follow(self, asked: Sequence[_Kept], versions: dict[str, Version | None] | Any, now: float) -> None:
        for kept in asked:
            mirror = kept.mirror
            name = mirror.wanted.name
            before, troubled = mirror.version, mirror.trouble
            try:
                changed = mirror.follow(self._store, name in versions, versions.get(name), now, self._report)
            except StoreError as error:
                mirror.behind(error.why)
                continue
            if changed:
                kept.unsent = kept.unwritten = True
                _log.info("list changed", list=name, version=str(mirror.version), entries=mirror.count())
            elif mirror.trouble is not None and mirror.trouble is not troubled:
                _log.warning("list kept", list=name, version=str(before), reason=mirror.why)

    def _write_puts(self, now: float) -> None:
        """What rules put on lists, list by list; what is not written yet waits on. Raises StoreError.

        A list that can't be written (evicted, another type under its key) keeps nobody from the others.
        """
        waiting = [self._puts.popleft() for _ in range(len(self._puts))]  # `put` adds to the other end meanwhile
        refused: list[Put] = []
        why = ""
        try:
            while waiting:
                name, form = waiting[0].name, waiting[0].form
                mine = [one for one in waiting if (one.name, one.form) == (name, form)]
                others = [one for one in waiting if (one.name, one.form) != (name, form)]
                try:
                    self._write_batch(mine[:MAX_OPERATIONS], now)
                except StoreError as error:
                    if error.fault in _NOBODY:
                        raise
                    refused, waiting, why = refused + mine, others, f"{name}: {error.why}"
                else:
                    waiting = mine[MAX_OPERATIONS:] + others
        finally:
            self._puts.extendleft(reversed(refused + waiting))
        if why and why != self._unput:
            _log.error("lists: what rules put there can't be written", error=why)
        self._unput = why

    def _write_batch(self, batch: Sequence[Put], now: float) -> None:
        """For one list. Raises StoreError."""
        first = batch[0]
        reader = EntryReader(first.form, self._conventions)
        entries: dict[str, Entry] = {}
        for one in batch:
            key, why = reader.key(one.text)
            until = one.at + one.seconds if one.seconds else None
            if not why and (until is None or until > now):
                by = f"{one.by} ({self._node})" if self._node else one.by
                entries[key] = Entry(key, until, by, one.why, one.at)
        slack = max(one.seconds for one in batch) / 10
        if entries:
            self._store.write(
                first.name, tuple(entries.values()), now, first.by, first.why, host=self._node, slack=slack
            )

    # ── copies ───────────────────────────────────────────────────────────────────────────────────────────────

    def _hand_over(self, restored: bool = False) -> None:
        """To the supervisor what it does not have yet. `restored`: from disk, which counts less than what it has."""
        for kept in self._lists.values():
            mirror = kept.mirror
            if not kept.unsent or mirror.base is None:
                continue
            try:
                kept.unsent = not self._send(kept, restored)
            except OSError as error:
                _log.error("list not handed over", list=mirror.wanted.name, error=error.strerror)

    def _send(self, kept: _Kept, restored: bool) -> bool:
        mirror = kept.mirror
        if kept.memory < 0 or kept.made_of is not mirror.data:
            fresh = memory("tidegate-list", mirror.data)
            if kept.memory >= 0:
                os.close(kept.memory)
            kept.memory, kept.made_of = fresh, mirror.data
        changes = memory("tidegate-changes", write_changes(mirror.changes))
        try:
            return self._channel.send_with((kept.memory, changes), "replica", restored=restored, **_told(mirror))
        finally:
            os.close(changes)

    def _keep(self, clock: float, now: float) -> None:
        """On disk what is new; when Redis last confirmed the rest; what nobody asks for long is removed."""
        why = ""
        for key, kept in list(self._lists.items()):
            mirror = kept.mirror
            try:
                if kept.unasked and now - mirror.confirmed > _KEPT and self._wanted is not None:
                    snapshot.forget(self._state, *key)
                    del self._lists[key]
                elif kept.unwritten and (not kept.tried or clock - kept.tried >= _RETRY):
                    kept.tried = clock
                    self._write(kept)
                    kept.unwritten, kept.tried = False, 0.0
                elif mirror.base is not None and mirror.confirmed >= now and not kept.unwritten:
                    snapshot.confirm(self._state, mirror.base, mirror.confirmed)
            except OSError as error:
                why = f"the copy of the list {mirror.wanted.name} can't be written: {error.strerror}"
                kept.unwritten = True
        self._unwritable = why or (self._unwritable if any(one.unwritten for one in self._lists.values()) else "")

    def _write(self, kept: _Kept) -> None:
        mirror = kept.mirror
        assert mirror.base is not None
        if kept.written_of is not mirror.data:
            snapshot.write_base(self._state, mirror.data, mirror.base)
            kept.written_of = mirror.data
        version = str(mirror.version) if mirror.version is not None else ""
        snapshot.write(self._state, mirror.base, mirror.changes, version)

    def _report(self) -> None:
        """What is known of each list that is asked."""
        for kept in self._lists.values():
            if not kept.unasked:
                self._channel.send("list", **_told(kept.mirror))
        self._channel.send(
            "lists",
            lost=self._lost,
            damaged=self._damaged[:5],
            unwritable=self._unwritable,
            unput=self._unput[:300],
        )


def _told(mirror: Mirror) -> dict[str, Any]:
    return {
        "name": mirror.wanted.name,
        "form": mirror.wanted.form,
        "version": str(mirror.version) if mirror.version is not None else "",
        "count": mirror.count(),
        "confirmed": mirror.confirmed,
        "read": mirror.base is not None,
        "trouble": mirror.trouble.value if mirror.trouble is not None else "",
        "why": mirror.why[:300],
        "bad": len(mirror.bad),
        "bad_one": next(iter(mirror.bad.values()), "")[:200],
        "missing": mirror.missing,
    }


class ListKeeperSettings(StoreSettings, Protocol):
    """What a keeper needs of the settings."""

    @property
    def state(self) -> str: ...
    @property
    def poll(self) -> float: ...
    @property
    def default_realm(self) -> str: ...
    @property
    def recipient_delimiter(self) -> str: ...
    @property
    def node_name(self) -> str: ...


def keeper_of(settings: ListKeeperSettings, channel: Sends) -> ListKeeper | None:
    """The keeper of these settings; None without Redis."""
    if not settings.redis:
        return None
    conventions = Conventions(settings.default_realm, settings.recipient_delimiter)
    link = open_store(settings, TIMEOUT)
    return ListKeeper(link, channel, settings.state, conventions, settings.poll, settings.node_name)
