"""The releases of a policy directory, written: staged, moved into place by one rename, recorded, forgotten at last.

Everything here happens under one lock, so two that apply at once are told, and never mix. Promises: what becomes a
release is the bytes that were staged, which are those that the gates have seen; the link points to a whole release at
every moment; nothing that a daemon may still read, or go back to, is removed. Refuses: judging.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tidegate import records
from tidegate.cli.output import UnableError
from tidegate.loader.releases import (
    MANIFEST,
    Applied,
    applied_text,
    changed,
    digest_of_files,
    home_of,
    manifest_text,
    read_applied,
    record_path,
    releases_of,
)

KEPT = 10
"""Releases that stay, the newest, beside those in use."""

_LOCK, _HISTORY = "lock", "history"
_CHUNK = 1 << 20
_FILE_LARGEST = 256 << 20  # bytes, as of a list file
_FILES_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Staged:
    """A copy of a directory that is no release yet."""

    path: str
    digest: str
    files: int


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the history. Times are POSIX seconds."""

    at: float
    who: str
    what: str  # apply, rollback, confirm
    digest: str
    previous: str
    reason: str = ""
    until: float = 0.0
    forced: tuple[str, ...] = ()


class Releases:
    """Those of one link, held for writing."""

    def __init__(self, link: str) -> None:
        self.link = link
        self.folder = releases_of(link)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock. Raises UnableError where somebody else has it, or OSError."""
        self.folder.mkdir(mode=0o755, exist_ok=True)
        _like(self.folder, os.path.dirname(os.path.abspath(self.link)))
        descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise UnableError(
                    f"somebody else applies at this moment (process {holder}); look, then try again"
                ) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            for left in self.folder.glob(".new-*"):  # of somebody who was killed
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            os.close(descriptor)

    def stage(self, directory: str, folder: Path, suffix: str = "") -> Staged:
        """Copy all of a directory but what begins with a dot, into `folder`. Raises UnableError, OSError."""
        path = folder / f".new-{os.getpid()}{suffix}"
        try:
            return self._copied(directory, path)
        except (OSError, UnableError):
            shutil.rmtree(path, ignore_errors=True)
            raise

    def _copied(self, directory: str, path: Path) -> Staged:
        path.mkdir(mode=0o755)
        _like(path, directory)
        files: dict[str, str] = {}
        for place, folders, names in os.walk(directory, onerror=_refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = os.path.relpath(place, directory)
            for name in folders:
                if os.path.islink(os.path.join(place, name)):
                    raise UnableError(
                        f"{os.path.join(place, name)} is a link to a folder: put the files themselves there"
                    )
                inner = path / below / name
                inner.mkdir()
                _like(inner, os.path.join(place, name))
            for name in sorted(names):
                if name.startswith("."):
                    continue
                relative = os.path.normpath(os.path.join(below, name))
                files[relative] = _copy(os.path.join(place, name), path / relative)
                if len(files) > _FILES_MOST:
                    raise UnableError(f"{directory} holds more than {_FILES_MOST} files")
        _put(path / MANIFEST, manifest_text(files))
        return Staged(str(path), digest_of_files(files), len(files))

    def drop(self, staged: Staged) -> None:
        """It does not become a release."""
        shutil.rmtree(staged.path, ignore_errors=True)

    def settle(self, staged: Staged) -> None:
        """It is a release; one of this digest that was changed meanwhile is replaced. Raises OSError."""
        place = self.folder / staged.digest
        if place.exists() and changed(str(place)):
            aside = self.folder / f".old-{staged.digest}"
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(place, aside)
        if place.exists():
            self.drop(staged)
        else:
            os.rename(staged.path, place)
        shutil.rmtree(self.folder / f".old-{staged.digest}", ignore_errors=True)
        records.settle(self.folder)

    def use(self, deed: Deed) -> None:
        """Put the release of `deed` into place: its record, the link, the history. Raises OSError."""
        applied = Applied(deed.digest, deed.previous, deed.at, deed.who, deed.reason, deed.until, deed.forced)
        path = record_path(self.link, deed.digest)
        records.write(path, applied_text(applied))
        os.chmod(path, 0o644)  # the daemon's account reads it
        draft = f"{self.link}.{os.getpid()}.new"
        os.symlink(os.path.join(self.folder.name, deed.digest), draft)
        os.rename(draft, self.link)
        records.settle(Path(self.link).absolute().parent)
        self.note(deed)

    def note(self, deed: Deed) -> None:
        """Into the history, which is only appended to. Raises OSError."""
        descriptor = os.open(self.folder / _HISTORY, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, json.dumps(asdict(deed)).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def confirm(self, applied: Applied, deed: Deed) -> None:
        """It stays, whatever time it is. Raises OSError."""
        path = record_path(self.link, applied.digest)
        records.write(path, applied_text(applied))
        os.chmod(path, 0o644)
        self.note(deed)

    def known(self) -> list[str]:
        """The digests of all releases, the newest first."""
        found: list[tuple[float, str]] = []
        for one in self.folder.glob("[0-9a-f]" * 64):
            try:
                applied = read_applied(self.link, one.name)
            except (OSError, ValueError):
                applied = None
            found.append((applied.at if applied else one.stat().st_mtime, one.name))
        return [name for _, name in sorted(found, reverse=True)]

    def named(self, text: str) -> str:
        """The release whose digest begins so. Raises UnableError."""
        found = [one for one in self.known() if one.startswith(text.lower())]
        if len(found) != 1:
            raise UnableError(f"{len(found) or 'no'} releases begin with {text}: tidegate apply --history names them")
        return found[0]

    def prune(self, now: float) -> None:
        """Forget releases that nobody will go back to. Raises OSError."""
        home = home_of(self.link, now)
        applied = home.applied or home.lapsed
        used = {home.digest, applied.previous if applied else "", applied.digest if applied else ""}
        for digest in self.known()[KEPT:]:
            if digest not in used:
                shutil.rmtree(self.folder / digest, ignore_errors=True)
                record_path(self.link, digest).unlink(missing_ok=True)

    def history(self) -> list[Deed]:
        """All that was done, oldest first; damaged lines are passed over. Raises OSError."""
        try:
            lines = (self.folder / _HISTORY).read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return [deed for deed in map(_deed, lines) if deed is not None]


def _deed(line: bytes) -> Deed | None:
    try:
        values = json.loads(line)
        texts = [str(values[key]) for key in ("who", "what", "digest", "previous", "reason")]
        who, what, digest, previous, reason = texts
        forced = tuple(map(str, values["forced"]))
        return Deed(float(values["at"]), who, what, digest, previous, reason, float(values["until"]), forced)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _refuse(error: OSError) -> None:
    raise error


def _copy(source: str, target: Path) -> str:
    """One regular file; the SHA-256 of what was copied. Raises UnableError, OSError."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    digest, size = hashlib.sha256(), 0
    with open(descriptor, "rb") as reader, open(target, "xb") as writer:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnableError(f"{source} is not a regular file")
        while block := reader.read(_CHUNK):
            size += len(block)
            if size > _FILE_LARGEST:
                raise UnableError(f"{source} is larger than {_FILE_LARGEST} bytes")
            digest.update(block)
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
    _like(target, source)
    return digest.hexdigest()


def _like(target: str | Path, source: str) -> None:
    """Whoever may read the one may read the other."""
    state = os.stat(source)
    os.chmod(target, stat.S_IMODE(state.st_mode) & 0o755 | 0o600)
    if os.geteuid() == 0:
        os.chown(target, state.st_uid, state.st_gid)


def _put(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(path, 0o644)
