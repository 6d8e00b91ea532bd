"""Drive one connection: the client, and the server between it and the application."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from tests.raw_asgi import App, Message, Receive, Scope, Send

PATIENCE = 30.0
"""Seconds after which something does not happen any more."""


async def until(happened: Callable[[], object]) -> None:
    """Wait until something has happened."""
    with anyio.fail_after(PATIENCE):
        while not happened():  # noqa: ASYNC110 -- there is no event for everything
            await anyio.sleep(0.001)


async def a_while() -> None:
    """Long enough for what must not happen to happen, and for what must: the registry has looked at its clock."""
    for _ in range(6):  # turns, which a busy machine delays for all tasks alike
        await anyio.sleep(0.005)


class ClientConnection:
    """What the server has been told by the application, and what it will say to it.

    Attributes:
        sent: What the application has sent, or what was sent for it.
        too_late: What was sent after the end, which servers take for a mistake.
        error: What the application has let go.
        is_over: Whether the application has returned.
        has_hung_up: Whether the client has gone: sending raises an OSError then.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.sent: list[Message] = []
        self.too_late: list[Message] = []
        self.error: BaseException | None = None
        self.is_over = False
        self.has_hung_up = False
        first: Message = {"type": "websocket.connect"}
        if scope["type"] == "http":
            first = {"type": "http.request", "body": b"", "more_body": scope["method"] == "POST"}
        self._to_say: deque[Message] = deque([first])
        self._news = anyio.Event()
        self._may_send = anyio.Event()
        self._may_send.set()
        self.is_blocked = False

    @property
    def types(self) -> list[str]:
        """The types of what was sent."""
        return [message["type"].removeprefix("websocket.").removeprefix("http.response.") for message in self.sent]

    @property
    def texts(self) -> list[str]:
        """What was said on the websocket."""
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    @property
    def body(self) -> bytes:
        """What has come of the response."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def end(self) -> Any:
        """The code and the reason of the close; of a response, whether it was its last part that was sent last."""
        last = self.sent[-1] if self.sent else {"type": ""}
        if last["type"] == "websocket.close":
            return last["code"], last["reason"]
        return last["type"] == "http.response.body" and not last.get("more_body", False)

    def say(self, text: str) -> None:
        """Let the client say something."""
        self.push({"type": "websocket.receive", "text": text})

    def push(self, message: Message) -> None:
        """Let the server say something."""
        self._to_say.append(message)
        self._tell()

    def hang_up(self) -> None:
        """Let the client go."""
        self.has_hung_up = True
        self._may_send.set()
        self._tell()

    def block(self) -> None:
        """Let nothing through: whoever sends waits."""
        self._may_send = anyio.Event()

    def unblock(self) -> None:
        """Let everything through."""
        self._may_send.set()

    async def receive(self) -> Message:
        """The server's."""
        await anyio.lowlevel.checkpoint()
        while not self._to_say:
            if self.has_hung_up:
                return {"type": f"{self.scope['type']}.disconnect", "code": 1001, "reason": "left"}
            await self._news.wait()
        return self._to_say.popleft()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def send(self, message: Message) -> None:
        """The server's."""
        await anyio.lowlevel.checkpoint()
        self.is_blocked = not self._may_send.is_set()
        await self._may_send.wait()
        self.is_blocked = False
        if self.has_hung_up:
            raise OSError("the client has gone")
        if self.end:
            self.too_late.append(message)
            raise RuntimeError(f"{message['type']} after the end")
        self.sent.append(message)

    async def serve(self, app: App) -> None:
        """Run the application as servers do."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 -- kept for the test to see
            self.error = error
        finally:
            self.is_over = True


@asynccontextmanager
async def connected(app: App, scope: Scope) -> AsyncIterator[ClientConnection]:
    """A connection to an application that has said something; in the end the client goes, and the application has to."""
    connection = ClientConnection(scope)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.serve, app)
        try:
            await until(lambda: connection.sent or connection.is_over)
            yield connection
            connection.hang_up()
            await until(lambda: connection.is_over)
            assert [] == connection.too_late
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def crowded(app: App, scopes: Iterable[Scope]) -> AsyncIterator[list[ClientConnection]]:
    """Many connections at once."""
    connections = [ClientConnection(scope) for scope in scopes]
    async with anyio.create_task_group() as tasks:
        for connection in connections:
            tasks.start_soon(connection.serve, app)
        await until(lambda: all(connection.sent for connection in connections))
        yield connections
        for connection in connections:
            connection.hang_up()


class Talker:
    """A websocket application that accepts, tells what it is told, and keeps what comes of it."""

    def __init__(self) -> None:
        self.told: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the client has gone."""
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            self.told.append(await receive())
            if self.told[-1]["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": self.told[-1]["text"]})
