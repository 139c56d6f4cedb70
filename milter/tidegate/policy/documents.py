"""Cuts a policy file into documents: each entry as a small policy file of its own, which says the same.

That is how entries are kept in Redis: `version: 1`, one section, one entry, `...`. The lines are as their author wrote
them, with the comments above and in them. Promises: a document read alone gives the same entry (it is read again to
prove it); a document that is cut again stays the same, byte for byte. Refuses: files with errors: those have been told
before anybody cuts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tidegate.model import EntryKey, EntryKind, Place, Problem, Source
from tidegate.policy.cut import sections
from tidegate.policy.nodes import Mapping, Node, Scalar, Sequence
from tidegate.policy.read import EntryText, decoded, read_file

SECTION = {EntryKind.RULE: "rules", EntryKind.LIST: "lists", EntryKind.CONDITION: "conditions"}
_HEAD = 2  # lines of a document before its entry
_DASH = re.compile(r"[ \t]*-[ \t]+\Z")
_DASH_ALONE = re.compile(r"[ \t]*-[ \t]*(?:#.*)?\Z")
_VERSION = re.compile(r"[\"']?version[\"']?[ \t]*:")


@dataclass(frozen=True, slots=True)
class Document:
    """One entry's document, and where its lines come from: `lines` and, on the entry's first line, `columns` are added
    to a place in it."""

    key: EntryKey
    text: str
    first: int  # the line, from 1, on which the entry begins in the document
    lines: int
    columns: int = 0

    def at_home(self, one: Problem, file: str, home: Place) -> Problem:
        """A problem in the document as one of the file that it was cut out of; without a line it is `home`'s."""
        line = one.place.line
        if line < self.first:
            return replace(one, place=replace(home, source=file))
        shift = self.columns if line == self.first else 0
        end = one.place.end_column + shift if one.place.end_column else 0
        return replace(one, place=Place(file, line + self.lines, one.place.column + shift, end))


def documents(source: Source) -> Iterator[Document | EntryText]:
    """The entries of a file in its order; one that can't stand alone as it is written comes as it was read."""
    text = decoded(source)
    lines = text.split("\n")
    entries = sorted(read_file(source).entries, key=lambda one: (one.place.line, one.place.column))
    bounds = [(first, last) for name, first, last in sections(lines) if name in SECTION.values()]
    free = next((at + 1 for at, line in enumerate(lines) if _VERSION.match(line)), 0)
    for at, entry in enumerate(entries):
        start = _start(lines, entry)
        within = next(((first, last) for first, last in bounds if first < start < last), None)
        found = None
        if within is not None:
            behind = _start(lines, entries[at + 1]) if at + 1 < len(entries) else len(lines)
            end = min(within[1], behind) if behind > start else start
            lead = [line for number, line in enumerate(lines[free:start], free) if number != within[0]]
            last = at + 1 == len(entries)
            found, free = _verbatim(entry, lines, lead, start, end, last)
        yield found or _rewritten(entry, text) or entry


def _start(lines: list[str], entry: EntryText) -> int:
    """The line (from 0) of an entry of its own lines; -1 where it shares one with something else."""
    number, column = entry.place.line - 1, entry.place.column - 1
    before = lines[number][:column]
    if entry.key.kind is not EntryKind.RULE:
        return number if not before.strip() else -1
    if _DASH.match(before):
        return number
    if before.strip():
        return -1
    above = number - 1
    while above >= 0 and (not lines[above].strip() or lines[above].lstrip().startswith("#")):
        above -= 1
    return above if above >= 0 and _DASH_ALONE.match(lines[above]) else -1


def _verbatim(
    entry: EntryText, lines: list[str], lead: list[str], start: int, end: int, last: bool
) -> tuple[Document | None, int]:
    """The entry by its own lines, and the first line behind them."""
    body_end = end
    while body_end > start + 1 and _aside(lines[body_end - 1]):
        body_end -= 1
    comments = _trimmed([line for line in lead if _aside(line)])
    tail = _trimmed(lines[body_end:end]) if last else []
    # What looks like a comment behind the entry may be the end of a long text in it.
    for until, more in ((body_end, tail), (end, [])):
        first = _HEAD + 1 + len(comments)
        text = _document(entry.key, [*comments, *lines[start:until], *more])
        if _says(text, entry):
            return Document(entry.key, text, first, start + 1 - first), until
    return None, start


def _aside(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _trimmed(lines: list[str]) -> list[str]:
    """Without the blank lines around them."""
    while lines and not lines[0].strip():
        lines = lines[1:]
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _rewritten(entry: EntryText, text: str) -> Document | None:
    """An entry that shares its line with others, as in `rules: [{…}, {…}]`, on lines of its own."""
    if entry.node is None:
        return None
    node = entry.node
    own = text[node.first.index : node.last.index].rstrip()
    start = "  - " if entry.key.kind is EntryKind.RULE else f"  {entry.key.id}: "
    first = _HEAD + 1
    document = _document(entry.key, f"{start}{own}".split("\n"))
    if not _says(document, entry):
        return None
    return Document(entry.key, document, first, node.first.line + 1 - first, node.first.column - len(start))


def _document(key: EntryKey, lines: list[str]) -> str:
    body = "\n".join(lines)
    return f"version: 1\n{SECTION[key.kind]}:\n{body}\n...\n"


def _says(text: str, entry: EntryText) -> bool:
    """Does the document hold this entry, the same, and nothing else?"""
    file = read_file(Source("", text.encode()))
    if file.problems or [one.key for one in file.entries] != [entry.key]:
        return False
    return _plain(file.entries[0].node) == _plain(entry.node)


def _plain(node: Node | None) -> object:
    """What a node says, without where."""
    if isinstance(node, Scalar):
        return node.text, node.tag, node.quoted
    if isinstance(node, Sequence):
        return [_plain(one) for one in node.items]
    if isinstance(node, Mapping):
        return [(key.text, _plain(value)) for key, value in node.pairs]
    return None
