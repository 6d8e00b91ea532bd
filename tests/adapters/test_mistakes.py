"""Mistakes that are told where they are made, with what to write instead."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Optional

import pytest

pytest.importorskip("fastapi")

import pydantic
from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Security
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from asgi_jwt_claims import (
    BearerHeader,
    JWTConfig,
    JWTMiddleware,
    Token,
    TokenPair,
    create_access_token,
    require,
    verify_token,
)
from asgi_jwt_claims import fastapi as on_fastapi
from asgi_jwt_claims import get_token as core_get_token
from asgi_jwt_claims import starlette as on_starlette
from asgi_jwt_claims.auth.options import GuardOptions, MiddlewareOptions, takes_options
from asgi_jwt_claims.errors import ForbiddenError, NotGuardedError, SettingError
from asgi_jwt_claims.fastapi import CurrentToken, JWTBearer, OptionalToken, jwt_required
from tests.raw_asgi import ask, bearer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


NAMES: dict[str, Any] = {one.__name__: one for one in (Depends, Header, Path, Query, Security, JWTBearer, Token)} | {
    "Annotated": Annotated,
    "Any": Any,
    "Optional": Optional,
    "OptionalToken": OptionalToken,
}
"""What handlers that are made of text are written with."""

ADAPTERS: list[Any] = [(on_starlette, Starlette), (on_starlette, FastAPI), (on_fastapi, FastAPI)]


# install --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exclude": ["/login"]}, "install has no option 'exclude'; its options are .*close_code.* exempt"),
        ({"b": 1, "a": 2}, "install has no option 'a', 'b'"),
        ({"self": 1}, "install has no option 'self'"),
        ({"exempt": ["login"]}, "exempt: 'login' is not a path"),
        ({"exempt": "/login"}, "exempt must be a list"),
        ({"sources": ["cookie"]}, "sources must be"),
        ({"required": "yes"}, "required must be True or False"),
        ({"realm": 'a"b'}, "realm must be"),
        ({"store": "redis://"}, "store must be a TokenStore"),
        ({"close_code": 99}, "close_code must be"),
        ({"on_error": 1}, "on_error must be"),
    ],
)
@pytest.mark.parametrize(("adapter", "kind"), ADAPTERS)
def test_options_of_install(adapter: Any, kind: Any, options: Any, message: str, config: JWTConfig) -> None:
    """What `install` cannot do anything with is refused by `install`, and the application is as it was."""
    app = kind()
    with pytest.raises(SettingError, match=message) as raised:
        adapter.install(app, config, **options)
    assert "Gate" not in str(raised.value)
    assert [] == app.user_middleware


@pytest.mark.parametrize("config", [{"secret_key": "x"}, "secret", None, 7, [], JWTConfig])
@pytest.mark.parametrize(("adapter", "kind"), ADAPTERS)
def test_configurations_of_install(adapter: Any, kind: Any, config: Any) -> None:
    """So is what is no configuration; settings in a dict are told from several configurations."""
    with pytest.raises(SettingError, match=r"config (must be a JWTConfig|is empty)"):
        adapter.install(kind(), config)


@pytest.mark.parametrize(("adapter", "kind"), ADAPTERS)
async def test_options_that_can_be_read_once(adapter: Any, kind: Any, config: JWTConfig) -> None:
    """Options may be iterators, although they are looked at before the application is built."""
    app = kind()
    adapter.install(app, iter([config]), exempt=iter(["/open"]), sources=iter([BearerHeader()]))
    assert [404, 401] == [(await ask(app, path)).status for path in ("/open", "/closed")]


@pytest.mark.parametrize("app", [Router(), APIRouter(), None, PlainTextResponse(""), FastAPI])
@pytest.mark.parametrize("adapter", [on_starlette, on_fastapi])
def test_install_on_something_else(adapter: Any, app: Any, config: JWTConfig) -> None:
    """`install` is for applications; the error says how a group of routes is guarded."""
    with pytest.raises(SettingError, match=r"wants a \w+ application.*Middleware\(JWTMiddleware, config=config\)"):
        adapter.install(app, config)


def test_install_of_fastapi_on_a_starlette(config: JWTConfig) -> None:
    """A plain Starlette has no dependencies, so the adapter for Starlette is the one to take."""
    with pytest.raises(SettingError, match="wants a FastAPI application"):
        on_fastapi.install(Starlette(), config)  # type: ignore[arg-type]


@pytest.mark.parametrize(("adapter", "kind"), ADAPTERS)
async def test_install_after_the_start(adapter: Any, kind: Any, config: JWTConfig) -> None:
    """An application that has answered a request cannot be guarded any more."""
    app = kind()
    await ask(app)
    with pytest.raises(SettingError, match="before the application starts"):
        adapter.install(app, config)


@pytest.mark.parametrize("adapter", [on_starlette, on_fastapi])
def test_help(adapter: Any) -> None:
    """`help(install)` says what each option does."""
    text = adapter.install.__doc__
    for option in MiddlewareOptions.__annotations__:
        assert f"\n    {option}: " in text


def test_help_without_docstrings() -> None:
    """Where Python leaves docstrings out, there is nothing to put together."""
    for text, options in ((None, MiddlewareOptions), ("text", type("Options", (), {}))):

        def function(**_: Any) -> None: ...

        function.__doc__ = text
        assert text == takes_options(options)(function).__doc__


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (JWTMiddleware, MiddlewareOptions.__annotations__),
        (on_starlette.install, MiddlewareOptions.__annotations__),
        (on_fastapi.install, MiddlewareOptions.__annotations__),
        (on_starlette.jwt_required, GuardOptions.__annotations__),
        (on_fastapi.JWTBearer, GuardOptions.__annotations__),
    ],
)
def test_signatures(function: Any, names: dict[str, Any]) -> None:
    """`help` and editors show every option by name, with its default; its description is in the docstring."""
    parameters = inspect.signature(function).parameters
    assert set() == names.keys() - parameters.keys()
    for name in names:
        assert parameters[name].default is not inspect.Parameter.empty
        assert f"\n    {name}: " in function.__doc__


def test_a_positional_configuration(config: JWTConfig) -> None:
    """Frameworks that name the application give what is positional its place; the error says to name both."""
    with pytest.raises(SettingError, match=r"DefineMiddleware\(JWTMiddleware, config=config\)"):
        JWTMiddleware(config, app=Starlette())  # type: ignore[misc, arg-type]
    named: ASGIApp = JWTMiddleware(app=Starlette(), config=config)
    assert named


# Dependencies ---------------------------------------------------------------------------------------------------------


def registered(dependency: Any) -> None:
    async def handler(token: Any) -> None: ...

    handler.__annotations__["token"] = dependency
    FastAPI().get("/")(handler)


@pytest.mark.parametrize("depends", [Depends, Security])
@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        (JWTBearer, r"Depends\(JWTBearer\(\)\)"),
        (jwt_required, "token: CurrentToken"),
        (jwt_required(), "token: CurrentToken"),
        (jwt_required(fresh=True), "token: CurrentToken"),
        (on_starlette.jwt_required, "token: CurrentToken"),
        (core_get_token, "get_token of asgi_jwt_claims.fastapi"),
        (require, "token: CurrentToken"),
        (on_starlette.get_token, "get_token of asgi_jwt_claims.fastapi"),
    ],
)
def test_what_is_no_dependency(depends: Any, dependency: Any, message: str) -> None:
    """What looks like a dependency and is none is refused when the route is made, with the right one."""
    with pytest.raises(SettingError, match=message):
        registered(Annotated[Token, depends(dependency)])


@pytest.mark.parametrize("annotation", [Token, Token | None, Token[dict[str, Any]], list[Token], "Token"])
def test_a_token_without_a_guard(annotation: Any) -> None:
    """`token: Token` alone is refused when the route is made, and so is the guard of another adapter."""
    with pytest.raises(SettingError, match="write `token: CurrentToken`"):
        registered(annotation)

    @on_starlette.jwt_required
    async def handler(request: Request, token: Token) -> None: ...

    with pytest.raises(SettingError, match=r"jwt_required, both of asgi_jwt_claims\.fastapi"):
        FastAPI().get("/")(handler)


def test_a_token_as_response() -> None:
    """Nor is a token what a handler returns."""

    async def handler(token: CurrentToken) -> Token:
        raise AssertionError("called")

    with pytest.raises(SettingError, match=r"return token\.user_claims"):
        FastAPI().get("/")(handler)


def test_a_token_in_a_model(config: JWTConfig) -> None:
    """A model of pydantic may hold a token if it allows types that it does not know."""

    class Context(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        token: Token
        typed: Token[dict[str, Any]] | None = None

    token = verify_token(create_access_token("alice", config), config)
    assert token is Context(token=token).token
    with pytest.raises(pydantic.ValidationError):
        Context(token="alice")  # type: ignore[arg-type]


@pytest.mark.parametrize("required", [True, False])
async def test_get_token_as_a_dependency(config: JWTConfig, required: bool) -> None:
    """`Depends(get_token)` is `CurrentToken`: in the document, in its refusals, and on an exempt path."""
    app = FastAPI()
    on_fastapi.install(app, config, required=required, exempt=["/exempt"])

    @app.get("/exempt")
    @app.get("/")
    async def handler(request: Request, token: Annotated[Token, Depends(on_fastapi.get_token)]) -> Any:
        optional = on_fastapi.get_token(request, optional=True)
        return {"identity": token.identity, "same": token is on_fastapi.get_token(request) is optional}

    @app.get("/sync")
    def synchronous(token: Token = Depends(on_fastapi.get_token)) -> Any:  # noqa: B008, FAST002 -- as many write it
        return {"identity": token.identity, "same": True}

    for path in ("/", "/exempt", "/sync"):
        alice = await ask(app, path, bearer(create_access_token("alice", config)))
        assert {"identity": "alice", "same": True} == alice.json
        assert [401, 401] == [(await ask(app, path)).status, (await ask(app, path, bearer("a.b.c"))).status]
        operation = app.openapi()["paths"][path]["get"]
        assert (None, [{"JWTBearer": []}]) == (operation.get("parameters"), operation["security"])


async def test_a_pair_as_response(config: JWTConfig) -> None:
    """A handler may say that it returns a `TokenPair`; the document lists the members of RFC 6749 section 5.1."""
    app = FastAPI()
    pair = TokenPair("access", "refresh", expires_in=900)

    @app.post("/login")
    async def login() -> TokenPair:
        return pair

    @app.post("/dict", response_model=TokenPair)
    async def as_dict() -> Any:
        return dict(pair)

    @app.post("/maybe")
    async def maybe() -> TokenPair | None:
        return None

    for path in ("/login", "/dict"):
        assert dict(pair) == (await ask(app, path, method="POST")).json
    assert (await ask(app, "/maybe", method="POST")).json is None
    schema = app.openapi()["paths"]["/login"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert {"access_token", "token_type", "expires_in", "refresh_token", "scope"} == schema["properties"].keys()
    assert {"access_token", "token_type", "refresh_token"} == set(schema["required"])
    adapter = pydantic.TypeAdapter(TokenPair)
    assert adapter.json_schema()["properties"] == adapter.json_schema(mode="serialization")["properties"]
    assert pair is adapter.validate_python(pair)


# The parameter called token -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameter",
    [
        "token: str",
        "token: 'str'",
        "token: int = 7",
        "token: str | None = None",
        "token: Token | str",
        "token: list[str]",
        "token = 'none'",
        "token=Query()",
        "token: Token = Header(None)",
        "token: Annotated[str, Query()]",
        "token: Annotated[Any, Header()]",
        "token: Annotated[str, Path()]",
        "token: 'Nowhere'",
    ],
)
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_a_request_parameter_called_token(parameter: str, future: str) -> None:
    """A parameter of the request that would be lost to the guard is refused when decorating."""
    names = {**NAMES}
    exec(f"{future}async def handler({parameter}): ...", names)
    with pytest.raises(SettingError, match=r"handler: jwt_required passes the Token as `token`; give the parameter"):
        jwt_required(names["handler"])


@pytest.mark.parametrize(
    "parameter",
    [
        "token",
        "token=None",
        "token: Any",
        "token: object",
        "token: Token",
        "token: 'Token'",
        "token: Token | None",
        "token: Optional[Token] = None",
        "token: Token[dict[str, Any]]",
        "token: Annotated[Token, 'a note']",
        "token: 'Nowhere.Token'",
    ],
)
async def test_a_parameter_for_the_token(parameter: str, config: JWTConfig) -> None:
    """Without annotation, or with one that a `Token` has, the parameter is the token's."""
    names = {**NAMES}
    exec(f"async def handler({parameter}): return token.identity", names)
    app = FastAPI()
    on_fastapi.install(app, config)
    app.get("/")(jwt_required(names["handler"]))
    assert "alice" == (await ask(app, "/", bearer(create_access_token("alice", config)))).json


@pytest.mark.parametrize(
    "parameter",
    [
        "token: Annotated[Token, Security(JWTBearer(allow='admin'))]",
        "token: Token = Security(JWTBearer(allow='admin'))",
        "token: Annotated[Token, Depends(JWTBearer(allow='admin'))]",
    ],
)
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
async def test_a_guard_of_the_handlers_own(parameter: str, future: str, config: JWTConfig) -> None:
    """A dependency of that name stays, and both it and the decorator are asked."""
    names = {**NAMES}
    exec(f"{future}async def handler({parameter}): return token.identity", names)
    app = FastAPI()
    on_fastapi.install(app, config)
    app.get("/")(jwt_required(scopes="read")(names["handler"]))
    for claims, status in (
        ({}, 403),
        ({"roles": "admin"}, 403),
        ({"scope": "read"}, 403),
        ({"roles": "admin", "scope": "read"}, 200),
    ):
        assert status == (await ask(app, "/", bearer(create_access_token("alice", config, **claims)))).status  # type: ignore[arg-type]


@pytest.mark.parametrize("parameter", ["", "token", "token: OptionalToken"])
async def test_guards_add_up(parameter: str, config: JWTConfig) -> None:
    """Several decorators are all asked, whether the handler takes the token or not."""  # S133
    names = {**NAMES}
    exec(f"async def handler({parameter}): return 'in'", names)
    guarded = jwt_required(allow="admin")(jwt_required(scopes="a")(jwt_required(scopes="b")(names["handler"])))
    app = FastAPI()
    on_fastapi.install(app, config)
    app.get("/")(guarded)
    for claims, status in (
        ({"roles": "admin", "scope": "a b"}, 200),
        ({"roles": "user", "scope": "a b"}, 403),
        ({"roles": "admin", "scope": "b"}, 403),
        ({"roles": "admin", "scope": "a"}, 403),
    ):
        assert status == (await ask(app, "/", bearer(create_access_token("alice", config, **claims)))).status


# While a request is handled -------------------------------------------------------------------------------------------


async def test_a_guard_of_another_framework(config: JWTConfig) -> None:
    """A guard that finds no request of its framework says so, and the handler does not run."""

    @on_starlette.jwt_required
    async def handler(request: Any) -> None:
        raise AssertionError("reached")

    with pytest.raises(NotGuardedError, match=r"jwt_required of asgi_jwt_claims\.starlette has found no request"):
        await handler({"type": "http"})


async def test_what_a_guard_lacks() -> None:
    """Without a middleware the error names every way to have one, and a dependency that needs none."""
    app = FastAPI()

    @app.get("/")
    async def handler(token: CurrentToken) -> None:
        raise AssertionError("reached")

    with pytest.raises(
        NotGuardedError, match=r"install\(app, config\).*JWTMiddleware\(app, config\).*JWTBearer\(config\)"
    ):
        await ask(app)


async def test_a_reason_of_the_applications_own(config: JWTConfig) -> None:
    """A handler may give its reason by position or by name; it is for logs, and the client reads the fixed phrase."""

    async def handler(request: Request) -> None:
        raise ForbiddenError("not the owner") if request.url.path == "/" else ForbiddenError(reason="not the owner")

    app: Any = Starlette(routes=[Route("/", handler), Route("/named", handler)])
    seen: list[Any] = []
    on_starlette.install(app, config, on_error=lambda error, *_: seen.append(error.evidence))
    for path in ("/", "/named"):
        answer = await ask(app, path, bearer(create_access_token("alice", config)))
        assert (403, "The token does not allow this request.") == (answer.status, answer.json["error_description"])
    assert [{"reason": "not the owner"}] * 2 == seen
