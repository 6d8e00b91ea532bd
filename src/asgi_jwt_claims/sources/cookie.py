"""`Cookie`: the token in a cookie, which browsers send along whoever asks them to, and what makes that safe.

A browser sends a cookie with every request to its host, also with those that another site has made it send. So a cookie
alone authenticates nothing that changes anything (RFC 9110 section 9.2.1), and no WebSocket:

- a request with an unsafe method has to carry the CSRF value of this very token, which no other host can read and which
  nobody can make up without the token (double submit);
- what the browser says of where the request comes from (`Origin`, `Sec-Fetch-Site`) must not speak against it: cookies
  make no difference between the ports of a host, and this does;
- a handshake cannot carry such a value, so it has to come from an origin that is the own or trusted.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, Literal

from asgi_jwt_claims._cookie_settings import TokenCookies
from asgi_jwt_claims._forms import CSRF_KEY
from asgi_jwt_claims.errors import (
    CSRFTokenError,
    ForeignOriginError,
    InvalidRequestError,
    RepeatedCredentialsError,
    SettingError,
)

from ._offer import OWS, ComparableSource, Offered, check_characters, single_values

__all__ = ["SAFE_METHODS", "Cookie", "cookie_values", "csrf_digest"]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110 section 9.2.1); another letter case is another method."""

_FORM = b"application/x-www-form-urlencoded"
_MAX_COOKIES = 64 * 1024  # bytes of one Cookie header; browsers send less
_MAX_CSRF_VALUE = 256
_LOOPBACK = re.compile(rb"http://(?:(?:[^/:]+\.)?localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?")
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
_SECURE_SCHEMES = ("https", "wss")


def csrf_digest(raw: bytes) -> bytes:
    """The part of the CSRF value that belongs to this token: whoever does not have the token cannot know it."""
    return urlsafe_b64encode(blake2b(raw, digest_size=24, person=b"csrf").digest())


class Cookie(ComparableSource):
    """A token in a cookie that `set_token_cookies` has set.

    Args:
        cookies: The names and rules; those of `JWTConfig(cookies=...)`. None: the defaults.
        type: Which of the tokens, `"access"` or `"refresh"`.

    Raises:
        SettingError: An argument cannot be used.
    """

    def __init__(
        self,
        cookies: TokenCookies | None = None,
        *,
        type: Literal["access", "refresh"] = "access",  # noqa: A002 -- the field's name
    ) -> None:
        if cookies is not None and not isinstance(cookies, TokenCookies):
            raise SettingError("cookies must be TokenCookies, those of the JWTConfig")
        if type not in ("access", "refresh"):
            raise SettingError('type must be "access" or "refresh"')
        self.is_default = cookies is None
        self.cookies = TokenCookies() if cookies is None else cookies
        self._name = (self.cookies.access_name if type == "access" else self.cookies.refresh_name).encode()
        self._csrf_header = self.cookies.csrf_header.lower().encode()
        self._trusted = frozenset(origin.encode() for origin in self.cookies.trusted_origins)

    @property
    def name(self) -> str:
        """The cookie's name."""
        return self._name.decode()

    def __call__(self, scope: Mapping[str, Any], max_size: int) -> Offered | None:
        """See `Source`."""
        found = cookie_values(scope, self._name)
        if not found:
            return None
        if len(found) > 1:
            raise RepeatedCredentialsError(cookie=self._name.decode())
        raw = found[0]
        check_characters(raw, max_size, "cookie")
        is_websocket = scope.get("type") == "websocket"
        if is_websocket or scope.get("method") not in SAFE_METHODS:
            self.check_origin(scope, required=is_websocket)
            if not is_websocket:
                self._check_csrf(scope, raw)
        return Offered(raw, "cookie")

    def _place(self) -> tuple[object, ...]:
        return (self.cookies, self._name)

    def wanted_field(self, scope: Mapping[str, Any]) -> str | None:
        """The field of the form that has to be read first, since nothing else has the CSRF value of an unsafe request.

        Raises:
            InvalidRequestError: The request is going to be refused in any case.
        """
        if not cookie_values(scope, self._name):
            return None
        self.check_origin(scope)  # nothing is read for another site
        headers = single_values(scope["headers"], (b"content-type", self._csrf_header))
        kind = (headers.get(b"content-type") or b"").partition(b";")[0].strip(OWS).lower()
        return self.cookies.csrf_field if self._csrf_header not in headers and kind == _FORM else None

    def _check_csrf(self, scope: Mapping[str, Any], raw: bytes) -> None:
        headers = single_values(scope["headers"], (self._csrf_header,))
        given = headers[self._csrf_header] if self._csrf_header in headers else scope.get(CSRF_KEY)
        if not given or b"," in given:  # which joins repeated headers
            raise CSRFTokenError(reason="none was sent, or more than one")
        # The value has a part for each token of the browser. All are compared, in constant time and as bytes.
        expected = csrf_digest(raw)
        parts = given[:_MAX_CSRF_VALUE].split(b".")
        if True not in [hmac.compare_digest(part, expected) for part in parts]:
            raise CSRFTokenError(reason="not that of the token")

    def check_origin(self, scope: Mapping[str, Any], *, required: bool = False) -> None:
        """Refuse what another site has made the browser send, as far as the browser says so.

        Args:
            scope: Of the request.
            required: Whether it has to say so.

        Raises:
            ForeignOriginError: It comes from another origin, or from nobody knows where though that is required.
        """
        headers = single_values(scope["headers"], (b"origin", b"sec-fetch-site", b"host"))
        site = headers.get(b"sec-fetch-site", b"none")
        if b"origin" in headers:
            origin = headers[b"origin"]
            if origin in self._trusted:
                return
            # With `Referrer-Policy: no-referrer` a page hides the origin of its own forms. The browser says whose they are.
            is_hidden = origin == b"null" and site == b"same-origin" and not required
            if not is_hidden and (
                origin is None or not self._is_own(origin, headers.get(b"host"), scope.get("scheme"))
            ):
                raise ForeignOriginError(origin=_shown(origin))
        elif required:
            raise ForeignOriginError(reason="no Origin, which every browser sends with a handshake")
        # Fetch Metadata: same-origin, or none where the user did it by hand. What does not send it is no browser of today.
        if site not in (b"same-origin", b"none"):
            raise ForeignOriginError(site=_shown(site))

    def _is_own(self, origin: bytes, host: bytes | None, scheme: str | None) -> bool:
        # Behind a proxy that ends TLS the application sees http. But Secure cookies come over https, or from this machine.
        if self.cookies.secure and origin.startswith(b"http:") and _LOOPBACK.fullmatch(origin) is None:
            return False
        return _is_own(origin, host, scheme)


def cookie_values(scope: Mapping[str, Any], name: bytes) -> list[bytes]:
    """What stands in the cookies of that name: one value, unless somebody has planted another.

    Raises:
        InvalidRequestError: A Cookie header that no browser sends.
    """
    found = []
    for header, value in scope["headers"]:
        # HTTP/2 may bring several such headers (RFC 9113 section 8.2.3).
        if header != b"cookie" or name not in value:
            continue
        if len(value) > _MAX_COOKIES:
            raise InvalidRequestError(source="cookie", reason="a Cookie header of such a length", size=len(value))
        for pair in value.split(b";"):
            key, _, content = pair.partition(b"=")
            if key.strip(OWS) == name:
                found.append(content.strip(OWS))
    return found


def _is_own(origin: bytes, host: bytes | None, scheme: str | None) -> bool:
    """Whether a page of `origin` has been served by this host (RFC 6454 section 5, as far as it can be known)."""
    kind, _, authority = origin.partition(b"://")
    default_port = _DEFAULT_PORTS.get(kind)
    # Behind a proxy that ends TLS the application sees http, so only https can be relied upon.
    if not host or default_port is None or (scheme in _SECURE_SCHEMES and kind != b"https"):
        return False
    return authority == host.lower().removesuffix(default_port)


def _shown(value: bytes | None) -> str:
    return "repeated" if value is None else value.decode("latin-1")
