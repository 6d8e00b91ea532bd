"""What is particular to Sanic, in ASGI mode; on its own server it is tested by `tests/system/sanic_server`."""

from __future__ import annotations

import asyncio
import contextvars
import json as json_module
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

pytest.importorskip("sanic")
pytest.importorskip("websockets")

import anyio.lowlevel
from sanic import Blueprint, HTTPResponse, Request, Sanic, empty, json, text
from sanic.compat import Header
from sanic.exceptions import NotFound
from sanic.response import ResponseStream
from sanic.views import HTTPMethodView

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    Token,
    TokenError,
    create_access_token,
    create_refresh_token,
    current_token,
    verify_token,
)
from asgi_jwt_claims.auth.paths.exempt import CORS_INSIDE
from asgi_jwt_claims.auth.request import get_token
from asgi_jwt_claims.errors import MissingTokenError, NotGuardedError, SettingError
from asgi_jwt_claims.sanic import install, jwt_required
from asgi_jwt_claims.sanic._connections import _content_type
from asgi_jwt_claims.sessions import revoke_token
from tests.adapters.test_revocation import Distant
from tests.apps.adapter import Site, asgi_site
from tests.apps.sanic_adapter import new_app
from tests.conftest import HeldClock
from tests.raw_asgi import bearer, lifespan, talk

pytestmark = pytest.mark.anyio

Open = Callable[[Any], AbstractAsyncContextManager[Site]]


@pytest.fixture
def anyio_backend() -> str:
    """Sanic runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def site_of() -> Open:
    """How an application is run; `tests/system/sanic_server` has the other way."""
    return asgi_site


@pytest.fixture
def app() -> Sanic[Any, Any]:
    """An application without sanic-ext."""
    return new_app()


@pytest.fixture
def extended() -> Sanic[Any, Any]:
    """An application that sanic-ext has extended."""
    pytest.importorskip("sanic_ext")
    return new_app(extended=True)


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config, roles="USER")


@pytest.fixture
def bob(config: JWTConfig) -> str:
    return create_access_token("bob", config)


# The request ----------------------------------------------------------------------------------------------------------


async def test_where_the_token_is(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """One token, wherever it is asked for; Sanic's own `request.token` stays the text that was sent."""
    install(app, config)

    @app.get("/")
    @jwt_required
    async def handler(request: Request, token: Token) -> HTTPResponse:
        same = [token is other for other in (request.ctx.token, get_token(request), current_token())]
        return json({"same": same, "own": request.token == alice})

    async with site_of(app) as site:
        assert {"same": [True, True, True], "own": True} == (await site.get("/", alice)).json()


async def test_nobody(app: Any, config: JWTConfig, site_of: Open) -> None:
    """Where nobody is required, `request.ctx.token` is None and not missing."""
    install(app, config, required=False)

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return json({"token": request.ctx.token, "current": current_token()})

    async with site_of(app) as site:
        assert {"token": None, "current": None} == (await site.get("/")).json()
        assert {"token": None, "current": None} == (await site.get("/", "a.b.c")).json()


async def test_the_application_s_own_middleware_sees_the_token(
    app: Any, config: JWTConfig, site_of: Open, alice: str
) -> None:
    """The guard runs first, before middleware that was there already, so that all of it knows who is there."""
    seen: list[Any] = []

    @app.on_request
    async def before(request: Request) -> None:
        seen.append(request.ctx.token.identity)

    @app.on_response
    async def after(request: Request, response: HTTPResponse) -> None:
        seen.append(current_token() is request.ctx.token)

    install(app, config, required=False)

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return empty()

    async with site_of(app) as site:
        await site.get("/", alice)
    assert ["alice", True] == seen


async def test_unknown_routes(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """Routes and methods that do not exist are refused before they are denied."""
    install(app, config, exempt=["/open/*"])

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return empty()

    async with site_of(app) as site:
        for path, anonymous, known in (("/unknown", 401, 404), ("/open/unknown", 404, 404)):
            assert anonymous == (await site.get(path)).status_code
            assert known == (await site.get(path, alice)).status_code
        assert 401 == (await site.client.post("/")).status_code


async def test_errors_of_the_application(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """Exceptions of handlers are Sanic's to answer, and its handlers still know who was there."""  # S134
    seen: list[Any] = []
    install(app, config)

    @app.exception(ZeroDivisionError)
    async def mine(request: Request, error: ZeroDivisionError) -> HTTPResponse:
        seen.append(request.ctx.token.identity)
        return text("mine", 418)

    @app.get("/zero")
    async def zero(request: Request) -> HTTPResponse:
        raise ZeroDivisionError

    @app.get("/missing")
    async def missing(request: Request) -> HTTPResponse:
        raise NotFound

    async with site_of(app) as site:
        assert (418, "mine") == ((response := await site.get("/zero", alice)).status_code, response.text)
        assert 404 == (await site.get("/missing", alice)).status_code
    assert ["alice"] == seen


async def test_blueprints_and_views(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """Guards work on the routes of a blueprint and on the methods of a view, with path parameters too."""
    install(app, config, required=False)
    blueprint = Blueprint("orders", url_prefix="/orders", version=1)

    @blueprint.get("/<number:int>")
    @jwt_required
    async def order(request: Request, number: int, token: Token) -> HTTPResponse:
        return json({"identity": token.identity, "number": number})

    class View(HTTPMethodView):
        @jwt_required
        async def get(self, request: Request, token: Token, number: int) -> HTTPResponse:
            return json({"identity": token.identity, "number": number})

        @jwt_required(allow="ADMIN")
        async def delete(self, request: Request, number: int) -> HTTPResponse:
            raise AssertionError("reached")

    class Decorated(HTTPMethodView):
        decorators = [jwt_required]  # noqa: RUF012 -- as Sanic documents it

        async def get(self, request: Request, token: Token) -> HTTPResponse:
            return json({"identity": token.identity, "number": 7})

        async def post(self, request: Request) -> HTTPResponse:
            return json({"identity": get_token(request).identity})

    @blueprint.get("/variadic")
    @jwt_required
    async def variadic(request: Request, **kwargs: Any) -> HTTPResponse:
        return json({"identity": kwargs["token"].identity, "number": 7})

    blueprint.add_route(View.as_view(), "/view/<number:int>")
    blueprint.add_route(Decorated.as_view(), "/decorated")
    app.blueprint(blueprint)
    async with site_of(app) as site:
        for path in ("/v1/orders/7", "/v1/orders/view/7", "/v1/orders/decorated", "/v1/orders/variadic"):
            assert {"identity": "alice", "number": 7} == (await site.get(path, alice)).json()
            assert 401 == (await site.get(path)).status_code
        headers = {"authorization": f"Bearer {alice}"}
        assert 403 == (await site.client.delete("/v1/orders/view/7", headers=headers)).status_code
        # A method of a guarded view need not take the token, and one that is not there is still Sanic's to answer.
        answer = await site.client.post("/v1/orders/decorated", headers=headers)
        assert {"identity": "alice"} == answer.json()
        assert 405 == (await site.client.delete("/v1/orders/decorated", headers=headers)).status_code


async def test_the_body_after_a_guard(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """The guard leaves the body to the handler, streamed or whole."""  # S9
    install(app, config)

    @app.post("/whole")
    @jwt_required
    async def whole(request: Request) -> HTTPResponse:
        return text(request.body.decode())

    @app.post("/stream", stream=True)
    @jwt_required
    async def stream(request: Request) -> HTTPResponse:
        return text(b"".join([part async for part in request.stream]).decode())

    headers = {"authorization": f"Bearer {alice}"}
    async with site_of(app) as site:
        for path in ("/whole", "/stream"):
            assert "salve" == (await site.client.post(path, content=b"salve", headers=headers)).text
            assert 401 == (await site.client.post(path, content=b"x" * 100_000)).status_code


async def test_a_streamed_response(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """While the response is streamed the token is still the current one."""  # S132
    install(app, config)

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        for _ in range(2):
            await response.send(str(current_token() is request.ctx.token))
        await response.eof()

    async with site_of(app) as site:
        assert "TrueTrue" == (await site.get("/", alice)).text


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["Text/Event-Stream"], "text/event-stream"),
        (["text/plain", "text/event-stream"], "text/plain, text/event-stream"),
        ([], "text/html"),
    ],
)
async def test_all_content_types_of_a_response_are_seen(kinds: list[str], expected: str) -> None:
    """A response with several headers for its type has all of these types, and one without headers its own."""
    headers = Header([("content-type", kind) for kind in kinds])
    assert expected == _content_type(HTTPResponse(headers=headers, content_type="text/html"))
    assert expected == _content_type(ResponseStream(None, headers=headers, content_type="text/html"))  # type: ignore[arg-type]  # nothing is streamed
    assert "" == _content_type(None)


async def test_many_users_at_once(app: Any, config: JWTConfig, site_of: Open) -> None:
    """Requests that overlap never mix."""  # S131
    install(app, config)

    @app.get("/<name>")
    async def handler(request: Request, name: str) -> HTTPResponse:
        before = current_token()
        await anyio.lowlevel.checkpoint()
        return json([name, before.identity, current_token().identity])

    async with site_of(app) as site:

        async def one(name: str) -> None:
            answer = await site.get(f"/{name}", create_access_token(name, config))
            assert [name] * 3 == answer.json()

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(one, f"user{number}")


@pytest.mark.parametrize(("allow_preflight", "status"), [(False, 401), (True, 204)])
async def test_preflight(app: Any, config: JWTConfig, site_of: Open, allow_preflight: bool, status: int) -> None:
    """A true preflight goes on by choice alone; any other OPTIONS request does not."""  # S11
    install(app, config, allow_preflight=allow_preflight)

    @app.options("/")
    async def handler(request: Request) -> HTTPResponse:
        return empty()

    preflight = {"origin": "https://app.example", "access-control-request-method": "GET"}
    async with site_of(app) as site:
        assert status == (await site.client.options("/", headers=preflight)).status_code
        assert 401 == (await site.client.options("/", headers={"origin": "https://app.example"})).status_code


# How long the current token is current ------------------------------------------------------------------------------


def name_of(token: Token | None) -> str | None:
    return None if token is None else token.identity


async def test_nobody_before_the_guard_nor_after_the_response(
    app: Any, config: JWTConfig, site_of: Open, alice: str
) -> None:
    """What runs before the guard, signals too, never sees the user of the request before; nor does what comes after."""  # S131
    seen: list[tuple[str, str, str | None]] = []
    install(app, config, exempt=["/open"])

    def note(place: str, request: Request) -> None:
        seen.append((request.path, place, name_of(current_token())))

    for event in ("http.lifecycle.request", "http.routing.before", "http.routing.after"):

        async def signalled(request: Request, event: str = event, **_: Any) -> None:
            note(event, request)

        app.add_signal(signalled, event)

    @app.on_request(priority=101)
    async def early(request: Request) -> None:
        note("early", request)

    @app.on_request
    async def late(request: Request) -> None:
        note("late", request)

    @app.on_response
    async def response(request: Request, response: HTTPResponse) -> None:
        note("response", request)

    async def handler(request: Request) -> HTTPResponse:
        note("handler", request)
        return empty()

    app.add_route(handler, "/me", name="me")
    app.add_route(handler, "/open", name="open")
    async with site_of(app) as site:
        for path, raws in (("/me", [alice]), ("/open", [alice]), ("/me", []), ("/unknown", [alice]), ("/me", [alice])):
            seen.clear()
            await site.get(path, *raws)
            known = "alice" if path != "/open" and raws else None
            before = {place: name for _, place, name in seen if place.startswith("http.") or place == "early"}
            after = {place: name for _, place, name in seen if place not in before}
            assert {"early", "http.lifecycle.request", "http.routing.before"} <= before.keys()
            assert {None} == set(before.values())
            assert {known} == set(after.values())
            assert current_token() is None  # in ASGI mode, this task has handled the request


async def test_middleware_before_the_guard_is_told_so(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """Middleware that runs before the guard has no token yet, and the error says why."""
    install(app, config)
    seen: list[str] = []

    @app.on_request(priority=100 + 1)
    async def early(request: Request) -> None:
        try:
            get_token(request)
        except NotGuardedError as error:
            seen.append(str(error))

    async with site_of(app) as site:
        await site.get("/", alice)
    assert seen
    assert "before request middleware with a priority below 100" in seen[0]


async def test_what_outlives_its_request(app: Any, config: JWTConfig, site_of: Open, alice: str, bob: str) -> None:
    """A worker, or a thread, that starts in a request speaks for its user no longer than the request lasts."""  # S131
    install(app, config)
    inherited: list[contextvars.Context] = []
    seen: list[str | None] = []
    ask, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        seen.append(name_of(current_token()))
        await ask.wait()
        seen.append(name_of(current_token()))
        done.set()

    @app.get("/first")
    async def first(request: Request) -> HTTPResponse:
        inherited.append(contextvars.copy_context())
        app.ctx.worker = asyncio.create_task(work())
        await asyncio.sleep(0)
        return empty()

    @app.get("/second")
    async def second(request: Request) -> HTTPResponse:
        ask.set()
        await done.wait()
        seen.append(name_of(await asyncio.to_thread(inherited[0].run, current_token)))
        return empty()

    async with site_of(app) as site:
        await site.get("/first", alice)
        await site.get("/second", bob)
    assert ["alice", None, None] == seen


async def test_after_the_response(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """A handler that goes on after it has sent its whole response speaks for nobody."""
    install(app, config)
    seen: list[str | None] = []

    @app.get("/")
    async def handler(request: Request) -> None:
        response = await request.respond(content_type="text/plain")
        await response.send("a")
        seen.append(name_of(current_token()))
        await response.eof()
        seen.append(name_of(current_token()))

    async with site_of(app) as site:
        assert "a" == (await site.get("/", alice)).text
    assert ["alice", None] == seen


async def test_a_websocket_s_tasks(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """The tasks of a websocket know their user as long as it is open."""
    install(app, config)
    seen: list[str | None] = []

    @app.websocket("/")
    async def handler(request: Request, ws: Any) -> None:
        for _ in range(2):
            await asyncio.create_task(note())
            await ws.send("hello")

    async def note() -> None:
        seen.append(name_of(current_token()))

    @app.signal("websocket.handler.after")
    async def after(**_: Any) -> None:
        seen.append(name_of(current_token()))

    async with site_of(app) as site:
        assert ["hello", "hello"] == list((await site.talk("/", alice)).texts)
        assert current_token() is None  # in ASGI mode, this task has handled the request
    assert ["alice", "alice", "alice"] == seen


# Websockets -----------------------------------------------------------------------------------------------------------


def plain_wrapper(handler: Any) -> Any:
    """A decorator that forgets what it wraps, so that nobody can see a guard through it."""

    async def wrapper(request: Request, ws: Any) -> Any:
        return await handler(request, ws)

    return wrapper


def add_websockets(app: Any) -> None:
    @app.websocket("/guarded")
    @jwt_required(allow="USER")
    async def guarded(request: Request, ws: Any, token: Token) -> None:
        await ws.send(f"{token.identity}: {await ws.recv()}")
        await ws.send("done")

    @app.websocket("/optional")
    @jwt_required(optional=True)
    async def optional(request: Request, ws: Any, token: Token | None) -> None:
        await ws.send(f"{token and token.identity}: {await ws.recv()}")
        await ws.send("done")

    @app.websocket("/open")
    async def opened(request: Request, ws: Any) -> None:
        await ws.send(f"open: {await ws.recv()}")
        await ws.send("done")

    @app.websocket("/hidden")
    @plain_wrapper
    @jwt_required(allow="USER")
    async def hidden(request: Request, ws: Any, token: Token) -> None:
        await ws.send(f"{token.identity}: {await ws.recv()}")
        await ws.send("done")

    @app.websocket("/late")
    async def late(request: Request, ws: Any) -> None:
        await ws.send("late")
        await ws.send(get_token(request).identity)


async def test_websockets(app: Any, config: JWTConfig, site_of: Open, alice: str, bob: str) -> None:
    """A guard is asked before the handshake, by the rules of its route, in both modes."""  # S125
    install(app, config, required=False)
    add_websockets(app)
    async with site_of(app) as site:
        for path, raws, said in (
            ("/guarded", [alice], "alice: hello"),
            ("/hidden", [alice], "alice: hello"),
            ("/optional", [bob], "bob: hello"),
            ("/optional", [], "None: hello"),
            ("/open", [], "open: hello"),
            ("/open", ["a.b.c"], "open: hello"),
        ):
            assert [said, "done"] == list((await site.talk(path, *raws)).texts)
        for path, raws, status in (
            ("/guarded", [], 401),
            ("/guarded", ["a.b.c"], 401),
            ("/guarded", [alice, alice], 400),
            ("/guarded", [bob], 403),
            ("/optional", ["a.b.c"], 401),
        ):
            assert (path, status) == (path, (await site.talk(path, *raws)).status)


async def test_a_store_is_asked_before_the_handshake(
    app: Any, config: JWTConfig, clock: HeldClock, site_of: Open, alice: str
) -> None:
    """Where the middleware has asked for no token, the guard asks a store that has to be asked, before the handshake."""
    store = Distant(clock=clock)
    install(app, config, store=store, exempt=["/guarded"])
    add_websockets(app)
    async with site_of(app) as site:
        assert ["alice: hello", "done"] == list((await site.talk("/guarded", alice)).texts)
        await revoke_token(verify_token(alice, config), config, store)
        assert 401 == (await site.talk("/guarded", alice)).status
    assert 2 == store.asked


@pytest.mark.parametrize("path", ["/guarded", "/optional", "/open", "/hidden", "/unknown"])
async def test_every_websocket_is_protected(app: Any, config: JWTConfig, site_of: Open, path: str) -> None:
    """With `required` no websocket opens without a token, guarded or not (trap: HTTP-only middleware)."""  # S124
    install(app, config)
    add_websockets(app)
    async with site_of(app) as site:
        assert 401 == (await site.talk(path)).status


@pytest.mark.parametrize("extensions", [{}, None], ids=str)
async def test_a_refusal_in_asgi_mode_without_denial(
    app: Any, config: JWTConfig, alice: str, bob: str, extensions: Any
) -> None:
    """Where the server cannot deny, the socket is closed before accept, with the code that says the same."""  # S125
    install(app, config, required=False)
    add_websockets(app)
    async with lifespan(app):
        for headers, code in (((), 3000), ((bearer(bob),), 3003)):
            answer = await talk(app, "/guarded", *headers, extensions=extensions)
            assert [{"type": "websocket.close", "code": code, "reason": ""}] == answer.messages
        answer = await talk(app, "/guarded", bearer(alice), extensions=extensions, says=["salve"])
        assert ["alice: salve", "done"] == answer.texts


async def test_a_denial_in_asgi_mode(app: Any, config: JWTConfig) -> None:
    """The denial is made of whole messages, its headers a list that a server may read twice."""  # S125
    install(app, config)
    async with lifespan(app):
        start, body = (await talk(app, "/")).messages
    assert ("websocket.http.response.start", 401) == (start["type"], start["status"])
    assert isinstance(start["headers"], list)
    assert [b'Bearer realm="api"'] == [value for name, value in start["headers"] if name == b"www-authenticate"]
    assert ("websocket.http.response.body", "unauthorized") == (
        body["type"],
        json_module.loads(body["body"])["error"],
    )


@pytest.mark.parametrize(("who", "code"), [("nobody", 3000), ("bob", 3003)])
async def test_a_guard_that_nobody_could_ask_before(app: Any, config: JWTConfig, bob: str, who: str, code: int) -> None:
    """A guard below a decorator that hides it still lets nobody in: the socket is closed at once."""
    install(app, config, required=False)
    add_websockets(app)
    raws = [bob] if who == "bob" else []
    async with lifespan(app):
        answer = await talk(app, "/hidden", *map(bearer, raws), says=["salve"])
    assert ["websocket.accept", "websocket.close"] == answer.types
    assert code == answer.close_code


async def test_reading_the_token_after_the_handshake(app: Any, config: JWTConfig, alice: str) -> None:
    """An error in a websocket handler is logged by Sanic and ends the handler; nothing more is said."""
    install(app, config, required=False)
    add_websockets(app)
    async with lifespan(app):
        assert ["late", "alice"] == (await talk(app, "/late", bearer(alice))).texts
        answer = await talk(app, "/late")
    assert ["websocket.accept", "websocket.send"] == answer.types


async def test_a_plain_request_to_a_websocket_route(app: Any, config: JWTConfig, site_of: Open) -> None:
    """A request without an upgrade is refused like any other."""
    install(app, config)
    add_websockets(app)
    async with site_of(app) as site:
        response = await site.get("/guarded")
    assert (401, "unauthorized") == (response.status_code, response.json()["error"])


# Around it ------------------------------------------------------------------------------------------------------------


async def test_wrapped_without_install(app: Any, config: JWTConfig, alice: str, bob: str) -> None:
    """In ASGI mode the middleware alone does: guards and `get_token` read what it has found."""

    @app.get("/")
    @jwt_required(allow="USER")
    async def handler(request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token.identity, "same": token is get_token(request) is request.scope["token"]})

    add_websockets(app)
    async with asgi_site(JWTMiddleware(app, config)) as site:  # type: ignore[arg-type]
        assert {"identity": "alice", "same": True} == (await site.get("/", alice)).json()
        assert 401 == (await site.get("/")).status_code
        assert 403 == (await site.get("/", bob)).status_code
        assert ["alice: hello", "done"] == list((await site.talk("/guarded", alice)).texts)
        assert 401 == (await site.talk("/guarded")).status
        assert 3003 == (await site.talk("/guarded", bob)).code


async def test_wrapped_and_installed(
    app: Any, config: JWTConfig, alice: str, bob: str, verifications: list[str]
) -> None:
    """Both together verify once, and the rules of routes still come before the handshake (trap: verified twice)."""
    install(app, config)

    @app.get("/")
    @jwt_required
    async def handler(request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token.identity, "same": token is request.ctx.token is request.scope["token"]})

    add_websockets(app)
    async with asgi_site(JWTMiddleware(app, config)) as site:  # type: ignore[arg-type]
        assert {"identity": "alice", "same": True} == (await site.get("/", alice)).json()
        assert [alice] == verifications
        assert 403 == (await site.talk("/guarded", bob)).status
        assert [alice, bob] == verifications


async def test_a_guard_without_install(app: Any, site_of: Open, alice: str) -> None:
    """Nothing has prepared the request, so nobody gets in: it is an error of the application."""

    @app.get("/")
    @jwt_required
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    async with site_of(app) as site:
        assert 500 == (await site.get("/", alice)).status_code


async def test_the_error_of_a_handler(app: Any, config: JWTConfig, site_of: Open, clock: HeldClock, alice: str) -> None:
    """`install` answers a `TokenError` that a handler lets go, one of the application's own included."""

    class SuspendedError(TokenError):
        code = "suspended"
        status = 403
        error = "insufficient_scope"
        description = "The account is suspended."

    install(app, config, required=False, realm="orders")

    @app.get("/")
    async def handler(request: Request) -> HTTPResponse:
        raise SuspendedError

    async with site_of(app) as site:
        response = await site.get("/", alice)
    assert (403, "The account is suspended.") == (response.status_code, response.json()["error_description"])
    assert response.headers["www-authenticate"].startswith('Bearer realm="orders", error="insufficient_scope"')


# sanic-ext ------------------------------------------------------------------------------------------------------------


def add_injected(app: Any) -> None:
    @app.get("/injected")
    async def injected(request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token.identity, "same": token is current_token() is request.ctx.token})

    @app.get("/injected/<number:int>")
    async def with_path(request: Request, number: int, token: Token) -> HTTPResponse:
        return json({"identity": token.identity, "number": number})

    @app.post("/refresh")
    @jwt_required(type="refresh")
    async def refresh(request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token.identity, "type": token.type})

    @app.get("/optional")
    @jwt_required(optional=True)
    async def optional(request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token and token.identity})

    @app.websocket("/ws")
    async def websocket(request: Request, ws: Any, token: Token) -> None:
        await ws.send(token.identity)
        await ws.send("done")


async def test_injection(extended: Any, config: JWTConfig, site_of: Open, alice: str, verifications: list[str]) -> None:
    """With sanic-ext a handler asks for a `Token` by its type alone, websockets too, and it is verified once."""
    install(extended, config, required=False)
    add_injected(extended)
    async with site_of(extended) as site:
        assert {"identity": "alice", "same": True} == (await site.get("/injected", alice)).json()
        assert 1 == len(verifications)
        assert {"identity": "alice", "number": 7} == (await site.get("/injected/7", alice)).json()
        assert ["alice", "done"] == list((await site.talk("/ws", alice)).texts)


async def test_a_store_is_asked_before_injection(
    extended: Any, config: JWTConfig, clock: HeldClock, site_of: Open, alice: str
) -> None:
    """Where the middleware has asked for no token, a store that has to be asked is asked before one is injected."""
    store = Distant(clock=clock)
    install(extended, config, store=store, exempt=["/injected"])
    add_injected(extended)
    async with site_of(extended) as site:
        assert "alice" == (await site.get("/injected", alice)).json()["identity"]
        await revoke_token(verify_token(alice, config), config, store)
        assert 401 == (await site.get("/injected", alice)).status_code
    assert 2 == store.asked


@pytest.mark.parametrize("required", [True, False])
async def test_injection_refuses(
    extended: Any, config: JWTConfig, site_of: Open, clock: HeldClock, alice: str, required: bool
) -> None:
    """Nothing is injected where there is nothing: the handler does not run, and the answer says why."""
    install(extended, config, required=required)
    add_injected(extended)
    refresh = create_refresh_token("alice", config)
    async with site_of(extended) as site:
        for raws, status, error in (
            ([], 401, "unauthorized"),
            ([refresh], 401, "invalid_token"),
            (["a.b.c"], 401, "invalid_token"),
            ([alice, alice], 400, "invalid_request"),
        ):
            response = await site.get("/injected", *raws)
            assert (status, error) == (response.status_code, response.json()["error"])
            assert status == (await site.talk("/ws", *raws)).status
        clock.now += 3600
        assert 401 == (await site.get("/injected", alice)).status_code


async def test_a_guard_goes_before_injection(extended: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """A guarded handler gets its token by its own rules: a refresh token, or None."""
    install(extended, config, required=False)
    add_injected(extended)
    headers = {"authorization": f"Bearer {create_refresh_token('alice', config)}"}
    async with site_of(extended) as site:
        response = await site.client.post("/refresh", headers=headers)
        assert {"identity": "alice", "type": "refresh"} == response.json()
        assert {"identity": None} == (await site.get("/optional")).json()
        assert {"identity": "alice"} == (await site.get("/optional", alice)).json()


async def test_extended_without_injection(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """Where sanic-ext does not inject, the application starts all the same, and guards work."""
    sanic_ext = pytest.importorskip("sanic_ext")
    install(app, config)

    @app.get("/")
    @jwt_required
    async def handler(request: Request, token: Token) -> HTTPResponse:
        return json({"identity": token.identity})

    sanic_ext.Extend(app, built_in_extensions=False)
    async with site_of(app) as site:
        assert {"identity": "alice"} == (await site.get("/", alice)).json()


async def test_a_refusal_in_a_group(app: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """A group of nothing but refusals is answered as the first of them; any other is an error of the application."""
    install(app, config, required=False)

    @app.get("/refused")
    async def refused(request: Request) -> HTTPResponse:
        async def one() -> None:
            get_token(request)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
        return empty()

    @app.get("/mixed")
    async def mixed(request: Request) -> HTTPResponse:
        raise ExceptionGroup("tasks", [MissingTokenError(), LookupError()])

    @app.exception(LookupError)
    async def lost(request: Request, error: LookupError) -> HTTPResponse:
        return json({"lost": True}, status=404)

    @app.get("/lost")
    async def loses(request: Request) -> HTTPResponse:
        raise LookupError

    async with site_of(app) as site:
        assert [401, 500, 404] == [(await site.get(path)).status_code for path in ("/refused", "/mixed", "/lost")]
        assert 204 == (await site.get("/refused", alice)).status_code


@pytest.mark.parametrize(
    ("origins", "options", "status", "warnings"),
    [
        ("https://app.example", {}, 401, 1),
        ("https://app.example", {"allow_preflight": True}, 204, 0),
        ("", {}, 401, 0),
    ],
)
async def test_cors_of_sanic_ext(
    config: JWTConfig,
    site_of: Open,
    caplog: pytest.LogCaptureFixture,
    origins: str,
    options: dict[str, Any],
    status: int,
    warnings: int,
) -> None:
    """sanic-ext answers preflights behind the guard, so they have to be allowed; the log says so at startup."""  # S11
    sanic_ext = pytest.importorskip("sanic_ext")
    app = new_app()
    app.config.CORS_ORIGINS = origins
    sanic_ext.Extend(app)
    part = Blueprint("part", url_prefix="/part")
    install(part, config)
    install(app, config, **options)

    @app.get("/")
    @part.get("/")
    async def handler(request: Request) -> HTTPResponse:
        return empty()

    app.blueprint(part)
    preflight = {"origin": "https://app.example", "access-control-request-method": "GET"}
    async with site_of(app) as site:
        assert warnings == [record.getMessage() for record in caplog.records].count(CORS_INSIDE)
        for path in ("/", "/part/"):
            answer = await site.client.options(path, headers=preflight)
            assert status == answer.status_code
            assert (origins or None) == answer.headers.get("access-control-allow-origin")
            assert 401 == (await site.get(path)).status_code


def test_what_is_no_application(config: JWTConfig) -> None:
    """Something else in the place of the application is refused with the order of the arguments, at the call."""  # S150
    for app in (config, JWTMiddleware(new_app(), config), Sanic, None):
        with pytest.raises(SettingError, match=rf"not {type(app).__name__}: install\(app, config\)$"):
            install(app, config)  # type: ignore[arg-type]
