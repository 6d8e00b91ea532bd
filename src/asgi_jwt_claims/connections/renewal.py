"""Renewal: a connection that is about to end with its token goes on with another one of the same identity."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, cast

from asgi_jwt_claims.auth.request import holders_of, scope_of
from asgi_jwt_claims.auth.state import find_request_auth
from asgi_jwt_claims.errors import MissingTokenError, NotGuardedError, RevokedTokenError, WrongIdentityError
from asgi_jwt_claims.tokens.digests import digests_of
from asgi_jwt_claims.tokens.token import Granted, about
from asgi_jwt_claims.tokens.verification import verify_token_async

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["renew_token"]


async def renew_token(websocket_or_scope: Any, raw: str | bytes) -> Token:
    """Let an open connection live as long as another token does.

    The new token must be as good as that of the handshake was: valid, of the same type, issuer and identity, not revoked,
    and by the rules of the guards that let the connection in. It then is the connection's token, for `get_token` and
    `current_token` too. When it is refused, nothing changes: the connection ends with the token that it has.

    Args:
        websocket_or_scope: A websocket object of any framework, or an ASGI scope.
        raw: The encoded token, as the client has sent it.

    Raises:
        WrongIdentityError: It is the token of another identity.
        MissingTokenError: The connection has no token; `adopt_token` lets it have one.
        TokenError: It is not good, or the connection has ended already.
        NotGuardedError: There is no middleware, or the connection does not end with its token.
    """
    scope = cast("MutableMapping[str, Any]", scope_of(websocket_or_scope))
    found = find_request_auth(scope)
    auth = None if found is None else found.for_scope(scope)
    grants = auth.grants_for(scope) if auth is not None and auth.connections else []
    pairs = [(grant, held) for grant in grants if (held := grant.held()) is not None]
    if auth is None or not auth.connections:
        raise NotGuardedError(
            "this connection has no token to renew: it needs JWTMiddleware or install(app, config), and end_with_token "
            "must not be False"
        )
    if not pairs:
        raise MissingTokenError("there is no token to renew; adopt_token lets a connection have one")
    # A guard with sources of its own has found the token for itself, under the same configuration.
    config = pairs[0][1].config
    lets_in = [(grant, held) for grant, held in pairs if held.config is config]
    held_tokens = [held.token for _, held in lets_in]
    token = await verify_token_async(raw, config, type=held_tokens[0].type)
    # By the digests, since 1 and True are the same to Python, and two identities to JSON.
    if {(one.issuer, digests_of(one, config).identity) for one in held_tokens} != {
        (token.issuer, digests_of(token, config).identity)
    }:
        raise about(WrongIdentityError(), token)
    for grant, held in lets_in:
        for guard in grant.guards:
            guard.policy.check(token)
        if held.store is not None and held.check_revocation and await held.store.check(token, config):
            raise about(RevokedTokenError(), token)
    for connection in auth.connections:
        if connection.error is not None:
            raise connection.error.with_traceback(None)
    # Read again, as another renewal may have ended while this one waited.
    _replace_token(token, scope, [now.token for grant, _ in lets_in if (now := grant.held()) is not None])
    auth.renew([grant for grant, _ in lets_in], token)
    return token


def _replace_token(token: Token, scope: MutableMapping[str, Any], held: list[Token]) -> None:
    """Let nothing that a handler reads speak of the token that was held before."""
    for name in ("token", "user"):
        if scope.get(name) in held:
            scope[name] = token
    if getattr(scope.get("auth"), "token", None) in held:
        scope["auth"] = Granted(token)
    for holder in holders_of(scope):
        if holder.token in held:
            holder.token = token
