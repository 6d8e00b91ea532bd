"""Compute and check the CSRF value that a request with an unsafe method and a cookie must have."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Final

from asgi_jwt_claims.errors import CSRFTokenError

__all__ = ["CSRF_TOKEN_KEY", "SAFE_METHODS", "check_csrf", "csrf_digest"]

CSRF_TOKEN_KEY: Final = "asgi_jwt_claims.csrf"  # noqa: S105 -- the name of a scope key
"""The scope key of the value that a form has in its CSRF field: bytes, or None if it has none or more than one."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 section 9.2.1). They are case-sensitive."""

_MAX_CSRF_VALUE = 256


def csrf_digest(token: bytes) -> bytes:
    """Compute the part of the CSRF value that belongs to this token. It cannot be computed without the token."""
    return urlsafe_b64encode(blake2b(token, digest_size=24, person=b"csrf").digest())


def check_csrf(given: bytes | None, token: str | bytes) -> None:
    """Check that a CSRF value, which has a part for each token of the browser, belongs to this encoded token.

    Raises:
        CSRFTokenError: The value is missing, repeated, or does not belong to the token.
    """
    if not given or b"," in given:  # some servers join repeated headers with a comma
        raise CSRFTokenError(reason="none was sent, or more than one")
    expected = csrf_digest(token.encode() if isinstance(token, str) else token)
    # All parts are compared as bytes in constant time, so that timing says nothing about them.
    parts = given[:_MAX_CSRF_VALUE].split(b".")
    if True not in [hmac.compare_digest(part, expected) for part in parts]:
        raise CSRFTokenError(reason="not that of the token")
