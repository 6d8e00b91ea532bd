"""Tokens of handshakes: as a pair of subprotocols, of which the token never comes back; or, insecurely, in the query."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    WebSocketProtocol,
    create_access_token,
)
from asgi_jwt_claims.errors import (
    InvalidRequestError,
    RepeatedCredentialsError,
    SettingError,
    TokenTooLargeError,
)
from asgi_jwt_claims.sources import Credentials, InsecureWebSocketQuery
from tests.forging import forge
from tests.raw_asgi import Exchange, Message, Receive, Recorder, Scope, Send, bearer, drive, http_scope, websocket_scope

MAX = 256
RAW = forge()
HEADER = b"sec-websocket-protocol"


def handshake(*protocols: str, **more: Any) -> dict[str, Any]:
    """A websocket scope in which a client offers these protocols."""
    line = ", ".join(protocols).encode("utf-8", "surrogateescape")
    headers = [(HEADER, line)] if protocols else []
    return websocket_scope("/", *headers, subprotocols=list(protocols), **more)


# A pair of subprotocols -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "protocols",
    [
        ("bearer", "a.b.c"),
        ("bearer", "a.b.c", "chat"),
        ("chat", "bearer", "a.b.c"),
        ("chat", "bearer", "a.b.c", "soap"),
        ("Bearer", "bearer", "a.b.c"),
        ("a.b.c", "bearer", "a.b.c"),
    ],
)
def test_the_pair_may_stand_anywhere(protocols: tuple[str, ...]) -> None:
    """The token is what follows the name, whatever stands before and behind the two."""  # S126
    assert Credentials(b"a.b.c", "websocket_protocol") == WebSocketProtocol()(handshake(*protocols), MAX)


@pytest.mark.parametrize(
    ("protocols", "left"),
    [
        (("bearer", "a.b.c", "a.b.c"), []),
        (("a.b.c", "bearer", "a.b.c", "chat", "a.b.c"), ["chat"]),
        (("bearer", "a.b.c", "chat", "bearer", "d.e.f", "d.e.f"), ["chat"]),
    ],
)
def test_a_token_is_left_nowhere(protocols: tuple[str, ...], left: list[str]) -> None:
    """An application that chooses the first protocol it is offered must not find the token in another place."""  # S126
    scope = handshake(*protocols)
    assert True is WebSocketProtocol().strip(scope)
    assert left == scope["subprotocols"]
    assert [value for name, value in scope["headers"] if name == HEADER] == [protocol.encode() for protocol in left]


@pytest.mark.parametrize("protocols", [(), ("chat",), ("a.b.c",), ("Bearer", "a.b.c"), ("bearer2",), ("bearer.a.b.c",)])
def test_without_the_name_there_is_no_offer(protocols: tuple[str, ...]) -> None:
    """Without that very name nothing was offered, and a token alone is just a protocol."""
    assert None is WebSocketProtocol()(handshake(*protocols), MAX)


def test_many_subprotocols_are_refused() -> None:
    """A handshake with more protocols than any client offers is refused, with a token among them or without."""
    others = [f"p{number}" for number in range(63)]
    assert Credentials(b"a.b.c", "websocket_protocol") == WebSocketProtocol()(
        handshake("bearer", "a.b.c", *others[1:]), MAX
    )
    for protocols in (("bearer", "a.b.c", *others), (*others, "x", "y")):
        scope = handshake(*protocols)
        assert False is WebSocketProtocol().strip(scope)
        assert list(protocols) == scope["subprotocols"]
        with pytest.raises(InvalidRequestError) as caught:
            WebSocketProtocol()(scope, MAX)
        assert {"source": "websocket_protocol", "reason": "so many subprotocols", "count": 65} == caught.value.evidence


def test_a_scope_without_subprotocols() -> None:
    """Servers may leave them out, or say None."""
    scope = handshake()
    scope["subprotocols"] = None
    assert None is WebSocketProtocol()(scope, MAX)
    del scope["subprotocols"]
    assert None is WebSocketProtocol()(scope, MAX)
    assert False is WebSocketProtocol().strip(scope)
    assert "subprotocols" not in scope


def test_subprotocols_are_of_websockets_only() -> None:
    """An http request with such a header has not offered anything."""
    scope = http_scope("/", (HEADER, b"bearer, a.b.c"), subprotocols=["bearer", "a.b.c"])
    assert None is WebSocketProtocol()(scope, MAX)
    assert None is WebSocketProtocol()({"headers": [], "subprotocols": ["bearer", "a.b.c"]}, MAX)


@pytest.mark.parametrize(
    "protocols",
    [
        ("bearer",),  # the name stands last, so that nothing follows
        ("chat", "bearer"),
        ("bearer", ""),
        ("bearer", " "),
        ("bearer", "a b"),
        ("bearer", "a.b.\u00fc"),
        ("bearer", "\udcff"),
        ("bearer", "a.b.c\x00"),
        ("bearer", "=a"),
        ("bearer", "\u212a"),
        ("bearer", "!"),
    ],
)
def test_a_malformed_pair_is_an_error(protocols: tuple[str, ...]) -> None:
    """The name without a token behind it is wrong (400), never absence."""
    with pytest.raises(InvalidRequestError) as caught:
        WebSocketProtocol()(handshake(*protocols), MAX)
    assert (400, "websocket_protocol") == (caught.value.status, caught.value.evidence["source"])


@pytest.mark.parametrize(
    "protocols",
    [
        ("bearer", "a.b.c", "bearer", "d.e.f"),
        ("bearer", "a.b.c", "bearer", "a.b.c"),
        ("bearer", "bearer"),
        ("bearer", "bearer", "a.b.c"),
        ("bearer", "a.b.c", "chat", "bearer"),
    ],
)
def test_a_repeated_pair_is_an_error(protocols: tuple[str, ...]) -> None:
    """Two pairs are never a choice."""
    with pytest.raises(RepeatedCredentialsError) as caught:
        WebSocketProtocol()(handshake(*protocols), MAX)
    assert {"protocol": "bearer"} == caught.value.evidence


def test_a_long_pair_is_refused_by_its_length() -> None:
    """One of exactly the limit passes."""  # S7
    assert Credentials(b"a" * MAX, "websocket_protocol") == WebSocketProtocol()(handshake("bearer", "a" * MAX), MAX)
    with pytest.raises(TokenTooLargeError):
        WebSocketProtocol()(handshake("bearer", "a" * (MAX + 1)), MAX)


def test_the_name_of_the_protocol_is_a_setting() -> None:
    """Another name can be chosen, and the usual one is nothing then."""
    source = WebSocketProtocol("v1.token")
    assert Credentials(b"a.b.c", "websocket_protocol") == source(handshake("v1.token", "a.b.c"), MAX)
    assert None is source(handshake("bearer", "a.b.c"), MAX)


@pytest.mark.parametrize("name", ["", "bear er", "bearer,", "bäarer", "bearer\n", None, b"bearer", 0])
def test_a_protocol_that_cannot_exist_is_refused(name: Any) -> None:
    """A name that no subprotocol can have is refused when the source is built."""
    with pytest.raises(SettingError, match='must be a subprotocol such as "bearer", got'):
        WebSocketProtocol(name)


# What the application sees, and the client hears ----------------------------------------------------------------------

SOURCES = [BearerHeader(), WebSocketProtocol()]


def accepting(**message: Any) -> Any:
    """An application that accepts with this, having noted what it was offered."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        app.scope = scope  # type: ignore[attr-defined]
        assert {"type": "websocket.connect"} == await receive()
        await send({"type": "websocket.accept", **message})

    return app


async def shake(app: Any, config: JWTConfig, *protocols: str, **options: Any) -> Exchange:
    guarded = JWTMiddleware(app, config, **{"sources": SOURCES, **options})
    return await drive(guarded, handshake(*protocols), {"type": "websocket.connect"})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("protocols", "left"),
    [
        (("bearer", RAW), []),
        (("bearer", RAW, "chat"), ["chat"]),
        (("chat", "bearer", RAW, "soap"), ["chat", "soap"]),
        (("chat", "bearer", RAW), ["chat"]),
        (("\udce9", "bearer", RAW), ["\udce9"]),
        (("\u20ac", "bearer", RAW), ["\u20ac"]),
    ],
)
async def test_the_application_never_sees_the_token(
    config: JWTConfig, protocols: tuple[str, ...], left: list[str]
) -> None:
    """Name and token are taken out of `subprotocols` and out of the header; the others stay, in their order."""  # S126
    app = accepting()
    answer = await shake(app, config, *protocols)
    assert ["websocket.accept"] == answer.types
    assert left == app.scope["subprotocols"]
    lines = [value for name, value in app.scope["headers"] if name == HEADER]
    if left and left[0].isascii():
        assert [", ".join(left).encode()] == lines
    assert len(left[:1]) == len(lines)
    assert [b"testserver"] == [value for name, value in app.scope["headers"] if name == b"host"]
    assert RAW.encode() not in b"".join(value for _, value in app.scope["headers"])
    assert ("alice", "websocket_protocol") == (app.scope["token"].identity, app.scope["token"].source)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("message", "chosen"),
    [({}, "bearer"), ({"subprotocol": None}, "bearer"), ({"subprotocol": "chat"}, "chat")],
)
async def test_what_the_client_hears(config: JWTConfig, message: Message, chosen: str) -> None:
    """The name where the application names no protocol of its own, for browsers want an answer; never the token."""
    # S126
    headers = [(b"x-own", b"1")]
    answer = await shake(accepting(headers=headers, **message), config, "bearer", RAW, "chat")
    assert [{"type": "websocket.accept", "headers": headers, "subprotocol": chosen}] == answer.messages
    assert RAW not in repr(answer.messages)


@pytest.mark.anyio
async def test_nothing_is_answered_that_was_not_offered(config: JWTConfig) -> None:
    """A handshake that named no such pair is accepted as the application accepts it, its protocols left alone."""
    app = accepting()
    guarded = JWTMiddleware(app, config, sources=SOURCES)
    scope = websocket_scope("/", bearer(RAW), (HEADER, b"chat"), subprotocols=["chat"])
    before = list(scope["headers"])
    answer = await drive(guarded, scope, {"type": "websocket.connect"})
    assert [{"type": "websocket.accept"}] == answer.messages
    assert (["chat"], before) == (app.scope["subprotocols"], app.scope["headers"])


@pytest.mark.anyio
async def test_without_the_source_nothing_is_taken_out(config: JWTConfig) -> None:
    """Where the middleware does not look for it, the pair is the application's own business."""
    app = accepting()
    answer = await shake(app, config, "bearer", RAW, sources=[BearerHeader()], required=False)
    assert [{"type": "websocket.accept"}] == answer.messages
    assert ["bearer", RAW] == app.scope["subprotocols"]
    assert None is app.scope["token"]


@pytest.mark.anyio
async def test_exempt_paths_do_not_see_it_either(config: JWTConfig) -> None:
    """An application that is not guarded there must not get the token into its logs, and browsers want an answer."""
    for options in ({"exempt": ["/"]}, {"required": False}, {"end_with_token": False}):
        app = accepting()
        answer = await shake(app, config, "bearer", RAW, "chat", **options)
        assert ["bearer"] == [message["subprotocol"] for message in answer.messages]
        assert ["chat"] == app.scope["subprotocols"]


@pytest.mark.anyio
async def test_nested_middlewares(config: JWTConfig, verifications: list[str]) -> None:
    """The inner one finds the token although the outer one has taken it out; both answer with the name, once."""
    for options in ({}, {"required": False}, {"sources": [WebSocketProtocol()]}):
        app = accepting()
        answer = await shake(JWTMiddleware(app, config, sources=SOURCES), config, "chat", "bearer", RAW, **options)
        assert [{"type": "websocket.accept", "subprotocol": "bearer"}] == answer.messages
        assert (["chat"], "alice") == (app.scope["subprotocols"], app.scope["token"].identity)
    assert [RAW] * 4 == verifications  # once for each, and once more where the inner one looks elsewhere


@pytest.mark.anyio
async def test_two_names(config: JWTConfig) -> None:
    """Of two names the one that came is answered; a token behind each of them is one too many."""
    sources = [WebSocketProtocol(), WebSocketProtocol("jwt")]
    answer = await shake(accepting(), config, "jwt", RAW, sources=sources)
    assert ["jwt"] == [message["subprotocol"] for message in answer.messages]
    answer = await shake(accepting(), config, "jwt", RAW, "bearer", RAW, sources=sources)
    assert (400, "More than one credential was sent.") == (answer.status, answer.json["error_description"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("protocols", "status"),
    [
        ((), 401),
        (("chat",), 401),
        ((RAW,), 401),
        (("bearer", RAW[:-2]), 401),
        (("bearer", "a" * 9000), 401),
        (("bearer",), 400),
        (("bearer", "\udcff\udcfe"), 400),
        (("bearer", RAW, "bearer", RAW), 400),
    ],
)
async def test_a_refusal(config: JWTConfig, protocols: tuple[str, ...], status: int) -> None:
    """A handshake without one good token is refused before anything is accepted, and nothing is ever a 500."""  # S125
    app = Recorder()
    answer = await shake(app, config, *protocols)
    assert (status, []) == (answer.status, app.calls)
    assert ["websocket.http.response.start", "websocket.http.response.body"] == answer.types


@pytest.mark.anyio
async def test_a_cookie_and_a_pair_are_one_too_many(config: JWTConfig) -> None:
    """A token in two places is refused, whichever they are."""
    scope = handshake("bearer", RAW)
    scope["headers"] += [(b"cookie", b"__Host-access_token=" + RAW.encode()), (b"origin", b"https://testserver")]
    guarded = JWTMiddleware(Recorder(), config, sources=[Cookie(), WebSocketProtocol()])
    assert 400 == (await drive(guarded, scope)).status


# The query ------------------------------------------------------------------------------------------------------------


def queried(query: bytes, source: InsecureWebSocketQuery | None = None) -> Credentials | None:
    return (source or InsecureWebSocketQuery())(websocket_scope("/", query_string=query), MAX)


@pytest.mark.parametrize(
    "query",
    [
        b"access_token=a.b.c",
        b"room=1&access_token=a.b.c",
        b"access_token=a.b.c&room=1&",
        b"access_token=%61%2Eb.%63",
        b"&&access_token=a.b.c",
        b"room=M%C3%BCnchen&access_token=a.b.c",
        b"room=\xff%FF&access_token=a.b.c",
        b"room=access_token&access_token=a.b.c",
        b"token=x&access_token2=y&access_token=a.b.c",
    ],
)
def test_the_parameter_of_a_handshake(query: bytes) -> None:
    """The token is the value of the one parameter, percent-encoding undone, whatever stands beside it."""  # S8
    assert Credentials(b"a.b.c", "websocket_query") == queried(query)


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"room=1",
        b"a.b.c",
        b"Access_Token=a.b.c",
        b"access_tokens=a.b.c",
        b"xaccess_token=a.b.c",
        b"access-token=a.b.c",
        b"access%5Ftoken=a.b.c",  # nobody writes it so
        b"room=access_token=a.b.c",
        b"room=1;access_token=a.b.c",
        b"room=%26access_token=a.b.c",
    ],
)
def test_without_the_parameter_there_is_no_offer(query: bytes) -> None:
    """Another parameter, however similar, is none of ours."""
    assert None is queried(query)


def test_a_scope_without_a_query() -> None:
    """Servers may leave it out."""
    scope = websocket_scope("/")
    del scope["query_string"]
    assert None is InsecureWebSocketQuery()(scope, MAX)


def test_the_query_of_a_request_is_never_looked_at() -> None:
    """A token in the address of an http request is not even seen, wrong or right."""  # S8
    for query in (b"access_token=a.b.c", b"access_token=&access_token=\xff", b"access_token=" + b"a" * 100_000):
        assert None is InsecureWebSocketQuery()(http_scope("/", query_string=query), MAX)
        assert None is InsecureWebSocketQuery()({"headers": [], "query_string": query}, MAX)


@pytest.mark.parametrize(
    "content", [b"", b" ", b"+", b"a+b", b"%00", b"a.b.c%0A", b"\xff", b"%FF", b"%C3%BC", b"%", b"a.b.c%2C", b"=a"]
)
def test_a_malformed_parameter_is_an_error(content: bytes) -> None:
    """The parameter without a token is wrong (400), never absence."""
    for query in (b"access_token=" + content, b"room=1&access_token=" + content + b"&x=y"):
        with pytest.raises(InvalidRequestError) as caught:
            queried(query)
        assert (400, "websocket_query") == (caught.value.status, caught.value.evidence["source"])


def test_a_parameter_without_a_value_is_an_error() -> None:
    """The name alone is a blank parameter."""
    with pytest.raises(InvalidRequestError):
        queried(b"access_token")


@pytest.mark.parametrize(
    "query",
    [
        b"access_token=a.b.c&access_token=d.e.f",
        b"access_token=a.b.c&access_token=a.b.c",
        b"access_token=a.b.c&x=y&access_token",
        b"access_token=a.b.c&access%5ftoken=d.e.f",
    ],
)
def test_a_repeated_parameter_is_an_error(query: bytes) -> None:
    """Two of them are never a choice."""
    with pytest.raises(RepeatedCredentialsError) as caught:
        queried(query)
    assert {"parameter": "access_token"} == caught.value.evidence


def test_long_queries() -> None:
    """A token beyond the limit, a query far beyond it, and one of too many parameters are refused by their size."""
    assert Credentials(b"a" * MAX, "websocket_query") == queried(b"access_token=" + b"a" * MAX)
    with pytest.raises(TokenTooLargeError):
        queried(b"access_token=" + b"a" * (MAX + 1))
    rest = b"&x=" + b"x" * (MAX + 8192 - len(b"access_token=a.b.c&x="))
    assert Credentials(b"a.b.c", "websocket_query") == queried(b"access_token=a.b.c" + rest)
    with pytest.raises(TokenTooLargeError):
        queried(b"access_token=a.b.c" + rest + b"x")
    assert Credentials(b"a.b.c", "websocket_query") == queried(b"a=1&" * 63 + b"access_token=a.b.c")
    with pytest.raises(InvalidRequestError) as caught:
        queried(b"a=1&" * 64 + b"access_token=a.b.c")
    assert "too many parameters or escapes" == caught.value.evidence["reason"]
    assert None is queried(b"a=1&" * 100_000)


def test_the_name_of_the_parameter_is_a_setting() -> None:
    """Another name can be chosen, and the usual one is nothing then."""
    source = InsecureWebSocketQuery("jwt.v1-~_")
    assert Credentials(b"a.b.c", "websocket_query") == queried(b"jwt.v1-~_=a.b.c", source)
    assert None is queried(b"access_token=a.b.c", source)


@pytest.mark.parametrize("name", ["", "access token", "jeton_é", "a&b", "a=b", "a%20b", "a+b", "a\n", None, b"jwt", 0])
def test_a_parameter_that_would_not_be_found_is_refused(name: Any) -> None:
    """A name that clients would have to encode is refused when the source is built."""
    with pytest.raises(SettingError, match='such as "access_token"'):
        InsecureWebSocketQuery(name)


@pytest.mark.anyio
async def test_the_query_opens_a_websocket_and_nothing_else(config: JWTConfig) -> None:
    """With the source asked for by its name, a handshake is let in by its query, and a request is not."""  # S8
    app = Recorder()
    raw = create_access_token("alice", config)
    guarded = JWTMiddleware(app, config, sources=[BearerHeader(), InsecureWebSocketQuery()])
    query = {"query_string": b"access_token=" + raw.encode()}
    assert 401 == (await drive(guarded, http_scope("/", **query))).status
    assert ["websocket.accept"] == (await drive(guarded, websocket_scope("/", **query))).types
    assert ("alice", "websocket_query") == (app.scope["token"].identity, app.scope["token"].source)
    assert 400 == (await drive(guarded, websocket_scope("/", bearer(raw), **query))).status
    assert 401 == (await drive(JWTMiddleware(app, config), websocket_scope("/", **query))).status
