"""Ways in which a whole policy file is damaged: by editors, copies, disks, generators and by people who mean harm.

Promises: every damage is pure, and known by its name. Refuses: to know what the damage should cost.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_DEEP = 50_000
_BOMB = b"".join(b"x%d: &x%d [%s]\n" % (level, level, b",".join([b"*x%d" % (level - 1)] * 9)) for level in range(1, 10))


def _charset(name: str) -> Callable[[bytes], bytes]:
    return lambda good: good.decode().encode(name)


def _rows(make: Callable[[list[bytes]], list[bytes]]) -> Callable[[bytes], bytes]:
    return lambda good: b"".join(make(good.splitlines(keepends=True)))


def _before_the_end(text: bytes) -> Callable[[bytes], bytes]:
    return lambda good: good.replace(b"...", text + b"...")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "blank": lambda _: b"\n \n\t\n",
    "NULs": lambda good: b"\0" * len(good),
    "noise": lambda _: random.Random(1).randbytes(4_096),
    "BOM": lambda good: b"\xef\xbb\xbf" + good,
    "two BOMs": lambda good: b"\xef\xbb\xbf\xef\xbb\xbf" + good,
    **{name: _charset(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")},
    "CRLF": lambda good: good.replace(b"\n", b"\r\n"),
    "CR": lambda good: good.replace(b"\n", b"\r"),
    "tabs": lambda good: good.replace(b"    ", b"\t"),
    "one line": lambda good: good.replace(b"\n", b" "),
    "twice": lambda good: good + good,
    "thrice with marks": lambda good: b"---\n" + good + b"---\n" + good,
    "every line twice": _rows(lambda rows: [row for row in rows for _ in range(2)]),
    "lines backwards": _rows(lambda rows: rows[::-1]),
    "upper case": bytes.upper,
    "an HTML page": lambda good: b"<!DOCTYPE html>\n<html><body>" + good + b"</body></html>\n",
    "a git conflict": lambda good: b"<<<<<<< HEAD\n" + good + b"=======\n" + good + b">>>>>>> other\n",
    "a diff": _rows(lambda rows: [b"+" + row for row in rows]),
    "JSON": lambda _: b'{"version": 1, "rules": []}\n',
    "a bare list": lambda _: b"- 1\n- 2\n...\n",
    "version 2": lambda good: good.replace(b"version: 1", b"version: 2"),
    "version as text": lambda good: good.replace(b"version: 1", b"version: '1'"),
    "no version": lambda good: good.replace(b"version: 1\n", b""),
    "brackets": lambda _: b"[" * _DEEP,
    "braces": lambda _: b"{a: " * _DEEP,
    "brackets behind it": _before_the_end(b"deep: " + b"[" * _DEEP + b"]" * _DEEP + b"\n"),
    "dashes": lambda _: b"version: 1\nrules:\n" + b"- " * _DEEP + b"x\n...\n",
    "an alias bomb": lambda _: b"version: 1\nx0: &x0 lol\n" + _BOMB + b"...\n",
    "an alias bomb behind it": _before_the_end(b"x0: &x0 lol\n" + _BOMB),
    "a circle of aliases": _before_the_end(b"x: &a [*a]\n"),
    "5,000 unknown sections": _before_the_end(b"".join(b"s%d: 1\n" % number for number in range(5_000))),
    "more behind the end": lambda good: good + b"rules:\n  - id: behind\n    when: always\n",
    "comments only": _rows(lambda rows: [b"#" + row for row in rows]),
}
