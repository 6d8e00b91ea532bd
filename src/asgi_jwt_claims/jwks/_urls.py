"""Check the addresses that may be asked for keys: https, and http where that is allowed. None comes from a token."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.values import plain

__all__ = ["check_address", "checked_hosts", "metadata_addresses"]

_MAX_ADDRESS_LENGTH = 2048
# Names that no public DNS server knows: those without a dot, those below the names that are reserved for private use (RFC
# 6761, RFC 6762, RFC 8375, and `internal` by a resolution of ICANN), and services of Kubernetes.
_PRIVATE_NAME = re.compile(r"[a-z0-9_-]+(?:(?:\.[a-z0-9_-]+)*\.(?:internal|local|localhost|test|home\.arpa|svc))?")


def check_address(  # noqa: PLR0911 -- one for each reason
    address: object, *, loopback_http: bool, insecure_http_hosts: frozenset[str] | None = None
) -> str | None:
    """Say why an address must not be asked; None if it may be.

    `loopback_http` allows http on loopback, `insecure_http_hosts` on these hosts; None where there is no such option.
    """
    if not isinstance(address, str):
        return "is not a str"
    if len(address) > _MAX_ADDRESS_LENGTH or not address.isascii() or not address.isprintable() or " " in address:
        return "is too long, or has characters that no URL has"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("https", "http") or not host:
        return "is not a URL that begins with https://"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or a password, which would end up in logs"
    if "#" in address:
        return "has a fragment, which is never sent"
    if (
        parts.scheme == "http"
        and host not in (insecure_http_hosts or ())
        and not (loopback_http and _is_loopback(host))
    ):
        return "is http, and only loopback may be asked without TLS, with loopback_http=True" + (
            "" if insecure_http_hosts is None else ", or a host in your own network, with insecure_http_hosts=[...]"
        )
    return None


def checked_hosts(hosts: Iterable[str]) -> frozenset[str]:
    """Return the hosts that may be asked by http, in lower case, or raise SettingError for one that may be public."""
    if isinstance(hosts, str) or not isinstance(hosts, Iterable):
        raise SettingError(f'insecure_http_hosts must be a list of hosts such as ["keycloak"], not {hosts!r}')
    names = tuple(map(plain, hosts))
    for name in names:
        if not isinstance(name, str) or not _is_private(name.lower()):
            raise SettingError(
                f"insecure_http_hosts: {name!r} is not a host that only a private network has (a name without a dot, one "
                "below .internal, .local, .svc, .test or .home.arpa, or a private IP address, without a port); anyone on "
                "the way could replace the keys: use https"
            )
    return frozenset(map(str.lower, names))


def metadata_addresses(issuer: str) -> tuple[str, ...]:
    """Return where the metadata of an issuer can be.

    Those are the address of OpenID Connect Discovery 1.0 section 4, that of RFC 8414 section 3.1, and, for an issuer
    with a path, that of RFC 8414 section 3.1 with the name of OpenID Connect's document.
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.removesuffix("/")
    addresses = (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
    )
    return addresses if path else addresses[:2]


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return _PRIVATE_NAME.fullmatch(host) is not None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
