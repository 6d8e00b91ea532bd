"""What each store has for itself: files, servers, retention, and what becomes of it when they are not there."""

from __future__ import annotations

import math
import os
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_jwt_claims import JWTConfig, create_access_token, verify_token
from asgi_jwt_claims.errors import SettingError, StoreUnavailableError
from asgi_jwt_claims.sessions import rotate_refresh_token, start_session
from asgi_jwt_claims.stores import (
    MemoryStore,
    MirroredStore,
    Revocation,
    SQLiteStore,
    TokenDigests,
    TokenStore,
)
from asgi_jwt_claims.stores._revocation_index import RevocationIndex
from asgi_jwt_claims.tokens.digests import digests_of
from tests.conftest import NOW, HeldClock
from tests.records import MARK, MARKS, RECORD
from tests.support import SECRET, free_port
from tests.system.stores.test_contract import server_store
from tests.valkey import Valkey

pytestmark = pytest.mark.anyio

on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])

CALLS: dict[str, Callable[[TokenStore], Awaitable[Any]]] = {
    "is_revoked": lambda store: store.is_revoked(MARKS),
    "revoke": lambda store: store.revoke([Revocation("token", MARK, math.inf)]),
    "issued_until": lambda store: store.cutoff(MARK),
    "session": lambda store: store.session(MARK),
    "sessions": lambda store: store.sessions(MARK),
    "replace_session": lambda store: store.replace_session(MARK, b"", RECORD),
}


async def all_fail(store: TokenStore) -> None:
    """Every call says that the store cannot be asked, and nothing else is raised."""
    for name, call in CALLS.items():
        failed: str | None = None
        try:
            await call(store)
        except StoreUnavailableError:
            failed = name
        assert name == failed


class Told(MemoryStore):
    """A store that answers what it was told to."""

    answer: Any = None

    def is_revoked_locally(self, token: Any, config: Any) -> Any:
        return None

    async def is_revoked(self, marks: TokenDigests) -> bool:
        answer: bool = self.answer
        return answer


@pytest.mark.parametrize("answer", [None, 0, 1, "true", "false", "", [], {"active": True}, b"\x01"])
async def test_only_yes_and_no_are_answers(config: JWTConfig, answer: Any) -> None:
    """A store that answers anything but True or False has not answered."""  # S103
    store = Told()
    store.answer = answer
    with pytest.raises(StoreUnavailableError):
        await store.check(verify_token(create_access_token("alice", config), config), config)


async def test_marks_tell_nothing_and_no_kind_passes_for_another(config: JWTConfig, store: MemoryStore) -> None:
    """A `jti`, a session and an identity of the same name are three things."""  # S141
    await store.revoke([Revocation("token", MARK, math.inf), Revocation("identity", b"i" * 16, math.inf, 5.0)])
    assert not await store.is_revoked(TokenDigests(b"x", b"y", MARK, 1.0))
    pair = await start_session("alice", config, store)
    token = verify_token(pair.access_token, config)
    await store.revoke(
        [Revocation("token", b"alice", math.inf), Revocation("token", str(token.jti).encode(), math.inf)]
    )
    assert not await store.check(token, config)


async def test_memory_forgets_sessions(store: MemoryStore, clock: HeldClock) -> None:
    """Sessions that have ended are taken out of memory as others begin."""
    for number in range(1030):
        session = number.to_bytes(16, "big")
        await store.replace_session(session, b"", RECORD._replace(session=session, expires_at=clock.now + 0.5))
        clock.now += 1
    assert 10 > len(store._sessions)


def test_the_ledger_forgets() -> None:
    """What has expired is dropped as others come in; what was prolonged in the meantime is not."""
    index, now = RevocationIndex(), float(NOW)
    for number in range(2000):
        index.add(Revocation("token", number.to_bytes(16, "big"), now + 60), now)
    prolonged = TokenDigests((7).to_bytes(16, "big"), b"", b"", 0)
    index.add(Revocation("token", prolonged.token, now + 9999), now)
    index.add(Revocation("identity", MARK, now + 60, now), now)
    assert (2001, now) == (len(index), index.cutoff(MARK, now))
    for number in range(60):
        index.add(Revocation("token", os.urandom(16), now + 8000), now + 200 + number)
    assert 61 == len(index)
    assert index.is_revoked(prolonged, now + 300)
    assert 0 == index.cutoff(MARK, now + 30)


# SQLite ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "options"), [("", {}), (":memory:", {}), ("db", {"timeout": 0}), ("db", {"timeout": "5"})]
)
def test_what_sqlite_refuses(path: str, options: dict[str, Any]) -> None:
    """A file that is none, or a timeout that is none, is refused when the store is built."""
    with pytest.raises(SettingError):
        SQLiteStore(path, **options)


async def test_a_file_of_its_owner(tmp_path: Path) -> None:
    """The file is readable by its owner only, in WAL mode, and is kept when the store is closed."""
    path = tmp_path / "db"
    store = SQLiteStore(path)
    assert f"<SQLiteStore {path}>" == repr(store)
    await store.revoke([Revocation("token", MARK, math.inf)])
    for file in tmp_path.iterdir():  # noqa: ASYNC240 -- of a test
        assert (file.name, 0o600) == (file.name, stat.S_IMODE(file.stat().st_mode))
    await store.aclose()
    await store.aclose()
    with sqlite3.connect(path) as database:
        assert [("wal",)] == list(database.execute("PRAGMA journal_mode"))
    database.close()
    assert await SQLiteStore(path).is_revoked(MARKS)


async def test_what_is_endless_is_so_again(tmp_path: Path) -> None:
    """Infinity comes back as infinity, out of a file that any tool can read."""
    store = SQLiteStore(tmp_path / "db")
    await store.replace_session(MARK, b"", RECORD)
    assert RECORD == await store.session(MARK)


@pytest.mark.parametrize("trouble", ["a folder", "not a database", "another version", "no such folder"])
async def test_a_file_that_cannot_be_used(tmp_path: Path, trouble: str) -> None:
    """A file that cannot be used is an error for every call, until it can be used again."""
    path = tmp_path / "below" / "db"
    if trouble != "no such folder":
        path.parent.mkdir()
    if trouble == "a folder":
        path.mkdir()
    elif trouble == "not a database":
        path.write_text("not a database, though it is long enough to be one" * 100)
    elif trouble == "another version":
        database = sqlite3.connect(path)
        database.execute("PRAGMA user_version = 99")
        database.close()
    store = SQLiteStore(path)
    await all_fail(store)
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    assert not await store.is_revoked(MARKS)


async def test_a_file_that_somebody_writes_to(tmp_path: Path) -> None:
    """A writer that does not end is waited for, but not for ever; readers do not wait for it."""
    path = tmp_path / "db"
    store = SQLiteStore(path, timeout=0.05)
    assert not await store.is_revoked(MARKS)
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        await store.revoke([Revocation("token", MARK, math.inf)])
    database.execute("ROLLBACK")
    database.close()
    await store.revoke([Revocation("token", MARK, math.inf)])
    assert await store.is_revoked(MARKS)


async def test_an_error_in_the_midst(tmp_path: Path) -> None:
    """What fails half-way through is undone as a whole."""
    store = SQLiteStore(tmp_path / "db")
    bad: Any = Revocation("token", b"x", math.inf, "never")  # type: ignore[arg-type]
    worse: Any = Revocation("token", object(), math.inf)  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailableError):
        await store.revoke([Revocation("token", MARK, math.inf), bad, worse])
    assert not await store.is_revoked(MARKS)


async def test_sqlite_tidies_up(tmp_path: Path, clock: HeldClock) -> None:
    """What has expired leaves the file as it is written to."""
    store = SQLiteStore(tmp_path / "db", clock=clock)
    await store.revoke([Revocation("token", os.urandom(16), clock.now + 1) for _ in range(300)])
    for number in range(5):
        session = bytes([number]) * 16
        await store.replace_session(session, b"", RECORD._replace(session=session, expires_at=clock.now + 1))
    clock.now += 2
    for _ in range(2):
        await store.revoke([Revocation("token", MARK, math.inf)])
    await store.aclose()
    database = sqlite3.connect(tmp_path / "db")
    counts = [next(database.execute(f"SELECT count(*) FROM {table}"))[0] for table in ("revoked", "session")]
    database.close()
    assert [1, 0] == counts


async def test_the_file_is_closed_at_the_end(tmp_path: Path) -> None:
    """Looked after by an application, the store lets go of its file when that ends."""
    store = SQLiteStore(tmp_path / "db")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.run)
        assert not await store.is_revoked(MARKS)
        assert 1 == len(store._connections._idle)
        tasks.cancel_scope.cancel()
    assert 0 == len(store._connections._idle)


# Redis and Valkey -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[Any]:
    async with pytest.importorskip("redis.asyncio").Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture(params=["redis", "coredis"])
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    name: str = request.param
    return name


@pytest.mark.parametrize("options", [{"prefix": ""}, {"prefix": "{a}"}, {"prefix": 7}, {"timeout": 0}, {"prefix": "ü"}])
async def test_what_stores_on_servers_refuse(library: str, options: dict[str, Any]) -> None:
    """A prefix that would scatter the keys, a timeout that is none, and a client of another kind are refused."""
    kind = server_store(library)
    for make in (lambda: kind.from_url("redis://localhost", **options), lambda: kind(object())):
        with pytest.raises(SettingError):
            make()


@on_asyncio
async def test_a_server_that_is_not_there(library: str) -> None:
    """Every call says so, in bounded time."""
    store = server_store(library).from_url(f"redis://127.0.0.1:{free_port()}", timeout=0.2)
    with anyio.fail_after(60):
        await all_fail(store)
    await store.aclose()


@on_asyncio
async def test_keys_are_on_one_node_and_end(client: Any) -> None:
    """All keys carry one hash tag; those of a session end with it; and no token is in any of them."""  # S141
    clock = HeldClock(time.time())  # the server has a clock of its own
    prefix = os.urandom(8).hex()
    store = server_store("redis")(client, prefix=prefix, clock=clock)
    config = JWTConfig(secret_key=SECRET, clock=clock)
    pair = await start_session("alice", config, store)
    successor = await rotate_refresh_token(pair.refresh_token, config, store)
    await store.revoke([Revocation("token", MARK, clock.now + 60)])
    keys = [key async for key in client.scan_iter(match=f"*{prefix}*")]
    assert 5 == len(keys)
    content = b""
    for key in keys:
        assert key.startswith(b"{%s}:" % prefix.encode())
        lasting = key.rsplit(b":", 1)[1] in (b"revoked", b"feed")
        assert (key, lasting) == (key, -1 == await client.pttl(key))
        content += await client.dump(key)
    for raw in (pair.access_token, pair.refresh_token, successor.access_token, successor.refresh_token):
        assert all(part.encode() not in content for part in raw.split("."))
    assert b"alice" not in content
    session = digests_of(verify_token(pair.access_token, config), config).session
    assert await store.session(session)
    clock.now += 10**8  # the server does not know yet that it is so late
    assert None is await store.session(session)
    await store.aclose()  # which leaves the application's client alone
    assert await client.ping()


@on_asyncio
async def test_lists_of_sessions_last_as_long_as_their_sessions(client: Any) -> None:
    """Beside a session that never ends, a brief one shortens the list's life by nothing."""
    prefix = os.urandom(8).hex()
    store = server_store("redis")(client, prefix=prefix)
    key = f"{{{prefix}}}:sessions:{MARK.hex()}"

    async def begin(number: int, seconds: float) -> int:
        session = bytes([number]) * 16
        await store.replace_session(session, b"", RECORD._replace(session=session, expires_at=now + seconds))
        left: int = await client.ttl(key)
        return left

    now = time.time()
    assert 90 < await begin(1, 100) <= 101
    assert 90 < await begin(2, 50) <= 101
    assert 190 < await begin(3, 200) <= 201
    assert -1 == await begin(4, math.inf)
    assert -1 == await begin(5, 10)
    assert 5 == len(await store.sessions(MARK))


@on_asyncio
async def test_the_server_tidies_up(client: Any) -> None:
    """What has expired by the clock of the server leaves it as others come in."""
    prefix = os.urandom(8).hex()
    store = server_store("redis")(client, prefix=prefix, clock=HeldClock(1000))
    await store.revoke([Revocation("identity", os.urandom(16), 1001, 1000) for _ in range(300)])
    for _ in range(2):
        await store.revoke([Revocation("token", MARK, math.inf)])
    assert {b"number", MARK.hex().encode()} == set(await client.zrange(f"{{{prefix}}}:revoked", 0, -1))


@on_asyncio
async def test_the_application_owns_its_client(valkey: Valkey) -> None:
    """A client of coredis that the application has entered is used as it is, and left so."""
    coredis = pytest.importorskip("coredis")
    timeouts = {"stream_timeout": 30, "connect_timeout": 30}
    for name in timeouts:
        impatient = coredis.Redis.from_url(valkey.url, **{**timeouts, name: None})
        with pytest.raises(SettingError, match=name):
            server_store("coredis")(impatient)
    async with coredis.Redis.from_url(valkey.url, verify_version=False, **timeouts) as client:
        store = server_store("coredis")(client, prefix=os.urandom(8).hex())
        await store.run()
        assert not await store.is_revoked(MARKS)
        await store.aclose()
        assert not await store.is_revoked(MARKS)


@pytest.mark.parametrize(
    "options",
    [{"max_lag": 0}, {"heartbeat": 0}, {"max_lag": 1, "heartbeat": 0.6}, {"when_unreachable": "allow"}],
)
async def test_what_mirrors_refuse(library: str, options: dict[str, Any]) -> None:
    """Times that contradict each other, and a choice that is not spelled out, are refused."""
    with pytest.raises(SettingError):
        MirroredStore(server_store(library).from_url("redis://localhost"), **options)


def test_only_what_has_a_feed_is_mirrored(tmp_path: Path) -> None:
    """A store that cannot tell others is refused."""
    for store in (MemoryStore(), SQLiteStore(tmp_path / "db"), object()):
        with pytest.raises(SettingError, match="no feed"):
            MirroredStore(store)  # type: ignore[arg-type]
