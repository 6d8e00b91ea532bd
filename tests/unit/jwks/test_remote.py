"""`RemoteKeySet` under load, floods, rotation and outages: how often it fetches, who waits, and what is accepted."""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    Key,
    Token,
    TokenError,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.errors import KeysUnavailableError, SettingError, UnknownKeyError
from asgi_jwt_claims.jwks import FetchPolicy, FetchResponse, KeySetEvent, RemoteKeySet
from asgi_jwt_claims.jwks._schedule import MAX_UNKNOWN_KIDS
from asgi_jwt_claims.keys import KeyRing
from tests.conftest import NOW, is_thorough
from tests.forging import b64
from tests.raw_asgi import Recorder, ask, bearer
from tests.unit.jwks.provider import AUDIENCE, ISSUER, URL, MovingClock, Provider, unknown_token, verifier

pytestmark = pytest.mark.anyio


def keys_of(config: JWTConfig) -> RemoteKeySet:
    assert isinstance(config.jwks, RemoteKeySet)
    return config.jwks


async def outcome(raw: str, config: JWTConfig) -> str | int:
    """The identity, or the status of the refusal."""
    try:
        return (await verify_token_async(raw, config)).identity
    except TokenError as error:
        return error.status


async def together(*tasks: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What they return, all run at once, in their order."""
    results: dict[int, Any] = {}

    async def run(number: int, task: Callable[[], Awaitable[Any]]) -> None:
        results[number] = await task()

    async with anyio.create_task_group() as group:
        for number, task in enumerate(tasks):
            group.start_soon(run, number, task)
    return [results[number] for number in range(len(tasks))]


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so, which other tasks bring about."""
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 -- what is waited for tells nobody
            await anyio.sleep(0.01)


# One fetch for all ----------------------------------------------------------------------------------------------------


async def test_a_hundred_cold_requests_make_one_fetch() -> None:
    """Those that come before there are keys share a fetch, and all of them are accepted."""  # S89
    provider = Provider()
    provider.delay = 0.05
    config = verifier(provider)
    tokens = [provider.token() for _ in range(100)]
    assert ["alice"] * 100 == await together(*(lambda raw=raw: outcome(raw, config) for raw in tokens))
    assert [URL] == provider.fetched


async def test_cancelling_the_first_waiter_cancels_nobody_else() -> None:
    """The request that began the fetch goes away; the others get its keys all the same, and nothing is spent twice."""  # S90
    provider, clock = Provider(), MovingClock()
    provider.delay = 0.1
    config = verifier(provider, clock)
    raw = provider.token()
    first = anyio.CancelScope()

    async def begin() -> str:
        with first:
            await verify_token_async(raw, config)
        return "cancelled"

    async def cancel() -> None:
        await anyio.sleep(0.02)
        first.cancel()

    results = await together(begin, cancel, *[lambda: outcome(raw, config)] * 20)
    assert ["cancelled", None, *["alice"] * 20] == results
    assert [URL] == provider.fetched
    # The budget for unknown keys is whole.
    for number in range(3):
        await outcome(unknown_token(number, like=raw), config)
    assert 3 == len(provider.fetched)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_cancelled_by_its_server_cancels_nobody_else() -> None:
    """asyncio's own `Task.cancel`, which no scope shields from, ends that request and no other."""  # S90
    import asyncio  # noqa: PLC0415 -- for this test alone

    provider = Provider()
    provider.delay = 0.1
    config = verifier(provider)
    tasks = [asyncio.create_task(outcome(provider.token(), config)) for _ in range(5)]
    await until(lambda: provider.fetched)
    tasks[0].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [asyncio.CancelledError, str, str, str, str] == [type(result) for result in results]
    assert [URL] == provider.fetched


async def test_a_single_waiter_that_goes_away_leaves_the_keys_behind() -> None:
    """Though everybody has gone, the fetch comes to its end, and the next request needs none."""
    provider = Provider()
    provider.delay = 0.05
    config = verifier(provider)
    with anyio.move_on_after(0.01):
        await verify_token_async(provider.token(), config)
    await anyio.sleep(0.1)
    assert "alice" == verify_token(provider.token(), config).identity
    assert [URL] == provider.fetched


def test_every_event_loop_has_a_fetch_of_its_own() -> None:
    """One key set serves one event loop after the other, of either kind, though the first ended in the middle."""
    provider = Provider()
    provider.delay = 0.05
    config = verifier(provider)

    async def leave() -> None:
        with anyio.move_on_after(0.01):
            await verify_token_async(provider.token(), config)

    async def stay() -> Token:
        return await verify_token_async(provider.token(), config)

    for backend in ("asyncio", "trio"):
        anyio.run(leave, backend=backend)
    for backend in ("trio", "asyncio"):
        assert "alice" == anyio.run(stay, backend=backend).identity
    assert 3 == len(provider.fetched)


async def test_who_has_a_known_key_waits_for_nothing() -> None:
    """While a fetch hangs that an unknown key has asked for, tokens of known keys are accepted, without waiting."""  # S101
    provider = Provider()
    config = verifier(provider)
    raw = provider.token()
    await verify_token_async(raw, config)
    provider.delay = 3600.0
    async with anyio.create_task_group() as group:
        group.start_soon(outcome, unknown_token(1, like=raw), config)
        await until(lambda: 2 == len(provider.fetched))
        for _ in range(100):
            assert "alice" == verify_token(provider.token(), config).identity
        group.cancel_scope.cancel()


async def test_no_trace_of_a_request_is_in_the_fetch() -> None:
    """The fetch is made for everybody: it runs in a context of its own, not in that of the first request."""
    from contextvars import ContextVar  # noqa: PLC0415 -- for this test alone

    request: ContextVar[str] = ContextVar("request", default="nobody's")
    provider, seen = Provider(), []

    async def note(url: str) -> FetchResponse:
        seen.append(request.get())
        return await provider.publish(url)

    provider.answer = note
    request.set("of alice")
    await verify_token_async(provider.token(), verifier(provider))
    assert ["nobody's"] == seen


async def test_keys_of_ones_own_are_never_waited_for() -> None:
    """`verify_token_async` does what `verify_token` does, where nothing is to be fetched."""
    key = Key.generate("ES256")
    parties = {"issuer": ISSUER, "audience": AUDIENCE, "clock": lambda: NOW}
    raw, foreign = Provider(key).token(), Provider().token()
    for config in (
        JWTConfig(signing_key=key, **parties),
        JWTConfig(key_ring=KeyRing(key), **parties),
        JWTConfig(jwks=KeyRing(key), **parties),
    ):
        assert ("alice", 401) == (await outcome(raw, config), await outcome(foreign, config))
        with pytest.raises(TokenError) as refused:
            await verify_token_async(raw, config, type="refresh")
        assert "invalid_token_type" == refused.value.code
    await KeyRing(key).run()


# Unknown keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("kind", ["forged", "well-formed"])
async def test_ten_thousand_unknown_kids_make_two_fetches(kind: str) -> None:
    """A flood spends the budget and no more; known tokens are accepted throughout, and every unknown one is refused.

    Those that were looked for are invalid. Whether there is a key for the others cannot be said: 503.
    """  # S91
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock)
    raw = provider.token()
    stranger = Provider(Key.generate("ES256"))
    await verify_token_async(raw, config)
    assert 1 == len(provider.fetched)
    flood_size = 10_000 if is_thorough() else 2_000
    for number in range(flood_size):
        clock.advance(0.001)  # ten seconds at most for all of them
        if kind == "forged":
            flood = unknown_token(number, like=raw)
        else:
            key = stranger.keys[0] if number % 1000 else Key.generate("ES256")
            flood = stranger.token(key)
        looked_for = number < 2 if kind == "forged" else number == 0 or number % 1000
        assert (401 if looked_for else 503) == await outcome(flood, config)
        if number % 100 == 0:
            assert "alice" == verify_token(raw, config).identity
    assert 2 == len(provider.fetched) - 1
    status = keys_of(config).status()
    assert (flood_size, flood_size - 2) == (status.unknown_kids, status.unknown_kids_refused)
    assert MAX_UNKNOWN_KIDS >= len(keys_of(config)._schedule._unknown)


@pytest.mark.thorough
async def test_a_rotation_during_a_flood_is_picked_up_within_one_interval() -> None:
    """Junk cannot starve a genuine new key: whatever asks for the next fetch, it brings that key along."""  # S91, S92
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock)
    raw = provider.token()
    await verify_token_async(raw, config)
    for number in range(2_000):
        await outcome(unknown_token(number, like=raw), config)
    provider.keys.append(Key.generate("ES256"))
    renewed = provider.token()
    assert 503 == await outcome(renewed, config)  # the budget is spent
    rotated_at = clock.now
    accepted_at = math.inf
    for number in range(2_000, 4_000):
        clock.advance(1 / 64)
        assert await outcome(unknown_token(number, like=raw), config) in (401, 503)
        if accepted_at == math.inf and await outcome(renewed, config) == "alice":
            accepted_at = clock.now
    assert 30 >= accepted_at - rotated_at
    assert 4 == len(provider.fetched)  # the first, the burst, and one for the half minute since


async def test_a_new_key_is_accepted_at_its_first_token() -> None:
    """Without a flood, the first token of a new key fetches it, and is accepted."""  # S92
    provider = Provider()
    config = verifier(provider)
    await verify_token_async(provider.token(), config)
    provider.keys.append(Key.generate("ES256"))
    assert ["alice"] * 50 == await together(*[lambda: outcome(provider.token(), config)] * 50)
    assert 2 == len(provider.fetched)


async def test_the_same_unknown_kid_is_looked_for_once_in_an_interval() -> None:
    """A client that goes on with a retired key spends one fetch of the budget, and leaves the other to others."""
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock)
    raw = provider.token()
    await verify_token_async(raw, config)
    for _ in range(10):
        assert 401 == await outcome(unknown_token(1, like=raw), config)
    assert 2 == len(provider.fetched)
    provider.keys.append(Key.generate("ES256"))
    assert "alice" == await outcome(provider.token(), config)
    assert 3 == len(provider.fetched)
    clock.advance(31)
    assert 401 == await outcome(unknown_token(1, like=raw), config)
    assert 4 == len(provider.fetched)


async def test_the_middleware_answers_without_a_fetch_where_none_helps() -> None:
    """A key that has just been looked for is answered with 401 at once, and an outage that has just been seen with 503."""
    provider = Provider()
    app = JWTMiddleware(Recorder(), verifier(provider))
    forged = unknown_token(0, like=provider.token())
    assert [401, 401] == [(await ask(app, "/", bearer(forged))).status for _ in range(2)]
    assert 2 == len(provider.fetched)  # at the start, and for the unknown key
    down = Provider()
    down.answer = down.break_down
    app = JWTMiddleware(Recorder(), verifier(down))
    assert [503, 503] == [(await ask(app, "/", bearer(down.token()))).status for _ in range(2)]
    assert 1 == len(down.fetched)


async def test_looking_for_unknown_keys_delays_no_refresh() -> None:
    """Failed fetches for made-up keys leave the schedule as it is: the refresh comes when it would have come."""  # S91
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock, policy=FetchPolicy(jitter=0))
    raw = provider.token()
    await verify_token_async(raw, config)
    provider.answer = provider.break_down
    for number in range(470):
        clock.advance(1)
        assert await outcome(unknown_token(number, like=raw), config) in (401, 503)
    tried = len(provider.fetched)
    assert 1 + 2 + 15 == tried  # the first, the burst, and one for each interval
    assert ("fresh", 0) == (keys_of(config).status().state, keys_of(config).status().consecutive_failures)
    provider.answer = provider.publish
    clock.advance(10.5)
    assert "alice" == await outcome(raw, config)
    await until(lambda: keys_of(config)._schedule.next_attempt > clock.now)
    assert tried + 1 == len(provider.fetched)
    assert clock.now + 480 == pytest.approx(keys_of(config)._schedule.next_attempt)


async def test_an_unknown_key_shares_a_refresh_that_is_due() -> None:
    """When a refresh is due anyway, the unknown key waits for that one, and the budget is left for others."""  # S91
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock, policy=FetchPolicy(jitter=0))
    raw = provider.token()
    await verify_token_async(raw, config)
    clock.advance(500)
    provider.keys.append(Key.generate("ES256"))
    assert "alice" == await outcome(provider.token(), config)
    assert 2 == len(provider.fetched)
    for number, status in enumerate((401, 401, 503)):
        assert status == await outcome(unknown_token(number, like=raw), config)
    assert 4 == len(provider.fetched)


async def test_only_the_algorithms_that_are_wanted_are_accepted() -> None:
    """A key of the set for another algorithm verifies nothing."""
    wanted, other = Key.generate("ES256"), Key.generate("EdDSA")
    provider = Provider(wanted, other)
    config = verifier(provider, algorithms=["RS256", "ES256"])
    assert ("alice", 401) == (
        await outcome(provider.token(wanted), config),
        await outcome(provider.token(other), config),
    )


async def test_whether_a_key_exists_cannot_be_said_while_the_provider_is_down() -> None:
    """A token whose key is unknown, and cannot be looked for, is not called invalid: 503."""  # S94
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock)
    raw = provider.token()
    await verify_token_async(raw, config)
    provider.answer = provider.break_down
    assert 503 == await outcome(unknown_token(1, like=raw), config)
    clock.advance(660)
    assert "alice" == await outcome(raw, config)  # stale, after a fetch that failed
    assert 503 == await outcome(unknown_token(2, like=raw), config)
    assert 1 == keys_of(config).status().unknown_kids_refused


async def test_a_token_without_a_kid_may_ask_for_a_fetch_too() -> None:
    """When no single key can be meant, the set is looked at again; with one key of the algorithm, that one is."""
    provider = Provider(Key.generate("ES256"), Key.generate("ES256"))
    config = verifier(provider)
    raw = provider.token(send_kid=False)
    assert 401 == await outcome(raw, config)
    del provider.keys[0]
    assert "alice" == await outcome(raw, config)


# Rotation -------------------------------------------------------------------------------------------------------------


async def test_a_removed_key_ends_with_the_next_successful_fetch() -> None:
    """What it has signed is refused at once, remembered or not; what a key that stays has verified stays remembered."""  # S93
    provider, clock = Provider(Key.generate("ES256"), Key.generate("ES256")), MovingClock()
    config = verifier(provider, clock)
    leaving, staying = provider.token(provider.keys[0]), provider.token(provider.keys[1])
    for _ in range(3):
        assert ["alice", "alice"] == [await outcome(leaving, config), await outcome(staying, config)]
    assert 2 == len(config._prepared.token_cache)
    del provider.keys[0]
    await keys_of(config).fetch_now()
    with pytest.raises(UnknownKeyError):
        verify_token(leaving, config)
    assert 1 == len(config._prepared.token_cache)
    assert "alice" == verify_token(staying, config).identity
    assert 401 == await outcome(provider.token(Key.generate("ES256")), config)


async def test_another_key_of_the_same_name_inherits_nothing() -> None:
    """A kid that now stands for another key: the old one's tokens are refused, though they were remembered."""  # S93
    provider = Provider(Key.generate("ES256", kid="the-key"))
    config = verifier(provider)
    old = provider.token()
    for _ in range(3):
        assert "alice" == await outcome(old, config)
    provider.keys = [Key.generate("ES256", kid="the-key")]
    await keys_of(config).fetch_now()
    assert 401 == await outcome(old, config)
    assert "alice" == await outcome(provider.token(), config)


async def test_the_same_keys_again_change_nothing() -> None:
    """A refresh that brings what was there keeps the very set, and with it all that it has learnt."""
    provider = Provider(Key.generate("ES256"), Key.generate("RS256"))
    keys = keys_of(verifier(provider))
    await keys.fetch_now()
    before = keys.keys
    provider.keys.reverse()
    await keys.fetch_now()
    assert before is keys.keys
    assert (2, 0) == (keys.status().fetches, keys.status().rotations)


# Outages --------------------------------------------------------------------------------------------------------------


async def test_an_outage_is_survived_for_max_stale_and_then_answered_with_503() -> None:
    """Every valid token is accepted until then; afterwards none, and none is called invalid. Recovery needs no restart."""  # S94
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock, policy=FetchPolicy(jitter=0))
    raw = provider.token()
    assert "alice" == await outcome(raw, config)
    provider.answer = provider.break_down
    answers: dict[str | int, list[float]] = {}
    for _ in range(600):
        clock.advance(10)
        answers.setdefault(await outcome(raw, config), []).append(clock.now - 1000)
        await anyio.lowlevel.checkpoint()
    assert {"alice", 503} == set(answers)
    # Fresh for ten minutes, stale for an hour.
    assert (4190, 4200) == (max(answers["alice"]), min(answers[503]))
    assert "failing" == keys_of(config).status().state
    provider.answer = provider.publish
    clock.advance(60)
    assert "alice" == await outcome(raw, config)
    assert "fresh" == keys_of(config).status().state


async def test_down_at_the_start_is_503_until_it_appears() -> None:
    """An application that starts while the provider is down answers 503 with `Retry-After`, then as ever."""  # S94
    provider, clock = Provider(), MovingClock()
    provider.answer = provider.break_down
    config = verifier(provider, clock)
    raw = provider.token()
    with pytest.raises(KeysUnavailableError) as refused:
        await verify_token_async(raw, config)
    assert (503, 1) == (refused.value.status, refused.value.retry_after)
    assert "ConnectionError" == refused.value.evidence["reason"]
    asked = len(provider.fetched)
    assert 503 == await outcome(raw, config)  # at once, and without asking
    assert asked == len(provider.fetched)
    provider.answer = provider.publish
    clock.advance(1.1)
    assert "alice" == await outcome(raw, config)


@pytest.mark.parametrize("raw", ["no token", "a.b.c", "e30.e30.AAAA", f"{b64(b'[]').decode()}.e30.AAAA", "a" * 9000])
async def test_what_is_no_token_needs_no_key(raw: str) -> None:
    """Malformed is malformed, also while there are no keys: it is refused at once, and asks for no fetch."""  # S94
    provider = Provider()
    assert 401 == await outcome(raw, verifier(provider, policy=FetchPolicy(ttl=60)))
    assert [] == provider.fetched


async def test_expired_keys_are_not_used_before_a_fetch_has_failed() -> None:
    """After a long silence nothing is known about the keys from before: the request waits for the fetch."""
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock)
    removed = provider.token()
    assert "alice" == await outcome(removed, config)
    provider.keys = [Key.generate("ES256")]
    clock.advance(700)
    assert "stale" == keys_of(config).status().state
    with pytest.raises(KeysUnavailableError):
        verify_token(removed, config)
    assert 401 == await outcome(removed, config)
    assert "alice" == verify_token(provider.token(), config).identity


async def test_failures_are_followed_by_growing_pauses() -> None:
    """One second, two, four, up to a minute, each shortened by up to a half; and none is asked for in between."""  # S95
    provider, clock = Provider(), MovingClock()
    provider.answer = provider.break_down
    config = verifier(provider, clock)
    raw = provider.token()
    pauses, last = [], clock.now
    while len(pauses) < 12:
        before = len(provider.fetched)
        assert 503 == await outcome(raw, config)
        if len(provider.fetched) > before:
            pauses.append(clock.now - last)
            last = clock.now
        clock.advance(0.25)
    bounds = [min(2.0**number, 60.0) for number in range(11)]
    assert [True] * 11 == [most / 2 <= pause <= most + 0.25 for pause, most in zip(pauses[1:], bounds, strict=True)]


async def test_a_refresh_asked_for_says_when_it_failed() -> None:
    """`refresh` raises; the keys from before go on for as long as they are fresh."""
    provider = Provider()
    config = verifier(provider)
    await keys_of(config).fetch_now()
    provider.answer = provider.break_down
    with pytest.raises(KeysUnavailableError):
        await keys_of(config).fetch_now()
    assert "alice" == verify_token(provider.token(), config).identity
    assert "fresh" == keys_of(config).status().state


async def test_jumps_of_the_wall_clock_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of keys are monotonic: whatever becomes of the date, keys are as fresh as they were."""  # S104
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock)
    await keys_of(config).fetch_now()
    for date in (0.0, 4e9):
        monkeypatch.setattr("time.time", lambda date=date: date)
        clock.advance(1)
        assert "alice" == await outcome(provider.token(), config)
        assert "fresh" == keys_of(config).status().state
        assert date - (clock.now - 1000) == keys_of(config).status().last_success
    assert 1 == len(provider.fetched)


# Schedule, in the background and without one -------------------------------------------------------------------------


async def test_without_a_lifespan_the_refresh_is_begun_by_a_request_that_does_not_wait() -> None:
    """At 80 percent of its time the set is fetched anew; the request that finds it so goes on with the old keys."""  # S102
    provider, clock = Provider(), MovingClock()
    config = verifier(provider, clock, policy=FetchPolicy(jitter=0))
    raw = provider.token()
    await verify_token_async(raw, config)
    clock.advance(479)
    await verify_token_async(raw, config)
    await anyio.sleep(0.01)
    assert 1 == len(provider.fetched)
    provider.delay = 0.05
    clock.advance(2)
    for _ in range(10):
        assert "alice" == await outcome(raw, config)
    assert 0.0 == keys_of(config)._schedule.failures
    await until(lambda: keys_of(config)._schedule.next_attempt > clock.now)
    assert 2 == len(provider.fetched)
    assert clock.now + 480 == keys_of(config)._schedule.next_attempt


def test_without_an_event_loop_no_fetch_is_started() -> None:
    """A refresh that is due cannot start where no event loop runs, and is left to the next request."""
    provider = Provider()
    keys = keys_of(verifier(provider))
    keys.refresh_if_due()
    assert ([], 0) == (provider.fetched, keys.status().fetches)


async def test_a_refresh_that_is_due_is_started_once() -> None:
    """Asked for again while it goes on, it is not started again."""
    provider = Provider()
    keys = keys_of(verifier(provider))
    for _ in range(3):
        keys.refresh_if_due()
    await until(lambda: keys.status().state == "fresh")
    keys.refresh_if_due()
    assert 1 == keys.status().fetches == len(provider.fetched)


@pytest.mark.thorough
async def test_in_the_background_keys_are_there_before_anybody_asks() -> None:
    """`run` fetches at once, goes on by the schedule, and through failures; cancelled, it stops."""  # S102
    provider = Provider()
    policy = FetchPolicy(ttl=0.1, min_ttl=0.1, max_ttl=1, backoff=0.02, max_backoff=0.05, jitter=0)
    config = verifier(provider, policy=policy)
    async with anyio.create_task_group() as group:
        group.start_soon(keys_of(config).run)
        await until(lambda: len(provider.fetched) >= 4)
        provider.answer = provider.break_down
        await until(lambda: keys_of(config).status().consecutive_failures >= 3)
        provider.answer = provider.publish
        await until(lambda: not keys_of(config).status().consecutive_failures)
        assert "alice" == verify_token(provider.token(), config).identity
        group.cancel_scope.cancel()
    fetched = len(provider.fetched)
    await anyio.sleep(0.2)
    assert fetched == len(provider.fetched)


async def test_the_end_of_the_background_ends_its_fetch() -> None:
    """A fetch under way is cancelled with it, whoever waits is told, and the next start fetches anew."""  # S102
    provider = Provider()
    provider.delay = 3600.0
    config = verifier(provider)
    seen: list[str | int] = []

    async def request() -> None:
        seen.append(await outcome(provider.token(), config))

    async with anyio.create_task_group() as requests, anyio.create_task_group() as background:
        background.start_soon(keys_of(config).run)
        await anyio.sleep(0.01)
        requests.start_soon(request)
        await anyio.sleep(0.01)
        background.cancel_scope.cancel()
    assert [503] == seen
    provider.delay = 0.0
    async with anyio.create_task_group() as background:
        background.start_soon(keys_of(config).run)
        await until(lambda: keys_of(config).status().state == "fresh")
        background.cancel_scope.cancel()
    assert "alice" == verify_token(provider.token(), config).identity


async def test_a_fetch_that_is_cancelled_before_it_began_holds_up_nobody() -> None:
    """Cancelled before its task has taken a step, it is over all the same: whoever waits is told, and the next begins."""  # S102
    provider = Provider()
    config = verifier(provider)
    fetching = keys_of(config)._fetching.start()
    keys_of(config)._fetching.cancel()
    keys_of(config)._fetching.cancel()
    with anyio.fail_after(5):
        await fetching.done.wait()
        assert "alice" == await outcome(provider.token(), config)


# What it says of itself -----------------------------------------------------------------------------------------------


async def test_the_status_tells_each_state() -> None:
    """New, fresh, stale and failing, with times in seconds since the epoch, and everything counted."""
    provider, clock = Provider(), MovingClock()
    keys = keys_of(verifier(provider, clock, policy=FetchPolicy(jitter=0)))
    status = keys.status()
    assert ("new", None, 0, 0, None) == (
        status.state,
        status.last_success,
        status.keys,
        status.fetches,
        status.last_failure,
    )
    await keys.fetch_now()
    status = keys.status()
    assert ("fresh", 1, 1) == (status.state, status.keys, status.fetches)
    assert status.last_success is not None
    assert 480 == pytest.approx(status.next_refresh - status.last_success)
    provider.answer = provider.break_down
    clock.advance(600)
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    status = keys.status()
    assert ("stale", 1, 1, "ConnectionError") == (
        status.state,
        status.consecutive_failures,
        status.failures,
        status.last_failure,
    )
    clock.advance(3600)
    assert "failing" == keys.status().state
    assert f"<RemoteKeySet {URL} failing, 1 keys>" == repr(keys)


async def test_down_from_the_start_is_failing() -> None:
    """Where the first fetch has failed, there is nothing to verify with."""
    provider = Provider()
    provider.answer = provider.break_down
    keys = keys_of(verifier(provider))
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    assert ("failing", None, 0) == (keys.status().state, keys.status().last_success, keys.status().keys)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_events_tell_of_fetches_failures_and_rotations(kind: str) -> None:
    """Each is told once, in its order, to a callback of either kind."""
    seen: list[KeySetEvent] = []

    async def note(event: KeySetEvent) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(event)

    provider = Provider()
    keys = keys_of(verifier(provider, on_event=seen.append if kind == "sync" else note))
    await keys.fetch_now()
    old, new = provider.keys[0], Key.generate("ES256")
    provider.keys = [new]
    await keys.fetch_now()
    provider.answer = provider.break_down
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    await anyio.sleep(0.01)
    assert [
        KeySetEvent(name="fetched", url=URL),
        KeySetEvent(name="fetched", url=URL),
        KeySetEvent(name="rotated", url=URL, added=(new.kid,), removed=(old.kid,)),
        KeySetEvent(name="failed", url=URL, reason="ConnectionError"),
    ] == seen


async def test_a_callback_that_raises_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged, and the keys are there."""
    provider = Provider()

    def fail(_: KeySetEvent) -> None:
        raise RuntimeError("the callback is broken")

    config = verifier(provider, on_event=fail)
    assert "alice" == await outcome(provider.token(), config)
    await anyio.sleep(0.01)
    assert "alice" == await outcome(provider.token(), config)
    assert [f"on_event failed for fetched of {URL}"] == [record.getMessage() for record in caplog.records]


async def test_the_log_says_why_in_fixed_words(caplog: pytest.LogCaptureFixture) -> None:
    """A warning names the address and the reason; what the fetch raised is for whoever debugs."""
    provider = Provider()
    provider.answer = provider.break_down
    caplog.set_level(logging.INFO, "asgi_jwt_claims")
    with pytest.raises(KeysUnavailableError):
        await keys_of(verifier(provider)).fetch_now()
    assert [(logging.WARNING, f"keys of {URL} could not be fetched: ConnectionError")] == [
        (record.levelno, record.getMessage()) for record in caplog.records
    ]


async def test_a_fetch_has_so_much_time_and_no_more() -> None:
    """The timeout is for the whole, whatever the fetch does meanwhile."""  # S96
    provider = Provider()
    provider.delay = 3600.0
    keys = keys_of(verifier(provider, policy=FetchPolicy(timeout=0.05)))
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    assert "no answer within 0.05 seconds" == keys.status().last_failure


async def test_caps_hold_for_any_fetch() -> None:
    """A fetch of the application's own may bring too much, another status, or no key; each has failed."""  # S96
    provider = Provider()
    keys = keys_of(verifier(provider))
    for answer, reason in (
        (FetchResponse(200, {}, b" " * (256 * 1024 + 1)), "the answer is longer than 262144 bytes"),
        (
            FetchResponse(302, {"location": "https://elsewhere.example"}, b""),
            "the request for the JWK Set was answered with status 302",
        ),
        (FetchResponse(200, {}, b'{"keys": []}'), "the JWK Set has no key that can be used"),
    ):

        async def given(_: str, answer: FetchResponse = answer) -> FetchResponse:
            return answer

        provider.answer = given
        with pytest.raises(KeysUnavailableError):
            await keys.fetch_now()
        assert reason == keys.status().last_failure


# Cache-Control --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "ttl"),
    [
        ({}, 600),
        ({"cache-control": "max-age=1200"}, 1200),
        ({"cache-control": "public, max-age=1200", "age": "200"}, 1000),
        ({"cache-control": "max-age=1"}, 60),
        ({"cache-control": "no-store"}, 60),
        ({"cache-control": "max-age=31536000"}, 3600),
    ],
    ids=str,
)
async def test_cache_control_is_honoured_within_bounds(headers: dict[str, str], ttl: float) -> None:
    """The provider says how long its answer may be used, from a minute to an hour; ten minutes where it does not."""
    provider, clock = Provider(), MovingClock()
    provider.headers = headers
    keys = keys_of(verifier(provider, clock, policy=FetchPolicy(jitter=0)))
    await keys.fetch_now()
    assert (1000 + ttl, 1000 + ttl * 0.8) == (keys._schedule.expires_at, keys._schedule.next_attempt)


async def test_processes_do_not_refresh_all_at_once() -> None:
    """The time is lengthened or shortened by up to a tenth, for each set anew."""
    provider, clock = Provider(), MovingClock()
    sets = [keys_of(verifier(provider, clock)) for _ in range(40)]
    for keys in sets:
        await keys.fetch_now()
    times = [keys._schedule.expires_at - clock.now for keys in sets]
    assert (True, True) == (540 <= min(times), max(times) <= 660)
    assert 30 < len(set(times))


def test_forked_processes_draw_numbers_of_their_own() -> None:
    """The jitter comes from the operating system, so that it is not copied by a fork."""  # S102
    from asgi_jwt_claims.jwks import remote  # noqa: PLC0415 -- for this test alone

    assert random.SystemRandom is type(remote._uniform.__self__)  # type: ignore[attr-defined]


# Discovery ------------------------------------------------------------------------------------------------------------


def published(provider: Provider, **metadata: Any) -> Callable[[str], Awaitable[FetchResponse]]:
    """A provider with metadata at the addresses named, and keys everywhere else."""
    document = {"issuer": ISSUER, "jwks_uri": URL}

    async def answer(url: str) -> FetchResponse:
        if ".well-known" not in url:
            return await provider.publish(url)
        if url not in metadata["at"]:
            return FetchResponse(404, {}, b"")
        return FetchResponse(200, {}, json.dumps({**document, **metadata.get("document", {})}).encode())

    return answer


OPENID = f"{ISSUER}/.well-known/openid-configuration"
OAUTH = f"{ISSUER}/.well-known/oauth-authorization-server"


@pytest.mark.parametrize(("at", "asked"), [(OPENID, [OPENID, URL]), (OAUTH, [OPENID, OAUTH, URL])])
async def test_the_metadata_of_an_issuer_says_where_its_keys_are(at: str, asked: list[str]) -> None:
    """OpenID Connect Discovery first, RFC 8414 where there is none; nothing is fetched before the first request."""  # S98
    provider = Provider()
    provider.answer = published(provider, at=[at])
    keys = RemoteKeySet(issuer=ISSUER, fetch=provider)
    config = JWTConfig.for_issuer(ISSUER, audience=AUDIENCE, jwks=keys, clock=lambda: 1_800_000_000)
    assert [] == provider.fetched
    raw = provider.token(type_claim=None, user_claims_claim=None)
    token = await verify_token_async(raw, config)
    assert ("alice", "access", {}) == (token.identity, token.type, token.user_claims)
    assert asked == provider.fetched


async def test_discovery_is_asked_again_after_a_while_and_after_a_failure() -> None:
    """The address it found is used for an hour, unless a fetch from there fails."""
    provider, clock = Provider(), MovingClock()
    provider.answer = published(provider, at=[OPENID])
    keys = RemoteKeySet(issuer=ISSUER, fetch=provider, monotonic=clock)
    await keys.fetch_now()
    await keys.fetch_now()
    assert [OPENID, URL, URL] == provider.fetched
    clock.advance(3601)
    await keys.fetch_now()
    assert [OPENID, URL] == provider.fetched[3:]
    provider.answer = provider.break_down
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    provider.answer = published(provider, at=[OPENID], document={"jwks_uri": f"{ISSUER}/moved"})
    await keys.fetch_now()
    assert [URL, OPENID, f"{ISSUER}/moved"] == provider.fetched[5:]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"issuer": "https://other.example"}, "the metadata is of another issuer"),
        ({"issuer": f"{ISSUER}/"}, "the metadata is of another issuer"),
        ({"issuer": None}, "the metadata is of another issuer"),
        ({"jwks_uri": None}, "the jwks_uri of the metadata is not a str"),
        ({"jwks_uri": "http://issuer.example/jwks"}, "the jwks_uri of the metadata is http, and only loopback"),
        ({"jwks_uri": "file:///etc/passwd"}, "the jwks_uri of the metadata is not a URL that begins with https://"),
        ({"jwks_uri": "data:application/json,{}"}, "the jwks_uri of the metadata is not a URL that begins with"),
        ({"jwks_uri": "https://a:b@issuer.example/"}, "the jwks_uri of the metadata holds a user name"),
        ({"jwks_uri": "https://[issuer"}, "the jwks_uri of the metadata is not a URL"),
    ],
    ids=str,
)
async def test_metadata_that_cannot_be_believed_is_refused(document: dict[str, Any], reason: str) -> None:
    """Of another issuer by a single character, or pointing anywhere but to an https address: no keys, 503."""  # S98
    provider = Provider()
    provider.answer = published(provider, at=[OPENID], document=document)
    keys = RemoteKeySet(issuer=ISSUER, fetch=provider)
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    assert reason in str(keys.status().last_failure)
    assert [OPENID, OAUTH] == provider.fetched


async def test_no_metadata_at_all_is_a_failure() -> None:
    """Neither document is there: that is said with the status."""
    provider = Provider()
    provider.answer = published(provider, at=[])
    keys = RemoteKeySet(issuer=ISSUER, fetch=provider)
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    assert "the request for the metadata was answered with status 404" == keys.status().last_failure


# What cannot be used --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "give either the url of a JWK Set, or the issuer"),
        ({"url": URL, "issuer": ISSUER}, "give either the url of a JWK Set, or the issuer"),
        ({"url": 7}, "the url is not a str"),
        ({"url": "http://issuer.example/jwks"}, "the url is http, and only loopback may be asked without TLS"),
        ({"url": "http://127.0.0.1/jwks"}, "the url is http, and only loopback may be asked without TLS"),
        ({"url": "http://10.0.0.1/jwks", "loopback_http": True}, "the url is http, and only loopback"),
        ({"url": "http://issuer.example/jwks", "loopback_http": True}, "the url is http, and only loopback"),
        ({"url": "file:///etc/passwd"}, "the url is not a URL that begins with https://"),
        ({"url": "ftp://issuer.example/jwks"}, "the url is not a URL that begins with https://"),
        ({"url": "https:///jwks"}, "the url is not a URL that begins with https://"),
        ({"url": "https://issuer.example:port/"}, "the url is not a URL"),
        ({"url": "https://issuer.example/\n"}, "characters that no URL has"),
        ({"url": "https://issuer.example/" + "a" * 3000}, "is too long"),
        ({"url": "https://user@issuer.example/"}, "holds a user name or a password"),
        ({"url": "https://issuer.example/#keys"}, "has a fragment"),
        ({"issuer": "https://issuer.example/?tenant=1"}, "the issuer has a query"),
        ({"url": URL, "policy": 5}, "policy must be a FetchPolicy, not int"),
        ({"url": URL, "fetch": "curl"}, "fetch must be a function"),
        ({"url": URL, "on_event": 1}, "on_event must be a function"),
        ({"url": URL, "loopback_http": "no"}, "loopback_http must be True or False"),
        ({"url": URL, "monotonic": 7}, "monotonic must be a callable that returns seconds"),
        ({"url": URL, "monotonic": lambda: "noon"}, "monotonic must be a callable that returns seconds"),
        ({"url": URL, "algorithms": "RS256"}, "algorithms must be a list of names"),
        ({"url": URL, "algorithms": 1}, "algorithms must be a list of names"),
        ({"url": URL, "algorithms": ("HS256",)}, "algorithms: 'HS256' is not one of RS256"),
        ({"url": URL, "algorithms": ("none",)}, "algorithms: 'none' is not one of RS256"),
    ],
)
def test_what_must_not_be_asked_is_refused_when_built(arguments: dict[str, Any], match: str) -> None:
    """Only https, only plain addresses, only algorithms with a public half; the message says what to write instead."""  # S96
    with pytest.raises(SettingError, match=match):
        RemoteKeySet(**{"fetch": Provider(), **arguments})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost"])
def test_loopback_may_be_asked_without_tls_by_a_flag(host: str) -> None:
    """Nothing leaves the machine, so http will do where the application says so."""
    keys = RemoteKeySet(f"http://{host}:8000/jwks", loopback_http=True, fetch=Provider())
    assert f"<RemoteKeySet http://{host}:8000/jwks new, 0 keys>" == repr(keys)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"audience": None}, "jwks needs issuer and audience"),
        ({"issuer": None}, "jwks needs issuer and audience"),
        ({"issuer": "https://other.example"}, "jwks finds the keys of 'https://issuer.example', but issuer is"),
        ({"secret_key": "x" * 32}, "jwks cannot be combined with"),
        ({"algorithm": "HS256"}, "jwks cannot be combined with"),
        ({"signing_key": Key.generate("ES256")}, "jwks cannot be combined with"),
        ({"verification_keys": [Key.generate("ES256").public()]}, "jwks cannot be combined with"),
        ({"jwks": URL}, "jwks must be a RemoteKeySet, not str"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], match: str) -> None:
    """Somebody else's keys need an issuer and an audience to hold tokens against, and stand beside no others."""  # S150
    usual = {"jwks": RemoteKeySet(issuer=ISSUER, fetch=Provider()), "issuer": ISSUER, "audience": AUDIENCE}
    with pytest.raises(SettingError, match=match):
        JWTConfig(**{**usual, **settings})


@pytest.mark.parametrize(
    ("policy", "match"),
    [
        ({"ttl": 0}, "ttl must be more than zero"),
        ({"ttl": 30}, "ttl must lie between min_ttl and max_ttl"),
        ({"ttl": 7200}, "ttl must lie between min_ttl and max_ttl"),
        ({"max_stale": -1}, "max_stale must be zero or more"),
        ({"timeout": "5"}, "timeout must be a timedelta or seconds, not str"),
        ({"backoff": 120}, "backoff must not be longer than max_backoff"),
        ({"jitter": 0.9}, r"jitter must be a number from 0\.0 to 0\.5"),
        ({"jitter": True}, r"jitter must be a number from 0\.0 to 0\.5"),
        ({"refresh_ahead": 1.0}, r"refresh_ahead must be a number from 0\.01 to 0\.99"),
        ({"unknown_kid_burst": 0}, "unknown_kid_burst must be an int from 1 to 100"),
        ({"unknown_kid_burst": 1.5}, "unknown_kid_burst must be an int from 1 to 100"),
        ({"max_size": 10}, "max_size must be an int from 1024 to 16777216"),
        ({"max_keys": 0}, "max_keys must be an int from 1 to 1024"),
    ],
    ids=str,
)
def test_a_policy_that_makes_no_sense_is_refused(policy: dict[str, Any], match: str) -> None:
    """Every time and every cap has bounds, and says them."""  # S150
    with pytest.raises(SettingError, match=match):
        FetchPolicy(**policy)
