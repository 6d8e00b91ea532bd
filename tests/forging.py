"""Write tokens with the standard library alone, strict or lax, well-formed or not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from tests.conftest import NOW
from tests.support import SECRET

__all__ = ["CLAIMS", "HEADER", "b64", "forge", "sealed"]

HEADER: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
CLAIMS: dict[str, Any] = {
    "sub": "alice",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 900,
    "jti": "5f0c3a9e",
    "type": "access",
    "fresh": False,
}


def b64(data: bytes) -> bytes:
    """Encode bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def sealed(header: bytes, payload: bytes, secret: str | bytes = SECRET) -> str:
    """Sign any bytes of a header and a payload with a valid HS256 signature."""
    key = secret.encode() if isinstance(secret, str) else secret
    signing_input = b64(header) + b"." + b64(payload)
    tag = hmac.new(key, signing_input, hashlib.sha256).digest()
    return (signing_input + b"." + b64(tag)).decode()


def forge(
    claims: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    *,
    without: tuple[str, ...] = (),
    secret: str | bytes = SECRET,
) -> str:
    """Return an acceptable token, signed with HS256, after changing some claims and header parameters."""
    members = {name: value for name, value in {**CLAIMS, **(claims or {})}.items() if name not in without}
    return sealed(json.dumps({**HEADER, **(header or {})}).encode(), json.dumps(members).encode(), secret)
