"""`SQLiteStore`: one file, several worker processes, nothing to install and nothing to run beside the application.

Every call is one transaction in a worker thread; the event loop never waits for the disk. The file is in WAL mode and
written through (`synchronous=FULL`), so that what was revoked stays so if the process or the machine dies.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from asgi_jwt_claims._settings import as_duration
from asgi_jwt_claims._store import Marks, Revocation, RevocationStore, SessionRecord
from asgi_jwt_claims.errors import SettingError, StoreUnavailableError

__all__ = ["SQLiteStore"]

T = TypeVar("T")

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE revoked (
    mark BLOB PRIMARY KEY, kind TEXT NOT NULL, until REAL NOT NULL, issued_until REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX revoked_until ON revoked (until);
CREATE TABLE session (
    family BLOB PRIMARY KEY, identity BLOB NOT NULL, id TEXT NOT NULL, current BLOB NOT NULL, previous BLOB NOT NULL,
    spent_at REAL NOT NULL, sealed BLOB NOT NULL, sealed_until REAL NOT NULL, started_at REAL NOT NULL,
    refreshed_at REAL NOT NULL, expires_at REAL NOT NULL, label TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_identity ON session (identity);
CREATE INDEX session_expires_at ON session (expires_at);
PRAGMA user_version = {_VERSION};
"""
# SQLite has no infinity that every tool shows alike; this is the year 9999.
_FOREVER = 253402300799.0
_PRUNED_AT_ONCE = 256

_INHERITED: list[sqlite3.Connection] = []
_THREADS: RunVar[anyio.CapacityLimiter] = RunVar("asgi_jwt_claims.revocation.sqlite")


class SQLiteStore(RevocationStore):
    """Keeps everything in an SQLite file that all processes on a machine share. The embedded default.

    Not for a network file system, whose locks SQLite cannot rely on.

    Args:
        path: The file; it is made if there is none, readable by its owner only.
        timeout: How long to wait for another process that writes, a `timedelta` or seconds.
        clock: Seconds since the epoch, as `time.time`.

    Raises:
        SettingError: An option cannot be used.
    """

    __slots__ = ("_clock", "_connection", "_lock", "_path", "_pid", "_timeout")

    def __init__(
        self, path: str | os.PathLike[str], *, timeout: float = 5.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        self._path = Path(path)
        if str(path) in ("", ":memory:"):
            raise SettingError("SQLiteStore needs the path of a file; what is kept in memory is a MemoryStore")
        self._timeout = as_duration(timeout, "timeout").total_seconds()
        self._clock = clock
        self._lock = threading.Lock()

    def __del__(self) -> None:
        if self._connection is not None and self._pid == os.getpid():
            self._connection.close()

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._path}>"

    async def is_revoked(self, marks: Marks) -> bool:
        """See `RevocationStore`."""

        def ask(database: sqlite3.Connection) -> bool:
            found = database.execute(
                "SELECT 1 FROM revoked WHERE until > ? AND (mark IN (?, ?) OR (mark = ? AND issued_until >= ?)) LIMIT 1",
                (self._clock(), marks.token, marks.family, marks.identity, marks.issued_at),
            )
            return found.fetchone() is not None

        return await self._run(ask)

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """See `RevocationStore`."""

        def write(database: sqlite3.Connection) -> None:
            now = self._clock()
            _prune(database, now)
            database.executemany(
                "INSERT INTO revoked VALUES (?, ?, ?, ?) ON CONFLICT (mark) DO UPDATE SET "
                "until = max(until, excluded.until), issued_until = max(issued_until, excluded.issued_until)",
                [
                    (one.mark, one.kind, min(one.until, _FOREVER), one.issued_until)
                    for one in revocations
                    if one.until > now
                ],
            )

        await self._run(write, writes=True)

    async def issued_until(self, identity: bytes) -> float:
        """See `RevocationStore`."""

        def ask(database: sqlite3.Connection) -> float:
            found = database.execute(
                "SELECT issued_until FROM revoked WHERE mark = ? AND until > ?", (identity, self._clock())
            ).fetchone()
            return 0.0 if found is None else float(found[0])

        return await self._run(ask)

    async def session(self, family: bytes) -> SessionRecord | None:
        """See `RevocationStore`."""
        found = await self._select("family", family)
        return found[0] if found else None

    async def sessions(self, identity: bytes) -> list[SessionRecord]:
        """See `RevocationStore`."""
        return await self._select("identity", identity)

    async def replace_session(self, family: bytes, current: bytes, record: SessionRecord | None) -> bool:
        """See `RevocationStore`."""

        def write(database: sqlite3.Connection) -> bool:
            now = self._clock()
            _prune(database, now)
            before = database.execute(
                "SELECT current FROM session WHERE family = ? AND expires_at > ?", (family, now)
            ).fetchone()
            if (b"" if before is None else before[0]) != current:
                return False
            database.execute("DELETE FROM session WHERE family = ?", (family,))
            if record is not None:
                row = record._replace(expires_at=min(record.expires_at, _FOREVER))
                database.execute(f"INSERT INTO session VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 -- question marks
            return True

        return await self._run(write, writes=True)

    async def aclose(self) -> None:
        """See `RevocationStore`."""

        def close() -> None:
            with self._lock:
                if self._connection is not None and self._pid == os.getpid():
                    self._connection.close()
                self._connection = None

        await anyio.to_thread.run_sync(close)

    async def keep_fresh(self) -> None:
        """See `RevocationStore`; closes the file at the end."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.aclose()

    async def _select(self, column: str, value: bytes) -> list[SessionRecord]:
        def ask(database: sqlite3.Connection) -> list[SessionRecord]:
            now = self._clock()
            rows = database.execute(
                f"SELECT * FROM session WHERE {column} = ? AND expires_at > ?",  # noqa: S608 -- one of two names above
                (value, now),
            )
            records = [SessionRecord(*row) for row in rows]
            return [
                one._replace(
                    sealed=one.sealed if one.sealed_until > now else b"",
                    expires_at=math.inf if one.expires_at >= _FOREVER else one.expires_at,
                )
                for one in records
            ]

        return await self._run(ask)

    async def _run(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = False) -> T:
        threads = _THREADS.get(None)
        if threads is None:
            # Of its own: requests that wait for the disk must not keep the application's threads from it.
            _THREADS.set(threads := anyio.CapacityLimiter(4))

        def in_thread() -> T:
            with self._transaction(writes=writes) as database:
                return work(database)

        return await anyio.to_thread.run_sync(in_thread, limiter=threads)

    @contextlib.contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                database = self._opened()
                # A reader that becomes a writer can be told that it is too late; one that begins as a writer waits.
                database.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                self._forget()
                raise StoreUnavailableError(reason=type(error).__name__) from error

    def _opened(self) -> sqlite3.Connection:
        # SQLite must not be carried over into a forked process.
        if self._connection is not None and self._pid != os.getpid():
            # Nor may it be closed there, which could reset the file under the parent.
            _INHERITED.append(self._connection)
            self._connection = None
        if self._connection is None:
            if not self._path.exists():
                self._path.touch(mode=0o600)
            self._connection = _open(self._path, self._timeout)
            self._pid = os.getpid()
        return self._connection

    def _forget(self) -> None:
        """After an error, begin with a new connection: nothing then depends on what state this one is in."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _open(path: Path, timeout: float) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                database.execute(statement)
        database.execute("COMMIT")
    except BaseException:
        database.close()
        raise
    if version not in (0, _VERSION):
        database.close()
        raise sqlite3.DatabaseError(f"{path} has version {version}, which this release cannot read")
    return database


def _prune(database: sqlite3.Connection, now: float) -> None:
    database.execute(
        "DELETE FROM revoked WHERE mark IN (SELECT mark FROM revoked WHERE until <= ? LIMIT ?)", (now, _PRUNED_AT_ONCE)
    )
    database.execute(
        "DELETE FROM session WHERE family IN (SELECT family FROM session WHERE expires_at <= ? LIMIT ?)",
        (now, _PRUNED_AT_ONCE),
    )
    database.execute("UPDATE session SET sealed = x'' WHERE sealed_until <= ? AND sealed <> x''", (now,))
