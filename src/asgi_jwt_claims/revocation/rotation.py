"""Rotation: a refresh token is used once, and what comes of using it twice (RFC 9700 section 4.14.2).

From top to bottom: the token is verified; whom it speaks for is asked about; its successor is made; and then, in one
atomic step of the store, the session moves on from the one to the other. Whoever comes second finds that it has:

- within the grace, and as long as the successor has not been used either, it gets the very same answer, since a client
  that lost an answer cannot do better than ask again;
- otherwise somebody has used the token who should not have it, and nobody can say which of them. The session ends.
"""

from __future__ import annotations

import hmac
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from asgi_jwt_claims._compact import as_ascii
from asgi_jwt_claims._log import logger
from asgi_jwt_claims._store import Marks, RevocationStore, SessionRecord, marks_of
from asgi_jwt_claims.claims import scope_text
from asgi_jwt_claims.errors import (
    ClaimsUnavailableError,
    IdentityRefusedError,
    MintingError,
    MissingClaimError,
    MissingScopeError,
    ReusedTokenError,
    RevokedTokenError,
    TokenError,
    WrongClientError,
)
from asgi_jwt_claims.events import AuthEvent, tell
from asgi_jwt_claims.token import Token, TokenPair
from asgi_jwt_claims.verification import verify_token_async

from ._sealing import open_sealed, seal
from .sessions import check_settings, mint_pair, refresh_mark, revoke_session

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig

__all__ = ["ClaimsLoader", "Renewal", "check_client", "rotate_refresh_token"]


class Renewal(NamedTuple):
    """What a `claims_loader` may return where user claims alone are not enough.

    Attributes:
        user_claims: The user claims of the new tokens.
        roles: Their roles; None: those of the refresh token.
    """

    user_claims: Mapping[str, Any] | None
    roles: list[str] | None = None


ClaimsLoader: TypeAlias = Callable[
    [Token], "Awaitable[Mapping[str, Any] | Renewal | None] | Mapping[str, Any] | Renewal | None"
]
"""Given the refresh token, the user claims as they are today; None when the identity may not go on. Sync or async."""


async def rotate_refresh_token(
    raw: str | bytes,
    config: JWTConfig,
    store: RevocationStore,
    *,
    claims_loader: ClaimsLoader | None = None,
    scope: str | None = None,
    client_id: str | None = None,
) -> TokenPair:
    """Use a refresh token, once, for a new pair (RFC 6749 section 6).

    The new tokens are those of the same session: same identity, audience, scope and login, and never fresh.

    Args:
        raw: The encoded refresh token, from `start_session` or from here.
        config: That which minted it.
        store: Where its session is kept.
        claims_loader: Asked for the user claims; None: they are carried over. It may be asked and the answer not used.
        scope: A part of the scopes granted, for the access token alone.
        client_id: Who sends it; checked if the session was started for a client.

    Raises:
        ReusedTokenError: It had been used before. Its session has ended now.
        RevokedTokenError: Its session has ended before, or nobody knows it.
        IdentityRefusedError: The loader returned None.
        WrongClientError: It belongs to another client.
        MissingScopeError: `scope` has more than was granted.
        InvalidTokenError: It is no valid refresh token.
        UnavailableError: The store, the keys or the loader failed. The token has not been used.
    """
    family_claim = check_settings(config)
    token = await verify_token_async(raw, config, type="refresh")
    check_client(token, client_id)
    marks = marks_of(token, config)
    record = await _find_session(token, marks, config, store)
    encoded = as_ascii(raw, config.max_token_size)
    if not hmac.compare_digest(record.current, marks.token):
        return await _answer_again(token, marks, record, encoded, config, store)
    renewal = await _load(token, claims_loader)
    now = int(config.clock())
    grant = {
        "user_claims": renewal.user_claims,
        "scope": scope_text(sorted(token.scopes)) if token.scopes else None,
        "roles": sorted(token.roles) or None if renewal.roles is None else renewal.roles,
        "audience": list(token.audience) or None,
    }
    narrowed = _narrowed(scope, token)
    logged_in_at = token.authenticated_at
    if logged_in_at is None:
        raise MissingClaimError(claim="auth_time")
    claims = {family_claim: token.family, "auth_time": logged_in_at, "client_id": token.claims.get("client_id")}
    pair, jti, ends_at = mint_pair(
        token.identity, config, now, logged_in_at, grant, claims, fresh=False, access_scope=narrowed
    )
    moment = config.clock()
    after = record._replace(
        current=refresh_mark(config, jti),
        previous=marks.token,
        spent_at=moment,
        sealed=seal(pair, encoded, marks.family) if config.grace_seconds else b"",
        sealed_until=moment + config.grace_seconds,
        refreshed_at=moment,
        expires_at=ends_at + config.leeway_seconds,
    )
    if not await store.replace_session(marks.family, marks.token, after):
        # Somebody else was quicker with the same token.
        return await _answer_again(
            token, marks, await _find_session(token, marks, config, store), encoded, config, store
        )
    await tell(config.on_event, AuthEvent.about(token, "refreshed"))
    return pair


async def _find_session(token: Token, marks: Marks, config: JWTConfig, store: RevocationStore) -> SessionRecord:
    if not marks.family or not marks.token:
        raise MissingClaimError(claim=config.family_claim if not marks.family else "jti")
    if await store.check(token, config):
        raise RevokedTokenError()
    record = await store.session(marks.family)
    if record is None:
        raise RevokedTokenError(reason="no such session")
    return record


async def _answer_again(
    token: Token, marks: Marks, record: SessionRecord, encoded: bytes, config: JWTConfig, store: RevocationStore
) -> TokenPair:
    is_previous = hmac.compare_digest(record.previous, marks.token)
    if is_previous and record.sealed and config.clock() - record.spent_at < config.grace_seconds:
        pair = open_sealed(record.sealed, encoded, marks.family)
        if pair is not None:
            return pair
    await revoke_session(str(token.family), config, store)
    logger().warning("a refresh token was used twice; its session %s has ended", token.family)
    await tell(config.on_event, AuthEvent.about(token, "reuse_detected"))
    raise ReusedTokenError(jti=token.jti)


def check_client(token: Token, client_id: str | None) -> None:
    """Refuse a token that was issued to another client (RFC 6749 section 10.4).

    Raises:
        WrongClientError: It was.
    """
    expected = token.claims.get("client_id")
    if expected is None:
        return
    if not isinstance(expected, str) or not hmac.compare_digest(expected.encode(), (client_id or "").encode()):
        raise WrongClientError()


async def _load(token: Token, loader: ClaimsLoader | None) -> Renewal:
    if loader is None:
        return Renewal(token.user_claims or None)
    try:
        loaded = loader(token)
        if inspect.isawaitable(loaded):
            loaded = await loaded
    except TokenError:
        raise
    except Exception as error:
        logger().exception("claims_loader failed; the refresh token has not been used")
        raise ClaimsUnavailableError(reason=type(error).__name__) from error
    if loaded is None:
        raise IdentityRefusedError()
    return loaded if isinstance(loaded, Renewal) else Renewal(loaded)


def _narrowed(scope: str | None, token: Token) -> str | None:
    if scope is None:
        return None
    try:
        text = scope_text(scope)
    except MintingError:
        raise MissingScopeError(reason="not scopes") from None
    wanted = set(text.split(" "))
    if not wanted <= token.scopes:
        raise MissingScopeError(missing=" ".join(sorted(wanted - token.scopes)))
    return text
