"""Send browsers that need a token to a login page, and back to the page that they wanted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from asgi_jwt_claims.errors import SettingError, TokenError
from asgi_jwt_claims.responses import ErrorResponse
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.sources._credentials import header_values

if TYPE_CHECKING:
    from asgi_jwt_claims.responses import OnError

__all__ = ["login_redirect", "safe_next"]

_MAX_NEXT: Final = 2048  # characters; browsers and servers take addresses of twice that length

# A path of the same origin, in the characters of RFC 3986 section 3.3. Browsers take a second slash for the begin of a
# host, and a backslash for a slash; they drop tabs and line breaks. An escape of one of these, which a program may
# decode once more, is no path of our own either.
_OWN = re.compile(r"/(?!/|%(?:[01]|2[05F]|5C))[\w\-.~!$&'()*+,;=:@/?%]*", re.ASCII | re.IGNORECASE)
_IN_PATH = "/!$&'()*+,;=:@"
_IN_QUERY = _IN_PATH + "?%"

_UNACCEPTABLE = re.compile(rb"\s*q\s*=\s*0(?:\.0{0,3})?\s*", re.IGNORECASE)  # RFC 9110 section 12.4.2


def login_redirect(path: str) -> OnError:
    """Make an `on_error` that sends browsers to a login page, with the page that they wanted in the parameter `next`.

    It redirects (303) only where a browser opens a page: GET and HEAD requests that accept `text/html` by that name,
    and whose Fetch Metadata, if sent, says `navigate` and `document`. Only a refusal with 401 is redirected, since a
    login does not help with any other. Requests of scripts and programs get the usual answer. `next` has path and query
    of the request, and is left out if it is not plainly a path of this application; the login checks it by `safe_next`.

    Args:
        path: The path of the login page, without the `root_path`. It has to be `exempt`.

    Raises:
        SettingError: `path` is no path such as `"/login"`.
    """
    page = plain(path)
    if not isinstance(page, str) or "?" in page or _OWN.fullmatch(page) is None:
        raise SettingError(f'login_redirect takes the path of a login page such as "/login", got {path!r}')

    def on_error(error: TokenError, _: ErrorResponse, scope: Mapping[str, Any]) -> ErrorResponse | None:
        if error.status != 401 or not _opens_page(scope):  # noqa: PLR2004 -- RFC 9110 section 15.5.2
            return None
        root_path = scope.get("root_path") or ""
        wanted, login = _full_path(scope["path"], root_path), quote(root_path, _IN_PATH, errors="replace") + page
        if wanted == login or _OWN.fullmatch(login) is None:
            return None  # the login page is not exempt; or the prefix is none of a path
        if query := scope.get("query_string"):
            wanted += "?" + quote(query, _IN_QUERY)
        location = f"{login}?next={quote(wanted)}" if safe_next(wanted, "") else login
        headers = (("location", location), ("content-length", "0"), ("cache-control", "no-store"))
        return ErrorResponse(303, headers, b"")

    return on_error


def safe_next(value: object, default: str = "/") -> str:
    """Return the path that a login page was asked to go on to, or `default` if it is not plainly one of this origin.

    Any page may link to a login with any `next`. An address of another host, in any spelling that a browser takes for
    one, is not returned (open redirect).

    Args:
        value: The parameter `next` of the request, decoded once as frameworks do; None if there is none.
        default: What to return instead.
    """
    is_own = isinstance(value, str) and len(value) <= _MAX_NEXT and _OWN.fullmatch(value) is not None
    return str(value) if is_own else default


def _opens_page(scope: Mapping[str, Any]) -> bool:
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    headers = header_values(scope["headers"], (b"accept", b"sec-fetch-mode", b"sec-fetch-dest"))
    mode, to = headers.get(b"sec-fetch-mode", b"navigate"), headers.get(b"sec-fetch-dest", b"document")
    return mode == b"navigate" and to == b"document" and _accepts_html(headers.get(b"accept") or b"")


def _accepts_html(accept: bytes) -> bool:
    for one in accept.split(b","):
        kind, *parameters = one.split(b";")
        if kind.strip().lower() == b"text/html":
            return not any(map(_UNACCEPTABLE.fullmatch, parameters))
    return False


def _full_path(path: str, root_path: str) -> str:
    """The path that the browser knows, escaped. Some servers leave the `root_path` out of the path."""
    is_inside = path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/")
    return quote(path if is_inside else root_path + path, _IN_PATH, errors="replace")
