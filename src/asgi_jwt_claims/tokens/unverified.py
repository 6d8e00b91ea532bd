"""Read what a token says of itself before its signature is verified: whose rules and keys it is to be checked by.

That decides only what the token is then checked against, completely. A token that lies about it meets rules that refuse
it, or keys that did not sign it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.config.issuer_template import is_unasked
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    InvalidTokenError,
    KeysUnavailableError,
    MalformedTokenError,
    MissingClaimError,
    TokenError,
    UnknownKeyError,
    WrongAudienceError,
)
from asgi_jwt_claims.jose.compact import Framed, as_ascii, b64url_decode, split_compact
from asgi_jwt_claims.jose.strict_json import MAX_HEADER_COMMAS, load_json

from .reading import read_string, read_strings

if TYPE_CHECKING:
    from asgi_jwt_claims.config import JWTConfig

__all__ = ["fetch_keys", "fitting_config", "issuer_in", "issuer_of"]

_MAX_COMMAS = 256  # of a short payload that is parsed before its signature is verified
_BYTES_FOR_A_COMMA = 24  # of a longer one; groups are often named by identifiers of 36 characters
_ISSUER = re.compile(rb'"iss"[ \t\n\r]*:[ \t\n\r]*"(?:[^"\\]|\\.){1,2048}"', re.DOTALL)
_ESCAPED_LETTERS = (rb"\u0069", rb"\u0073")  # with which the name of the claim could be spelled in another way


def issuer_of(framed: Framed) -> str:
    """Return the issuer that an unverified token names.

    Raises:
        InvalidTokenError: It is not a token, or names no issuer.
    """
    issuer = issuer_in(framed[1])
    if issuer is None:
        raise MissingClaimError(claim="iss")
    return issuer


def issuer_in(payload: bytes) -> str | None:
    """Return the issuer that an unverified payload names; None if it names none.

    Parsing a payload can take longer than all other checks of a forged token. It is not parsed if the name of the claim
    occurs in it exactly once, so that no other member can have that name.
    """
    is_named_once = payload.count(b'"iss"') == 1 and not any(escape in payload for escape in _ESCAPED_LETTERS)
    if is_named_once and (found := _ISSUER.search(payload)) is not None:
        payload = b"{" + found[0] + b"}"
    return read_string(_claims_in(payload), "iss")


def _claims_in(payload: bytes) -> dict[str, Any]:
    if payload.count(b",") > max(_MAX_COMMAS, len(payload) // _BYTES_FOR_A_COMMA):
        raise MalformedTokenError(reason="too many members to look for an issuer among them")
    _, claims = load_json(payload)
    if type(claims) is not dict:
        raise MalformedTokenError(reason="payload is not a JSON object")
    return claims


def fitting_config(configs: tuple[JWTConfig, ...], framed: Framed) -> JWTConfig:
    """Return the one of several configurations of an issuer that an unverified token fits, by `alg` and `aud`.

    Raises:
        InvalidTokenError: It is not a token, or fits none or several of them.
    """
    algorithm, claims = _algorithm_in(framed[0]), _claims_in(framed[1])
    audience = () if claims.get("aud") == [] else read_strings(claims, "aud")  # which counts as absent, as in `claims`
    of_algorithm = [config for config in configs if algorithm in config._prepared.algorithms]
    if not of_algorithm:
        raise AlgorithmRefusedError(alg=algorithm)
    fitting = [config for config in of_algorithm if _fits(config._prepared.audiences, audience)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise InvalidTokenError("several configurations of its issuer fit", alg=algorithm, aud=", ".join(audience))
    raise WrongAudienceError(aud=", ".join(audience))


def _fits(audiences: frozenset[str], audience: tuple[str, ...]) -> bool:
    return not audiences.isdisjoint(audience) or not (audiences or audience)


def _algorithm_in(header: bytes) -> str | None:
    text = b64url_decode(header)
    if text.count(b",") > MAX_HEADER_COMMAS:
        raise MalformedTokenError(reason="too many members in the header")
    _, found = load_json(text)
    if type(found) is not dict:
        raise MalformedTokenError(reason="header is not a JSON object")
    algorithm = found.get("alg")
    if not isinstance(algorithm, str):
        raise AlgorithmRefusedError(reason="alg missing or not a string")
    return algorithm


async def fetch_keys(raw: str | bytes, config: JWTConfig, error: TokenError) -> bool:
    """Fetch keys if a token cannot be verified without: see `KeySource.fetch_for`. `error` is what refused the token.

    A token of a tenant that is not allowed causes no fetch.

    Raises:
        WrongIssuerError: The tenant is not allowed.
        KeysUnavailableError: As by `fetch_for`; also if it cannot be found out whether the tenant is allowed.
    """
    prepared = config._prepared
    template = prepared.issuers.template
    if template is None:
        return await prepared.key_source.fetch_for(error)
    if not isinstance(error, UnknownKeyError | KeysUnavailableError):
        return False
    issuer = issuer_of(split_compact(as_ascii(raw, config.max_token_size)))
    await template.check_async(issuer)
    if is_unasked(error):
        return True
    if prepared.tenant_sets is None:
        return await prepared.key_source.fetch_for(error)
    return await prepared.tenant_sets.fetch_of(issuer, error)
