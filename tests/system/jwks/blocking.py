"""How long a hostile provider holds up the event loop: `python -m tests.system.jwks.blocking BACKEND URL CA NAME...`.

In a process of its own, without what a test run adds: no coverage is measured here, and no development mode is on.
Prints, as JSON, for each behaviour: the longest that the loop's thread worked, in seconds, between two beats of a task
that does nothing. Time that other threads and processes take from it is not counted: it is not what blocks the loop.
"""

from __future__ import annotations

import functools
import json
import ssl
import statistics
import sys
import time

import anyio
import httpx2

from asgi_jwt_claims.errors import KeysUnavailableError
from asgi_jwt_claims.jwks import FetchPolicy, HTTPXFetch, RemoteKeySet

TIMES = 3


async def longest_gap(url: str, context: ssl.SSLContext) -> float:
    """The longest gap of a fetch, the median of several: a sweep of the garbage collector may fall into any of them."""

    async def beat(gaps: list[float]) -> None:
        last = time.thread_time()
        while True:
            await anyio.sleep(0.001)
            now = time.thread_time()
            gaps.append(now - last)
            last = now

    keys = RemoteKeySet(url, policy=FetchPolicy(timeout=0.5), fetch=HTTPXFetch(verify=context))
    longest = []
    for _ in range(TIMES):
        gaps: list[float] = []
        async with anyio.create_task_group() as group:
            group.start_soon(beat, gaps)
            try:
                await keys.fetch_now()
            except KeysUnavailableError:
                pass
            else:
                raise AssertionError("the behaviour is not hostile")
            await anyio.sleep(0.003)
            group.cancel_scope.cancel()
        longest.append(max(gaps))
    return statistics.median(longest)


async def measure(url: str, authority: str, names: list[str]) -> dict[str, float]:
    """One behaviour after the other."""
    context = ssl.create_default_context(cafile=authority)
    longest = {}
    for name in names:
        httpx2.get(f"{url}/control/{name}", verify=context, trust_env=False, timeout=30)
        longest[name] = await longest_gap(f"{url}/jwks", context)
    return longest


if __name__ == "__main__":
    backend, *where, names = sys.argv[1:]
    result = anyio.run(functools.partial(measure, *where, names.split(",")), backend=backend)
    sys.stdout.write(json.dumps(result))
