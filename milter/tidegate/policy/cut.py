"""Cuts the text of a policy file at its entries, for files that YAML can't read as a whole.

The cut is by indentation alone. What stands inside a block scalar is deeper than the item that holds it, so a rule
quoted in a description is never taken for one. A multi-line quoted text may hold a line that looks like an item:
read.py first tries pieces together with their followers before it takes them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.model import EntryKind

SECTIONS = {"rules": EntryKind.RULE, "lists": EntryKind.LIST, "conditions": EntryKind.CONDITION}

_SECTION = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*|\"[^\"]*\"|'[^']*')[ \t]*:(?:[ \t].*)?\Z")
_KEY = re.compile(r"( +)([^\s#\-\[\]{},&*!|>%@`\"'][^:#]*|\"[^\"]*\"|'[^']*')[ \t]*:(?:[ \t]|\Z)")
_ITEM = re.compile(r"( *)-(?:[ \t]|\Z)")
_ID = re.compile(r"[\"']?([A-Za-z0-9][A-Za-z0-9._-]{0,63})[\"']?[ \t]*(?:[,}#]|\Z)")


@dataclass(frozen=True, slots=True)
class Piece:
    """The lines of one entry; `line` counts from 0. `name` is the key of a list or condition."""

    kind: EntryKind
    line: int
    lines: tuple[str, ...]
    name: str = ""

    @property
    def text(self) -> str:
        """The lines as they stand in the file."""
        return "\n".join(self.lines)


def sections(lines: list[str]) -> Iterator[tuple[str, int, int]]:
    """(name, first line, line behind the last) of each top-level section."""
    starts = []
    end = len(lines)
    for number, line in enumerate(lines):
        if line.rstrip() == "..." or line.startswith("... "):
            end = number
            break
        found = _SECTION.match(line)
        if found is not None:
            starts.append((found[1].strip("\"'"), number))
    for at, (name, first) in enumerate(starts):
        yield name, first, starts[at + 1][1] if at + 1 < len(starts) else end


def pieces(lines: list[str]) -> Iterator[Piece]:
    """Every entry of every section, in order."""
    for name, first, last in sections(lines):
        kind = SECTIONS.get(name)
        if kind is None:
            continue
        pattern = _ITEM if kind is EntryKind.RULE else _KEY
        indent: int | None = None
        start: int | None = None
        key = ""
        for number in range(first + 1, last):
            found = pattern.match(lines[number])
            if found is None or (indent is not None and len(found[1]) != indent):
                continue
            if start is not None:
                yield Piece(kind, start, tuple(lines[start:number]), key)
            indent, start = len(found[1]), number
            key = found[2].strip().strip("\"'") if kind is not EntryKind.RULE else ""
        if start is not None:
            yield Piece(kind, start, tuple(lines[start:last]), key)


def key_blocks(piece: Piece) -> list[tuple[str, str, int]]:
    """(key, its lines as text, line from 0) for each key of a rule's own level, where it is written in block style."""
    first = _ITEM.match(piece.lines[0])
    if first is None:
        return []
    body = [piece.lines[0][: first.end()].replace("-", " ") + piece.lines[0][first.end() :], *piece.lines[1:]]
    indent: int | None = None
    blocks: list[tuple[str, str, int]] = []
    for number, line in enumerate(body):
        found = _KEY.match(f" {line}")
        if found is not None and (indent is None or len(found[1]) == indent):
            indent = len(found[1])
            blocks.append((found[2].strip().strip("\"'"), line, piece.line + number))
        elif blocks:
            key, text, at = blocks[-1]
            blocks[-1] = (key, f"{text}\n{line}", at)
    return blocks


def readable_id(piece: Piece) -> str:
    """The entry's id as far as a look at its lines tells; "" where it does not."""
    if piece.kind is not EntryKind.RULE:
        return piece.name if _ID.match(piece.name) else ""
    for key, text, _ in key_blocks(piece):
        if key == "id":
            found = _ID.match(text.partition(":")[2].split("\n")[0].strip())
            return found[1] if found else ""
    flow = re.match(r" *-[ \t]+\{[ \t]*id:[ \t]*", piece.lines[0])
    found = _ID.match(piece.lines[0][flow.end() :]) if flow else None
    return found[1] if found else ""
