"""How a document is fetched: one GET, by httpx2 unless the application brings something else.

What answers are good for is decided elsewhere, by one policy for every way to fetch: the status, the size, the time.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import anyio
import anyio.to_thread

from asgi_jwt_claims.errors import SettingError

from ._documents import RefusedDocumentError

__all__ = ["Fetch", "FetchResponse", "HTTPXFetch"]


class FetchResponse(NamedTuple):
    """An answer.

    Attributes:
        status: The status code. Only 200 counts; a redirect must be handed on as it is, not followed.
        headers: Their names in lower case. `cache-control` and `age` are read.
        body: The body, decompressed; it may be cut off once it is longer than `max_size`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """Fetches one document. Called on the event loop, and cancelled after the policy's `timeout`."""

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        """GET `url`.

        Args:
            url: An https URL, or one on loopback where that was allowed.
            max_size: No use in reading on once the body has more bytes than this.

        Raises:
            Exception: Whatever goes wrong; the fetch has then failed.
        """


class HTTPXFetch:
    """Fetches with httpx2, on asyncio and trio (extra `jwks`).

    No redirects, no cookies, no proxy from the environment, and nothing is kept from one fetch to the next: a pooled
    connection would mostly have been closed by the time of the next fetch.

    Args:
        ssl_context: Which certificates to trust. None: httpx2's default, made off the event loop when first needed.
        proxy: The URL of a proxy. None: no proxy, whatever the environment says.

    Raises:
        SettingError: httpx2 is not installed.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None) -> None:
        try:
            import httpx2  # noqa: PLC0415 -- an optional dependency, and half of the time that importing this would take
        except ImportError:
            raise SettingError(
                'fetching keys needs httpx2: pip install "asgi-jwt-claims[jwks]", or pass a fetch of your own'
            ) from None
        self._httpx = httpx2
        self._ssl_context = ssl_context
        self._proxy = proxy

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        """See `Fetch`."""
        if self._ssl_context is None:
            # It reads hundreds of certificates, which takes long enough for others to notice.
            self._ssl_context = await anyio.to_thread.run_sync(
                self._httpx.create_ssl_context, limiter=anyio.CapacityLimiter(1)
            )
        client = self._httpx.AsyncClient(
            verify=self._ssl_context,
            proxy=self._proxy,
            trust_env=False,
            follow_redirects=False,
            timeout=None,
            headers={"accept": "application/json", "accept-encoding": "gzip", "user-agent": "asgi-jwt-claims"},
        )
        async with client, client.stream("GET", url) as response:
            body = bytearray()
            if response.status_code == 200:  # noqa: PLR2004 -- no other body is of any use
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > max_size:
                        raise RefusedDocumentError(f"the answer is longer than {max_size} bytes")
            return FetchResponse(response.status_code, response.headers, bytes(body))
