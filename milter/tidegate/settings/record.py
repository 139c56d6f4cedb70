"""The last good settings: written once they serve, found again when an edit is broken.

A record lies in the state directory and is named after the settings file, so that several daemons (several files)
can share a machine. It is found through the `state` line of the broken file where that line can still be read, else
through TIDEGATE_STATE, else in the packaged place. Checksummed; a damaged one counts as none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tidegate.settings.values import STATE, Settings, from_json, to_json


@dataclass(frozen=True, slots=True)
class Recorded:
    """Settings as they last ran, and since when (POSIX seconds)."""

    settings: Settings
    written: float


def _name(config: str) -> str:
    absolute = os.path.abspath(config)
    return "settings-" + hashlib.sha256(os.fsencode(absolute)).hexdigest()[:16]


def remember(config: str, settings: Settings) -> None:
    """Record settings that serve: tmp, fsync, rename. Raises OSError."""
    body = to_json(settings)
    text = f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}\n"
    target = Path(settings.state) / _name(config)
    try:
        if target.read_text() == text:
            return
    except (OSError, ValueError):
        pass  # there is none that could be kept: write it
    draft = target.with_name(target.name + ".tmp")
    with open(draft, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, target)


def recall(config: str, states: Iterable[str]) -> Recorded | None:
    """The last good settings of this file, from the first state directory that holds a whole record."""
    for state in (*states, os.environ.get("TIDEGATE_STATE", ""), STATE):
        if not state:
            continue
        path = Path(state) / _name(config)
        try:
            checksum, body = path.read_text().rstrip("\n").split("\n")
            if hashlib.sha256(body.encode()).hexdigest() == checksum:
                return Recorded(from_json(body), path.stat().st_mtime)
        except (OSError, ValueError):
            continue  # none here, or a damaged one: the next place
    return None
