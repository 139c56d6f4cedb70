"""What a daemon tells its fleet of itself: which revision it has, since when, and how it is.

Promises: one text for one report; `read_node` gives a report or a Flaw, whatever the bytes. A node speaks of itself
alone; nothing that it says is believed of another. Refuses: clocks and stores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tidegate.revisions.canonical import Flaw

FORMAT = 1
LONGEST = 64 * 1024  # bytes
NAMED = 50
"""Entries that a report names."""
_TEXT = 500  # characters of a reason


@dataclass(frozen=True, slots=True)
class Node:
    """One daemon. Times are whole POSIX seconds; 0: never.

    `loaded` is the revision of its newest generation, `revision` the one that is in force for all its mail: they differ
    while the newest is a canary, with the generation number `canary` (0: none). `troubled` are entries that are not in
    force as written, as `STATE ID`.
    """

    name: str
    at: int = 0  # when it said so
    version: str = ""
    language: int = 0  # newest `version:` of policy files that it reads
    words: tuple[str, ...] = ()  # of the policy language, that it knows
    started: int = 0
    loaded: int = 0
    revision: int = 0
    manifest: str = ""  # digest of the manifest that is in force for all
    head: int = 0  # newest revision that it has seen
    held: str = ""  # why it has not taken the newest one
    since: int = 0  # when what is in force for all was loaded
    generation: int = 0
    digest: str = ""  # of the image that is in force for all
    canary: int = 0
    workers: int = 0
    current: int = 0  # workers that have what they have to have
    states: Mapping[str, int] = field(default_factory=dict)
    troubled: tuple[str, ...] = ()
    clean: int = 0  # since when no entry has been among them; 0: one is
    lists: Mapping[str, str] = field(default_factory=dict)  # live lists: the version that all workers have, or ""
    unready: str = ""  # why it does not judge mail; "": it does
    error: str = ""  # the worst that is wrong with it

    def canonical(self) -> bytes:
        """Its one text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode("ascii")


def read_node(data: bytes) -> Node | Flaw:
    """The report of a text. What a newer release adds is passed over; what is missing is as by default."""
    if len(data) > LONGEST:
        return Flaw(f"it is larger than {LONGEST} bytes")
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return Flaw("it is no JSON")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        return Flaw(f"it is not of format {FORMAT}")
    try:
        known = {one.name: _as(one.name, values[one.name]) for one in fields(Node) if one.name in values}
        return Node(**known) if known.get("name") else Flaw("it has no name")
    except (TypeError, ValueError, AttributeError) as error:
        return Flaw(str(error)[:200])


_LISTS = frozenset({"words", "troubled"})
_NUMBERS = frozenset(one.name for one in fields(Node) if one.type == "int")


def _as(name: str, value: Any) -> Any:
    if name in _NUMBERS:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 53:
            raise ValueError(f"`{name}` is no whole number")
        return value
    if name in _LISTS:
        return tuple(_printable(name, one) for one in value)
    if name == "lists":
        return {_printable(name, key): _printable(name, version) for key, version in value.items()}
    if name == "states":
        return {_printable(name, key): _as("revision", count) for key, count in value.items()}
    return _printable(name, value)


def _printable(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"`{name}` is no text")
    return "".join(one if one.isprintable() else " " for one in value[:_TEXT])
