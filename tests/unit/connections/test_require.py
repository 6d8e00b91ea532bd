"""A connection goes by what `require` and the rules for its path have let in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    TokenError,
    adopt_token,
    create_access_token,
    create_refresh_token,
    renew_token,
    require,
)
from asgi_jwt_claims.access import Scopes
from tests.raw_asgi import App, Receive, Scope, Send, bearer, talk, websocket_scope
from tests.unit.connections.connection import connected, until
from tests.unit.connections.test_revocations import hello
from tests.unit.connections.test_websockets import EXPIRED

pytestmark = pytest.mark.anyio


class Renewing:
    """A websocket application that may ask for a scope, and renews with whatever it is told."""

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks
        self.told: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.asks:
            assert "alice" == require(scope, Scopes("chat")).identity
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            try:
                self.told.append((await renew_token(scope, message["text"])).identity)
            except TokenError as error:
                self.told.append(error.code)


@pytest.mark.parametrize(
    ("asks", "options"),
    [
        (True, {}),
        (True, {"exempt": ["/"]}),
        (True, {"required": False}),
        (False, {"require": Scopes("chat")}),
        (False, {"rules": {"/": Scopes("chat")}}),
        (False, {"rules": {"/*": Scopes("chat")}, "required": False}),
    ],
)
async def test_it_ends_with_its_token_and_is_renewed_by_its_rules(
    config: JWTConfig, expire: Callable[[], None], asks: bool, options: Any
) -> None:
    """The connection takes a further token only if that fulfils the rule, and ends with the last that it took."""  # S127

    def raw(**more: Any) -> str:
        return create_access_token("alice", config, **more)

    app = Renewing(asks=asks)
    guarded: App = JWTMiddleware(app, config, **options)
    async with connected(guarded, hello(bearer(raw(scope="chat")))) as connection:
        await until(lambda: bool(connection.sent))
        for text in (raw(), raw(scope="read chat")):
            connection.say(text)
        await until(lambda: ["missing_scope", "alice"] == app.told)
        expire()
        await until(lambda: EXPIRED == connection.end)


async def test_what_a_connection_has_adopted(config: JWTConfig) -> None:
    """`require` goes by the token that the connection has adopted, and a renewal then by what was required of it."""
    app_told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for act in (require, adopt_token, require, renew_token, renew_token):
            try:
                token = act(scope, Scopes("chat")) if act is require else await act(scope, (await receive())["text"])
                app_told.append(token.identity)
            except TokenError as error:
                app_told.append(error.code)

    def raw(**more: Any) -> str:
        return create_access_token("alice", config, **more)

    async with connected(JWTMiddleware(app, config, required=False), websocket_scope()) as connection:
        for text in (raw(scope="chat"), raw(), raw(scope="chat")):
            connection.say(text)
        await until(lambda: ["token_missing", "alice", "alice", "missing_scope", "alice"] == app_told)


async def test_a_path_with_a_rule_needs_its_token_in_the_handshake(config: JWTConfig) -> None:
    """Where a rule is for the path, no connection opens that could adopt a token later."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("called")

    for headers in ((), (bearer(create_refresh_token("alice", config)),)):
        guarded: App = JWTMiddleware(app, config, required=False, adopt_within=5, rules={"/": Scopes("chat")})
        assert 401 == (await talk(guarded, "/", *headers)).status
