"""Policy revisions in Redis: read the head, and move it by compare-and-set.

Theory of operation. Entries and manifests are kept under their SHA-256 and never change; `revisions` keeps the record
of each number; `head` holds the number and the whole record of the one in force, so that a poll is one round trip. A
commit is one script: where the head is still the one that the editor started from, it writes what is new, the record,
the head and a line of the audit stream; otherwise it writes nothing and tells who was faster.

Promises: nothing that Redis says is believed unread: records are read strictly, and what does not fit is a Flaw, never
an exception (StoreError: Redis did not answer, or holds something else under our keys). Refuses: deciding whether a
revision may follow another, signatures, and YAML. What a head comes to is contents.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.revisions import Flaw, Manifest, Revision, read_revision
from tidegate.store.connection import Fault, Link, Script, StoreError

LOG_LINES = 10_000
"""Lines of the audit stream that are kept, or a few more (XADD MAXLEN ~)."""
_BATCH = 500  # records and texts that are asked for at once

_COMMIT = Script(
    """
local number, record = unpack(redis.call('HMGET', KEYS[1], 'number', 'record'))
if (number or '') ~= ARGV[1] or (record or '') ~= ARGV[2] then
  return {'conflict', number or '', record or ''}
end
local at = 9
local function put(key, count)
  for _ = 1, count do
    if redis.call('HGET', key, ARGV[at]) ~= ARGV[at + 1] then
      redis.call('HSET', key, ARGV[at], ARGV[at + 1])
    end
    at = at + 2
  end
end
put(KEYS[2], tonumber(ARGV[6]))
put(KEYS[3], tonumber(ARGV[7]))
put(KEYS[4], tonumber(ARGV[8]))
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
redis.call('HSET', KEYS[1], 'number', ARGV[3], 'record', ARGV[4])
redis.call('XADD', KEYS[5], 'MAXLEN', '~', ARGV[5], '*', unpack(ARGV, at))
return {'moved'}
"""
)


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in `head`, as it stands there. `revision` None: there is none (`there` False), or `why` it can't be
    believed as it is: then somebody wrote it by hand."""

    number: bytes = b""
    record: bytes = b""
    revision: Revision | None = None
    why: str = ""

    @property
    def there(self) -> bool:
        """Does the environment have a head at all?"""
        return bool(self.number or self.record)


@dataclass(frozen=True, slots=True)
class Moved:
    """A commit that was done."""

    revision: Revision


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else moved the head meanwhile; `head` is what stands there now."""

    head: Head


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the audit stream. `at` in POSIX seconds, by Redis's clock; `fields` as they were written."""

    at: float
    fields: Mapping[str, str] = field(default_factory=dict)


class Revisions:
    """The revisions of the link's environment."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.keys = link.keys

    @property
    def environment(self) -> str:
        """Whose revisions these are."""
        return self.keys.environment

    def head(self) -> Head:
        """One round trip. Raises StoreError."""
        found = many(self.link.call("HMGET", self.keys.head, "number", "record"), 2)
        return self._head(found[0] or b"", found[1] or b"")

    def _head(self, number: bytes, record: bytes) -> Head:
        if not number and not record:
            return Head()
        if not record:
            return Head(number, record, None, "the head was moved by hand: it has no record")
        revision = read_revision(record, self.environment)
        if isinstance(revision, Flaw):
            return Head(number, record, None, f"the head was written by hand: {revision}")
        if number != b"%d" % revision.number:
            return Head(
                number, record, None, f"the head was moved by hand: its record is of revision {revision.number}"
            )
        return Head(number, record, revision)

    def revision(self, number: int) -> Revision | Flaw | None:
        """The record of a number; None: there is none. Raises StoreError."""
        record = one(self.link.call("HGET", self.keys.revisions, number))
        return None if record is None else self._numbered(number, record)

    def _numbered(self, number: int, record: bytes) -> Revision | Flaw:
        found = read_revision(record, self.environment)
        if isinstance(found, Revision) and found.number != number:
            return Flaw(f"the record of revision {found.number} stands there")
        return found

    def history(self, numbers: Sequence[int]) -> list[tuple[int, Revision | Flaw]]:
        """The records of these numbers, those that there are. Raises StoreError."""
        found: list[tuple[int, Revision | Flaw]] = []
        for start in range(0, len(numbers), _BATCH):
            some = numbers[start : start + _BATCH]
            records = many(self.link.call("HMGET", self.keys.revisions, *some), len(some))
            found += [(n, self._numbered(n, record)) for n, record in zip(some, records, strict=True) if record]
        return found

    def commit(
        self,
        revision: Revision,
        manifests: Sequence[Manifest],
        texts: Mapping[str, str],
        onto: Head,
        what: Mapping[str, str],
        lost: Sequence[Revision] = (),
    ) -> Moved | Conflict:
        """Put a revision in force, if the head is still `onto`.

        `manifests` are those that the record names, `texts` those entries (by SHA-256) that Redis may not have yet,
        `lost` records that it lost and that are put back, so that daemons find the one they have; `what` goes into
        the audit stream beside the record's own fields. Where the answer is lost on its way the head is looked at once
        more: it says whether the commit was done. Raises StoreError.
        """
        arguments: list[str | bytes | int] = [
            onto.number,
            onto.record,
            revision.number,
            revision.canonical(),
            LOG_LINES,
        ]
        arguments += [len(texts), len(manifests), len(lost)]
        for sha, text in texts.items():
            arguments += [sha, text]
        for manifest in manifests:
            arguments += [manifest.digest(), manifest.canonical()]
        for record in lost:
            arguments += [record.number, record.canonical()]
        for name, value in (*logged(revision).items(), *what.items()):
            arguments += [name, value]
        keys = self.keys
        touched = [keys.head, keys.entries, keys.manifests, keys.revisions, keys.log]
        try:
            reply = self.link.run(_COMMIT, touched, arguments)
        except StoreError as error:
            if error.fault not in (Fault.TIMEOUT, Fault.UNREACHABLE) or self.head().record != revision.canonical():
                raise
            return Moved(revision)
        answer = many(reply, len(reply) if isinstance(reply, list) else 1)
        if answer == [b"moved"]:
            return Moved(revision)
        if len(answer) == 3 and answer[0] == b"conflict":
            return Conflict(self._head(answer[1] or b"", answer[2] or b""))
        raise StoreError(f"{self.link.where}: the answer to a commit makes no sense", Fault.REPLY)

    def log(self, count: int) -> list[LogLine]:
        """The newest lines of the audit stream, newest first. Raises StoreError."""
        reply = self.link.call("XREVRANGE", self.keys.log, "+", "-", "COUNT", count)
        try:
            return [_logged(name, values) for name, values in reply]
        except (TypeError, ValueError, AttributeError) as error:
            raise StoreError("Redis answers with something else than an audit stream", Fault.REPLY) from error


def _logged(name: bytes, values: list[bytes]) -> LogLine:
    """One entry of the stream. Raises ValueError, TypeError or AttributeError for whatever is none."""
    words = [word.decode("utf-8", "replace") for word in values]
    return LogLine(int(name.split(b"-")[0]) / 1000, dict(zip(words[::2], words[1::2], strict=True)))


def logged(revision: Revision) -> dict[str, str]:
    """What the audit stream says of every commit."""
    values = {
        "number": str(revision.number),
        "parent": str(revision.parent),
        "manifest": revision.manifest,
        "author": revision.author,
        "reason": revision.reason,
        "host": revision.host,
        "expires": str(revision.expires or ""),
        "urgent": revision.urgent,
        "key": revision.key,
    }
    return {name: value for name, value in values.items() if value}


def one(reply: Any) -> bytes | None:
    """A reply that is a text or nothing. Raises StoreError for any other."""
    if reply is None or isinstance(reply, bytes):
        return reply
    raise StoreError("Redis answers with something else than a text", Fault.REPLY)


def many(reply: Any, count: int) -> list[bytes | None]:
    """A reply that is a list of so many texts. Raises StoreError for any other."""
    if not isinstance(reply, list) or len(reply) != count:
        raise StoreError("Redis answers with something else than a list", Fault.REPLY)
    return [one(each) for each in reply]
