"""Read the claims of a token and check them, in the order in which that happens.

One rule holds throughout: a claim of the wrong type is wrong, never absent (`InvalidClaimError`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from asgi_jwt_claims import errors

from .token import TokenFields

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.config._prepared import Prepared

    from .token import Token

__all__ = ["SCOPE_TOKEN", "accepted_typ", "check_claims", "parse_claims", "sign_of_another_kind", "valid_until"]

SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 section 3.3

_NONE: frozenset[str] = frozenset()

_JWT_MEDIA_TYPES = frozenset({"jwt", "application/jwt"})
# RFC 8725 section 3.11: what is none of these (dpop+jwt, logout+jwt, secevent+jwt ...) was minted for something else.
_ACCESS_ONLY_MEDIA_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_ACCESS_MEDIA_TYPES = _JWT_MEDIA_TYPES | _ACCESS_ONLY_MEDIA_TYPES

_KIND_CLAIMS = ("token_use", "typ")  # of Cognito and of Keycloak
_OTHER_KINDS = frozenset({"refresh", "offline", "logout"})
_ACCESS_KINDS = frozenset({"access", "bearer"})
# OpenID Connect Core 1.0 sections 3.1.3.6 and 3.3.2.11, FAPI 1.0 part 2 section 5.1: hashes of what came beside an ID
# token.
_ID_TOKEN_CLAIMS = ("at_hash", "c_hash", "s_hash")
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
        if name not in claims:
            raise errors.MissingClaimError(claim=name)
    # RFC 7800 section 3.1: a recipient that cannot check the confirmation must not accept the token.
    if "cnf" in claims:
        raise errors.BoundTokenError()
    own = config.user_claims_claim
    if own is not None and not isinstance(claims.get(own, {}), dict):
        raise errors.InvalidClaimError(claim=own, reason="not an object")
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
    session = config.session_claim
    # In the order of the fields: a call that names them takes more than twice as long.
    return TokenFields(
        subject if config.identity_claim == "sub" else _other_identity(claims, config.identity_claim),
        _type(claims, header, config),
        fresh,
        authenticated_at,
        read_string(claims, session) if session is not None and session in claims else None,
        jti if type(jti) is str and jti else read_string(claims, "jti"),
        issuer if type(issuer) is str and issuer else read_string(claims, "iss"),
        read_strings(claims, "aud"),
        read_scopes(claims, config.scope_claim) if config.scope_claim in claims else _NONE,
        read_roles(claims, config.roles_claim) if config.roles_claim in claims else _NONE,
        issued_at if type(issued_at) is int else read_numeric_date(claims, "iat"),
        not_before if type(not_before) is int else read_numeric_date(claims, "nbf"),
        expires_at if type(expires_at) is int else read_numeric_date(claims, "exp"),
        payload,
        header,
        prepared.claim_names,
        {},
    )


def _other_identity(claims: dict[str, Any], name: str) -> Any:
    identity = claims[name]
    if identity is None or identity == "":
        raise errors.InvalidClaimError(claim=name, reason="null or empty")
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
    words = {name: claims[name].lower() for name in _KIND_CLAIMS if isinstance(claims.get(name), str)}
    for name, word in words.items():
        if word in _OTHER_KINDS or (word == "id" and not accept_id_tokens):
            return name
    if "events" in claims:  # RFC 8417 section 2.2: a security event, such as a logout
        return "events"
    if accept_id_tokens:
        return None
    for name in _ID_TOKEN_CLAIMS:
        if name in claims:
            return name
    # Section 2: an ID token carries the nonce of its request. Some issuers also put it into access tokens, which show
    # in another way what they are.
    if "nonce" in claims and not (
        _ACCESS_KINDS.intersection(words.values())
        or any(name in claims for name in _ACCESS_TOKEN_CLAIMS)
        or str(header.get("typ", "")).lower() in _ACCESS_ONLY_MEDIA_TYPES
    ):
        return "nonce"
    return None


def read_numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """Read a NumericDate (RFC 7519 section 2), a JSON number of seconds since the epoch; None if it is absent."""
    value = claims.get(name)
    # A bool is an int to isinstance, and no number in JSON.
    if name in claims and type(value) not in (int, float):
        raise errors.InvalidClaimError(claim=name, reason="not a number")
    return value


def read_string(claims: Mapping[str, Any], name: str) -> str | None:
    """Read a non-empty string; None if it is absent."""
    value = claims.get(name)
    if name in claims and not (isinstance(value, str) and value):
        raise errors.InvalidClaimError(claim=name, reason="not a non-empty string")
    return value


def read_strings(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Read one or several non-empty strings, as in `aud` (RFC 7519 section 4.1.3); empty if the claim is absent."""
    values = claims.get(name)
    if isinstance(values, str) and values:
        return (values,)
    if isinstance(values, list) and values and all(isinstance(item, str) and item for item in values):
        return tuple(values)
    if name not in claims:
        return ()
    raise errors.InvalidClaimError(claim=name, reason="neither a non-empty string nor an array of them")


def read_roles(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Read roles: a string is one role, an array several; empty if the claim is absent or an empty array."""
    return _NONE if claims.get(name) == [] else frozenset(read_strings(claims, name))


def read_scopes(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Read scopes, one string separated by single spaces (RFC 8693 section 4.2); empty if absent or an empty string.

    A claim of another name than `scope` (`scp` of some providers) may also be an array.
    """
    value = claims.get(name, "")
    if value == "":
        return _NONE
    if isinstance(value, list) and name != "scope" and all(isinstance(item, str) for item in value):
        scopes = value
    elif isinstance(value, str):
        scopes = value.split(" ")
    else:
        raise errors.InvalidClaimError(claim=name, reason="not a string")
    if not all(SCOPE_TOKEN.fullmatch(scope) for scope in scopes):
        raise errors.InvalidClaimError(claim=name, reason="not scopes divided by single spaces")
    return frozenset(scopes)


def read_fresh(claims: Mapping[str, Any]) -> float:
    """Read `fresh`, the NumericDate until which the token is fresh: infinity for true, 0 for false or if absent."""
    value = claims.get("fresh", False)
    if isinstance(value, bool):
        return math.inf if value else 0
    return read_numeric_date(claims, "fresh") or 0


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
