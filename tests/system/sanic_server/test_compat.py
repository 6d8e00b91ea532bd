"""sanic-jwt-extended's API on Sanic's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("sanic")

import httpx2

from asgi_jwt_claims import ConfigurationError
from tests.adapters import test_compat_sanic_jwt_extended
from tests.apps.sanic_adapter import socket_site
from tests.sockets import PATIENCE
from tests.support import asking_for, serve_sanic

globals().update(asking_for("client_of", test_compat_sanic_jwt_extended))
globals().update(asking_for("site_of", test_compat_sanic_jwt_extended))


@pytest.fixture
def client_of() -> Any:
    """A client of an application."""

    @asynccontextmanager
    async def client_of(app: Any) -> AsyncIterator[Any]:
        async with (
            serve_sanic(app) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=PATIENCE) as client,
        ):
            yield client

    return client_of


@pytest.fixture
def site_of() -> Any:
    """How an application with websockets is run."""
    return socket_site


async def test_a_server_without_a_key_does_not_start(client_of: Any) -> None:
    """Settings that are missing when the server starts are an error that names them."""
    with pytest.raises(ConfigurationError, match="JWT_SECRET_KEY is not set"):
        async with client_of(test_compat_sanic_jwt_extended.make_app(JWT_SECRET_KEY=None)):
            pass
