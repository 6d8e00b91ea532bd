"""A handler on Sanic's own server runs for the token that the bytes of its own request carry, and for no other."""

from __future__ import annotations

import pytest

from tests.fuzz import requests


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_requests_as_bytes() -> None:
    """Whatever the spelling of its head, on connections that other requests have used before."""  # S12, S14, S131
    assert [] == await requests.run_own_server(range(1_000))
