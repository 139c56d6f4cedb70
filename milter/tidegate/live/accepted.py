"""The accepted record: each entry's last valid text, where it stood, and what the files were.

Promises: written before what it holds goes live; a damaged one is set aside and told, never a crash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tidegate import records
from tidegate.alerts import problem
from tidegate.model import EntryKey, EntryKind, Loaded, Place, Problem, Source

_FORMAT = 1
_PAST = 20  # states that are remembered, to know a revert by
NAME = "accepted"
_END_MARK = re.compile(rb"\.\.\.(?:[ \t]+#.*)?\Z")


@dataclass(frozen=True, slots=True)
class File:
    """What a policy file was when it last read completely."""

    end_mark: bool
    entries: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """Each entry's last valid text, where it stood, and the files that held them."""

    texts: Mapping[EntryKey, str] = field(default_factory=dict)
    homes: Mapping[EntryKey, str] = field(default_factory=dict)  # entry: file name
    files: Mapping[str, File] = field(default_factory=dict)
    past: tuple[
        tuple[str, float], ...
    ] = ()  # what stood in all files together: its digest, and since when; newest last


def read_accepted(state: str) -> tuple[Accepted, tuple[Problem, ...]]:
    """The record in this state directory; empty where there is none, empty with a problem where it is damaged."""
    path = Path(state) / NAME
    try:
        return _decode(records.read(path)), ()
    except FileNotFoundError:
        return Accepted(), ()
    except OSError as error:
        return Accepted(), (_corrupt(path, error.strerror or "it can't be read"),)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        damaged = _corrupt(path, str(error)[:200])
    try:
        records.set_aside(path)
    except OSError as error:
        return Accepted(), (damaged, _corrupt(path, f"it can't be set aside: {error.strerror}"))
    return Accepted(), (damaged,)


def _corrupt(path: Path, why: str) -> Problem:
    return problem("record-corrupt", f"the record of accepted entries is damaged: {why}", Place(str(path), 0, 0))


def _decode(body: bytes) -> Accepted:
    values = json.loads(body)
    if values["format"] != _FORMAT:
        raise ValueError(f"unknown format {values['format']!r}")
    keys = [(EntryKey(EntryKind(kind), name), text, home) for kind, name, text, home in values["entries"]]
    return Accepted(
        texts={key: str(text) for key, text, _ in keys},
        homes={key: str(home) for key, _, home in keys},
        files={str(name): File(bool(end), int(count)) for name, (end, count) in values["files"].items()},
        past=tuple((str(digest), float(since)) for digest, since in values.get("past", ())),
    )


def write_accepted(state: str, accepted: Accepted) -> bool:
    """Write the record where it changed; True if it did. Raises OSError."""
    body = json.dumps(
        {
            "format": _FORMAT,
            "entries": [
                [key.kind.value, key.id, text, accepted.homes.get(key, "")] for key, text in accepted.texts.items()
            ],
            "files": {name: [file.end_mark, file.entries] for name, file in accepted.files.items()},
            "past": accepted.past,
        }
    ).encode("ascii", "backslashreplace")
    return records.write(Path(state) / NAME, body)


def accept(
    loaded: Loaded, sources: tuple[Source, ...], before: Accepted, digest: str = "", now: float = 0.0
) -> Accepted:
    """The record after this load: the texts in force, and what each file now is (or was, where it can't be read).

    `digest`: of the sources, where they are believed to be whole.
    """
    past = before.past
    if digest and (not past or past[-1][0] != digest):
        past = (*past, (digest, now))[-_PAST:]
    homes = {entry.key: entry.place.source for entry in loaded.entries}
    counts: dict[str, int] = {}
    for key in loaded.texts:
        home = homes.get(key) or before.homes.get(key, "")
        counts[home] = counts.get(home, 0) + 1
    files: dict[str, File] = {}
    for source in sources:
        if source.error:
            if source.name in before.files:
                files[source.name] = before.files[source.name]
        else:
            files[source.name] = File(has_end_mark(source.data), counts.get(source.name, 0))
    return Accepted(
        texts=dict(loaded.texts),
        homes={key: homes.get(key) or before.homes.get(key, "") for key in loaded.texts},
        files=files,
        past=past,
    )


def has_end_mark(data: bytes) -> bool:
    """Does the text end in YAML's document end mark, apart from blank lines and comments?"""
    for line in reversed(data.rstrip().splitlines()):
        text = line.strip()
        if text and not text.startswith(b"#"):
            return _END_MARK.match(line.rstrip()) is not None
    return False
