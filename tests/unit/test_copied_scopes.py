"""A result belongs to what it was worked out from: a copied scope that offers something else is examined anew."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenError,
    create_access_token,
    current_token,
    get_token,
    renew_token,
)
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.authenticator import Authenticator
from asgi_jwt_claims.auth.options import OPTIONAL_TOKEN, Guard
from asgi_jwt_claims.auth.request import authenticate_request, authenticator_for
from asgi_jwt_claims.auth.state import request_auth
from asgi_jwt_claims.errors import (
    CSRFTokenError,
    MissingTokenError,
    NotGuardedError,
    StoreUnavailableError,
)
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sources import Credentials, InsecureWebSocketQuery, WebSocketProtocol
from asgi_jwt_claims.sources.csrf import csrf_digest
from asgi_jwt_claims.stores import SQLiteStore
from tests.conftest import NOW
from tests.raw_asgi import Header, Receive, Scope, Send, ask, bearer, drive, http_scope, websocket_scope
from tests.scopes import ScopeMiddleware, admit, admitted
from tests.support import SECRET
from tests.unit.connections.connection import connected, until

CONFIG = JWTConfig(secret_key=SECRET, clock=lambda: NOW)
RAWS = {name: create_access_token(name, CONFIG) for name in ("alice", "bob")}
ALICE, BOB = RAWS.values()


def cookie(raw: str, *, csrf: bool = False) -> list[Header]:
    return [
        (b"cookie", b"__Host-access_token=" + raw.encode()),
        *([(b"x-csrf-token", csrf_digest(raw.encode()))] if csrf else []),
    ]


def identity_in(scope: Scope) -> str | None:
    """The identity in a scope, by `get_token` and by a guard; or the name of the error."""
    try:
        token = get_token(scope, optional=True)
    except TokenError as error:
        with pytest.raises(type(error)):
            admit(scope, OPTIONAL_TOKEN)
        return type(error).__name__
    assert token is admit(scope, OPTIONAL_TOKEN)
    return None if token is None else token.identity


def opened(scope: Scope, **options: Any) -> Scope:
    """A scope that a middleware has examined."""
    ScopeMiddleware(CONFIG, required=False, **options).open(scope)
    return scope


@pytest.mark.parametrize("pairs", [tuple, list], ids=["tuples", "lists"])
def test_a_scope_with_other_headers(pairs: Any) -> None:
    """In a copy `get_token` and guards go by the headers of the copy; what stands under `token` was copied."""
    scope = opened(http_scope("/", bearer(ALICE)))
    scope["headers"] = [pairs(pair) for pair in scope["headers"]]
    for header, expected in (
        (bearer(BOB), "bob"),
        (bearer(ALICE), "alice"),
        (bearer("a.b.c"), "MalformedTokenError"),
        (bearer(b"\xff"), "MalformedCredentialsError"),
        ((b"x", b"y"), None),
    ):
        part = {**scope, "headers": [pairs(header)]}
        assert expected == identity_in(part)
        assert "alice" == part["token"].identity
        assert "alice" == identity_in(scope)


def test_a_scope_that_is_changed_in_place() -> None:
    """It makes no difference how the headers were changed: another list, another pair, or other bytes in a pair."""
    scope = opened(http_scope("/", bearer(ALICE)))
    scope["headers"].append((b"x-request-id", b"1"))
    first = request_auth(scope)
    assert "alice" == identity_in(scope)
    scope["headers"][:] = [bearer(BOB)]
    assert "bob" == identity_in(scope)
    assert first is not request_auth(scope)
    scope["headers"] = [list(bearer(ALICE))]
    assert "alice" == identity_in(scope)
    scope["headers"][0][1] = bearer(BOB)[1]
    assert "bob" == identity_in(scope)


def test_the_same_credentials_are_verified_once(verifications: list[str]) -> None:
    """A layer that adds a header, or changes the path or GET to HEAD, changes nothing about the token."""  # S133
    scope = opened(http_scope("/", bearer(ALICE)))
    other = {"path": "/x", "headers": [(b"x-request-id", b"1"), bearer(ALICE)], "method": "HEAD"}
    for change in ({}, other, {"headers": tuple(scope["headers"])}):
        part = {**scope, **change}
        assert "alice" == identity_in(part)
        assert scope[SCOPE_KEY] is part[SCOPE_KEY]
        ScopeMiddleware(CONFIG).open(part)
        assert scope[SCOPE_KEY].result_for(scope) is part[SCOPE_KEY].result_for(part)
    assert [ALICE] == verifications


@pytest.mark.parametrize("first", ["GET", "POST"])
@pytest.mark.parametrize("second", ["HEAD", "DELETE", "PATCH", None])
def test_a_changed_method(first: str, second: str | None) -> None:
    """A cookie is held to the rules of the method that this very scope has."""  # S10
    headers = [*cookie(ALICE, csrf=first == "POST"), (b"host", b"testserver")]
    scope = opened(http_scope("/", *headers, method=first), sources=[Cookie()])
    assert "alice" == identity_in(scope)
    part = {**scope, "method": second, "headers": cookie(ALICE)}
    expected = "alice" if second == "HEAD" else "CSRFTokenError"
    assert expected == identity_in(part)
    error = ScopeMiddleware(CONFIG, sources=[Cookie()]).open(part)
    assert (None if second == "HEAD" else CSRFTokenError) == (None if error is None else type(error))


def test_another_page_has_sent_it() -> None:
    """A copy that is to change something is refused for an origin that did not count before."""  # S10
    headers = [*cookie(ALICE, csrf=True), (b"sec-fetch-site", b"cross-site")]
    scope = opened(http_scope("/", *headers), sources=[Cookie()])
    assert "alice" == identity_in(scope)
    assert "ForeignOriginError" == identity_in({**scope, "method": "PUT"})


def test_a_form_that_was_not_read() -> None:
    """A copy that would need the CSRF value of a form does not inherit that of a header."""
    scope = opened(http_scope("/", *cookie(ALICE, csrf=True), method="POST"), sources=[Cookie()])
    assert "alice" == identity_in(scope)
    form = (b"content-type", b"application/x-www-form-urlencoded")
    assert "CSRFTokenError" == identity_in({**scope, "headers": [*cookie(ALICE), form]})


def test_a_handshake_with_other_protocols_or_another_query() -> None:
    """The same for websockets: the subprotocols, the query and the headers of the copy count, hidden tokens do not."""
    middleware = ScopeMiddleware(CONFIG, required=False, sources=[WebSocketProtocol(), InsecureWebSocketQuery()])
    scope = websocket_scope("/", subprotocols=["chat", "bearer", ALICE])
    assert "bearer" == middleware.settings.strip_subprotocol(scope)
    middleware.open(scope)
    assert (["chat"], "alice") == (scope["subprotocols"], identity_in(scope))
    assert "alice" == identity_in({**scope, "subprotocols": ["chat"]})
    for change, expected in (
        ({"subprotocols": ["bearer", BOB]}, "bob"),
        ({"subprotocols": []}, None),
        ({"subprotocols": [], "query_string": b"access_token=" + BOB.encode()}, "bob"),
        ({"query_string": b"access_token=" + BOB.encode()}, "RepeatedCredentialsError"),
        ({"type": "http", "method": "GET"}, None),
    ):
        assert expected == identity_in({**scope, **change})
    inner = {**scope, "subprotocols": ["bearer", BOB]}
    assert "bearer" == middleware.settings.strip_subprotocol(inner)
    assert ([], "bob") == (inner["subprotocols"], identity_in(inner))


def test_protocols_that_are_changed_in_place() -> None:
    """Subprotocols that an application adds to the list in its scope, or takes from it, count as those of a copy do."""
    middleware = ScopeMiddleware(CONFIG, required=False, sources=[WebSocketProtocol()])
    scope = websocket_scope("/", subprotocols=["chat", "bearer", ALICE])
    assert "bearer" == middleware.settings.strip_subprotocol(scope)
    middleware.open(scope)
    assert "alice" == identity_in(scope)
    scope["subprotocols"] += ["bearer", BOB]
    assert "bob" == identity_in(scope)
    scope["subprotocols"].clear()
    assert None is identity_in(scope)


def test_nested_takers_of_protocols() -> None:
    """A second middleware finds the token that the first has taken out, and takes its own name out as well."""
    outer, inner = (
        ScopeMiddleware(CONFIG, required=False, sources=[WebSocketProtocol(name)]) for name in ("bearer", "jwt")
    )
    scope = websocket_scope("/", subprotocols=["bearer", ALICE, "jwt", BOB, "chat"])
    seen = []
    for middleware in (outer, inner):
        middleware.settings.strip_subprotocol(scope)
        middleware.open(scope)
        seen.append(scope["token"].identity)
    assert (["alice", "bob"], ["chat"]) == (seen, scope["subprotocols"])


def test_a_source_of_the_application_is_asked_again() -> None:
    """It may read anything of a scope, so it is asked for each question."""

    def by_client(scope: Any, max_size: int) -> Credentials | None:
        return Credentials(RAWS[scope["client"][0]], "client") if scope["client"] else None

    scope = opened(http_scope("/", client=("alice", 1)), sources=[by_client])
    assert "alice" == identity_in(scope)
    assert "bob" == identity_in({**scope, "client": ("bob", 1)})
    assert None is identity_in({**scope, "client": None})


def test_headers_that_can_be_read_only_once() -> None:
    """Nothing is remembered of them, and nothing is taken from them."""
    scope = opened(http_scope("/", client=("alice", 1)), sources=[lambda scope, _: Credentials(ALICE, "x")])
    scope["headers"] = iter([bearer(BOB)])
    assert "alice" == identity_in(scope)
    assert [bearer(BOB)] == list(scope["headers"])


def test_what_has_to_be_waited_for_is_refused(tmp_path: Any) -> None:
    """In a copy too: where the caller cannot wait for the store, no token is let in."""
    scope = http_scope("/", bearer(ALICE))
    ScopeMiddleware(CONFIG, required=False, store=SQLiteStore(tmp_path / "store")).open(scope)
    with pytest.raises(StoreUnavailableError):
        get_token({**scope, "headers": [bearer(BOB)]})


def test_a_dependency_in_a_copied_scope() -> None:
    """One with a configuration of its own looks where the middleware looks, in the copy."""
    scope = opened(http_scope("/", *cookie(ALICE)), sources=[Cookie()])
    part = {**scope, "headers": cookie(BOB)}
    authenticator = authenticator_for(part, Authenticator(CONFIG, (), None, ErrorResponder()))
    result = authenticate_request(part, authenticator)
    assert result is authenticate_request(part)
    assert result.token is not None
    assert "bob" == result.token.identity


def test_nothing_of_a_part_stands_in_the_whole() -> None:
    """A result that was worked out for a copy is found in that copy alone."""
    scope = opened(http_scope("/", bearer(ALICE)))
    first = scope[SCOPE_KEY]
    assert "bob" == identity_in({**scope, "headers": [bearer(BOB)]})
    assert first is scope[SCOPE_KEY]
    assert ["alice"] == [grant.result.token.identity for grant in first.grants_for(scope)]


# What a scope may offer: by header, by cookie, well or badly.
OFFERS = st.sampled_from(
    [
        [],
        [bearer(ALICE)],
        [bearer(BOB)],
        [bearer("a.b.c")],
        [bearer(ALICE), bearer(ALICE)],
        cookie(ALICE),
        cookie(BOB, csrf=True),
        [*cookie(BOB, csrf=True), (b"origin", b"https://evil.example")],
        [*cookie(ALICE), bearer(BOB)],
    ]
)
METHODS = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "DELETE"])
SOURCES = ((BearerHeader(),), (Cookie(),), (BearerHeader(), Cookie()))


@given(steps=st.lists(st.tuples(OFFERS, METHODS, st.booleans(), st.booleans()), min_size=1, max_size=6), at=st.data())
def test_each_scope_is_answered_by_itself(steps: list[Any], at: st.DataObject) -> None:
    """However scopes are copied or changed, nested and asked: each says what a fresh one with the same content says."""
    sources = at.draw(st.sampled_from(SOURCES))
    scope = opened(http_scope("/"), sources=sources)
    for headers, method, copies, gated in steps:
        change = {"headers": list(headers), "method": method}
        scope = {**scope, **change} if copies else scope
        scope.update(change)
        if gated:
            ScopeMiddleware(CONFIG, required=False, sources=sources).open(scope)
        fresh = opened(http_scope("/", method=method) | {"headers": list(headers)}, sources=sources)
        assert identity_in(fresh) == identity_in(scope)
        if gated:
            assert fresh["token"] is scope["token"] is None or fresh["token"].identity == scope["token"].identity


@given(headers=OFFERS, method=METHODS, layers=st.lists(st.sampled_from(SOURCES), min_size=1, max_size=4))
def test_nested_gates_verify_once(headers: list[Header], method: str, layers: list[Any]) -> None:
    """Equal middlewares around one another share one result, and none changes what was found."""
    scope = http_scope("/", *headers, method=method)
    found = []
    for sources in (layers[0],) * len(layers):
        ScopeMiddleware(CONFIG, required=False, sources=sources).open(scope)
        found.append((scope[SCOPE_KEY].result_for(scope), scope["token"]))
    assert all(one[0] is found[0][0] and one[1] is found[0][1] for one in found)


@pytest.mark.anyio
@pytest.mark.parametrize("outer", [None, "alice"])
@pytest.mark.parametrize("first", ["alice", None])
async def test_the_parts_of_a_batch(outer: str | None, first: str | None) -> None:
    """Each part is answered as if it had come alone, no matter who asked for the whole or came first."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = b"done"
        if scope["path"] == "/batch":
            for name in names:
                headers = [] if name is None else [bearer(RAWS.get(name, name))]
                part = {**scope, "path": "/part", "raw_path": b"/part", "headers": headers}
                answers.append((await drive(guarded, part)).body.decode())
        else:
            token = current_token()
            assert token is get_token(scope) is scope["token"]
            body = scope["token"].identity.encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    names = [first, "bob", "alice", None, "garbage"]
    answers: list[str] = []
    guarded = JWTMiddleware(app, CONFIG, exempt=["/batch"] if outer is None else [])
    headers = [] if outer is None else [bearer(RAWS[outer])]
    assert 200 == (await ask(guarded, "/batch", *headers, method="POST")).status
    assert [name if name in RAWS else "refused" for name in names] == [
        answer if answer in RAWS else "refused" for answer in answers
    ]


@pytest.mark.anyio
async def test_a_renewal_is_for_the_credentials_of_the_handshake() -> None:
    """After a renewal the new token is given for what the handshake offered, and for nothing else."""
    later = create_access_token("alice", CONFIG, lifetime=3600)
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        other, same = {**scope, "headers": [bearer(BOB)]}, dict(scope)
        with pytest.raises(NotGuardedError):
            await renew_token(other, later)
        token = await renew_token(scope, later)
        seen.extend((get_token(scope) is token, get_token(same) is token, get_token(other).identity))
        seen.append(identity_in({**scope, "headers": []}))

    async with connected(JWTMiddleware(app, CONFIG), websocket_scope("/", bearer(ALICE))) as line:
        await until(lambda: line.is_over)
        assert None is line.error
    assert [True, True, "bob", None] == seen


@pytest.mark.anyio
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_connection_does_not_end_with_the_token_of_a_part(when: str) -> None:
    """What a guard finds in a copy with another cookie is nothing to the connection that the whole opens."""
    now = [float(NOW)]
    config = CONFIG.replace(clock=lambda: now[0])
    short = create_access_token("bob", config, lifetime=30)
    access = Guard(sources=[Cookie()])
    ended: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        def ask_for_a_part() -> None:
            part = {**scope, "headers": [bearer(ALICE), (b"origin", b"https://testserver"), *cookie(short)]}
            part["headers"].append((b"host", b"testserver"))
            assert "bob" == admitted(part, access).identity

        await receive()
        if when == "before":
            ask_for_a_part()
        await send({"type": "websocket.accept"})
        if when == "after":
            ask_for_a_part()
        now[0] += 100
        await send({"type": "websocket.send", "text": "on"})
        ended.append(False)

    async with connected(JWTMiddleware(app, config), websocket_scope("/", bearer(ALICE))) as line:
        await until(lambda: line.is_over)
    assert (["on"], [False], None) == (line.texts, ended, line.error)


def test_a_deep_copy() -> None:
    """A scope that was copied with all that is in it is a scope like any other."""
    scope = opened(http_scope("/", bearer(ALICE)))
    part = {**scope, "headers": copy.deepcopy(scope["headers"])}
    assert "alice" == identity_in(part)
    with pytest.raises(MissingTokenError):
        get_token({**part, "headers": []})
