"""`ProtectedResource`: where its metadata stands, what it says, and what it refuses to say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi_jwt_claims.errors import SettingError, UnsupportedScopeError
from asgi_jwt_claims.oauth import ProtectedResource
from tests.raw_asgi import ask, drive, http_scope, websocket_scope

pytestmark = pytest.mark.anyio

RESOURCE = "https://api.example.com/mcp"
ISSUER = "https://login.example.com"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


def resource(**arguments: Any) -> ProtectedResource:
    return ProtectedResource(**{"resource": RESOURCE, "authorization_servers": [ISSUER], **arguments})


@pytest.mark.parametrize(
    ("identifier", "url", "path"),
    [
        ("https://resource.example.com", f"https://resource.example.com{WELL_KNOWN}", WELL_KNOWN),
        ("https://resource.example.com/", f"https://resource.example.com{WELL_KNOWN}", WELL_KNOWN),
        ("https://r.example/resource1", f"https://r.example{WELL_KNOWN}/resource1", f"{WELL_KNOWN}/resource1"),
        ("https://r.example:8443/a/b", f"https://r.example:8443{WELL_KNOWN}/a/b", f"{WELL_KNOWN}/a/b"),
        ("https://r.example/mcp/", f"https://r.example{WELL_KNOWN}/mcp/", f"{WELL_KNOWN}/mcp/"),
        ("https://r.example/a%20b", f"https://r.example{WELL_KNOWN}/a%20b", f"{WELL_KNOWN}/a b"),
        ("http://localhost:8000/mcp", f"http://localhost:8000{WELL_KNOWN}/mcp", f"{WELL_KNOWN}/mcp"),
        ("http://[::1]:8000", f"http://[::1]:8000{WELL_KNOWN}", WELL_KNOWN),
    ],
)
def test_the_well_known_path_stands_between_host_and_path(identifier: str, url: str, path: str) -> None:
    """RFC 9728 section 3.1: of slashes, only one that follows the host alone is left out."""
    built = resource(resource=identifier)
    assert (identifier, url, path) == (built.resource, built.url, built.path)


async def test_the_document() -> None:
    """Its resource as configured, whatever `Host` says, and its lists without repetition; pages of any origin may read it."""  # S121
    app = resource(scopes="mcp files:read mcp", resource_name="Files", tls_client_certificate_bound_access_tokens=True)
    got = await ask(app, "/any", (b"host", b"evil.example"))
    assert {
        "resource": RESOURCE,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["mcp", "files:read"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Files",
        "tls_client_certificate_bound_access_tokens": True,
    } == got.json
    assert {
        "content-type": "application/json",
        "content-length": str(len(got.body)),
        "cache-control": "public, max-age=3600",
        "etag": got.headers["etag"],
        "access-control-allow-origin": "*",
    } == got.headers
    assert (200, ("mcp", "files:read"), (ISSUER,)) == (got.status, app.scopes, app.authorization_servers)


async def test_what_is_empty_is_left_out() -> None:
    """RFC 9728 section 3.2: a parameter without values does not appear."""
    got = await ask(resource(authorization_servers=(), bearer_methods_supported=["body"], max_age=60))
    assert {"resource": RESOURCE, "bearer_methods_supported": ["body"]} == got.json
    assert "public, max-age=60" == got.headers["cache-control"]


async def test_languages() -> None:
    """RFC 9728 section 2.1: a name for people may be given in several languages."""
    assert "Dateien" == (await ask(resource(**{"resource_name#de": "Dateien"}))).json["resource_name#de"]


async def test_head_and_what_is_known() -> None:
    """HEAD is GET without a body; a client that has the document gets 304, and the origin may read that too."""
    app = resource()
    got, head = await ask(app), await ask(app, method="HEAD")
    assert (got.headers, b"") == (head.headers, head.body)
    known = await ask(app, "/", (b"if-none-match", got.headers["etag"].encode()))
    assert (304, b"", "*") == (known.status, known.body, known.headers["access-control-allow-origin"])


async def test_a_preflight() -> None:
    """A page of another origin may send headers of its own, as MCP clients do."""
    got = await ask(resource(), method="OPTIONS")
    assert {
        "allow": "GET, HEAD, OPTIONS",
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "*",
        "access-control-max-age": "86400",
    } == got.headers
    assert (204, b"") == (got.status, got.body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "get"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    """405 names those that are."""
    got = await ask(resource(), method=method)
    assert (405, {"allow": "GET, HEAD, OPTIONS", "content-length": "0"}) == (got.status, got.headers)


async def test_other_scopes_are_not_answered() -> None:
    """A websocket is closed before it is accepted; anything else is an error of the application."""
    assert ["websocket.close"] == (await drive(resource(), websocket_scope())).types
    with pytest.raises(UnsupportedScopeError, match="mount ProtectedResource in an application"):
        await drive(resource(), {**http_scope(), "type": "lifespan"})


URLS = "must be a URL such as"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"resource": "http://api.example.com"}, URLS),
        ({"resource": "https://api.example.com/?a=b"}, URLS),
        ({"resource": "https://api.example.com/#a"}, URLS),
        ({"resource": 'https://api.example.com/"'}, URLS),
        ({"resource": "https://api.example.com/\\"}, URLS),
        ({"resource": "https://user:password@api.example.com"}, URLS),
        ({"resource": "https://api.example.com:port"}, URLS),
        ({"resource": "https://"}, URLS),
        ({"resource": "urn:mcp"}, URLS),
        ({"resource": "https://api.example.com/\u00e9"}, URLS),
        ({"resource": None}, URLS),
        ({"authorization_servers": ISSUER}, "authorization_servers must be a list of URLs"),
        ({"authorization_servers": None}, "authorization_servers must be a list of URLs"),
        ({"authorization_servers": ["login.example.com"]}, f"authorization_servers {URLS}"),
        ({"scopes": ["a b"]}, "scopes must be scopes such as"),
        ({"scopes": 'a"'}, "scopes must be scopes such as"),
        ({"scopes": [1]}, "scopes must be scopes such as"),
        ({"scopes": 1}, "scopes must be scopes such as"),
        ({"max_age": 0}, "max_age must be more than zero"),
        ({"scope": "a"}, "'scope' is no registered parameter"),
        ({"scopes_supported": ["a"]}, "scopes_supported follows from the other arguments"),
        ({"jwks_uri": "http://api.example.com/jwks"}, "jwks_uri must be an https URL"),
        ({"bearer_methods_supported": []}, "bearer_methods_supported must be a list of one or more str"),
        ({"bearer_methods_supported": "header"}, "bearer_methods_supported must be a list of one or more str"),
        ({"bearer_methods_supported": [1]}, "bearer_methods_supported must be a list of one or more str"),
        ({"resource_name": ""}, "resource_name must be a value that JSON can hold"),
        ({"resource_name": None}, "resource_name must be a value that JSON can hold"),
        ({"resource_name": "\ud800"}, "holds what JSON cannot"),
        ({"resource_name": {"a": {1}}}, "holds what JSON cannot"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], match: str) -> None:
    """What clients could not use is refused when it is built, and the message says what to write."""  # S150
    with pytest.raises(SettingError, match=match) as refused:
        resource(**arguments)
    assert "password" not in str(refused.value)


def test_it_is_immutable() -> None:
    """Nothing changes what is published."""
    built = resource()
    with pytest.raises(AttributeError, match="frozen"):
        built.resource = "https://evil.example"
    with pytest.raises(AttributeError, match="frozen"):
        del built.scopes
    assert json.loads(built._body)["resource"] == RESOURCE
