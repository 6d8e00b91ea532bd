"""Verification: the bytes of a token become a `Token`, or one of our errors. Pure, synchronous, no I/O.

From top to bottom, cheapest first, and nothing is believed before the signature has been verified:

1. framing (`_compact`): size, parts, alphabet, canonical base64url;
2. header: strict JSON, then `typ`, what is refused outright, `alg`, `kid`;
3. key and signature;
4. payload: strict JSON, then every claim that decides something, by its type;
5. times, issuer and audience, against the clock and the configuration.

A token whose signature is remembered (`_signatures`) comes in at the fifth step, which no token ever passes by.

Nothing in a token is ever a reason to open a socket or a file: no address in it is looked at. A key identifier that
nobody knows may be one for the issuer's key source to look again, at its own address and in its own time.
"""

from __future__ import annotations

from typing import Any, cast

from asgi_jwt_claims.config import JWTConfig, check_config
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    BoundTokenError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidHeaderError,
    InvalidSignatureError,
    KeysUnavailableError,
    MalformedTokenError,
    MissingClaimError,
    NotYetValidError,
    SettingError,
    TokenError,
    WrongAudienceError,
    WrongIssuerError,
    WrongTypeError,
)
from asgi_jwt_claims.jose.compact import (
    DEFAULT_MAX_TOKEN_SIZE,
    Framed,
    as_ascii,
    b64url_decode,
    split_compact,
)
from asgi_jwt_claims.jose.strict_json import MAX_HEADER_COMMAS, load_json
from asgi_jwt_claims.keys.key import Key, is_kid
from asgi_jwt_claims.keys.key_set import KeySet

from .claims import (
    accepted_typ,
    check_user_claims,
    read_audience,
    read_fresh,
    read_numeric_date,
    read_roles,
    read_scopes,
    read_string,
    sign_of_another_kind,
)
from .token import Token, TokenFields, about, copy_json, facts_of

__all__ = ["check_type", "valid_until", "verify", "verify_attended", "verify_jws", "verify_token", "verify_token_async"]

_NONE: frozenset[str] = frozenset()

# RFC 7515 section 4.1.11: an extension that is not understood must be refused, and none is understood here. A key that
# comes with the token proves nothing (RFC 8725 section 3.10), so a token that brings one is refused, not just ignored.
_REFUSED_HEADERS = ("crit", "b64", "zip", "jwk", "jku", "x5u", "x5c")


def verify_token(raw: str | bytes, config: JWTConfig, *, type: str = "access") -> Token:  # noqa: A002 -- the field's name
    """Verify a token completely: RFC 7519 section 7.2 and RFC 8725, and nothing optional about it.

    Args:
        raw: The encoded token.
        config: Keys, parties, times and names.
        type: `"access"`, `"refresh"`, or a type of the application's own.

    Raises:
        InvalidTokenError: Whatever else the bytes were; the subclass and its `code` say which rule refused them.
        SettingError: `config` is none.
        KeysUnavailableError: The keys are those of a provider, and there are none in hand; `verify_token_async` fetches
            them.
    """
    check_config(config, "verify_token(raw, config)")
    token = verify(raw, config, None)
    check_type(token, type)
    return token


async def verify_token_async(raw: str | bytes, config: JWTConfig, *, type: str = "access") -> Token:  # noqa: A002 -- as above
    """As `verify_token`, and waits for the keys of a provider where the token cannot be verified without a fetch.

    Arguments are those of `verify_token`. With keys in hand, nothing is waited for.

    Raises:
        InvalidTokenError: As `verify_token`.
        SettingError: As `verify_token`.
        KeysUnavailableError: The keys could not be fetched.
    """
    check_config(config, "verify_token_async(raw, config)")
    token = await verify_attended(raw, config)
    check_type(token, type)
    return token


async def verify_attended(raw: str | bytes, config: JWTConfig, *, heed_exp: bool = True) -> Token:
    """As `verify`, and waits for the keys of a provider where the token cannot be verified without a fetch."""
    try:
        token = verify(raw, config, None, heed_exp=heed_exp)
    except TokenError as error:
        if config.key_source is None or not await config.key_source.attend(error):
            raise
        token = verify(raw, config, None, heed_exp=heed_exp)
    else:
        if config.key_source is not None:
            await config.key_source.attend(None)
    return token


def check_type(token: Token, expected: str) -> None:
    """Refuse a token of another type than `expected` (RFC 8725 section 3.12).

    Raises:
        WrongTypeError: It is of another type, or its header's `typ` is not for this type.
    """
    if token.type != expected:
        raise about(WrongTypeError(expected=expected, type=token.type), token)


def verify_jws(
    raw: str | bytes, keys: KeySet, *, max_size: int = DEFAULT_MAX_TOKEN_SIZE
) -> tuple[dict[str, Any], bytes]:
    """Verify the signature of a compact JWS, and nothing that its payload says (RFC 7515 section 5.2).

    Framing, the rules for headers, the choice of the key and the signature are those of `verify_token`. No claim is
    looked at: the payload need not even be JSON, and an expired token passes.

    Args:
        raw: The compact serialisation.
        keys: The keys that may have signed it, a `KeySet`.
        max_size: Longest acceptable token, in characters.

    Returns:
        The JOSE header and the bytes of the payload.

    Raises:
        SettingError: `keys` is no KeySet.
        InvalidTokenError: Whatever else the bytes were.
    """
    if not isinstance(keys, KeySet):
        raise SettingError(f"keys must be a KeySet, as in verify_jws(raw, KeySet([key])), not {type(keys).__name__}")
    _, header, payload = _verify_signature(split_compact(as_ascii(raw, max_size)), keys)
    return copy_json(header), payload


def verify(
    raw: str | bytes,
    config: JWTConfig,
    source: str | None,
    *,
    heed_exp: bool = True,
    framed: Framed | None = None,
) -> Token:
    """Verify everything but which type of token is wanted.

    Args:
        raw: The encoded token.
        config: Keys, parties, times and names.
        source: Where the token was found.
        heed_exp: False passes over `exp`, and over nothing else: for ending what an expired token names.
        framed: Its parts, from `split_compact`, if they are at hand.
    """
    raw = as_ascii(raw, config.max_token_size)
    try:
        # Both once: what one set of keys verifies is never remembered under another.
        keys, signatures = config.keys, config.signatures
    except KeysUnavailableError:
        _read_header((framed or split_compact(raw))[0])  # what no key could verify is malformed, not unchecked
        raise
    said = signatures.find(raw, keys)
    if said is not None:
        try:
            return Token(said, check_claims(said, config, heed_exp=heed_exp), source)
        except TokenError as error:
            about(error, Token(said, 0.0))
            raise
    key, header, payload = _verify_signature(framed or split_compact(raw), keys)
    claims: Any = None
    try:
        text, claims = load_json(payload)
        said = _read(claims, header, text, config)
        verified_at = check_claims(said, config, heed_exp=heed_exp)
    except TokenError as error:
        error.verified = _facts(claims, config) if said is None else facts_of(Token(said, 0.0))
        raise
    signatures.remember(raw, key, keys, said)
    return Token(said, verified_at, source)


def _verify_signature(framed: Framed, keys: KeySet) -> tuple[Key, dict[str, Any], bytes]:
    encoded_header, payload, signature, signing_input = framed
    known = keys.get_header(encoded_header)
    key, header = known or _find_key(encoded_header, keys)
    if not key.verify(signing_input, signature):
        raise InvalidSignatureError(alg=key.algorithm, kid=key.kid)
    if known is None:
        keys.put_header(encoded_header, key, header)
    return key, header, payload


def _find_key(encoded_header: bytes, keys: KeySet) -> tuple[Key, dict[str, Any]]:
    header = _read_header(encoded_header)
    return keys.find(header.get("kid"), header["alg"]), header


def _read_header(encoded: bytes) -> dict[str, Any]:
    text = b64url_decode(encoded)
    if text.count(b",") > MAX_HEADER_COMMAS:
        raise MalformedTokenError(reason="too many members in the header")
    _, header = load_json(text)
    if type(header) is not dict:
        raise MalformedTokenError(reason="header is not a JSON object")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise InvalidHeaderError(header=name, reason="not accepted")
    if "typ" in header and not accepted_typ(header["typ"], "access"):
        raise InvalidHeaderError(header="typ", reason="not a type of token that is accepted")
    # RFC 7519 section 5.2: this is how a nested token announces itself.
    if "cty" in header:
        raise InvalidHeaderError(header="cty", reason="nested tokens are not accepted")
    if "kid" in header and not is_kid(header["kid"]):
        raise InvalidHeaderError(header="kid", reason="not a printable string of acceptable length")
    # "none" needs no rule of its own: no key is for it (RFC 8725 section 3.2).
    if not isinstance(header.get("alg"), str):
        raise AlgorithmRefusedError(reason="alg missing or not a string")
    return header


def _facts(claims: Any, config: JWTConfig) -> dict[str, Any]:
    """As `facts_of`, of claims that are signed and yet refused: none of them needs to be there, or of its type."""
    identity, session = config.identity_claim, config.session_claim
    names = {"type": config.type_claim, "issuer": "iss", "identity": identity, "jti": "jti", "session_id": session}
    said = claims if type(claims) is dict else {}
    return {
        fact: said[name]
        for fact, name in names.items()
        if name in said and (isinstance(said[name], str) or (name == identity and identity != "sub"))
    }


# What the token says: claims by their types. Nothing here depends on anything but its bytes and the names configured.


def _read(claims: Any, header: dict[str, Any], payload: str, config: JWTConfig) -> TokenFields:
    if type(claims) is not dict:
        raise MalformedTokenError(reason="payload is not a JSON object")
    for name in config.presence:
        if name not in claims:
            raise MissingClaimError(claim=name)
    # RFC 7800 section 3.1: whoever cannot check the confirmation must not accept the token.
    if "cnf" in claims:
        raise BoundTokenError()
    check_user_claims(claims, config.user_claims_claim)
    # Whole seconds and strings with something in them need no further look; they are what nearly every token carries.
    subject, issuer, jti = claims.get("sub"), claims.get("iss"), claims.get("jti")
    issued_at, not_before, expires_at = claims.get("iat"), claims.get("nbf"), claims.get("exp")
    if type(subject) is not str or not subject:
        subject = read_string(claims, "sub")  # RFC 7519 section 4.1.2, whatever its use
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
        read_audience(claims),
        read_scopes(claims, config.scope_claim) if config.scope_claim in claims else _NONE,
        read_roles(claims, config.roles_claim) if config.roles_claim in claims else _NONE,
        issued_at if type(issued_at) is int else read_numeric_date(claims, "iat"),
        not_before if type(not_before) is int else read_numeric_date(claims, "nbf"),
        expires_at if type(expires_at) is int else read_numeric_date(claims, "exp"),
        payload,
        header,
        config.names,
        {},
    )


def _other_identity(claims: dict[str, Any], name: str) -> Any:
    identity = claims[name]
    if identity is None or identity == "":
        raise InvalidClaimError(claim=name, reason="null or empty")
    # A container could be changed by whoever gets it; the token parses one of its own when asked.
    return None if isinstance(identity, dict | list) else identity


def _type(claims: dict[str, Any], header: dict[str, Any], config: JWTConfig) -> str:
    if config.type_claim is None:
        kind = "access"
        sign = sign_of_another_kind(claims, header, accept_id_tokens=config.accept_id_tokens)
        if sign is not None:
            raise WrongTypeError(claim=sign)
    else:
        kind = cast("str", read_string(claims, config.type_claim))  # there, or `presence` would have been violated
    typ = header.get("typ", "JWT")
    if typ != "JWT" and not accepted_typ(typ, kind):
        raise WrongTypeError(type=kind, typ=typ)
    return kind


# Whether that holds here and now: asked for every request, whether or not the signature is remembered.


def check_claims(said: TokenFields, config: JWTConfig, *, heed_exp: bool = True) -> float:
    """Refuse what is out of its time, too old, by another issuer or for another audience; return when that was."""
    now = config.clock()
    leeway = config.leeway_seconds
    issued_at, not_before, expires_at = said.issued_at, said.not_before, said.expires_at
    # RFC 7519 section 4.1.4: the current time must be before the expiration time.
    if heed_exp and expires_at is not None and not now < expires_at + leeway:
        raise ExpiredTokenError(claim="exp", exp=expires_at, now=now)
    # RFC 7519 section 4.1.5: after or equal to the not-before time.
    if not_before is not None and not now + leeway >= not_before:
        raise NotYetValidError(claim="nbf", nbf=not_before, now=now)
    if issued_at is not None and not now + leeway >= issued_at:
        raise NotYetValidError(claim="iat", iat=issued_at, now=now)
    if config.max_age is not None or config.max_lifetime is not None:
        _check_age(issued_at, expires_at, config, now)
    # RFC 8725 section 3.8; code point for code point, no normalisation of any kind.
    if config.issuer is not None and said.issuer != config.issuer:
        raise WrongIssuerError(iss=said.issuer)
    # RFC 7519 section 4.1.3: whoever does not identify itself with a value of a present aud must refuse the token.
    audience = said.audience
    if audience and config.audiences.isdisjoint(audience):
        raise WrongAudienceError(aud=", ".join(audience))
    return now


def valid_until(token: Token, config: JWTConfig) -> float | None:
    """When a good token will begin to be refused for its times, in seconds since the epoch; None: never."""
    ends = []
    if token.expires_at is not None:
        ends.append(token.expires_at + config.leeway_seconds)
    if config.max_age_seconds is not None and token.issued_at is not None:
        ends.append(token.issued_at + config.max_age_seconds + config.leeway_seconds)
    return min(ends, default=None)


def _check_age(issued_at: float | None, expires_at: float | None, config: JWTConfig, now: float) -> None:
    if issued_at is None:
        raise MissingClaimError(claim="iat")
    if config.max_age_seconds is not None and not now < issued_at + config.max_age_seconds + config.leeway_seconds:
        raise ExpiredTokenError(claim="iat", iat=issued_at, now=now)
    if config.max_lifetime_seconds is not None:
        if expires_at is None:
            raise MissingClaimError(claim="exp")
        if expires_at - issued_at > config.max_lifetime_seconds:
            raise InvalidClaimError(claim="exp", reason="lifetime longer than max_lifetime")
