"""Preflights: refused like any other request without a token, unless the application has asked for them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenCookies,
    TokenError,
    create_access_token,
    get_token,
)
from asgi_jwt_claims.auth.paths.exempt import CORS_INSIDE, PREFLIGHT_REFUSED
from asgi_jwt_claims.auth.request import is_preflight
from asgi_jwt_claims.errors import InvalidRequestError, MissingTokenError
from asgi_jwt_claims.sources import Credentials
from tests.raw_asgi import Header, Receive, Recorder, Scope, Send, ask, bearer, http_scope, websocket_scope
from tests.scopes import ScopeMiddleware, admit

ORIGIN = (b"origin", b"https://app.example")
ASKS = (b"access-control-request-method", b"GET")


def preflight(*headers: Header, method: str = "OPTIONS", **more: Any) -> dict[str, Any]:
    return http_scope("/protected", *(headers or (ORIGIN, ASKS)), method=method, **more)


@pytest.mark.parametrize("options", [{}, {"exempt": ["/login"]}, {"sources": [Cookie()]}])
def test_a_preflight_needs_a_token(config: JWTConfig, options: dict[str, Any]) -> None:
    """No method and no header opens the gate: anyone can send what a browser sends before a request."""  # S11, S14
    assert MissingTokenError is type(ScopeMiddleware(config, **options).open(preflight()))


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("OPTIONS", [ORIGIN, ASKS], True),
        ("OPTIONS", [ASKS, ORIGIN, (b"access-control-request-headers", b"authorization")], True),
        ("OPTIONS", [ORIGIN, ASKS, (b"content-length", b"0"), (b"sec-fetch-mode", b"cors")], True),
        ("OPTIONS", [], False),
        ("OPTIONS", [ORIGIN], False),
        ("OPTIONS", [ASKS], False),
        ("OPTIONS", [ORIGIN, ORIGIN, ASKS], False),
        ("OPTIONS", [(b"origin", b""), ASKS], False),
        ("OPTIONS", [ORIGIN, (ASKS[0], b" ")], False),
        ("OPTIONS", [(b"Origin", b"x"), (b"Access-Control-Request-Method", b"GET")], False),
        ("options", [ORIGIN, ASKS], False),
        ("GET", [ORIGIN, ASKS], False),
        ("HEAD", [ORIGIN, ASKS], False),
        ("POST", [ORIGIN, ASKS], False),
    ],
)
def test_what_a_preflight_is(config: JWTConfig, method: str, headers: list[Header], expected: bool) -> None:
    """With `allow_preflight` exactly what browsers send goes on without a token."""  # S11
    gate = ScopeMiddleware(config, allow_preflight=True)
    assert expected is (gate.open(http_scope("/protected", *headers, method=method)) is None)


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Basic eDp5"),
        (b"Authorization", b"Bearer x"),
        (b"proxy-authorization", b"Basic eDp5"),
        (b"cookie", b"theme=dark"),
        (b"x-token", b"other x"),
        (b"x-csrf-token", b"x"),
        (b"x-mine", b"x"),
        (b"x-mine", b""),
        (b"content-length", b"1"),
        (b"content-length", b""),
        (b"content-length", b"00"),
        (b"transfer-encoding", b"chunked"),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"x-http-method-override", b"DELETE"),
        (b"X-HTTP-Method-Override", b"DELETE"),
        (b"x_http_method_override", b"DELETE"),
        (b"x-http-method", b"DELETE"),
        (b"x-method-override", b"DELETE"),
        (b"x-original-method", b"DELETE"),
        (b"http-method", b"DELETE"),
        (b"access_control_request_method", b"GET"),
    ],
    ids=lambda header: header[0].decode(),
)
def test_what_makes_more_than_a_preflight(config: JWTConfig, header: Header) -> None:
    """Credentials, a body, or another method to go by: no browser sends them with a preflight, so it is none."""  # S14

    def mine(scope: Any, max_size: int) -> Credentials | None:
        if (b"x-mine", b"") in scope["headers"]:
            raise InvalidRequestError()
        return next((Credentials(value, "mine") for name, value in scope["headers"] if name == b"x-mine"), None)

    sources = [BearerHeader(), BearerHeader("X-Token"), Cookie(TokenCookies()), mine]
    gate = ScopeMiddleware(config, allow_preflight=True, sources=sources)
    assert None is gate.open(preflight())
    assert isinstance(gate.open(preflight(ORIGIN, ASKS, header)), TokenError)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", True),
        (b"method=card&payment_method=card", True),
        (b"x=_method", True),
        (b"_method=DELETE", False),
        (b"a=b&_METHOD=delete", False),
        (b"a=b;%5Fmethod=delete", False),
        (b"_method[]=delete", False),
        (b"X-HTTP-Method-Override=PUT", False),
        (b"x_http_method=PUT", False),
        (b"methodOverride=PUT", False),
    ],
)
def test_a_method_in_the_query(config: JWTConfig, query: bytes, expected: bool) -> None:
    """Frameworks take another method from the query as well."""  # S14
    gate = ScopeMiddleware(config, allow_preflight=True)
    assert expected is (gate.open(preflight(query_string=query)) is None)


@pytest.mark.parametrize("method", [None, "OPTIONS"])
def test_a_websocket_is_never_a_preflight(config: JWTConfig, method: str | None) -> None:
    """Neither the headers of a preflight open a websocket, nor a method that a server should not have sent."""  # S11
    scope = websocket_scope("/protected", ORIGIN, ASKS) | ({} if method is None else {"method": method})
    assert MissingTokenError is type(ScopeMiddleware(config, allow_preflight=True).open(scope))


def test_a_refused_preflight_is_told_once(config: JWTConfig, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what to do, once for each gate; it says nothing where none is refused, or nothing is a preflight."""
    caplog.set_level(logging.WARNING)
    ScopeMiddleware(config, required=False).open(preflight())
    ScopeMiddleware(config, allow_preflight=True).open(preflight())
    gate = ScopeMiddleware(config)
    gate.open(preflight(ORIGIN))
    assert [] == caplog.messages
    for _ in range(2):
        gate.open(preflight())
    assert [PREFLIGHT_REFUSED] == caplog.messages


class Layer:
    """A layer around an application."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing calls it."""
        raise AssertionError("reached")


@pytest.mark.parametrize(
    ("app", "options", "warned"),
    [
        (CORSMiddleware(Recorder()), {}, True),
        (Layer(CORSMiddleware(Recorder())), {}, True),
        (Starlette(middleware=[Middleware(CORSMiddleware)]), {}, True),
        (CORSMiddleware(Recorder()), {"allow_preflight": True}, False),
        (CORSMiddleware(Recorder()), {"required": False}, False),
        (Layer(Recorder()), {}, False),
        (Starlette(), {}, False),
    ],
)
def test_cors_inside_is_noticed(
    config: JWTConfig, caplog: pytest.LogCaptureFixture, app: Any, options: dict[str, Any], warned: bool
) -> None:
    """A CORS middleware that could never see a preflight is told when the application is wrapped."""
    JWTMiddleware(app, config, **options)
    assert [CORS_INSIDE] * warned == caplog.messages


@pytest.mark.anyio
@pytest.mark.parametrize(("allow", "inner", "status"), [(True, True, 200), (True, False, 401), (False, True, 401)])
async def test_nested_middlewares(config: JWTConfig, allow: bool, inner: bool, status: int) -> None:
    """Each middleware has to allow preflights."""  # S133
    nested = JWTMiddleware(JWTMiddleware(Recorder(), config, allow_preflight=inner), config, allow_preflight=allow)
    assert status == (await ask(nested, "/", ORIGIN, ASKS, method="OPTIONS")).status


@pytest.mark.anyio
async def test_guards_go_by_what_the_gate_calls_a_preflight(config: JWTConfig) -> None:
    """For a guard it is one as long as the scope is that of one: not in a copy with another method, nor with a token."""
    seen: list[Any] = []
    raw = create_access_token("alice", config)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        changed = ({}, {"method": "DELETE"}, {"headers": [bearer(raw), ORIGIN, ASKS]}, {"headers": []})
        seen.extend(is_preflight({**scope, **change}) for change in changed)
        with pytest.raises(MissingTokenError):
            admit({**scope, "method": "DELETE"})
        with pytest.raises(MissingTokenError):
            get_token(scope)
        assert None is get_token(scope, optional=True)

    guarded = JWTMiddleware(app, config, allow_preflight=True)
    await guarded(preflight(), None, None)  # type: ignore[arg-type]
    assert [True, False, False, False] == seen
