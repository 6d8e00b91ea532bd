"""`MirroredStore`: every process knows what is revoked, so that no request has to ask.

The mirror follows the server's feed. It begins at the end of the feed and only then reads everything that is revoked, so
that nothing falls between the two; entries are numbered, and a number that is missing makes it begin again. What it has
once learned it keeps until it expires, whatever the server says later: a server that comes back empty is told again.

While nothing has been heard from the server for longer than `max_lag`, the mirror no longer vouches for what it does
not know, and the server is asked directly. What it does know to be revoked stays revoked.
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

_MAX_PAUSE = 1.0  # seconds between two attempts to reach the server
_TOLD_AT_ONCE = 500
_LEARNED_AT_ONCE = 100


class MirroredStore(TokenStore):
    """A store in front of another: it answers from memory, and everything else it hands on.

    It needs the application's lifespan (the middleware and Sanic's `install` see to it). Without one, or before the
    first reading is complete, the server is asked every time. One event loop may use it.

    Args:
        store: A `RedisStore` or `CoredisStore`.
        max_lag: How long nothing may be heard from the server before it is asked directly; a `timedelta` or seconds.
        heartbeat: How often at least something is heard from it; at most half of `max_lag`.
        when_unreachable: What becomes of a token that is not known to be revoked when the server cannot be asked
            either: `deny` answers 503; `allow_possibly_revoked_tokens` does what it says.
        clock: Seconds since the epoch, as `time.time`.
        monotonic: A clock in seconds that never jumps.

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
            raise SettingError(f"a {type(store).__name__} has no feed to mirror; use RedisStore or CoredisStore")
        if when_unreachable not in ("deny", "allow_possibly_revoked_tokens"):
            raise SettingError("when_unreachable must be deny or allow_possibly_revoked_tokens")
        self._max_lag = as_duration(max_lag, "max_lag").total_seconds()
        self._heartbeat = as_duration(heartbeat, "heartbeat").total_seconds()
        if self._heartbeat > self._max_lag / 2:
            raise SettingError("heartbeat must be at most half of max_lag")
        self._feed = RevocationFeed()
        self._store = store
        self._allows = when_unreachable == "allow_possibly_revoked_tokens"
        self._clock = clock
        self._monotonic = monotonic
        self._index = RevocationIndex()
        self._heard_at = float("-inf")

    def __len__(self) -> int:
        """How many revocations are known here."""
        return len(self._index)

    @property
    def feed(self) -> RevocationFeed:
        """See `TokenStore`; of what is revoked by any process."""
        return self._feed

    @property
    def is_current(self) -> bool:
        """Whether the feed has been heard within `max_lag`, so that requests need not ask."""
        return self._monotonic() - self._heard_at <= self._max_lag

    def is_revoked_locally(self, token: Token, config: JWTConfig) -> bool | None:
        """See `TokenStore`."""
        if self._index.is_revoked(digests_of(token, config), self._clock()):
            return True
        return False if self._monotonic() - self._heard_at <= self._max_lag else None

    async def is_revoked(self, digests: TokenDigests) -> bool:
        """See `TokenStore`; from memory while the mirror is current, else by asking."""
        if self._index.is_revoked(digests, self._clock()):
            return True
        if self.is_current:
            return False
        try:
            return await self._store.is_revoked(digests)
        except StoreUnavailableError:
            if not self._allows:
                raise
            logger().warning("the revocation store cannot be reached: tokens are accepted that may have been revoked")
            return False

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """See `TokenStore`; known here at once, and to the other mirrors by the feed."""
        await self._store.revoke(revocations)
        await self._learn(tuple(revocations))

    async def cutoff(self, identity: bytes) -> float:
        """See `TokenStore`."""
        return max(self._index.cutoff(identity, self._clock()), await self._store.cutoff(identity))

    async def session(self, session: bytes) -> SessionRecord | None:
        """See `TokenStore`."""
        return await self._store.session(session)

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        """See `TokenStore`."""
        return await self._store.sessions(identity, after=after, limit=limit)

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        """See `TokenStore`."""
        return await self._store.replace_session(session, current, record)

    async def aclose(self) -> None:
        """See `TokenStore`."""
        await self._store.aclose()

    async def run(self) -> None:
        """Follow the feed until cancelled; whatever happens to the server, try again."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._store.run)
            pause = 0.05
            while True:
                try:
                    position = await self._read_everything()
                    pause = 0.05
                    while True:
                        position = await self._follow(position)
                except _GapError as error:
                    logger().warning("the feed of revocations has a gap (%s); everything is read anew", error)
                except Exception as error:  # noqa: BLE001 -- the application must not end by it; requests ask the server
                    logger().warning("the feed of revocations is lost: %r %r", error, getattr(error, "evidence", {}))
                await anyio.sleep(pause)
                pause = min(2 * pause, _MAX_PAUSE)

    async def _read_everything(self) -> Position:
        position = await self._store.position()  # first, so that what comes meanwhile is in the feed
        begun_at = self._monotonic()
        known_before = self._index.entries()
        on_server: dict[bytes, tuple[float, float]] = {}
        cursor = 0
        while True:
            cursor, revocations = await self._store.page(cursor)
            await self._learn(revocations)
            if known_before:
                on_server.update((one.digest, (one.until, one.cutoff)) for one in revocations)
            if not cursor:
                break
        await self._tell_again(known_before, on_server)
        self._heard_at = begun_at
        return position

    async def _tell_again(
        self, known_before: Sequence[tuple[bytes, float]], on_server: dict[bytes, tuple[float, float]]
    ) -> None:
        """Tell the server what it has lost of what was known here: a digest, or the later of two times of it."""
        told = 0
        for start in range(0, len(known_before), _TOLD_AT_ONCE):
            soon = self._clock() + 1
            known = [
                self._index.revocation(digest, until)
                for digest, until in known_before[start : start + _TOLD_AT_ONCE]
                if until > soon
            ]
            lost = []
            for one in known:
                until, cutoff = on_server.get(one.digest, (0.0, 0.0))
                if until < one.until or cutoff < one.cutoff:
                    lost.append(one)
            if lost:
                await self._store.revoke(lost)
                told += len(lost)
            await anyio.lowlevel.checkpoint()
        if told:
            logger().warning("the revocation store had lost %d revocations and has been told again", told)

    async def _follow(self, position: Position) -> Position:
        asked_at = self._monotonic()
        entries = await self._store.follow(position, self._heartbeat)
        if not entries and (await self._store.position()).number != position.number:
            # Either something has come just now, or the server has lost the feed, its connections notwithstanding.
            entries = await self._store.follow(position, 0)
            if not entries:
                raise _GapError("nothing comes after the last one known, and yet it is not the last")
        await self._learn([entry.revocation for entry in entries])
        for entry in entries:
            if entry.position.number != position.number + 1:
                raise _GapError(f"{entry.position.number} after {position.number}")
            position = entry.position
        self._heard_at = asked_at
        return position

    async def _learn(self, revocations: Sequence[Revocation]) -> None:
        for start in range(0, len(revocations), _LEARNED_AT_ONCE):
            if start:
                await anyio.lowlevel.checkpoint()  # a million of them must not hold up the requests
            now = self._clock()
            some = revocations[start : start + _LEARNED_AT_ONCE]
            for revocation in some:
                self._index.add(revocation, now)
            self._feed.publish(some)


class _GapError(Exception):
    """Entries of the feed are missing."""
