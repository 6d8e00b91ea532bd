"""Build the other guards, each around the same handler in its own framework, as its documentation shows.

They check what ours checks as far as they can be told to: signature, expiry, issuer and audience. `fastapi-jwt` has no
setting for the last two.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, FastAPI, Security
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser, requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from .apps import ANSWER
from .asgi import PATH
from .libraries import oct_jwk
from .material import AUDIENCE, ISSUER, LEEWAY, REQUIRED, Material

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import HTTPConnection, Request

    from .asgi import ASGIApp

SUBJECT: Final = "subject"
"""Where fastapi-jwt wants the claims of the application; the others are told so."""


def _pyjwt_reader(material: Material) -> Callable[[str], dict[str, Any]]:
    """The call of PyJWT that a careful application would write, with a key that it need not prepare each time."""
    jwt = import_module("jwt")
    key, options = jwt.PyJWK.from_dict(oct_jwk(material)), {"require": list(REQUIRED)}
    return lambda raw: jwt.decode(
        raw, key, [material.algorithm], options=options, audience=AUDIENCE, issuer=ISSUER, leeway=LEEWAY
    )


def starlette_pyjwt(material: Material) -> ASGIApp:
    """Starlette's AuthenticationMiddleware over PyJWT, and `@requires`."""
    read, refused = _pyjwt_reader(material), import_module("jwt").InvalidTokenError

    class Backend(AuthenticationBackend):
        async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser] | None:
            scheme, _, raw = conn.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                return None
            try:
                claims = read(raw)
            except refused as error:
                raise AuthenticationError("Invalid token") from error
            conn.scope["claims"] = claims
            return AuthCredentials(["authenticated"]), SimpleUser(claims["sub"])

    @requires("authenticated", status_code=401)
    async def handler(request: Request) -> JSONResponse:
        request.user.display_name  # noqa: B018 -- a handler looks at its user
        return JSONResponse(ANSWER)

    def refuse(_: HTTPConnection, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 401, {"WWW-Authenticate": "Bearer"})

    middleware = [Middleware(AuthenticationMiddleware, backend=Backend(), on_error=refuse)]
    return Starlette(routes=[Route(PATH, handler)], middleware=middleware)


def mcp_bearer(material: Material) -> ASGIApp:
    """The bearer backend of the MCP SDK with the middlewares that its own applications use, over PyJWT."""
    bearer = import_module("mcp.server.auth.middleware.bearer_auth")
    context = import_module("mcp.server.auth.middleware.auth_context")
    access_token = import_module("mcp.server.auth.provider").AccessToken
    read, refused = _pyjwt_reader(material), import_module("jwt").InvalidTokenError

    class Verifier:
        async def verify_token(self, token: str) -> Any:
            try:
                claims = read(token)
            except refused:
                return None
            return access_token(
                token=token, client_id=claims["sub"], scopes=[], expires_at=claims["exp"], claims=claims
            )

    async def handler(request: Request) -> JSONResponse:
        request.user.display_name  # noqa: B018 -- as above
        return JSONResponse(ANSWER)

    middleware = [
        Middleware(AuthenticationMiddleware, backend=bearer.BearerAuthBackend(Verifier())),
        Middleware(context.AuthContextMiddleware),
        Middleware(bearer.RequireAuthMiddleware, required_scopes=[]),
    ]
    return Starlette(routes=[Route(PATH, handler)], middleware=middleware)


def authx(material: Material) -> ASGIApp:
    """The package authx with its dependency `access_token_required`."""
    package = import_module("authx")
    auth = package.AuthX(
        config=package.AuthXConfig(
            JWT_ALGORITHM=material.algorithm,
            JWT_SECRET_KEY=material.private.decode(),
            JWT_TOKEN_LOCATION=["headers"],
            JWT_DECODE_AUDIENCE=AUDIENCE,
            JWT_DECODE_ISSUER=ISSUER,
        )
    )
    app = FastAPI()
    auth.handle_errors(app)

    async def handler(payload: Any = Depends(auth.access_token_required)) -> dict[str, str]:  # noqa: B008 -- how FastAPI declares dependencies
        payload.sub  # noqa: B018 -- as above
        return ANSWER

    app.get(PATH)(handler)
    return app


def fastapi_jwt(material: Material) -> ASGIApp:
    """The package fastapi-jwt with its dependency `JwtAccessBearer`."""
    # Its preferred backend, authlib.jose, has its own warning shown in spite of the filters.
    with warnings.catch_warnings(record=True):
        package = import_module("fastapi_jwt")
    bearer = package.JwtAccessBearer(secret_key=material.private.decode(), algorithm=material.algorithm)
    app = FastAPI()

    async def handler(credentials: Any = Security(bearer)) -> dict[str, str]:  # noqa: B008 -- how FastAPI declares dependencies
        credentials.subject  # noqa: B018 -- as above
        return ANSWER

    app.get(PATH)(handler)
    return app


def litestar_jwt(material: Material) -> ASGIApp:
    """`JWTAuth` of Litestar."""
    litestar, security = import_module("litestar"), import_module("litestar.security.jwt")

    async def find_user(token: Any, _: Any) -> Any:
        return token.sub

    async def handler(request: Any) -> dict[str, str]:
        request.user  # noqa: B018 -- as above
        return ANSWER

    # Litestar reads the annotations of its handlers when they are registered.
    handler.__annotations__["request"] = litestar.Request
    auth = security.JWTAuth(
        retrieve_user_handler=find_user,
        token_secret=material.private.decode(),
        algorithm=material.algorithm,
        accepted_audiences=[AUDIENCE],
        accepted_issuers=[ISSUER],
        require_claims=list(REQUIRED),
    )
    return litestar.Litestar([litestar.get(PATH)(handler)], on_app_init=[auth.on_app_init], logging_config=None)


def quart_jwt_extended(material: Material) -> ASGIApp:
    """The package quart-jwt-extended with `jwt_required`."""
    package = import_module("quart_jwt_extended")
    app = import_module("quart").Quart("guarded")
    app.config.update(
        JWT_SECRET_KEY=material.private.decode(),
        JWT_ALGORITHM=material.algorithm,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_IDENTITY_CLAIM="sub",
        JWT_USER_CLAIMS=SUBJECT,
    )
    package.JWTManager(app)

    async def handler() -> dict[str, str]:
        package.get_jwt_identity()
        return ANSWER

    app.get(PATH)(package.jwt_required(handler))
    return app
