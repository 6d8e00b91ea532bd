"""Read the claims of a token and check them, in the order in which that happens.

A claim of the wrong type is wrong, never absent (`InvalidClaimError`). In the tokens of other parties that holds for the
claims that decide: times, parties, identity, type, confirmation, and what the configuration demands. Any other refuses
only the requests for which it would matter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from asgi_jwt_claims import errors
from asgi_jwt_claims.config._claim_paths import ABSENT, ClaimPath, find, name_of

from .reading import (
    Unread,
    read_fresh,
    read_granted,
    read_numeric_date,
    read_roles,
    read_scopes,
    read_string,
    read_strings,
)
from .token import TokenFields

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.config._prepared import Prepared

    from .token import Token

__all__ = ["accepted_typ", "check_claims", "parse_claims", "sign_of_another_kind", "valid_until"]

_NONE: frozenset[str] = frozenset()

_JWT_MEDIA_TYPES = frozenset({"jwt", "application/jwt"})
# RFC 8725 section 3.11: what is none of these (dpop+jwt, logout+jwt, secevent+jwt ...) was minted for something else.
_ACCESS_ONLY_MEDIA_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_ACCESS_MEDIA_TYPES = _JWT_MEDIA_TYPES | _ACCESS_ONLY_MEDIA_TYPES

# Of Cognito, Keycloak, this library, Simple JWT, Casdoor and PingAM.
_KIND_CLAIMS = frozenset({"token_use", "typ", "type", "token_type", "tokenType", "tokenName"})
_ACCESS_KIND_CLAIMS = ("token_use", "typ")
_OTHER_KINDS = frozenset({"refresh", "offline", "logout"})
_ACCESS_KINDS = frozenset({"access", "bearer"})
# OpenID Connect Core 1.0 sections 3.1.3.6 and 3.3.2.11, FAPI 1.0 part 2 section 5.1: hashes of what came beside an ID
# token.
_ID_TOKEN_CLAIMS = ("at_hash", "c_hash", "s_hash")
_SIGNS = frozenset({*_KIND_CLAIMS, *_ID_TOKEN_CLAIMS, "events", "nonce"})
_ACCESS_TOKEN_CLAIMS = ("scope", "scp")  # RFC 9068 section 2.2.3; of Okta and of Entra ID


def accepted_typ(typ: object, kind: str) -> bool:
    """Whether a `typ` header fits tokens of type `kind` (RFC 7515 section 4.1.9: letter case does not matter)."""
    media_types = _ACCESS_MEDIA_TYPES if kind == "access" else _JWT_MEDIA_TYPES
    return isinstance(typ, str) and typ.lower() in media_types


def parse_claims(claims: Any, header: dict[str, Any], payload: str, config: JWTConfig) -> TokenFields:
    """Read the claims of a token by their types. Depends on nothing but the token's bytes and the names configured.

    `claims` is the value of the JSON text `payload`.

    Raises:
        InvalidTokenError: A claim is missing, of a wrong type, or shows a token of another kind.
    """
    prepared = config._prepared
    if type(claims) is not dict:
        raise errors.MalformedTokenError(reason="payload is not a JSON object")
    for name in prepared.required:
        if claims.get(name) is None and (name not in claims or prepared.is_lenient):
            raise _absent(name, claims)
    # RFC 7800 section 3.1: a recipient that cannot check the confirmation must not accept the token.
    if "cnf" in claims:
        raise errors.BoundTokenError()
    own = config.user_claims_claim
    if own is not None and not isinstance(claims.get(own, {}), dict):
        raise errors.InvalidClaimError(claim=own, reason="not an object")
    if prepared.is_lenient:
        return _parse_foreign(claims, header, payload, config)
    # Nearly every token carries whole seconds and non-empty strings, which need no further check.
    subject, issuer, jti = claims.get("sub"), claims.get("iss"), claims.get("jti")
    issued_at, not_before, expires_at = claims.get("iat"), claims.get("nbf"), claims.get("exp")
    if type(subject) is not str or not subject:
        subject = read_string(claims, "sub")  # RFC 7519 section 4.1.2, also if it is not the identity
    fresh = read_fresh(claims) if "fresh" in claims else None
    authenticated_at = None
    if "auth_time" in claims:
        authenticated_at = read_numeric_date(claims, "auth_time")
    elif fresh:
        authenticated_at = read_numeric_date(claims, "iat")
    session, scope, roles = config.session_claim, prepared.scope_name, prepared.roles_name
    # In the order of the fields: a call that names them takes more than twice as long.
    return TokenFields(
        subject if prepared.identity_name == "sub" else _read_identity(claims, prepared),
        _type(claims, header, config),
        fresh,
        authenticated_at,
        read_string(claims, session) if session is not None and session in claims else None,
        jti if type(jti) is str and jti else read_string(claims, "jti"),
        issuer if type(issuer) is str and issuer else read_string(claims, "iss"),
        read_strings(claims, "aud"),
        (read_scopes(claims, scope) if scope in claims else _NONE)
        if scope
        else _united(claims, prepared.scope_paths, read_scopes),
        (read_roles(claims, roles) if roles in claims else _NONE)
        if roles
        else _united(claims, prepared.roles_paths, read_roles),
        issued_at if type(issued_at) is int else read_numeric_date(claims, "iat"),
        not_before if type(not_before) is int else read_numeric_date(claims, "nbf"),
        expires_at if type(expires_at) is int else read_numeric_date(claims, "exp"),
        payload,
        header,
        prepared.claim_names,
        {},
        (),
        _demanded(claims, prepared) if prepared.has_demands else (),
    )


def _absent(name: str, claims: dict[str, Any]) -> errors.InvalidTokenError:
    if name in claims:
        return errors.InvalidClaimError(claim=name, reason="null")
    return errors.MissingClaimError(claim=name)


def _united(
    claims: dict[str, Any], paths: tuple[ClaimPath, ...], read: Callable[[dict[str, Any], str], frozenset[str]]
) -> frozenset[str]:
    found = [(name_of(path), find(claims, path)) for path in paths]
    return _NONE.union(*[read({name: value}, name) for name, value in found if value is not ABSENT])


def _parse_foreign(claims: dict[str, Any], header: dict[str, Any], payload: str, config: JWTConfig) -> TokenFields:
    """Read the token of another party: a claim of the wrong type is noted, unless it decides or is demanded."""
    prepared = config._prepared
    subject, issuer, jti = claims.get("sub"), claims.get("iss"), claims.get("jti")
    issued_at, not_before, expires_at = claims.get("iat"), claims.get("nbf"), claims.get("exp")
    if prepared.identity_name != "sub" or type(subject) is not str or not subject:
        subject = _read_identity(claims, prepared)
    unread: list[Unread] = []
    fresh = _unless_odd(read_fresh, claims, "fresh", "fresh", unread) if "fresh" in claims else None
    authenticated_at = None
    if "auth_time" in claims:
        authenticated_at = claims["auth_time"]
        if type(authenticated_at) is not int:
            authenticated_at = _unless_odd(read_numeric_date, claims, "auth_time", "fresh", unread)
    elif fresh:
        authenticated_at = read_numeric_date(claims, "iat")
    session = config.session_claim
    session_id = None if session is None else claims.get(session)
    if session in claims and (type(session_id) is not str or not session_id):
        session_id = _unless_odd(read_string, claims, session, "session_id", unread)
    return TokenFields(
        subject,
        _type(claims, header, config),
        fresh,
        authenticated_at,
        session_id,
        jti if type(jti) is str and jti else _unless_odd(read_string, claims, "jti", "jti", unread),
        issuer if type(issuer) is str and issuer else read_string(claims, "iss"),
        _foreign_audience(claims, prepared),
        read_granted(claims, prepared.scope_paths, "scopes", unread),
        read_granted(claims, prepared.roles_paths, "roles", unread),
        issued_at if type(issued_at) is int else read_numeric_date(claims, "iat"),
        not_before if type(not_before) is int else read_numeric_date(claims, "nbf"),
        expires_at if type(expires_at) is int else read_numeric_date(claims, "exp"),
        payload,
        header,
        prepared.claim_names,
        {},
        tuple([(use, name_of(path)) for use, path in unread if not _is_demanded(path, use, prepared)])
        if unread
        else (),
        _demanded(claims, prepared) if prepared.has_demands else (),
    )


def _unless_odd(
    read: Callable[[dict[str, Any], str], Any], claims: dict[str, Any], name: Any, use: str, unread: list[Unread]
) -> Any:
    try:
        return read(claims, name)
    except errors.InvalidClaimError:
        unread.append((use, (name,)))
        return None


def _is_demanded(path: ClaimPath, use: str, prepared: Prepared) -> bool:
    """Refuse what is demanded and cannot be read; False for any other claim."""
    if path in prepared.demands.paths:
        raise errors.InvalidClaimError(claim=name_of(path), reason=f"cannot be read as {use}")
    return False


def _foreign_audience(claims: dict[str, Any], prepared: Prepared) -> tuple[str, ...]:
    """Read `aud`. An empty array, which names no recipient, counts as absent."""
    audience = claims.get("aud")
    if type(audience) is str and audience:
        return (audience,)
    audience = () if audience == [] else read_strings(claims, "aud")
    if not audience and "aud" in prepared.required:
        raise errors.MissingClaimError(claim="aud")
    return audience


def _demanded(claims: dict[str, Any], prepared: Prepared) -> tuple[Any, ...]:
    """Check the values that are demanded, and return those that functions judge."""
    for demand in prepared.demands.values:
        demand.find(claims)
    functions = prepared.demands.functions
    return tuple([demand.find(claims) for demand in functions]) if functions else ()


def _read_identity(claims: dict[str, Any], prepared: Prepared) -> Any:
    paths = prepared.claim_names.identity
    path, identity = prepared.claim_names.find_identity(claims)
    if identity is ABSENT:
        empty = [name_of(path) for path in paths if find(claims, path) is not ABSENT]
        if empty:
            raise errors.InvalidClaimError(claim=empty[0], reason="null or empty")
        raise errors.MissingClaimError(claim=" or ".join(map(name_of, paths)))
    if path == ("sub",):
        read_string(claims, "sub")  # RFC 7519 section 4.1.2
    # A handler could change a container, so that each token parses its own when asked.
    return None if isinstance(identity, dict | list) else identity


def _type(claims: dict[str, Any], header: dict[str, Any], config: JWTConfig) -> str:
    if config.type_claim is None:
        kind = "access"
        sign = sign_of_another_kind(claims, header, accept_id_tokens=config.accept_id_tokens)
        if sign is not None:
            raise errors.WrongTypeError(claim=sign)
    else:
        kind = cast("str", read_string(claims, config.type_claim))  # not None: it is required
    typ = header.get("typ", "JWT")
    if typ != "JWT" and not accepted_typ(typ, kind):
        raise errors.WrongTypeError(type=kind, typ=typ)
    return kind


def sign_of_another_kind(
    claims: Mapping[str, Any], header: Mapping[str, Any], *, accept_id_tokens: bool = False
) -> str | None:
    """Find the claim that shows that a token without a type claim is not an access token; None if there is none.

    With `accept_id_tokens`, an ID token counts as an access token.
    """
    signs = _SIGNS.intersection(claims)
    words = {}
    for name in signs:
        if name in _KIND_CLAIMS and isinstance(claims[name], str):
            word = words[name] = _word(claims[name])
            if word in _OTHER_KINDS or (word == "id" and not accept_id_tokens):
                return name
    if "events" in signs:  # RFC 8417 section 2.2: a security event, such as a logout
        return "events"
    if accept_id_tokens or signs <= _KIND_CLAIMS:
        return None
    if hashes := signs.intersection(_ID_TOKEN_CLAIMS):
        return min(hashes)
    # Section 2: an ID token carries the nonce of its request. Some issuers also put it into access tokens, which show
    # in another way what they are.
    if "nonce" in signs and not (
        any(words.get(name) in _ACCESS_KINDS for name in _ACCESS_KIND_CLAIMS)
        or any(name in claims for name in _ACCESS_TOKEN_CLAIMS)
        or str(header.get("typ", "")).lower() in _ACCESS_ONLY_MEDIA_TYPES
    ):
        return "nonce"
    return None


@functools.lru_cache(64)
def _word(kind: str) -> str:
    """Bring the name of a kind of token into one form: `Refresh`, `refresh-token` and `refresh_token` are one."""
    return kind.lower().removesuffix("token").rstrip("-_")


def check_claims(fields: TokenFields, config: JWTConfig, *, heed_exp: bool = True) -> float:
    """Check times, issuer and audience for every request, and return the time of the check (seconds since the epoch).

    Raises:
        InvalidTokenError: The token is out of its time, too old, by another issuer or for another audience.
    """
    now = config.clock()
    prepared = config._prepared
    leeway = prepared.leeway_seconds
    issued_at, not_before, expires_at = fields.issued_at, fields.not_before, fields.expires_at
    # RFC 7519 section 4.1.4: the current time must be before the expiration time.
    if heed_exp and expires_at is not None and not now < expires_at + leeway:
        raise errors.ExpiredTokenError(claim="exp", exp=expires_at, now=now)
    # RFC 7519 section 4.1.5: after or equal to the not-before time.
    if not_before is not None and not now + leeway >= not_before:
        raise errors.NotYetValidError(claim="nbf", nbf=not_before, now=now)
    if issued_at is not None and not now + leeway >= issued_at:
        raise errors.NotYetValidError(claim="iat", iat=issued_at, now=now)
    if prepared.max_age_seconds is not None or prepared.max_lifetime_seconds is not None:
        _check_age(issued_at, expires_at, prepared, now)
    # RFC 8725 section 3.8; code point for code point, no normalisation of any kind.
    if fields.issuer != prepared.issuers.canonical:
        prepared.issuers.check(fields.issuer)
    # RFC 7519 section 4.1.3: a recipient that no value of a present aud names must refuse the token.
    audience = fields.audience
    if audience and prepared.audiences.isdisjoint(audience):
        raise errors.WrongAudienceError(aud=", ".join(audience))
    if fields.judged:
        for demand, value in zip(prepared.demands.functions, fields.judged, strict=True):
            demand.judge(value)
    return now


def _check_age(issued_at: float | None, expires_at: float | None, prepared: Prepared, now: float) -> None:
    max_age, max_lifetime = prepared.max_age_seconds, prepared.max_lifetime_seconds
    if issued_at is None:
        raise errors.MissingClaimError(claim="iat")
    if max_age is not None and not now < issued_at + max_age + prepared.leeway_seconds:
        raise errors.ExpiredTokenError(claim="iat", iat=issued_at, now=now)
    if max_lifetime is None:
        return
    if expires_at is None:
        raise errors.MissingClaimError(claim="exp")
    if expires_at - issued_at > max_lifetime:
        raise errors.InvalidClaimError(claim="exp", reason="lifetime longer than max_lifetime")


def valid_until(token: Token, config: JWTConfig) -> float | None:
    """When a good token will be refused for its times, in seconds since the epoch; None if it never will be."""
    prepared, ends = config._prepared, []
    if token.expires_at is not None:
        ends.append(token.expires_at + prepared.leeway_seconds)
    if prepared.max_age_seconds is not None and token.issued_at is not None:
        ends.append(token.issued_at + prepared.max_age_seconds + prepared.leeway_seconds)
    return min(ends, default=None)
