"""`JWTMiddleware` around any ASGI application: wrapped means protected."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.authentication import requires
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_jwt_claims import (
    BearerHeader,
    ErrorResponse,
    JWTConfig,
    JWTMiddleware,
    TokenError,
    create_access_token,
    create_refresh_token,
    current_token,
    get_token,
    verify_token,
)
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.access import Scopes
from asgi_jwt_claims.errors import UnsupportedScopeError
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import NOW, HeldClock
from tests.raw_asgi import (
    Header,
    Message,
    Receive,
    Recorder,
    Scope,
    Send,
    ask,
    bearer,
    drive,
    http_scope,
    lifespan,
    talk,
    websocket_scope,
)
from tests.support import SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture
def app() -> Recorder:
    return Recorder()


@pytest.fixture
def alice(config: JWTConfig) -> Header:
    return bearer(create_access_token("alice", config, user_claims={"VERI TAS": "LUX MEA"}))


def tampered(header: Header) -> Header:
    name, value = header
    head, payload, signature = value.split(b".")
    return (name, b".".join([head, payload[:-2] + (b"AA" if payload[-2:] != b"AA" else b"QQ"), signature]))


async def test_the_claims_reach_the_application(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """A valid token opens the application and stands in its scope, by `get_token` and by `current_token`."""
    assert 200 == (await ask(JWTMiddleware(app, config), "/", alice)).status
    assert {"VERI TAS": "LUX MEA"} == app.scope["token"].user_claims
    assert app.scope["token"] is get_token(app.scope)
    assert [app.scope["token"]] == app.current


async def test_the_claims_reach_a_websocket(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """The same for a websocket (trap: HTTP-only middleware leaving WebSockets open)."""  # S124
    assert ["websocket.accept"] == (await talk(JWTMiddleware(app, config), "/", alice)).types
    assert "alice" == app.scope["token"].identity
    assert [app.scope["token"]] == app.current


REFUSED: list[Any] = [
    pytest.param((), 401, None, id="absent"),
    pytest.param(((b"authorization", b"Basic dXNlcg=="),), 401, None, id="basic"),  # S4
    pytest.param((bearer("a.b.c"),), 401, "invalid_token", id="junk"),
    pytest.param((bearer("a" * 9000),), 401, "invalid_token", id="long"),  # S7
    pytest.param((bearer(""),), 400, "invalid_request", id="empty"),  # S6
    pytest.param((bearer("a.b.c"), bearer("a.b.c")), 400, "invalid_request", id="twice"),  # S1
    pytest.param((bearer("a.b.c, Bearer d.e.f"),), 400, "invalid_request", id="joined"),  # S2
    pytest.param((bearer(b"\xff\xfe"),), 400, "invalid_request", id="latin-1"),  # S5
    pytest.param((bearer(b"a.b\x00.c"),), 400, "invalid_request", id="nul"),
]


@pytest.mark.parametrize(("headers", "status", "error"), REFUSED)
async def test_a_refusal(
    app: Recorder, config: JWTConfig, headers: tuple[Header, ...], status: int, error: str
) -> None:
    """The application never hears of a refused request; the answer says why, and nothing is ever a 500."""
    answer = await ask(JWTMiddleware(app, config), "/", *headers)
    assert [] == app.calls
    assert status == answer.status
    assert (f'error="{error}"' in answer.headers["www-authenticate"]) is (error is not None)
    assert (error or "unauthorized") == answer.json["error"]
    assert str(len(answer.body)) == answer.headers["content-length"]


@pytest.mark.parametrize(("headers", "status", "error"), REFUSED)
async def test_a_websocket_is_denied(
    app: Recorder, config: JWTConfig, headers: tuple[Header, ...], status: int, error: str
) -> None:
    """Where the server offers the denial response, the client reads the same answer; nothing is accepted."""  # S125
    answer = await talk(JWTMiddleware(app, config), "/", *headers)
    assert [] == app.calls
    assert ["websocket.http.response.start", "websocket.http.response.body"] == answer.types
    assert (status, error or "unauthorized") == (answer.status, answer.json["error"])


@pytest.mark.parametrize(("headers", "status", "error"), REFUSED)
async def test_a_websocket_is_closed_before_accept(
    app: Recorder, config: JWTConfig, headers: tuple[Header, ...], status: int, error: str
) -> None:
    """Where it does not, the handshake is refused by a close; nothing is accepted either."""  # S125
    answer = await talk(JWTMiddleware(app, config), "/", *headers, denial=False)
    assert [] == app.calls
    assert [{"type": "websocket.close", "code": 3000, "reason": ""}] == answer.messages


async def test_tampering(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """A changed payload is refused (trap: a tampered token answered 500)."""
    answer = await ask(JWTMiddleware(app, config), "/", tampered(alice))
    assert (401, "invalid_token", []) == (answer.status, answer.json["error"], app.calls)


async def test_expiry(app: Recorder, config: JWTConfig, alice: Header, clock: HeldClock) -> None:
    """The token opens until its end and the leeway have passed, and not a moment longer."""
    middleware = JWTMiddleware(app, config)
    clock.now = NOW + 900 + 10 - 0.001
    assert 200 == (await ask(middleware, "/", alice)).status
    clock.now = NOW + 900 + 10
    answer = await ask(middleware, "/", alice)
    assert (401, "The token has expired.") == (answer.status, answer.json["error_description"])


async def test_a_refresh_token_is_not_an_access_token(app: Recorder, config: JWTConfig) -> None:
    """The middleware admits access tokens only (trap: refresh accepted as access)."""
    answer = await ask(JWTMiddleware(app, config), "/", bearer(create_refresh_token("alice", config)))
    assert (401, "The token is of the wrong type.", []) == (
        answer.status,
        answer.json["error_description"],
        app.calls,
    )


async def test_the_body_is_never_read(config: JWTConfig, alice: Header) -> None:
    """Neither a refusal nor an admission touches `receive`: a form body is no source."""  # S9
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    middleware = JWTMiddleware(Recorder(), config)
    form = (b"content-type", b"application/x-www-form-urlencoded")
    await middleware(http_scope("/", form, method="POST"), receive, send)
    await middleware(http_scope("/", form, alice, method="POST"), receive, send)
    assert [401, 200] == [message["status"] for message in sent if "status" in message]


async def test_a_denial_does_not_wait_for_the_connect(config: JWTConfig) -> None:
    """A websocket is denied without a first `receive`."""  # S125
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("received")

    async def send(message: Message) -> None:
        sent.append(message)

    await JWTMiddleware(Recorder(), config)(websocket_scope("/"), receive, send)
    assert 401 == sent[0]["status"]


async def test_the_query_is_no_source(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """A token in the query string opens nothing."""  # S8
    raw = alice[1].removeprefix(b"Bearer ")
    assert 401 == (await ask(JWTMiddleware(app, config), "/", query_string=b"access_token=" + raw)).status


async def test_lifespan_passes(config: JWTConfig) -> None:
    """Startup and shutdown are none of our business."""  # S124
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in ("startup", "shutdown"):
            seen.append((await receive())["type"])
            await send({"type": f"lifespan.{event}.complete"})
        assert "token" not in scope

    async with lifespan(JWTMiddleware(app, config)):
        pass
    assert ["lifespan.startup", "lifespan.shutdown"] == seen


@pytest.mark.parametrize("kind", ["webtransport", "http2", "HTTP", "", "lifespan.x"])
async def test_an_unknown_type_of_scope_is_refused(app: Recorder, config: JWTConfig, alice: Header, kind: str) -> None:
    """What nobody has guarded does not get through, not even with a token."""  # S124
    with pytest.raises(UnsupportedScopeError):
        await drive(JWTMiddleware(app, config), http_scope("/", alice) | {"type": kind})
    assert [] == app.calls


async def test_exempt_paths(app: Recorder, config: JWTConfig) -> None:
    """An exempt path goes on, with None in its scope; its neighbour does not."""  # S122
    middleware = JWTMiddleware(app, config, exempt=["/login", "/docs/*"])
    statuses = [(await ask(middleware, path)).status for path in ("/login", "/docs/a", "/login/", "/docs/../a")]
    assert [200, 200, 401, 401] == statuses
    assert [None, None] == [scope["token"] for scope, _, _ in app.calls]


async def test_a_guard_on_an_exempt_path_finds_the_token(config: JWTConfig, alice: Header) -> None:
    """Exempt means that the middleware does not ask; whoever asks gets the right answer."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((current_token(), get_token(scope).identity))

    await ask(JWTMiddleware(app, config, exempt=["/login"]), "/login", alice)
    assert [(None, "alice")] == seen


@pytest.mark.parametrize("headers", [(), (bearer("a.b.c"),)], ids=["absent", "bad"])
async def test_not_required(app: Recorder, config: JWTConfig, headers: tuple[Header, ...]) -> None:
    """With `required=False` every request goes on; a bad token leaves None in the scope, and its error in store."""
    assert 200 == (await ask(JWTMiddleware(app, config, required=False), "/", *headers)).status
    assert None is app.scope["token"]
    assert [None] == app.current
    with pytest.raises(TokenError):
        get_token(app.scope)


async def test_optional_tolerates_absence_only(app: Recorder, config: JWTConfig) -> None:
    """Read optionally, absence is None and a bad token still an error: it never becomes nobody."""  # S129
    middleware = JWTMiddleware(app, config, required=False)
    await ask(middleware, "/")
    await ask(middleware, "/", bearer("a.b.c"))
    assert None is get_token(app.calls[0][0], optional=True)
    with pytest.raises(TokenError):
        get_token(app.calls[1][0], optional=True)


async def test_one_verification_for_nested_middlewares(
    app: Recorder, config: JWTConfig, alice: Header, verifications: list[str]
) -> None:
    """Three middlewares of one configuration and a handler that asks twice cost one signature check (trap)."""
    nested = JWTMiddleware(JWTMiddleware(JWTMiddleware(app, config), config, required=False), config)
    assert 200 == (await ask(nested, "/", alice)).status
    assert get_token(app.scope) is get_token(app.scope)
    assert 1 == len(verifications)


async def test_one_verification_for_a_bad_token(
    app: Recorder, config: JWTConfig, alice: Header, verifications: list[str]
) -> None:
    """A refused token is not looked at again either."""
    nested = JWTMiddleware(JWTMiddleware(app, config), config, required=False)
    assert 401 == (await ask(nested, "/", tampered(alice))).status
    assert 1 == len(verifications)


@pytest.mark.parametrize(
    ("outer", "inner", "status"),
    [
        ({"required": False}, {}, 401),
        ({"exempt": ["/"]}, {}, 401),
        ({}, {"exempt": ["/"]}, 401),
        ({}, {"required": False}, 401),
        ({"required": False}, {"exempt": ["/"]}, 200),
    ],
)
async def test_the_stricter_of_two_middlewares_wins(
    app: Recorder, config: JWTConfig, outer: dict[str, Any], inner: dict[str, Any], status: int
) -> None:
    """Nested middlewares compose: whoever demands a token gets it, inside or outside."""  # S133
    nested = JWTMiddleware(JWTMiddleware(app, config, **inner), config, **outer)
    assert status == (await ask(nested, "/")).status


async def test_an_inner_refusal_names_the_scopes_of_the_outer_middleware(app: Recorder, config: JWTConfig) -> None:
    """The challenge of the inner middleware names what both demand, so that a token with just that passes both."""  # S133
    nested = JWTMiddleware(JWTMiddleware(app, config, rules={"/*": Scopes("b")}), config, require=Scopes("a"))
    refused = await ask(nested, "/", bearer(create_access_token("alice", config, scope="a")))
    assert (403, True) == (refused.status, 'scope="a b"' in refused.headers["www-authenticate"])
    assert 200 == (await ask(nested, "/", bearer(create_access_token("alice", config, scope="a b")))).status


@pytest.mark.parametrize("outer", [{"required": False}, {"exempt": ["/"]}])
@pytest.mark.parametrize("has_several", [False, True])
async def test_an_inner_middleware_asks_the_store_of_the_outer_one(
    app: Recorder, clock: HeldClock, outer: dict[str, Any], has_several: bool
) -> None:
    """A group's middleware without a store refuses what the application's store has revoked; one by other sources does not."""
    config, other = (JWTConfig(secret_key=key, issuer=key[:4], clock=clock) for key in (SECRET, SECRET[::-1]))
    store, raw = MemoryStore(clock=clock), create_access_token("alice", config)
    await revoke_token(verify_token(raw, config), config, store)
    found: list[tuple[int, str | None]] = []
    for sources in ((BearerHeader(),), (BearerHeader("X-Token", ""),)):
        inner = JWTMiddleware(app, config, sources=sources, realm="inner")
        guarded = JWTMiddleware(inner, [other, config] if has_several else config, store=store, **outer)
        response = await ask(guarded, "/", bearer(raw), (b"x-token", raw.encode()))
        found.append((response.status, response.headers.get("www-authenticate")))
    assert [401, 200] == [status for status, _ in found]
    assert str(found[0][1]).startswith('Bearer realm="inner", error="invalid_token"')


async def test_two_configurations_share_nothing(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """A token of one configuration is nothing to another, side by side or nested (trap: class-level settings)."""
    other = JWTConfig(secret_key=SECRET[::-1], clock=config.clock)
    bob = bearer(create_access_token("bob", other))
    for mine, theirs, settings in ((alice, bob, config), (bob, alice, other)):
        middleware = JWTMiddleware(app, settings)
        assert [200, 401] == [(await ask(middleware, "/", header)).status for header in (mine, theirs)]
    nested = JWTMiddleware(JWTMiddleware(app, config), other, required=False)
    assert [200, 401] == [(await ask(nested, "/", header)).status for header in (alice, bob)]


async def test_an_inner_configuration_takes_over(app: Recorder, config: JWTConfig) -> None:
    """The innermost middleware's token is the one that handlers see; the outer one's comes back after it."""
    other = config.replace(type_claim="use")
    raw = create_access_token("alice", config)
    seen: list[Any] = []

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(current_token())
        await JWTMiddleware(app, other, required=False)(scope, receive, send)
        seen.append(current_token())

    await ask(JWTMiddleware(outer, config), "/", bearer(raw))
    assert "alice" == seen[0].identity
    assert seen[0] is seen[1]
    assert [None] == app.current


async def test_the_current_token_is_reset(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """After the call nobody is left behind in the task, for http and for websocket."""  # S131
    middleware = JWTMiddleware(app, config)
    await ask(middleware, "/", alice)
    assert None is current_token()
    await talk(middleware, "/", alice)
    assert None is current_token()
    assert ["alice", "alice"] == [token.identity for token in app.current]


async def test_the_current_token_is_set_on_every_call(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """An anonymous call inside another one does not see the token of the outer one."""  # S131
    inner = JWTMiddleware(app, config, exempt=["/login"])

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await ask(inner, "/login")

    await ask(JWTMiddleware(outer, config), "/", alice)
    assert [None] == app.current


@pytest.mark.parametrize("kind", [http_scope, websocket_scope])
async def test_what_outlives_its_request(config: JWTConfig, alice: Header, kind: Callable[..., Scope]) -> None:
    """What has inherited the context of a request, as tasks and threads do, speaks for its user no longer than that."""  # S131
    inherited: list[contextvars.Context] = []
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        inherited.append(contextvars.copy_context())
        seen.append(inherited[0].run(current_token))

    async def bobs(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(inherited[0].run(current_token))

    await drive(JWTMiddleware(app, config), kind("/", alice))
    await drive(JWTMiddleware(bobs, config), kind("/", bearer(create_access_token("bob", config))))
    assert ["alice", None] == [token and token.identity for token in seen]


async def test_concurrent_requests_do_not_mix(config: JWTConfig) -> None:
    """Each of many requests at once sees its own user, throughout."""  # S131
    seen: list[tuple[str, str, str]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        before = current_token()
        await anyio.lowlevel.checkpoint()
        after = current_token()
        assert before is not None
        assert after is not None
        seen.append((scope["path"], before.identity, after.identity))

    middleware = JWTMiddleware(app, config)
    async with anyio.create_task_group() as tasks:
        for name in map(str, range(20)):
            header = bearer(create_access_token(name, config))
            tasks.start_soon(drive, middleware, http_scope(f"/{name}", header))
    assert sorted((f"/{name}", name, name) for name in map(str, range(20))) == sorted(seen)


class ApplicationError(Exception):
    """Raised by the application."""


@pytest.mark.parametrize("kind", [http_scope, websocket_scope])
async def test_exceptions_of_the_application_pass(config: JWTConfig, alice: Header, kind: Callable[..., Scope]) -> None:
    """They come out as they went in, and the current token is reset all the same."""  # S134
    error = ApplicationError()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with pytest.raises(ApplicationError) as caught:
        await drive(JWTMiddleware(app, config), kind("/", alice))
    assert error is caught.value
    assert error.__context__ is None
    assert None is current_token()


async def test_a_token_error_of_the_application_becomes_its_answer(config: JWTConfig, alice: Header) -> None:
    """An error of the library that nothing in the application handles is answered as a refusal is."""  # S134

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise TokenError()

    answer = await ask(JWTMiddleware(app, config), "/", alice)
    assert (401, "invalid_token") == (answer.status, answer.json["error"])


async def test_scope_receive_and_send_are_passed_on(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """The application gets the server's own scope, and every message passes as it is."""
    # S130, S135
    scope = http_scope("/", alice)

    disconnect: Message = {"type": "http.disconnect"}
    message: Message = {"type": "http.response.body", "body": b"x"}
    sent: list[Message] = []

    async def receive() -> Message:
        return disconnect

    async def send(message: Message) -> None:
        sent.append(message)

    for ends in (True, False):
        await JWTMiddleware(app, config, end_with_token=ends)(scope, receive, send)
        got_scope, got_receive, got_send = app.calls.pop()
        assert scope is got_scope
        for _ in range(2):
            assert disconnect is await got_receive()
        await got_send(message)
        assert message is sent.pop()


@pytest.mark.parametrize("headers", [(), (bearer("a.b.c"),)], ids=["absent", "bad"])
async def test_what_the_client_may_have_planted_is_overwritten(
    app: Recorder, config: JWTConfig, headers: tuple[Header, ...]
) -> None:
    """Keys that stand in the scope already are written over, whatever becomes of the request."""  # S128
    planted = {"token": "forged", SCOPE_KEY: "forged", "user": "theirs"}
    await ask(JWTMiddleware(app, config, required=False), "/", *headers, **planted)
    assert None is app.scope["token"]
    assert "forged" != app.scope[SCOPE_KEY]
    assert "theirs" == app.scope["user"]


@pytest.mark.parametrize(
    ("scopes", "status"), [(None, 403), ("read", 403), ("write read", 200)], ids=["none", "one", "both"]
)
async def test_requires_of_starlette(config: JWTConfig, scopes: str | None, status: int) -> None:
    """With `set_user` the token plays Starlette's user and credentials."""

    @requires(["read", "write"])
    async def endpoint(request: Request) -> Response:
        return JSONResponse({"user": request.user.display_name, "known": request.user.is_authenticated})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            response = await endpoint(Request(scope))
        except HTTPException as error:
            response = Response(status_code=error.status_code)
        await response(scope, receive, send)

    header = bearer(create_access_token("alice", config, scope=scopes))
    answer = await ask(JWTMiddleware(app, config, set_user=True), "/", header)
    assert status == answer.status
    assert status != 200 or {"user": "alice", "known": True} == answer.json


async def test_requires_of_starlette_refuses_nobody_in_particular(config: JWTConfig) -> None:
    """Without a token, `@requires` sees nobody with no scopes, and refuses."""

    @requires("authenticated", status_code=418)
    async def endpoint(request: Request) -> Response:
        raise AssertionError("reached")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(HTTPException) as caught:
            await endpoint(Request(scope))
        assert 418 == caught.value.status_code

    await ask(JWTMiddleware(app, config, set_user=True, required=False), "/")


async def test_on_error_raising_refuses_all_the_same(app: Recorder, config: JWTConfig) -> None:
    """A callback that raises lets nobody in (trap), and the client learns nothing."""  # S120

    async def on_error(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse:
        raise ZeroDivisionError("secret")

    answer = await ask(JWTMiddleware(app, config, on_error=on_error), "/")
    assert (500, b"", []) == (answer.status, answer.body, app.calls)


async def test_on_error_changes_the_answer(app: Recorder, config: JWTConfig) -> None:
    """Its answer is sent as it is, repeated headers on lines of their own."""  # S113

    def on_error(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse:
        return ErrorResponse(error.status, (*answer.headers[-1:], ("www-authenticate", 'Basic realm="x"')), b"no")

    answer = await ask(JWTMiddleware(app, config, on_error=on_error), "/")
    assert [
        {
            "type": "http.response.start",
            "status": 401,
            "headers": [(b"www-authenticate", b'Bearer realm="api"'), (b"www-authenticate", b'Basic realm="x"')],
        },
        {"type": "http.response.body", "body": b"no", "more_body": False},
    ] == answer.messages


async def test_settings_of_the_answer(app: Recorder, config: JWTConfig) -> None:
    """Realm and problem details are the middleware's own (trap: a setting that did nothing)."""  # S117
    answer = await ask(JWTMiddleware(app, config, realm="orders", problem_json=True), "/")
    assert 'Bearer realm="orders"' == answer.headers["www-authenticate"]
    assert "application/problem+json" == answer.headers["content-type"]
    assert 401 == answer.json["status"]


async def test_another_source(app: Recorder, config: JWTConfig) -> None:
    """`sources` says where tokens are looked for, and nowhere else."""
    raw = create_access_token("alice", config)
    middleware = JWTMiddleware(app, config, sources=[BearerHeader("X-Token", scheme="")])
    assert 401 == (await ask(middleware, "/", bearer(raw))).status
    assert 200 == (await ask(middleware, "/", (b"x-token", raw.encode()))).status


@pytest.mark.parametrize("kind", [http_scope, websocket_scope])
async def test_a_mapping_that_is_not_a_dict(
    app: Recorder, config: JWTConfig, alice: Header, kind: Callable[..., dict[str, Any]]
) -> None:
    """Headers may be any iterable of pairs, as some servers give lists of lists."""
    scope = kind("/", alice)
    scope["headers"] = tuple([name, value] for name, value in scope["headers"])
    await drive(JWTMiddleware(app, config), scope)
    assert "alice" == app.scope["token"].identity


async def test_headers_that_can_be_read_only_once(app: Recorder, config: JWTConfig, alice: Header) -> None:
    """ASGI calls the headers an iterable: guard, application and `get_token` each read them, also if they are iterators."""
    headers = [(b"host", b"testserver"), alice]
    for kind in (http_scope, websocket_scope):
        await drive(JWTMiddleware(app, config), {**kind(), "headers": iter(map(iter, headers))})
        scope = app.calls.pop()[0]
        assert headers == scope["headers"]
        assert "alice" == get_token(scope).identity


def test_servers_take_it_for_asgi_3(app: Recorder, config: JWTConfig) -> None:
    """`__call__` is a real `async def`: servers take anything else for ASGI 2."""
    assert inspect.iscoroutinefunction(JWTMiddleware(app, config).__call__)
