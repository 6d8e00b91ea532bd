"""Refuse weak key material, and work out what follows from each kind: algorithms, lengths, JWK members.

A secret is bytes, which `_secrets` checks; any other material is a key object of `cryptography`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from asgi_jwt_claims.errors import KeyConfigurationError
from asgi_jwt_claims.jose.algorithms import hash_length
from asgi_jwt_claims.jose.compact import b64url_encode

from ._moduli import why_worthless

__all__ = [
    "CURVES",
    "EDWARDS",
    "KeyMaterial",
    "algorithms_for",
    "check_strength",
    "coordinate_size",
    "public_members",
    "public_of",
    "signature_length",
]

RSAKey: TypeAlias = rsa.RSAPrivateKey | rsa.RSAPublicKey
ECKey: TypeAlias = ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey
EdwardsKey: TypeAlias = (
    ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey | ed448.Ed448PrivateKey | ed448.Ed448PublicKey
)
KeyMaterial: TypeAlias = bytes | RSAKey | ECKey | EdwardsKey
_PRIVATE = (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)

CURVES: dict[str, tuple[str, str, type[ec.EllipticCurve]]] = {
    "secp256r1": ("P-256", "ES256", ec.SECP256R1),
    "secp384r1": ("P-384", "ES384", ec.SECP384R1),
    "secp521r1": ("P-521", "ES512", ec.SECP521R1),
}
"""For each curve by its name in `cryptography`: its name in a JWK, its algorithm (RFC 7518 section 3.4), its class."""


class EdwardsCurve(NamedTuple):
    """A curve for EdDSA (RFC 8032 section 5), whose name in a JWK is also its algorithm (RFC 9864 section 2.2)."""

    name: str
    private: Any
    public: Any
    signature_length: int
    modulus: int
    low_order: frozenset[int]  # the y coordinates of the points of low order


_P25519 = 2**255 - 19
_P448 = 2**448 - 2**224 - 1
# The points of order 1, 2 and 4 of either curve have y = 1, -1 and 0. Only Curve25519 has points of order 8.
_LOW_448 = frozenset({0, 1, _P448 - 1})
_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
_LOW_25519 = frozenset({0, 1, _P25519 - 1, _ORDER_8, _P25519 - _ORDER_8})
EDWARDS = (
    EdwardsCurve("Ed25519", ed25519.Ed25519PrivateKey, ed25519.Ed25519PublicKey, 64, _P25519, _LOW_25519),
    EdwardsCurve("Ed448", ed448.Ed448PrivateKey, ed448.Ed448PublicKey, 114, _P448, _LOW_448),
)

_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 16384  # the most that OpenSSL can verify with
_MIN_RSA_EXPONENT, _MAX_RSA_EXPONENT = 3, 2**32

# CVE-2017-15361 (ROCA): a widespread library made primes of the form k * M + 65537 ** a % M, M the product of these
# primes, so that all of its moduli are powers of 65537 modulo each of them. Of other moduli, one in 2 ** 27 is.
_ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


def check_strength(key: Any, *, thorough: bool = True) -> KeyMaterial:
    """Return a key of `cryptography` that is of a supported kind and strong, or raise KeyConfigurationError.

    `thorough` says whether to look for every known weakness of an RSA modulus, which takes long.
    """
    if isinstance(key, RSAKey):
        _check_rsa(key, thorough=thorough)
        return key
    if isinstance(key, ECKey) and key.curve.name in CURVES:
        return key
    if isinstance(key, EdwardsKey):
        curve, public = _edwards(key), public_of(key).public_bytes_raw()
        # The bit above the modulus is the sign of x; encodings of y beyond the modulus mean the same points.
        y = int.from_bytes(public, "little") % (1 << (len(public) * 8 - 1)) % curve.modulus
        if y in curve.low_order:
            raise KeyConfigurationError("the public key is a point of low order, for which anyone can make signatures")
        return key
    name = key.curve.name if hasattr(key, "curve") else type(key).__name__
    raise KeyConfigurationError(
        f"a key of kind {name} is not supported; use RSA, EC on P-256, P-384 or P-521, Ed25519 or Ed448"
    )


def _check_rsa(key: RSAKey, *, thorough: bool) -> None:
    if not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        raise KeyConfigurationError(
            f"the RSA key has {key.key_size} bits and needs at least {_MIN_RSA_BITS} (RFC 7518 section 3.3), "
            f"at most {_MAX_RSA_BITS}"
        )
    numbers = public_of(key).public_numbers()
    if numbers.e % 2 == 0 or not _MIN_RSA_EXPONENT <= numbers.e <= _MAX_RSA_EXPONENT:
        raise KeyConfigurationError("the RSA public exponent must be odd and between 3 and 2**32; use 65537")
    if all(numbers.n % prime in _powers_of_65537(prime) for prime in _ROCA_PRIMES):
        raise KeyConfigurationError("the RSA key was made by a faulty generator (CVE-2017-15361); make a new one")
    problem = why_worthless(numbers.n, thorough=thorough)
    if problem is not None:
        raise KeyConfigurationError(
            f"the RSA modulus {problem}, so anyone can find the private key and forge tokens; make a new key"
        )


@functools.cache
def _powers_of_65537(modulus: int) -> frozenset[int]:
    return frozenset(pow(65537, exponent, modulus) for exponent in range(modulus))


def algorithms_for(material: KeyMaterial) -> tuple[str, ...]:
    """List the algorithms (RFC 7518 section 3.1) that a key can be bound to, the default first."""
    if isinstance(material, bytes):
        return ("HS256", "HS384", "HS512")
    if isinstance(material, RSAKey):
        return ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    if isinstance(material, ECKey):
        return (CURVES[material.curve.name][1],)
    return ("EdDSA", _edwards(material).name)


def public_of(material: KeyMaterial) -> Any:
    """Return the public half of a pair; the material itself if that has no private half."""
    return material.public_key() if isinstance(material, _PRIVATE) else material


def signature_length(material: KeyMaterial, algorithm: str) -> int:
    """Length in bytes of every signature of this key (RFC 7518 sections 3.2 to 3.5, RFC 8032 sections 5.1.6, 5.2.6)."""
    if isinstance(material, bytes):
        return hash_length(algorithm)
    if isinstance(material, RSAKey):
        return (material.key_size + 7) // 8
    if isinstance(material, ECKey):
        return 2 * coordinate_size(material.curve)
    return _edwards(material).signature_length


def public_members(material: KeyMaterial) -> dict[str, str]:
    """Return the members that identify a key, in the order of RFC 7638 section 3.2: for a secret, the secret itself."""
    if isinstance(material, bytes):
        return {"k": b64url_encode(material).decode(), "kty": "oct"}
    if isinstance(material, EdwardsKey):  # RFC 8037 section 2
        x = b64url_encode(public_of(material).public_bytes_raw()).decode()
        return {"crv": _edwards(material).name, "kty": "OKP", "x": x}
    numbers = public_of(material).public_numbers()
    if isinstance(numbers, rsa.RSAPublicNumbers):
        return {"e": _encoded(numbers.e), "kty": "RSA", "n": _encoded(numbers.n)}
    size = coordinate_size(numbers.curve)
    crv = CURVES[numbers.curve.name][0]
    return {"crv": crv, "kty": "EC", "x": _encoded(numbers.x, size), "y": _encoded(numbers.y, size)}


def coordinate_size(curve: ec.EllipticCurve) -> int:
    """Length in bytes of a coordinate (RFC 7518 section 6.2.1.2)."""
    return (curve.key_size + 7) // 8


def _edwards(key: EdwardsKey) -> EdwardsCurve:
    return next(edwards for edwards in EDWARDS if isinstance(key, (edwards.private, edwards.public)))


def _encoded(number: int, size: int | None = None) -> str:
    return b64url_encode(number.to_bytes(size or (number.bit_length() + 7) // 8, "big")).decode()
