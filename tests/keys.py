"""Keys for tests. Those for RSA take long to make, so that algorithms share them."""

from __future__ import annotations

import functools

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from asgi_jwt_claims import Key

__all__ = ["make_key", "make_public_key", "rsa_key"]


@functools.cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """One of the RSA keys of this process."""
    return rsa.generate_private_key(65537, 2048)


def make_key(algorithm: str, kid: str | None = None, number: int = 0) -> Key:
    """A key for an algorithm; for RSA the one with this number."""
    if algorithm[:2] not in ("RS", "PS"):
        return Key.generate(algorithm, kid=kid)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Key.from_pem(rsa_key(number).private_bytes(*form), algorithm, kid=kid)


def make_public_key(algorithm: str, kid: str | None = None, number: int = 0) -> Key:
    """The public half of such a key; for RSA loaded by itself, since loading private keys takes long too."""
    if algorithm[:2] not in ("RS", "PS"):
        return Key.generate(algorithm, kid=kid).public()
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return Key.from_pem(rsa_key(number).public_key().public_bytes(*form), algorithm, kid=kid)
