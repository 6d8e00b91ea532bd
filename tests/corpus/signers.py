"""Signatures of every kind, good and bad, by the standard library and `cryptography` alone."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, utils

__all__ = [
    "P256_ORDER",
    "Signer",
    "ecdsa",
    "eddsa",
    "hmac_sha",
    "pem",
    "raw_ecdsa",
    "rsa_encoded",
    "rsa_pkcs1",
    "rsa_pss",
    "spki",
]

Signer: TypeAlias = Callable[[bytes], bytes]

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""The order n of the group of P-256 (FIPS 186-4, D.1.2.3)."""


def hmac_sha(secret: str | bytes, name: str = "sha256") -> Signer:
    """HMAC with any secret and any hash."""
    key = secret.encode() if isinstance(secret, str) else secret
    return lambda message: hmac.digest(key, message, name)


def rsa_pkcs1(key: rsa.RSAPrivateKey, digest: hashes.HashAlgorithm | None = None) -> Signer:
    """RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2)."""
    return lambda message: key.sign(message, padding.PKCS1v15(), digest or hashes.SHA256())


def rsa_pss(
    key: rsa.RSAPrivateKey,
    digest: hashes.HashAlgorithm | None = None,
    *,
    salt: int = 32,
    mask: hashes.HashAlgorithm | None = None,
) -> Signer:
    """RSASSA-PSS (RFC 8017 section 8.1); RFC 7518 section 3.5 wants one hash throughout and a salt of its length."""
    digest = digest or hashes.SHA256()
    return lambda message: key.sign(message, padding.PSS(padding.MGF1(mask or digest), salt), digest)


# The DER that precedes a SHA-256 digest in a PKCS#1 v1.5 signature (RFC 8017 section 9.2, note 1).
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def rsa_encoded(key: rsa.RSAPrivateKey, layout: Callable[[bytes, bytes, int], bytes]) -> Signer:
    """A textbook RSA signature of whatever `layout` makes of the DigestInfo, the digest and the length of the key."""
    numbers = key.private_numbers()
    length = key.key_size // 8

    def sign(message: bytes) -> bytes:
        encoded = layout(_SHA256_INFO, hashlib.sha256(message).digest(), length)
        # By the Chinese remainder theorem (RFC 8017 section 5.1.2), which takes a quarter of the time.
        number = int.from_bytes(encoded, "big")
        by_p, by_q = pow(number, numbers.dmp1, numbers.p), pow(number, numbers.dmq1, numbers.q)
        return (by_q + numbers.q * ((by_p - by_q) * numbers.iqmp % numbers.p)).to_bytes(length, "big")

    return sign


def raw_ecdsa(key: ec.EllipticCurvePrivateKey, message: bytes, digest: hashes.HashAlgorithm) -> tuple[int, int]:
    """The numbers r and s."""
    return utils.decode_dss_signature(key.sign(message, ec.ECDSA(digest)))


def ecdsa(
    key: ec.EllipticCurvePrivateKey,
    digest: hashes.HashAlgorithm | None = None,
    change: Callable[[int, int], tuple[int, int]] = lambda r, s: (r, s),
) -> Signer:
    """ECDSA as r and s side by side (RFC 7518 section 3.4), after `change` has had its way with them."""
    size = (key.curve.key_size + 7) // 8

    def sign(message: bytes) -> bytes:
        r, s = change(*raw_ecdsa(key, message, digest or hashes.SHA256()))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    return sign


def eddsa(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) -> Signer:
    """Ed25519 or Ed448, pure (RFC 8037 section 3.1)."""
    return key.sign


def spki(key: Any) -> bytes:
    """The public half as DER."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    data: bytes = key.public_key().public_bytes(serialization.Encoding.DER, form)
    return data


def pem(key: Any) -> bytes:
    """The public half as PEM text."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    data: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return data
