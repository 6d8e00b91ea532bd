"""Litestar, wrapped."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
from litestar import Litestar, Request, WebSocket, get, post, websocket
from litestar.response import Stream

from asgi_jwt_claims import get_token
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(name: str, answer: Any) -> Any:
    @get(f"/{name}", name=name)
    async def handle(request: Request) -> dict[str, Any]:
        return answer(request)

    return handle


@get("/sync", sync_to_thread=True)
def sync() -> dict[str, Any]:
    return answer_of_sync()


@post("/upload", status_code=200, request_max_body_size=None)
async def upload(request: Request) -> dict[str, Any]:
    return size_of(await request.body())


async def ticks() -> AsyncIterator[str]:
    while True:
        yield EVENT
        await anyio.sleep(PAUSE)


@get("/events")
async def events() -> Stream:
    return Stream(ticks(), media_type="text/event-stream")


@websocket("/socket")
async def socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(get_token(socket).identity)
    async for _ in socket.iter_data():
        pass


def build(store: TokenStore) -> App:
    handlers = [handler(name, answer) for name, answer in ANSWERS.items()]
    return guarded(Litestar([*handlers, sync, upload, events, socket]), store)
