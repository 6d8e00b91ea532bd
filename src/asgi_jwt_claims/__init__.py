"""User claims from JWTs, the same in every ASGI framework.

Mint tokens (`create_access_token`), protect any ASGI application (`JWTMiddleware`), read the `Token` in any handler.
Frameworks have their own modules, imported by whoever uses them: `asgi_jwt_claims.starlette`, `.fastapi`, `.sanic`.
"""

from __future__ import annotations

from .challenges import Answer
from .config import JWTConfig
from .cookies import TokenCookies, set_token_cookies, unset_token_cookies
from .errors import ConfigurationError, JWTError, TokenError
from .events import AuthEvent
from .keys import Key, KeySet
from .middleware import JWTMiddleware
from .minting import create_access_token, create_refresh_token, create_token_pair
from .outcome import current_token, get_token
from .renewal import renew_token
from .sources import BearerHeader, Cookie, WebSocketProtocol
from .token import SCOPE_KEY, Token, TokenPair
from .verification import verify_token, verify_token_async

__all__ = [
    "SCOPE_KEY",
    "Answer",
    "AuthEvent",
    "BearerHeader",
    "ConfigurationError",
    "Cookie",
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
    "get_token",
    "renew_token",
    "set_token_cookies",
    "unset_token_cookies",
    "verify_token",
    "verify_token_async",
]

__version__ = "0.1.0"
