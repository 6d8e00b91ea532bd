"""Mint tokens from an identity and the application's claims. Synchronous; reads nothing but the clock.

`verify_token` accepts every token that is minted here, with the same configuration: what it would refuse is refused
first. The caller's objects are copied, never changed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from asgi_jwt_claims.config import JWTConfig, check_config
from asgi_jwt_claims.errors import InvalidTokenError, MintingError
from asgi_jwt_claims.jose.compact import MAX_HEADER_SIZE, b64url_encode
from asgi_jwt_claims.jose.strict_json import MAX_HEADER_COMMAS, dump_json
from asgi_jwt_claims.runtime.durations import as_duration, whole_seconds

from .claims import accepted_typ, sign_of_another_kind
from .minted_claims import check_identity, granted_scope, json_copy, read_once
from .pair import TokenPair

__all__ = ["create_access_token", "create_refresh_token", "create_token_pair", "mint"]

# Ours to set, or asking the verifier for something that this library refuses (RFC 7515 section 4.1).
_FORBIDDEN_HEADERS = frozenset({"alg", "kid", "crit", "b64", "zip", "cty", "jwk", "jku", "x5u", "x5c"})


def create_access_token(
    identity: Any,
    config: JWTConfig,
    *,
    user_claims: Mapping[str, Any] | None = None,
    fresh: bool | timedelta = False,
    scope: str | Iterable[str] | None = None,
    roles: str | Iterable[str] | None = None,
    audience: str | Iterable[str] | None = None,
    lifetime: timedelta | float | None = None,
    headers: Mapping[str, Any] | None = None,
) -> str:
    """Mint an access token for `identity`.

    Args:
        identity: Whom the token speaks for; a non-empty str, unless `identity_claim` is not `sub`.
        config: A configuration with a signing key.
        user_claims: The application's claims, JSON values under str names. Everyone who holds the token can read them.
        fresh: Whether this is a login with credentials; a `timedelta` says how long it counts as one.
        scope: The scopes granted, one str separated by spaces or several str. None, "" and an empty list grant none.
        roles: The roles of the identity. A str is one role and written as such; several are written as an array.
        audience: The names of the recipients, in place of the configuration's `audience`.
        lifetime: The lifetime, a `timedelta` or seconds, in place of `access_lifetime`; at most `max_lifetime`.
        headers: Further header parameters; `typ` may be `at+jwt` (RFC 9068 section 2.1).

    Raises:
        SigningKeyMissingError: The configuration only verifies.
        MintingError: Something in the token would be refused, or is not JSON.
        SettingError: `config` is not a JWTConfig, or `lifetime` is not a positive duration.
    """
    check_config(config, "create_access_token(identity, config)")
    now = int(config.clock())
    grant = {"user_claims": user_claims, "scope": scope, "roles": roles, "audience": audience}
    claims = _common_claims(identity, config, "access", now, grant, lifetime)
    claims["fresh"] = _fresh(fresh, now)
    return _encode(claims, config, "access", headers)


def create_refresh_token(
    identity: Any,
    config: JWTConfig,
    *,
    user_claims: Mapping[str, Any] | None = None,
    scope: str | Iterable[str] | None = None,
    roles: str | Iterable[str] | None = None,
    audience: str | Iterable[str] | None = None,
    lifetime: timedelta | float | None = None,
    headers: Mapping[str, Any] | None = None,
) -> str:
    """Mint a refresh token for `identity`. It is never accepted in place of an access token.

    Arguments and errors are those of `create_access_token`; `lifetime` replaces `refresh_lifetime`.

    Raises:
        MintingError: `type_claim` is None, so that nothing would tell the token from an access token.
    """
    check_config(config, "create_refresh_token(identity, config)")
    if config.type_claim is None:
        raise MintingError("a refresh token needs a type_claim, which tells it from an access token")
    grant = {"user_claims": user_claims, "scope": scope, "roles": roles, "audience": audience}
    claims = _common_claims(identity, config, "refresh", int(config.clock()), grant, lifetime)
    return _encode(claims, config, "refresh", headers)


def create_token_pair(
    identity: Any,
    config: JWTConfig,
    *,
    user_claims: Mapping[str, Any] | None = None,
    fresh: bool | timedelta = False,
    scope: str | Iterable[str] | None = None,
    roles: str | Iterable[str] | None = None,
    audience: str | Iterable[str] | None = None,
    headers: Mapping[str, Any] | None = None,
) -> TokenPair:
    """Mint an access token and a refresh token without a session; `dict(pair)` is the response of RFC 6749 section 5.1.

    For applications that keep no state. Without a session the refresh token is not rotated and cannot be revoked as a
    session; `rotate_refresh_token` and `TokenEndpoints` refuse it. An application verifies it with `type="refresh"` and
    mints again. To log in with a session, call `start_session`.

    Arguments and errors are those of `create_access_token`; lifetimes are the configuration's.
    """
    check_config(config, "create_token_pair(identity, config)")
    # An iterator can be read only once, and two tokens want it.
    scope = granted_scope(scope)
    grant: dict[str, Any] = {"user_claims": user_claims, "scope": scope, "headers": headers}
    grant |= {"roles": read_once(roles), "audience": read_once(audience)}
    access = create_access_token(identity, config, fresh=fresh, **grant)
    refresh = create_refresh_token(identity, config, **grant)
    return TokenPair(access, refresh, expires_in=config._prepared.access_seconds, scope=scope)


def mint(
    identity: Any,
    config: JWTConfig,
    kind: str,
    now: int,
    expires_at: float,
    grant: Mapping[str, Any],
    claims: Mapping[str, Any],
) -> tuple[str, str]:
    """Mint an access or refresh token of a session, and return it with its `jti`.

    `now` and `expires_at` are seconds since the epoch; infinity means that the token never expires. `grant` holds
    `user_claims`, `scope`, `roles` and `audience`. Further `claims` that are None are left out.
    """
    lifetime = None if expires_at == math.inf else expires_at - now
    complete = _common_claims(identity, config, kind, now, grant, lifetime)
    complete.update({name: json_copy(value, name) for name, value in claims.items() if value is not None})
    return _encode(complete, config, kind, None), complete["jti"]


def _common_claims(
    identity: Any, config: JWTConfig, kind: str, now: int, grant: Mapping[str, Any], lifetime: timedelta | float | None
) -> dict[str, Any]:
    prepared = config._prepared
    issuer = prepared.issuers.canonical
    claims: dict[str, Any] = {} if issuer is None else {"iss": issuer}
    claims[prepared.identity_name] = check_identity(identity, prepared.identity_name)
    aud = prepared.minted_audience
    if grant["audience"] is not None:
        names = _names(grant["audience"], "audience")
        aud = names[0] if len(names) == 1 else names
    if aud:
        claims["aud"] = aud
    claims["iat"] = claims["nbf"] = now
    if (expiry := _expiry(now, config, kind, lifetime)) is not None:
        claims["exp"] = expiry
    # In the form of a UUID, but all of its 128 bits are random; a version 4 UUID has 122.
    random = os.urandom(16).hex()
    claims["jti"] = f"{random[:8]}-{random[8:12]}-{random[12:16]}-{random[16:20]}-{random[20:]}"
    if config.type_claim is not None:
        claims[config.type_claim] = kind
    if (scope := granted_scope(grant["scope"])) is not None:
        claims[prepared.scope_name] = scope
    if (roles := grant["roles"]) is not None:
        names = _names(roles, "roles")
        claims[prepared.roles_name] = names[0] if isinstance(roles, str) else names
    if grant["user_claims"] is not None:
        _add_user_claims(claims, grant["user_claims"], config)
    return claims


def _names(value: str | Iterable[str], what: str) -> list[str]:
    values = (value,) if isinstance(value, str) else value
    names: list[str] = json_copy(list(values), what) if isinstance(values, Iterable) else [""]
    if not all(isinstance(name, str) and name for name in names):
        raise MintingError(f"{what} must be a non-empty str, or a list of them, not {value!r}")
    return names


def _expiry(now: int, config: JWTConfig, kind: str, lifetime: timedelta | float | None) -> int | None:
    prepared = config._prepared
    if lifetime is None:
        seconds = prepared.access_seconds if kind == "access" else prepared.refresh_seconds
    else:
        seconds = whole_seconds(as_duration(lifetime, "lifetime"))
    if (math.inf if seconds is None else seconds) > prepared.longest_seconds:
        # Revocations are kept for so long, and a revoked token must not become good again.
        asked = "an endless lifetime" if seconds is None else f"a lifetime of {seconds} seconds"
        raise MintingError(
            f"{asked} is longer than max_lifetime, which is {prepared.longest_seconds:g} seconds (unless set, the "
            "longer of access_lifetime and refresh_lifetime); set max_lifetime to mint longer ones"
        )
    if seconds is None:
        return None
    ring = config.key_ring
    if ring is not None and seconds + prepared.leeway_seconds > ring.retain.total_seconds():
        raise MintingError(
            f"a lifetime of {seconds} seconds is longer than key_ring retains its keys; raise KeyRing(retain=...)"
        )
    return now + seconds


def _fresh(fresh: bool | timedelta, now: int) -> bool | int:
    if isinstance(fresh, bool):
        return fresh
    if not isinstance(fresh, timedelta):
        raise MintingError(f"fresh must be True, False or a timedelta, not {type(fresh).__name__}")
    return now + whole_seconds(as_duration(fresh, "fresh"))


def _add_user_claims(claims: dict[str, Any], user_claims: Mapping[str, Any], config: JWTConfig) -> None:
    if not isinstance(user_claims, Mapping):
        raise MintingError(f"user_claims must be a mapping, not {type(user_claims).__name__}")
    if config.user_claims_claim is not None:
        claims[config.user_claims_claim] = json_copy(user_claims, "user_claims", depth=2)
        return
    own = json_copy(user_claims, "user_claims")  # first, since a subclass of str may hide what its characters are
    if shadowing := sorted(config._prepared.claim_names.reserved.intersection(own)):
        raise MintingError(f"flat user_claims must not take the names of registered claims: {', '.join(shadowing)}")
    claims.update(own)


def _encode(claims: dict[str, Any], config: JWTConfig, kind: str, headers: Mapping[str, Any] | None) -> str:
    key, default_header, header = config._prepared.signer_cache.current()
    for name in config._prepared.required:
        if name not in claims:
            raise MintingError(f"required_claims names {name!r}, which this token would not carry")
    if config._prepared.has_demands:
        _check_demands(claims, config)
    jose_header = default_header if headers is None else {**default_header, **_extra_headers(headers, kind)}
    if config.type_claim is None:
        sign = sign_of_another_kind(claims, jose_header, accept_id_tokens=config.accept_id_tokens)
        if sign is not None:
            raise MintingError(
                f"with type_claim=None, the claim {sign!r} would mark the token as no access token; rename it"
            )
    if headers is not None:
        text = dump_json(jose_header)
        if text.count(b",") > MAX_HEADER_COMMAS:
            raise MintingError(f"headers have more than {MAX_HEADER_COMMAS} commas; put less into them")
        header = b64url_encode(text)
    signing_input = header + b"." + b64url_encode(dump_json(claims))
    raw = (signing_input + b"." + b64url_encode(key.sign(signing_input))).decode()
    if len(header) > MAX_HEADER_SIZE or len(raw) > config.max_token_size:
        raise MintingError(
            f"the token has {len(raw)} characters ({len(header)} in its header) and may have "
            f"{config.max_token_size} ({MAX_HEADER_SIZE}); put less into it, or raise max_token_size"
        )
    return raw


def _check_demands(claims: dict[str, Any], config: JWTConfig) -> None:
    demands = config._prepared.demands
    try:
        for demand in (*demands.values, *demands.functions):
            demand.judge(demand.find(claims))
    except InvalidTokenError as error:
        raise MintingError(
            f"required_claims demands of {error.evidence['claim']!r} what this token would not carry"
        ) from None


def _extra_headers(headers: Mapping[str, Any], kind: str) -> dict[str, Any]:
    if not isinstance(headers, Mapping):
        raise MintingError(f"headers must be a mapping, not {type(headers).__name__}")
    extra: dict[str, Any] = json_copy(headers, "headers")
    if forbidden := sorted(_FORBIDDEN_HEADERS.intersection(extra)):
        raise MintingError(f"headers must not set {', '.join(forbidden)}")
    if "typ" in extra and not accepted_typ(extra["typ"], kind):
        raise MintingError(f"headers: typ {extra['typ']!r} would not be accepted for a token of type {kind!r}")
    return extra
