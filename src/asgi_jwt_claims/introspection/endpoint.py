"""`Introspection`: ask an authorization server whether an opaque token is active, and what it says (RFC 7662).

Requests with the same token share one call, and its answer for a short time. Calls are few at once: a flood of made-up
tokens is answered with 503 here, and does not reach the authorization server.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote_plus

import anyio

from asgi_jwt_claims.errors import IntrospectionUnavailableError, SettingError
from asgi_jwt_claims.jose.strict_json import has_lone_surrogate
from asgi_jwt_claims.jwks._documents import RefusedDocumentError, read_retry_after
from asgi_jwt_claims.jwks._single_flight import Fetching, SingleFlight
from asgi_jwt_claims.jwks._urls import check_address
from asgi_jwt_claims.jwks.fetch import FetchResponse, HTTPXFetch, Post, why_not_fetched
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.tasks import ends_task
from asgi_jwt_claims.runtime.values import HiddenSecret, plain, revealed

from ._answers import Answer, AnswerCache, read_answer

__all__ = ["MAX_CALLS", "Introspection"]

MAX_CALLS = 10
"""Calls that run at once on an event loop."""

_MAX_SIZE = 64 * 1024  # bytes of an answer
_MAX_RETRY_AFTER = 60.0
_OK = 200
_REFUSED_CLIENT = (401, 403)  # RFC 7662 section 2.3


class Introspection:
    """An introspection endpoint (RFC 7662), for `JWTConfig.for_introspection(...)`.

    The endpoint is asked by POST, with the client in the `Authorization` header (RFC 6749 section 2.3.1), and never
    anywhere else: redirects are not followed. Durations are `timedelta` or seconds. Event loops and threads may share
    the object, and so may configurations.

    Args:
        url: The https URL of the endpoint, the `introspection_endpoint` of the server's metadata.
        client: The identifier and the secret (a str, or pydantic's `SecretStr`) of the client that this application is to
            the authorization server.
        ttl: How long the answer about an active token is kept, at most 3,600 seconds and never beyond the `exp` of the
            token; 0 for not at all. For so long a token that is revoked there stays good here.
        negative_ttl: How long the answer about another token is kept, at most 60 seconds; 0 for not at all.
        timeout: The longest time that a call may take in all, at most 60 seconds.
        post: The function that calls the endpoint; None for `HTTPXFetch().post`.
        loopback_http: Whether the address may also be http on loopback.
        monotonic: A clock in seconds that never jumps.

    Attributes:
        url: The URL of the endpoint.

    Raises:
        SettingError: The address must not be asked, or an option cannot be used.
    """

    def __init__(
        self,
        url: str,
        client: tuple[str, str | HiddenSecret],
        *,
        ttl: timedelta | float = 60.0,
        negative_ttl: timedelta | float = 5.0,
        timeout: timedelta | float = 5.0,
        post: Post | None = None,
        loopback_http: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        url = plain(url)
        if not isinstance(loopback_http, bool):
            raise SettingError(f"loopback_http must be True or False, not {loopback_http!r}")
        problem = check_address(url, loopback_http=loopback_http)
        if problem is not None:
            raise SettingError(f"the url {problem}")
        if post is not None and not callable(post):
            raise SettingError(f"post must be a function, not {type(post).__name__}")
        if not callable(monotonic) or type(monotonic()) not in (int, float):
            raise SettingError("monotonic must be a callable that returns seconds, as time.monotonic does")
        self.url: str = url
        self._headers = {"authorization": _client_secret_basic(client)}
        self._ttl = _duration(ttl, "ttl", 3600)
        self._negative_ttl = _duration(negative_ttl, "negative_ttl", 60)
        self._timeout = _duration(timeout, "timeout", 60, zero=False)
        self._post: Post = HTTPXFetch().post if post is None else post
        self._monotonic = monotonic
        self._answers = AnswerCache()
        self._calls = SingleFlight(self._call)

    def __repr__(self) -> str:
        return f"<Introspection {getattr(self, 'url', 'not built')}>"

    def find(self, raw: bytes, now: float) -> Answer | None:
        """Return the answer about a token that is at hand; None if the endpoint must be asked. Never waits.

        Args:
            raw: The whole token.
            now: The time in seconds since the epoch.
        """
        return self._answers.find(hashlib.sha256(raw).digest(), self._monotonic(), now)

    async def ask(self, raw: bytes) -> Answer:
        """Ask the endpoint about a token, or wait for the call about it that is running.

        Raises:
            IntrospectionUnavailableError: The call failed, the answer cannot be used, or too many calls are running.
        """
        digest = hashlib.sha256(raw).digest()
        running = self._calls.running
        if digest not in running and len(running) >= MAX_CALLS:
            raise IntrospectionUnavailableError(endpoint=self.url, reason=f"{MAX_CALLS} calls are running")
        call = self._calls.start(digest, digest, raw)
        await call.done.wait()
        found = call.found
        if isinstance(found, Answer):
            return found
        # An error of its own for each that waits, since an error may be given a traceback and facts of a request.
        reason, retry_after = found if isinstance(found, tuple) else ("the call was cancelled", 1)
        raise IntrospectionUnavailableError(endpoint=self.url, reason=reason, retry_after=retry_after)

    async def _call(self, call: Fetching, digest: bytes, raw: bytes) -> None:
        began = self._monotonic()  # the answer may be as old as the question
        retry_after = 1
        # The hint saves the server a search, and decides nothing (RFC 7662 section 2.1).
        form = {"token": raw.decode("ascii"), "token_type_hint": "access_token"}
        try:
            with anyio.fail_after(self._timeout):
                response = await self._post(self.url, form=form, headers=self._headers, max_size=_MAX_SIZE)
            retry_after = _retry_after(response)
            answer = read_answer(_body(response), digest)
        except BaseException as error:
            if ends_task(error):
                raise
            reason = str(error) if isinstance(error, RefusedDocumentError) else why_not_fetched(error)
            if isinstance(error, TimeoutError):
                reason = f"no answer within {self._timeout} seconds"
            logger().warning("%s could not be asked about a token: %s", self.url, reason)
            call.found = (reason, retry_after)
        else:
            answer.kept_until = began + (self._ttl if answer.is_active else self._negative_ttl)
            self._answers.remember(answer)
            call.found = answer
        finally:
            self._calls.finish(call)


def _body(response: FetchResponse) -> bytes:
    """Return the body of a good response, or say in a `RefusedDocumentError` why it is none."""
    if response.status in _REFUSED_CLIENT:
        raise RefusedDocumentError(f"the client is refused with status {response.status}; check its secret and rights")
    if response.status != _OK:
        raise RefusedDocumentError(f"the call was answered with status {response.status}")
    if len(response.body) > _MAX_SIZE:
        raise RefusedDocumentError(f"the answer is longer than {_MAX_SIZE} bytes")
    return response.body


def _retry_after(response: FetchResponse) -> int:
    """For how many seconds a client should wait, by what the endpoint says."""
    return 1 if response.status == _OK else max(1, round(min(read_retry_after(response.headers), _MAX_RETRY_AFTER)))


def _client_secret_basic(client: object) -> str:
    """Make the value of the `Authorization` header (RFC 6749 section 2.3.1)."""
    pair = tuple(plain(revealed(part)) for part in client) if isinstance(client, tuple | list) else ()
    if len(pair) != 2 or not all(isinstance(part, str) and part for part in pair):  # noqa: PLR2004 -- a pair
        raise SettingError('client must be the identifier and the secret of a client: client=("orders-api", secret)')
    if any(map(has_lone_surrogate, pair)):
        raise SettingError("client holds half of a surrogate pair, which cannot be sent")
    # Both are encoded as in a form first, so that a colon in the identifier does not end it.
    text = ":".join(map(quote_plus, pair))
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def _duration(value: timedelta | float, name: str, most: int, *, zero: bool = True) -> float:
    seconds = as_duration(value, name, zero=zero).total_seconds()
    if seconds > most:
        raise SettingError(f"{name} must be at most {most} seconds, not {seconds:g}")
    return seconds
