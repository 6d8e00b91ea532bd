"""What is particular to Sanic, on its own server."""

from __future__ import annotations

import json as json_module
import sys
from typing import Any

import anyio
import pytest

pytest.importorskip("sanic")
pytest.importorskip("websockets")

from sanic import HTTPResponse, Request, empty
from sanic.exceptions import NotFound
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from asgi_jwt_claims import JWTConfig, create_access_token, current_token
from asgi_jwt_claims.sanic import install
from tests import sockets
from tests.adapters import test_sanic
from tests.adapters.test_sanic import Open, add_websockets
from tests.apps.sanic_door import serving, socket_site
from tests.support import SECRET, asking_for, free_port
from tests.support import serving as serve_process

globals().update(asking_for("site_of", test_sanic))


@pytest.fixture
def site_of() -> Open:
    """How an application is run."""
    return socket_site


@pytest.mark.parametrize(("who", "code"), [("nobody", 3000), ("bob", 3003)])
async def test_a_guard_that_nobody_could_ask_before(app: Any, config: JWTConfig, bob: str, who: str, code: int) -> None:
    """A guard below a decorator that hides it still lets nobody in: the socket is closed at once."""
    install(app, config, required=False)
    add_websockets(app)
    headers = [("Authorization", f"Bearer {raw}") for raw in ([bob] if who == "bob" else [])]
    async with serving(app) as address, connect(f"ws://{address}/hidden", additional_headers=headers) as websocket:
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
    assert closed.value.rcvd is not None
    assert code == closed.value.rcvd.code


# One connection, many users -------------------------------------------------------------------------------------------


async def test_two_users_on_one_connection(app: Any, config: JWTConfig, alice: str, bob: str) -> None:
    """On its own server one task serves a whole connection: every request says anew who is there (trap)."""  # S131
    seen: list[Any] = []
    install(app, config, exempt=["/open"])

    async def handler(request: Request) -> HTTPResponse:
        token = current_token()
        seen.append((id(request.transport), token and token.identity))
        return empty()

    app.add_route(handler, "/", name="guarded")
    app.add_route(handler, "/open", name="open")

    @app.exception(NotFound)
    async def unknown(request: Request, error: NotFound) -> HTTPResponse:
        return await handler(request)

    async with socket_site(app) as site:
        for path, raws in (
            ("/", [alice]),
            ("/", [bob]),
            ("/open", [alice]),
            ("/", [alice]),
            ("/", []),
            ("/open", []),
            ("/unknown", [bob]),
        ):
            await site.get(path, *raws)
    assert ["alice", "bob", None, "alice", None, "bob"] == [identity for _, identity in seen]
    assert 1 == len({connection for connection, _ in seen})


# Bytes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Bearer \xff\xfe",  # S5
        "Authorization: Bearer ü".encode("latin-1"),
        "Authorization: Bearer ü".encode(),
        b"Authorization: Bearer \xed\xa0\x80",
        b"Authorization: Bearer a.b\x00.c",
        b"Authorization: Bearer\ta.b.c",
        b"Authorization: Bearer a.b.c, Bearer d.e.f",
        b"Authorization:",
        b"Authorization: Bearer",
        b"authorization: Bearer a\r\nAUTHORIZATION: Bearer b",
    ],
)
async def test_bytes_that_are_no_header(app: Any, config: JWTConfig, line: bytes) -> None:
    """On its own server odd bytes are a bad request, never an error of the server (trap: answered 500)."""
    install(app, config)

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    async with serving(app) as address:
        response = await anyio.to_thread.run_sync(sockets.ask, int(address.split(":")[1]), b"/", line)
    assert (400, "invalid_request") == (response.status, json_module.loads(response.body)["error"])


@pytest.mark.parametrize(
    "line",
    [b"X-\xff\xfe: 1", "X-Ü: 1".encode(), b"X-A: \xff\xfe", b"Cookie: \xff=\xfe", b"Authorization\xff: Bearer a.b.c"],
)
async def test_other_odd_headers(app: Any, config: JWTConfig, line: bytes, alice: str) -> None:
    """Odd bytes in other headers, in their names too, neither disturb nor open anything."""  # S12
    install(app, config)

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return empty()

    async with serving(app) as address:
        port = int(address.split(":")[1])
        assert 401 == (await anyio.to_thread.run_sync(sockets.ask, port, b"/", line)).status
        known = b"Authorization: Bearer " + alice.encode()
        assert 204 == (await anyio.to_thread.run_sync(sockets.ask, port, b"/", line, known)).status


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/login", 204),
        (b"/login?next=/", 204),
        (b"/login/", 401),  # S122
        (b"//login", 401),
        (b"/Login", 401),
        (b"/lo%67in", 401),
        (b"/login%2f", 401),
        (b"/login;v=1", 401),
        (b"/docs/../login", 401),
        (b"/docs/a", 204),
        (b"/docs/..", 401),
        (b"/docs/../secret", 401),
        (b"/docs/%2e%2e/secret", 401),
        (b"/docs//a", 401),
        (b"/%ff", 401),
        (b"/secret?/login", 401),
    ],
)
async def test_paths_on_the_own_server(app: Any, config: JWTConfig, target: bytes, status: int) -> None:
    """No spelling of a path widens what is exempt."""
    install(app, config, exempt=["/login", "/docs/*"])

    @app.get("/<path:path>")
    async def handler(request: Request, path: str) -> HTTPResponse:
        return empty()

    async with serving(app) as address:
        port = int(address.split(":")[1])
        assert status == (await anyio.to_thread.run_sync(sockets.ask, port, target)).status


async def test_the_host_header_decides_nothing(app: Any, config: JWTConfig) -> None:
    """A host that looks like an exempt path opens nothing."""  # S121
    install(app, config, exempt=["/health"])

    @app.get("/secret")
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    payload = b"GET /secret HTTP/1.1\r\nHost: x/health?\r\nConnection: close\r\n\r\n"
    async with serving(app) as address:
        received = await anyio.to_thread.run_sync(sockets.exchange, int(address.split(":")[1]), payload)
    assert 401 == sockets.parse(received).status


# Workers --------------------------------------------------------------------------------------------------------------


def test_several_workers() -> None:
    """Two worker processes, loaded anew each, agree about every token."""
    config = JWTConfig(secret_key=SECRET)
    port = free_port()
    command = [sys.executable, "-m", "tests.apps.several_workers", str(port)]
    with serve_process(command, port):
        for number in range(20):
            name = f"user{number}"
            line = b"Authorization: Bearer " + create_access_token(name, config).encode()
            response = sockets.ask(port, b"/", line)
            assert 200 == response.status
            body = json_module.loads(response.body)
            assert (name, True) == (body["identity"], body["current"])
            assert 401 == sockets.ask(port, b"/").status
            assert 400 == sockets.ask(port, b"/", line, line).status
