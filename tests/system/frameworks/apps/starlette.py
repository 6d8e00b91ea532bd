"""Starlette, with `install`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_jwt_claims.starlette import get_token, install
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, CONFIG, EVENT, PAUSE, options, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    async def handle(request: Request) -> Response:
        return JSONResponse(answer(request))

    return handle


def sync(request: Request) -> Response:
    return JSONResponse(answer_of_sync())


async def upload(request: Request) -> Response:
    return JSONResponse(size_of(await request.body()))


async def ticks() -> AsyncIterator[str]:
    while True:
        yield EVENT
        await anyio.sleep(PAUSE)


async def events(request: Request) -> Response:
    return StreamingResponse(ticks(), media_type="text/event-stream")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(get_token(websocket).identity)
    async for _ in websocket.iter_text():
        pass


def build(store: TokenStore) -> App:
    app: Any = Starlette(
        routes=[
            *(Route(f"/{name}", handler(answer)) for name, answer in ANSWERS.items()),
            Route("/sync", sync),
            Route("/upload", upload, methods=["POST"]),
            Route("/events", events),
            WebSocketRoute("/socket", socket),
        ]
    )
    install(app, CONFIG, **options(store))
    return app
