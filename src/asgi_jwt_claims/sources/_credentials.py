"""What a source is, and what it finds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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

OWS = b" \t"
"""White space around a header's value (RFC 9110 section 5.6.3)."""

FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A token of RFC 9110 section 5.6.2: names of headers, schemes, cookies and subprotocols."""

_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_TOKEN68 = re.compile(b"[" + re.escape(_PLAIN) + b"]+=*")  # RFC 9110 section 11.2; RFC 6750 section 2.1: b64token


class Credentials(NamedTuple):
    """What a source found in a request.

    Attributes:
        token: The encoded token, not verified yet.
        source: The name of the source, for evidence and logs.
        scheme: The authentication scheme by which the client presented the token (RFC 9110 section 11.1).
        csrf_field: The field of the request's form that must have the CSRF value before the token counts. None if the
            token counts as it is.
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
        """What was offered, None when nothing was, or a `TokenError` when it was offered badly.

        Args:
            scope: An ASGI http or websocket scope.
            max_size: Longest acceptable token, in characters.
        """
        ...


def schemes_of(sources: Iterable[Source]) -> tuple[str, ...]:
    """The authentication schemes that these sources accept, each once, in the order of the sources."""
    return tuple(dict.fromkeys(getattr(source, "auth_scheme", "Bearer") for source in sources))


def is_source(candidate: object) -> bool:
    """Whether that can be asked for a token. A class cannot: its parentheses have been forgotten."""
    return callable(candidate) and not isinstance(candidate, type)


class ComparableSource:
    """Two sources that look in the same place in the same way are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComparableSource) and type(other) is type(self) and self._place() == other._place()

    def __hash__(self) -> int:
        return hash((type(self), self._place()))

    def _place(self) -> tuple[object, ...]:
        return tuple(vars(self).values())


def check_b64token(
    raw: bytes, max_size: int, source: str, error: type[InvalidRequestError] = InvalidRequestError
) -> None:
    """Refuse what cannot be one token, by its length and its characters alone.

    Raises:
        TokenTooLargeError: It is longer than `max_size`.
        InvalidRequestError: It is empty, or has a character that no token has; of the kind that `error` says.
    """
    if len(raw) > max_size:
        raise TokenTooLargeError(size=len(raw), max_size=max_size)
    # Nearly every token consists of the plain characters alone, which is seen at once.
    if not raw or (raw.translate(None, _PLAIN) and _TOKEN68.fullmatch(raw) is None):
        raise error(source=source, reason="not one token of the characters that a token may have")


def header_values(headers: Iterable[tuple[bytes, bytes]], names: Iterable[bytes]) -> dict[bytes, bytes | None]:
    """The values of those headers that are there, without white space around them; None for one that is repeated."""
    wanted = frozenset(names)
    values: dict[bytes, bytes | None] = {}
    for name, value in headers:
        if name in wanted:
            values[name] = None if name in values else value.strip(OWS)
    return values
