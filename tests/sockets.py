"""Real sockets: bytes out and bytes in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

PATIENCE = 120.0
"""Seconds after which a server that does not answer has failed; the machine may be busy."""

SILENT = 0
"""The status of a server that hung up without a word."""

SWITCHING = 101
"""The status of a server that has accepted a WebSocket."""


class Response(NamedTuple):
    """An HTTP/1.1 response as it came."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


HANDSHAKE = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
"""What makes a GET the opening handshake of a WebSocket (RFC 6455 section 4.1)."""


def request_bytes(target: bytes = b"/", *lines: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    """A request whose connection ends with the response; the lines are sent as they are."""
    head = [method + b" " + target + b" HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close", *lines]
    return b"\r\n".join([*head, b"", body])


def handshake_bytes(target: bytes = b"/", *lines: bytes) -> bytes:
    """The opening handshake of a WebSocket; the lines are sent as they are."""
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: 127.0.0.1", *HANDSHAKE, *lines, b"", b""])


def parse(received: bytes) -> Response:
    """The one response in what was received."""
    if not received:
        return Response(SILENT, {}, b"")
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    if body and b"chunked" in headers.get(b"transfer-encoding", b""):
        body = b"".join(chunks(body))
    return Response(int(first.split(b" ")[1]), headers, body)


def is_whole(received: bytes) -> bool:
    """Whether the response has ended, by its own account; on a websocket, whether the server has closed."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    response = parse(head + end)
    if response.status == SWITCHING:
        return b"\x88" in body
    if b"content-length" in response.headers:
        return len(body) >= int(response.headers[b"content-length"])
    return body.endswith(b"0\r\n\r\n")


def chunks(body: bytes) -> Iterator[bytes]:
    """The parts of a chunked body (RFC 9112 section 7.1)."""
    size, _, rest = body.partition(b"\r\n")
    if length := int(size, 16):
        yield rest[:length]
        yield from chunks(rest[length + 2 :])


def exchange(port: int, *payloads: bytes) -> bytes:
    """Everything the server says to these bytes, until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for payload in payloads:
            connection.sendall(payload)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        return received


def ask(port: int, target: bytes = b"/", *lines: bytes, method: bytes = b"GET", body: bytes = b"") -> Response:
    """One raw request and its response."""
    return parse(exchange(port, request_bytes(target, *lines, method=method, body=body)))


def first_response(port: int, payload: bytes) -> Response:
    """The response to these bytes, whether or not the server hangs up after it."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(payload)
        received = b""
        with suppress(ConnectionResetError):
            while not is_whole(received) and (data := connection.recv(65536)):
                received += data
        return parse(received)


def shake(port: int, target: bytes = b"/", *lines: bytes) -> Response:
    """One handshake and what the server says to it: a refusal, or 101 and the frames until it closes."""
    return first_response(port, handshake_bytes(target, *lines))
