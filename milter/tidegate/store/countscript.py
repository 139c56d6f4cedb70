"""The script that counts in Redis, for all limits of a message at once (redis.io, Scripting with Lua).

It does what limits/window.py says, in the words of Redis; tests/store/test_both_stores.py compares them event by event.
Redis 6.0 to 8 and Valkey: TIME before a write is allowed since scripts are replicated by their effects (Redis 5).

    KEYS  limits:since, retry:MESSAGE, then for each charge limit:COUNTER, seen:COUNTER, grants:KEY
    ARGV  now in ms ("" : the server's), 1 to charge, 1 if the message has an identity, ms for which that is known,
          times that it may come again, then for each charge one text of rule, limit, cost, maximum, per, step, stops,
          shadow and number of members, and its members
    reply one text: since when the server counts, then for each charge used, after it, maximum, ms until it fits (-1:
          never), 1 if it is exceeded

One text instead of many values halves what redis-py costs: 10 limits are 50 numbers.
"""

ARGUMENTS = """
local at = 1
local function take() at = at + 1; return ARGV[at - 1] end

local now = take()
if now == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
else
  now = tonumber(now)
end
"""
"""How a script that counts begins: `take()` is the next of ARGV, the first is `now` in ms ("": the server's clock)."""

COUNT = (
    ARGUMENTS
    + """
local commit, named, memory, repeats = take() == '1', take() == '1', tonumber(take()), tonumber(take())

-- What is no count of ours (people and other programs can write anything here) must neither stop the counting nor
-- overflow it: 15 digits hold exactly in a number of Lua, and 60 of them in one of Redis.
local function plain(text) return #text <= 15 and string.find(text, '^%d+$') and tonumber(text) end

local since = redis.pcall('GET', KEYS[1])
if type(since) ~= 'string' or not string.find(since, '^%d+%.%d+$') then
  if type(since) == 'table' and not string.find(since.err, 'WRONGTYPE', 1, true) then return since end
  local time = redis.call('TIME')
  since = time[1] .. '.' .. time[2]
  if commit then redis.call('SET', KEYS[1], since) end
end

-- Was this very message charged of late?
local paid, came
if named then
  local found = redis.pcall('GET', KEYS[2])
  if type(found) == 'string' then
    local when, times = string.match(found, '^(%d+) (%d+)$')
    if when and tonumber(when) > now - memory and tonumber(times) < repeats then
      paid, came = tonumber(when), tonumber(times)
    end
  end
end

-- What is under one of our keys and of another type is nobody's: it is counted anew.
local function mine(reply, key)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) then
      if commit then redis.call('DEL', key) end
      return nil
    end
    return error(reply.err)
  end
  return reply
end

local grants = {}
local function extras(key, rule, limit)
  if not grants[key] then
    grants[key] = {}
    local found = mine(redis.pcall('HGETALL', key), key) or {}
    for i = 2, #found, 2 do
      local good, one = pcall(cjson.decode, found[i])
      local amount = good and type(one) == 'table' and tonumber(one.amount)
      local ends = amount and tonumber(one['until'])
      if ends and math.abs(amount) < 1e15 and math.abs(ends) < 1e12 then
        table.insert(grants[key], one)
      end
    end
  end
  local meant = {}
  for _, one in ipairs(grants[key]) do
    if (one.rule == '' or one.rule == rule) and (one.limit == '' or one.limit == limit) then
      table.insert(meant, {amount = one.amount, ends = math.floor(one['until'] * 1000)})
    end
  end
  return meant
end

local function allowance(maximum, more, when)
  for _, one in ipairs(more) do
    if one.ends > when then maximum = maximum + one.amount end
  end
  return maximum
end

local function older(a, b) return a[1] < b[1] end

-- Milliseconds until the cost fits; others are {ending, used}, those of a sorted set come oldest first.
local function wait(one, others, waiting)
  for _, bucket in ipairs(others) do
    waiting = waiting - bucket[2]
    local when = bucket[1] + one.per
    if waiting + one.cost <= allowance(one.maximum, one.more, when) then return when - now end
  end
  return -1
end

local function look_at_buckets(one)
  local found = mine(redis.pcall('HGETALL', one.key), one.key) or {}
  local total, own = 0, 0
  one.buckets, one.ahead, one.fields = {}, {}, #found / 2
  for i = 1, #found, 2 do
    local ending, used = plain(found[i]), plain(found[i + 1])
    if ending and not used and commit then
      redis.call('HDEL', one.key, found[i])
    elseif ending and used then
      if ending > now - one.per then
        total = total + used
        table.insert(one.buckets, {ending, used})
        if ending > one.last then table.insert(one.ahead, {ending, used}) end
        if ending == one.last then one.begun = true end
      end
    elseif found[i] == 'm' then one.told_maximum = found[i + 1]
    elseif found[i] == 'p' then one.told_per = found[i + 1]
    end
  end
  local when = paid and math.min(paid, now)
  if paid and (math.floor(when / one.step) + 1) * one.step > now - one.per then
    table.sort(one.buckets, older)
    local place
    for _, bucket in ipairs(one.buckets) do
      local ending = math.min(bucket[1], one.last)
      if ending > when then
        place = place or ending
        if ending ~= place then break end
        local part = math.min(bucket[2], one.cost - own)
        bucket[2] = bucket[2] - part
        own = own + part
      end
    end
  end
  one.used, one.others = total - own, total - own
end

local function look_at_members(one)
  local found = mine(redis.pcall('ZCOUNT', one.seen, '(' .. (now - one.per), '+inf'), one.seen) or 0
  local known, met = 0, {}
  for _, member in ipairs(one.members) do
    local ending = found > 0 and redis.call('ZSCORE', one.seen, member)
    if ending and tonumber(ending) > now - one.per then
      known = known + 1
      met[member] = true
    end
  end
  one.used, one.others, one.known, one.met = found, found - known, known, met
  local told = mine(redis.pcall('HMGET', one.key, 'm', 'p'), one.key) or {}
  one.told_maximum, one.told_per = told[1], told[2]
end

-- The buckets of the others, oldest first; only where the message does not fit.
local function others_of(one)
  if not one.members then
    for _, bucket in ipairs(one.buckets) do bucket[1] = math.min(bucket[1], one.last) end
    table.sort(one.buckets, older)
    return one.buckets
  end
  local most = one.used
  if one.cost <= one.maximum then most = math.min(most, one.used + one.cost - one.maximum) end
  local found = redis.call('ZRANGEBYSCORE', one.seen, '(' .. (now - one.per), '+inf', 'WITHSCORES',
    'LIMIT', 0, most + one.known)
  local others = {}
  for i = 1, #found, 2 do
    if not one.met[found[i]] then
      table.insert(others, {math.min(tonumber(found[i + 1]), one.last), 1})
    end
  end
  return others
end

local charges, refused, silent = {}, false, {}
for i = 3, #KEYS, 3 do
  local one = {key = KEYS[i], seen = KEYS[i + 1]}
  local words = {}
  for word in string.gmatch(take(), '%S+') do table.insert(words, word) end
  one.rule, one.limit, one.cost, one.maximum = words[1], words[2], tonumber(words[3]), tonumber(words[4])
  one.per, one.step, one.stops, one.shadow = tonumber(words[5]), tonumber(words[6]), words[7] == '1', words[8] == '1'
  one.last = (math.floor(now / one.step) + 1) * one.step
  local number = tonumber(words[9])
  if number > 0 then
    one.members = {}
    for _ = 1, number do table.insert(one.members, take()) end
    look_at_members(one)
  else
    look_at_buckets(one)
  end
  one.more = extras(KEYS[i + 2], one.rule, one.limit)
  one.allowed = allowance(one.maximum, one.more, now)
  one.exceeded = one.cost > 0 and one.others + one.cost > one.allowed
  one.retry = one.exceeded and wait(one, others_of(one), one.others) or 0
  if one.exceeded and one.stops then
    if one.shadow then silent[one.rule] = true else refused = true end
  end
  table.insert(charges, one)
end

-- A key lives as long as its newest bucket counts; an older generation with a longer window may need it longer.
local function keep(key, one)
  local left = one.last + one.per - now
  if redis.call('PTTL', key) < left then redis.call('PEXPIRE', key, string.format('%.0f', left)) end
end

local function tell(one)
  local maximum, per = string.format('%.0f', one.maximum), string.format('%.0f', one.per)
  if one.told_maximum ~= maximum or one.told_per ~= per then
    redis.call('HSET', one.key, 'm', maximum, 'p', per)
    return true
  end
  return false
end

local function add_to_buckets(one)
  local amount = one.cost
  for _, bucket in ipairs(one.ahead) do
    amount = amount + bucket[2]
    redis.call('HDEL', one.key, string.format('%.0f', bucket[1]))
  end
  if one.fields > 128 then
    -- More than Redis keeps in its compact form: drop what this window does not need.
    for _, field in ipairs(redis.call('HKEYS', one.key)) do
      if tonumber(field) and tonumber(field) <= now - one.per then redis.call('HDEL', one.key, field) end
    end
  end
  redis.call('HINCRBY', one.key, string.format('%.0f', one.last), string.format('%.0f', amount))
  tell(one)
  if not one.begun then keep(one.key, one) end
end

local function add_members(one)
  local ahead = redis.call('ZRANGEBYSCORE', one.seen, '(' .. one.last, '+inf')
  for _, member in ipairs(ahead) do redis.call('ZADD', one.seen, one.last, member) end
  for _, member in ipairs(one.members) do redis.call('ZADD', one.seen, one.last, member) end
  if redis.call('ZCARD', one.seen) > 2 * (one.used + one.cost) + 128 then
    redis.call('ZREMRANGEBYSCORE', one.seen, '-inf', now - one.per)
  end
  tell(one)
  redis.call('HSET', one.key, 'd', string.format('%.0f', one.last))
  keep(one.seen, one)
  keep(one.key, one)
end

local reply, any = {since}, false
for _, one in ipairs(charges) do
  local after = one.used
  if commit and not paid and not refused and not (one.shadow and silent[one.rule]) and one.cost > 0 then
    any = true
    if one.members then
      add_members(one)
      after = one.used + one.cost - one.known
    else
      add_to_buckets(one)
      after = one.used + one.cost
    end
  end
  for _, value in ipairs({one.used, after, one.allowed, one.retry, one.exceeded and 1 or 0}) do
    table.insert(reply, string.format('%.0f', value))
  end
end
if commit and named then
  if paid then
    redis.call('SET', KEYS[2], string.format('%.0f %.0f', paid, came + 1), 'PX', memory)
  elseif any then
    redis.call('SET', KEYS[2], string.format('%.0f 0', now), 'PX', memory)
  end
end
return table.concat(reply, ' ')
"""
)
