"""The keys, claims and tokens that everybody is measured with."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from asgi_jwt_claims import JWTConfig, Key

from . import floors

ALGORITHMS: Final = ("HS256", "RS256", "ES256", "EdDSA")
IDENTITY: Final = "alice"
ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "https://api.example"
LEEWAY: Final = 10
LIFETIME: Final = 3600
USER_CLAIMS: Final = {"VERI TAS": "LUX MEA", "groups": ["readers", "writers"], "tenant": 7}
REQUIRED: Final = ("exp", "iat", "jti")


@dataclass(frozen=True)
class Material:
    """A key in every form that a library may want it in. For HS256 `private` and `public` are the secret.

    Attributes:
        algorithm: What it signs with.
        kid: Its name in the header, as long as a thumbprint.
        private: A key object of `cryptography`, or the secret.
        public: The same, to verify with.
        private_pem: PKCS#8, or the secret.
        public_pem: SubjectPublicKeyInfo, or the secret.
    """

    algorithm: str
    kid: str
    private: Any
    public: Any
    private_pem: bytes
    public_pem: bytes

    @property
    def header(self) -> dict[str, str]:
        """The JOSE header of its tokens."""
        return {"alg": self.algorithm, "typ": "JWT", "kid": self.kid}


def new_material(algorithm: str) -> Material:
    """A new key for `algorithm`."""
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
    """Our configuration for a key: issuer and audience are checked.

    Raises:
        ConfigurationError: The algorithm is not offered.
    """
    if material.algorithm == "HS256":
        key = Key.from_secret(material.private, "HS256", kid=material.kid)
    else:
        key = Key.from_pem(material.private_pem, material.algorithm, kid=material.kid)
    return JWTConfig(signing_key=key, issuer=ISSUER, audience=AUDIENCE, leeway=LEEWAY, **settings)


def new_claims(user_claims: Any = USER_CLAIMS, under: str = "user_claims") -> dict[str, Any]:
    """The claims of an access token of this minute, in the order in which ours stand.

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


def encoded(material: Material, **claims: Any) -> str:
    """A token, made by hand: nobody's own minting decides what the others have to read."""
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (material.header, new_claims(**claims)))
    signing_input = b".".join(_unpadded(part) for part in parts)
    return (signing_input + b"." + _unpadded(floors.signing(material)(signing_input))).decode()


def pool(material: Material, size: int, **claims: Any) -> list[str]:
    """So many tokens, each with an identifier of its own."""
    return [encoded(material, **claims) for _ in range(size)]


def forged(raw: str) -> str:
    """The same token with a signature that is well written and wrong."""
    signing_input, _, signature = raw.rpartition(".")
    wrong = bytearray(base64.urlsafe_b64decode(signature + "=="))
    wrong[5] ^= 1
    return f"{signing_input}.{_unpadded(bytes(wrong)).decode()}"


def _unpadded(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
