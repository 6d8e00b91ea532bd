"""Lilya, wrapped."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from lilya.apps import Lilya
from lilya.requests import Request
from lilya.responses import JSONResponse, StreamingResponse
from lilya.routing import Path, WebSocketPath
from lilya.websockets import WebSocket

from asgi_jwt_claims import get_token
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    async def handle(request: Request) -> JSONResponse:
        return JSONResponse(answer(request))

    return handle


def sync() -> JSONResponse:
    return JSONResponse(answer_of_sync())


async def upload(request: Request) -> JSONResponse:
    return JSONResponse(size_of(await request.body()))


async def ticks() -> AsyncIterator[str]:
    while True:
        yield EVENT
        await anyio.sleep(PAUSE)


async def events() -> StreamingResponse:
    return StreamingResponse(ticks(), media_type="text/event-stream")


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(get_token(websocket).identity)
    async for _ in websocket.iter_text():
        pass


def build(store: TokenStore) -> App:
    app = Lilya(
        routes=[
            *(Path(f"/{name}", handler(answer)) for name, answer in ANSWERS.items()),
            Path("/sync", sync),
            Path("/upload", upload, methods=["POST"]),
            Path("/events", events),
            WebSocketPath("/socket", socket),
        ]
    )
    return guarded(app, store)
