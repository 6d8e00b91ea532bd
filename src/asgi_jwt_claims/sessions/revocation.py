"""Revoke tokens, sessions and identities.

A session is ended in two places. Its record says so while its refresh token lives. Its digest is revoked while its last
access token lives; the record knows for how long, also of tokens that were minted with other lifetimes.

No token lives longer than `longest_seconds` of its configuration, give or take the leeway: a clock that is ahead may mint
it, and one that is behind may verify it.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from asgi_jwt_claims.config import AuthEvent, JWTConfig, check_config
from asgi_jwt_claims.config.events import notify
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.stores.base import PAGE, Revocation, SessionRecord, TokenStore
from asgi_jwt_claims.tokens.digests import digest, digests_of
from asgi_jwt_claims.tokens.minted_claims import check_identity
from asgi_jwt_claims.tokens.token import Token

__all__ = [
    "check_arguments",
    "end_identity",
    "end_session",
    "page_after",
    "revoke_identity",
    "revoke_session",
    "revoke_token",
]

_ATTEMPTS = 3
_UNDER_WAY = 60.0  # seconds that a refresh may take from its look at the store to its tokens
_ENDED = b"\0" * 16  # the `current` of a session that has ended; no token has this digest


def check_arguments(config: object, store: object, call: str) -> None:
    """Raise a `SettingError` for a configuration or a store of another type."""
    check_config(config, call)
    if not isinstance(store, TokenStore):
        raise SettingError(
            f"store must be a TokenStore such as SQLiteStore(path), not {type(store).__name__}; call {call}"
        )


async def revoke_token(token: Token, config: JWTConfig, store: TokenStore) -> None:
    """Revoke one token by its `jti` (RFC 7519 section 4.1.7).

    Raises:
        SettingError: An argument is of another type, or the token has no `jti`.
        StoreUnavailableError: The token has not been revoked.
    """
    if not isinstance(token, Token):
        raise SettingError(f"token must be a Token, not {type(token).__name__}; verify_token makes one of its text")
    check_arguments(config, store, "revoke_token(token, config, store)")
    if not token.jti:
        raise SettingError("token has no jti to revoke it by; revoke its session or its identity")
    until = _outlasting(math.inf if token.expires_at is None else token.expires_at, config)
    await store.revoke([Revocation("token", digests_of(token, config).token, until)])
    facts = {"issuer": token.issuer, "identity": token.identity, "jti": token.jti, "session_id": token.session_id}
    await _tell("token", config, **facts)


async def revoke_session(session_id: str, config: JWTConfig, store: TokenStore, *, issuer: str | None = None) -> int:
    """End a session: revoke all tokens that come from its login.

    Args:
        session_id: The `id` of a `Session`, or the `session_id` of one of its tokens.
        config: The configuration of its tokens.
        store: The store that keeps the session.
        issuer: The `issuer` of its tokens. It must be given if the configuration has an `IssuerTemplate`.

    Returns:
        1 if the session has ended; 0 if it had ended before, or the store has none. Its tokens are revoked in any case.

    Raises:
        SettingError: An argument is of another type, `session_id` is empty, or `issuer` is missing or of another
            configuration.
        StoreUnavailableError: The session may not have ended; call this again.
    """
    check_arguments(config, store, "revoke_session(session_id, config, store)")
    session_id = plain(session_id)
    if not (isinstance(session_id, str) and session_id):
        raise SettingError(
            f"session_id must be a non-empty str, not {session_id!r}; if the token has none, revoke the token or its "
            "identity"
        )
    return await end_session(session_id, config, store, issuer=issuer)


async def end_session(
    session_id: str, config: JWTConfig, store: TokenStore, *, expires_at: float = 0.0, issuer: str | None = None
) -> int:
    """As `revoke_session`, but keep the revocation until `expires_at` at least, the `exp` of a token at hand."""
    issuer = config._prepared.issuers.of_revocation(issuer)
    session = digest("session", issuer, session_id)
    record = await store.session(session)
    # The record first, so that a refresh under way issues no token that the record does not know of.
    state = None if record is None else await _close(record, store)
    await store.revoke([_of_session(session, state, config, expires_at)])
    await _tell("session", config, issuer=issuer, session_id=session_id)
    return int(state is not None and not state.has_ended)


async def revoke_identity(identity: Any, config: JWTConfig, store: TokenStore, *, issuer: str | None = None) -> int:
    """Log `identity` out everywhere: revoke all of its tokens that have been issued up to now.

    Its live sessions are also ended one by one, and a token without a session counts as issued a leeway before its `iat`,
    so that none survives because another clock is a little ahead.

    Args:
        identity: The identity that the tokens were minted for, as it was given then.
        config: The configuration of the tokens.
        store: The store that keeps the sessions.
        issuer: The `issuer` of the tokens. It must be given if the configuration has an `IssuerTemplate`, since `alice` of
            one tenant is not `alice` of another.

    Returns:
        How many sessions have ended. Tokens without a session are revoked too, and not counted.

    Raises:
        MintingError: No token can be minted for `identity`.
        SettingError: `config` or `store` is of another type, or `issuer` is missing or of another configuration.
        StoreUnavailableError: Some tokens may not have been revoked; call this again.
    """
    check_arguments(config, store, "revoke_identity(identity, config, store)")
    return await end_identity(check_identity(identity, config._prepared.identity_name), config, store, issuer=issuer)


async def end_identity(
    identity: Any, config: JWTConfig, store: TokenStore, *, expires_at: float = 0.0, issuer: str | None = None
) -> int:
    """As `revoke_identity`, but keep the revocation until `expires_at` at least, as `end_session` does."""
    issuer = config._prepared.issuers.of_revocation(issuer)
    owner = digest("identity", issuer, identity)
    until = _outlasting(max(expires_at, _issued_now(config, config._prepared.longest_seconds)), config)
    cutoff = config.clock()
    # With this one write the tokens are refused, also if the rest fails.
    await store.revoke([Revocation("identity", owner, until, cutoff)])
    ended = 0
    page = await store.sessions(owner)
    while page:
        # With many sessions this takes a while, in which the user may have logged in again.
        due = [one for one in page if one.started_at <= cutoff + config._prepared.leeway_seconds]
        await store.revoke([_of_session(one.session, one, config) for one in due])
        states = [await _close(one, store) for one in due]
        ended += sum(1 for state in states if state is not None and not state.has_ended)
        # A session that was refreshed meanwhile, perhaps by a release with other lifetimes, may end later.
        moved = [
            _of_session(one.session, state, config)
            for one, state in zip(due, states, strict=True)
            if state is None or state.access_expires_at != one.access_expires_at
        ]
        if moved:
            await store.revoke(moved)
        page = await page_after(page, owner, store)
    await _tell("identity", config, issuer=issuer, identity=identity)
    return ended


async def page_after(page: list[SessionRecord], identity: bytes, store: TokenStore) -> list[SessionRecord]:
    """The live sessions that follow a page; none if it was the last."""
    return await store.sessions(identity, after=page[-1].session) if len(page) == PAGE else []


async def _tell(revoked: Literal["token", "session", "identity"], config: JWTConfig, **facts: Any) -> None:
    await notify(config.on_event, AuthEvent(name="revoked", revoked=revoked, **facts))


async def _close(record: SessionRecord, store: TokenStore) -> SessionRecord | None:
    """End a session in its record. Returns the state before; None if it is gone, or was refreshed before each attempt."""
    state: SessionRecord | None = record
    for _ in range(_ATTEMPTS):
        if state is None or state.has_ended:
            return state
        ended = state._replace(current=_ENDED, response=b"", has_ended=True)
        if await store.replace_session(state.session, state.current, ended):
            return state
        state = await store.session(record.session)
    return None


def _of_session(session: bytes, state: SessionRecord | None, config: JWTConfig, expires_at: float = 0.0) -> Revocation:
    """The revocation of a session that ended in `state`, which is None if it is not known."""
    known = 0.0 if state is None else state.access_expires_at
    access = math.inf if config._prepared.access_seconds is None else config._prepared.access_seconds
    # A token of a refresh under way, or of one that the store has lost, is issued about now at the latest.
    latest = _issued_now(config, access if known else config._prepared.longest_seconds)
    return Revocation("session", session, _outlasting(max(known, latest, expires_at), config))


def _issued_now(config: JWTConfig, lifetime: float) -> float:
    """When a token expires that is issued about now, by any clock, with this lifetime in seconds."""
    return config.clock() + config._prepared.leeway_seconds + _UNDER_WAY + lifetime


def _outlasting(expires_at: float, config: JWTConfig) -> float:
    """Until when a revocation is kept: a token lives a leeway longer than its `exp`, by a clock that may be behind."""
    return expires_at + 2 * config._prepared.leeway_seconds
