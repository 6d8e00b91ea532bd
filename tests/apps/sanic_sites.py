"""Sanic behind real sockets, both ways: on its own server, and on uvicorn in ASGI mode."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import uvicorn
from sanic import Sanic
from websockets.asyncio.client import connect

from tests.apps.sanic_adapter import serving
from tests.sockets import PATIENCE

Serve = Callable[[Any], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def on_uvicorn(app: Any) -> AsyncIterator[str]:
    """An application on uvicorn, in this process and on this event loop; the value is its address."""
    options: dict[str, Any] = {"lifespan": "on", "ws": "wsproto", "log_level": "critical"}
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=1, **options))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
            for one in tuple(Sanic._app_registry.values()):
                one._asgi_app = None
                Sanic.unregister_app(one)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 -- of code that sets no event
            await anyio.sleep(0.01)


def is_own(serve: Serve) -> bool:
    """Whether it is Sanic's own server."""
    return serve is serving


def bearer(raw: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"authorization": f"Bearer {raw}"}


def open_socket(address: str, path: str, raw: str | None = None, **options: Any) -> Any:
    """A websocket."""
    headers = {**(bearer(raw) if raw else {}), **options.pop("headers", {})}
    return connect(f"ws://{address}{path}", additional_headers=headers, proxy=None, open_timeout=PATIENCE, **options)
