"""User claims from JWTs, the same in every ASGI framework.

Mint tokens (`create_access_token`), protect any ASGI application (`JWTMiddleware`), read the `Token` in any handler.
Each framework has a module of its own, which applications import: `asgi_jwt_claims.starlette`, `.fastapi`, `.sanic`.
"""

from __future__ import annotations

from .auth.guard import error_response_for, require
from .auth.request import current_token, get_token
from .config import JWTConfig
from .config.cookies import TokenCookies
from .config.events import AuthEvent
from .config.issuer_template import IssuerTemplate
from .connections.renewal import renew_token
from .errors import ConfigurationError, JWTError, TokenError
from .keys.key import Key
from .keys.key_set import KeySet
from .middleware import JWTMiddleware
from .responses import ErrorResponse
from .sessions.cookies import set_token_cookies, unset_token_cookies
from .sources.cookie import Cookie
from .sources.header import BearerHeader
from .sources.websocket import WebSocketProtocol
from .tokens.minting import create_access_token, create_refresh_token, create_token_pair
from .tokens.pair import TokenPair
from .tokens.token import Token
from .tokens.verification import verify_token, verify_token_async

__all__ = [
    "AuthEvent",
    "BearerHeader",
    "ConfigurationError",
    "Cookie",
    "ErrorResponse",
    "IssuerTemplate",
    "JWTConfig",
    "JWTError",
    "JWTMiddleware",
    "Key",
    "KeySet",
    "Token",
    "TokenCookies",
    "TokenError",
    "TokenPair",
    "WebSocketProtocol",
    "create_access_token",
    "create_refresh_token",
    "create_token_pair",
    "current_token",
    "error_response_for",
    "get_token",
    "renew_token",
    "require",
    "set_token_cookies",
    "unset_token_cookies",
    "verify_token",
    "verify_token_async",
]

__version__ = "0.1.0"
