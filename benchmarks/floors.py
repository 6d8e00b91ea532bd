"""Do the bare work of a token, without any check: the floors of the comparisons.

To verify: the primitive with its key and parameters built in advance, lax base64, `json.loads` of the header and the
claims. To mint: a new identifier, the time, `json.dumps`, base64 and the primitive; the header is encoded in advance, and
the padding stays. No code can do less and still read, or make, a signed token.
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
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from jose.backends import ECKey, HMACKey, RSAKey

from .material import HALF, signing

if TYPE_CHECKING:
    from .material import Material

JOSE_KEYS: Final[dict[str, Any]] = {"HS256": HMACKey, "RS256": RSAKey, "ES256": ECKey}
"""The key classes of python-jose; it has none for EdDSA."""


def verifying(material: Material) -> Callable[[bytes, bytes], object]:
    """Return a function that checks a signature over a signing input, and returns a bool or raises an exception."""
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
        r, s = int.from_bytes(signature[:HALF], "big"), int.from_bytes(signature[HALF:], "big")
        return key.verify(encode_dss_signature(r, s), signing_input, curve)

    return verify


def verify_floor(material: Material) -> Callable[[bytes], object]:
    """Return a function that reads the header and the claims of a token and checks its signature."""
    verify, decode, loads = verifying(material), base64.urlsafe_b64decode, json.loads

    def floor(raw: bytes) -> object:
        signing_input, _, signature = raw.rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        verdict = verify(decode(signature + b"=="), signing_input)
        return verdict, loads(decode(header + b"==")), loads(decode(payload + b"=="))

    return floor


def jose_floor(material: Material) -> Callable[[bytes], object] | None:
    """Return the same with a prepared key of python-jose, on which this library is built; None for EdDSA."""
    if material.algorithm not in JOSE_KEYS:
        return None
    key = JOSE_KEYS[material.algorithm](material.public_pem, material.algorithm)
    decode, loads = base64.urlsafe_b64decode, json.loads

    def floor(raw: bytes) -> object:
        signing_input, _, signature = raw.rpartition(b".")
        header, _, payload = signing_input.partition(b".")
        verdict = key.verify(signing_input, decode(signature + b"=="))
        return verdict, loads(decode(header + b"==")), loads(decode(payload + b"=="))

    return floor


def mint_floor(material: Material, claims: dict[str, Any], lifetime: int) -> Callable[[object], bytes]:
    """Return a function that puts a new identifier and the time into ready claims, encodes and signs them."""
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
