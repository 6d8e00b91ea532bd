"""Fetch a document by GET, or post a form: by httpx2 or a function of the application. Other modules judge the response."""

from __future__ import annotations

import math
import os
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol

import anyio
import anyio.to_thread

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.values import plain

from ._documents import RefusedDocumentError

__all__ = ["Fetch", "FetchResponse", "HTTPXFetch", "Post", "why_not_fetched"]

_GZIP = ("gzip", "x-gzip")  # RFC 9110 section 8.4.1.3: two names for one coding
# Codings that change the body. Other words in the header (`utf-8`, `none`, `aws-chunked`) stay there by mistake.
_CODINGS = (*_GZIP, "br", "compress", "dcb", "dcz", "deflate", "exi", "pack200-gzip", "x-compress", "zstd")
_HEADERS = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "asgi-jwt-claims"}
_FIXED_HEADERS = ("host", "accept-encoding", "connection", "content-length", "transfer-encoding")
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_GOES_ON = "the answer goes on after the end of its compressed data"


class FetchResponse(NamedTuple):
    """A response.

    Attributes:
        status: The status code. Only 200 counts; a redirect must be returned as it is, not followed.
        headers: The headers, with names in lower case. `cache-control`, `age`, `retry-after` and `date` are read.
        body: The body, decompressed. It may be cut off once it is longer than `max_size`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """Fetches one document. Called on the event loop, and cancelled after the policy's `timeout`."""

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        """GET `url`.

        Args:
            url: An https URL, or one on loopback if that is allowed.
            max_size: The size in bytes beyond which the body is of no use.

        Raises:
            Exception: The fetch has failed. Any kind will do.
        """
        raise NotImplementedError


class Post(Protocol):
    """Posts one form. Called on the event loop, and cancelled after the `timeout` of its caller."""

    async def __call__(
        self, url: str, *, form: Mapping[str, str], headers: Mapping[str, str], max_size: int
    ) -> FetchResponse:
        """POST `form` to `url`, as `application/x-www-form-urlencoded`.

        Args:
            url: An https URL, or one on loopback if that is allowed.
            form: The fields. They hold a secret, as the headers do: keep both out of logs.
            headers: The headers to send, with names in lower case.
            max_size: The size in bytes beyond which the body of the response is of no use.

        Raises:
            Exception: The call has failed. Any kind will do.
        """
        raise NotImplementedError


class HTTPXFetch:
    """Fetches with httpx2, on asyncio and trio (extra `jwks`).

    It follows no redirects, keeps no cookies and no connections, and ignores proxies of the environment.

    Args:
        headers: Headers to send besides its own, such as `{"Authorization": f"Bearer {token}"}` for Kubernetes; or a
            function that returns them, called on the event loop before each request, for a token that is renewed. They
            go to the issuer, and to the address of keys that its metadata names.
        verify: The certificates to trust: the path of a PEM file with those of a private CA, which are then the only ones,
            or an `ssl.SSLContext`. None for httpx2's default, made off the event loop when first needed.
        proxy: The URL of a proxy; None for no proxy.

    Raises:
        SettingError: An option cannot be used, or httpx2 is not installed.
    """

    def __init__(
        self,
        *,
        headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        verify: ssl.SSLContext | str | os.PathLike[str] | None = None,
        proxy: str | None = None,
    ) -> None:
        try:
            import httpx2  # noqa: PLC0415 -- an optional dependency, and half of the time that importing this would take
        except ModuleNotFoundError as error:
            if error.name != "httpx2":
                raise
            raise SettingError(
                'fetching keys needs httpx2: pip install "asgi-jwt-claims[jwks]", or pass a fetch of your own'
            ) from None
        self._httpx = httpx2
        self._headers = headers if callable(headers) else _checked_headers(headers or {})
        self._ssl_context = _checked_context(verify)
        self._proxy = proxy
        if proxy is not None and not self._is_proxy(proxy):  # not quoted, since it may hold a password
            raise SettingError("proxy must be the URL of a proxy, such as http://proxy.example.com:3128")

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        """See `Fetch`."""
        return await self._send("GET", url, max_size)

    async def post(
        self, url: str, *, form: Mapping[str, str], headers: Mapping[str, str], max_size: int
    ) -> FetchResponse:
        """See `Post`."""
        return await self._send("POST", url, max_size, data=form, headers=headers)

    def _is_proxy(self, proxy: object) -> bool:
        try:
            return bool(self._httpx.Proxy(plain(proxy)).url.host)
        except (TypeError, ValueError, self._httpx.InvalidURL):
            return False

    async def _send(self, method: str, url: str, max_size: int, **options: Any) -> FetchResponse:
        if self._ssl_context is None:
            # Reading hundreds of certificates would block the event loop for too long.
            self._ssl_context = await anyio.to_thread.run_sync(
                self._httpx.create_ssl_context, limiter=anyio.CapacityLimiter(1)
            )
        headers = _checked_headers(self._headers()) if callable(self._headers) else self._headers
        # When all of it has passed the fetch is cancelled, which would leave the socket of a TLS handshake unclosed.
        time_left = anyio.current_effective_deadline() - anyio.current_time()
        client = self._httpx.AsyncClient(
            verify=self._ssl_context,
            proxy=self._proxy,
            trust_env=False,
            follow_redirects=False,
            timeout=self._httpx.Timeout(None, connect=None if math.isinf(time_left) else 0.9 * time_left),
            headers={**_HEADERS, **headers},
        )
        async with client, client.stream(method, url, **options) as response:
            body = b""
            if response.status_code == HTTPStatus.OK:  # no other body is of any use
                body = await _read(response.aiter_raw(), response.headers.get("content-encoding", ""), max_size)
            return FetchResponse(response.status_code, response.headers, body)


def _checked_headers(headers: object) -> dict[str, str]:
    """Return the headers by their names in lower case, or raise SettingError, which does not show their values."""
    if not isinstance(headers, Mapping):
        raise SettingError(f"headers must be a mapping or a function that returns one, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or _FIELD_NAME.fullmatch(name) is None or name.lower() in _FIXED_HEADERS:
            # Not what follows a colon, which may be a secret that was meant to be the value.
            shown = name.partition(":")[0] if isinstance(name, str) else name
            raise SettingError(f"headers: {shown!r} is not the name of a header that can be added")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or value != value.strip():
            raise SettingError(f"headers: the value of {name} must be one line of ASCII without white space around it")
    return {plain(name).lower(): plain(value) for name, value in headers.items()}


def _checked_context(verify: object) -> ssl.SSLContext | None:
    if verify is None or isinstance(verify, ssl.SSLContext):
        return verify
    if not isinstance(verify, str | os.PathLike):
        raise SettingError(
            f"verify must be the path of a file with certificates, or an ssl.SSLContext, not {verify!r}; keys are never "
            "fetched without checking the certificate"
        )
    try:
        # An empty path would mean the certificates of the system.
        return ssl.create_default_context(cafile=os.fspath(verify) or "\0")
    except ssl.SSLError:
        reason = "it holds no PEM certificates"
    except OSError as error:
        reason = os.strerror(error.errno or 0)
    except ValueError:
        reason = "not a path"
    raise SettingError(f"verify: {os.fspath(verify)!r} cannot be used: {reason}")


def why_not_fetched(error: BaseException) -> str:
    """Say why a fetch failed: the type of the error and, for a connection, its root cause.

    Messages are not quoted, except OpenSSL's reason for refusing a certificate.
    """
    cause: BaseException | None = error
    reason = None
    for _ in range(16):
        if cause is None:
            break
        reason = _why_not_connected(cause) or reason
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return type(error).__name__ + (f": {reason}" if reason else "")


def _why_not_connected(error: BaseException) -> str | None:
    if isinstance(error, ssl.SSLError):
        # Those that OpenSSL has not made lack the attributes; a handshake that was broken off has no reason.
        message = getattr(error, "verify_message", None)
        if message:
            return f"the certificate is not accepted: {message}"
        reason = getattr(error, "reason", None)
        return f"TLS failed: {reason}" if reason else None
    if isinstance(error, socket.gaierror):
        return "the name of the host cannot be resolved"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return None


async def _read(chunks: AsyncIterator[bytes], coding: str, max_size: int) -> bytes:
    """Read and decompress the body, and never hold more than `max_size` bytes of it."""
    body = _Body(coding, max_size)
    problem: RefusedDocumentError | None = None
    with anyio.CancelScope() as reading:
        async for chunk in chunks:
            try:
                body.feed(chunk)
            except RefusedDocumentError as error:
                # Raising here would leave half-read iterators behind. Cancelling ends them from within.
                problem = error
                reading.cancel()
    if problem is not None:
        raise problem
    return body.whole()


class _Body:
    """A body of at most `max_size` bytes, in pieces that may be compressed."""

    def __init__(self, coding: str, max_size: int) -> None:
        codings = [name for name in re.split(r"[\s,]+", coding.lower()) if name in _CODINGS]
        if codings and (len(codings) > 1 or codings[0] not in _GZIP):
            raise RefusedDocumentError("the answer is compressed in a way that was not asked for")
        self._is_gzip = bool(codings)
        self._max_size = max_size
        self._received = bytearray()
        self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def feed(self, chunk: bytes) -> None:
        """Add a piece; refuse one that makes the body too long, or is not what the coding says."""
        if self._is_gzip:
            if self._gzip.eof and chunk:
                # zlib would keep all of it.
                raise RefusedDocumentError(_GOES_ON)
            try:
                chunk = self._gzip.decompress(chunk, self._max_size + 1)
            except zlib.error:
                raise RefusedDocumentError("the answer is not gzip, as it says") from None
            if self._gzip.unused_data:
                raise RefusedDocumentError(_GOES_ON)
        self._received += chunk
        if len(self._received) > self._max_size:
            raise RefusedDocumentError(f"the answer is longer than {self._max_size} bytes")

    def whole(self) -> bytes:
        """Return the complete body; refuse compressed data that has not ended."""
        if self._is_gzip and not self._gzip.eof:
            raise RefusedDocumentError("the answer ends before its compressed data does")
        return bytes(self._received)
