"""What one process revokes, others know soon."""

from __future__ import annotations

import os
import time

import anyio
import pytest

from tests.system.stores.process import open_store, revocation_of
from tests.system.stores.workers import Pool
from tests.valkey import Valkey

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def test_news_travel_fast(valkey: Valkey, pool: Pool) -> None:
    """In four mirrors 99 of 100 revocations are known within 100 ms, and all of them in the end."""
    pytest.importorskip("redis")
    place = (valkey.url, os.urandom(8).hex())
    best = float("inf")
    store = open_store("redis", *place)
    with pool.on(("mirrored", *place)) as told:
        for _ in range(5):  # others may keep the machine busy
            names = [os.urandom(16).hex() for _ in range(100)]
            for worker in told:
                worker.tell("watch", names)
            revoked_at = []
            for name in names:
                await anyio.sleep(0.005)
                await store.revoke([revocation_of(name)])
                revoked_at.append(time.time())
            delays = sorted(seen - at for worker in told for seen, at in zip(worker.heard(), revoked_at, strict=True))
            best = min(best, delays[int(0.99 * len(delays))])
            if best <= 0.1:
                break
    await store.aclose()
    assert 0.1 >= best
