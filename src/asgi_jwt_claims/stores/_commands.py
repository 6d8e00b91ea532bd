"""What `RedisStore` and `CoredisStore` have in common; they differ only in how they send commands."""

from __future__ import annotations

import contextlib
import json
import math
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any, Generic, NamedTuple, Self, TypeVar, get_type_hints

import anyio

from asgi_jwt_claims.errors import SettingError, StoreUnavailableError
from asgi_jwt_claims.jose.compact import b64url_decode, b64url_encode
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.log import logger

from . import _redis_scripts as scripts
from .base import PAGE, Revocation, SessionRecord, TokenDigests, TokenStore

__all__ = ["CommandStore", "FeedStore", "Position"]

ClientT = TypeVar("ClientT")


def _number(value: float) -> str:
    return "+inf" if value == math.inf else repr(value)


# How a value is read from its text, and written as one.
_TEXTS: dict[type, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    bytes: (bytes.fromhex, bytes.hex),
    str: (str, str),
    float: (float, _number),
    int: (int, repr),
    bool: ("1".__eq__, lambda value: str(int(value))),
}
_STORED_NAMES = {"session_id": "id", "previous_used_at": "spent_at", "response_until": "sealed_until"}
# The fields of a record that its hash has: the name that each has there, and how its text is read and written.
_FIELDS = {
    name: (_STORED_NAMES.get(name, name), *_TEXTS[kind])
    for name, kind in get_type_hints(SessionRecord).items()
    if name not in ("session", "response")
}
_FETCHED_AT_ONCE = 500


class Position(NamedTuple):
    """A position in the feed: the identifier of an entry and its number."""

    id: str
    number: int


class FeedStore(TokenStore):
    """A store that `MirroredStore` can mirror: it lists all revocations, and has a feed of those that follow."""

    __slots__ = ()

    @abstractmethod
    async def position(self) -> Position:
        """The last position of the feed."""

    @abstractmethod
    async def page(self, cursor: int) -> tuple[int, list[Revocation]]:
        """The cursor of the next page, and a page of all revocations.

        The first cursor is 0, as is that after the last page. What is revoked throughout the reading is on some page.
        """

    @abstractmethod
    async def follow(self, after: Position, wait: float) -> list[tuple[Position, Revocation]]:
        """The entries after a position, in order. Waits for one, at most `wait` seconds."""


class CommandStore(FeedStore, Generic[ClientT]):
    """A store on a Redis or Valkey server. Logs a warning if the server drops data when its memory is full."""

    __slots__ = ("_client", "_clock", "_feed", "_has_begun", "_owned", "_prefix", "_revoked", "_timeout")

    def __init__(
        self,
        client: ClientT,
        *,
        prefix: str = "asgi-jwt-claims",
        timeout: timedelta | float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._check_client(client)
        if not isinstance(prefix, str) or not prefix or not prefix.isascii() or set("{}") & set(prefix):
            raise SettingError(f"prefix must be a non-empty ASCII str without braces, not {prefix!r}")
        self._client = client
        self._owned = False
        self._timeout = as_duration(timeout, "timeout").total_seconds()
        self._clock = clock
        self._prefix = f"{{{prefix}}}"
        self._revoked, self._feed = f"{self._prefix}:revoked", f"{self._prefix}:feed"
        self._has_begun = False

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """A store with a client of its own, which closes when the application ends.

        Args:
            url: The server: `redis://`, `rediss://` or `unix://`.
            options: The options of the class.
        """
        store = cls(cls._connect(url, as_duration(options.get("timeout", 1.0), "timeout").total_seconds()), **options)
        store._owned = True
        return store

    @staticmethod
    @abstractmethod
    def _connect(url: str, timeout: float) -> ClientT:
        """A client for a server."""

    @staticmethod
    @abstractmethod
    def _check_client(client: object) -> None:
        """Raise a `SettingError` for a client that cannot be used."""

    @abstractmethod
    def _run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Awaitable[Any]:
        """Run a script on the server; sent whole, because a server that was just restarted knows none."""

    @abstractmethod
    async def _read_stream(self, key: str, after: str, milliseconds: int) -> list[tuple[Any, dict[Any, Any]]]:
        """The entries of a stream after an identifier."""

    async def is_revoked(self, digests: TokenDigests) -> bool:
        arguments = (digests.token.hex(), digests.session.hex(), digests.identity.hex(), repr(digests.issued_at))
        found = await self._evaluate(scripts.IS_REVOKED, (self._revoked,), repr(self._clock()), *arguments)
        return int(found) == 1

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        now = self._clock()
        arguments = [
            text
            for one in revocations
            if one.until > now
            for text in (one.digest.hex(), _number(one.until), repr(one.cutoff) if one.cutoff else "0")
        ]
        # In pieces, because the server does nothing else while it runs a script.
        for start in range(0, len(arguments), 1500):
            await self._evaluate(scripts.REVOKE, (self._revoked, self._feed), *arguments[start : start + 1500])

    async def cutoff(self, identity: bytes) -> float:
        found = await self._evaluate(scripts.CUTOFF, (self._revoked,), identity.hex(), repr(self._clock()))
        return abs(float(found))

    async def session(self, session: bytes) -> SessionRecord | None:
        return next(iter(await self._fetch([session])), None)

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        found: list[SessionRecord] = []
        while len(found) < limit:
            count = min(limit - len(found), _FETCHED_AT_ONCE)
            arguments = (repr(self._clock()), after.hex(), str(count))
            names = await self._evaluate(scripts.LIST_SESSIONS, (self._list_key(identity),), *arguments)
            sessions = [bytes.fromhex(_text(name)) for name in names]
            # Some may have ended since they were listed.
            found += [record for record in await self._fetch(sessions) if not record.has_ended]
            if len(sessions) < count:
                break
            after = sessions[-1]
        return found

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        now = self._clock()
        arguments = (
            current.hex(),
            session.hex(),
            _number(record.expires_at),
            _milliseconds(record.expires_at - now),
            _milliseconds(record.response_until - now) if record.response else "0",
            b64url_encode(record.response).decode(),
            str(int(record.has_ended)),
        )
        fields = [text for name, (at, _, write) in _FIELDS.items() for text in (at, write(getattr(record, name)))]
        keys = (*self._keys_of(session), self._list_key(record.identity))
        return int(await self._evaluate(scripts.REPLACE, keys, *arguments, *fields)) == 1

    async def position(self) -> Position:
        entries, number = await self._evaluate(scripts.FEED_END, (self._revoked, self._feed))
        # The feed may have been trimmed to nothing; the number of its last entry remains.
        return Position(_text(entries[0][0]) if entries else "0-0", int(number))

    async def page(self, cursor: int) -> tuple[int, list[Revocation]]:
        after, members, cutoffs = await self._evaluate(scripts.PAGE, (self._revoked,), str(cursor))
        texts = [_text(member) for member in members]
        revocations = [
            _revocation(name, until, _text(cutoff).removeprefix("-"))
            for name, until, cutoff in zip(texts[::2], texts[1::2], cutoffs, strict=True)
        ]
        return int(after), revocations

    async def follow(self, after: Position, wait: float) -> list[tuple[Position, Revocation]]:
        with _guarded(), anyio.fail_after(wait + self._timeout):
            entries = await self._read_stream(self._feed, after.id, max(1, round(wait * 1000)))
        read = [(_text(identifier), {_text(k): _text(v) for k, v in fields.items()}) for identifier, fields in entries]
        return [
            (Position(identifier, int(fields["n"])), _revocation(fields["m"], fields["u"], fields["c"]))
            for identifier, fields in read
        ]

    def _keys_of(self, session: bytes) -> tuple[str, str]:
        name = session.hex()
        return f"{self._prefix}:session:{name}", f"{self._prefix}:sealed:{name}"

    def _list_key(self, identity: bytes) -> str:
        return f"{self._prefix}:sessions:{identity.hex()}"

    async def _fetch(self, sessions: Sequence[bytes]) -> list[SessionRecord]:
        """The records with these digests, without those that are gone."""
        keys = [key for session in sessions for key in self._keys_of(session)]
        found = await self._evaluate(scripts.READ_SESSIONS, keys) if keys else "[]"
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

    async def _begin_early(self) -> None:
        """Call `_begin` when the application starts. If the server cannot be reached, the first call does."""
        with contextlib.suppress(StoreUnavailableError):
            await self._evaluate("return 1", (self._revoked,))

    async def _begin(self) -> None:
        """Convert data of the first layout, and warn if the server may drop data."""
        old = (f"{self._prefix}:issued_until", f"{self._prefix}:number")
        policy = _text(await self._run_script(scripts.BEGIN, (self._revoked, *old), ()))
        if policy not in ("", "noeviction") and not self._has_begun:
            logger().warning(
                "the server drops data when its memory is full (maxmemory-policy %s): revocations are lost with it, "
                "and sessions end; set maxmemory-policy noeviction",
                policy,
            )
        self._has_begun = True


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    """Turn an error of a client, or an answer that makes no sense, into a `StoreUnavailableError`."""
    try:
        yield
    except Exception as error:
        raise StoreUnavailableError(reason=type(error).__name__) from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _milliseconds(seconds: float) -> str:
    """A time to live, in milliseconds; "0" for none."""
    return "0" if seconds == math.inf else str(max(1, math.ceil(seconds * 1000)))


def _revocation(name: str, until: str, cutoff: str) -> Revocation:
    at = float(cutoff)
    return Revocation("identity" if at else "token", bytes.fromhex(name), float(until), at)


def _record(session: bytes, texts: dict[str, str], sealed: str, now: float) -> SessionRecord:
    # A record that an earlier release has written lacks the latest fields.
    values = {name: read(texts[stored]) for name, (stored, read, _) in _FIELDS.items() if stored in texts}
    response = b64url_decode(sealed.encode()) if values["response_until"] > now else b""
    return SessionRecord(session=session, response=response, **values)
