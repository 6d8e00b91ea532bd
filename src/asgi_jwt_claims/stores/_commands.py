"""What `RedisStore` and `CoredisStore` say to the server; only how it is sent is theirs.

All keys carry one hash tag, so that in a cluster they are on one node and every script can touch what it needs:

- `{prefix}:revoked`: sorted set of all that is revoked: the digest by when that is forgotten; `-` and the digest of an
  identity by up to when its tokens are revoked, as a negative number; and `number` by that of the last entry of the feed.
  One key, so that a server that loses any of it loses all of it, and mirrors see by the number that it has;
- `{prefix}:feed`: stream of what is revoked, for mirrors. Entries are numbered without a gap, and a server that has lost
  the number begins elsewhere;
- `{prefix}:session:<session>`: hash, a session; `{prefix}:sealed:<session>`: its last answer, for as long as the grace;
- `{prefix}:sessions:<identity>`: sorted set, the sessions of an identity that have not ended by when they expire.

Scripts are sent whole each time: a server that has just been restarted knows none. Each begins its writing with a
command that a full server refuses (`ZADD`, `HSET`), before anything is done; what it deletes, it deletes after.

What has expired is deleted by the clock of the server, with as much to spare as clocks may differ: no client's clock
deletes what others still need.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from asgi_jwt_claims.config import MAX_LEEWAY
from asgi_jwt_claims.errors import SettingError, StoreUnavailableError
from asgi_jwt_claims.jose.compact import b64url_decode, b64url_encode
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.log import logger

from .base import PAGE, Revocation, SessionRecord, TokenStore

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.digests import TokenDigests

__all__ = ["CommandStore", "FeedEntry", "FeedStore", "Position"]

_TO_SPARE = int(MAX_LEEWAY.total_seconds())  # by which clocks may differ

_IS_REVOKED = """
local now = tonumber(ARGV[1])
local found = redis.call('ZMSCORE', KEYS[1], ARGV[2], ARGV[3], ARGV[4], '-' .. ARGV[4])
for i = 1, 2 do
  if found[i] and tonumber(found[i]) > now then return 1 end
end
if found[3] and tonumber(found[3]) > now and found[4] and -tonumber(found[4]) >= tonumber(ARGV[5]) then return 1 end
return 0
"""

_REVOKE = f"""
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

_CUTOFF = """
local found = redis.call('ZMSCORE', KEYS[1], ARGV[1], '-' .. ARGV[1])
if not found[1] or tonumber(found[1]) <= tonumber(ARGV[2]) then return '0' end
return found[2] or '0'
"""

_REPLACE = f"""
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

# As one text: clients take apart a reply of many thousand parts far more slowly.
_SESSIONS = """
local found = {}
for i = 1, #KEYS, 2 do
  found[#found + 1] = {redis.call('HGETALL', KEYS[i]), redis.call('GET', KEYS[i + 1]) or ''}
end
return cjson.encode(found)
"""

_SESSION_NAMES = """
local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')) do
  if name > ARGV[2] then found[#found + 1] = name end
end
table.sort(found)
return {unpack(found, 1, math.min(#found, tonumber(ARGV[3])))}
"""

_POSITION = """
local number = redis.call('ZSCORE', KEYS[1], 'number')
if not number then
  local time = redis.call('TIME')
  number = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZADD', KEYS[1], number, 'number')
end
return {redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1), string.format('%.0f', number)}
"""

_PAGE = """
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

# A version before this one kept what `-` digests, and the number, under names of their own. A server may forbid `INFO`.
_BEGIN = """
if redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
  local old = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  for i = 1, #old, 2 do redis.call('ZADD', KEYS[1], 'LT', '-' .. old[i + 1], '-' .. old[i]) end
  redis.call('DEL', KEYS[2], KEYS[3])
end
local info = redis.pcall('INFO', 'memory')
return type(info) == 'string' and string.match(info, 'maxmemory_policy:([%w-]+)') or ''
"""

_FIELDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "identity": ("identity", bytes.fromhex),
    "session_id": ("id", str),
    "current": ("current", bytes.fromhex),
    "previous": ("previous", bytes.fromhex),
    "previous_used_at": ("spent_at", float),
    "response_until": ("sealed_until", float),
    "started_at": ("started_at", float),
    "refreshed_at": ("refreshed_at", float),
    "expires_at": ("expires_at", float),
    "label": ("label", str),
    "access_expires_at": ("access_expires_at", float),
    "audience": ("audience", str),
    "repeats": ("repeats", int),
    "was_repeated": ("was_repeated", "1".__eq__),
    "has_ended": ("has_ended", "1".__eq__),
}
"""The fields of a record, what each is called in the hash of a session, and how it is read."""

_FETCHED_AT_ONCE = 500


class Position(NamedTuple):
    """A place in the feed: the identifier of an entry and its number."""

    id: str
    number: int


class FeedEntry(NamedTuple):
    """One entry of the feed."""

    position: Position
    revocation: Revocation


class FeedStore(TokenStore):
    """A store that can be mirrored: it says what is revoked now, and tells of whatever is revoked after."""

    __slots__ = ()

    @abstractmethod
    async def position(self) -> Position:
        """The end of the feed."""

    @abstractmethod
    async def page(self, cursor: int) -> tuple[int, list[Revocation]]:
        """A part of everything that is revoked, and the cursor of the next; 0 is the first, and what the last returns.

        What is revoked throughout the reading is in one of the parts.
        """

    @abstractmethod
    async def follow(self, after: Position, wait: float) -> list[FeedEntry]:
        """The entries after a position, in order; waits for one, at most `wait` seconds."""


class CommandStore(FeedStore):
    """Redis or Valkey, by commands. Warns at the first one if the server drops data when its memory is full."""

    __slots__ = ("_clock", "_feed", "_has_begun", "_prefix", "_revoked", "_timeout")

    def __init__(self, *, prefix: str, timeout: float, clock: Callable[[], float] = time.time) -> None:
        if not isinstance(prefix, str) or not prefix or not prefix.isascii() or set("{}") & set(prefix):
            raise SettingError("prefix must be a non-empty ASCII str without braces")
        self._timeout = as_duration(timeout, "timeout").total_seconds()
        self._clock = clock
        self._prefix = f"{{{prefix}}}"
        self._revoked, self._feed = f"{self._prefix}:revoked", f"{self._prefix}:feed"
        self._has_begun = False

    @abstractmethod
    async def _run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        """Run a script on the server."""

    @abstractmethod
    async def _read_stream(self, key: str, after: str, milliseconds: int) -> list[tuple[Any, dict[Any, Any]]]:
        """Entries of a stream after an identifier."""

    async def is_revoked(self, digests: TokenDigests) -> bool:
        """See `TokenStore`."""
        arguments = (digests.token.hex(), digests.session.hex(), digests.identity.hex(), repr(digests.issued_at))
        found = await self._evaluate(_IS_REVOKED, (self._revoked,), repr(self._clock()), *arguments)
        return int(found) == 1

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """See `TokenStore`."""
        now = self._clock()
        arguments = [
            text
            for one in revocations
            if one.until > now
            for text in (one.digest.hex(), _number(one.until), repr(one.cutoff) if one.cutoff else "0")
        ]
        # The server does nothing else meanwhile.
        for start in range(0, len(arguments), 1500):
            await self._evaluate(_REVOKE, (self._revoked, self._feed), *arguments[start : start + 1500])

    async def cutoff(self, identity: bytes) -> float:
        """See `TokenStore`."""
        found = await self._evaluate(_CUTOFF, (self._revoked,), identity.hex(), repr(self._clock()))
        return abs(float(found))

    async def session(self, session: bytes) -> SessionRecord | None:
        """See `TokenStore`."""
        found = await self._fetch([session])
        return found[0] if found else None

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        """See `TokenStore`."""
        found: list[SessionRecord] = []
        while len(found) < limit:
            count = min(limit - len(found), _FETCHED_AT_ONCE)
            arguments = (repr(self._clock()), after.hex(), str(count))
            names = await self._evaluate(_SESSION_NAMES, (self._list_of(identity),), *arguments)
            sessions = [bytes.fromhex(_text(name)) for name in names]
            # Some may have ended since.
            found += [record for record in await self._fetch(sessions) if not record.has_ended]
            if len(sessions) < count:
                break
            after = sessions[-1]
        return found

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        """See `TokenStore`."""
        now = self._clock()
        arguments = (
            current.hex(),
            session.hex(),
            _number(record.expires_at),
            _milliseconds(record.expires_at - now),
            _milliseconds(record.response_until - now) if record.response else "0",
            b64url_encode(record.response).decode(),
            _written(record.has_ended),
        )
        fields = [text for name, (stored, _) in _FIELDS.items() for text in (stored, _written(getattr(record, name)))]
        keys = (*self._places_of(session), self._list_of(record.identity))
        return int(await self._evaluate(_REPLACE, keys, *arguments, *fields)) == 1

    async def position(self) -> Position:
        """See `FeedStore`."""
        entries, number = await self._evaluate(_POSITION, (self._revoked, self._feed))
        # The feed may have been trimmed to nothing, but not the count of what was ever in it.
        return Position(_text(entries[0][0]) if entries else "0-0", int(number))

    async def page(self, cursor: int) -> tuple[int, list[Revocation]]:
        """See `FeedStore`."""
        after, members, cutoffs = await self._evaluate(_PAGE, (self._revoked,), str(cursor))
        texts = [_text(member) for member in members]
        revocations = [
            _revocation(name, until, _text(cutoff).removeprefix("-"))
            for name, until, cutoff in zip(texts[::2], texts[1::2], cutoffs, strict=True)
        ]
        return int(after), revocations

    async def follow(self, after: Position, wait: float) -> list[FeedEntry]:
        """See `FeedStore`."""
        with _guarded(), anyio.fail_after(wait + self._timeout):
            entries = await self._read_stream(self._feed, after.id, max(1, round(wait * 1000)))
        read = [(_text(identifier), {_text(k): _text(v) for k, v in fields.items()}) for identifier, fields in entries]
        return [
            FeedEntry(Position(identifier, int(fields["n"])), _revocation(fields["m"], fields["u"], fields["c"]))
            for identifier, fields in read
        ]

    def _places_of(self, session: bytes) -> tuple[str, str]:
        name = session.hex()
        return f"{self._prefix}:session:{name}", f"{self._prefix}:sealed:{name}"

    def _list_of(self, identity: bytes) -> str:
        return f"{self._prefix}:sessions:{identity.hex()}"

    async def _fetch(self, sessions: Sequence[bytes]) -> list[SessionRecord]:
        """The sessions of some sessions, by one script; without those that are no longer there."""
        keys = [key for session in sessions for key in self._places_of(session)]
        found = await self._evaluate(_SESSIONS, keys) if keys else "[]"
        now = self._clock()
        with _guarded():
            records = [
                _record(session, dict(zip(fields[::2], fields[1::2], strict=True)), sealed, now)
                for session, (fields, sealed) in zip(sessions, json.loads(found), strict=True)
                if fields
            ]
        return [record for record in records if record.expires_at > now]

    async def _evaluate(self, script: str, keys: Sequence[str], *arguments: str) -> Any:
        with _guarded(), anyio.fail_after(self._timeout):
            if not self._has_begun:
                await self._begin()
            return await self._run_script(script, keys, arguments)

    async def _greet(self) -> None:
        """Begin together with the application; where the server is not there yet, the first call begins."""
        with contextlib.suppress(StoreUnavailableError):
            await self._evaluate("return 1", (self._revoked,))

    async def _begin(self) -> None:
        """Bring what the server has up to date, and look whether it keeps what it is told."""
        old = (f"{self._prefix}:issued_until", f"{self._prefix}:number")
        policy = _text(await self._run_script(_BEGIN, (self._revoked, *old), ()))
        if policy not in ("", "noeviction") and not self._has_begun:
            logger().warning(
                "the server drops data when its memory is full (maxmemory-policy %s): what it drops is no longer "
                "revoked, and sessions end; set maxmemory-policy noeviction",
                policy,
            )
        self._has_begun = True


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    """An error of a client, or an answer that makes no sense, means that the server could not be asked."""
    try:
        yield
    except Exception as error:
        raise StoreUnavailableError(reason=type(error).__name__) from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _number(value: float) -> str:
    return "+inf" if value == math.inf else repr(value)


def _milliseconds(seconds: float) -> str:
    """A time to live; "0": none."""
    return "0" if seconds == math.inf else str(max(1, math.ceil(seconds * 1000)))


def _revocation(name: str, until: str, cutoff: str) -> Revocation:
    at = float(cutoff)
    return Revocation("identity" if at else "token", bytes.fromhex(name), float(until), at)


def _written(value: bytes | str | float) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, bool) else _number(value)


def _record(session: bytes, texts: dict[str, str], sealed: str, now: float) -> SessionRecord:
    # One that a version before this one has written lacks the latest fields.
    values = {name: read(texts[stored]) for name, (stored, read) in _FIELDS.items() if stored in texts}
    is_kept = values["response_until"] > now
    return SessionRecord(session=session, response=b64url_decode(sealed.encode()) if is_kept else b"", **values)
