"""A second reading of the rules, slow and plain, that shares nothing with the library: what must be accepted, and how.

Standard library and `cryptography` only. The fuzz targets hold the library against it, both ways: what the library
accepts the model accepts, and the other way round. A rule that changes in the library changes here as well.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
import string
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from asgi_jwt_claims import JWTConfig

__all__ = ["Keyring", "Reading", "RefusedError", "base64url", "bearer", "claims", "compact", "sign", "strict_json"]

ALPHABET = set((string.ascii_letters + string.digits + "-_").encode())
HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
FIELDS = {"ES256": 32, "ES384": 48, "ES512": 66}

Keyring = dict[str, tuple[str, Any]]
"""Kid to algorithm and material: a secret, or a private key."""


class RefusedError(Exception):
    """The model refuses."""


class Reading(NamedTuple):
    """A token whose signature is true."""

    header: dict[str, Any]
    payload: bytes
    kid: str


# Signatures -----------------------------------------------------------------------------------------------------------


def sign(algorithm: str, material: Any, message: bytes) -> bytes:
    """A true signature (RFC 7518 section 3, RFC 8037 section 3.1)."""
    family, digest = algorithm[:2], HASHES.get(algorithm[2:])
    if digest is None:
        return bytes(material.sign(message))
    if family == "HS":
        return hmac.new(material, message, f"sha{algorithm[2:]}").digest()
    if family == "ES":
        size = FIELDS[algorithm]
        return b"".join(
            number.to_bytes(size) for number in decode_dss_signature(material.sign(message, ec.ECDSA(digest)))
        )
    return bytes(material.sign(message, _padding(algorithm), digest))


def is_true(algorithm: str, material: Any, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is the key's over `message`."""
    family, digest = algorithm[:2], HASHES.get(algorithm[2:])
    if family == "HS":
        return hmac.compare_digest(sign(algorithm, material, message), signature)
    public = material.public_key()
    try:
        if digest is None:
            public.verify(signature, message)
        elif family == "ES":
            size = FIELDS[algorithm]
            if len(signature) != 2 * size:
                return False
            pair = encode_dss_signature(int.from_bytes(signature[:size]), int.from_bytes(signature[size:]))
            public.verify(pair, message, ec.ECDSA(digest))
        else:
            public.verify(signature, message, _padding(algorithm), digest)
    except InvalidSignature:
        return False
    return True


def _padding(algorithm: str) -> Any:
    digest = HASHES[algorithm[2:]]
    if algorithm.startswith("RS"):
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


# Framing --------------------------------------------------------------------------------------------------------------


def base64url(segment: bytes) -> bytes:
    """The bytes that `segment` is the one spelling of (RFC 7515 section 2, RFC 4648 section 3.5)."""
    if not ALPHABET.issuperset(segment) or len(segment) % 4 == 1:
        raise RefusedError
    data = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment:
        raise RefusedError
    return data


def strict_json(data: bytes) -> Any:
    """JSON that every parser reads alike (RFC 7515 section 4, RFC 8259 sections 4, 6 and 8)."""
    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            raise RefusedError
        value = json.loads(
            text, object_pairs_hook=_members, parse_constant=_constant, parse_int=_integer, parse_float=_fraction
        )
        _check_text_and_depth(value, 16)
    except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
        raise RefusedError from error
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise RefusedError
    return dict(pairs)


def _constant(name: str) -> None:
    raise RefusedError(name)


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > 16 or not -(2**53) <= int(digits) <= 2**53:
        raise RefusedError
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > 32 or math.isinf(float(digits)):
        raise RefusedError
    return float(digits)


def _check_text_and_depth(value: Any, levels: int) -> None:
    if isinstance(value, str):
        value.encode()
    if isinstance(value, dict | list):
        if levels == 0:
            raise RefusedError
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_text_and_depth(inner, levels - 1)


# Tokens ---------------------------------------------------------------------------------------------------------------

REFUSED_HEADERS = {"crit", "b64", "zip", "jwk", "cty"}
TYPES_OF_JWT = {"jwt", "application/jwt"}
TYPES_OF_ACCESS_TOKENS = TYPES_OF_JWT | {"at+jwt", "application/at+jwt"}


def _demand(holds: bool) -> None:
    if not holds:
        raise RefusedError


def compact(raw: bytes | str, keyring: Keyring, max_size: int) -> Reading:
    """A token whose framing, header and signature are right."""
    _demand(len(raw) <= max_size and raw.isascii())
    parts = (raw.encode() if isinstance(raw, str) else raw).split(b".")
    _demand(len(parts) == 3 and all(parts) and len(parts[0]) <= 2048)
    header_bytes, payload, signature = map(base64url, parts)
    header = strict_json(header_bytes)
    _demand(isinstance(header, dict) and REFUSED_HEADERS.isdisjoint(header))
    _demand("typ" not in header or _is_type(header["typ"], TYPES_OF_ACCESS_TOKENS))
    kids = [kid for kid, (algorithm, _) in keyring.items() if algorithm == header.get("alg")]
    if "kid" in header:
        _demand(header["kid"] in kids)
        kids = [header["kid"]]
    _demand(len(kids) == 1)
    algorithm, material = keyring[kids[0]]
    _demand(is_true(algorithm, material, parts[0] + b"." + parts[1], signature))
    return Reading(header, payload, kids[0])


def _is_type(typ: Any, types: set[str]) -> bool:
    return isinstance(typ, str) and typ.lower() in types


def claims(reading: Reading, config: JWTConfig, kind: str) -> dict[str, Any]:
    """The claims of a token that is to be accepted as `kind`."""
    payload = strict_json(reading.payload)
    _demand(isinstance(payload, dict) and "cnf" not in payload)
    # The tokens of another party: what decides nothing refuses nothing.
    is_lenient = config.type_claim is None and config.user_claims_claim is None
    _demand(config.type_claim is not None or not _is_of_another_kind(payload))
    needed = {*config.required_claims, config.identity_claim, config.type_claim}
    needed |= {"iss"} if config.issuer else set()
    needed |= {"aud"} if config.audience else set()
    _demand(needed - {None} <= payload.keys())
    _demand(not is_lenient or all(payload[name] is not None for name in needed - {None}))
    if is_lenient and payload.get("aud") == []:
        _demand("aud" not in needed)
        payload = {name: value for name, value in payload.items() if name != "aud"}
    now, leeway = config.clock(), config._prepared.leeway_seconds
    for name in {"exp", "nbf", "iat"} & payload.keys():
        _demand(type(payload[name]) in (int, float))
    exp, nbf, iat = payload.get("exp"), payload.get("nbf"), payload.get("iat")
    _demand((exp is None or now < exp + leeway) and (nbf is None or nbf <= now + leeway))
    _demand(iat is None or iat <= now + leeway)
    _demand(
        config._prepared.max_age_seconds is None
        or (iat is not None and now < iat + config._prepared.max_age_seconds + leeway)
    )
    if config._prepared.max_lifetime_seconds is not None:
        _demand(iat is not None and exp is not None and exp - iat <= config._prepared.max_lifetime_seconds)
    strict = set(config.required_claims) & {"jti"} if is_lenient else {"sub", "jti"}
    strict |= {"sub"} if config.identity_claim == "sub" else set()
    for name in ({"iss", config.type_claim} | strict) & payload.keys():
        _demand(_is_name(payload[name]))
    _demand(payload[config.identity_claim] not in (None, ""))
    _demand(config.issuer is None or payload["iss"] == config.issuer)
    if "aud" in payload:
        names = payload["aud"] if isinstance(payload["aud"], list) else [payload["aud"]]
        _demand(bool(names) and all(map(_is_name, names)) and not config._prepared.audiences.isdisjoint(names))
    _demand(isinstance(payload.get(config.user_claims_claim, {}), dict))
    if not is_lenient:
        _demand(type(payload.get("fresh", False)) in (bool, int, float))
        roles = payload.get(config.roles_claim, [])
        _demand(all(map(_is_name, roles if isinstance(roles, list) else [roles])))
        _demand(_are_scopes(payload.get(config.scope_claim, ""), may_be_array=config.scope_claim != "scope"))
    token_type = "access" if config.type_claim is None else payload[config.type_claim]
    _demand(token_type == kind)
    _demand(kind == "access" or "typ" not in reading.header or _is_type(reading.header["typ"], TYPES_OF_JWT))
    return payload


def _is_of_another_kind(payload: dict[str, Any]) -> bool:
    words = {
        name: re.sub(r"[-_]*(token)?\Z", "", value.lower()) for name, value in payload.items() if isinstance(value, str)
    }
    decisive = {"at_hash", "c_hash", "s_hash", "events"}
    if not {"access", "bearer"}.intersection({words.get("token_use"), words.get("typ")}):
        decisive.add("nonce")
    kinds = {words.get(name) for name in ("token_use", "typ", "type", "token_type", "tokenType", "tokenName")}
    return bool(decisive & payload.keys()) or bool({"id", "refresh", "offline", "logout"} & kinds)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _are_scopes(value: Any, *, may_be_array: bool) -> bool:
    if isinstance(value, list) and may_be_array:
        scopes = value
    elif isinstance(value, str):
        scopes = value.split(" ") if value else []
    else:
        return False
    allowed = {chr(code) for code in range(0x21, 0x7F)} - {'"', "\\"}
    return all(_is_name(scope) and allowed.issuperset(scope) for scope in scopes)


# The header of a request ----------------------------------------------------------------------------------------------

_SCHEME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def bearer(values: list[bytes], max_size: int) -> bytes | None:
    """The token in the Authorization headers (RFC 6750 section 2.1); None when there are no Bearer credentials.

    A header longer than a token with its scheme can be is refused if it begins like Bearer credentials, and is not
    judged otherwise: the model is only asked about shorter ones.
    """
    if not values:
        return None
    _demand(len(values) == 1)
    scheme, space, rest = values[0].strip(b" \t").partition(b" ")
    _demand(_SCHEME.fullmatch(scheme) is not None)
    if scheme.lower() != b"bearer":
        return None
    token = rest.lstrip(b" ")
    _demand(bool(space and token) and len(token) <= max_size)
    _demand(set((string.ascii_letters + string.digits + "-._~+/").encode()).issuperset(token.rstrip(b"=")))
    _demand(not token.startswith(b"="))
    return token


def thumbprint(members: dict[str, str]) -> str:
    """RFC 7638, for the members of a public key."""
    names = {"RSA": ("e", "n"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}[members["kty"]]
    text = json.dumps({name: members[name] for name in sorted([*names, "kty"])}, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
