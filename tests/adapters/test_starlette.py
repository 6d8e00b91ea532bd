"""What is particular to Starlette."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_jwt_claims import (
    BearerHeader,
    ErrorResponse,
    JWTConfig,
    JWTMiddleware,
    Token,
    TokenError,
    create_access_token,
    current_token,
)
from asgi_jwt_claims.auth.paths.exempt import CORS_INSIDE
from asgi_jwt_claims.auth.request import get_token
from asgi_jwt_claims.errors import (
    ForbiddenError,
    MissingTokenError,
    NotGuardedError,
    SettingError,
    StoreUnavailableError,
)
from asgi_jwt_claims.starlette import install, jwt_required, token_error_handler
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import App, Header, Receive, Scope, Send, ask, bearer, drive, http_scope, lifespan, talk

pytestmark = pytest.mark.anyio


def built(config: JWTConfig, *routes: BaseRoute, **options: Any) -> Any:
    app = Starlette(routes=routes)
    install(app, config, **options)
    return app


@pytest.fixture
def alice(config: JWTConfig) -> Header:
    return bearer(create_access_token("alice", config, roles="USER"))


async def whoami(request: Request) -> Response:
    return JSONResponse({"identity": get_token(request).identity, "path": request.url.path})


# Handlers --------------------------------------------------------------------------------------------------------------


async def test_a_handler_that_takes_anything(config: JWTConfig, alice: Header) -> None:
    """`**kwargs` receives the token, too."""

    @jwt_required
    async def handler(request: Request, **kwargs: Any) -> Response:
        return JSONResponse({name: value.identity for name, value in kwargs.items()})

    assert {"token": "alice"} == (await ask(built(config, Route("/", handler)), "/", alice)).json


async def test_a_sync_handler_does_not_hold_up_the_loop(config: JWTConfig, alice: Header) -> None:
    """A sync handler runs in a worker thread, as Starlette runs those without a guard."""
    seen: list[Any] = []

    @jwt_required
    def handler(request: Request, token: Token) -> Response:
        seen.append((threading.get_ident(), current_token() is token))
        return Response()

    await ask(built(config, Route("/", handler)), "/", alice)
    ((thread, current),) = seen
    assert threading.get_ident() != thread
    assert current


async def test_a_guarded_handler_keeps_its_name() -> None:
    """Starlette names routes after handlers, guarded or not."""

    @jwt_required(scopes="read")
    async def orders(request: Request) -> Response:
        """All orders."""
        raise AssertionError("reached")

    assert ("orders", "All orders.") == (orders.__name__, orders.__doc__)
    assert "orders" == Route("/", orders).name


class Asynchronous:
    """A handler that is an object with an async `__call__`."""

    async def __call__(self, request: Request, token: Token) -> Response:
        return JSONResponse({"identity": token.identity})


async def partly(greeting: str, request: Request, token: Token) -> Response:
    return JSONResponse({"identity": token.identity})


@pytest.mark.parametrize("handler", [Asynchronous(), functools.partial(partly, "salve")], ids=["object", "partial"])
async def test_handlers_that_are_no_functions(config: JWTConfig, alice: Header, handler: Any) -> None:
    """Whatever can be awaited like a handler is guarded like one."""
    app = built(config, Route("/", jwt_required(handler)))
    assert {"identity": "alice"} == (await ask(app, "/", alice)).json
    assert 401 == (await ask(app, "/")).status


async def test_two_guards(config: JWTConfig, alice: Header) -> None:
    """Guards add up: the stricter one decides, whichever stands outside."""

    async def handler(request: Request, token: Token) -> Response:
        return Response()

    inside = jwt_required(jwt_required(allow="ADMIN")(handler))
    outside = jwt_required(allow="ADMIN")(jwt_required(handler))
    app = built(config, Route("/inside", inside), Route("/outside", outside))
    admin = bearer(create_access_token("alice", config, roles="ADMIN"))
    for path in ("/inside", "/outside"):
        assert [403, 200] == [(await ask(app, path, header)).status for header in (alice, admin)]


async def test_the_scopes_of_two_guards(config: JWTConfig) -> None:
    """The challenge of each guard names the scopes of all, of those between other decorators too."""  # S116

    def between(handler: Any) -> Any:
        @functools.wraps(handler)
        async def other(request: Request) -> Any:
            return await handler(request)

        return other

    @jwt_required(scopes="a b")
    @between
    @jwt_required(scopes="c")
    @jwt_required(scopes="b d")
    async def handler(request: Request) -> Response:
        return Response()

    app = built(config, Route("/", handler))
    for scope in ("", "a b", "c d", "a b c"):
        answer = await ask(app, "/", bearer(create_access_token("alice", config, scope=scope)))
        assert 403 == answer.status
        assert answer.headers["www-authenticate"].endswith('scope="a b c d"')
    assert 200 == (await ask(app, "/", bearer(create_access_token("alice", config, scope="a b c d")))).status


@pytest.mark.parametrize(
    "decorate",
    [
        lambda: jwt_required("ADMIN"),
        lambda: jwt_required(None)("ADMIN"),
        lambda: jwt_required(optional=1),
        lambda: jwt_required(optional="yes"),
        lambda: jwt_required(fresh="no"),
        lambda: jwt_required(type=""),
        lambda: jwt_required(allow=5),
        lambda: jwt_required(allow=""),
        lambda: jwt_required(allow=[None]),
        lambda: jwt_required(deny=[""]),
        lambda: jwt_required(scopes=["read write"]),
        lambda: jwt_required(scopes=['a"b']),
    ],
)
def test_rules_that_make_no_sense(decorate: Callable[[], Any]) -> None:
    """A guard that could never mean what it says is refused when decorating, not when a request comes."""
    with pytest.raises(SettingError):
        decorate()


async def test_a_guard_without_a_middleware(alice: Header) -> None:
    """A guard that nobody has prepared the request for lets nobody in, and says what is missing."""

    @jwt_required
    async def handler(request: Request) -> Response:
        raise AssertionError("reached")

    app: Any = Starlette(routes=[Route("/", handler)])
    with pytest.raises(NotGuardedError, match="JWTMiddleware"):
        await ask(app, "/", alice)


async def test_a_guard_without_a_request() -> None:
    """A guarded function that is called with no request at all lets nobody in."""

    @jwt_required
    async def handler(*args: Any) -> Response:
        raise AssertionError("reached")

    with pytest.raises(NotGuardedError):
        await handler("request")


async def test_the_request_may_go_by_name(config: JWTConfig, alice: Header) -> None:
    """The request is found among the named arguments as well."""

    @jwt_required
    async def inner(*, request: Request, token: Token) -> Response:
        return JSONResponse({"identity": token.identity})

    async def handler(request: Request) -> Response:
        return await inner(request=request)  # type: ignore[call-arg]

    app = built(config, Route("/", handler), required=False)
    assert {"identity": "alice"} == (await ask(app, "/", alice)).json
    assert 401 == (await ask(app, "/")).status


# Errors ----------------------------------------------------------------------------------------------------------------


async def test_the_error_handler_without_install(config: JWTConfig) -> None:
    """Where the application is wrapped, its handlers' errors are answered by the handler that it has registered."""
    app = Starlette(routes=[Route("/", whoami)], exception_handlers={TokenError: token_error_handler})
    answer = await ask(JWTMiddleware(app, config, required=False, realm="outer"), "/")  # type: ignore[arg-type]
    assert (401, 'Bearer realm="outer"') == (answer.status, answer.headers["www-authenticate"])


async def test_the_error_handler_passes_on_what_is_not_ours() -> None:
    """An exception of another kind goes on as it is."""
    error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError) as caught:
        await token_error_handler(HTTPConnection({"type": "http"}), error)
    assert error is caught.value


async def test_the_error_handler_needs_a_middleware() -> None:
    """Without a middleware nothing says how to answer."""
    with pytest.raises(NotGuardedError):
        await token_error_handler(HTTPConnection({"type": "http"}), MissingTokenError())


# Websockets ------------------------------------------------------------------------------------------------------------


class Diary(WebSocketEndpoint):
    encoding = "text"

    def note(self, entry: Any) -> None:
        self.scope["app"].state.diary.append(entry)

    @jwt_required
    async def on_connect(self, websocket: WebSocket, token: Token) -> None:  # type: ignore[override]
        self.note(token.identity)
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        self.note(data)

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.note(close_code)


@pytest.mark.parametrize("denial", [True, False])
async def test_a_guarded_on_connect(config: JWTConfig, alice: Header, denial: bool) -> None:
    """An endpoint whose `on_connect` is refused hears nothing of the client, only that it has gone."""  # S125
    app = built(config, WebSocketRoute("/", Diary), required=False)
    app.state.diary = []
    await talk(app, "/", alice, says=["salve"], denial=denial)
    assert ["alice", "salve", 1005] == app.state.diary
    app.state.diary.clear()
    answer = await talk(app, "/", says=["salve"], denial=denial)
    assert [3000] == app.state.diary
    refusal = ["websocket.http.response.start", "websocket.http.response.body"] if denial else ["websocket.close"]
    assert refusal == answer.types


class Late(WebSocketEndpoint):
    encoding = "text"

    @jwt_required(allow="ADMIN")
    async def on_receive(self, websocket: WebSocket, data: Any, token: Token) -> None:  # type: ignore[override]
        await websocket.send_text(f"{token.identity}: {data}")


@pytest.mark.parametrize("denial", [True, False])
async def test_a_guarded_on_receive(config: JWTConfig, alice: Header, denial: bool) -> None:
    """A guard that asks after the handshake closes the socket with the code that says the same."""
    app = built(config, WebSocketRoute("/", Late), required=False)
    admin = bearer(create_access_token("root", config, roles="ADMIN"))
    assert ["root: salve"] == (await talk(app, "/", admin, says=["salve"], denial=denial)).texts
    for headers, code in (((), 3000), ((alice,), 3003)):
        answer = await talk(app, "/", *headers, says=["salve", "again"], denial=denial)
        assert ["websocket.accept", "websocket.close"] == answer.types
        assert code == answer.close_code


class Careless(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_text(get_token(websocket).identity)


async def test_an_endpoint_that_reads_the_token_late(config: JWTConfig, alice: Header) -> None:
    """`get_token` after the handshake closes the socket too: nothing else can be said by then."""
    app = built(config, WebSocketRoute("/", Careless), required=False)
    assert ["alice"] == (await talk(app, "/", alice, says=["salve"])).texts
    answer = await talk(app, "/", says=["salve"], denial=False)
    assert ["websocket.accept", "websocket.close"] == answer.types
    assert 3000 == answer.close_code


async def careless(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(get_token(websocket).identity)


async def careful(websocket: WebSocket) -> None:
    token = get_token(websocket)
    await websocket.accept()
    await websocket.send_text(token.identity)


@pytest.mark.parametrize(
    ("handler", "types"),
    [
        (careless, ["websocket.accept", "websocket.close"]),
        (careful, ["websocket.http.response.start", "websocket.http.response.body"]),
    ],
)
async def test_a_function_that_reads_the_token(
    config: JWTConfig, alice: Header, handler: Any, types: list[str]
) -> None:
    """The refusal takes the form that is still possible: a denial before the handshake, a close after it."""  # S125
    app = built(config, WebSocketRoute("/", handler), required=False)
    assert ["alice"] == (await talk(app, "/", alice)).texts
    assert types == (await talk(app, "/")).types


@pytest.mark.parametrize(
    ("before", "types"),
    [
        ("accept", ["websocket.accept", "websocket.close"]),
        ("close", ["websocket.close"]),
        ("nothing", ["websocket.http.response.start", "websocket.http.response.body"]),
    ],
)
async def test_a_guard_below_the_handler(config: JWTConfig, before: str, types: list[str]) -> None:
    """A guarded function that the handler calls refuses according to what has become of the socket."""

    @jwt_required
    async def inner(websocket: WebSocket) -> None:
        raise AssertionError("reached")

    async def handler(websocket: WebSocket) -> None:
        if before != "nothing":
            await getattr(websocket, before)()
        await inner(websocket)
        assert "websocket.disconnect" == (await websocket.receive())["type"]

    answer = await talk(built(config, WebSocketRoute("/", handler), required=False), "/")
    assert types == answer.types


# Middleware ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["application", "mounted", "mount", "route"])
async def test_the_middleware_at_any_height(config: JWTConfig, alice: Header, where: str) -> None:
    """Around the application, in a mounted one, on a mount or on a route: the handler reads the same."""  # S123
    guard = Middleware(JWTMiddleware, config)
    guards = {name: [guard] if name == where else None for name in ("application", "mounted", "mount", "route")}
    route = Route("/me", whoami, middleware=guards["route"])
    mount = Mount("/api", Starlette(routes=[route], middleware=guards["mounted"]), middleware=guards["mount"])
    app: Any = Starlette(routes=[mount], middleware=guards["application"])
    answer = await ask(app, "/api/me", alice)
    assert {"identity": "alice", "path": "/api/me"} == answer.json
    assert 401 == (await ask(app, "/api/me")).status


@pytest.mark.parametrize("kind", ["mount", "router"])
async def test_a_guarded_group(config: JWTConfig, alice: Header, kind: str) -> None:
    """A middleware on a group guards its routes, unknown paths too, and leaves the others open."""  # S123

    async def index(request: Request) -> Response:
        return Response()

    async def other(request: Request) -> Response:
        raise AssertionError("reached")

    @jwt_required
    async def converse(websocket: WebSocket, token: Token) -> None:
        await websocket.accept()
        await websocket.send_text(token.identity)

    group = [Route("/me", whoami), Route("/admin", jwt_required(allow="ADMIN")(other)), WebSocketRoute("/ws", converse)]
    guard = [Middleware(JWTMiddleware, config=config)]
    mounts = {
        "mount": Mount("/x", routes=group, middleware=guard),
        "router": Mount("/x", Router(group, middleware=guard)),
    }
    app: Any = Starlette(routes=[Route("/", index), mounts[kind]])
    assert [200, 404] == [(await ask(app, path)).status for path in ("/", "/unknown")]
    assert [401, 401, 401] == [(await ask(app, path)).status for path in ("/x/me", "/x/admin", "/x/unknown")]
    assert [200, 403, 404] == [(await ask(app, path, alice)).status for path in ("/x/me", "/x/admin", "/x/unknown")]
    assert (401, ["alice"]) == ((await talk(app, "/x/ws")).status, (await talk(app, "/x/ws", alice)).texts)


@pytest.mark.parametrize(("exempt", "status"), [("/me", 200), ("/api/me", 401), ("/api/*", 401)])
async def test_exempt_paths_of_a_mounted_application(config: JWTConfig, exempt: str, status: int) -> None:
    """A mounted application names its paths as its routes do, wherever it is mounted."""  # S123

    async def handler(request: Request) -> Response:
        return Response()

    inner = Starlette(routes=[Route("/me", handler)], middleware=[Middleware(JWTMiddleware, config, exempt=[exempt])])
    app: Any = Starlette(routes=[Mount("/api", inner)])
    assert status == (await ask(app, "/api/me")).status


ORIGIN = (b"origin", b"https://app.example")
ASKS = (b"access-control-request-method", b"GET")


async def test_cors_around_the_guard(config: JWTConfig) -> None:
    """Added after `install`, CORS runs first: refusals carry its headers, exposed ones too, and it answers preflights."""
    app = built(config, Route("/", whoami))
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"], expose_headers=["WWW-Authenticate"])
    refused = await ask(app, "/", ORIGIN)
    assert (401, "https://app.example") == (refused.status, refused.headers["access-control-allow-origin"])
    assert "WWW-Authenticate" == refused.headers["access-control-expose-headers"]  # S118
    assert 200 == (await ask(app, "/", ORIGIN, ASKS, method="OPTIONS")).status


@pytest.mark.parametrize(("allow_preflight", "status", "warned"), [(False, 401, 1), (True, 200, 0)])
async def test_cors_inside_the_guard(
    config: JWTConfig, caplog: pytest.LogCaptureFixture, allow_preflight: bool, status: int, warned: int
) -> None:
    """Added before `install`, it gets its preflights only by choice, and refusals come without its headers."""  # S11
    app: Any = Starlette(routes=[Route("/", whoami)])
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"])
    install(app, config, allow_preflight=allow_preflight)
    async with lifespan(app):
        assert warned == [record.message for record in caplog.records].count(CORS_INSIDE)
    assert status == (await ask(app, "/", ORIGIN, ASKS, method="OPTIONS")).status
    refused = await ask(app, "/", ORIGIN)
    assert 401 == refused.status
    assert "access-control-allow-origin" not in refused.headers


async def test_streams_and_background_tasks(config: JWTConfig, alice: Header) -> None:
    """While the body is streamed, and after it, the token is still the current one."""  # S132
    seen: list[Any] = []

    async def body() -> AsyncIterator[bytes]:
        for _ in range(2):
            seen.append(current_token())
            yield b"x"

    async def afterwards() -> None:
        seen.append(current_token())

    def afterwards_in_a_thread() -> None:
        seen.append(current_token())

    async def stream(request: Request) -> Response:
        return StreamingResponse(body(), background=BackgroundTask(afterwards))

    async def plain(request: Request) -> Response:
        return Response(background=BackgroundTask(afterwards_in_a_thread))

    app = built(config, Route("/stream", stream), Route("/plain", plain))
    stays = {"asgi": {"version": "3.0", "spec_version": "2.4"}}  # with a client that does not leave at once
    await ask(app, "/stream", alice, **stays)
    await ask(app, "/plain", alice)
    assert ["alice"] * 4 == [token.identity for token in seen]


async def test_a_base_http_middleware_between(config: JWTConfig, alice: Header) -> None:
    """A middleware of Starlette's own kind between the guard and the handler loses nothing."""
    seen: list[Any] = []

    async def between(request: Request, call_next: Any) -> Response:
        seen.append(get_token(request))
        response: Response = await call_next(request)
        return response

    async def handler(request: Request) -> Response:
        seen.extend([get_token(request), current_token()])
        return Response()

    app: Any = Starlette(routes=[Route("/", handler)])
    app.add_middleware(BaseHTTPMiddleware, dispatch=between)
    install(app, config)
    assert 200 == (await ask(app, "/", alice)).status
    assert 1 == len({id(token) for token in seen})


async def test_outer_middleware_sees_the_route(config: JWTConfig, alice: Header) -> None:
    """The scope is the same object for everybody, so that what routing writes into it reaches outer middleware."""  # S130
    seen: list[Any] = []

    class Outer:
        def __init__(self, app: App) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            seen.append((scope["endpoint"], scope["token"].identity, scope["state"]))

    async def handler(request: Request) -> Response:
        request.state.touched = True
        return Response()

    app = built(config, Route("/", handler))
    app.add_middleware(Outer)
    await ask(app, "/", alice, state={})
    assert [(handler, "alice", {"touched": True})] == seen


async def test_the_body_is_left_to_the_handler(config: JWTConfig, alice: Header) -> None:
    """A guarded handler reads the whole body itself."""  # S9

    @jwt_required
    async def handler(request: Request) -> Response:
        return Response(await request.body())

    app = built(config, Route("/", handler, methods=["POST"]))
    body = [{"type": "http.request", "body": b"sal", "more_body": True}, {"type": "http.request", "body": b"ve"}]
    answer = await drive(app, http_scope("/", alice, method="POST"), *body)
    assert b"salve" == answer.body


@pytest.mark.parametrize("handler", [WebSocketEndpoint, "protected", 7])
def test_only_handlers_can_be_guarded(handler: Any) -> None:
    """A whole class, or an option given by position, is refused when decorating."""
    with pytest.raises(SettingError, match="guards a handler"):
        jwt_required(handler)


async def test_requires_authenticated(config: JWTConfig) -> None:
    """With `set_user` each user with a token has the scope "authenticated", beside those of the token; no other has."""

    @requires("authenticated", status_code=418)
    async def known(request: Request) -> Response:
        return JSONResponse(request.user.display_name)

    @requires(["authenticated", "admin"], status_code=418)
    async def admins(request: Request) -> Response:
        return JSONResponse(sorted(request.auth.scopes))

    app = Starlette(routes=[Route("/known", known), Route("/admins", admins)])
    install(app, config, set_user=True, required=False)
    user, admin, sly = (
        bearer(create_access_token("alice", config, scope=scope)) for scope in (None, "admin", "authenticated")
    )
    for path, headers, expected in (
        ("/known", [], None),
        ("/known", [bearer("a.b.c")], None),
        ("/known", [user], "alice"),
        ("/known", [sly], "alice"),
        ("/admins", [], None),
        ("/admins", [user], None),
        ("/admins", [sly], None),
        ("/admins", [admin], ["admin", "authenticated"]),
    ):
        answer = await ask(app, path, *headers)
        assert (418, None) == (answer.status, expected) or expected == answer.json


async def reads_the_token(request: Request) -> Response:
    return JSONResponse(get_token(request).identity)


async def forbids(request: Request) -> Response:
    raise ForbiddenError()


READS: list[BaseRoute] = [Route("/token", reads_the_token), Route("/forbidden", forbids)]


@pytest.mark.parametrize("path", ["/token", "/forbidden"])
@pytest.mark.parametrize("late", [False, True], ids=["before install", "after it"])
@pytest.mark.parametrize(
    "mounted",
    [
        Mount("/sub", Starlette(routes=READS)),
        Mount("/sub", Starlette(debug=True, routes=READS)),
        Mount("/sub", Starlette(routes=READS), middleware=[Middleware(CORSMiddleware)]),
        Mount("/sub", routes=READS),
        Mount("/sub", routes=[Mount("/", Starlette(routes=[Mount("/", Starlette(routes=READS))]))]),
        Host("testserver", Starlette(routes=[Mount("/sub", Starlette(routes=READS))])),
    ],
    ids=["application", "debug", "middleware", "routes", "deep", "host"],
)
async def test_an_error_in_a_mounted_application(config: JWTConfig, mounted: Any, late: bool, path: str) -> None:
    """What a handler of a mounted application lets go is answered as in the application itself."""
    app = Starlette(routes=READS if late else [*READS, mounted])
    install(app, config, required=False)
    if late:
        app.routes.append(mounted)
    own, theirs = await ask(app, path), await ask(app, f"/sub{path}")
    assert {"/token": 401, "/forbidden": 403}[path] == own.status
    assert (own.status, own.body) == (theirs.status, theirs.body)


async def test_a_mounted_application_may_answer_itself(config: JWTConfig) -> None:
    """A handler of its own for the errors stays, whether it was there before or not."""

    def mine(request: Request, error: Exception) -> Response:
        return Response(status_code=418)

    sub = Starlette(routes=READS, exception_handlers={TokenError: mine})
    app = Starlette(routes=[Mount("/sub", sub)])
    install(app, config, required=False)
    assert 418 == (await ask(app, "/sub/token")).status


async def test_an_error_in_a_wrapped_application(config: JWTConfig) -> None:
    """Without `install` too, and at any depth: Starlette's own error 500 is replaced."""
    app = Starlette(routes=[*READS, Mount("/sub", Starlette(routes=READS))])
    wrapped = JWTMiddleware(app, config, required=False)
    for path, status in (("/token", 401), ("/sub/token", 401), ("/forbidden", 403), ("/sub/forbidden", 403)):
        answer = await ask(wrapped, path)
        assert (status, "application/json") == (answer.status, answer.headers["content-type"])


async def test_the_guards_of_a_preflight(config: JWTConfig, alice: Header) -> None:
    """A guard lets pass what the middleware lets pass as a preflight, without a token, and nothing else."""  # S11
    reached: list[Any] = []

    @jwt_required(allow="ADMIN")
    async def handler(request: Request, token: Token) -> Response:
        reached.append(token)
        return Response(status_code=204)

    class Endpoint(HTTPEndpoint):
        @jwt_required
        async def options(self, request: Request, token: Token) -> Response:
            reached.append(token)
            return Response(status_code=204)

    routes: list[BaseRoute] = [Route("/a", handler, methods=["GET", "OPTIONS"]), Route("/b", Endpoint)]
    for options, status in (({"allow_preflight": True}, 204), ({}, 401), ({"required": False}, 401)):
        app = Starlette(routes=routes)
        install(app, config, **options)  # type: ignore[arg-type]
        for path in ("/a", "/b"):
            assert status == (await ask(app, path, ORIGIN, ASKS, method="OPTIONS")).status
            assert 401 == (await ask(app, path, ORIGIN, method="OPTIONS")).status
        assert 401 == (await ask(app, "/a", ORIGIN, ASKS)).status
    assert [None, None] == reached


async def test_a_preflight_brings_no_token_of_a_guards_own_source(config: JWTConfig, alice: Header) -> None:
    """What a guard finds where the middleware does not look is not handed to the handler of a preflight, good or bad."""
    reached: list[Any] = []
    told: list[str] = []
    config = dataclasses.replace(config, on_event=lambda event: told.append(event.name), accepted_events=True)

    @jwt_required(sources=[BearerHeader("X-Token")], allow="ADMIN")
    async def handler(request: Request, token: Token) -> Response:
        reached.append(token)
        return Response(status_code=204)

    app = Starlette(routes=[Route("/", handler, methods=["GET", "OPTIONS"])])
    install(app, config, allow_preflight=True, required=False)
    for value in (alice[1], b"Bearer a.b.c"):
        assert 204 == (await ask(app, "/", ORIGIN, ASKS, (b"x-token", value), method="OPTIONS")).status
    assert 403 == (await ask(app, "/", ORIGIN, ASKS, (b"x-token", alice[1]))).status
    assert [None, None] == reached
    assert ["refused"] == told


async def test_an_answer_of_the_library_stays(config: JWTConfig, clock: HeldClock) -> None:
    """A 503 of a guard, or of the handler for errors, is told once and not replaced by an error of before."""
    told: list[str] = []

    def on_error(error: TokenError, answer: ErrorResponse, _: Any) -> None:
        told.append(error.code)

    class Away(MemoryStore):
        def is_revoked_locally(self, token: Token, config: JWTConfig) -> None:
            return None

        async def check(self, token: Token, config: JWTConfig) -> bool:
            raise StoreUnavailableError()

    @jwt_required(sources=[BearerHeader("X-Token", scheme="")])
    async def guarded(request: Request) -> Response:
        raise AssertionError("reached")

    class Peek:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            with contextlib.suppress(TokenError):
                if scope["type"] == "http":
                    get_token(scope)
            await self.app(scope, receive, send)

    app = Starlette(routes=[Route("/guarded", guarded), *READS], middleware=[Middleware(Peek)])
    install(app, config, required=False, store=Away(clock=clock), on_error=on_error)
    raw = create_access_token("alice", config)
    for path, header in (("/guarded", (b"x-token", raw.encode())), ("/token", bearer(raw))):
        assert 503 == (await ask(app, path, header)).status
        assert ["store_unavailable"] == told
        told.clear()
