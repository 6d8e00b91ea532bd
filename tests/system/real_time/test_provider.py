"""What a hostile provider costs: time on the event loop, and memory."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tracemalloc

import pytest

pytest.importorskip("httpx2")

from asgi_jwt_claims.errors import KeysUnavailableError
from tests.support import ROOT
from tests.system.jwks.provider import FAILURES, HANGING, PATIENT, QUICK, Hostile

MOST_BLOCKED = 0.020
"""Seconds of work on the event loop between two other things that it does."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whatever_it_does_the_event_loop_goes_on(provider: Hostile, backend: str) -> None:
    """No answer, however large, compressed or malformed, keeps the event loop's thread busy for long at a time."""
    left = FAILURES
    for _ in range(3):  # others may keep the machine busy
        left = [name for name, seconds in measured(provider, backend, left).items() if seconds >= MOST_BLOCKED]
        if not left:
            break
    assert [] == left


def measured(provider: Hostile, backend: str, behaviours: list[str]) -> dict[str, float]:
    """The longest that each of them kept the loop's thread busy, in seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    command = [sys.executable, "-m", "tests.system.jwks.blocking", backend, provider.url, str(provider.authority)]
    run = subprocess.run(
        [*command, ",".join(behaviours)], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=600
    )
    longest: dict[str, float] = json.loads(run.stdout)
    assert set(behaviours) == set(longest)
    return longest


@pytest.mark.anyio
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
