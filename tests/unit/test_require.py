"""`require` asks for roles, scopes and freshness below the middleware, and `error_response_for` answers as that would."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from asgi_jwt_claims import (
    AuthEvent,
    ErrorResponse,
    JWTConfig,
    JWTMiddleware,
    TokenError,
    create_access_token,
    create_refresh_token,
    error_response_for,
    get_token,
    require,
)
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.access import Check, Roles, Scopes
from asgi_jwt_claims.errors import (
    ForbiddenError,
    FreshTokenRequiredError,
    MalformedTokenError,
    MissingScopeError,
    MissingTokenError,
    NotGuardedError,
    RevokedTokenError,
    RoleRefusedError,
    SettingError,
    StoreUnavailableError,
    WrongTypeError,
)
from asgi_jwt_claims.stores import MemoryStore, TokenDigests
from tests.raw_asgi import App, Header, Receive, Recorder, Scope, Send, ask, bearer, http_scope, talk
from tests.scopes import ScopeMiddleware
from tests.support import for_each
from tests.unit.test_refusals_below import FRAMEWORKS

pytestmark = pytest.mark.anyio


def prepared(config: JWTConfig, *headers: Header, path: str = "/", **options: Any) -> dict[str, Any]:
    """A scope below a middleware that demands nothing."""
    scope = http_scope(path, *headers)
    ScopeMiddleware(config, **{"required": False, **options}).open(scope)
    return scope


@for_each(
    ("rule", "options", "error", "challenge"),
    [
        (None, {}, None, ""),
        (Scopes("read"), {}, None, ""),
        (Roles("admin") | Scopes("read"), {"scopes": "read", "allow": ["user"], "deny": "banned"}, None, ""),
        (None, {"scopes": "read write"}, MissingScopeError, 'scope="read write"'),
        (Scopes("write"), {"scopes": ["read"]}, MissingScopeError, 'scope="read write"'),
        (None, {"allow": "admin"}, RoleRefusedError, 'error="insufficient_scope"'),
        (None, {"allow": []}, RoleRefusedError, 'error="insufficient_scope"'),
        (None, {"deny": ["user", "other"]}, RoleRefusedError, 'error="insufficient_scope"'),
        (~Roles("user"), {}, RoleRefusedError, 'error="insufficient_scope"'),
        (None, {"fresh": True}, FreshTokenRequiredError, 'error="insufficient_user_authentication"'),
        (None, {"fresh": timedelta(minutes=5)}, FreshTokenRequiredError, 'max_age="300"'),
        (None, {"type": "refresh"}, WrongTypeError, 'error="invalid_token"'),
        (Check(lambda token: token.identity == "bob"), {}, ForbiddenError, 'error="insufficient_scope"'),
    ],
)
async def test_what_is_demanded(
    config: JWTConfig, rule: Any, options: dict[str, Any], error: type[TokenError] | None, challenge: str
) -> None:
    """Rules and short forms decide together, and a refusal becomes its answer without a handler for it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        token = require(scope, rule, **options)
        assert token is get_token(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    header = bearer(create_access_token("alice", config, roles=["user"], scope="read"))
    answer = await ask(JWTMiddleware(app, config, required=False), "/", header)
    assert (204 if error is None else error.status) == answer.status
    assert challenge in answer.headers.get("www-authenticate", "")
    scope = prepared(config, header)
    if error is not None:
        with pytest.raises(error):
            require(scope, rule, **options)


@for_each("options", [{"required": False}, {"exempt": ["/"]}])
async def test_without_a_good_token(config: JWTConfig, options: dict[str, Any]) -> None:
    """Where nothing demands a token before, `require` does, and refuses a bad one as the middleware does."""
    for headers, error in (((), MissingTokenError), ((bearer("a.b.c"),), MalformedTokenError)):
        with pytest.raises(error) as raised:
            require(prepared(config, *headers, **options))
        assert error is type(raised.value)


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_frameworks_that_know_no_refusals(config: JWTConfig, framework: Any) -> None:
    """A framework that makes an error 500 of the refusal, at once or later, sends the answer to it instead."""

    async def handler(scope: Scope) -> None:
        require(scope, Scopes("write"))

    app: App = JWTMiddleware(framework(handler), config)
    answer = await ask(app, "/", bearer(create_access_token("alice", config)))
    assert 403 == answer.status
    assert 'scope="write"' in answer.headers["www-authenticate"]
    good = await ask(app, "/", bearer(create_access_token("alice", config, scope="write")))
    assert (200, b"own") == (good.status, good.body)


async def test_a_refresh_token_where_it_is_wanted(config: JWTConfig) -> None:
    """The type is what the handler says, on a path where the middleware demands no access token."""
    scope = prepared(config, bearer(create_refresh_token("alice", config)))
    assert "refresh" == require(scope, type="refresh").type
    with pytest.raises(WrongTypeError):
        require(scope)


class Asked(MemoryStore):
    """A store that has to be asked."""

    def is_revoked_locally(self, *_: object) -> None:
        """Nothing is known without asking."""

    async def is_revoked(self, digests: TokenDigests) -> bool:
        """Everything is revoked."""
        return True


async def test_it_never_waits(config: JWTConfig) -> None:
    """The middleware has asked the store where it looked at the token; on an exempt path nothing has, so 503."""  # S141
    header = bearer(create_access_token("alice", config))
    with pytest.raises(StoreUnavailableError):
        require(prepared(config, header, store=Asked(), required=True, exempt=["/"]))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        require(scope)

    for required in (True, False):
        answer = await ask(JWTMiddleware(app, config, store=Asked(), required=required), "/", header)
        assert (401, RevokedTokenError.description) == (answer.status, answer.json["error_description"])


async def test_the_scopes_of_all_guards_are_named(config: JWTConfig) -> None:
    """The challenge has the scopes of the path's rule and of the guards that came before."""
    scope = http_scope("/", bearer(create_access_token("alice", config, scope="one two")))
    ScopeMiddleware(config, rules={"/": Scopes("one")}).open(scope)
    require(scope, scopes="two")
    with pytest.raises(MissingScopeError) as raised:
        require(scope, Scopes("three"))
    assert "one two three" == raised.value.scope


@for_each(
    ("arguments", "options"),
    [
        (("read",), {}),
        ((), {"scopes": 'a"b'}),
        ((), {"allow": [None]}),
        ((), {"fresh": 300}),
        ((), {"type": ""}),
        ((Roles,), {}),
    ],
)
async def test_what_cannot_be_demanded(config: JWTConfig, arguments: Any, options: dict[str, Any]) -> None:
    """A mistake in a handler is told as such, with a good token as without one."""
    for headers in ((), (bearer(create_access_token("alice", config)),)):
        with pytest.raises(SettingError):
            require(prepared(config, *headers), *arguments, **options)


async def test_one_guard_for_equal_demands(config: JWTConfig) -> None:
    """Demands that are the same to Python, and not to the library, are kept apart, and equal ones are recorded once."""

    class Odd(str):
        """Text that says that it is like any other."""

        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return hash("read")

    scope = prepared(config, bearer(create_access_token("alice", config, scope="read")))
    for scopes in ("read", "read", ["read"], Odd("read")):
        require(scope, scopes=scopes)
    assert 1 == len(scope[SCOPE_KEY].guards)
    for scopes in (Odd("write"), [Odd("write")]):
        with pytest.raises(MissingScopeError):
            require(scope, scopes=scopes)
    require(scope, fresh=False)
    with pytest.raises(SettingError):
        require(scope, fresh=0)  # type: ignore[arg-type]


async def test_many_demands(config: JWTConfig) -> None:
    """A connection that requires something else for each message keeps no more than 64 of these."""
    scope = prepared(config, bearer(create_access_token("alice", config)))
    for _ in range(200):
        require(scope, Check(lambda token: token.identity == "alice"))
    assert 64 == len(scope[SCOPE_KEY].guards)
    with pytest.raises(ForbiddenError):
        require(scope, Check(lambda token: token.identity == "bob"))


async def test_without_a_middleware() -> None:
    """There is nothing to go by without a middleware, and the error says what to do."""
    with pytest.raises(NotGuardedError, match="no middleware has prepared this request"):
        require(http_scope())
    with pytest.raises(NotGuardedError):
        await error_response_for(MissingTokenError(), http_scope())


async def test_a_request_object(config: JWTConfig) -> None:
    """Any object with a scope will do, as for `get_token`."""

    class Request:
        scope = prepared(config, bearer(create_access_token("alice", config)))

    assert "alice" == require(Request()).identity


async def test_a_websocket_without_the_scope(config: JWTConfig) -> None:
    """Before the websocket is accepted, the refusal is its answer."""  # S125

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        require(scope, scopes="chat")

    header = bearer(create_access_token("alice", config))
    assert 403 == (await talk(JWTMiddleware(app, config), "/", header)).status
    assert 3003 == (await talk(JWTMiddleware(app, config), "/", header, denial=False)).close_code


# error_response_for ---------------------------------------------------------------------------------------------------


async def test_the_answer_of_the_middleware(config: JWTConfig, events: list[AuthEvent]) -> None:
    """An application that answers by itself has the status, headers and body of the middleware, and `on_error` sees it."""
    seen: list[TokenError] = []
    answers: list[ErrorResponse] = []

    async def on_error(error: TokenError, response: ErrorResponse, scope: Any) -> ErrorResponse:
        seen.append(error)
        return response._replace(headers=(*response.headers, ("x-seen", scope["path"])))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            require(scope, scopes="write")
        except TokenError as error:
            answers.append(await error_response_for(error, scope))
            status, headers, body = answers[0]
        pairs = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    header = bearer(create_access_token("alice", config, scope="read"))
    own = await ask(JWTMiddleware(app, config, on_error=on_error, realm="x"), "/a", header)
    (error,), (refused,) = seen, events
    assert ("missing_scope", "alice") == (refused.code, refused.identity)
    other = await ask(
        JWTMiddleware(Recorder(), config, on_error=on_error, realm="x", rules={"/a": Scopes("write")}), "/a", header
    )
    assert (own.start, own.body) == (other.start, other.body)
    assert isinstance(error, MissingScopeError)
    assert "/a" == own.headers["x-seen"]


@pytest.mark.parametrize("status", [200, 500])
async def test_an_own_answer_stays(config: JWTConfig, status: int) -> None:
    """Whatever status the application chooses after it has asked for the answer, the middleware puts none in its place."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            get_token(scope)
        except TokenError as error:
            await error_response_for(error, scope)
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"own"})

    answer = await ask(JWTMiddleware(app, config, required=False))
    assert (status, b"own") == (answer.status, answer.body)


@for_each("error", [ValueError("x"), MissingTokenError, "missing", None])
async def test_only_refusals_have_an_answer(config: JWTConfig, error: Any) -> None:
    """Any other error is no refusal, and the message says what to do with it."""
    with pytest.raises(SettingError, match="error must be a TokenError, not"):
        await error_response_for(error, prepared(config))
