"""Sessions: log in, refresh, log out, and revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_jwt_claims.runtime.imports import importer

if TYPE_CHECKING:
    from .cookies import csrf_token, set_token_cookies, unset_token_cookies
    from .endpoints import TokenEndpoints
    from .login import Session, list_sessions, start_session
    from .login_page import login_redirect, safe_next
    from .revocation import revoke_identity, revoke_session, revoke_token
    from .rotation import ClaimsLoader, RefreshedClaims, rotate_refresh_token

__all__ = [
    "ClaimsLoader",
    "RefreshedClaims",
    "Session",
    "TokenEndpoints",
    "csrf_token",
    "list_sessions",
    "login_redirect",
    "revoke_identity",
    "revoke_session",
    "revoke_token",
    "rotate_refresh_token",
    "safe_next",
    "set_token_cookies",
    "start_session",
    "unset_token_cookies",
]

__getattr__ = importer(
    __name__,
    {
        "cookies": ("csrf_token", "set_token_cookies", "unset_token_cookies"),
        "endpoints": ("TokenEndpoints",),
        "login": ("Session", "list_sessions", "start_session"),
        "login_page": ("login_redirect", "safe_next"),
        "revocation": ("revoke_identity", "revoke_session", "revoke_token"),
        "rotation": ("ClaimsLoader", "RefreshedClaims", "rotate_refresh_token"),
    },
)
