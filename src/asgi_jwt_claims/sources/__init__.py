"""Find the credentials of a request in its headers, cookies, subprotocols or query.

A source returns None if a request has no credentials in its place, and raises an error if they are malformed.

The scope is any mapping with ASGI `headers`: pairs of bytes, with names in lower case. Servers differ in the values:
one keeps the white space around a value, one joins repeated headers with a comma, and none guarantees ASCII.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgi_jwt_claims.errors import InvalidRequestError, RepeatedCredentialsError

from ._credentials import Credentials, Source, is_source
from .cookie import Cookie
from .header import BearerHeader
from .websocket import InsecureWebSocketQuery, WebSocketProtocol

__all__ = [
    "DEFAULT_SOURCES",
    "BearerHeader",
    "Cookie",
    "Credentials",
    "InsecureWebSocketQuery",
    "Source",
    "WebSocketProtocol",
    "extract_credentials",
    "is_source",
    "why_absent",
]

DEFAULT_SOURCES: tuple[Source, ...] = (BearerHeader(),)
"""The sources that are used by default. It is one object, so that comparing it takes no time."""


def extract_credentials(scope: Mapping[str, Any], sources: tuple[Source, ...], max_size: int) -> Credentials | None:
    """Return the credentials that one of the sources finds; None if none of them finds any. All sources are asked.

    Raises:
        RepeatedCredentialsError: A request has credentials in two places (RFC 6750 section 2).
        TokenError: The credentials are malformed, or a source returned something else than `Credentials` or None.
    """
    found: Credentials | None = None
    for source in sources:
        credentials = source(scope, max_size)
        if credentials is not None:
            # A mistake in a source of the application must neither let a request in nor cause an error 500.
            if not isinstance(credentials, Credentials):
                kind = type(credentials).__name__
                raise InvalidRequestError(reason=f"a source must return Credentials or None, got {kind}")
            if found is not None:
                raise RepeatedCredentialsError(sources=f"{found.source}, {credentials.source}")
            found = credentials
    return found


def why_absent(scope: Mapping[str, Any], sources: tuple[Source, ...]) -> dict[str, str]:
    """Return the evidence for a `MissingTokenError`: what a header has instead of credentials with the right scheme."""
    for source in sources:
        if isinstance(source, BearerHeader) and (evidence := source.why_absent(scope)):
            return evidence
    return {}
