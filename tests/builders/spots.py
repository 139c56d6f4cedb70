"""Where each entry of a policy file stands, by its lines: what tests/builders/operators.py damages.

A reader of its own, for the files of tests/mutation/policy only, which keep to one layout: sections at the margin,
entries two blanks in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SECTION = re.compile(rb"(lists|conditions|rules):")
_RULE = re.compile(rb"  - .*?\bid: ([a-z0-9-]+)")
_NAMED = re.compile(rb"  ([a-z0-9-]+):")
_KINDS = {b"lists": "list", b"conditions": "condition", b"rules": "rule"}


@dataclass(frozen=True, slots=True)
class Spot:
    """One entry: `rule alpha`, and its lines in the file, counted from 0; `last` is the one after it."""

    key: str
    first: int
    last: int

    @property
    def kind(self) -> str:
        """list, condition or rule."""
        return self.key.partition(" ")[0]


def spots(data: bytes) -> tuple[Spot, ...]:
    """All entries of a file."""
    rows = data.splitlines()
    starts = [*_starts(rows)]
    return tuple(
        Spot(key, first, following)
        for (key, first), (_, following) in zip(starts, [*starts[1:], ("", len(rows))], strict=True)
        if key
    )


def _starts(rows: list[bytes]) -> Iterator[tuple[str, int]]:
    """Each entry and each section's line ("")."""
    section = b""
    for number, row in enumerate(rows):
        if found := _SECTION.match(row):
            section = found[1]
            yield "", number
        elif row == b"...":
            yield "", number
        elif found := (_RULE if section == b"rules" else _NAMED).match(row):
            yield f"{_KINDS[section]} {found[1].decode()}", number
