"""Tokens as the documentation of identity providers shows them, for `JWTConfig.for_provider`; all values are invented.

A claim given as `...` is left out. `iat` and `exp` are added to every payload.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["SHAPES", "Claims", "Shape", "changed"]

Claims = dict[str, Any]


class Shape(NamedTuple):
    """An access token of a provider, and what must not pass in its place.

    Attributes:
        arguments: What `for_provider` is called with.
        claims: The payload.
        identity: The identity of the token.
        scopes: Its scopes.
        roles: Its roles.
        others: Further tokens to accept, each as changes and their identity.
        tenants: Changes that make it one of another tenant, project or pool of the provider.
        clients: Changes that make it one for another client or another resource.
        client: An argument that names the client, with the value of this token; None if the arguments name it already.
        id_tokens: Changes that make it an ID token, or another token of the provider that is not for APIs.
        demanded: The claims without which it must be refused, beside `iss`, `iat` and `exp`.
        header: The header, beside `alg` and `kid`.
        algorithm: Its algorithm.
    """

    arguments: dict[str, Any]
    claims: Claims
    identity: str = "u1"
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    others: tuple[tuple[Claims, str], ...] = ()
    tenants: tuple[Claims, ...] = ()
    clients: tuple[Claims, ...] = ()
    client: dict[str, Any] | None = None
    id_tokens: tuple[Claims, ...] = ()
    demanded: tuple[str | tuple[str, ...], ...] = ()
    header: Claims = {"typ": "JWT"}  # noqa: RUF012 -- a NamedTuple
    algorithm: str = "RS256"


def changed(claims: Claims, changes: Claims) -> Claims:
    """The claims after some changes."""
    return {name: value for name, value in {**claims, **changes}.items() if value is not ...}


API = "https://api.example.com"
TID, OTHER_TID = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
APP, CLIENT = "aaaaaaaa-2222-3333-4444-555555555555", "bbbbbbbb-2222-3333-4444-555555555555"
ENTRA, ENTRA_V1 = "https://login.microsoftonline.com", "https://sts.windows.net"

_ENTRA: Claims = {
    "ver": "2.0",
    "iss": f"{ENTRA}/{TID}/v2.0",
    "aud": APP,
    "azp": CLIENT,
    "azpacr": "1",
    "nbf": 1,
    "name": "Alice",
    "oid": "o1",
    "scp": "Books.Read Books.Write",
    "roles": ["Librarian"],
    "sub": "u1",
    "tid": TID,
}
_ENTRA_ID: Claims = {"azp": ..., "azpacr": ..., "scp": ..., "preferred_username": "alice@example.com"}

SHAPES: dict[str, Shape] = {
    "auth0": Shape(
        {"domain": "acme.eu.auth0.com", "audience": API},
        {
            "iss": "https://acme.eu.auth0.com/",
            "sub": "auth0|7",
            "aud": [API, "https://acme.eu.auth0.com/userinfo"],
            "azp": "c1",
            "scope": "openid read:books",
            "permissions": ["read:books", "write:books"],
        },
        identity="auth0|7",
        scopes=frozenset({"openid", "read:books"}),
        others=(({"sub": "c1@clients", "aud": API, "gty": "client-credentials"}, "c1@clients"),),
        tenants=({"iss": "https://other.eu.auth0.com/"}, {"iss": "https://acme.eu.auth0.com"}),
        clients=({"azp": "c2"},),
        client={"client_id": "c1"},
        id_tokens=(
            {"aud": "c1", "azp": ..., "scope": ..., "permissions": ..., "nonce": "n"},
            {"aud": "c1", "azp": ..., "scope": ..., "permissions": ...},
        ),
        demanded=("azp", "aud", "sub"),
    ),
    "auth0_rfc9068": Shape(
        {"domain": "acme.eu.auth0.com", "audience": API},
        {
            "iss": "https://acme.eu.auth0.com/",
            "sub": "auth0|7",
            "aud": [API, "https://acme.eu.auth0.com/userinfo"],
            "client_id": "c1",
            "jti": "j",
            "scope": "openid read:books",
        },
        identity="auth0|7",
        scopes=frozenset({"openid", "read:books"}),
        tenants=({"iss": "https://other.eu.auth0.com/"},),
        clients=({"client_id": "c2"},),
        client={"client_id": "c1"},
        id_tokens=({"aud": "c1", "client_id": ..., "scope": ..., "jti": ...},),
        demanded=("client_id", "aud", "sub"),
        header={"typ": "at+jwt"},
    ),
    "entra": Shape(
        {"tenant_id": TID, "audience": APP},
        _ENTRA,
        scopes=frozenset({"Books.Read", "Books.Write"}),
        roles=frozenset({"Librarian"}),
        others=(({"scp": ..., "sub": "s1", "oid": "s1"}, "s1"),),
        tenants=(
            {"iss": f"{ENTRA}/{OTHER_TID}/v2.0", "tid": OTHER_TID},
            {"iss": f"{ENTRA}/{TID}/v2.0/"},
            {"iss": f"{ENTRA_V1}/{TID}/", "ver": "1.0", "azp": ..., "appid": CLIENT},
        ),
        clients=({"azp": OTHER_TID},),
        client={"client_id": CLIENT},
        id_tokens=({**_ENTRA_ID, "nonce": "n"}, _ENTRA_ID),  # of the same registration: the same audience, and roles
        demanded=("azp", "ver", "aud", "sub"),
    ),
    "entra_v1": Shape(
        {"tenant_id": TID, "audience": "api://books"},
        changed(
            _ENTRA,
            {
                "ver": "1.0",
                "iss": f"{ENTRA_V1}/{TID}/",
                "aud": "api://books",
                "azp": ...,
                "azpacr": ...,
                "appid": CLIENT,
                "appidacr": "1",
                "scp": "user_impersonation",
                "unique_name": "alice@example.com",
            },
        ),
        scopes=frozenset({"user_impersonation"}),
        roles=frozenset({"Librarian"}),
        tenants=({"iss": f"{ENTRA_V1}/{OTHER_TID}/", "tid": OTHER_TID},),
        clients=({"appid": OTHER_TID},),
        client={"client_id": CLIENT},
        id_tokens=({"appid": ..., "appidacr": ..., "scp": ...}, {"ver": "2.0"}),
        demanded=("appid", "ver", "aud", "sub"),
        header={"typ": "JWT", "x5t": "k1"},
    ),
    "entra_multi_tenant": Shape(
        {"tenants": {TID}, "audience": APP},
        _ENTRA,
        scopes=frozenset({"Books.Read", "Books.Write"}),
        roles=frozenset({"Librarian"}),
        others=(({"tid": ...}, "u1"),),
        tenants=(
            {"iss": f"{ENTRA}/{OTHER_TID}/v2.0", "tid": OTHER_TID},
            {"iss": f"{ENTRA}/{CONSUMERS}/v2.0", "tid": CONSUMERS},
            {"tid": OTHER_TID},
            {"iss": f"{ENTRA}/{{tenantid}}/v2.0"},
        ),
        clients=({"azp": OTHER_TID},),
        client={"client_id": CLIENT},
        id_tokens=(_ENTRA_ID,),
        demanded=("azp", "ver", "aud", "sub"),
    ),
    "entra_b2c": Shape(
        {"tenant": "acme", "tenant_id": TID, "user_flow": "B2C_1_signin", "audience": APP},
        {
            "iss": f"https://acme.b2clogin.com/{TID}/v2.0/",
            "aud": APP,
            "azp": CLIENT,
            "tfp": "B2C_1_signin",
            "scp": "read write",
            "nonce": "n",
            "ver": "1.0",
            "nbf": 1,
            "auth_time": 1,
            "sub": "u1",
        },
        scopes=frozenset({"read", "write"}),
        tenants=(
            {"iss": f"https://acme.b2clogin.com/{OTHER_TID}/v2.0/"},
            {"tfp": "B2C_1_password_reset"},
            {"tfp": "b2c_1_signin"},
        ),
        clients=({"azp": OTHER_TID},),
        client={"client_id": CLIENT},
        id_tokens=({"scp": ..., "azp": ...}, {"scp": ..., "azp": ..., "nonce": ...}),
        demanded=("scp", "tfp", "aud", "sub"),
    ),
    "keycloak": Shape(
        {"url": "https://sso.example.com", "realm": "staff", "audience": "books"},
        {
            "iss": "https://sso.example.com/realms/staff",
            "aud": ["books", "account"],
            "azp": "web",
            "typ": "Bearer",
            "sub": "u1",
            "sid": "s1",
            "acr": "1",
            "jti": "j",
            "allowed-origins": ["https://app.example.com"],
            "scope": "openid email",
            "realm_access": {"roles": ["librarian", "offline_access"]},
            "resource_access": {"books": {"roles": ["editor"]}, "account": {"roles": ["manage-account"]}},
        },
        scopes=frozenset({"openid", "email"}),
        roles=frozenset({"librarian", "offline_access", "editor"}),
        tenants=({"iss": "https://sso.example.com/realms/other"}, {"iss": "https://sso.example.com/realms/staff/"}),
        clients=({"azp": "other"},),
        client={"client_id": "web"},
        id_tokens=(
            {"typ": "ID", "at_hash": "h", "nonce": "n", "scope": ...},
            {"typ": "ID", "scope": ...},
            {"typ": "Refresh"},
            {"typ": "Offline"},
            {"typ": "DPoP", "cnf": {"jkt": "t"}},
        ),
        demanded=("typ", "aud", "sub"),
    ),
    "cognito": Shape(
        {"region": "eu-west-1", "user_pool_id": "eu-west-1_Ex4mple", "client_id": "c1"},
        {
            "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ex4mple",
            "sub": "u1",
            "token_use": "access",
            "client_id": "c1",
            "scope": "openid books/read",
            "cognito:groups": ["librarians"],
            "auth_time": 1,
            "origin_jti": "o",
            "jti": "j",
            "username": "alice",
            "version": 2,
        },
        scopes=frozenset({"openid", "books/read"}),
        roles=frozenset({"librarians"}),
        tenants=(
            {"iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Other"},
            {"iss": "https://issuer.cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ex4mple"},
        ),
        clients=({"client_id": "c2"}, {"aud": API}),
        id_tokens=(
            {"token_use": "id", "aud": "c1", "client_id": ..., "scope": ...},
            {"token_use": "id"},
            {"aud": "c1", "at_hash": "h"},
        ),
        demanded=("token_use", "client_id", "sub"),
        header={},
    ),
    "google": Shape(
        {"audience": "c1.apps.googleusercontent.com", "accept_id_tokens": True},
        {
            "iss": "https://accounts.google.com",
            "azp": "c1.apps.googleusercontent.com",
            "aud": "c1.apps.googleusercontent.com",
            "sub": "110",
            "hd": "example.com",
            "email": "a@example.com",
            "email_verified": True,
            "at_hash": "h",
        },
        identity="110",
        others=(({"iss": "accounts.google.com"}, "110"), ({"nonce": "n", "hd": ...}, "110")),
        tenants=({"iss": "https://accounts.google.com/"}, {"iss": "http://accounts.google.com"}),
        clients=({"aud": "c2.apps.googleusercontent.com"},),
        demanded=("aud", "sub"),
    ),
    "okta": Shape(
        {"domain": "acme.okta.com", "authorization_server": "default", "audience": "api://books"},
        {
            "ver": 1,
            "jti": "AT.x",
            "iss": "https://acme.okta.com/oauth2/default",
            "aud": "api://books",
            "cid": "c1",
            "uid": "00u1",
            "scp": ["openid", "books.read"],
            "groups": ["librarians"],
            "sub": "alice@example.com",
        },
        identity="00u1",
        scopes=frozenset({"openid", "books.read"}),
        roles=frozenset({"librarians"}),
        others=(({"uid": ..., "sub": "c1", "groups": ...}, "c1"),),
        tenants=({"iss": "https://acme.okta.com"}, {"iss": "https://acme.okta.com/oauth2/other"}),
        clients=({"cid": "c2"},),
        client={"client_id": "c1"},
        id_tokens=(
            {"aud": "c1", "cid": ..., "uid": ..., "scp": ..., "jti": "ID.x", "nonce": "n"},
            {"cid": ..., "uid": ..., "scp": ..., "jti": "ID.x"},
        ),
        demanded=("cid", "scp", "aud"),
        header={},
    ),
    "github_actions": Shape(
        {"audience": API, "repository_id": "42", "repository_owner_id": "7"},
        {
            "iss": "https://token.actions.githubusercontent.com",
            "aud": API,
            "sub": "repo:acme/books:ref:refs/heads/main",
            "repository": "acme/books",
            "repository_id": "42",
            "repository_owner": "acme",
            "repository_owner_id": "7",
            "ref": "refs/heads/main",
            "event_name": "push",
            "job_workflow_ref": "acme/books/.github/workflows/d.yml@refs/heads/main",
            "runner_environment": "github-hosted",
            "jti": "j",
            "nbf": 1,
        },
        identity="repo:acme/books:ref:refs/heads/main",
        tenants=({"repository_owner_id": "8", "repository_owner": "mallory"}, {"repository_owner_id": 7}),
        clients=({"repository_id": "43"}, {"repository_id": ["42"]}, {"aud": "https://github.com/acme"}),
        demanded=("repository_id", "repository_owner_id", "aud", "sub"),
    ),
    "gitlab_ci": Shape(
        {"host": "gitlab.com", "audience": API, "project_id": "20"},
        {
            "iss": "https://gitlab.com",
            "aud": API,
            "sub": "project_path:acme/books:ref_type:branch:ref:main",
            "project_id": "20",
            "project_path": "acme/books",
            "namespace_id": "72",
            "namespace_path": "acme",
            "user_id": "1",
            "user_identities": [{"provider": "github", "extern_uid": "2"}],
            "ref": "main",
            "ref_type": "branch",
            "ref_protected": "true",
            "runner_id": 1,
            "ci_config_sha": None,
            "groups_direct": ["acme"],
            "jti": "j",
            "nbf": 1,
        },
        identity="project_path:acme/books:ref_type:branch:ref:main",
        tenants=({"iss": "https://gitlab.example.com"},),
        clients=({"project_id": "21"}, {"project_id": 20}, {"aud": "https://gitlab.com"}),
        demanded=("project_id", "aud", "sub"),
    ),
    "kubernetes": Shape(
        {"issuer": "https://k8s.example.com", "audience": "books", "namespace": "shop", "service_account": "web"},
        {
            "iss": "https://k8s.example.com",
            "aud": ["books"],
            "sub": "system:serviceaccount:shop:web",
            "kubernetes.io": {
                "namespace": "shop",
                "pod": {"name": "web-1", "uid": "p"},
                "serviceaccount": {"name": "web", "uid": "v"},
                "warnafter": 5,
            },
            "nbf": 1,
            "jti": "j",
        },
        identity="system:serviceaccount:shop:web",
        tenants=(
            {"iss": "https://other.example.com"},
            {"kubernetes.io": {"namespace": "other", "serviceaccount": {"name": "web"}}},
        ),
        clients=(
            {"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "other"}}},
            {"aud": ["https://k8s.example.com"]},
        ),
        demanded=(("kubernetes.io", "namespace"), ("kubernetes.io", "serviceaccount", "name"), "aud", "sub"),
        header={},
    ),
    "firebase": Shape(
        {"project_id": "shop-1", "accept_id_tokens": True},
        {
            "iss": "https://securetoken.google.com/shop-1",
            "aud": "shop-1",
            "auth_time": 1,
            "user_id": "u1",
            "sub": "u1",
            "email": "a@example.com",
            "email_verified": False,
            "firebase": {"identities": {"email": ["a@example.com"]}, "sign_in_provider": "password", "tenant": "t1"},
            "roles": ["librarian"],
        },
        roles=frozenset({"librarian"}),
        tenants=(
            {"iss": "https://securetoken.google.com/shop-2", "aud": "shop-2"},
            {"iss": "https://session.firebase.google.com/shop-1"},
        ),
        clients=({"aud": "shop-2"}, {"firebase": {"sign_in_provider": "password", "tenant": "t2"}}),
        client={"tenant": "t1"},
        id_tokens=({"firebase": ..., "auth_time": ...},),  # of a service account, say
        demanded=("auth_time", ("firebase", "sign_in_provider"), "aud", "sub"),
    ),
    "supabase": Shape(
        {"project": "abcdefgh"},
        {
            "iss": "https://abcdefgh.supabase.co/auth/v1",
            "aud": "authenticated",
            "sub": "u1",
            "role": "authenticated",
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": 1}],
            "session_id": "s1",
            "email": "a@example.com",
            "phone": "",
            "is_anonymous": False,
            "app_metadata": {"provider": "email", "roles": ["librarian"]},
            "user_metadata": {"roles": ["admin"]},
        },
        roles=frozenset({"librarian"}),
        tenants=(
            {"iss": "https://ijklmnop.supabase.co/auth/v1"},
            {"iss": "supabase", "role": "service_role", "aud": ..., "sub": ..., "session_id": ...},
        ),
        clients=({"role": "service_role"}, {"role": "anon"}, {"aud": "anon"}),
        demanded=("role", "session_id", "aud", "sub"),
        algorithm="ES256",
    ),
    "clerk": Shape(
        {"frontend_api": "clerk.example.com", "authorized_parties": ["https://app.example.com", "https://example.com"]},
        {
            "iss": "https://clerk.example.com",
            "azp": "https://app.example.com",
            "sub": "u1",
            "sid": "sess_1",
            "v": 2,
            "fva": [7, -1],
            "o": {"id": "org_1", "slg": "acme", "rol": "admin", "per": "read,manage", "fpm": "3"},
            "nbf": 1,
            "jti": "j",
        },
        roles=frozenset({"admin"}),
        others=(({"v": ..., "o": ..., "org_role": ..., "azp": "https://example.com"}, "u1"),),
        tenants=({"iss": "https://clerk.other.example"},),
        clients=({"azp": "https://evil.example"}, {"azp": "https://app.example.com.evil.example"}),
        id_tokens=({"sid": ..., "aud": API}, {"sid": ...}),  # made from a template of one's own
        demanded=("azp", "sid", "sub"),
        header={"typ": "JWT", "cat": "cl_1"},
    ),
    "zitadel": Shape(
        {"domain": "id.example.com", "audience": "100"},
        {
            "iss": "https://id.example.com",
            "aud": ["42@books", "100"],
            "azp": "42@books",
            "sub": "7",
            "jti": "j",
            "nbf": 1,
            "urn:zitadel:iam:org:project:roles": {"guest": {"9": "acme.example"}},
            "urn:zitadel:iam:org:project:100:roles": {"librarian": {"9": "acme.example"}},
        },
        identity="7",
        roles=frozenset({"librarian"}),
        others=(({"urn:zitadel:iam:org:project:100:roles": None}, "7"),),
        tenants=({"iss": "https://other.example.com"},),
        clients=({"aud": ["43@other", "101"]}, {"azp": "43@books"}),
        client={"client_id": "42@books"},
        id_tokens=({"jti": ..., "nonce": "n", "auth_time": 1}, {"jti": ..., "auth_time": 1, "amr": ["pwd"]}),
        demanded=("jti", "aud", "sub"),
    ),
    "ory": Shape(
        {"issuer": "https://acme.projects.oryapis.com", "client_id": "c1"},
        {
            "iss": "https://acme.projects.oryapis.com",
            "aud": [],
            "client_id": "c1",
            "sub": "u1",
            "scp": ["books.read"],
            "ext": {"roles": ["librarian"]},
            "jti": "j",
            "nbf": 1,
        },
        scopes=frozenset({"books.read"}),
        roles=frozenset({"librarian"}),
        others=(({"scp": ..., "scope": "books.read"}, "u1"), ({"aud": ...}, "u1")),
        tenants=({"iss": "https://other.projects.oryapis.com"},),
        clients=({"client_id": "c2"}, {"aud": [API]}),
        id_tokens=({"aud": ["c1"], "client_id": ..., "scp": ..., "at_hash": "h"}, {"client_id": ..., "scp": ...}),
        demanded=("client_id", "sub"),
    ),
    "cloudflare_access": Shape(
        {"team": "acme", "audience": "32ea"},
        {
            "iss": "https://acme.cloudflareaccess.com",
            "aud": ["32ea"],
            "email": "a@example.com",
            "type": "app",
            "identity_nonce": "n",
            "sub": "u1",
            "country": "CH",
            "nbf": 1,
        },
        others=(({"sub": "", "common_name": "e367.access", "email": ..., "identity_nonce": ...}, "e367.access"),),
        tenants=({"iss": "https://other.cloudflareaccess.com"},),
        clients=({"aud": ["99ff"]},),
        id_tokens=({"type": "org"},),
        demanded=("type", "aud", "sub"),
    ),
    "google_iap": Shape(
        {"audience": "/projects/1/global/backendServices/2"},
        {
            "iss": "https://cloud.google.com/iap",
            "aud": "/projects/1/global/backendServices/2",
            "sub": "accounts.google.com:3",
            "email": "a@example.com",
            "hd": "example.com",
        },
        identity="accounts.google.com:3",
        tenants=({"iss": "https://accounts.google.com"},),
        clients=({"aud": "/projects/9/global/backendServices/2"},),
        demanded=("email", "aud", "sub"),
        algorithm="ES256",
    ),
    "apple": Shape(
        {"audience": "com.example.app", "accept_id_tokens": True},
        {
            "iss": "https://appleid.apple.com",
            "aud": "com.example.app",
            "sub": "000.ab.1",
            "nonce": "n",
            "nonce_supported": True,
            "email": "x@privaterelay.example",
            "email_verified": "true",
            "is_private_email": "true",
            "auth_time": 1,
            "c_hash": "h",
        },
        identity="000.ab.1",
        tenants=({"iss": "https://appleid.apple.com/"},),
        clients=({"aud": "com.example.other"},),
        demanded=("aud", "sub"),
    ),
    "spring": Shape(
        {"issuer": "https://auth.example.com", "audience": ["web", "batch"]},
        {
            "iss": "https://auth.example.com",
            "sub": "alice",
            "aud": ["web"],
            "nbf": 1,
            "scope": ["books.read", "openid"],
            "jti": "j",
        },
        identity="alice",
        scopes=frozenset({"books.read", "openid"}),
        others=(({"scope": ...}, "alice"), ({"aud": "batch", "sub": "batch"}, "batch")),
        tenants=({"iss": "https://auth.example.com/other"},),
        clients=({"aud": ["other"]},),
        id_tokens=(
            {"nbf": ..., "scope": ..., "azp": "web", "auth_time": 1, "sid": "s", "nonce": "n"},
            {"nbf": ..., "scope": ..., "azp": "web", "auth_time": 1, "sid": "s"},
        ),
        demanded=("nbf", "aud", "sub"),
        header={},
    ),
    "duende": Shape(
        {"issuer": "https://id.example.com", "audience": "books"},
        {
            "iss": "https://id.example.com",
            "nbf": 1,
            "client_id": "web",
            "sub": "7",
            "auth_time": 1,
            "idp": "local",
            "aud": "books",
            "scope": ["openid", "books.read"],
            "role": ["librarian"],
            "amr": ["pwd"],
            "sid": "s",
            "jti": "j",
        },
        identity="7",
        scopes=frozenset({"openid", "books.read"}),
        roles=frozenset({"librarian"}),
        others=(
            ({"sub": ..., "auth_time": ..., "idp": ..., "amr": ..., "sid": ..., "role": ...}, "web"),
            ({"scope": "openid books.read", "role": "librarian"}, "7"),
        ),
        tenants=({"iss": "https://id.example.com/"},),
        clients=({"aud": "https://id.example.com/resources"}, {"client_id": "other"}),
        client={"client_id": "web"},
        id_tokens=({"aud": "web", "client_id": ..., "scope": ..., "at_hash": "h"}, {"client_id": ..., "scope": ...}),
        demanded=("client_id", "aud"),
        header={"typ": "at+jwt"},
    ),
    "workos": Shape(
        {"client_id": "client_1"},
        {
            "iss": "https://api.workos.com/user_management/client_1",
            "sub": "u1",
            "sid": "session_1",
            "jti": "j",
            "org_id": "org_1",
            "role": "member",
            "roles": ["member", "editor"],
            "permissions": ["books:read"],
            "entitlements": ["audit-logs"],
        },
        scopes=frozenset({"books:read"}),
        roles=frozenset({"member", "editor"}),
        others=(({"iss": "https://api.workos.com"}, "u1"), ({"iss": "https://api.workos.com/"}, "u1")),
        tenants=({"iss": "https://api.workos.com/user_management/client_2"},),
        clients=({"aud": "client_2"},),
        id_tokens=({"sid": ..., "aud": "client_1"}, {"sid": ...}),
        demanded=("sid", "sub"),
    ),
    "kinde": Shape(
        {"domain": "acme.kinde.com", "client_id": "c1"},
        {
            "iss": "https://acme.kinde.com",
            "aud": [],
            "azp": "c1",
            "sub": "kp_1",
            "org_code": "org_1",
            "scp": ["openid"],
            "permissions": ["books:read"],
            "feature_flags": {"theme": {"t": "s", "v": "pink"}},
            "jti": "j",
        },
        identity="kp_1",
        scopes=frozenset({"openid"}),
        others=(({"sub": ..., "gty": ["client_credentials"], "v": "2", "scope": "openid", "permissions": ...}, "c1"),),
        tenants=({"iss": "https://other.kinde.com"},),
        clients=({"azp": "c2"}, {"aud": ["books"]}),
        id_tokens=(
            {"aud": ["https://acme.kinde.com"], "scp": ..., "permissions": ..., "at_hash": "h", "auth_time": 1},
            {"scp": ..., "permissions": ...},
        ),
        demanded=("azp", "scp"),
    ),
}
