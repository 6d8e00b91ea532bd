"""Make the keys, claims and tokens with which all libraries are measured."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from asgi_jwt_claims import JWTConfig, Key

ALGORITHMS: Final = ("HS256", "RS256", "ES256", "EdDSA")
IDENTITY: Final = "alice"
ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "https://api.example"
LEEWAY: Final = 10
LIFETIME: Final = 3600
USER_CLAIMS: Final = {"VERI TAS": "LUX MEA", "groups": ["readers", "writers"], "tenant": 7}
REQUIRED: Final = ("exp", "iat", "jti")
HALF: Final = 32
"""Bytes of each half of an ES256 signature."""


@dataclass(frozen=True)
class Material:
    """A key in each form that a library may need. For HS256, all of them are the secret.

    Attributes:
        algorithm: The value of `alg`.
        kid: The key identifier for the header, as long as a thumbprint.
        private: A private key object of `cryptography`.
        public: The public key object.
        private_pem: The private key as PKCS#8.
        public_pem: The public key as SubjectPublicKeyInfo.
    """

    algorithm: str
    kid: str
    private: Any
    public: Any
    private_pem: bytes
    public_pem: bytes

    @property
    def header(self) -> dict[str, str]:
        """The JOSE header of the tokens."""
        return {"alg": self.algorithm, "typ": "JWT", "kid": self.kid}


def new_material(algorithm: str) -> Material:
    """Generate a key for `algorithm`."""
    kid = secrets.token_urlsafe(32)
    if algorithm == "HS256":
        secret = secrets.token_urlsafe(48).encode()
        return Material(algorithm, kid, secret, secret, secret, secret)
    private: Any = {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[algorithm]()
    public = private.public_key()
    return Material(
        algorithm,
        kid,
        private,
        public,
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def configuration(material: Material, **settings: Any) -> JWTConfig:
    """Return a configuration of this library for a key, with an issuer and an audience to check.

    Raises:
        ConfigurationError: This library does not have the algorithm.
    """
    if material.algorithm == "HS256":
        key = Key.from_secret(material.private, "HS256", kid=material.kid)
    else:
        key = Key.from_pem(material.private_pem, material.algorithm, kid=material.kid)
    return JWTConfig(signing_key=key, issuer=ISSUER, audience=AUDIENCE, leeway=LEEWAY, **settings)


def new_claims(user_claims: Any = USER_CLAIMS, under: str = "user_claims") -> dict[str, Any]:
    """Return the claims of a new access token, in the order in which this library writes them.

    Args:
        user_claims: The claims of the application.
        under: The name of the claim that holds them.
    """
    now = int(time.time())
    return {
        "iss": ISSUER,
        "sub": IDENTITY,
        "aud": AUDIENCE,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
        "jti": str(uuid.uuid4()),
        "type": "access",
        under: user_claims,
        "fresh": False,
    }


def signing(material: Material) -> Callable[[bytes], bytes]:
    """Return the bare primitive that signs a signing input, with its key and parameters built in advance."""
    key = material.private
    if material.algorithm == "HS256":
        return lambda signing_input: hmac.digest(key, signing_input, "sha256")
    if material.algorithm == "RS256":
        scheme, digest = padding.PKCS1v15(), SHA256()
        return lambda signing_input: key.sign(signing_input, scheme, digest)
    if material.algorithm == "ES256":
        return _signing_es256(key)
    return key.sign  # type: ignore[no-any-return]  # Ed25519 has no parameters


def _signing_es256(key: Any) -> Callable[[bytes], bytes]:
    curve = ec.ECDSA(SHA256())

    def sign(signing_input: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(signing_input, curve))
        return r.to_bytes(HALF, "big") + s.to_bytes(HALF, "big")

    return sign


def encoded(material: Material, **claims: Any) -> str:
    """Encode a token without any of the libraries, so that none of them decides what the others have to read."""
    return signed(material, new_claims(**claims))


def signed(material: Material, claims: dict[str, Any]) -> str:
    """Encode any claims in the same way."""
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (material.header, claims))
    signing_input = b".".join(_unpadded(part) for part in parts)
    return (signing_input + b"." + _unpadded(signing(material)(signing_input))).decode()


def pool(material: Material, size: int, **claims: Any) -> list[str]:
    """Encode `size` tokens, each with its own identifier."""
    return [encoded(material, **claims) for _ in range(size)]


def forged(raw: str) -> str:
    """Return the same token with a well-formed but wrong signature."""
    signing_input, _, signature = raw.rpartition(".")
    wrong = bytearray(base64.urlsafe_b64decode(signature + "=="))
    wrong[5] ^= 1
    return f"{signing_input}.{_unpadded(bytes(wrong)).decode()}"


def _unpadded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
