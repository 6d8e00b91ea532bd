"""The token functions of 0.4.4, and the `Token` that a guarded handler receives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.tokens.minting import create_access_token as mint_access_token
from asgi_jwt_claims.tokens.minting import create_refresh_token as mint_refresh_token

from .exceptions import ConfigurationConflictError
from .manager import settings_of

if TYPE_CHECKING:
    from sanic import Sanic

    from asgi_jwt_claims.tokens import token

__all__ = ["Token", "create_access_token", "create_refresh_token"]


class Token:
    """The token that a guarded handler receives; empty under `jwt_optional` if the request has none.

    Attributes:
        raw_jwt: All claims.
        jwt_identity: The identity; None if the token is empty.
        jwt_user_claims: The user claims; an empty dict if there are none.
        jti: The token's identifier; None if the token is empty.
    """

    __slots__ = ("jti", "jwt_identity", "jwt_user_claims", "raw_jwt")

    def __init__(self, verified: token.Token | None) -> None:
        self.raw_jwt: dict[str, Any] = {} if verified is None else verified.claims
        self.jwt_identity: Any = None if verified is None else verified.identity
        self.jwt_user_claims: dict[str, Any] = {} if verified is None else verified.user_claims
        self.jti: str | None = None if verified is None else verified.jti

    def __repr__(self) -> str:
        return f"<Token identity={self.jwt_identity!r} jti={self.jti!r}>"


async def create_access_token(
    app: Sanic[Any, Any],
    identity: Any,
    user_claims: Mapping[str, Any] | None = None,
    role: str | Iterable[str] | None = None,
    fresh: bool | timedelta = False,
    expires_delta: timedelta | float | Literal[False] | None = None,
) -> str:
    """Mint an access token.

    Args:
        app: An application with a `JWTManager`.
        identity: The identity: any JSON value but null.
        user_claims: The application's claims.
        role: One role or several; they need `RBAC_ENABLED`.
        fresh: Whether the token comes from a login, or for how long it counts as one.
        expires_delta: The lifetime, a `timedelta` or seconds, in place of `JWT_ACCESS_TOKEN_EXPIRES`; False for a token
            that never expires.

    Raises:
        ConfigurationConflictError: A role is given without `RBAC_ENABLED`.
        ConfigurationError: Verification would refuse the token.
    """
    settings, role = settings_of(app), plain(role)
    if role and not settings.rbac:
        raise ConfigurationConflictError("role needs RBAC_ENABLED: set it to True in app.config, or leave role out")
    lifetime = settings.access_expires if expires_delta is None else expires_delta
    return mint_access_token(
        identity,
        settings.config,
        user_claims=user_claims or None,
        roles=role or None,
        fresh=fresh,
        lifetime=None if lifetime is False else lifetime,
    )


async def create_refresh_token(
    app: Sanic[Any, Any],
    identity: Any,
    user_claims: Mapping[str, Any] | None = None,
    expires_delta: timedelta | float | Literal[False] | None = None,
) -> str:
    """Mint a refresh token. It has no user claims if `JWT_CLAIMS_IN_REFRESH_TOKEN` is False.

    Arguments and errors are those of `create_access_token`; the lifetime is `JWT_REFRESH_TOKEN_EXPIRES`.
    """
    settings = settings_of(app)
    lifetime = settings.refresh_expires if expires_delta is None else expires_delta
    return mint_refresh_token(
        identity,
        settings.config,
        user_claims=(user_claims or None) if settings.claims_in_refresh_token else None,
        lifetime=None if lifetime is False else lifetime,
    )
