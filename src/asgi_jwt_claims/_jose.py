"""The only file that imports python-jose. A prepared key and bytes in, a signature or a verdict out.

python-jose's key classes decide every known signature vector rightly; its token layer does not, so none of it is used:
no `jose.jwt`, no `jose.jws`, no `jose.jwk.construct`, which would let a key choose its class. `jwk.register_key`
changes the whole process and is left alone; the table below is ours.

Two properties of the primitives are settled here, once per key: an RSA private key warns when it verifies and an EC one
cannot, so a signer and a verifier are built side by side.
"""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from jose.backends import ECKey, HMACKey, RSAKey
from jose.exceptions import JOSEError

__all__ = ["ALGORITHMS", "JOSEError", "Signer", "Verifier", "build", "hash_length"]

ALGORITHMS: dict[str, Any] = {
    "HS256": HMACKey,
    "HS384": HMACKey,
    "HS512": HMACKey,
    "RS256": RSAKey,
    "RS384": RSAKey,
    "RS512": RSAKey,
    "ES256": ECKey,
    "ES384": ECKey,
    "ES512": ECKey,
}
"""`alg` (RFC 7518 section 3.1) to the python-jose class that computes it."""


class Signer(Protocol):
    """What signs: `sign(message) -> signature`."""

    def sign(self, msg: bytes) -> bytes: ...


class Verifier(Protocol):
    """What verifies: `verify(message, signature) -> bool`; never raises for any signature."""

    def verify(self, msg: bytes, sig: bytes) -> bool: ...


def build(material: Any, algorithm: str) -> Any:
    """A python-jose key of exactly this algorithm.

    Args:
        material: A secret (bytes), or a private or public key object of `cryptography`.
        algorithm: A key of `ALGORITHMS`.
    """
    return ALGORITHMS[algorithm](material, algorithm)


def hash_length(algorithm: str) -> int:
    """Length in bytes of the digest that `algorithm` is built on."""
    return hashlib.new(f"sha{algorithm[-3:]}").digest_size
