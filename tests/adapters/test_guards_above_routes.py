"""A guard above the route decorator guards nothing, so the application does not start."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("fastapi")

from fastapi import APIRouter, FastAPI, Security, routing
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token
from asgi_jwt_claims import fastapi as on_fastapi
from asgi_jwt_claims import starlette as on_starlette
from asgi_jwt_claims.errors import SettingError
from tests.raw_asgi import Scope, ask, bearer, lifespan, talk

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


LATE = pytest.param(
    "late", marks=pytest.mark.skipif(not hasattr(routing, "iter_route_contexts"), reason="routers are copied")
)
ORDER = "Put jwt_required between the route decorator and the handler"


def handler() -> Callable[..., Any]:
    """A handler that nothing else in this process knows."""

    async def admin(request: Request) -> Response:
        return PlainTextResponse("reached")

    return admin


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a decorator of the application's own makes of a handler."""

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


# Where routes are found -----------------------------------------------------------------------------------------------


def in_a_mount(route: BaseRoute) -> list[BaseRoute]:
    return [Mount("/x", routes=[route])]


def in_a_mounted_application(route: BaseRoute) -> list[BaseRoute]:
    return [Mount("/x", Starlette(routes=[Mount("/y", Router([route]))]))]


def behind_a_middleware(route: BaseRoute) -> list[BaseRoute]:
    return [Mount("/x", routes=[route], middleware=[Middleware(GZipMiddleware)])]


def on_a_host(route: BaseRoute) -> list[BaseRoute]:
    return [Host("testserver", Router([route]))]


def at_the_top(route: BaseRoute) -> list[BaseRoute]:
    return [Mount("/static", PlainTextResponse("")), route]


PLACES = [at_the_top, in_a_mount, in_a_mounted_application, behind_a_middleware, on_a_host]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("required", [True, False])
async def test_in_starlette(config: JWTConfig, place: Any, required: bool) -> None:
    """Wherever the route is, no request is served, and the error names the handler and the order."""
    admin = handler()
    on_starlette.jwt_required(allow="admin")(admin)
    app: Any = Starlette(routes=place(Route("/admin", admin)))
    on_starlette.install(app, config, required=required)
    for _ in range(2):
        with pytest.raises(SettingError, match=f"handler.<locals>.admin is a route without its guard.*{ORDER}"):
            await ask(app, "/admin", bearer(create_access_token("alice", config)))


@pytest.mark.parametrize("wrap", ["application", "class", "mount", "router"])
async def test_without_install(config: JWTConfig, wrap: str) -> None:
    """The middleware by itself finds the routes below it, too, at any height."""
    admin = handler()
    on_starlette.jwt_required(admin)
    guards = {
        name: [Middleware(JWTMiddleware, config)] if name == wrap else None for name in ("class", "mount", "router")
    }
    router = Router([Route("/admin", admin)], middleware=guards["router"])
    app: Any = Starlette(routes=[Mount("/x", router, middleware=guards["mount"])], middleware=guards["class"])
    if wrap == "application":
        app = JWTMiddleware(BaseHTTPMiddleware(app, lambda request, call_next: call_next(request)), config)
    with pytest.raises(SettingError, match=ORDER):
        await ask(app, "/x/admin", bearer(create_access_token("alice", config)))


@pytest.mark.parametrize("register", ["get", "api_route", "websocket", "router", "nested", "mounted", LATE])
@pytest.mark.parametrize("required", [True, False])
async def test_in_fastapi(config: JWTConfig, register: str, required: bool) -> None:
    """Every way in which FastAPI registers a handler is seen, included routers too."""  # S133
    app, inner, outer, sub = FastAPI(), APIRouter(), APIRouter(), FastAPI()
    ways: dict[str, Callable[..., Any]] = {
        "get": app.get("/admin"),
        "api_route": app.api_route("/admin", methods=["GET"]),
        "websocket": app.websocket("/admin"),
        "router": inner.get("/admin"),
        "nested": inner.get("/admin"),
        "mounted": sub.get("/admin"),
        "late": inner.get("/admin"),
    }
    on_fastapi.install(app, config, required=required)
    if register == "late":
        app.include_router(inner)

    on_fastapi.jwt_required(allow="admin")(ways[register](handler()))

    if register == "nested":
        outer.include_router(inner, prefix="/inner")
        app.include_router(outer, prefix="/outer")
    if register == "router":
        app.include_router(inner)
    app.mount("/sub", sub)
    with pytest.raises(SettingError, match=ORDER):
        await ask(app, "/anything", bearer(create_access_token("alice", config)))
    with pytest.raises(SettingError, match=ORDER):
        await talk(app, "/admin")


@pytest.mark.parametrize("where", ["application", "router"])
async def test_without_any_middleware(config: JWTConfig, where: str) -> None:
    """A dependency with a configuration of its own serves no request of an application that has such a handler."""
    dependencies = [Security(on_fastapi.JWTBearer(config))]
    app = FastAPI(dependencies=dependencies if where == "application" else None)
    router = APIRouter(dependencies=None if where == "application" else dependencies)
    on_fastapi.jwt_required(allow="admin")(router.get("/admin")(handler()))
    router.get("/user")(handler())
    app.include_router(router)
    for path in ("/admin", "/user"):
        with pytest.raises(SettingError, match=ORDER):
            await ask(app, path, bearer(create_access_token("alice", config)))


async def test_methods_of_classes(config: JWTConfig) -> None:
    """A method whose guarded twin is not the one that the class has is found, for http and websocket."""

    class Plain(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            raise AssertionError("reached")

    class Feed(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            raise AssertionError("reached")

    on_starlette.jwt_required(Plain.get)
    on_starlette.jwt_required(Feed.on_connect)
    for route in (Route("/", Plain), WebSocketRoute("/", Feed)):
        app: Any = JWTMiddleware(Starlette(routes=[route]), config)
        with pytest.raises(SettingError, match=ORDER):
            await ask(app)


async def test_another_decorator_between(config: JWTConfig) -> None:
    """What stands between the guard and the route, or is partly applied, hides nothing."""
    admin = handler()
    on_starlette.jwt_required(wrapped(admin))
    for endpoint in (admin, functools.partial(admin), functools.partial(functools.partial(admin))):
        app: Any = Starlette(routes=[Route("/admin", endpoint)])
        on_starlette.install(app, config)
        with pytest.raises(SettingError, match=ORDER):
            await ask(app)


async def test_the_outer_of_two_guards(config: JWTConfig) -> None:
    """A route between two guards lacks the outer one."""
    app = FastAPI()
    on_fastapi.install(app, config)
    on_fastapi.jwt_required(allow="admin")(app.get("/admin")(on_fastapi.jwt_required(handler())))
    with pytest.raises(SettingError, match=ORDER):
        await ask(app, "/admin", bearer(create_access_token("alice", config)))


async def test_the_right_order(config: JWTConfig) -> None:
    """Between route and handler, under or above other decorators, twice, or on methods, guards stand where they should."""
    app = FastAPI()
    on_fastapi.install(app, config)
    alone, inside, outside, twice = handler(), handler(), handler(), handler()
    app.get("/alone")(on_fastapi.jwt_required(alone))
    app.get("/inside")(wrapped(on_fastapi.jwt_required(inside)))
    app.get("/outside")(on_fastapi.jwt_required(wrapped(outside)))
    app.get("/twice")(on_fastapi.jwt_required(on_fastapi.jwt_required(twice)))
    app.get("/open")(handler())

    class Account(HTTPEndpoint):
        @on_starlette.jwt_required
        async def get(self, request: Request) -> Response:
            return PlainTextResponse("reached")

        async def _change(self, request: Request) -> Response:
            return PlainTextResponse("reached")

        post = on_starlette.jwt_required(_change)

    app.add_route("/account", Account)  # type: ignore[arg-type]  # a class is what Starlette takes, too
    alice = bearer(create_access_token("alice", config))
    async with lifespan(app):
        for path in ("/alone", "/inside", "/outside", "/twice", "/open", "/account"):
            assert (path, 200) == (path, (await ask(app, path, alice)).status)


async def test_a_route_below_and_a_route_above(config: JWTConfig) -> None:
    """Of two route decorators around a guard, the lower one registers the handler without it."""
    app = FastAPI()
    on_fastapi.install(app, config)
    app.get("/above")(on_fastapi.jwt_required(app.get("/below")(handler())))
    with pytest.raises(SettingError, match="a route that is meant to be open needs a function of its own"):
        await ask(app, "/above")


async def test_a_guard_of_two_routes(config: JWTConfig) -> None:
    """A guarded handler may be on one route as it is, and on another one with a second guard around it."""
    app = FastAPI()
    on_fastapi.install(app, config, required=False)
    user = on_fastapi.jwt_required(handler())
    app.get("/user")(user)
    app.get("/admin")(wrapped(on_fastapi.jwt_required(allow="admin")(wrapped(user))))
    alice = bearer(create_access_token("alice", config))
    assert [200, 403] == [(await ask(app, path, alice)).status for path in ("/user", "/admin")]


async def test_a_guard_that_another_decorator_wraps(config: JWTConfig) -> None:
    """A decorator that is no guard, on another route, does not stand for the guard that is missing here."""
    app = FastAPI()
    on_fastapi.install(app, config)
    user = on_fastapi.jwt_required(handler())
    app.get("/other")(wrapped(user))
    on_fastapi.jwt_required(allow="admin")(app.get("/admin")(user))
    with pytest.raises(SettingError, match=ORDER):
        await ask(app, "/other")


async def test_what_cannot_be_remembered(config: JWTConfig) -> None:
    """A handler that has no hash, or cannot be referred to weakly, is guarded all the same."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        async def __call__(self, request: Request) -> Response:
            return PlainTextResponse("reached")

    class Slotted:
        __slots__ = ()

        async def __call__(self, request: Request) -> Response:
            return PlainTextResponse("reached")

    for one in (Unhashable(), Slotted()):
        app: Any = Starlette(routes=[Route("/", on_starlette.jwt_required(one)), Route("/open", one)])
        on_starlette.install(app, config)
        assert 401 == (await ask(app)).status


# When it is told ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("installed", [True, False])
async def test_a_server_is_told(config: JWTConfig, installed: bool) -> None:
    """At startup the server hears that it failed, with the reason, and the application's own lifespan does not run."""
    admin = handler()
    on_starlette.jwt_required(admin)

    def started(app: Any) -> Any:
        raise AssertionError("started")

    app: Any = Starlette(routes=[Route("/admin", admin)], lifespan=started)
    if installed:
        on_starlette.install(app, config)
    else:
        app = JWTMiddleware(app, config)
    sent: list[Any] = []

    async def receive() -> Scope:
        return {"type": "lifespan.startup"}

    async def send(message: Scope) -> None:
        sent.append(message)

    with pytest.raises(SettingError, match=ORDER):
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    (message,) = sent
    assert "lifespan.startup.failed" == message["type"]
    assert ORDER in message["message"]


async def test_an_endpoint_that_answers_to_any_name(config: JWTConfig) -> None:
    """An endpoint whose attributes are made when they are asked for, or wrap each other in a circle, is left alone."""

    class Proxy:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("not now")

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("reached")(scope, receive, send)

    class Circle(Proxy):
        def __init__(self) -> None:
            self.__wrapped__ = self

    for endpoint in (Proxy(), Circle()):
        app: Any = JWTMiddleware(Starlette(routes=[Mount("/{token}", routes=[Route("/", endpoint, name="x")])]), config)
        assert 200 == (await ask(app, "/x/", bearer(create_access_token("alice", config)))).status


async def test_any_other_application(config: JWTConfig) -> None:
    """An application of another kind, with attributes of the same names, has no routes to be found."""

    class Odd:
        routes = property(lambda self: 1 / 0)

        def __init__(self) -> None:
            self.app = self.router = self.__wrapped__ = self
            self.endpoint = {"not": "a handler"}
            self.path = 7

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("reached")(scope, receive, send)

    app: Any = JWTMiddleware(Odd(), config)
    assert 200 == (await ask(app, "/", bearer(create_access_token("alice", config)))).status


# The parameter called token -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("annotation", ["", ": Token", ": Any", ": Token | None = None"])
@pytest.mark.parametrize("where", ["route", "prefix", "mount"])
async def test_a_path_parameter_that_would_vanish(config: JWTConfig, annotation: str, where: str) -> None:
    """In FastAPI a path parameter called token, which could not reach a handler with a guard, stops the application."""
    names: dict[str, Any] = {}
    exec(f"from typing import Any\nfrom asgi_jwt_claims import Token\nasync def handler(token{annotation}): ...", names)
    guarded = on_fastapi.jwt_required(names["handler"])
    app, router = FastAPI(), APIRouter()
    router.get("/x/{token}" if where == "route" else "/x")(guarded)
    if where == "mount":
        app.mount("/y/{token:str}", FastAPI(routes=router.routes))
    else:
        app.include_router(router, prefix="/y/{token}" if where == "prefix" else "")
    on_fastapi.install(app, config)
    with pytest.raises(SettingError, match="rename the parameter of the path"):
        await ask(app)


async def test_a_path_parameter_of_an_unguarded_handler(config: JWTConfig) -> None:
    """Other handlers have it, and so has a guarded one whose token has another name."""
    app = FastAPI()
    on_fastapi.install(app, config)

    @app.get("/plain/{token}")
    async def plain(token: str) -> Any:
        return token

    @app.get("/guarded/{token}")
    async def guarded(token: str, of: on_fastapi.CurrentToken) -> Any:
        return token

    @app.get("/decorated/{token}")  # noqa: FAST003 -- it takes it from the request
    @on_fastapi.jwt_required
    async def decorated(request: Request) -> Any:
        return request.path_params["token"]

    for path in ("/plain/x", "/guarded/x", "/decorated/x"):
        assert "x" == (await ask(app, path, bearer(create_access_token("alice", config)))).json


@pytest.mark.parametrize("annotation", ["str", "'str'", "int | None"])
async def test_a_path_parameter_in_starlette(config: JWTConfig, annotation: str) -> None:
    """In Starlette the parameter is not lost, but a handler that expects it as an argument would get the token."""
    names: dict[str, Any] = {}
    exec(f"async def handler(request, token: {annotation}): ...", names)
    guarded = on_starlette.jwt_required(names["handler"])
    for endpoint in (guarded, functools.partial(guarded), type("Class", (HTTPEndpoint,), {"get": guarded})):
        app: Any = Starlette(routes=[Route("/x/{token:int}", endpoint)])
        on_starlette.install(app, config)
        with pytest.raises(SettingError, match="rename the parameter of the path"):
            await ask(app, "/x/7")


async def test_a_token_beside_a_path_parameter_in_starlette(config: JWTConfig) -> None:
    """Where the handler takes a token, it has both: the token as its argument, and the parameter in the request."""

    @on_starlette.jwt_required
    async def both(request: Request, token: Any) -> Response:
        return PlainTextResponse(f"{token.identity} {request.path_params['token']}")

    app: Any = Starlette(routes=[Route("/x/{token}", both)])
    on_starlette.install(app, config)
    assert b"alice x" == (await ask(app, "/x/x", bearer(create_access_token("alice", config)))).body
