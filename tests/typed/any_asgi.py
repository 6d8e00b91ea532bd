"""Applications whose types are not Starlette's: the middleware takes them, and they take the middleware."""

from __future__ import annotations

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key
from asgi_jwt_claims.jwks import JWKSEndpoint
from asgi_jwt_claims.sessions import TokenEndpoints
from asgi_jwt_claims.stores import MemoryStore

config = JWTConfig(secret_key="x1" * 16)


async def function(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """An application as the ASGI specification's own types write it."""


class Framework:
    """An application that is an object, as those of Litestar are, or that has one as a method, as Quart's have."""

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """ErrorResponse."""

    async def asgi_app(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """ErrorResponse."""


def of_asgiref(app: ASGI3Application) -> ASGI3Application:
    """What servers and frameworks with these types take."""
    return app


def of_starlette(app: ASGIApp) -> ASGIApp:
    """What Starlette takes."""
    return app


for guarded in (
    JWTMiddleware(function, config),
    JWTMiddleware(Framework(), config),
    JWTMiddleware(Framework().asgi_app, [config], required=False),
    JWTMiddleware(JWTMiddleware(Starlette(), config), config),
):
    of_asgiref(guarded)
    of_starlette(guarded)

for endpoint in (TokenEndpoints(config, MemoryStore()), JWKSEndpoint([Key.generate("ES256")])):
    of_asgiref(endpoint)
    of_starlette(endpoint)

JWTMiddleware(config, function)  # type: ignore[arg-type]  # the other way round
JWTMiddleware("app", config)  # type: ignore[arg-type]

Starlette(middleware=[Middleware(JWTMiddleware, config=config, exempt=["/login"])])
Starlette().add_middleware(JWTMiddleware, config=config, required=False)
Starlette().add_middleware(JWTMiddleware, config)
