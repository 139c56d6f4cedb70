"""Lists in Redis: entries that come and go while mail flows, with who put them there, why, and until when.

    lists            HASH    list → version, `NUMBER-MICROSECONDS-ENTRIES`: of changes, of the last one, left
    list:NAME        HASH    entry → JSON: `until`, `by`, `why`, `at` (POSIX seconds), `values` (of a map)
    listlog:NAME     STREAM  NUMBER-0 → `t` (microseconds) and `ops`, the change; bounded
    listends:NAME    ZSET    entry → `until`, so that what has long ended can be cleared away

Promises: a change is one script call: whole or not at all, and the version moves with it. Who knows version V reads
what changed since, and sees by V's own time in the log whether it is the same history: after FLUSHALL or from an old
dump it is not. A list that holds another number of entries than its version says (something was evicted, or written
past us) is not changed but where the caller says so. Each change is a line of the environment's audit stream. Refuses:
believing any of it (the reader checks each entry), and knowing what an entry means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.store.connection import Link, Script
from tidegate.store.failure import Fault, StoreError

MAX_OPERATIONS = 500
"""In one call: some milliseconds of Redis's time."""
LOG = 200
"""Changes that the log reaches back: a reader that missed more copies the list."""
_SCAN = 2000  # entries of one call of a copy
_KEPT = 3600.0  # seconds for which an entry that has ended stays to be looked at
_AUDIT = 10_000  # lines of the audit stream
_NAMED = 10  # entries that a line of it names
_VERSION = re.compile(r"([1-9][0-9]{0,15})-([1-9][0-9]{0,17})-([0-9]{1,10})\Z")

_LOST = "some were evicted, or written past `tidegate list`; look at it, then write with --repair, or import it anew"

_WRITE = Script(
    """
local lists, list, log, ends, audit = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local name, operations, slack, now = ARGV[1], cjson.decode(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local kinds = {[lists] = 'hash', [list] = 'hash', [log] = 'stream', [ends] = 'zset', [audit] = 'stream'}
for key, kind in pairs(kinds) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= kind then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. found)
  end
end
local before = redis.call('HGET', lists, name)
local number = 0
if before then
  local count
  number, count = string.match(before, '^(%d+)%-%d+%-(%d+)$')
  if not number then return redis.error_reply('ERR the version of the list is damaged') end
  number, count = tonumber(number), tonumber(count)
  local here = redis.call('HLEN', list)
  if here ~= count and ARGV[7] ~= 'repair' then return {'lost', here, count} end
else
  redis.call('DEL', log)
end
local done, added, removed = {}, 0, 0
for _, one in ipairs(operations) do
  local key, value, untilwhen = one[1], one[2], one[3]
  local known = redis.call('HEXISTS', list, key) == 1
  local ending = known and redis.call('ZSCORE', ends, key)
  local alive = known and (not ending or tonumber(ending) > now)
  if value then
    local held = alive and slack >= 0 and (not ending or (untilwhen and tonumber(ending) >= untilwhen - slack))
    if not held then
      done[#done + 1] = one
      if not alive then added = added + 1 end
    end
  elseif known then
    done[#done + 1] = one
    if alive then removed = removed + 1 end
  end
end
if #done == 0 and before then return {before, 0, 0} end
local time = redis.call('TIME')
local moment = string.format('%d%06d', tonumber(time[1]), tonumber(time[2]))
local ops = '[]'
if #done > 0 then ops = cjson.encode(done) end
redis.call('XADD', log, 'MAXLEN', ARGV[5], (number + 1) .. '-0', 't', moment, 'ops', ops)
for _, one in ipairs(done) do
  local key, value, untilwhen = one[1], one[2], one[3]
  if value then
    redis.call('HSET', list, key, value)
    if untilwhen then redis.call('ZADD', ends, untilwhen, key) else redis.call('ZREM', ends, key) end
  else
    redis.call('HDEL', list, key)
    redis.call('ZREM', ends, key)
  end
end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now - tonumber(ARGV[6]), 'LIMIT', 0, 100)) do
  redis.call('HDEL', list, key)
  redis.call('ZREM', ends, key)
end
local after = (number + 1) .. '-' .. moment .. '-' .. redis.call('HLEN', list)
redis.call('HSET', lists, name, after)
redis.call('XADD', audit, 'MAXLEN', '~', ARGV[8], '*', 'event', 'list', 'number', number + 1, 'list', name,
  'changes', name .. ' +' .. added .. ' -' .. removed, 'version', after, 'added', added, 'removed', removed,
  unpack(ARGV, 9))
return {after, added, removed}
"""
)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """How many changes a list has seen, when the last was (microseconds of Redis's clock), how many entries it has."""

    number: int
    moment: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}-{self.moment}-{self.count}"


def version_from(text: str) -> Version | None:
    """None where it is none."""
    found = _VERSION.match(text)
    return Version(*map(int, found.groups())) if found else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it is kept. `until` and `at` are POSIX seconds; `until` None: for good."""

    key: str
    until: float | None = None
    by: str = ""
    why: str = ""
    at: float = 0.0
    values: tuple[str, ...] = ()

    def value(self) -> str:
        """As Redis keeps it, without what says nothing."""
        parts = {"until": self.until, "by": self.by, "why": self.why, "at": self.at, "values": list(self.values)}
        return json.dumps({name: part for name, part in parts.items() if part}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Removal:
    """This one is off the list."""

    key: str


Operation = Entry | Removal


def entry_from(key: str, value: str) -> Entry | None:
    """The entry; None where it is none: somebody wrote it by hand, or it is half-written."""
    try:
        parts = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parts, dict):
        return None
    until, values, at = parts.get("until"), parts.get("values", []), parts.get("at", 0.0)
    if not (until is None or _is_time(until)) or not _is_time(at) or not isinstance(values, list):
        return None
    if not all(isinstance(one, str) for one in values):
        return None
    return Entry(key, until, str(parts.get("by", "")), str(parts.get("why", "")), at, tuple(values))


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12


@dataclass(frozen=True, slots=True)
class Written:
    """What a change came to: the version since then, and how many entries came into force or left it."""

    version: Version
    added: int
    removed: int


class ListStore:
    """The lists of one environment. Every method raises StoreError."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._key = link.keys.key

    def versions(self) -> Mapping[str, Version | None]:
        """All lists that there are, in one round trip; None: a version that is none."""
        found = self._link.call("HGETALL", self._key("lists"))
        texts = [_text(one) for one in _list(found)]
        return {name: version_from(version) for name, version in zip(texts[::2], texts[1::2], strict=False)}

    def version(self, name: str) -> Version | None:
        """That of one list; None where there is no such list."""
        found = self._link.call("HGET", self._key("lists"), name)
        return None if found is None else version_from(_text(found))

    def since(self, name: str, known: Version) -> tuple[tuple[int, int], list[Operation]] | None:
        """What changed after `known`, and number and moment of the last change; None where the log can't say."""
        found = _list(self._link.call("XRANGE", self._key(f"listlog:{name}"), f"{known.number}-0", "+"))
        latest, operations = (known.number, known.moment), list[Operation]()
        for at, row in enumerate(found):
            number, moment, changes = _logged(row)
            if number != known.number + at or (at == 0 and moment != known.moment):
                return None
            if at:
                latest = (number, moment)
                operations += changes
        return (latest, operations) if found else None

    def size(self, name: str) -> int:
        """Entries, those included that have ended."""
        return int(self._link.call("HLEN", self._key(f"list:{name}")))

    def entries(self, name: str) -> Iterator[list[tuple[str, Entry | None]]]:
        """All of it, part by part; an entry that is none comes as None. What changes meanwhile may be in it or not."""
        cursor = "0"
        while True:
            reply = _list(self._link.call("HSCAN", self._key(f"list:{name}"), cursor, "COUNT", _SCAN))
            if len(reply) != 2:
                raise StoreError("Redis answers with what is no part of a list", Fault.REPLY)
            texts = [_text(one) for one in _list(reply[1])]
            yield [(key, entry_from(key, value)) for key, value in zip(texts[::2], texts[1::2], strict=False)]
            cursor = _text(reply[0])
            if cursor == "0":
                return

    def some(self, name: str, keys: Sequence[str]) -> list[Entry | None]:
        """These entries; None where there is none."""
        if not keys:
            return []
        found = _list(self._link.call("HMGET", self._key(f"list:{name}"), *[_bytes(one) for one in keys]))
        return [
            None if value is None else entry_from(key, _text(value)) for key, value in zip(keys, found, strict=False)
        ]

    def write(
        self,
        name: str,
        operations: Sequence[Operation],
        now: float,
        by: str = "",
        why: str = "",
        *,
        host: str = "",
        slack: float = -1.0,
        repair: bool = False,
    ) -> Written:
        """Carry out at most MAX_OPERATIONS; a list that is not there is made, by none of them too.

        `by`, `host` and `why` are for the audit stream. `slack`: an entry that is in force and ends at most so many
        seconds before the new one stays as it is; negative: every entry is written. `repair`: what Redis holds counts,
        also where it is not what the version says.
        """
        keys = [self._key(one) for one in ("lists", f"list:{name}", f"listlog:{name}", f"listends:{name}", "log")]
        rows = json.dumps([_row(one) for one in operations])
        told = " ".join(one.key for one in operations[:_NAMED]) + (" …" if len(operations) > _NAMED else "")
        audit = ("author", by, "host", host, "reason", why, "entries", told)
        mode = "repair" if repair else ""
        found = _list(self._link.run(_WRITE, keys, (name, rows, slack, now, LOG, _KEPT, mode, _AUDIT, *audit)))
        if found[:1] == [b"lost"]:
            raise StoreError(
                f"the list {name} has {found[1]} entries in Redis, and its version says {found[2]}: {_LOST}",
                Fault.REPLY,
            )
        version = version_from(_text(found[0])) if len(found) == 3 else None
        if version is None:
            raise StoreError("Redis answers a change of a list with what is no version", Fault.REPLY)
        return Written(version, int(found[1]), int(found[2]))

    def drop(self, name: str) -> bool:
        """Remove the list; daemons keep what they have of it until somebody confirms. False where there was none."""
        found = self._link.call("HDEL", self._key("lists"), name)
        for one in (f"list:{name}", f"listlog:{name}", f"listends:{name}"):
            self._link.call("DEL", self._key(one))
        return bool(found)


def _row(operation: Operation) -> list[object]:
    if isinstance(operation, Removal):
        return [operation.key, False, False]
    return [operation.key, operation.value(), operation.until if operation.until is not None else False]


def _logged(row: Any) -> tuple[int, int, list[Operation]]:
    """One row of the log. Raises StoreError."""
    try:
        identity, fields = row
        texts = [_text(one) for one in fields]
        named = dict(zip(texts[::2], texts[1::2], strict=True))
        number = int(_text(identity).partition("-")[0])
        changes: list[Operation] = []
        for key, value, _ in json.loads(named["ops"]):
            entry = entry_from(str(key), value) if isinstance(value, str) else None
            changes.append(entry if entry is not None else Removal(str(key)))
        return number, int(named["t"]), changes
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError("the log of a list is damaged", Fault.REPLY) from error


def _list(reply: Any) -> list[Any]:
    if not isinstance(reply, list):
        raise StoreError("Redis answers with something else than was asked for", Fault.REPLY)
    return reply


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
