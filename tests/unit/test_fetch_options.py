"""`HTTPXFetch` on a server of this process: headers that are added, certificates that are trusted, what is refused."""

from __future__ import annotations

import os
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
from asgi_jwt_claims.jwks.fetch import why_not_fetched
from tests.unit.test_certified_keys import certificate

pytestmark = pytest.mark.anyio


@contextmanager
def server(answers: int = 1) -> Iterator[tuple[str, list[bytes]]]:
    """An HTTP server for so many requests; its address, and the requests that it has read."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(answers):
                connection, _ = listener.accept()
                with connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

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


async def test_reasons_tell_apart_what_failed() -> None:
    """A name that does not exist, a port that is closed, and a server without TLS have reasons of their own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    reasons = {}
    for name, address in (("dns", "https://issuer.invalid/"), ("refused", f"https://127.0.0.1:{closed}/")):
        with pytest.raises(httpx2.ConnectError) as failed:
            await HTTPXFetch()(address, max_size=100)
        reasons[name] = why_not_fetched(failed.value)
    with server() as (address, _), pytest.raises(httpx2.ConnectError) as failed:
        await HTTPXFetch()(address.replace("http://", "https://"), max_size=100)
    reasons["tls"] = why_not_fetched(failed.value)
    assert "ConnectError: the name of the host cannot be resolved" == reasons["dns"]
    assert "ConnectError: Connection refused" == reasons["refused"]
    assert reasons["tls"].startswith("ConnectError: TLS failed: ")
