"""The corpus at every adapter: nothing hostile is accepted, nothing valid is refused, and nothing is a 500."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import is_thorough
from tests.corpus.asgi import HeaderDoor, Middleware, Websocket, not_for
from tests.corpus.frameworks import Bearer, Compat, Framework, FrameworkWebsocket
from tests.corpus.runner import EVERYTHING, run

BOTH, ASYNCIO = ("asyncio", "trio"), ("asyncio",)
# Name: the framework, the door, the event loops it runs on.
DOORS: dict[str, tuple[str, Callable[[], HeaderDoor], tuple[str, ...]]] = {
    "middleware": ("anyio", Middleware, BOTH),
    "websocket": ("anyio", lambda: Websocket(denial=True), ASYNCIO),
    "websocket-close": ("anyio", lambda: Websocket(denial=False), ASYNCIO),
    "starlette": ("starlette", lambda: Framework("starlette_door", "StarletteDoor", required=True), BOTH),
    "starlette-guard": ("starlette", lambda: Framework("starlette_door", "StarletteDoor", required=False), ASYNCIO),
    "starlette-websocket": (
        "starlette",
        lambda: FrameworkWebsocket("starlette_door", "StarletteDoor", required=False),
        ASYNCIO,
    ),
    "fastapi": ("fastapi", lambda: Framework("fastapi_door", "FastAPIDoor", required=True), ASYNCIO),
    "fastapi-guard": ("fastapi", lambda: Framework("fastapi_door", "FastAPIDoor", required=False), ASYNCIO),
    "fastapi-bearer": ("fastapi", Bearer, ASYNCIO),
    "sanic-asgi": ("sanic", lambda: Framework("sanic_door", "SanicAsgiDoor", required=True), ASYNCIO),
    "sanic-asgi-guard": ("sanic", lambda: Framework("sanic_door", "SanicAsgiDoor", required=False), ASYNCIO),
    "sanic-asgi-websocket": (
        "sanic",
        lambda: FrameworkWebsocket("sanic_door", "SanicAsgiDoor", required=False),
        ASYNCIO,
    ),
}
WAYS = [(name, backend) for name, (_, _, backends) in DOORS.items() for backend in backends]


@pytest.mark.thorough
@pytest.mark.anyio
@pytest.mark.parametrize(("way", "anyio_backend"), WAYS, ids=[f"{name}-{backend}" for name, backend in WAYS])
async def test_door(way: str) -> None:
    """At this door every hostile token is refused as it should be, each time, and every valid one is accepted."""
    framework, make, _ = DOORS[way]
    pytest.importorskip(framework)
    door = make()
    # A quick run offers every token to the middleware, and every tenth one to those that are built on it.
    entries = EVERYTHING[:: 1 if way == "middleware" or is_thorough() else 10]
    report = await run(door, entries)
    assert [] == report.failures
    names = {entry.name for entry in entries}
    assert [name for name in not_for(door) if name in names] == sorted(report.skipped)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ASYNCIO)
async def test_the_guards_of_the_old_library() -> None:
    """The compatible guards refuse what is wrong before the claims are read, and accept what is only odd."""
    pytest.importorskip("sanic")
    report = await run(Compat())
    assert [] == report.failures
    assert report.offered > 500
