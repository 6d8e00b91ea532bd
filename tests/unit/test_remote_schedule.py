"""When keys are fetched: never without a pause, as the provider asks, and not at the cost of honest clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    TokenError,
    create_access_token,
    verify_token_async,
)
from asgi_jwt_claims.errors import KeysUnavailableError
from asgi_jwt_claims.jwks import FetchPolicy, FetchResponse, RemoteKeySet
from asgi_jwt_claims.jwks._schedule import Schedule
from tests.conftest import NOW, HeldClock

pytestmark = pytest.mark.anyio

ISSUER, AUDIENCE, URL = "https://issuer.example", "https://api.example", "https://issuer.example/jwks"
KEYS = [Key.generate("ES256", kid=f"key-{number}") for number in range(3)]
EVEN = FetchPolicy(jitter=0)


class Site:
    """A provider: what it publishes, how it answers, and how often it was asked."""

    def __init__(self) -> None:
        self.keys = KEYS[:1]
        self.answer: FetchResponse | BaseException | None = None
        self.asked = 0
        self.gate: anyio.Event | None = None
        self.clock = HeldClock(1000)
        self.remote = RemoteKeySet(URL, fetch=self, monotonic=self.clock, policy=EVEN)
        self.config = JWTConfig.for_issuer(
            ISSUER, audience=AUDIENCE, jwks=self.remote, clock=lambda: NOW, type_claim="type"
        )

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        self.asked += 1
        answer = FetchResponse(200, {}, json.dumps({"keys": [key.public_jwk() for key in self.keys]}).encode())
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return answer if self.answer is None else self.answer

    async def ask(self, key: Key) -> Any:
        """The status of a request with a token of `key`, and `Retry-After` where it is 503."""
        parties: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "clock": lambda: NOW}
        raw = create_access_token("alice", JWTConfig(signing_key=key, **parties))
        try:
            await verify_token_async(raw, self.config)
        except KeysUnavailableError as error:
            return error.status, error.retry_after
        except TokenError as error:
            return error.status
        return 200


def made_up(number: int) -> Key:
    """A key that no provider publishes."""
    return Key.generate("ES256", kid=f"made-up-{number}")


# Fetches that end oddly -----------------------------------------------------------------------------------------------


class Unforeseen(BaseException):
    """No `Exception`."""


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Unforeseen(), BaseExceptionGroup("", [Unforeseen()])])
async def test_a_fetch_that_cancels_itself_has_failed(error: BaseException) -> None:
    """It is a failure as any other: noted, answered with 503, and followed by a pause."""
    site = Site()
    site.answer = error
    async with anyio.create_task_group() as group:
        group.start_soon(site.remote.run)
        await anyio.wait_all_tasks_blocked()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert (503, 1) == await site.ask(KEYS[0])
        group.cancel_scope.cancel()
    status = site.remote.status()
    assert (1, 1, type(error).__name__) == (site.asked, status.failures, status.last_failure)
    site.answer = None
    site.clock.now += 2
    assert 200 == await site.ask(KEYS[0])


async def test_a_fetch_that_is_cancelled_is_no_failure() -> None:
    """The end of the application cancels the fetch that is under way, which says nothing about the provider."""
    site = Site()
    site.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(site.remote.run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    await anyio.wait_all_tasks_blocked()
    assert (1, 0) == (site.asked, site.remote.status().failures)


# Unknown keys ---------------------------------------------------------------------------------------------------------


async def test_an_unknown_key_is_503_while_it_may_not_be_looked_for() -> None:
    """After others have used up the budget, whether a key is new cannot be said; `Retry-After` says when it can be."""  # S92
    site = Site()
    assert 200 == await site.ask(KEYS[0])
    site.clock.now += 100
    assert [401, 401, (503, 30)] == [await site.ask(made_up(number)) for number in range(3)]
    site.keys = [KEYS[1]]
    for wait in (30, 22, 14, 6):
        assert (503, wait) == await site.ask(KEYS[1])
        site.clock.now += 8
    assert 200 == await site.ask(KEYS[1])
    assert 4 == site.asked


async def test_a_key_that_was_looked_for_is_401() -> None:
    """Looked for within the last half minute and not found: unknown, whatever is left of the budget."""  # S91
    site = Site()
    assert 200 == await site.ask(KEYS[0])
    retired = made_up(0)
    assert [401, 401, 401] == [await site.ask(retired) for _ in range(3)]
    assert 2 == site.asked
    assert [401, (503, 30), 401] == [await site.ask(key) for key in (made_up(1), made_up(2), retired)]


async def test_a_fetch_that_began_before_the_token_came_does_not_condemn_it() -> None:
    """The answer that is on its way may be older than the key, so the key is looked for once more."""  # S92
    site = Site()
    assert 200 == await site.ask(KEYS[0])
    site.clock.now += 100
    site.gate = gate = anyio.Event()
    found: list[Any] = []

    async def ask(key: Key) -> None:
        found.append(await site.ask(key))

    async with anyio.create_task_group() as group:
        group.start_soon(ask, made_up(0))
        await anyio.wait_all_tasks_blocked()
        site.keys = [KEYS[1]]  # published while the first answer is on its way
        group.start_soon(ask, KEYS[1])
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert [200, 401] == sorted(found)
    assert 3 == site.asked


async def test_a_key_that_the_fetch_under_way_brings_needs_no_other() -> None:
    """Tokens of the new key that come while it is being fetched share that fetch."""  # S92
    site = Site()
    assert 200 == await site.ask(KEYS[0])
    site.keys = [KEYS[1]]
    site.gate = gate = anyio.Event()
    found: list[Any] = []

    async def ask() -> None:
        found.append(await site.ask(KEYS[1]))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert ([200] * 5, 2) == (found, site.asked)


async def test_a_shared_fetch_that_fails_is_503_for_all() -> None:
    """Those who wait for a fetch that another token began learn that nothing can be said."""  # S94
    site = Site()
    assert 200 == await site.ask(KEYS[0])
    site.gate, site.answer = anyio.Event(), ConnectionError()
    found: list[Any] = []

    async def ask(number: int) -> None:
        found.append((await site.ask(made_up(number)))[0])

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
        site.gate.set()
    assert [503, 503, 503] == found


# Retry-After ----------------------------------------------------------------------------------------------------------

BUSY = FetchResponse(429, {"retry-after": "300"}, b"")


async def test_the_provider_is_left_alone_for_as_long_as_it_asks() -> None:
    """Cold: no fetch before the time is over, and clients are told the time that is left."""  # S95
    site = Site()
    site.answer = BUSY
    for second in range(0, 300, 50):
        site.clock.now = 1000 + second
        assert (503, 300 - second) == await site.ask(KEYS[0])
    assert 1 == site.asked
    site.answer = None
    site.clock.now = 1300
    assert 200 == await site.ask(KEYS[0])


async def test_a_provider_that_is_busy_is_not_asked_for_unknown_keys_either() -> None:
    """Asked to wait while it looked for a made-up key, the application waits; the keys in hand go on."""  # S91, S94
    site = Site()
    assert 200 == await site.ask(KEYS[0])
    site.answer = FetchResponse(503, {"retry-after": "200"}, b"")
    assert 503 == (await site.ask(made_up(0)))[0]
    site.answer = None
    site.clock.now += 150
    assert (503, 50) == await site.ask(made_up(1))
    assert (200, 2) == (await site.ask(KEYS[0]), site.asked)
    site.clock.now += 50
    assert (401, 3) == (await site.ask(made_up(1)), site.asked)


async def test_keys_outlive_a_refresh_that_the_provider_puts_off() -> None:
    """A refresh put off beyond the time of the keys counts as failed, so that they serve as in any outage."""  # S91, S94
    site = Site()
    assert 200 == await site.ask(KEYS[0])
    site.answer = FetchResponse(429, {"retry-after": "3000"}, b"")
    assert 503 == (await site.ask(made_up(0)))[0]
    site.clock.now += 2999
    assert (200, 2) == (await site.ask(KEYS[0]), site.asked)


async def test_no_provider_is_left_alone_for_ever() -> None:
    """What it asks for is heeded up to `max_ttl`, and processes come back at different times."""  # S95
    for uniform, expected in ((lambda low, _: low, 3600.0), (lambda _, high: high, 3960.0)):
        schedule = Schedule(FetchPolicy(jitter=0.1), uniform)
        schedule.failed(0.0, 999_999_999.0)
        assert expected == pytest.approx(schedule.next_attempt)
