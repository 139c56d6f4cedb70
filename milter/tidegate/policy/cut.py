"""Cuts the text of a policy file at its entries, for files that YAML can't read as a whole.

The cut is by indentation alone. What stands inside a block scalar is deeper than the item that holds it, so a rule
quoted in a description is never taken for one. A multi-line quoted text may hold a line that looks like an item:
read.py first tries pieces together with their followers before it takes them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tidegate.model import EntryKind
from tidegate.policy.flow import FlowKey, flow_keys, is_flow, lines_quoted

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


@dataclass(frozen=True, slots=True)
class KeyText:
    """One key of a rule as text that can be read alone; `line` counts from 0. Not `certain`: it may be another's."""

    key: str
    text: str
    line: int
    certain: bool = True


def key_texts(piece: Piece) -> list[KeyText]:
    """The keys of a rule's own level, as far as a look at its lines tells."""
    if is_flow(piece.text):
        return [_flow_key(piece, one) for one in flow_keys(piece.text)]
    first = _ITEM.match(piece.lines[0])
    if first is None:
        return []
    body = [piece.lines[0][: first.end()].replace("-", " ") + piece.lines[0][first.end() :], *piece.lines[1:]]
    indent: int | None = None
    blocks: list[KeyText] = []
    for number, line in enumerate(body):
        found = _KEY.match(f" {line}")
        if found is not None and (indent is None or len(found[1]) == indent):
            indent = len(found[1])
            blocks.append(KeyText(found[2].strip().strip("\"'"), line, piece.line + number))
        elif blocks:
            blocks[-1] = replace(blocks[-1], text=f"{blocks[-1].text}\n{line}")
    return blocks


def _flow_key(piece: Piece, key: FlowKey) -> KeyText:
    """As a map of its own, at the column where it stands; the bracket comes behind a comment of the last line."""
    text = piece.text
    column = key.first - text.rfind("\n", 0, key.first) - 1
    line = piece.line + text.count("\n", 0, key.first)
    return KeyText(key.name, " " * (column - 1) + "{" + key.text + "\n}", line, key.certain)


def readable_id(piece: Piece) -> str:
    """The entry's id as far as a look at its lines tells; "" where it does not."""
    if piece.kind is not EntryKind.RULE:
        return piece.name if _ID.match(piece.name) else ""
    for one in key_texts(piece):
        if one.key == "id" and one.certain:
            found = _ID.match(one.text.partition(":")[2].split("\n")[0].strip())
            return found[1] if found else ""
    return ""


def whole(cut: list[Piece], at: int, most: int) -> int:
    """How many pieces, from number `at` on, are one: a quoted text of the first may reach into its followers."""
    piece = cut[at]
    behind = [piece]
    for one in cut[at + 1 : at + most]:
        if one.kind is not piece.kind or one.line != behind[-1].line + len(behind[-1].lines):
            break
        behind.append(one)
    needed = lines_quoted("\n".join(one.text for one in behind), len(piece.lines))
    count = 1
    while needed > sum(len(one.lines) for one in behind[:count]):
        count += 1
    return count
