"""Drive applications without a server: hand them one request after the other inside a running event loop.

An application that never waits costs the loop nothing, and one that does pays for it, as it would under a server. The
bare application and the guarded one are driven in the same way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from .measure import Task

ASGIApp = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Any]
Headers = list[tuple[bytes, bytes]]

PATH = "/protected"


def request_headers(raw: str | None, extra: int = 0) -> Headers:
    """The headers of an ordinary request with this token; `extra` more stand before it."""
    headers = [(b"host", b"api.example"), (b"user-agent", b"benchmarks/1"), (b"accept", b"application/json")]
    headers += [(f"x-header-{number}".encode(), b"some value or other") for number in range(extra)]
    return headers if raw is None else [*headers, (b"authorization", b"Bearer " + raw.encode())]


def request_scope(headers: Headers) -> dict[str, Any]:
    """A new scope, as a server would make it: applications write into theirs."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }


class Exchange:
    """One request and its answer: an empty body comes in, and the status is kept of what goes out."""

    __slots__ = ("_asked", "status")

    def __init__(self) -> None:
        self._asked = False
        self.status = 0

    async def receive(self) -> dict[str, Any]:
        """The request once; then nothing until the application stops asking."""
        if self._asked:
            await asyncio.get_running_loop().create_future()
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]


class RequestTask(Task):
    """Requests to time, one for each list of headers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: ASGIApp, requests: Sequence[Headers]) -> None:
        super().__init__(app, requests)
        self._loop = loop

    def batch(self, inputs: list[Any]) -> float:
        """Seconds of a request for each of the inputs, measured inside the loop."""
        return self._loop.run_until_complete(self._batch(inputs))

    async def _batch(self, inputs: list[Headers]) -> float:
        app: Any = self.call
        began = time.perf_counter()
        for headers in inputs:
            await handled(app, headers)
        return time.perf_counter() - began


async def handled(app: ASGIApp, headers: Headers) -> int:
    """Hand one request to an application; the status of its answer, 500 where it raises instead, as servers have it."""
    exchange = Exchange()
    try:
        await app(request_scope(headers), exchange.receive, exchange.send)
    except Exception:  # noqa: BLE001 -- a server answers for every error of its application
        return 500
    return exchange.status


class Lifespans:
    """Applications started before they are timed, and stopped afterwards."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stop: asyncio.Event = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    def start(self, app: ASGIApp) -> None:
        """Start an application that knows the lifespan protocol."""
        self._loop.run_until_complete(self._start(app))

    async def _start(self, app: ASGIApp) -> None:
        started = asyncio.Event()
        messages = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, Any]:
            if started.is_set():
                await self._stop.wait()
            return {"type": next(messages)}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"].endswith(".failed"):
                raise RuntimeError(message.get("message", "the application did not start"))
            started.set()

        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        running = self._loop.create_task(app(scope, receive, send))
        self._running.append(running)
        waiting = self._loop.create_task(started.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            waiting.cancel()
            running.result()

    def stop(self) -> None:
        """Stop them all."""
        self._stop.set()
        self._loop.run_until_complete(asyncio.gather(*self._running, return_exceptions=True))
