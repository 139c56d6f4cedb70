"""The replay store: what was judged lately, sealed, on this machine only.

    replay/key              the key, readable by the daemon's account alone
    replay/messages-NUMBER  blocks of a quarter of an hour (NUMBER: POSIX time / 900), appended by several processes
    replay/lock             held shared by who appends, exclusively by who rewrites

Here is what the workers write with; what is read, dropped and forgotten is in replay/reading.py.
Promises: bounded in bytes, whatever happens; a key that was removed is never used again. Refuses blocking who writes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tidegate import records
from tidegate.ledger import locked
from tidegate.replay.message import Kept, written
from tidegate.replay.sealing import KEY_BYTES, Seal

FOLDER = "replay"
KEY = "key"
SLOT = 900
"""Seconds of one file."""
PART = 4
"""A file may have this part of all bytes, so that dropping the oldest always leaves some."""
_FILE = re.compile(r"messages-([0-9]{1,12})")
# Never to wait: who put a pipe in the place of the file gets an error.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
_MOST = 1 << 20  # bytes of text in one block, unless one message is larger


class FullError(OSError):
    """The store has as many bytes as it may have."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file, with its size in bytes and the time, in POSIX seconds, at which its quarter of an hour ends."""

    path: Path
    ends: float
    size: int


def segments(state: str) -> list[Segment]:
    """All files, oldest first. Raises OSError, but not where there is no store."""
    folder = Path(state) / FOLDER
    found: list[tuple[int, Segment]] = []
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    for name in names:
        match = _FILE.fullmatch(name)
        if match is None:
            continue
        path = folder / name
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            continue  # tended away meanwhile
        found.append((int(match[1]), Segment(path, (int(match[1]) + 1) * SLOT, size)))
    return [segment for _, segment in sorted(found, key=_number)]


def _number(row: tuple[int, Segment]) -> int:
    return row[0]


def read_key(state: str) -> bytes:
    """The key. Raises OSError, or records.DamagedError."""
    key = records.read(Path(state) / FOLDER / KEY)
    if len(key) != KEY_BYTES:
        raise records.DamagedError(f"a key has {KEY_BYTES} bytes, this one {len(key)}")
    return key


def make_key(state: str) -> bytes:
    """The key, made where there is none. Raises OSError (BusyError: try again)."""
    folder = Path(state) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        try:
            return read_key(state)
        except (FileNotFoundError, records.DamagedError):
            key = secrets.token_bytes(KEY_BYTES)
            records.write(folder / KEY, key)
            return key


class Quill:
    """What a worker writes with. Everything may fail, and then says so."""

    def __init__(self, state: str, bound: int) -> None:
        """`bound`: bytes that the store may have in all."""
        self._state = state
        self._folder = Path(state) / FOLDER
        self._bound = bound
        self._seal: Seal | None = None
        self._marked: tuple[int, int] = (0, 0)  # inode and time of the key that `_seal` uses
        self._room = 0  # bytes that the file in use may still get
        self._file = ""

    def write(self, messages: Iterable[Kept], now: float) -> None:
        """Append them, all or none. Raises sealing.UnavailableError, BusyError (try again), or another OSError."""
        seal = self._usable()
        data = b"".join(seal.close(text) for text in _texts(messages))
        name = f"messages-{int(now) // SLOT}"
        with locked(self._folder, fcntl.LOCK_SH | fcntl.LOCK_NB):
            descriptor = os.open(self._folder / name, _APPEND, 0o600)
            try:
                if os.fstat(descriptor).st_size + len(data) > self._limit(name):
                    self._file = ""  # look again next time
                    raise FullError(errno.EFBIG, "the replay store is full")
                if os.write(descriptor, data) < len(data):
                    raise OSError(errno.ENOSPC, "what was written was cut")
            finally:
                os.close(descriptor)

    def _limit(self, name: str) -> int:
        """Bytes that this file may have: its part, or less where the others leave less (looked at once for each)."""
        if name != self._file:
            others = sum(one.size for one in segments(self._state) if one.path.name != name)
            self._file, self._room = name, min(self._bound // PART, self._bound - others)
        return self._room

    def _usable(self) -> Seal:
        """The seal by the key that lies there now: a key that was removed is never used again."""
        path = self._folder / KEY
        try:
            state = path.stat()
        except FileNotFoundError:
            self._seal = Seal(make_key(self._state))
            state = path.stat()
        mark = (state.st_ino, state.st_mtime_ns)
        if self._seal is None or mark != self._marked:
            self._seal = Seal(make_key(self._state))  # a damaged one is replaced
            state = path.stat()
            mark = (state.st_ino, state.st_mtime_ns)
        self._marked = mark
        return self._seal


def _texts(messages: Iterable[Kept]) -> Iterator[bytes]:
    """The texts of blocks: a line with what all their messages are known to have, then one line for each."""
    by_known: dict[frozenset[str], list[Kept]] = {}
    for one in messages:
        by_known.setdefault(one.known or frozenset(), []).append(one)
    for shared, those in by_known.items():
        head = json.dumps({"known": sorted(shared)})
        lines, size = [head], 0
        for one in those:
            line = written(one, shared)
            if size and size + len(line) > _MOST:
                yield _text(lines)
                lines, size = [head], 0
            lines.append(line)
            size += len(line)
        yield _text(lines)


def _text(lines: list[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogatepass")
