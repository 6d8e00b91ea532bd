"""Log in: start a session, mint its tokens, and list the sessions of an identity."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import anyio

from asgi_jwt_claims.config import AuthEvent, JWTConfig
from asgi_jwt_claims.config.events import notify
from asgi_jwt_claims.errors import SettingError, StoreUnavailableError
from asgi_jwt_claims.jose.strict_json import dump_json, has_lone_surrogate
from asgi_jwt_claims.runtime.durations import as_duration, whole_seconds
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.stores.base import SessionRecord, TokenStore
from asgi_jwt_claims.tokens.digests import digest
from asgi_jwt_claims.tokens.minted_claims import check_identity, granted_scope, read_once
from asgi_jwt_claims.tokens.minting import mint
from asgi_jwt_claims.tokens.pair import TokenPair

from .revocation import check_arguments, end_session, page_after

__all__ = ["MintedPair", "Session", "list_sessions", "mint_pair", "session_claim_of", "session_end", "start_session"]

_LONGEST_WAIT = 5.0  # seconds
_MAX_LABEL = 200  # characters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session that has not ended. Times are seconds since the epoch.

    Attributes:
        id: The `session_id` of its tokens.
        started_at: When the user logged in.
        refreshed_at: When the session was last refreshed.
        expires_at: When it ends unless it is refreshed; infinity if its refresh token never expires.
        label: The application's name for it, for example the kind of device.
    """

    id: str
    started_at: float
    refreshed_at: float
    expires_at: float
    label: str


async def start_session(  # noqa: PLR0913 -- keyword arguments
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
    """Log `identity` in: start a session, and mint a token pair whose refresh token can be rotated.

    Args:
        identity: The identity that the tokens speak for.
        config: The configuration; it needs a signing key, a `type_claim` and a `session_claim`.
        store: The store that keeps the session.
        user_claims: The application's claims.
        fresh: Whether, or for how long (a `timedelta` or seconds), the access token counts as a login with credentials.
        scope: The scopes granted: one str divided by spaces, or several str. None, "" and an empty list grant none.
        roles: The roles of the identity.
        audience: The audience of the access tokens; refresh tokens always carry the configuration's `audience`.
        client_id: The only client that may refresh them (RFC 6749 section 10.4).
        label: A name for the list of sessions; at most 200 characters.
        max_sessions: How many live sessions the identity may have, this one included; the oldest end. None for no limit.

    Raises:
        StoreUnavailableError: The store could not keep the session, so `identity` is not logged in.
        MintingError: Verification would refuse something in the tokens.
        SigningKeyMissingError: The configuration can only verify.
        SettingError: Another argument cannot be used, or the configuration lacks a `type_claim` or `session_claim`.
    """
    check_arguments(config, store, "start_session(identity, config, store)")
    session_claim = session_claim_of(config)
    label, max_sessions = plain(label), plain(max_sessions)
    if not isinstance(label, str) or len(label) > _MAX_LABEL or has_lone_surrogate(label):
        raise SettingError(f"label must be a str of at most {_MAX_LABEL} characters, without lone surrogates")
    if client_id is not None and not (isinstance(client_id, str) and client_id and not has_lone_surrogate(client_id)):
        raise SettingError("client_id must be a non-empty str without lone surrogates, or None")
    if max_sessions is not None and (type(max_sessions) is not int or max_sessions < 1):
        raise SettingError(f"max_sessions must be an int of 1 or more, or None for no limit, not {max_sessions!r}")
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
    if not isinstance(fresh, bool):
        fresh = now + whole_seconds(as_duration(fresh, "fresh"))
    minted = mint_pair(identity, config, now, now, grant, claims, fresh=fresh)
    record = SessionRecord(
        session=digest("session", config._prepared.issuers.canonical, session_id),
        identity=owner,
        session_id=session_id,
        current=minted.digest,
        previous=b"",
        previous_used_at=0.0,
        response=b"",
        response_until=0.0,
        started_at=float(now),
        refreshed_at=float(now),
        expires_at=minted.refresh_expires_at + config._prepared.leeway_seconds,
        label=label,
        access_expires_at=minted.access_expires_at,
        audience="" if audience is None else dump_json(grant["audience"]).decode(),
    )
    await store.replace_session(record.session, b"", record)
    issuer = config._prepared.issuers.canonical
    await notify(config.on_event, AuthEvent(name="issued", issuer=issuer, identity=identity, session_id=session_id))
    if max_sessions is not None:
        await _end_oldest(max_sessions - 1, record, config, store)
    return minted.pair


async def _end_oldest(kept: int, newest: SessionRecord, config: JWTConfig, store: TokenStore) -> None:
    """End the oldest sessions of an identity, but keep `kept` of them beside the newest."""
    try:
        others = [one for one in await _all_sessions(newest.identity, store) if one.session != newest.session]
        others.sort(key=lambda one: one.started_at, reverse=True)
        for one in others[kept:]:
            await end_session(one.session_id, config, store)
    except StoreUnavailableError as error:
        # The store has kept the login, and the next login counts again.
        logger().warning("sessions beyond max_sessions could not be ended: %r %r", error, error.evidence)


async def list_sessions(identity: Any, config: JWTConfig, store: TokenStore) -> list[Session]:
    """The live sessions of `identity`, the last refreshed first.

    Raises:
        MintingError: No token can be minted for `identity`, which must be as `start_session` was given it.
        SettingError: `config` or `store` is of another type.
        StoreUnavailableError: The store cannot be reached.
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


def session_claim_of(config: JWTConfig) -> str:
    """The claim that names the session of a token. Raises a `SettingError` if tokens of `config` cannot have one."""
    if config.session_claim is None or config.type_claim is None:
        raise SettingError(
            "session_claim and type_claim must not be None: sessions need both; leave them out for defaults"
        )
    return config.session_claim


def session_end(config: JWTConfig, logged_in_at: float) -> float:
    """When a session ends though it is refreshed, in seconds since the epoch; infinity if it never does."""
    return math.inf if config._prepared.session_seconds is None else logged_in_at + config._prepared.session_seconds


class MintedPair(NamedTuple):
    """The tokens of one session, when they expire (infinity if never), and the digest of the refresh token."""

    pair: TokenPair
    access_expires_at: float
    refresh_expires_at: float
    digest: bytes


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
) -> MintedPair:
    """Mint an access and a refresh token of one session. Only the access token carries the `audience` of the grant."""
    end = session_end(config, logged_in_at)
    prepared = config._prepared
    refresh_end = min(end, math.inf if prepared.refresh_seconds is None else now + prepared.refresh_seconds)
    access_end = min(refresh_end, math.inf if prepared.access_seconds is None else now + prepared.access_seconds)
    scope = grant["scope"] if access_scope is None else access_scope
    access, _ = mint(identity, config, "access", now, access_end, {**grant, "scope": scope}, {**claims, "fresh": fresh})
    refresh, jti = mint(identity, config, "refresh", now, refresh_end, {**grant, "audience": None}, claims)
    expires_in = None if access_end == math.inf else int(access_end - now)
    pair = TokenPair(access, refresh, expires_in=expires_in, scope=scope)
    return MintedPair(pair, access_end, refresh_end, digest("token", config._prepared.issuers.canonical, jti))


def _digest_of_identity(identity: Any, config: JWTConfig) -> bytes:
    prepared = config._prepared
    return digest("identity", prepared.issuers.canonical, check_identity(identity, prepared.identity_name))


async def _after(cutoff: float, config: JWTConfig) -> int:
    """The time of a new login: a later second than `cutoff`, because `iat` counts in seconds. Waits until it has come."""
    first = math.floor(cutoff) + 1
    ahead = first - config.clock()
    if ahead > _LONGEST_WAIT + config._prepared.leeway_seconds:  # the token would not be valid yet
        raise StoreUnavailableError(
            retry_after=math.ceil(ahead), reason="the identity is revoked up to a time in the future"
        )
    if ahead > 0:
        await anyio.sleep(min(ahead, _LONGEST_WAIT))
    return max(int(config.clock()), first)


async def _all_sessions(identity: bytes, store: TokenStore) -> list[SessionRecord]:
    page = await store.sessions(identity)
    found = [*page]
    while page := await page_after(page, identity, store):
        found += page
    return found
