"""Litestar: guards at every layer, the token as a dependency, refusals with their challenge, and the OpenAPI document."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

pytest.importorskip("litestar")

from litestar import Controller, Litestar, MediaType, Request, Response, Router, WebSocket, get, post, websocket
from litestar.di import NamedDependency, Provide
from litestar.exceptions import ImproperlyConfiguredException
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    ErrorResponse,
    JWTConfig,
    JWTMiddleware,
    Token,
    TokenError,
    WebSocketProtocol,
    create_access_token,
    create_refresh_token,
    current_token,
)
from asgi_jwt_claims.access import Roles, Scopes
from asgi_jwt_claims.errors import (
    ForbiddenError,
    InvalidSignatureError,
    MissingScopeError,
    MissingTokenError,
    RoleRefusedError,
    SettingError,
)
from asgi_jwt_claims.litestar import CurrentToken, JWTGuard, JWTPlugin, get_token, provide_token
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.stores import MemoryStore
from tests.raw_asgi import Exchange, ask, bearer, talk

pytestmark = pytest.mark.anyio


@get("/told")
async def told(token: CurrentToken) -> dict[str, Any]:
    return {"identity": token.identity, "same": token is current_token()}


@get("/sync", sync_to_thread=True)
def told_sync(token: CurrentToken) -> dict[str, Any]:
    return {"identity": token.identity, "same": token is current_token()}


@get("/asked")
async def asked(request: Request[Any, Any, Any]) -> str:
    return str(get_token(request).identity)


@get("/orders", guards=[JWTGuard(scopes="orders:read")])
async def orders() -> str:
    return "orders"


@get("/rule", guards=[JWTGuard(require=Scopes("orders:read") | Roles("support"))])
async def by_rule() -> str:
    return "rule"


@get("/maybe", dependencies={"token": provide_token(optional=True)})
async def maybe(token: NamedDependency[Token | None]) -> str:
    return "anonymous" if token is None else str(token.identity)


@get("/refresh", dependencies={"token": provide_token(type="refresh")})
async def refresh(token: CurrentToken) -> str:
    return f"{token.identity} {token.type}"


@get("/forbidden")
async def forbidden() -> None:
    raise ForbiddenError("not the owner")


@get("/broken")
async def broken() -> None:
    raise LookupError("mine")


@get("/open")
async def open_to_all() -> str:
    return "open"


@websocket("/feed")
async def feed(socket: WebSocket[Any, Any, Any], token: CurrentToken) -> None:
    await socket.accept()
    await socket.send_text(str(token.identity))
    await socket.close()


@websocket("/control", guards=[JWTGuard(allow="admin")])
async def control(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.close()


HANDLERS = [told, told_sync, asked, orders, by_rule, maybe, refresh, forbidden, broken, open_to_all, feed, control]


def site(*handlers: Any, **options: Any) -> Litestar:
    return Litestar([*(handlers or HANDLERS)], plugins=[JWTPlugin()], **options)


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config)


def is_answer(response: Exchange, error: TokenError) -> None:
    """The response is the answer to `error`, byte for byte."""
    expected = ErrorResponder().response_for(error)
    assert (expected.status, expected.body, dict(expected.headers)) == (
        response.status,
        response.body,
        response.headers,
    )


async def test_handlers_get_the_token(config: JWTConfig, alice: str) -> None:
    """The dependency `token` is there for every handler, async and sync, without a word."""
    app = JWTMiddleware(site(), config)
    for path in ("/told", "/sync"):
        assert {"identity": "alice", "same": True} == (await ask(app, path, bearer(alice))).json
        is_answer(await ask(app, path), MissingTokenError())
    assert b"alice" == (await ask(app, "/asked", bearer(alice))).body
    is_answer(await ask(app, "/unknown"), MissingTokenError())


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("has_plugin", [False, True])
async def test_refusals_have_their_challenge(config: JWTConfig, alice: str, debug: bool, has_plugin: bool) -> None:
    """Guards, dependencies, `get_token` and handlers refuse with the answer of the middleware, also without the plugin."""
    plugins = [JWTPlugin()] if has_plugin else []
    handlers: list[Any] = [asked, orders, forbidden, broken] + ([told] if has_plugin else [])
    app = JWTMiddleware(Litestar(handlers, plugins=plugins, debug=debug), config, required=False)
    forged = alice[:-4] + ("AAAA" if alice[-4:] != "AAAA" else "BBBA")
    for path in ["/asked", "/orders"] + (["/told"] if has_plugin else []):
        is_answer(await ask(app, path), MissingTokenError())
        is_answer(await ask(app, path, bearer(forged)), InvalidSignatureError())
    is_answer(await ask(app, "/orders", bearer(alice)), MissingScopeError(scope="orders:read"))
    is_answer(await ask(app, "/forbidden", bearer(alice)), ForbiddenError())
    assert 500 == (await ask(app, "/broken", bearer(alice))).status


async def test_layers_inside_see_the_status(config: JWTConfig) -> None:
    """With the plugin a middleware of Litestar sees 401, and not an error 500 that is replaced further out."""
    seen: list[int] = []

    def watching(app: Any) -> Any:
        async def watch(scope: Any, receive: Any, send: Any) -> None:
            async def sent(message: Any) -> None:
                seen.append(message.get("status", 0))
                await send(message)

            await app(scope, receive, sent)

        return watch

    app = JWTMiddleware(site(told, middleware=[watching]), config, required=False)
    assert (401, 401) == ((await ask(app, "/told")).status, seen[0])


async def test_on_error_shapes_every_refusal(config: JWTConfig, alice: str) -> None:
    """An async `on_error` is waited for, called once for each refusal, and its response is sent as it is."""
    seen = []

    async def on_error(error: TokenError, response: ErrorResponse, scope: Any) -> ErrorResponse:
        await anyio.lowlevel.checkpoint()
        seen.append(error.code)
        return ErrorResponse(418, (("x-own", "yes"), ("content-length", "0")), b"")

    app = JWTMiddleware(site(), config, on_error=on_error)
    for path in ("/orders", "/forbidden"):
        response = await ask(app, path, bearer(alice))
        assert (418, "yes") == (response.status, response.headers["x-own"])
    assert ["missing_scope", "forbidden"] == seen


async def test_the_application_answers_by_itself(config: JWTConfig) -> None:
    """A handler of the application for `TokenError`, and a dependency called `token`, stay."""

    async def own() -> str:
        return "own"

    def answer(_: Any, error: Any) -> Response[str]:
        return Response(error.code, status_code=418, media_type=MediaType.TEXT)

    @get("/own")
    async def handler(token: NamedDependency[str]) -> str:
        return token

    lit = site(handler, asked, exception_handlers={TokenError: answer}, dependencies={"token": Provide(own)})
    app = JWTMiddleware(lit, config, required=False)
    assert b"own" == (await ask(app, "/own")).body
    response = await ask(app, "/asked")
    assert (418, b"token_missing") == (response.status, response.body)


async def test_guards_of_every_layer(config: JWTConfig) -> None:
    """A guard of a controller, a router or the application counts for all below; all of them must let the request in."""

    class Account(Controller):
        path = "/account"
        guards = [JWTGuard(scopes="account")]  # noqa: RUF012 -- as Litestar wants it

        @get()
        async def show(self) -> str:
            return "account"

    router = Router("/staff", route_handlers=[Account], guards=[JWTGuard(allow="staff")])
    app = JWTMiddleware(Litestar([router], guards=[JWTGuard()], plugins=[JWTPlugin()]), config, required=False)
    for roles, scope, error in (
        (["staff"], "account", None),
        (["guest"], "account", RoleRefusedError()),
        (["staff"], "other", MissingScopeError(scope="account")),
    ):
        raw = create_access_token("alice", config, roles=roles, scope=scope)
        response = await ask(app, "/staff/account", bearer(raw))
        if error is None:
            assert (200, b"account") == (response.status, response.body)
        else:
            is_answer(response, error)
    is_answer(await ask(app, "/staff/account"), MissingTokenError())


async def test_a_rule(config: JWTConfig) -> None:
    """A guard takes rules that combine."""
    app = JWTMiddleware(site(), config)
    for claims, status in (({"scope": "orders:read"}, 200), ({"roles": ["support"]}, 200), ({"roles": ["user"]}, 403)):
        raw = create_access_token("alice", config, **claims)  # type: ignore[arg-type]
        assert status == (await ask(app, "/rule", bearer(raw))).status


async def test_other_tokens(config: JWTConfig, alice: str, store: MemoryStore) -> None:
    """A dependency may want no token, or another type; it asks the store where the middleware has not."""
    app = JWTMiddleware(site(), config, required=False, exempt=["/refresh"], store=store)
    assert (b"anonymous", b"alice") == ((await ask(app, "/maybe")).body, (await ask(app, "/maybe", bearer(alice))).body)
    assert 401 == (await ask(app, "/maybe", bearer(alice + "x"))).status
    raw = create_refresh_token("alice", config)
    assert b"alice refresh" == (await ask(app, "/refresh", bearer(raw))).body
    assert 401 == (await ask(app, "/refresh", bearer(alice))).status


@pytest.mark.parametrize("denial", [True, False])
async def test_websockets(config: JWTConfig, alice: str, denial: bool) -> None:
    """A refused handshake is answered with status and challenge, or closed where a server cannot send them."""
    app = JWTMiddleware(site(), config, required=False, sources=[BearerHeader(), WebSocketProtocol()])
    assert ["alice"] == (await talk(app, "/feed", bearer(alice), denial=denial)).texts
    for path, headers, status, code in (("/feed", [], 401, 3000), ("/control", [bearer(alice)], 403, 3003)):
        heard = await talk(app, path, *headers, denial=denial)
        if denial:
            assert (status, True) == (heard.status, heard.headers["www-authenticate"].startswith("Bearer"))
        else:
            assert (["websocket.close"], code) == (heard.types, heard.close_code)


async def test_as_a_middleware_of_litestar(config: JWTConfig, alice: str) -> None:
    """`DefineMiddleware` guards the routes from within: what has no route is 404."""
    app: Any = site(told, orders, middleware=[DefineMiddleware(JWTMiddleware, config=config)])
    assert "alice" == (await ask(app, "/told", bearer(alice))).json["identity"]
    is_answer(await ask(app, "/told"), MissingTokenError())
    is_answer(await ask(app, "/orders", bearer(alice)), MissingScopeError(scope="orders:read"))
    assert 404 == (await ask(app, "/unknown")).status


async def test_without_a_middleware(config: JWTConfig, alice: str) -> None:
    """No guard lets anything in where nothing has prepared the request."""
    app: Any = site()
    for path in ("/told", "/orders", "/maybe"):
        assert 500 == (await ask(app, path, bearer(alice))).status


def test_unusable_options() -> None:
    """Mistakes are told where they are made."""
    for make in (JWTGuard, provide_token):
        with pytest.raises(SettingError):
            make(scopes=[""])
    with pytest.raises(SettingError):
        JWTPlugin(["header"])  # type: ignore[list-item]


def test_a_parameter_of_the_path_called_token(config: JWTConfig) -> None:
    """Litestar refuses a route whose parameter has the name of the dependency, when the application is built."""

    @get("/confirm/{token:str}")
    async def confirm(token: str) -> str:
        return token

    with pytest.raises(ImproperlyConfiguredException):
        site(confirm)


# OpenAPI ----------------------------------------------------------------------------------------------------------------


def securities(app: Litestar) -> dict[str, Any]:
    paths = app.openapi_schema.to_schema()["paths"]
    return {path: operation.get("security") for path, item in paths.items() for operation in item.values()}


def test_the_openapi_document_names_what_guards_a_handler() -> None:
    """Guards and dependencies count, with their scopes; where a token is optional, so is the scheme."""
    app = site()
    assert {"JWTBearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}} == app.openapi_schema.to_schema()[
        "components"
    ]["securitySchemes"]
    assert {
        "/told": [{"JWTBearer": []}],
        "/sync": [{"JWTBearer": []}],
        "/asked": None,
        "/orders": [{"JWTBearer": ["orders:read"]}],
        "/maybe": [{"JWTBearer": []}, {}],
        "/refresh": [{"JWTBearer": []}],
        "/open": None,
    } == {path: found for path, found in securities(app).items() if path not in ("/rule", "/forbidden", "/broken")}


def test_the_openapi_document_names_each_source() -> None:
    """A cookie and a header of another name are keys; a subprotocol is nothing that OpenAPI describes."""
    sources = [BearerHeader(), Cookie(), BearerHeader("X-Token", scheme=""), WebSocketProtocol()]
    own = Components(security_schemes={"own": SecurityScheme("http", scheme="basic")})

    @get(["/a", "/b"], guards=[JWTGuard()], security=[{"own": []}])
    async def two_paths() -> str:
        return ""

    for components in (own, [own]):
        document = OpenAPIConfig("t", "1", components=components)
        app = Litestar([two_paths], plugins=[JWTPlugin(sources)], openapi_config=document)
        assert {
            "own": {"type": "http", "scheme": "basic"},
            "JWTBearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "JWTCookie": {"type": "apiKey", "in": "cookie", "name": "__Host-access_token"},
            "JWTHeader": {"type": "apiKey", "in": "header", "name": "x-token"},
        } == app.openapi_schema.to_schema()["components"]["securitySchemes"]
        wanted = [{"own": []}, {"JWTBearer": []}, {"JWTCookie": []}, {"JWTHeader": []}]
        assert {"/a": wanted, "/b": wanted} == securities(app)
        assert components is document.components


def test_without_an_openapi_document() -> None:
    """The plugin does without, and with sources that the document cannot describe."""

    @post("/a", guards=[JWTGuard()])
    async def handler() -> None: ...

    assert site(handler, openapi_config=None).openapi_config is None
    app = Litestar([handler], plugins=[JWTPlugin([WebSocketProtocol()])])
    assert {"/a": None} == securities(app)
