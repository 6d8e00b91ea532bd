"""Check the addresses that may be asked for keys: https, and http on loopback if allowed. None comes from a token."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["check_address", "metadata_addresses"]

_MAX_ADDRESS_LENGTH = 2048


def check_address(address: object, *, loopback_http: bool) -> str | None:  # noqa: PLR0911 -- one for each reason
    """Say why an address must not be asked; None if it may be. `loopback_http` allows http on loopback."""
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
    if parts.scheme == "http" and not (loopback_http and _is_loopback(host)):
        return "is http, and only loopback may be asked without TLS, with loopback_http=True"
    return None


def metadata_addresses(issuer: str) -> tuple[str, str]:
    """Return where the metadata of an issuer can be: OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3.1."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.removesuffix("/")
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
