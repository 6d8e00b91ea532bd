"""`SQLiteStore`, for several worker processes on one machine: one file, no packages and no server.

Every call is one transaction in a worker thread. The file is in WAL mode and written through (`synchronous=FULL`), so
that revocations survive a crash of the machine. A call that finds the file locked gives its connection back and tries
again after a pause, until `timeout`. Writers take turns within an event loop; readers wait for no writer.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from asgi_jwt_claims.errors import SettingError, StoreUnavailableError
from asgi_jwt_claims.runtime.durations import as_duration

from ._sqlite_files import Connections, is_busy
from .base import PAGE, Revocation, SessionRecord, TokenDigests, TokenStore

__all__ = ["SQLiteStore"]

T = TypeVar("T")

_COLUMNS = ", ".join(SessionRecord._fields)
_SESSIONS = f"SELECT {_COLUMNS} FROM session WHERE expires_at > ?"  # noqa: S608 -- names of fields
_KEEP_SESSION = f"INSERT OR REPLACE INTO session ({_COLUMNS}) VALUES ({', '.join('?' * len(SessionRecord._fields))})"  # noqa: S608 -- as above
_PRUNING = (
    "DELETE FROM revoked WHERE digest IN (SELECT digest FROM revoked WHERE until <= ? LIMIT ?)",
    "DELETE FROM session WHERE session IN (SELECT session FROM session WHERE expires_at <= ? LIMIT ?)",
    """UPDATE session SET response = x'' WHERE session IN (
        SELECT session FROM session WHERE response_until <= ? AND response <> x'' LIMIT ?
    )""",
)
_PRUNED_AT_ONCE = 256
# In place of infinity, which not every tool shows alike: the last second of the year 9999.
_FOREVER = 253402300799.0
_THREADS = 5  # for each event loop: one writer and four readers
_PAUSES = (0.001, 0.02)  # the shortest and the longest wait for a locked file, in seconds


class SQLiteStore(TokenStore):
    """Keep revocations and sessions in an SQLite file that all processes on a machine share.

    Event loops and threads may share a store, and a process may fork while the store is in use. The file must not be on
    a network file system, because SQLite cannot rely on its locks.

    Args:
        path: The file; it is created if there is none, readable by its owner only, and brought up to date if it is of an
            earlier version. If it is removed while it is in use, calls fail until another file is in its place.
        timeout: How long to wait for other writers; a `timedelta` or seconds.
        clock: A function that returns seconds since the epoch, such as `time.time`.

    Raises:
        SettingError: An option cannot be used.
    """

    __slots__ = ("_clock", "_connections", "_limits", "_timeout")

    def __init__(
        self, path: str | os.PathLike[str], *, timeout: timedelta | float = 5.0, clock: Callable[[], float] = time.time
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise SettingError(f"path must name a file, not {str(path)!r}; MemoryStore keeps its data in memory")
        self._connections = Connections(Path(path))
        self._timeout = as_duration(timeout, "timeout").total_seconds()
        self._clock = clock
        # A limit of its own, so that calls that wait for the disk leave the application its threads.
        self._limits: RunVar[tuple[anyio.CapacityLimiter, anyio.Lock]] = RunVar(f"SQLiteStore {path}")

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._connections.path}>"

    def is_revoked(self, digests: TokenDigests) -> Coroutine[Any, Any, bool]:  # pyright: ignore[reportIncompatibleMethodOverride]  # as awaitable
        query = "SELECT 1 FROM revoked WHERE until > ? AND (digest IN (?, ?) OR (digest = ? AND cutoff >= ?)) LIMIT 1"
        values = (digests.token, digests.session, digests.identity, digests.issued_at)
        # No coroutine around this one, which would have to continue after each of its waits.
        return self._execute(lambda database: database.execute(query, (self._clock(), *values)).fetchone() is not None)

    async def revoke(self, revocations: Collection[Revocation]) -> None:

        def write(database: sqlite3.Connection) -> None:
            now = self._clock()
            _prune(database, now)
            database.executemany(
                "INSERT INTO revoked VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET "
                "until = max(until, excluded.until), cutoff = max(cutoff, excluded.cutoff)",
                [
                    (name, kind, min(until, _FOREVER), cutoff)
                    for kind, name, until, cutoff in revocations
                    if until > now
                ],
            )

        await self._execute(write, writes=True)

    async def cutoff(self, identity: bytes) -> float:
        query = "SELECT cutoff FROM revoked WHERE until > ? AND digest = ?"
        return next(iter(await self._select(lambda row, _: float(row[0]), query, identity)), 0.0)

    async def session(self, session: bytes) -> SessionRecord | None:
        return next(iter(await self._select(_record, f"{_SESSIONS} AND session = ?", session)), None)

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        query = f"{_SESSIONS} AND identity = ? AND has_ended = 0 AND session > ? ORDER BY session LIMIT ?"
        return await self._select(_record, query, identity, after, limit)

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:

        def write(database: sqlite3.Connection) -> bool:
            now = self._clock()
            _prune(database, now)
            seen = "SELECT current FROM session WHERE session = ? AND expires_at > ?"
            before = database.execute(seen, (session, now)).fetchone()
            if (b"" if before is None else before[0]) != current:
                return False
            ends, access_ends = min(record.expires_at, _FOREVER), min(record.access_expires_at, _FOREVER)
            database.execute(_KEEP_SESSION, record._replace(expires_at=ends, access_expires_at=access_ends))
            return True

        return await self._execute(write, writes=True)

    async def aclose(self) -> None:
        await anyio.to_thread.run_sync(self._connections.close)

    async def run(self) -> None:
        """See `TokenStore`; closes the file at the end."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.aclose()

    def _select(
        self, read: Callable[[tuple[Any, ...], float], T], query: str, *values: bytes | float
    ) -> Coroutine[Any, Any, list[T]]:
        """The rows of a query, whose first value is the time, each as `read` returns it."""

        def ask(database: sqlite3.Connection) -> list[T]:
            now = self._clock()
            return [read(row, now) for row in database.execute(query, (now, *values))]

        return self._execute(ask)

    async def _execute(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
        limits = self._limits.get(None)
        if limits is None:
            self._limits.set(limits := (anyio.CapacityLimiter(_THREADS), anyio.Lock()))
        threads, turn = limits
        pause, longest = _PAUSES
        try:
            with anyio.fail_after(self._timeout):
                async with turn if writes else contextlib.nullcontext():
                    while True:
                        try:
                            return await anyio.to_thread.run_sync(self._transact, work, writes, limiter=threads)
                        except sqlite3.OperationalError as error:
                            if not is_busy(error):
                                raise
                        await anyio.sleep(pause)
                        pause = min(2 * pause, longest)
        except Exception as error:  # a store raises nothing but StoreUnavailableError
            raise StoreUnavailableError(reason=type(error).__name__) from error

    def _transact(self, work: Callable[[sqlite3.Connection], T], writes: bool) -> T:
        with self._connections.lend() as database:
            if not writes:
                return work(database)  # a single statement is a transaction
            # A transaction that begins as a reader may fail when it first writes; one that begins as a writer does not.
            database.execute("BEGIN IMMEDIATE")
            try:
                result = work(database)
                database.execute("COMMIT")
            finally:
                database.rollback()  # does nothing after the commit
            return result


def _record(row: tuple[Any, ...], now: float) -> SessionRecord:
    one = SessionRecord(*row)
    return one._replace(
        response=one.response if one.response_until > now else b"",
        expires_at=math.inf if one.expires_at >= _FOREVER else one.expires_at,
        access_expires_at=math.inf if one.access_expires_at >= _FOREVER else one.access_expires_at,
        was_repeated=bool(one.was_repeated),
        has_ended=bool(one.has_ended),
    )


def _prune(database: sqlite3.Connection, now: float) -> None:
    for statement in _PRUNING:
        database.execute(statement, (now, _PRUNED_AT_ONCE))
