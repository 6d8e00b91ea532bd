"""Handlers whose annotations are strings until FastAPI reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, WebSocket

from asgi_jwt_claims import Token
from asgi_jwt_claims.fastapi import CurrentToken, install, jwt_required

if TYPE_CHECKING:
    from asgi_jwt_claims import JWTConfig


async def current(token: CurrentToken) -> Any:
    return {"identity": token.identity}


@jwt_required
async def guarded(request: Request, token: Token) -> Any:
    return {"identity": token.identity}


@jwt_required
def guarded_sync(token: Token) -> Any:
    return {"identity": token.identity}


@jwt_required
async def with_body(number: int, token: Token, query: str = "x") -> Any:
    return {"identity": token.identity, "number": number, "query": query}


class Views:
    @jwt_required(scopes="read")
    async def method(self, request: Request, token: Token) -> Any:
        return {"identity": token.identity}


@jwt_required
async def converse(websocket: WebSocket, token: Token) -> None:
    await websocket.accept()
    await websocket.send_text(token.identity)


def build(config: JWTConfig) -> FastAPI:
    """An application of these handlers."""
    app = FastAPI()
    install(app, config, required=False)
    app.get("/current")(current)
    app.get("/guarded")(guarded)
    app.get("/guarded-sync")(guarded_sync)
    app.get("/body/{number}")(with_body)
    app.get("/method")(Views().method)
    app.websocket("/ws")(converse)
    return app
