"""Sanic, on its own server and in ASGI mode."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx2
from sanic import HTTPResponse, Request, Sanic, json
from sanic.views import HTTPMethodView
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from asgi_jwt_claims import JWTConfig, Token
from asgi_jwt_claims.auth.request import get_token
from asgi_jwt_claims.sanic import install, jwt_required
from tests.apps.adapter import BESIDE, EXEMPT, ROUTES, WEBSOCKETS, Adapter, Site, Talk, asgi_site, greeting, handlers
from tests.apps.many_sanics import allow_many
from tests.raw_asgi import Header
from tests.sockets import PATIENCE
from tests.support import serve_sanic

allow_many()
_numbers = itertools.count()


def new_app(*, extended: bool = False) -> Sanic[Any, Any]:
    """An application under a name of its own, quiet; `extended` by sanic-ext where that is installed."""
    app: Sanic[Any, Any] = Sanic(f"app{next(_numbers)}", configure_logging=False)
    app.config.MOTD = False
    app.config.AUTO_EXTEND = extended
    return app


async def failure_of(app: Any) -> str:
    """Why an application does not start."""
    told: list[Any] = []
    incoming = [{"type": "lifespan.shutdown"}, {"type": "lifespan.startup"}]

    async def receive() -> Any:
        return incoming.pop()

    async def send(message: Any) -> None:
        told.append(message)

    await app({"type": "lifespan"}, receive, send)
    assert "lifespan.startup.failed" == told[0]["type"]
    message: str = told[0]["message"]
    return message


@asynccontextmanager
async def serving(app: Sanic[Any, Any]) -> AsyncIterator[str]:
    """`app` on Sanic's own server, in this process; the value is its address."""
    try:
        async with serve_sanic(app) as url:
            yield url.removeprefix("http://")
    finally:
        Sanic.unregister_app(app)


class SocketSite(Site):
    """An application behind a real socket."""

    def __init__(self, client: httpx2.AsyncClient, address: str) -> None:
        super().__init__(client)
        self.address = address

    async def shake(self, path: str, *headers: Header, protocols: Sequence[str] = (), says: str = "hello") -> Talk:
        """See `Site`."""
        options: Any = {
            "additional_headers": [(name.decode(), value.decode()) for name, value in headers],
            "subprotocols": list(protocols) or None,
            "proxy": None,
            "open_timeout": PATIENCE,
        }
        try:
            with anyio.fail_after(PATIENCE):
                async with connect(f"ws://{self.address}{path}", **options) as websocket:
                    await websocket.send(says)
                    texts = [str(await websocket.recv()), str(await websocket.recv())]
                    await websocket.wait_closed()
                    return Talk(None, {}, texts, websocket.close_code, websocket.subprotocol)
        except InvalidStatus as refusal:
            return Talk(refusal.response.status_code, dict(refusal.response.headers), ())


@asynccontextmanager
async def socket_site(app: Sanic[Any, Any]) -> AsyncIterator[Site]:
    """A site on Sanic's own server."""
    async with (
        serving(app) as address,
        httpx2.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=False, timeout=PATIENCE) as client,
    ):
        yield SocketSite(client, address)


class Method(HTTPMethodView):
    @jwt_required
    async def get(self, request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token.identity})

    @jwt_required(allow="ADMIN")
    def post(self, request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token.identity})


async def converse(request: Request, ws: Any, token: Token) -> None:
    await ws.send(greeting(token))
    await ws.send(f"{token.identity}: {await ws.recv()}")


async def read(request: Request) -> bytes:
    return request.body


def build(config: JWTConfig, **options: Any) -> Sanic[Any, Any]:
    """The application of the contract."""
    app = new_app()
    install(app, config, exempt=EXEMPT, **options)
    names = handlers(
        jwt_required=jwt_required,
        get_token=get_token,
        Request=Request,
        Response=HTTPResponse,
        reply=json,
        read=read,
        config=config,
    )
    for name in (*ROUTES, *BESIDE):
        app.add_route(names[name], f"/{name}")
    app.add_route(Method.as_view(), "/method")
    app.add_route(names["form"], "/form", methods=["POST"])
    for path, rules in WEBSOCKETS.items():
        app.add_websocket_route(jwt_required(**rules)(converse), path, name=path.replace("/", "_"))
    return app


class SanicAdapter(Adapter):
    """Sanic on its own server."""

    def open(self, config: JWTConfig, *, required: bool = True, **options: Any) -> AbstractAsyncContextManager[Site]:
        """See `Adapter`."""
        return socket_site(build(config, required=required, **options))


class SanicAsgiAdapter(Adapter):
    """Sanic in ASGI mode."""

    def open(self, config: JWTConfig, *, required: bool = True, **options: Any) -> AbstractAsyncContextManager[Site]:
        """See `Adapter`."""
        return asgi_site(build(config, required=required, **options))
