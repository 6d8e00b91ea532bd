"""Whatever bytes stand in cookies, queries, subprotocols, forms and origins: our errors, and never another token."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from hypothesis import assume, example, given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenCookies,
    WebSocketProtocol,
)
from asgi_jwt_claims.errors import ForeignOriginError, TokenError
from asgi_jwt_claims.sessions import csrf_token
from asgi_jwt_claims.sources import InsecureWebSocketQuery, Source, extract_credentials
from asgi_jwt_claims.sources.csrf import CSRF_TOKEN_KEY, csrf_digest
from asgi_jwt_claims.sources.forms import MAX_FORM, peek_form_field
from tests.conftest import HeldClock
from tests.forging import forge
from tests.raw_asgi import Exchange, Header, Message, Recorder, finish, http_scope, websocket_scope
from tests.support import SECRET

MAX = 256
CONFIG = JWTConfig(secret_key=SECRET, clock=HeldClock())
RAW = forge().encode()
NAME = b"__Host-access_token"
TOKEN68 = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")
tokens = st.sampled_from(
    [b"a.b.c", b"d.e.f", b"a", b"", b"a b", b"\xff", b'"a.b.c"', b"a" * MAX, b"a" * (MAX + 1), b"a=", b"=a"]
)
WHAT_IS_WRONG = "wrong"


def what(source: Source, scope: Mapping[str, Any]) -> bytes | str | None:
    """The token that a source offers; None: none; or that something is wrong, in an error of ours."""
    try:
        offered = source(scope, MAX)
    except TokenError:
        return WHAT_IS_WRONG
    if offered is None:
        return None
    return offered.token


def model(found: list[bytes]) -> bytes | str | None:
    """What should come of these values: the only one if it can be a token."""
    if not found:
        return None
    if len(found) > 1 or len(found[0]) > MAX or TOKEN68.fullmatch(found[0]) is None:
        return WHAT_IS_WRONG
    return found[0]


# Cookies --------------------------------------------------------------------------------------------------------------

crumbs = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda name, equals, value, around: around + name + equals + value + around,
        st.sampled_from(
            [NAME, NAME, NAME.lower(), NAME + b"s", b"x" + NAME, b"theme", b"", b'"' + NAME + b'"', b"\xff"]
        ),
        st.sampled_from([b"=", b"=", b"", b" = ", b"==", b":"]),
        tokens | st.binary(max_size=20),
        st.sampled_from([b"", b" ", b"\t", b"\x00", b"\xa0", b"\x0b", b"\n"]),
    ),
)
cookie_headers = st.lists(st.lists(crumbs, max_size=5).map(b";".join) | st.binary(max_size=60), max_size=3)


@given(cookie_headers)
@example([NAME + b"=a.b.c"])
@example([NAME + b"=a.b.c;" + NAME])
@example([NAME])
@example([NAME + b"=" + NAME + b"=a"])
@example([b"\x0b" + NAME + b"=a.b.c"])
@example([NAME + b"=a.b.c\x0b"])
def test_any_cookies(headers: list[bytes]) -> None:
    """What is found is exactly the value of the one cookie of that name (RFC 6265 section 5.4, backwards)."""
    found = [
        crumb.split(b"=", 1)[1].strip(b" \t") if b"=" in crumb else b""
        for header in headers
        for crumb in header.split(b";")
        if crumb.split(b"=", 1)[0].strip(b" \t") == NAME
    ]
    if found == [b""]:
        found = []  # a cookie without a value counts as absent
    scope = http_scope("/", *((b"cookie", header) for header in headers))
    assert model(found) == what(Cookie(), scope)
    value = csrf_token(scope, CONFIG)
    assert (csrf_digest(found[0]).decode() if len(found) == 1 else "") == value


# The query ------------------------------------------------------------------------------------------------------------

fields = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda name, equals, value: name + equals + value,
        st.sampled_from(
            [b"access_token", b"access_token", b"access%5Ftoken", b"Access_token", b"token", b"", b"%ff", b"\xff"]
        ),
        st.sampled_from([b"=", b"=", b"", b"%3D"]),
        tokens | tokens.map(lambda value: quote(value).encode()) | st.binary(max_size=20),
    ),
)
queries = st.lists(fields, max_size=6).map(b"&".join)


def values_in(encoded: bytes, name: bytes) -> list[bytes]:
    """The values of a field, by the rules of the URL standard (application/x-www-form-urlencoded parsing)."""
    pairs = [field.replace(b"+", b" ").partition(b"=") for field in encoded.split(b"&")]
    return [unquote_to_bytes(value) for field, _, value in pairs if unquote_to_bytes(field) == name]


@given(queries)
@example(b"access_token=a.b.c")
@example(b"a=%C3%BC&b=\xff&access_token=a.b.c")
@example(b"access_token=a.b.c&access%5Ftoken=a.b.c")
@example(b"access_token=%")
def test_any_query(query: bytes) -> None:
    """What is found is exactly the value of the one parameter of that name, and nothing for a request."""  # S8
    found = values_in(query, b"access_token") if b"access_token" in query else []
    assert model(found) == what(InsecureWebSocketQuery(), websocket_scope("/", query_string=query))
    assert None is what(InsecureWebSocketQuery(), http_scope("/", query_string=query))


# Subprotocols ---------------------------------------------------------------------------------------------------------

protocols = st.lists(
    st.sampled_from(["bearer", "bearer", "Bearer", "chat", "a.b.c", "", "\udcff", "a" * (MAX + 1), "\u20ac"])
    | st.text(max_size=8),
    max_size=6,
)


@given(protocols)
@example(["bearer"])
@example(["chat", "bearer", "a.b.c"])
@example(["bearer", "bearer"])
def test_any_subprotocols(offered: list[str]) -> None:
    """What is found is exactly what follows the one name, and nothing of both is left for the application."""  # S126
    source = WebSocketProtocol()
    line = ", ".join(offered).encode("utf-8", "surrogateescape")
    headers = [(b"a", b"b"), (b"sec-websocket-protocol", line)]
    scope = websocket_scope() | {"headers": list(headers), "subprotocols": list(offered)}
    follows = ["".join(offered[at + 1 : at + 2]) for at, name in enumerate(offered) if name == "bearer"]
    found = [value.encode("utf-8", "surrogateescape") for value in follows]
    assert model(found) == what(source, scope)
    assert bool(found) is source.strip(scope)
    assert model(found) == what(source, scope)  # what was offered is kept for whoever asks again
    secret = {"bearer"}.union(*(offered[at + 1 : at + 2] for at, name in enumerate(offered) if name == "bearer"))
    assert [name for name in offered if name not in secret] == scope["subprotocols"]
    if not found:
        assert headers == scope["headers"]
        return
    lines = [value for name, value in scope["headers"] if name == b"sec-websocket-protocol"]
    assert bool(scope["subprotocols"]) is bool(lines)
    assert (b"a", b"b") in scope["headers"]


# Forms ----------------------------------------------------------------------------------------------------------------

VALUE = csrf_digest(RAW)
form_fields = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda name, equals, value: name + equals + value,
        st.sampled_from([b"csrf_token", b"csrf_token", b"csrf%5ftoken", b"CSRF_token", b"x", b"", b"\xff", b"%FC"]),
        st.sampled_from([b"=", b"=", b"", b"%3D"]),
        st.sampled_from([VALUE, VALUE + b".x", b"x", b"", b"%ff", b"M%C3%BCller", quote(VALUE.decode()).encode()])
        | st.binary(max_size=20),
    ),
)
forms = st.lists(form_fields, max_size=6).map(b"&".join)


def pieces_of(body: bytes, cuts: list[int]) -> list[Message]:
    """A body as a server may hand it on."""
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    pieces = [body[start:end] for start, end in itertools.pairwise(edges)]
    last = len(pieces) - 1
    return [{"type": "http.request", "body": piece, "more_body": at < last} for at, piece in enumerate(pieces)]


@given(forms, st.lists(st.integers(0, 200), max_size=5), st.booleans())
@example(b"a=M%C3%BCller&csrf_token=x", [3], False)
@example(b"csrf_token=" + b"x" * MAX_FORM, [], False)
@example(b"csrf_token=x&a=" + b"x" * MAX_FORM, [20], True)
def test_any_form(body: bytes, cuts: list[int], gone: bool) -> None:
    """What is read ahead is exactly the value of the one field of a whole form, and all of it is received again."""
    messages = pieces_of(body, cuts)
    if gone:
        messages[-1] = {"type": "http.disconnect"}
    waiting = iter([*messages, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(waiting)

    async def run() -> tuple[Any, list[Message]]:
        scope = http_scope("/", method="POST")
        again = await peek_form_field(scope, receive, "csrf_token")
        return scope[CSRF_TOKEN_KEY], [await again() for _ in messages]

    value, received = finish(run())
    found = values_in(body, b"csrf_token")
    expected = found[0] if len(found) == 1 and len(body) <= MAX_FORM and not gone else None
    assert expected == value
    assert [*map(id, messages)] == [*map(id, received)]


@given(forms, st.lists(st.integers(0, 200), max_size=3))
@example(b"name=M%C3%BCller&csrf_token=" + VALUE, [4])
def test_any_form_at_the_adapter(body: bytes, cuts: list[int]) -> None:
    """With a cookie a form is let in if its one field has a part that is the token's, and answered 403 if not."""
    app, sent = Recorder(), []
    waiting = iter(pieces_of(body, cuts))

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        sent.append(message)

    form: Header = (b"content-type", b"application/x-www-form-urlencoded")
    scope = http_scope("/", (b"cookie", NAME + b"=" + RAW), form, method="POST")
    finish(JWTMiddleware(app, CONFIG, sources=[Cookie()], end_with_token=False)(scope, receive, send))
    found = values_in(body, b"csrf_token")
    opens = len(found) == 1 and b"," not in found[0] and VALUE in found[0][:256].split(b".")
    assert (200 if opens else 403, int(opens)) == (Exchange(sent).status, len(app.calls))


# The CSRF header ------------------------------------------------------------------------------------------------------

DIGEST = csrf_digest(b"a.b.c")
parts = st.sampled_from([DIGEST, DIGEST, DIGEST[:-1], csrf_digest(b"x"), b"", b",", b"\xff"]) | st.binary(max_size=40)


@given(
    st.lists(parts, max_size=4).map(b".".join) | st.binary(max_size=300), st.sampled_from(["POST", "get", "", "\u20ac"])
)
@example(DIGEST, "POST")
@example(b" " + DIGEST + b".x\t", "POST")
@example(DIGEST + b"." + DIGEST + b"," + DIGEST, "POST")
def test_any_csrf_header(value: bytes, method: str) -> None:
    """A value opens if one of its parts is the token's, and is refused by an error of ours in any other case."""
    scope = http_scope("/", (b"cookie", NAME + b"=a.b.c"), (b"x-csrf-token", value), method=method)
    value = value.strip(b" \t")
    opens = b"," not in value and DIGEST in value[:256].split(b".")
    assert (b"a.b.c" if opens else WHAT_IS_WRONG) == what(Cookie(), scope)


# Origins --------------------------------------------------------------------------------------------------------------

hosts = st.sampled_from(
    [b"a.example", b"A.example", b"a.example:80", b"a.example:443", b"a.example:8000", b"[::1]:8000", b"", b"null"]
)
origins = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda scheme, separator, host, tail: scheme + separator + host + tail,
        st.sampled_from([b"http", b"https", b"HTTP", b"ws", b"wss", b"ftp", b"null", b""]),
        st.sampled_from([b"://", b"://", b":", b"//", b""]),
        hosts | st.binary(max_size=10),
        st.sampled_from([b"", b"", b"/", b":80", b":443", b"?", b"\x00", b"\xff", b", http://a.example"]),
    ),
)
DEFAULT_PORTS = {b"http": 80, b"https": 443}


def tuple_of(kind: bytes, authority: bytes) -> tuple[bytes, bytes, int] | None:
    """An origin as RFC 6454 section 4 has it."""
    match = re.fullmatch(rb"(\[[^\]]*\]|[^:]+)(?::([0-9]+))?", authority, re.DOTALL)
    if match is None or kind not in DEFAULT_PORTS:
        return None
    return kind, match[1], int(match[2] or DEFAULT_PORTS[kind])


@given(origins, hosts | st.binary(max_size=20), st.sampled_from(["http", "https", "ws", "wss", None]))
@example(b"http://a.example", b"a.example:80", "http")
@example(b"https://a.example", b"a.example", "http")
@example(b"http://a.example", b"a.example", "wss")
@example(b"http://", b"", "http")
@example(b"null", b"null", None)
def test_any_origin(origin: bytes, host: bytes, scheme: str | None) -> None:
    """Let in is only what RFC 6454 calls the same origin, and nothing ever breaks."""  # S126
    headers: list[Header] = [(b"host", host), (b"cookie", NAME + b"=a.b.c"), (b"origin", origin)]
    headers.append((b"x-csrf-token", csrf_digest(b"a.b.c")))
    verdicts = [
        what(Cookie(), {"type": "websocket", "scheme": scheme, "headers": headers}),
        what(Cookie(), {"type": "http", "method": "POST", "scheme": scheme, "headers": headers}),
    ]
    assert verdicts[0] == verdicts[1]
    if verdicts[0] == WHAT_IS_WRONG:
        return
    assert b"a.b.c" == verdicts[0]
    kind, _, authority = origin.strip(b" \t").partition(b"://")
    same = tuple_of(kind, authority)
    assert same is not None
    assert same == tuple_of(kind, host.strip(b" \t").lower())
    assert kind == b"https" or (scheme not in ("https", "wss") and same[1] == b"[::1]")


@given(hosts.filter(bool), st.sampled_from([b"http", b"https"]))
def test_every_page_of_the_own_host(host: bytes, kind: bytes) -> None:
    """What a browser says of a page of this host is let in, with the port it leaves out left out."""
    assume(host != b"null")
    port = b":80" if kind == b"http" else b":443"
    origin = kind + b"://" + host.lower().removesuffix(port)
    headers = [(b"host", host), (b"cookie", NAME + b"=a.b.c"), (b"origin", origin)]
    scope = {"type": "websocket", "scheme": "wss" if kind == b"https" else "ws", "headers": headers}
    # Secure cookies come over https, or from this machine.
    is_secure = kind == b"https" or host.startswith(b"[::1]")
    assert (b"a.b.c" if is_secure else WHAT_IS_WRONG) == what(Cookie(), scope)


@given(
    st.lists(
        st.tuples(st.sampled_from([b"origin", b"host", b"sec-fetch-site"]), origins | st.binary(max_size=12)),
        max_size=4,
    )
)
def test_any_headers_of_where_it_comes_from(headers: list[Header]) -> None:
    """Any of them, any number of times: `ForeignOriginError`, or nothing."""
    for source in (Cookie(), Cookie(TokenCookies(trusted_origins=["https://a.example"]))):
        for required in (True, False):
            with contextlib.suppress(ForeignOriginError):
                source.check_origin({"headers": headers, "scheme": "https"}, required=required)


# All of them ----------------------------------------------------------------------------------------------------------

SOURCES = (BearerHeader(), Cookie(), WebSocketProtocol(), InsecureWebSocketQuery())


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"cookie", b"origin", b"host", b"x-csrf-token", b"content-type"]),
            st.binary(max_size=40) | st.sampled_from([b"Bearer " + RAW, NAME + b"=" + RAW, b"http://x", b"x"]),
        ),
        max_size=6,
    ),
    protocols,
    queries | st.just(b"access_token=" + RAW),
    st.booleans(),
)
def test_any_scope(headers: list[Header], offered: list[str], query: bytes, is_websocket: bool) -> None:
    """All sources together find one token that stands in the scope, or none, or say what is wrong."""
    more = {"headers": headers, "subprotocols": offered, "query_string": query}
    scope = (websocket_scope() if is_websocket else http_scope(method="POST")) | more
    try:
        found = extract_credentials(scope, SOURCES, 8192)
    except TokenError:
        return
    if found is None:
        return
    raw = found.token
    places = [
        what(BearerHeader(), scope),
        what(Cookie(), scope),
        what(WebSocketProtocol(), scope),
        what(InsecureWebSocketQuery(), scope),
    ]
    if len(raw) <= MAX:
        assert [raw] == [place for place in places if place is not None]
    assert raw in b"\n".join(value for _, value in headers) + " ".join(offered).encode(
        "utf-8", "replace"
    ) + unquote_to_bytes(query)
