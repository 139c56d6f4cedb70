"""Since when each entry is in its state; kept on record, so that a restart makes nobody younger.

Pure but for the record: a cycle compares the entries as they are with what was known, and an entry that is still in its
state keeps its time, whatever else was edited.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tidegate import records
from tidegate.model import Entry

NAME = "ages"
_FORMAT = 1

Ages = Mapping[str, tuple[str, float]]
"""Entry (`rule spoofed-from`): its state, and since when, in POSIX seconds."""


def aged(ages: Ages, entries: Iterable[Entry], now: float) -> Ages:
    """The ages of these entries; the same object where nothing has changed. What the loader knows of itself (since
    when an entry is broken, by the record of accepted texts) counts."""
    fresh: dict[str, tuple[str, float]] = {}
    changed = False
    for entry in entries:
        key, state = str(entry.key), entry.state.value
        known = ages.get(key)
        if known is None or known[0] != state or (entry.since and known[1] != entry.since):
            known, changed = (state, entry.since or now), True
        fresh[key] = known
    return fresh if changed or len(fresh) != len(ages) else ages


def write_ages(state: str, ages: Ages) -> None:
    """Record them. Raises OSError."""
    groups: dict[tuple[str, float], list[str]] = {}
    for key, group in ages.items():
        groups.setdefault(group, []).append(key)
    body = {"format": _FORMAT, "groups": [[name, since, keys] for (name, since), keys in groups.items()]}
    records.write(Path(state) / NAME, json.dumps(body).encode())


def read_ages(state: str) -> Ages:
    """The record. Nothing where there is none, or a damaged one: then they begin anew."""
    try:
        body = json.loads(records.read(Path(state) / NAME))
        if body["format"] != _FORMAT:
            return {}
        return {str(key): (str(name), float(since)) for name, since, keys in body["groups"] for key in keys}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
