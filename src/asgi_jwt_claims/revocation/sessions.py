"""Sessions: begun by a login, listed, and ended; and single tokens revoked.

A session is a family of tokens, known by its `sid` claim: the access and refresh token of one login and all that come
of them by refreshing.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio

from asgi_jwt_claims._settings import as_duration, whole_seconds
from asgi_jwt_claims._store import Kind, Revocation, RevocationStore, SessionRecord, mark
from asgi_jwt_claims.claims import scope_text
from asgi_jwt_claims.errors import MintingError
from asgi_jwt_claims.events import AuthEvent, tell
from asgi_jwt_claims.minting import mint
from asgi_jwt_claims.token import Token, TokenPair

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig

__all__ = [
    "Session",
    "check_settings",
    "list_sessions",
    "mint_pair",
    "refresh_mark",
    "revoke_identity",
    "revoke_session",
    "revoke_token",
    "start_session",
]

_LONGEST_WAIT = 5.0  # seconds
_MAX_LABEL = 200
_ATTEMPTS = 3  # a session that is refreshed more often than that while it ends is found to be revoked all the same
_UNDER_WAY = 60.0  # seconds that a refresh may take from its look at the store to its tokens, and clocks may differ


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login that has not ended. Times are seconds since the epoch.

    Attributes:
        id: The family of its tokens: their `sid`.
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


async def start_session(
    identity: Any,
    config: JWTConfig,
    store: RevocationStore,
    *,
    user_claims: Mapping[str, Any] | None = None,
    fresh: bool | timedelta = True,
    scope: str | Iterable[str] | None = None,
    roles: str | Iterable[str] | None = None,
    audience: str | Iterable[str] | None = None,
    client_id: str | None = None,
    label: str = "",
) -> TokenPair:
    """Log `identity` in: a token pair whose refresh token can be rotated, and whose session can be ended.

    Args:
        identity: Whom the tokens speak for.
        config: Needs a signing key, a `type_claim` and a `family_claim`.
        store: Where the session is kept.
        user_claims: The application's claims.
        fresh: Whether, or for how long, the access token counts as a login with credentials.
        scope: Scopes granted.
        roles: Roles of the identity.
        audience: Whom the tokens are for, instead of the configuration's `audience`.
        client_id: The client that alone may refresh them (RFC 6749 section 10.4).
        label: Shown in the list of sessions; at most 200 characters.

    Raises:
        StoreUnavailableError: Nobody has been logged in.
        MintingError: Something in the tokens would not be accepted back.
    """
    family_claim = check_settings(config)
    if not isinstance(label, str) or len(label) > _MAX_LABEL:
        raise MintingError(f"label must be a str of at most {_MAX_LABEL} characters")
    if client_id is not None and not (isinstance(client_id, str) and client_id):
        raise MintingError("client_id must be a non-empty str")
    owner = mark("identity", config.issuer, identity)
    now = await _after(await store.issued_until(owner), config)
    family = os.urandom(16).hex()
    grant = {
        "user_claims": user_claims,
        "scope": None if scope is None else scope_text(scope),
        "roles": roles if roles is None or isinstance(roles, str) else list(roles),
        "audience": audience if audience is None or isinstance(audience, str) else list(audience),
    }
    claims = {family_claim: family, "auth_time": now, "client_id": client_id}
    pair, refresh_jti, ends_at = mint_pair(identity, config, now, now, grant, claims, fresh=_fresh(fresh, now))
    record = SessionRecord(
        family=mark("family", config.issuer, family),
        identity=owner,
        id=family,
        current=refresh_mark(config, refresh_jti),
        previous=b"",
        spent_at=0.0,
        sealed=b"",
        sealed_until=0.0,
        started_at=float(now),
        refreshed_at=float(now),
        expires_at=ends_at + config.leeway_seconds,
        label=label,
    )
    await store.replace_session(record.family, b"", record)
    issuer = config.issuer
    await tell(config.on_event, AuthEvent(name="issued", issuer=issuer, identity=identity, family=family))
    return pair


async def list_sessions(identity: Any, config: JWTConfig, store: RevocationStore) -> list[Session]:
    """The live sessions of `identity`, the one refreshed last first.

    Raises:
        StoreUnavailableError: The store could not be asked.
    """
    records = await store.sessions(mark("identity", config.issuer, identity))
    sessions = [
        Session(
            id=one.id,
            started_at=one.started_at,
            refreshed_at=one.refreshed_at,
            expires_at=one.expires_at,
            label=one.label,
        )
        for one in records
    ]
    return sorted(sessions, key=lambda session: session.refreshed_at, reverse=True)


async def revoke_token(token: Token, config: JWTConfig, store: RevocationStore) -> None:
    """Revoke one token by its `jti`.

    Raises:
        MintingError: It has no `jti`: revoke its session or its identity instead.
        StoreUnavailableError: It has not been revoked.
    """
    if not token.jti:
        raise MintingError("a token without jti cannot be revoked by itself; revoke its session or its identity")
    until = math.inf if token.expires_at is None else token.expires_at + config.leeway_seconds
    await store.revoke([Revocation("token", mark("token", config.issuer, token.jti), until)])
    event = AuthEvent(
        name="revoked", scope="token", issuer=config.issuer, identity=token.identity, jti=token.jti, family=token.family
    )
    await tell(config.on_event, event)


async def revoke_session(
    family: str, config: JWTConfig, store: RevocationStore, *, lifetime: timedelta | float = 0
) -> None:
    """End a session: no token that comes from this login counts any more.

    Args:
        family: The `id` of a `Session`, or the `family` of any of its tokens.
        config: That of its tokens.
        store: Where it is kept.
        lifetime: Of its longest-lived token, a `timedelta` or seconds, if one was minted for longer than `config` says.

    Raises:
        StoreUnavailableError: It has not ended.
    """
    marked = mark("family", config.issuer, family)
    await store.revoke([Revocation("family", marked, _last_expiry(config, lifetime))])
    await _forget(marked, store)
    await tell(config.on_event, AuthEvent(name="revoked", scope="family", issuer=config.issuer, family=family))


async def revoke_identity(
    identity: Any, config: JWTConfig, store: RevocationStore, *, lifetime: timedelta | float = 0
) -> None:
    """Log `identity` out everywhere: no token issued up to now counts any more.

    Its live sessions end by name as well, so that a clock that is a little ahead elsewhere saves none of them.

    Args:
        identity: Who.
        config: That of the tokens.
        store: Where the sessions are kept.
        lifetime: Of the longest-lived token, a `timedelta` or seconds, if one was minted for longer than `config` says.

    Raises:
        StoreUnavailableError: Not everything has been revoked; do it again.
    """
    owner = mark("identity", config.issuer, identity)
    now = config.clock()
    revocations = [Revocation("identity", owner, _last_expiry(config, lifetime), now)]
    families = [one.family for one in await store.sessions(owner)]
    revocations += [Revocation("family", family, _last_expiry(config, lifetime)) for family in families]
    await store.revoke(revocations)
    for family in families:
        await _forget(family, store)
    event = AuthEvent(name="revoked", scope="identity", issuer=config.issuer, identity=identity)
    await tell(config.on_event, event)


def check_settings(config: JWTConfig) -> str:
    """The name of the claim that names sessions; or refuse a configuration whose tokens cannot have any."""
    if config.family_claim is None or config.type_claim is None:
        raise MintingError("sessions need a family_claim, which names them, and a type_claim")
    return config.family_claim


def refresh_mark(config: JWTConfig, jti: str) -> bytes:
    """What a session knows its refresh tokens by."""
    kind: Kind = "token"
    return mark(kind, config.issuer, jti)


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
) -> tuple[TokenPair, str, float]:
    """An access and a refresh token of one session.

    Returns:
        The tokens, the `jti` of the refresh token, and when it expires (infinity: never).
    """
    end = math.inf if config.session_seconds is None else logged_in_at + config.session_seconds
    refresh_end = min(end, math.inf if config.refresh_seconds is None else now + config.refresh_seconds)
    access_end = min(refresh_end, math.inf if config.access_seconds is None else now + config.access_seconds)
    scope = grant["scope"] if access_scope is None else access_scope
    access, _ = mint(identity, config, "access", now, access_end, {**grant, "scope": scope}, {**claims, "fresh": fresh})
    refresh, jti = mint(identity, config, "refresh", now, refresh_end, grant, claims)
    expires_in = None if access_end == math.inf else int(access_end - now)
    return TokenPair(access, refresh, expires_in=expires_in, scope=scope), jti, refresh_end


async def _after(issued_until: float, config: JWTConfig) -> int:
    """The time for a new login: a second of its own after everything that was revoked, since `iat` counts in seconds."""
    now = config.clock()
    first = math.floor(issued_until) + 1
    if now < first:
        await anyio.sleep(min(first - now, _LONGEST_WAIT))
    return max(int(config.clock()), first)


def _fresh(fresh: bool | timedelta, now: int) -> bool | int:
    return fresh if isinstance(fresh, bool) else now + whole_seconds(fresh)


async def _forget(family: bytes, store: RevocationStore) -> None:
    """Take a session that is revoked off the list, also from under a refresh that is under way."""
    for _ in range(_ATTEMPTS):
        record = await store.session(family)
        if record is None or record.has_ended:
            return
        ended = record._replace(has_ended=True, sealed=b"", current=b"\0" * 16)
        if await store.replace_session(family, record.current, ended):
            return


def _last_expiry(config: JWTConfig, lifetime: timedelta | float) -> float:
    """When the last token issued up to now will have expired; and any that a refresh under way is about to issue."""
    longest = as_duration(lifetime, "lifetime", zero=True).total_seconds()
    if config.refresh_seconds is None or config.access_seconds is None:
        return math.inf
    longest = max(longest, config.refresh_seconds, config.access_seconds)
    return config.clock() + longest + config.leeway_seconds + _UNDER_WAY
