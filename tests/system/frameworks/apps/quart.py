"""Quart, wrapped where its own test client sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from quart import Quart, Response, jsonify, request, websocket

from asgi_jwt_claims import get_token
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    async def handle() -> Response:
        return jsonify(answer(request.scope))

    return handle


async def ticks() -> AsyncIterator[bytes]:
    while True:
        yield EVENT.encode()
        await anyio.sleep(PAUSE)


def build(store: TokenStore) -> App:
    app: Any = Quart("conformance")
    for name, answer in ANSWERS.items():
        app.add_url_rule(f"/{name}", name, handler(answer))

    @app.get("/sync")
    def sync() -> Response:
        return jsonify(answer_of_sync())

    @app.post("/upload")
    async def upload() -> Response:
        return jsonify(size_of(await request.get_data()))

    @app.get("/events")
    async def events() -> Response:
        response = Response(ticks(), content_type="text/event-stream")
        response.timeout = None
        return response

    @app.websocket("/socket")
    async def socket() -> None:
        await websocket.accept()
        await websocket.send(get_token(websocket.scope).identity)
        while True:
            await websocket.receive()

    app.asgi_app = guarded(app.asgi_app, store)
    return app
