"""Servers for tests: in this process, where coverage sees them, or as programs of their own."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import socket
import subprocess
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from types import ModuleType

__all__ = ["ROOT", "asking_for", "free_port", "serve_sanic", "serving"]

ROOT = Path(__file__).parents[1]
"""The project."""

START_TIMEOUT = 60.0  # seconds; generous, since other work may share the machine


def asking_for(fixture: str, module: ModuleType) -> dict[str, Any]:
    """All names of a module but its tests that do not ask for `fixture`: to run the others with another value of it."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("__")
        and (not name.startswith("test_") or fixture in inspect.signature(value).parameters)
    }


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def serve_sanic(app: Any) -> AsyncIterator[str]:
    """A Sanic application on Sanic's own server, in this process and on this event loop. Yields its URL."""
    # Sanic rewrites methods of its own for the application that starts first; this makes it start anew for each.
    type(app).test_mode = True
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = await app.create_server(sock=listener, return_asyncio_server=True, access_log=False)
        try:
            await server.startup()
            await server.before_start()
            await server.start_serving()
            await server.after_start()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            await server.before_stop()
        finally:
            # Also when it has not started: an event loop may wait for a server that was left open.
            for connection in list(server.connections):
                connection.abort()
            await server.close()
        await server.after_stop()


@contextmanager
def serving(command: Sequence[str], port: int, **environment: str) -> Iterator[str]:
    """A server program, started and stopped. Yields its URL once it accepts connections."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                output = process.communicate()[0].decode()
                raise AssertionError(f"{command} did not start:\n{output}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
