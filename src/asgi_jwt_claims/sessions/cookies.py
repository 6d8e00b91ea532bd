"""Set and unset the cookies that hold the tokens of a login.

::

    @app.post("/login")
    async def login(response: Response) -> None:
        set_token_cookies(response, await start_session("alice", config, store), config)

`sources.Cookie` reads them, and describes what protects them.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from asgi_jwt_claims.auth.request import scope_of
from asgi_jwt_claims.config import JWTConfig, TokenCookies, check_config
from asgi_jwt_claims.errors import CookieTooLargeError, SettingError
from asgi_jwt_claims.jose.compact import split_compact
from asgi_jwt_claims.jose.strict_json import load_json
from asgi_jwt_claims.sources.cookie import cookie_values
from asgi_jwt_claims.sources.csrf import csrf_digest
from asgi_jwt_claims.tokens.pair import TokenPair

__all__ = ["cookie_headers", "csrf_token", "expired_cookie_headers", "set_token_cookies", "unset_token_cookies"]

_CSRF_VALUE = re.compile(rb"[A-Za-z0-9_\-]{32}\.[A-Za-z0-9_\-]{32}")
_NO_STORE = ("cache-control", "no-store")
_MAX_COOKIE = 4096  # RFC 6265bis section 5.6: browsers ignore a cookie with more bytes of name and value

_Value: TypeAlias = tuple[str, int | None]  # of a cookie, and its Max-Age in seconds
_EXPIRED: _Value = ("", 0)


def set_token_cookies(response_or_headers: Any, tokens: TokenPair | str, config: JWTConfig) -> None:
    """Add headers to a response that put tokens, and their CSRF value, into the browser's cookies.

    Browsers drop the cookies when the tokens expire. Another header keeps the response out of caches (RFC 6750 section
    5.3).

    Args:
        response_or_headers: A response of Starlette, FastAPI, Sanic, Litestar or Django, or a list of ASGI headers.
        tokens: A `TokenPair`; or an access token alone (a str), which also removes a refresh token that the browser still has.
        config: The configuration, whose `cookies` name the cookies.

    Raises:
        CookieTooLargeError: A token is too long for a cookie.
        SettingError: An argument is of another type.
    """
    check_config(config, "set_token_cookies(response, tokens, config)")
    _add(response_or_headers, cookie_headers(tokens, config))


def unset_token_cookies(response_or_headers: Any, config: JWTConfig) -> None:
    """Add headers to a response that remove the tokens from the browser. To revoke them, call `revoke_session`.

    Args:
        response_or_headers: A response of Starlette, FastAPI, Sanic, Litestar or Django, or a list of ASGI headers.
        config: The configuration, whose `cookies` name the cookies.

    Raises:
        SettingError: An argument is of another type.
    """
    check_config(config, "unset_token_cookies(response, config)")
    _add(response_or_headers, expired_cookie_headers(config))


def csrf_token(request_or_scope: Any, config: JWTConfig) -> str:
    """The CSRF value for a hidden field of a form, from the cookies of the request; empty if there is no token.

    Args:
        request_or_scope: An ASGI scope, or a request of any framework.
        config: The configuration, whose `cookies` name the cookies.

    Raises:
        SettingError: `config` is no JWTConfig.
    """
    check_config(config, "csrf_token(request, config)")
    scope, cookies = scope_of(request_or_scope), config.cookies
    found = cookie_values(scope, cookies.access_name.encode())
    if len(found) != 1:
        return ""
    digest = csrf_digest(found[0])
    # The cookie also has the value for the refresh token, which forms that refresh or log out need.
    values = cookie_values(scope, cookies.csrf_name.encode())
    is_whole = len(values) == 1 and _CSRF_VALUE.fullmatch(values[0]) is not None and digest in values[0].split(b".")
    return (values[0] if is_whole else digest).decode()


def cookie_headers(tokens: TokenPair | str, config: JWTConfig) -> list[tuple[str, str]]:
    """The headers of a response that sets the cookies."""
    if not isinstance(tokens, TokenPair | str):
        raise SettingError(f"tokens must be a TokenPair or an encoded access token, not {type(tokens).__name__}")
    given = [tokens] if isinstance(tokens, str) else [tokens.access_token, tokens.refresh_token]
    values = [(raw, _max_age(raw.encode(), config)) for raw in given]
    csrf = b".".join(csrf_digest(raw.encode()) for raw in given).decode()
    return _headers(values[0], values[1] if len(given) > 1 else _EXPIRED, (csrf, values[-1][1]), config)


def expired_cookie_headers(config: JWTConfig) -> list[tuple[str, str]]:
    """The headers of a response that removes the cookies."""
    return _headers(_EXPIRED, _EXPIRED, _EXPIRED, config)


def _headers(access: _Value, refresh: _Value, csrf: _Value, config: JWTConfig) -> list[tuple[str, str]]:
    cookies = config.cookies
    return [
        _cookie(cookies, cookies.access_name, access, "/"),
        _cookie(cookies, cookies.refresh_name, refresh, cookies.refresh_path),
        # A script reads it and sends it back, which no other origin can do.
        _cookie(cookies, cookies.csrf_name, csrf, "/", http_only=False),
    ]


def _cookie(cookies: TokenCookies, name: str, content: _Value, path: str, *, http_only: bool = True) -> tuple[str, str]:
    value, max_age = content
    if len(name) + len(value) > _MAX_COOKIE:
        raise CookieTooLargeError(
            f"the cookie {name} would have {len(name) + len(value)} bytes, and browsers keep {_MAX_COOKIE}; "
            "put fewer user claims into the token"
        )
    attributes = [f"{name}={value}", f"Path={path}", f"SameSite={cookies.same_site}"]
    attributes += [] if max_age is None else [f"Max-Age={max_age}"]
    attributes += ["HttpOnly"] if http_only else []
    attributes += ["Secure"] if cookies.secure else []
    attributes += ["Partitioned"] if cookies.partitioned else []
    return "set-cookie", "; ".join(attributes)


def _max_age(raw: bytes, config: JWTConfig) -> int | None:
    """Seconds until a token of our own expires; None if it never does, so that its cookie lasts until the browser closes."""
    _, payload, _, _ = split_compact(raw)
    expires_at = load_json(payload)[1].get("exp")
    return None if expires_at is None else max(0, int(expires_at - config.clock()))


def _add(target: Any, cookies: list[tuple[str, str]]) -> None:
    if isinstance(target, list):
        target.extend((name.encode(), value.encode()) for name, value in (*cookies, _NO_STORE))
        return
    headers = getattr(target, "headers", None)
    # The methods of Starlette and of Sanic with which a second cookie does not replace the first.
    add = getattr(headers, "append", None) or getattr(headers, "add", None)
    set_cookie = getattr(target, "set_cookie", None)
    if headers is None or (add is None and set_cookie is None):
        raise SettingError(
            f"response_or_headers must be a response or a list of ASGI headers, not {type(target).__name__}"
        )
    headers[_NO_STORE[0]] = _NO_STORE[1]
    for name, value in cookies:
        if add is not None:
            add(name, value)
        else:
            _set_cookie(set_cookie, value)


def _set_cookie(set_cookie: Any, header: str) -> None:
    """Set a cookie in a response of Django or Litestar, whose headers have one value each."""
    pair, *attributes = header.split("; ")
    name, _, value = pair.partition("=")
    given = {key: said for key, _, said in [one.partition("=") for one in attributes]}
    if "Partitioned" in given:
        raise SettingError("this response cannot hold partitioned cookies; put them into a list of ASGI headers")
    set_cookie(
        name,
        value,
        path=given["Path"],
        max_age=int(given["Max-Age"]) if "Max-Age" in given else None,
        secure="Secure" in given,
        httponly="HttpOnly" in given,
        samesite=given["SameSite"].lower(),
    )
