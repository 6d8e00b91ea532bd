"""Revocation in every adapter: middleware, `install`, guards and dependencies ask the store alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sanic")
pytest.importorskip("websockets")

import httpx2
from fastapi import FastAPI, Security
from sanic import json
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    Token,
    create_access_token,
    get_token,
    verify_token,
)
from asgi_jwt_claims import fastapi as for_fastapi
from asgi_jwt_claims import sanic as for_sanic
from asgi_jwt_claims import starlette as for_starlette
from asgi_jwt_claims.access import AccessPolicy
from asgi_jwt_claims.auth.authenticator import Authenticator
from asgi_jwt_claims.auth.options import ACCESS_TOKEN, Guard
from asgi_jwt_claims.auth.request import authenticate_request, authenticator_for, complete_request
from asgi_jwt_claims.auth.settings import MiddlewareSettings
from asgi_jwt_claims.config import AuthEvent
from asgi_jwt_claims.errors import (
    FreshTokenRequiredError,
    InvalidClaimError,
    RevokedTokenError,
    SettingError,
    StoreUnavailableError,
)
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sessions import (
    TokenEndpoints,
    revoke_session,
    revoke_token,
    rotate_refresh_token,
    start_session,
)
from asgi_jwt_claims.sources import DEFAULT_SOURCES
from asgi_jwt_claims.stores import MemoryStore
from tests.apps.sanic_adapter import new_app
from tests.conftest import NOW, HeldClock
from tests.forging import forge
from tests.raw_asgi import Recorder, ask, bearer, finish, http_scope, lifespan, talk
from tests.support import SECRET

pytestmark = pytest.mark.anyio


class Distant(MemoryStore):
    """A store that has to be asked, as those on servers have; it counts, and can be away."""

    asked = 0
    kept = 0
    is_away = False

    def is_revoked_locally(self, token: Token, config: JWTConfig) -> Any:
        return None

    async def is_revoked(self, marks: Any) -> bool:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError(retry_after=7)
        return await super().is_revoked(marks)

    async def run(self) -> None:
        self.kept += 1


@pytest.fixture(params=[MemoryStore, Distant])
def store(request: pytest.FixtureRequest, clock: HeldClock) -> MemoryStore:
    made: MemoryStore = request.param(clock=clock)
    return made


# Adapters: from configuration and store to an application that answers at "/" (demanded), "/optional" (a token is
# optional) and "/open" (the guard does not ask about revocation).


def wrapped(config: JWTConfig, store: MemoryStore) -> Any:
    async def show(request: Any) -> Any:
        return JSONResponse({"identity": get_token(request).identity})

    return JWTMiddleware(Starlette(routes=[Route("/", show), Route("/optional", show)]), config, store=store)


def on_starlette(config: JWTConfig, store: MemoryStore, *, required: bool = False) -> Any:
    async def show(request: Any, token: Any) -> Any:
        return JSONResponse({"identity": token and token.identity})

    app = Starlette(
        routes=[
            Route("/", for_starlette.jwt_required(show)),
            Route("/optional", for_starlette.jwt_required(optional=True)(show)),
            Route("/open", for_starlette.jwt_required(check_revocation=False)(show)),
        ]
    )
    for_starlette.install(app, config, store=store, required=required, exempt=["/open"])
    return app


def on_starlette_demanded(config: JWTConfig, store: MemoryStore) -> Any:
    return on_starlette(config, store, required=True)


def on_fastapi(config: JWTConfig, store: MemoryStore) -> Any:
    app = FastAPI()
    for_fastapi.install(app, config, store=store, required=False)

    async def show(token: Any) -> Any:
        return {"identity": token and token.identity}

    app.get("/")(for_fastapi.jwt_required(show))
    app.get("/optional")(for_fastapi.jwt_required(optional=True)(show))
    app.get("/open")(for_fastapi.jwt_required(check_revocation=False)(show))
    return app


def with_dependencies(config: JWTConfig, store: MemoryStore) -> Any:
    app = FastAPI()

    def route(path: str, **options: Any) -> None:
        guard = Security(for_fastapi.JWTBearer(config, store=store, **options))

        @app.get(path)
        async def show(token: Any = guard) -> Any:
            return {"identity": token and token.identity}

    route("/")
    route("/optional", optional=True)
    route("/open", check_revocation=False)
    return app


def on_sanic(config: JWTConfig, store: MemoryStore) -> Any:
    app = new_app()
    for_sanic.install(app, config, store=store, required=False)

    async def show(request: Any, token: Any) -> Any:
        return json({"identity": token and token.identity})

    app.add_route(for_sanic.jwt_required(show), "/", name="demanded")
    app.add_route(for_sanic.jwt_required(optional=True)(show), "/optional", name="optional")
    app.add_route(for_sanic.jwt_required(check_revocation=False)(show), "/open", name="open")
    return app


ADAPTERS: list[Callable[[JWTConfig, MemoryStore], Any]] = [
    wrapped,
    on_starlette,
    on_starlette_demanded,
    on_fastapi,
    with_dependencies,
    on_sanic,
]


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
def adapter(request: pytest.FixtureRequest) -> Any:
    """Each application; `tests/system/sanic_server` has that of Sanic on its own server."""
    return request.param


@pytest.fixture
def opened() -> Any:
    """How an application is run."""

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
        async with (
            lifespan(app),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver") as client,
        ):
            yield client

    return opened


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_revoked_token_is_refused(adapter: Any, opened: Any, config: JWTConfig, store: MemoryStore) -> None:
    """At every adapter, on optional routes too (a trap of others), and only where a guard opts out by name it is not."""
    pair = await start_session("alice", config, store)
    headers = {"authorization": f"Bearer {pair.access_token}"}
    async with opened(adapter(config, store)) as client:
        for path in ("/", "/optional"):
            assert {"identity": "alice"} == (await client.get(path, headers=headers)).json()
        await revoke_session(str(verify_token(pair.access_token, config).session_id), config, store)
        for path in ("/", "/optional"):
            answer = await client.get(path, headers=headers)
            assert (401, True) == (answer.status_code, 'error="invalid_token"' in answer.headers["www-authenticate"])
        if adapter is not wrapped:
            assert {"identity": "alice"} == (await client.get("/open", headers=headers)).json()
        other = await client.get("/", headers={"authorization": f"Bearer {create_access_token('bob', config)}"})
        assert {"identity": "bob"} == other.json()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_store_that_is_away(adapter: Any, opened: Any, config: JWTConfig, clock: HeldClock) -> None:
    """At every adapter 503 with `Retry-After` for a good token, and what needs no store is answered as ever."""  # S141
    store = Distant(clock=clock)
    store.is_away = True
    headers = {"authorization": f"Bearer {create_access_token('alice', config)}"}
    async with opened(adapter(config, store)) as client:
        for path in ("/", "/optional"):
            answer = await client.get(path, headers=headers)
            assert (503, "7") == (answer.status_code, answer.headers["retry-after"])
        assert 401 == (await client.get("/")).status_code
        assert 401 == (await client.get("/", headers={"authorization": "Bearer a.b.c"})).status_code
        if adapter is not wrapped:
            assert {"identity": "alice"} == (await client.get("/open", headers=headers)).json()
        store.is_away = False
        assert {"identity": "alice"} == (await client.get("/", headers=headers)).json()


async def test_the_store_is_asked_once(config: JWTConfig, clock: HeldClock) -> None:
    """However many guards and middlewares a request passes, one question is asked, and none about a bad token."""
    store = Distant(clock=clock)
    app = JWTMiddleware(on_starlette(config, store), config, store=store)
    assert 200 == (await ask(app, "/", bearer(create_access_token("alice", config)))).status
    assert 1 == store.asked
    for headers in ((), (bearer(b"a.b.c"),)):
        assert 401 == (await ask(app, "/", *headers)).status
    assert 1 == store.asked


async def test_two_stores(config: JWTConfig, clock: HeldClock) -> None:
    """What another middleware has held against its own store is held against this one's as well."""
    near, far = MemoryStore(clock=clock), Distant(clock=clock)
    raw = create_access_token("alice", config)
    await revoke_token(verify_token(raw, config), config, far)
    inner, plain = JWTMiddleware(Recorder(), config, store=far), JWTMiddleware(Recorder(), config)
    assert 401 == (await ask(JWTMiddleware(inner, config, store=near), "/", bearer(raw))).status
    assert 401 == (await ask(JWTMiddleware(inner, config), "/", bearer(raw))).status
    assert 200 == (await ask(JWTMiddleware(plain, config, store=near), "/", bearer(raw))).status
    assert 401 == (await ask(JWTMiddleware(plain, config, store=far), "/", bearer(raw))).status


async def test_guards_below_an_inner_middleware_without_a_store(config: JWTConfig, clock: HeldClock) -> None:
    """Guards and endpoints ask the store of the outer middleware, once, although the inner one has named none."""
    store, raw = Distant(clock=clock), create_access_token("alice", config)
    other = JWTConfig(secret_key=SECRET[::-1], clock=clock)
    app = FastAPI()
    app.get("/guard")(for_fastapi.jwt_required(lambda: "ok"))
    app.get("/alias")(for_fastapi.jwt_required(lambda token: "ok"))
    app.get("/sources", dependencies=[Security(for_fastapi.JWTBearer(sources=DEFAULT_SOURCES))])(lambda: "ok")
    app.get("/own", dependencies=[Security(for_fastapi.JWTBearer(config))])(lambda: "ok")
    app.mount("/tokens", TokenEndpoints(config, store))
    paths = ("/guard", "/alias", "/sources", "/own", "/tokens/sessions")
    for revoked, status in ((False, 200), (True, 401)):
        if revoked:
            await revoke_token(verify_token(raw, config), config, store)
        for inner in ({"required": False}, {"exempt": paths}):
            for path in paths:
                nested = JWTMiddleware(JWTMiddleware(app, config, **inner), config, store=store, exempt=paths)
                between = JWTMiddleware(JWTMiddleware(app, other, **inner), config, store=store, exempt=paths)
                for guarded in (nested, between) if path in ("/own", "/tokens/sessions") else (nested,):
                    store.asked = 0
                    answer = await ask(guarded, path, bearer(raw))
                    assert (path, status, 1) == (path, answer.status, store.asked)


async def test_websockets(config: JWTConfig, store: MemoryStore) -> None:
    """A revoked token opens no websocket; if the store is away, the close asks to try again."""
    recorder = Recorder()
    app = JWTMiddleware(recorder, config, store=store)
    raw = create_access_token("alice", config)
    assert ["websocket.accept"] == (await talk(app, "/", bearer(raw))).types
    await revoke_token(verify_token(raw, config), config, store)
    assert 401 == (await talk(app, "/", bearer(raw))).status
    assert 3000 == (await talk(app, "/", bearer(raw), denial=False)).close_code
    if isinstance(store, Distant):
        store.is_away = True
        assert 1013 == (await talk(app, "/", bearer(raw), denial=False)).close_code
    assert 1 == len(recorder.calls)


async def test_the_store_is_looked_after(config: JWTConfig, clock: HeldClock) -> None:
    """Its background work runs with the application's lifespan."""
    store = Distant(clock=clock)
    async with lifespan(on_starlette(config, store)):
        pass
    assert 1 == store.kept


def test_where_nobody_can_wait(config: JWTConfig, clock: HeldClock) -> None:
    """Without waiting, a store that has to be asked accepts no token; a guard that does not check accepts it."""
    store = Distant(clock=clock)
    scope = http_scope("/", bearer(create_access_token("alice", config)))
    authenticator_for(scope, Authenticator(config, DEFAULT_SOURCES, store, ErrorResponder()))
    result = authenticate_request(scope)
    assert "store" == result.state.needs
    assert StoreUnavailableError is type(result.refusal(ACCESS_TOKEN))
    assert None is result.refusal(Guard(check_revocation=False))
    result, _ = finish(complete_request(scope, result, check_revocation=False))
    assert (0, "store") == (store.asked, result.state.needs)
    result, _ = finish(complete_request(scope, result))
    again, _ = finish(complete_request(scope, authenticate_request(scope)))
    assert again is result
    assert (1, None) == (store.asked, result.state.needs)
    assert None is result.refusal(ACCESS_TOKEN)


@pytest.mark.parametrize("store", [None], indirect=False)
def test_what_is_no_store(config: JWTConfig, store: None) -> None:
    """Something else in the place of a store is refused when it is built, and a store without a configuration too."""
    with pytest.raises(SettingError, match="TokenStore"):
        MiddlewareSettings(config, store=object())  # type: ignore[arg-type]
    for arguments, options in (((config,), {"store": object()}), ((), {"store": MemoryStore()})):
        with pytest.raises(SettingError, match="TokenStore"):
            for_fastapi.JWTBearer(*arguments, **options)
    known = MemoryStore()
    assert for_fastapi.JWTBearer(config, store=known) == for_fastapi.JWTBearer(config, store=known)
    assert for_fastapi.JWTBearer(config, store=known) != for_fastapi.JWTBearer(config)


async def test_refusals_are_told(config: JWTConfig, events: list[AuthEvent], store: MemoryStore) -> None:
    """Every refusal is an event with the error's code, from the middleware and from guards."""
    app = on_starlette(config, store, required=True)
    raw = create_access_token("alice", config)
    await revoke_token(verify_token(raw, config), config, store)
    for headers in ((), (bearer(b"a.b.c"),), (bearer(raw),)):
        await ask(app, "/", *headers)
    codes = [event.code for event in events if event.name == "refused"]
    assert ["token_missing", "token_malformed", "token_revoked"] == codes


# Freshness as a duration ----------------------------------------------------------------------------------------------


async def test_fresh_for_a_while(config: JWTConfig, clock: HeldClock, store: MemoryStore) -> None:
    """`fresh=timedelta` is counted from the login, and no refreshed token is fresh, however recent the login was."""
    rule = AccessPolicy(fresh=timedelta(minutes=5))
    pair = await start_session("alice", config, store)
    rule.check(verify_token(pair.access_token, config))
    clock.now += 300
    rule.check(verify_token(pair.access_token, config))
    clock.now += 1
    with pytest.raises(FreshTokenRequiredError) as refusal:
        rule.check(verify_token(pair.access_token, config))
    assert 300 == refusal.value.max_age
    clock.now = NOW
    renewed = await rotate_refresh_token(pair.refresh_token, config, store)
    with pytest.raises(FreshTokenRequiredError):
        rule.check(verify_token(renewed.access_token, config))


@pytest.mark.parametrize(
    ("claims", "without", "age"),
    [
        ({"fresh": True}, (), 0),
        ({"fresh": NOW + 60, "auth_time": NOW - 30}, (), 30),
        ({"fresh": NOW - 1, "auth_time": NOW - 30}, (), None),
        ({"fresh": False, "auth_time": NOW}, (), None),
        ({"auth_time": NOW - 7}, ("fresh",), 7),  # a provider's token
        ({}, ("fresh",), None),
    ],
)
def test_the_age_of_a_login(config: JWTConfig, claims: dict[str, Any], without: tuple[str, ...], age: float) -> None:
    """By `auth_time`, else by `iat` of a fresh token; and none for a token that says that it is not fresh."""
    assert age == verify_token(forge(claims, without=without), config).login_age


@pytest.mark.parametrize("value", ["yesterday", True, [], {}, None, "1"])
def test_a_login_that_is_no_time(config: JWTConfig, value: Any) -> None:
    """An `auth_time` that is no number is a claim that cannot be relied on."""
    with pytest.raises(InvalidClaimError):
        verify_token(forge({"auth_time": value}), config)


def test_a_revoked_error_is_an_invalid_token(config: JWTConfig) -> None:
    """To clients a revoked token is an invalid one (RFC 6750 section 3.1)."""
    assert ("invalid_token", 401) == (RevokedTokenError.error, RevokedTokenError.status)
    assert JWTConfig(secret_key=SECRET).on_event is None
