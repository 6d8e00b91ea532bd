"""Lua scripts for Redis and Valkey, and the layout of the keys that they work on.

All keys carry one hash tag, so that in a cluster they are on one node and a script can use several of them:

- `{prefix}:revoked`: a sorted set with the digest of all that is revoked, by the time when it is forgotten; `-` and the
  digest of an identity, by its cutoff as a negative number; and `number`, by the number of the last entry of the feed.
  A server can only lose all of it, and mirrors then see another number;
- `{prefix}:feed`: a stream of revocations, for mirrors, numbered without gaps;
- `{prefix}:session:<digest>`: a hash, the session; `{prefix}:sealed:<digest>`: its last response, during the grace;
- `{prefix}:sessions:<digest of the identity>`: a sorted set with the digests of its live sessions, by their expiry.

Each script begins its writing with a command that a full server refuses (`ZADD`, `HSET`), so that it does all or
nothing; it deletes last. What has expired is decided by the server's clock, with as much to spare as clocks may differ.
"""

from __future__ import annotations

from typing import Final

from asgi_jwt_claims.config import MAX_LEEWAY

__all__ = ["BEGIN", "CUTOFF", "FEED_END", "IS_REVOKED", "LIST_SESSIONS", "PAGE", "READ_SESSIONS", "REPLACE", "REVOKE"]

_TO_SPARE = int(MAX_LEEWAY.total_seconds())  # how far clocks may differ

IS_REVOKED: Final = """
local now = tonumber(ARGV[1])
local found = redis.call('ZMSCORE', KEYS[1], ARGV[2], ARGV[3], ARGV[4], '-' .. ARGV[4])
for i = 1, 2 do
  if found[i] and tonumber(found[i]) > now then return 1 end
end
if found[3] and tonumber(found[3]) > now and found[4] and -tonumber(found[4]) >= tonumber(ARGV[5]) then return 1 end
return 0
"""

REVOKE: Final = f"""
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], 'NX', time[1] * 1000 + math.floor(time[2] / 1000), 'number')
for i = 1, #ARGV, 3 do
  redis.call('ZADD', KEYS[1], 'GT', ARGV[i + 1], ARGV[i])
  if ARGV[i + 2] ~= '0' then redis.call('ZADD', KEYS[1], 'LT', '-' .. ARGV[i + 2], '-' .. ARGV[i]) end
  local number = redis.call('ZINCRBY', KEYS[1], 1, 'number')
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', '100000', '*', 'n', number, 'm', ARGV[i], 'u', ARGV[i + 1], 'c', ARGV[i + 2])
end
local old = redis.call('ZRANGEBYSCORE', KEYS[1], 0, time[1] - {_TO_SPARE}, 'LIMIT', 0, 256)
for i = 1, #old do redis.call('ZREM', KEYS[1], old[i], '-' .. old[i]) end
return 1
"""

CUTOFF: Final = """
local found = redis.call('ZMSCORE', KEYS[1], ARGV[1], '-' .. ARGV[1])
if not found[1] or tonumber(found[1]) <= tonumber(ARGV[2]) then return '0' end
return found[2] or '0'
"""

REPLACE: Final = f"""
local before = redis.call('HGET', KEYS[1], 'current') or ''
if before ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 8))
if ARGV[4] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[4]) else redis.call('PERSIST', KEYS[1]) end
if ARGV[5] ~= '0' then redis.call('SET', KEYS[2], ARGV[6], 'PX', ARGV[5]) else redis.call('DEL', KEYS[2]) end
if ARGV[7] == '1' then
  redis.call('ZREM', KEYS[3], ARGV[2])
else
  local left = redis.call('PTTL', KEYS[3])
  redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2])
  if ARGV[4] == '0' then
    redis.call('PERSIST', KEYS[3])
  elseif left ~= -1 and left < tonumber(ARGV[4]) then
    redis.call('PEXPIRE', KEYS[3], ARGV[4])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', redis.call('TIME')[1] - {_TO_SPARE})
return 1
"""

# The answer is one text, because clients parse a reply of many thousand parts far more slowly.
READ_SESSIONS: Final = """
local found = {}
for i = 1, #KEYS, 2 do
  found[#found + 1] = {redis.call('HGETALL', KEYS[i]), redis.call('GET', KEYS[i + 1]) or ''}
end
return cjson.encode(found)
"""

LIST_SESSIONS: Final = """
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')) do
  if name > ARGV[2] then found[#found + 1] = name end
end
table.sort(found)
return {unpack(found, 1, math.min(#found, tonumber(ARGV[3])))}
"""

FEED_END: Final = """
local number = redis.call('ZSCORE', KEYS[1], 'number')
if not number then
  local time = redis.call('TIME')
  number = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', KEYS[1], number, 'number')
end
return {redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1), string.format('%.0f', number)}
"""

PAGE: Final = """
local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', 1000)
local found, cutoffs = {}, {}
for i = 1, #page[2], 2 do
  local name = page[2][i]
  if name ~= 'number' and string.sub(name, 1, 1) ~= '-' then
    found[#found + 1], found[#found + 2] = name, page[2][i + 1]
    cutoffs[#cutoffs + 1] = '-' .. name
  end
end
if #cutoffs > 0 then cutoffs = redis.call('ZMSCORE', KEYS[1], unpack(cutoffs)) end
for i = 1, #found / 2 do cutoffs[i] = cutoffs[i] or '0' end
return {page[1], found, cutoffs}
"""

# The first layout kept cutoffs and the number under keys of their own. A server may forbid `INFO`.
BEGIN: Final = """
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
  local old = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  for i = 1, #old, 2 do redis.call('ZADD', KEYS[1], 'LT', '-' .. old[i + 1], '-' .. old[i]) end
  redis.call('DEL', KEYS[2], KEYS[3])
end
local info = redis.pcall('INFO', 'memory')
return type(info) == 'string' and string.match(info, 'maxmemory_policy:([%w-]+)') or ''
"""
