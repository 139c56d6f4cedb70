"""The quarantine: generations that must not go live, by the digest of their image; a record, so it outlives a restart.

Promises: what is barred stays barred with the bad file still in place, until its content changes (then it has another
digest) or a person lifts it; a return to the same content is barred again. After an upgrade that writes images another
way the digest of the sources tells. Refuses: deciding what is harmful (the brake does).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tidegate import records
from tidegate.live.recorded import ForeignError, recorded
from tidegate.model import Problem

NAME = "quarantine"
_FORMAT = 1
_MOST = 50  # the oldest are forgotten: whoever goes back that far meets the brake again


@dataclass(frozen=True, slots=True)
class Barred:
    """One generation that must not go live: what it was, why, and since when (POSIX seconds)."""

    digest: str  # of the image
    sources: str  # of what it was made of (loader/sources.py)
    number: int
    release: str  # of Tidegate that made the image
    why: str
    since: float

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """All of them, the newest last."""

    barred: tuple[Barred, ...] = ()

    def find(self, digest: str, sources: str, release: str) -> Barred | None:
        """Is this generation, as `release` makes it, in quarantine?"""
        for one in reversed(self.barred):
            if one.digest == digest or (one.release != release and one.sources and one.sources == sources):
                return one
        return None

    @property
    def digests(self) -> frozenset[str]:
        """Of the images."""
        return frozenset(one.digest for one in self.barred)

    def with_(self, fresh: Barred) -> Quarantine:
        """One more; one that is in it already keeps its first reason."""
        if fresh.digest in self.digests:
            return self
        return Quarantine((*self.barred, fresh)[-_MOST:])


def read_quarantine(state: str) -> tuple[Quarantine, tuple[Problem, ...]]:
    """The record of this state directory; empty with a problem where it can't be used."""
    return recorded(Path(state) / NAME, "the record of the quarantine", _decode, Quarantine())


def write_quarantine(state: str, quarantine: Quarantine) -> bool:
    """Write the record where it changed; True if it did. Raises OSError."""
    values = {"format": _FORMAT, "barred": [one.document() for one in quarantine.barred]}
    return records.write(Path(state) / NAME, json.dumps(values).encode())


def _decode(body: bytes) -> Quarantine:
    values = json.loads(body)
    if values["format"] != _FORMAT:
        raise ForeignError(values["format"])
    return Quarantine(tuple(_barred(one) for one in values["barred"]))


def _barred(values: Mapping[str, Any]) -> Barred:
    texts = {name: str(values[name]) for name in ("digest", "sources", "release", "why")}
    return Barred(number=int(values["number"]), since=float(values["since"]), **texts)
