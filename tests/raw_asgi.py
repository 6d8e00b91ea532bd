"""Call ASGI applications without a server: scopes as servers make them, and the messages that come back."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

import anyio

from asgi_jwt_claims import current_token

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]


def bearer(raw: str | bytes) -> Header:
    """The header that carries a token."""
    return (b"authorization", b"Bearer " + (raw.encode() if isinstance(raw, str) else raw))


def http_scope(path: str = "/", *headers: Header, method: str = "GET", **more: Any) -> dict[str, Any]:
    """An http scope as uvicorn makes it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        **more,
    }


def websocket_scope(path: str = "/", *headers: Header, denial: bool = True, **more: Any) -> dict[str, Any]:
    """A websocket scope; `denial` says whether the server offers the denial response."""
    scope = http_scope(path, *headers)
    del scope["method"]
    extensions = {"websocket.http.response": {}} if denial else {}
    return {**scope, "type": "websocket", "scheme": "ws", "subprotocols": [], "extensions": extensions, **more}


class Exchange(NamedTuple):
    """The messages that an application sent for one scope."""

    messages: list[Message]

    @property
    def types(self) -> list[str]:
        """The types of the messages, in order."""
        return [message["type"] for message in self.messages]

    @property
    def start(self) -> Message:
        """The message that starts the response, http or denial."""
        return next(message for message in self.messages if message["type"].endswith("http.response.start"))

    @property
    def status(self) -> int:
        """The status code."""
        status: int = self.start["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        """The headers, none of which may be repeated."""
        pairs = [(name.decode(), value.decode()) for name, value in self.start["headers"]]
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    @property
    def body(self) -> bytes:
        """The whole body."""
        ends = ("http.response.body",)
        return b"".join(message.get("body", b"") for message in self.messages if message["type"].endswith(ends))

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def texts(self) -> list[str]:
        """The texts that the application sent on the websocket."""
        return [message["text"] for message in self.messages if message["type"] == "websocket.send"]

    @property
    def close_code(self) -> int | None:
        """The code of the close, if the application closed the websocket."""
        return next((message["code"] for message in self.messages if message["type"] == "websocket.close"), None)


async def drive(app: App, scope: Scope, *incoming: Message) -> Exchange:
    """Run `app` on one scope. It receives `incoming`, then a disconnect."""
    waiting = deque(incoming)
    sent: list[Message] = []
    end = "http.disconnect" if scope["type"] == "http" else "websocket.disconnect"

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        return waiting.popleft() if waiting else {"type": end, "code": 1005}

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        sent.append(message)

    await app(scope, receive, send)
    return Exchange(sent)


async def ask(app: App, path: str = "/", *headers: Header, **more: Any) -> Exchange:
    """Send one http request without a body."""
    request: Message = {"type": "http.request", "body": b"", "more_body": False}
    return await drive(app, http_scope(path, *headers, **more), request)


async def talk(app: App, path: str = "/", *headers: Header, says: Iterable[str] = (), **more: Any) -> Exchange:
    """Open one websocket connection that sends some texts and leaves."""
    words = [{"type": "websocket.receive", "text": text} for text in says]
    return await drive(app, websocket_scope(path, *headers, **more), {"type": "websocket.connect"}, *words)


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    """Start `app`, and shut it down at the end."""
    to_app, from_server = anyio.create_memory_object_stream[Message](2)
    to_server, from_app = anyio.create_memory_object_stream[Message](2)
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    with to_app, from_server, to_server, from_app:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app, scope, from_server.receive, to_server.send)
            await to_app.send({"type": "lifespan.startup"})
            assert (await from_app.receive())["type"] == "lifespan.startup.complete"
            yield
            await to_app.send({"type": "lifespan.shutdown"})
            assert (await from_app.receive())["type"] == "lifespan.shutdown.complete"


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that never really waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("the coroutine waited for something")


class Recorder:
    """An ASGI application that keeps the arguments of its calls, and responds with 200 or accepts."""

    def __init__(self) -> None:
        self.calls: list[tuple[Scope, Receive, Send]] = []
        self.current: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls.append((scope, receive, send))
        self.current.append(current_token())
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

    @property
    def scope(self) -> Scope:
        """The scope of its only call."""
        ((scope, _, _),) = self.calls
        return scope
