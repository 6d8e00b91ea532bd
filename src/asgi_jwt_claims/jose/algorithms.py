"""Sign and verify bytes with a key of one algorithm. The only file that imports python-jose.

python-jose's key classes decide every known signature vector rightly. Its token layer does not, so none of it is used:
no `jose.jwt`, no `jose.jws`, no `jose.jwk.construct`, which would let a key choose its class. `jwk.register_key`
changes the whole process and is left alone; the table below is ours.

RSASSA-PKCS1-v1_5 is signed and verified, and ECDSA verified, by python-jose's own functions; hooks spare them what they
would find out for each token. ECDSA signing and HMAC are our own, for speed. RSASSA-PSS and EdDSA, which python-jose
lacks, are classes over its base class. All of them compute with `cryptography`.

A private RSA key warns when it verifies, and a private EC key cannot, so `keys` builds a signer and a verifier.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hmac import HMAC
from jose.backends.base import Key as JoseKey
from jose.backends.cryptography_backend import CryptographyECKey, CryptographyHMACKey, CryptographyRSAKey
from jose.exceptions import JOSEError

__all__ = ["ALGORITHMS", "JOSEError", "JoseKey", "build", "hash_length"]

_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
"""By the last three characters of an algorithm's name."""


class PreparedHMACKey(CryptographyHMACKey):
    """HMAC (RFC 7518 section 3.2). The key schedule is computed once; each token works on a copy of it."""

    def __init__(self, key: bytes, algorithm: str) -> None:
        super().__init__(key, algorithm)
        self._keyed = HMAC(key, _HASHES[algorithm[-3:]])

    def sign(self, msg: bytes) -> bytes:
        """Compute the tag."""
        context = self._keyed.copy()
        context.update(msg)
        return context.finalize()

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """Whether `sig` is the tag; compared in constant time."""
        context = self._keyed.copy()
        context.update(msg)
        try:
            context.verify(sig)
        except InvalidSignature:
            return False
        return True


class PreparedRSAKey(CryptographyRSAKey):
    """RSASSA-PKCS1-v1_5 (RFC 7518 section 3.3). `sign` and `verify` are python-jose's."""

    def __init__(self, key: Any, algorithm: str) -> None:
        super().__init__(key, algorithm)
        self._is_public = hasattr(key, "public_bytes")

    def is_public(self) -> bool:
        """Whether the key is public. `verify` asks for every token, so this is found out once."""
        return self._is_public


class PreparedECKey(CryptographyECKey):
    """ECDSA (RFC 7518 section 3.4): r and s, each as long as the curve's field. `verify` is python-jose's."""

    def __init__(self, key: Any, algorithm: str) -> None:
        super().__init__(key, algorithm)
        self._ecdsa = ec.ECDSA(_HASHES[algorithm[-3:]])
        self._length: int = (key.curve.key_size + 7) // 8

    def _sig_component_length(self) -> int:
        return self._length

    def sign(self, msg: bytes) -> bytes:
        """Sign with a private key. python-jose prepares ECDSA anew for each token, which takes a tenth longer."""
        r, s = decode_dss_signature(self.prepared_key.sign(msg, self._ecdsa))
        return r.to_bytes(self._length, "big") + s.to_bytes(self._length, "big")


class EdDSAKey(JoseKey):
    """EdDSA with Ed25519 or Ed448 (RFC 8037 section 3.1, RFC 9864 section 2.2): the key decides which curve."""

    _parameters: tuple[Any, ...] = ()

    def __init__(self, key: Any, algorithm: str) -> None:  # noqa: ARG002 -- the key alone decides; the others need it
        self._key = key

    def sign(self, msg: bytes) -> bytes:
        """Sign with a private key."""
        signature: bytes = self._key.sign(msg, *self._parameters)
        return signature

    def verify(self, msg: bytes, sig: bytes) -> bool:
        """Verify with a public key."""
        try:
            self._key.verify(sig, msg, *self._parameters)
        except InvalidSignature:
            return False
        return True


class RSAPSSKey(EdDSAKey):
    """RSASSA-PSS (RFC 7518 section 3.5): MGF1 with the same hash, and a salt exactly as long as the hash."""

    def __init__(self, key: Any, algorithm: str) -> None:
        super().__init__(key, algorithm)
        used = _HASHES[algorithm[-3:]]
        self._parameters = (padding.PSS(mgf=padding.MGF1(used), salt_length=used.digest_size), used)


ALGORITHMS: dict[str, type[JoseKey]] = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), PreparedHMACKey),
    **dict.fromkeys(("RS256", "RS384", "RS512"), PreparedRSAKey),
    **dict.fromkeys(("PS256", "PS384", "PS512"), RSAPSSKey),
    **dict.fromkeys(("ES256", "ES384", "ES512"), PreparedECKey),
    **dict.fromkeys(("EdDSA", "Ed25519", "Ed448"), EdDSAKey),
}
"""The class for each `alg` (RFC 7518 section 3.1, RFC 8037, RFC 9864)."""


def build(material: Any, algorithm: str) -> JoseKey:
    """Prepare a secret (bytes) or a key object of `cryptography` for exactly one algorithm of `ALGORITHMS`.

    Raises:
        JOSEError: The material does not fit the algorithm.
    """
    return ALGORITHMS[algorithm](material, algorithm)


def hash_length(algorithm: str) -> int:
    """Length in bytes of the hash that an algorithm is named after."""
    return _HASHES[algorithm[-3:]].digest_size
