"""Functions that are told of events fail no request and hold none up, whatever they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import JWTConfig
from asgi_jwt_claims.config import AuthEvent
from asgi_jwt_claims.config.events import notify
from asgi_jwt_claims.errors import KeysUnavailableError, MissingTokenError
from asgi_jwt_claims.jwks import FetchResponse, KeySetEvent, RemoteKeySet
from asgi_jwt_claims.responses import notify_refused
from asgi_jwt_claims.runtime import callbacks as _callbacks
from asgi_jwt_claims.tokens.issuers import MultiIssuerVerifier
from tests.raw_asgi import http_scope
from tests.support import SECRET

pytestmark = pytest.mark.anyio

EVENT = AuthEvent(name="refused", code="token_missing")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never ends is left after a moment, instead of a second."""
    monkeypatch.setattr(_callbacks, "_PATIENCE", 0.01)


async def never_ends(_: Any) -> None:
    await anyio.sleep_forever()


async def cancels_itself(_: Any) -> None:
    raise asyncio.CancelledError


def cancels_itself_at_once(_: Any) -> None:
    raise asyncio.CancelledError


async def stops(_: Any) -> None:
    raise BaseExceptionGroup("of a task group", [asyncio.CancelledError(), ValueError()])


class Unforeseen(BaseException):
    """No `Exception`, as the outcomes of some test tools."""


async def breaks(_: Any) -> None:
    raise Unforeseen


async def swallows_cancellation(_: Any) -> None:
    try:
        await anyio.sleep_forever()
    except BaseException:  # noqa: BLE001 -- what such a function does
        raise RuntimeError("cleaned up") from None


BROKEN = [never_ends, cancels_itself, cancels_itself_at_once, stops, breaks, swallows_cancellation]


@pytest.mark.parametrize("function", BROKEN)
async def test_no_function_fails_or_holds_up_what_it_is_told_of(
    function: Callable[[Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    """One that never ends is cancelled, one that cancels itself or raises is logged, and the next one is told."""
    told: list[AuthEvent] = []
    await notify(function, EVENT)
    await notify(told.append, EVENT)
    assert [EVENT] == told
    assert 1 == len([record for record in caplog.records if record.getMessage().startswith("on_event ")])


@pytest.mark.parametrize("function", BROKEN)
async def test_keys_arrive_whatever_their_listener_does(function: Callable[[Any], Any]) -> None:
    """Those who wait for keys have them, and the fetch after that begins as it would have."""
    told: list[str] = []

    def on_event(event: KeySetEvent) -> Any:
        told.append(event.name)
        return function(event)

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        return FetchResponse(503, {}, b"")

    keys = RemoteKeySet("https://issuer.example/jwks", fetch=fetch, on_event=on_event)
    for _ in range(2):
        with pytest.raises(KeysUnavailableError):
            await keys.fetch_now()
    with anyio.fail_after(10):
        while len(told) < 2:  # noqa: ASYNC110 -- what is waited for tells nobody
            await anyio.sleep(0.01)
    assert (["failed", "failed"], 2) == (told, keys.status().failures)


async def test_a_cancelled_request_stays_cancelled() -> None:
    """While a function is being told of an event, a cancellation of the request itself goes on to its end."""
    reached: list[str] = []
    with anyio.CancelScope() as request:

        async def cancels_the_request(_: Any) -> None:
            request.cancel()
            await anyio.lowlevel.checkpoint()

        await notify(cancels_the_request, EVENT)
        reached.append("what comes after")
    assert ([], True) == (reached, request.cancelled_caught)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_cancelled_by_its_server_stays_cancelled() -> None:
    """asyncio's own `Task.cancel` is not swallowed while a function is being told."""
    told = asyncio.Event()

    async def waits(_: Any) -> None:
        told.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(notify(waits, EVENT))
    await told.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_the_end_of_the_process_is_not_held_up(error: type[BaseException]) -> None:
    """What ends the process is raised again."""

    def interrupted(_: Any) -> None:
        raise error

    with pytest.raises(error):
        await notify(interrupted, EVENT)


async def test_a_function_has_its_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends in time is awaited, sync or async, and nothing is told where there is no function."""
    monkeypatch.undo()
    told: list[str] = []

    async def slow(event: AuthEvent) -> None:
        await anyio.lowlevel.checkpoint()
        told.append(event.name)

    functions: list[Callable[[AuthEvent], Awaitable[None] | None] | None] = [slow, None]
    for function in functions:
        await notify(function, EVENT)
    assert (["refused"], 1.0) == (told, _callbacks._PATIENCE)


async def test_several_issuers_tell_each_function_once() -> None:
    """The functions of several configurations are told one by one, so none takes the time of another."""
    told: list[AuthEvent] = []
    configs = [
        JWTConfig(secret_key=SECRET, issuer=f"https://{number}.example", on_event=function)
        for number, function in enumerate((never_ends, breaks, told.append, told.append, None))
    ]
    await notify_refused(MultiIssuerVerifier(configs).on_event, MissingTokenError(), http_scope("/"))
    assert [None] == [event.issuer for event in told]
