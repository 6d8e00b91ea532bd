"""Mistakes of the first hour: arguments in the wrong order or of the wrong type, and tokens that are sent wrongly."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Token,
    create_access_token,
    create_refresh_token,
    create_token_pair,
    set_token_cookies,
    unset_token_cookies,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.auth.request import get_token
from asgi_jwt_claims.errors import (
    MalformedTokenError,
    MissingTokenError,
    NotGuardedError,
    SettingError,
)
from asgi_jwt_claims.sessions import (
    csrf_token,
    list_sessions,
    revoke_identity,
    revoke_session,
    revoke_token,
    rotate_refresh_token,
    start_session,
)
from asgi_jwt_claims.sources import why_absent
from asgi_jwt_claims.starlette import jwt_required
from asgi_jwt_claims.stores import MemoryStore
from tests.raw_asgi import Header, Recorder, finish, http_scope
from tests.support import SECRET, for_each

CONFIG = JWTConfig(secret_key=SECRET)
STORE = MemoryStore()
RAW = create_access_token("alice", CONFIG)
TOKEN = verify_token(RAW, CONFIG)


def call(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a function, sync or async."""
    result = function(*arguments)
    if inspect.isawaitable(result):
        finish(result)  # type: ignore[arg-type]


@for_each(
    "config",
    ["alice", None, {"secret_key": SECRET}, [CONFIG], JWTConfig, STORE],
)
@for_each(
    ("function", "arguments", "how"),
    [
        (create_access_token, ("alice",), "create_access_token(identity, config)"),
        (create_refresh_token, ("alice",), "create_refresh_token(identity, config)"),
        (create_token_pair, ("alice",), "create_token_pair(identity, config)"),
        (verify_token, (RAW,), "verify_token(raw, config)"),
        (verify_token_async, (RAW,), "verify_token_async(raw, config)"),
        (set_token_cookies, ([], RAW), "set_token_cookies(response, tokens, config)"),
        (unset_token_cookies, ([],), "unset_token_cookies(response, config)"),
        (csrf_token, (http_scope(),), "csrf_token(request, config)"),
        (start_session, ("alice",), "start_session(identity, config, store)"),
        (list_sessions, ("alice",), "list_sessions(identity, config, store)"),
        (revoke_identity, ("alice",), "revoke_identity(identity, config, store)"),
        (revoke_session, ("one",), "revoke_session(session_id, config, store)"),
        (revoke_token, (TOKEN,), "revoke_token(token, config, store)"),
        (rotate_refresh_token, (RAW,), "rotate_refresh_token(raw, config, store)"),
    ],
)
def test_what_is_no_configuration(function: Any, arguments: tuple[Any, ...], how: str, config: Any) -> None:
    """Something else in the place of the configuration is refused with the order of the arguments."""  # S150
    more = (STORE,) if "store" in how else ()
    with pytest.raises(SettingError) as caught:
        call(function, *arguments, config, *more)
    assert f"config must be one JWTConfig, not {type(config).__name__}; call {how}" == str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("store", [CONFIG, None, MemoryStore], ids=["config", "None", "class"])
@pytest.mark.parametrize(
    "function", [start_session, list_sessions, revoke_identity, revoke_session, rotate_refresh_token]
)
def test_what_is_no_store(function: Any, store: Any) -> None:
    """Something else in the place of the store is refused with the order of the arguments."""
    with pytest.raises(SettingError, match=rf"store must be a TokenStore .*call {function.__name__}\(\w+, config, "):
        call(function, "alice", CONFIG, store)
    with pytest.raises(SettingError, match="store must be"):
        call(revoke_token, TOKEN, CONFIG, store)


def test_arguments_in_the_wrong_order() -> None:
    """Configuration and identity, configuration and token, configuration and application changed places."""
    for function in (create_access_token, create_token_pair, verify_token):
        with pytest.raises(SettingError, match="config must be one JWTConfig, not str"):
            call(function, CONFIG, "alice")
    with pytest.raises(
        SettingError, match=r"app must be an ASGI application, not JWTConfig: JWTMiddleware\(app, config\)"
    ):
        JWTMiddleware(CONFIG, Recorder())  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="config must be a JWTConfig or a list of them, not dict"):
        JWTMiddleware(Recorder(), {"secret_key": SECRET})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "raw",
    [f"Bearer {RAW}", f"bearer {RAW}".encode(), f"JWT {RAW}", f"{RAW}\n", f" {RAW}"],
    ids=["scheme", "scheme in bytes", "another scheme", "line end", "space"],
)
def test_a_token_with_more_around_it(raw: str | bytes) -> None:
    """A token with its scheme, or with a line end, is refused with evidence that says so."""
    with pytest.raises(MalformedTokenError) as caught:
        verify_token(raw, CONFIG)
    assert {"reason": "white space; leave the scheme (Bearer) and line ends away"} == caught.value.evidence


# What stands in the header instead of a token -------------------------------------------------------------------------

NO_SCHEME = {"header": "authorization", "reason": "no scheme before what may be the token: send Bearer <token>"}
ANOTHER = {"header": "authorization", "reason": "another scheme: send Bearer <token>"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], {}),
        ([RAW.encode()], NO_SCHEME),
        ([b" " + RAW.encode()], NO_SCHEME),
        ([b"x" * 100_000], NO_SCHEME),
        ([b"JWT " + RAW.encode()], {**ANOTHER, "scheme": "JWT"}),
        ([b"Basic dXNlcjpwYXNz"], {**ANOTHER, "scheme": "Basic"}),
        ([b"s3cret x"], ANOTHER),
        ([b"abcdefghijklmnopq x"], ANOTHER),
        ([b"a.b.c x"], ANOTHER),
    ],
)
def test_absence_leaves_evidence(values: list[bytes], expected: dict[str, str]) -> None:
    """A token that is sent without its scheme, or with another one, counts as absent, and the evidence says why."""
    headers = [(b"authorization", value) for value in values]
    scope = http_scope("/", *headers)
    finish(JWTMiddleware(swallow, CONFIG, required=False)(scope, never, never))
    with pytest.raises(MissingTokenError) as caught:
        get_token(scope)
    assert expected == caught.value.evidence
    assert RAW not in str(caught.value.evidence)


async def swallow(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers nothing."""


async def never(*_: Any) -> Any:
    raise AssertionError("called")


@pytest.mark.parametrize(
    ("sources", "header", "expected"),
    [
        ((Cookie(),), (b"authorization", b"JWT x"), {}),
        ((Cookie(), BearerHeader()), (b"authorization", b"JWT x"), {**ANOTHER, "scheme": "JWT"}),
        ((BearerHeader("X-Token", scheme=""),), (b"x-token", b""), {}),
        (
            (BearerHeader("X-Token", scheme="dpop"), BearerHeader()),
            (b"x-token", b"x"),
            {"header": "x-token", "reason": "no scheme before what may be the token: send Dpop <token>"},
        ),
        ((BearerHeader(),), (b"authorization", b"bearer x"), {}),
        ((BearerHeader(),), (b"authorization", b""), {}),
    ],
)
def test_each_source_is_asked(sources: Any, header: Header, expected: dict[str, str]) -> None:
    """Each header is told of by its own name and scheme; other sources, and a header that may be right, say nothing."""
    assert expected == why_absent(http_scope("/", header), sources)


def test_a_guard_without_a_middleware() -> None:
    """The error of a guard that nothing has prepared names each of the remedies."""

    @jwt_required
    async def handler(scope: Any) -> Token:
        raise AssertionError("reached")

    with pytest.raises(
        NotGuardedError, match=r"install\(app, config\) or .* JWTMiddleware\(app, config\); .*JWTBearer\(config\)"
    ):
        finish(handler(Request(http_scope())))
