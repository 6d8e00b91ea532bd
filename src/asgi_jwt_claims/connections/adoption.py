"""Adoption: a WebSocket that was accepted without a token goes on with one that its client has sent in a message."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final, cast

from asgi_jwt_claims.auth.options import ACCESS_TOKEN
from asgi_jwt_claims.auth.request import complete_request, holders_of, scope_of
from asgi_jwt_claims.auth.state import request_auth
from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import MissingTokenError, NotGuardedError, RepeatedCredentialsError, RevokedTokenError
from asgi_jwt_claims.jose.compact import as_ascii
from asgi_jwt_claims.stores.base import checked_answer
from asgi_jwt_claims.tokens.token import Anonymous, Granted, about
from asgi_jwt_claims.tokens.verification import verify_or_fetch

if TYPE_CHECKING:
    from asgi_jwt_claims.auth.grant import OpenConnection
    from asgi_jwt_claims.auth.state import RequestAuth
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["adopt_token"]

_SOURCE: Final = "message"


async def adopt_token(websocket_or_scope: Any, raw: str | bytes) -> Token:
    """Let an open WebSocket without a token have one from now on that its client has sent in a message.

    The connection then is as if the handshake had brought the token: `get_token`, `current_token` and the scope have it,
    the connection ends with it, and `renew_token` replaces it. The token must be a valid access token that is not
    revoked, and satisfy the guards that have let the handshake in without a token. Rules for cookies (the origin, the
    CSRF value) do not apply, since no browser sends a message by itself. A token that is refused changes nothing.

    Args:
        websocket_or_scope: A websocket object of any framework, or an ASGI scope.
        raw: The encoded token, as the client has sent it, without a word such as Bearer before it.

    Raises:
        RepeatedCredentialsError: The connection has a token; `renew_token` replaces it.
        MissingTokenError: The connection has ended, or the time of `adopt_within` has; or this is an http request, which
            has to bring its token.
        TokenError: The token is not good.
        NotGuardedError: There is no middleware, it has `end_with_token=False`, or the handshake is not accepted yet.
    """
    scope = cast("MutableMapping[str, Any]", scope_of(websocket_or_scope))
    auth = request_auth(scope)
    if scope.get("type") != "websocket":
        raise MissingTokenError("an http request has to bring its token: adopt_token is for WebSockets")
    result = auth.result_for(scope)
    if result.state.needs is not None:  # on an exempt path nothing has decided about the token of the handshake
        result, _ = await complete_request(scope, result)
    connections = auth.connections
    if not connections and result.error is not None:
        raise result.error.with_traceback(None)
    if not connections:
        raise NotGuardedError(
            "this WebSocket cannot adopt a token: it needs JWTMiddleware or install(app, config), has to be accepted "
            "first, and end_with_token must not be False"
        )
    _check_free(auth, scope, connections)
    authenticator = auth.authenticator
    verifier = authenticator.verifier
    if isinstance(verifier, JWTConfig):
        config = verifier
    else:
        raw = as_ascii(raw, verifier.max_token_size)
        config, _ = verifier.config_for(raw)
    token = await verify_or_fetch(raw, config, _SOURCE)
    for guard in (ACCESS_TOKEN, *(auth.shared or auth).without_token):
        guard.policy.check(token)
    if authenticator.store is not None and checked_answer(await authenticator.store.check(token, config)):
        raise about(RevokedTokenError(), token)
    # Again, since the connection may have ended meanwhile, or adopted another token.
    _check_free(auth, scope, connections)
    auth.adopt(scope, token, config)
    _fill(scope, token)
    if auth.untold is not None:
        await auth.tell_accepted(scope)
    return token


def _check_free(auth: RequestAuth, scope: MutableMapping[str, Any], connections: tuple[OpenConnection, ...]) -> None:
    """Refuse to adopt a token on a connection that has ended, or has one."""
    for connection in connections:
        if connection.error is not None:
            raise connection.error.with_traceback(None)
    if not any(connection.is_open for connection in connections):
        raise MissingTokenError("the connection has ended")
    result = auth.result_for(scope)
    if (result.token is not None and result.error is None) or auth.grants_for(scope):
        raise RepeatedCredentialsError("the connection has a token, which renew_token replaces")


def _fill(scope: MutableMapping[str, Any], token: Token) -> None:
    """Let all that a handler reads have the token, where it stood for none before."""
    if scope.get("token") is None:
        scope["token"] = token
    # By the exact class: comparing what stands there may make a framework load its user.
    if type(scope.get("user")) is Anonymous:
        scope["user"] = token
    if type(scope.get("auth")) is Anonymous:
        scope["auth"] = Granted(token)
    for holder in holders_of(scope):
        if holder.token is None:
            holder.token = token
