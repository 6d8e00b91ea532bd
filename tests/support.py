"""Run servers for tests: in this process, where coverage sees them, or in processes of their own."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from types import ModuleType

__all__ = ["ROOT", "SECRET", "Hidden", "asking_for", "for_each", "free_port", "serve_sanic", "serving"]

ROOT = Path(__file__).parents[1]
"""The root of the repository."""

SECRET = "3Qm0v9Tq-6Yd1Jx8Zr5Lw2Kp7Ns4Hb_c"
"""The secret of `tests.conftest`, for programs, which start sooner without the imports of that module."""

START_TIMEOUT = 120.0  # seconds; generous, since other work may share the machine


def asking_for(fixture: str, module: ModuleType) -> dict[str, Any]:
    """Return the names of a module without the tests that do not use `fixture`, to run the others with another value."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("__")
        and (not name.startswith("test_") or fixture in inspect.signature(value).parameters)
    }


def for_each(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Run a test for all of these values of a parameter, or of several, as one test: for many that take no time at all.

    `pytest.mark.parametrize` makes a test of each, and counting, naming and reporting those takes longer than running
    them. The fixtures of the test are shared by all values.
    """

    chosen_names = (names,) if isinstance(names, str) else names
    cases = [dict(zip(chosen_names, (one,) if isinstance(names, str) else one, strict=True)) for one in values]

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(test)
        others = [parameter for parameter in signature.parameters.values() if parameter.name not in chosen_names]

        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            for case in cases:
                test(**case, **fixtures)

        @functools.wraps(test)
        async def run_async(**fixtures: Any) -> None:
            for case in cases:
                await test(**case, **fixtures)

        chosen: Callable[..., Any] = run_async if inspect.iscoroutinefunction(test) else run
        vars(chosen)["__signature__"] = signature.replace(parameters=others)
        return chosen

    return decorate


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def serve_sanic(app: Any) -> AsyncIterator[str]:
    """A Sanic application on Sanic's own server, in this process and on this event loop. Yields its URL."""
    # Sanic rewrites its own methods for the application that starts first. This makes it do so for each application.
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
            # Even if it has not started, since an event loop may wait for a server that is still open.
            for connection in list(server.connections):
                connection.abort()
            await server.close()
        await server.after_stop()


@contextmanager
def serving(command: Sequence[str], port: int, log: Path | None = None, **environment: str) -> Iterator[str]:
    """Start a server program, and end it with its processes. Yields its URL once it accepts connections.

    Args:
        command: The program and its arguments, run in the folder of the project.
        port: Where it will listen.
        log: The file for what it writes; it is printed when the test fails.
        environment: Variables beside those of this process.
    """
    with log.open("w+b") if log else tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_open(port, process)
            yield f"http://127.0.0.1:{port}"
        except BaseException:
            # Read from the start without moving the position, since the server still writes to the same file.
            written = os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0)
            print(written.decode(errors="replace"))  # noqa: T201 -- shown by pytest when a test has failed
            raise
        finally:
            end(process)


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process listens on the port."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < deadline, "the server does not listen"
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask all processes of its group to end, then kill them."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Hidden:
    """A secret as pydantic has them."""

    def __init__(self, secret: str | bytes) -> None:
        self._secret = secret

    def get_secret_value(self) -> str | bytes:
        return self._secret
