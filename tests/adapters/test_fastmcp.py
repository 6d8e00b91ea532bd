"""FastMCP: wrapped it is what the SDK's own server is, and the verifier serves its guard and its `RemoteAuthProvider`."""

from __future__ import annotations

import logging
from typing import Any

import pytest

pytest.importorskip("fastmcp")

from fastmcp import FastMCP
from fastmcp.server.auth import AccessToken, RemoteAuthProvider
from fastmcp.server.auth import TokenVerifier as FastMCPTokenVerifier
from fastmcp.server.dependencies import get_access_token
from pydantic import AnyHttpUrl

from asgi_jwt_claims import JWTConfig, create_access_token, current_token
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.mcp import MCPMiddleware, require
from asgi_jwt_claims.mcp.fastmcp import TokenVerifier
from tests.adapters.test_mcp import URL, User, serving

pytestmark = [pytest.mark.anyio, pytest.mark.thorough]


def notes(**options: Any) -> FastMCP[Any]:
    logging.getLogger("fastmcp").setLevel(logging.ERROR)
    server: FastMCP[Any] = FastMCP("notes", **options)

    @server.tool()
    async def who() -> str:
        ours, theirs = current_token(), get_access_token()
        return f"{ours and ours.identity} {theirs and theirs.subject}"

    @server.tool()
    def write(text: str) -> str:
        return f"{require(scopes='notes:write').identity} wrote {text}"

    return server


async def test_a_wrapped_server(config: JWTConfig) -> None:
    """Sessions belong to their user, both libraries know the token, and a tool refuses with 403 and the scope."""  # S179
    async with serving(MCPMiddleware(notes().http_app(), config)) as http:
        alice, bob = (User(http, create_access_token(name, config)) for name in ("alice", "bob"))
        assert (200, 200) == (await alice.open(), await bob.open())
        for _ in range(2):
            assert (404, "") == await bob.call("who", alice.session)
            assert 404 == await bob.delete(alice.session)
            assert (200, "alice alice") == await alice.call("who")
        status, challenge = await alice.call("write", text="a")
        assert (403, True) == (status, 'scope="notes:write"' in challenge)
        able = User(http, create_access_token("alice", config, scope="notes:write"))
        assert (200, "alice wrote a") == await able.call("write", alice.session, text="a")


async def test_the_verifier(config: JWTConfig) -> None:
    """FastMCP's own guard, given the verifier, binds sessions, checks scopes and knows its own class of tokens."""
    verifier = TokenVerifier(config, required_scopes=["notes:read"])
    assert isinstance(verifier, FastMCPTokenVerifier)
    async with serving(notes(auth=verifier).http_app()) as http:

        def user(name: str, scope: str | None = "notes:read") -> User:
            return User(http, create_access_token(name, config, scope=scope))

        alice, bob = user("alice"), user("bob")
        assert [200, 200, 403, 401] == [
            await one.open() for one in (alice, bob, user("eve", None), User(http, "no.token.here"))
        ]
        assert (200, "None alice") == await alice.call("who")
        assert (404, "") == await bob.call("who", alice.session)
    found = await verifier.verify_token(create_access_token("alice", config))
    assert (AccessToken, "alice") == (type(found), found and found.claims["sub"])
    assert None is await verifier.verify_token("no.token.here")
    with pytest.raises(SettingError, match="store must be a TokenStore"):
        TokenVerifier(config, store=object())  # type: ignore[arg-type]


async def test_the_verifier_of_a_remote_provider(config: JWTConfig) -> None:
    """FastMCP publishes the metadata of the resource, and names it in its challenge."""
    provider = RemoteAuthProvider(
        token_verifier=TokenVerifier(config, required_scopes=["notes:read"]),
        authorization_servers=[AnyHttpUrl("https://login.example")],
        base_url=URL,
    )
    async with serving(notes(auth=provider).http_app()) as http:
        answer = await http.get("/.well-known/oauth-protected-resource/mcp")
        assert (200, f"{URL}/mcp") == (answer.status_code, answer.json()["resource"])
        refused = await http.post("/mcp", json={})
        assert (401, True) == (refused.status_code, "resource_metadata=" in refused.headers["www-authenticate"])
        assert 200 == await User(http, create_access_token("alice", config, scope="notes:read")).open()
