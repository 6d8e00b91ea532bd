"""The demo's applications: the same login and the same protected handler in three frameworks.

The login accepts one user, test with the password test. `protected` returns the user claims that the login granted.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import sanic
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse as FastAPIJSONResponse
from sanic.response import json as sanic_json
from starlette.applications import Starlette
from starlette.requests import Request  # noqa: TC002 -- FastAPI evaluates the annotations of its handlers
from starlette.responses import JSONResponse
from starlette.routing import Route

import asgi_jwt_claims.fastapi
import asgi_jwt_claims.sanic
import asgi_jwt_claims.starlette
from asgi_jwt_claims import JWTConfig, Token
from asgi_jwt_claims.sessions import start_session
from asgi_jwt_claims.stores import MemoryStore

__all__ = ["USER_CLAIMS", "fastapi_app", "sanic_app", "starlette_app"]

USER_CLAIMS = {"VERI TAS": "LUX MEA"}

_NO_STORE = {"Cache-Control": "no-store"}  # RFC 6749 section 5.1
_OPEN = ("/login",)


async def _log_in(credentials: Any, config: JWTConfig, store: MemoryStore) -> tuple[int, dict[str, Any]]:
    if credentials != {"username": "test", "password": "test"}:
        return 403, {"error": "Bad username or password"}
    return 200, dict(await start_session("test", config, store, user_claims=USER_CLAIMS))


def sanic_app(config: JWTConfig) -> sanic.Sanic[Any, Any]:
    """The demo in Sanic, for its own server and for any ASGI server."""
    store = MemoryStore()
    # Sanic requires unique names, and there may be several of this application.
    app: sanic.Sanic[Any, Any] = sanic.Sanic(f"demo-{secrets.token_hex(8)}", configure_logging=False)
    app.config.TOUCHUP = False  # it rewrites Sanic's own classes, which fails for two servers in one process
    asgi_jwt_claims.sanic.install(app, config, store=store, exempt=_OPEN)

    @app.post("/login")
    async def login(request: sanic.Request) -> sanic.HTTPResponse:
        status, body = await _log_in(request.json, config, store)
        return sanic_json(body, status, _NO_STORE)

    @app.get("/protected")
    @asgi_jwt_claims.sanic.jwt_required
    async def protected(request: sanic.Request, token: Token) -> sanic.HTTPResponse:  # noqa: ARG001 -- the handler as in the other frameworks
        return sanic_json({"data": token.user_claims})

    return app


def starlette_app(config: JWTConfig) -> Starlette:
    """The demo in Starlette."""
    store = MemoryStore()

    async def login(request: Request) -> JSONResponse:
        try:
            credentials = await request.json()
        except ValueError:
            return JSONResponse({"error": "Send JSON"}, 400)
        status, body = await _log_in(credentials, config, store)
        return JSONResponse(body, status, _NO_STORE)

    @asgi_jwt_claims.starlette.jwt_required
    async def protected(request: Request, token: Token) -> JSONResponse:  # noqa: ARG001 -- the handler as in the other frameworks
        return JSONResponse({"data": token.user_claims})

    app = Starlette(routes=[Route("/login", login, methods=["POST"]), Route("/protected", protected)])
    asgi_jwt_claims.starlette.install(app, config, store=store, exempt=_OPEN)
    return app


def fastapi_app(config: JWTConfig) -> FastAPI:
    """The demo in FastAPI."""
    app, store = FastAPI(title="asgi-jwt-claims demo"), MemoryStore()
    asgi_jwt_claims.fastapi.install(app, config, store=store, exempt=_OPEN)

    @app.post("/login")
    async def login(credentials: Annotated[Any, Body()]) -> FastAPIJSONResponse:
        status, body = await _log_in(credentials, config, store)
        return FastAPIJSONResponse(body, status, _NO_STORE)

    @app.get("/protected")
    @asgi_jwt_claims.fastapi.jwt_required
    async def protected(request: Request, token: Token) -> dict[str, Any]:  # noqa: ARG001 -- the handler as in the other frameworks
        return {"data": token.user_claims}

    return app
