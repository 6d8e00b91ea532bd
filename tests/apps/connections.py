"""What the servers serve to connections that last: below `/starlette` Starlette's, everywhere else a raw application.

What the handlers have seen of the end of a connection stands in the diary, by the name of the connection.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from asgi_jwt_claims import JWTConfig, JWTMiddleware, renew_token
from asgi_jwt_claims.starlette import install
from asgi_jwt_claims.stores import MirroredStore, TokenStore
from tests.raw_asgi import App, Receive, Scope, Send
from tests.support import SECRET

CONFIG = JWTConfig(secret_key=SECRET, leeway=0)
PAUSE = 0.05
TICK = "data: tick\n\n"

diary: dict[str, str] = {}


def store() -> TokenStore | None:
    """A mirror of the server that the tests have started, if there is one, for this event loop."""
    url, prefix = os.environ.get("TESTS_STORE", ""), os.environ.get("TESTS_PREFIX", "")
    if not url:
        return None
    if os.environ["TESTS_CLIENT"] == "coredis":
        from asgi_jwt_claims.stores.coredis import CoredisStore  # noqa: PLC0415 -- only where it is wanted

        return MirroredStore(CoredisStore.from_url(url, prefix=prefix))
    from asgi_jwt_claims.stores.redis import RedisStore  # noqa: PLC0415 -- as above

    return MirroredStore(RedisStore.from_url(url, prefix=prefix))


def note(scope: Any, what: str) -> None:
    """What a handler has seen."""
    diary[parse_qs(scope["query_string"].decode())["name"][0]] = what


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """The diary, websockets and streams, those that wait and those that send."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await (send_texts(scope, send) if scope["path"].endswith("busy") else answer(scope, receive, send))
    elif scope["path"] == "/diary":
        gc.collect()  # a generator that was left in the middle of sending ends when it is collected
        body = json.dumps(diary).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    else:
        await receive()
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await (send_ticks(scope, send) if scope["path"].endswith("busy") else wait(scope, receive, send))


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        text = message["text"]
        if text.startswith("renew "):
            await renew_token(scope, text.removeprefix("renew "))
        await send({"type": "websocket.send", "text": text[:5]})
    note(scope, f"disconnect {message['code']}")


async def send_texts(scope: Scope, send: Send) -> None:
    try:
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await anyio.sleep(PAUSE)
    except OSError:
        note(scope, "OSError")


async def send_ticks(scope: Scope, send: Send) -> None:
    try:
        while True:
            await send({"type": "http.response.body", "body": TICK.encode(), "more_body": True})
            await anyio.sleep(PAUSE)
    except OSError:
        note(scope, "OSError")


async def wait(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.body", "body": TICK.encode(), "more_body": True})
    note(scope, (await receive())["type"])


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            if text.startswith("renew "):
                await renew_token(websocket, text.removeprefix("renew "))
            await websocket.send_text(text[:5])
    except WebSocketDisconnect as gone:
        note(websocket, f"disconnect {gone.code}")


async def speak(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("tick")
            await anyio.sleep(PAUSE)
    except WebSocketDisconnect as gone:
        note(websocket, f"disconnect {gone.code}")


async def stream(request: Request) -> Response:
    async def ticks() -> AsyncIterator[str]:
        try:
            while True:
                yield TICK
                await anyio.sleep(PAUSE if request.url.path.endswith("busy") else 600)
        finally:
            note(request, "over")

    return StreamingResponse(ticks(), media_type="text/event-stream")


class Applications:
    """Both, behind one port, with one store; made when the event loop runs, to which a store belongs."""

    def __init__(self) -> None:
        self._made: tuple[App, App] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on to one of them."""
        if self._made is None:
            revocation = store()
            framework: Any = Starlette(
                routes=[
                    WebSocketRoute("/starlette/socket", chat),
                    WebSocketRoute("/starlette/socket-busy", speak),
                    Route("/starlette/stream", stream),
                    Route("/starlette/stream-busy", stream),
                ]
            )
            install(framework, CONFIG, store=revocation)
            wrapped = JWTMiddleware(raw, CONFIG, exempt=("/diary",), store=revocation)
            self._made = (wrapped, framework)
        inside = scope["type"] != "lifespan" and scope["path"].startswith("/starlette")
        await self._made[inside](scope, receive, send)


application = Applications()
