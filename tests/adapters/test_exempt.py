"""One list of exempt paths means the same wherever an application is put: alone, mounted, behind a proxy, below a prefix."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from asgi_jwt_claims import JWTConfig, JWTMiddleware
from asgi_jwt_claims.fastapi import install
from asgi_jwt_claims.starlette import install as install_in_starlette
from tests.raw_asgi import App, Receive, Scope, Send, ask
from tests.support import for_each

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


EXEMPT = ("/login", "/docs/*", "GET /items")


async def opened(request: Request) -> Response:
    """The handlers that everyone may reach."""
    return PlainTextResponse("opened")


async def guarded(request: Request) -> Response:
    """Those that need a token."""
    return PlainTextResponse("guarded")


def routes() -> list[Route]:
    """What the application answers."""
    return [
        *(Route(path, opened) for path in ("/login", "/docs/{name}", "/items")),
        *(Route(path, guarded) for path in ("/", "/secret", "/secret/login", "/admin", "/a/secret")),
        Route("/items", guarded, methods=["POST"]),
    ]


def starlette(config: JWTConfig) -> Starlette:
    app = Starlette(routes=routes())
    install_in_starlette(app, config, exempt=EXEMPT)
    return app


def fastapi(config: JWTConfig, **options: Any) -> FastAPI:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions advise against `root_path`, and obey it
        app = FastAPI(routes=routes(), **options)  # type: ignore[arg-type]  # routes of Starlette will do
    install(app, config, exempt=EXEMPT)
    return app


def prefixed(app: App, prefix: str) -> App:
    """As uvicorn calls an application with `--root-path`."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        path, raw_path = prefix + scope["path"], prefix.encode() + scope["raw_path"]
        await app({**scope, "path": path, "raw_path": raw_path, "root_path": prefix}, receive, send)

    return call


def unprefixed(app: App, prefix: str) -> App:
    """As hypercorn and granian do."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": prefix}, receive, send)

    return call


def wrapped(config: JWTConfig) -> App:
    return JWTMiddleware(Starlette(routes=routes()), config, exempt=EXEMPT)


def mounted(path: str, app: App) -> Starlette:
    return Starlette(routes=[Mount(path, app)])


# The application in each of its places, and what a client writes before its paths there.
PLACES: dict[str, tuple[Callable[[JWTConfig], App], str]] = {
    "starlette": (starlette, ""),
    "fastapi": (fastapi, ""),
    "wrapped": (wrapped, ""),
    "mounted": (lambda config: mounted("/sub", starlette(config)), "/sub"),
    "mounted twice": (lambda config: mounted("/a", mounted("/b", fastapi(config))), "/a/b"),
    "wrapped and mounted": (lambda config: mounted("/sub", wrapped(config)), "/sub"),
    "uvicorn": (lambda config: prefixed(starlette(config), "/api"), ""),
    "uvicorn, mounted": (lambda config: prefixed(mounted("/sub", starlette(config)), "/api"), "/sub"),
    "hypercorn": (lambda config: unprefixed(starlette(config), "/api"), ""),
    "hypercorn, asked with the prefix": (lambda config: unprefixed(starlette(config), "/api"), "/api"),
    "root_path": (lambda config: fastapi(config, root_path="/api"), ""),
    "root_path, asked with the prefix": (lambda config: fastapi(config, root_path="/api"), "/api"),
}


@pytest.mark.parametrize("place", PLACES)
async def test_exempt_is_the_same_everywhere(config: JWTConfig, place: str) -> None:
    """What is exempt opens and reaches its handler, and nothing else does."""  # S123
    build, before = PLACES[place]
    app = build(config)
    exempt = {("GET", "/login"), ("GET", "/docs/a"), ("GET", "/items"), ("HEAD", "/items"), ("HEAD", "/login")}
    closed = {("GET", "/"), ("GET", "/secret"), ("GET", "/admin"), ("GET", "/secret/login"), ("POST", "/items")}
    found = {}
    for method, path in exempt | closed:
        found[method, path] = (await ask(app, before + path, method=method)).status
    assert dict.fromkeys(exempt, 200) | dict.fromkeys(closed, 401) == found


@for_each("root_path", ["/docs", "/docs/a", "/login", "/secret", "/docs/a/../..", "/docs/", "/", "/sec"])
@for_each("path", ["/docs/admin", "/docs/secret", "/docs/a/secret", "/login/secret", "/secret/secret", "/secret"])
async def test_no_root_path_opens_a_guarded_route(config: JWTConfig, path: str, root_path: str) -> None:
    """Whatever sets the root path, and if it is a header of the request, the router and the rules see one path."""  # S14
    for app in (starlette(config), fastapi(config)):
        assert b"guarded" != (await ask(unprefixed(app, root_path), path)).body


async def test_the_pages_of_the_documentation(config: JWTConfig) -> None:
    """The list of the how-to page opens all of FastAPI's own pages."""
    app = FastAPI()
    install(app, config, exempt=["/login", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"])
    for path in ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"):
        assert (path, 200) == (path, (await ask(app, path)).status)
