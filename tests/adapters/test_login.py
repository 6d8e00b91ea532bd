"""A whole life under every framework: log in, read, refresh, lose the session to a replay, log out everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sanic")
pytest.importorskip("websockets")

import httpx2
from fastapi import FastAPI
from sanic import HTTPResponse
from sanic import Request as SanicRequest
from sanic import json as sanic_json
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from asgi_jwt_claims import JWTConfig, Token
from asgi_jwt_claims import fastapi as for_fastapi
from asgi_jwt_claims import sanic as for_sanic
from asgi_jwt_claims import starlette as for_starlette
from asgi_jwt_claims.config import AuthEvent
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.stores import SQLiteStore, TokenStore
from tests.apps.sanic_adapter import new_app
from tests.conftest import HeldClock
from tests.raw_asgi import lifespan
from tests.support import SECRET

EXEMPT = ("/login", "/auth/refresh", "/auth/logout")
CLAIMS = {"VERI TAS": "LUX MEA"}


def on_starlette(config: JWTConfig, store: TokenStore) -> Any:
    async def login(request: Request) -> Response:
        return JSONResponse(dict(await start_session("alice", config, store, user_claims=CLAIMS)))

    @for_starlette.jwt_required
    async def protected(request: Request, token: Token) -> Response:
        return JSONResponse(token.user_claims)

    app = Starlette(
        routes=[
            Route("/login", login, methods=["POST"]),
            Route("/protected", protected),
            Mount("/auth", TokenEndpoints(config, store)),
        ]
    )
    for_starlette.install(app, config, store=store, exempt=EXEMPT)
    return app


def on_fastapi(config: JWTConfig, store: TokenStore) -> Any:
    app = FastAPI()
    for_fastapi.install(app, config, store=store, exempt=EXEMPT)

    @app.post("/login")
    async def login() -> dict[str, Any]:
        return dict(await start_session("alice", config, store, user_claims=CLAIMS))

    @app.get("/protected")
    async def protected(token: for_fastapi.CurrentToken) -> dict[str, Any]:
        return token.user_claims

    app.mount("/auth", TokenEndpoints(config, store))
    return app


def on_sanic(config: JWTConfig, store: TokenStore) -> Any:
    app = new_app()
    endpoints = {"/auth": TokenEndpoints(config, store)}
    for_sanic.install(app, config, store=store, exempt=["/login"], endpoints=endpoints)

    @app.post("/login")
    async def login(request: SanicRequest) -> HTTPResponse:
        return sanic_json(dict(await start_session("alice", config, store, user_claims=CLAIMS)))

    @app.get("/protected")
    @for_sanic.jwt_required
    async def protected(request: SanicRequest, token: Token) -> HTTPResponse:
        return sanic_json(token.user_claims)

    return app


PARAMS = (
    (on_starlette, "asyncio"),
    (on_starlette, "trio"),
    (on_fastapi, "asyncio"),
    (on_fastapi, "trio"),
    (on_sanic, "asyncio"),
)


@pytest.fixture(params=PARAMS, ids=lambda way: f"{way[0].__name__}-{way[1]}")
def way(request: pytest.FixtureRequest) -> Any:
    """An application and its event loop; `tests/system/sanic_server` has Sanic on its own server."""
    return request.param


@pytest.fixture
def anyio_backend(way: Any) -> Any:
    return way[1]


@pytest.fixture
def opened() -> Any:
    """How an application is run."""

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
        transport = httpx2.ASGITransport(app)
        async with lifespan(app), httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client

    return opened


class User:
    """A user with a client and, after a login, with tokens."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.tokens: dict[str, Any] = {}

    async def log_in(self) -> dict[str, Any]:
        answer = await self.client.post("/login")
        assert 200 == answer.status_code
        self.tokens = answer.json()
        return self.tokens

    async def read(self, tokens: dict[str, Any] | None = None) -> Any:
        token = (tokens or self.tokens)["access_token"]
        answer = await self.client.get("/protected", headers={"authorization": f"Bearer {token}"})
        return answer.json() if answer.status_code == 200 else answer.status_code

    async def refresh(self, tokens: dict[str, Any]) -> dict[str, Any]:
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        answer = await self.client.post("/auth/refresh", data=form)
        assert answer.status_code == (400 if "error" in answer.json() else 200)
        assert "no-store" == answer.headers["cache-control"]
        return dict(answer.json())

    async def with_token(self, method: str, path: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.tokens['access_token']}"}
        return await self.client.request(method, path, headers=headers)


async def live(user: User, clock: HeldClock, events: list[AuthEvent]) -> None:
    first = await user.log_in()
    assert CLAIMS == await user.read()
    second = await user.refresh(first)
    assert CLAIMS == await user.read(second)
    clock.now += 60  # past the grace
    assert "invalid_grant" == (await user.refresh(first))["error"]  # a replay
    assert "invalid_grant" == (await user.refresh(second))["error"]
    assert [401, 401] == [await user.read(first), await user.read(second)]

    third, elsewhere = await user.log_in(), await user.log_in()
    sessions = (await user.with_token("GET", "/auth/sessions")).json()["sessions"]
    assert [True, False] == sorted((one["current"] for one in sessions), reverse=True)
    other = next(one["id"] for one in sessions if not one["current"])
    assert 200 == (await user.with_token("DELETE", f"/auth/sessions/{other}")).status_code
    assert [401, CLAIMS] == [await user.read(third), await user.read(elsewhere)]

    assert 200 == (await user.with_token("POST", "/auth/logout-everywhere")).status_code
    assert 401 == await user.read(elsewhere)
    assert "invalid_grant" == (await user.refresh(elsewhere))["error"]

    clock.now += 1
    last = await user.log_in()
    assert CLAIMS == await user.read()
    answer = await user.client.post("/auth/logout", data={"token": last["refresh_token"]})
    assert (200, 401) == (answer.status_code, await user.read())
    kinds = [event.name for event in events if event.name != "refused"]
    assert ["issued", "refreshed", "revoked", "reuse_detected", "issued", "issued"] == kinds[:6]
    assert ["session", "identity", "session"] == [event.revoked for event in events if event.name == "revoked"][1:]


@pytest.mark.anyio
async def test_a_life(way: Any, opened: Any, tmp_path: Any, clock: HeldClock) -> None:
    """Every step of it, with one store and the same requests under every framework."""  # S138, S143
    events: list[AuthEvent] = []
    config = JWTConfig(secret_key=SECRET, clock=clock, on_event=events.append)
    async with opened(way[0](config, SQLiteStore(tmp_path / "sessions.db", clock=clock))) as client:
        await live(User(client), clock, events)
