"""`AuthorizationServer`: the metadata of an application that issues its own tokens."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key, create_access_token, verify_token_async
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jwks import FetchResponse, JWKSEndpoint, RemoteKeySet
from asgi_jwt_claims.oauth import AuthorizationServer
from asgi_jwt_claims.sessions import TokenEndpoints
from asgi_jwt_claims.stores import MemoryStore
from tests.raw_asgi import Recorder, ask

pytestmark = pytest.mark.anyio

ISSUER = "https://login.example.com"
KEY = Key.generate("ES256")
JWKS = f"{ISSUER}/.well-known/jwks.json"


def issuing(issuer: Any = ISSUER) -> JWTConfig:
    return JWTConfig(signing_key=KEY, issuer=issuer, audience="https://api.example.com")


async def test_the_document_of_our_endpoints() -> None:
    """It follows from where `TokenEndpoints` are mounted: refresh and revocation, by clients without a secret."""
    app = AuthorizationServer(issuing(), token_endpoints=f"{ISSUER}/auth", jwks_uri=JWKS, scopes=["files:read"])
    got = await ask(app)
    assert {
        "issuer": ISSUER,
        "jwks_uri": JWKS,
        "scopes_supported": ["files:read"],
        "token_endpoint": f"{ISSUER}/auth/refresh",
        "grant_types_supported": ["refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint": f"{ISSUER}/auth/logout",
        "revocation_endpoint_auth_methods_supported": ["none"],
    } == got.json
    assert ("application/json", "*") == (got.headers["content-type"], got.headers["access-control-allow-origin"])


async def test_the_document_of_other_endpoints() -> None:
    """An application with an authorization endpoint says so itself."""
    flow = {
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token?tenant=one",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "client_id_metadata_document_supported": True,
        "require_pushed_authorization_requests": True,
    }
    assert {"issuer": ISSUER, **flow} == (await ask(AuthorizationServer(issuing(), **flow))).json
    both = AuthorizationServer(issuing(), token_endpoints=f"{ISSUER}/auth/", token_endpoint=f"{ISSUER}/token")
    assert (f"{ISSUER}/token", f"{ISSUER}/auth/logout") == (
        (await ask(both)).json["token_endpoint"],
        (await ask(both)).json["revocation_endpoint"],
    )


@pytest.mark.parametrize(
    ("issuer", "path"),
    [
        (ISSUER, "/.well-known/oauth-authorization-server"),
        (f"{ISSUER}/", "/.well-known/oauth-authorization-server"),
        (f"{ISSUER}/one/", "/.well-known/oauth-authorization-server/one"),
        ([f"{ISSUER}/one", "old-name"], "/.well-known/oauth-authorization-server/one"),
    ],
)
async def test_where_it_stands(issuer: Any, path: str) -> None:
    """RFC 8414 section 3.1: between host and path, without a slash at the end; the issuer is the one that is minted."""
    app = AuthorizationServer(issuing(issuer), token_endpoints=f"{ISSUER}/auth")
    expected = issuer if isinstance(issuer, str) else issuer[0]
    assert (path, expected, expected) == (app.path, app.issuer, (await ask(app)).json["issuer"])


@pytest.mark.parametrize("issuer", [ISSUER, f"{ISSUER}/one", f"{ISSUER}/one/"])
async def test_resource_servers_find_the_keys(issuer: str) -> None:
    """`JWTConfig.for_issuer` discovers what one middleware of ours publishes, and verifies its tokens."""
    config = issuing(issuer)
    server = AuthorizationServer(config, token_endpoints=f"{ISSUER}/auth", jwks_uri=JWKS)
    endpoints = {
        server.path: server,
        "/.well-known/jwks.json": JWKSEndpoint([KEY]),
        "/auth": TokenEndpoints(config, MemoryStore()),
    }
    app = JWTMiddleware(Recorder(), config, endpoints=endpoints)

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        got = await ask(app, url.removeprefix(ISSUER))
        return FetchResponse(got.status, got.headers, got.body)

    keys = RemoteKeySet(issuer=issuer, fetch=fetch)
    reading = JWTConfig.for_issuer(issuer, audience="https://api.example.com", jwks=keys, type_claim="type")
    token = await verify_token_async(create_access_token("alice", config), reading)
    assert ("alice", issuer) == (token.identity, token.issuer)


@pytest.mark.parametrize(
    ("issuer", "arguments", "match"),
    [
        (None, {}, "the issuer of the configuration must be a URL"),
        ("login", {}, "the issuer of the configuration must be a URL"),
        (ISSUER, {}, "give token_endpoints, the URL at which TokenEndpoints are mounted, or token_endpoint"),
        (ISSUER, {"token_endpoints": "/auth"}, "token_endpoints must be a URL"),
        (ISSUER, {"token_endpoints": ISSUER, "jwks_uri": "jwks"}, "jwks_uri must be a URL"),
        (
            ISSUER,
            {"token_endpoint": f"{ISSUER}/token#a"},
            "token_endpoint must be an https URL without user name and fragment",
        ),
        (ISSUER, {"token_endpoints": ISSUER, "issuer": "https://evil.example"}, "issuer follows from the other"),
        (
            ISSUER,
            {"token_endpoints": ISSUER, "authorization_endpoint": f"{ISSUER}/authorize"},
            r'needs response_types_supported=\["code"\]',
        ),
    ],
)
def test_what_is_refused(issuer: Any, arguments: dict[str, Any], match: str) -> None:
    """What RFC 8414 section 2 demands has to be there, and what clients could not use is refused."""  # S150
    with pytest.raises(SettingError, match=match):
        AuthorizationServer(issuing(issuer), **arguments)


def test_it_is_of_one_configuration() -> None:
    """Several configurations have several issuers, and one that only verifies speaks of another application."""
    with pytest.raises(SettingError, match=r"config must be one JWTConfig, not list; call AuthorizationServer\(config"):
        AuthorizationServer([issuing()], token_endpoints=ISSUER)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="config only verifies tokens"):
        AuthorizationServer(JWTConfig.for_issuer(ISSUER, audience="a"), token_endpoints=ISSUER)
