"""Hands over to Redis what a host counted alone, and what Redis once told and has lost (store/debts.py).

Promises: adding is for who took it out of the host's file. Several hosts may fill up: what the best informed of them
was told last is put back, once (`f` in the counter's hash says how much that was). Refuses: being in a message's way.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.store.connection import Argument, Link, Script, StoreError
from tidegate.store.counting import UncountedError
from tidegate.store.countscript import ARGUMENTS
from tidegate.store.debts import Due

# KEYS: limit:COUNTER, seen:COUNTER, …
# ARGV: now in ms ("": the server's), then for each counter one text of per, maximum, 1 to fill up instead of adding,
#       number of buckets and of members; for each bucket its end and what it holds; for each member its end and it
_GIVE = Script(
    ARGUMENTS
    + """
local function usable(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then redis.call('DEL', key) end
end
-- What lies there and is no count of ours is nobody's (countscript.py, plain).
local function held(key, field)
  local found = redis.call('HGET', key, field)
  local usable = found and #found <= 15 and string.find(found, '^%d+$')
  if found and not usable then redis.call('HDEL', key, field) end
  return usable and tonumber(found) or 0
end
local function keep(key, left)
  if redis.call('PTTL', key) < left then redis.call('PEXPIRE', key, string.format('%.0f', left)) end
end
for i = 1, #KEYS, 2 do
  local words = {}
  for word in string.gmatch(take(), '%S+') do table.insert(words, word) end
  local per, fill = tonumber(words[1]), words[3] == '1'
  usable(KEYS[i], 'hash')
  usable(KEYS[i + 1], 'zset')
  local filled = fill and held(KEYS[i], 'f') or 0
  local latest = 0
  for _ = 1, tonumber(words[4]) do
    local ending, used = tonumber(take()), tonumber(take())
    if ending > now - per and used > filled then
      held(KEYS[i], string.format('%.0f', ending))
      redis.call('HINCRBY', KEYS[i], string.format('%.0f', ending), string.format('%.0f', used - filled))
      if fill then redis.call('HSET', KEYS[i], 'f', string.format('%.0f', used)) end
      latest = math.max(latest, ending)
    end
  end
  local newest = 0
  for _ = 1, tonumber(words[5]) do
    local ending, member = tonumber(take()), take()
    local before = redis.call('ZSCORE', KEYS[i + 1], member)
    if ending > now - per and (not before or tonumber(before) < ending) then
      redis.call('ZADD', KEYS[i + 1], ending, member)
      newest = math.max(newest, ending)
    end
  end
  if newest > 0 then
    redis.call('HSET', KEYS[i], 'd', string.format('%.0f', newest))
    keep(KEYS[i + 1], newest + per - now)
  end
  latest = math.max(latest, newest)
  if latest > 0 then
    redis.call('HSETNX', KEYS[i], 'm', words[2])
    redis.call('HSETNX', KEYS[i], 'p', words[1])
    keep(KEYS[i], latest + per - now)
  end
end
return 1
"""
)


def give(link: Link, dues: Sequence[Due], now: float | None = None, *, fill: bool = False) -> None:
    """Add them to what Redis counts; `fill`: only what is missing to it. Raises UncountedError."""
    key = link.keys.key
    keys = [name for one in dues for name in (key(f"limit:{one.counter}"), key(f"seen:{one.counter}"))]
    arguments: list[Argument] = ["" if now is None else int(now * 1000)]
    for one in dues:
        arguments.append(f"{one.per} {one.maximum} {fill:d} {len(one.buckets)} {len(one.members)}")
        arguments += [value for bucket in one.buckets for value in bucket]
        arguments += [value for member in one.members for value in member]
    try:
        link.run(_GIVE, keys, arguments)
    except StoreError as error:
        raise UncountedError(error.why) from error
