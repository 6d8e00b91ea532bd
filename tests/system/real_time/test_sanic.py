"""Sanic's connections end by a real clock."""

from __future__ import annotations

import anyio
import pytest

pytest.importorskip("sanic")
pytest.importorskip("uvicorn")
pytest.importorskip("wsproto")

from asgi_jwt_claims import JWTConfig, create_access_token
from asgi_jwt_claims.sanic import install
from tests.apps.sanic_adapter import serving
from tests.apps.sanic_sites import Serve, on_uvicorn, open_socket
from tests.sockets import PATIENCE
from tests.support import SECRET
from tests.system.sanic_server.test_connections import EXPIRED, Handlers, close_of, open_stream, rest_of


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("serve", [serving, on_uvicorn], ids=["own server", "asgi"])
async def test_the_clock_alone(serve: Serve) -> None:
    """With a real clock and no store it ends when the token does."""
    config = JWTConfig(secret_key=SECRET, leeway=0)
    handlers = Handlers()
    install(handlers.app, config)
    async with serve(handlers.app) as address:
        alice = create_access_token("alice", config, lifetime=5)
        async with open_socket(address, "/listen", alice) as websocket, open_stream(address, "/busy", alice) as pieces:
            with anyio.fail_after(PATIENCE):
                assert (3000, EXPIRED) == await close_of(websocket)
                await rest_of(pieces)
