"""The demo's servers, each with its own port on the loopback interface, its own thread and its own event loop.

The main thread only waits, so that it gets Ctrl-C; leaving `running_demo` stops all servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import sanic
import uvicorn

from asgi_jwt_claims import JWTConfig

from .apps import fastapi_app, sanic_app, starlette_app

__all__ = ["DemoServer", "DemoServersError", "running_demo"]

_HOST = "127.0.0.1"
START_SECONDS = 15.0


class DemoServersError(Exception):
    """A port is taken, or a server did not start in time."""


class SanicServer:
    """Sanic's own server, with the attributes of `uvicorn.Server` that are used here."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.started = self.should_exit = False

    def run(self, sockets: list[socket.socket]) -> None:
        """Serve until `should_exit`."""
        asyncio.run(self._serve(sockets[0]))

    async def _serve(self, listener: socket.socket) -> None:
        # This installs no signal handlers.
        server = await self._app.create_server(sock=listener, access_log=False)
        await server.startup()
        await server.before_start()
        await server.after_start()
        self.started = True
        while not self.should_exit:  # noqa: ASYNC110 -- another thread decides, as in uvicorn
            await asyncio.sleep(0.05)
        await server.before_stop()
        for connection in list(server.connections):
            connection.close()
        await server.close()
        await server.after_stop()


def uvicorn_server(app: Any) -> uvicorn.Server:
    """Make a server for an ASGI application."""
    return uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level="warning", timeout_graceful_shutdown=1))


class DemoServer:
    """One application on one port, that of a listening socket, which the server closes."""

    def __init__(self, name: str, app: Any, server: uvicorn.Server | SanicServer, listener: socket.socket) -> None:
        self.name = name
        self.url = f"http://{_HOST}:{listener.getsockname()[1]}"
        self._app = app
        self._server = server
        self._listener = listener
        self._thread = threading.Thread(target=server.run, args=([listener],), name=name, daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether the server is still running."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the server, and return when it answers requests."""
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self.is_running or time.monotonic() > deadline:
                raise DemoServersError(f"{self.name} did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server if it runs, and free its port."""
        if self.is_running:
            self._server.should_exit = True
            self._thread.join(timeout=5)
        self._listener.close()
        if isinstance(self._app, sanic.Sanic):
            sanic.Sanic.unregister_app(self._app)


@contextlib.contextmanager
def running_demo(port: int) -> Iterator[tuple[JWTConfig, list[DemoServer]]]:
    """Run the servers of the demo from `port` on, or on free ports if it is 0, with a new secret that they share."""
    config = JWTConfig(secret_key=secrets.token_urlsafe(64))
    with contextlib.ExitStack() as running:
        servers: list[DemoServer] = []
        for offset, (name, serve, build) in enumerate(SERVERS):
            listener = _listen(port + offset if port else 0)
            running.callback(listener.close)
            app = build(config)
            server = DemoServer(name, app, serve(app), listener)
            running.callback(server.stop)
            server.start()
            servers.append(server)
        yield config, servers


SERVERS: tuple[tuple[str, Callable[[Any], uvicorn.Server | SanicServer], Callable[[JWTConfig], Any]], ...] = (
    ("Sanic (ASGI mode)", uvicorn_server, sanic_app),
    ("Sanic (own server)", SanicServer, sanic_app),
    ("Starlette", uvicorn_server, starlette_app),
    ("FastAPI", uvicorn_server, fastapi_app),
)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except OSError as error:
        raise DemoServersError(f"port {port} cannot be used ({error.strerror}); choose others with --port") from None
