"""Connections of one process to an SQLite file, and the schema of that file.

A forked child inherits SQLite's list of open files but not the locks on them, and with a connection of the parent it
would write into a log that the parent removes when it closes. So a fork waits until the transactions under way have
ended, and closes all connections first. Parent and child then open their own.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from asgi_jwt_claims.runtime.log import logger

__all__ = ["Connections", "is_busy"]

# Each step leads from the version that is its index in this tuple to the next; an empty file has version 0. Nothing reads
# `revoked.kind`, so rows from before version 3 keep 'family' where 'session' is written now.
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


class Connections:
    """The connections of this process to one file; each is lent to one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: tuple[int, int] | None = None  # device and inode of the file that is open
        self._idle: list[tuple[tuple[int, int], sqlite3.Connection]] = []
        self._lent = 0
        self._returned = threading.Condition(threading.Lock())
        with _FORKS:
            _ALL.add(self)

    def __del__(self) -> None:
        self._close_idle()

    @contextlib.contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to the calling thread. After an error it is closed, unless the file was only locked."""
        with self._returned:
            self._lent += 1
        try:
            file = self._find_file()
            database = self._take(file) or _open(self.path)
            if self._file not in (None, file):
                logger().warning("%s was replaced by another file; data of the former file is not used", self.path)
            self._file = file
            is_sound = False
            try:
                yield database
                is_sound = True
            except sqlite3.OperationalError as error:
                is_sound = is_busy(error)
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
        """Close all connections, once the threads have given them back."""
        with self.held():
            self._file = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Close all connections, once the threads have given them back, and lend none meanwhile."""
        with self._returned:
            self._returned.wait_for(lambda: not self._lent)
            self._close_idle()
            yield

    def _find_file(self) -> tuple[int, int]:
        """Device and inode of the file, which is created if none has been open yet."""
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


_ALL: weakref.WeakSet[Connections] = weakref.WeakSet()
_FORKS = threading.Lock()
_HELD = contextlib.ExitStack()  # during a fork


def _before_fork() -> None:
    _FORKS.acquire()
    for connections in _ALL:
        _HELD.enter_context(connections.held())


def _after_fork() -> None:
    _HELD.close()
    _FORKS.release()


# Systems without fork have no such function.
getattr(os, "register_at_fork", dict)(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def _open(path: Path) -> sqlite3.Connection:
    # No timeout: the store waits for a locked file itself, without holding a connection.
    database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("PRAGMA journal_mode = WAL")  # does nothing if the file is in this mode
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
        raise sqlite3.DatabaseError(f"the file has version {version}; this release reads versions up to {len(_STEPS)}")
    for step in _STEPS[version:]:
        for statement in step.split(";"):
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {len(_STEPS)}")
    database.execute("COMMIT")


def is_busy(error: sqlite3.OperationalError) -> bool:
    """Whether another connection has locked the file, so that the call can be tried again."""
    code: int = getattr(error, "sqlite_errorcode", 0)  # errors that the module `sqlite3` itself raises have none
    return code & 0xFF == sqlite3.SQLITE_BUSY
