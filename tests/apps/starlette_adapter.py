"""Starlette, called in process."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_jwt_claims import JWTConfig, Token
from asgi_jwt_claims.auth.request import get_token
from asgi_jwt_claims.starlette import install, jwt_required
from tests.apps.adapter import BESIDE, EXEMPT, ROUTES, WEBSOCKETS, Adapter, Site, asgi_site, greeting, handlers


class Method(HTTPEndpoint):
    @jwt_required
    async def get(self, request: Request, token: Token) -> Response:
        return JSONResponse({"identity": token.identity})

    @jwt_required(allow="ADMIN")
    def post(self, request: Request, token: Token) -> Response:
        return JSONResponse({"identity": token.identity})


async def converse(websocket: WebSocket, token: Token) -> None:
    await websocket.accept()
    await websocket.send_text(greeting(token))
    await websocket.send_text(f"{token.identity}: {await websocket.receive_text()}")
    await websocket.close()


class StarletteAdapter(Adapter):
    """Starlette."""

    def open(self, config: JWTConfig, *, required: bool = True, **options: Any) -> AbstractAsyncContextManager[Site]:
        """See `Adapter`."""
        names = handlers(
            jwt_required=jwt_required,
            get_token=get_token,
            Request=Request,
            Response=Response,
            reply=JSONResponse,
            read=Request.body,
            config=config,
        )
        routes: list[BaseRoute] = [Route(f"/{name}", names[name]) for name in (*ROUTES, *BESIDE)]
        routes += [
            Route("/method", Method),
            Route("/form", names["form"], methods=["POST"]),
            *(WebSocketRoute(path, jwt_required(**rules)(converse)) for path, rules in WEBSOCKETS.items()),
        ]
        app = Starlette(routes=routes)
        install(app, config, required=required, exempt=EXEMPT, **options)
        return asgi_site(app)  # type: ignore[arg-type]
