"""The floors: the bare work of a token, and no check of anything.

To verify: the primitive with its key and parameters built ahead, base64 as lax as it comes, `json.loads` of the header
and of the claims. To mint: a new identifier, the time, `json.dumps`, base64 and the primitive; the header is encoded
ahead, and not even the padding is taken off. Nobody can do less and still have read, or made, a signed token.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from jose.backends import ECKey, HMACKey, RSAKey

if TYPE_CHECKING:
    from .material import Material

HOUSE_KEYS: Final = {"HS256": HMACKey, "RS256": RSAKey, "ES256": ECKey}
"""The key classes of python-jose; it has none for EdDSA."""

# Bytes of each half of an ES256 signature.
_HALF = 32


def signing(material: Material) -> Callable[[bytes], bytes]:
    """Signing input to signature, with all that can be built ahead built ahead."""
    key = material.private
    if material.algorithm == "HS256":
        return lambda signing_input: hmac.digest(key, signing_input, "sha256")
    if material.algorithm == "RS256":
        scheme, digest = padding.PKCS1v15(), SHA256()
        return lambda signing_input: key.sign(signing_input, scheme, digest)
    if material.algorithm == "ES256":
        return _signing_es256(key)
    return key.sign  # type: ignore[no-any-return]  # Ed25519 has no parameters


def _signing_es256(key: Any) -> Callable[[bytes], bytes]:
    curve = ec.ECDSA(SHA256())

    def sign(signing_input: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(signing_input, curve))
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")

    return sign


def verifying(material: Material) -> Callable[[bytes, bytes], object]:
    """Signature and signing input to a verdict: a bool, or an exception."""
    key = material.public
    if material.algorithm == "HS256":
        return lambda signature, signing_input: hmac.compare_digest(
            hmac.digest(key, signing_input, "sha256"), signature
        )
    if material.algorithm == "RS256":
        scheme, digest = padding.PKCS1v15(), SHA256()
        return lambda signature, signing_input: key.verify(signature, signing_input, scheme, digest)
    if material.algorithm == "ES256":
        return _verifying_es256(key)
    return key.verify  # type: ignore[no-any-return]  # Ed25519 has no parameters


def _verifying_es256(key: Any) -> Callable[[bytes, bytes], object]:
    curve = ec.ECDSA(SHA256())

    def verify(signature: bytes, signing_input: bytes) -> object:
        r, s = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
        return key.verify(encode_dss_signature(r, s), signing_input, curve)

    return verify


def verify_floor(material: Material) -> Callable[[bytes], object]:
    """Token to header, claims and verdict."""
    verify, decode, loads = verifying(material), base64.urlsafe_b64decode, json.loads

    def floor(raw: bytes) -> object:
        signing_input, _, signature = raw.rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        verdict = verify(decode(signature + b"=="), signing_input)
        return verdict, loads(decode(header + b"==")), loads(decode(payload + b"=="))

    return floor


def house_floor(material: Material) -> Callable[[bytes], object] | None:
    """The same over the prepared key of python-jose, the primitive that this library stands on; None for EdDSA."""
    if material.algorithm not in HOUSE_KEYS:
        return None
    key = HOUSE_KEYS[material.algorithm](material.public_pem, material.algorithm)
    decode, loads = base64.urlsafe_b64decode, json.loads

    def floor(raw: bytes) -> object:
        signing_input, _, signature = raw.rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        verdict = key.verify(signing_input, decode(signature + b"=="))
        return verdict, loads(decode(header + b"==")), loads(decode(payload + b"=="))

    return floor


def mint_floor(material: Material, claims: dict[str, Any], lifetime: int) -> Callable[[object], bytes]:
    """A new identifier and the time in ready claims, encoded and signed."""
    sign, encode, dumps = signing(material), base64.urlsafe_b64encode, json.dumps
    beginning = encode(dumps(material.header).encode()) + b"."
    claims = dict(claims)

    def floor(_: object) -> bytes:
        now = int(time.time())
        claims["iat"] = claims["nbf"] = now
        claims["exp"] = now + lifetime
        claims["jti"] = str(uuid.uuid4())
        signing_input = beginning + encode(dumps(claims).encode())
        return signing_input + b"." + encode(sign(signing_input))

    return floor
