"""Cookies: how the tokens of a login get into a browser, and out of it again.

::

    @app.post("/login")
    async def login(response: Response) -> None:
        set_token_cookies(response, await start_session("alice", config, store), config)

`sources.Cookie` is how they come back, and says what protects them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.auth.request import scope_of
from asgi_jwt_claims.config import check_config
from asgi_jwt_claims.config.cookies import TokenCookies
from asgi_jwt_claims.errors import MintingError, SettingError
from asgi_jwt_claims.jose.compact import split_compact
from asgi_jwt_claims.jose.strict_json import load_json
from asgi_jwt_claims.sources.cookie import cookie_values
from asgi_jwt_claims.sources.csrf import csrf_digest
from asgi_jwt_claims.tokens.pair import TokenPair

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig

__all__ = [
    "TokenCookies",
    "cookie_headers",
    "csrf_token",
    "expired_cookie_headers",
    "set_token_cookies",
    "unset_token_cookies",
]

_CSRF_VALUE = re.compile(rb"[A-Za-z0-9_\-]{32}\.[A-Za-z0-9_\-]{32}")
_NO_STORE = ("cache-control", "no-store")
_MAX_COOKIE = 4096  # RFC 6265bis section 5.6: bytes of name and value, beyond which browsers ignore a cookie


def set_token_cookies(response_or_headers: Any, tokens: TokenPair | str, config: JWTConfig) -> None:
    """Let a response put tokens, and their CSRF value, into the browser's cookies.

    The cookies are forgotten when the tokens expire. The response must not be stored, and says so (RFC 6750 section 5.3).

    Args:
        response_or_headers: A response of Starlette, FastAPI or Sanic, or a list of ASGI headers.
        tokens: A pair from `start_session`, `rotate_refresh_token` or `create_token_pair`; or an access token alone, for a
            site without refresh tokens. A refresh token that the browser still has is then taken away.
        config: Its `cookies` say how.

    Raises:
        MintingError: A token is too long for a cookie.
        SettingError: What was given is no response, neither a pair nor an encoded token, or no configuration.
    """
    check_config(config, "set_token_cookies(response, tokens, config)")
    _add(response_or_headers, cookie_headers(tokens, config))


def unset_token_cookies(response_or_headers: Any, config: JWTConfig) -> None:
    """Let a response take the tokens out of the browser's cookies. It does not revoke them: `revoke_session` does.

    Args:
        response_or_headers: As for `set_token_cookies`.
        config: As for `set_token_cookies`.

    Raises:
        SettingError: As for `set_token_cookies`.
    """
    check_config(config, "unset_token_cookies(response, config)")
    _add(response_or_headers, expired_cookie_headers(config))


def csrf_token(request_or_scope: Any, config: JWTConfig) -> str:
    """The CSRF value for a hidden field of a form, from the cookies of the request; empty when there is no token.

    Args:
        request_or_scope: An ASGI scope, or any framework's request.
        config: That of the cookies.

    Raises:
        SettingError: `config` is none.
    """
    check_config(config, "csrf_token(request, config)")
    scope, cookies = scope_of(request_or_scope), config.cookies
    found = cookie_values(scope, cookies.access_name.encode())
    if len(found) != 1:
        return ""
    digest = csrf_digest(found[0])
    # The cookie has that of the refresh token, too, which forms that refresh or log out need.
    values = cookie_values(scope, cookies.csrf_name.encode())
    is_whole = len(values) == 1 and _CSRF_VALUE.fullmatch(values[0]) is not None and digest in values[0].split(b".")
    return (values[0] if is_whole else digest).decode()


def cookie_headers(tokens: TokenPair | str, config: JWTConfig) -> list[tuple[str, str]]:
    """The headers of a response that sets the cookies."""
    if not isinstance(tokens, TokenPair | str):
        raise SettingError(f"a {type(tokens).__name__} is neither a TokenPair nor an encoded access token")
    cookies = config.cookies
    given = [tokens] if isinstance(tokens, str) else [tokens.access_token, tokens.refresh_token]
    ages = [_max_age(raw.encode(), config) for raw in given]
    csrf = b".".join(csrf_digest(raw.encode()) for raw in given).decode()
    refresh, refresh_age = (given[1], ages[1]) if len(given) > 1 else ("", 0)
    return [
        _cookie(cookies, cookies.access_name, given[0], "/", ages[0]),
        _cookie(cookies, cookies.refresh_name, refresh, cookies.refresh_path, refresh_age),
        # A script reads it and sends it back; that is what no other origin can do.
        _cookie(cookies, cookies.csrf_name, csrf, "/", ages[-1], http_only=False),
    ]


def expired_cookie_headers(config: JWTConfig) -> list[tuple[str, str]]:
    """The headers of a response that takes the cookies away."""
    cookies = config.cookies
    return [
        _cookie(cookies, cookies.access_name, "", "/", 0),
        _cookie(cookies, cookies.refresh_name, "", cookies.refresh_path, 0),
        _cookie(cookies, cookies.csrf_name, "", "/", 0, http_only=False),
    ]


def _cookie(
    cookies: TokenCookies, name: str, value: str, path: str, max_age: int | None, *, http_only: bool = True
) -> tuple[str, str]:
    if len(name) + len(value) > _MAX_COOKIE:
        raise MintingError(
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
    """Seconds until a token of our own expires; None: never, and then its cookie lasts as long as the browser runs."""
    _, payload, _, _ = split_compact(raw)
    expires_at = load_json(payload)[1].get("exp")
    return None if expires_at is None else max(0, int(expires_at - config.clock()))


def _add(target: Any, cookies: list[tuple[str, str]]) -> None:
    if isinstance(target, list):
        target.extend((name.encode(), value.encode()) for name, value in (*cookies, _NO_STORE))
        return
    headers = getattr(target, "headers", None)
    # Starlette's headers append, Sanic's add: so that a second cookie does not replace the first.
    add = getattr(headers, "append", None) or getattr(headers, "add", None)
    if headers is None or add is None:
        raise SettingError(f"a {type(target).__name__} is no response, nor a list of ASGI headers")
    headers[_NO_STORE[0]] = _NO_STORE[1]
    for name, value in cookies:
        add(name, value)
