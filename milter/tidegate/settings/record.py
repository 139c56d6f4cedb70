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

from tidegate import records
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
    """Record settings that serve (records.py). Raises OSError."""
    records.write(Path(settings.state) / _name(config), to_json(settings).encode())


def recall(config: str, states: Iterable[str]) -> Recorded | None:
    """The last good settings of this file, from the first state directory that holds a whole record."""
    for state in (*states, os.environ.get("TIDEGATE_STATE", ""), STATE):
        if not state:
            continue
        path = Path(state) / _name(config)
        try:
            return Recorded(from_json(records.read(path).decode()), path.stat().st_mtime)
        except (OSError, ValueError):
            continue  # none here, or a damaged one: the next place
    return None
