"""The server killed, stalled, and started again empty, while requests keep coming."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token, verify_token
from asgi_jwt_claims.errors import RevokedTokenError
from asgi_jwt_claims.revocation import (
    MirroredStore,
    RevocationStore,
    revoke_identity,
    revoke_token,
    rotate_refresh_token,
    start_session,
)
from tests.by_hand import ask, bearer, lifespan
from tests.conftest import SECRET
from tests.system.stores.test_contract import server_store
from tests.valkey import Valkey

pytestmark = pytest.mark.anyio

CLIENTS = 8
CONFIG = JWTConfig(secret_key=SECRET)


@pytest.fixture(params=[("redis", "asyncio"), ("coredis", "asyncio"), ("coredis", "trio")], ids="-".join)
def way(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param[0])
    return request.param


@pytest.fixture
def anyio_backend(way: Any) -> Any:
    return way[1]


@pytest.fixture
def server() -> Iterator[Valkey]:
    """A server that this test may do anything to."""
    with Valkey() as started:
        yield started


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


class Load:
    """Requests with two tokens, one of them revoked, one after the other from several clients, without an end."""

    def __init__(self, store: RevocationStore) -> None:
        self.app = JWTMiddleware(application, CONFIG, revocation=store)
        self.good = create_access_token("bob", CONFIG)
        self.revoked = create_access_token("alice", CONFIG)
        self.seen: dict[str, set[int]] = {}
        self.ever: dict[str, set[int]] = {"good": set(), "revoked": set()}
        self.begin()

    def begin(self) -> None:
        """Forget what has been answered until now; what is under way no longer counts."""
        self.seen = {"good": set(), "revoked": set()}

    async def client(self) -> None:
        while True:
            for name, raw in (("good", self.good), ("revoked", self.revoked)):
                seen = self.seen
                status = (await ask(self.app, "/", bearer(raw))).status
                seen[name].add(status)
                self.ever[name].add(status)
            await anyio.sleep(0.005)

    async def until(self, **expected: int) -> None:
        """Wait until exactly this is answered, for a while."""
        with anyio.fail_after(30):
            while True:
                self.begin()
                await anyio.sleep(0.6)
                if {name: {status} for name, status in expected.items()} == self.seen:
                    return


@asynccontextmanager
async def loaded(store: RevocationStore) -> AsyncIterator[Load]:
    load = Load(store)
    async with lifespan(load.app), anyio.create_task_group() as tasks:
        for _ in range(CLIENTS):
            tasks.start_soon(load.client)
        yield load
        tasks.cancel_scope.cancel()


async def test_asked_directly(way: Any, server: Valkey) -> None:
    """Away or stalled, nobody is let in; back again, everybody is, without a restart of the application."""
    store = server_store(way[0]).from_url(server.url, timeout=0.15)
    async with loaded(store) as load:
        await load.until(good=200, revoked=200)
        await revoke_token(verify_token(load.revoked, CONFIG), CONFIG, store)
        await load.until(good=200, revoked=401)
        server.stall()
        await load.until(good=503, revoked=503)
        server.resume()
        await load.until(good=200, revoked=401)
        server.kill()
        await load.until(good=503, revoked=503)
        server.start()
        await load.until(good=200, revoked=200)  # what the server has lost, nobody knows
        await revoke_identity("alice", CONFIG, store)
        await load.until(good=200, revoked=401)


async def test_mirrored(way: Any, server: Valkey) -> None:
    """What is known to be revoked is refused throughout, an empty server is told again, and 503 is all that changes."""
    behind = server_store(way[0]).from_url(server.url, timeout=0.15)
    store = MirroredStore(behind, max_lag=0.6, heartbeat=0.1)
    async with loaded(store) as load:
        await load.until(good=200, revoked=200)
        pair = await start_session("alice", CONFIG, store)
        await revoke_token(verify_token(load.revoked, CONFIG), CONFIG, store)
        await load.until(good=200, revoked=401)
        for statuses in load.ever.values():
            statuses.clear()
        for harm, cure in ((server.kill, server.start), (server.stall, server.resume), (server.kill, server.start)):
            harm()
            await load.until(good=503, revoked=401)
            cure()
            await load.until(good=200, revoked=401)
        assert {"good": {200, 503}, "revoked": {401}} == load.ever
        # The server has been told again: whoever asks it directly knows as well.
        token = verify_token(load.revoked, CONFIG)
        with anyio.fail_after(30):
            while not await behind.check(token, CONFIG):  # noqa: ASYNC110 -- what is waited for happens elsewhere
                await anyio.sleep(0.05)
        # Sessions that the server has lost are over, and no spent token comes to life again.
        with pytest.raises(RevokedTokenError):
            await rotate_refresh_token(pair.refresh_token, CONFIG, store)
        pair = await start_session("alice", CONFIG, store)
        await rotate_refresh_token(pair.refresh_token, CONFIG, store)


async def test_a_server_that_comes_later(way: Any) -> None:
    """An application that starts before its server says 503, and is all right once that is there."""
    server = Valkey()
    store = server_store(way[0]).from_url(server.url, timeout=0.15)
    async with loaded(MirroredStore(store, max_lag=0.6, heartbeat=0.1)) as load:
        await load.until(good=503, revoked=503)
        with server:
            await load.until(good=200, revoked=200)
            await revoke_token(verify_token(load.revoked, CONFIG), CONFIG, store)
            await load.until(good=200, revoked=401)


async def test_the_choice_to_let_in(way: Any, server: Valkey) -> None:
    """Chosen so, the server's absence changes nothing for tokens that are not known to be revoked."""
    store = MirroredStore(
        server_store(way[0]).from_url(server.url, timeout=0.15),
        max_lag=0.6,
        heartbeat=0.1,
        when_unreachable="allow_possibly_revoked_tokens",
    )
    async with loaded(store) as load:
        await load.until(good=200, revoked=200)
        await revoke_token(verify_token(load.revoked, CONFIG), CONFIG, store)
        await load.until(good=200, revoked=401)
        server.kill()
        load.begin()
        seen = load.seen
        await anyio.sleep(2)
        assert {"good": {200}, "revoked": {401}} == seen
        assert not store.is_current
