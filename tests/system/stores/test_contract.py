"""Every store fulfils the published contract, on every event loop that it supports."""

from __future__ import annotations

import importlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_jwt_claims.stores import MemoryStore, MirroredStore, SQLiteStore, TokenStore
from asgi_jwt_claims.testing import StoreContract
from tests.valkey import Valkey

Pair = tuple[TokenStore, TokenStore]


def server_store(library: str) -> Any:
    """The store that speaks through a library, if that is installed."""
    pytest.importorskip(library)
    module = importlib.import_module(f"asgi_jwt_claims.stores.{library}")
    return getattr(module, f"{library.capitalize()}Store")


on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def clock() -> float:
    """The time, also when the contract moves it."""
    return time.time()


@pytest.fixture(scope="module")
def own_valkey() -> Iterator[Valkey]:
    """A server that these tests may end."""
    with Valkey() as server:
        yield server


@pytest.mark.anyio
class TestMemoryStore(StoreContract):
    """A store that is a place by itself."""

    @asynccontextmanager
    async def open_stores(self) -> AsyncIterator[Pair]:
        """See `StoreContract`."""
        store = MemoryStore(clock=clock)
        yield store, store


@pytest.mark.anyio
class TestSQLiteStore(StoreContract):
    """Two stores on one file."""

    @asynccontextmanager
    async def open_stores(self) -> AsyncIterator[Pair]:
        """See `StoreContract`."""
        with tempfile.TemporaryDirectory() as folder:
            self.path = Path(folder) / "db"
            stores = SQLiteStore(self.path, clock=clock), SQLiteStore(self.path, clock=clock)
            yield stores
            for store in stores:
                await store.aclose()

    @asynccontextmanager
    async def break_place(self) -> AsyncIterator[None]:
        """See `StoreContract`."""
        away = self.path.rename(self.path.with_name("away"))
        try:
            yield
        finally:
            away.rename(self.path)


class OnServer(StoreContract):
    """What the stores on a server have in common."""

    one_loop = True

    @pytest.fixture(autouse=True)
    def place(self, own_valkey: Valkey) -> None:
        """A prefix of its own."""
        self.server = own_valkey
        self.url = own_valkey.url
        self.options: dict[str, Any] = {"prefix": os.urandom(8).hex(), "timeout": 30, "clock": clock}

    @asynccontextmanager
    async def break_place(self) -> AsyncIterator[None]:
        """See `StoreContract`."""
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()

    def mirror(self, library: str) -> MirroredStore:
        """A mirror that soon notices when its server is away."""
        return MirroredStore(self.open(library), max_lag=1, heartbeat=0.2, clock=clock)

    def open(self, library: str) -> Any:
        """A store, through one of two libraries."""
        return server_store(library).from_url(self.url, **self.options)

    @asynccontextmanager
    async def running(self, *stores: Any) -> AsyncIterator[Pair]:
        """The stores, looked after."""
        async with anyio.create_task_group() as tasks:
            for store in stores:
                tasks.start_soon(store.run)
            await anyio.sleep(0.1)
            yield stores[0], stores[1]
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
@on_asyncio
class TestRedisStore(OnServer):
    """Through redis-py."""

    def open_stores(self) -> Any:
        """See `StoreContract`."""
        return self.running(self.open("redis"), self.open("redis"))


@pytest.mark.anyio
class TestCoredisStore(OnServer):
    """Through coredis."""

    def open_stores(self) -> Any:
        """See `StoreContract`."""
        return self.running(self.open("coredis"), self.open("coredis"))


@pytest.mark.anyio
@on_asyncio
class TestMirroredRedisStore(OnServer):
    """A mirror of it."""

    lag = 10

    def open_stores(self) -> Any:
        """See `StoreContract`."""
        return self.running(self.mirror("redis"), self.mirror("redis"))


@pytest.mark.anyio
class TestMirroredCoredisStore(OnServer):
    """A mirror of it."""

    lag = 10

    def open_stores(self) -> Any:
        """See `StoreContract`."""
        return self.running(self.mirror("coredis"), self.mirror("coredis"))
