"""Load keys from PEM and JWK. All but secrets have then passed `check_strength`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from asgi_jwt_claims.errors import KeyConfigurationError, MalformedTokenError
from asgi_jwt_claims.jose.compact import b64url_decode, b64url_encode

from ._material import CURVES, EDWARDS, KeyMaterial, check_strength, coordinate_size, public_members

__all__ = ["PRIVATE_MEMBERS", "from_jwk_members", "from_pem", "thumbprints_of_jwk", "thumbprints_of_pem"]

PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of a JWK that no public key has (RFC 7518 sections 6.2.2, 6.3.2 and 6.4)."""

_KEY_MEMBERS = frozenset({"n", "e", "x", "y", "d"})

_SSH = re.compile(rb"BEGIN (?:OPENSSH|SSH2) |^\s*(?:ssh|ecdsa|sk)-[a-z0-9@.-]+ +AAAA|PuTTY-User-Key-File")

# One word that begins like an absolute or relative path, or ends like the name of a file. DER in base64 begins with M.
_PATH = re.compile(rb"\s*(?:(?:\.{0,2}/|~|[A-Za-z]:[\\/])[^\r\n]{0,1024}|[^\r\n=+]{1,1024}\.[A-Za-z0-9]{2,4})\s*")

_CURVE_BY_NAME = {name: curve for name, _, curve in CURVES.values()}
_EDWARDS_BY_NAME = {edwards.name: edwards for edwards in EDWARDS}


def from_pem(pem: bytes, password: bytes | None, *, thorough: bool = True) -> KeyMaterial:
    """Load a private key, a public key or a certificate from PEM text, or raise KeyConfigurationError.

    `thorough` is that of `check_strength`.
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
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise KeyConfigurationError(_why_not_read(pem)) from None
    return check_strength(key, thorough=thorough)


def thumbprints_of_pem(pem: bytes) -> frozenset[str]:
    """Return how tokens may name a certificate that `from_pem` has loaded (RFC 7515 sections 4.1.7 and 4.1.8)."""
    if b"-----BEGIN CERTIFICATE-----" not in pem or b"PRIVATE KEY-----" in pem:
        return frozenset()
    return _thumbprints(x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER))


def thumbprints_of_jwk(jwk: Mapping[str, Any]) -> frozenset[str]:
    """Return how tokens may name the certificate of a JWK (RFC 7517 sections 4.7 to 4.9).

    They find a key and prove nothing, so those that the JWK itself names count as well, in any spelling.
    """
    named = {jwk[name] for name in ("x5t", "x5t#S256") if isinstance(jwk.get(name), str)}
    certificate = _first_certificate(jwk)
    return frozenset(named) if certificate is None else _thumbprints(certificate) | named


def _thumbprints(certificate: bytes) -> frozenset[str]:
    digests = hashlib.sha1(certificate, usedforsecurity=False), hashlib.sha256(certificate)
    return frozenset(b64url_encode(digest.digest()).decode() for digest in digests)


def _first_certificate(jwk: Mapping[str, Any]) -> bytes | None:
    """Decode the first certificate of `x5c`, in base64 and not base64url (RFC 7517 section 4.7); None without one."""
    chain = jwk.get("x5c")
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        return None
    try:
        return base64.b64decode(chain[0])  # white space in it does no harm
    except (binascii.Error, ValueError):
        return None


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
    if "x5c" in jwk and _KEY_MEMBERS.isdisjoint(jwk):
        load = _certified_from_jwk
    try:
        return check_strength(load(jwk), thorough=thorough)
    except KeyConfigurationError:
        raise
    except UnsupportedAlgorithm:
        raise KeyConfigurationError(f"the {kty} JWK is of a kind that this build of OpenSSL does not support") from None
    except (ValueError, OverflowError):
        raise KeyConfigurationError(f"the {kty} JWK is not a consistent key") from None


def _certified_from_jwk(jwk: Mapping[str, Any]) -> KeyMaterial:
    """Load the key of the first certificate, for a JWK that has no other members for it.

    The JWK Set is trusted for where it comes from. No trust is taken from the certificate: neither its issuer nor its
    times are looked at.
    """
    certificate = _first_certificate(jwk)
    if certificate is None:
        raise KeyConfigurationError("the first certificate of the JWK's x5c is not base64")
    try:
        key: Any = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise KeyConfigurationError("the first certificate of the JWK's x5c cannot be read") from None
    members = public_members(check_strength(key, thorough=False))
    if any(jwk.get(name, members.get(name)) != members.get(name) for name in ("kty", "crv")):
        raise KeyConfigurationError(f"the JWK has kty {jwk['kty']!r}, but its certificate has a key of another kind")
    material: KeyMaterial = key
    return material


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
