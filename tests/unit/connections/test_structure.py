"""The structure behind it all: one task for everybody, and nothing that stays when everybody has gone."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token, renew_token, verify_token
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.settings import MiddlewareSettings
from asgi_jwt_claims.connections import registry as watch
from asgi_jwt_claims.connections import websocket as module
from asgi_jwt_claims.connections.base import Connection
from asgi_jwt_claims.connections.registry import ConnectionRegistry
from asgi_jwt_claims.runtime.tasks import caller_from_any_thread
from asgi_jwt_claims.sessions import revoke_identity, revoke_token
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import Header, Receive, Recorder, Scope, Send, bearer, http_scope, talk
from tests.support import SECRET
from tests.unit.connections.connection import Talker, connected, crowded, until
from tests.unit.connections.test_revocations import REVOKED, hello
from tests.unit.connections.test_streams import Silent
from tests.unit.connections.test_websockets import EXPIRED, Busy

pytestmark = pytest.mark.anyio

Expire = Callable[[], None]


def registry() -> ConnectionRegistry | None:
    return watch._REGISTRY.get()


def is_empty(connections: ConnectionRegistry) -> bool:
    return not (connections._queues or connections._by_digest or connections._count or connections._feeds)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """What goes, goes because nothing refers to it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("end", ["the client goes", "it expires", "it is revoked", "it closes", "it fails"])
async def test_nothing_is_kept(
    config: JWTConfig, alice: Header, store: MemoryStore, expire: Expire, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a connection ends, nothing refers to it, the structure is empty, and its task has ended."""
    made: list[weakref.ref[Any]] = []
    connections: list[Any] = []

    class Watched(module.WebSocketConnection):
        """One that can be referred to weakly."""

        __slots__ = ("__weakref__",)

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(weakref.ref(self))

    monkeypatch.setattr(module, "WebSocketConnection", Watched)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        connections.append(registry())
        if end == "it fails":
            raise LookupError
        if end == "it closes":
            await send({"type": "websocket.close"})
            return
        await renew_token(scope, alice[1].split()[1])
        await receive()

    with without_collector():
        async with connected(JWTMiddleware(app, config, store=store), hello(alice)) as connection:
            if end == "it expires":
                expire()
            if end == "it is revoked":
                await revoke_token(verify_token(alice[1].split()[1], config), config, store)
            if end == "the client goes":
                connection.hang_up()
            await until(lambda: connection.is_over)
            connection.error = None
        await until(lambda: registry() is None)
        assert [True] == [is_empty(one) for one in connections]
        assert () == store.feed._listeners
        assert [None] == [connection() for connection in made]


async def test_requests_leave_nothing_behind(config: JWTConfig, alice: Header) -> None:
    """A request whose answer is no stream is never in the structure."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert registry() is None
        await send({"type": "http.response.body"})

    async with connected(JWTMiddleware(app, config), http_scope("/", alice)) as connection:
        await until(lambda: connection.is_over)
    assert connection.error is None


@pytest.mark.thorough
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_many_that_come_and_go(config: JWTConfig, alice: Header) -> None:
    """Times for which nobody waits any more do not pile up, whether they are many or always the same."""
    clock = HeldClock()
    configs = [JWTConfig(secret_key=SECRET, clock=clock, leeway=second / 4) for second in range(200)]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async with connected(JWTMiddleware(Talker(), configs[0]), hello(alice)):
        connections = registry()
        assert connections is not None
        (queue,) = connections._queues.values()
        for number in range(300):
            async with connected(JWTMiddleware(app, configs[number % 200]), hello(alice)) as connection:
                await until(lambda connection=connection: connection.is_over)
            assert 70 > len(queue._ticks)
        assert 1 == len(queue.by_tick)


@pytest.mark.thorough
async def test_one_task_for_a_thousand(config: JWTConfig, anyio_backend: str) -> None:
    """A thousand connections are watched by one task, and end all the same."""
    if anyio_backend == "trio":
        pytest.skip("trio does not list its tasks")
    clock = config.clock
    assert isinstance(clock, HeldClock)
    headers = [bearer(create_access_token(f"user {number}", config)) for number in range(10)]
    middleware = JWTMiddleware(Talker(), config)
    before = asyncio.all_tasks()
    async with crowded(middleware, [hello(headers[number % 10]) for number in range(1000)]) as connections:
        tasks = asyncio.all_tasks() - before
        assert 1001 == len(tasks)  # one of each application, and ours
        clock.now += 1000
        await until(lambda: all(connection.end for connection in connections))
        assert {EXPIRED} == {connection.end for connection in connections}


@pytest.mark.thorough
async def test_many_of_one_user(config: JWTConfig, alice: Header, store: MemoryStore) -> None:
    """All connections of one identity end when it is revoked, and others get their turn meanwhile."""
    middleware = JWTMiddleware(Talker(), config, store=store)
    async with crowded(middleware, [hello(alice) for _ in range(450)]) as connections:
        await revoke_identity("alice", config, store)
        await until(lambda: all(connection.end for connection in connections))
        assert {REVOKED} == {connection.end for connection in connections}


async def test_one_that_cannot_be_ended(
    config: JWTConfig, alice: Header, expire: Expire, caplog: pytest.LogCaptureFixture
) -> None:
    """It is written down, and the others end."""

    class Broken(Connection):
        """A connection that refuses to end."""

        def end_soon(self) -> None:
            raise LookupError("cannot")

    async with connected(JWTMiddleware(Talker(), config), hello(alice)) as connection:
        broken = Broken(connection.scope)
        broken.open()
        async with connected(JWTMiddleware(Talker(), config), hello(alice)) as after:
            expire()
            await until(lambda: connection.end and after.end)
        broken.detach()
    assert ["a connection could not be ended"] == [record.message for record in caplog.records]


async def test_one_that_takes_another_along(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Of two that end in the same moment, one whose end is the end of the other is all that is ended."""
    pair: list[Connection] = []
    ended: list[Connection] = []

    class Sibling(Connection):
        """A connection that ends with another one."""

        def end_soon(self) -> None:
            ended.append(self)
            for one in pair:
                one.detach()

    async with connected(JWTMiddleware(Talker(), config), hello(alice)) as connection:
        pair += [Sibling(connection.scope) for _ in range(2)]
        for one in pair:
            one.open()
        expire()
        await until(lambda: connection.end)
    assert 1 == len(ended)


async def test_a_clock_that_changes_its_mind(config: JWTConfig, alice: Header) -> None:
    """A clock that is set back in the moment in which time was up is believed."""

    class Wavering(HeldClock):
        """Shows a moment of the future every second time, for a while."""

        looks = 1000

        def __call__(self) -> float:
            self.looks += 1
            return super().__call__() + (86_400 if self.looks in (1, 5, 9) else 0)

    wavering = Wavering()
    app = Talker()
    async with connected(JWTMiddleware(app, JWTConfig(secret_key=SECRET, clock=wavering)), hello(alice)) as connection:
        wavering.looks = 0
        await until(lambda: wavering.looks > 20)
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)


async def test_a_clock_that_fails(config: JWTConfig, alice: Header, caplog: pytest.LogCaptureFixture) -> None:
    """A clock that cannot be read does not stop what watches those with another clock."""

    class Failing(HeldClock):
        def __call__(self) -> float:
            if self.now < 0:
                raise OSError("no clock")
            return super().__call__()

    failing, clock = Failing(), config.clock
    assert isinstance(clock, HeldClock)
    other = JWTConfig(secret_key=SECRET, clock=failing)
    async with (
        connected(JWTMiddleware(Talker(), other), hello(alice)) as first,
        connected(JWTMiddleware(Talker(), config), hello(alice)) as second,
    ):
        failing.now = -1
        await until(lambda: caplog.records)
        clock.now += 1000
        await until(lambda: second.end)
        assert not first.end
        first.hang_up()
        await until(lambda: first.is_over)
    assert {"a connection could not be ended"} == {record.message for record in caplog.records}
    assert "no clock" == str(first.error)


async def test_an_end_that_cannot_be_sent(
    config: JWTConfig, alice: Header, expire: Expire, caplog: pytest.LogCaptureFixture
) -> None:
    """That a client has gone by itself is a remark for those who look for it."""
    caplog.set_level(logging.DEBUG)
    app = Busy()
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.has_hung_up = True
        expire()
        await until(lambda: [record for record in caplog.records if "could not be sent" in record.message])
        app.go_on.set()
        await until(lambda: connection.is_over)
    assert {logging.DEBUG} == {record.levelno for record in caplog.records if "asgi_jwt" in record.name}


async def test_the_watching_task_is_cancelled(
    config: JWTConfig, alice: Header, expire: Expire, anyio_backend: str
) -> None:
    """Somebody who cancels all tasks stops it; what is opened after that is watched again, and all the others with it."""
    if anyio_backend == "trio":
        pytest.skip("trio does not list its tasks")
    before = asyncio.all_tasks()
    async with connected(JWTMiddleware(Talker(), config), hello(alice)) as connection:
        (task,) = [one for one in asyncio.all_tasks() - before if "_watch" in repr(one)]
        # Again and again: an event loop may take one that falls on the moment of a timeout for a part of the timeout.
        await until(lambda: not task.cancel())
        async with connected(JWTMiddleware(Talker(), config), hello(alice)) as another:
            expire()
            await until(lambda: connection.end and another.end)
    await until(lambda: registry() is None)


# Event loops ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_event_loop_that_has_ended(
    config: JWTConfig, raw: str, store: MemoryStore, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that was stopped with its connections open hears of nothing any more, and nobody else has to know."""
    monkeypatch.setattr(watch, "spawn", lambda _: None)  # a task that never gets to its end

    async def leave_open() -> None:
        recorder = Recorder()
        await talk(JWTMiddleware(recorder, config, store=store), "/", bearer(raw))
        settings = MiddlewareSettings(config, store=store)
        connection = module.WebSocketConnection(recorder.scope, *recorder.calls[0][1:], settings, None)
        connection.open()

    anyio.run(leave_open, backend=backend)
    (listener,) = set(store.feed._listeners)
    for _ in range(2):
        anyio.run(revoke_identity, "alice", config, store)
        assert () == store.feed._listeners
    listener(())  # it may have been about to be told


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_event_loops_are_not_kept(config: JWTConfig, alice: Header, store: MemoryStore) -> None:
    """An event loop can go once its connections have gone."""
    loops: list[weakref.ref[Any]] = []

    async def connect() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        async with connected(JWTMiddleware(Talker(), config, store=store), hello(alice)) as connection:
            await revoke_token(verify_token(alice[1].split()[1], config), config, store)
            await until(lambda: connection.end)

    await anyio.to_thread.run_sync(asyncio.run, connect())
    gc.collect()
    assert [None] == [loop() for loop in loops]


async def test_calling_from_any_thread() -> None:
    """What was made in an event loop calls in it, whatever thread it is used in."""
    called: list[Any] = []
    happened = anyio.Event()
    call = caller_from_any_thread()

    def note() -> None:
        called.append(sys._current_frames())
        happened.set()

    await anyio.to_thread.run_sync(call, note)
    await happened.wait()
    assert 1 == len(called)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_calling_an_event_loop_that_has_ended(backend: str) -> None:
    """That is a RuntimeError."""

    async def make() -> Any:
        return caller_from_any_thread()

    call = anyio.run(make, backend=backend)
    with pytest.raises(RuntimeError):
        call(lambda: None)


async def test_streams_are_freed(config: JWTConfig, alice: Header, store: MemoryStore, expire: Expire) -> None:
    """The same for a stream."""
    with without_collector():
        async with connected(JWTMiddleware(Silent(), config, store=store), http_scope("/", alice)) as connection:
            await until(lambda: connection.body)
            auth = connection.scope[SCOPE_KEY]
            assert 1 == len(auth.connections)
            expire()
            await until(lambda: connection.is_over)
        assert () == auth.connections
        await until(lambda: registry() is None)
