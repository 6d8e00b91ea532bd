"""Who signs for the configurations that the corpus is offered to: real keys, and code that is not the library's.

A configuration and its issuer share a name. Everything stands still at `NOW`.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519

from asgi_jwt_claims import JWTConfig, Key
from tests.conftest import HeldClock
from tests.corpus.signers import Signer, ecdsa, eddsa, hmac_sha, pem, rsa_pkcs1, rsa_pss
from tests.forging import CLAIMS, HEADER, b64
from tests.keys import rsa_key
from tests.support import SECRET

__all__ = [
    "BASE",
    "EC",
    "EC_NEW",
    "ED448",
    "ED25519",
    "ISSUERS",
    "LONG_KID",
    "LONG_SECRET",
    "OTHER_KEYS",
    "RSA",
    "Issuer",
    "text",
]

LONG_SECRET = SECRET[::-1] + SECRET
LONG_KID = "k" * 256
RSA = rsa_key()
EC = ec.generate_private_key(ec.SECP256R1())
EC_NEW = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()

# The identity stands under two names, so that one token suits configurations that look for either.
BASE: dict[str, Any] = {**CLAIMS, "identity": "alice"}
CLOCK = HeldClock()


def text(value: Any) -> bytes:
    """JSON as the standard library writes it."""
    return json.dumps(value).encode()


class Issuer(NamedTuple):
    """Somebody who signs.

    Attributes:
        name: Of the configuration.
        config: The configuration.
        sign: What makes a good signature.
        header: Of an ordinary token.
        claims: Of an ordinary token.
    """

    name: str
    config: JWTConfig
    sign: Signer
    header: dict[str, Any]
    claims: dict[str, Any]

    def token(
        self,
        claims: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
        *,
        without: tuple[str, ...] = (),
        sign: Signer | None = None,
    ) -> str:
        """An ordinary token with some claims and header parameters changed or left out."""
        members = {name: value for name, value in {**self.claims, **(claims or {})}.items() if name not in without}
        return self.seal(text({**self.header, **(header or {})}), text(members), sign)

    def seal(self, header: bytes, payload: bytes, sign: Signer | None = None) -> str:
        """Any bytes as header and payload, signed."""
        return self.over(b64(header) + b"." + b64(payload), sign)

    def over(self, signing_input: bytes, sign: Signer | None = None) -> str:
        """Any bytes at all, their signature behind them."""
        return (signing_input + b"." + b64((sign or self.sign)(signing_input))).decode("latin-1")

    def sized(self, length: int, header_length: int | None = None) -> str:
        """An ordinary token of exactly so many characters, filled up with JSON's white space."""
        head, body = text(self.header), text(self.claims)
        if header_length is not None:
            head = head[:-1] + b" " * (header_length * 3 // 4 - len(head)) + b"}"
        while (rest := length - len(self.over(b64(head) + b"."))) % 4 == 1:
            head += b" "
        return self.seal(head, body[:-1] + b" " * (rest * 3 // 4 - len(body)) + b"}")


def _issuer(name: str, sign: Signer, keys: list[Key], claims: dict[str, Any] | None = None, **settings: Any) -> Issuer:
    key = keys[0]
    header = {**HEADER, "alg": key.algorithm, **({} if key.is_symmetric else {"kid": key.kid})}
    config = JWTConfig(verification_keys=keys, clock=CLOCK, **settings)
    return Issuer(name, config, sign, header, {**BASE, **(claims or {})})


def _secret(secret: str = SECRET, algorithm: str = "HS256") -> list[Key]:
    return [Key.from_secret(secret, algorithm)]


_STRICT = {"iss": "https://issuer.example/", "aud": "https://api.example", "email": "alice@example.org"}
_PROVIDER = {"iss": "https://provider.example", "aud": ["https://api.example", "account"], "scp": ["read", "write"]}


def _issuers() -> list[Issuer]:
    return [
        _issuer("hs256", hmac_sha(SECRET), _secret()),
        _issuer("hs512", hmac_sha(LONG_SECRET, "sha512"), _secret(LONG_SECRET, "HS512")),
        _issuer("rs256", rsa_pkcs1(RSA), [Key.from_pem(pem(RSA), "RS256", kid="rsa")]),
        _issuer("rs512", rsa_pkcs1(RSA, hashes.SHA512()), [Key.from_pem(pem(RSA), "RS512", kid="rsa")]),
        _issuer("ps256", rsa_pss(RSA), [Key.from_pem(pem(RSA), "PS256", kid="rsa")]),
        _issuer("ps512", rsa_pss(RSA, hashes.SHA512(), salt=64), [Key.from_pem(pem(RSA), "PS512", kid="rsa")]),
        _issuer("es256", ecdsa(EC), [Key.from_pem(pem(EC), kid="ec")]),
        # Each Edwards key under both of its names.
        _issuer("eddsa", eddsa(ED25519), [Key.from_pem(pem(ED25519), kid="ed")]),
        _issuer("ed25519", eddsa(ED25519), [Key.from_pem(pem(ED25519), "Ed25519", kid="ed")]),
        _issuer("eddsa-448", eddsa(ED448), [Key.from_pem(pem(ED448), kid="ed")]),
        _issuer("ed448", eddsa(ED448), [Key.from_pem(pem(ED448), "Ed448", kid="ed")]),
        # Several keys: one RSA key, and three on one curve, of which two have the same material.
        _issuer(
            "ring",
            ecdsa(EC),
            [
                Key.from_pem(pem(EC), kid="old"),
                Key.from_pem(pem(EC_NEW), kid="schlüssel"),
                Key.from_pem(pem(EC_NEW), kid=LONG_KID),
                Key.from_pem(pem(RSA), "RS256", kid="rsa"),
            ],
        ),
        # Every limit set.
        _issuer(
            "strict",
            hmac_sha(SECRET),
            _secret(),
            _STRICT,
            issuer=_STRICT["iss"],
            audience=["https://api.example", "urn:api"],
            max_age=3600,
            max_lifetime=3600,
            leeway=0,
            required_claims=("exp", "iat", "jti", "email"),
        ),
        # As identity providers write them: no type, scopes under another name, user claims beside the others.
        _issuer(
            "provider",
            rsa_pkcs1(RSA),
            [Key.from_pem(pem(RSA), "RS256", kid="rsa")],
            _PROVIDER,
            issuer=_PROVIDER["iss"],
            audience="https://api.example",
            type_claim=None,
            user_claims_claim=None,
            scope_claim="scp",
            identity_claim="identity",
            required_claims=("exp",),
        ),
        # Nothing required but an identity; with limits that need what is then missing.
        _issuer("lenient", hmac_sha(SECRET[::-1]), _secret(SECRET[::-1]), required_claims=(), type_claim=None),
        _issuer(
            "limited",
            hmac_sha(SECRET.swapcase()),
            _secret(SECRET.swapcase()),
            required_claims=(),
            max_age=3600,
            max_lifetime=3600,
        ),
    ]


ISSUERS = {issuer.name: issuer for issuer in _issuers()}
"""Every issuer by name."""

_RSA_OTHER = rsa_key(1)
OTHER_KEYS: dict[str, Signer] = {
    "hs256": hmac_sha("mallory's very own secret, 32 bytes and more"),
    "hs512": hmac_sha("mallory's very own secret, 64 bytes and more than anybody needs, really", "sha512"),
    "rs256": rsa_pkcs1(_RSA_OTHER),
    "ps256": rsa_pss(_RSA_OTHER),
    "es256": ecdsa(EC_NEW),
    "eddsa": eddsa(ed25519.Ed25519PrivateKey.generate()),
    "ed448": eddsa(ed448.Ed448PrivateKey.generate()),
}
"""What makes signatures of the same kinds, with the keys of somebody else."""
