"""The options `protected_resource` and `endpoints` of a middleware: what is answered in front of the guard, and what is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key, create_access_token
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    ForbiddenError,
    FreshTokenRequiredError,
    InvalidRequestError,
    MissingScopeError,
    MissingTokenError,
    RoleRefusedError,
    SettingError,
    StoreUnavailableError,
    TokenError,
)
from asgi_jwt_claims.introspection import Introspection
from asgi_jwt_claims.jwks import JWKSEndpoint
from asgi_jwt_claims.oauth import AuthorizationServer, ProtectedResource
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.runtime.endpoint import Endpoint
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.stores import MemoryStore
from tests.raw_asgi import Exchange, Recorder, ask, bearer, drive, http_scope, talk
from tests.support import SECRET, for_each

pytestmark = pytest.mark.anyio

ORIGIN = "https://api.example.com"
RESOURCE = f"{ORIGIN}/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
KEY = Key.generate("ES256")


def described(resource: str = RESOURCE, **arguments: Any) -> ProtectedResource:
    return ProtectedResource(**{"resource": resource, "authorization_servers": [ORIGIN], "scopes": "mcp", **arguments})


def configured(audience: Any = RESOURCE, **settings: Any) -> JWTConfig:
    return JWTConfig(secret_key=SECRET, audience=audience, issuer=ORIGIN, **settings)


def guarded(**options: Any) -> tuple[JWTMiddleware, Recorder]:
    app = Recorder()
    return JWTMiddleware(app, configured(), **options), app


# The resource ---------------------------------------------------------------------------------------------------------


async def test_the_metadata_needs_no_token() -> None:
    """It is answered at its path, with a slash at the end too, and neither above, below nor beside it."""
    app, inner = guarded(protected_resource=described())
    assert [200, 200] == [(await ask(app, path)).status for path in (METADATA, f"{METADATA}/")]
    for path in (
        "/.well-known/oauth-protected-resource",
        f"{METADATA}x",
        f"{METADATA}//",
        f"{METADATA}/a",
        "/mcp",
        "/",
    ):
        assert (path, 401) == (path, (await ask(app, path)).status)
    assert [] == inner.calls
    assert RESOURCE == (await ask(app, METADATA)).json["resource"]


async def test_a_websocket_is_no_request_for_metadata() -> None:
    """At that path too a websocket is guarded."""
    app, inner = guarded(protected_resource=described())
    assert (401, []) == ((await talk(app, METADATA)).status, inner.calls)


@for_each(
    ("path", "root"),
    [
        (METADATA, ""),
        (f"/api{METADATA}", "/api"),  # uvicorn --root-path, and mounts
        (METADATA, "/api"),  # hypercorn --root-path
        (f"/a/b{METADATA}", "/a/b"),
    ],
)
async def test_behind_a_prefix(path: str, root: str) -> None:
    """The path is compared without the `root_path` of server or mount."""
    app, _ = guarded(protected_resource=described())
    assert 200 == (await ask(app, path, root_path=root)).status


async def test_a_bad_token_does_not_matter() -> None:
    """The metadata tells a client how to get a good one."""
    app, _ = guarded(protected_resource=described())
    assert 200 == (await ask(app, METADATA, bearer("junk"))).status


PLAIN, NAMED = ErrorResponder(), ErrorResponder(resource_metadata=f"{ORIGIN}{METADATA}", scopes=("mcp", "files:read"))
URL = f'resource_metadata="{ORIGIN}{METADATA}"'


@for_each(
    ("error", "added"),
    [
        (MissingTokenError(), f'scope="mcp files:read", {URL}'),
        (ExpiredTokenError(), f'scope="mcp files:read", {URL}'),
        (InvalidRequestError(), URL),
        (ForbiddenError(), URL),
        (RoleRefusedError(), URL),
        (MissingScopeError(scope="files:write", missing="files:write"), URL),
    ],
)
def test_challenges_name_the_metadata(error: TokenError, added: str) -> None:
    """RFC 9728 section 5.1: each names its URL, and 401 the scopes to ask for; 403 names those of the guard."""  # S111
    before, after = [dict(one.response_for(error).headers)["www-authenticate"] for one in (PLAIN, NAMED)]
    assert f"{before}, {added}" == after


def test_a_challenge_for_a_fresh_login() -> None:
    """RFC 9470 section 3: a good token is to be had anew, with the scopes that it has, so that none are named."""
    challenge = dict(NAMED.response_for(FreshTokenRequiredError(max_age=60)).headers)["www-authenticate"]
    names = re.findall(r'(\w+)="', challenge)
    assert ["realm", "error", "error_description", "max_age", "resource_metadata"] == names


def test_503_names_nothing() -> None:
    """Where no token can be checked the client is not sent for another one."""
    assert PLAIN.response_for(StoreUnavailableError()) == NAMED.response_for(StoreUnavailableError())


async def test_every_scheme_names_the_metadata() -> None:
    """RFC 9728 section 5.1: the parameter belongs to the challenge of each scheme."""

    def find_nothing(scope: Mapping[str, Any], max_size: int) -> None:
        return None

    find_nothing.auth_scheme = "DPoP"  # type: ignore[attr-defined]
    app, _ = guarded(protected_resource=described(), sources=[find_nothing])
    assert f'DPoP realm="api", scope="mcp", {URL}' == (await ask(app)).headers["www-authenticate"]


async def test_without_scopes() -> None:
    """A resource without scopes asks for none."""
    app, _ = guarded(protected_resource=described(scopes=()))
    assert f'Bearer realm="api", {URL}' == (await ask(app)).headers["www-authenticate"]


@for_each(
    "config",
    [
        configured(),
        configured(("old-name", RESOURCE)),
        [configured(), JWTConfig(signing_key=KEY, audience=RESOURCE, issuer="https://other.example")],
        JWTConfig.for_introspection(Introspection(f"{ORIGIN}/introspect", ("a", "b")), audience=RESOURCE),
    ],
)
def test_the_audience_is_the_resource(config: Any) -> None:
    """Every configuration accepts tokens for the resource."""
    JWTMiddleware(Recorder(), config, protected_resource=described())


@for_each(
    "config",
    [
        configured(None),
        configured("api"),
        configured(f"{RESOURCE}/"),
        configured(ORIGIN),
        [configured(), JWTConfig(signing_key=KEY, audience="api", issuer="https://other.example")],
        JWTConfig.for_introspection(Introspection(f"{ORIGIN}/introspect", ("a", "b"))),
    ],
)
def test_another_audience_is_refused(config: Any) -> None:
    """A client would get tokens for the resource that are refused here, or that other services accept."""  # S56, S150
    with pytest.raises(SettingError, match=r"use JWTConfig\(audience='https://api.example.com/mcp'\)"):
        JWTMiddleware(Recorder(), config, protected_resource=described())


@for_each("given", [RESOURCE, ProtectedResource, 1, configured()])
def test_what_is_no_resource(given: Any) -> None:
    """The option is a value that has been checked."""
    with pytest.raises(SettingError, match=r"protected_resource must be a ProtectedResource\(resource=..., ...\)"):
        JWTMiddleware(Recorder(), configured(), protected_resource=given)


# Endpoints ------------------------------------------------------------------------------------------------------------


def with_endpoints(store: MemoryStore, **options: Any) -> tuple[JWTMiddleware, Recorder]:
    endpoints = {"/auth": TokenEndpoints(configured(), store), "/.well-known/jwks.json": JWKSEndpoint([KEY])}
    return guarded(endpoints=endpoints, store=store, **options)


async def send_form(app: Any, path: str, form: str, *, root: str = "") -> Exchange:
    """Post a form."""
    kind = (b"content-type", b"application/x-www-form-urlencoded")
    body = {"type": "http.request", "body": form.encode(), "more_body": False}
    return await drive(app, http_scope(path, kind, method="POST", root_path=root), body)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("prefix", "root"), [("", ""), ("/api", "/api"), ("", "/api")])
async def test_the_life_of_a_session(slash: str, prefix: str, root: str) -> None:
    """Refreshing, listing and logging out need no `exempt`, with a slash at the end and behind a prefix too."""
    store = MemoryStore()
    app, inner = with_endpoints(store)
    pair = await start_session("alice", configured(), store)
    at, form = f"{prefix}/auth", f"grant_type=refresh_token&refresh_token={pair.refresh_token}"
    answer = await send_form(app, f"{at}/refresh{slash}", form, root=root)
    pair = answer.json
    assert 401 == (await ask(app, f"{at}/sessions{slash}", root_path=root)).status
    header = bearer(pair["access_token"])
    listed = await ask(app, f"{at}/sessions{slash}", header, root_path=root)
    (session,) = listed.json["sessions"]
    ended = await ask(app, f"{at}/sessions/{session['id']}{slash}", header, method="DELETE", root_path=root)
    again = await ask(app, f"{at}/sessions{slash}", header, root_path=root)
    assert ([200, 200, 200, 401], []) == ([one.status for one in (answer, listed, ended, again)], inner.calls)
    other = await start_session("alice", configured(), store)
    gone = await send_form(app, f"{at}/logout{slash}", f"token={other.refresh_token}", root=root)
    assert (200, 401) == (gone.status, (await ask(app, "/", bearer(other.access_token), root_path=root)).status)


async def test_other_paths_go_to_the_guard() -> None:
    """What an endpoint does not answer is the application's, behind the guard: a login below the same prefix, too."""
    app, inner = with_endpoints(MemoryStore())
    for path in (
        "/auth",
        "/auth/",
        "/auth/login",
        "/authx/refresh",
        "/auth/refresh/more",
        "/auth//refresh",
        "/refresh",
    ):
        assert (path, 401) == (path, (await ask(app, path)).status)
    header = bearer(create_access_token("alice", configured()))
    assert 200 == (await ask(app, "/auth/login", header)).status
    assert ("/auth/login", "") == (inner.scope["path"], inner.scope["root_path"])


async def test_keys_are_published() -> None:
    """A resource server that fetches the keys has no token."""
    app, _ = with_endpoints(MemoryStore())
    got = await ask(app, "/.well-known/jwks.json")
    assert [KEY.kid] == [jwk["kid"] for jwk in got.json["keys"]]
    assert 405 == (await ask(app, "/.well-known/jwks.json", method="POST")).status


async def test_what_an_endpoint_sees() -> None:
    """It sees the scope of a mount, and the scope of the server stays as it was."""

    class Seeing(Endpoint):
        scopes: list[Any] = []  # noqa: RUF012 -- of one test

        async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
            self.scopes.append(scope)

    app, _ = guarded(endpoints={"/a": Seeing(), "/a/b": Seeing()})
    scope = http_scope("/api/a/b/", root_path="/api")
    before = dict(scope)
    await drive(app, scope)
    assert (before, ("/api/a/b", "/api/a/b/")) == (scope, (Seeing.scopes[0]["root_path"], Seeing.scopes[0]["path"]))


async def test_the_longer_path_answers() -> None:
    """Of two endpoints that could answer, that at the longer path does."""
    endpoints = {"/auth": TokenEndpoints(configured(), MemoryStore()), "/auth/sessions": JWKSEndpoint([KEY])}
    app, _ = guarded(endpoints=endpoints)
    assert ["keys"] == [*(await ask(app, "/auth/sessions")).json]


OURS = re.compile(rf"({METADATA}|/auth/(refresh|logout|logout-everywhere|sessions|sessions/.*))/?", re.DOTALL)


@given(
    st.text(st.sampled_from("/.-_ a%\u00e9sx"), max_size=12), st.sampled_from(["", "/auth", "/auth/sessions", METADATA])
)
async def test_no_other_path_is_open(rest: str, start: str) -> None:
    """Whatever the path, nothing but the endpoints answers without a token, and nothing reaches the application."""  # S124
    app, inner = with_endpoints(MemoryStore(), protected_resource=described())
    path = f"{start}/{rest}" if start else f"/{rest}"
    got = await ask(app, path, method="PUT")
    assert (405 if OURS.fullmatch(path) else 401, []) == (got.status, inner.calls)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """An application that is not of this library."""


SERVER = AuthorizationServer(configured(), token_endpoints=f"{ORIGIN}/auth")


@for_each(
    ("options", "match"),
    [
        ({"endpoints": {"/auth": application}}, "which nothing would guard; mount it in the application"),
        ({"endpoints": {"/auth": TokenEndpoints}}, "and not ABCMeta, which nothing would guard"),
        ({"endpoints": [("/auth", JWKSEndpoint([KEY]))]}, "endpoints must be a mapping of paths to endpoints"),
        ({"endpoints": {"auth": JWKSEndpoint([KEY])}}, "'auth' is not a path such as \"/auth\""),
        ({"endpoints": {"/auth/": JWKSEndpoint([KEY])}}, "without a slash at its end"),
        ({"endpoints": {"/": JWKSEndpoint([KEY])}}, "without a slash at its end"),
        ({"endpoints": {7: JWKSEndpoint([KEY])}}, "7 is not a path"),
        ({"endpoints": {"/metadata": SERVER}}, "answers at '/.well-known/oauth-authorization-server' only"),
        (
            {"endpoints": {METADATA: described()}, "protected_resource": described()},
            "is the path of protected_resource",
        ),
        ({"endpoints": {METADATA: JWKSEndpoint([KEY])}, "protected_resource": described()}, "is the path of protected"),
    ],
)
def test_what_cannot_be_mounted(options: Any, match: str) -> None:
    """Nothing that is not ours is let past the guard, and nothing stands where no client looks for it."""  # S150
    with pytest.raises(SettingError, match=match):
        guarded(**options)


async def test_an_identifier_with_a_slash_at_its_end() -> None:
    """Clients that keep the slash find the metadata, and so do those that drop it."""
    app = JWTMiddleware(Recorder(), configured(f"{RESOURCE}/"), protected_resource=described(f"{RESOURCE}/"))
    assert [200, 200] == [(await ask(app, path)).status for path in (METADATA, f"{METADATA}/")]
    assert f'resource_metadata="{ORIGIN}{METADATA}/"' in (await ask(app)).headers["www-authenticate"]
