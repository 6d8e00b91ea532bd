"""`SQLiteStore`: one file, several worker processes, nothing to install and nothing to run beside the application.

Every call is one transaction in a worker thread; the event loop never waits for the disk. The file is in WAL mode and
written through (`synchronous=FULL`), so that what was revoked stays so if the process or the machine dies.

A call that finds the file locked gives its connection back and tries again after a pause, until `timeout`: no thread
and no connection waits for another process. Writers take turns within an event loop; readers wait for no writer.

SQLite keeps a list of open files in the process, with the locks that it believes to hold on them. A forked child
inherits the list but not the locks; with a connection of the parent in that list, the child would write into a log that
the parent removes when it closes. So a fork waits for the transactions under way and closes all connections first;
parent and child open their own again.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from asgi_jwt_claims.errors import SettingError, StoreUnavailableError
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.log import logger

from .base import PAGE, Revocation, SessionRecord, TokenStore

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.digests import TokenDigests

__all__ = ["SQLiteStore"]

T = TypeVar("T")

# Each step leads from the version that is its place in this list to the next; an empty file has version 0.
_STEPS = (
    """
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
CREATE INDEX session_expires_at ON session (expires_at)
""",
    """
ALTER TABLE session ADD COLUMN access_expires_at REAL NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN was_repeated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN has_ended INTEGER NOT NULL DEFAULT 0;
DROP INDEX session_identity;
CREATE INDEX session_live ON session (identity, family) WHERE has_ended = 0;
CREATE INDEX session_sealed_until ON session (sealed_until) WHERE sealed <> x''
""",
    """
ALTER TABLE revoked RENAME COLUMN mark TO digest;
ALTER TABLE revoked RENAME COLUMN issued_until TO cutoff;
ALTER TABLE session RENAME COLUMN family TO session;
ALTER TABLE session RENAME COLUMN id TO session_id;
ALTER TABLE session RENAME COLUMN spent_at TO previous_used_at;
ALTER TABLE session RENAME COLUMN sealed TO response;
ALTER TABLE session RENAME COLUMN sealed_until TO response_until
""",
)
_COLUMNS = ", ".join(SessionRecord._fields)
_PLACES = ", ".join("?" * len(SessionRecord._fields))
_PRUNING = (
    "DELETE FROM revoked WHERE digest IN (SELECT digest FROM revoked WHERE until <= ? LIMIT ?)",
    "DELETE FROM session WHERE session IN (SELECT session FROM session WHERE expires_at <= ? LIMIT ?)",
    """UPDATE session SET response = x'' WHERE session IN (
        SELECT session FROM session WHERE response_until <= ? AND response <> x'' LIMIT ?
    )""",
)
_PRUNED_AT_ONCE = 256
# SQLite has no infinity that every tool shows alike; this is the year 9999.
_FOREVER = 253402300799.0
_THREADS = 5  # for each event loop: a writer, and four readers
_PAUSES = (0.001, 0.02)  # seconds, the shortest and the longest, until a locked file is tried again


class SQLiteStore(TokenStore):
    """Keeps everything in an SQLite file that all processes on a machine share. The embedded default.

    Event loops and threads may share a store, and a process may fork while it is in use. Not for a network file system,
    whose locks SQLite cannot rely on.

    Args:
        path: The file; it is made if there is none, readable by its owner only. A file of an earlier version is brought
            up to date when it is opened. A file that is taken away while it is in use is not made again: calls fail
            until there is one in its place, which is then opened.
        timeout: How long to wait for other writers, a `timedelta` or seconds.
        clock: Seconds since the epoch, as `time.time`.

    Raises:
        SettingError: An option cannot be used.
    """

    __slots__ = ("_clock", "_connections", "_limits", "_timeout")

    def __init__(
        self, path: str | os.PathLike[str], *, timeout: float = 5.0, clock: Callable[[], float] = time.time
    ) -> None:
        if str(path) in ("", ":memory:"):
            raise SettingError("SQLiteStore needs the path of a file; what is kept in memory is a MemoryStore")
        self._connections = _Connections(Path(path))
        self._timeout = as_duration(timeout, "timeout").total_seconds()
        self._clock = clock
        # Of its own: requests that wait for the disk must not keep the application's threads from it.
        self._limits: RunVar[tuple[anyio.CapacityLimiter, anyio.Lock]] = RunVar(f"SQLiteStore {path}")

    def __repr__(self) -> str:
        return f"<SQLiteStore {self._connections.path}>"

    async def is_revoked(self, digests: TokenDigests) -> bool:
        """See `TokenStore`."""

        def ask(database: sqlite3.Connection) -> bool:
            found = database.execute(
                "SELECT 1 FROM revoked WHERE until > ? AND (digest IN (?, ?) OR (digest = ? AND cutoff >= ?)) LIMIT 1",
                (self._clock(), digests.token, digests.session, digests.identity, digests.issued_at),
            )
            return found.fetchone() is not None

        return await self._execute(ask)

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        """See `TokenStore`."""

        def write(database: sqlite3.Connection) -> None:
            now = self._clock()
            _prune(database, now)
            database.executemany(
                "INSERT INTO revoked VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET "
                "until = max(until, excluded.until), cutoff = max(cutoff, excluded.cutoff)",
                [
                    (one.digest, one.kind, min(one.until, _FOREVER), one.cutoff)
                    for one in revocations
                    if one.until > now
                ],
            )

        await self._execute(write, writes=True)

    async def cutoff(self, identity: bytes) -> float:
        """See `TokenStore`."""

        def ask(database: sqlite3.Connection) -> float:
            found = database.execute(
                "SELECT cutoff FROM revoked WHERE digest = ? AND until > ?", (identity, self._clock())
            ).fetchone()
            return 0.0 if found is None else float(found[0])

        return await self._execute(ask)

    async def session(self, session: bytes) -> SessionRecord | None:
        """See `TokenStore`."""
        found = await self._select("session = ?", session)
        return found[0] if found else None

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = PAGE) -> list[SessionRecord]:
        """See `TokenStore`."""
        condition = "identity = ? AND has_ended = 0 AND session > ? ORDER BY session LIMIT ?"
        return await self._select(condition, identity, after, limit)

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        """See `TokenStore`."""

        def write(database: sqlite3.Connection) -> bool:
            now = self._clock()
            _prune(database, now)
            before = database.execute(
                "SELECT current FROM session WHERE session = ? AND expires_at > ?", (session, now)
            ).fetchone()
            if (b"" if before is None else before[0]) != current:
                return False
            row = record._replace(
                expires_at=min(record.expires_at, _FOREVER), access_expires_at=min(record.access_expires_at, _FOREVER)
            )
            database.execute(f"INSERT OR REPLACE INTO session ({_COLUMNS}) VALUES ({_PLACES})", row)  # noqa: S608 -- names of fields
            return True

        return await self._execute(write, writes=True)

    async def aclose(self) -> None:
        """See `TokenStore`."""
        await anyio.to_thread.run_sync(self._connections.close)

    async def run(self) -> None:
        """See `TokenStore`; closes the file at the end."""
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.aclose()

    async def _select(self, condition: str, *values: bytes | int) -> list[SessionRecord]:
        def ask(database: sqlite3.Connection) -> list[SessionRecord]:
            now = self._clock()
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM session WHERE expires_at > ? AND {condition}",  # noqa: S608 -- one of two above
                (now, *values),
            )
            return [_record(row, now) for row in rows]

        return await self._execute(ask)

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
                            if not _is_busy(error):
                                raise
                        await anyio.sleep(pause)
                        pause = min(2 * pause, longest)
        except Exception as error:  # a store raises nothing else: what it cannot say lets nothing in
            raise StoreUnavailableError(reason=type(error).__name__) from error

    def _transact(self, work: Callable[[sqlite3.Connection], T], writes: bool) -> T:
        with self._connections.lend() as database:
            if not writes:
                return work(database)  # one statement is a transaction by itself
            # A reader that becomes a writer can be told that it is too late; one that begins as a writer is not.
            database.execute("BEGIN IMMEDIATE")
            try:
                result = work(database)
                database.execute("COMMIT")
            finally:
                database.rollback()  # nothing, once it is committed
            return result


class _Connections:
    """The connections of this process to one file; each is lent to one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: tuple[int, int] | None = None  # device and number of the file that is open
        self._idle: list[tuple[tuple[int, int], sqlite3.Connection]] = []
        self._lent = 0
        self._returned = threading.Condition(threading.Lock())
        with _FORKS:
            _EVERY.add(self)

    def __del__(self) -> None:
        self._close_idle()

    @contextlib.contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """A connection that nothing else uses meanwhile. After an error it is closed, unless the file was only locked."""
        with self._returned:
            self._lent += 1
        try:
            file = self._found()
            database = self._take(file) or _open(self.path)
            if self._file not in (None, file):
                logger().warning("%s is another file than before; what the one before held counts no longer", self.path)
            self._file = file
            is_sound = False
            try:
                yield database
                is_sound = True
            except sqlite3.OperationalError as error:
                is_sound = _is_busy(error)
                raise
            finally:
                if is_sound:
                    self._idle.append((file, database))
                else:
                    database.close()
        finally:
            with self._returned:
                self._lent -= 1
                self._returned.notify_all()

    def close(self) -> None:
        """Close them all, once they have been given back."""
        self.hold()
        self._file = None
        self.release()

    def hold(self) -> None:
        """Close them all, and lend none until `release`."""
        self._returned.acquire()
        self._returned.wait_for(lambda: not self._lent)
        self._close_idle()

    def release(self) -> None:
        """Lend again."""
        self._returned.release()

    def _found(self) -> tuple[int, int]:
        """Which file the path names now; made if none has been open yet."""
        if self._file is None and not self.path.exists():
            self.path.touch(mode=0o600)
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def _take(self, file: tuple[int, int]) -> sqlite3.Connection | None:
        with self._returned:
            while self._idle:
                opened, database = self._idle.pop()
                if opened == file:
                    return database
                database.close()
        return None

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()


_EVERY: weakref.WeakSet[_Connections] = weakref.WeakSet()
_HELD: list[_Connections] = []
_FORKS = threading.Lock()


def _before_fork() -> None:
    _FORKS.acquire()
    for connections in _EVERY:
        connections.hold()
        _HELD.append(connections)


def _after_fork() -> None:
    while _HELD:
        _HELD.pop().release()
    _FORKS.release()


# Where there is no fork there is no such function.
getattr(os, "register_at_fork", dict)(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _open(path: Path) -> sqlite3.Connection:
    # A locked file is an error at once: waiting is done by `_execute`, without a connection.
    database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("PRAGMA journal_mode = WAL")  # nothing, if it is already
        database.execute("PRAGMA synchronous = FULL")
        if version != len(_STEPS):
            _bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    return database


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    (version,) = database.execute("PRAGMA user_version").fetchone()  # another process may have been quicker
    if not 0 <= version <= len(_STEPS):
        raise sqlite3.DatabaseError(f"the file has version {version}, which this release cannot read")
    for step in _STEPS[version:]:
        for statement in step.split(";"):
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {len(_STEPS)}")
    database.execute("COMMIT")


def _is_busy(error: sqlite3.OperationalError) -> bool:
    """Whether another connection has the file locked; nothing is wrong with this one."""
    code: int = getattr(error, "sqlite_errorcode", 0)  # errors of the module `sqlite3` itself have none
    return code & 0xFF == sqlite3.SQLITE_BUSY


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
