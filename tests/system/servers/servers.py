"""The servers under test, and how each of them is started.

A module of tests asks for the fixture `server` and gets each of `SERVED` in turn. One that has an application of its
own starts a server of `SERVERS` with `serve`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import free_port, serving

APP = "tests.apps.served:application"
SANIC = "tests.apps.served_by_sanic:application"
SANIC_GUARDED = "tests.apps.served_by_sanic:guarded"


class Kind(NamedTuple):
    """A server program.

    Attributes:
        modules: What must be installed, with the lowest version where that matters.
        command: The module that is run, and its arguments; `{port}` stands for the port.
        root_path: The option that names the prefix under which the application is mounted.
        denies: Whether it offers `websocket.http.response`; if not, a refused handshake is a 403 without a body.
        only_ascii: Whether its handshakes fail before anybody sees them, with a 500, for a header that is not ASCII.
    """

    modules: tuple[str, ...]
    command: tuple[str, ...]
    root_path: str = "--root-path"
    denies: bool = True
    only_ascii: bool = False


def _uvicorn(needs: str, http: str, ws: str) -> Kind:
    modules = (needs, http, ws.removesuffix("-sansio"))
    command = ("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--no-access-log", "--http", http, "--ws", ws)
    return Kind(modules, command, only_ascii=ws == "websockets")


def _hypercorn(loop: str) -> Kind:
    return Kind(("hypercorn", loop), ("hypercorn", "--bind", "127.0.0.1:{port}", "-k", loop))


SERVERS = {
    # The default as of 0.50; when it was new it left the root path out of the path.
    "uvicorn-sansio": _uvicorn("uvicorn>=0.50", "httptools", "websockets-sansio"),
    "uvicorn-wsproto": _uvicorn("uvicorn", "h11", "wsproto"),
    "uvicorn-websockets": _uvicorn("uvicorn", "httptools", "websockets"),
    "hypercorn-asyncio": _hypercorn("asyncio"),
    "hypercorn-trio": _hypercorn("trio"),
    "granian": Kind(
        ("granian",),
        ("granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}"),
        root_path="--url-path-prefix",
    ),
    "daphne": Kind(("daphne",), ("daphne", "--bind", "127.0.0.1", "--port", "{port}"), denies=False),
}
"""Every ASGI server, by name."""

SANICS_OWN = Kind(("sanic",), ("sanic", "--host", "127.0.0.1", "--port", "{port}", "--single-process", "--no-motd"))

# Sanic stands on asyncio, and it does not start where there is no lifespan, as on daphne.
SERVED = {name: (name, APP) for name in SERVERS} | {
    "sanic-uvicorn": ("uvicorn-sansio", SANIC),
    "sanic-hypercorn": ("hypercorn-asyncio", SANIC),
    "sanic-granian": ("granian", SANIC),
    "sanic-own": ("sanic", SANIC),
}
"""What the fixture `server` goes through: the server's name, and the application."""

# Servers of their own: Sanic compiles methods of its own for the one application that a process serves.
CLOSED = {name: (name, APP) for name in SERVERS} | {
    "sanic-closed-uvicorn": ("uvicorn-sansio", SANIC_GUARDED),
    "sanic-closed-hypercorn": ("hypercorn-asyncio", SANIC_GUARDED),
    "sanic-closed-granian": ("granian", SANIC_GUARDED),
    "sanic-closed-own": ("sanic", SANIC_GUARDED),
}
"""Those whose application answers on every path, and is closed but for what is exempt; see `each_closed_server`."""

EVERYTHING = SERVED | CLOSED


def one_worker_each(names: Iterable[str]) -> list[Any]:
    """Parameters of tests, marked so that those of one server run in one process, which starts it once."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]


each_closed_server = pytest.mark.parametrize("server", one_worker_each(CLOSED), indirect=True)


class Server(NamedTuple):
    """A server that answers."""

    kind: Kind
    port: int
    application: str

    @property
    def has_raw(self) -> bool:
        """Whether it also serves the raw application, on every path but those of the framework."""
        return self.application == APP

    @property
    def targets(self) -> tuple[bytes, ...]:
        """The guarded paths."""
        return (b"/", b"/framework") if self.has_raw else (b"/framework",)

    @property
    def sockets(self) -> tuple[bytes, ...]:
        """The guarded paths of websockets."""
        return (b"/", b"/framework/ws") if self.has_raw else (b"/framework/ws",)


@contextmanager
def serve(name: str, application: str, log: Path, *options: str) -> Iterator[Server]:
    """A server with an application, for as long as it lasts; what it wrote into `log` must tell of no error."""
    kind = SANICS_OWN if name == "sanic" else SERVERS[name]
    for module in (*kind.modules, *(("sanic",) if application in {SANIC, SANIC_GUARDED} else ())):
        pytest.importorskip(*module.split(">="))
    port = free_port()
    command = [sys.executable, "-m", *(part.format(port=port) for part in kind.command), *options, application]
    with serving(command, port, log):
        yield Server(kind, port, application)
    logged = log.read_text(errors="replace")
    assert "Traceback" not in logged, logged
