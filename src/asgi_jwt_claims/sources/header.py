"""Read the token from the Authorization header."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from asgi_jwt_claims.errors import MalformedCredentialsError, RepeatedCredentialsError, SettingError, TokenTooLargeError
from asgi_jwt_claims.runtime.values import plain

from ._credentials import FIELD_NAME, OWS, ComparableSource, Credentials, check_b64token

__all__ = ["BearerHeader"]

_CREDENTIALS = re.compile(FIELD_NAME.pattern + rb"(?: .*)?", re.DOTALL)
_MAX_SHOWN, _MAX_SCHEME = 256, 16
_FRAMING_ALLOWANCE = 64  # bytes of a header value beyond the longest token, for the scheme and spaces

_new_credentials: Callable[[tuple[bytes, str, str, None]], Credentials] = functools.partial(tuple.__new__, Credentials)
"""Make `Credentials` in little more than half the time that calling the class takes."""


class BearerHeader(ComparableSource):
    """`Authorization: Bearer <token>` (RFC 6750 section 2.1).

    The scheme matches in any letter case, and any number of spaces may follow it. A header with another scheme counts
    as no credentials. An empty, repeated or malformed header is an error.

    Args:
        name: The name of the header.
        scheme: The word before the token; an empty string if the header has the token alone.

    Raises:
        SettingError: The name or the scheme is not an HTTP token.
    """

    def __init__(self, name: str = "Authorization", scheme: str = "Bearer") -> None:
        name, scheme = plain(name), plain(scheme)
        for what, value in (("header name", name), ("authentication scheme", "Bearer" if scheme == "" else scheme)):
            if not isinstance(value, str) or not value.isascii() or FIELD_NAME.fullmatch(value.encode()) is None:
                raise SettingError(f"BearerHeader {what.split()[1]} must be a valid {what}, got {value!r}")
        self.header = name.lower().encode()
        self._scheme = scheme.lower().encode()
        self._start = self._scheme + b" "

    @property
    def name(self) -> str:
        """The header's name, in lower case."""
        return self.header.decode()

    @property
    def scheme(self) -> str:
        """The word before the token, in lower case; an empty string if the header has the token alone."""
        return self._scheme.decode()

    def __call__(self, scope: Mapping[str, Any], max_size: int) -> Credentials | None:
        """See `Source`."""
        header, found = self.header, None
        for name, value in scope["headers"]:
            if name == header:
                if found is not None:
                    raise RepeatedCredentialsError(header=header.decode())
                found = value
        if found is None:
            return None
        found, start = found.strip(OWS), self._start
        # Nearly every value has this form, for which slices take less time than `partition`.
        if len(found) <= max_size and found[: len(start)].lower() == start:
            token: bytes | None = found[len(start) :].lstrip(b" ")
        else:
            token = self._token(found, max_size)
        if token is None:
            return None
        check_b64token(token, max_size, "header", self._malformed)
        return _new_credentials((token, "header", "Bearer", None))

    def why_absent(self, scope: Mapping[str, Any]) -> dict[str, str]:
        """Return what the header has instead of credentials with this scheme; empty without a header."""
        value = b""
        for name, value in scope["headers"]:  # noqa: B007 -- a loop takes half the time of a generator
            if name == self.header:
                break
        else:
            return {}
        value = value[:_MAX_SHOWN].strip(OWS)
        found, _, credentials = value.partition(b" ")
        if not value or found.lower() == self._scheme:
            return {}
        wanted = f"{self._scheme.decode().capitalize()} <token>"
        evidence = {"header": self.header.decode()}
        if not credentials:
            return {**evidence, "reason": f"no scheme before what may be the token: send {wanted}"}
        # A scheme is a short word. Anything else may be part of a secret.
        shown = {"scheme": found.decode()} if found.isalpha() and len(found) <= _MAX_SCHEME else {}
        return {**evidence, **shown, "reason": f"another scheme: send {wanted}"}

    def _malformed(self, **evidence: Any) -> MalformedCredentialsError:
        return MalformedCredentialsError(header=self.name, **evidence)

    def _token(self, value: bytes, max_size: int) -> bytes | None:
        """Return what follows the scheme; None for another scheme."""
        if not self._scheme:
            return value
        # Of a long value only the beginning is read, so that megabytes are never scanned.
        head = value[: max_size + _FRAMING_ALLOWANCE]
        scheme, _, credentials = head.partition(b" ")
        if scheme.lower() != self._scheme:
            if _CREDENTIALS.fullmatch(head) is None:
                raise self._malformed(reason="not a scheme followed by credentials")
            return None
        if len(head) < len(value):
            raise TokenTooLargeError(size=len(value), max_size=max_size)
        return credentials.lstrip(b" ")
