"""The scope that is made of a request of Sanic's own server, without the server."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("sanic")
pytest.importorskip("h11")

import h11
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sanic import Request
from sanic.compat import Header

from asgi_jwt_claims import BearerHeader, Cookie, JWTConfig, create_access_token
from asgi_jwt_claims.errors import InvalidRequestError
from asgi_jwt_claims.sanic._scope import parse_head, prepared_scope
from asgi_jwt_claims.sources import extract_credentials
from tests.apps.sanic_adapter import new_app

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Sanic runs on asyncio only."""
    return "asyncio"


TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
LINE = b"GET / HTTP/1.1"

NAMES = st.sampled_from([b"Authorization", b"cookie", b"X-A", b"x_a", b"COOKIE", b"Sec-WebSocket-Protocol"])
ODD = st.sampled_from(
    [
        b" ",
        b"\t",
        b"\x00",
        b"\n",
        b"\r",
        b"\x0b",
        b"\x0c",
        b"\x1f",
        b"\x7f",
        b"\x85",
        b"\xa0",
        b"\xff",
        b":",
        b",",
        b";",
    ]
    + [chr(one).encode() for one in (0x85, 0xA0, 0x2000, 0x3000, 0x212A)]
)
PIECES = st.lists(st.one_of(NAMES, ODD, st.binary(max_size=4)), max_size=6).map(b"".join)
LINES = st.one_of(st.builds(lambda name, value: name + b":" + value, NAMES, PIECES), PIECES).filter(
    lambda line: b"\r\n" not in line
)


@given(st.lists(LINES, max_size=6))
@example([b"Cookie : a", b" b: c", b": d", b"", b"e"])
def test_every_field_is_a_line_of_the_head(lines: list[bytes]) -> None:
    """A field is one line: its name a token in lower case, its value what stands behind the colon, but for blanks."""  # S12
    head = b"\r\n".join([LINE, *lines])
    assume(head.count(b"\r\n") == len(lines))
    expected = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon and TOKEN.fullmatch(name.lower()) and name.isascii():
            while value[:1] in (b" ", b"\t") and value:
                value = value[1:]
            while value[-1:] in (b" ", b"\t") and value:
                value = value[:-1]
            expected.append((name.lower(), value))
    assert expected == parse_head(head)


@given(st.lists(LINES, max_size=6))
@example([b"Cookie: \xe2\x80\x80a=b", b"X-A:\t a\xa0 "])
def test_what_h11_accepts_is_the_same(lines: list[bytes]) -> None:
    """Of a head that a strict server takes, the same fields come out as there."""  # S12
    # h11 also ends lines at a line feed alone, and joins a line that begins with a blank to the one before.
    assume(not any(b"\n" in line or line[:1] in (b" ", b"\t", b"") for line in lines))
    head = b"\r\n".join([LINE, b"Host: x", *lines])
    connection = h11.Connection(h11.SERVER)
    try:
        connection.receive_data(head + b"\r\n\r\n")
        accepted = list(connection.next_event().headers)
    except h11.RemoteProtocolError:
        return
    assert accepted == parse_head(head)


def request_of(
    headers: dict[str, str], *, url: bytes = b"/", head: bytes = b"", method: str = "GET"
) -> Request[Any, Any]:
    """A request as Sanic makes it; without a head, as over HTTP/3."""
    return Request(url, Header(headers), "3", method, SimpleNamespace(), new_app(), head)  # type: ignore[arg-type]


async def test_a_request_without_a_head(config: JWTConfig) -> None:
    """Over HTTP/3 there is no head: Sanic's own header fields are taken, and as strictly."""  # S12
    raw = create_access_token("alice", config)
    headers = {
        ":method": "GET",
        "Authorization": f" \tBearer {raw} ",
        "coo\u212aie": f"__Host-access_token={raw}",
        "cookie": f"\u2000__Host-access_token={raw}",
        "x-a": "\udcff",
    }
    scope = prepared_scope(request_of(headers))
    assert [b"authorization", b"cookie", b"x-a"] == [name for name, _ in scope["headers"]]
    assert (b"x-a", b"\xff") == scope["headers"][-1]
    offered = extract_credentials(scope, (BearerHeader(), Cookie()), 8192)
    assert offered is not None
    assert ("header", raw.encode()) == (offered.source, offered.token)


async def test_the_head_decides(config: JWTConfig) -> None:
    """What Sanic has made of the head, or another middleware of that, is not looked at."""
    scope = prepared_scope(request_of({"authorization": "Bearer a.b.c"}, head=b"GET / HTTP/1.1\r\nX-A:  b\t"))
    assert [(b"x-a", b"b")] == scope["headers"]
    with pytest.raises(InvalidRequestError):
        extract_credentials(prepared_scope(request_of({}, head=LINE + b"\r\nAuthorization:")), (BearerHeader(),), 8192)


@pytest.mark.parametrize(
    ("url", "path", "raw_path", "query"),
    [
        (b"/caf%C3%A9?a=%20", "/café", b"/caf%C3%A9", b"a=%20"),
        (b"/%ff", "/\ufffd", b"/%ff", b""),
        (b"/a%2Fb", "/a/b", b"/a%2Fb", b""),
        (b"http://example.com/login", "/login", b"/login", b""),
        (b"http://example.com", "", b"", b""),
        (b"http://example.com?a=b", "", b"", b"a=b"),
        (b"*", "*", b"*", b""),
        (b"//a", "//a", b"//a", b""),
    ],
)
async def test_paths(url: bytes, path: str, raw_path: bytes, query: bytes) -> None:
    """The path is decoded as servers decode it in ASGI mode; an address may have none."""
    scope = prepared_scope(request_of({}, url=url))
    assert (path, raw_path, query) == (scope["path"], scope["raw_path"], scope["query_string"])


async def test_subprotocols() -> None:
    """They are the members of the list in all of their headers, without the spaces and tabs around them."""
    head = LINE + b"\r\nSec-WebSocket-Protocol: bearer,\ta.b.c ,\r\nsec-websocket-protocol: \xa0chat"
    assert ["bearer", "a.b.c", "\xa0chat"] == prepared_scope(request_of({}, head=head))["subprotocols"]
