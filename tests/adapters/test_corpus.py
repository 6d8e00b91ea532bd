"""The corpus at every adapter: nothing hostile is accepted, nothing valid is refused, and nothing is a 500."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import is_thorough
from tests.corpus.asgi import HeaderAdapter, Middleware, Websocket, not_for
from tests.corpus.frameworks import Bearer, Compat, Framework, FrameworkWebsocket
from tests.corpus.runner import EVERYTHING, run

BOTH, ASYNCIO = ("asyncio", "trio"), ("asyncio",)
# Name: the framework, the adapter, the event loops it runs on.
ADAPTERS: dict[str, tuple[str, Callable[[], HeaderAdapter], tuple[str, ...]]] = {
    "middleware": ("anyio", Middleware, BOTH),
    "websocket": ("anyio", lambda: Websocket(denial=True), ASYNCIO),
    "websocket-close": ("anyio", lambda: Websocket(denial=False), ASYNCIO),
    "starlette": ("starlette", lambda: Framework("starlette_adapter", "StarletteAdapter", required=True), BOTH),
    "starlette-guard": (
        "starlette",
        lambda: Framework("starlette_adapter", "StarletteAdapter", required=False),
        ASYNCIO,
    ),
    "starlette-websocket": (
        "starlette",
        lambda: FrameworkWebsocket("starlette_adapter", "StarletteAdapter", required=False),
        ASYNCIO,
    ),
    "fastapi": ("fastapi", lambda: Framework("fastapi_adapter", "FastAPIAdapter", required=True), ASYNCIO),
    "fastapi-guard": ("fastapi", lambda: Framework("fastapi_adapter", "FastAPIAdapter", required=False), ASYNCIO),
    "fastapi-bearer": ("fastapi", Bearer, ASYNCIO),
    "sanic-asgi": ("sanic", lambda: Framework("sanic_adapter", "SanicAsgiAdapter", required=True), ASYNCIO),
    "sanic-asgi-guard": ("sanic", lambda: Framework("sanic_adapter", "SanicAsgiAdapter", required=False), ASYNCIO),
    "sanic-asgi-websocket": (
        "sanic",
        lambda: FrameworkWebsocket("sanic_adapter", "SanicAsgiAdapter", required=False),
        ASYNCIO,
    ),
}
PARAMS = [(name, backend) for name, (_, _, backends) in ADAPTERS.items() for backend in backends]


@pytest.mark.thorough
@pytest.mark.anyio
@pytest.mark.parametrize(("way", "anyio_backend"), PARAMS, ids=[f"{name}-{backend}" for name, backend in PARAMS])
async def test_adapter(way: str) -> None:
    """At this adapter every hostile token is refused as it should be, each time, and every valid one is accepted."""
    framework, make, _ = ADAPTERS[way]
    pytest.importorskip(framework)
    adapter = make()
    # A quick run offers every token to the middleware, and every tenth one to those that are built on it.
    entries = EVERYTHING[:: 1 if way == "middleware" or is_thorough() else 10]
    report = await run(adapter, entries)
    assert [] == report.failures
    names = {entry.name for entry in entries}
    assert [name for name in not_for(adapter) if name in names] == sorted(report.skipped)


@pytest.mark.thorough
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ASYNCIO)
async def test_the_guards_of_the_old_library() -> None:
    """The compatible guards refuse what is wrong before the claims are read, and accept what is only odd."""
    pytest.importorskip("sanic")
    report = await run(Compat())
    assert [] == report.failures
    assert report.offered > 500
