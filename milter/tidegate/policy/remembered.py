"""Broken entries whose file is lost: they are what they were, by the broken text that last stood there.

Absence changes no verdict (DESIGN section 1, P9). An entry that is STALE by an edit keeps what the edit put in doubt,
and the `mode` that could be read of it; one that was never valid goes on deferring what it deferred. Where they
stand nobody knows, so their problems have no line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tidegate.model import EntryKey, EntryKind, Place, Problem, Source
from tidegate.policy.read import EntryText, read_entry, read_file

MAX_TEXT = 64 * 1024  # characters of one that are kept
_SECTIONS = {EntryKind.RULE: "rules", EntryKind.LIST: "lists", EntryKind.CONDITION: "conditions"}
_NOWHERE = Place("", 0, 0)


def keep(texts: Sequence[EntryText]) -> tuple[str, ...]:
    """What to remember of a broken entry: all texts under its id; none where one is too long."""
    found = tuple(text.text for text in texts)
    return () if any(len(text) > MAX_TEXT for text in found) else found


def remember(key: EntryKey, texts: Sequence[str]) -> list[EntryText]:
    """The entry as if these texts still stood in a file."""
    return [_again(key, text) for text in texts]


def _again(key: EntryKey, text: str) -> EntryText:
    entry = read_entry(key, text)
    if entry.node is None:  # it is no YAML, and was cut out of its section
        file = read_file(Source("", f"version: 1\n{_SECTIONS[key.kind]}:\n{text}\n...\n".encode("utf-8", "replace")))
        entry = next((one for one in file.entries if one.key == key), entry)
    return replace(entry, text=text, place=_NOWHERE, problems=tuple(unplaced(entry.problems)))


def unplaced(problems: Sequence[Problem]) -> list[Problem]:
    """The same without lines of a text that stands nowhere."""
    return [replace(one, place=_NOWHERE) for one in problems]
