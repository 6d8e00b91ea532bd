"""`MemoryStore`, for a single process and for tests. Its data ends with the process."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from itertools import islice
from typing import TYPE_CHECKING

from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.tokens.digests import TokenDigests, digests_of

from ._revocation_index import RevocationIndex
from .base import PAGE, Revocation, RevocationFeed, SessionRecord, TokenStore

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["MemoryStore"]

_SWEPT_AT_ONCE = 2


class MemoryStore(TokenStore):
    """Keep revocations and sessions in this process. Several worker processes would each know only their own.

    Event loops and threads may share a store. The first store of a process logs a warning if the process looks like a
    worker: `WEB_CONCURRENCY` is more than 1, or gunicorn or `multiprocessing` (as other servers use it) started it.

    Args:
        clock: A function that returns seconds since the epoch, such as `time.time`.
    """

    __slots__ = ("_by_identity", "_clock", "_feed", "_index", "_lock", "_sessions")

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        _warn_of_workers()
        self._feed = RevocationFeed()
        self._clock = clock
        self._index = RevocationIndex()
        self._sessions: OrderedDict[bytes, SessionRecord] = OrderedDict()  # as `_sweep` comes to them
        self._by_identity: dict[bytes, set[bytes]] = {}
        self._lock = threading.Lock()

    @property
    def feed(self) -> RevocationFeed:
        """See `TokenStore`; what is revoked in this process."""
        return self._feed

    def is_revoked_locally(self, token: Token, config: JWTConfig) -> bool:
        """See `TokenStore`; never None."""
        return self._index.is_revoked(digests_of(token, config), self._clock())

    async def is_revoked(self, digests: TokenDigests) -> bool:
        return self._index.is_revoked(digests, self._clock())

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        with self._lock:
            for revocation in revocations:
                self._index.add(revocation, self._clock())
        self._feed.publish(revocations)

    async def cutoff(self, identity: bytes) -> float:
        return self._index.cutoff(identity, self._clock())

    async def session(self, session: bytes) -> SessionRecord | None:
        return self._as_of(session, self._clock())

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        now = self._clock()
        with self._lock:
            sessions = sorted(session for session in self._by_identity.get(identity, ()) if session > after)
            records = (self._as_of(session, now) for session in sessions)
            return list(islice((one for one in records if one and not one.has_ended), limit))

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        now = self._clock()
        with self._lock:
            before = self._as_of(session, now)
            if (b"" if before is None else before.current) != current:
                return False
            if before is None:
                self._by_identity.setdefault(record.identity, set()).add(session)
            self._sessions[session] = record
            self._sweep(now)
        return True

    def _as_of(self, session: bytes, now: float) -> SessionRecord | None:
        record = self._sessions.get(session)
        if record is None or record.expires_at <= now:
            return None
        return record._replace(response=b"") if record.response and record.response_until <= now else record

    def _sweep(self, now: float) -> None:
        """Drop expired sessions among a few, others each time, so that no write looks at all of them."""
        for session in list(islice(self._sessions, _SWEPT_AT_ONCE)):
            self._sessions.move_to_end(session)
            if self._as_of(session, now) is None:
                identity = self._sessions.pop(session).identity
                self._by_identity[identity].discard(session)
                if not self._by_identity[identity]:
                    del self._by_identity[identity]


@functools.cache
def _warn_of_workers() -> None:
    sign = _sign_of_workers()
    if sign:
        logger().warning(
            "MemoryStore is used in a worker process (%s): workers do not know each other's sessions and revocations; "
            "use SQLiteStore, RedisStore or CoredisStore",
            sign,
        )


def _sign_of_workers() -> str:
    workers = os.environ.get("WEB_CONCURRENCY", "")
    if workers.isdecimal() and int(workers) > 1:
        return f"WEB_CONCURRENCY is {workers}"
    if "gunicorn.arbiter" in sys.modules:
        return "of gunicorn"
    # Not imported here: a process that `multiprocessing` started has imported it.
    started = sys.modules.get("multiprocessing.process")
    return "started through multiprocessing" if started and started.parent_process() else ""
