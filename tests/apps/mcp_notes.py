"""An MCP server of the official SDK, behind `MCPMiddleware` or behind the SDK's own guard, for tokens of a provider."""

from __future__ import annotations

from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

from asgi_jwt_claims import JWTConfig, current_token
from asgi_jwt_claims.jwks import FetchPolicy, RemoteKeySet
from asgi_jwt_claims.mcp import MCPMiddleware, TokenVerifier, require
from asgi_jwt_claims.oauth import ProtectedResource

__all__ = ["behind_its_own_guard", "behind_the_middleware", "config_for", "notes"]


def notes(**options: Any) -> MCPServer:
    """A server that tells whose request it handles, and whose second tool needs a scope of its own."""
    server = MCPServer("notes", log_level="ERROR", **options)

    @server.tool()
    def who(text: str = "") -> str:
        """Tell whose request it is."""
        ours, theirs = current_token(), get_access_token()
        return f"{ours and ours.identity} {theirs and theirs.subject} {text}".strip()

    @server.tool()
    def write(text: str) -> str:
        """Write a note."""
        return f"{require(scopes='notes:write').identity} wrote {text}"

    return server


def config_for(issuer: str, resource: str) -> JWTConfig:
    keys = RemoteKeySet(issuer=issuer, loopback_http=True, policy=FetchPolicy(timeout=60))
    return JWTConfig.for_issuer(issuer, audience=resource, jwks=keys)


def behind_the_middleware(issuer: str, resource: str, **options: Any) -> MCPMiddleware:
    return MCPMiddleware(
        notes().streamable_http_app(**options),
        config_for(issuer, resource),
        protected_resource=ProtectedResource(
            resource=resource, authorization_servers=[issuer], scopes="notes:read", resource_name="Notes"
        ),
    )


def behind_its_own_guard(issuer: str, resource: str) -> Any:
    settings = AuthSettings.model_validate(
        {
            "issuer_url": issuer,
            "resource_server_url": resource,
            "required_scopes": ["notes:read"],
            "validate_token_resource": True,
        }
    )
    verifier = TokenVerifier(config_for(issuer, resource))
    return notes(auth=settings, token_verifier=verifier).streamable_http_app()
