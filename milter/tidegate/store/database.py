"""The SQLite file that all workers of a host share: opened, shared, healed.

Promises: one connection for each process, made when it is needed first (so after the fork), one transaction at a time;
who can't have the file within its patience gets an UncountedError. A file that is damaged, or another version's, is set
aside as NAME.damaged and begun anew; one that somebody removed is begun anew; after a full or read-only disk it goes on
by itself. Refuses: sleeping in SQLite (busy_timeout's pauses make the tail: 130 ms against 5), and Python functions
called by SQLite, which end a worker with a segmentation fault.

What a crash of the machine may cost is the file (synchronous=off): counters are worth less than 30 microseconds of
each message. A crash of ours costs nothing that was committed.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from tidegate.store.counting import PATIENCE, UncountedError

FOLDER, NAME, LOCK = "limits", "counters.sqlite", "lock"
SIDES = (f"{NAME}-wal", f"{NAME}-shm")
_VERSION = 1
_PAUSE = 0.0005  # seconds between two tries for a file that another process holds
_WAL = 4 << 20  # bytes that an emptied write-ahead log keeps
_CHUNK = 500  # rows that one transaction removes
_LOST = 3600.0  # seconds for which a loss stands as an alert
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH})
_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it can't be written",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened",
    sqlite3.SQLITE_IOERR: "reading or writing failed",
    sqlite3.SQLITE_PERM: "it can't be accessed",
    sqlite3.SQLITE_BUSY: "another process holds it too long",
    sqlite3.SQLITE_LOCKED: "another process holds it too long",
}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (counter TEXT NOT NULL, ending INTEGER NOT NULL, used INTEGER NOT NULL,
  maximum INTEGER NOT NULL, per INTEGER NOT NULL, until INTEGER NOT NULL,
  PRIMARY KEY (counter, ending)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spent_until ON spent (until);
CREATE TABLE IF NOT EXISTS seen (counter TEXT NOT NULL, member BLOB NOT NULL, ending INTEGER NOT NULL,
  until INTEGER NOT NULL, PRIMARY KEY (counter, member)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_until ON seen (until);
CREATE TABLE IF NOT EXISTS known (counter TEXT NOT NULL, ending INTEGER NOT NULL, used INTEGER NOT NULL,
  granted INTEGER NOT NULL, members INTEGER NOT NULL, since TEXT NOT NULL, until INTEGER NOT NULL,
  PRIMARY KEY (counter, since)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS known_until ON known (until);
CREATE TABLE IF NOT EXISTS paid (message BLOB PRIMARY KEY, charged INTEGER NOT NULL, repeats INTEGER NOT NULL,
  until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS paid_until ON paid (until);
CREATE TABLE IF NOT EXISTS granted (number INTEGER PRIMARY KEY, key TEXT NOT NULL, rule TEXT NOT NULL,
  name TEXT NOT NULL, amount INTEGER NOT NULL, until INTEGER NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL,
  reason TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS granted_key ON granted (key, until);
CREATE TABLE IF NOT EXISTS deeds (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, deed TEXT NOT NULL,
  key TEXT NOT NULL);
"""
_KEYS = {"spent": "counter, ending", "seen": "counter, member", "known": "counter, since", "paid": "message"}

Result = TypeVar("Result")
_log = structlog.get_logger()


class _UnusableError(Exception):
    """The file is another version's."""


class Database:
    """One process's way to the file below a state directory. May be used by several threads."""

    def __init__(self, state: str, patience: float = PATIENCE) -> None:
        """`patience`: seconds until a transaction that can't begin is given up."""
        self._folder = Path(state) / FOLDER
        self._path = self._folder / NAME
        self._patience = patience
        self._lock = threading.Lock()
        self._link: sqlite3.Connection | None = None
        self._inode = 0, 0
        self._lost = "", 0.0

    @property
    def where(self) -> str:
        """The store's name for people."""
        return str(self._path)

    @property
    def lost(self) -> str:
        """How counters were lost within the last hour; "" if they were not."""
        why, when = self._lost
        return why if why and time.monotonic() - when < _LOST else ""

    def run(self, work: Callable[[sqlite3.Connection], Result], *, write: bool = True) -> Result:
        """Do `work` in one transaction, all or nothing. Raises UncountedError."""
        end = time.monotonic() + self._patience
        if not self._lock.acquire(timeout=self._patience):
            raise UncountedError(f"{self._path}: this process holds it too long")
        try:
            try:
                return self._once(work, write, end)
            except (sqlite3.DatabaseError, _UnusableError) as error:
                if isinstance(error, sqlite3.DatabaseError) and _code(error) not in _DAMAGED:
                    raise
                self._set_aside(error, end)
                return self._once(work, write, end)
        except (sqlite3.Error, _UnusableError, OSError) as error:
            self._drop()
            raise UncountedError(f"{self._path}: {_words(error)}") from error
        finally:
            self._lock.release()

    def exists(self) -> bool:
        """Is there a file?"""
        return self._path.exists()

    def close(self) -> None:
        """Give the connection back; the next transaction opens it again."""
        with self._lock:
            self._drop()

    def tend(self, now: int) -> None:
        """What the clerk does from time to time: drop what no window needs any more, empty the write-ahead log.

        `now` in milliseconds. Nobody waits for it longer than for one chunk of rows. Raises UncountedError.
        """
        for table, key in _KEYS.items():
            self._purge(
                f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE until <= ? LIMIT ?)", now
            )
        self._purge("DELETE FROM granted WHERE number IN (SELECT number FROM granted WHERE until <= ? LIMIT ?)", now)
        self.empty_log()

    def empty_log(self) -> None:
        """Write the log into the file and cut it. Raises UncountedError."""
        with self._lock:
            if self._link is not None:
                try:
                    self._link.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                except sqlite3.Error as error:
                    self._drop()
                    raise UncountedError(f"{self._path}: {_words(error)}") from error

    def _purge(self, statement: str, now: int) -> None:
        while self.run(lambda link: link.execute(statement, (now, _CHUNK)).rowcount) >= _CHUNK:
            time.sleep(_PAUSE)  # a message may have its turn

    def _once(self, work: Callable[[sqlite3.Connection], Result], write: bool, end: float) -> Result:
        link = self._opened(end)
        _patiently(lambda: link.execute("BEGIN IMMEDIATE" if write else "BEGIN"), end)
        try:
            if not write:
                # Begins to read: who finds the log of a process that died waits until one has put it in order.
                _patiently(lambda: link.execute("SELECT 1 FROM spent LIMIT 1").fetchall(), end)
            result = work(link)
            link.execute("COMMIT")
        except BaseException:
            if link.in_transaction:
                link.execute("ROLLBACK")
            raise
        return result

    def _opened(self, end: float) -> sqlite3.Connection:
        """The connection to the file that has the name now."""
        try:
            state = os.stat(self._path)
        except FileNotFoundError:
            inode = 0, 0
        else:
            inode = state.st_dev, state.st_ino
        if self._link is not None and inode == self._inode:
            return self._link
        if self._link is not None:
            self._drop()
            if inode == (0, 0):
                self._lose(f"{self._path} was removed: all counters begin anew")
        return self._open(end)

    def _open(self, end: float) -> sqlite3.Connection:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._keep_owner(self._folder, Path(self._folder).parent)
        with _Turn(self._folder, end):
            self._keep_owner(self._folder / LOCK, self._folder)
            if not self._path.exists():
                # The log of a file that somebody removed: SQLite would take it for the new one's, and fail for good.
                for side in SIDES:
                    self._path.with_name(side).unlink(missing_ok=True)
            # Without a name the file would be made readable for all; with one it stays what it is.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._keep_owner(self._path, self._folder)
            link = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            state = os.stat(self._path)
            self._inode = state.st_dev, state.st_ino  # also where it proves to be of no use: it is the one to set aside
            try:
                _patiently(lambda: link.execute("PRAGMA journal_mode=WAL").fetchall(), end)
                link.execute("PRAGMA synchronous=OFF")
                link.execute(f"PRAGMA journal_size_limit={_WAL}").fetchall()
                version = int(link.execute("PRAGMA user_version").fetchone()[0])
                if version not in (0, _VERSION):
                    raise _UnusableError(f"it is of version {version}, this release knows {_VERSION}")
                if version == 0:
                    _patiently(lambda: link.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;"), end)
                    link.execute(f"PRAGMA user_version={_VERSION}")
            except BaseException:
                link.close()
                raise
        self._link = link
        return link

    def _set_aside(self, error: Exception, end: float) -> None:
        """The file is of no use: keep it for a person, unless another process has put a new one in its place."""
        inode = self._inode
        self._drop()
        with _Turn(self._folder, end):
            state = os.stat(self._path)
            if inode == (state.st_dev, state.st_ino):
                os.replace(self._path, self._path.with_name(f"{NAME}.damaged"))
                for side in SIDES:
                    beside = self._path.with_name(side)
                    if beside.exists():
                        os.replace(beside, self._path.with_name(side.replace(NAME, f"{NAME}.damaged")))
        self._lose(f"{self._path} was damaged ({_words(error)}) and set aside: all counters begin anew")

    def _lose(self, why: str) -> None:
        self._lost = why, time.monotonic()
        _log.error("limit counters lost", why=why)

    def _drop(self) -> None:
        link, self._link, self._inode = self._link, None, (0, 0)
        if link is not None:
            try:
                link.close()
            except sqlite3.Error as error:
                _log.warning("limit counters not closed", error=str(error))

    @staticmethod
    def _keep_owner(path: Path, like: Path) -> None:
        """A command that root runs must not take the file from the daemon's account. Raises OSError."""
        if os.geteuid() == 0:
            state = os.stat(like)
            os.chown(path, state.st_uid, state.st_gid)


class _Turn:
    """One process at a time makes the file or takes it away. Raises OSError; after the time BlockingIOError."""

    def __init__(self, folder: Path, end: float) -> None:
        self._path, self._end = folder / LOCK, end
        self._descriptor = -1

    def __enter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= self._end:
                    os.close(self._descriptor)
                    raise
                time.sleep(_PAUSE)

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)


def _patiently(work: Callable[[], object], end: float) -> None:
    """Try until another process lets go of the file. Raises sqlite3.OperationalError after the time."""
    while True:
        try:
            work()
            return
        except sqlite3.OperationalError as error:
            if _code(error) not in _BUSY or time.monotonic() >= end:
                raise
        time.sleep(_PAUSE)


def _code(error: sqlite3.Error) -> int:
    """The primary code; the extended ones have it in their low byte."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _words(error: Exception) -> str:
    if isinstance(error, BlockingIOError):
        return _WORDS[sqlite3.SQLITE_BUSY]
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return _WORDS.get(_code(error), str(error)) if isinstance(error, sqlite3.Error) else str(error)
