"""Protect cookies from cross-site request forgery: the value that has to come with an unsafe request."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

from asgi_jwt_claims.errors import (
    CSRFTokenError,
)

__all__ = ["CSRF_TOKEN_KEY", "SAFE_METHODS", "_FORM", "_shown", "check_csrf", "csrf_digest"]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 section 9.2.1); another letter case is another method."""

_FORM = b"application/x-www-form-urlencoded"
_SHOWN = 256  # bytes of a header that an error keeps
_MAX_CSRF_VALUE = 256


def csrf_digest(raw: bytes) -> bytes:
    """The part of the CSRF value that belongs to this token: whoever does not have the token cannot know it."""
    return urlsafe_b64encode(blake2b(raw, digest_size=24, person=b"csrf").digest())


def check_csrf(given: bytes | None, raw: str | bytes) -> None:
    """Refuse what is not the CSRF value of a token.

    Args:
        given: What the request has brought. It has a part for each token of the browser.
        raw: The encoded token.

    Raises:
        CSRFTokenError: It is not that of the token.
    """
    if not given or b"," in given:  # which joins repeated headers
        raise CSRFTokenError(reason="none was sent, or more than one")
    expected = csrf_digest(raw.encode() if isinstance(raw, str) else raw)
    # All parts are compared, in constant time and as bytes.
    parts = given[:_MAX_CSRF_VALUE].split(b".")
    if True not in [hmac.compare_digest(part, expected) for part in parts]:
        raise CSRFTokenError(reason="not that of the token")


def _shown(value: bytes | None) -> str:
    return "repeated" if value is None else value[:_SHOWN].decode("latin-1")


CSRF_TOKEN_KEY: Final = "asgi_jwt_claims.csrf"  # noqa: S105 -- the name of a scope key
"""The scope key under which stands what a form said in its CSRF field; bytes, or None."""
