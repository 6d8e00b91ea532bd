"""`HTTPXFetch` on a server of this process: headers that are added, certificates that are trusted, what is refused."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization

from asgi_jwt_claims.errors import KeysUnavailableError, SettingError
from asgi_jwt_claims.jwks import HTTPXFetch, RemoteKeySet
from asgi_jwt_claims.jwks._documents import RefusedDocumentError
from asgi_jwt_claims.jwks.fetch import why_not_fetched
from tests.unit.test_certified_keys import certificate

pytestmark = pytest.mark.anyio


@contextmanager
def server(answers: int = 1, status: bytes = b"200 OK") -> Iterator[tuple[str, list[bytes]]]:
    """An HTTP server for so many requests; its address, and the requests that it has read."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)  # for a client that never comes

        def serve() -> None:
            for _ in range(answers):
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as file:
                    head = b"".join(iter(file.readline, b"\r\n"))
                    length = re.search(rb"content-length: (\d+)", head.lower())
                    asked.append(head + b"\r\n" + file.read(int(length[1]) if length else 0))
                    connection.sendall(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\n{}")

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/", asked
        thread.join()


async def test_headers_are_sent() -> None:
    """With the client's own, of which all but the one for the coding may be replaced."""
    with server() as (address, asked):
        await HTTPXFetch(headers={"Authorization": "Bearer abc", "Accept": "application/jwk-set+json"})(
            address, max_size=100
        )
    head = asked[0].lower()
    for line in (b"authorization: bearer abc", b"accept: application/jwk-set+json", b"accept-encoding: gzip"):
        assert 1 == head.count(line + b"\r\n")
    assert 1 == head.count(b"\r\naccept:")


async def test_a_form_is_posted() -> None:
    """`post` sends the fields with the headers of its caller beside its own, and returns the answer."""
    with server() as (address, asked):
        post = HTTPXFetch(headers={"X-Own": "1"}).post
        response = await post(address, form={"token": "a b&c"}, headers={"authorization": "Basic eA=="}, max_size=100)
    assert (200, b"{}") == (response.status, response.body)
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert b"token=a+b%26c" == body
    for line in (b"authorization: Basic eA==", b"content-type: application/x-www-form-urlencoded", b"x-own: 1"):
        assert line.lower() in head.lower().split(b"\r\n")
    assert head.startswith(b"POST / ")


async def test_the_body_of_a_failure_is_not_read() -> None:
    """Of an answer that is not 200 only the status and the headers count."""
    with server(status=b"503 Busy") as (address, _):
        response = await HTTPXFetch()(address, max_size=100)
    assert (503, "2", b"") == (response.status, response.headers["content-length"], response.body)


async def test_an_answer_that_is_too_long_is_not_read() -> None:
    """A body beyond `max_size` ends the fetch."""
    with server() as (address, _), pytest.raises(RefusedDocumentError, match="longer than 1 bytes"):
        await HTTPXFetch()(address, max_size=1)


async def test_a_function_returns_the_headers_of_each_request() -> None:
    """A token that is renewed is read again for each request."""
    numbers = iter(range(5))
    fetch = HTTPXFetch(headers=lambda: {"X-Number": str(next(numbers))})
    with server(answers=2) as (address, asked):
        await fetch(address, max_size=100)
        await fetch(address, max_size=100)
    assert [True, True] == [f"x-number: {number}".encode() in head.lower() for number, head in enumerate(asked)]


async def test_a_function_that_fails_is_a_fetch_that_fails() -> None:
    """Its error, and headers that cannot be sent, become the reason, without their text."""

    def fails() -> dict[str, str]:
        raise RuntimeError("secret")

    keys = RemoteKeySet("https://issuer.invalid/", fetch=HTTPXFetch(headers=fails))
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    assert "RuntimeError" == keys.status().last_failure
    keys = RemoteKeySet("https://issuer.invalid/", fetch=HTTPXFetch(headers=lambda: {"X": "a\nb"}))
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    assert "SettingError" == keys.status().last_failure


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"headers": ["Authorization"]}, "headers must be a mapping or a function"),
        ({"headers": {"Host": "a"}}, "headers: 'Host' is not the name of a header that can be added"),
        ({"headers": {"accept-encoding": "br"}}, "headers: 'accept-encoding' is not the name of a header"),
        ({"headers": {"a b": "c"}}, "headers: 'a b' is not the name of a header"),
        ({"headers": {7: "c"}}, "headers: 7 is not the name of a header"),
        ({"headers": {"Authorization: token": ""}}, "headers: 'Authorization' is not the name of a header"),
        ({"headers": {"A": "b\r\nC: d"}}, "headers: the value of A must be one line of ASCII"),
        ({"headers": {"A": "token\n"}}, "headers: the value of A must be one line of ASCII"),
        ({"headers": {"A": " b"}}, "headers: the value of A must be one line of ASCII"),
        ({"headers": {"A": b"b"}}, "headers: the value of A must be one line of ASCII"),
        ({"headers": {"A": "\u00e9"}}, "headers: the value of A must be one line of ASCII"),
        ({"verify": False}, "verify must be the path of a file with certificates, or an ssl.SSLContext, not False"),
        ({"verify": True}, "verify must be the path of a file"),
        ({"verify": "/nowhere/ca.crt"}, "verify: '/nowhere/ca.crt' cannot be used: No such file or directory"),
        ({"verify": ""}, "verify: '' cannot be used: not a path"),
        ({"verify": "\x00"}, "verify: .* cannot be used: not a path"),
        ({"proxy": "me:token@proxy.example.com"}, "^proxy must be the URL of a proxy, such as"),
        ({"proxy": "ftp://me:token@proxy.example.com"}, "^proxy must be the URL of a proxy"),
        ({"proxy": "http://"}, "^proxy must be the URL of a proxy"),
        ({"proxy": "\x00"}, "^proxy must be the URL of a proxy"),
        ({"proxy": 7}, "^proxy must be the URL of a proxy"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, Any], match: str) -> None:
    """They are refused when the client is built, and no value of a header is shown."""
    with pytest.raises(SettingError, match=match) as refused:
        HTTPXFetch(**options)
    assert "token" not in str(refused.value)
    assert None is refused.value.__context__ or "token" not in repr(refused.value.__context__)


def test_a_file_without_certificates(tmp_path: Path) -> None:
    """A file that holds something else is refused when the client is built."""
    path = tmp_path / "ca.crt"
    path.write_text("certificate")
    with pytest.raises(SettingError, match="it holds no PEM certificates"):
        HTTPXFetch(verify=path)


async def test_a_private_authority_is_the_only_one_trusted(tmp_path: Path) -> None:
    """`verify` takes the path of its certificate, as text or as a path; no other authority is trusted then."""
    path = tmp_path / "ca.crt"
    path.write_bytes(certificate(2).public_bytes(serialization.Encoding.PEM))
    for verify in (path, os.fspath(path)):
        context = HTTPXFetch(verify=verify)._ssl_context
        assert context is not None
        assert (ssl.CERT_REQUIRED, True) == (context.verify_mode, context.check_hostname)
        assert 1 == context.cert_store_stats()["x509"]


async def test_reasons_tell_apart_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not exist, a port that is closed, and a server without TLS have reasons of their own."""
    resolve = socket.getaddrinfo

    def no_such_name(host: str | bytes, *rest: Any, **options: Any) -> Any:
        if host in ("issuer.invalid", b"issuer.invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    reasons = {}
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        closed = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        for name, address in (("dns", "https://issuer.invalid/"), ("refused", closed)):
            with pytest.raises(httpx2.ConnectError) as failed:
                await HTTPXFetch()(address, max_size=100)
            reasons[name] = why_not_fetched(failed.value)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_without_tls, args=[listener])
        thread.start()
        with pytest.raises(httpx2.ConnectError) as failed:
            await HTTPXFetch()(f"https://127.0.0.1:{listener.getsockname()[1]}/", max_size=100)
        thread.join()
    reasons["tls"] = why_not_fetched(failed.value)
    assert "ConnectError: the name of the host cannot be resolved" == reasons["dns"]
    assert "ConnectError: Connection refused" == reasons["refused"]
    assert reasons["tls"].startswith("ConnectError: TLS failed: ")


def answer_without_tls(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
