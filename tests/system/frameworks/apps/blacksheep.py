"""BlackSheep, wrapped."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from blacksheep import Application, Request, Response, StreamedContent, WebSocket, json

from asgi_jwt_claims import get_token
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    async def handle(request: Request) -> Response:
        return json(answer(request.scope))

    return handle


async def ticks() -> AsyncIterator[bytes]:
    while True:
        yield EVENT.encode()
        await anyio.sleep(PAUSE)


def build(store: TokenStore) -> App:
    app = Application()
    for name, answer in ANSWERS.items():
        app.router.add_get(f"/{name}", handler(answer))

    @app.router.get("/sync")
    def sync() -> Response:
        return json(answer_of_sync())

    @app.router.post("/upload")
    async def upload(request: Request) -> Response:
        return json(size_of(await request.read()))

    @app.router.get("/events")
    async def events() -> Response:
        return Response(200, content=StreamedContent(b"text/event-stream", ticks))

    @app.router.ws("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(get_token(websocket.scope).identity)
        while True:
            await websocket.receive_text()

    return guarded(app, store)
