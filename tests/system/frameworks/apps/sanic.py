"""Sanic in ASGI mode, with `install`."""

from __future__ import annotations

from typing import Any

import anyio
from sanic import HTTPResponse, Request, Sanic, Websocket, json

from asgi_jwt_claims.sanic import get_token, install
from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App
from tests.system.frameworks.guarded import ANSWERS, CONFIG, EVENT, PAUSE, options, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    async def handle(request: Request) -> HTTPResponse:
        return json(answer(request))

    return handle


def sync(request: Request) -> HTTPResponse:
    return json(answer_of_sync())


async def upload(request: Request) -> HTTPResponse:
    return json(size_of(request.body))


async def events(request: Request) -> None:
    response = await request.respond(content_type="text/event-stream")
    while True:
        await response.send(EVENT)
        await anyio.sleep(PAUSE)


async def socket(request: Request, websocket: Websocket) -> None:
    await websocket.send(get_token(request).identity)
    while await websocket.recv() is not None:
        pass


def build(store: TokenStore) -> App:
    app: Any = Sanic("conformance")
    app.config.TOUCHUP = False
    for name, answer in ANSWERS.items():
        app.add_route(handler(answer), f"/{name}", name=name)
    app.add_route(sync, "/sync")
    app.add_route(upload, "/upload", methods=["POST"])
    app.add_route(events, "/events")
    app.add_websocket_route(socket, "/socket")
    install(app, CONFIG, **options(store))
    return app
