"""What a hostile provider costs: memory."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

pytest.importorskip("httpx2")

from asgi_jwt_claims.errors import KeysUnavailableError
from tests.system.jwks.provider import HANGING, PATIENT, QUICK, Hostile

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
