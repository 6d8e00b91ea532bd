"""`AuthorizationServer`: tell clients and resource servers what an application offers that issues tokens (RFC 8414)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.config import check_config
from asgi_jwt_claims.errors import SettingError

from ._metadata import MetadataDocument, check_further, check_url, read_scopes, well_known

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig

__all__ = ["AuthorizationServer"]

_PUBLIC = ("none",)  # RFC 7591 section 2: a client without a secret


class AuthorizationServer(MetadataDocument):
    """The metadata of this application as an authorization server (RFC 8414 section 2). Immutable.

    An ASGI application, to be mounted at its `path`. Resource servers find the keys by it
    (`JWTConfig.for_issuer`), and clients where to refresh tokens and to log out.

    Args:
        config: The configuration that mints the tokens, whose `issuer` is an https URL; http on loopback.
        token_endpoints: The URL at which `TokenEndpoints` are mounted. None if the application has other endpoints, and
            names its `token_endpoint` itself.
        jwks_uri: The URL of the `JWKSEndpoint`; None if tokens are signed with a secret.
        scopes: The scopes that clients can ask for, published as `scopes_supported`; a str is split at spaces.
        max_age: How long the metadata may be cached, a `timedelta` or seconds.
        metadata: Further parameters by their registered names, such as `authorization_endpoint`. One that follows from
            `token_endpoints` may be given another value.

    Attributes:
        issuer: The issuer identifier.
        path: The path at which the metadata is answered.
        url: The URL of the metadata.

    Raises:
        SettingError: An argument cannot be used, or a required parameter is missing.
    """

    issuer: str

    def __init__(
        self,
        config: JWTConfig,
        *,
        token_endpoints: str | None = None,
        jwks_uri: str | None = None,
        scopes: str | Iterable[str] = (),
        max_age: timedelta | float = timedelta(hours=1),
        **metadata: Any,
    ) -> None:
        check_config(config, "AuthorizationServer(config, token_endpoints=...)")
        if config.signing_key is None and config.key_ring is None:
            raise SettingError("config only verifies tokens: the metadata is that of the application that mints them")
        vars(self).update(issuer=check_url(config._prepared.issuers.canonical, "the issuer of the configuration"))
        members = {
            "issuer": self.issuer,
            "jwks_uri": None if jwks_uri is None else check_url(jwks_uri, "jwks_uri"),
            "scopes_supported": read_scopes(scopes),
        }
        further = check_further(metadata, members)
        if token_endpoints is not None:
            base = check_url(token_endpoints, "token_endpoints").removesuffix("/")
            members.update(
                token_endpoint=f"{base}/refresh",
                grant_types_supported=("refresh_token",),
                token_endpoint_auth_methods_supported=_PUBLIC,
                revocation_endpoint=f"{base}/logout",
                revocation_endpoint_auth_methods_supported=_PUBLIC,
            )
        members.update(further)
        if "token_endpoint" not in members:
            raise SettingError("give token_endpoints, the URL at which TokenEndpoints are mounted, or token_endpoint")
        # Erratum 7793: without an authorization endpoint there are no response types, and an empty list is left out.
        if "authorization_endpoint" in members and "response_types_supported" not in members:
            raise SettingError(
                'an authorization_endpoint needs response_types_supported=["code"], as RFC 8414 section 2 demands'
            )
        # Section 3.1: a slash at the end of the issuer is left out.
        self._publish(well_known(self.issuer.removesuffix("/"), "oauth-authorization-server"), members, max_age)
