"""The answer to a refresh, sealed with the refresh token that it was the answer to.

A client that lost the answer sends the same token again and must get the same successor. The store keeps it until then,
and must not be able to read it: the key is made of the token, which no store has.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from asgi_jwt_claims.tokens.pair import TokenPair

__all__ = ["decrypt_response", "encrypt_response"]

_NONCE_SIZE = 12
_PURPOSE = b"asgi-jwt-claims: answer to a refresh token\0"


def encrypt_response(pair: TokenPair, raw: bytes, session: bytes) -> bytes:
    """Seal `pair`, the answer to the refresh token `raw`; AES-256-GCM, bound to the session."""
    nonce = os.urandom(_NONCE_SIZE)
    return nonce + AESGCM(_key(raw)).encrypt(nonce, json.dumps(dict(pair)).encode(), session)


def decrypt_response(sealed: bytes, raw: bytes, session: bytes) -> TokenPair | None:
    """The answer; None if it was not sealed with this very token."""
    try:
        text = AESGCM(_key(raw)).decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], session)
    except (InvalidTag, ValueError):  # the latter for what is too short to be anything sealed
        return None
    answer = cast("dict[str, Any]", json.loads(text))
    return TokenPair(
        answer["access_token"],
        answer["refresh_token"],
        expires_in=answer.get("expires_in"),
        scope=answer.get("scope"),
    )


def _key(raw: bytes) -> bytes:
    # The signature in it is nothing that anybody could guess, so one hash is enough to make a key of it.
    return hashlib.sha256(_PURPOSE + raw).digest()
