"""Where a token may be offered: absence, an offer, or an offer made badly, and never one for the other."""

from __future__ import annotations

import itertools
import logging
import pickle
from typing import Any

import pytest

from asgi_jwt_claims import (
    BearerHeader,
    ConfigurationError,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenCookies,
    WebSocketProtocol,
    create_access_token,
)
from asgi_jwt_claims.errors import (
    InvalidRequestError,
    MalformedCredentialsError,
    RepeatedCredentialsError,
    SettingError,
    TokenTooLargeError,
)
from asgi_jwt_claims.sources import (
    DEFAULT_SOURCES,
    Credentials,
    InsecureWebSocketQuery,
    extract_credentials,
    is_source,
)
from asgi_jwt_claims.sources.csrf import csrf_digest
from tests.forging import forge
from tests.raw_asgi import Recorder, drive, http_scope, websocket_scope
from tests.support import for_each

MAX = 256
RAW = forge()


def offered(*values: bytes, source: BearerHeader | None = None) -> Credentials | None:
    scope = {"headers": [(b"host", b"x"), *((b"authorization", value) for value in values)]}
    return (source or BearerHeader())(scope, MAX)


def test_no_header_is_absence() -> None:
    """Without the header nothing was offered."""
    assert None is offered()


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer a.b.c",
        b"bearer a.b.c",  # S4
        b"BEARER a.b.c",
        b"bEaReR a.b.c",
        b"Bearer     a.b.c",  # S5
        b"  Bearer a.b.c",
        b"Bearer a.b.c  ",
        b"Bearer a.b.c\t",  # one server leaves white space around a value
        b"\t Bearer a.b.c \t ",
    ],
)
def test_an_offer(value: bytes) -> None:
    """The scheme is compared without letter case (trap: case-sensitive), spaces and outer white space do not matter."""
    assert Credentials(b"a.b.c", "header") == offered(value)


@pytest.mark.parametrize("raw", [b"abc", b"a-b_c~d+e/f.g", b"abc=", b"abc=="])
def test_every_character_of_a_token68_is_offered(raw: bytes) -> None:
    """What RFC 6750 calls a b64token is handed on; whether it is a JWT is decided later."""
    assert Credentials(raw, "header") == offered(b"Bearer " + raw)


@pytest.mark.parametrize(
    "value",
    [
        b"Basic YWxpY2U6c2VjcmV0",  # S4
        b"Basic a.b.c",
        b"Basic",
        b"JWT a.b.c",
        b"Token a.b.c",
        b"DPoP a.b.c",
        b'Digest username="alice", realm="x"',
        b"Negotiate",
        b"Bearerx a.b.c",
        b"Bearer-Token a.b.c",
        b"a.b.c",
        b"Basic a, Bearer a.b.c",
        b"Basic \xff\x00",
    ],
)
def test_another_scheme_is_absence(value: bytes) -> None:
    """Another scheme counts as no credentials (trap: `Basic <jwt>` accepted)."""
    assert None is offered(value)


@for_each(
    "value",
    [
        b"",  # blank: a trap of its own
        b" ",
        b"\t",
        b"Bearer",  # S6
        b"Bearer ",
        b"Bearer   \t",
        b"Bearer a.b.c d",
        b"Bearer a.b.c, Bearer d.e.f",  # S2
        b"Bearer a.b.c,Bearer d.e.f",  # as one server joins repeated headers
        b"Bearer a.b.c,",
        b"Bearer Bearer a.b.c",
        b"Bearer a.b.c\r\nX-Admin: 1",  # S5
        b"Bearer a.b.c\n",
        b"Bearer a.b.c\r",
        b"Bearer a.b\x00.c",
        b"Bearer a.b.c\x00",
        b"Bearer\x00a.b.c",
        b"Bearer\ta.b.c",
        b"Bearer \ta.b.c",
        b"Bearer\x0ba.b.c",
        b"Bearer\xa0a.b.c",
        b"Bearer a.b.c\x7f",
        b"Bearer \xff\xfe",
        "Bearer ünï.cö.dé".encode(),
        "Bearer ünï.cö.dé".encode("latin-1"),
        "Bearer a.b.c".encode("utf-16"),
        b"B\xe9arer a.b.c",
        b"\xef\xbb\xbfBearer a.b.c",
        b'Bearer "a.b.c"',
        b"Bearer b'a.b.c'",
        b"Bearer =abc",
        b"Bearer abc=def",
        b"Bearer: a.b.c",
        b"Bearer=a.b.c",
        b",Bearer a.b.c",
        b"(Bearer) a.b.c",
    ],
)
def test_a_malformed_header_is_an_error(value: bytes) -> None:
    """A header that is not a scheme and one token is wrong (400), never absence (trap: blank and comma-joined)."""
    with pytest.raises(MalformedCredentialsError) as caught:
        offered(value)
    assert 400 == caught.value.status


@pytest.mark.parametrize(
    "values",
    [
        (b"Bearer a.b.c", b"Bearer d.e.f"),  # S1
        (b"Bearer a.b.c", b"Bearer a.b.c"),
        (b"Bearer a.b.c", b"Basic dXNlcg=="),
        (b"Basic dXNlcg==", b"Bearer a.b.c"),
        (b"Basic a", b"Basic b"),
        (b"", b""),
        (b"Bearer a.b.c", b"", b""),
    ],
)
def test_a_repeated_header_is_an_error(values: tuple[bytes, ...]) -> None:
    """Two Authorization headers are refused whatever they hold (trap: duplicated header)."""
    with pytest.raises(RepeatedCredentialsError) as caught:
        offered(*values)
    assert {"header": "authorization"} == caught.value.evidence


def test_the_longest_token_is_offered() -> None:
    """A token of exactly the limit passes."""
    assert Credentials(b"a" * MAX, "header") == offered(b"Bearer " + b"a" * MAX)


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer " + b"a" * (MAX + 1),  # S7
        b"Bearer " + b"a" * 1_000_000,
        b"Bearer " + b" " * 1_000 + b"a.b.c",
        b"Bearer " + b"\xff" * 1_000_000,
        b"Bearer" + b" " * 500 + b"x",
    ],
)
def test_a_long_value_is_refused_by_its_length(value: bytes) -> None:
    """A value beyond the limit is refused before its characters are looked at."""
    with pytest.raises(TokenTooLargeError):
        offered(value)


@pytest.mark.parametrize("value", [b"Basic " + b"a" * 1_000_000, b"a" * 1_000_000])
def test_a_long_value_of_another_scheme_is_absence(value: bytes) -> None:
    """However long, another scheme is no credentials of ours."""
    assert None is offered(value)


def test_a_long_value_without_any_scheme_is_an_error() -> None:
    """However long, what does not begin with a scheme is malformed."""
    with pytest.raises(MalformedCredentialsError):
        offered(b"\xff" * 1_000_000)


@pytest.mark.parametrize(
    "name",
    [
        b"Authorization",
        b"AUTHORIZATION",
        b"x-authorization",
        b"http_authorization",
        b"authorization_",
        b"author_ization",
    ],
)
def test_only_the_lower_case_name_counts(name: bytes) -> None:
    """Names are compared as the lower-case bytes that servers give, and no variant is merged with them."""  # S12
    assert None is BearerHeader()({"headers": [(name, b"Bearer a.b.c")]}, MAX)


def test_the_query_is_no_source() -> None:
    """A token in the query string is not looked at."""  # S8
    scope = {"headers": [], "query_string": b"access_token=a.b.c&token=a.b.c&jwt=a.b.c"}
    assert None is extract_credentials(scope, DEFAULT_SOURCES, MAX)


@pytest.mark.parametrize(
    ("source", "name", "value", "phrase"),
    [
        (BearerHeader("X-Access-Token", ""), b"x-access-token", b"a b", "The x-access-token header is malformed."),
        (BearerHeader("X-Access-Token", ""), b"x-access-token", b"", "The x-access-token header is malformed."),
        (BearerHeader("X-Token"), b"x-token", b"\x00 a", "The x-token header is malformed."),
        (BearerHeader("AUTHORIZATION"), b"authorization", b"Bearer a b", "The Authorization header is malformed."),
    ],
)
def test_a_refusal_names_the_header(source: BearerHeader, name: bytes, value: bytes, phrase: str) -> None:
    """A malformed value of another header is not called one of Authorization, also after pickling."""
    with pytest.raises(MalformedCredentialsError) as caught:
        source({"headers": [(name, value)]}, MAX)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert (phrase, phrase, name.decode()) == (str(error), error.description, error.evidence["header"])


@pytest.mark.parametrize(
    ("source", "name", "value"),
    [
        (BearerHeader("X-Token"), b"x-token", b"Bearer a.b.c"),
        (BearerHeader(scheme="JWT"), b"authorization", b"jwt a.b.c"),
        (BearerHeader("X-Access-Token", ""), b"x-access-token", b"a.b.c"),
        (BearerHeader("X-Access-Token", scheme=""), b"x-access-token", b" a.b.c\t"),
    ],
)
def test_another_header_or_scheme(source: BearerHeader, name: bytes, value: bytes) -> None:
    """The name and the scheme are settings that do what they say (trap: a setting that did nothing)."""
    assert Credentials(b"a.b.c", "header") == source({"headers": [(name, value)]}, MAX)


def test_the_usual_scheme_is_another_one_then() -> None:
    """With a scheme of its own, a source has no eyes for Bearer."""
    assert None is offered(b"Bearer a.b.c", source=BearerHeader(scheme="JWT"))


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"", MalformedCredentialsError),
        (b"Bearer a.b.c", MalformedCredentialsError),
        (b"\xff", MalformedCredentialsError),
        (b"a" * (MAX + 1), TokenTooLargeError),
    ],
)
def test_a_header_without_a_scheme_is_as_strict(value: bytes, error: type[Exception]) -> None:
    """A token that stands alone follows the same rules."""
    with pytest.raises(error):
        offered(value, source=BearerHeader(scheme=""))


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": "Authorization:"},
        {"name": "My Header"},
        {"name": "Authorisätion"},
        {"name": "X-Token\r\n"},
        {"name": None},
        {"name": b"authorization"},
        {"scheme": "Bear er"},
        {"scheme": "Bearer "},
        {"scheme": "Bärer"},
        {"scheme": None},
        {"scheme": 0},
        {"scheme": b""},
    ],
)
def test_a_header_that_cannot_exist_is_refused(arguments: dict[str, Any]) -> None:
    """A name or scheme that no header can have is refused when the source is built."""
    with pytest.raises(SettingError) as caught:
        BearerHeader(**arguments)
    assert isinstance(caught.value, ConfigurationError)


def absent(scope: Any, max_size: int) -> Credentials | None:
    return None


def first(scope: Any, max_size: int) -> Credentials | None:
    return Credentials(b"one", "first")


def second(scope: Any, max_size: int) -> Credentials | None:
    return Credentials(b"two", "second")


def broken(scope: Any, max_size: int) -> Credentials | None:
    raise MalformedCredentialsError(reason="broken")


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ((absent,), None),
        ((absent, absent), None),
        ((first,), Credentials(b"one", "first")),
        ((absent, second), Credentials(b"two", "second")),
        ((first, absent), Credentials(b"one", "first")),
    ],
)
def test_sources_are_asked_in_order(sources: Any, expected: Credentials | None) -> None:
    """Absence moves on to the next source."""
    assert expected == extract_credentials({}, sources, MAX)


def test_a_token_in_two_places_is_an_error() -> None:
    """Two offers are never a choice, whatever their order (RFC 6750 section 2)."""
    with pytest.raises(RepeatedCredentialsError) as caught:
        extract_credentials({}, (first, absent, second), MAX)
    assert {"sources": "first, second"} == caught.value.evidence


@pytest.mark.parametrize("sources", [(broken, first), (first, broken), (absent, broken)])
def test_a_bad_offer_is_not_covered_up_by_a_good_one(sources: Any) -> None:
    """An offer made badly is refused although another source has found something."""
    with pytest.raises(MalformedCredentialsError):
        extract_credentials({}, sources, MAX)


# All of them together -------------------------------------------------------------------------------------------------

ALL = (BearerHeader(), Cookie(), WebSocketProtocol(), InsecureWebSocketQuery())
PLACES: dict[str, dict[str, Any]] = {
    "header": {"headers": [(b"authorization", b"Bearer a.b.c")]},
    "cookie": {"headers": [(b"cookie", b"__Host-access_token=a.b.c")]},
    "websocket_protocol": {"subprotocols": ["bearer", "a.b.c"]},
    "websocket_query": {"query_string": b"access_token=a.b.c"},
}
BAD_PLACES: dict[str, dict[str, Any]] = {
    "header": {"headers": [(b"authorization", b"Bearer")]},
    "cookie": {"headers": [(b"cookie", b'__Host-access_token=""')]},
    "websocket_protocol": {"subprotocols": ["bearer"]},
    "websocket_query": {"query_string": b"access_token="},
}
OWN = [(b"host", b"x"), (b"origin", b"https://x")]


def handshake(*places: dict[str, Any]) -> dict[str, Any]:
    """A handshake that offers something in these places."""
    scope: dict[str, Any] = {"type": "websocket", "headers": list(OWN)}
    for place in places:
        scope["headers"] += place.get("headers", [])
        scope |= {name: value for name, value in place.items() if name != "headers"}
    return scope


@pytest.mark.parametrize("sources", [ALL, ALL[::-1]], ids=["in order", "reversed"])
@pytest.mark.parametrize("place", PLACES)
def test_a_token_is_found_wherever_it_is(sources: Any, place: str) -> None:
    """Absence moves on, whatever the order; the name of the source says where the token was."""
    offered = extract_credentials(handshake(PLACES[place]), sources, MAX)
    assert offered is not None
    assert (b"a.b.c", place) == (offered.token, offered.source)
    assert None is extract_credentials(handshake(), sources, MAX)


@pytest.mark.parametrize("sources", [ALL, ALL[::-1]], ids=["in order", "reversed"])
@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(PLACES, 2)))
def test_two_places_are_one_too_many(sources: Any, one: str, other: str) -> None:
    """The same token in two places is refused, and a good one does not cover up a bad one."""
    with pytest.raises(RepeatedCredentialsError) as caught:
        extract_credentials(handshake(PLACES[one], PLACES[other]), sources, MAX)
    assert {one, other} == set(caught.value.evidence["sources"].split(", "))
    with pytest.raises(InvalidRequestError) as worse:
        extract_credentials(handshake(PLACES[one], BAD_PLACES[other]), sources, MAX)
    assert other == worse.value.evidence["source"]


COOKIES = TokenCookies(access_name="other")
# Each line is one place.
ALIKE: list[list[Any]] = [
    [BearerHeader(), BearerHeader("authorization", "bearer"), BearerHeader("AUTHORIZATION")],
    [BearerHeader("X-Token")],
    [BearerHeader(scheme="")],
    [Cookie(), Cookie(TokenCookies()), Cookie(type="access"), Cookie(TokenCookies(trusted_origins=[]))],
    [Cookie(type="refresh")],
    [Cookie(COOKIES), Cookie(TokenCookies(access_name="other"))],
    [Cookie(TokenCookies(trusted_origins=["https://a.example"]))],
    [Cookie(TokenCookies(csrf_field="other"))],
    [WebSocketProtocol(), WebSocketProtocol("bearer")],
    [WebSocketProtocol("Bearer")],
    [InsecureWebSocketQuery(), InsecureWebSocketQuery("access_token")],
    [InsecureWebSocketQuery("bearer")],
]


def test_sources_are_compared_by_where_they_look() -> None:
    """Two sources for the same place, looked at in the same way, are equal and hash alike; any others are not."""
    for (at, line), (other_at, other) in itertools.product(enumerate(ALIKE), repeat=2):
        for one, two in itertools.product(line, other):
            assert (at == other_at) is (one == two)
            assert at != other_at or hash(one) == hash(two)
    assert BearerHeader() != "header"
    assert len(ALIKE) == len({source for line in ALIKE for source in line})


def test_what_is_no_source() -> None:
    """Whatever can be called with a scope is a source; a class is none, since its parentheses have been forgotten."""
    assert all(map(is_source, (*ALL, absent)))
    assert not any(map(is_source, (BearerHeader, Cookie, "header", None, 5)))


@pytest.mark.anyio
async def test_no_refusal_logs_a_token(config: JWTConfig, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever was wrong with it, the log says which kind of mistake it was, and shows no token and no CSRF value."""
    # S149
    raw = create_access_token("alice", config)
    value = csrf_digest(raw.encode())
    cookie, origin = (b"cookie", b"__Host-access_token=" + raw.encode()), (b"origin", b"https://evil.example")
    guarded = JWTMiddleware(Recorder(), config, sources=ALL)
    caplog.set_level(logging.DEBUG, "asgi_jwt_claims")
    for scope, code in (
        (http_scope("/", cookie, cookie), "repeated_credentials"),
        (http_scope("/", (b"cookie", cookie[1] + b"\xff")), "invalid_request"),
        (http_scope("/", cookie, (b"authorization", b"Bearer " + raw.encode())), "repeated_credentials"),
        (http_scope("/", cookie, method="POST"), "invalid_csrf_token"),
        (http_scope("/", cookie, (b"x-csrf-token", value + b"x"), method="POST"), "invalid_csrf_token"),
        (http_scope("/", cookie, (b"x-csrf-token", value), origin, method="POST"), "foreign_origin"),
        (websocket_scope("/", cookie), "foreign_origin"),
        (websocket_scope(subprotocols=["bearer", raw, "bearer", raw]), "repeated_credentials"),
        (websocket_scope(subprotocols=["bearer", raw + "!"]), "invalid_request"),
        (websocket_scope(query_string=f"access_token={raw}!".encode()), "invalid_request"),
        (websocket_scope(query_string=f"access_token={raw}&access_token={raw}".encode()), "repeated_credentials"),
    ):
        caplog.clear()
        await drive(guarded, scope)
        assert code in caplog.text
        assert raw[-20:] not in caplog.text
        assert value.decode() not in caplog.text


@pytest.mark.parametrize(
    "offered",
    [
        "a.b.c",
        b"a.b.c",
        True,
        ("a.b.c", "mine"),
        5,
    ],
    ids=repr,
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_source_that_returns_something_else(offered: Any, alone: bool) -> None:
    """It lets no request in: the refusal says what is wrong, and is not an error of the server."""

    def mine(scope: Any, max_size: int) -> Any:
        return offered

    with pytest.raises(InvalidRequestError) as caught:
        extract_credentials({"headers": []}, (mine,) if alone else (BearerHeader(), mine, mine), 8192)
    assert "Credentials" in caught.value.evidence["reason"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fields",
    [
        (None, "mine"),
        (5, "mine"),
        (b"a.b.c", "mine", "Bearer", 5),
        (RAW, "mine", 5, 5),
        (RAW.encode(), "mine", "Bearer", 5),
        (RAW, 5, "Bearer", b""),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_offer_that_is_not_made_of_what_it_should_be(config: JWTConfig, fields: Any, method: str) -> None:
    """The same for an `Credentials` with a token or a field that is none: the request is refused."""
    app = Recorder()
    middleware = JWTMiddleware(app, config, sources=[lambda scope, max_size: Credentials(*fields)])
    answer = await drive(middleware, http_scope("/", method=method))
    assert (True, []) == (answer.status in (401, 403), app.calls)
