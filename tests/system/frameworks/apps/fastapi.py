"""FastAPI, with `install`."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

from asgi_jwt_claims.fastapi import get_token, install
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, CONFIG, EVENT, PAUSE, options, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    async def handle(request: Request) -> dict[str, Any]:
        return answer(request)

    return handle


async def ticks() -> AsyncIterator[str]:
    while True:
        yield EVENT
        await anyio.sleep(PAUSE)


def build(store: TokenStore) -> App:
    app: Any = FastAPI()
    for name, answer in ANSWERS.items():
        app.get(f"/{name}")(handler(answer))

    @app.get("/sync")
    def sync() -> dict[str, Any]:
        return answer_of_sync()

    @app.post("/upload")
    async def upload(request: Request) -> dict[str, Any]:
        return size_of(await request.body())

    @app.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(ticks(), media_type="text/event-stream")

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(get_token(websocket).identity)
        async for _ in websocket.iter_text():
            pass

    install(app, CONFIG, **options(store))
    return app
