"""Key material, judged once when it is loaded: what may be a secret, what may be an RSA or EC key, and why not.

Text and bytes in; a secret (bytes) or a key object of `cryptography` out, or `KeyConfigurationError` with the reason.
Everything that could make a signature worthless is refused here, so that nothing about keys is left to ask per token.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import logging
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ._compact import b64url_decode, b64url_encode
from ._jose import hash_length
from .errors import KeyConfigurationError, MalformedTokenError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Material",
    "algorithms_for",
    "check_secret",
    "from_jwk_members",
    "from_pem",
    "is_private",
    "public_members",
    "public_of",
    "signature_length",
]

Material: TypeAlias = (
    bytes | rsa.RSAPrivateKey | rsa.RSAPublicKey | ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey
)

_log = logging.getLogger("asgi_jwt_claims")

_MIN_RSA_BITS = 2048
_MIN_RSA_EXPONENT = 3
_MAX_RSA_EXPONENT = 2**32
_CURVES: dict[str, tuple[str, str, type[ec.EllipticCurve]]] = {
    "secp256r1": ("P-256", "ES256", ec.SECP256R1),
    "secp384r1": ("P-384", "ES384", ec.SECP384R1),
    "secp521r1": ("P-521", "ES512", ec.SECP521R1),
}
_CURVE_BY_NAME = {name: curve for name, _, curve in _CURVES.values()}
_COMMAND_FOR_A_KEY = 'python -c "import secrets; print(secrets.token_urlsafe(64))"'
_ARMOUR = re.compile(rb"-{4,5} ?BEGIN |PuTTY-User-Key-File")
_SSH_KEY = re.compile(rb"(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ +AAAA")
_WORDS_ONLY = re.compile(rb"[a-z _.,!-]+|[A-Z _.,!-]+")
_DER_SEQUENCE = 0x30


# Secrets --------------------------------------------------------------------------------------------------------------


def check_secret(secret: bytes, algorithm: str) -> bytes:
    """A secret fit for HMAC (RFC 7518 section 3.2: at least as long as the hash; RFC 8725 section 3.5).

    Logs a warning for a secret that looks guessable; length alone does not make it strong.

    Raises:
        KeyConfigurationError: Too short, or really an asymmetric key that somebody may know the public half of.
    """
    kind = _asymmetric_kind(secret)
    if kind is not None:
        raise KeyConfigurationError(
            f"the secret for {algorithm} is {kind}: a public key would then verify what anybody can sign; "
            "load it with Key.from_pem or Key.from_jwk instead"
        )
    needed = hash_length(algorithm)
    if len(secret) < needed:
        raise KeyConfigurationError(
            f"the secret for {algorithm} has {len(secret)} bytes and needs at least {needed} (RFC 7518 section 3.2); "
            f"make one with: {_COMMAND_FOR_A_KEY}"
        )
    if secret in (secret + secret)[1:-1] or _WORDS_ONLY.fullmatch(secret):
        _log.warning("the secret for %s looks guessable; make one with: %s", algorithm, _COMMAND_FOR_A_KEY)
    return secret


def _asymmetric_kind(secret: bytes) -> str | None:
    text = secret.replace(b"\x00", b"").strip()  # UTF-16 text has a zero byte beside every ASCII one
    if _ARMOUR.search(text):
        return "a PEM or otherwise armoured key"
    if _SSH_KEY.search(text):
        return "an SSH key"
    if _is_jwk_text(text):
        return "a JSON Web Key"
    if any(map(_is_der, _binary_forms(secret))):
        return "a DER key or certificate, as it is or as base64 or hexadecimal text"
    return None


def _is_jwk_text(text: bytes) -> bool:
    start = text.find(b"{")
    if start < 0 or b'"k' not in text:
        return False
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return not {"kty", "keys"}.isdisjoint(value)


def _binary_forms(secret: bytes) -> Iterator[bytes]:
    """The bytes that `secret` may stand for: itself, without white space around it, and decoded in the usual ways."""
    yield secret
    yield secret.strip()
    compact = b"".join(secret.split())
    with contextlib.suppress(UnicodeError):  # bytes that somebody has read as Latin-1 text
        yield secret.decode("utf-8").encode("latin-1")
    with contextlib.suppress(binascii.Error):
        standard = compact.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        yield base64.b64decode(standard + b"=" * (-len(standard) % 4), validate=True)
    with contextlib.suppress(ValueError):
        yield binascii.unhexlify(compact)


def _is_der(data: bytes) -> bool:
    if not data or data[0] != _DER_SEQUENCE:
        return False
    loaders = (
        serialization.load_der_public_key,
        lambda der: serialization.load_der_private_key(der, password=None),
        x509.load_der_x509_certificate,
    )
    for load in loaders:
        try:
            load(data)
        except (TypeError, UnsupportedAlgorithm):
            return True  # an encrypted key, or one of a kind that is not supported here: asymmetric all the same
        except ValueError:
            continue
        return True
    return False


# Asymmetric keys ------------------------------------------------------------------------------------------------------


def from_pem(pem: bytes, password: bytes | None) -> Material:
    """A private key, public key or certificate from PEM text, checked.

    Raises:
        KeyConfigurationError: Not PEM, a wrong password, or a key that policy refuses.
    """
    try:
        if b"PRIVATE KEY-----" in pem:
            key: Any = serialization.load_pem_private_key(pem, password=password)
        elif b"-----BEGIN CERTIFICATE-----" in pem:
            key = x509.load_pem_x509_certificate(pem).public_key()
        else:
            key = serialization.load_pem_public_key(pem)
    except TypeError:
        raise KeyConfigurationError(
            "the PEM key and the password do not go together: an encrypted key needs password=..., any other none"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyConfigurationError(
            "the key is not PEM that can be read; it begins with -----BEGIN PUBLIC KEY-----, "
            "-----BEGIN PRIVATE KEY----- or -----BEGIN CERTIFICATE-----"
        ) from None
    return _checked(key)


def from_jwk_members(jwk: Mapping[str, Any]) -> Material:
    """The material of a JWK (RFC 7517, RFC 7518 section 6), checked but for a secret's length.

    Raises:
        KeyConfigurationError: An unsupported `kty` or curve, a missing or malformed member, or a key policy refuses.
    """
    kty = jwk.get("kty")
    try:
        if kty == "oct":
            return _octets(jwk, "k")
        if kty == "RSA":
            return _checked(_rsa_from_jwk(jwk))
        if kty == "EC":
            return _checked(_ec_from_jwk(jwk))
    except ValueError as error:
        if isinstance(error, KeyConfigurationError):
            raise
        raise KeyConfigurationError(f"the {kty} JWK is not a consistent key") from None
    raise KeyConfigurationError(f"the JWK has kty {kty!r}; supported are 'oct', 'RSA' and 'EC'")


def _octets(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value:
        raise KeyConfigurationError(f"the JWK member {name!r} is missing or not a string")
    try:
        return b64url_decode(value.encode("ascii"))
    except (MalformedTokenError, UnicodeEncodeError):
        raise KeyConfigurationError(f"the JWK member {name!r} is not base64url") from None


def _integer(jwk: Mapping[str, Any], name: str) -> int:
    return int.from_bytes(_octets(jwk, name), "big")


def _rsa_from_jwk(jwk: Mapping[str, Any]) -> Material:
    public = rsa.RSAPublicNumbers(_integer(jwk, "e"), _integer(jwk, "n"))
    if "d" not in jwk:
        return public.public_key()
    d = _integer(jwk, "d")
    factors = ("p", "q", "dp", "dq", "qi")
    if any(name in jwk for name in factors):  # RFC 7518 section 6.3.2: then all of them
        p, q, dp, dq, qi = (_integer(jwk, name) for name in factors)
    else:
        p, q = rsa.rsa_recover_prime_factors(public.n, public.e, d)
        dp, dq, qi = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key()


def _ec_from_jwk(jwk: Mapping[str, Any]) -> Material:
    curve = _CURVE_BY_NAME.get(str(jwk.get("crv")))
    if curve is None:
        raise KeyConfigurationError(f"the JWK has crv {jwk.get('crv')!r}; supported are {', '.join(_CURVE_BY_NAME)}")
    size = _coordinate_size(curve())
    # RFC 7518 section 6.2.1.2: a coordinate has the full length of the curve's field.
    if any(len(_octets(jwk, name)) != size for name in ("x", "y")):
        raise KeyConfigurationError(f"the EC JWK members 'x' and 'y' must have {size} bytes each")
    public = ec.EllipticCurvePublicNumbers(_integer(jwk, "x"), _integer(jwk, "y"), curve())
    if "d" not in jwk:
        return public.public_key()
    return ec.EllipticCurvePrivateNumbers(_integer(jwk, "d"), public).private_key()


def _checked(key: Any) -> Material:
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        if key.key_size < _MIN_RSA_BITS:
            raise KeyConfigurationError(
                f"the RSA key has {key.key_size} bits and needs at least {_MIN_RSA_BITS} (RFC 7518 section 3.3)"
            )
        exponent = _public_numbers(key).e
        if exponent % 2 == 0 or not _MIN_RSA_EXPONENT <= exponent <= _MAX_RSA_EXPONENT:
            raise KeyConfigurationError("the RSA public exponent must be odd and between 3 and 2**32; use 65537")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return key
    name = key.curve.name if hasattr(key, "curve") else type(key).__name__
    raise KeyConfigurationError(f"a key of kind {name} is not supported; use RSA or EC on P-256, P-384 or P-521")


# What follows from the material ---------------------------------------------------------------------------------------


def algorithms_for(material: Material) -> tuple[str, ...]:
    """The algorithms (RFC 7518 section 3.1) a key can be bound to; the first is the one unless named."""
    if isinstance(material, bytes):
        return ("HS256", "HS384", "HS512")
    if isinstance(material, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return ("RS256", "RS384", "RS512")
    return (_CURVES[material.curve.name][1],)


def is_private(material: Material) -> bool:
    """Whether the material is the private half of a pair."""
    return isinstance(material, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)


def public_of(material: Material) -> Material:
    """The public half of a pair; the material itself where there is no private half."""
    if isinstance(material, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return material.public_key()
    return material


def signature_length(material: Material, algorithm: str) -> int:
    """Length in bytes of every signature of this key (RFC 7518 sections 3.2, 3.3 and 3.4)."""
    if isinstance(material, bytes):
        return hash_length(algorithm)
    if isinstance(material, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return (material.key_size + 7) // 8
    return 2 * _coordinate_size(material.curve)


def public_members(material: Material) -> dict[str, str]:
    """The members that identify a key, in the order of RFC 7638 section 3.2. For a secret, that is the secret."""
    if isinstance(material, bytes):
        return {"k": b64url_encode(material).decode(), "kty": "oct"}
    numbers = _public_numbers(material)
    if isinstance(numbers, rsa.RSAPublicNumbers):
        return {"e": _encoded(numbers.e), "kty": "RSA", "n": _encoded(numbers.n)}
    size = _coordinate_size(numbers.curve)
    crv = _CURVES[numbers.curve.name][0]
    return {"crv": crv, "kty": "EC", "x": _encoded(numbers.x, size), "y": _encoded(numbers.y, size)}


def _public_numbers(material: Material) -> Any:
    public: Any = public_of(material)
    return public.public_numbers()


def _coordinate_size(curve: ec.EllipticCurve) -> int:
    return (curve.key_size + 7) // 8


def _encoded(number: int, size: int | None = None) -> str:
    return b64url_encode(number.to_bytes(size or (number.bit_length() + 7) // 8, "big")).decode()
