"""A replica on disk: two records in the state directory, so that a restart without Redis has the list.

`replicas/NAME.FORM.base` is the base as workers map it, `.changes` what changed since, and the version that this makes.
The changes name the base that they belong to: where the two don't fit (a crash between them) the base alone counts,
which then holds all of them already. How old the changes' file is says when Redis last confirmed the list.

Promises: a damaged record is set aside and told, and the list counts as never read; it costs no other list. Who writes
gets an OSError.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidegate import records
from tidegate.image.codec import MalformedError
from tidegate.image.replica import Base, Changes, read_changes, write_changes

FOLDER = "replicas"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One list as it was last in force. `confirmed`: POSIX seconds when Redis last said so."""

    data: bytes  # the base
    base: Base
    changes: Changes
    version: str
    confirmed: float


def _path(state: str, name: str, form: str, part: str) -> Path:
    return Path(state) / FOLDER / f"{name}.{form}.{part}"


def read_all(state: str) -> Iterator[Snapshot | str]:
    """Every list that is there; of one that can't be used, why."""
    folder = Path(state) / FOLDER
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("*.base")):
        try:
            yield _read(path)
        except OSError as error:  # the copy itself may be whole
            yield f"{FOLDER}/{path.name}: {error.strerror or error}"
        except (records.DamagedError, MalformedError, ValueError) as error:
            yield f"{FOLDER}/{path.name}: {error}{_set_aside(path)}"


def _set_aside(path: Path) -> str:
    """Out of the way, for a person; "" or why that can't be."""
    try:
        path.replace(path.with_suffix(".damaged"))
    except OSError as error:
        return f" (and it can't be set aside: {error.strerror})"
    return ""


def _read(path: Path) -> Snapshot:
    data = records.read(path)
    base = Base(data)
    beside = path.with_suffix(".changes")
    changes: Changes = {}
    version, confirmed = base.header.version, path.stat().st_mtime
    try:
        head, _, body = records.read(beside).partition(b"\n")
        told = json.loads(head)
        if told["base"] == _identity(base):
            changes, version = read_changes(body), str(told["version"])
        confirmed = max(confirmed, beside.stat().st_mtime)
    except (FileNotFoundError, records.DamagedError, MalformedError, ValueError, KeyError, TypeError):
        pass  # the base alone is what was in force a while ago
    return Snapshot(data, base, changes, version, confirmed)


def _identity(base: Base) -> str:
    return f"{base.header.salt} {base.header.version}"


def write_base(state: str, data: bytes, base: Base) -> None:
    """A new base, without changes. Raises OSError."""
    header = base.header
    path = _path(state, header.name, header.form, "base")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    records.write(path, data)
    write(state, base, {}, header.version)


def write(state: str, base: Base, changes: Changes, version: str) -> None:
    """What changed since the base. Raises OSError."""
    head = json.dumps({"base": _identity(base), "version": version}).encode()
    header = base.header
    records.write(_path(state, header.name, header.form, "changes"), head + b"\n" + write_changes(changes))


def confirm(state: str, base: Base, now: float) -> None:
    """Redis says that it is still so. Raises OSError."""
    os.utime(_path(state, base.header.name, base.header.form, "changes"), (now, now))


def forget(state: str, name: str, form: str) -> None:
    """Nobody asks this list any more. Raises OSError."""
    for part in ("base", "changes"):
        _path(state, name, form, part).unlink(missing_ok=True)
