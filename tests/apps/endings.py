"""A stream whose token ends when the stream has begun, uploads that are refused when they have been read, and a WebSocket
that has to adopt a token.

The time of the tokens of streams is the application's own, so that nothing here depends on how busy the machine is.
"""

from __future__ import annotations

import anyio

from asgi_jwt_claims import JWTConfig, JWTMiddleware, adopt_token
from asgi_jwt_claims.runtime import drain as _drain
from tests.raw_asgi import App, Receive, Scope, Send
from tests.support import SECRET

_drain._LONGEST = 60.0  # type: ignore[misc]  # what is tested is not how long a busy machine takes

START = 1_000_000
DRAIN = 8 * 1024 * 1024


class Clock:
    """Seconds since the epoch, as the application wants them.

    Attributes:
        passed: Seconds since the start.
    """

    def __init__(self) -> None:
        self.passed = 0

    def __call__(self) -> float:
        """The time."""
        return START + self.passed


clock = Clock()
CONFIG = JWTConfig(secret_key=SECRET, clock=clock)


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """An event stream that announces a length, and whose token ends after the first piece."""
    headers = [(b"content-type", b"text/event-stream"), (b"content-length", b"10000"), (b"connection", b"keep-alive")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    clock.passed += 24 * 60 * 60
    while True:
        await anyio.sleep(0.05)
        await send({"type": "http.response.body", "body": b": tick\n\n", "more_body": True})


async def socket(scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket that adopts the token of its first message, sleeps, or is busy."""
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == "/sleeps":
        await anyio.sleep_forever()
    while scope["path"] == "/sends":
        await send({"type": "websocket.send", "text": "tick"})
        await anyio.sleep(0.05)
    while (message := await receive())["type"] == "websocket.receive":
        token = await adopt_token(scope, message["text"])
        await send({"type": "websocket.send", "text": token.identity})


guarded: App = JWTMiddleware(stream, CONFIG, drain=DRAIN)
adopting: App = JWTMiddleware(socket, JWTConfig(secret_key=SECRET, leeway=0), required=False, adopt_within=1)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The guarded stream, the WebSocket; and a lifespan, in which nothing happens."""
    if scope["type"] != "lifespan":
        await (adopting if scope["type"] == "websocket" else guarded)(scope, receive, send)
        return
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})
