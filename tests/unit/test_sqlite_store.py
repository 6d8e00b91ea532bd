"""`SQLiteStore`: files of the version before, locked files, files that are taken away, and what a statement looks at."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_jwt_claims.errors import StoreUnavailableError
from asgi_jwt_claims.stores import Revocation, SessionRecord, SQLiteStore, TokenDigests
from asgi_jwt_claims.stores import sqlite as module
from tests.conftest import HeldClock

pytestmark = pytest.mark.anyio

MARK = b"m" * 16
MARKS = TokenDigests(MARK, MARK, MARK, 1.0)
RECORD = SessionRecord(MARK, MARK, "id", MARK, b"p" * 16, 2.0, b"", 0.0, 1.0, 1.0, math.inf, "phone")
LATER = 253402300799.0

VERSION_1 = """
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
PRAGMA user_version = 1;
"""

VERSION_2 = """
ALTER TABLE session ADD COLUMN access_expires_at REAL NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN audience TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN was_repeated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN has_ended INTEGER NOT NULL DEFAULT 0;
DROP INDEX session_identity;
CREATE INDEX session_live ON session (identity, family) WHERE has_ended = 0;
CREATE INDEX session_sealed_until ON session (sealed_until) WHERE sealed <> x'';
PRAGMA user_version = 2;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    """Another process, as far as SQLite can tell."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    yield database
    database.close()


def move(one: Path, place: Path) -> None:
    one.replace(place)


def exists(path: Path) -> bool:
    return path.exists()


def fill_version_1(database: sqlite3.Connection, sessions: int = 1) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(VERSION_1)
    database.execute("INSERT INTO revoked VALUES (?, 'identity', ?, 7.5)", (MARK, LATER))
    for number in range(sessions):
        session = MARK if not number else number.to_bytes(16, "big")
        row = RECORD._replace(session=session, expires_at=LATER)[:12]
        database.execute(f"INSERT INTO session VALUES ({', '.join('?' * 12)})", row)


async def test_a_file_of_version_1_is_kept(path: Path, other: sqlite3.Connection) -> None:
    """A file of the version before opens with everything that it held, while another process reads it."""
    fill_version_1(other)
    other.execute("BEGIN")
    assert [(1,)] == other.execute("SELECT count(*) FROM session").fetchall()
    store = SQLiteStore(path)
    assert 7.5 == await store.cutoff(MARK)
    assert await store.is_revoked(MARKS)
    assert RECORD == await store.session(MARK)
    assert [RECORD] == await store.sessions(MARK)
    ended = RECORD._replace(current=b"\0" * 16, has_ended=True)
    assert await store.replace_session(MARK, MARK, ended)
    assert ended == await store.session(MARK)
    assert [] == await store.sessions(MARK)
    other.execute("ROLLBACK")
    assert [(3,)] == other.execute("PRAGMA user_version").fetchall()
    await store.aclose()


async def test_a_file_of_version_2_is_kept(path: Path, other: sqlite3.Connection, clock: HeldClock) -> None:
    """A file of version 2 opens with everything that it held in every column."""
    live = RECORD._replace(
        session=b"1" * 16,
        current=b"c" * 16,
        response=b"an answer",
        response_until=clock.now + 5,
        refreshed_at=3.0,
        expires_at=clock.now + 9,
        access_expires_at=clock.now + 7,
        audience='["a","b"]',
        repeats=7,
        was_repeated=True,
    )
    ended = RECORD._replace(session=b"2" * 16, expires_at=clock.now + 9, label="", has_ended=True)
    other.execute("PRAGMA journal_mode = WAL")
    other.executescript(VERSION_1 + VERSION_2)
    for row in ((b"t", "token", LATER, 0.0), (b"f", "family", clock.now + 9, 0.0), (b"i", "identity", LATER, 7.5)):
        other.execute("INSERT INTO revoked VALUES (?, ?, ?, ?)", row)
    for record in (live, ended):
        other.execute(f"INSERT INTO session VALUES ({', '.join('?' * len(record))})", record)
    store = SQLiteStore(path, clock=clock)
    assert [live] == await store.sessions(MARK)
    assert [live, ended] == [await store.session(one.session) for one in (live, ended)]
    assert 7.5 == await store.cutoff(b"i")
    for digests, is_revoked in (
        (TokenDigests(b"t", b"", b"", 9.0), True),
        (TokenDigests(b"", b"f", b"", 9.0), True),
        (TokenDigests(b"", b"", b"i", 7.5), True),
        (TokenDigests(b"", b"", b"i", 8.0), False),
    ):
        assert (digests, is_revoked) == (digests, await store.is_revoked(digests))
    await store.revoke([Revocation("session", b"f", clock.now + 20)])
    clock.now += 10
    assert await store.is_revoked(TokenDigests(b"", b"f", b"", 9.0))
    assert [] == await store.sessions(MARK)
    await store.aclose()


async def test_several_bring_a_file_up_to_date(path: Path, other: sqlite3.Connection) -> None:
    """Stores that open an old file at the same time do so once, and wait for a writer before."""
    fill_version_1(other, 100)
    other.execute("BEGIN IMMEDIATE")
    stores = [SQLiteStore(path, timeout=60) for _ in range(4)]
    found: list[int] = []

    async def count(store: SQLiteStore) -> None:
        found.append(len(await store.sessions(MARK)))

    async with anyio.create_task_group() as tasks:
        for store in stores:
            tasks.start_soon(count, store)
        await anyio.sleep(0.05)
        assert [] == found
        other.execute("ROLLBACK")
    assert [100] * 4 == found
    for store in stores:
        await store.aclose()


async def test_opening_takes_no_lock(path: Path, other: sqlite3.Connection) -> None:
    """A store that is up to date is opened, and read, while another process writes."""
    await SQLiteStore(path).revoke([Revocation("token", MARK, math.inf)])
    other.execute("BEGIN IMMEDIATE")
    store = SQLiteStore(path, timeout=60)
    with anyio.fail_after(30):
        assert await store.is_revoked(MARKS)
        assert None is await store.session(MARK)
        assert [] == await store.sessions(MARK)
        assert 0.0 == await store.cutoff(MARK)
    await store.aclose()


async def test_reading_beside_writers_that_wait(path: Path, other: sqlite3.Connection) -> None:
    """However many writers wait for a lock, readers do not wait for them, and the writers write in the end."""
    store = SQLiteStore(path, timeout=60)
    assert not await store.is_revoked(MARKS)
    other.execute("BEGIN IMMEDIATE")
    marks = [number.to_bytes(16, "big") for number in range(20)]
    async with anyio.create_task_group() as tasks:
        for mark in marks:
            tasks.start_soon(store.revoke, [Revocation("token", mark, math.inf)])
        await anyio.sleep(0.05)
        with anyio.fail_after(30):
            for _ in range(20):
                assert not await store.is_revoked(MARKS)
        other.execute("ROLLBACK")
    for mark in marks:
        assert await store.is_revoked(MARKS._replace(token=mark))
    await store.aclose()


async def test_locked_is_not_broken(path: Path, other: sqlite3.Connection) -> None:
    """A call that finds the file locked for too long fails, and its connection is used again."""
    store = SQLiteStore(path, timeout=0.1)
    assert not await store.is_revoked(MARKS)
    (opened,) = store._connections._idle
    other.execute("BEGIN IMMEDIATE")
    failed = 0

    async def revoke() -> None:
        nonlocal failed
        with pytest.raises(StoreUnavailableError):
            await store.revoke([Revocation("token", MARK, math.inf)])
        failed += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(revoke)
    other.execute("ROLLBACK")
    assert 5 == failed
    assert [opened] == store._connections._idle
    await store.aclose()


async def test_what_cannot_be_written(path: Path) -> None:
    """What SQLite has no way to keep is an error of the store, and nothing of it is kept."""
    store = SQLiteStore(path)
    for record in (RECORD._replace(label="\ud83d"), RECORD._replace(repeats=2**64)):
        with pytest.raises(StoreUnavailableError):
            await store.replace_session(MARK, b"", record)
    assert None is await store.session(MARK)
    assert await store.replace_session(MARK, b"", RECORD)
    await store.aclose()


async def test_values_that_make_no_sense(path: Path, other: sqlite3.Connection) -> None:
    """A row that another program has written wrongly is an error of the store, and no other."""
    store = SQLiteStore(path)
    await store.revoke([Revocation("identity", MARK, math.inf, 5.0)])
    await store.replace_session(MARK, b"", RECORD)
    other.execute("UPDATE revoked SET cutoff = 'never'")
    other.execute("UPDATE session SET response_until = x'00'")
    for call in (store.cutoff, store.session, store.sessions):
        with pytest.raises(StoreUnavailableError):
            await call(MARK)
    await store.aclose()


async def test_a_file_that_is_taken_away(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without its file a store says nothing about any token; another file in its place is opened, and the log tells."""
    store, backup = SQLiteStore(path), SQLiteStore(tmp_path / "backup")
    await store.revoke([Revocation("token", MARK, math.inf)])
    await backup.revoke([Revocation("token", b"b", math.inf)])
    await backup.aclose()
    move(path, tmp_path / "away")
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await store.is_revoked(MARKS)
    assert not exists(path)
    move(tmp_path / "away", path)
    assert await store.is_revoked(MARKS)
    assert [] == caplog.records
    for ending in ("-wal", "-shm"):
        move(Path(f"{path}{ending}"), tmp_path / "old")
    move(tmp_path / "backup", path)
    assert not await store.is_revoked(MARKS)
    assert await store.is_revoked(MARKS._replace(token=b"b"))
    assert ["was replaced by another file"] == [one.getMessage()[len(f"{path} ") :][:28] for one in caplog.records]
    await store.aclose()


async def test_closing_waits_for_who_is_in_it(path: Path) -> None:
    """A store is closed once what is under way has ended, and opens its file again when it is used."""
    entered, leave = threading.Event(), threading.Event()

    def clock() -> float:
        entered.set()
        assert leave.wait(60)
        return 1.0

    store = SQLiteStore(path, clock=clock)
    closed = anyio.Event()

    async def close() -> None:
        await anyio.to_thread.run_sync(entered.wait, 60)
        await store.aclose()
        closed.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.is_revoked, MARKS)
        tasks.start_soon(close)
        await anyio.sleep(0.05)
        assert not closed.is_set()
        leave.set()
    assert [] == store._connections._idle
    assert not await store.is_revoked(MARKS)
    await store.aclose()


async def test_no_statement_looks_at_a_whole_table(
    path: Path, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What any call tells SQLite is answered by an index, however many sessions and revocations there are."""
    told: list[str] = []
    connect = sqlite3.connect

    def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        database: sqlite3.Connection = connect(*arguments, **options)
        database.set_trace_callback(told.append)
        return database

    monkeypatch.setattr(module.sqlite3, "connect", watched)
    store = SQLiteStore(path, clock=clock)
    await store.replace_session(MARK, b"", RECORD)
    await store.replace_session(MARK, MARK, RECORD._replace(response=b"s", response_until=clock.now + 1))
    await store.revoke([Revocation("token", MARK, math.inf), Revocation("identity", b"i", math.inf, 5.0)])
    await store.is_revoked(MARKS)
    await store.cutoff(MARK)
    await store.sessions(MARK, after=MARK)
    await store.aclose()
    monkeypatch.undo()
    looks = [one for one in told if one.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE")]
    database = connect(path)
    plans = {one: [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {one}")] for one in looks}
    database.close()
    assert 15 < len(looks)
    assert {} == {
        one: plan for one, plan in plans.items() if any("SCAN" in step and "CONSTANT ROW" not in step for step in plan)
    }
    assert {} == {one: plan for one, plan in plans.items() if any("TEMP B-TREE" in step for step in plan)}


async def test_responses_are_dropped(path: Path, clock: HeldClock) -> None:
    """A response leaves the file with the first write after its time is over."""
    store = SQLiteStore(path, clock=clock)
    await store.replace_session(MARK, b"", RECORD._replace(response=b"response", response_until=clock.now + 10))
    clock.now += 11
    await store.revoke([])
    await store.aclose()
    database = sqlite3.connect(path)
    assert [(b"",)] == database.execute("SELECT response FROM session").fetchall()
    database.close()
