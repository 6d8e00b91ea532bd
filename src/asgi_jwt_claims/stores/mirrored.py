"""`MirroredStore`: every process knows all revocations, so that no request has to ask the server.

The mirror notes the end of the server's feed, reads all revocations, and then follows the feed from there. Entries are
numbered, and a gap in the numbers makes it begin again. It keeps each revocation until that expires; if the server loses
one, the mirror writes it there again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import anyio
import anyio.lowlevel

from asgi_jwt_claims.errors import SettingError, StoreUnavailableError
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.tokens.digests import TokenDigests, digests_of

from ._commands import FeedStore, Position
from ._revocation_index import RevocationIndex
from .base import PAGE, Revocation, RevocationFeed, SessionRecord, TokenStore

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["MirroredStore"]

_PAUSE, _MAX_PAUSE = 0.05, 1.0  # seconds between two attempts to reach the server
_WRITTEN_AT_ONCE = 500
_ADDED_AT_ONCE = 100


class MirroredStore(TokenStore):
    """Answer from memory whether a token is revoked, and pass everything else on to another store.

    A mirror needs the application's lifespan, in which the middleware and Sanic's `install` run it. Without a lifespan,
    or before the mirror has read everything, it asks the server every time. One event loop may use it.

    Args:
        store: A `RedisStore` or `CoredisStore`.
        max_lag: How long the server may be silent before it is asked about each token; a `timedelta` or seconds.
        heartbeat: How often the server answers at least; at most half of `max_lag`.
        when_unreachable: What happens to a token that is not known to be revoked while the server cannot be reached:
            `deny` refuses it with 503, `allow_possibly_revoked_tokens` accepts it.
        clock: A function that returns seconds since the epoch, such as `time.time`.
        monotonic: A function that returns the seconds of a clock that never jumps, such as `time.monotonic`.

    Raises:
        SettingError: An option cannot be used.
    """

    __slots__ = ("_allows", "_clock", "_feed", "_heard_at", "_heartbeat", "_index", "_max_lag", "_monotonic", "_store")

    def __init__(
        self,
        store: FeedStore,
        *,
        max_lag: timedelta | float = 5.0,
        heartbeat: timedelta | float = 0.5,
        when_unreachable: Literal["deny", "allow_possibly_revoked_tokens"] = "deny",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(store, FeedStore):
            raise SettingError(
                f"store must be a RedisStore or CoredisStore, not {type(store).__name__}, which has no feed"
            )
        if when_unreachable not in ("deny", "allow_possibly_revoked_tokens"):
            raise SettingError(
                f"when_unreachable must be deny or allow_possibly_revoked_tokens, not {when_unreachable!r}"
            )
        self._max_lag = as_duration(max_lag, "max_lag").total_seconds()
        self._heartbeat = as_duration(heartbeat, "heartbeat").total_seconds()
        if self._heartbeat > self._max_lag / 2:
            raise SettingError(
                f"heartbeat must be at most half of max_lag ({self._max_lag:g} s), not {self._heartbeat:g} s"
            )
        self._feed = RevocationFeed()
        self._store = store
        self._allows = when_unreachable == "allow_possibly_revoked_tokens"
        self._clock = clock
        self._monotonic = monotonic
        self._index = RevocationIndex()
        self._heard_at = float("-inf")

    def __len__(self) -> int:
        """How many revocations the mirror knows."""
        return len(self._index)

    @property
    def feed(self) -> RevocationFeed:
        """See `TokenStore`; what any process revokes."""
        return self._feed

    @property
    def is_current(self) -> bool:
        """Whether the server has answered within `max_lag`, so that requests need not ask it."""
        return self._monotonic() - self._heard_at <= self._max_lag

    def is_revoked_locally(self, token: Token, config: JWTConfig) -> bool | None:
        if self._index.is_revoked(digests_of(token, config), self._clock()):
            return True
        return False if self._monotonic() - self._heard_at <= self._max_lag else None

    async def is_revoked(self, digests: TokenDigests) -> bool:
        """See `TokenStore`; from memory while the mirror is current."""
        if self._index.is_revoked(digests, self._clock()):
            return True
        if self.is_current:
            return False
        try:
            return await self._store.is_revoked(digests)
        except StoreUnavailableError:
            if not self._allows:
                raise
            logger().warning("the token store cannot be reached; tokens that may be revoked are accepted")
            return False

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """See `TokenStore`; other mirrors learn of it from the feed."""
        await self._store.revoke(revocations)
        await self._add(tuple(revocations))

    async def cutoff(self, identity: bytes) -> float:
        return max(self._index.cutoff(identity, self._clock()), await self._store.cutoff(identity))

    async def session(self, session: bytes) -> SessionRecord | None:
        return await self._store.session(session)

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        return await self._store.sessions(identity, after=after, limit=limit)

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        return await self._store.replace_session(session, current, record)

    async def aclose(self) -> None:
        await self._store.aclose()

    async def run(self) -> None:
        """Follow the feed until cancelled, and try again after each failure of the server."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._store.run)
            pause = _PAUSE
            while True:
                try:
                    position = await self._read_everything()
                    pause = _PAUSE
                    while True:
                        position = await self._follow(position)
                except _GapError as error:
                    logger().warning("the feed of revocations has a gap (%s); reading all of them again", error)
                except Exception as error:  # noqa: BLE001 -- must not end the application; requests ask the server
                    logger().warning("the feed of revocations is lost: %r %r", error, getattr(error, "evidence", {}))
                await anyio.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE)

    async def _read_everything(self) -> Position:
        position = await self._store.position()  # first, so that the feed has what is revoked meanwhile
        begun_at = self._monotonic()
        known_before = self._index.entries()
        on_server: dict[bytes, tuple[float, float]] = {}
        cursor: int | None = None
        while cursor != 0:
            cursor, revocations = await self._store.page(cursor or 0)
            await self._add(revocations)
            if known_before:
                on_server.update((one.digest, (one.until, one.cutoff)) for one in revocations)
        await self._restore(known_before, on_server)
        self._heard_at = begun_at
        return position

    async def _restore(
        self, known_before: Sequence[tuple[bytes, float]], on_server: dict[bytes, tuple[float, float]]
    ) -> None:
        """Write the revocations that the server has lost again, also those of which it has an earlier time."""
        written = 0
        for start in range(0, len(known_before), _WRITTEN_AT_ONCE):
            soon = self._clock() + 1
            lost = []
            for digest, until in known_before[start : start + _WRITTEN_AT_ONCE]:
                one, there = self._index.revocation(digest, until), on_server.get(digest, (0.0, 0.0))
                if until > soon and (there[0] < until or there[1] < one.cutoff):
                    lost.append(one)
            if lost:
                await self._store.revoke(lost)
                written += len(lost)
            await anyio.lowlevel.checkpoint()
        if written:
            logger().warning("the server had lost %d revocations, which were written again", written)

    async def _follow(self, position: Position) -> Position:
        asked_at = self._monotonic()
        entries = await self._store.follow(position, self._heartbeat)
        if not entries and (await self._store.position()).number != position.number:
            # Either an entry has just been added, or the server has lost the feed but not its connections.
            entries = await self._store.follow(position, 0)
            if not entries:
                raise _GapError("the server's number is not that of the last entry")
        await self._add([revocation for _, revocation in entries])
        for following, _ in entries:
            if following.number != position.number + 1:
                raise _GapError(f"{following.number} after {position.number}")
            position = following
        self._heard_at = asked_at
        return position

    async def _add(self, revocations: Sequence[Revocation]) -> None:
        for start in range(0, len(revocations), _ADDED_AT_ONCE):
            if start:
                await anyio.lowlevel.checkpoint()  # a million revocations must not hold up the requests
            now = self._clock()
            some = revocations[start : start + _ADDED_AT_ONCE]
            for revocation in some:
                self._index.add(revocation, now)
            self._feed.publish(some)


class _GapError(Exception):
    """The feed lacks entries."""
