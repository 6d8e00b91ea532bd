"""FastAPI, called in process."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, Response

from asgi_jwt_claims import JWTConfig, Token
from asgi_jwt_claims.fastapi import get_token, install, jwt_required
from tests.apps.adapter import BESIDE, EXEMPT, ROUTES, WEBSOCKETS, Adapter, Site, asgi_site, greeting, handlers


class Method:
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


class FastAPIAdapter(Adapter):
    """FastAPI."""

    def open(self, config: JWTConfig, *, required: bool = True, **options: Any) -> AbstractAsyncContextManager[Site]:
        """See `Adapter`."""
        app = FastAPI()
        install(app, config, required=required, exempt=EXEMPT, **options)
        names = handlers(
            jwt_required=jwt_required,
            get_token=get_token,
            Request=Request,
            Response=Response,
            reply=JSONResponse,
            read=Request.body,
            config=config,
        )
        for name in (*ROUTES, *BESIDE):
            app.get(f"/{name}")(names[name])
        method = Method()
        app.get("/method")(method.get)
        app.post("/method")(method.post)
        app.post("/form")(names["form"])
        for path, rules in WEBSOCKETS.items():
            app.websocket(path)(jwt_required(**rules)(converse))
        return asgi_site(app)
