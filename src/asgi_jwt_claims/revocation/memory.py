"""`MemoryStore`: for one process, and for tests. What it knows ends with the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from asgi_jwt_claims._store import Feed, Marks, Revocation, RevocationStore, SessionRecord, marks_of

from ._ledger import Ledger

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.token import Token

__all__ = ["MemoryStore"]

_PRUNE_EVERY = 1024


class MemoryStore(RevocationStore):
    """Keeps everything in this process. With several worker processes each would know only its own part.

    Event loops and threads may share it.

    Args:
        clock: Seconds since the epoch, as `time.time`.
    """

    __slots__ = ("_clock", "_feed", "_ledger", "_lock", "_sessions", "_writes")

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
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

    async def sessions(self, identity: bytes) -> list[SessionRecord]:
        """See `RevocationStore`."""
        now = self._clock()
        with self._lock:
            found = [_as_of(record, now) for record in self._sessions.values() if record.identity == identity]
        return [record for record in found if record is not None]

    async def replace_session(self, family: bytes, current: bytes, record: SessionRecord | None) -> bool:
        """See `RevocationStore`."""
        now = self._clock()
        with self._lock:
            before = self._sessions.get(family)
            if before is not None:
                before = _as_of(before, now)
            if (b"" if before is None else before.current) != current:
                return False
            if record is None:
                self._sessions.pop(family, None)
            else:
                self._sessions[family] = record
            self._writes += 1
            if self._writes % _PRUNE_EVERY == 0:
                ended = [name for name, one in self._sessions.items() if one.expires_at <= now]
                for name in ended:
                    del self._sessions[name]
        return True


def _as_of(record: SessionRecord, now: float) -> SessionRecord | None:
    if record.expires_at <= now:
        return None
    return record._replace(sealed=b"") if record.sealed and record.sealed_until <= now else record
