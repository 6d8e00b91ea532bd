"""Read the token from a cookie and check for cross-site request forgery.

A browser sends a cookie with every request to its host, even if another site made it send the request. So a request
with an unsafe method (RFC 9110 section 9.2.1) must have the CSRF value of the cookie's token (double submit), and its
`Origin` and `Sec-Fetch-Site` must not name another site. A WebSocket handshake, which cannot carry a CSRF value, must
come from the application's own origin or a trusted one. Where scripts cannot send a CSRF value, `csrf="origin"` demands
that these headers name the own site (W3C Fetch Metadata section 2.4, RFC 6454 section 7), in the place of the value.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from asgi_jwt_claims.config.cookies import TokenCookies
from asgi_jwt_claims.errors import ForeignOriginError, InvalidRequestError, RepeatedCredentialsError, SettingError

from ._credentials import OWS, ComparableSource, Credentials, check_b64token, header_values
from .csrf import CSRF_TOKEN_KEY, SAFE_METHODS, check_csrf

__all__ = ["Cookie", "cookie_values"]

_FORM = b"application/x-www-form-urlencoded"
_SHOWN = 256  # bytes of a header that an error keeps
_MAX_COOKIES = 64 * 1024  # bytes of all Cookie headers; browsers send less
_MAX_SPACES = 256  # bytes of white space around the name of a cookie
_BEFORE_NAME = b"; \t"
_MAX_PAIRS = 192  # cookies of a request that contain the name; browsers store fewer for a site
_MAX_ORIGIN = 512  # bytes of an origin: a scheme, a host of at most 253 characters, a port
_LOOPBACK = re.compile(rb"http://(?:(?:[^/:]+\.)?localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
_SECURE_SCHEMES = ("https", "wss")


class Cookie(ComparableSource):
    """A token in a cookie that `set_token_cookies` has set.

    Args:
        cookies: The names and rules, those of `JWTConfig(cookies=...)`. None for those of the middleware's
            configuration; in the sources of a guard, None is for the defaults.
        type: The kind of token, `"access"` or `"refresh"`.
        csrf: What a request with an unsafe method must have: `"token"` for the CSRF value, or `"origin"` for a browser's
            word that a page of this application sent it: `Sec-Fetch-Site: same-origin`, or an own or trusted `Origin`.
            The latter is for applications whose scripts cannot be changed.

    Raises:
        SettingError: An argument cannot be used.
    """

    def __init__(
        self,
        cookies: TokenCookies | None = None,
        *,
        type: Literal["access", "refresh"] = "access",  # noqa: A002 -- the field's name
        csrf: Literal["token", "origin"] = "token",
    ) -> None:
        if cookies is not None and not isinstance(cookies, TokenCookies):
            raise SettingError(f"cookies must be TokenCookies such as config.cookies, got {cookies.__class__.__name__}")
        if type not in ("access", "refresh"):
            raise SettingError(f'type must be "access" or "refresh", got {type!r}')
        if csrf not in ("token", "origin"):
            raise SettingError(f'csrf must be "token" or "origin", got {csrf!r}')
        self._has_names, self._type, self._by_origin = cookies is not None, type, csrf == "origin"
        self._use(TokenCookies() if cookies is None else cookies)

    def _use(self, cookies: TokenCookies) -> None:
        self.cookies = cookies
        self._name = (cookies.access_name if self._type == "access" else cookies.refresh_name).encode()
        self.csrf_header = cookies.csrf_header.lower().encode()
        self._trusted = frozenset(origin.encode() for origin in cookies.trusted_origins)

    def bind(self, configured: Collection[TokenCookies]) -> Cookie:
        """Return this source with the names and rules of a middleware's configurations, unless it was given its own.

        Raises:
            SettingError: The configurations differ in their cookies, and none has the defaults.
        """
        if self._has_names or self.cookies in configured:
            return self
        if len(configured) > 1:
            raise SettingError(
                "Cookie() is ambiguous, as the configurations have different cookies; pass Cookie(config.cookies)"
            )
        bound = copy.copy(self)
        bound._has_names = True  # noqa: SLF001 -- a copy of this object
        bound._use(*configured)  # noqa: SLF001 -- as above
        return bound

    @property
    def name(self) -> str:
        """The name of the cookie."""
        return self._name.decode()

    def __call__(self, scope: Mapping[str, Any], max_size: int) -> Credentials | None:
        """See `Source`."""
        found = cookie_values(scope, self._name)
        if not found:
            return None
        if len(found) > 1:
            raise RepeatedCredentialsError(cookie=self._name.decode())
        token = found[0]
        check_b64token(token, max_size, "cookie")
        is_websocket = scope.get("type") == "websocket"
        if is_websocket or scope.get("method") not in SAFE_METHODS:
            self.check_origin(scope, required=is_websocket)
            if not is_websocket and not self._by_origin:
                return Credentials(token, "cookie", csrf_field=self._check_csrf(scope, token))
        return Credentials(token, "cookie")

    def _place(self) -> tuple[object, ...]:
        return (self.cookies, self._name, self._by_origin)

    def _check_csrf(self, scope: Mapping[str, Any], token: bytes) -> str | None:
        """Return the CSRF field if only a form that has not been read yet can have the CSRF value."""
        headers = header_values(scope["headers"], (b"content-type", self.csrf_header))
        if self.csrf_header not in headers and CSRF_TOKEN_KEY not in scope:
            kind = (headers.get(b"content-type") or b"").partition(b";")[0].strip(OWS).lower()
            if kind == _FORM:
                return self.cookies.csrf_field
        check_csrf(headers.get(self.csrf_header, scope.get(CSRF_TOKEN_KEY)), token)
        return None

    def check_origin(self, scope: Mapping[str, Any], *, required: bool = False) -> None:
        """Check where the browser says that the request comes from.

        Raises:
            ForeignOriginError: The request comes from another origin, or has no `Origin` although one is `required`.
        """
        headers = header_values(scope["headers"], (b"origin", b"sec-fetch-site", b"host"))
        site = headers.get(b"sec-fetch-site", b"none")
        if b"origin" in headers:
            origin = headers[b"origin"]
            if origin in self._trusted:
                return
            # With `Referrer-Policy: no-referrer` a page hides the origin of its forms; `Sec-Fetch-Site` tells.
            is_hidden = origin == b"null" and site == b"same-origin" and not required
            if not is_hidden and (
                origin is None
                or len(origin) > _MAX_ORIGIN
                or not self._is_own(origin, headers.get(b"host"), scope.get("scheme"))
            ):
                raise ForeignOriginError(
                    origin=_shown(origin),
                    host=_shown(headers.get(b"host", b"")),
                    reason="the origin is neither that of the Host nor among the trusted_origins of TokenCookies",
                )
        elif required:
            raise ForeignOriginError(reason="no Origin, which every browser sends with a handshake")
        elif self._by_origin and site != b"same-origin":
            # Other libraries let a request without both headers pass, since no browser of today sends one.
            raise ForeignOriginError(
                site=_shown(headers.get(b"sec-fetch-site", b"")),
                reason="neither an Origin nor Sec-Fetch-Site: same-origin",
            )
        # Fetch Metadata: same-origin, or none for a navigation by the user. All current browsers send it.
        if site not in (b"same-origin", b"none"):
            raise ForeignOriginError(site=_shown(site))

    def _is_own(self, origin: bytes, host: bytes | None, scheme: str | None) -> bool:
        """Whether `origin` is that of this host (RFC 6454 section 5), as far as the request's host and scheme tell."""
        kind, _, authority = origin.partition(b"://")
        default_port = _DEFAULT_PORTS.get(kind)
        # Behind a proxy that ends TLS the application sees http, so only https is reliable.
        if not host or default_port is None or (scheme in _SECURE_SCHEMES and kind != b"https"):
            return False
        # But Secure cookies come over https or loopback.
        if self.cookies.secure and kind == b"http" and _LOOPBACK.fullmatch(origin) is None:
            return False
        return authority == host.lower().removesuffix(default_port)


def cookie_values(scope: Mapping[str, Any], name: bytes) -> list[bytes]:
    """Return the values of the cookies with this name: none, one, or two if there are two or more.

    A single cookie without a value counts as absent, since scripts that delete a cookie may leave one.

    Raises:
        InvalidRequestError: The Cookie headers are too long, or contain the name too often, for those of a browser.
    """
    found: list[bytes] = []
    size = pairs = 0
    for header, value in scope["headers"]:
        if header != b"cookie":  # HTTP/2 may bring several such headers (RFC 9113 section 8.2.3)
            continue
        size += len(value)
        if size > _MAX_COOKIES:
            raise InvalidRequestError(source="cookie", reason="Cookie headers of such a length", size=size)
        # Only pairs that contain the name are parsed, and each byte of the header is scanned once.
        begin, hit = 0, value.find(name)
        while hit != -1 and len(found) < 2:  # noqa: PLR2004 -- two are too many already
            pairs += 1
            if pairs > _MAX_PAIRS:
                raise InvalidRequestError(source="cookie", reason="so many cookies with the name in them")
            end = value.find(b";", hit) % (len(value) + 1)  # -1, for none, is the end
            if hit == 0 or value[hit - 1] in _BEFORE_NAME:
                key, _, content = value[value.rfind(b";", begin, hit) + 1 or begin : end].partition(b"=")
                if len(key) <= len(name) + _MAX_SPACES and key.strip(OWS) == name:
                    found.append(content.strip(OWS))
            begin, hit = end, value.find(name, end)
    return [] if found == [b""] else found


def _shown(value: bytes | None) -> str:
    return "repeated" if value is None else value[:_SHOWN].decode("latin-1")
