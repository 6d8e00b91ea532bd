"""What is particular to Sanic, on its own server."""

from __future__ import annotations

import asyncio
import contextvars
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

from asgi_jwt_claims import Cookie, JWTConfig, create_access_token, current_token
from asgi_jwt_claims.sanic import install
from tests import sockets
from tests.adapters import test_sanic
from tests.adapters.test_sanic import Open, add_websockets, name_of
from tests.apps.sanic_adapter import serving, socket_site
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


MALFORMED = [
    b"nothing",
    b"GET /",
    b"GET / HTTP/9.9",
    b"GET / HTTP/1.1\r\nno header",
    "GET /ü HTTP/1.1".encode(),
    b"GET nowhere HTTP/1.1",
    b"GET http://example.com HTTP/1.1\r\nConnection: close",
    b"CONNECT example.com:443 HTTP/1.1",
    b"OPTIONS * HTTP/1.1\r\nConnection: close",
    b"POST / HTTP/1.1\r\nContent-Length: many",
    b"POST / HTTP/1.1\r\nExpect: miracles\r\nContent-Length: 1",
    b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 20_000,
]


@pytest.mark.parametrize("second", MALFORMED, ids=lambda head: repr(head[:40]))
async def test_a_malformed_request_after_another_user(app: Any, config: JWTConfig, alice: str, second: bytes) -> None:
    """A second request that cannot be read is nobody's, whatever looks at it, and is no error of ours."""  # S131
    seen: list[tuple[str, str | None]] = []
    install(app, config)

    def note(place: str) -> None:
        seen.append((place, name_of(current_token())))

    for event in (
        *("http.lifecycle.begin", "http.lifecycle.read_head", "http.lifecycle.request", "http.lifecycle.exception"),
        *("http.lifecycle.complete", "server.exception.report", "http.middleware.before"),
    ):

        async def signalled(event: str = event, **_: Any) -> None:
            note(event)

        app.add_signal(signalled, event)

    @app.on_request(priority=101)
    async def early(request: Request) -> None:
        note("early")

    @app.on_response
    async def response(request: Request, response: HTTPResponse) -> None:
        note("response")

    @app.get("/me")
    async def me(request: Request) -> HTTPResponse:
        note("handler")
        seen.append(("between", None))
        return empty()

    first = b"GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + alice.encode() + b"\r\n\r\n"
    async with serving(app) as address:
        received = await anyio.to_thread.run_sync(
            sockets.exchange, int(address.split(":")[1]), first, second + b"\r\n\r\n"
        )
    assert received.startswith(b"HTTP/1.1 204 ")
    statuses = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[2:]]
    assert {400, 401, 413, 417, 404} >= set(statuses)
    ends = [place for place, _ in seen].index("response")
    assert ("handler", "alice") in seen[:ends]
    assert {None} == {name for _, name in seen[ends + 1 :]}
    assert {"http.lifecycle.complete"} <= {place for place, _ in seen[ends + 1 :]}


async def test_after_a_websocket(app: Any, config: JWTConfig, alice: str) -> None:
    """What has started in the handler of a websocket speaks for nobody once it has ended, however it does."""  # S131
    install(app, config)
    inherited: list[contextvars.Context] = []

    @app.websocket("/<end>")
    async def handler(request: Request, ws: Any, end: str) -> None:
        inherited.append(contextvars.copy_context())
        if end == "raise":
            raise ZeroDivisionError
        await ws.recv()

    headers = {"Authorization": f"Bearer {alice}"}
    async with serving(app) as address:
        for number, end in enumerate(("raise", "return", "leave")):
            async with connect(f"ws://{address}/{end}", additional_headers=headers) as websocket:
                if end == "return":
                    await websocket.send("salve")
            with anyio.fail_after(sockets.PATIENCE):
                while inherited[number].run(current_token) is not None:  # noqa: ASYNC110 -- Sanic says nothing of it
                    await anyio.sleep(0.001)


async def test_after_a_client_has_gone(app: Any, config: JWTConfig, alice: str) -> None:
    """A request that is cancelled ends as well, and so does one whose connection is torn down."""  # S131
    install(app, config)
    inherited: list[contextvars.Context] = []
    started = asyncio.Event()

    @app.get("/<end>")
    async def handler(request: Request, end: str) -> HTTPResponse:
        inherited.append(contextvars.copy_context())
        started.set()
        if end == "abort":
            request.protocol.abort()
        await anyio.sleep_forever()
        return empty()

    async with serving(app) as address:
        for number, end in enumerate(("leave", "abort")):
            started.clear()
            stream = await anyio.connect_tcp("127.0.0.1", int(address.split(":")[1]))
            async with stream:
                await stream.send(f"GET /{end} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice}\r\n\r\n".encode())
                await started.wait()
            with anyio.fail_after(sockets.PATIENCE):
                while inherited[number].run(current_token) is not None:  # noqa: ASYNC110 -- Sanic says nothing of it
                    await anyio.sleep(0.001)


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


async def test_exempt_paths_in_other_letters(app: Any, config: JWTConfig) -> None:
    """A path is decoded before it is compared, as servers do in ASGI mode."""  # S122
    install(app, config, exempt=["/café", "/docs/*"])

    @app.get("/<path:path>")
    async def handler(request: Request, path: str) -> HTTPResponse:
        return empty()

    async with serving(app) as address:
        port = int(address.split(":")[1])
        for target, status in (
            (b"/caf%C3%A9", 204),
            (b"/caf%c3%a9", 401),  # no client writes it like this
            (b"/docs/a%20b", 204),
            (b"/docs/caf%C3%A9?x=%20", 204),
            (b"/docs/a%2520b", 401),
            (b"/docs/a%2fb", 401),
            (b"http://example.com/docs/a", 204),
            (b"http://example.com/secret", 401),
        ):
            assert (target, status) == (target, (await anyio.to_thread.run_sync(sockets.ask, port, target)).status)


SPACES = [0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]
CONTROLS = [0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x1F]


@pytest.mark.parametrize("before", [*SPACES, *CONTROLS], ids=hex)
async def test_a_cookie_behind_a_foreign_space(app: Any, config: JWTConfig, before: int) -> None:
    """Only spaces and tabs go from a cookie's name: another name may have been set by another host (trap)."""  # S12
    install(app, config, sources=[Cookie()])

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    raw = create_access_token("mallory", config).encode()
    async with serving(app) as address:
        port = int(address.split(":")[1])
        planted = chr(before).encode() + b"__Host-access_token=" + raw
        for line in (b"Cookie: " + planted + b"; theme=dark", b"Cookie: theme=dark; " + planted):
            assert 401 == (await anyio.to_thread.run_sync(sockets.ask, port, b"/", line)).status


@pytest.mark.parametrize(
    "name", ["Coo\u212aie", "Cookie ", " Cookie", "C\u043eokie", "Cookie\x00", "\nCookie"], ids=ascii
)
async def test_a_header_that_is_only_like_another(app: Any, config: JWTConfig, name: str) -> None:
    """Names of headers are ASCII tokens: one that Sanic's lower case makes the same is another one (trap)."""  # S12
    install(app, config, sources=[Cookie()])

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    line = f"{name}: __Host-access_token={create_access_token('alice', config)}".encode()
    async with serving(app) as address:
        response = await anyio.to_thread.run_sync(sockets.ask, int(address.split(":")[1]), b"/", line)
    assert 401 == response.status


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
