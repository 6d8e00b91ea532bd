"""The server killed, stalled, and started again empty, while requests keep coming."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token, verify_token
from asgi_jwt_claims.errors import RevokedTokenError, StoreUnavailableError
from asgi_jwt_claims.sessions import (
    revoke_identity,
    revoke_token,
    rotate_refresh_token,
    start_session,
)
from asgi_jwt_claims.stores import MirroredStore, TokenStore
from tests.raw_asgi import ask, bearer, lifespan
from tests.support import SECRET
from tests.system.stores.test_contract import server_store
from tests.valkey import Valkey

pytestmark = pytest.mark.anyio

CLIENTS = 8
PATIENCE = 120.0
"""Seconds after which something does not happen any more."""

TIMEOUT = 0.6
"""Seconds that an answer never takes, however busy the machine is: one that comes later counts as no answer."""

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

    def __init__(self, store: TokenStore) -> None:
        self.app = JWTMiddleware(application, CONFIG, store=store)
        self.good = create_access_token("bob", CONFIG)
        self.revoked = create_access_token("alice", CONFIG)
        self.ever: dict[str, set[int]] = {"good": set(), "revoked": set()}
        self._rounds: list[dict[str, int]] = []

    async def client(self) -> None:
        while True:
            rounds, statuses = self._rounds, {}
            for name, raw in (("good", self.good), ("revoked", self.revoked)):
                statuses[name] = (await ask(self.app, "/", bearer(raw))).status
                self.ever[name].add(statuses[name])
            rounds.append(statuses)  # of those that are waited for, only if it has begun after them
            await anyio.sleep(0.02)

    async def rounds(self) -> list[dict[str, int]]:
        """What is answered from now on, as many times as makes two for each client."""
        self._rounds = []
        with anyio.fail_after(PATIENCE):
            while len(self._rounds) < 2 * CLIENTS:  # noqa: ASYNC110 -- the clients tell nobody
                await anyio.sleep(0.005)
        return self._rounds

    async def until(self, **expected: int) -> None:
        """Wait until exactly this is answered."""
        with anyio.fail_after(PATIENCE):
            while any(statuses != expected for statuses in await self.rounds()):
                pass


async def at_last(do: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """What comes of it when the store can be reached; for a moment a busy machine is no better than a server away."""
    with anyio.fail_after(PATIENCE):
        while True:
            with suppress(StoreUnavailableError):
                return await do(*arguments)


@asynccontextmanager
async def loaded(store: TokenStore) -> AsyncIterator[Load]:
    load = Load(store)
    async with lifespan(load.app), anyio.create_task_group() as tasks:
        for _ in range(CLIENTS):
            tasks.start_soon(load.client)
        yield load
        tasks.cancel_scope.cancel()


async def test_asked_directly(way: Any, server: Valkey) -> None:
    """While the server is away or stalled, no token is accepted; once it is back, tokens are, without a restart."""
    store = server_store(way[0]).from_url(server.url, timeout=TIMEOUT)
    async with loaded(store) as load:
        await load.until(good=200, revoked=200)
        await at_last(revoke_token, verify_token(load.revoked, CONFIG), CONFIG, store)
        await load.until(good=200, revoked=401)
        server.stall()
        await load.until(good=503, revoked=503)
        server.resume()
        await load.until(good=200, revoked=401)
        server.kill()
        await load.until(good=503, revoked=503)
        server.start()
        await load.until(good=200, revoked=200)  # what the server has lost, nobody knows
        await at_last(revoke_identity, "alice", CONFIG, store)
        await load.until(good=200, revoked=401)


async def test_mirrored(way: Any, server: Valkey) -> None:
    """What is known to be revoked is refused throughout, an empty server is told again, and 503 is all that changes."""
    behind = server_store(way[0]).from_url(server.url, timeout=TIMEOUT)
    store = MirroredStore(behind, max_lag=0.6, heartbeat=0.1)
    async with loaded(store) as load:
        await load.until(good=200, revoked=200)
        pair = await at_last(start_session, "alice", CONFIG, store)
        await at_last(revoke_token, verify_token(load.revoked, CONFIG), CONFIG, store)
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
        with anyio.fail_after(PATIENCE):
            while not await at_last(behind.check, token, CONFIG):  # noqa: ASYNC110 -- what is waited for happens elsewhere
                await anyio.sleep(0.05)
        # Sessions that the server has lost are over, and no spent token comes to life again.
        with pytest.raises(RevokedTokenError):
            await at_last(rotate_refresh_token, pair.refresh_token, CONFIG, store)
        pair = await at_last(start_session, "alice", CONFIG, store)
        await at_last(rotate_refresh_token, pair.refresh_token, CONFIG, store)


async def test_a_server_that_comes_later(way: Any) -> None:
    """An application that starts before its server says 503, and is all right once that is there."""
    server = Valkey()
    store = server_store(way[0]).from_url(server.url, timeout=TIMEOUT)
    async with loaded(MirroredStore(store, max_lag=0.6, heartbeat=0.1)) as load:
        await load.until(good=503, revoked=503)
        with server:
            await load.until(good=200, revoked=200)
            await at_last(revoke_token, verify_token(load.revoked, CONFIG), CONFIG, store)
            await load.until(good=200, revoked=401)


async def test_the_choice_to_let_in(way: Any, server: Valkey) -> None:
    """Chosen so, the server's absence changes nothing for tokens that are not known to be revoked."""
    store = MirroredStore(
        server_store(way[0]).from_url(server.url, timeout=TIMEOUT),
        max_lag=0.6,
        heartbeat=0.1,
        when_unreachable="allow_possibly_revoked_tokens",
    )
    async with loaded(store) as load:
        await load.until(good=200, revoked=200)
        await at_last(revoke_token, verify_token(load.revoked, CONFIG), CONFIG, store)
        await load.until(good=200, revoked=401)
        server.kill()
        for statuses in load.ever.values():
            statuses.clear()
        with anyio.fail_after(PATIENCE):
            while store.is_current:  # noqa: ASYNC110 -- the store tells nobody
                await anyio.sleep(0.01)
        await load.rounds()
        assert {"good": {200}, "revoked": {401}} == load.ever
