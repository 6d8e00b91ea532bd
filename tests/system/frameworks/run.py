"""Run the checks against the application of one framework, in this process."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from traceback import format_exception

import anyio

from asgi_jwt_claims.stores import MemoryStore
from tests.raw_asgi import App, Message

from .checks import CHECKS, Site

PATIENCE = 30.0
"""Seconds after which a check has failed."""


@asynccontextmanager
async def started(app: App) -> AsyncIterator[None]:
    """Start `app`, and shut it down in the end; one that knows no lifespan does without, as it does on servers."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, incoming.get, outgoing.put))
    for event in ("startup", "shutdown"):
        await incoming.put({"type": f"lifespan.{event}"})
        told = asyncio.ensure_future(outgoing.get())
        await asyncio.wait([task, told], return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            assert f"lifespan.{event}.complete" == told.result()["type"], told.result()
        elif event == "startup":
            task.exception()  # looked at, as servers do
        told.cancel()
        if event == "startup":
            yield
    await asyncio.wait([task], timeout=PATIENCE)


async def results(framework: str, names: Iterable[str] = tuple(CHECKS)) -> dict[str, BaseException | None]:
    """What came of each check: None if it passed, or the error."""
    store = MemoryStore()
    app = importlib.import_module(f"tests.system.frameworks.apps.{framework}").build(store)
    found: dict[str, BaseException | None] = {}
    async with started(app):
        for name in names:
            found[name] = None
            try:
                with anyio.fail_after(PATIENCE):
                    await CHECKS[name](Site(app, store))
            except Exception as error:  # noqa: BLE001 -- told on the page
                found[name] = error
    return found


def main(framework: str) -> None:
    """Print what came of each check, as JSON, and leave: threads of applications may still run."""
    found = asyncio.run(results(framework))
    print(json.dumps({name: error and "".join(format_exception(error)) for name, error in found.items()}))  # noqa: T201 -- a program
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
