r"""The ledger's rows: one line each, appended by several processes, read by whoever reports.

A row is one message and one rule, or (`count` above 1) several messages of which only the number is kept. Its line is
the CRC-32 of the rest, a blank, and JSON. Whoever appends holds a shared lock, whoever rewrites the file an exclusive
one (`tending`), both on a file beside it that is never replaced.

Who sent it is kept twice: masked, for a person to recognise, and as a keyed fingerprint by which `tidegate forget`
finds exactly that person's rows. The key is in the same folder; without it a fingerprint says nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate import records

FOLDER = "exposure"
ROWS, LOCK, KEY = "rows", "lock", "key"
FULL = 32 << 20  # bytes beyond which nothing is appended: the clerk, who tends the file, is gone for good


@dataclass(frozen=True, slots=True)
class Row:
    """One message that `rule` would have concerned, or a number of them, seen from `first` to `time`."""

    rule: str
    time: float  # POSIX seconds
    queue_id: str = ""
    reference: str = ""
    sender: str = ""  # masked, as is the login
    login: str = ""
    who: tuple[str, ...] = ()  # fingerprints of login and sender
    outcome: str = ""  # what became of it: a disposition's name
    certain: bool = True  # False: the rule can't be read, so it only may have been concerned
    count: int = 1
    first: float = 0.0

    @property
    def listed(self) -> bool:
        """Does it tell a message, and not only a number?"""
        return bool(self.queue_id or self.reference)


class BusyError(OSError):
    """Somebody rewrites the ledger at this moment."""


def line(row: Row) -> bytes:
    """The row as it is appended."""
    fields: dict[str, Any] = {"rule": row.rule, "time": round(row.time, 3)}
    for name in ("queue_id", "reference", "sender", "login", "outcome"):
        if value := getattr(row, name):
            fields[name] = value
    if row.who:
        fields["who"] = list(row.who)
    if not row.certain:
        fields["certain"] = False
    if row.count != 1:
        fields |= {"count": row.count, "first": round(row.first, 3)}
    body = json.dumps(fields, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def parsed(text: bytes) -> Row | None:
    """The row of one line; None for a damaged one."""
    checksum, _, body = text.rstrip(b"\n").partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        fields = json.loads(body)
        when = float(fields["time"])
        return Row(
            str(fields["rule"]),
            when,
            str(fields.get("queue_id", "")),
            str(fields.get("reference", "")),
            str(fields.get("sender", "")),
            str(fields.get("login", "")),
            tuple(map(str, fields.get("who", ()))),
            str(fields.get("outcome", "")),
            bool(fields.get("certain", True)),
            int(fields.get("count", 1)),
            float(fields.get("first", when)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def keep_owner(descriptor: int, folder: Path) -> None:
    """A command that root runs must not take the ledger from the daemon's account. Raises OSError."""
    if os.geteuid() == 0:
        state = os.stat(folder)
        os.fchown(descriptor, state.st_uid, state.st_gid)


@contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the ledger's lock; `how` as fcntl.flock has it. Raises BusyError, or another OSError."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        keep_owner(descriptor, folder)
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError as error:
            raise BusyError(error.errno, "the ledger is being rewritten") from error
        yield
    finally:
        os.close(descriptor)


def read_rows(state: str) -> Iterator[Row]:
    """All rows, oldest first; damaged lines are passed over. Raises OSError, but not where there is no ledger."""
    try:
        with open(Path(state) / FOLDER / ROWS, "rb") as file:
            for text in file:
                row = parsed(text)
                if row is not None:
                    yield row
    except FileNotFoundError:
        return


def fingerprint(key: bytes, text: str) -> str:
    """Sixteen digits that say of a login or an address whether it is the same; "" for nobody."""
    name = text.strip().lower()
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=key, digest_size=8).hexdigest() if name else ""


def read_key(state: str) -> bytes:
    """The key of the fingerprints. Raises OSError or records.DamagedError."""
    return records.read(Path(state) / FOLDER / KEY)


def make_key(state: str) -> bytes:
    """The key of the fingerprints, made where there is none. Raises BusyError (try again), or another OSError."""
    folder = Path(state) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileNotFoundError, records.DamagedError):
        return read_key(state)  # a worker that writes at this moment keeps nobody from that
    with locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        try:
            return read_key(state)
        except (FileNotFoundError, records.DamagedError):
            key = secrets.token_bytes(32)
            records.write(folder / KEY, key)
            return key


class Pen:
    """What a worker writes with. Everything may fail, and then says so."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._folder = Path(state) / FOLDER
        self._key = b""

    def fingerprints(self, *names: str) -> tuple[str, ...]:
        """Of these logins and addresses, without duplicates. Raises OSError where the key can't be had."""
        key = self._key or self._take_key()
        return tuple(dict.fromkeys(found for name in names if (found := fingerprint(key, name))))

    def _take_key(self) -> bytes:
        try:
            self._key = read_key(self._state)
        except (FileNotFoundError, records.DamagedError):
            self._key = make_key(self._state)
        return self._key

    def write(self, rows: Iterable[Row]) -> None:
        """Append them, all or none. Raises BusyError (try again), or another OSError."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        data = b"".join(map(line, rows))
        with locked(self._folder, fcntl.LOCK_SH | fcntl.LOCK_NB):
            descriptor = os.open(self._folder / ROWS, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                if size > FULL:
                    raise OSError(27, "the exposure ledger is full")
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    data = b"\n" + data  # what stands there was cut
                written = os.write(descriptor, data)
                if written < len(data):
                    raise OSError(28, "the exposure ledger was cut")
            finally:
                os.close(descriptor)
