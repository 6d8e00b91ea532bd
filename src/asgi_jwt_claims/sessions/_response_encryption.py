"""Encrypt a refresh response with a key derived from the refresh token that obtained it.

A client that lost the response sends the same token again and must get the same successor. The store keeps the response
until then but cannot read it, because it never has the token.
"""

from __future__ import annotations

import hashlib
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from asgi_jwt_claims.tokens.pair import TokenPair

__all__ = ["decrypt_response", "encrypt_response"]

_NONCE_SIZE = 12
_PURPOSE = b"asgi-jwt-claims: answer to a refresh token\0"


def encrypt_response(pair: TokenPair, raw: bytes, session: bytes) -> bytes:
    """Encrypt `pair`, the response to the refresh token `raw`; AES-256-GCM, bound to the digest of the session."""
    nonce = os.urandom(_NONCE_SIZE)
    return nonce + AESGCM(_key(raw)).encrypt(nonce, json.dumps(dict(pair)).encode(), session)


def decrypt_response(encrypted: bytes, raw: bytes, session: bytes) -> TokenPair | None:
    """The response; None if it was not encrypted with this very token and session."""
    try:
        text = AESGCM(_key(raw)).decrypt(encrypted[:_NONCE_SIZE], encrypted[_NONCE_SIZE:], session)
    except (InvalidTag, ValueError):  # ValueError if `encrypted` is too short
        return None
    return TokenPair(**{name: value for name, value in json.loads(text).items() if name != "token_type"})


def _key(raw: bytes) -> bytes:
    # The token's signature cannot be guessed, so a single hash is enough to derive a key.
    return hashlib.sha256(_PURPOSE + raw).digest()
