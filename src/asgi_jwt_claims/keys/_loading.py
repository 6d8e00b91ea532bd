"""Load keys from PEM and JWK. All but secrets have then passed `check_strength`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from asgi_jwt_claims.errors import KeyConfigurationError, MalformedTokenError
from asgi_jwt_claims.jose.compact import b64url_decode

from ._material import CURVES, EDWARDS, KeyMaterial, check_strength, coordinate_size, public_members

__all__ = ["PRIVATE_MEMBERS", "from_jwk_members", "from_pem"]

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of a JWK that no public key has (RFC 7518 sections 6.2.2, 6.3.2 and 6.4)."""

_SSH = re.compile(rb"BEGIN (?:OPENSSH|SSH2) |^\s*(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ +AAAA|PuTTY-User-Key-File")

# One word that begins like an absolute or relative path, or ends like the name of a file. DER in base64 begins with M.
_PATH = re.compile(rb"\s*(?:(?:\.{0,2}/|~|[A-Za-z]:[\\/])[^\r\n]{0,1024}|[^\r\n=+]{1,1024}\.[A-Za-z0-9]{2,4})\s*")

_CURVE_BY_NAME = {name: curve for name, _, curve in CURVES.values()}
_EDWARDS_BY_NAME = {edwards.name: edwards for edwards in EDWARDS}


def from_pem(pem: bytes, password: bytes | None) -> KeyMaterial:
    """Load a private key, a public key or a certificate from PEM text, or raise KeyConfigurationError."""
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
        raise KeyConfigurationError(_why_not_read(pem)) from None
    return check_strength(key)


def _why_not_read(pem: bytes) -> str:
    """Name the commonest mistakes, each with its remedy."""
    if _SSH.search(pem):
        return (
            "the key is in a format of SSH, not PEM: ssh-keygen -p -m PKCS8 -f A_COPY converts a private RSA or EC key, "
            "ssh-keygen -e -m PKCS8 -f KEY.pub a public one; make an Ed25519 key with: openssl genpkey -algorithm ed25519"
        )
    if b"-----BEGIN " in pem and b"\n" not in pem.strip():
        return (
            "the PEM text is a single line: its line breaks were lost, or are written as \\n; put the value between "
            'double quotes in the .env file, or restore them: text.replace("\\\\n", "\\n")'
        )
    if _PATH.fullmatch(pem):
        return "this is not PEM but looks like the name of a file; pass the text of the file: Path(...).read_text()"
    if b"ENCRYPTED" in pem:
        return "the password does not open the encrypted PEM key; if it is the right one, the text is damaged"
    return (
        "the key is not PEM that can be read; it begins with -----BEGIN PUBLIC KEY-----, "
        "-----BEGIN PRIVATE KEY----- or -----BEGIN CERTIFICATE-----; for a file, pass its text: Path(...).read_text()"
    )


def from_jwk_members(jwk: Mapping[str, Any], *, thorough: bool = True) -> KeyMaterial:
    """Load the material of a JWK (RFC 7517, RFC 7518 section 6), or raise KeyConfigurationError.

    `thorough` is that of `check_strength`. The length of a secret is checked elsewhere.
    """
    kty = jwk.get("kty")
    if kty == "oct":
        return _octets(jwk, "k")
    load = {"RSA": _rsa_from_jwk, "EC": _ec_from_jwk, "OKP": _okp_from_jwk}.get(str(kty))
    if load is None:
        raise KeyConfigurationError(f"the JWK has kty {kty!r}; supported are 'oct', 'RSA', 'EC' and 'OKP'")
    try:
        return check_strength(load(jwk), thorough=thorough)
    except KeyConfigurationError:
        raise
    except UnsupportedAlgorithm:
        raise KeyConfigurationError(f"the {kty} JWK is of a kind that this build of OpenSSL does not support") from None
    except (ValueError, OverflowError):
        raise KeyConfigurationError(f"the {kty} JWK is not a consistent key") from None


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


def _rsa_from_jwk(jwk: Mapping[str, Any]) -> KeyMaterial:
    public = rsa.RSAPublicNumbers(_integer(jwk, "e"), _integer(jwk, "n"))
    if "d" not in jwk:
        return public.public_key()
    d = _integer(jwk, "d")
    factors = ("p", "q", "dp", "dq", "qi")
    if any(name in jwk for name in factors):  # RFC 7518 section 6.3.2: then all of them
        p, q, dp, dq, qi = (_integer(jwk, name) for name in factors)
    else:
        # Only numbers that undo each other lead to the primes. With others, old versions of cryptography may never end.
        if d * public.e <= 1 or pow(pow(2, public.e, public.n), d, public.n) != 2 % public.n:
            raise ValueError("'n', 'e' and 'd' do not belong to one key")
        p, q = rsa.rsa_recover_prime_factors(public.n, public.e, d)
        dp, dq, qi = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key()


def _ec_from_jwk(jwk: Mapping[str, Any]) -> KeyMaterial:
    curve = _CURVE_BY_NAME.get(str(jwk.get("crv")))
    if curve is None:
        raise KeyConfigurationError(f"the JWK has crv {jwk.get('crv')!r}; supported are {', '.join(_CURVE_BY_NAME)}")
    size = coordinate_size(curve())
    # RFC 7518 section 6.2.1.2: a coordinate has the full length of the curve's field.
    if any(len(_octets(jwk, name)) != size for name in ("x", "y")):
        raise KeyConfigurationError(f"the EC JWK members 'x' and 'y' must have {size} bytes each")
    public = ec.EllipticCurvePublicNumbers(_integer(jwk, "x"), _integer(jwk, "y"), curve())
    if "d" not in jwk:
        return public.public_key()
    return ec.EllipticCurvePrivateNumbers(_integer(jwk, "d"), public).private_key()


def _okp_from_jwk(jwk: Mapping[str, Any]) -> KeyMaterial:
    """Load an Edwards curve key (RFC 8037 section 2)."""
    edwards = _EDWARDS_BY_NAME.get(str(jwk.get("crv")))
    if edwards is None:
        raise KeyConfigurationError(f"the JWK has crv {jwk.get('crv')!r}; supported are {', '.join(_EDWARDS_BY_NAME)}")
    public: KeyMaterial = edwards.public.from_public_bytes(_octets(jwk, "x"))
    if "d" not in jwk:
        return public
    private: KeyMaterial = edwards.private.from_private_bytes(_octets(jwk, "d"))
    if public_members(private) != public_members(public):
        raise KeyConfigurationError("the OKP JWK members 'd' and 'x' do not belong to one key")
    return private
