"""The accepted record: each entry's last valid text, where it stood, and what the files were.

Promises: written before what it holds goes live; a damaged one is set aside and told, never a crash. Where it lies says
how far its generation has come (acceptance.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tidegate import records
from tidegate.live.recorded import ForeignError, recorded
from tidegate.model import EntryKey, EntryKind, Loaded, Problem, Source

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
class Overlay:
    """The policy revision that lay over the files in the last load: its number and the digest of its record, whose
    texts in force are its own, and what it removes. Number 0: none ever did."""

    number: int = 0
    digest: str = ""
    texts: frozenset[EntryKey] = frozenset()
    removed: frozenset[EntryKey] = frozenset()


NO_OVERLAY = Overlay()


@dataclass(frozen=True, slots=True)
class Accepted:
    """Each entry's last valid text, where it stood, and the files that held them."""

    texts: Mapping[EntryKey, str] = field(default_factory=dict)
    homes: Mapping[EntryKey, str] = field(default_factory=dict)  # entry: file name
    files: Mapping[str, File] = field(default_factory=dict)
    past: tuple[
        tuple[str, float], ...
    ] = ()  # what stood in all files together: its digest, and since when; newest last
    stale: Mapping[EntryKey, float] = field(default_factory=dict)  # POSIX seconds since when these are STALE
    broken: Mapping[EntryKey, tuple[str, ...]] = field(default_factory=dict)  # what stands there of entries not valid
    number: int = 0  # of the last generation that was made
    digest: str = ""  # and its image's
    overlay: Overlay = NO_OVERLAY
    serial: int = 0  # loads that were recorded until now: of two records the later one has more


def read_accepted(state: str, name: str = NAME) -> tuple[Accepted, tuple[Problem, ...]]:
    """The record in this state directory; empty where there is none, empty with a problem where it is damaged."""
    return recorded(Path(state) / name, "the record of accepted entries", _decode, Accepted())


def _decode(body: bytes) -> Accepted:
    values = json.loads(body)
    if values["format"] != _FORMAT:
        raise ForeignError(values["format"])
    keys = [(EntryKey(EntryKind(kind), name), text, home) for kind, name, text, home in values["entries"]]
    return Accepted(
        texts={key: str(text) for key, text, _ in keys},
        homes={key: str(home) for key, _, home in keys},
        files={str(name): File(bool(end), int(count)) for name, (end, count) in values["files"].items()},
        past=tuple((str(digest), float(since)) for digest, since in values.get("past", ())),
        stale={EntryKey(EntryKind(kind), str(name)): float(since) for kind, name, since in values.get("stale", ())},
        broken={
            EntryKey(EntryKind(kind), str(name)): tuple(map(str, texts))
            for kind, name, texts in values.get("broken", ())
        },
        number=int(values.get("number", 0)),
        digest=str(values.get("digest", "")),
        overlay=_overlay(values.get("overlay")),
        serial=int(values.get("serial", 0)),
    )


def _overlay(values: Mapping[str, Any] | None) -> Overlay:
    if values is None:
        return NO_OVERLAY
    texts, removed = (
        frozenset(EntryKey(EntryKind(kind), str(name)) for kind, name in values[key]) for key in ("texts", "removed")
    )
    return Overlay(int(values["number"]), str(values["digest"]), texts, removed)


def _overlay_json(overlay: Overlay) -> dict[str, Any]:
    texts, removed = (sorted([key.kind.value, key.id] for key in keys) for keys in (overlay.texts, overlay.removed))
    return {"number": overlay.number, "digest": overlay.digest, "texts": texts, "removed": removed}


def write_accepted(state: str, accepted: Accepted, name: str = NAME) -> bool:
    """Write the record where it changed; True if it did. Raises OSError."""
    body = json.dumps(
        {
            "format": _FORMAT,
            "entries": [
                [key.kind.value, key.id, text, accepted.homes.get(key, "")] for key, text in accepted.texts.items()
            ],
            "files": {name: [file.end_mark, file.entries] for name, file in accepted.files.items()},
            "past": accepted.past,
            "stale": [[key.kind.value, key.id, since] for key, since in accepted.stale.items()],
            "broken": [[key.kind.value, key.id, texts] for key, texts in accepted.broken.items()],
            "number": accepted.number,
            "digest": accepted.digest,
            "overlay": _overlay_json(accepted.overlay),
            "serial": accepted.serial,
        }
    ).encode("ascii", "backslashreplace")
    return records.write(Path(state) / name, body)


def accept(
    loaded: Loaded,
    sources: tuple[Source, ...],
    before: Accepted,
    digest: str = "",
    now: float = 0.0,
    generation: tuple[int, str] = (0, ""),
    broken: Mapping[EntryKey, tuple[str, ...]] = MappingProxyType({}),
    overlay: Overlay = NO_OVERLAY,
) -> Accepted:
    """The record after this load: the texts in force, and what each file now is (or was, where it can't be read).

    `digest`: of the sources, where they are believed to be whole. `generation`: its number and its image's digest.
    `broken`: what stands there of entries that are not valid. `overlay`: the revision that lies over the files.
    """
    past = before.past
    if digest and (not past or past[-1][0] != digest):
        past = (*past, (digest, now))[-_PAST:]
    known = {**loaded.texts, **broken}
    homes = {entry.key: entry.place.source for entry in loaded.entries}
    counts: dict[str, int] = {}
    for key in known:
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
        homes={key: homes.get(key) or before.homes.get(key, "") for key in known},
        files=files,
        past=past,
        stale={entry.key: entry.since for entry in loaded.entries if entry.since},
        broken=dict(broken),
        number=generation[0],
        digest=generation[1],
        overlay=overlay,
        serial=before.serial + 1,
    )


def next_number(before: Accepted, digest: str, least: int) -> int:
    """The number of a generation with this digest: the one it had, where it was the last one, or the next.

    Numbers go on across restarts, so that a number in the log means one policy. `least`: where there is no record.
    """
    return before.number if digest == before.digest else max(before.number + 1, least)


def has_end_mark(data: bytes) -> bool:
    """Does the text end in YAML's document end mark, apart from blank lines and comments?"""
    for line in reversed(data.rstrip().splitlines()):
        text = line.strip()
        if text and not text.startswith(b"#"):
            return _END_MARK.match(line.rstrip()) is not None
    return False
