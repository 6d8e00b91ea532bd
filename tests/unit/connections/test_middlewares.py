"""Several middlewares, several configurations, several issuers: a connection ends with the first token that does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asgi_jwt_claims import (
    BearerHeader,
    JWTConfig,
    JWTMiddleware,
    create_access_token,
    renew_token,
)
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import Header, Receive, Scope, Send, websocket_scope
from tests.support import SECRET
from tests.unit.connections.connection import Talker, a_while, connected, until
from tests.unit.connections.test_revocations import REVOKED, guarded, hello
from tests.unit.connections.test_websockets import EXPIRED

pytestmark = pytest.mark.anyio

Expire = Callable[[], None]
OTHER = SECRET[::-1]
PROXY = BearerHeader("X-Proxy-Token")


async def test_the_same_twice(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Two middlewares of one configuration close once, with the code of the outer one, and the application is told once."""
    app = Talker()
    outer = JWTMiddleware(JWTMiddleware(app, config, close_code=4001), config, close_code=4002)
    async with connected(outer, hello(alice)) as connection:
        connection.say("hello")
        await until(lambda: connection.texts)
        expire()
        await until(lambda: connection.is_over)
    assert (["accept", "send", "close"], (4002, EXPIRED[1]), None) == (
        connection.types,
        connection.end,
        connection.error,
    )
    assert 2 == len(app.told)


async def test_the_outer_one_alone(config: JWTConfig, clock: HeldClock, alice: Header, expire: Expire) -> None:
    """A token that only the outer one knows ends the connection, whatever the inner one puts into the scope."""
    inner = JWTConfig(secret_key=OTHER, clock=clock)
    app = JWTMiddleware(JWTMiddleware(Talker(), inner, required=False, sources=[PROXY]), config)
    async with connected(app, hello(alice)) as connection:
        assert connection.scope["token"] is None
        expire()
        await until(lambda: EXPIRED == connection.end)


@pytest.mark.parametrize("first", ["outer", "inner"])
async def test_whichever_comes_first(config: JWTConfig, clock: HeldClock, alice: Header, first: str) -> None:
    """Of two tokens under two configurations, the one that expires first ends the connection."""
    inner = JWTConfig(secret_key=OTHER, clock=clock, access_lifetime=60 if first == "inner" else 7200)
    other = (b"x-proxy-token", b"Bearer " + create_access_token("proxy", inner).encode())
    app = JWTMiddleware(JWTMiddleware(Talker(), inner, sources=[PROXY]), config)
    async with connected(app, websocket_scope("/", alice, other)) as connection:
        clock.now += 70 if first == "inner" else 0
        clock.now += 910 if first == "outer" else 0
        await until(lambda: EXPIRED == connection.end)
    assert connection.error is None


async def test_two_stores(config: JWTConfig, raw: str, clock: HeldClock, alice: Header) -> None:
    """Each middleware heeds its own store."""
    stores = [MemoryStore(clock=clock) for _ in range(2)]
    app = JWTMiddleware(JWTMiddleware(Talker(), config, store=stores[1]), config, store=stores[0])
    for store in stores:
        async with connected(app, hello(alice)) as connection:
            await revoke_token(connection.scope["token"], config, store)
            await until(lambda connection=connection: REVOKED == connection.end)
        store._index = type(store._index)()


async def test_one_of_them_opts_out(config: JWTConfig, clock: HeldClock, alice: Header, expire: Expire) -> None:
    """What one middleware leaves alone, the other one ends."""
    for outer, inner in ((True, False), (False, True)):
        app = JWTMiddleware(JWTMiddleware(Talker(), config, end_with_token=inner), config, end_with_token=outer)
        fresh = (b"authorization", b"Bearer " + create_access_token("alice", config).encode())
        async with connected(app, hello(fresh)) as connection:
            expire()
            await until(lambda connection=connection: EXPIRED == connection.end)
        assert connection.error is None


async def test_a_route_opts_out_of_both(config: JWTConfig, clock: HeldClock, alice: Header, expire: Expire) -> None:
    """A guard opts out for all that is around it."""
    inner = JWTConfig(secret_key=OTHER, clock=clock)
    other = (b"x-proxy-token", b"Bearer " + create_access_token("proxy", inner).encode())
    app = JWTMiddleware(JWTMiddleware(guarded(Talker(), end_with_token=False), inner, sources=[PROXY]), config)
    async with connected(app, websocket_scope("/", alice, other)) as connection:
        expire()
        await a_while()
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)


async def test_a_guard_with_sources_of_its_own(config: JWTConfig, alice: Header, clock: HeldClock) -> None:
    """A token that only a guard looks for ends the connection, and one of the middleware's does."""
    hasty = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=60)
    other = (b"x-proxy-token", b"Bearer " + create_access_token("alice", hasty).encode())
    app = JWTMiddleware(guarded(Talker(), sources=[PROXY]), config)
    async with connected(app, websocket_scope("/", alice, other)) as connection:
        clock.now += 70
        await until(lambda: EXPIRED == connection.end)


async def test_several_issuers(clock: HeldClock) -> None:
    """A connection goes by the configuration of the issuer that its token names, for its renewal, too."""
    configs = [
        JWTConfig(secret_key=secret, clock=clock, issuer=f"https://{name}.example", leeway=leeway)
        for secret, name, leeway in ((SECRET, "one", 0), (OTHER, "two", 60))
    ]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await renew_token(scope, (await receive())["text"])
        await send({"type": "websocket.send", "text": "renewed"})
        await receive()

    for config, left in zip(configs, (0, 60), strict=True):
        header = (b"authorization", b"Bearer " + create_access_token("alice", config).encode())
        async with connected(JWTMiddleware(app, configs), hello(header)) as connection:
            connection.say(create_access_token("alice", config))
            await until(lambda connection=connection: connection.texts)
            clock.now += 899 + left
            await a_while()
            assert not connection.end
            clock.now += 1
            await until(lambda connection=connection: EXPIRED == connection.end)
