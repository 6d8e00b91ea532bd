"""Rotation: a refresh token is used once, and what comes of using it twice (RFC 9700 section 4.14.2).

From top to bottom: the token is verified; the application is asked about its identity; its successor is made, and all
that can fail has failed by now; and then, in one atomic step of the store, the session moves on from the one to the other. A
request whose token is not the one that the session is waiting for is one of these:

- It comes within the grace, and the successor has not been used either. It gets the very same answer, since a client that
  lost an answer cannot do better than ask again. A thief can live on that for a while, so it is told to `on_event`, and a
  session in which every refresh of a long time was followed by a repeat ends.
- Its token is newer than the session: the store has lost what it knew. This is no theft, but it cannot be known which
  tokens have been used since, so the session ends.
- Otherwise two parties have the token, and it cannot be known which of them is the thief. The session ends.

When the store does not say whether the session has moved on, its state is read once more. When that fails too, the client
is told to ask again, and it is not known whether its token has been used.
"""

from __future__ import annotations

import hmac
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from asgi_jwt_claims.config.events import AuthEvent, tell
from asgi_jwt_claims.errors import (
    ClaimsUnavailableError,
    ExpiredTokenError,
    IdentityRefusedError,
    MintingError,
    MissingClaimError,
    MissingScopeError,
    ReusedTokenError,
    RevokedTokenError,
    StoreUnavailableError,
    TokenError,
    WrongClientError,
)
from asgi_jwt_claims.jose.compact import as_ascii
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.tasks import ends_task
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.stores.base import SessionRecord, TokenStore, is_digest_revoked
from asgi_jwt_claims.tokens.digests import TokenDigests, digests_of
from asgi_jwt_claims.tokens.minted_claims import read_once, scope_text
from asgi_jwt_claims.tokens.token import Token, about, facts_of
from asgi_jwt_claims.tokens.verification import verify_token_async

from ._response_encryption import decrypt_response, encrypt_response
from .login import (
    check_arguments,
    check_settings,
    end_session,
    mint_pair,
    refresh_digest,
    session_end,
)

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.tokens.pair import TokenPair

__all__ = ["ClaimsLoader", "RefreshedClaims", "check_client", "rotate_refresh_token"]

_MAX_REPEATS = 50  # rotations in a row, each followed by a repeat: half a day, with access tokens of 15 minutes


class RefreshedClaims(NamedTuple):
    """What a `claims_loader` may return where user claims alone are not enough.

    Attributes:
        user_claims: The user claims of the new tokens.
        roles: Their roles; None: those of the refresh token.
    """

    user_claims: Mapping[str, Any] | None
    roles: list[str] | None = None


ClaimsLoader: TypeAlias = Callable[
    [Token], "Awaitable[Mapping[str, Any] | RefreshedClaims | None] | Mapping[str, Any] | RefreshedClaims | None"
]
"""Given the refresh token, the user claims as they are today; None when the identity may not go on. Sync or async."""


async def rotate_refresh_token(
    raw: str | bytes,
    config: JWTConfig,
    store: TokenStore,
    *,
    claims_loader: ClaimsLoader | None = None,
    scope: str | None = None,
    client_id: str | None = None,
    check: Callable[[TokenPair], object] | None = None,
) -> TokenPair:
    """Use a refresh token, once, for a new pair (RFC 6749 section 6).

    The new tokens are those of the same session: same identity, audience, scope and login, and never fresh.

    Args:
        raw: The encoded refresh token, from `start_session` or from here.
        config: That which minted it.
        store: Where its session is kept.
        claims_loader: Asked for the user claims; None: they are carried over. It may be asked and the answer not used.
        scope: A part of the scopes granted, for the access token alone.
        client_id: The client that sends it; checked if the session was started for a client.
        check: Called with the new pair before the refresh token is used up; raises when the pair cannot be delivered, for
            example because a cookie cannot hold it.

    Raises:
        SettingError: `config` or `store` is none.
        ReusedTokenError: It had been used before. Its session has ended now.
        RevokedTokenError: Its session has ended before, or the store does not know it, or not as it was last.
        ExpiredTokenError: It has expired, or its session is older than `session_lifetime`.
        IdentityRefusedError: The loader returned None.
        WrongClientError: It belongs to another client.
        MissingScopeError: `scope` has more than was granted.
        InvalidTokenError: It is no valid refresh token.
        ClaimsUnavailableError: The loader failed, what it returned cannot be minted, or `check` raised. The token has not
            been used.
        KeysUnavailableError: The keys could not be fetched. The token has not been used.
        StoreUnavailableError: The store failed. It is not known whether the token has been used: within the grace it can be
            sent again.
    """
    check_arguments(config, store, "rotate_refresh_token(raw, config, store)")
    session_claim = check_settings(config)
    token = await verify_token_async(raw, config, type="refresh")
    try:
        check_client(token, client_id)
        return await _rotate(
            token, raw, config, store, session_claim, claims_loader=claims_loader, scope=scope, check=check
        )
    except TokenError as error:
        about(error, token)
        raise


async def _rotate(
    token: Token,
    raw: str | bytes,
    config: JWTConfig,
    store: TokenStore,
    session_claim: str,
    *,
    claims_loader: ClaimsLoader | None,
    scope: str | None,
    check: Callable[[TokenPair], object] | None,
) -> TokenPair:
    digests = digests_of(token, config)
    record = await _find_session(digests, config, store)
    encoded = as_ascii(raw, config.max_token_size)
    if not hmac.compare_digest(record.current, digests.token):
        return _checked(await _answer_again(token, digests, record, encoded, config, store), check)
    logged_in_at = token.authenticated_at
    if logged_in_at is None:
        raise MissingClaimError(claim="auth_time")
    now = int(config.clock())
    if session_end(config, logged_in_at) <= now:
        # Its `exp` has just passed, or was written when sessions could last longer.
        raise ExpiredTokenError(claim="auth_time", auth_time=logged_in_at, now=now)
    narrowed = _narrowed(scope, token)
    renewal = await _load(token, claims_loader, config)
    said = token.claims
    grant = {
        "user_claims": renewal.user_claims,
        "scope": scope_text(said[config.scope_claim]) if token.scopes else None,
        "roles": said.get(config.roles_claim) if renewal.roles is None else read_once(renewal.roles),
        "audience": json.loads(record.audience) if record.audience else None,
    }
    claims = {session_claim: token.session_id, "auth_time": logged_in_at, "client_id": said.get("client_id")}
    try:
        pair, life = mint_pair(
            token.identity, config, now, logged_in_at, grant, claims, fresh=False, access_scope=narrowed
        )
    except Exception as error:  # the values are the application's, and may raise anything
        logger().exception("new tokens could not be minted; the refresh token has not been used")
        raise ClaimsUnavailableError(reason=type(error).__name__) from error
    _checked(pair, check)
    moment = config.clock()
    after = record._replace(
        current=refresh_digest(config, life.refresh_jti),
        previous=digests.token,
        previous_used_at=moment,
        response=encrypt_response(pair, encoded, digests.session) if config._prepared.grace_seconds else b"",
        response_until=moment + config._prepared.grace_seconds,
        # Not before the `iat` of any of its tokens, though clocks differ.
        refreshed_at=max(record.refreshed_at, moment),
        # Access tokens that were minted under longer lifetimes may outlive the refresh token.
        expires_at=max(life.refresh_end, record.access_expires_at) + config._prepared.leeway_seconds,
        access_expires_at=max(record.access_expires_at, life.access_end) if record.access_expires_at else 0.0,
        repeats=record.repeats if record.was_repeated else 0,
        was_repeated=False,
    )
    if not await _move_on(record, after, store):
        # Another request was quicker with the same token.
        record = await _find_session(digests, config, store)
        return _checked(await _answer_again(token, digests, record, encoded, config, store), check)
    await tell(config.on_event, AuthEvent(name="refreshed", **facts_of(token)))
    return pair


async def _move_on(before: SessionRecord, after: SessionRecord, store: TokenStore) -> bool:
    """Whether the session has moved from the one state to the other, and not by another request."""
    try:
        return await store.replace_session(before.session, before.current, after)
    except StoreUnavailableError:
        # It may have, and only the answer was lost. The client would come back with a token that has been used.
        record = await store.session(before.session)
        if record is not None and record.current == before.current:
            raise
        return record is not None and record.current == after.current


async def _find_session(digests: TokenDigests, config: JWTConfig, store: TokenStore) -> SessionRecord:
    if not digests.session or not digests.token:
        raise MissingClaimError(claim=config.session_claim if not digests.session else "jti")
    if await is_digest_revoked(store, digests):
        raise RevokedTokenError()
    record = await store.session(digests.session)
    if record is None:
        # With a store of its own in each process it is another process that knows the session.
        raise RevokedTokenError(reason="no such session here")
    if record.has_ended:
        raise RevokedTokenError(reason="the session has ended")
    return record


async def _answer_again(
    token: Token, digests: TokenDigests, record: SessionRecord, encoded: bytes, config: JWTConfig, store: TokenStore
) -> TokenPair:
    """The answer to a token that is not the one that the session is waiting for."""
    is_previous = hmac.compare_digest(record.previous, digests.token)
    repeats = record.repeats if record.was_repeated else record.repeats + 1
    if is_previous and record.response and config.clock() - record.previous_used_at < config._prepared.grace_seconds:
        pair = decrypt_response(record.response, encoded, digests.session)
        if pair is not None and repeats < _MAX_REPEATS:
            await _note_repeat(token, record, repeats, config, store)
            return pair
    expires_at = math.inf if token.expires_at is None else token.expires_at
    await end_session(str(token.session_id), config, store, expires_at=expires_at)
    if not is_previous and token.issued_at is not None and token.issued_at > record.refreshed_at:
        logger().warning("the store has lost the last state of session %s, which has ended", token.session_id)
        raise RevokedTokenError(reason="the store has lost the state of the session", jti=token.jti)
    logger().warning("a refresh token was used twice; its session %s has ended", token.session_id)
    await tell(config.on_event, AuthEvent(name="reuse_detected", **facts_of(token)))
    raise ReusedTokenError(jti=token.jti)


async def _note_repeat(token: Token, record: SessionRecord, repeats: int, config: JWTConfig, store: TokenStore) -> None:
    if not record.was_repeated:
        # If the session has moved on meanwhile, the repeat was good when it came, and is not counted.
        await store.replace_session(record.session, record.current, record._replace(repeats=repeats, was_repeated=True))
    await tell(config.on_event, AuthEvent(name="refresh_repeated", **facts_of(token)))


def _checked(pair: TokenPair, check: Callable[[TokenPair], object] | None) -> TokenPair:
    try:
        if check is not None:
            check(pair)
    except Exception as error:  # `check` is its caller's, and may raise anything
        logger().exception("the tokens of a refresh cannot be delivered")
        raise ClaimsUnavailableError(reason=type(error).__name__) from error
    return pair


def check_client(token: Token, client_id: str | None) -> None:
    """Refuse a token that was issued to another client (RFC 6749 section 10.4).

    Raises:
        WrongClientError: It was.
    """
    expected = token.claims.get("client_id")
    if expected is None:
        return
    sent = plain(client_id) if isinstance(client_id, str) else ""
    if not isinstance(expected, str) or not hmac.compare_digest(
        expected.encode(), sent.encode("utf-8", "surrogatepass")
    ):
        raise about(WrongClientError(), token)


async def _load(token: Token, loader: ClaimsLoader | None, config: JWTConfig) -> RefreshedClaims:
    if loader is None:
        name = config.user_claims_claim
        return RefreshedClaims(token.user_claims if name is None else token.claims.get(name))
    try:
        loaded = loader(token)
        if inspect.isawaitable(loaded):
            loaded = await loaded
    except TokenError:
        raise
    except BaseException as error:  # a task that the loader awaits may have been cancelled, which is a failure too
        if ends_task(error):
            raise
        logger().exception("claims_loader failed; the refresh token has not been used")
        raise ClaimsUnavailableError(reason=type(error).__name__) from error
    if loaded is None:
        raise IdentityRefusedError()
    return loaded if isinstance(loaded, RefreshedClaims) else RefreshedClaims(loaded)


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
