"""MCP servers of the official Python SDK, and of FastMCP: `MCPMiddleware`, `require`, `TokenVerifier`.

::

    server = MCPServer("notes")

    @server.tool()
    def write_note(text: str) -> str:
        token = require(scopes="notes:write")
        return f"{token.identity} wrote: {text}"

    app = MCPMiddleware(server.streamable_http_app(), config)

`JWTMiddleware` around the same application would check every token, but would let one user into the session of another.
"""

from __future__ import annotations

from asgi_jwt_claims.runtime.imports import needs

with needs("mcp"):
    import mcp  # noqa: F401 -- says what is missing before the modules below need it

from ._access_token import TokenVerifier
from ._middleware import MCPMiddleware, require

__all__ = ["MCPMiddleware", "TokenVerifier", "require"]
