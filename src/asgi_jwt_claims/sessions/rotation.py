"""Rotate refresh tokens: each is used once, and using one twice ends its session (RFC 9700 section 4.14.2).

When all that can fail has succeeded, one atomic step of the store moves the session from the token to its successor. A
token that is not the session's current one is handled as follows:

- It is the previous one, within the grace, and its successor has not been used: the client may have lost the response,
  and gets it again. Since a thief could use this for a while, `on_event` hears of it, and a session in which every
  refresh of a long time was followed by a repeat ends.
- It is newer than the session: the store has lost data, so that it does not know which tokens were used. The session ends.
- Otherwise two parties have the token, and either may be the thief. The session ends.
"""

from __future__ import annotations

import hmac
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from asgi_jwt_claims import errors
from asgi_jwt_claims.config import AuthEvent, JWTConfig
from asgi_jwt_claims.config.events import notify
from asgi_jwt_claims.config.scopes import are_granted
from asgi_jwt_claims.jose.compact import as_ascii
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.tasks import ends_task
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.stores.base import SessionRecord, TokenStore, checked_answer
from asgi_jwt_claims.tokens.digests import TokenDigests, digests_of
from asgi_jwt_claims.tokens.minted_claims import read_once, scope_text
from asgi_jwt_claims.tokens.token import Token, about, facts_of
from asgi_jwt_claims.tokens.verification import check_type, verify_or_fetch

from ._response_encryption import decrypt_response, encrypt_response
from .login import mint_pair, session_claim_of, session_end
from .revocation import check_arguments, end_session

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.pair import TokenPair

__all__ = ["ClaimsLoader", "RefreshedClaims", "check_client", "rotate_refresh_token"]

_MAX_REPEATS = 50  # rotations in a row, each followed by a repeat: half a day with access tokens of 15 minutes


class RefreshedClaims(NamedTuple):
    """User claims and roles of the new tokens, for a `claims_loader` to return.

    Attributes:
        user_claims: The user claims.
        roles: The roles; None to keep those of the refresh token.
    """

    user_claims: Mapping[str, Any] | None
    roles: list[str] | None = None


ClaimsLoader: TypeAlias = Callable[
    [Token], "Awaitable[Mapping[str, Any] | RefreshedClaims | None] | Mapping[str, Any] | RefreshedClaims | None"
]
"""A function of the refresh token, sync or async, that returns the current user claims; None to refuse the identity."""


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

    The new tokens have the same session, identity, audience, scopes and login, and are never fresh.

    Args:
        raw: The encoded refresh token, from `start_session` or from here.
        config: The configuration that minted it.
        store: The store that keeps its session.
        claims_loader: A function that looks up the user claims; None to keep those of the refresh token. If two requests
            come at once, one of its results is not used.
        scope: Some of the scopes granted, for the access token alone.
        client_id: The client that sends the token; checked if the session was started for a client.
        check: A function of the new pair, called before the refresh token is used. It raises if the pair cannot be
            delivered, for example in cookies.

    Raises:
        SettingError: `config` or `store` is of another type, or `config` lacks a `type_claim` or `session_claim`.
        ReusedTokenError: The token had been used before. Its session has ended now.
        RevokedTokenError: Its session has ended before, or the store does not know it, or only an older state of it.
        ExpiredTokenError: The token has expired, or its session is older than `session_lifetime`.
        IdentityRefusedError: `claims_loader` returned None.
        WrongClientError: The token belongs to another client.
        MissingScopeError: `scope` has more than was granted.
        InvalidTokenError: It is not a valid refresh token of a session.
        ClaimsUnavailableError: `claims_loader` or `check` raised, or the claims cannot be minted. The token is unused.
        KeysUnavailableError: The keys could not be fetched. The token is unused.
        StoreUnavailableError: The store failed, and the token may have been used. It can be sent again within the grace.
    """
    check_arguments(config, store, "rotate_refresh_token(raw, config, store)")
    session_claim_of(config)
    token = check_type(await verify_or_fetch(raw, config), "refresh")
    try:
        check_client(token, client_id)
        return await _rotate(token, raw, config, store, claims_loader, scope, check)
    except errors.TokenError as error:
        about(error, token)
        raise


async def _rotate(
    token: Token,
    raw: str | bytes,
    config: JWTConfig,
    store: TokenStore,
    claims_loader: ClaimsLoader | None,
    scope: str | None,
    check: Callable[[TokenPair], object] | None,
) -> TokenPair:
    digests = digests_of(token, config)
    record = await _find_session(digests, config, store)
    encoded = as_ascii(raw, config.max_token_size)
    if not hmac.compare_digest(record.current, digests.token):
        return await _answer_again(token, digests, record, encoded, config, store, check)
    logged_in_at = token.authenticated_at
    if logged_in_at is None:
        raise errors.MissingClaimError(claim="auth_time")
    now = int(config.clock())
    if session_end(config, logged_in_at) <= now:
        # Its `exp` has just passed, or it was minted when sessions could last longer.
        raise errors.ExpiredTokenError(claim="auth_time", auth_time=logged_in_at, now=now)
    narrowed = _narrowed(scope, token)
    loaded = await _load(token, claims_loader, config)
    granted = token.claims
    grant = {
        "user_claims": loaded.user_claims,
        "scope": scope_text(granted[config._prepared.scope_name]) if token.scopes else None,
        "roles": granted.get(config._prepared.roles_name) if loaded.roles is None else read_once(loaded.roles),
        "audience": json.loads(record.audience) if record.audience else None,
    }
    claims = {
        session_claim_of(config): token.session_id,
        "auth_time": logged_in_at,
        "client_id": granted.get("client_id"),
    }
    try:
        minted = mint_pair(token.identity, config, now, logged_in_at, grant, claims, fresh=False, access_scope=narrowed)
    except Exception as error:  # values of the application may raise anything
        logger().exception("new tokens could not be minted; the refresh token has not been used")
        raise errors.ClaimsUnavailableError(reason=type(error).__name__) from error
    pair = _checked(minted.pair, check)
    moment = config.clock()
    after = record._replace(
        current=minted.digest,
        previous=digests.token,
        previous_used_at=moment,
        response=encrypt_response(pair, encoded, digests.session) if config._prepared.grace_seconds else b"",
        response_until=moment + config._prepared.grace_seconds,
        # Never before the `iat` of one of its tokens, although clocks differ.
        refreshed_at=max(record.refreshed_at, moment),
        # Access tokens that were minted under longer lifetimes may outlive the refresh token.
        expires_at=max(minted.refresh_expires_at, record.access_expires_at) + config._prepared.leeway_seconds,
        access_expires_at=max(record.access_expires_at, minted.access_expires_at) if record.access_expires_at else 0.0,
        repeats=record.repeats if record.was_repeated else 0,
        was_repeated=False,
    )
    if not await _move_on(record, after, store):
        # Another request was quicker with the same token.
        record = await _find_session(digests, config, store)
        return await _answer_again(token, digests, record, encoded, config, store, check)
    await notify(config.on_event, AuthEvent(name="refreshed", **facts_of(token)))
    return pair


async def _move_on(before: SessionRecord, after: SessionRecord, store: TokenStore) -> bool:
    """Replace the state of a session, and return whether this call did."""
    try:
        return await store.replace_session(before.session, before.current, after)
    except errors.StoreUnavailableError:
        # Perhaps only the answer was lost. Without this look, the client would send a token that has been used.
        record = await store.session(before.session)
        if record is not None and record.current == before.current:
            raise
        return record is not None and record.current == after.current


async def _find_session(digests: TokenDigests, config: JWTConfig, store: TokenStore) -> SessionRecord:
    if not digests.session or not digests.token:
        raise errors.MissingClaimError(claim=config.session_claim if not digests.session else "jti")
    if checked_answer(await store.is_revoked(digests)):
        raise errors.RevokedTokenError()
    record = await store.session(digests.session)
    if record is None:
        # If each process has a store of its own, another process knows the session.
        raise errors.RevokedTokenError(reason="no such session here")
    if record.has_ended:
        raise errors.RevokedTokenError(reason="the session has ended")
    return record


async def _answer_again(
    token: Token,
    digests: TokenDigests,
    record: SessionRecord,
    encoded: bytes,
    config: JWTConfig,
    store: TokenStore,
    check: Callable[[TokenPair], object] | None,
) -> TokenPair:
    """The stored response to a token that is not the session's current one; or end the session."""
    is_previous = hmac.compare_digest(record.previous, digests.token)
    repeats = record.repeats if record.was_repeated else record.repeats + 1
    if is_previous and record.response and config.clock() - record.previous_used_at < config._prepared.grace_seconds:
        pair = decrypt_response(record.response, encoded, digests.session)
        if pair is not None and repeats < _MAX_REPEATS:
            if not record.was_repeated:
                # If the session has moved on meanwhile, the repeat was good when it came, and need not count.
                noted = record._replace(repeats=repeats, was_repeated=True)
                await store.replace_session(record.session, record.current, noted)
            await notify(config.on_event, AuthEvent(name="refresh_repeated", **facts_of(token)))
            return _checked(pair, check)
    expires_at = math.inf if token.expires_at is None else token.expires_at
    await end_session(str(token.session_id), config, store, expires_at=expires_at)
    if not is_previous and token.issued_at is not None and token.issued_at > record.refreshed_at:
        logger().warning("the store has lost the last state of session %s, which has ended", token.session_id)
        raise errors.RevokedTokenError(reason="the store has lost the state of the session", jti=token.jti)
    logger().warning("a refresh token was used twice; its session %s has ended", token.session_id)
    await notify(config.on_event, AuthEvent(name="reuse_detected", **facts_of(token)))
    raise errors.ReusedTokenError(jti=token.jti)


def _checked(pair: TokenPair, check: Callable[[TokenPair], object] | None) -> TokenPair:
    try:
        if check is not None:
            check(pair)
    except Exception as error:  # a function of the application may raise anything
        logger().exception("the tokens of a refresh cannot be delivered")
        raise errors.ClaimsUnavailableError(reason=type(error).__name__) from error
    return pair


def check_client(token: Token, client_id: str | None) -> None:
    """Raise a `WrongClientError` for a token that was issued to another client (RFC 6749 section 10.4)."""
    expected = token.claims.get("client_id")
    if expected is None:
        return
    sent = plain(client_id) if isinstance(client_id, str) else ""
    if not isinstance(expected, str) or not hmac.compare_digest(
        expected.encode(), sent.encode("utf-8", "surrogatepass")
    ):
        raise about(errors.WrongClientError(), token)


async def _load(token: Token, loader: ClaimsLoader | None, config: JWTConfig) -> RefreshedClaims:
    if loader is None:
        name = config.user_claims_claim
        return RefreshedClaims(token.user_claims if name is None else token.claims.get(name))
    try:
        loaded = loader(token)
        if inspect.isawaitable(loaded):
            loaded = await loaded
    except errors.TokenError:
        raise
    except BaseException as error:  # a task that the loader awaits may be cancelled, which is a failure too
        if ends_task(error):
            raise
        logger().exception("claims_loader failed; the refresh token has not been used")
        raise errors.ClaimsUnavailableError(reason=type(error).__name__) from error
    if loaded is None:
        raise errors.IdentityRefusedError()
    return loaded if isinstance(loaded, RefreshedClaims) else RefreshedClaims(loaded)


def _narrowed(scope: str | None, token: Token) -> str | None:
    if scope is None:
        return None
    try:
        text = scope_text(scope)
    except errors.MintingError:
        raise errors.MissingScopeError(reason="not scopes") from None
    wanted = frozenset(text.split(" "))
    hierarchy = token._verified[0].claim_names.hierarchy  # noqa: SLF001 -- what the configuration says is for no handler
    if not are_granted(wanted, token.scopes, hierarchy):
        raise errors.MissingScopeError(missing=" ".join(sorted(wanted - token.scopes)))
    return text
