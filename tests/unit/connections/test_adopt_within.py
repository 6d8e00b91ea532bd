"""A WebSocket that was let on without a token has to adopt one in time, whatever the application does meanwhile."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest

from asgi_jwt_claims import JWTConfig, JWTMiddleware, adopt_token, get_token
from asgi_jwt_claims.connections import base, registry
from asgi_jwt_claims.errors import MissingTokenError, SettingError, TokenError
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import App, Header, Receive, Scope, Send, http_scope, talk, websocket_scope
from tests.unit.connections.connection import ClientConnection, Talker, a_while, connected, crowded, until
from tests.unit.connections.test_adoption import Adopting
from tests.unit.connections.test_structure import is_empty
from tests.unit.connections.test_websockets import EXPIRED

pytestmark = pytest.mark.anyio

LATE = (3000, "Authentication is required.")


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> HeldClock:
    """The monotonic clock, held."""
    held = HeldClock(1000.0)
    monkeypatch.setattr(base, "monotonic", held)
    return held


def within(app: App, config: JWTConfig, seconds: float = 5, **options: Any) -> JWTMiddleware:
    return JWTMiddleware(app, config, **{"required": False, "adopt_within": seconds, **options})


class Reading(Talker):
    """Waits for the next message."""


class Sleeping:
    """Never reads."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await anyio.sleep_forever()


class Sending:
    """Is busy, and never reads."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await anyio.sleep(0.001)


class Stuck:
    """Is in the middle of sending, to a client that reads nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "text": "tick"})
        await anyio.sleep_forever()


@pytest.mark.parametrize("kind", [Reading, Sleeping, Sending, Stuck])
async def test_nothing_was_adopted(config: JWTConfig, elapsed: HeldClock, kind: Callable[[], Any]) -> None:
    """It is closed, no matter whether the application reads, sleeps, sends, or is stuck; and not a moment earlier."""
    app = kind()
    connection = ClientConnection(websocket_scope("/"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.serve, within(app, config))
        await until(lambda: "accept" in connection.types)
        if kind is Stuck:
            connection.block()
            connection.say("go on")
            await until(lambda: connection.is_blocked)
        elapsed.now += 4.75
        await a_while()
        assert not connection.end
        elapsed.now += 0.25
        await a_while()
        connection.unblock()
        await until(lambda: LATE == connection.end)
        tasks.cancel_scope.cancel()
    assert connection.error is None
    if isinstance(app, Talker):
        assert [{"type": "websocket.disconnect", "code": LATE[0], "reason": LATE[1]}] == app.told


@pytest.mark.parametrize("options", [{}, {"required": True, "exempt": ["/"]}], ids=["optional", "exempt"])
async def test_one_that_adopts_in_time(
    config: JWTConfig, elapsed: HeldClock, clock: HeldClock, raw: str, options: dict[str, Any]
) -> None:
    """Once a token is adopted the connection goes by that token alone."""
    async with connected(within(Adopting(), config, **options), websocket_scope("/")) as connection:
        elapsed.now += 4.75
        connection.say(raw)
        await until(lambda: ["good"] == connection.texts)
        elapsed.now += 3600
        await a_while()
        assert not connection.end
        clock.now += 15 * 60 + 10
        await until(lambda: EXPIRED == connection.end)


async def test_refused_tokens_give_no_more_time(config: JWTConfig, elapsed: HeldClock, raw: str) -> None:
    """However many tokens are refused, the time stays; what is adopted after it comes too late."""
    errors: list[TokenError] = []

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        for _ in range(3):
            await until(lambda: news.pop() if news else "")
            try:
                await adopt_token(scope, said.pop())
            except TokenError as error:
                errors.append(error)

    said, news = [raw, "a.b.c", "a.b.c"], list[bool]()
    async with connected(within(deaf, config), websocket_scope("/")) as connection:
        for number in (1, 2):
            elapsed.now += 2.5
            if number == 2:
                await until(lambda: LATE == connection.end)
            news.append(True)
            await until(lambda number=number: number == len(errors))
        news.append(True)
        await until(lambda: connection.is_over)
    assert ["token_malformed", "token_missing", "token_missing"] == [error.code for error in errors]
    assert connection.error is None


async def test_time_passes_while_it_is_examined(config: JWTConfig, elapsed: HeldClock, raw: str) -> None:
    """A token that is examined for so long that the time has passed is not adopted."""

    class Slow(MemoryStore):
        async def is_revoked(self, marks: Any) -> bool:
            await until(lambda: connection.end)
            return False

    app = Adopting()
    async with connected(within(app, config, store=Slow()), websocket_scope("/")) as connection:
        connection.say(raw)
        await a_while()
        elapsed.now += 5
        await until(lambda: connection.is_over)
    assert ([MissingTokenError], LATE) == (list(map(type, app.errors)), connection.end)
    assert app.scope["token"] is None


async def test_one_that_has_a_token(config: JWTConfig, elapsed: HeldClock, alice: Header) -> None:
    """A handshake with a good token has no need to adopt one; on an exempt path that has to be found first."""

    async def finding(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": get_token(scope).identity})

    for app, options, ends in (
        (Talker(), {}, False),
        (finding, {"required": True, "exempt": ["/"]}, False),
        (Talker(), {"required": True, "exempt": ["/"]}, True),
    ):
        async with connected(within(app, config, **options), websocket_scope("/", alice)) as connection:
            connection.say("hello")
            await until(lambda connection=connection: connection.texts)
            elapsed.now += 5
            await (until(lambda connection=connection: LATE == connection.end) if ends else a_while())
            assert ends is bool(connection.end)


async def test_without_the_option(config: JWTConfig, elapsed: HeldClock) -> None:
    """Without it, a connection may stay without a token for ever, and nothing watches it."""
    async with connected(JWTMiddleware(Talker(), config, required=False), websocket_scope("/")) as connection:
        connections = registry._REGISTRY.get()
        assert connections is not None
        assert is_empty(connections)
        elapsed.now += 86_400
        await a_while()
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)


async def test_the_clock_of_tokens_does_not_count(config: JWTConfig, elapsed: HeldClock, clock: HeldClock) -> None:
    """The time is that of a clock that nobody sets; another close code is sent where one is configured."""
    middleware = within(Talker(), config, timedelta(seconds=1.5), close_code=4401)  # type: ignore[arg-type]
    async with connected(middleware, websocket_scope("/")) as connection:
        clock.now += 86_400
        await a_while()
        assert not connection.end
        clock.now -= 10 * 86_400
        elapsed.now += 1.5
        await until(lambda: (4401, LATE[1]) == connection.end)


async def test_http_requests_have_all_the_time(config: JWTConfig, elapsed: HeldClock) -> None:
    """An http request without a token, be it answered with a stream, has nothing to adopt."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        elapsed.now += 10
        await a_while()
        await send({"type": "http.response.body"})

    async with connected(within(app, config), http_scope("/")) as connection:
        await until(lambda: connection.is_over)
    assert (True, None) == (connection.end, connection.error)


async def test_nothing_is_kept(config: JWTConfig, elapsed: HeldClock) -> None:
    """Whether time is up, the client leaves, or the application closes: the registry is empty then, and its task ends."""
    registries: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        registries.append(registry._REGISTRY.get())
        if scope["path"] == "/close":
            await send({"type": "websocket.close"})
        await receive()

    for path in ("/late", "/leave", "/close"):
        async with connected(within(app, config), websocket_scope(path)) as connection:
            if path == "/late":
                elapsed.now += 5
            if path == "/leave":
                connection.hang_up()
            await until(lambda connection=connection, path=path: connection.is_over or path == "/close")
        await until(lambda: registry._REGISTRY.get() is None)
    assert [True] * 3 == [is_empty(one) for one in registries]


@pytest.mark.thorough
async def test_one_task_for_a_thousand(config: JWTConfig, elapsed: HeldClock, anyio_backend: str, raw: str) -> None:
    """A thousand connections are watched by one task; those that have adopted a token stay."""
    if anyio_backend == "trio":
        pytest.skip("trio does not list its tasks")
    before = asyncio.all_tasks()
    async with crowded(within(Adopting(), config), [websocket_scope("/") for _ in range(1000)]) as connections:
        assert 1001 == len(asyncio.all_tasks() - before)
        for connection in connections[::2]:
            connection.say(raw)
        await until(lambda: all(connection.texts for connection in connections[::2]))
        elapsed.now += 5
        await until(lambda: all(connection.end for connection in connections[1::2]))
        assert {LATE} == {connection.end for connection in connections[1::2]}
        assert not [connection for connection in connections[::2] if connection.end]


async def test_two_middlewares(config: JWTConfig, elapsed: HeldClock, raw: str) -> None:
    """The token that the inner one adopts is enough for the outer one; without it, the one with less time closes."""
    middleware = within(within(Adopting(), config, 9), config, 5, close_code=4001)
    async with connected(middleware, websocket_scope("/")) as connection:
        connection.say(raw)
        await until(lambda: ["good"] == connection.texts)
        elapsed.now += 10
        await a_while()
        assert not connection.end
    async with connected(middleware, websocket_scope("/")) as connection:
        elapsed.now += 5
        await until(lambda: (4001, LATE[1]) == connection.end)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        *(({"adopt_within": value}, "adopt_within must be") for value in (0, -1, True, "5", math.nan, math.inf)),
        ({"required": True}, "set required=False, or name"),
        ({"end_with_token": False}, "needs end_with_token=True"),
    ],
)
async def test_settings(config: JWTConfig, options: dict[str, Any], reason: str) -> None:
    """A time that cannot be used, or would do nothing, is refused with what to write instead."""
    with pytest.raises(SettingError, match=reason):
        within(Talker(), config, **options)


async def test_real_time(config: JWTConfig, caplog: pytest.LogCaptureFixture) -> None:
    """By the clock of the machine, too, and without a word in the log."""
    caplog.set_level(logging.INFO)
    async with connected(within(Talker(), config, 0.05), websocket_scope("/")) as connection:
        await until(lambda: LATE == connection.end)
    exchange = await talk(within(Talker(), config, 60), "/", says=["hello"])
    assert (["hello"], []) == (exchange.texts, caplog.records)
