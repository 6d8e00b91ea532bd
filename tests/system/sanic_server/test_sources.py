"""Tokens in cookies, handshakes and queries under Sanic, on its own server and in ASGI mode, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("sanic")
pytest.importorskip("uvicorn")
pytest.importorskip("wsproto")

import httpx2
from sanic import HTTPResponse, Request, Sanic, empty, json, text
from websockets.exceptions import InvalidStatus

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Token,
    TokenCookies,
    WebSocketProtocol,
    create_access_token,
    create_token_pair,
    set_token_cookies,
    unset_token_cookies,
)
from asgi_jwt_claims.sanic import install, jwt_required
from asgi_jwt_claims.sessions import TokenEndpoints, csrf_token, start_session
from asgi_jwt_claims.sources import InsecureWebSocketQuery
from asgi_jwt_claims.stores import MemoryStore
from tests.apps.sanic_adapter import new_app, serving
from tests.apps.sanic_sites import Serve, bearer, on_uvicorn, open_socket
from tests.sockets import PATIENCE
from tests.support import SECRET

pytestmark = pytest.mark.anyio

COOKIES = TokenCookies(access_name="access", refresh_name="refresh", csrf_name="csrf", secure=False)
"""For http, which the tests speak."""


@pytest.fixture
def anyio_backend() -> str:
    """Sanic runs on asyncio only."""
    return "asyncio"


@pytest.fixture(params=[serving, on_uvicorn], ids=["own server", "asgi"])
def serve(request: pytest.FixtureRequest) -> Any:
    """Both ways to run an application."""
    return request.param


@pytest.fixture
def app() -> Sanic[Any, Any]:
    """An application without sanic-ext."""
    return new_app()


@pytest.fixture
def config() -> JWTConfig:
    """With cookies for http."""
    return JWTConfig(secret_key=SECRET, cookies=COOKIES)


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config)


@asynccontextmanager
async def browsing(address: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that keeps cookies."""
    async with httpx2.AsyncClient(
        base_url=f"http://{address}", trust_env=False, verify=False, timeout=PATIENCE
    ) as client:
        yield client


# Handshakes -----------------------------------------------------------------------------------------------------------


def add_handshakes(app: Any) -> None:
    async def show(request: Request, ws: Any) -> None:
        scope = getattr(ws, "scope", {})
        shown = [request.headers.getall("sec-websocket-protocol", []), scope.get("subprotocols"), request.match_info]
        await ws.send(f"{request.ctx.token.identity} by {request.ctx.token.source}: {shown}")
        await ws.recv()

    app.add_websocket_route(show, "/", name="plain")
    app.add_websocket_route(show, "/chat", name="chat", subprotocols=["superchat", "chat"])


@pytest.mark.parametrize(
    ("path", "offers", "answered", "left"),
    [
        ("/", ["bearer", "TOKEN"], "bearer", []),
        ("/", ["chat", "bearer", "TOKEN", "other"], "bearer", ["chat", "other"]),
        ("/chat", ["bearer", "TOKEN", "chat", "superchat"], "superchat", ["chat", "superchat"]),
        ("/chat", ["chat", "bearer", "TOKEN"], "chat", ["chat"]),
        ("/chat", ["bearer", "TOKEN"], "bearer", []),
        ("/chat", ["other", "bearer", "TOKEN"], "bearer", ["other"]),
    ],
)
async def test_a_token_among_the_protocols(
    app: Any, config: JWTConfig, serve: Serve, alice: str, path: str, offers: list[str], answered: str, left: list[str]
) -> None:
    """The application does not see it, the client does not get it back, and the route's own choice goes first."""
    install(app, config, sources=[WebSocketProtocol()])
    add_handshakes(app)
    offers = [alice if offer == "TOKEN" else offer for offer in offers]
    async with serve(app) as address, open_socket(address, path, subprotocols=offers) as websocket:
        assert answered == websocket.subprotocol
        assert alice not in str(websocket.response.headers)
        shown = [[", ".join(left)] if left else [], left, {}]
        assert f"alice by websocket_protocol: {shown}" == await websocket.recv()


async def test_protocols_without_a_token(app: Any, config: JWTConfig, serve: Serve, alice: str) -> None:
    """They are the application's alone."""
    install(app, config, sources=[BearerHeader(), WebSocketProtocol()])
    add_handshakes(app)
    async with serve(app) as address:
        async with open_socket(address, "/chat", alice, subprotocols=["chat"]) as websocket:
            assert "chat" == websocket.subprotocol
            assert (await websocket.recv()).endswith("['chat'], {}]")  # not every server leaves the header there
        async with open_socket(address, "/", alice) as websocket:
            assert websocket.subprotocol is None
            assert "alice by header: [[], [], {}]" == await websocket.recv()
        for offers in (["bearer"], ["bearer", "a.b.c"], ["bearer", "bearer", alice]):
            with pytest.raises(InvalidStatus, match=r"40[01]"):
                await open_socket(address, "/", subprotocols=offers)
        with pytest.raises(InvalidStatus, match="400"):
            await open_socket(address, "/", alice, subprotocols=["bearer", alice])


async def test_a_protocol_with_another_name(app: Any, config: JWTConfig, serve: Serve, alice: str) -> None:
    """The name that is answered is the source's."""
    install(app, config, sources=[WebSocketProtocol("example.token")])
    add_handshakes(app)
    async with serve(app) as address, open_socket(address, "/", subprotocols=["example.token", alice]) as websocket:
        assert "example.token" == websocket.subprotocol


async def test_wrapped_and_installed(app: Any, config: JWTConfig, alice: str) -> None:
    """In ASGI mode a middleware around the application takes the token out first, and both agree."""
    install(app, config, sources=[WebSocketProtocol()])
    add_handshakes(app)
    wrapped: Any = JWTMiddleware(app, config, sources=[WebSocketProtocol()])
    async with (
        on_uvicorn(wrapped) as address,
        open_socket(address, "/", subprotocols=["bearer", alice]) as websocket,
    ):
        assert "bearer" == websocket.subprotocol
        assert "alice by websocket_protocol: [[], [], {}]" == await websocket.recv()


async def test_a_query(app: Any, config: JWTConfig, serve: Serve, alice: str) -> None:
    """A token in the query counts for websockets, and for nothing else."""
    install(app, config, sources=[InsecureWebSocketQuery()])
    add_handshakes(app)
    app.add_route(lambda _: empty(), "/http", name="http")
    async with serve(app) as address:
        async with open_socket(address, f"/?a=1&access_token={alice}") as websocket:
            assert (await websocket.recv()).startswith("alice by websocket_query")
        for query, status in (("", 401), ("?access_token=", 400), (f"?access_token={alice}&access_token={alice}", 400)):
            with pytest.raises(InvalidStatus, match=str(status)):
                await open_socket(address, f"/{query}")
        async with browsing(address) as client:
            assert 401 == (await client.get(f"/http?access_token={alice}")).status_code


# Cookies --------------------------------------------------------------------------------------------------------------


def add_pages(app: Any, config: JWTConfig) -> None:
    @app.get("/login")
    async def login(request: Request) -> HTTPResponse:
        response = empty()
        set_token_cookies(response, create_token_pair("alice", config), config)
        return response

    @app.get("/logout")
    async def logout(request: Request) -> HTTPResponse:
        response = json({})
        unset_token_cookies(response, config)
        return response

    @app.get("/form")
    async def form(request: Request) -> HTTPResponse:
        return text(csrf_token(request, config))

    @app.route("/page", methods=["GET", "POST", "DELETE"])
    async def page(request: Request) -> HTTPResponse:
        return json(
            {"identity": request.ctx.token.identity, "name": request.form.get("name") if request.form else None}
        )

    @app.post("/streaming", stream=True)
    async def streaming(request: Request) -> HTTPResponse:
        return text("".join([part.decode() async for part in request.stream]))  # type: ignore[union-attr]

    @app.websocket("/ws")
    async def websocket(request: Request, ws: Any) -> None:
        await ws.send(f"{request.ctx.token.identity} by {request.ctx.token.source}")


async def test_a_browser(app: Any, config: JWTConfig, serve: Serve) -> None:
    """It logs in, reads and writes with the CSRF value, in a header or in a form, and logs out."""
    install(app, config, sources=[BearerHeader(), Cookie(COOKIES)], exempt=["/login"])
    add_pages(app, config)
    async with serve(app) as address, browsing(address) as client:
        assert 401 == (await client.get("/page")).status_code
        response = await client.get("/login")
        assert 3 == len(response.headers.get_list("set-cookie"))
        assert "no-store" == response.headers["cache-control"]
        assert "alice" == (await client.get("/page")).json()["identity"]

        in_header = {"x-csrf-token": client.cookies["csrf"]}
        in_form = {"csrf_token": (await client.get("/form")).text, "name": "Jürgen"}
        assert 403 == (await client.post("/page")).status_code
        assert 403 == (await client.post("/page", data={"name": "x"})).status_code
        assert 403 == (await client.post("/page", data={**in_form, "csrf_token": "wrong"})).status_code
        assert 200 == (await client.post("/page", headers=in_header)).status_code
        assert {"identity": "alice", "name": "Jürgen"} == (await client.post("/page", data=in_form)).json()
        form = {"content": urlencode(in_form), "headers": {"content-type": "application/x-www-form-urlencoded"}}
        assert 200 == (await client.request("DELETE", "/page", **form)).status_code
        assert 404 == (await client.post("/unknown", data=in_form)).status_code
        assert 403 == (await client.post("/unknown", data={})).status_code

        for origin, status in ((f"http://{address}", 200), ("http://evil.example", 403)):
            assert status == (await client.post("/page", data=in_form, headers={"origin": origin})).status_code

        assert 3 == len((await client.get("/logout")).headers.get_list("set-cookie"))
        assert {} == dict(client.cookies)
        assert 401 == (await client.get("/page")).status_code


async def test_a_handler_that_reads_the_form_itself(app: Any, config: JWTConfig, serve: Serve) -> None:
    """A streaming handler gets all of its body, so the CSRF value has to be in the header."""
    install(app, config, sources=[Cookie(COOKIES)], exempt=["/login"])
    add_pages(app, config)
    async with serve(app) as address, browsing(address) as client:
        await client.get("/login")
        form = {"csrf_token": client.cookies["csrf"]}
        assert 403 == (await client.post("/streaming", data=form)).status_code
        response = await client.post("/streaming", data=form, headers={"x-csrf-token": client.cookies["csrf"]})
        assert (200, urlencode(form)) == (response.status_code, response.text)


async def test_a_form_that_sanic_ext_wants_examined(config: JWTConfig, serve: Serve) -> None:
    """Injection comes before Sanic has read the form; the form is read for it, and still there afterwards (trap)."""
    pytest.importorskip("sanic_ext")
    app = new_app(extended=True)
    install(app, config, sources=[Cookie(COOKIES)], exempt=["/login"])
    add_pages(app, config)

    @app.post("/injected")
    async def injected(request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token.identity, "name": request.form.get("name")})

    async with serve(app) as address, browsing(address) as client:
        await client.get("/login")
        form = {"csrf_token": client.cookies["csrf"], "name": "x"}
        assert {"identity": "alice", "name": "x"} == (await client.post("/injected", data=form)).json()
        assert 403 == (await client.post("/injected", data={"name": "x"})).status_code


async def test_a_socket_of_a_browser(app: Any, config: JWTConfig, serve: Serve) -> None:
    """A handshake with a cookie must come from the own origin."""
    install(app, config, sources=[Cookie(COOKIES)])
    add_pages(app, config)
    cookie = {"cookie": f"access={create_access_token('alice', config)}"}
    async with serve(app) as address:
        async with open_socket(address, "/ws", headers=cookie, origin=f"http://{address}") as websocket:
            assert "alice by cookie" == await websocket.recv()
        for origin in ("http://evil.example", None):
            with pytest.raises(InvalidStatus, match="403"):
                await open_socket(address, "/ws", headers=cookie, origin=origin)


async def test_the_scheme_of_the_page(app: Any, config: JWTConfig) -> None:
    """Behind a proxy that is trusted and says https, a page that came by http is another origin."""
    app.config.PROXIES_COUNT = 1
    install(app, config, sources=[Cookie(COOKIES)])
    add_pages(app, config)
    cookie = {"cookie": f"access={create_access_token('alice', config)}"}
    proxied = {**cookie, "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}
    async with serving(app) as address:
        for headers, origin, is_own_origin in (
            (cookie, f"http://{address}", True),
            (proxied, f"http://{address}", False),
            (proxied, f"https://{address}", True),
        ):
            opening = open_socket(address, "/ws", headers=headers, origin=origin)
            if is_own_origin:
                async with opening as websocket:
                    assert "alice by cookie" == await websocket.recv()
            else:
                with pytest.raises(InvalidStatus, match="403"):
                    await opening


async def test_endpoints(app: Any, config: JWTConfig, serve: Serve) -> None:
    """They refresh and log out by cookie alone."""
    store = MemoryStore()
    endpoints = {"/auth": TokenEndpoints(config, store, cookies=True)}
    install(app, config, store=store, sources=[Cookie(COOKIES)], exempt=["/login"], endpoints=endpoints)

    @app.get("/login")
    async def login(request: Request) -> HTTPResponse:
        response = empty()
        set_token_cookies(response, await start_session("alice", config, store), config)
        return response

    @app.get("/page")
    async def page(request: Request) -> HTTPResponse:
        return text(request.ctx.token.identity)

    async with serve(app) as address, browsing(address) as client:
        await client.get("/login")
        before = client.cookies["access"]
        assert 403 == (await client.post("/auth/refresh")).status_code
        response = await client.post("/auth/refresh", headers={"x-csrf-token": client.cookies["csrf"]})
        assert (200, 3) == (response.status_code, len(response.headers.get_list("set-cookie")))
        assert before != client.cookies["access"]
        assert "alice" == (await client.get("/page")).text
        response = await client.post("/auth/logout", headers={"x-csrf-token": client.cookies["csrf"]})
        assert (200, {}) == (response.status_code, dict(client.cookies))
        assert 401 == (await client.get("/page")).status_code


# By route -------------------------------------------------------------------------------------------------------------


async def test_sources_of_a_route(app: Any, config: JWTConfig, serve: Serve, alice: str) -> None:
    """A route that names its sources looks there and nowhere else, before a websocket is open too."""
    install(app, config, required=False)

    @app.get("/http")
    @jwt_required(sources=[Cookie(COOKIES)])
    async def handler(request: Request, token: Token) -> HTTPResponse:
        return text(f"{token.identity} by {token.source}")

    @app.websocket("/ws")
    @jwt_required(sources=[InsecureWebSocketQuery("t")])
    async def websocket(request: Request, ws: Any, token: Token) -> None:
        await ws.send(f"{token.identity} by {token.source}")

    async with serve(app) as address:
        async with browsing(address) as client:
            assert 401 == (await client.get("/http", headers=bearer(alice))).status_code
            assert "alice by cookie" == (await client.get("/http", headers={"cookie": f"access={alice}"})).text
        with pytest.raises(InvalidStatus, match="401"):
            await open_socket(address, "/ws", alice)
        async with open_socket(address, f"/ws?t={alice}") as websocket:
            assert "alice by websocket_query" == await websocket.recv()
