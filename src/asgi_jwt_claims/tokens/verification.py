"""Verify tokens: their bytes become a `Token`, or one of our errors. Synchronous, without I/O.

From top to bottom, cheapest first; nothing is believed before the signature has been verified:

1. framing (`jose.compact`): size, parts, alphabet, canonical base64url;
2. header: strict JSON, then `typ`, header parameters that are always refused, `alg`, `kid`;
3. key and signature;
4. payload: strict JSON, then every claim that decides something, by its type;
5. times, issuer and audience, which are checked again for a token whose signature is remembered (`config._cache`).

Nothing in a token makes this library open a socket or a file. An unknown key identifier can only make the issuer's key
source fetch again, from its own address and within its own schedule.

For an opaque token the answer of the authorization server (RFC 7662) stands in the place of steps 1 to 3. It is at hand,
or `verify` refuses the token with `IntrospectionUnavailableError`, and `verify_or_fetch` asks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from asgi_jwt_claims import errors
from asgi_jwt_claims.config import JWTConfig, check_config
from asgi_jwt_claims.jose.compact import DEFAULT_MAX_TOKEN_SIZE, Framed, as_ascii, b64url_decode, split_compact
from asgi_jwt_claims.jose.strict_json import MAX_HEADER_COMMAS, copy_json, load_json
from asgi_jwt_claims.keys.key import Key, is_kid
from asgi_jwt_claims.keys.key_set import KeySet

from .claims import accepted_typ, check_claims, parse_claims
from .reading import read_string
from .token import Token, TokenFields, about, facts_of
from .unverified import fetch_keys, issuer_of

if TYPE_CHECKING:
    from asgi_jwt_claims.introspection import Introspection
    from asgi_jwt_claims.introspection._answers import Answer

__all__ = ["check_type", "verify", "verify_jws", "verify_or_fetch", "verify_token", "verify_token_async"]

# RFC 7515 section 4.1.11: an extension that is not understood must be refused, and none is understood here. A token that
# brings a bare key (`jwk`) expects to be verified with it, which proves nothing (RFC 8725 section 3.10). Addresses of keys
# and certificates (`jku`, `x5u`, `x5c`) are optional hints (RFC 7515 sections 4.1.2, 4.1.5 and 4.1.6), which some issuers
# always write: they are ignored, so nothing is fetched from there, and no key is taken from them.
_REFUSED_HEADERS = ("crit", "b64", "zip", "jwk")


_OPAQUE = re.compile(rb"[\x21-\x7E]+")  # RFC 6749 section A.12, less the space, which no header carries
# RFC 6749 section 7.1, and the name that RFC 7009 section 2.1 has for such a token, which some servers write instead.
_BEARER_TYPES = ("bearer", "access_token")
_OTHER_USES = ("refresh_token", "id_token")


def verify_token(raw: str | bytes, config: JWTConfig, *, type: str = "access") -> Token:  # noqa: A002 -- its name
    """Verify a token completely: RFC 7519 section 7.2 and RFC 8725, with no check left out.

    Args:
        raw: The encoded token.
        config: The configuration whose keys, parties, times and names count.
        type: `"access"`, `"refresh"`, or a type of the application's own.

    Raises:
        InvalidTokenError: The token is refused; the subclass and its `code` say by which rule.
        SettingError: `config` is not a JWTConfig.
        KeysUnavailableError: The keys are those of a provider, and none are in hand; `verify_token_async` fetches them.
        IntrospectionUnavailableError: An authorization server must be asked about the token; `verify_token_async` asks.
    """
    check_config(config, "verify_token(raw, config)")
    return check_type(verify(raw, config, None), type)


async def verify_token_async(
    raw: str | bytes,
    config: JWTConfig,
    *,
    type: str = "access",  # noqa: A002 -- as above
) -> Token:
    """Verify a token as `verify_token` does, and fetch the keys of a provider if the token needs them.

    Arguments and errors are those of `verify_token`; `KeysUnavailableError` says that the keys could not be fetched, and
    `IntrospectionUnavailableError` that the authorization server did not say whether an opaque token is active. With the
    keys or the answer in hand, this never waits.
    """
    check_config(config, "verify_token_async(raw, config)")
    return check_type(await verify_or_fetch(raw, config), type)


async def verify_or_fetch(
    raw: str | bytes, config: JWTConfig, source: str | None = None, *, heed_exp: bool = True
) -> Token:
    """Verify a token as `verify` does, and fetch the keys of a provider, or ask about the token, if it has to be."""
    if config.introspection is not None:
        raw = _as_opaque(raw, config)
        answer = config.introspection.find(raw, config.clock()) or await config.introspection.ask(raw)
        return _verify_answer(answer, config, source, heed_exp=heed_exp)
    key_source = config._prepared.key_source
    try:
        token = verify(raw, config, source, heed_exp=heed_exp)
    except errors.TokenError as error:
        if not await fetch_keys(raw, config, error):
            raise
        return verify(raw, config, source, heed_exp=heed_exp)
    key_source.refresh_if_due(token.issuer)
    return token


def check_type(token: Token, expected: str) -> Token:
    """Refuse a token of another type than `expected` with `WrongTypeError` (RFC 8725 section 3.12), and return it."""
    if token.type != expected:
        raise about(errors.WrongTypeError(expected=expected, type=token.type), token)
    return token


def verify_jws(
    raw: str | bytes, keys: KeySet, *, max_size: int = DEFAULT_MAX_TOKEN_SIZE
) -> tuple[dict[str, Any], bytes]:
    """Verify the signature of a compact JWS, and nothing that its payload says (RFC 7515 section 5.2).

    Framing, headers, the choice of the key and the signature are checked as by `verify_token`. Claims are ignored: the
    payload need not even be JSON, and an expired token passes. Returns the JOSE header and the bytes of the payload.

    Args:
        raw: The compact serialisation.
        keys: The `KeySet` with the keys that may have signed it.
        max_size: The longest acceptable token, in characters.

    Raises:
        SettingError: `keys` is not a KeySet.
        InvalidTokenError: The JWS is refused; the subclass and its `code` say by which rule.
    """
    if not isinstance(keys, KeySet):
        raise errors.SettingError(
            f"keys must be a KeySet, as in verify_jws(raw, KeySet([key])), not {type(keys).__name__}"
        )
    _, header, payload = _verify_signature(split_compact(as_ascii(raw, max_size)), keys)
    return copy_json(header), payload


def verify(
    raw: str | bytes, config: JWTConfig, source: str | None, *, heed_exp: bool = True, framed: Framed | None = None
) -> Token:
    """Verify everything but the type of the token, which `check_type` compares.

    `source` says where the token was found. `exp` does not count (`heed_exp`) where an expired token names the session
    to end. `framed` holds the token's parts, from `split_compact`, if they are at hand.
    """
    if config.introspection is not None:
        return _verify_opaque(_as_opaque(raw, config), config, source, heed_exp=heed_exp)
    if type(raw) is not bytes or len(raw) > config.max_token_size:
        raw = as_ascii(raw, config.max_token_size)
    prepared = config._prepared
    sets = prepared.tenant_sets
    issuer: str | None = None
    try:
        # Read once: what one set of keys verifies is never remembered under another.
        if sets is None:
            keys = prepared.key_source.keys
        else:
            issuer = sets.issuer_cache.get(hash(raw)) or issuer_of(framed := framed or split_compact(raw))
            keys = sets.of(issuer).keys
    except errors.KeysUnavailableError:
        _read_header((framed or split_compact(raw))[0])  # a token that no key could verify is malformed, not unchecked
        raise
    fields = prepared.token_cache.find(raw, keys)
    if fields is not None:
        try:
            return Token(fields, check_claims(fields, config, heed_exp=heed_exp), source)
        except errors.TokenError as error:
            about(error, Token(fields, 0.0))
            raise
    key, header, payload = _verify_signature(framed or split_compact(raw), keys)
    claims: Any = None
    try:
        text, claims = load_json(payload)
        fields = parse_claims(claims, header, text, config)
        if prepared.is_lenient:
            prepared.issuers.check_party(fields.issuer, claims, keys.issuer_of(key), issuer)
        verified_at = check_claims(fields, config, heed_exp=heed_exp)
    except errors.TokenError as error:
        error.verified = _facts(claims, config) if fields is None else facts_of(Token(fields, 0.0))
        raise
    prepared.token_cache.remember(raw, key, keys, fields)
    if sets is not None and fields.issuer is not None:
        sets.remember(raw, fields.issuer)
    return Token(fields, verified_at, source)


def _as_opaque(raw: str | bytes, config: JWTConfig) -> bytes:
    raw = as_ascii(raw, config.max_token_size)
    if not _OPAQUE.fullmatch(raw):
        raise errors.MalformedTokenError(reason="empty, or has white space or characters that no token has")
    return raw


def _verify_answer(answer: Answer, config: JWTConfig, source: str | None, *, heed_exp: bool) -> Token:
    """Verify an opaque token by what the authorization server has answered about it (RFC 7662 section 2.2)."""
    if not answer.is_active:
        raise errors.InactiveTokenError()
    claims: Any = None
    fields: TokenFields | None = answer.fields.get(config)
    try:
        if fields is None:
            text, claims = load_json(answer.text.encode())
            _check_use(claims)
            fields = parse_claims(claims, {}, text, config)
            # So that a token without an identifier can be revoked like any other.
            answer.fields[config] = fields = fields._replace(jti=fields.jti or answer.digest.hex())
        return Token(fields, check_claims(fields, config, heed_exp=heed_exp), source)
    except errors.TokenError as error:
        error.verified = _facts(claims, config) if fields is None else facts_of(Token(fields, 0.0))
        raise


def _check_use(claims: dict[str, Any]) -> None:
    """Refuse what is no bearer token: most servers say so in `token_type`, Ory Hydra in `token_use`."""
    if "token_type" in claims and str(read_string(claims, "token_type")).lower() not in _BEARER_TYPES:
        raise errors.WrongTypeError(claim="token_type")
    if claims.get("token_use") in _OTHER_USES:
        raise errors.WrongTypeError(claim="token_use")


def _verify_opaque(raw: bytes, config: JWTConfig, source: str | None, *, heed_exp: bool) -> Token:
    introspection = cast("Introspection", config.introspection)
    answer = introspection.find(raw, config.clock())
    if answer is None:
        raise errors.IntrospectionUnavailableError(
            endpoint=introspection.url, reason="must be asked; await verify_token_async"
        )
    return _verify_answer(answer, config, source, heed_exp=heed_exp)


def _verify_signature(framed: Framed, keys: KeySet) -> tuple[Key, dict[str, Any], bytes]:
    encoded_header, payload, signature, signing_input = framed
    known = keys.get_header(encoded_header)
    if known is None:
        header = _read_header(encoded_header)
        key = keys.find(header.get("kid"), header["alg"], header.get("x5t#S256", header.get("x5t")))
    else:
        key, header = known
    if not key.verify(signing_input, signature):
        raise errors.InvalidSignatureError(alg=key.algorithm, kid=key.kid)
    if known is None:
        keys.put_header(encoded_header, key, header)
    return key, header, payload


def _read_header(encoded: bytes) -> dict[str, Any]:
    text = b64url_decode(encoded)
    if text.count(b",") > MAX_HEADER_COMMAS:
        raise errors.MalformedTokenError(reason="too many members in the header")
    _, header = load_json(text)
    if type(header) is not dict:
        raise errors.MalformedTokenError(reason="header is not a JSON object")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise errors.InvalidHeaderError(header=name, reason="not accepted")
    if "typ" in header and not accepted_typ(header["typ"], "access"):
        raise errors.InvalidHeaderError(header="typ", reason="not a type of token that is accepted")
    # RFC 7519 section 5.2: the sign of a nested token.
    if "cty" in header:
        raise errors.InvalidHeaderError(header="cty", reason="nested tokens are not accepted")
    if "kid" in header and not is_kid(header["kid"]):
        raise errors.InvalidHeaderError(header="kid", reason="not a printable string of acceptable length")
    # "none" needs no rule of its own: no key is for it (RFC 8725 section 3.2).
    if not isinstance(header.get("alg"), str):
        raise errors.AlgorithmRefusedError(reason="alg missing or not a string")
    return header


def _facts(claims: Any, config: JWTConfig) -> dict[str, Any]:
    """Collect what `facts_of` does from signed claims that were refused: any may be absent or of a wrong type."""
    names = {"type": config.type_claim, "issuer": "iss", "jti": "jti", "session_id": config.session_claim}
    found = claims if type(claims) is dict else {}
    facts = {fact: found[name] for fact, name in names.items() if isinstance(found.get(name), str)}
    path, identity = config._prepared.claim_names.find_identity(found)
    if isinstance(identity, str) or (path not in ((), ("sub",))):
        facts["identity"] = identity
    return facts
