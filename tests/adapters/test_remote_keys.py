"""Remote keys behind every adapter: middleware, `install` and guards of each framework wait for them alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

pytest.importorskip("httpx2")
pytest.importorskip("fastapi")
pytest.importorskip("sanic")

import httpx2
from fastapi import FastAPI, Security
from sanic import Request as SanicRequest
from sanic import Sanic
from sanic import json as sanic_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.websockets import WebSocket

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key, Token, TokenError, get_token
from asgi_jwt_claims import fastapi as for_fastapi
from asgi_jwt_claims import sanic as for_sanic
from asgi_jwt_claims import starlette as for_starlette
from asgi_jwt_claims.jwks import FetchPolicy, RemoteKeySet
from tests.apps.many_sanics import allow_many
from tests.raw_asgi import bearer, lifespan, websocket_scope
from tests.unit.jwks.provider import Provider, verifier

pytestmark = pytest.mark.anyio

IMPATIENT = FetchPolicy(backoff=0.05, max_backoff=0.05)

Adapter = Callable[[JWTConfig], Any]


async def whoever(request: Request) -> Response:
    return JSONResponse({"identity": get_token(request).identity})


def wrapped(config: JWTConfig) -> Any:
    return JWTMiddleware(Starlette(routes=[Route("/", whoever)]), config)


def several(config: JWTConfig) -> Any:
    other = JWTConfig(secret_key="x" * 32, issuer="https://other.example")
    return JWTMiddleware(Starlette(routes=[Route("/", whoever)]), [other, config])


def starlette_installed(config: JWTConfig) -> Any:
    app = Starlette(routes=[Route("/", whoever)])
    for_starlette.install(app, config)
    return app


def starlette_guarded_alone(config: JWTConfig) -> Any:
    @for_starlette.jwt_required
    async def guarded(request: Request, token: Token) -> Response:
        return JSONResponse({"identity": token.identity})

    app = Starlette(routes=[Route("/", guarded)])
    for_starlette.install(app, config, exempt=["/"])
    return app


def starlette_optional(config: JWTConfig) -> Any:
    app = Starlette(routes=[Route("/", whoever)])
    for_starlette.install(app, config, required=False)
    return app


def fastapi_installed(config: JWTConfig) -> Any:
    app = FastAPI()
    for_fastapi.install(app, config)

    @app.get("/")
    async def read(token: for_fastapi.CurrentToken) -> dict[str, Any]:
        return {"identity": token.identity}

    return app


def fastapi_dependency(config: JWTConfig) -> Any:
    app, bearer_token = FastAPI(), Security(for_fastapi.JWTBearer(config))

    @app.get("/")
    async def read(token: Any = bearer_token) -> dict[str, Any]:
        return {"identity": token.identity}

    return app


def fastapi_dependency_of_several(config: JWTConfig) -> Any:
    other = JWTConfig(secret_key="x" * 32, issuer="https://other.example")
    app, bearer_token = FastAPI(), Security(for_fastapi.JWTBearer([other, config]))

    @app.get("/")
    async def read(token: Any = bearer_token) -> dict[str, Any]:
        return {"identity": token.identity}

    return app


def fastapi_guarded_alone(config: JWTConfig) -> Any:
    app = FastAPI()
    for_fastapi.install(app, config, exempt=["/"])

    @app.get("/")
    @for_fastapi.jwt_required
    def read(token: Token) -> dict[str, Any]:
        return {"identity": token.identity}

    return app


def wrapped_twice(config: JWTConfig) -> Any:
    return JWTMiddleware(starlette_installed(config), config)


def asked_too_early(config: JWTConfig) -> Any:
    """Somebody inside looks for the token where it is only guarded later, and cannot wait."""
    guarded = starlette_guarded_alone(config)
    inner = guarded.router.routes[0].app

    async def peek(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(TokenError):
            get_token(scope)
        await inner(scope, receive, send)

    guarded.router.routes[0].app = peek
    return guarded


ASGI_ADAPTERS: list[Adapter] = [
    wrapped,
    wrapped_twice,
    asked_too_early,
    several,
    starlette_installed,
    starlette_guarded_alone,
    starlette_optional,
    fastapi_installed,
    fastapi_dependency,
    fastapi_dependency_of_several,
    fastapi_guarded_alone,
]


@asynccontextmanager
async def open_asgi(app: Any) -> AsyncIterator[Any]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver") as client:
        yield client


@asynccontextmanager
async def open_sanic_asgi(app: Any) -> AsyncIterator[Any]:
    async with lifespan(app), open_asgi(app) as client:
        yield client


@pytest.fixture
def opened() -> Any:
    """How an application of Sanic is run; `tests/system/sanic_server` has the other way."""
    return open_sanic_asgi


async def until_fresh(config: JWTConfig) -> None:
    """Wait for the first fetch, which nobody here has asked for."""
    assert isinstance(config.jwks, RemoteKeySet)
    with anyio.fail_after(10):
        while config.jwks.status().state != "fresh":  # noqa: ASYNC110 -- what is waited for tells nobody
            await anyio.sleep(0.01)


async def ask(client: Any, raw: str) -> tuple[int, str | None]:
    answer = await client.get("/", headers={"Authorization": f"Bearer {raw}"})
    return answer.status_code, answer.json().get("identity") if answer.status_code == 200 else None


async def live(client: Any, provider: Provider) -> None:
    """What is promised at every adapter: one fetch for all, new keys, 401 for nobody's, 503 while nobody can say."""
    first = provider.token()
    results: list[Any] = []

    async def request() -> None:
        results.append(await ask(client, first))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(request)
    assert ([(200, "alice")] * 10, 1) == (results, len(provider.fetched))
    provider.keys.append(Key.generate("ES256"))
    assert (200, "alice") == await ask(client, provider.token())
    assert (401, None) == await ask(client, provider.token(Key.generate("ES256")))
    provider.answer = provider.break_down
    assert (200, "alice") == await ask(client, first)
    assert 3 == len(provider.fetched)


async def start_dead(client: Any, provider: Provider) -> None:
    """With the provider down from the start: 503 that says when to come again, and no request reaches the handler."""
    answer = await client.get("/", headers={"Authorization": f"Bearer {provider.token()}"})
    assert 503 == answer.status_code
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert "www-authenticate" not in answer.headers
    assert 401 == (await client.get("/")).status_code
    provider.answer = provider.publish
    await anyio.sleep(0.1)  # longer than the pause after a failure
    assert (200, "alice") == await ask(client, provider.token())
    # A key that cannot be looked for is not called unknown.
    provider.answer = provider.break_down
    assert (503, None) == await ask(client, provider.token(Key.generate("ES256")))


@pytest.mark.thorough
@pytest.mark.parametrize("adapter", ASGI_ADAPTERS, ids=lambda adapter: adapter.__name__)
async def test_every_adapter_waits_for_keys(adapter: Adapter) -> None:
    """Cold, after a rotation, with unknown keys and during an outage, all adapters do the same."""  # S89, S92, S94
    provider = Provider()
    provider.delay = 0.02
    async with open_asgi(adapter(verifier(provider))) as client:
        await live(client, provider)


@pytest.mark.thorough
@pytest.mark.parametrize("adapter", ASGI_ADAPTERS, ids=lambda adapter: adapter.__name__)
async def test_every_adapter_says_503_before_there_are_keys(adapter: Adapter) -> None:
    """Never 401 for a token that could not be checked, at whichever adapter."""  # S94
    provider = Provider()
    provider.answer = provider.break_down
    async with open_asgi(adapter(verifier(provider, policy=IMPATIENT))) as client:
        await start_dead(client, provider)


def sanic_app(config: JWTConfig, **options: Any) -> Sanic[Any, Any]:
    allow_many()
    app: Sanic[Any, Any] = Sanic(f"remote-{id(config)}")
    for_sanic.install(app, config, **options)

    @app.get("/")
    @for_sanic.jwt_required
    async def read(request: SanicRequest, token: Token) -> Any:
        return sanic_json({"identity": token.identity})

    return app


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("exempt", [(), ("/",)], ids=["installed", "guarded alone"])
async def test_sanic_waits_for_keys(opened: Any, exempt: tuple[str, ...]) -> None:
    """On its own server, whose start begins the first fetch, and in ASGI mode."""  # S89, S92, S94
    provider = Provider()
    provider.delay = 0.02
    app = sanic_app(verifier(provider), exempt=exempt)
    try:
        async with opened(app) as client:
            await live(client, provider)
    finally:
        Sanic.unregister_app(app)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("exempt", [(), ("/",)], ids=["installed", "guarded alone"])
async def test_sanic_says_503_before_there_are_keys(opened: Any, exempt: tuple[str, ...]) -> None:
    """Never 401 for a token that could not be checked."""  # S94
    provider = Provider()
    provider.answer = provider.break_down
    app = sanic_app(verifier(provider, policy=IMPATIENT), exempt=exempt)
    try:
        async with opened(app) as client:
            await start_dead(client, provider)
    finally:
        Sanic.unregister_app(app)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_sanic_keeps_keys_fresh_as_long_as_it_serves(opened: Any) -> None:
    """Keys are there before the first request; when the server stops, so does what looks after them."""  # S102
    provider = Provider()
    config = verifier(provider)
    app = sanic_app(config)
    try:
        for _ in range(2):
            async with opened(app):
                await until_fresh(config)
            assert [] == [task for task in asyncio.all_tasks() if ".run()" in repr(task)]
        assert 1 == len(provider.fetched)
    finally:
        Sanic.unregister_app(app)


# The lifespan ---------------------------------------------------------------------------------------------------------


LIVING = [wrapped, several, starlette_installed, fastapi_installed]


@pytest.mark.parametrize("adapter", LIVING, ids=lambda adapter: adapter.__name__)
async def test_with_a_lifespan_keys_are_there_before_the_first_request(adapter: Adapter) -> None:
    """The start of the application begins the first fetch, and its end ends what looks after the keys."""  # S102
    provider = Provider()
    config = verifier(provider)
    for _ in range(2):
        app = adapter(config)
        async with lifespan(app), open_asgi(app) as client:
            await until_fresh(config)
            assert 1 == len(provider.fetched)
            assert (200, "alice") == await ask(client, provider.token())
    assert 1 == len(provider.fetched)


async def test_an_application_starts_while_the_provider_is_down() -> None:
    """The start waits for nothing."""
    provider = Provider()
    provider.delay = 3600.0
    app = wrapped(verifier(provider))
    async with lifespan(app), open_asgi(app) as client:
        assert 401 == (await client.get("/")).status_code


async def test_the_applications_own_failure_to_start_passes_untouched() -> None:
    """What the application raises during its lifespan comes out as it is, in no group, and nothing is left running."""  # S102

    class NoLifespanError(Exception):
        pass

    failure = NoLifespanError()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(0.01)
        raise failure

    provider = Provider()
    provider.delay = 3600.0
    with pytest.raises(NoLifespanError) as raised:
        await JWTMiddleware(app, verifier(provider))({"type": "lifespan"}, None, None)  # type: ignore[arg-type]  # neither is used
    assert failure is raised.value
    assert 1 == len(provider.fetched)


def guarded_websocket(config: JWTConfig) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application must not see it")

    return JWTMiddleware(app, config)


def websocket_dependency(config: JWTConfig) -> Any:
    app, bearer_token = FastAPI(), Security(for_fastapi.JWTBearer(config))

    @app.websocket("/")
    async def talk(websocket: WebSocket, token: Any = bearer_token) -> None:
        raise AssertionError("the handler must not see it")

    return app


@pytest.mark.parametrize("adapter", [guarded_websocket, websocket_dependency], ids=lambda adapter: adapter.__name__)
async def test_a_websocket_that_cannot_be_checked_is_refused_before_it_is_accepted(adapter: Adapter) -> None:
    """Where the server cannot send a denial response, the close code says to try again later."""
    provider = Provider()
    provider.answer = provider.break_down
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await adapter(verifier(provider))(websocket_scope("/", bearer(provider.token()), denial=False), receive, send)
    assert [("websocket.close", 1013)] == [(message["type"], message["code"]) for message in sent]


# Without an event loop ------------------------------------------------------------------------------------------------


async def test_what_cannot_wait_uses_the_keys_in_hand() -> None:
    """`get_token` on an exempt path is synchronous: without keys it says 503; once there are some, it needs no fetch."""
    provider = Provider()
    app = Starlette(routes=[Route("/", whoever)])
    config = verifier(provider)
    for_starlette.install(app, config, exempt=["/"])
    async with open_asgi(app) as client:
        assert (503, None) == await ask(client, provider.token())
        assert [] == provider.fetched
        assert isinstance(config.jwks, RemoteKeySet)
        await config.jwks.fetch_now()
        assert (200, "alice") == await ask(client, provider.token())
    assert 1 == len(provider.fetched)
