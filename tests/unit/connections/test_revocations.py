"""Connections end when their token is revoked, from whatever thread, where a store hears of it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    create_access_token,
    get_token,
    verify_token,
)
from asgi_jwt_claims.auth.options import Guard
from asgi_jwt_claims.auth.request import complete_request
from asgi_jwt_claims.auth.state import request_auth
from asgi_jwt_claims.sessions import revoke_identity, revoke_session, revoke_token, start_session
from asgi_jwt_claims.stores import MemoryStore, Revocation
from asgi_jwt_claims.stores._revocation_index import RevocationIndex
from asgi_jwt_claims.stores.base import RevocationFeed
from asgi_jwt_claims.tokens.digests import digests_of
from tests.conftest import NOW, HeldClock
from tests.raw_asgi import App, Header, Receive, Scope, Send, bearer, http_scope, websocket_scope
from tests.scopes import admit
from tests.support import SECRET
from tests.unit.connections.connection import Talker, a_while, connected, until
from tests.unit.connections.test_streams import Silent

pytestmark = pytest.mark.anyio

REVOKED = (3000, "The token has been revoked.")


def hello(header: Header) -> Scope:
    return websocket_scope("/", header)


def guarded(app: App, **rules: Any) -> App:
    """An application behind a guard with these rules."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        access = Guard(**rules)
        auth = request_auth(scope)
        result = auth.result_for(scope, auth.authenticator_with(access.sources))
        await complete_request(scope, result, check_revocation=access.check_revocation)
        admit(scope, access)
        await app(scope, receive, send)

    return guard


async def test_a_token(config: JWTConfig, raw: str, alice: Header, store: MemoryStore) -> None:
    """Its connections end, websockets and streams, and those of another token of the same user do not."""
    other = bearer(create_access_token("alice", config))
    app, stream = Talker(), Silent()
    async with (
        connected(JWTMiddleware(app, config, store=store), hello(alice)) as connection,
        connected(JWTMiddleware(stream, config, store=store), http_scope("/", alice)) as streaming,
        connected(JWTMiddleware(Talker(), config, store=store), hello(other)) as another,
    ):
        await until(lambda: streaming.body)
        await revoke_token(verify_token(raw, config), config, store)
        await until(lambda: connection.is_over and streaming.is_over)
        another.say("still here")
        await until(lambda: ["still here"] == another.texts)
    assert (REVOKED, True) == (connection.end, streaming.end)
    assert {"type": "websocket.disconnect", "code": 3000, "reason": REVOKED[1]} == app.told[-1]


async def test_a_session(config: JWTConfig, store: MemoryStore) -> None:
    """The end of a session ends its connections, and no others."""
    pairs = [await start_session("alice", config, store) for _ in range(2)]
    headers = [bearer(pair.access_token) for pair in pairs]
    middleware = JWTMiddleware(Talker(), config, store=store)
    async with connected(middleware, hello(headers[0])) as one, connected(middleware, hello(headers[1])) as two:
        family = verify_token(pairs[0].access_token, config).session_id
        await revoke_session(str(family), config, store)
        await until(lambda: one.end)
        await a_while()
        assert (REVOKED, False) == (one.end, two.end)


async def test_an_identity(config: JWTConfig, clock: HeldClock, store: MemoryStore) -> None:
    """What an identity has had until now ends; what it has been given since goes on."""
    old = bearer(create_access_token("alice", config))
    clock.now += 20  # more than clocks may differ
    new = bearer(create_access_token("alice", config))
    middleware = JWTMiddleware(Talker(), config, store=store)
    async with connected(middleware, hello(old)) as before, connected(middleware, hello(new)) as after:
        clock.now = NOW + 5
        await revoke_identity("alice", config, store)
        await until(lambda: before.end)
        await a_while()
        assert (REVOKED, False) == (before.end, after.end)


async def test_from_another_thread(config: JWTConfig, raw: str, alice: Header, store: MemoryStore) -> None:
    """A thread, and an event loop of its own, may do it."""

    def revoke() -> None:
        anyio.run(revoke_token, verify_token(raw, config), config, store)

    async with connected(JWTMiddleware(Talker(), config, store=store), hello(alice)) as connection:
        await anyio.to_thread.run_sync(revoke)
        await until(lambda: REVOKED == connection.end)


async def test_between_looking_and_listening(config: JWTConfig, raw: str, alice: Header, store: MemoryStore) -> None:
    """What is revoked in the very moment in which a connection begins to listen does not open it."""

    class Hasty(RevocationFeed):
        """Where a revocation comes in before the first has joined."""

        def subscribe(self, listener: Any) -> None:
            marked = Revocation("identity", _identity(raw, config), NOW + 900, NOW)
            store._index.add(marked, NOW)
            super().subscribe(listener)

    store._feed = Hasty()
    async with connected(JWTMiddleware(Talker(), config, store=store), hello(alice)) as connection:
        await until(lambda: connection.is_over)
    assert (["close"], REVOKED, None) == (connection.types, connection.end, connection.error)
    store._feed, store._index = Hasty(), RevocationIndex()
    stream = Silent()
    async with connected(JWTMiddleware(stream, config, store=store), http_scope("/", alice)) as connection:
        await until(lambda: connection.is_over)
    assert (["start", "body"], b"") == (connection.types, connection.body)


def _identity(raw: str, config: JWTConfig) -> bytes:
    return digests_of(verify_token(raw, config), config).identity


async def test_before_it_is_accepted(config: JWTConfig, raw: str, alice: Header, store: MemoryStore) -> None:
    """A token that is revoked between the handshake and the accept opens nothing."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await revoke_token(scope["token"], config, store)
        await send({"type": "websocket.accept"})

    async with connected(JWTMiddleware(app, config, store=store), hello(alice)) as connection:
        await until(lambda: connection.is_over)
    assert (["close"], REVOKED, None) == (connection.types, connection.end, connection.error)


async def test_a_refused_token_that_nobody_asked_for(
    config: JWTConfig, raw: str, alice: Header, store: MemoryStore
) -> None:
    """Where no token is required, one that is revoked is none, for a websocket as for a request."""
    await revoke_token(verify_token(raw, config), config, store)
    async with connected(JWTMiddleware(Talker(), config, store=store, required=False), hello(alice)) as connection:
        connection.say("as nobody")
        await until(lambda: ["as nobody"] == connection.texts)
        assert connection.scope["token"] is None


async def test_a_guard_that_does_not_heed(config: JWTConfig, raw: str, alice: Header, store: MemoryStore) -> None:
    """`check_revocation=False` lets a connection go on, whether its token is revoked before or after it began."""
    app = JWTMiddleware(guarded(Talker(), check_revocation=False), config, store=store, required=False)
    async with connected(app, hello(alice)) as connection:
        await revoke_token(verify_token(raw, config), config, store)
        await a_while()
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)
    async with connected(app, hello(alice)) as connection:
        connection.say("again")
        await until(lambda: ["again"] == connection.texts)


async def test_a_middleware_that_heeds_for_it(config: JWTConfig, raw: str, alice: Header, store: MemoryStore) -> None:
    """Where the middleware demands tokens it has asked, and would not let this one in again: the connection ends."""
    app = JWTMiddleware(guarded(Talker(), check_revocation=False), config, store=store)
    async with connected(app, hello(alice)) as connection:
        await revoke_token(verify_token(raw, config), config, store)
        await until(lambda: REVOKED == connection.end)


async def test_a_route_that_opts_out(
    config: JWTConfig, raw: str, alice: Header, store: MemoryStore, expire: Callable[[], None]
) -> None:
    """`end_with_token=False` at a guard lets its connections go on, revoked or expired."""
    app = JWTMiddleware(guarded(Talker(), end_with_token=False), config, store=store)
    async with connected(app, hello(alice)) as connection:
        await revoke_token(verify_token(raw, config), config, store)
        expire()
        await a_while()
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)


async def test_a_stream_that_opts_out(config: JWTConfig, alice: Header, expire: Callable[[], None]) -> None:
    """The same for a stream."""
    app = JWTMiddleware(guarded(Silent(), end_with_token=False), config)
    async with connected(app, http_scope("/", alice)) as connection:
        await until(lambda: connection.body)
        expire()
        await a_while()
        assert not connection.end


async def test_a_store_that_hears_nothing(
    config: JWTConfig, raw: str, alice: Header, expire: Callable[[], None]
) -> None:
    """Without a feed a connection ends when its token expires."""

    deaf = MemoryStore(clock=config.clock)
    deaf._feed = None  # type: ignore[assignment]  # as of those that have to be asked
    async with connected(JWTMiddleware(Talker(), config, store=deaf), hello(alice)) as connection:
        deaf._index.add(Revocation("identity", _identity(raw, config), NOW + 900, NOW), NOW)
        await a_while()
        assert ["accept"] == connection.types
        expire()
        await until(lambda: (3000, "The token has expired.") == connection.end)


async def test_a_token_without_an_expiry(clock: HeldClock, store: MemoryStore) -> None:
    """A token that never expires can be revoked; nothing else ends its connections."""
    config = JWTConfig(
        secret_key=SECRET,
        clock=clock,
        access_lifetime=None,
        refresh_lifetime=None,
        required_claims=("jti",),
    )
    raw = create_access_token("alice", config)
    async with connected(JWTMiddleware(Talker(), config, store=store), hello(bearer(raw))) as connection:
        clock.now += 1e9
        await a_while()
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)
        await revoke_token(verify_token(raw, config), config, store)
        await until(lambda: REVOKED == connection.end)


async def test_revoked_and_then_expired(
    config: JWTConfig, raw: str, alice: Header, store: MemoryStore, expire: Callable[[], None]
) -> None:
    """The first reason is the reason."""
    app = Talker()
    async with connected(JWTMiddleware(app, config, store=store), hello(alice)) as connection:
        connection.block()
        await revoke_token(verify_token(raw, config), config, store)
        await until(lambda: connection.is_blocked)
        expire()
        connection.unblock()
        await until(lambda: connection.is_over)
    assert (REVOKED, REVOKED[1]) == (connection.end, app.told[-1]["reason"])


async def test_expired_and_then_revoked(
    config: JWTConfig, raw: str, alice: Header, store: MemoryStore, expire: Callable[[], None]
) -> None:
    """The same the other way round, while a message is on its way."""
    going = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await going.wait()
        await send({"type": "websocket.send", "text": "slow"})

    token = verify_token(raw, config)
    async with connected(JWTMiddleware(app, config, store=store), hello(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await a_while()
        store._index.add(Revocation("token", digests_of(token, config).token, NOW + 9000), NOW)
        store.feed.publish([Revocation("token", digests_of(token, config).token, NOW + 9000)])
        await a_while()
        connection.unblock()
        await until(lambda: connection.is_over)
    assert (3000, "The token has expired.") == connection.end


async def test_a_token_that_is_asked_for_late(config: JWTConfig, raw: str, alice: Header, store: MemoryStore) -> None:
    """On an exempt path the connection goes by a token from the moment at which somebody has asked for it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert "alice" == get_token(scope).identity
        await send({"type": "websocket.send", "text": "asked"})
        await receive()

    async with connected(JWTMiddleware(app, config, exempt=("/",), store=store), hello(alice)) as connection:
        await until(lambda: connection.texts)
        await revoke_token(verify_token(raw, config), config, store)
        await until(lambda: REVOKED == connection.end)


@pytest.mark.thorough
def test_a_feed_that_many_threads_join() -> None:
    """Nobody who joins is forgotten, however many join and leave at once."""
    feed = RevocationFeed()
    told: list[int] = []
    feed._listeners = tuple(lambda _: None for _ in range(20_000))  # so that leaving takes its time

    def come_and_go() -> None:
        def passing(_: Collection[Revocation]) -> None: ...

        for _ in range(20):
            feed.subscribe(passing)
            feed.unsubscribe(passing)
            feed.subscribe(lambda _: told.append(1))

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    feed.publish(())
    assert 160 == len(told)


async def test_only_its_own_store_counts(config: JWTConfig, raw: str, alice: Header, clock: HeldClock) -> None:
    """News of one store are about the connections that go by it."""
    mine, theirs = MemoryStore(clock=clock), MemoryStore(clock=clock)
    middleware = JWTMiddleware(Talker(), config, store=mine)
    another = JWTMiddleware(Talker(), config, store=theirs)
    async with connected(middleware, hello(alice)) as connection, connected(another, hello(alice)) as other:
        await revoke_token(verify_token(raw, config), config, theirs)
        await until(lambda: other.end)
        await a_while()
        assert (REVOKED, False) == (other.end, connection.end)
