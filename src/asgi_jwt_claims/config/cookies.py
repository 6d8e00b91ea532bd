"""`TokenCookies`: names and attributes of the cookies that carry tokens."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Literal

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.values import plain

__all__ = ["TokenCookies"]

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 6265 section 4.1.1: cookie-name
_PATH = re.compile(r"/[\x21-\x3A\x3C-\x7E]*")  # section 4.1.1: path-value, and no space
# RFC 6454 section 6.2, as browsers write it: no wildcards, no default ports, names of other scripts in punycode.
_DEFAULT_PORT = r"http:.*:80\Z|https:.*:443\Z"
_ORIGIN = re.compile(rf"(?!wss?:|{_DEFAULT_PORT})[a-z][a-z0-9+.\-]*://(?:[a-z0-9._\-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?")
_SENT_UNASKED = ("authorization", "cookie", "host", "origin", "referer")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenCookies:
    """The cookies of a browser that is logged in: one per token for the server, one with the CSRF value for scripts.

    The defaults are the strictest that work: `__Host-` names, which no other host of the site can set (RFC 6265bis
    section 4.1.3.2), over https only, and not sent with requests from other sites, except when a link is followed.

    Args:
        access_name: The cookie that holds the access token. Scripts cannot read it.
        refresh_name: The cookie that holds the refresh token. Bound to a path, it cannot be a `__Host-` cookie.
        csrf_name: The cookie that holds the CSRF value. Scripts of the same origin read it.
        refresh_path: The path below which browsers send the refresh token, where `TokenEndpoints` are mounted.
        same_site: `Lax`, `Strict` or `None`: whether other sites can make a browser send the tokens.
        secure: Whether browsers send them over https only; http://localhost counts as https. False needs names without
            prefixes.
        partitioned: Whether a page embedded in another site has cookies of its own there (CHIPS).
        csrf_header: The header in which scripts send the CSRF value.
        csrf_field: The form field in which forms send it.
        trusted_origins: Other origins that may act for the user, such as `https://app.example.com`.

    Raises:
        SettingError: Browsers would not keep such a cookie, or nothing would protect it.
    """

    access_name: str = "__Host-access_token"
    refresh_name: str = "__Secure-refresh_token"
    csrf_name: str = "__Host-csrf_token"
    refresh_path: str = "/auth"
    same_site: Literal["Lax", "Strict", "None"] = "Lax"
    secure: bool = True
    partitioned: bool = False
    csrf_header: str = "X-CSRF-Token"
    csrf_field: str = "csrf_token"
    trusted_origins: Iterable[str] = ()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, plain(getattr(self, field.name)))
        for name in ("secure", "partitioned"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.same_site not in ("Lax", "Strict", "None"):
            raise SettingError(
                f"same_site must be 'Lax', 'Strict' or 'None' (the word, in quotes), not {self.same_site!r}"
            )
        if not self.secure and (self.same_site == "None" or self.partitioned):
            raise SettingError("same_site='None' and partitioned need secure=True: browsers drop the cookie otherwise")
        if not isinstance(self.refresh_path, str) or _PATH.fullmatch(self.refresh_path) is None:
            raise SettingError(f'refresh_path must be a path such as "/auth", not {self.refresh_path!r}')
        self._check_names()
        object.__setattr__(self, "trusted_origins", _origins(self.trusted_origins))

    def _check_names(self) -> None:
        names = (self.access_name, self.refresh_name, self.csrf_name)
        for name in (*names, self.csrf_header):
            if not isinstance(name, str) or _NAME.fullmatch(name) is None:
                raise SettingError(f"{name!r} is not a name for a cookie or header; use letters, digits, - and _")
        if self.csrf_header.lower() in _SENT_UNASKED:
            raise SettingError(
                f"csrf_header must not be {self.csrf_header}, which browsers send by themselves; use X-CSRF-Token"
            )
        if not isinstance(self.csrf_field, str) or not self.csrf_field:
            raise SettingError(
                f'csrf_field must be the name of a form field such as "csrf_token", not {self.csrf_field!r}'
            )
        if len(set(names)) != len(names):
            raise SettingError("access_name, refresh_name and csrf_name must be different names")
        for name in names:
            if not self.secure and name.lower().startswith(("__host-", "__secure-")):
                raise SettingError(
                    f"{name} needs secure=True, or browsers drop the cookie; give it a name without a prefix"
                )
        if self.refresh_name.lower().startswith("__host-") and self.refresh_path != "/":
            raise SettingError("a __Host- cookie has the path /; call the refresh cookie __Secure-..., or set its path")


def _origins(origins: Iterable[str]) -> frozenset[str]:
    if isinstance(origins, str) or not isinstance(origins, Iterable):
        raise SettingError(f"trusted_origins must be a list of origins: trusted_origins=({origins!r},)")
    origins = tuple(map(plain, origins))
    for origin in origins:
        if not isinstance(origin, str) or _ORIGIN.fullmatch(origin) is None:
            raise SettingError(
                f'trusted_origins: {origin!r} is not an origin as browsers send it, such as "https://app.example.com"'
            )
    return frozenset(origins)
