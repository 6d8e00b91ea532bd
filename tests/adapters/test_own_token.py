"""A handler runs for the token that its own request carries: a sample of the random requests of `tests.fuzz.requests`."""

from __future__ import annotations

import pytest

from tests.conftest import is_thorough

pytest.importorskip("sanic")

from tests.fuzz import requests

MIDDLEWARES, ON_SANIC = (20_000, 2_000) if is_thorough() else (2_000, 300)


@pytest.mark.thorough
def test_stacks_of_middlewares() -> None:
    """No header, no method and no copy of a scope makes a middleware or `get_token` answer for another request."""  # S14
    assert [] == requests.run_middlewares(range(MIDDLEWARES))


@pytest.mark.thorough
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_sanic_in_asgi_mode() -> None:
    """The same of a Sanic application in ASGI mode, whose requests share one task here."""  # S14, S131
    assert [] == await requests.run_sanic(range(ON_SANIC))
