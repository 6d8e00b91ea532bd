"""What hostile providers and many tenants cost: memory."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

pytest.importorskip("httpx2")

from asgi_jwt_claims.errors import KeysUnavailableError
from tests.system.jwks.provider import HANGING, PATIENT, QUICK, Hostile
from tests.unit.jwks.provider import MovingClock
from tests.unit.jwks.test_tenants import Tenants, issuer, monotonic, token_of

__all__ = ["monotonic"]

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("memory")]


@pytest.mark.parametrize("behaviour", ["huge", "huge-chunked", "bomb", "bomb-in-bomb", "endless-headers", "drip"])
async def test_memory_stays_flat(provider: Hostile, behaviour: str) -> None:
    """Ten megabytes, or a hundred once unpacked, are not kept: no fetch needs more than four, and none leaves any behind."""  # S96
    provider.behave(behaviour)
    keys = provider.keys(policy=QUICK if behaviour in HANGING else PATIENT)

    async def fail() -> None:
        with pytest.raises(KeysUnavailableError):
            await keys.fetch_now()

    await fail()  # whatever is imported and made once
    for _ in range(3):  # what the process does besides is measured too
        tracemalloc.start()
        try:
            await fail()
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            for _ in range(3):
                await fail()
            _, peak = tracemalloc.get_traced_memory()
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        if peak - before < 4 * 1024 * 1024 and after - before < 256 * 1024:
            break
    assert 4 * 1024 * 1024 > peak - before
    assert 256 * 1024 > after - before


async def accept(of: Tenants, numbers: range) -> None:
    """Let in a token of each of these tenants."""
    for number in numbers:
        assert issuer(f"t{number}") == await of.verdict(token_of(f"t{number}"))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # no loop makes a difference to what is kept
async def test_thousands_of_tenants_with_one_set_of_keys() -> None:
    """With one set of keys for all there is one fetch, and what is kept of a tenant is its answer."""
    of = Tenants()
    of.share()
    await accept(of, range(1_500))  # which fill the memory of tokens
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await accept(of, range(1_500, 5_000))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ["https://login.example/jwks"] == of.fetched
    assert 3_500 * 500 > after - before  # an answer takes about 300 bytes


async def test_sets_of_many_tenants_leave_nothing(monotonic: MovingClock) -> None:
    """With a set for each tenant, those that give way to others leave no more than the answers about their tenants."""
    of = Tenants(max_sets=10)
    rooms = []
    tracemalloc.start()
    try:
        for start in range(0, 200, 10):
            monotonic.advance(60)
            await accept(of, range(start, start + 10))
            gc.collect()  # tasks of fetches end in circles
            rooms.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert 200 == len(of.fetched) == len(set(of.fetched))
    assert 100 * 1_500 > rooms[-1] - rooms[9]  # bytes for each of the last 100 tenants
