"""What type checkers know of guarded handlers: they stay what they are."""

from __future__ import annotations

from typing import Annotated, Any, assert_type

import litestar
import sanic
from fastapi import Depends, FastAPI, Security
from litestar.di import NamedDependency
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.provider import TokenVerifier as SDKTokenVerifier
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Token,
    TokenPair,
    set_token_cookies,
    unset_token_cookies,
)
from asgi_jwt_claims import fastapi as on_fastapi
from asgi_jwt_claims import litestar as on_litestar
from asgi_jwt_claims import mcp as on_mcp
from asgi_jwt_claims import sanic as on_sanic
from asgi_jwt_claims import starlette as on_starlette
from asgi_jwt_claims.access import Fresh, Roles
from asgi_jwt_claims.errors import ForbiddenError, MissingScopeError
from asgi_jwt_claims.fastapi import (
    CurrentToken,
    JWTBearer,
    OptionalToken,
    describe_guards,
    get_token,
)
from asgi_jwt_claims.sessions import csrf_token

config = JWTConfig(secret_key="s" * 32)


@on_starlette.jwt_required
async def bare(request: Request, token: Token) -> Response:
    """Used bare."""
    return JSONResponse(token.user_claims)


@on_starlette.jwt_required(optional=True, allow="admin", scopes=["a", "b"], require=Roles("c") | Fresh())
def called(request: Request, token: Token | None) -> Response:
    """Used called."""
    return JSONResponse(None if token is None else token.user_claims)


on_starlette.install(Starlette(routes=[Route("/", bare), Route("/called", called)]), config, exempt=("/login",))
application = FastAPI()
on_fastapi.install(application, config, required=False, realm="here")


@application.get("/")
async def current(token: CurrentToken) -> dict[str, Any]:
    """The alias is the token itself."""
    assert_type(token, Token)
    return token.user_claims


@application.get("/maybe")
async def maybe(token: OptionalToken) -> bool:
    """The alias of the optional token may be None."""
    assert_type(token, Token | None)
    return token is not None


@application.get("/guarded")
@on_fastapi.jwt_required(fresh=True)
async def guarded(token: Token) -> dict[str, Any]:
    """A guard leaves the handler's type alone."""
    return token.user_claims


server = sanic.Sanic("typed")
on_sanic.install(server, config)
on_sanic.install(sanic.Blueprint("part"), config, exempt=["/part/login"])


@server.get("/")
@on_sanic.jwt_required(type="refresh")
async def on_server(request: sanic.Request, token: Token) -> sanic.HTTPResponse:
    """Sanic's handlers too."""
    return sanic.json(token.user_claims)


@on_starlette.jwt_required(sources=[Cookie(), BearerHeader()], end_with_token=False)
async def in_a_browser(request: Request, token: Token) -> Response:
    """Where the token may come from is a rule like others, and cookies are set on any response."""
    response = JSONResponse({"csrf": csrf_token(request, config)})
    set_token_cookies(response, TokenPair("...", "..."), config)
    return response


on_starlette.install(Starlette(routes=[Route("/", in_a_browser)]), config, sources=[Cookie()], close_code=3001)


@application.get("/by-cookie")
async def by_cookie(
    token: Annotated[Token, Security(JWTBearer(config, sources=[Cookie()], end_with_token=False))],
) -> dict[str, Any]:
    """A dependency has the same rules."""
    return token.user_claims


@server.post("/logout")
@on_sanic.jwt_required(sources=[Cookie()])
async def log_out(request: sanic.Request, token: Token) -> sanic.HTTPResponse:
    """Sanic's responses too."""
    response = sanic.json({})
    unset_token_cookies(response, config)
    return response


@application.get("/depends")
async def depends(request: Request, token: Annotated[Token, Depends(get_token)]) -> dict[str, Any]:
    """`get_token` is a dependency in FastAPI, and a function of a request as everywhere."""
    assert_type(get_token(request), Token)
    assert_type(get_token(request, optional=True), Token | None)
    return token.user_claims


@application.post("/login")
async def log_in() -> TokenPair:
    """A pair is what a login returns."""
    return TokenPair("...", "...")


@application.get("/form")
async def with_a_form(token: Annotated[Token, Security(JWTBearer(token_url="login", scheme_name="Users"))]) -> str:
    """A guard may name the login, and an application refuses with a reason."""
    if token.identity == "alice":
        raise MissingScopeError("not here", scope="there")
    raise ForbiddenError("not the owner", identity=token.identity)


describe_guards(application)
describe_guards(application, sources=[Cookie(), BearerHeader()])
group = Mount("/group", routes=[Route("/", bare)], middleware=[Middleware(JWTMiddleware, config=config)])
guarded_by_name = JWTMiddleware(app=group, config=config, exempt=["/login"])
assert_type(guarded_by_name, JWTMiddleware)


@litestar.get("/", guards=[on_litestar.JWTGuard(scopes="a")])
async def told(token: on_litestar.CurrentToken) -> dict[str, Any]:
    """The alias is the token itself."""
    assert_type(token, Token)
    return token.user_claims


@litestar.get("/maybe", dependencies={"token": on_litestar.provide_token(optional=True)})
async def told_or_not(token: NamedDependency[Token | None]) -> None:
    """A dependency may have no token."""


wrapped = JWTMiddleware(
    litestar.Litestar([told, told_or_not], plugins=[on_litestar.JWTPlugin([BearerHeader()])]), config
)
notes = MCPServer("notes")


@notes.tool()
def write_note(text: str) -> str:
    """A tool that asks for a scope."""
    assert_type(on_mcp.require(scopes="notes:write"), Token)
    return text


guarded_notes = on_mcp.MCPMiddleware(notes.streamable_http_app(), config, exempt=("/health",), required=False)
on_mcp.MCPMiddleware(guarded_notes, config)
Starlette(middleware=[Middleware(on_mcp.MCPMiddleware, config=config)])
verifier: SDKTokenVerifier = on_mcp.TokenVerifier([config])


async def verify(raw: str) -> None:
    """The SDK's own class comes back."""
    assert_type(await verifier.verify_token(raw), AccessToken | None)
