"""Serve the load: `python -m benchmarks.served APP FD`, with uvicorn on a socket that the parent process has opened.

The key comes in the environment, as one line of JSON.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import uvicorn

from . import apps, peers
from .material import Material, configuration

if TYPE_CHECKING:
    from .asgi import ASGIApp

KEY: Final = "BENCHMARK_KEY"
KID: Final = "BENCHMARK_KID"

APPS: Final[dict[str, Callable[[Material], ASGIApp]]] = {
    "raw ASGI, bare": lambda _: apps.raw_bare,
    "raw ASGI, ours": lambda material: apps.raw_guarded(configuration(material, user_claims_claim=peers.SUBJECT)),
    "Starlette, bare": lambda _: apps.starlette_bare(),
    "Starlette, ours": lambda material: apps.starlette_guarded(
        configuration(material, user_claims_claim=peers.SUBJECT)
    ),
    "Starlette, AuthenticationMiddleware + PyJWT": peers.starlette_pyjwt,
}


def main() -> None:
    """Serve until terminated."""
    name, descriptor = sys.argv[1], int(sys.argv[2])
    secret = os.environ[KEY].encode()
    app = APPS[name](Material("HS256", os.environ[KID], secret, secret, secret, secret))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    server.run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main()
