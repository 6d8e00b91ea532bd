"""Opaque tokens, on Sanic's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("sanic")

import httpx2

from tests.adapters import test_introspection
from tests.sockets import PATIENCE
from tests.support import asking_for, serve_sanic

globals().update(asking_for("opened", test_introspection))


@pytest.fixture
def opened() -> Any:
    """How an application is run."""

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[Any]:
        async with (
            serve_sanic(app) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=PATIENCE) as client,
        ):
            yield client

    return opened
