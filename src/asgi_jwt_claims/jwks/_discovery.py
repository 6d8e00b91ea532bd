"""Fetch the keys of one issuer: discover where they are, get them, and read them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from asgi_jwt_claims.errors import SettingError

from ._documents import ReadSet, RefusedDocumentError, read_jwks, read_max_age, read_metadata, read_retry_after
from ._urls import check_address, metadata_addresses

if TYPE_CHECKING:
    from asgi_jwt_claims.keys.key_set import KeySet

    from .fetch import Fetch, FetchResponse
    from .policy import FetchPolicy

__all__ = ["Provider"]

_OK = 200


class Provider:
    """Where the keys of one issuer are. The arguments are those of `RemoteKeySet`; only addresses are checked here.

    `plain_http` are the options of `check_address`.
    """

    def __init__(
        self,
        url: str | None,
        issuer: str | None,
        *,
        fetch: Fetch,
        policy: FetchPolicy,
        algorithms: tuple[str, ...],
        **plain_http: Any,
    ) -> None:
        for name, address in (("url", url), ("issuer", issuer)):
            problem = None if address is None else check_address(address, **plain_http)
            if problem is not None:
                raise SettingError(f"the {name} {problem}")
        if issuer is not None and "?" in issuer:  # RFC 8414 section 2
            raise SettingError("the issuer has a query, which RFC 8414 section 2 forbids; write it without")
        self._url = url
        self._issuer = issuer
        self._fetch = fetch
        self._policy = policy
        self._algorithms = algorithms
        self._plain_http = plain_http
        self._discovered: str | None = None
        self._discovered_at = 0.0

    async def read(self, before: KeySet | None, now: float) -> tuple[ReadSet, float | None]:
        """Fetch the keys; return them, and for how many seconds the response says that it may be used, if it does.

        Keys from `before` that are still there stay the same objects. `now` is in monotonic seconds. Besides
        `RefusedDocumentError` and `TimeoutError`, it raises what the function that fetches does.
        """
        with anyio.fail_after(self._policy.seconds("timeout")):
            address = self._url or await self._discover(now)
            discovered, self._discovered = self._discovered, None  # discovered anew, unless this fetch succeeds
            response = await self._get(address, "JWK Set")
            # Reading a set of many keys would block the event loop for too long.
            read = functools.partial(read_jwks, response.body, self._algorithms, self._policy.max_keys, before)
            found = await anyio.to_thread.run_sync(read, limiter=anyio.CapacityLimiter(1))
            self._discovered = discovered
        return found, read_max_age(response.headers)

    async def _discover(self, now: float) -> str:
        if self._discovered is not None and now - self._discovered_at < self._policy.seconds("discovery_ttl"):
            return self._discovered
        issuer = self._issuer or ""
        problems = []
        for address in metadata_addresses(issuer):
            try:
                response = await self._get(address, "metadata")
                self._discovered = read_metadata(response.body, issuer, **self._plain_http)
            except RefusedDocumentError as error:
                # RFC 8414 section 3: an issuer may have its metadata at another address, and a page at this one.
                problems.append(error)
            else:
                self._discovered_at = now
                return self._discovered
        raise RefusedDocumentError(
            ", then ".join(dict.fromkeys(map(str, problems))), retry_after=max(error.retry_after for error in problems)
        )

    async def _get(self, address: str, what: str) -> FetchResponse:
        response = await self._fetch(address, max_size=self._policy.max_size)
        if len(response.body) > self._policy.max_size:
            raise RefusedDocumentError(f"the answer is longer than {self._policy.max_size} bytes")
        if response.status != _OK:
            raise RefusedDocumentError(
                f"the request for the {what} was answered with status {response.status}",
                retry_after=read_retry_after(response.headers),
            )
        return response
