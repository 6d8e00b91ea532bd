"""The demo's applications: the same login and the same protected handler, three times.

A login knows one user, test with the password test. What it puts into the token, `protected` gives back.
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
from asgi_jwt_claims import JWTConfig, Token, create_token_pair

__all__ = ["USER_CLAIMS", "fastapi_app", "sanic_app", "starlette_app"]

USER_CLAIMS = {"VERI TAS": "LUX MEA"}

_NO_STORE = {"Cache-Control": "no-store"}  # RFC 6749 section 5.1
_OPEN = ("/login",)
_WRONG = {"error": "Bad username or password"}


def _log_in(credentials: Any, config: JWTConfig) -> tuple[int, dict[str, Any]]:
    if credentials != {"username": "test", "password": "test"}:
        return 403, _WRONG
    return 200, dict(create_token_pair("test", config, user_claims=USER_CLAIMS, fresh=True))


def sanic_app(config: JWTConfig) -> sanic.Sanic[Any, Any]:
    """The demo in Sanic, for its own server and for any ASGI server."""
    # Sanic keeps its applications by name, and there may be several of this one.
    app: sanic.Sanic[Any, Any] = sanic.Sanic(f"demo-{secrets.token_hex(8)}", configure_logging=False)
    app.config.TOUCHUP = False  # which rewrites Sanic's own classes, and cannot do so for two servers in one process
    asgi_jwt_claims.sanic.install(app, config, exempt=_OPEN)

    @app.post("/login")
    async def login(request: sanic.Request) -> sanic.HTTPResponse:
        status, body = _log_in(request.json, config)
        return sanic_json(body, status, _NO_STORE)

    @app.get("/protected")
    @asgi_jwt_claims.sanic.jwt_required
    async def protected(request: sanic.Request, token: Token) -> sanic.HTTPResponse:  # noqa: ARG001 -- the handler that the three have in common
        return sanic_json({"data": token.user_claims})

    return app


def starlette_app(config: JWTConfig) -> Starlette:
    """The demo in Starlette."""

    async def login(request: Request) -> JSONResponse:
        try:
            credentials = await request.json()
        except ValueError:
            return JSONResponse({"error": "Send JSON"}, 400)
        status, body = _log_in(credentials, config)
        return JSONResponse(body, status, _NO_STORE)

    @asgi_jwt_claims.starlette.jwt_required
    async def protected(request: Request, token: Token) -> JSONResponse:  # noqa: ARG001 -- the handler that the three have in common
        return JSONResponse({"data": token.user_claims})

    app = Starlette(routes=[Route("/login", login, methods=["POST"]), Route("/protected", protected)])
    asgi_jwt_claims.starlette.install(app, config, exempt=_OPEN)
    return app


def fastapi_app(config: JWTConfig) -> FastAPI:
    """The demo in FastAPI."""
    app = FastAPI(title="asgi-jwt-claims demo")
    asgi_jwt_claims.fastapi.install(app, config, exempt=_OPEN)

    @app.post("/login")
    async def login(credentials: Annotated[Any, Body()]) -> FastAPIJSONResponse:
        status, body = _log_in(credentials, config)
        return FastAPIJSONResponse(body, status, _NO_STORE)

    @app.get("/protected")
    @asgi_jwt_claims.fastapi.jwt_required
    async def protected(request: Request, token: Token) -> dict[str, Any]:  # noqa: ARG001 -- the handler that the three have in common
        return {"data": token.user_claims}

    return app
