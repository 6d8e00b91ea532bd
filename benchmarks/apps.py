"""Build one application in each framework: bare, and guarded by this library.

Both answer the same JSON. The guarded one also receives the token, and looks at it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from sanic import Request as SanicRequest
from sanic import Sanic
from sanic.response import HTTPResponse
from sanic.response import json as sanic_json
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Token
from asgi_jwt_claims import fastapi as our_fastapi
from asgi_jwt_claims import sanic as our_sanic
from asgi_jwt_claims import starlette as our_starlette

from .asgi import PATH

if TYPE_CHECKING:
    from starlette.requests import Request

    from .asgi import ASGIApp

ANSWER = {"answer": "LUX MEA"}
_BODY = json.dumps(ANSWER).encode()
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]
_NUMBERS = itertools.count(1)


# Raw ASGI -------------------------------------------------------------------------------------------------------------


async def raw_bare(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: ARG001 -- what ASGI passes
    """The least application there is."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


async def _raw_handler(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    scope["token"].identity  # noqa: B018 -- a handler looks at its token
    await raw_bare(scope, receive, send)


def raw_guarded(config: JWTConfig) -> ASGIApp:
    """The same inside the middleware."""
    return JWTMiddleware(_raw_handler, config)


# Starlette ------------------------------------------------------------------------------------------------------------


async def _starlette_handler(_: Request) -> JSONResponse:
    return JSONResponse(ANSWER)


def starlette_bare() -> Starlette:
    """Starlette with one route."""
    return Starlette(routes=[Route(PATH, _starlette_handler)])


def starlette_wrapped(config: JWTConfig) -> ASGIApp:
    """The same with the middleware around it, which is all that a handler for access tokens needs."""

    async def handler(request: Request) -> JSONResponse:
        our_starlette.get_token(request).identity  # noqa: B018 -- as above
        return JSONResponse(ANSWER)

    return JWTMiddleware(Starlette(routes=[Route(PATH, handler)]), config)


def starlette_guarded(config: JWTConfig, guards: int = 1, **options: Any) -> Starlette:
    """The same with the middleware, by these options, and a guard around the handler; or several, one inside the other."""

    async def handler(_: Request, token: Token) -> JSONResponse:
        token.identity  # noqa: B018 -- as above
        return JSONResponse(ANSWER)

    guarded: Any = handler
    for _ in range(guards):
        guarded = our_starlette.jwt_required(guarded)
    app = Starlette(routes=[Route(PATH, guarded)])
    our_starlette.install(app, config, **options)
    return app


# FastAPI --------------------------------------------------------------------------------------------------------------


def fastapi_bare() -> FastAPI:
    """FastAPI with one route."""
    app = FastAPI()

    @app.get(PATH)
    async def handler() -> dict[str, str]:
        return ANSWER

    return app


def fastapi_guarded(config: JWTConfig) -> FastAPI:
    """The same with the middleware and `CurrentToken`."""
    app = FastAPI()
    our_fastapi.install(app, config)
    _add_route(app, our_fastapi.JWTBearer())
    return app


def fastapi_dependency(config: JWTConfig) -> FastAPI:
    """The same with the dependency alone."""
    app = FastAPI()
    _add_route(app, our_fastapi.JWTBearer(config))
    return app


def _add_route(app: FastAPI, bearer: our_fastapi.JWTBearer) -> None:
    async def handler(token: Any = Depends(bearer)) -> dict[str, str]:  # noqa: B008 -- how FastAPI declares dependencies
        token.identity  # noqa: B018 -- as above
        return ANSWER

    app.get(PATH)(handler)


# Sanic, in ASGI mode --------------------------------------------------------------------------------------------------


def sanic_bare() -> Sanic:
    """Sanic with one route."""
    app = _new_sanic()

    @app.get(PATH)
    async def handler(_: SanicRequest) -> HTTPResponse:
        return sanic_json(ANSWER)

    return app


def sanic_guarded(config: JWTConfig) -> Sanic:
    """The same with `install` and a guard."""
    app = _new_sanic()
    our_sanic.install(app, config)

    @app.get(PATH)
    @our_sanic.jwt_required
    async def handler(_: SanicRequest, token: Token) -> HTTPResponse:
        token.identity  # noqa: B018 -- as above
        return sanic_json(ANSWER)

    return app


def _new_sanic() -> Sanic:
    # Sanic keeps all applications of a process by their names.
    app = Sanic(f"benchmark-{next(_NUMBERS)}", configure_logging=False)
    # Its rewriting of its own source works for one application in a process, and here are two.
    app.config.TOUCHUP = False
    return app


# Litestar and Quart, bare: their guarded ones are among the peers ------------------------------------------------------


def litestar_bare() -> ASGIApp:
    """Litestar with one route."""
    litestar = import_module("litestar")

    async def handler() -> dict[str, str]:
        return ANSWER

    # By default it would set up the logging of the whole process.
    return litestar.Litestar([litestar.get(PATH)(handler)], logging_config=None)


def quart_bare() -> ASGIApp:
    """Quart with one route."""
    app = import_module("quart").Quart("bare")

    async def handler() -> dict[str, str]:
        return ANSWER

    app.get(PATH)(handler)
    return app
