"""Metadata and endpoints in front of the guard, the same under every adapter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sanic")
pytest.importorskip("websockets")

from fastapi import FastAPI
from sanic import Blueprint, HTTPResponse, Request
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key
from asgi_jwt_claims import fastapi as for_fastapi
from asgi_jwt_claims import sanic as for_sanic
from asgi_jwt_claims import starlette as for_starlette
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jwks import JWKSEndpoint
from asgi_jwt_claims.oauth import ProtectedResource
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.stores import MemoryStore
from tests.apps.adapter import Site, asgi_site
from tests.apps.sanic_adapter import new_app, socket_site

pytestmark = pytest.mark.anyio

RESOURCE = "https://api.example.com/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
KEYS = "/.well-known/jwks.json"
KEY = Key.generate("ES256")


def on_starlette(config: JWTConfig, **options: Any) -> Any:
    app = Starlette()
    for_starlette.install(app, config, **options)
    return app


def on_fastapi(config: JWTConfig, **options: Any) -> Any:
    app = FastAPI()
    for_fastapi.install(app, config, **options)
    return app


def wrapped(config: JWTConfig, **options: Any) -> Any:
    return JWTMiddleware(Starlette(), config, **options)


def on_sanic(config: JWTConfig, **options: Any) -> Any:
    app = new_app()
    for_sanic.install(app, config, **options)

    @app.post("/auth/refresh")
    async def never(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    return app


Open = Callable[[Any], AbstractAsyncContextManager[Site]]

PARAMS = [
    (on_starlette, asgi_site, "asyncio"),
    (on_starlette, asgi_site, "trio"),
    (on_fastapi, asgi_site, "asyncio"),
    (wrapped, asgi_site, "trio"),
    (on_sanic, asgi_site, "asyncio"),
    (on_sanic, socket_site, "asyncio"),
]


@pytest.fixture(params=PARAMS, ids=lambda param: f"{param[0].__name__}-{param[1].__name__}-{param[2]}")
def param(request: pytest.FixtureRequest) -> Any:
    """How an application is made and run, and its event loop."""
    return request.param


@pytest.fixture
def anyio_backend(param: Any) -> Any:
    return param[2]


async def test_what_needs_no_token(param: tuple[Callable[..., Any], Open, str]) -> None:
    """Metadata and keys are there for everyone, tokens are refreshed, and everything else is guarded."""
    build, open_site, _ = param
    store = MemoryStore()
    config = JWTConfig(signing_key=KEY, issuer="https://login.example.com", audience=RESOURCE)
    app = build(
        config,
        store=store,
        protected_resource=ProtectedResource(
            resource=RESOURCE, authorization_servers=["https://login.example.com"], scopes="mcp"
        ),
        endpoints={"/auth": TokenEndpoints(config, store), KEYS: JWKSEndpoint([KEY])},
    )
    pair = await start_session("alice", config, store)
    async with open_site(app) as site:
        client = site.client
        metadata = await client.get(METADATA)
        head = await client.head(f"{METADATA}/")
        known = await client.get(METADATA, headers={"if-none-match": metadata.headers["etag"]})
        assert (RESOURCE, "*") == (metadata.json()["resource"], metadata.headers["access-control-allow-origin"])
        assert (200, metadata.headers["content-length"], b"") == (
            head.status_code,
            head.headers["content-length"],
            head.content,
        )
        assert (304, metadata.headers["etag"], b"") == (known.status_code, known.headers["etag"], known.content)
        refused = await client.post(METADATA, content=b"x" * 1000)
        assert (405, "GET, HEAD, OPTIONS", b"") == (refused.status_code, refused.headers["allow"], refused.content)
        assert "None" not in refused.headers.values()
        preflight = await client.options(METADATA)
        assert (204, "*") == (preflight.status_code, preflight.headers["access-control-allow-headers"])
        assert KEY.kid == (await client.get(KEYS)).json()["keys"][0]["kid"]

        form = {"grant_type": "refresh_token", "refresh_token": pair.refresh_token}
        fresh = (await client.post("/auth/refresh", data=form)).json()
        with_token = {"authorization": f"Bearer {fresh['access_token']}"}
        assert 1 == len((await client.get("/auth/sessions", headers=with_token)).json()["sessions"])
        assert 'Bearer realm="api"' == (await client.get("/auth/sessions")).headers["www-authenticate"]
        assert 200 == (await client.post("/auth/logout", data={"token": fresh["refresh_token"]})).status_code

        for path in ("/mcp", "/auth/login", "/auth", f"{METADATA}/more"):
            answer = await client.get(path)
            challenge = f'Bearer realm="api", scope="mcp", resource_metadata="https://api.example.com{METADATA}"'
            assert (path, 401, challenge) == (path, answer.status_code, answer.headers["www-authenticate"])
        revoked = await client.get("/mcp", headers=with_token)
        assert (401, True) == (revoked.status_code, METADATA in revoked.headers["www-authenticate"])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_resource_of_a_mount() -> None:
    """What is mounted is guarded by its own middleware, and its metadata is served at the root of the host."""
    config = JWTConfig(signing_key=KEY, audience=RESOURCE)
    resource = ProtectedResource(resource=RESOURCE, authorization_servers=["https://login.example.com"])
    guarded = JWTMiddleware(Starlette(), config, protected_resource=resource)
    app = Starlette(routes=[Route(resource.path, resource), Mount("/mcp", guarded)])
    async with asgi_site(app) as site:
        assert RESOURCE == (await site.client.get(METADATA)).json()["resource"]
        assert f'"{resource.url}"' in (await site.client.get("/mcp/")).headers["www-authenticate"]


@pytest.mark.parametrize(
    "option",
    [
        {"protected_resource": ProtectedResource(resource=RESOURCE, authorization_servers=())},
        {"endpoints": {KEYS: JWKSEndpoint([KEY])}},
    ],
    ids=lambda option: next(iter(option)),
)
def test_a_blueprint_has_none(option: dict[str, Any]) -> None:
    """Sanic runs the guard of a blueprint for its routes alone, so that nothing else could be answered."""
    config = JWTConfig(signing_key=KEY, audience=RESOURCE)
    with pytest.raises(SettingError, match="give endpoints and protected_resource to install"):
        for_sanic.install(Blueprint("part"), config, **option)
