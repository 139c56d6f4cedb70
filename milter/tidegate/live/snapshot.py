"""The policy revision as it was last fetched from Redis, in the state directory: what serves without Redis.

Theory of operation. A snapshot holds the head's record, its manifest, the manifest that an expiring revision reverts
to, and the text of every entry that one of them names. So what is in force is a function of this file and the clock.
One without a record says that Redis was reached and that the environment had no revision yet. The clerk writes them,
one file each, under a serial number that only grows (a revision's number may not, where a person accepts an older
one); the newest counts, three are kept.

Promises: a snapshot that is read is whole and consistent: its checksum, every digest, and every entry that is named.
Refuses: talking to Redis, and deciding whether a revision may follow another.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tidegate import records
from tidegate.revisions import EMPTY, Flaw, Manifest, Revision, digest_of, read_manifest, read_revision

FOLDER = "redis"
KEPT = 3
_FORMAT = 1
Value = TypeVar("Value")
_SERIAL = re.compile(r"([a-z0-9][a-z0-9_-]*)-([0-9]{8,})\Z")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One. `revision` None: there was none yet. `texts` are by their SHA-256; `at` is in POSIX seconds. `loose` are
    texts that somebody wrote by hand, by the name that they were given, where the settings allow them. `given_up`: the
    newest revision that a person gave up on this host, for this one or an earlier one. `local`: this one was brought
    back from the records of this host, and nothing that Redis has up to `given_up` is taken."""

    serial: int
    environment: str
    at: float
    revision: Revision | None = None
    manifest: Manifest = EMPTY
    fallback: Manifest = EMPTY
    texts: Mapping[str, str] = field(default_factory=dict)
    loose: Mapping[str, str] = field(default_factory=dict)
    given_up: int = 0
    local: bool = False

    @property
    def number(self) -> int:
        """The revision's; 0: there is none."""
        return self.revision.number if self.revision else 0

    def in_force(self, now: float) -> Manifest:
        """What holds at this time."""
        return self.fallback if self.revision is not None and self.revision.expired(now) else self.manifest


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest snapshot file. `snapshot` None: `why` says what is wrong with it; `name` "": there is no file."""

    name: str = ""
    digest: str = ""  # of the file's bytes
    snapshot: Snapshot | None = None
    why: str = ""


def encode(snapshot: Snapshot) -> bytes:
    """One JSON text."""
    revision = snapshot.revision
    return json.dumps(
        {
            "format": _FORMAT,
            "serial": snapshot.serial,
            "environment": snapshot.environment,
            "at": snapshot.at,
            "record": revision.canonical().decode("ascii") if revision else "",
            "manifest": snapshot.manifest.canonical().decode("ascii"),
            "fallback": snapshot.fallback.canonical().decode("ascii"),
            "texts": dict(snapshot.texts),
            "loose": dict(snapshot.loose),
            "given_up": snapshot.given_up,
            "local": snapshot.local,
        }
    ).encode("ascii")


def decode(data: bytes) -> Snapshot:
    """The inverse. Raises ValueError for whatever is no snapshot, or one that does not hold what it names."""
    try:
        values = json.loads(data)
        if values["format"] != _FORMAT:
            raise ValueError(f"another version of Tidegate wrote it (format {str(values['format'])[:20]})")
        environment = str(values["environment"])
        record = str(values["record"])
        revision = _sound(read_revision(record.encode(), environment)) if record else None
        manifest, fallback = (_sound(read_manifest(str(values[key]).encode())) for key in ("manifest", "fallback"))
        texts = {str(sha): str(text) for sha, text in values["texts"].items()}
        loose = {str(name): str(text) for name, text in values["loose"].items()}
        at = float(values["at"])
        given_up, local = int(values.get("given_up", 0)), bool(values.get("local", False))
        serial = int(values["serial"])
        snapshot = Snapshot(
            serial, environment, at, revision, manifest, fallback, texts, loose, given_up=given_up, local=local
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no snapshot: {error!r}"[:200]) from error
    check(snapshot)
    return snapshot


def check(snapshot: Snapshot) -> None:
    """Does it hold what it names? Raises ValueError."""
    revision = snapshot.revision
    wanted = (revision.manifest, revision.fallback or EMPTY.digest()) if revision else (EMPTY.digest(),) * 2
    if (snapshot.manifest.digest(), snapshot.fallback.digest()) != wanted:
        raise ValueError("the manifest is not the one that the record names")
    for sha, text in snapshot.texts.items():
        if digest_of(text.encode("utf-8", "surrogatepass")) != sha:
            raise ValueError(f"the text of an entry is not what its digest {sha[:8]} says")
    for named in (*snapshot.manifest.entries, *snapshot.fallback.entries):
        if named.sha not in snapshot.texts:
            raise ValueError(f"the text of {named.key} is missing")


def newest(state: str, environment: str) -> Kept:
    """The newest snapshot of this environment, whatever lies there. Never raises."""
    try:
        found = _files(Path(state) / FOLDER, environment)
    except FileNotFoundError:
        return Kept()
    except OSError as error:
        return Kept(FOLDER, why=error.strerror or "its folder can't be read")
    if not found:
        return Kept()
    path = found[-1]
    try:
        data = path.read_bytes()
    except OSError as error:
        return Kept(path.name, why=error.strerror or "it can't be read")
    digest = hashlib.sha256(data).hexdigest()
    try:
        return Kept(path.name, digest, decode(records.body_of(data)))
    except ValueError as error:
        return Kept(path.name, digest, why=str(error)[:200])


def readable(state: str, environment: str) -> Iterator[Snapshot]:
    """All that can be used, the newest first; nothing where the folder can't be read."""
    try:
        found = _files(Path(state) / FOLDER, environment)
    except OSError:
        return
    for path in reversed(found):
        try:
            yield decode(records.read(path))
        except (OSError, ValueError):
            continue


def next_serial(state: str, environment: str) -> int:
    """A number that no snapshot had, damaged ones included. Raises OSError."""
    try:
        found = _files(Path(state) / FOLDER, environment)
    except FileNotFoundError:
        return 1
    return _serial(found[-1]) + 1 if found else 1


def write(state: str, snapshot: Snapshot) -> None:
    """Put it in place, and forget all but the newest three. Raises OSError."""
    folder = Path(state) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    records.write(folder / f"{snapshot.environment}-{snapshot.serial:08}", encode(snapshot))
    for path in _files(folder, snapshot.environment)[:-KEPT]:
        path.unlink(missing_ok=True)


def mark(state: str, name: str) -> tuple[int, ...]:
    """What tells two states of a snapshot file apart without reading it; empty where it is gone."""
    try:
        found = (Path(state) / FOLDER / name).stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _sound(value: Value | Flaw) -> Value:
    if isinstance(value, Flaw):
        raise ValueError(value.why)
    return value


def _files(folder: Path, environment: str) -> list[Path]:
    """By serial number."""
    named = [(path, _SERIAL.match(path.name)) for path in folder.iterdir()]
    return sorted((path for path, found in named if found and found[1] == environment), key=_serial)


def _serial(path: Path) -> int:
    return int(path.name.rpartition("-")[2])
