"""`ProtectedResource`: tell clients where they get tokens for this application (RFC 9728)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ._metadata import MetadataDocument, check_further, check_url, check_urls, read_scopes, well_known

__all__ = ["ProtectedResource"]


class ProtectedResource(MetadataDocument):
    """The metadata of this application as a protected resource (RFC 9728 section 2). Immutable.

    Given to `JWTMiddleware` or `install` as `protected_resource`, it is answered at its well-known path without a token,
    and challenges name its URL (section 5.1) and the scopes to ask for (RFC 6750 section 3). `resource` must then be an
    `audience` of every configuration: clients get tokens for it by this name (RFC 8707).

    Args:
        resource: The https URL by which clients reach the application, without query and fragment; http on loopback. An
            MCP client compares it with the URL that it was given.
        authorization_servers: The issuer identifiers of the authorization servers whose tokens are accepted; empty if
            they cannot be listed.
        scopes: The scopes that a client needs first, published as `scopes_supported`; a str is split at spaces.
        max_age: How long the metadata may be cached, a `timedelta` or seconds.
        metadata: Further parameters by their registered names, such as `resource_name="Files"`; also
            `bearer_methods_supported`, which is `["header"]` unless set.

    Attributes:
        resource: The resource identifier.
        authorization_servers: As given.
        scopes: The scopes, each once.
        path: The path at which the metadata is answered.
        url: The URL of the metadata, `resource_metadata` in challenges.

    Raises:
        SettingError: An argument cannot be used.
    """

    resource: str
    authorization_servers: tuple[str, ...]
    scopes: tuple[str, ...]

    def __init__(
        self,
        *,
        resource: str,
        authorization_servers: Iterable[str],
        scopes: str | Iterable[str] = (),
        max_age: timedelta | float = timedelta(hours=1),
        **metadata: Any,
    ) -> None:
        members = {
            "resource": check_url(resource, "resource"),
            "authorization_servers": check_urls(authorization_servers, "authorization_servers"),
            "scopes_supported": read_scopes(scopes),
        }
        vars(self).update(zip(("resource", "authorization_servers", "scopes"), members.values(), strict=True))
        further = check_further(metadata, members)
        # Section 3.1: of a slash, only one that follows the host alone is left out.
        url = well_known(self.resource, "oauth-protected-resource")
        self._publish(url, {**members, "bearer_methods_supported": ("header",), **further}, max_age)
