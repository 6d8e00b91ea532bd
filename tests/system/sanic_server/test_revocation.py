"""Revoked tokens, and a store that cannot be reached, on Sanic's own server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("sanic")

import httpx2

from tests.adapters import test_revocation
from tests.apps.sanic_adapter import serving
from tests.sockets import PATIENCE
from tests.support import asking_for

globals().update(asking_for("opened", test_revocation))


@pytest.fixture
def adapter() -> Any:
    """The application of Sanic."""
    return test_revocation.on_sanic


@pytest.fixture
def opened() -> Any:
    """How it is run."""

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
        async with (
            serving(app) as address,
            httpx2.AsyncClient(base_url=f"http://{address}", trust_env=False, verify=False, timeout=PATIENCE) as client,
        ):
            yield client

    return opened
