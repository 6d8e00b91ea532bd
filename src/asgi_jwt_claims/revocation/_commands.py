"""What `RedisStore` and `CoredisStore` say to the server; only how it is sent is theirs.

All keys carry one hash tag, so that in a cluster they are on one node and every script can touch what it needs:

- `{prefix}:revoked`: sorted set, the mark of what is revoked by when that is forgotten;
- `{prefix}:issued_until`: sorted set, marks of identities by up to when their tokens are revoked;
- `{prefix}:feed`: stream of what is revoked, for mirrors; `{prefix}:number`: of its last entry. They are numbered without
  a gap, and a server that has lost them begins elsewhere;
- `{prefix}:session:<family>`: hash, a session; `{prefix}:sealed:<family>`: its last answer, for as long as the grace;
- `{prefix}:sessions:<identity>`: sorted set, the families of an identity by when they end.

Scripts are sent whole each time: a server that has just been restarted knows none.
"""

from __future__ import annotations

import contextlib
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import anyio

from asgi_jwt_claims._compact import b64url_decode, b64url_encode
from asgi_jwt_claims._settings import as_duration
from asgi_jwt_claims._store import Marks, Revocation, RevocationStore, SessionRecord
from asgi_jwt_claims.errors import SettingError, StoreUnavailableError

__all__ = ["CommandStore", "FeedEntry", "FeedStore", "Position"]

_IS_REVOKED = """
local now = tonumber(ARGV[1])
local until_ = redis.call('ZMSCORE', KEYS[1], ARGV[2], ARGV[3], ARGV[4])
for i = 1, 2 do
  if until_[i] and tonumber(until_[i]) > now then return 1 end
end
if until_[3] and tonumber(until_[3]) > now then
  local cutoff = redis.call('ZSCORE', KEYS[2], ARGV[4])
  if cutoff and tonumber(cutoff) >= tonumber(ARGV[5]) then return 1 end
end
return 0
"""

_REVOKE = """
local now = ARGV[1]
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 256)
if #old > 0 then
  redis.call('ZREM', KEYS[1], unpack(old))
  redis.call('ZREM', KEYS[2], unpack(old))
end
redis.call('SET', KEYS[4], math.floor(tonumber(now) * 1000), 'NX')
for i = 2, #ARGV, 3 do
  redis.call('ZADD', KEYS[1], 'GT', ARGV[i + 1], ARGV[i])
  if ARGV[i + 2] ~= '0' then redis.call('ZADD', KEYS[2], 'GT', ARGV[i + 2], ARGV[i]) end
  local number = redis.call('INCR', KEYS[4])
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', '100000', '*', 'n', number, 'm', ARGV[i], 'u', ARGV[i + 1], 'c', ARGV[i + 2])
end
return 1
"""

_ISSUED_UNTIL = """
local until_ = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not until_ or tonumber(until_) <= tonumber(ARGV[2]) then return '0' end
return redis.call('ZSCORE', KEYS[2], ARGV[1]) or '0'
"""

_REPLACE = """
local before = redis.call('HGET', KEYS[1], 'current') or ''
if before ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[2])
if #ARGV == 3 then
  redis.call('ZREM', KEYS[3], ARGV[3])
  return 1
end
redis.call('HSET', KEYS[1], unpack(ARGV, 8))
local left = tonumber(redis.call('PTTL', KEYS[3]))
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[3])
if ARGV[5] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  if left ~= -1 and left < tonumber(ARGV[5]) then redis.call('PEXPIRE', KEYS[3], ARGV[5]) end
else
  redis.call('PERSIST', KEYS[3])
end
if ARGV[6] ~= '0' then redis.call('SET', KEYS[2], ARGV[7], 'PX', ARGV[6]) end
return 1
"""

_SESSION = "return {redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2]) or ''}"

_SESSIONS = "return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf')"

_IDENTITY = "return redis.call('HGET', KEYS[1], 'identity') or ''"

_POSITION = """
redis.call('SET', KEYS[2], math.floor(tonumber(ARGV[1]) * 1000), 'NX')
return {redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1), redis.call('GET', KEYS[2])}
"""

_PAGE = """
local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', 1000)
local marks = {}
for i = 1, #page[2], 2 do marks[#marks + 1] = page[2][i] end
local cutoffs = {}
if #marks > 0 then cutoffs = redis.call('ZMSCORE', KEYS[2], unpack(marks)) end
for i = 1, #marks do cutoffs[i] = cutoffs[i] or '0' end
return {page[1], page[2], cutoffs}
"""

_FIELDS = ("identity", "id", "current", "previous", "spent_at", "sealed_until", "started_at", "refreshed_at")
_TEXT = ("id", "label")
_MARKS = ("identity", "current", "previous")


class Position(NamedTuple):
    """A place in the feed: the identifier of an entry and its number."""

    id: str
    number: int


class FeedEntry(NamedTuple):
    """One entry of the feed."""

    position: Position
    revocation: Revocation


class FeedStore(RevocationStore):
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
    """Redis or Valkey, by commands."""

    __slots__ = ("_clock", "_feed", "_issued_until", "_number", "_prefix", "_revoked", "_timeout")

    def __init__(self, *, prefix: str, timeout: float, clock: Callable[[], float] = time.time) -> None:
        if not isinstance(prefix, str) or not prefix or not prefix.isascii() or set("{}") & set(prefix):
            raise SettingError("prefix must be a non-empty ASCII str without braces")
        self._timeout = as_duration(timeout, "timeout").total_seconds()
        self._clock = clock
        self._prefix = f"{{{prefix}}}"
        self._revoked, self._issued_until = f"{self._prefix}:revoked", f"{self._prefix}:issued_until"
        self._feed, self._number = f"{self._prefix}:feed", f"{self._prefix}:number"

    @abstractmethod
    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        """Run a script on the server."""

    @abstractmethod
    async def _read_stream(self, key: str, after: str, milliseconds: int) -> list[tuple[Any, dict[Any, Any]]]:
        """Entries of a stream after an identifier."""

    async def is_revoked(self, marks: Marks) -> bool:
        """See `RevocationStore`."""
        arguments = (marks.token.hex(), marks.family.hex(), marks.identity.hex(), repr(marks.issued_at))
        found = await self._evaluate(_IS_REVOKED, (self._revoked, self._issued_until), repr(self._clock()), *arguments)
        return int(found) == 1

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """See `RevocationStore`."""
        now = self._clock()
        arguments = [
            text
            for one in revocations
            if one.until > now
            for text in (one.mark.hex(), _number(one.until), repr(one.issued_until) if one.issued_until else "0")
        ]
        # What a script can unpack has a limit, and the server does nothing else meanwhile.
        for start in range(0, len(arguments), 1500):
            keys = (self._revoked, self._issued_until, self._feed, self._number)
            await self._evaluate(_REVOKE, keys, repr(now), *arguments[start : start + 1500])

    async def issued_until(self, identity: bytes) -> float:
        """See `RevocationStore`."""
        keys = (self._revoked, self._issued_until)
        return float(await self._evaluate(_ISSUED_UNTIL, keys, identity.hex(), repr(self._clock())))

    async def session(self, family: bytes) -> SessionRecord | None:
        """See `RevocationStore`."""
        name = family.hex()
        keys = (f"{self._prefix}:session:{name}", f"{self._prefix}:sealed:{name}")
        fields, sealed = await self._evaluate(_SESSION, keys)
        if not fields:
            return None
        record = _record(family, _pairs(fields))
        now = self._clock()
        if record.expires_at <= now:
            return None
        return record._replace(sealed=b64url_decode(_text(sealed).encode())) if record.sealed_until > now else record

    async def sessions(self, identity: bytes) -> list[SessionRecord]:
        """See `RevocationStore`."""
        keys = (f"{self._prefix}:sessions:{identity.hex()}",)
        names = await self._evaluate(_SESSIONS, keys, repr(self._clock()))
        found = [await self.session(bytes.fromhex(_text(name))) for name in names]
        return [record for record in found if record is not None]

    async def replace_session(self, family: bytes, current: bytes, record: SessionRecord | None) -> bool:
        """See `RevocationStore`."""
        name, now = family.hex(), self._clock()
        identity = record.identity if record is not None else await self._identity_of(name)
        keys = (
            f"{self._prefix}:session:{name}",
            f"{self._prefix}:sealed:{name}",
            f"{self._prefix}:sessions:{identity.hex()}",
        )
        arguments = [current.hex(), repr(now), name]
        if record is not None:
            sealed_for = _milliseconds(record.sealed_until - now) if record.sealed else "0"
            arguments += [_number(record.expires_at), _milliseconds(record.expires_at - now), sealed_for]
            arguments += [b64url_encode(record.sealed).decode(), *_fields(record)]
        return int(await self._evaluate(_REPLACE, keys, *arguments)) == 1

    async def position(self) -> Position:
        """See `FeedStore`."""
        entries, number = await self._evaluate(_POSITION, (self._feed, self._number), repr(self._clock()))
        # The feed may have been trimmed to nothing, but not the count of what was ever in it.
        return Position(_text(entries[0][0]) if entries else "0-0", int(number))

    async def page(self, cursor: int) -> tuple[int, list[Revocation]]:
        """See `FeedStore`."""
        after, members, cutoffs = await self._evaluate(_PAGE, (self._revoked, self._issued_until), str(cursor))
        texts = [_text(member) for member in members]
        revocations = [
            _revocation(name, until, _text(cutoff))
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

    async def _identity_of(self, family: str) -> bytes:
        identity = await self._evaluate(_IDENTITY, (f"{self._prefix}:session:{family}",))
        return bytes.fromhex(_text(identity))

    async def _evaluate(self, script: str, keys: Sequence[str], *arguments: str) -> Any:
        with _guarded(), anyio.fail_after(self._timeout):
            return await self._run(script, keys, arguments)


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    """Whatever a client raises means that the server could not be asked."""
    try:
        yield
    except Exception as error:
        raise StoreUnavailableError(reason=type(error).__name__) from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _pairs(values: Sequence[Any]) -> dict[str, str]:
    """Names and values in turn, as scripts return a hash."""
    texts = [_text(value) for value in values]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _number(value: float) -> str:
    return "+inf" if value == math.inf else repr(value)


def _milliseconds(seconds: float) -> str:
    """A time to live; "0": none."""
    return "0" if seconds == math.inf else str(max(1, math.ceil(seconds * 1000)))


def _revocation(name: str, until: str, cutoff: str) -> Revocation:
    issued_until = float(cutoff)
    return Revocation("identity" if issued_until else "token", bytes.fromhex(name), float(until), issued_until)


def _fields(record: SessionRecord) -> list[str]:
    values = record._asdict()
    named: list[str] = []
    for name in (*_FIELDS, "expires_at", "label"):
        value = values[name]
        named += [
            name,
            value.hex() if isinstance(value, bytes) else value if isinstance(value, str) else _number(value),
        ]
    return named


def _record(family: bytes, fields: dict[str, str]) -> SessionRecord:
    values: dict[str, Any] = {
        name: value if name in _TEXT else bytes.fromhex(value) if name in _MARKS else float(value)
        for name, value in fields.items()
    }
    return SessionRecord(family=family, sealed=b"", **values)
