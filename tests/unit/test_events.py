"""What is told and logged of requests that are refused or let in: which request it was, and whose token."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    JWTMiddleware,
    TokenError,
    create_access_token,
    create_refresh_token,
)
from asgi_jwt_claims.config.events import request_facts
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    ForbiddenError,
    MissingTokenError,
    SettingError,
    StoreUnavailableError,
    UnknownKeyError,
)
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sessions import TokenEndpoints, revoke_token, rotate_refresh_token, start_session
from asgi_jwt_claims.starlette import jwt_required
from asgi_jwt_claims.stores import MemoryStore
from asgi_jwt_claims.tokens import verify_token
from tests.conftest import NOW, HeldClock
from tests.forging import CLAIMS, b64, forge, sealed
from tests.raw_asgi import bearer, drive, http_scope, websocket_scope
from tests.support import SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


ROUTE = SimpleNamespace(path="/items/{id}")

ALICE = {"type": "access", "identity": "alice", "jti": "5f0c3a9e", "issuer": None, "session_id": None}
NO_TOKEN = {"type": None, "identity": None, "jti": None, "issuer": None, "session_id": None}


def told(event: AuthEvent) -> dict[str, Any]:
    """What an event says of the token."""
    return {name: getattr(event, name) for name in NO_TOKEN}


@pytest.fixture
def config(clock: HeldClock, events: list[AuthEvent]) -> JWTConfig:
    return JWTConfig(secret_key=SECRET, clock=clock, on_event=events.append)


async def refused(config: JWTConfig, raw: str | bytes, **options: Any) -> None:
    """Offer a token to a middleware that refuses it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("reached")

    await drive(JWTMiddleware(app, config, **options), http_scope("/secret/4711", bearer(raw)))


# Whose token it was ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ({"exp": NOW - 60}, "token_expired", ALICE),
        ({"nbf": NOW + 60}, "token_not_yet_valid", ALICE),
        ({"aud": "other"}, "invalid_audience", ALICE),
        ({"iss": "other", "exp": 1, "sid": "one"}, "token_expired", {**ALICE, "issuer": "other", "session_id": "one"}),
        ({"type": "refresh"}, "invalid_token_type", {**ALICE, "type": "refresh"}),
        ({"cnf": {}}, "token_bound", ALICE),
        ({"exp": "soon"}, "invalid_claim", ALICE),
        # What cannot be read is left out.
        ({"jti": 7}, "invalid_claim", {**ALICE, "jti": None}),
        ({"sub": {"alice": 1}}, "invalid_claim", {**ALICE, "identity": None}),
        ({"iss": ["one"]}, "invalid_claim", ALICE),
    ],
)
async def test_a_refused_token_with_a_good_signature(
    config: JWTConfig, events: list[AuthEvent], changes: dict[str, Any], code: str, expected: dict[str, Any]
) -> None:
    """The event of a token that we have signed says whose it is, for every other fault that it may have."""
    await refused(config, forge(changes))
    (event,) = events
    assert ("refused", code, expected) == (event.name, event.code, told(event))


@pytest.mark.parametrize("payload", [b"[]", b"no JSON", b'{"sub": "alice", "sub": "bob"}'])
async def test_a_payload_that_says_nothing(config: JWTConfig, events: list[AuthEvent], payload: bytes) -> None:
    """A signed payload that cannot be read says nothing."""
    await refused(config, sealed(b'{"alg":"HS256"}', payload))
    assert [NO_TOKEN] == list(map(told, events))


@pytest.mark.parametrize(
    "raw",
    [
        forge({"exp": 1}, secret="x" * 40),
        forge(header={"kid": "unknown"}),
        forge(header={"alg": "HS384"}),
        forge(header={"crit": ["b64"]}),
        (b64(json.dumps(CLAIMS).encode()) * 2).decode(),
        f"{forge()}x",
        forge()[:-8] + "AAAAAAAA",
    ],
)
async def test_a_token_with_a_bad_signature(config: JWTConfig, events: list[AuthEvent], raw: str) -> None:
    """What a token says of itself is told only if its signature is good."""  # S149
    await refused(config, raw)
    assert [NO_TOKEN] == list(map(told, events))


async def test_a_remembered_token(config: JWTConfig, clock: HeldClock, events: list[AuthEvent]) -> None:
    """A token that was good before, and is remembered, is told of like any other."""
    raw = forge()
    for _ in range(3):
        verify_token(raw, config)
    clock.now += 1000
    await refused(config, raw)
    assert [ALICE] == list(map(told, events))


async def test_other_claims_for_the_identity(clock: HeldClock, events: list[AuthEvent]) -> None:
    """The identity is read from the claim that the configuration names, of any JSON type; a missing one is none."""
    config = JWTConfig(
        secret_key=SECRET,
        clock=clock,
        on_event=events.append,
        identity_claim="who",
        type_claim=None,
        session_claim=None,
    )
    for changes in ({"who": {"id": 1}, "exp": 1}, {"who": 0, "exp": 1}, {}):
        await refused(config, forge(changes))
    assert [{"id": 1}, 0, None] == [event.identity for event in events]
    assert ["access", "access", None] == [event.type for event in events]


async def test_a_revoked_token(config: JWTConfig, events: list[AuthEvent]) -> None:
    """The event of a revoked token says whose it is, and so does that of one whose revocation cannot be checked."""

    class Broken(MemoryStore):
        def is_revoked_locally(self, token: Any, config: Any) -> Any:
            return None

        async def check(self, token: Any, config: Any) -> bool:
            raise StoreUnavailableError(reason="down")

    store = MemoryStore()
    await revoke_token(verify_token(forge(), config), config, store)
    events.clear()
    for one in (store, Broken()):
        await refused(config, forge(), store=one)
    assert [("token_revoked", ALICE), ("store_unavailable", ALICE)] == [(event.code, told(event)) for event in events]


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"allow": "admin"}, "role_refused"),
        ({"deny": "user"}, "role_refused"),
        ({"scopes": "write"}, "missing_scope"),
        ({"fresh": True}, "insufficient_freshness"),
        ({"type": "refresh"}, "invalid_token_type"),
    ],
)
async def test_a_guard_that_refuses(
    config: JWTConfig, events: list[AuthEvent], rules: dict[str, Any], code: str
) -> None:
    """The event of a good token that a guard does not let in says whose it is."""

    @jwt_required(**rules)
    async def handler(request: Any) -> Any:
        raise AssertionError("reached")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    await drive(JWTMiddleware(app, config), http_scope("/", bearer(forge({"roles": ["user"]}))))
    assert [(code, ALICE)] == [(event.code, told(event)) for event in events]


async def test_errors_of_a_refresh(config: JWTConfig, clock: HeldClock) -> None:
    """An error of a rotation says whose the refresh token is."""
    store = MemoryStore()
    pair = await start_session("alice", config, store, client_id="app")
    token = verify_token(pair.refresh_token, config, type="refresh")
    expected = {
        "type": "refresh",
        "identity": "alice",
        "jti": token.jti,
        "issuer": None,
        "session_id": token.session_id,
    }
    for options in ({}, {"client_id": "app", "scope": "more"}, {"client_id": "app", "claims_loader": lambda _: None}):
        with pytest.raises(TokenError) as caught:
            await rotate_refresh_token(pair.refresh_token, config, store, **options)  # type: ignore[arg-type]
        assert expected == caught.value.verified


async def test_an_error_of_a_handler(config: JWTConfig, events: list[AuthEvent]) -> None:
    """An error that says that a good token does not allow this concerns the token of the request; any other does not."""
    challenges, token = ErrorResponder(listeners=events.append), verify_token(forge(), config)
    for error in (ForbiddenError(), ExpiredTokenError(), MissingTokenError()):
        for one in (token, None):
            await challenges.respond(error, http_scope("/", token=one))
    assert [ALICE, *[NO_TOKEN] * 5] == list(map(told, events))


# For which configuration ----------------------------------------------------------------------------------------------


async def test_several_configurations(clock: HeldClock) -> None:
    """A token with a good signature concerns its own configuration alone; any other may be meant for each of them."""
    told: dict[str, list[AuthEvent]] = {"a": [], "b": []}
    configs = [
        JWTConfig(secret_key=SECRET + name, issuer=name, clock=clock, on_event=told[name].append) for name in told
    ]
    silent = JWTConfig(secret_key=SECRET + "c", issuer="c", clock=clock)
    raws = [create_access_token("alice", one) for one in (*configs, silent)]
    clock.now += 3600
    for raw in raws:
        await refused([*configs, silent], raw)  # type: ignore[arg-type]
    assert {"a": ["a"], "b": ["b"]} == {name: [event.issuer for event in events] for name, events in told.items()}
    await refused([*configs, silent], "a.b.c")  # type: ignore[arg-type]
    assert [None, None] == [events[-1].identity for events in told.values()]
    assert [2, 2] == [len(events) for events in told.values()]


# Which request it was -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (http_scope("/items/4711"), {"method": "GET", "client": "127.0.0.1"}),
        (http_scope("/", method="DELETE", client=None), {"method": "DELETE"}),
        (http_scope("/", client=("", 0)), {"method": "GET"}),
        (http_scope("/", client=["2001:db8::1", 1]), {"method": "GET", "client": "2001:db8::1"}),
        (http_scope("/", client=("a\nb", 1), method="G\r\nT"), {}),
        (websocket_scope("/"), {"client": "127.0.0.1"}),
        ({"type": "http"}, {}),
        (http_scope("/", path_template="/a/{b}", client=None), {"method": "GET", "path": "/a/{b}"}),
        (
            http_scope("/", route=SimpleNamespace(path="/c/{d}"), fastapi=None, client=None),
            {"method": "GET", "path": "/c/{d}"},
        ),
        (http_scope("/", route=object(), fastapi={}, path_template=7, client=None), {"method": "GET"}),
        (
            http_scope("/", route=ROUTE, fastapi={"effective_route_context": 1}, client=None),
            {"method": "GET", "path": "/items/{id}"},
        ),
        (
            http_scope(
                "/",
                route=ROUTE,
                fastapi={"effective_route_context": SimpleNamespace(original_route=ROUTE, path="/v1/items/{id}")},
                client=None,
            ),
            {"method": "GET", "path": "/v1/items/{id}"},
        ),
    ],
)
def test_what_is_said_of_a_request(scope: dict[str, Any], expected: dict[str, Any]) -> None:
    """Method, template of the path and client are said where they are known and are words; the path itself never is."""
    assert expected == request_facts(scope)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"7f3a-41"], "7f3a-41"),
        ([b"Root=1-67891233-abcdef012345678912345678"], "Root=1-67891233-abcdef012345678912345678"),
        ([b"x" * 128], "x" * 128),
        ([b"x" * 129], None),
        ([], None),
        ([b""], None),
        ([b"a", b"b"], None),
        ([b'a" admin="yes'], None),
        ([b"a\\b"], None),
        ([b"a b"], None),
        ([b"a\nb"], None),
        ([b"\x1b[2J"], None),
        ("\u202e".encode(), None),
    ],
)
def test_the_identifier_of_a_request(values: list[bytes], expected: str | None) -> None:
    """A request identifier is told as it was sent if it is one short word, and left out if it is not."""
    values = [values] if isinstance(values, bytes) else values
    scope = http_scope("/", *((b"x-request-id", value) for value in values))
    assert expected == request_facts(scope).get("request_id")


@given(st.text(), st.binary(), st.text(), st.text())
def test_no_client_ends_a_line_of_the_log(method: str, identifier: bytes, client: str, kid: str) -> None:
    """The line of a refusal is one line of printable characters, for everything that a client can send."""  # S149
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    async def respond() -> None:
        scope = http_scope("/", (b"x-request-id", identifier), method=method, client=(client, 1))
        await ErrorResponder().respond(UnknownKeyError(kid=kid), scope)

    log, handler = logging.getLogger("asgi_jwt_claims"), Listener()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with pytest.raises(StopIteration):
            respond().send(None)
    finally:
        log.setLevel(logging.NOTSET)
        log.removeHandler(handler)
    (line,) = lines
    assert line.isprintable()


async def test_the_line_of_a_refusal(config: JWTConfig, caplog: pytest.LogCaptureFixture) -> None:
    """The line has code, method, template, client, request identifier and evidence; no path, no token, no identity."""
    caplog.set_level(logging.DEBUG, "asgi_jwt_claims")
    raw = forge({"exp": NOW - 60})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("reached")

    scope = http_scope("/secret/4711", bearer(raw), (b"x-request-id", b"7f3a"), path_template="/secret/{id}")
    await drive(JWTMiddleware(app, config), scope)
    (line,) = caplog.messages
    assert (
        "request refused: token_expired "
        "{'method': 'GET', 'path': '/secret/{id}', 'client': '127.0.0.1', 'request_id': '7f3a'} "
        f"evidence {{'claim': 'exp', 'exp': {NOW - 60}, 'now': {NOW}}}" == line
    )
    assert not any(secret in line for secret in ("4711", "alice", *raw.split(".")))


@pytest.mark.parametrize(
    ("error", "level"),
    [(MissingTokenError(), logging.DEBUG), (ExpiredTokenError(exp=5), logging.INFO)],
    ids=["absence", "refusal"],
)
async def test_the_level_of_a_refusal(error: TokenError, level: int, caplog: pytest.LogCaptureFixture) -> None:
    """Mere absence is only worth a debug line."""
    caplog.set_level(logging.DEBUG, "asgi_jwt_claims")
    await ErrorResponder().respond(error, http_scope("/"))
    assert [level] == [record.levelno for record in caplog.records]


async def test_evidence_that_cannot_be_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Evidence of the application's own that raises when it is shown makes no request fail."""

    class Detached:
        def __repr__(self) -> str:
            raise RuntimeError("detached")

    error = ForbiddenError(order=Detached())
    logging.getLogger("asgi_jwt_claims").setLevel(logging.ERROR)  # pytest shows every record, and lets nothing pass
    try:
        answer = await ErrorResponder().respond(error, http_scope("/"))
    finally:
        logging.getLogger("asgi_jwt_claims").setLevel(logging.NOTSET)
    assert 403 == answer.status


# What was let in ------------------------------------------------------------------------------------------------------


async def accepts(config: Any, raw: str | None, *, guards: int = 0, kind: str = "access", **options: Any) -> None:
    """One request to an application with some guards in it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        @jwt_required(optional=raw is None, type=kind)
        async def handler(request: Any) -> None:
            return None

        for _ in range(guards):
            await handler(Request(scope))

    await drive(JWTMiddleware(app, config, **options), http_scope("/open", *(() if raw is None else (bearer(raw),))))


@pytest.mark.parametrize(
    ("guards", "options", "count"),
    [
        (0, {}, 1),
        (3, {}, 1),
        (0, {"required": False}, 1),
        (2, {"required": False}, 1),
        (0, {"exempt": ["/open"]}, 0),
        (2, {"exempt": ["/open"]}, 1),
        (1, {"store": MemoryStore()}, 1),
    ],
)
async def test_a_request_is_told_of_once(
    config: JWTConfig, events: list[AuthEvent], guards: int, options: dict[str, Any], count: int
) -> None:
    """However many guards let a request in, that is one event, and none where nothing has asked for the token."""
    await accepts(config.replace(accepted_events=True), forge(), guards=guards, **options)
    expected = [AuthEvent(name="accepted", **ALICE, method="GET", client="127.0.0.1")] * count  # type: ignore[arg-type]
    assert expected == events


async def test_another_type_of_token(config: JWTConfig, events: list[AuthEvent]) -> None:
    """A guard that wants another type of token tells what it has let in."""
    config = config.replace(accepted_events=True)
    raw = create_refresh_token("alice", config)
    await accepts(config, raw, guards=1, exempt=["/open"], kind="refresh")
    assert [("accepted", "refresh")] == [(event.name, event.type) for event in events]


async def test_the_endpoints_let_in(config: JWTConfig, events: list[AuthEvent]) -> None:
    """The endpoints that want an access token tell of it, and the others have events of their own."""
    config, store = config.replace(accepted_events=True), MemoryStore()
    pair = await start_session("alice", config, store)
    endpoints = TokenEndpoints(config, store)
    events.clear()
    await drive(endpoints, http_scope("/sessions", bearer(pair.access_token)))
    form = (b"content-type", b"application/x-www-form-urlencoded")
    body = f"token={pair.refresh_token}".encode()
    await drive(endpoints, http_scope("/logout", form, method="POST"), {"type": "http.request", "body": body})
    await drive(endpoints, http_scope("/sessions", bearer(pair.access_token)))
    assert ["accepted", "revoked", "refused"] == [event.name for event in events]
    assert ["alice", "alice"] == [events[0].identity, events[2].identity]


async def test_nothing_is_accepted_without_a_token(config: JWTConfig, events: list[AuthEvent]) -> None:
    """A request that goes on without a token is no event, nor is one that is refused."""
    config = config.replace(accepted_events=True)
    await accepts(config, None, guards=1, required=False)
    assert [] == events
    await refused(config, forge({"exp": 1}))
    assert ["refused"] == [event.name for event in events]


async def test_accepted_events_are_off_by_default(config: JWTConfig, events: list[AuthEvent]) -> None:
    """Unless it is asked for, nothing is told of requests that are let in."""
    await accepts(config, forge(), guards=1)
    assert [] == events


async def test_the_configuration_of_an_accepted_token(clock: HeldClock) -> None:
    """Of several configurations, the token's own is told, if that one has asked for it."""
    told: dict[str, list[AuthEvent]] = {"a": [], "b": []}
    configs = [
        JWTConfig(
            secret_key=SECRET + name, issuer=name, clock=clock, on_event=told[name].append, accepted_events=name == "a"
        )
        for name in told
    ]
    for config in configs:
        await accepts(configs, create_access_token("alice", config))
    assert {"a": ["a"], "b": []} == {name: [event.issuer for event in events] for name, events in told.items()}


def test_nobody_to_tell() -> None:
    """Accepted events without a function that could be told of them are refused."""
    with pytest.raises(SettingError, match="on_event must be a function where accepted_events is True"):
        JWTConfig(secret_key=SECRET, accepted_events=True)
