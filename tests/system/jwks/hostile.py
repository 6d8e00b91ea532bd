"""A key provider that does everything wrong, over real TLS, in a process of its own: `python -m tests.system.jwks.hostile DIR`.

DIR has the certificates and the good answers. The ports that it listens on are printed as JSON. What `/jwks` and the
metadata answer is set by `/control/NAME`; `/seen` tells what has been asked since the last time.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["BEHAVIOURS", "CERTIFICATES"]

CERTIFICATES = ("good", "other-ca", "expired", "wrong-host")

DRIP = 1.0  # seconds between two bytes

ErrorResponse = Callable[[Path], Iterator[bytes | float]]
"""Pieces to send; a number is a pause in seconds."""


def http(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole answer."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {size}", *headers]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode() + body


def whole(body: bytes, *headers: str, status: str = "200 OK") -> ErrorResponse:
    def answer(_: Path) -> Iterator[bytes | float]:
        yield http(body, *headers, status=status)

    return answer


def from_file(name: str) -> ErrorResponse:
    def answer(directory: Path) -> Iterator[bytes | float]:
        yield http((directory / name).read_bytes(), "set-cookie: session=follow-me; Path=/")

    return answer


def stall(_: Path) -> Iterator[bytes | float]:
    yield 3600.0


def stall_within(directory: Path) -> Iterator[bytes | float]:
    yield http((directory / "good.json").read_bytes())[:-20]
    yield 3600.0


def drip(directory: Path) -> Iterator[bytes | float]:
    for byte in http((directory / "good.json").read_bytes()):
        yield bytes([byte])
        yield DRIP


def reset(directory: Path) -> Iterator[bytes | float]:
    yield http((directory / "good.json").read_bytes())[:-20]


def huge(_: Path) -> Iterator[bytes | float]:
    yield http(b"", length=10 * 1024 * 1024)
    for _ in range(160):
        yield b" " * 65536


def huge_chunked(_: Path) -> Iterator[bytes | float]:
    yield b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    for _ in range(160):
        yield b"10000\r\n" + b" " * 65536 + b"\r\n"
    yield b"0\r\n\r\n"


def endless_headers(_: Path) -> Iterator[bytes | float]:
    yield b"HTTP/1.1 200 OK\r\n"
    for number in range(3000):
        yield "".join(f"x-{number}-{also}: {'a' * 100}\r\n" for also in range(40)).encode()


def packed(size: int) -> bytes:
    return gzip.compress(b" " * size, 9)


def redirect(status: str) -> ErrorResponse:
    def answer(directory: Path) -> Iterator[bytes | float]:
        elsewhere = (directory / "elsewhere").read_text()
        yield http(b"", f"location: {elsewhere}", status=status)

    return answer


def gzipped(directory: Path) -> Iterator[bytes | float]:
    yield http(gzip.compress((directory / "good.json").read_bytes()), "content-encoding: gzip")


BEHAVIOURS: dict[str, ErrorResponse] = {
    "good": from_file("good.json"),
    "gzipped": gzipped,
    "some-bad": from_file("some-bad.json"),
    "stall": stall,
    "stall-within": stall_within,
    "drip": drip,
    "reset": reset,
    "status-500": whole(b'{"keys": []}', status="500 Internal Server Error"),
    "status-204": whole(b"", status="204 No Content"),
    "html": whole(b"<html><body>Sign in to continue</body></html>"),
    "truncated": lambda directory: iter([http((directory / "good.json").read_bytes()[:-10])]),
    "huge": huge,
    "huge-chunked": huge_chunked,
    "endless-headers": endless_headers,
    "bomb": lambda _: iter([http(packed(100 * 1024 * 1024), "content-encoding: gzip")]),
    "bomb-in-bomb": lambda _: iter([http(gzip.compress(packed(100 * 1024 * 1024)), "content-encoding: gzip, gzip")]),
    "brotli": whole(b"whatever", "content-encoding: br"),
    "no-gzip": whole(b"not compressed at all", "content-encoding: gzip"),
    **{
        f"redirect-{status[:3]}": redirect(status)
        for status in ("301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect")
    },
    "empty-set": whole(b'{"keys": []}'),
    "no-array": whole(b'{"keys": {}}'),
    "only-secret": from_file("only-secret.json"),
    "too-many": from_file("too-many.json"),
    "deep": whole(b'{"keys":' + b"[" * 200_000),
    "long-key": from_file("long-key.json"),
    "junk-keys": from_file("junk-keys.json"),
    "not-http": lambda _: iter([b"\x00\x01\x02 this is no HTTP at all\r\n\r\n"]),
}


class Server:
    """All ports, one behaviour."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.behaviour = "good"
        self.seen: list[str] = []

    def listen(self, certificate: str | None) -> int:
        """Answer on a port of its own; without a certificate, in plain text."""
        listener = socket.create_server(("127.0.0.1", 0))
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.directory / f"{certificate}.pem")
        threading.Thread(target=self.accept, args=(listener, context), daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    def accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self.serve, args=(connection, context), daemon=True).start()

    def serve(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                self.answer(connection)
        except OSError:
            pass  # the other side has gone, as it should

    def answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65536)
            if not received:
                return
            head += received
        path = head.split(b" ", 2)[1].decode()
        if path.startswith("/control/"):
            self.behaviour = path.removeprefix("/control/")
            connection.sendall(http(b"{}"))
        elif path == "/seen":
            connection.sendall(http(json.dumps(self.seen).encode()))
            self.seen = []
        else:
            self.seen.append(head.decode("latin-1"))
            for piece in self.pieces(path):
                if isinstance(piece, float):
                    time.sleep(piece)
                else:
                    connection.sendall(piece)

    def pieces(self, path: str) -> Iterator[bytes | float]:
        if path.startswith("/.well-known/"):
            document = self.directory / f"{self.behaviour}.metadata.json"
            if document.exists():
                return iter([http(document.read_bytes())])
            if self.behaviour.startswith("good"):
                return iter([http((self.directory / "good.metadata.json").read_bytes())])
        return BEHAVIOURS[self.behaviour if self.behaviour in BEHAVIOURS else "good"](self.directory)


def main() -> None:
    """Listen with every certificate, and in plain text, until killed."""
    server = Server(Path(sys.argv[1]))
    ports = {name: server.listen(name) for name in CERTIFICATES}
    ports["plain"] = server.listen(None)
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
