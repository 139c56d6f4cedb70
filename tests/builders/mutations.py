"""Ways in which a policy file is damaged: by editors, copies, disks, generators and by people who mean harm.

Promises: every function is pure and seeded by its arguments, so a failing case can be repeated by its name. Refuses: to
know what the damage should cost; tests/builders/siege.py judges that.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """The damaged bytes, and how they came about."""

    name: str
    data: bytes


_DEEP = 50_000
_BOMB = b"".join(b"x%d: &x%d [%s]\n" % (level, level, b",".join([b"*x%d" % (level - 1)] * 9)) for level in range(1, 10))
_ODD_LINES: dict[str, bytes] = {
    "unknown key": b"    bogus: 1\n",
    "huge number": b"    priority: " + b"9" * 5_000 + b"\n",
    "huge float": b"    priority: 1e400\n",
    "not a number": b"    priority: .nan\n",
    "sexagesimal": b"    priority: 190:20:30\n",
    "negative": b"    priority: -1\n",
    "NUL": b"    owner: a\0b\n",
    "tab": b"\towner: x\n",
    "latin-1": b"    owner: m\xfcller\n",
    "merge key": b"    <<: {mode: off}\n",
    "anchor": b"    owner: &a x\n",
    "alias": b"    owner: *a\n",
    "tag": b"    owner: !!python/object/apply:os.system [id]\n",
    "complex key": b"    ? [a, b]\n    : c\n",
    "document end": b"...\n",
    "document start": b"---\n",
    "directive": b"%YAML 9.9\n",
    "line separator": b"    owner: a\xe2\x80\xa8b\n",
    "next line": b"    owner: a\xc2\x85b\n",
    "only a dash": b"  -\n",
    "an id alone": b"  - id: lonely\n",
    "an empty rule": b"  - {}\n",
    "a list in the list": b"  - - - - x\n",
    "a long line": b"    description: " + b"x" * 70_000 + b"\n",
    "a deep line": b"    when: " + b"{not: " * 3_000 + b"always" + b"}" * 3_000 + b"\n",
    "a bidi mark": b"    owner: \xe2\x80\xaea\n",
    "an open quote": b'    owner: "open\n',
    "an open bracket": b"    owner: [open\n",
    "a block scalar": b"    description: |\n",
    "a section again": b"rules:\n",
    "a second version": b"version: 1\n",
}


def whole_files(good: bytes) -> Iterator[Mutation]:
    """Damage of all of the file."""
    text = good.decode()
    yield Mutation("empty", b"")
    yield Mutation("blank", b"\n \n\t\n")
    yield Mutation("NULs", b"\0" * len(good))
    yield Mutation("noise", random.Random(1).randbytes(4_096))
    yield Mutation("BOM", b"\xef\xbb\xbf" + good)
    yield Mutation("two BOMs", b"\xef\xbb\xbf\xef\xbb\xbf" + good)
    for charset in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        yield Mutation(charset, text.encode(charset))
    yield Mutation("CRLF", good.replace(b"\n", b"\r\n"))
    yield Mutation("CR", good.replace(b"\n", b"\r"))
    yield Mutation("tabs", good.replace(b"    ", b"\t"))
    yield Mutation("one line", good.replace(b"\n", b" "))
    yield Mutation("twice", good + good)
    yield Mutation("thrice with marks", b"---\n" + good + b"---\n" + good)
    yield Mutation("every line twice", b"".join(line * 2 for line in good.splitlines(keepends=True)))
    yield Mutation("lines backwards", b"".join(reversed(good.splitlines(keepends=True))))
    yield Mutation("upper case", good.upper())
    yield Mutation("an HTML page", b"<!DOCTYPE html>\n<html><body>" + good + b"</body></html>\n")
    yield Mutation("a git conflict", b"<<<<<<< HEAD\n" + good + b"=======\n" + good + b">>>>>>> other\n")
    yield Mutation("a diff", b"".join(b"+" + line for line in good.splitlines(keepends=True)))
    yield Mutation("JSON", b'{"version": 1, "rules": []}\n')
    yield Mutation("a bare list", b"- 1\n- 2\n...\n")
    yield Mutation("version 2", good.replace(b"version: 1", b"version: 2"))
    yield Mutation("version as text", good.replace(b"version: 1", b"version: '1'"))
    yield Mutation("no version", good.replace(b"version: 1\n", b""))
    yield Mutation("brackets", b"[" * _DEEP)
    yield Mutation("braces", b"{a: " * _DEEP)
    yield Mutation("brackets behind it", good.replace(b"...", b"deep: " + b"[" * _DEEP + b"]" * _DEEP + b"\n..."))
    yield Mutation("dashes", b"version: 1\nrules:\n" + b"- " * _DEEP + b"x\n...\n")
    yield Mutation("an alias bomb", b"version: 1\nx0: &x0 lol\n" + _BOMB + b"...\n")
    yield Mutation("an alias bomb behind it", good.replace(b"...", b"x0: &x0 lol\n" + _BOMB + b"..."))
    yield Mutation("a circle of aliases", good.replace(b"...", b"x: &a [*a]\n..."))
    yield Mutation(
        "5,000 unknown sections", good.replace(b"...", b"".join(b"s%d: 1\n" % n for n in range(5_000)) + b"...")
    )
    yield Mutation("more behind the end", good + b"rules:\n  - id: behind\n    when: always\n")
    yield Mutation("comments only", b"".join(b"#" + line for line in good.splitlines(keepends=True)))


def cuts(good: bytes, count: int, seed: int) -> Iterator[Mutation]:
    """The end is missing, from any byte on."""
    for at in sorted(random.Random(seed).sample(range(1, len(good)), count)):
        yield Mutation(f"cut at {at}", good[:at])
        yield Mutation(f"cut at {at}, with its mark", good[:at] + b"\n...\n")


def flips(good: bytes, count: int, seed: int) -> Iterator[Mutation]:
    """One byte is another one."""
    chance = random.Random(seed)
    for _ in range(count):
        at = chance.randrange(len(good))
        byte = chance.choice((good[at] ^ 1 << chance.randrange(8), chance.choice(b"\0\t\n \"'#&*!|>%@`{}[],:?-"), 0xFF))
        yield Mutation(f"byte {at} is {byte:#04x}", good[:at] + bytes([byte]) + good[at + 1 :])


def lines(good: bytes, count: int, seed: int) -> Iterator[Mutation]:
    """A line is gone, twice, elsewhere, indented otherwise, or joined with the next."""
    chance = random.Random(seed)
    for _ in range(count):
        rows = good.splitlines(keepends=True)
        at, other = chance.randrange(len(rows)), chance.randrange(len(rows))
        how = chance.choice(
            ("deleted", "doubled", "moved", "swapped", "deeper", "shallower", "a tab", "joined", "gone to")
        )
        row = rows[at]
        match how:
            case "deleted":
                del rows[at]
            case "doubled":
                rows.insert(at, row)
            case "moved":
                rows.insert(other, rows.pop(at))
            case "swapped":
                rows[at], rows[other] = rows[other], rows[at]
            case "deeper":
                rows[at] = b" " * chance.choice((1, 2, 4)) + row
            case "shallower":
                rows[at] = row[min(chance.choice((1, 2, 4)), len(row) - len(row.lstrip(b" "))) :]
            case "a tab":
                rows[at] = b"\t" + row.lstrip(b" ")
            case "joined":
                rows[at] = row.rstrip(b"\n")
            case "gone to":
                del rows[min(at, other) : max(at, other)]
        yield Mutation(f"line {at + 1} {how} ({other + 1})", b"".join(rows))


def odd_lines(good: bytes, count: int, seed: int) -> Iterator[Mutation]:
    """A line that does not belong there, at some place."""
    chance = random.Random(seed)
    names = sorted(_ODD_LINES)
    for number in range(count):
        name = names[number % len(names)]
        rows = good.splitlines(keepends=True)
        at = chance.randrange(1, len(rows))
        rows.insert(at, _ODD_LINES[name])
        yield Mutation(f"{name} as line {at + 1}", b"".join(rows))


def words(good: bytes, count: int, seed: int) -> Iterator[Mutation]:
    """A word or number is another one."""
    chance = random.Random(seed)
    others = (
        b"~",
        b"yes",
        b"[]",
        b"{}",
        b"''",
        b"1e999",
        b"0x10",
        b"-0",
        b"9" * 400,
        b"reject",
        b"all",
        b"@",
        b"*",
        b"|",
    )
    for _ in range(count):
        spans = [(at, at + len(word)) for at, word in _words(good)]
        first, last = chance.choice(spans)
        word = chance.choice(others)
        yield Mutation(
            f"{good[first:last].decode()!r} at {first} is {word[:20].decode()!r}", good[:first] + word + good[last:]
        )


def _words(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for word in data.replace(b",", b" ").replace(b"}", b" ").replace(b"{", b" ").split(b" "):
        if word.strip():
            yield at + len(word) - len(word.lstrip()), word.strip()
        at += len(word) + 1


def some_of_each(good: bytes, count: int, seed: int) -> Iterator[Mutation]:
    """Damage of one spot: `count` of every kind."""
    for make in (cuts, flips, lines, odd_lines, words):
        yield from make(good, count, seed)
