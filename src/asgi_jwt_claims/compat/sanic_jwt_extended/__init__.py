"""The API of sanic-jwt-extended 0.4.4, on Sanic's own server and in ASGI mode.

To migrate, import from `asgi_jwt_claims.compat.sanic_jwt_extended` instead of `sanic_jwt_extended`; tokens in use keep
working. The page "Migrate from sanic-jwt-extended" of the documentation lists the differences.
"""

from __future__ import annotations

from asgi_jwt_claims.runtime.imports import needs

with needs("sanic"):
    from .decorators import fresh_jwt_required, jwt_optional, jwt_refresh_token_required, jwt_required
    from .manager import JWTManager
    from .tokens import create_access_token, create_refresh_token


__all__ = [
    "JWTManager",
    "create_access_token",
    "create_refresh_token",
    "fresh_jwt_required",
    "jwt_optional",
    "jwt_refresh_token_required",
    "jwt_required",
]
