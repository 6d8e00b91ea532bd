"""Sessions: begun by a login, listed, and ended; and single tokens revoked.

A session is a session_id of tokens, known by its `sid` claim: the access and refresh token of one login and all that come
of them by refreshing. It is ended twice over. Its record says so, and is kept for as long as its refresh token lives;
the mark of its session_id is revoked, and is kept for as long as its last access token lives. The record knows how long that
is, also of tokens that were minted under other lifetimes. Every process has to know the digests, but not the records.

Nothing that is minted lives longer than `longest_seconds` of its configuration, so a revocation that is kept for so long
outlives every token that it is about. Clocks may differ by the leeway: a token may be minted by one that is ahead, and
verified by one that is behind, for a leeway after its `exp`.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import anyio

from asgi_jwt_claims.config import JWTConfig, check_config
from asgi_jwt_claims.config.events import AuthEvent, tell
from asgi_jwt_claims.errors import MintingError, SettingError, StoreUnavailableError
from asgi_jwt_claims.jose.strict_json import dump_json, has_lone_surrogate
from asgi_jwt_claims.runtime.durations import as_duration, whole_seconds
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.stores.base import PAGE, Revocation, SessionRecord, TokenStore
from asgi_jwt_claims.tokens.digests import digest
from asgi_jwt_claims.tokens.minted_claims import check_identity, granted_scope, read_once
from asgi_jwt_claims.tokens.minting import mint
from asgi_jwt_claims.tokens.pair import TokenPair
from asgi_jwt_claims.tokens.token import Token

__all__ = [
    "Life",
    "Session",
    "check_arguments",
    "check_settings",
    "end_identity",
    "end_session",
    "list_sessions",
    "mint_pair",
    "refresh_digest",
    "revoke_identity",
    "revoke_session",
    "revoke_token",
    "session_end",
    "start_session",
]

_LONGEST_WAIT = 5.0  # seconds
_MAX_LABEL = 200
_ATTEMPTS = 3
_UNDER_WAY = 60.0  # seconds that a refresh may take from its look at the store to its tokens
_ENDED = b"\0" * 16  # the `current` of a session that has ended; no token has this mark


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login that has not ended. Times are seconds since the epoch.

    Attributes:
        id: The session_id of its tokens: their `sid`.
        started_at: When the user logged in.
        refreshed_at: When it was last refreshed.
        expires_at: When it ends unless it is refreshed.
        label: What the application called it, for example the kind of device.
    """

    id: str
    started_at: float
    refreshed_at: float
    expires_at: float
    label: str


async def start_session(  # noqa: PLR0913 -- what may be said about a login, all of it by name
    identity: Any,
    config: JWTConfig,
    store: TokenStore,
    *,
    user_claims: Mapping[str, Any] | None = None,
    fresh: bool | timedelta | float = True,
    scope: str | Iterable[str] | None = None,
    roles: str | Iterable[str] | None = None,
    audience: str | Iterable[str] | None = None,
    client_id: str | None = None,
    label: str = "",
    max_sessions: int | None = 100,
) -> TokenPair:
    """Log `identity` in: a token pair whose refresh token can be rotated, and whose session can be ended.

    Args:
        identity: Whom the tokens speak for.
        config: Needs a signing key, a `type_claim` and a `session_claim`.
        store: Where the session is kept.
        user_claims: The application's claims.
        fresh: Whether, or for how long (a `timedelta` or seconds), the access token counts as a login with credentials.
        scope: Scopes granted: one str divided by spaces, or several str. None, "" and an empty list grant none.
        roles: Roles of the identity.
        audience: Whom the access tokens are for, instead of the configuration's `audience`. The refresh tokens are for
            the issuer itself, so they carry the configuration's.
        client_id: The client that alone may refresh them (RFC 6749 section 10.4).
        label: Shown in the list of sessions; at most 200 characters.
        max_sessions: How many live sessions the identity may have, this one included; the oldest end. None: any number.

    Raises:
        StoreUnavailableError: The store could not keep the session, so `identity` is not logged in.
        MintingError: An argument cannot be used, or verification would refuse something in the tokens.
        SettingError: `fresh` is no duration, or `config` or `store` is none.
    """
    check_arguments(config, store, "start_session(identity, config, store)")
    session_claim = check_settings(config)
    label, max_sessions = plain(label), plain(max_sessions)
    if not isinstance(label, str) or len(label) > _MAX_LABEL or has_lone_surrogate(label):
        raise MintingError(f"label must be a str of at most {_MAX_LABEL} whole characters")
    if client_id is not None and not (isinstance(client_id, str) and client_id and not has_lone_surrogate(client_id)):
        raise MintingError("client_id must be a non-empty str of whole characters")
    if max_sessions is not None and (type(max_sessions) is not int or max_sessions < 1):
        raise MintingError("max_sessions must be an int of 1 or more, or None for no limit")
    owner = _digest_of_identity(identity, config)
    now = await _after(await store.cutoff(owner), config)
    session_id = os.urandom(16).hex()
    grant: dict[str, Any] = {
        "user_claims": user_claims,
        "scope": granted_scope(scope),
        "roles": read_once(roles),
        "audience": read_once(audience),
    }
    claims = {session_claim: session_id, "auth_time": now, "client_id": client_id}
    pair, life = mint_pair(identity, config, now, now, grant, claims, fresh=_fresh(fresh, now))
    record = SessionRecord(
        session=digest("session", config.issuer, session_id),
        identity=owner,
        session_id=session_id,
        current=refresh_digest(config, life.refresh_jti),
        previous=b"",
        previous_used_at=0.0,
        response=b"",
        response_until=0.0,
        started_at=float(now),
        refreshed_at=float(now),
        expires_at=life.refresh_end + config._prepared.leeway_seconds,
        label=label,
        access_expires_at=life.access_end,
        audience="" if audience is None else dump_json(grant["audience"]).decode(),
    )
    await store.replace_session(record.session, b"", record)
    issuer = config.issuer
    await tell(config.on_event, AuthEvent(name="issued", issuer=issuer, identity=identity, session_id=session_id))
    if max_sessions is not None:
        await _end_oldest(max_sessions - 1, record, config, store)
    return pair


async def _end_oldest(kept: int, newest: SessionRecord, config: JWTConfig, store: TokenStore) -> None:
    """End the oldest sessions of an identity until so many are left beside the newest."""
    try:
        others = [one for one in await _all_sessions(newest.identity, store) if one.session != newest.session]
        others.sort(key=lambda one: one.started_at, reverse=True)
        for one in others[kept:]:
            await end_session(one.session_id, config, store)
    except StoreUnavailableError as error:
        # The login is in the store already. The next one counts again.
        logger().warning("the sessions beyond max_sessions could not be ended: %r %r", error, error.evidence)


async def list_sessions(identity: Any, config: JWTConfig, store: TokenStore) -> list[Session]:
    """The live sessions of `identity`, the one refreshed last first.

    Raises:
        MintingError: No token can speak for `identity`: it must be what `start_session` was given.
        SettingError: `config` or `store` is none.
        StoreUnavailableError: The store could not be asked.
    """
    check_arguments(config, store, "list_sessions(identity, config, store)")
    sessions = [
        Session(
            id=one.session_id,
            started_at=one.started_at,
            refreshed_at=one.refreshed_at,
            expires_at=one.expires_at,
            label=one.label,
        )
        for one in await _all_sessions(_digest_of_identity(identity, config), store)
    ]
    return sorted(sessions, key=lambda session: session.refreshed_at, reverse=True)


async def revoke_token(token: Token, config: JWTConfig, store: TokenStore) -> None:
    """Revoke one token by its `jti`.

    Raises:
        MintingError: It has no `jti`: revoke its session or its identity instead.
        SettingError: `token` is no `Token`, or another argument is not what it should be.
        StoreUnavailableError: It has not been revoked.
    """
    if not isinstance(token, Token):
        raise SettingError(f"token must be a Token, not {type(token).__name__}; verify_token makes one of its text")
    check_arguments(config, store, "revoke_token(token, config, store)")
    if not token.jti:
        raise MintingError("a token without jti cannot be revoked by itself; revoke its session or its identity")
    until = _outlasting(math.inf if token.expires_at is None else token.expires_at, config)
    await store.revoke([Revocation("token", digest("token", config.issuer, token.jti), until)])
    event = AuthEvent(
        name="revoked",
        revoked="token",
        issuer=config.issuer,
        identity=token.identity,
        jti=token.jti,
        session_id=token.session_id,
    )
    await tell(config.on_event, event)


async def revoke_session(session_id: str, config: JWTConfig, store: TokenStore) -> int:
    """End a session: no token that comes from this login counts any more.

    Args:
        session_id: The `id` of a `Session`, or the `session_id` of any of its tokens.
        config: That of its tokens.
        store: Where it is kept.

    Returns:
        How many sessions have ended: 1, or 0 when the store knows no such session, or it had ended before. Its tokens are
        revoked in any case.

    Raises:
        MintingError: `session_id` is no non-empty str: the token has no session. Revoke the token or its identity instead.
        SettingError: `config` or `store` is none.
        StoreUnavailableError: The session may not have ended; do it again.
    """
    check_arguments(config, store, "revoke_session(session_id, config, store)")
    session_id = plain(session_id)
    if not (isinstance(session_id, str) and session_id):
        raise MintingError(
            "the session_id must be the non-empty str that names a session; a token that has none comes from no session, so "
            "revoke the token or its identity"
        )
    return await end_session(session_id, config, store)


async def end_session(session_id: str, config: JWTConfig, store: TokenStore, *, expires_at: float = 0.0) -> int:
    """As `revoke_session`, and until `expires_at` at least: the `exp` of a token at hand, in seconds since the epoch."""
    session = digest("session", config.issuer, session_id)
    record = await store.session(session)
    # First the record: a refresh that is under way then issues nothing of which the record does not know.
    state = None if record is None else await _close(record, store)
    await store.revoke([_of_session(session, state, config, expires_at)])
    await tell(
        config.on_event, AuthEvent(name="revoked", revoked="session", issuer=config.issuer, session_id=session_id)
    )
    return int(state is not None and not state.has_ended)


async def revoke_identity(identity: Any, config: JWTConfig, store: TokenStore) -> int:
    """Log `identity` out everywhere: no token issued up to now counts any more.

    Its live sessions end by name as well, so that a clock that is a little ahead elsewhere saves none of them. For the
    same reason a token that comes from no session counts as issued a leeway before its `iat`.

    Args:
        identity: Whom the tokens speak for: exactly what they were minted for.
        config: That of the tokens.
        store: Where the sessions are kept.

    Returns:
        How many sessions have ended. Tokens that come from no session are revoked too, and not counted.

    Raises:
        MintingError: No token can speak for `identity`.
        SettingError: `config` or `store` is none.
        StoreUnavailableError: Some tokens may not have been revoked; do it again.
    """
    check_arguments(config, store, "revoke_identity(identity, config, store)")
    return await end_identity(check_identity(identity, config.identity_claim), config, store)


async def end_identity(identity: Any, config: JWTConfig, store: TokenStore, *, expires_at: float = 0.0) -> int:
    """As `revoke_identity`, and until `expires_at` at least: the `exp` of a token at hand, in seconds since the epoch."""
    owner = digest("identity", config.issuer, identity)
    until = _outlasting(max(expires_at, _issued_now(config, config._prepared.longest_seconds)), config)
    cutoff = config.clock()
    # One write, and nearly everything is done: these tokens are refused, also when the rest fails.
    await store.revoke([Revocation("identity", owner, until, cutoff)])
    ended = 0
    page = await store.sessions(owner)
    while page:
        # With many sessions this takes a while, in which the user may have logged in again.
        due = [one for one in page if one.started_at <= cutoff + config._prepared.leeway_seconds]
        await store.revoke([_of_session(one.session, one, config) for one in due])
        states = [await _close(one, store) for one in due]
        ended += sum(1 for state in states if state is not None and not state.has_ended)
        # What was refreshed in the meantime, by a release with other lifetimes even, may have a later end.
        moved = [
            _of_session(one.session, state, config)
            for one, state in zip(due, states, strict=True)
            if state is None or state.access_expires_at != one.access_expires_at
        ]
        if moved:
            await store.revoke(moved)
        page = await _page_after(page, owner, store)
    event = AuthEvent(name="revoked", revoked="identity", issuer=config.issuer, identity=identity)
    await tell(config.on_event, event)
    return ended


def check_arguments(config: object, store: object, call: str) -> None:
    """Refuse a configuration or a store that is something else, such as the other one of the two.

    Raises:
        SettingError: For these.
    """
    check_config(config, call)
    if not isinstance(store, TokenStore):
        raise SettingError(
            f"store must be a TokenStore such as SQLiteStore(path), not {type(store).__name__}; call {call}"
        )


def check_settings(config: JWTConfig) -> str:
    """The name of the claim that names sessions; or refuse a configuration whose tokens cannot have any."""
    if config.session_claim is None or config.type_claim is None:
        raise MintingError("sessions need a session_claim, which names them, and a type_claim")
    return config.session_claim


def refresh_digest(config: JWTConfig, jti: str) -> bytes:
    """What a session knows its refresh tokens by."""
    return digest("token", config.issuer, jti)


class Life(NamedTuple):
    """How long two tokens live, and what the next rotation will know the second by.

    Attributes:
        access_end: When the access token expires, in seconds since the epoch; infinity: never.
        refresh_end: When the refresh token does.
        refresh_jti: The `jti` of the refresh token.
    """

    access_end: float
    refresh_end: float
    refresh_jti: str


def session_end(config: JWTConfig, logged_in_at: float) -> float:
    """When a session ends however often it is refreshed, in seconds since the epoch; infinity: never."""
    return math.inf if config._prepared.session_seconds is None else logged_in_at + config._prepared.session_seconds


def mint_pair(
    identity: Any,
    config: JWTConfig,
    now: int,
    logged_in_at: float,
    grant: Mapping[str, Any],
    claims: Mapping[str, Any],
    *,
    fresh: bool | int,
    access_scope: str | None = None,
) -> tuple[TokenPair, Life]:
    """An access and a refresh token of one session. The `audience` of the grant is the access token's alone."""
    end = session_end(config, logged_in_at)
    prepared = config._prepared
    refresh_end = min(end, math.inf if prepared.refresh_seconds is None else now + prepared.refresh_seconds)
    access_end = min(refresh_end, math.inf if prepared.access_seconds is None else now + prepared.access_seconds)
    scope = grant["scope"] if access_scope is None else access_scope
    access, _ = mint(identity, config, "access", now, access_end, {**grant, "scope": scope}, {**claims, "fresh": fresh})
    refresh, jti = mint(identity, config, "refresh", now, refresh_end, {**grant, "audience": None}, claims)
    expires_in = None if access_end == math.inf else int(access_end - now)
    return TokenPair(access, refresh, expires_in=expires_in, scope=scope), Life(access_end, refresh_end, jti)


def _digest_of_identity(identity: Any, config: JWTConfig) -> bytes:
    return digest("identity", config.issuer, check_identity(identity, config.identity_claim))


async def _after(issued_until: float, config: JWTConfig) -> int:
    """The time for a new login: a second of its own after everything that was revoked, since `iat` counts in seconds.

    Raises:
        StoreUnavailableError: The clock by which the identity was revoked is so far ahead that the token would not be valid
            yet.
    """
    first = math.floor(issued_until) + 1
    ahead = first - config.clock()
    if ahead > _LONGEST_WAIT + config._prepared.leeway_seconds:
        raise StoreUnavailableError(retry_after=math.ceil(ahead), reason="revoked up to a time that is yet to come")
    if ahead > 0:
        await anyio.sleep(min(ahead, _LONGEST_WAIT))
    return max(int(config.clock()), first)


def _fresh(fresh: bool | timedelta | float, now: int) -> bool | int:
    return fresh if isinstance(fresh, bool) else now + whole_seconds(as_duration(fresh, "fresh"))


async def _all_sessions(identity: bytes, store: TokenStore) -> list[SessionRecord]:
    page = await store.sessions(identity)
    found = [*page]
    while page := await _page_after(page, identity, store):
        found += page
    return found


async def _page_after(page: list[SessionRecord], identity: bytes, store: TokenStore) -> list[SessionRecord]:
    """The live sessions that follow a page; none when it was the last."""
    return await store.sessions(identity, after=page[-1].session) if len(page) == PAGE else []


async def _close(record: SessionRecord, store: TokenStore) -> SessionRecord | None:
    """Let the record of a session say that it has ended, also while it is refreshed.

    Returns:
        The state that it was in, which says whether it had ended before; None: it is gone, or was refreshed each time in
        between, so nothing says how long its tokens live.
    """
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
    """The revocation of a session_id whose session ended in this state; None: in one that is not known."""
    known = 0.0 if state is None else state.access_expires_at
    access = math.inf if config._prepared.access_seconds is None else config._prepared.access_seconds
    # What a refresh under way still issues, or one that a store has lost, is issued by now.
    latest = _issued_now(config, access if known else config._prepared.longest_seconds)
    return Revocation("session", session, _outlasting(max(known, latest, expires_at), config))


def _issued_now(config: JWTConfig, lifetime: float) -> float:
    """When a token with this lifetime expires that is issued about now, by any clock."""
    return config.clock() + config._prepared.leeway_seconds + _UNDER_WAY + lifetime


def _outlasting(expires_at: float, config: JWTConfig) -> float:
    """Until when a token has to be remembered: verified a leeway after its `exp`, by a clock that is behind the store's."""
    return expires_at + 2 * config._prepared.leeway_seconds
