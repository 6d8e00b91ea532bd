"""`TokenVerifier` for FastMCP: `FastMCP("notes", auth=TokenVerifier(config))`, or within a `RemoteAuthProvider`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastmcp.server.auth import AccessToken
from fastmcp.server.auth import TokenVerifier as FastMCPTokenVerifier

from asgi_jwt_claims.mcp import TokenVerifier as SDKTokenVerifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.stores import TokenStore

__all__ = ["TokenVerifier"]


class TokenVerifier(FastMCPTokenVerifier):
    """Verify tokens for FastMCP, which finds and refuses them itself. See `asgi_jwt_claims.mcp.TokenVerifier`.

    Args:
        config: Keys, parties, times and names; or several, each with an `issuer`.
        store: A `TokenStore` that is asked about every token. None if revocation is not checked.
        options: Those of FastMCP's class, such as `required_scopes` and `base_url`.

    Raises:
        SettingError: An argument cannot be used.
    """

    def __init__(
        self, config: JWTConfig | Iterable[JWTConfig], *, store: TokenStore | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._verifier = SDKTokenVerifier(config, store=store)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what FastMCP is to know of an encoded access token; None if it is refused."""
        found = await self._verifier.verify_token(token)
        return None if found is None else AccessToken(**found.model_dump())
