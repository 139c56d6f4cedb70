"""Ways in which one entry of a policy file is damaged, or changed: by editors, copies, generators, and people.

Promises: every operator is pure and takes its chance from a seed, so a failing case is repeated by its name. An
operator may well yield another valid entry. Refuses to know what the damage should cost: tests/builders/golden.py.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.builders.spots import Spot

_DEEP = 50_000
_VALUE = re.compile(rb"(: )([^ {\[\n,}\]|][^,}\]\n]*)")  # a scalar behind its key
_KEY = re.compile(rb"\b([a-z][a-z_]{2,}): ")
_BOMB = b"{a: &a [x, x], b: &b [*a, *a], c: &c [*b, *b, *b, *b], d: [*c, *c, *c, *c, *c, *c]}"

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One file with one entry damaged, and how. `first` and `last` are the lines, from 1, where the damage may show."""

    operator: str
    file: str
    key: str
    seed: int
    data: bytes
    first: int
    last: int

    @property
    def name(self) -> str:
        """By which it can be made again."""
        return f"{self.key}:{self.operator}:{self.seed}"


def mutant(operator: str, file: str, data: bytes, spot: Spot, seed: int) -> Mutant:
    """The file with that entry damaged."""
    rows = data.splitlines(keepends=True)
    head, entry, tail = (
        b"".join(rows[: spot.first]),
        b"".join(rows[spot.first : spot.last]),
        b"".join(rows[spot.last :]),
    )
    chance = random.Random(f"{seed} {operator} {spot.key}")
    if operator in OF_ENTRY:
        made = OF_ENTRY[operator](entry, chance)
        return Mutant(operator, file, spot.key, seed, head + made + tail, spot.first + 1, _last(head + made) + 1)
    made = OF_FILE[operator](head, entry, tail, chance)
    return Mutant(operator, file, spot.key, seed, made, 1, _last(made) + 1)


def _last(data: bytes) -> int:
    return len(data.splitlines())


# ── one entry ────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_key(entry: bytes, text: bytes) -> bytes:
    """The entry with one more key: behind its first line, or inside its braces."""
    first, end, rest = entry.partition(b"\n")
    if b"{" in first and first.rstrip().endswith(b"}"):
        at = first.index(b"{") + 1
        return first[:at] + text + b", " + first[at:] + end + rest
    return first + end + b"    " + text + b"\n" + rest


def _key(text: bytes) -> Damage:
    return lambda entry, _chance: with_key(entry, text)


def _value(*values: bytes) -> Damage:
    """One scalar value of the entry is another one."""

    def change(entry: bytes, chance: random.Random) -> bytes:
        found = [*_VALUE.finditer(entry)]
        if not found:
            return with_key(entry, b"priority: " + chance.choice(values))
        one = chance.choice(found)
        return entry[: one.start(2)] + chance.choice(values) + entry[one.end(2) :]

    return change


def _at_a_byte(make: Callable[[bytes, int, random.Random], bytes]) -> Damage:
    """Somewhere in the entry, not at its indentation."""
    return lambda entry, chance: make(entry, chance.randrange(4, len(entry) - 1), chance)


def _cut(entry: bytes, at: int, _chance: random.Random) -> bytes:
    return entry[:at] + b"\n"


def _flip(entry: bytes, at: int, chance: random.Random) -> bytes:
    return entry[:at] + bytes([entry[at] ^ 1 << chance.randrange(8)]) + entry[at + 1 :]


def _indicator(entry: bytes, at: int, chance: random.Random) -> bytes:
    return entry[:at] + bytes([chance.choice(b"\t\n \"'#&*!|>%@`{}[],:?-")]) + entry[at + 1 :]


def _insert(*texts: bytes) -> Damage:
    return _at_a_byte(lambda entry, at, chance: entry[:at] + chance.choice(texts) + entry[at:])


def _typo(entry: bytes, chance: random.Random) -> bytes:
    """A key loses a letter."""
    one = chance.choice([*_KEY.finditer(entry)])
    at = chance.randrange(one.start(1), one.end(1))
    return entry[:at] + entry[at + 1 :]


def _duplicate_key(entry: bytes, _chance: random.Random) -> bytes:
    return with_key(with_key(entry, b"description: one"), b"description: two")


def _lines(make: Callable[[list[bytes], random.Random], list[bytes]]) -> Damage:
    def change(entry: bytes, chance: random.Random) -> bytes:
        return b"".join(make(entry.splitlines(keepends=True), chance))

    return change


def _indented(rows: list[bytes], chance: random.Random) -> list[bytes]:
    at = chance.randrange(len(rows))
    rows[at] = b" " * chance.choice((1, 3, 5)) + rows[at]
    return rows


def _tab(rows: list[bytes], chance: random.Random) -> list[bytes]:
    at = chance.randrange(len(rows))
    rows[at] = b"\t" + rows[at].lstrip(b" ")
    return rows


def _line_lost(rows: list[bytes], chance: random.Random) -> list[bytes]:
    del rows[chance.randrange(len(rows))]
    return rows


def _joined(rows: list[bytes], chance: random.Random) -> list[bytes]:
    at = chance.randrange(len(rows))
    rows[at] = rows[at].rstrip(b"\n") + b" "
    return rows


def _conflict(rows: list[bytes], _chance: random.Random) -> list[bytes]:
    return [b"<<<<<<< HEAD\n", *rows, b"=======\n", *rows, b">>>>>>> other\n"]


def _name(entry: bytes) -> bytes:
    """The first line up to the entry's name."""
    found = re.match(rb"  - .*?\bid: [a-z0-9-]+|  [a-z0-9-]+:", entry)
    assert found is not None
    return found[0].replace(b"{", b"")


def _only_its_name(entry: bytes, _chance: random.Random) -> bytes:
    return _name(entry) + b"\n"


def _emptied(entry: bytes, _chance: random.Random) -> bytes:
    return b"  - {}\n" if entry.startswith(b"  - ") else _name(entry) + b" {}\n"


def _renamed(entry: bytes, _chance: random.Random) -> bytes:
    """Another entry; this one is gone."""
    return entry.replace(_name(entry).split(b" ")[-1].rstrip(b":"), b"renamed", 1)


OF_ENTRY: dict[str, Damage] = {
    "cut at a byte": _at_a_byte(_cut),
    "bit flipped": _at_a_byte(_flip),
    "indicator": _at_a_byte(_indicator),
    "typo": _typo,
    "a list for a text": _value(b"[]", b"[a, b]", b"[[x]]"),
    "a map for a text": _value(b"{}", b"{a: b}"),
    "a number for a text": _value(b"7", b"0x10", b"1e999", b"-1", b".nan", b"190:20:30"),
    "nothing for a text": _value(b"~", b"''", b"null"),
    "yes and no": _value(b"yes", b"NO", b"on", b"true"),
    "another word": _value(b"reject", b"all", b"@", b"*", b"|", b"%", b"x"),
    "a tag": _value(b"!!python/object/apply:os.system [id]", b"!!binary aGk=", b"!!int x"),
    "an unsafe text": _value(b'"a\\r\\nRCPT TO:<x@y>"', b'"\\0"', b'"{unknown}"', b'"\\uD800"'),
    "deep nest": _value(b"[" * _DEEP + b"]" * _DEEP, b"{a: " * _DEEP, b"[" * _DEEP),
    "deep condition": _key(b"when: " + b"{not: " * 3_000 + b"always" + b"}" * 3_000),
    "alias": _value(b"*a", b"&a x", b"&a [*a]"),
    "alias bomb": _value(_BOMB),
    "merge key": _key(b"<<: {mode: off}"),
    "complex key": _key(b"? [a, b]\n    : c"),
    "unknown key": _key(b"bogus: 1"),
    "duplicate key": _duplicate_key,
    "huge number": _key(b"priority: " + b"9" * 5_000),
    "bad date": _key(b"active: {until: 2024-13-45}"),
    "bad zone": _key(b"active: {days: someday, tz: Mars/Phobos}"),
    "unknown action": _key(b"do: {explode: true}"),
    "unknown field": _key(b"when: {sender.mood: bad}"),
    "bad regex": _key(b"when: {subject: {matches: '(a'}}"),
    "look-ahead": _key(b"when: {subject: {matches: '(?=a)b\\1'}}"),
    "bad list": _key(b"when: {client.ip: {in: no-such-list}}"),
    "an exempt of nobody": _key(b"do: {exempt: [no-such-rule]}"),
    "bad mode": _key(b"mode: maybe"),
    "failing example": _key(b"examples: {match: [{sender: nobody@nowhere.example, login: x@y.example}]}"),
    "NUL": _insert(b"\0"),
    "control character": _insert(b"\x07", b"\x1b[2J", b"\x7f"),
    "BOM": _insert(b"\xef\xbb\xbf"),
    "bad UTF-8": _insert(b"\xff", b"\xc3(", b"m\xfcller", b"\xed\xa0\x80"),
    "bidi mark": _insert(b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xc2\x85"),
    "carriage return": _insert(b"\r", b"\r\n"),
    "line broken": _insert(b"\n", b"\n\n"),
    "open quote": _insert(b'"', b"'"),
    "open bracket": _insert(b"[", b"{", b"]", b"}"),
    "block scalar": _value(b"|", b">-", b"|9"),
    "long line": _key(b"description: " + b"x" * 70_000),
    "document end": _insert(b"\n...\n"),
    "document start": _insert(b"\n---\n"),
    "directive": _insert(b"\n%YAML 9.9\n"),
    "section again": _insert(b"\nrules:\n", b"\nversion: 1\n", b"\nruels:\n"),
    "indented otherwise": _lines(_indented),
    "tab": _lines(_tab),
    "line lost": _lines(_line_lost),
    "lines joined": _lines(_joined),
    "lines backwards": _lines(lambda rows, _chance: rows[::-1]),
    "lines twice": _lines(lambda rows, _chance: [row for row in rows for _ in range(2)]),
    "git conflict": _lines(_conflict),
    "CRLF": lambda entry, _chance: entry.replace(b"\n", b"\r\n"),
    "upper case": lambda entry, _chance: entry.upper(),
    "commented out": _lines(lambda rows, _chance: [b"#" + row for row in rows]),
    "deleted": lambda _entry, _chance: b"",
    "twice": lambda entry, _chance: entry + entry,
    "only its name": _only_its_name,
    "emptied": _emptied,
    "renamed": _renamed,
}
"""What may happen to an entry's own lines."""


# ── the file around it ───────────────────────────────────────────────────────────────────────────────────────────────

Around = Callable[[bytes, bytes, bytes, random.Random], bytes]


def _reordered(head: bytes, entry: bytes, tail: bytes, _chance: random.Random) -> bytes:
    """To the end of its section: no verdict depends on the order (DESIGN section 4)."""
    rows = tail.splitlines(keepends=True)
    at = next((number for number, row in enumerate(rows) if row[:1] not in (b" ", b"#")), len(rows))
    return head + b"".join(rows[:at]) + entry + b"".join(rows[at:])


def _file_cut(head: bytes, entry: bytes, _tail: bytes, chance: random.Random) -> bytes:
    return head + entry[: chance.randrange(1, len(entry))]


def _file_cut_with_mark(head: bytes, entry: bytes, _tail: bytes, chance: random.Random) -> bytes:
    return head + entry[: chance.randrange(1, len(entry))] + b"\n...\n"


OF_FILE: dict[str, Around] = {
    "reordered": _reordered,
    "file cut": _file_cut,
    "file cut, with its mark": _file_cut_with_mark,
}
"""What may happen to a file at an entry."""

OPERATORS: tuple[str, ...] = (*OF_ENTRY, *OF_FILE)
