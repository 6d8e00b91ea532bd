"""Tokens: mint them, verify them, and read what they say."""

from __future__ import annotations

from asgi_jwt_claims.config.issuer_template import IssuerTemplate

from .minting import create_access_token, create_refresh_token, create_token_pair
from .pair import TokenPair
from .token import Token
from .verification import verify_jws, verify_token, verify_token_async

__all__ = [
    "IssuerTemplate",
    "Token",
    "TokenPair",
    "create_access_token",
    "create_refresh_token",
    "create_token_pair",
    "verify_jws",
    "verify_token",
    "verify_token_async",
]
