"""Oddities of methods and handshakes on every server: none of them is served without a token, preflights included."""

from __future__ import annotations

from tests import sockets
from tests.system.servers.params import REFUSED, check_refused
from tests.system.servers.servers import Server, each_closed_server

PREFLIGHT = (b"Origin: http://x", b"Access-Control-Request-Method: GET")

METHODS: tuple[tuple[bytes, tuple[bytes, ...]], ...] = (
    (b"OPTIONS", PREFLIGHT),
    (b"options", PREFLIGHT),
    (b"OPTIONS", (*PREFLIGHT, b"Access-Control-Request-Headers: authorization")),
    (b"OPTIONS", (*PREFLIGHT, b"X-HTTP-Method-Override: DELETE")),
    (b"OPTIONS", ()),
    (b"OPTIONS", PREFLIGHT[:1]),
    (b"OPTIONS", PREFLIGHT[1:]),
    (b"OPTIONS", (PREFLIGHT[0], b"Access_Control_Request_Method: GET")),
    (b"OPTIONS", (PREFLIGHT[0], b"Access-Control-Request-Headers: authorization")),
    (b"GET", PREFLIGHT),
    (b"POST", PREFLIGHT),
    (b"get", PREFLIGHT),
    (b"OPTIONSX", PREFLIGHT),
    (b"XOPTIONS", PREFLIGHT),
    (b"OPTION", PREFLIGHT),
    (b"OPTIONS\x00", PREFLIGHT),
    (b"OPTIONS\xff", PREFLIGHT),
    (b"get", ()),
    (b"GeT", ()),
    (b"LOGIN", ()),
    (b"PROPFIND", ()),
    (b"TRACE", ()),
    (b"CONNECT", ()),
    (b"PATCH", ()),
    (b"G\xffT", ()),
    (b"", ()),
)


@each_closed_server
def test_no_method_opens_anything(server: Server) -> None:
    """Each method needs a token, also with the headers that a browser sends before a request."""  # S11, S14
    for method, lines in METHODS:
        answer = sockets.ask(server.port, b"/secret", *lines, method=method)
        if answer.status not in {404, 405, 501}:  # what Sanic says to a method that no route has
            check_refused(server, method, answer)


@each_closed_server
def test_no_handshake_is_a_preflight(server: Server) -> None:
    """A socket is not accepted for looking like a preflight, whatever its method."""  # S11, S125
    for method in (b"GET", b"OPTIONS", b"options", b"POST", b"CONNECT"):
        payload = sockets.handshake_bytes(b"/secret", *PREFLIGHT).replace(b"GET", method, 1)
        answer = sockets.first_response(server.port, payload)
        # One that is no GET may count as an ordinary request.
        assert (method, True) == (method, answer.status != sockets.SWITCHING and answer.status < 500)


@each_closed_server
def test_bad_handshakes(server: Server) -> None:
    """A handshake with something amiss is refused, and a token is wanted first or never."""
    good = sockets.handshake_bytes(b"/secret")
    for old, new in (
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 12"),
        (b"Sec-WebSocket-Version: 13\r\n", b""),
        (b"dGhlIHNhbXBsZSBub25jZQ==", b"short"),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"Connection: Upgrade", b"Connection: keep-alive, upgrade"),
        (b"Upgrade: websocket", b"Upgrade: WebSocket"),
    ):
        answer = sockets.first_response(server.port, good.replace(old, new))
        assert (new, True, answer.status) == (new, answer.status in {*REFUSED, 403, 404, 426}, answer.status)


@each_closed_server
def test_what_is_open_opens_nothing_for_the_next(server: Server) -> None:
    """An exempt request opens nothing for what follows on its connection, nor for what hides in its body."""
    hidden = b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"
    first = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden
    received = sockets.exchange(server.port, first + sockets.request_bytes(b"/secret"))
    assert 1 == received.count(b"HTTP/1.1 200")
    assert 1 >= received.count(b"HTTP/1.1 401")
