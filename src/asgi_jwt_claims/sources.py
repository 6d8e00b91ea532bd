"""Sources: where a token may be offered.

A source returns None when nothing was offered, and raises when something was offered badly; absence is never confused
with a mistake, and a mistake never becomes absence.

The scope is any mapping with ASGI `headers`: pairs of bytes, names in lower case. Values are taken as servers leave
them: one of them keeps the white space around a value, one joins repeated headers with a comma, none promises ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from .errors import MalformedCredentialsError, RepeatedCredentialsError, SettingError, TokenTooLargeError

__all__ = ["DEFAULT_SOURCES", "BearerHeader", "Offered", "Source", "find_token"]

_OWS = b" \t"  # RFC 9110 section 5.6.3
_TCHAR = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_FIELD_NAME = re.compile(_TCHAR + rb"+")
_CREDENTIALS = re.compile(_TCHAR + rb"+(?: .*)?", re.DOTALL)
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
_TOKEN68 = re.compile(b"[" + re.escape(_PLAIN) + b"]+=*")  # RFC 9110 section 11.2; RFC 6750 section 2.1: b64token

_FRAMING_ALLOWANCE = 64
"""Bytes that a header value may have beyond the longest token: the scheme, and spaces."""


class Offered(NamedTuple):
    """A token as it was offered.

    Attributes:
        raw: The token, not yet looked at; str or bytes, whichever it came as.
        source: The name of the source.
    """

    raw: str | bytes
    source: str


class Source(Protocol):
    """One place to look for a token."""

    def __call__(self, scope: Mapping[str, Any], max_size: int) -> Offered | None:
        """What was offered, None when nothing was, or a `TokenError` when it was offered badly.

        Args:
            scope: An ASGI http or websocket scope.
            max_size: Longest acceptable token, in characters.
        """
        ...


class BearerHeader:
    """`Authorization: Bearer <token>` (RFC 6750 section 2.1).

    The scheme is compared without regard to letter case, any number of spaces may follow it. Another scheme counts as
    no credentials. A blank, doubled or malformed header is an error, never absence.

    Args:
        name: The header's name.
        scheme: The word before the token; an empty string when the token stands alone.

    Raises:
        SettingError: A name or scheme that no header can have.
    """

    def __init__(self, name: str = "Authorization", scheme: str = "Bearer") -> None:
        for what, value in (("name", name), ("scheme", "Bearer" if scheme == "" else scheme)):
            if not isinstance(value, str) or not value.isascii() or _FIELD_NAME.fullmatch(value.encode()) is None:
                raise SettingError(f"the {what} of a BearerHeader must be an HTTP token such as {value!r} is not")
        self._name = name.lower().encode()
        self._scheme = scheme.lower().encode()

    def __call__(self, scope: Mapping[str, Any], max_size: int) -> Offered | None:
        """See `Source`."""
        found: bytes | None = None
        for name, value in scope["headers"]:
            if name == self._name:
                if found is not None:
                    raise RepeatedCredentialsError(header=self._name.decode())
                found = value
        if found is None:
            return None
        credentials = self._credentials(found.strip(_OWS), max_size)
        if credentials is None:
            return None
        if len(credentials) > max_size:
            raise TokenTooLargeError(size=len(credentials), max_size=max_size)
        # Nearly every token consists of the plain characters alone, which is seen at once.
        if not credentials or (credentials.translate(None, _PLAIN) and _TOKEN68.fullmatch(credentials) is None):
            raise MalformedCredentialsError(reason="not one token of the characters that a token may have")
        return Offered(credentials, "header")

    def _credentials(self, value: bytes, max_size: int) -> bytes | None:
        """What follows the scheme; None when the scheme is another one."""
        if not self._scheme:
            return value
        # A long value is judged by its scheme alone, so that nothing ever scans megabytes.
        head = value[: max_size + _FRAMING_ALLOWANCE]
        scheme, _, credentials = head.partition(b" ")
        if scheme.lower() != self._scheme:
            if _CREDENTIALS.fullmatch(head) is None:
                raise MalformedCredentialsError(reason="not a scheme followed by credentials")
            return None
        if len(head) < len(value):
            raise TokenTooLargeError(size=len(value), max_size=max_size)
        return credentials.lstrip(b" ")


DEFAULT_SOURCES: tuple[Source, ...] = (BearerHeader(),)
"""Where tokens are looked for unless said otherwise. One object, so that nested guards know that they agree."""


def find_token(scope: Mapping[str, Any], sources: tuple[Source, ...], max_size: int) -> Offered | None:
    """What the sources find, in their order. Only absence moves on to the next one.

    Raises:
        RepeatedCredentialsError: A token was offered in two places (RFC 6750 section 2).
        TokenError: A source found something that was offered badly.
    """
    if len(sources) == 1:
        return sources[0](scope, max_size)
    found: Offered | None = None
    for source in sources:
        offered = source(scope, max_size)
        if offered is not None:
            if found is not None:
                raise RepeatedCredentialsError(sources=f"{found.source}, {offered.source}")
            found = offered
    return found
