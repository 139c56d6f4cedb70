"""The replay store as it is read, kept within its bounds, and searched for a person who is to be forgotten.

Promises: one block is in memory at a time; what can't be read is counted, and passed over. Forgetting rewrites a file
whole or not at all, and drops with it what nobody can read any more.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tidegate import records
from tidegate.ledger import keep_owner, locked
from tidegate.replay.message import Kept, read
from tidegate.replay.sealing import Piece, Seal, State, pieces
from tidegate.replay.store import FOLDER, KEY, PART, SLOT, Segment, read_key, segments

_STEP = 1 << 20  # bytes that are searched at once
_DRAFT = 3600.0  # seconds after which nobody can be at work on a draft any more


@dataclass(slots=True)
class Reading:
    """How far a reader is, and what it had to pass over."""

    total: int = 0  # bytes
    done: int = 0
    messages: int = 0
    damaged: int = 0  # blocks, runs of bytes that are none, and lines
    locked: int = 0  # blocks that were sealed with a key that is not there

    @property
    def lost(self) -> int:
        """What can't be read."""
        return self.damaged + self.locked


def read_messages(state: str, since: float, reading: Reading) -> Iterator[Kept]:
    """The messages that were judged at `since` (POSIX seconds) or later; the oldest blocks first.

    `reading` is kept up to date. Raises sealing.UnavailableError, and OSError where the store may not be read.
    """
    files = [one for one in segments(state) if one.ends > since]
    reading.total = sum(one.size for one in files)
    seal = _seal(state)
    for file in files:
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            reading.done += file.size  # tended away meanwhile
            continue
        try:
            for piece in pieces(_File(descriptor), seal):
                for one in _messages(piece, reading):
                    if one.time >= since:
                        reading.messages += 1
                        yield one
                reading.done += piece.end - piece.start
        finally:
            os.close(descriptor)


class _File:
    """An open file as far as it is written now, read where it is looked at."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, piece: slice, /) -> bytes:
        start = int(piece.start)
        return os.pread(self._descriptor, max(0, min(int(piece.stop), self._size) - start), start)

    def find(self, sub: bytes, start: int, /) -> int:
        """Where `sub` stands first at `start` or behind it; -1: nowhere."""
        while start < self._size:
            part = self[start : start + _STEP + len(sub) - 1]
            at = part.find(sub)
            if at >= 0:
                return start + at
            start += _STEP
        return -1


def _seal(state: str) -> Seal | None:
    """The seal of the key that is there; None where there is none that can be used."""
    try:
        return Seal(read_key(state))
    except (FileNotFoundError, records.DamagedError):
        return None


def _messages(piece: Piece, reading: Reading) -> Iterator[Kept]:
    if piece.state is not State.OPEN:
        reading.damaged += piece.state is State.DAMAGED
        reading.locked += piece.state is State.LOCKED
        return
    head, *lines = piece.text.split(b"\n")
    try:
        shared = frozenset(map(str, json.loads(head)["known"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        reading.damaged += 1
        return
    for line in lines:
        try:
            yield read(line.decode("utf-8", "surrogatepass"), shared)
        except ValueError:  # of another version
            reading.damaged += 1


def tend(state: str, oldest: float, bound: int, now: float) -> None:
    """Drop what is older than `oldest`, and the oldest beyond `bound` bytes; times in POSIX seconds. Raises OSError.

    A quarter of the bytes is left for the file that is in use at `now`.
    """
    files = [one for one in segments(state) if one.ends <= now // SLOT * SLOT]
    late = [one for one in files if one.ends < oldest]
    kept = files[len(late) :]
    size = sum(one.size for one in kept)
    for one in kept:
        if size <= bound - bound // PART:
            break
        size -= one.size
        late.append(one)
    for one in late:
        one.path.unlink(missing_ok=True)
    _sweep(state, now - _DRAFT)


def purge(state: str) -> bool:
    """Remove all of it, the key first; False where there was nothing. Raises OSError."""
    files = segments(state)
    key = Path(state) / FOLDER / KEY
    there = bool(files) or key.exists()
    key.unlink(missing_ok=True)
    for one in files:
        one.path.unlink(missing_ok=True)
    _sweep(state, math.inf)
    return there


def _sweep(state: str, oldest: float) -> None:
    """Remove what is left of somebody who was killed while he rewrote a file."""
    for draft in (Path(state) / FOLDER).glob("messages-*.tmp"):
        try:
            if draft.stat().st_mtime < oldest:
                draft.unlink()
        except FileNotFoundError:
            continue  # it was in use, and is in its place now


def _unseen(_done: int, _total: int) -> None:
    return None


def forget(
    state: str,
    meant: Callable[[bytes], bool],
    *,
    only_count: bool = False,
    progress: Callable[[int, int], None] = _unseen,
) -> int:
    """Drop the messages of which `meant` says so, by their text; how many there were.

    `progress` is told the bytes that were searched, and all of them. What can't be opened, by this key or any, is
    dropped with them. Raises sealing.UnavailableError, or OSError.
    """
    files = segments(state)
    if not files:
        return 0
    seal = _seal(state)
    if seal is None:
        if not only_count:
            purge(state)
        return 0
    found = done = 0
    total = sum(one.size for one in files)
    for one in files:
        progress(done, total)
        found += _forget(state, one, seal, meant, only_count)
        done += one.size
    return found


def _forget(state: str, file: Segment, seal: Seal, meant: Callable[[bytes], bool], only_count: bool) -> int:
    folder = Path(state) / FOLDER
    with locked(folder, fcntl.LOCK_SH if only_count else fcntl.LOCK_EX):
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        draft = file.path.with_name(f"{file.path.name}.{os.getpid()}.tmp")
        try:
            with open(os.devnull if only_count else draft, "wb", opener=_private) as target:
                found, changed = _without(_File(descriptor), seal, meant, target)
                if changed and not only_count:
                    keep_owner(target.fileno(), folder)
                    target.flush()
                    os.fsync(target.fileno())
            if changed and not only_count:
                os.replace(draft, file.path)
                records.settle(folder)
            return found
        finally:
            os.close(descriptor)
            draft.unlink(missing_ok=True)


def _without(data: _File, seal: Seal, meant: Callable[[bytes], bool], target: IO[bytes]) -> tuple[int, bool]:
    """Write what stays. How many messages do not, and whether anything is other than it was."""
    found, changed = 0, False
    for piece in pieces(data, seal):
        if piece.state is not State.OPEN:
            changed = True
            continue
        head, *lines = piece.text.split(b"\n")
        stay = [line for line in lines if not meant(line)]
        if len(stay) == len(lines):
            target.write(data[piece.start : piece.end])
        elif stay:
            target.write(seal.close(b"\n".join([head, *stay])))
        found += len(lines) - len(stay)
    return found, changed or bool(found)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
