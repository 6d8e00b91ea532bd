"""Applications whose types are not Starlette's: the middleware takes them, and they take the middleware."""

from __future__ import annotations

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key
from asgi_jwt_claims.jwks import JWKSEndpoint
from asgi_jwt_claims.oauth import AuthorizationServer, ProtectedResource
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

tokens, keys = TokenEndpoints(config, MemoryStore()), JWKSEndpoint([Key.generate("ES256")])
resource = ProtectedResource(
    resource="https://api.example.com", authorization_servers=["https://login.example.com"], resource_name="API"
)
server = AuthorizationServer(config, token_endpoints="https://login.example.com/auth", jwks_uri=None)

for endpoint in (tokens, keys, resource, server):
    of_asgiref(endpoint)
    of_starlette(endpoint)

JWTMiddleware(function, config, protected_resource=resource, endpoints={"/auth": tokens, server.path: server})
JWTMiddleware(function, config, endpoints={"/keys": keys})
JWTMiddleware(function, config, endpoints={"/other": function})  # type: ignore[dict-item]  # which nothing would guard

JWTMiddleware(config, function)  # type: ignore[arg-type]  # the other way round
JWTMiddleware("app", config)  # type: ignore[arg-type]

Starlette(middleware=[Middleware(JWTMiddleware, config=config, exempt=["/login"])])
Starlette().add_middleware(JWTMiddleware, config=config, required=False)
Starlette().add_middleware(JWTMiddleware, config)
