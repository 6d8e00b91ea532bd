"""The demo's servers, each with its own port on the loopback interface, its own thread and its own event loop.

The main thread only waits, so that it gets Ctrl-C; leaving `running_demo` stops all servers. Sanic's own server runs by
`create_server`, which installs no signal handlers.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import sanic
import uvicorn

from asgi_jwt_claims import JWTConfig

from .apps import fastapi_app, sanic_app, starlette_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["DemoServer", "DemoServersError", "running_demo"]

_HOST = "127.0.0.1"
START_SECONDS = 15.0
_STOP_SECONDS = 5.0


class DemoServersError(Exception):
    """A server could not be started."""


class DemoServer(ABC):
    """One application on one port.

    Args:
        name: The name of the server in the output.
        app: The application.
        listener: A listening socket, which the server closes.
    """

    def __init__(self, name: str, app: Any, listener: socket.socket) -> None:
        self.name = name
        self.url = f"http://{_HOST}:{listener.getsockname()[1]}"
        self._app = app
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether the server is still running."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the server, and return when it answers requests.

        Raises:
            DemoServersError: The server did not start in time.
        """
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if not self.is_running or time.monotonic() > deadline:
                raise DemoServersError(f"{self.name} did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server if it runs, and free its port."""
        if self.is_running:
            self._ask_to_stop()
            self._thread.join(_STOP_SECONDS)
        self._listener.close()
        if isinstance(self._app, sanic.Sanic):
            sanic.Sanic.unregister_app(self._app)

    @abstractmethod
    def _run(self) -> None: ...

    @abstractmethod
    def _is_ready(self) -> bool: ...

    @abstractmethod
    def _ask_to_stop(self) -> None: ...


class UvicornServer(DemoServer):
    """An ASGI application under uvicorn."""

    def __init__(self, name: str, app: Any, listener: socket.socket) -> None:
        super().__init__(name, app, listener)
        config = uvicorn.Config(app, lifespan="on", log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)

    def _run(self) -> None:
        self._server.run([self._listener])

    def _is_ready(self) -> bool:
        return self._server.started

    def _ask_to_stop(self) -> None:
        self._server.should_exit = True


class SanicOwnServer(DemoServer):
    """A Sanic application under Sanic's own server."""

    def __init__(self, name: str, app: Any, listener: socket.socket) -> None:
        super().__init__(name, app, listener)
        self._started = threading.Event()
        self._wanted = threading.Event()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await self._app.create_server(sock=self._listener, access_log=False)
        await server.startup()
        await server.before_start()
        await server.after_start()
        self._started.set()
        await asyncio.to_thread(self._wanted.wait)
        await server.before_stop()
        for connection in list(server.connections):
            connection.close()
        await server.close()
        await server.after_stop()

    def _is_ready(self) -> bool:
        return self._started.is_set()

    def _ask_to_stop(self) -> None:
        self._wanted.set()


@contextlib.contextmanager
def running_demo(port: int) -> Iterator[tuple[JWTConfig, list[DemoServer]]]:
    """Run the servers of the demo, with a configuration and a new secret that they share.

    Args:
        port: The port of the first server, which the ports of the others follow; 0 for free ports.

    Raises:
        DemoServersError: A port is taken, or a server does not start.
    """
    config = JWTConfig(secret_key=secrets.token_urlsafe(64))
    with contextlib.ExitStack() as running:
        servers: list[DemoServer] = []
        for offset, (name, kind, build) in enumerate(SERVERS):
            listener = _listen(port + offset if port else 0)
            running.callback(listener.close)
            server = kind(name, build(config), listener)
            running.callback(server.stop)
            server.start()
            servers.append(server)
        yield config, servers


SERVERS: tuple[tuple[str, type[DemoServer], Callable[[JWTConfig], Any]], ...] = (
    ("Sanic (ASGI mode)", UvicornServer, sanic_app),
    ("Sanic (own server)", SanicOwnServer, sanic_app),
    ("Starlette", UvicornServer, starlette_app),
    ("FastAPI", UvicornServer, fastapi_app),
)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except OSError as error:
        raise DemoServersError(f"port {port} cannot be used ({error.strerror}); choose others with --port") from None
