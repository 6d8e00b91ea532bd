"""`JWTConfig.for_provider`: each preset accepts the tokens that its provider documents, and nothing else of that provider."""

from __future__ import annotations

import ast
import contextlib
import re
import tokenize
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, TokenError
from asgi_jwt_claims.config.presets import settings
from asgi_jwt_claims.config.presets.table import PROVIDERS, UNSUPPORTED
from asgi_jwt_claims.errors import KeysUnavailableError, SettingError
from asgi_jwt_claims.jwks import FetchPolicy, RemoteKeySet
from tests.corpus.providers import SHAPES
from tests.presets import NOW, Published, configured, mint, read, table_of, without
from tests.support import ROOT, SECRET, for_each

pytestmark = pytest.mark.anyio

NAMES = sorted(PROVIDERS)
PAGE = ROOT / "docs" / "how-to" / "identity-providers.md"
TABLE = ROOT / "src" / "asgi_jwt_claims" / "config" / "presets" / "table.py"

ASKED = {
    "auth0": "https://acme.eu.auth0.com/.well-known/openid-configuration",
    "auth0_rfc9068": "https://acme.eu.auth0.com/.well-known/openid-configuration",
    "entra": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0/.well-known/openid-configuration",
    "entra_v1": "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/keys",
    "entra_multi_tenant": "https://login.microsoftonline.com/common/discovery/v2.0/keys",
    "entra_b2c": "https://acme.b2clogin.com/acme.onmicrosoft.com/B2C_1_signin/discovery/v2.0/keys",
    "keycloak": "https://sso.example.com/realms/staff/.well-known/openid-configuration",
    "cognito": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ex4mple/.well-known/openid-configuration",
    "google": "https://accounts.google.com/.well-known/openid-configuration",
    "okta": "https://acme.okta.com/oauth2/default/.well-known/openid-configuration",
    "github_actions": "https://token.actions.githubusercontent.com/.well-known/openid-configuration",
    "gitlab_ci": "https://gitlab.com/.well-known/openid-configuration",
    "kubernetes": "https://k8s.example.com/.well-known/openid-configuration",
    "firebase": "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",
    "supabase": "https://abcdefgh.supabase.co/auth/v1/.well-known/jwks.json",
    "clerk": "https://clerk.example.com/.well-known/jwks.json",
    "zitadel": "https://id.example.com/.well-known/openid-configuration",
    "ory": "https://acme.projects.oryapis.com/.well-known/openid-configuration",
    "cloudflare_access": "https://acme.cloudflareaccess.com/cdn-cgi/access/certs",
    "google_iap": "https://www.gstatic.com/iap/verify/public_key-jwk",
    "apple": "https://appleid.apple.com/auth/keys",
    "spring": "https://auth.example.com/.well-known/openid-configuration",
    "duende": "https://id.example.com/.well-known/openid-configuration",
    "workos": "https://api.workos.com/sso/jwks/client_1",
    "kinde": "https://acme.kinde.com/.well-known/openid-configuration",
}
"""The first address that each preset asks for keys."""


@pytest.fixture
def anyio_backend() -> str:
    """One event loop is enough: nothing here waits, but for a fetch that answers at once."""
    return "asyncio"


async def refuses(raw: str, config: JWTConfig) -> bool:
    """Whether a token is refused for what it is, and not for keys that could not be fetched."""
    try:
        await read(raw, config)
    except KeysUnavailableError:
        raise
    except TokenError:
        return True
    return False


# Tokens ---------------------------------------------------------------------------------------------------------------


def test_every_preset_has_a_shape() -> None:
    """No row of the table goes without a token of its documented shape."""
    assert NAMES == sorted(SHAPES) == sorted(ASKED)


@for_each("name", NAMES)
async def test_the_documented_token_is_accepted(name: str) -> None:
    """A token as the provider documents it passes, with its identity, its scopes and its roles."""
    shape, fetch = SHAPES[name], Published(SHAPES[name])
    config = configured(name, fetch=fetch)
    token = await read(mint(shape), config)
    assert (name, shape.identity, shape.scopes, shape.roles) == (name, token.identity, token.scopes, token.roles)
    assert (name, set()) == (name, set(token.unreadable))
    assert (name, ASKED[name]) == (name, fetch.asked[0])
    for changes, identity in shape.others:
        assert (name, identity) == (name, (await read(mint(shape, changes), config)).identity)


@for_each("name", NAMES)
async def test_tokens_of_other_tenants_are_refused(name: str) -> None:
    """A token of another tenant, realm, pool or project passes no preset, even if one of its keys signed it."""
    shape, config = SHAPES[name], configured(name)
    assert shape.tenants
    for changes in shape.tenants:
        assert (name, changes, True) == (name, changes, await refuses(mint(shape, changes), config))


@for_each("name", NAMES)
async def test_tokens_for_other_clients_are_refused(name: str) -> None:  # S56
    """A token for another client, another repository or another API passes no preset that can name its own."""
    shape = SHAPES[name]
    config = configured(name, **(shape.client or {}))
    assert (name, shape.identity) == (name, (await read(mint(shape), config)).identity)
    assert shape.clients
    for changes in shape.clients:
        assert (name, changes, True) == (name, changes, await refuses(mint(shape, changes), config))


@for_each("name", NAMES)
async def test_id_tokens_are_refused(name: str) -> None:  # S43
    """An ID token, or another token of the provider, does not pass in place of an access token."""
    shape, config = SHAPES[name], configured(name)
    assert (
        shape.id_tokens
        or PROVIDERS[name].only_id_tokens
        or name in ("github_actions", "gitlab_ci", "kubernetes", "google_iap", "supabase")
    )
    for changes in shape.id_tokens:
        assert (name, changes, True) == (name, changes, await refuses(mint(shape, changes), config))


@for_each("name", NAMES)
async def test_every_demand_is_made(name: str) -> None:
    """A token without one of the claims that a preset demands is refused, and so is one in which that claim is null."""
    shape, config = SHAPES[name], configured(name)
    for path in shape.demanded:
        assert (name, path, True) == (name, path, await refuses(mint(shape, without(shape.claims, path)), config))
        if isinstance(path, str):
            assert (name, path, True) == (name, path, await refuses(mint(shape, {path: None}), config))
    for changes in ({"iat": ...}, {"exp": ...}, {"exp": NOW - 60}, {"iss": ...}, {"cnf": {"jkt": "t"}}):
        assert (name, changes, True) == (name, changes, await refuses(mint(shape, changes), config))


# Arguments ------------------------------------------------------------------------------------------------------------


@for_each("name", NAMES)
def test_every_argument_that_is_needed_must_be_given(name: str) -> None:
    """A preset without an argument that it needs is not built, and the message names the argument."""
    row, arguments = PROVIDERS[name], SHAPES[name].arguments
    for need in row.needs:
        names = (need,) if isinstance(need, str) else need
        assert names[0] in arguments or len(names) > 1
        with pytest.raises(SettingError, match=rf'for_provider\("{name}"\) needs .*{names[0]}=\.\.\.') as caught:
            configured(name, **dict.fromkeys(names, ...))
        assert row.hint in str(caught.value)
        for one in names:  # one of them is enough
            assert configured(name, **{**dict.fromkeys(names, ...), one: arguments.get(one, "x")}).is_remote
    with pytest.raises(SettingError, match=rf'for_provider\("{name}"\) needs'):
        JWTConfig.for_provider(name)


@pytest.mark.parametrize("name", [name for name in NAMES if PROVIDERS[name].only_id_tokens])
def test_id_tokens_must_be_wanted(name: str) -> None:
    """A preset of a provider that has ID tokens only is not built without accept_id_tokens=True."""
    for value in (..., False, None, 1):
        with pytest.raises(SettingError, match="accept_id_tokens=True"):
            configured(name, accept_id_tokens=value)


@for_each("name", [name for name in NAMES if not PROVIDERS[name].only_id_tokens])
def test_id_tokens_cannot_be_wanted_in_place_of_access_tokens(name: str) -> None:
    """A preset for access tokens does not accept ID tokens beside them."""
    with pytest.raises(SettingError, match="for_issuer"):
        configured(name, accept_id_tokens=True)


@for_each("name", NAMES)
def test_what_becomes_part_of_an_address_is_checked(name: str) -> None:
    """No argument can lead to another host, to another path, or to an address that no provider has."""
    arguments = SHAPES[name].arguments
    inserted = [key for key in arguments if f"{{{key}}}" in f"{PROVIDERS[name].issuer} {PROVIDERS[name].keys}"]
    for key in inserted:
        for value in ("", "a b", "a/../b?", "evil.example/#", "{x}", "a@b", "a\n", 7, ["a"], "ä.example", ".."):
            with pytest.raises(SettingError, match=rf"{key} must be|needs"):
                configured(name, **{key: value})


@given(value=st.text(max_size=12) | st.from_regex(r"[a-zA-Z0-9._~:/@?#-]{1,12}", fullmatch=True))
def test_an_argument_stays_in_its_place(value: str) -> None:
    """Any text either becomes one host or one part of a path, or the preset is not built."""
    with contextlib.suppress(SettingError):
        parts = urlsplit(str(configured("auth0", domain=value).issuer))
        assert ("https", value, "/", "", "") == tuple(parts)
    with contextlib.suppress(SettingError):
        parts = urlsplit(str(configured("keycloak", realm=value).issuer))
        assert ("sso.example.com", f"/realms/{value}", "", "") == tuple(parts)[1:]
        assert ".." != value


MISUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a number where tokens have text": (
        "github_actions",
        {"repository_id": 42},
        "repository_id must be .* text, not 42",
    ),
    "no repository at all": ("github_actions", {"repository_id": []}, "repository_id must be"),
    "numbers among repositories": ("gitlab_ci", {"project_id": {"20", 21}}, "project_id must be"),
    "the audience of all clients": ("keycloak", {"audience": ["books", "account"]}, "must not be 'account'"),
    "the audience of all clients, from an iterator": (
        "keycloak",
        {"audience": iter(["account"])},
        "must not be 'account'",
    ),
    "the audience of all clients, from a view": (
        "keycloak",
        {"audience": {"account": 1}.keys()},
        "must not be 'account'",
    ),
    "the audience of the API server": ("kubernetes", {"audience": "https://k8s.example.com"}, "every pod"),
    "the usual audience of API servers": (
        "kubernetes",
        {"audience": ["books", "https://kubernetes.default.svc"]},
        "every pod",
    ),
    "roles that users write": ("supabase", {"roles_claim": ("user_metadata", "roles")}, "users write it"),
    "roles that users write too": (
        "supabase",
        {"roles_claim": [("app_metadata", "roles"), ("user_metadata", "roles")]},
        "users write it",
    ),
    "scopes that users write": ("supabase", {"scope_claim": ("user_metadata", "scopes")}, "users write it"),
    "an identity that users write": (
        "supabase",
        {"identity_claim": ["sub", ("user_metadata", "name")]},
        "users write it",
    ),
    "an argument misspelt": ("google", {"hosted_domian": "example.com"}, "did you mean hosted_domain"),
    "an argument of another preset": ("apple", {"authorized_parties": "x"}, "takes no authorized_parties"),
    "another issuer": ("okta", {"issuer": "https://evil.example"}, "takes no issuer"),
    "a type claim": ("cognito", {"type_claim": "token_use"}, "takes no type_claim"),
    "a domain for a GUID": ("entra", {"tenant_id": "acme.onmicrosoft.com"}, "a GUID in lower case"),
    "a GUID in capitals": ("entra", {"tenant_id": "AAAAAAAA-2222-3333-4444-555555555555"}, "a GUID in lower case"),
    "a domain among tenants": ("entra_multi_tenant", {"tenants": ["acme.onmicrosoft.com"]}, "a GUID in lower case"),
    "a slash at the end": ("keycloak", {"url": "https://sso.example.com/"}, "without a slash"),
    "a query in an address": ("keycloak", {"url": "https://sso.example.com?x"}, "a URL"),
    "an address without TLS": ("keycloak", {"url": "http://sso.example.com"}, "http"),
    "keys twice": ("okta", {"jwks": RemoteKeySet("https://acme.okta.com/keys")}, "cannot be combined with jwks"),
    "a value over a value": ("cognito", {"required_claims": {"token_use": "id"}}, "demands a value of token_use"),
    "a function over a value": ("keycloak", {"required_claims": {("typ",): bool}}, "demands a value of typ"),
    "one claim for a list": ("okta", {"required_claims": "exp"}, "required_claims must be"),
    "no claims": ("okta", {"required_claims": 7}, "required_claims must be"),
    "a dotted name": ("okta", {"required_claims": ["a.b"]}, "write"),
}


@pytest.mark.parametrize(("name", "changes", "match"), MISUSED.values(), ids=MISUSED)
def test_what_cannot_be_used_is_refused_when_built(name: str, changes: dict[str, Any], match: str) -> None:
    """An argument that would match no token, or more tokens than it seems to, is refused with the reason."""
    with pytest.raises(SettingError, match=match):
        configured(name, **changes)


def test_other_keys_of_one_client_must_be_named() -> None:
    """The preset whose keys name the client needs an audience, or a demanded value, with keys of the caller's own."""
    keys = RemoteKeySet("https://api.workos.com/sso/jwks/client_2")
    with pytest.raises(SettingError, match="audience"):
        configured("workos", fetch=..., jwks=keys)
    assert configured("workos", fetch=..., jwks=keys, required_claims={"org_id": "org_1"}).jwks is keys
    assert configured("workos").replace(leeway=0).is_remote


def test_an_unknown_provider_is_refused() -> None:
    """A name that is none suggests the nearest one, or lists all of them."""
    with pytest.raises(SettingError, match="did you mean 'keycloak'"):
        JWTConfig.for_provider("keycloack")
    with pytest.raises(SettingError, match=r"it knows apple, auth0, .* zitadel"):
        JWTConfig.for_provider("?")
    for name in (None, ["keycloak"], b"keycloak"):
        with pytest.raises(SettingError, match="knows no"):
            JWTConfig.for_provider(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_what_no_row_can_express_says_why(name: str) -> None:
    """Asking for tokens that cannot be supported gives the reason, which the page has too."""
    with pytest.raises(SettingError, match=f'"{name}"') as caught:
        JWTConfig.for_provider(name, audience="x")
    assert UNSUPPORTED[name] in str(caught.value)
    assert f"`{name}`" in PAGE.read_text()


# Settings beside the row ----------------------------------------------------------------------------------------------


async def test_a_caller_can_demand_more() -> None:
    """Demands of the caller come on top, in a list or in a mapping; naming a claim takes no value of the row away."""
    shape = SHAPES["cognito"]
    for required in (["username", "token_use"], {"username": "alice", "token_use": None}, {("jti",): {"j"}}):
        config = configured("cognito", required_claims=required)
        assert "u1" == (await read(mint(shape), config)).identity
        assert await refuses(mint(shape, {"token_use": "id"}), config)
        assert await refuses(mint(shape, {"username": ..., "jti": ...}), config)


async def test_a_caller_can_demand_a_value_of_a_claim_that_must_be_there() -> None:
    """A value may be demanded where the row demands presence alone."""
    config = configured("firebase", required_claims={("firebase", "sign_in_provider"): {"password", "google.com"}})
    shape = SHAPES["firebase"]
    assert "u1" == (await read(mint(shape), config)).identity
    assert await refuses(mint(shape, {"firebase": {"sign_in_provider": "anonymous"}}), config)


async def test_settings_of_the_caller_win() -> None:
    """Where scopes and roles stand, times and keys are the caller's to change."""
    shape = SHAPES["auth0"]
    config = configured("auth0", roles_claim="https://example.com/roles", scope_claim="permissions", leeway=0)
    token = await read(mint(shape, {"https://example.com/roles": ["librarian"]}), config)
    assert ({"librarian"}, {"read:books", "write:books"}) == (token.roles, token.scopes)
    keys = RemoteKeySet("https://keys.example.com", fetch=Published(shape))
    assert "auth0|7" == (await read(mint(shape), configured("auth0", fetch=..., jwks=keys))).identity
    policy = FetchPolicy(ttl=120)
    built = configured("auth0", policy=policy).jwks
    assert isinstance(built, RemoteKeySet)
    assert policy is built.policy
    local = configured("keycloak", url="http://127.0.0.1:8080", loopback_http=True)
    assert "http://127.0.0.1:8080/realms/staff" == local.issuer


def test_the_audience_of_a_preset_stays() -> None:
    """An audience of None is none of the caller's, so that of the preset counts."""
    assert configured("firebase").audience == configured("firebase", audience=None, tenant="t1").audience
    assert "authenticated" == configured("supabase", audience=None).audience


async def test_an_audience_beside_the_client() -> None:
    """Where tokens may have an audience, one that is given is demanded too."""
    config = configured("cognito", audience="https://api.example.com")
    shape = SHAPES["cognito"]
    assert "u1" == (await read(mint(shape, {"aud": "https://api.example.com"}), config)).identity
    assert await refuses(mint(shape), config)
    kinde = configured("kinde", audience="books", client_id=...)
    assert "kp_1" == (await read(mint(SHAPES["kinde"], {"aud": ["books"], "azp": "c9"}), kinde)).identity
    assert await refuses(mint(SHAPES["kinde"]), kinde)


async def test_roles_of_every_audience() -> None:
    """Where roles stand under the name of the API, each name of the API counts, and no other."""
    roles = {"a": {"roles": ["x"]}, "b": {"roles": ["y"]}, "c": {"roles": ["z"]}}
    raw = mint(SHAPES["keycloak"], {"aud": ["a"], "resource_access": roles, "realm_access": ...})
    assert {"x", "y"} == (await read(raw, configured("keycloak", audience=["a", "b"]))).roles


async def test_hosted_domains() -> None:
    """A Google Workspace can be demanded; accounts outside of any have no such claim, and are refused."""
    config = configured("google", hosted_domain={"example.com", "example.org"})
    shape = SHAPES["google"]
    assert "110" == (await read(mint(shape), config)).identity
    for value in (..., "example.net", ["example.com"]):
        assert await refuses(mint(shape, {"hd": value}), config)


async def test_keys_of_one_tenant_sign_for_that_tenant() -> None:
    """A key of Entra that names its issuer is of use for that tenant alone; one with a placeholder serves all of them."""
    shape = SHAPES["entra_multi_tenant"]
    consumers = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
    shared = Published(shape, issuer="https://login.microsoftonline.com/{tenantid}/v2.0")
    assert "u1" == (await read(mint(shape), configured("entra_multi_tenant", fetch=shared))).identity
    config = configured("entra_multi_tenant", fetch=Published(shape, issuer=consumers), tenants=lambda tid: True)
    assert await refuses(mint(shape), config)
    assert "u1" == (await read(mint(shape, {"iss": consumers, "tid": ...}), config)).identity


async def test_tenants_by_a_function() -> None:
    """Tenants may be decided by an async function, which is asked before the keys are fetched."""
    shape = SHAPES["entra_multi_tenant"]
    asked = []

    async def allow(tid: str) -> bool:
        asked.append(tid)
        return tid == shape.claims["tid"]

    fetch = Published(shape)
    config = configured("entra_multi_tenant", tenants=allow, fetch=fetch)
    for changes in shape.tenants[:2]:
        assert await refuses(mint(shape, changes), config)
    assert [] == fetch.asked
    assert "u1" == (await read(mint(shape), config)).identity
    assert (3, 1) == (len(asked), len(fetch.asked))


@for_each("name", ["entra", "entra_v1", "entra_multi_tenant"])
async def test_an_application_that_was_granted_nothing(name: str) -> None:
    """Entra gives any application of a tenant a token without scopes and roles; it is refused, unless that one is named."""
    shape = SHAPES[name]
    nothing = mint(shape, {"scp": ..., "roles": ...})
    assert await refuses(nothing, configured(name))
    assert not await refuses(mint(shape, {"scp": ..., "roles": ["a"]}), configured(name))
    assert not await refuses(nothing, configured(name, **(shape.client or {})))


async def test_one_of_several_claims_beside_a_preset() -> None:
    """What a caller demands comes on top, also if one of several claims will do."""
    config = configured("entra", required_claims={frozenset({"plan", "tier"}): None})
    assert await refuses(mint(SHAPES["entra"]), config)
    assert not await refuses(mint(SHAPES["entra"], {"tier": "gold"}), config)
    assert await refuses(mint(SHAPES["entra"], {"tier": "gold", "scp": ..., "roles": ...}), config)


async def test_groups_that_stand_elsewhere_refuse_what_asks_for_roles() -> None:
    """Roles that Entra leaves out because there are too many are unreadable, and not absent."""
    token = await read(mint(SHAPES["entra"], {"roles": ..., "_claim_names": {"roles": "src1"}}), configured("entra"))
    assert ({"roles"}, frozenset()) == (set(token.unreadable), token.roles)


ENVIRONMENTS: dict[str, dict[str, str]] = {
    "keycloak": {"URL": "https://sso.example.com", "REALM": "staff", "AUDIENCE": "books,api", "CLIENT_ID": "web"},
    "github_actions": {"AUDIENCE": "https://api.example.com", "REPOSITORY_ID": "41,42", "REPOSITORY_OWNER_ID": "7"},
    "entra_multi_tenant": {
        "TENANTS": "11111111-2222-3333-4444-555555555555",
        "AUDIENCE": "aaaaaaaa-2222-3333-4444-555555555555",
    },
    "kubernetes": {"ISSUER": "https://k8s.example.com", "AUDIENCE": "books", "NAMESPACE": "shop"},
    "google": {"AUDIENCE": "c1.apps.googleusercontent.com", "ACCEPT_ID_TOKENS": "true"},
    "clerk": {"FRONTEND_API": "clerk.example.com", "AUTHORIZED_PARTIES": "https://app.example.com", "LEEWAY": "5"},
    "workos": {"CLIENT_ID": "client_1", "REQUIRED_CLAIMS": '{"org_id": "org_1"}'},
}


@for_each("name", [*ENVIRONMENTS])
async def test_a_preset_from_the_environment(name: str) -> None:
    """JWT_PROVIDER names a preset, and its arguments are variables like any setting."""
    shape = SHAPES[name]
    environ = {"JWT_PROVIDER": name, **{f"JWT_{key}": value for key, value in ENVIRONMENTS[name].items()}}
    built = JWTConfig.from_env(environ=environ)
    config = built.replace(jwks=RemoteKeySet("https://keys.example.com", fetch=Published(shape)))
    assert (name, shape.identity) == (name, (await read(mint(shape), config)).identity)
    for changes in (*shape.tenants, *shape.id_tokens):
        assert (name, changes, True) == (name, changes, await refuses(mint(shape, changes), config))


def test_no_preset_from_the_environment() -> None:
    """A provider of None is none, as with any other setting."""
    assert JWTConfig.from_mapping({"JWT_PROVIDER": None, "JWT_SECRET_KEY": SECRET}).jwks is None


def test_a_preset_from_the_environment_is_checked_like_any_other() -> None:
    """A misspelt preset, a missing argument and an argument of another preset are refused, and keys may be tuned."""
    for environ, match in (
        ({"JWT_PROVIDER": "keycloack"}, "did you mean 'keycloak'"),
        ({"JWT_PROVIDER": "aws_alb"}, "not supported"),
        ({"JWT_PROVIDER": "apple", "JWT_AUDIENCE": "x"}, "accept_id_tokens=True"),
        ({"JWT_PROVIDER": "cognito", "JWT_REALM": "x"}, "JWT_REALM is not a setting"),
        ({"JWT_REALM": "x"}, "JWT_REALM is not a setting"),
        ({"JWT_PROVIDER": "github_actions", "JWT_AUDIENCE": "x"}, "needs repository=... or"),
    ):
        with pytest.raises(SettingError, match=match):
            JWTConfig.from_env(environ=environ)
    environ = {"JWT_PROVIDER": "apple", "JWT_AUDIENCE": "x", "JWT_ACCEPT_ID_TOKENS": "true"}
    tuned = JWTConfig.from_env(environ={**environ, "JWT_JWKS_TIMEOUT": "1"}).jwks
    assert isinstance(tuned, RemoteKeySet)
    assert 1 == tuned.policy.timeout
    other = JWTConfig.from_env(
        environ={**environ, "JWT_JWKS": "https://keys.example.com", "JWT_JWKS_TIMEOUT": "1"}
    ).jwks
    assert "https://keys.example.com" in repr(other)
    mapping = {"jwt_provider": "workos", "jwt_client_id": "client_1"}
    assert JWTConfig.from_mapping(mapping, "jwt_").is_remote
    with pytest.raises(SettingError, match="did you mean JWT_PROVIDER"):
        JWTConfig.from_mapping({"JWT_provider": "workos", "JWT_CLIENT_ID": "client_1"})


# The table ------------------------------------------------------------------------------------------------------------


def test_the_table_is_data() -> None:
    """The table holds literals only: no function, no condition, and nothing that is worked out."""
    tree = ast.parse(TABLE.read_text())
    allowed = (ast.ImportFrom, ast.Expr, ast.Assign, ast.AnnAssign)
    assert [] == [node for node in tree.body if not isinstance(node, allowed)]
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert {"Provider"} == calls


def test_every_row_has_its_sources() -> None:
    """Every row names sources, every source that is named is listed, and every listed one is named."""
    with tokenize.open(TABLE) as file:
        comments = {
            token.start[0]: token.string
            for token in tokenize.generate_tokens(file.readline)
            if token.type == tokenize.COMMENT
        }
    listed = [found[1] for text in comments.values() if (found := re.match(r"# \[(\d+)\] [a-z]", text))]
    named: dict[int, set[str]] = {
        line: set(re.findall(r"\[(\d+)\]", text))
        for line, text in comments.items()
        if not re.match(r"# \[\d+\] [a-z]", text)
    }
    assert [str(number) for number in range(1, len(listed) + 1)] == listed
    assert set(listed) == {number for numbers in named.values() for number in numbers}
    (rows,) = (
        node.value
        for node in ast.parse(TABLE.read_text()).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PROVIDERS"
    )
    assert isinstance(rows, ast.Dict)
    for name, row in zip(PROVIDERS, rows.values, strict=True):
        lines = range(row.lineno, (row.end_lineno or 0) + 1)
        assert (name, True) == (name, any(named.get(line) for line in lines))


def test_what_goes_into_addresses_must_be_given() -> None:
    """Every argument in an address must be given, and no argument of a row has the name of a setting."""
    for name, row in PROVIDERS.items():
        assert (name, set()) == (name, set(settings._in_addresses(row)) - set(row.needs))
        own = {*settings._in_addresses(row), *settings._in_claims(row)} - {"issuer"}
        assert (name, set()) == (name, own & {*JWTConfig.__dataclass_fields__, *settings._OF_KEYS})


def test_the_page_has_the_table() -> None:
    """The table on the page is the table of the library, row by row, and each row has a paragraph with a call."""
    text = PAGE.read_text()
    assert table_of(PROVIDERS) in text
    for name in PROVIDERS:
        assert (name, True) == (name, f'for_provider(\n    "{name}"' in text or f'for_provider("{name}"' in text)
