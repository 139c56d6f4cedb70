"""The counters in Redis as a person sees and changes them: what `tidegate limits` and `tidegate forget` do there.

Promises: the same answers as the host's own counters (sqliteshelf.py); what somebody else wrote under our keys is
passed over; a thousand counters cost a few round trips. Refuses: counting.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tidegate.limits.counter import Counter, Deed, Grant, Standing, Wanted, concerns, parsed
from tidegate.store.connection import Argument, Link, Script, StoreError
from tidegate.store.counting import KEPT, UncountedError

LOG = "limits:log"
_PAGE = 200  # counters that one script looks at: some milliseconds
_DEEDS = 10_000  # entries of the log

# KEYS: limit:COUNTER, seen:COUNTER, … ; ARGV: now in ms ("": the server's)
# reply: now, then for each the flat hash and the scores of its members
_LOOK = Script("""
local now = ARGV[1]
if now == '' then
  local time = redis.call('TIME')
  now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
local reply = {now}
for i = 1, #KEYS, 2 do
  local hash = redis.pcall('HGETALL', KEYS[i])
  if hash.err then hash = {} end
  local per, number = 0, 0
  for j = 1, #hash, 2 do
    if hash[j] == 'p' then per = tonumber(hash[j + 1]) or 0 end
  end
  local found = redis.pcall('ZCOUNT', KEYS[i + 1], '(' .. string.format('%.0f', tonumber(now) - per), '+inf')
  if type(found) == 'number' then number = found end
  table.insert(reply, hash)
  table.insert(reply, number)
end
return reply
""")

# KEYS: limits:log, grants:KEY; ARGV: the deed, entries kept, ms kept, a number of its own, the grant, ms until its end
_GRANT = Script("""
local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', KEYS[2]) end
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[6]) then redis.call('PEXPIRE', KEYS[2], ARGV[6]) end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'deed', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""")

# KEYS: limits:log, then what goes; ARGV: the deed ("": none), entries kept, ms kept
_DROP = Script("""
local gone = 0
for i = 2, #KEYS do gone = gone + redis.call('DEL', KEYS[i]) end
if ARGV[1] ~= '' then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'deed', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return gone
""")


class RedisShelf:
    """The counters of one environment. Every method may raise UncountedError."""

    def __init__(self, link: Link, clock: Callable[[], float] | None = None) -> None:
        """`clock` in POSIX seconds; None: the server's for the windows, ours for what is written down."""
        self._link = link
        self._clock = clock

    @property
    def where(self) -> str:
        """The server, and the environment."""
        return f"{self._link.where} ({self._link.keys.tag.partition(':')[2]})"

    def standings(self, wanted: Wanted) -> list[Standing]:
        """The counters that hold something."""
        found: list[Standing] = []
        granted: dict[str, list[Grant]] = {}
        for page in _pages(self._counters(wanted)):
            keys = [key for one in page for key in self._of(one)]
            reply = self._run(_LOOK, keys, ("" if self._clock is None else int(self._clock() * 1000),))
            now = int(reply[0])
            for counter, hash_, members in zip(page, reply[1::2], reply[2::2], strict=True):
                standing = _standing(counter, hash_, int(members), now)
                if standing is None:
                    continue
                if counter.key not in granted:
                    granted[counter.key] = self.grants(counter.key)
                found.append(_with_grants(standing, granted[counter.key]))
        return found

    def grants(self, key: str) -> list[Grant]:
        """Those in force for a key; "": for all."""
        now = self._now()
        keys = [key] if key else list(self._after("grants:"))
        return [one for key in keys for one in self._grants(key) if one.until > now]

    def _grants(self, key: str) -> Iterator[Grant]:
        try:
            flat = self._ask("HGETALL", self._key(f"grants:{key}"))
        except UncountedError:
            if self._ask("TYPE", self._key(f"grants:{key}")) in (b"hash", b"none"):
                raise
            return  # something else lies there
        for text in flat[1::2]:
            try:
                values = json.loads(text)
                yield Grant(
                    key,
                    int(values["amount"]),
                    float(values["until"]),
                    float(values.get("at", 0)),
                    str(values.get("who", "")),
                    str(values.get("reason", "")),
                    str(values["rule"]),
                    str(values["limit"]),
                )
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # nor does the script count it

    def grant(self, grant: Grant) -> None:
        """Put it in force, and on record."""
        deed = Deed(
            grant.at, grant.who, "grant", grant.key, grant.rule, grant.limit, grant.reason, grant.amount, grant.until
        )
        values = asdict(grant)
        del values["key"]
        left = max(1, int((grant.until - self._now()) * 1000))
        keys = [self._key(LOG), self._key(f"grants:{grant.key}")]
        self._run(_GRANT, keys, (*_recorded(deed), secrets.token_hex(8), json.dumps(values), left))

    def reset(self, wanted: Wanted, who: str, reason: str) -> int:
        """Empty counters, on record; how many. Grants stay."""
        counters = list(self._counters(wanted))
        self._drop(key for one in counters for key in self._of(one))
        deed = Deed(self._now(), who, "reset", wanted.key, wanted.rule, wanted.limit, reason)
        self._run(_DROP, [self._key(LOG)], _recorded(deed))
        return len(counters)

    def forget(self, names: Sequence[str], only_count: bool) -> int:
        """Drop all that is kept of keys about these people; how many there were."""
        counters = [one for one in self._counters(Wanted()) if concerns(one.key, names)]
        grants = [self._key(f"grants:{key}") for key in self._after("grants:") if concerns(key, names)]
        entries = [number for number, deed in self._entries() if concerns(deed.key, names)]
        if not only_count:
            self._drop((*(key for one in counters for key in self._of(one)), *grants))
            for page in _pages(entries):
                self._ask("XDEL", self._key(LOG), *page)
        return len(counters) + len(grants) + len(entries)

    def deeds(self) -> list[Deed]:
        """What people did, newest first."""
        return [deed for _number, deed in self._entries()]

    def close(self) -> None:
        """Done with it."""
        self._link.close()

    def _entries(self) -> Iterator[tuple[bytes, Deed]]:
        for number, fields in self._ask("XREVRANGE", self._key(LOG), "+", "-", "COUNT", _DEEDS):
            try:
                yield number, Deed(**json.loads(dict(zip(fields[::2], fields[1::2], strict=True))[b"deed"]))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue  # somebody else's

    def _drop(self, keys: Iterable[str]) -> None:
        for page in _pages(keys):
            self._run(_DROP, [self._key(LOG), *page], ("", 0, 0))

    def _counters(self, wanted: Wanted) -> Iterator[Counter]:
        rule, limit = (_literal(one) or "*" for one in (wanted.rule, wanted.limit))
        for name in self._after("limit:", f"?:{rule}:{limit}:{_literal(wanted.key) or '*'}"):
            counter = parsed(name)
            if counter is not None and counter in wanted:
                yield counter

    def _after(self, prefix: str, pattern: str = "*") -> Iterator[str]:
        """What follows `prefix` in our keys. Each once, though SCAN may tell a key twice."""
        start, cursor, told = self._key(prefix), b"0", set()
        while True:
            cursor, keys = self._ask("SCAN", cursor, "MATCH", start + pattern, "COUNT", 1000)
            for key in keys:
                name = key.decode("utf-8", "surrogateescape")[len(start) :]
                if name not in told:
                    told.add(name)
                    yield name
            if cursor == b"0":
                return

    def _of(self, counter: Counter) -> tuple[str, str]:
        return self._key(f"limit:{counter}"), self._key(f"seen:{counter}")

    def _key(self, name: str) -> str:
        return self._link.keys.key(name)

    def _now(self) -> float:
        return time.time() if self._clock is None else self._clock()

    def _ask(self, *command: Argument) -> Any:
        try:
            return self._link.call(*command)
        except StoreError as error:
            raise UncountedError(error.why) from error

    def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        try:
            return self._link.run(script, keys, arguments)
        except StoreError as error:
            raise UncountedError(error.why) from error


def _standing(counter: Counter, flat: Sequence[bytes], members: int, now: int) -> Standing | None:
    """A counter from its hash; None where nothing of it counts."""
    try:
        values = {key: int(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}
        maximum, per, seen = values.pop(b"m"), values.pop(b"p"), values.pop(b"d", 0)
        values.pop(b"f", None)
        buckets = {int(ending): used for ending, used in values.items()}
    except (ValueError, KeyError):
        return None  # not of our making
    counting = {ending: used for ending, used in buckets.items() if ending > now - per}
    newest = max(counting, default=0)
    distinct = seen > newest
    used = members if distinct else sum(counting.values())
    return Standing(counter, used, maximum, per / 1000, 0, distinct, max(seen, newest) / 1000) if used else None


def _with_grants(standing: Standing, grants: Sequence[Grant]) -> Standing:
    counter = standing.counter
    more = sum(one.amount for one in grants if one.concerns(counter.rule, counter.limit))
    return Standing(
        counter, standing.used, standing.maximum + more, standing.per, more, standing.distinct, standing.seen
    )


def _recorded(deed: Deed) -> tuple[Argument, ...]:
    return json.dumps(asdict(deed)), _DEEDS, int(KEPT * 1000)


def _literal(text: str) -> str:
    """For MATCH."""
    return re.sub(r"([*?\[\]\\^-])", r"\\\1", text)


def _pages(items: Iterable[Any]) -> Iterator[list[Any]]:
    page = []
    for one in items:
        page.append(one)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
