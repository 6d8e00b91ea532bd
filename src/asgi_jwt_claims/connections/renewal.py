"""Renewal: a connection that is about to end with its token goes on with another one of the same identity."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, cast

from asgi_jwt_claims.auth.request import holders_of, outcome_of, outcomes_from, scope_of
from asgi_jwt_claims.errors import NotGuardedError, RevokedTokenError, WrongIdentityError
from asgi_jwt_claims.tokens.digests import digests_of
from asgi_jwt_claims.tokens.token import Granted, about
from asgi_jwt_claims.tokens.verification import verify_token_async

if TYPE_CHECKING:
    from asgi_jwt_claims.auth.request import Outcome
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["renew_token"]


async def renew_token(websocket_or_scope: Any, raw: str | bytes) -> Token:
    """Let an open connection live as long as another token does.

    The new token must be as good as that of the handshake was: valid, of the same type, issuer and identity, not
    revoked, and by the rules of the guards that let the connection in. It then is the connection's token, for `get_token`
    and `current_token` too. When it is refused, nothing changes: the connection ends with the token that it has.

    Args:
        websocket_or_scope: A websocket object of any framework, or an ASGI scope.
        raw: The encoded token, as the client has sent it.

    Raises:
        WrongIdentityError: It is somebody else's.
        TokenError: It is not good, or the connection has ended already.
        NotGuardedError: The connection has no token.
    """
    scope = cast("MutableMapping[str, Any]", scope_of(websocket_or_scope))
    outcomes = _with_a_connection(scope)
    config = outcomes[0].config if outcomes else None
    if config is None:
        raise NotGuardedError(
            "this connection has no token to renew: it needs JWTMiddleware or install(app, config), a token, and "
            "end_with_token must not be False"
        )
    # A guard with sources of its own has found the token for itself, under the same configuration.
    outcomes = [outcome for outcome in outcomes if outcome.config is config]
    held = [outcome.held for outcome in outcomes if outcome.held is not None]
    token = await verify_token_async(raw, config, type=held[0].type)
    # By the digests, since 1 and True are the same to Python, and two identities to JSON.
    if {(one.issuer, digests_of(one, config).identity) for one in held} != {
        (token.issuer, digests_of(token, config).identity)
    }:
        raise about(WrongIdentityError(), token)
    for outcome in outcomes:
        await _check(token, outcome)
    for connection in {connection for outcome in outcomes for connection in outcome.connections}:
        if connection.error is not None:
            raise connection.error.with_traceback(None)
    _hand_over(token, scope, held)
    for outcome in outcomes:
        outcome.renew(token)
    return token


def _hand_over(token: Token, scope: MutableMapping[str, Any], held: list[Token]) -> None:
    """Let nothing that a handler reads speak of the token that was held before."""
    for name in ("token", "user"):
        if scope.get(name) in held:
            scope[name] = token
    if getattr(scope.get("auth"), "token", None) in held:
        scope["auth"] = Granted(token)
    for holder in holders_of(scope):
        if holder.token in held:
            holder.token = token


def _with_a_connection(scope: MutableMapping[str, Any]) -> list[Outcome]:
    outcomes = outcomes_from(outcome_of(scope))
    return [one for one in outcomes if one.held is not None and one.connections and one.is_of(scope)]


async def _check(token: Token, outcome: Outcome) -> None:
    """Whether the connection would have been let in with this token."""
    for guard in outcome.passed:
        guard.policy.check(token)
    store, config = outcome.store, outcome.config
    if store is not None and config is not None and outcome.heeds_revocation and await store.check(token, config):
        raise about(RevokedTokenError(), token)
