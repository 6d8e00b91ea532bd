"""Sanic's websockets adopt the token of a message, on its own server and in ASGI mode, over real sockets."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

pytest.importorskip("sanic")
pytest.importorskip("uvicorn")
pytest.importorskip("wsproto")

from sanic import Request

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    TokenError,
    adopt_token,
    create_access_token,
    current_token,
    get_token,
    renew_token,
)
from asgi_jwt_claims.connections import base
from asgi_jwt_claims.connections import registry as _watch
from asgi_jwt_claims.sanic import install, jwt_required
from asgi_jwt_claims.sessions import revoke_identity
from asgi_jwt_claims.stores import MemoryStore
from tests.apps.sanic_adapter import new_app, serving
from tests.apps.sanic_sites import Serve, on_uvicorn, open_socket
from tests.conftest import HeldClock
from tests.support import SECRET
from tests.system.sanic_server.test_connections import close_of

pytestmark = pytest.mark.anyio

LATE = (3000, "Authentication is required.")
REVOKED = (3000, "The token has been revoked.")
EXPIRED = (3000, "The token has expired.")


@pytest.fixture
def anyio_backend() -> str:
    """Sanic runs on asyncio only."""
    return "asyncio"


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Held clocks are looked at all the time, instead of every second."""
    monkeypatch.setattr(_watch, "_LONGEST_PAUSE", 0.005)


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> HeldClock:
    """The monotonic clock, held."""
    held = HeldClock(1000.0)
    monkeypatch.setattr(base, "monotonic", held)
    return held


@pytest.fixture(
    params=[(serving, False), (on_uvicorn, False), (on_uvicorn, True)], ids=["own server", "asgi", "asgi, wrapped too"]
)
def site(request: pytest.FixtureRequest) -> tuple[Serve, bool]:
    """How the application is served, and whether it is wrapped as well."""
    found: tuple[Serve, bool] = request.param
    return found


@pytest.mark.parametrize("by", ["request", "ws"])
async def test_adoption(
    site: tuple[Serve, bool], config: JWTConfig, store: MemoryStore, clock: HeldClock, elapsed: HeldClock, by: str
) -> None:
    """The token is everywhere that one of the handshake would be, is renewed as one, and ends the connection as one."""
    app: Any = new_app()
    options: Any = {"required": False, "store": store, "adopt_within": 5}
    install(app, config, **options)

    @app.websocket("/ws")
    @jwt_required(optional=True, scopes="chat")
    async def handler(request: Request, ws: Any) -> None:
        target = ws if by == "ws" else request
        await ws.send(repr(current_token()))
        while (raw := await ws.recv()) is not None:
            word, _, raw = raw.rpartition(" ")
            try:
                token = await (renew_token if word else adopt_token)(target, raw)
                same = token is get_token(ws) is get_token(request) is current_token() is request.ctx.token
                await ws.send(str(same))
            except TokenError as error:
                await ws.send(error.code)

    serve, is_wrapped = site
    good = create_access_token("alice", config, scope="chat")
    if is_wrapped:
        app = JWTMiddleware(app, config, **options)
    async with serve(app) as address:
        async with open_socket(address, "/ws") as websocket:
            assert "None" == await websocket.recv()
            for raw, answer in (
                ("a.b.c", "token_malformed"),
                (create_access_token("alice", config), "missing_scope"),
                (good, "True"),
                (good, "repeated_credentials"),
            ):
                await websocket.send(raw)
                assert answer == await websocket.recv()
            elapsed.now += 60
            clock.now += 600
            await websocket.send("renew " + create_access_token("alice", config, scope="chat"))
            assert "True" == await websocket.recv()
            await revoke_identity("alice", config, store)
            assert REVOKED == await close_of(websocket)
        async with open_socket(address, "/ws") as websocket:
            await websocket.recv()
            await websocket.send(create_access_token("bob", config, scope="chat"))
            assert "True" == await websocket.recv()
            clock.now += 15 * 60 + 10
            assert EXPIRED == await close_of(websocket)


@pytest.mark.parametrize("path", ["/ws/reads", "/ws/sleeps", "/ws/sends"])
async def test_nothing_is_adopted_in_time(site: tuple[Serve, bool], path: str, elapsed: HeldClock) -> None:
    """The websocket is closed, no matter what its handler does."""
    config = JWTConfig(secret_key=SECRET)
    app: Any = new_app()
    options: Any = {"exempt": ["/ws/*"], "adopt_within": 5}
    install(app, config, **options)

    @app.websocket("/ws/<name>")
    async def handler(request: Request, ws: Any, name: str) -> None:
        await ws.send("open")
        if name == "reads":
            await ws.recv()
        while True:
            await anyio.sleep(0.01 if name == "sends" else 0.1)
            if name == "sends":
                await ws.send("tick")

    serve, is_wrapped = site
    if is_wrapped:
        app = JWTMiddleware(app, config, **options)
    async with serve(app) as address, open_socket(address, path) as websocket:
        assert "open" == await websocket.recv()
        elapsed.now += 4.75
        await anyio.sleep(0.05)
        assert path == "/ws/sends" or websocket.state.name == "OPEN"
        elapsed.now += 0.25
        assert LATE == await close_of(websocket)
