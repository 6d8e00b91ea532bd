"""Redis and Valkey as they are in daily life: busy, full, forgetful, and with a clock of their own."""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_jwt_claims.errors import StoreUnavailableError
from asgi_jwt_claims.stores import MirroredStore, Revocation, SessionRecord, TokenDigests
from tests.conftest import HeldClock
from tests.valkey import Valkey

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

PATIENCE = 60.0  # seconds
MARK = b"m" * 16
MARKS = TokenDigests(MARK, b"f" * 16, b"i" * 16, 5.0)
PREFIX = "{asgi-jwt-claims}"


def record(number: int, **changes: Any) -> SessionRecord:
    session = number.to_bytes(16, "big")
    plain = SessionRecord(session, MARK, "id", session, b"", 0.0, b"", 0.0, 1.0, 1.0, time.time() + 3600, "")
    return plain._replace(**changes)


def revocation(number: int) -> Revocation:
    return Revocation("token", number.to_bytes(16, "big"), math.inf)


@pytest.fixture
def server() -> Iterator[Valkey]:
    """A server that the test may do anything to."""
    with Valkey() as started:
        yield started


@pytest.fixture(params=["redis", "coredis"])
def library(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    name: str = request.param
    return name


def make(library: str, server: Valkey, **options: Any) -> Any:
    kind = getattr(importlib.import_module(f"asgi_jwt_claims.stores.{library}"), f"{library.capitalize()}Store")
    return kind.from_url(server.url, **{"timeout": PATIENCE, **options})


@asynccontextmanager
async def running(library: str, server: Valkey, **options: Any) -> AsyncIterator[Any]:
    """A store, looked after."""
    store = make(library, server, **options)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.run)
        await anyio.sleep(0.05)
        yield store
        tasks.cancel_scope.cancel()


async def current(mirror: MirroredStore) -> None:
    """Wait until a mirror has read everything."""
    while not mirror.is_current:  # noqa: ASYNC110 -- what is waited for happens elsewhere
        await anyio.sleep(0.01)


async def test_more_calls_than_connections(library: str, server: Valkey) -> None:
    """Any number of calls at once is answered: they wait for a connection."""
    answers: list[bool] = []

    async def ask(store: Any) -> None:
        answers.append(await store.is_revoked(MARKS))

    async with running(library, server, timeout=60) as store:
        async with anyio.create_task_group() as tasks:
            for _ in range(500):
                tasks.start_soon(ask, store)
        assert [False] * 500 == answers


async def test_waiting_for_a_connection_ends(server: Valkey) -> None:
    """A call waits for a free connection, and for a new one, as long as for an answer; the URL says how many there are."""
    pytest.importorskip("redis")
    pools = [make("redis", server, timeout=7)._client.connection_pool for _ in range(2)]
    assert [(32, 7)] * 2 == [(pool.max_connections, pool.timeout) for pool in pools]
    assert [7, 7] == [pool.connection_kwargs["socket_connect_timeout"] for pool in pools]
    server.url += "?max_connections=3"
    assert 3 == make("redis", server)._client.connection_pool.max_connections


async def test_a_clock_that_is_fast(library: str, server: Valkey) -> None:
    """What one node has revoked, and the sessions that it knows, no other with a faster clock deletes."""
    async with (
        running(library, server) as slow,
        running(library, server, clock=lambda: time.time() + 250) as fast,
    ):
        await slow.revoke([Revocation("token", MARK, time.time() + 200)])
        brief = record(1, expires_at=time.time() + 200)
        await slow.replace_session(brief.session, b"", brief)
        await fast.revoke([revocation(2)])
        await fast.replace_session(record(3).session, b"", record(3))
        assert await slow.is_revoked(MARKS)
        assert [brief.session, record(3).session] == [one.session for one in await slow.sessions(MARK)]


async def test_what_has_expired_leaves_the_lists(server: Valkey) -> None:
    """Sessions that have expired by the clock of the server leave the list of their identity as others begin."""
    redis = pytest.importorskip("redis.asyncio")
    async with running("redis", server, clock=HeldClock(1000)) as store, redis.Redis.from_url(server.url) as client:
        key = f"{PREFIX}:sessions:{MARK.hex()}"
        await client.zadd(key, {b"old".hex(): time.time() - 400, b"new".hex(): time.time() - 200})
        endless = record(1, expires_at=math.inf)
        await store.replace_session(endless.session, b"", endless)
        assert {b"new".hex().encode(), endless.session.hex().encode()} == set(await client.zrange(key, 0, -1))


@pytest.mark.parametrize("lost", ["DEL {asgi-jwt-claims}:revoked", "FLUSHALL"])
async def test_a_server_that_loses_keys(library: str, server: Valkey, lost: str) -> None:
    """When a server loses what is revoked, a mirror tells it again, and processes that ask the server know it."""
    async with running(library, server) as behind:
        mirror = MirroredStore(make(library, server), heartbeat=0.05)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mirror.run)
            with anyio.fail_after(PATIENCE):
                await current(mirror)
                await mirror.revoke([Revocation("token", MARK, math.inf), Revocation("identity", b"i", math.inf, 5.0)])
                assert await behind.is_revoked(MARKS)
                server.say(lost)
                while not await behind.is_revoked(MARKS):  # noqa: ASYNC110 -- as above
                    await anyio.sleep(0.01)
                assert 5.0 == await behind.cutoff(b"i")
            tasks.cancel_scope.cancel()


async def test_a_mirror_that_begins_later(library: str, server: Valkey) -> None:
    """A mirror knows everything that was revoked before it began: tokens, and identities up to their time."""
    async with running(library, server) as behind:
        await behind.revoke([Revocation("identity", MARK, math.inf, 5.0), *(revocation(one) for one in range(2000))])
        mirror = MirroredStore(make(library, server))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mirror.run)
            with anyio.fail_after(PATIENCE):
                await current(mirror)
            server.kill()
            assert 2001 == len(mirror)
            for number in (0, 999, 1999):
                assert await mirror.is_revoked(MARKS._replace(token=revocation(number).digest))
            for issued_at, expected in ((4.0, True), (5.0, True), (6.0, False)):
                assert expected is await mirror.is_revoked(TokenDigests(b"", b"", MARK, issued_at))
            tasks.cancel_scope.cancel()


async def test_a_later_cutoff_that_a_server_has_lost(library: str, server: Valkey) -> None:
    """A mirror tells a server of the later cutoff that it had, also where it expires no later."""
    async with running(library, server) as behind:
        mirror = MirroredStore(make(library, server), heartbeat=0.05)
        until = time.time() + 3600
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mirror.run)
            with anyio.fail_after(PATIENCE):
                await current(mirror)
                await mirror.revoke([Revocation("identity", MARK, until, 9.0)])
                server.say("FLUSHALL")
                await behind.revoke([Revocation("identity", MARK, until, 4.0)])
                while 9.0 != await behind.cutoff(MARK):  # noqa: ASYNC110 -- as above
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()


async def test_a_full_server(library: str, server: Valkey) -> None:
    """A server without memory refuses everything that would grow, before any of it is done; looking goes on."""
    async with running(library, server) as store:
        before = record(1, response=b"sealed", response_until=time.time() + 3600)
        await store.revoke([revocation(1)])
        await store.replace_session(before.session, b"", before)
        server.say("CONFIG SET maxmemory 1")
        after = before._replace(current=MARK, response=b"")
        for call in (
            lambda: store.revoke([revocation(2)]),
            lambda: store.replace_session(before.session, before.current, after),
            lambda: store.replace_session(record(2).session, b"", record(2)),
        ):
            with pytest.raises(StoreUnavailableError):
                await call()
        assert await store.is_revoked(MARKS._replace(token=revocation(1).digest))
        assert not await store.is_revoked(MARKS._replace(token=revocation(2).digest))
        assert [before] == await store.sessions(MARK)
        assert (await store.position()).number == (await store.position()).number
        server.say("CONFIG SET maxmemory 0")
        assert await store.replace_session(before.session, before.current, after)
        assert after == await store.session(before.session)


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "volatile-ttl"])
async def test_a_server_that_drops_data(
    library: str, server: Valkey, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that may drop data is warned about, once, when the application starts or at the first call."""
    server.say(f"CONFIG SET maxmemory-policy {policy}")
    async with running(library, server) as store:
        for _ in range(3):
            assert not await store.is_revoked(MARKS)
    expected = [] if policy == "noeviction" else [True]
    assert expected == [f"maxmemory-policy {policy}" in one.getMessage() for one in caplog.records]


async def test_a_server_that_says_nothing_of_itself(
    library: str, server: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    """Where `INFO` is forbidden, nothing is said about the server, and everything works."""
    server.say("ACL SETUSER default -info")
    async with running(library, server) as store:
        await store.revoke([revocation(1)])
        assert await store.is_revoked(MARKS._replace(token=revocation(1).digest))
    assert [] == caplog.records


async def test_what_a_version_before_has_written(server: Valkey) -> None:
    """Cutoffs that were kept under a name of their own, and sessions without the latest fields, are known."""
    redis = pytest.importorskip("redis.asyncio")
    one = record(1, expires_at=math.inf)
    async with redis.Redis.from_url(server.url) as client:
        await client.zadd(f"{PREFIX}:revoked", {MARK.hex(): math.inf})
        await client.zadd(f"{PREFIX}:issued_until", {MARK.hex(): 7.5})
        await client.set(f"{PREFIX}:number", 1000)
        fields = {
            "identity": MARK.hex(),
            "id": one.session_id,
            "current": one.current.hex(),
            "previous": "",
            "spent_at": "0.0",
            "sealed_until": "0.0",
            "started_at": "1.0",
            "refreshed_at": "1.0",
            "expires_at": "+inf",
            "label": "",
        }
        await client.hset(f"{PREFIX}:session:{one.session.hex()}", mapping=fields)
        await client.zadd(f"{PREFIX}:sessions:{MARK.hex()}", {one.session.hex(): math.inf})
        async with running("redis", server) as store:
            assert 7.5 == await store.cutoff(MARK)
            assert [one] == await store.sessions(MARK)
            assert await store.is_revoked(MARKS._replace(identity=MARK))
            assert (0, [Revocation("identity", MARK, math.inf, 7.5)]) == await store.page(0)
        assert 0 == await client.exists(f"{PREFIX}:issued_until", f"{PREFIX}:number")


async def test_a_session_that_the_release_before_has_written(server: Valkey) -> None:
    """Every field of its hash is read, under the name that it had there, and is written under that name again."""
    redis = pytest.importorskip("redis.asyncio")
    later = float(int(time.time()) + 3600)
    one = SessionRecord(
        session=MARK,
        identity=b"i" * 16,
        session_id="0f",
        current=b"c" * 16,
        previous=b"p" * 16,
        previous_used_at=5.5,
        response=b"an answer",
        response_until=later,
        started_at=1.5,
        refreshed_at=2.5,
        expires_at=later + 1,
        label="phone",
        access_expires_at=later + 2,
        audience='["a","b"]',
        repeats=7,
        was_repeated=True,
    )
    fields = {
        "identity": one.identity.hex(),
        "id": "0f",
        "current": one.current.hex(),
        "previous": one.previous.hex(),
        "spent_at": "5.5",
        "sealed_until": repr(later),
        "started_at": "1.5",
        "refreshed_at": "2.5",
        "expires_at": repr(later + 1),
        "label": "phone",
        "access_expires_at": repr(later + 2),
        "audience": '["a","b"]',
        "repeats": "7",
        "was_repeated": "1",
        "has_ended": "0",
    }
    key = f"{PREFIX}:session:{MARK.hex()}"
    async with redis.Redis.from_url(server.url, decode_responses=True) as client:
        await client.hset(key, mapping=fields)
        await client.set(f"{PREFIX}:sealed:{MARK.hex()}", "YW4gYW5zd2Vy")
        await client.zadd(f"{PREFIX}:sessions:{one.identity.hex()}", {MARK.hex(): later + 1})
        async with running("redis", server) as store:
            assert one == await store.session(MARK)
            assert [one] == await store.sessions(one.identity)
            assert await store.replace_session(MARK, one.current, one._replace(current=b"n" * 16))
        assert {**fields, "current": (b"n" * 16).hex()} == await client.hgetall(key)


async def test_pages_of_sessions(library: str, server: Valkey) -> None:
    """A page is as long as was asked for, although sessions of the list have expired."""
    async with running(library, server) as store:
        every = [record(number, label="\u00fc") for number in range(1, 1201)]
        for one in every:
            await store.replace_session(one.session, b"", one)
        for one in every[10:700]:
            server.say(f"DEL {PREFIX}:session:{one.session.hex()}")
        live = [*every[:10], *every[700:]]
        assert live[:500] == await store.sessions(MARK)
        assert live[500:] == await store.sessions(MARK, after=live[499].session)
        assert live == await store.sessions(MARK, limit=5000)
        assert live[5:12] == await store.sessions(MARK, after=live[4].session, limit=7)


async def test_a_session_that_makes_no_sense(library: str, server: Valkey) -> None:
    """A session that cannot be read is an error of the store, and no other."""
    async with running(library, server) as store:
        await store.replace_session(record(1).session, b"", record(1))
        server.say(f"HSET {PREFIX}:session:{record(1).session.hex()} expires_at soon")
        with pytest.raises(StoreUnavailableError):
            await store.session(record(1).session)
        with pytest.raises(StoreUnavailableError):
            await store.replace_session(record(2).session, b"", record(2, label="\ud83d"))


async def test_no_key_is_left_behind(server: Valkey) -> None:
    """Of a session that ended only its record is left: no response, and no entry in a list."""
    async with running("redis", server) as store:
        one = record(1, response=os.urandom(9), response_until=time.time() + 3600)
        await store.replace_session(one.session, b"", one)
        await store.replace_session(one.session, one.current, one._replace(response=b"", has_ended=True))
        keys = [line for line in server.say("KEYS *").split(b"\r\n") if line.startswith(b"{")]
        assert [f"{PREFIX}:session:{one.session.hex()}".encode()] == keys
