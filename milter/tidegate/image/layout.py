"""Where what stands in an image, and the checksums that vouch for all of it.

    header      magic, byte order, format, sizes, the generation's number, two checksums; and a checksum of the header
    contents    where each section stands (JSON)
    policy      conventions, rules, lists: what the policy says. Its sha256 is the generation's digest, so the same
                policy has the same digest whatever its number, the machine, and the version of the pattern engine
    derived     what is computed from it: traits, index, pattern databases

Promises: `verify` accepts no buffer in which a byte was changed, added or left out. Everything behind it may rely on
that. Refuses: images of another format, and of a machine with another byte order.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Final, TypeAlias

from tidegate.image.codec import WHOLE, Codec, MalformedError, dump, load, many, record

FORMAT: Final = 10
_MAGIC: Final = b"TIDEGATE"
_ORDER: Final = 0x0102  # reads as 0x0201 where bytes stand the other way round
_HEADER: Final = struct.Struct("=8sHHIQQQ32s32s")
_START: Final = _HEADER.size + 32
_CHUNK: Final = 256 * 1024
"""Bytes that are hashed in one step: some 0.2 ms."""

Buffer: TypeAlias = "bytes | bytearray | memoryview | mmap"


class BadImage(Exception):  # noqa: N818 - what it is, as the other rooms call it
    """Not an image, a damaged one, or one that this machine can't use; the text says which."""


@dataclass(frozen=True, slots=True)
class Span:
    """A section: its first byte, counted from the end of the contents, and its length."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Contents:
    """The sections of an image."""

    conventions: Span
    rules: Span  # one JSON text after the other
    rule_ends: Span  # 64-bit numbers: 0, then where each text ends
    lists: tuple[Span, ...]  # a list's header, which names its own sections
    traits: Span
    index: tuple[Span, ...]
    trees: Span
    singles: tuple[Span, ...]  # patterns and their databases
    databases: Span  # one serialised pattern database after the other
    database_ends: Span
    database_keys: Span  # what each was made of (databases.key_of)


SPAN: Final[Codec] = record(Span, WHOLE, WHOLE)
_CONTENTS: Final[Codec] = record(
    Contents, SPAN, SPAN, SPAN, many(SPAN), SPAN, many(SPAN), SPAN, many(SPAN), SPAN, SPAN, SPAN
)  # fmt: skip


class Sections:
    """Sections under construction, one behind the other at multiples of eight bytes."""

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._size = 0
        self._parts: list[bytes | memoryview] = []

    def add(self, data: bytes | memoryview) -> Span:
        """Append a section."""
        span = Span(self._start + self._size, len(data))
        padding = bytes(-len(data) % 8)
        self._parts += (data, padding)
        self._size += len(data) + len(padding)
        return span

    @property
    def end(self) -> int:
        """Where the next section will start."""
        return self._start + self._size

    def data(self) -> bytes:
        """All of them."""
        return b"".join(self._parts)


def assemble(number: int, contents: Contents, policy: bytes, derived: bytes) -> bytes:
    """The image."""
    table = dump(_CONTENTS, contents)
    table += b" " * (-len(table) % 8)
    digest = hashlib.sha256(policy).digest()
    rest = hashlib.sha256(table + derived).digest()
    header = _HEADER.pack(
        _MAGIC, _ORDER, FORMAT, len(table), number, len(policy), len(derived), digest, rest
    )  # fmt: skip
    return b"".join((header, hashlib.sha256(header).digest(), table, policy, derived))


def numbered(data: bytes, number: int) -> bytes:
    """The same image as generation `number`: the policy and so the digest stay what they are. Raises BadImage."""
    if read_head(memoryview(data)).number == number:
        return data
    fields = list(_HEADER.unpack(data[: _HEADER.size]))
    fields[4] = number
    header = _HEADER.pack(*fields)
    return b"".join((header, hashlib.sha256(header).digest(), memoryview(data)[_START:]))


def digest_of(data: bytes) -> str:
    """The digest that the header names. Raises BadImage."""
    return read_head(memoryview(data)).digest


@dataclass(frozen=True, slots=True)
class Head:
    """What the header says."""

    number: int
    digest: str
    table: int  # bytes of the contents
    policy: int
    derived: int
    sums: tuple[bytes, bytes]


def read_head(view: memoryview) -> Head:
    """The header, checked against its own checksum and the length of the buffer. Raises BadImage."""
    raw = bytes(view[:_START])
    if len(raw) < _START or raw[:8] != _MAGIC:
        raise BadImage("this is not an image of a policy")
    _, order, format_, table, number, policy, derived, digest, rest = _HEADER.unpack(raw[: _HEADER.size])
    if hashlib.sha256(raw[: _HEADER.size]).digest() != raw[_HEADER.size :]:
        raise BadImage("the header of the image is damaged")
    if order != _ORDER or format_ != FORMAT:
        raise BadImage(f"the image has the format {format_}; this version reads {FORMAT}")
    if len(view) != _START + table + policy + derived:
        raise BadImage("the image is cut, or something was added to it")
    return Head(number, digest.hex(), table, policy, derived, (digest, rest))


def verify(view: memoryview, head: Head) -> Iterator[None]:
    """Compare the checksums, in steps short enough to hold nobody up. Raises BadImage."""
    begin, middle = _START + head.table, _START + head.table + head.policy
    policy, rest = hashlib.sha256(), hashlib.sha256()
    for part, start, end in ((policy, begin, middle), (rest, _START, begin), (rest, middle, len(view))):
        for at in range(start, end, _CHUNK):
            part.update(view[at : min(at + _CHUNK, end)])
            yield
    if (policy.digest(), rest.digest()) != head.sums:
        raise BadImage("the image is damaged: its checksum does not fit")


def read_contents(view: memoryview, head: Head) -> Contents:
    """The table of contents. Raises BadImage."""
    table = bytes(view[_START : _START + head.table])
    try:
        contents: Contents = load(_CONTENTS, table)
    except MalformedError as error:
        raise BadImage(f"the contents of the image can't be read: {error}") from error
    return contents


def section(body: memoryview, span: Span) -> memoryview:
    """One section of the body. Raises MalformedError where there is none such."""
    if span.start < 0 or span.length < 0 or span.start + span.length > len(body):
        raise MalformedError("a section lies outside the image")
    return body[span.start : span.start + span.length]


def body_of(view: memoryview, head: Head) -> memoryview:
    """Policy and derived, in which spans are counted."""
    return view[_START + head.table :]


@dataclass(frozen=True, slots=True)
class Summary:
    """What an image holds, for people and for the proven record. Sizes in bytes."""

    number: int
    digest: str
    rules: int
    lists: int
    databases: int
    size: int


def summary(buffer: Buffer) -> Summary:
    """Verify an image and say what it holds; needs no pattern engine. Raises BadImage."""
    with memoryview(buffer) as view:
        head = read_head(view)
        for _ in verify(view, head):
            pass
        contents = read_contents(view, head)
        return Summary(
            head.number,
            head.digest,
            contents.rule_ends.length // 8 - 1,
            len(contents.lists),
            contents.database_ends.length // 8 - 1,
            len(view),
        )
