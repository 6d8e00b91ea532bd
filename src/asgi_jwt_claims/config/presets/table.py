"""The table of identity providers for `JWTConfig.for_provider`: data only, each fact with its source.

Numbers in brackets name the sources at the end of this module. In texts, `{name}` is an argument of `for_provider`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .settings import Provider

__all__ = ["PROVIDERS", "UNSUPPORTED"]

_ENTRA: Final = "https://login.microsoftonline.com"
_ENTRA_HINT: Final = "audience is the application ID of the API in v2.0 tokens; the API's manifest decides the version"
_CI_HINT: Final = (
    "every account of the provider gets tokens for any audience, so the owner or the project must be named"
)

PROVIDERS: Final[Mapping[str, Provider]] = {
    "auth0": Provider(
        issuer="https://{domain}/",  # [1]
        needs=("domain", "audience"),  # [1]
        present=("azp",),  # [1], not in the RFC 9068 profile
        claims={"azp": "{client_id}"},  # [1]
        scopes=("scope",),  # [1]; `permissions` is what the user has, not what the client was granted [2]
        hint="audience is the identifier of the API; without one, Auth0 issues opaque tokens",
    ),
    "auth0_rfc9068": Provider(
        issuer="https://{domain}/",  # [1]
        needs=("domain", "audience"),  # [1]
        present=("client_id",),  # [1]
        claims={"client_id": "{client_id}"},  # [1]
        scopes=("scope",),  # [1]
        hint="audience is the identifier of the API; without one, Auth0 issues opaque tokens",
    ),
    "entra": Provider(
        issuer=f"{_ENTRA}/{{tenant_id}}/v2.0",  # [4]
        needs=("tenant_id", "audience"),  # [3]
        present=("azp",),  # [3], absent from the claims of ID tokens [5]
        one_of=("scp", "roles"),  # [3]; an application without permissions has neither
        claims={"ver": "2.0", "azp": "{client_id}"},  # [3]
        scopes=("scp",),  # [3]
        roles=("roles",),  # [3]
        hint=_ENTRA_HINT,
    ),
    "entra_v1": Provider(
        issuer="https://sts.windows.net/{tenant_id}/",  # [4]
        needs=("tenant_id", "audience"),  # [3]
        keys=f"{_ENTRA}/{{tenant_id}}/discovery/keys",  # [4]
        present=("appid",),  # [3]
        one_of=("scp", "roles"),  # [3]; an application without permissions has neither
        claims={"ver": "1.0", "appid": "{client_id}"},  # [3]
        scopes=("scp",),  # [3]
        roles=("roles",),  # [3]
        hint=_ENTRA_HINT,
    ),
    "entra_multi_tenant": Provider(
        issuer=f"{_ENTRA}/{{{{tid}}}}/v2.0",  # [4]
        needs=("tenants", "audience"),  # [4]
        keys=f"{_ENTRA}/common/discovery/v2.0/keys",  # [4]
        present=("azp",),  # [3] [5]
        one_of=("scp", "roles"),  # [3]; an application without permissions has neither
        claims={"ver": "2.0", "azp": "{client_id}"},  # [3]
        scopes=("scp",),  # [3]
        roles=("roles",),  # [3]
        hint="tenants are the GUIDs of the directories to accept, or a function that says whether to accept one",
    ),
    "entra_b2c": Provider(
        issuer="https://{tenant}.b2clogin.com/{tenant_id}/v2.0/",  # [6]
        needs=("tenant", "tenant_id", "user_flow", "audience"),  # [6]
        keys="https://{tenant}.b2clogin.com/{tenant}.onmicrosoft.com/{user_flow}/discovery/v2.0/keys",  # [6]
        present=("scp",),  # [6] [7]
        claims={"tfp": "{user_flow}", "azp": "{client_id}"},  # [6]
        scopes=("scp",),  # [6] [7]
        hint="user_flow is the policy, spelled as in the claim tfp",
    ),
    "keycloak": Provider(
        issuer="{url}/realms/{realm}",  # [10]
        needs=("url", "realm", "audience"),  # [10]
        algorithms=(),
        claims={"typ": "Bearer", "azp": "{client_id}"},  # [8]
        scopes=("scope",),  # [9]
        roles=(("realm_access", "roles"), ("resource_access", "{audience}", "roles")),  # [9]
        refused=(("audience", "account", "nearly every token of a realm names it"),),  # [10]
        hint="audience is what an Audience mapper in a client scope writes; by default Keycloak does not name your API",
    ),
    "cognito": Provider(
        issuer="https://cognito-idp.{region}.amazonaws.com/{user_pool_id}",  # [11]
        needs=("region", "user_pool_id", "client_id"),  # [11] [12]
        claims={"token_use": "access", "client_id": "{client_id}"},  # [11] [12]
        scopes=("scope",),  # [11]
        roles=("cognito:groups",),  # [11]
        hint="access tokens name the app client in client_id, and have no aud unless a resource was asked for",
    ),
    "google": Provider(
        issuer="https://accounts.google.com",  # [13]
        needs=("audience",),  # [14]
        aliases=("accounts.google.com",),  # [13] [14]
        claims={"hd": "{hosted_domain}"},  # [14]
        only_id_tokens=True,  # [14]
        hint="audience is your client ID; hosted_domain admits members of one Google Workspace only",
    ),
    "okta": Provider(
        issuer="https://{domain}/oauth2/{authorization_server}",  # [15]
        needs=("domain", "authorization_server", "audience"),  # [15] [16]
        present=("cid", "scp"),  # [15] [16]
        claims={"cid": "{client_id}"},  # [15]
        scopes=("scp",),  # [15]
        roles=("groups",),  # [17], where such a claim has been configured
        identity=("uid", "sub"),  # [15]; sub is a login name, which can pass to another person [17]
        hint='authorization_server is a custom one, such as "default"; tokens of the org server are for Okta alone [16]',
    ),
    "github_actions": Provider(
        issuer="https://token.actions.githubusercontent.com",  # [18]
        needs=("audience", ("repository", "repository_id", "repository_owner", "repository_owner_id")),  # [18]
        claims={
            "repository": "{repository}",  # [18]
            "repository_id": "{repository_id}",  # [18]
            "repository_owner": "{repository_owner}",  # [18]
            "repository_owner_id": "{repository_owner_id}",  # [18]
        },
        hint=_CI_HINT,  # [18]
    ),
    "gitlab_ci": Provider(
        issuer="https://{host}",  # [19]
        needs=("host", "audience", ("project_id", "project_path", "namespace_id", "namespace_path")),  # [19] [20]
        claims={
            "project_id": "{project_id}",  # [19]
            "project_path": "{project_path}",  # [19]
            "namespace_id": "{namespace_id}",  # [19]
            "namespace_path": "{namespace_path}",  # [19]
        },
        hint=_CI_HINT,  # [19]
    ),
    "kubernetes": Provider(
        issuer="{issuer}",  # [22]
        needs=("issuer", "audience", "namespace"),  # [21] [23]
        algorithms=("RS256", "ES256", "ES384", "ES512"),  # [22]
        claims={
            ("kubernetes.io", "namespace"): "{namespace}",  # [21]
            ("kubernetes.io", "serviceaccount", "name"): "{service_account}",  # [21]
        },
        refused=(
            ("audience", "{issuer}", "it is the API server, whose tokens every pod has"),  # [23]
            ("audience", "https://kubernetes.default.svc", "it is the API server, whose tokens every pod has"),
            (
                "audience",
                "https://kubernetes.default.svc.cluster.local",
                "it is the API server, whose tokens every pod has",
            ),
        ),
        hint="audience is that of the projected volume, your own and not the API server's",
    ),
    "firebase": Provider(
        issuer="https://securetoken.google.com/{project_id}",  # [24]
        needs=("project_id",),  # [24]
        keys="https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com",  # [25]
        audience="{project_id}",  # [24]
        present=("auth_time", ("firebase", "sign_in_provider")),  # [24]
        claims={("firebase", "tenant"): "{tenant}"},  # [24]
        only_id_tokens=True,  # [24]
        hint="project_id names the project in text, not its number",
    ),
    "supabase": Provider(
        issuer="https://{project}.supabase.co/auth/v1",  # [26]
        needs=("project",),  # [26]
        keys="https://{project}.supabase.co/auth/v1/.well-known/jwks.json",  # [27]
        algorithms=("ES256", "RS256"),  # [27]
        audience="authenticated",  # [26]
        present=("session_id",),  # [26]
        claims={"role": "authenticated"},  # [26]
        roles=(("app_metadata", "roles"),),  # unconfirmed: an access token hook of your own writes it
        settings={"session_claim": "session_id"},  # [26]
        refused=(
            ("roles_claim", "user_metadata", "users write it themselves"),  # [26]
            ("scope_claim", "user_metadata", "users write it themselves"),  # [26]
            ("identity_claim", "user_metadata", "users write it themselves"),  # [26]
        ),
        hint="project is the reference in the host name of the project",
    ),
    "clerk": Provider(
        issuer="https://{frontend_api}",  # [28]
        needs=("frontend_api", "authorized_parties"),  # [28] [29]
        keys="https://{frontend_api}/.well-known/jwks.json",  # [29]
        present=("sid",),  # [28], absent from tokens of JWT templates
        claims={"azp": "{authorized_parties}"},  # [28] [29]
        scopes=("org_permissions",),  # [28], version 1; those of version 2 are packed
        roles=(("o", "rol"), "org_role"),  # [28], versions 2 and 1
        hint="authorized_parties are the origins of your pages, such as https://app.example.com",
    ),
    "zitadel": Provider(
        issuer="https://{domain}",  # [30]
        needs=("domain", "audience"),  # [30]
        algorithms=(),
        present=("jti",),  # [30], not in ID tokens, which have the same aud
        claims={"azp": "{client_id}"},  # [30]
        roles=("urn:zitadel:iam:org:project:{audience}:roles",),  # [30] [31]
        hint="audience is the ID of the project, whose roles are read",
    ),
    "ory": Provider(
        issuer="{issuer}",  # [32]
        needs=("issuer", ("audience", "client_id")),  # [32] [34]
        algorithms=(),
        present=("client_id",),  # [33]
        claims={"client_id": "{client_id}"},  # [33]
        scopes=("scp", "scope"),  # [32], an array or a string, as set at the server
        roles=(("ext", "roles"),),  # [32], what the consent application writes
        hint="access tokens must be switched to JWT, and aud is empty unless the client asked for an audience",
    ),
    "cloudflare_access": Provider(
        issuer="https://{team}.cloudflareaccess.com",  # [35]
        needs=("team", "audience"),  # [35] [36]
        keys="https://{team}.cloudflareaccess.com/cdn-cgi/access/certs",  # [36]
        claims={"type": "app"},  # [35]
        identity=("sub", "common_name"),  # [35], sub is empty for service tokens
        hint="audience is the AUD tag of the application",
    ),
    "google_iap": Provider(
        issuer="https://cloud.google.com/iap",  # [37]
        needs=("audience",),  # [37]
        keys="https://www.gstatic.com/iap/verify/public_key-jwk",  # [37]
        algorithms=("ES256",),  # [37]
        present=("email",),  # [37]
        settings={"leeway": 30, "max_lifetime": 660},  # [37]
        hint="audience is the path of the backend, such as /projects/1/global/backendServices/2",
    ),
    "apple": Provider(
        issuer="https://appleid.apple.com",  # [38]
        needs=("audience",),  # [38]
        keys="https://appleid.apple.com/auth/keys",  # [39]
        only_id_tokens=True,  # [38]
        hint="audience is your client ID: a bundle ID or a services ID",
    ),
    "spring": Provider(
        issuer="{issuer}",  # [40]
        needs=("issuer", "audience"),  # [40]
        algorithms=(),
        present=("nbf",),  # [40], not in ID tokens, which have the same aud
        scopes=("scope",),  # [40]
        hint="audience is the client ID of the client that calls you, or a list of such IDs",
    ),
    "duende": Provider(
        issuer="{issuer}",  # [41]
        needs=("issuer", ("audience", "client_id")),  # [42]
        algorithms=(),
        present=("client_id",),  # [41]
        claims={"client_id": "{client_id}"},  # [41]
        scopes=("scope",),  # [41]
        roles=("role",),  # unconfirmed: user claims of the ApiResource
        identity=("sub", "client_id"),  # unconfirmed for machines, whose tokens have no sub
        hint="audience is the name of the ApiResource; without one, access tokens have no aud",
    ),
    "workos": Provider(
        issuer="https://api.workos.com/user_management/{client_id}",  # [44]
        needs=("client_id",),  # [43]
        aliases=("https://api.workos.com", "https://api.workos.com/"),  # [43]
        keys="https://api.workos.com/sso/jwks/{client_id}",  # [43], one set for each client
        keys_name_client=True,  # [43]
        present=("sid",),  # [43]
        scopes=("permissions",),  # [43]
        roles=("roles", "role"),  # [43]
        hint="client_id begins with client_",
    ),
    "kinde": Provider(
        issuer="https://{domain}",  # [45]
        needs=("domain", ("audience", "client_id")),  # [45]
        present=("azp", "scp"),  # [45] [46], scp is not in ID tokens [47]
        claims={"azp": "{client_id}"},  # [45] [46]
        scopes=("scp",),  # [45] [46]; `permissions` is what the user has, not what the client was granted
        identity=("sub", "azp"),  # [45] [46], tokens of machines have no sub
        hint="audience is that of the API; aud is empty unless the client asked for it",
    ),
}

UNSUPPORTED: Final[Mapping[str, str]] = {
    "aws_alb": "the header x-amzn-oidc-data of AWS load balancers has padding in the signed text, which RFC 7515 section 2 "
    "forbids, one PEM per kid in place of a JWK Set, and no aud; verify the token in x-amzn-oidc-accesstoken instead, with "
    "the preset of the provider behind the load balancer",  # [48]
    "adfs": "no documentation of its access tokens could be confirmed; write for_issuer(..., jwks=RemoteKeySet(url))",
    "uaa": "its refresh tokens are JWTs of the same keys, issuer, scopes and audience, and what tells them apart differs "
    "between versions; write for_issuer(..., required_claims={...}) for yours",  # [49]
    "okta_org": "tokens of Okta's org authorization server are for Okta alone; use a custom authorization server",  # [16]
}
"""Tokens that no row can express, with the reason."""

# [1] https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles
# [2] https://auth0.com/docs/get-started/apis/enable-role-based-access-control-for-apis
# [3] https://github.com/MicrosoftDocs/entra-docs docs/identity-platform/access-token-claims-reference.md
# [4] https://github.com/MicrosoftDocs/entra-docs docs/identity-platform/access-tokens.md
# [5] https://github.com/MicrosoftDocs/entra-docs docs/identity-platform/id-token-claims-reference.md
# [6] https://github.com/MicrosoftDocs/azure-docs articles/active-directory-b2c/tokens-overview.md
# [7] https://github.com/MicrosoftDocs/azure-docs articles/active-directory-b2c/access-tokens.md
# [8] https://github.com/keycloak/keycloak core/src/main/java/org/keycloak/util/TokenUtil.java
# [9] https://github.com/keycloak/keycloak core/src/main/java/org/keycloak/representations/AccessToken.java
# [10] https://phasetwo.io/tutorials/clients/audience/ (third party)
# [11] https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html
# [12] https://github.com/awslabs/aws-jwt-verify README.md
# [13] https://github.com/googleapis/google-auth-library-python google/oauth2/id_token.py
# [14] https://developers.google.com/identity/gsi/web/guides/verify-google-id-token
# [15] https://github.com/okta/okta-developer-docs packages/@okta/vuepress-site/docs/reference/api/oidc/index.md
# [16] https://github.com/okta/okta-developer-docs packages/@okta/vuepress-site/docs/guides/validate-access-tokens/main/index.md
# [17] https://www.pulumi.com/registry/packages/okta/api-docs/authserverclaimdefault/ (third party)
# [18] https://docs.github.com/en/actions/reference/security/oidc
# [19] https://docs.gitlab.com/ci/secrets/id_token_authentication
# [20] https://gitlab.com/gitlab-org/gitlab/-/work_items/563038
# [21] https://github.com/kubernetes/kubernetes pkg/serviceaccount/claims.go
# [22] https://github.com/kubernetes/kubernetes pkg/serviceaccount/jwt.go
# [23] https://docs.rs/k8s-openapi ServiceAccountTokenProjection.audience (text of the API reference)
# [24] https://github.com/firebase/firebase-admin-node src/auth/token-verifier.ts
# [25] programs of third parties; the certificates of the same keys are those of [24]
# [26] https://supabase.com/docs/guides/auth/jwt-fields
# [27] https://supabase.com/docs/guides/auth/signing-keys
# [28] https://github.com/clerk/clerk-docs docs/guides/sessions/session-tokens.mdx
# [29] https://github.com/clerk/clerk-docs docs/guides/sessions/manual-jwt-verification.mdx
# [30] https://zitadel.com/docs/apis/openidoauth/claims
# [31] https://zitadel.com/docs/guides/integrate/retrieve-user-roles
# [32] https://github.com/ory/docs docs/oauth2-oidc/jwt-access-token.mdx
# [33] https://github.com/ory/hydra oauth2/session.go
# [34] https://github.com/ory/fosite token/jwt/claims_jwt.go
# [35] https://github.com/cloudflare/cloudflare-docs src/content/docs/cloudflare-one/identity/authorization-cookie/application-token.mdx
# [36] https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/validating-json/
# [37] https://docs.cloud.google.com/iap/docs/signed-headers-howto
# [38] https://developer.apple.com/documentation/signinwithapplejs/authorizationi/id_token
# [39] https://docs.rs/siwa (third party)
# [40] https://github.com/spring-projects/spring-authorization-server JwtGenerator.java in .../server/authorization/token
# [41] https://github.com/DuendeSoftware/docs.duendesoftware.com astro/src/content/docs/identityserver/reference/options.md
# [42] https://docs.duendesoftware.com/identityserver/fundamentals/resources/api-resources
# [43] https://workos.com/docs/reference/authkit/session-tokens
# [44] https://github.com/hexclave/hexclave/pull/1905 (third party)
# [45] https://github.com/kinde-oss/documentation src/content/docs/build/tokens/about-access-tokens.mdx
# [46] https://docs.kinde.com/machine-to-machine-applications/about-m2m/token-structure-and-claims-for-m2m-applications
# [47] https://docs.kinde.com/build/tokens/about-id-tokens
# [48] https://wolfman.dev/posts/aws-alb-jwts (third party, quotes AWS)
# [49] https://github.com/cloudfoundry/uaa docs/UAA-Tokens.md
