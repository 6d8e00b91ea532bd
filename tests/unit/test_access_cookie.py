"""Cookies for a site without refresh tokens: the access token alone, and its CSRF value."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi_jwt_claims import (
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenError,
    create_access_token,
    set_token_cookies,
)
from asgi_jwt_claims.errors import SettingError
from tests.raw_asgi import Header, ask

pytestmark = pytest.mark.anyio


def cookies_of(raw: str, config: JWTConfig) -> dict[bytes, bytes]:
    headers: list[Header] = []
    set_token_cookies(headers, raw, config)
    return dict(value.split(b";")[0].split(b"=", 1) for name, value in headers if name == b"set-cookie")


async def test_an_access_token_alone(config: JWTConfig) -> None:
    """The browser gets it with its CSRF value, which a request that changes something repeats; no refresh token stays."""
    jar = cookies_of(create_access_token("alice", config), config)
    assert b"" == jar[b"__Secure-refresh_token"]

    async def change(request: Any) -> PlainTextResponse:
        return PlainTextResponse("changed")

    app = JWTMiddleware(Starlette(routes=[Route("/", change, methods=["POST"])]), config, sources=[Cookie()])
    cookie = (b"cookie", b"__Host-access_token=" + jar[b"__Host-access_token"])
    csrf = (b"x-csrf-token", jar[b"__Host-csrf_token"])
    assert 200 == (await ask(app, "/", cookie, csrf, method="POST")).status
    assert 403 == (await ask(app, "/", cookie, method="POST")).status


@pytest.mark.parametrize("tokens", [None, 7, {"access_token": "x"}, b"x"])
def test_what_is_no_token(tokens: Any, config: JWTConfig) -> None:
    """Something else than a pair or the text of a token is refused, with its type."""
    with pytest.raises(SettingError, match=type(tokens).__name__):
        set_token_cookies([], tokens, config)
    with pytest.raises(TokenError):
        set_token_cookies([], "", config)
