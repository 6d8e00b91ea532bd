"""Define what a source is and what it returns, and check values of headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from asgi_jwt_claims.errors import InvalidRequestError, TokenTooLargeError

__all__ = [
    "FIELD_NAME",
    "OWS",
    "ComparableSource",
    "Credentials",
    "Source",
    "check_b64token",
    "header_values",
    "is_source",
    "schemes_of",
]

OWS = b" \t"  # RFC 9110 section 5.6.3: white space around the value of a header
# RFC 9110 section 5.6.2: an HTTP token, which is the name of a header, scheme, cookie or subprotocol.
FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_TOKEN68 = re.compile(b"[" + re.escape(_PLAIN) + b"]+=*")  # RFC 9110 section 11.2; RFC 6750 section 2.1: b64token


class Credentials(NamedTuple):
    """What a source found in a request.

    Attributes:
        token: The encoded token, not verified yet.
        source: The name of the source, for evidence and logs.
        scheme: The authentication scheme by which the client presented the token (RFC 9110 section 11.1).
        csrf_field: The form field that must have the CSRF value before the token counts; None if the token counts now.
    """

    token: bytes
    source: str
    scheme: str = "Bearer"
    csrf_field: str | None = None


class Source(Protocol):
    """One place to look for a token.

    A source may have an attribute `auth_scheme`, the authentication scheme named in challenges; "Bearer" without one.
    """

    def __call__(self, scope: Mapping[str, Any], max_size: int) -> Credentials | None:
        """Return the credentials of an http or websocket scope, or None if it has none in this place.

        Raises:
            TokenError: They are malformed, not allowed, or of more than `max_size` characters.
        """
        ...


def schemes_of(sources: Iterable[Source]) -> tuple[str, ...]:
    """The authentication schemes that these sources accept, each once, in the order of the sources."""
    return tuple(dict.fromkeys(getattr(source, "auth_scheme", "Bearer") for source in sources))


def is_source(candidate: object) -> bool:
    """Whether `candidate` is a usable source. Catches `Cookie` written without parentheses."""
    return callable(candidate) and not isinstance(candidate, type)


class ComparableSource:
    """A source that is equal to another one of its class with the same settings."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComparableSource) and type(other) is type(self) and self._place() == other._place()

    def __hash__(self) -> int:
        return hash((type(self), self._place()))

    def _place(self) -> tuple[object, ...]:
        return tuple(vars(self).values())


def check_b64token(
    token: bytes, max_size: int, source: str, error: Callable[..., InvalidRequestError] = InvalidRequestError
) -> None:
    """Check the length and the characters of a token (RFC 6750 section 2.1: b64token).

    Raises:
        TokenTooLargeError: The token has more than `max_size` characters.
        InvalidRequestError: The token is empty, or has a character that no token has. Another `error` can be made of the evidence.
    """
    if len(token) > max_size:
        raise TokenTooLargeError(size=len(token), max_size=max_size)
    # Nearly every token has plain characters only, which takes less time to see.
    if not token or (token.translate(None, _PLAIN) and _TOKEN68.fullmatch(token) is None):
        raise error(source=source, reason="not one token of the characters that a token may have")


def header_values(headers: Iterable[tuple[bytes, bytes]], names: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """Return the stripped values of those of these headers that a request has; None for a repeated header."""
    wanted = frozenset(names)
    values: dict[bytes, bytes | None] = {}
    for name, value in headers:
        if name in wanted:
            values[name] = None if name in values else value.strip(OWS)
    return values
