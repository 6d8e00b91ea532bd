"""Names of claims that are registered, or that other parties decide by."""

from __future__ import annotations

__all__ = ["REGISTERED_CLAIMS"]

REGISTERED_CLAIMS = frozenset(
    {
        # RFC 7519 section 4.1
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti"),
        # RFC 8693, RFC 9068, RFC 7800, OpenID Connect Core: what other parties decide by
        *("scope", "client_id", "act", "may_act", "roles", "groups", "entitlements", "cnf"),
        *("auth_time", "acr", "amr", "azp", "nonce", "at_hash", "c_hash", "s_hash", "sid", "events"),
        # this library's own
        "fresh",
    }
)
"""Names that flat user claims may never take."""
