"""`MemoryStore`: for one process, and for tests. What it knows ends with the process."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from asgi_jwt_claims._log import logger
from asgi_jwt_claims._store import Feed, Marks, Revocation, RevocationStore, SessionRecord, marks_of

from ._ledger import Ledger

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.token import Token

__all__ = ["MemoryStore"]

_PRUNE_EVERY = 1024


class MemoryStore(RevocationStore):
    """Keeps everything in this process. With several worker processes each would know only its own part.

    Event loops and threads may share it. The first one of a process logs a warning if that process looks like a worker:
    `WEB_CONCURRENCY` is more than 1, or the process was started by gunicorn or through `multiprocessing`, as uvicorn,
    hypercorn, granian and Sanic start workers. How many workers there are it cannot know.

    Args:
        clock: Seconds since the epoch, as `time.time`.
    """

    __slots__ = ("_clock", "_feed", "_ledger", "_lock", "_sessions", "_writes")

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        _warn_of_workers()
        self._feed = Feed()
        self._clock = clock
        self._ledger = Ledger()
        self._sessions: dict[bytes, SessionRecord] = {}
        self._lock = threading.Lock()
        self._writes = 0

    @property
    def feed(self) -> Feed:
        """See `RevocationStore`; of what is revoked in this process."""
        return self._feed

    def known(self, token: Token, config: JWTConfig) -> bool:
        """See `RevocationStore`; it always knows."""
        return self._ledger.is_revoked(marks_of(token, config), self._clock())

    async def is_revoked(self, marks: Marks) -> bool:
        """See `RevocationStore`."""
        return self._ledger.is_revoked(marks, self._clock())

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """See `RevocationStore`."""
        with self._lock:
            for revocation in revocations:
                self._ledger.add(revocation, self._clock())
        self._feed.tell(revocations)

    async def issued_until(self, identity: bytes) -> float:
        """See `RevocationStore`."""
        return self._ledger.issued_until(identity, self._clock())

    async def session(self, family: bytes) -> SessionRecord | None:
        """See `RevocationStore`."""
        record = self._sessions.get(family)
        return None if record is None else _as_of(record, self._clock())

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = 500) -> list[SessionRecord]:
        """See `RevocationStore`."""
        now = self._clock()
        with self._lock:
            found = [_as_of(record, now) for record in self._sessions.values() if record.identity == identity]
        live = [one for one in found if one is not None and not one.has_ended and one.family > after]
        return sorted(live)[:limit]

    async def replace_session(self, family: bytes, current: bytes, record: SessionRecord) -> bool:
        """See `RevocationStore`."""
        now = self._clock()
        with self._lock:
            before = self._sessions.get(family)
            if before is not None:
                before = _as_of(before, now)
            if (b"" if before is None else before.current) != current:
                return False
            self._sessions[family] = record
            self._writes += 1
            if self._writes % _PRUNE_EVERY == 0:
                ended = [name for name, one in self._sessions.items() if one.expires_at <= now]
                for name in ended:
                    del self._sessions[name]
        return True


@functools.cache
def _warn_of_workers() -> None:
    sign = _sign_of_workers()
    if sign:
        logger().warning(
            "MemoryStore is used in a worker process (%s): of several workers none knows the sessions and revocations "
            "of the others; use SQLiteStore, RedisStore or CoredisStore",
            sign,
        )


def _sign_of_workers() -> str:
    workers = os.environ.get("WEB_CONCURRENCY", "")
    if workers.isdecimal() and int(workers) > 1:
        return f"WEB_CONCURRENCY is {workers}"
    if "gunicorn.arbiter" in sys.modules:
        return "of gunicorn"
    # Looked up, not imported: a process that was started through it has it.
    started = sys.modules.get("multiprocessing.process")
    return "started through multiprocessing" if started and started.parent_process() else ""


def _as_of(record: SessionRecord, now: float) -> SessionRecord | None:
    if record.expires_at <= now:
        return None
    return record._replace(sealed=b"") if record.sealed and record.sealed_until <= now else record
