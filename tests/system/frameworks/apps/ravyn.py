"""Ravyn, wrapped."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from lilya.responses import JSONResponse, StreamingResponse
from lilya.routing import Path
from ravyn import Gateway, Ravyn, Request, WebSocketGateway, get, websocket
from ravyn.websockets import WebSocket

from asgi_jwt_claims import get_token
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    @get()
    async def handle(request: Request) -> dict[str, Any]:
        return answer(request)

    return handle


@get()
def sync() -> dict[str, Any]:
    return answer_of_sync()


async def upload(request: Request) -> JSONResponse:
    return JSONResponse(size_of(await request.body()))


async def ticks() -> AsyncIterator[str]:
    while True:
        yield EVENT
        await anyio.sleep(PAUSE)


@get()
async def events() -> StreamingResponse:
    return StreamingResponse(ticks(), media_type="text/event-stream")


@websocket()
async def socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(get_token(socket).identity)
    async for _ in socket.iter_text():
        pass


def build(store: TokenStore) -> App:
    app = Ravyn(
        routes=[
            *(Gateway(f"/{name}", handler=handler(answer)) for name, answer in ANSWERS.items()),
            Gateway("/sync", handler=sync),
            Path("/upload", upload, methods=["POST"]),  # Lilya's: Ravyn's own reads every body as JSON
            Gateway("/events", handler=events),
            WebSocketGateway("/socket", handler=socket),
        ]
    )
    return guarded(app, store)
