"""Sanic's connections end with their token, on its own server and in ASGI mode, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

pytest.importorskip("sanic")
pytest.importorskip("uvicorn")
pytest.importorskip("wsproto")

import httpx2
from sanic import HTTPResponse, Request, Sanic, text
from sanic.exceptions import RequestCancelled
from sanic.response.types import ResponseStream
from websockets.exceptions import ConnectionClosed

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    TokenError,
    create_access_token,
    current_token,
    renew_token,
)
from asgi_jwt_claims.auth.request import get_token
from asgi_jwt_claims.connections import registry as _watch
from asgi_jwt_claims.connections.base import Connection
from asgi_jwt_claims.errors import ConnectionEndedError, NotGuardedError, WrongIdentityError
from asgi_jwt_claims.sanic import install, jwt_required
from asgi_jwt_claims.sanic._connections import TaskBound, _hang_up, _OwnStream
from asgi_jwt_claims.sessions import revoke_identity
from asgi_jwt_claims.stores import MemoryStore
from tests import raw_asgi
from tests.apps.sanic_adapter import new_app, serving
from tests.apps.sanic_sites import Serve, bearer, is_own, on_uvicorn, open_socket, until
from tests.conftest import HeldClock
from tests.sockets import PATIENCE, handshake_bytes
from tests.support import SECRET

pytestmark = pytest.mark.anyio

Cause = Callable[[], Awaitable[None]]

EXPIRED = "The token has expired."
REVOKED = "The token has been revoked."
LATER = 3600


@pytest.fixture
def anyio_backend() -> str:
    """Sanic runs on asyncio only."""
    return "asyncio"


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Records of errors would keep what had to be freed."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The held clock is looked at all the time, instead of every second."""
    monkeypatch.setattr(_watch, "_LONGEST_PAUSE", 0.005)


@pytest.fixture(params=[serving, on_uvicorn], ids=["own server", "asgi"])
def serve(request: pytest.FixtureRequest) -> Any:
    """Both ways to run an application."""
    return request.param


@pytest.fixture
def config(clock: HeldClock) -> JWTConfig:
    """No leeway."""
    return JWTConfig(secret_key=SECRET, clock=clock, leeway=0, access_lifetime=LATER)


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config)


@pytest.fixture(params=["expires", "is revoked"])
def cause(request: pytest.FixtureRequest, clock: HeldClock, config: JWTConfig, store: MemoryStore) -> Any:
    """What ends the token, and the reason that is given."""

    async def expire() -> None:
        clock.now += LATER

    async def revoke() -> None:
        await revoke_identity("alice", config, store)

    return (expire, EXPIRED) if request.param == "expires" else (revoke, REVOKED)


class Handlers:
    """An application whose handlers say in `seen` how they ended."""

    def __init__(self) -> None:
        self.app = new_app()
        self.seen: list[str] = []
        self._told = asyncio.Event()
        for kind in (self.listen, self.tell):
            self.app.add_websocket_route(self.watched(kind), f"/{kind.__name__}", name=kind.__name__)
        for kind in (self.busy, self.silent, self.flood, self.brief):
            self.app.add_route(self.watched(kind), f"/{kind.__name__}", name=kind.__name__)

    def watched(self, handler: Callable[..., Awaitable[None]]) -> Any:
        async def watch(request: Request, *ws: Any) -> None:
            try:
                await handler(request, *ws)
            finally:
                error = sys.exception()
                self.seen.append("returned" if error is None else type(error).__name__)

        watch.__name__ = handler.__name__
        return watch

    async def ended(self) -> str:
        """How the one handler that ran has ended; the silent one is told to, where nothing else tells it."""
        self._told.set()
        await until(lambda: self.seen)
        (how,) = self.seen
        return how

    async def listen(self, request: Request, ws: Any) -> None:
        await ws.send("open")
        while (heard := await ws.recv()) is not None:
            await ws.send(heard)

    async def tell(self, request: Request, ws: Any) -> None:
        while True:
            await ws.send("open")
            await anyio.sleep(0.01)

    async def busy(self, request: Request) -> None:
        response = await request.respond(content_type="text/event-stream; charset=utf-8")
        while True:
            await response.send("data: 1\n\n")
            await anyio.sleep(0.01)

    async def silent(self, request: Request) -> None:
        response = await request.respond(headers={"content-type": "Text/Event-Stream"})
        await response.send("data: 1\n\n")
        await (self._told.wait() if request.app.asgi else anyio.sleep_forever())  # in ASGI mode nothing tells it

    async def flood(self, request: Request) -> None:
        response = await request.respond(content_type="text/event-stream")
        while True:
            await response.send("data: 1\n\n" * 10_000)

    async def brief(self, request: Request) -> None:
        response = await request.respond(content_type="text/event-stream")
        await response.send("data: 1\n\n")
        await response.send("data: 2\n\n")


async def close_of(websocket: Any) -> tuple[int, str]:
    """Code and reason of the close, whatever has been said before."""
    with anyio.fail_after(PATIENCE):
        with pytest.raises(ConnectionClosed):  # noqa: PT012 -- whichever of them it is
            while True:
                await websocket.recv()
        await websocket.wait_closed()
    return websocket.close_code, websocket.close_reason


@asynccontextmanager
async def open_stream(address: str, path: str, raw: str) -> AsyncIterator[AsyncIterator[str]]:
    """The text of a stream, piece by piece; one that does not end as it should raises."""
    async with (
        httpx2.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=False, timeout=PATIENCE) as client,
        client.stream("GET", path, headers=bearer(raw)) as response,
    ):
        assert 200 == response.status_code
        yield response.aiter_text()


async def rest_of(pieces: AsyncIterator[str]) -> str:
    """What is left of a stream."""
    return "".join([piece async for piece in pieces])


class Made:
    """The connections that the test has made."""

    def __init__(self) -> None:
        self.all: weakref.WeakSet[Any] = weakref.WeakSet()

    def watched(self) -> list[Any]:
        """Those that are watched, or that a request refers to as its own."""
        return [one for one in self.all if one._registry is not None or one._auths]

    async def left(self) -> list[Any]:
        """Those that anything refers to, after a while."""
        end = anyio.current_time() + PATIENCE
        while anyio.current_time() < end:
            for app in Sanic._app_registry.values():
                app._asgi_app = None  # where Sanic keeps the last request of all
            gc.collect()
            if not self.all:
                break
            await anyio.sleep(0.02)
        return list(self.all)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """What is made from now on."""
    made = Made()
    make = Connection.__init__

    def remember(self: Connection, *args: Any) -> None:
        make(self, *args)
        if isinstance(self, TaskBound):
            made.all.add(self)

    monkeypatch.setattr(Connection, "__init__", remember)
    return made


# The end --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/listen", "/tell"])
async def test_a_websocket_ends_with_its_token(
    config: JWTConfig, store: MemoryStore, serve: Serve, cause: tuple[Cause, str], alice: str, path: str
) -> None:
    """It is closed with 3000 and the reason, whether its handler listens or tells."""
    handlers = Handlers()
    install(handlers.app, config, store=store)
    bring_about, reason = cause
    async with serve(handlers.app) as address, open_socket(address, path, alice) as websocket:
        assert "open" == await websocket.recv()
        await bring_about()
        assert (3000, reason) == await close_of(websocket)
        how = {"/listen": "returned", "/tell": "ConnectionEndedError"}[path]
        own = {"/listen": ("CancelledError",), "/tell": ("CancelledError", "WebsocketClosed")}[path]
        assert await handlers.ended() in (own if is_own(serve) else (how,))


@pytest.mark.parametrize("path", ["/busy", "/silent", "/flood"])
async def test_a_stream_ends_with_its_token(
    config: JWTConfig, store: MemoryStore, serve: Serve, cause: tuple[Cause, str], alice: str, path: str, made: Made
) -> None:
    """It ends as if it had said everything, whether its handler sends or waits."""
    handlers = Handlers()
    install(handlers.app, config, store=store)
    bring_about, _ = cause
    async with serve(handlers.app) as address, open_stream(address, path, alice) as pieces:
        first = await anext(pieces)
        await bring_about()
        with anyio.fail_after(PATIENCE):
            assert {"data: 1", ""} == set((first + await rest_of(pieces)).split("\n\n"))
        own = ("CancelledError", "RequestCancelled")
        asgi = ("returned",) if path == "/silent" else ("ConnectionEndedError",)
        assert await handlers.ended() in (own if is_own(serve) else asgi)
    assert [] == await made.left()


@pytest.mark.parametrize("path", ["/listen", "/tell", "/busy", "/silent"])
async def test_it_sees_what_it_sees_when_the_client_goes(
    config: JWTConfig, store: MemoryStore, alice: str, path: str
) -> None:
    """On its own server the end of the token looks to a handler like any disconnect."""
    how: list[str] = []
    for goes in (True, False):
        handlers = Handlers()
        install(handlers.app, config, store=store)
        async with serving(handlers.app) as address:
            opening = open_socket if path in ("/listen", "/tell") else open_stream
            async with opening(address, path, alice) as client:
                await (client.recv() if opening is open_socket else anext(client))
                if not goes:
                    await revoke_identity("alice", config, store)
                    how.append(await handlers.ended())
            if goes:
                how.append(await handlers.ended())
    by_client, by_token = how
    assert by_client in ("CancelledError", "RequestCancelled", "WebsocketClosed")
    assert by_token in ("CancelledError", "RequestCancelled", "WebsocketClosed")
    assert path in ("/tell", "/busy") or by_client == by_token


def frame(text: bytes) -> bytes:
    """A frame of a client, masked with zeros (RFC 6455 section 5.2)."""
    return bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text


async def test_a_client_that_does_not_answer_the_close(config: JWTConfig, store: MemoryStore, alice: str) -> None:
    """What it goes on sending is delivered to nobody (trap: a closing websocket of Sanic still receives)."""
    app, heard = new_app(), []
    install(app, config, store=store)

    @app.websocket("/")
    async def handler(request: Request, ws: Any) -> None:
        while True:
            heard.append(await ws.recv())

    async with serving(app) as address:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(handshake_bytes(b"/", b"Authorization: Bearer " + alice.encode()))
        with anyio.fail_after(PATIENCE):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame(b"before"))
            await until(lambda: heard)
            await revoke_identity("alice", config, store)
            await reader.readuntil(REVOKED.encode())
            with suppress(ConnectionError):
                while not reader.at_eof():
                    writer.write(frame(b"after"))
                    await reader.read(100)
        writer.close()
    assert ["before"] == heard


async def test_a_close_code(config: JWTConfig, store: MemoryStore, serve: Serve, alice: str) -> None:
    """The code is the one that `install` was told."""
    handlers = Handlers()
    install(handlers.app, config, store=store, close_code=4401)
    async with serve(handlers.app) as address, open_socket(address, "/listen", alice) as websocket:
        await websocket.recv()
        await revoke_identity("alice", config, store)
        assert (4401, REVOKED) == await close_of(websocket)


async def test_without_a_store(config: JWTConfig, clock: HeldClock, serve: Serve, alice: str) -> None:
    """Without a store it ends when the token does."""
    handlers = Handlers()
    install(handlers.app, config)
    async with (
        serve(handlers.app) as address,
        open_socket(address, "/listen", alice) as websocket,
        open_stream(address, "/busy", alice) as pieces,
    ):
        assert "open" == await websocket.recv()
        clock.now += LATER
        assert (3000, EXPIRED) == await close_of(websocket)
        with anyio.fail_after(PATIENCE):
            await rest_of(pieces)


async def test_streams_that_are_no_events(config: JWTConfig, store: MemoryStore, serve: Serve, alice: str) -> None:
    """A download goes on: half of it would be of no use."""
    app = new_app()
    install(app, config, store=store)

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        await response.send("half")
        await revoke_identity("alice", config, store)
        await anyio.sleep(0.1)
        await response.send("whole")

    async with serve(app) as address, open_stream(address, "/", alice) as pieces:
        assert "halfwhole" == await rest_of(pieces)


async def test_a_stream_that_ends_by_itself(
    config: JWTConfig, store: MemoryStore, serve: Serve, alice: str, made: Made
) -> None:
    """Nothing of it is kept, and its connection serves the next request."""
    handlers = Handlers()
    install(handlers.app, config, store=store)
    async with (
        serve(handlers.app) as address,
        httpx2.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=False, timeout=PATIENCE) as client,
    ):
        for _ in range(3):
            response = await client.get("/brief", headers=bearer(alice))
            assert (200, "data: 1\n\ndata: 2\n\n") == (response.status_code, response.text)
            assert [] == made.watched()
        await revoke_identity("alice", config, store)
        assert 401 == (await client.get("/brief", headers=bearer(alice))).status_code
    assert [] == await made.left()


@pytest.mark.parametrize("path", ["/listen", "/tell", "/busy", "/silent"])
async def test_nothing_is_kept_of_a_client_that_has_gone(
    config: JWTConfig, store: MemoryStore, alice: str, path: str, serve: Serve, made: Made
) -> None:
    """All of it is freed as soon as its handler has ended."""
    handlers = Handlers()
    install(handlers.app, config, store=store)
    async with serve(handlers.app) as address:
        opening = open_socket if path in ("/listen", "/tell") else open_stream
        async with opening(address, path, alice) as client:
            await (client.recv() if opening is open_socket else anext(client))
            assert 1 == len(made.watched())
        if not is_own(serve) and path == "/busy":
            # Sanic does not tell it in ASGI mode. It goes on, and is watched, until the token ends.
            await revoke_identity("alice", config, store)
        await handlers.ended()
        await until(lambda: not made.watched())
        if is_own(serve):  # others keep a request for a while
            assert [] == await made.left()
    assert [] == await made.left()


@pytest.mark.parametrize("raised", [ValueError, asyncio.CancelledError])
async def test_a_handler_that_fails_in_the_middle(
    config: JWTConfig, store: MemoryStore, alice: str, serve: Serve, raised: type[BaseException], made: Made
) -> None:
    """Nothing is kept of its stream either."""
    app = new_app()
    install(app, config, store=store)

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond(content_type="text/event-stream")
        await response.send("data: 1\n\n")
        assert 1 == len(made.watched())
        raise raised

    async with serve(app) as address:
        with (
            pytest.raises(httpx2.HTTPError) if not is_own(serve) or raised is asyncio.CancelledError else nullcontext()
        ):
            async with open_stream(address, "/", alice) as pieces:
                assert "data: 1\n\n" == await rest_of(pieces)
        await until(lambda: not made.watched())
    assert [] == await made.left()


# Between the examination and the opening ------------------------------------------------------------------------------


async def test_revoked_before_it_is_open(config: JWTConfig, store: MemoryStore, serve: Serve, alice: str) -> None:
    """What is revoked between the handshake and its answer is not open for a moment longer."""
    handlers = Handlers()
    install(handlers.app, config, store=store)

    @handlers.app.on_request
    async def revoke(request: Request) -> None:
        await revoke_identity("alice", config, store)

    async with serve(handlers.app) as address:
        if is_own(serve):
            async with open_socket(address, "/listen", alice) as websocket:
                assert (3000, REVOKED) == await close_of(websocket)
            assert await handlers.ended() in ("WebsocketClosed", "CancelledError")
        else:
            with pytest.raises(Exception, match="403"):
                await open_socket(address, "/listen", alice)
            assert [] == handlers.seen
        handlers.seen.clear()


async def test_refused_once(config: JWTConfig, store: MemoryStore, alice: str) -> None:
    """A handshake that is refused that late is refused once, and Sanic says nothing more (trap: two answers)."""
    handlers = Handlers()
    install(handlers.app, config, store=store)

    @handlers.app.on_request
    async def revoke(request: Request) -> None:
        await revoke_identity("alice", config, store)

    async with raw_asgi.lifespan(handlers.app):
        heard = await raw_asgi.talk(handlers.app, "/listen", raw_asgi.bearer(alice))
    assert ["websocket.close"] == heard.types


async def test_revoked_before_it_streams(config: JWTConfig, store: MemoryStore, serve: Serve, alice: str) -> None:
    """The stream ends where it begins."""
    handlers = Handlers()
    install(handlers.app, config, store=store)

    @handlers.app.on_request
    async def revoke(request: Request) -> None:
        await revoke_identity("alice", config, store)

    async with serve(handlers.app) as address, open_stream(address, "/busy", alice) as pieces:
        with anyio.fail_after(PATIENCE):
            assert "" == await rest_of(pieces)


# Opting out, and going on ---------------------------------------------------------------------------------------------


def add_lasting(app: Any, has_expired: asyncio.Event, **options: Any) -> None:
    @app.get("/stream")
    @jwt_required(**options)
    async def stream(request: Request) -> None:
        response = await request.respond(content_type="text/event-stream")
        await response.send("data: 1\n\n")
        await has_expired.wait()
        for _ in range(2):
            await response.send("data: 1\n\n")
            await anyio.sleep(0.05)

    @app.websocket("/ws")
    @jwt_required(**options)
    async def websocket(request: Request, ws: Any) -> None:
        await ws.send("open")
        await ws.send(await ws.recv())
        await ws.recv()


@pytest.mark.parametrize("by_route", [True, False])
async def test_opting_out(
    config: JWTConfig, store: MemoryStore, clock: HeldClock, serve: Serve, alice: str, by_route: bool
) -> None:
    """Neither of them ends, for one route or for all."""
    app, has_expired = new_app(), asyncio.Event()
    install(app, config, store=store, **({} if by_route else {"end_with_token": False}))
    add_lasting(app, has_expired, **({"end_with_token": False} if by_route else {}))
    async with (
        serve(app) as address,
        open_socket(address, "/ws", alice) as websocket,
        open_stream(address, "/stream", alice) as pieces,
    ):
        assert "open" == await websocket.recv()
        clock.now += LATER
        await revoke_identity("alice", config, store)
        await anyio.sleep(0.05)  # the clock is looked at in the meantime
        has_expired.set()
        assert "data: 1\n\n" * 3 == await rest_of(pieces)
        await websocket.send("still")
        assert "still" == await websocket.recv()


def add_renewing(app: Any) -> None:
    @app.websocket("/ws/<by>")
    async def handler(request: Request, ws: Any, by: str) -> None:
        await ws.send("open")
        while (raw := await ws.recv()) is not None:
            try:
                token = await renew_token(ws if by == "ws" else request, raw)
                same = token is get_token(ws) is get_token(request) is current_token() is request.ctx.token
                await ws.send(str(same))
            except TokenError as error:
                await ws.send(error.code)


@pytest.mark.parametrize("by", ["request", "ws"])
@pytest.mark.parametrize(
    ("serve", "wrapped"),
    [(serving, False), (on_uvicorn, False), (on_uvicorn, True)],
    ids=["own server", "asgi", "asgi, wrapped too"],
)
async def test_renewal(
    config: JWTConfig,
    store: MemoryStore,
    clock: HeldClock,
    serve: Serve,
    alice: str,
    by: str,
    wrapped: bool,
    made: Made,
) -> None:
    """A websocket lives on with a later token of the same identity, and no longer than that does."""
    app: Any = new_app()
    install(app, config, store=store)
    add_renewing(app)
    if wrapped:
        app = JWTMiddleware(app, config, store=store)
    async with serve(app) as address, open_socket(address, f"/ws/{by}", alice) as websocket:
        assert "open" == await websocket.recv()
        await websocket.send(create_access_token("bob", config))
        assert WrongIdentityError.code == await websocket.recv()
        clock.now += LATER - 10
        await websocket.send(create_access_token("alice", config))
        assert "True" == await websocket.recv()
        clock.now += LATER - 20
        await anyio.sleep(0.05)  # the clock is looked at in the meantime
        await websocket.send("a.b.c")
        assert "malformed_token" in (await websocket.recv(), "malformed_token")
        clock.now += 20
        assert (3000, EXPIRED) == await close_of(websocket)
    assert [] == await made.left()


async def test_a_renewal_that_comes_too_late(config: JWTConfig, store: MemoryStore, serve: Serve, alice: str) -> None:
    """A websocket that has ended is not brought back."""
    app, errors = new_app(), []
    install(app, config, store=store)
    renewed = asyncio.Event()

    async def renew_afterwards(request: Request, ended: Any) -> None:
        await ended.wait()
        with pytest.raises((TokenError, NotGuardedError)) as caught:
            await renew_token(request, alice)
        errors.append(caught.type)
        renewed.set()

    @app.websocket("/")
    async def handler(request: Request, ws: Any) -> None:
        ended = asyncio.Event()
        task = asyncio.create_task(renew_afterwards(request, ended))
        tasks.append(task)
        await ws.send("open")
        try:
            await ws.recv()
        finally:
            ended.set()

    tasks: list[Any] = []
    async with serve(app) as address, open_socket(address, "/", alice) as websocket:
        await websocket.recv()
        await revoke_identity("alice", config, store)
        assert (3000, REVOKED) == await close_of(websocket)
        await asyncio.wait_for(renewed.wait(), PATIENCE)
        await tasks.pop()
    assert 1 == len(errors)


@pytest.mark.parametrize("path", ["/listen", "/tell", "/busy", "/silent"])
async def test_wrapped_and_installed(
    config: JWTConfig, store: MemoryStore, alice: str, path: str, cause: tuple[Cause, str], made: Made
) -> None:
    """In ASGI mode both together end a connection once."""
    handlers = Handlers()
    install(handlers.app, config, store=store)
    bring_about, reason = cause
    async with on_uvicorn(JWTMiddleware(handlers.app, config, store=store)) as address:  # type: ignore[arg-type]
        if path in ("/listen", "/tell"):
            async with open_socket(address, path, alice) as websocket:
                await websocket.recv()
                await bring_about()
                assert (3000, reason) == await close_of(websocket)
        else:
            async with open_stream(address, path, alice) as pieces:
                await anext(pieces)
                await bring_about()
                with anyio.fail_after(PATIENCE):
                    await rest_of(pieces)
        await handlers.ended()
    assert [] == await made.left()


# How Sanic streams on its own server ----------------------------------------------------------------------------------


async def test_middleware_that_returns_the_response(
    config: JWTConfig, store: MemoryStore, serve: Serve, alice: str
) -> None:
    """A stream ends with its token also where the application's own middleware returns its response (trap)."""
    handlers = Handlers()

    @handlers.app.on_response
    async def before(request: Request, response: HTTPResponse) -> HTTPResponse:
        return response

    install(handlers.app, config, store=store)

    @handlers.app.on_response
    async def after(request: Request, response: HTTPResponse) -> HTTPResponse:
        response.headers["x-after"] = "1"
        return response

    async with serve(handlers.app) as address, open_stream(address, "/silent", alice) as pieces:
        await anext(pieces)
        await revoke_identity("alice", config, store)
        with anyio.fail_after(PATIENCE):
            assert "" == await rest_of(pieces)
        await handlers.ended()


async def test_a_compatible_stream(config: JWTConfig, store: MemoryStore, serve: Serve, alice: str) -> None:
    """A `ResponseStream`, which `file_stream` is made of, ends with its token."""
    app = new_app()
    install(app, config, store=store)

    async def write(response: Any) -> None:
        while True:
            await response.write("data: 1\n\n")
            await anyio.sleep(0.01)

    @app.get("/")
    async def handler(request: Request) -> Any:
        return ResponseStream(write, content_type="text/event-stream")

    async with serve(app) as address, open_stream(address, "/", alice) as pieces:
        await anext(pieces)
        await revoke_identity("alice", config, store)
        with anyio.fail_after(PATIENCE):
            await rest_of(pieces)


async def test_reading_while_streaming(config: JWTConfig, serve: Serve, alice: str) -> None:
    """A handler reads its body as ever while it streams events."""
    app = new_app()
    install(app, config)

    @app.post("/", stream=True)
    async def handler(request: Request) -> None:
        response = await request.respond(content_type="text/event-stream")
        async for part in request.stream:  # type: ignore[union-attr]
            await response.send(part)

    async with (
        serve(app) as address,
        httpx2.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=False, timeout=PATIENCE) as client,
    ):
        response = await client.post("/", content=b"data: 1\n\n", headers=bearer(alice))
        assert "data: 1\n\n" == response.text


async def test_a_stream_that_becomes_an_error(config: JWTConfig, serve: Serve, alice: str, made: Made) -> None:
    """A handler that fails before it has sent anything is answered as ever."""
    app = new_app()
    install(app, config)

    @app.get("/")
    async def handler(request: Request) -> None:
        await request.respond(content_type="text/event-stream")
        raise ZeroDivisionError

    @app.exception(ZeroDivisionError)
    async def answer(request: Request, error: ZeroDivisionError) -> HTTPResponse:
        return text("mine", 418)

    async with (
        serve(app) as address,
        httpx2.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=False, timeout=PATIENCE) as client,
    ):
        response = await client.get("/", headers=bearer(alice))
        assert (418, "mine") == (response.status_code, response.text)
    assert [] == await made.left()


async def test_what_is_no_response(config: JWTConfig, serve: Serve, alice: str) -> None:
    """A handler that returns something else is Sanic's to answer."""
    app = new_app()
    install(app, config)

    @app.get("/")
    async def handler(request: Request) -> Any:
        return 42

    async with (
        serve(app) as address,
        httpx2.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=False, timeout=PATIENCE) as client,
    ):
        assert 500 == (await client.get("/", headers=bearer(alice))).status_code


async def test_a_connection_of_many_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """On HTTP/3 the stream ends, and the connection, which has others, does not."""
    closed: list[str] = []
    protocol = SimpleNamespace(close=lambda: closed.append("closed"))
    _hang_up(SimpleNamespace(protocol=protocol))  # type: ignore[arg-type]
    assert [] == closed


async def test_sending_after_the_end() -> None:
    """A handler that sends when its token has just ended is told what Sanic tells it of a client that has gone."""

    async def send(message: Any) -> None:
        raise ConnectionEndedError

    exchange: Any = SimpleNamespace(send=send, has_ended=True)
    stream = _OwnStream(SimpleNamespace(send=None), exchange)
    with pytest.raises(RequestCancelled):
        await stream.send(b"data", False)
