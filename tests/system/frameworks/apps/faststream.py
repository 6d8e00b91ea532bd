"""FastStream's ASGI application, with a broker in memory, wrapped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from faststream.asgi import AsgiFastStream, AsgiResponse, Request, get, post
from faststream.asgi.response import JSONResponse
from faststream.redis import RedisBroker, TestRedisBroker

from asgi_jwt_claims.stores import TokenStore
from tests.raw_asgi import App, Receive, Scope, Send
from tests.system.frameworks.guarded import ANSWERS, EVENT, PAUSE, guarded, size_of
from tests.system.frameworks.guarded import sync as answer_of_sync


def handler(answer: Any) -> Any:
    @get
    async def handle(scope: Scope) -> AsgiResponse:
        return JSONResponse(answer(scope))

    return handle


@get
def sync(scope: Scope) -> AsgiResponse:
    return JSONResponse(answer_of_sync())


@post
async def upload(request: Request) -> AsgiResponse:
    return JSONResponse(size_of(await request.body()))


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """A route may be any ASGI application. FastStream's own responses are sent as a whole."""
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while True:
        await send({"type": "http.response.body", "body": EVENT.encode(), "more_body": True})
        await anyio.sleep(PAUSE)


def build(store: TokenStore) -> App:
    broker = RedisBroker()

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with TestRedisBroker(broker):
            yield

    routes = [(f"/{name}", handler(answer)) for name, answer in ANSWERS.items()]
    routes += [("/sync", sync), ("/upload", upload), ("/events", events)]
    return guarded(AsgiFastStream(broker, asgi_routes=routes, lifespan=lifespan, logger=None), store)
