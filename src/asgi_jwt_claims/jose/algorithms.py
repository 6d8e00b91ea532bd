"""The only file that imports python-jose. A prepared key and bytes in, a signature or a verdict out.

python-jose's key classes decide every known signature vector rightly; its token layer does not, so none of it is used:
no `jose.jwt`, no `jose.jws`, no `jose.jwk.construct`, which would let a key choose its class. `jwk.register_key`
changes the whole process and is left alone; the table below is ours.

What python-jose lacks (RSASSA-PSS, EdDSA) is added by classes of the same kind, over `cryptography`. What it does anew
for every token (the HMAC key schedule, the choice of hash and padding) is done once by classes derived from its own.

Two properties of the primitives are settled here, once per key: an RSA private key warns when it verifies and an EC one
cannot, so a signer and a verifier are built side by side.
"""

from __future__ import annotations

from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hmac import HMAC
from jose.backends.base import Key as JoseKey
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyHMACKey, CryptographyRSAKey
from jose.exceptions import JOSEError

__all__ = ["ALGORITHMS", "JOSEError", "Signer", "Verifier", "build", "hash_length"]

_HASHES: dict[str, Any] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
"""By the last three characters of an algorithm's name."""


class Signer(Protocol):
    """What signs."""

    def sign(self, msg: bytes) -> bytes:
        """The signature of a message."""
        ...


class Verifier(Protocol):
    """What verifies."""

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """Whether a signature is that of a message; never raises for any signature."""
        ...


class PreparedHMACKey(CryptographyHMACKey):
    """HMAC (RFC 7518 section 3.2) whose key schedule is computed once; each token works on a copy of it."""

    def __init__(self, key: bytes, algorithm: str) -> None:
        super().__init__(key, algorithm)
        self._keyed = HMAC(key, _HASHES[algorithm[-3:]])

    def sign(self, msg: bytes) -> bytes:
        """The tag."""
        context = self._keyed.copy()
        context.update(msg)
        return context.finalize()

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """Whether `sig` is the tag, compared in constant time."""
        context = self._keyed.copy()
        context.update(msg)
        try:
            context.verify(sig)
        except InvalidSignature:
            return False
        return True


class PreparedRSAKey(CryptographyRSAKey):
    """RSASSA-PKCS1-v1_5 (RFC 7518 section 3.3)."""

    def __init__(self, key: Any, algorithm: str) -> None:
        super().__init__(key, algorithm)
        self._key = key
        self._hash = _HASHES[algorithm[-3:]]
        self._padding = padding.PKCS1v15()

    def sign(self, msg: bytes) -> bytes:
        """The signature by a private key."""
        signature: bytes = self._key.sign(msg, self._padding, self._hash)
        return signature

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """The verdict of a public key."""
        try:
            self._key.verify(sig, msg, self._padding, self._hash)
        except InvalidSignature:
            return False
        return True


class PreparedECKey(CryptographyECKey):
    """ECDSA (RFC 7518 section 3.4): a signature is r and s, each as long as the curve's field, one after the other."""

    def __init__(self, key: Any, algorithm: str) -> None:
        super().__init__(key, algorithm)
        self._key = key
        self._ecdsa = ec.ECDSA(_HASHES[algorithm[-3:]])
        self._half = (key.curve.key_size + 7) // 8

    def sign(self, msg: bytes) -> bytes:
        """The signature by a private key."""
        r, s = decode_dss_signature(self._key.sign(msg, self._ecdsa))
        return r.to_bytes(self._half, "big") + s.to_bytes(self._half, "big")

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """The verdict of a public key."""
        r, s = int.from_bytes(sig[: self._half], "big"), int.from_bytes(sig[self._half :], "big")
        try:
            self._key.verify(encode_dss_signature(r, s), msg, self._ecdsa)
        except InvalidSignature:
            return False
        return True


class RSAPSSKey(JoseKey):
    """RSASSA-PSS (RFC 7518 section 3.5): MGF1 with the same hash, and a salt as long as the hash, no other."""

    def __init__(self, key: Any, algorithm: str) -> None:
        self._key = key
        self._hash = _HASHES[algorithm[-3:]]
        self._padding = padding.PSS(mgf=padding.MGF1(self._hash), salt_length=self._hash.digest_size)

    def sign(self, msg: bytes) -> bytes:
        """The signature by a private key."""
        signature: bytes = self._key.sign(msg, self._padding, self._hash)
        return signature

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """The verdict of a public key."""
        try:
            self._key.verify(sig, msg, self._padding, self._hash)
        except InvalidSignature:
            return False
        return True


class EdDSAKey(JoseKey):
    """EdDSA with Ed25519 or Ed448 (RFC 8037 section 3.1, RFC 9864 section 2.2): the curve is the key's."""

    def __init__(self, key: Any, algorithm: str) -> None:  # noqa: ARG002 -- the key says it all; the others need it
        self._key = key

    def sign(self, msg: bytes) -> bytes:
        """The signature by a private key."""
        signature: bytes = self._key.sign(msg)
        return signature

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """The verdict of a public key."""
        try:
            self._key.verify(sig, msg)
        except InvalidSignature:
            return False
        return True


ALGORITHMS: dict[str, Any] = {
    "HS256": PreparedHMACKey,
    "HS384": PreparedHMACKey,
    "HS512": PreparedHMACKey,
    "RS256": PreparedRSAKey,
    "RS384": PreparedRSAKey,
    "RS512": PreparedRSAKey,
    "PS256": RSAPSSKey,
    "PS384": RSAPSSKey,
    "PS512": RSAPSSKey,
    "ES256": PreparedECKey,
    "ES384": PreparedECKey,
    "ES512": PreparedECKey,
    "EdDSA": EdDSAKey,
    "Ed25519": EdDSAKey,
    "Ed448": EdDSAKey,
}
"""`alg` (RFC 7518 section 3.1, RFC 8037, RFC 9864) to the class that computes it."""


def build(material: Any, algorithm: str) -> Any:
    """A prepared key of exactly this algorithm.

    Args:
        material: A secret (bytes), or a private or public key object of `cryptography`.
        algorithm: A key of `ALGORITHMS`.
    """
    return ALGORITHMS[algorithm](material, algorithm)


def hash_length(algorithm: str) -> int:
    """Length in bytes of the digest that an algorithm named after its hash is built on."""
    length: int = _HASHES[algorithm[-3:]].digest_size
    return length
