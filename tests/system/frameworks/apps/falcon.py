"""Falcon, wrapped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
from falcon.asgi import App as Falcon
from falcon.asgi import Request, Response, WebSocket

from asgi_jwt_claims import get_token
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


class Answer:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = self.answer(req.scope)


class Sync:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = await asyncio.to_thread(answer_of_sync)


class Upload:
    async def on_post(self, req: Request, resp: Response) -> None:
        resp.media = size_of(await req.stream.read())


async def ticks() -> AsyncIterator[bytes]:
    while True:
        yield EVENT.encode()
        await anyio.sleep(PAUSE)


class Events:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.content_type = "text/event-stream"
        resp.stream = ticks()


class Socket:
    async def on_websocket(self, req: Request, ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text(get_token(req.scope).identity)
        while True:
            await ws.receive_text()


def build(store: TokenStore) -> App:
    app = Falcon()
    for name, answer in ANSWERS.items():
        app.add_route(f"/{name}", Answer(answer))
    for name, resource in (("sync", Sync()), ("upload", Upload()), ("events", Events()), ("socket", Socket())):
        app.add_route(f"/{name}", resource)
    return guarded(app, store)
