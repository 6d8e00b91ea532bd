"""The corpus on Sanic's own server."""

from __future__ import annotations

import pytest

pytest.importorskip("sanic")

from tests.corpus.asgi import not_for
from tests.corpus.frameworks import SanicServer
from tests.corpus.runner import EVERYTHING, run

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def test_hostile_tokens_are_refused() -> None:
    """Every hostile token is refused as it should be, each time, and every valid one is accepted."""
    adapter = SanicServer("sanic_adapter", "SanicAdapter", required=True)
    report = await run(adapter)
    assert [] == report.failures
    assert not_for(adapter) == sorted(report.skipped)


async def test_what_the_server_refuses_by_itself() -> None:
    """Where only the guards demand a token, Sanic answers itself what it cannot read."""
    adapter = SanicServer("sanic_adapter", "SanicAdapter", required=False)
    given_up = [entry for entry in EVERYTHING if adapter.takes(entry) and adapter.gives_up(entry)]
    assert [] == (await run(adapter, given_up)).failures
    assert {400, 413} == {adapter.gives_up(entry) for entry in given_up}
