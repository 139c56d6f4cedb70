"""What waits to be delivered by one channel: a bounded queue that survives a restart, one file for a notification.

Promises: in the order in which it was put; a notification is put once by its id; where the disk is full, notifications
wait in memory alone and are still sent; beyond LIMIT the oldest goes, counted. A damaged file is set aside.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate import records

LIMIT = 1000
_SUFFIX = ".notice"


@dataclass(frozen=True, slots=True)
class Waiting:
    """One notification that was not delivered yet; `since` in POSIX seconds."""

    name: str  # of its file
    id: str
    since: float
    values: dict[str, Any]
    kept: bool = True  # it has a file


class Spool:
    """The queue of one channel. Two threads use it: one puts, one delivers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._serial = 0
        self.dropped = 0
        self.error = ""  # why the last one could not be kept on disk
        self._waiting: dict[str, Waiting] = {}  # by id, in order
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            body = json.loads(records.read(path))
            found = Waiting(path.name, str(body["id"]), float(body["since"]), dict(body["values"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            self.error = f"{path.name} is damaged: {type(error).__name__}"
            self._set_aside(path)
            return
        self._waiting.setdefault(found.id, found)
        self._serial = max(self._serial, int(path.name.partition("-")[0]) if path.name[:1].isdigit() else 0)

    def _set_aside(self, path: Path) -> None:
        try:
            records.set_aside(path)
        except OSError:
            return  # it is left, and read in vain once more

    def put(self, identity: str, values: dict[str, Any], now: float) -> None:
        """Let it wait; nothing happens where it waits already."""
        with self._lock:
            if identity in self._waiting:
                return
            self._serial += 1
            name = f"{self._serial:012d}-{identity}{_SUFFIX}"
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                body = {"id": identity, "since": now, "values": values}
                records.write(self._folder / name, json.dumps(body).encode("ascii", "backslashreplace"))
                self.error = ""
            except OSError as error:
                self.error = f"{self._folder}: {error.strerror}"
            self._waiting[identity] = Waiting(name, identity, now, values, kept=not self.error)
            while len(self._waiting) > LIMIT:
                self._forget(next(iter(self._waiting.values())))
                self.dropped += 1

    def first(self) -> Waiting | None:
        """The one that waits for longest. One whose file somebody removed (`tidegate forget`) is forgotten."""
        with self._lock:
            for one in list(self._waiting.values()):
                if not one.kept or (self._folder / one.name).exists():
                    return one
                self._forget(one)
            return None

    def done(self, one: Waiting) -> None:
        """It was delivered, or given up."""
        with self._lock:
            self._forget(one)

    def _forget(self, one: Waiting) -> None:
        self._waiting.pop(one.id, None)
        try:
            (self._folder / one.name).unlink(missing_ok=True)
        except OSError as error:
            self.error = f"{self._folder}: {error.strerror}"  # it may be told again after a restart

    def __len__(self) -> int:
        return len(self._waiting)
