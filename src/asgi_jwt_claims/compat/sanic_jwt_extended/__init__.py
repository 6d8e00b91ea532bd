"""sanic-jwt-extended 0.4.4, name for name, on Sanic's own server and in ASGI mode.

Replace `sanic_jwt_extended` by `asgi_jwt_claims.compat.sanic_jwt_extended` in the import lines; tokens that are in use
keep working. What differs on purpose is on the page "Migrate from sanic-jwt-extended" of the documentation.
"""

from __future__ import annotations

from asgi_jwt_claims.runtime.extras import needs

with needs("sanic"):
    from .decorators import (
        fresh_jwt_required,
        jwt_optional,
        jwt_refresh_token_required,
        jwt_required,
    )
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
