"""Measure what a client without a token can make a request cost, through uvicorn's protocol classes."""

from __future__ import annotations

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.server import ServerState

from asgi_jwt_claims import BearerHeader, Cookie, JWTMiddleware, WebSocketProtocol
from asgi_jwt_claims.sources import InsecureWebSocketQuery

from . import apps
from .material import configuration, encoded, forged, new_material
from .measure import Effort, Task, compare
from .sections import Section, Table, Target, micros, ratio

if TYPE_CHECKING:
    from .asgi import ASGIApp

LIMIT: Final = 5.0

TEXT: Final = """\
Requests without a good token, as bytes, through uvicorn's own protocol classes (httptools, websockets) and the event loop,
without a network, in processor time: once to a raw ASGI application that answers at once, once to the same application
inside the middleware, which looks in the header, a cookie, the subprotocols and the query, and has two issuers. The ratio
is that of both."""

_KIB: Final = 1024
_AT_ONCE: Final = 256 * _KIB  # bytes that asyncio reads from a socket
_NAME: Final = b"__Host-access_token"
_FORM: Final = b"Content-Type: application/x-www-form-urlencoded"
_JUNK: Final = b"Cookie: " + _NAME + b"=a.b.c"
_SHAKE: Final = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def run(effort: Effort) -> Section:
    """Measure each kind of request, guarded and bare by turns."""
    section = Section("anonymous", "Requests without a token", TEXT)
    material = new_material("HS256")
    sources = [BearerHeader(), Cookie(), WebSocketProtocol(), InsecureWebSocketQuery()]
    configs = [configuration(material), configuration(material).replace(issuer="https://other.example")]
    guarded = JWTMiddleware(_bare, configs, sources=sources, exempt=["/open/*"])
    loop = asyncio.new_event_loop()
    rows = []
    worst = 0.0
    for name, wire in _requests(encoded(material)).items():
        tasks = {"bare": WireTask(loop, _bare, wire), "guarded": WireTask(loop, guarded, wire)}
        figures = compare(tasks, effort.fewer, effort.batch)
        section.keep(name, figures)
        worst = max(worst, figures["guarded"].ratio)
        both = [micros(figures[task].microseconds) for task in tasks]
        rows.append([name, f"{len(wire):,}", *both, ratio(figures["guarded"].ratio)])
    loop.close()
    columns = ["request", "bytes", "bare, µs", "guarded, µs", "ratio"]
    section.tables.append(Table("The same bytes, guarded and bare", columns, rows))
    section.targets.append(Target("any request without a token: guarded / bare", worst, LIMIT))
    return section


def _requests(raw: str) -> dict[str, bytes]:
    """The requests by what is unusual in them; nothing is in the first."""
    long = 64 * _KIB - 100
    cookies = {
        "the name and semicolons": _NAME + b";" * long,
        "the name and many cookies": _NAME + b"=x;" + b"a=b;" * (long // 4),
        "the name within many names": (b"x" + _NAME + b"=y;") * (long // 23),
        "the name within one name": b"x" + _NAME * (long // 19),
        "no name, many cookies": b"a=b;" * (long // 4),
        "white space around the name": b"a=b;" + b" " * (long // 2) + _NAME + b" " * (long // 2) + b"=x",
    }
    requests = {"nothing": _request()}
    for what, value in cookies.items():
        requests[f"cookies, {what}"] = _request(b"Cookie: " + value)
        requests[f"cookies, {what}, POST"] = _request(b"Cookie: " + value, method=b"POST")
    many = [b"Cookie: " + cookies["the name and many cookies"]] * 16
    headers = [b"X-%d: y" % number for number in range(10_000)]
    protocols = b"Sec-WebSocket-Protocol: " + b",".join([b"p"] * 3_900)
    escapes = b"csrf_token=" + b"%41" * (long // 3)
    fields = b"&".join([b"csrf%5Ft=" + b"x" * 50] * 999)
    megabyte = b"x" * (1024 * _KIB)
    return requests | {
        "16 Cookie headers": _request(*many),
        "10,000 headers": _request(*headers),
        "10,000 headers and a cookie, POST": _request(*headers, _JUNK, method=b"POST"),
        "10,000 Cookie headers": _request(*[b"Cookie: x" + _NAME] * 10_000),
        "a form of escapes": _request(_JUNK, _FORM, method=b"POST", body=escapes),
        "a form of 999 fields": _request(_JUNK, _FORM, method=b"POST", body=fields),
        "a path of 64 KiB": _request(target=b"/open/" + b"a/" * (long // 2)),
        "a path of 64 KiB, escaped": _request(target=b"/open/" + b"%C3%A9" * (long // 6)),
        "an exempt path of 8 KiB": _request(target=b"/open/" + b"a/" * 4_000 + b"a"),
        "an exempt path of 8 KiB, escaped": _request(target=b"/open/" + b"%C3%A9" * 1_300),
        "a path of 8 KiB, slashes": _request(target=b"/" * 8_000),
        "an Origin of 1 MiB": _request(_JUNK, b"Origin: http://" + megabyte, method=b"POST"),
        "an Origin of dots": _request(_JUNK, b"Origin: http://" + b"a." * (500 * _KIB), method=b"POST"),
        "a CSRF value of dots": _request(_JUNK, b"X-CSRF-Token: " + b"." * long, method=b"POST"),
        "an Authorization of 1 MiB": _request(b"Authorization: Bearer " + megabyte),
        "another scheme of 1 MiB": _request(b"Authorization: " + megabyte),
        "a token with a wrong signature": _request(b"Authorization: Bearer " + forged(raw).encode()),
        "a token of 8 KiB that is none": _request(b"Authorization: Bearer " + b"e30." + b"A" * 8_000 + b".AAAA"),
        "a token's header of integers": _header_of(b'"x":[%s9007199254740991]' % (b"1," * 126)),
        "a token's header of objects": _header_of(b'"x":[%s{}]' % (b'{"a":0},' * 126)),
        "a token's header of too many objects": _header_of(b'"x":[%s{}]' % (b"{}," * 480)),
        "a token's claims of integers": _claims_of(b'"x":[%s9007199254740991]' % (b"1," * 2_900)),
        "a token's claims of objects": _claims_of(b'"x":[%s{}]' % (b"{}," * 1_950)),
        "a token's claims of members": _claims_of(b",".join(b'"%x":0' % number for number in range(700))),
        "a token's claims of brackets": _claims_of(b'"x":' + b"[" * 5_900),
        "a token's claims of quotes": _claims_of(b'"x":[%s""]' % (b'"[",' * 1_400)),
        "a token's claims of escapes": _claims_of(b'"x":"%s"' % (b"\\u0041" * 970)),
        "a handshake": _request(*_SHAKE),
        "3,900 subprotocols": _request(*_SHAKE, protocols),
        "3,900 subprotocols and the name": _request(*_SHAKE, protocols, b"Sec-WebSocket-Protocol: bearer, a.b.c"),
        "a query of escapes": _request(*_SHAKE, target=b"/?access_token=" + b"%41" * 2_600),
        "a query of many names": _request(*_SHAKE, target=b"/?" + b"access%5Ftoken&" * 500),
    }


def _header_of(members: bytes) -> bytes:
    """A request with a token whose own header is full of something."""
    return _with_token(b'{"alg":"HS256",' + members + b"}", b"{}")


def _claims_of(members: bytes) -> bytes:
    """A request with a token whose claims are full of something; they are looked at for the issuer before all else."""
    return _with_token(b'{"alg":"HS256"}', b'{"iss":"https://other.example",' + members + b"}")


def _with_token(*parts: bytes) -> bytes:
    encoded_parts = [urlsafe_b64encode(part).rstrip(b"=") for part in (*parts, bytes(32))]
    return _request(b"Authorization: Bearer " + b".".join(encoded_parts))


def _request(*lines: bytes, method: bytes = b"GET", target: bytes = b"/", body: bytes = b"") -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: a.example", *length, *lines, b"", body])


async def _bare(
    scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Answers a request, and accepts a handshake and closes it."""
    if scope["type"] == "http":
        await apps.raw_bare(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})


class Wire(asyncio.Transport):
    """A transport to no one: what is written is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take a part of the answer."""
        self.written += len(data)

    def is_closing(self) -> bool:
        """Whether the server has hung up."""
        return self._closing

    def close(self) -> None:
        """Hang up."""
        self._closing = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """After a handshake another protocol speaks."""

    def pause_reading(self) -> None:
        """Everything has been read already."""

    def resume_reading(self) -> None:
        """As above."""


class WireTask(Task):
    """One request to time, from its bytes to the whole answer, on a connection of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: ASGIApp, wire: bytes) -> None:
        super().__init__(self._handle)
        self._loop = loop
        options: Any = {"http": "httptools", "ws": "websockets-sansio", "lifespan": "off", "log_level": "critical"}
        self._config = uvicorn.Config(app, access_log=False, proxy_headers=False, **options)
        self._config.load()
        self._state = ServerState()
        self._pieces = [wire[start : start + _AT_ONCE] for start in range(0, len(wire), _AT_ONCE)]

    def batch(self, inputs: list[Any]) -> float:
        """Seconds of the processor for so many requests, measured inside the loop: what others cannot have."""
        return self._loop.run_until_complete(self._batch(len(inputs)))

    async def _batch(self, count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            await self._handle(None)
        return time.process_time() - began

    async def _handle(self, _: Any) -> None:
        wire = Wire()
        protocol: Any = self._config.http_protocol_class(self._config, self._state, {}, self._loop)  # type: ignore[operator]
        protocol.connection_made(wire)
        for piece in self._pieces:
            protocol.data_received(piece)
        while self._state.tasks:  # noqa: ASYNC110 -- the server has no event for it
            await asyncio.sleep(0)
        assert wire.written, "the server has not answered"  # noqa: S101 -- a figure means something only if it has
        protocol._unset_keepalive_if_required()  # noqa: SLF001 -- a timer for each request would be kept
        self._state.connections.clear()
