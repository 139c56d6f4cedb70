"""What an earlier image lends to the next one: pattern databases, and lists as they lie there.

These are the slow parts, and each says by a hash what it was made of, so what did not change is not made again.
Promises: a list that is lent is byte for byte what would be made; a database was made by this machine's engine, of the
same patterns in the same order. Refuses: images that nobody verified (BadImage does not tell a damaged one from a good
one here): the caller has the image from a sealed memory file that was proven before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tidegate import patterns
from tidegate.image.codec import MalformedError, load
from tidegate.image.databases import KEY_SIZE
from tidegate.image.layout import BadImage, Buffer, Contents, Span, body_of, read_contents, read_head, section
from tidegate.image.lists import LIST_HEADER, Body, ListHeader
from tidegate.image.traits import read_singles
from tidegate.model import ListKind


@dataclass(frozen=True, slots=True)
class Earlier:
    """By what they were made of: databases of groups by their key, lists by kind and salt."""

    groups: Mapping[bytes, bytes] = field(default_factory=dict)
    lists: Mapping[tuple[ListKind, str], Body] = field(default_factory=dict)


def earlier(buffer: Buffer) -> Earlier:
    """What this image can lend; its lists stay in the buffer. Raises BadImage where it can't be read.

    Single patterns go to the engine's own memory: they are asked for before there is a new image (patterns.check).
    """
    view = memoryview(buffer)
    head = read_head(view)
    contents = read_contents(view, head)
    body = body_of(view, head)
    try:
        made = _databases(body, contents)
        keys = bytes(section(body, contents.database_keys))
        groups = {keys[at * KEY_SIZE : (at + 1) * KEY_SIZE]: data for at, data in enumerate(made)}
        singles: dict[str, patterns.Compiled] = {}
        for span in contents.singles:
            for source, (number, spent) in read_singles(section(body, span)).items():
                singles[source] = patterns.Compiled(made[number], "", spent / 1000, spent > 0)
        lists = dict(_body(body, span) for span in contents.lists)
    except (MalformedError, IndexError) as error:
        raise BadImage(f"the earlier image can't be read: {error}") from error
    if not _usable(made[:1]):
        return Earlier(lists=lists)
    patterns.remember(singles)
    return Earlier(groups, lists)


def _databases(body: memoryview, contents: Contents) -> list[bytes]:
    ends = section(body, contents.database_ends).cast("Q")
    data = section(body, contents.databases)
    return [bytes(data[start:end]) for start, end in pairwise(ends)]


def _body(body: memoryview, span: Span) -> tuple[tuple[ListKind, str], Body]:
    header: ListHeader = load(LIST_HEADER, section(body, span))
    hashes, ends, texts = (section(body, one) for one in (header.hashes, header.ends, header.texts))
    return (header.kind, header.salt), Body(header.shapes, header.special, hashes, ends, texts)


def _usable(databases: list[bytes]) -> bool:
    """All were made by one engine: if this one can't read the first, it can read none."""
    try:
        for database in databases:
            patterns.Database.deserialise(database)
    except patterns.PatternError:
        return False
    return True
