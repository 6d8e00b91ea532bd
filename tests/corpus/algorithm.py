"""`alg`: tokens that name no algorithm of the key, and public keys taken for secrets."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization

from tests.corpus.entries import Entry
from tests.corpus.issuers import BASE, EC, ED25519, ISSUERS, LONG_SECRET, RSA, text
from tests.corpus.signers import ecdsa, hmac_sha, pem, rsa_pkcs1, rsa_pss, spki
from tests.forging import b64
from tests.support import SECRET

__all__ = ["ENTRIES"]

HS, RS, PS, ES = (ISSUERS[name] for name in ("hs256", "rs256", "ps256", "es256"))
PAYLOAD = text(BASE)
ALGORITHM, SIGNATURE = "invalid_algorithm", "invalid_signature"
ABSENT = object()


def algorithms() -> Iterator[Entry]:
    """`alg` itself."""
    # S30
    names: dict[str, Any] = {
        "absent": ABSENT,
        "null": None,
        "empty": "",
        "a number": 256,
        "true": True,
        "an array": ["HS256"],
        "an object": {"HS256": True},
        "lower case": "hs256",
        "mixed case": "Hs256",
        "a space in front": " HS256",
        "a space behind": "HS256 ",
        "a zero byte behind": "HS256\x00",
        "a hyphen": "HS-256",
        "full-width": "\uff28\uff33\uff12\uff15\uff16",
        "an address": "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
    }
    for name, alg in names.items():
        header = {"typ": "JWT"} if alg is ABSENT else {"alg": alg, "typ": "JWT"}
        yield Entry(f"alg: {name}", "S30", HS.seal(text(header), PAYLOAD), ALGORITHM, "No algorithm of the key.")
    yield Entry("alg under another name", "S30", HS.seal(b'{"Alg":"HS256"}', PAYLOAD), ALGORITHM, "Case matters.")
    for alg in ("none", "None", "NONE", "nOnE", "none "):
        why = "An unsigned token by its own word, though there is a true signature."
        yield Entry(f"alg: {alg!r}", "S30", HS.token(header={"alg": alg}), ALGORITHM, why)
    unsigned = b64(b'{"alg":"none"}') + b"." + b64(PAYLOAD)
    for issuer in ("hs256", "rs256", "ps256", "es256", "eddsa", "ring"):
        raw = f"{(unsigned + b'.' + b64(issuer.encode())).decode()}"
        yield Entry(f"unsigned, to {issuer}", "S30, S145", raw, ALGORITHM, "Anything in place of a signature.", issuer)
    raw = f"{unsigned.decode()}."
    yield Entry("unsigned without a signature", "S15, S30", raw, "token_malformed", "What RFC 7519 section 6 shows.")
    # S31, S61: not the one of the key
    for alg in (
        "HS384",
        "HS512",
        "RS256",
        "ES256",
        "PS256",
        "EdDSA",
        "Ed25519",
        "ES256K",
        "HS1",
        "XX256",
        "dir",
        "A128KW",
    ):
        why = "Not the algorithm of the only key."
        yield Entry(f"alg: {alg} where HS256 belongs", "S31, S61", HS.token(header={"alg": alg}), ALGORITHM, why)
    derived = {"alg": "PBES2-HS256+A128KW", "p2c": 2**31, "p2s": "AAAA"}
    yield Entry("key from a password", "S31, S19", HS.token(header=derived), ALGORITHM, "An algorithm of JWE.")
    honest = (
        ("RS512", RS, rsa_pkcs1(RSA, hashes.SHA512())),
        ("RS384", RS, rsa_pkcs1(RSA, hashes.SHA384())),
        ("RS256", ISSUERS["rs512"], rsa_pkcs1(RSA)),
        ("PS256", RS, rsa_pss(RSA)),
        ("PS512", RS, rsa_pss(RSA, hashes.SHA512(), salt=64)),
        ("RS256", PS, rsa_pkcs1(RSA)),
        ("PS384", PS, rsa_pss(RSA, hashes.SHA384(), salt=48)),
        ("PS512", PS, rsa_pss(RSA, hashes.SHA512(), salt=64)),
        ("PS256", ISSUERS["ps512"], rsa_pss(RSA)),
        ("ES384", ES, ecdsa(EC, hashes.SHA384())),
        ("ES512", ES, ecdsa(EC, hashes.SHA512())),
        ("HS512", HS, hmac_sha(SECRET, "sha512")),
        ("HS256", ISSUERS["hs512"], hmac_sha(LONG_SECRET)),
    )
    for alg, issuer, sign in honest:
        why = "The right key, honestly used with another algorithm than its own."
        raw = issuer.token({"jti": f"honest, to {issuer.name}"}, {"alg": alg}, sign=sign)
        yield Entry(f"honest {alg}, to {issuer.name}", "S31", raw, ALGORITHM, why, issuer.name)
    for name in ("ps256", "eddsa", "ed25519", "ed448"):
        raw = ISSUERS[name].token({"jti": f"to {name}"}, {"alg": "HS256"}, sign=hmac_sha(SECRET))
        yield Entry(f"HS256 to {name}", "S31, S32", raw, ALGORITHM, "A secret is no key here.", name)


EDWARDS = ("eddsa", "ed25519", "eddsa-448", "ed448")
EDWARDS_NAMES = ("EdDSA", "Ed25519", "Ed448", "eddsa", "ed25519", "Ed25519ph")


def edwards_names() -> Iterator[Entry]:
    """Two names for one key (RFC 9864 section 2.2): it answers to the configured one."""
    # S31
    for issuer in map(ISSUERS.__getitem__, EDWARDS):
        own = issuer.header["alg"]
        for alg in EDWARDS_NAMES:
            if alg != own:
                raw = issuer.token({"jti": f"renamed, to {issuer.name}"}, {"alg": alg})
                why = "The right key and a good signature, under another name than the configured one."
                yield Entry(f"{alg} where {own} belongs, to {issuer.name}", "S31", raw, ALGORITHM, why, issuer.name)
        raw = issuer.seal(text({"alg": "Ed25519" if own == "EdDSA" else "EdDSA"}), PAYLOAD)
        why = "No key of the configuration has this name."
        yield Entry(f"the other name without kid, to {issuer.name}", "S31", raw, ALGORITHM, why, issuer.name)


def public_forms(key: Any) -> dict[str, bytes]:
    """A public key in the forms in which somebody may have taken it for a secret."""
    public = key.public_key()
    ssh = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    der, armoured = spki(key), pem(key)
    return {
        "PEM": armoured,
        "PEM without its last line feed": armoured.rstrip(),
        "PEM with carriage returns": armoured.replace(b"\n", b"\r\n"),
        "PEM after white space": b"\n " + armoured,
        "PEM on one line": armoured.replace(b"\n", b""),
        "DER": der,
        "base64 of the DER": base64.b64encode(der),
        "hexadecimal DER": der.hex().encode(),
        "SSH": ssh,
    }


def confusions() -> Iterator[Entry]:
    """A public key taken for a secret."""
    # S32
    jwk = {"kty": "EC", "crv": "P-256"}
    numbers = EC.public_key().public_numbers()
    jwk |= {"x": b64(numbers.x.to_bytes(32, "big")).decode(), "y": b64(numbers.y.to_bytes(32, "big")).decode()}
    forms = {("rs256", form): secret for form, secret in public_forms(RSA).items()}
    forms |= {("es256", form): secret for form, secret in public_forms(EC).items()}
    forms |= {("es256", "JWK"): text(jwk), ("es256", "JWK Set"): text({"keys": [jwk]})}
    forms |= {("rs256", "modulus"): RSA.public_key().public_numbers().n.to_bytes(256, "big")}
    forms |= {("eddsa", form): secret for form, secret in public_forms(ED25519).items()}
    raw_public = ED25519.public_key().public_bytes_raw()
    forms |= {("eddsa", "point"): raw_public, ("eddsa", "base64url of the point"): b64(raw_public)}
    for (name, form), secret in forms.items():
        raw = ISSUERS[name].token(header={"alg": "HS256"}, sign=hmac_sha(secret))
        yield Entry(f"{form} as secret, to {name}", "S32", raw, ALGORITHM, "HMAC with what anybody knows.", name)
    for name, key in (("rs256", RSA), ("es256", EC), ("eddsa", ED25519)):
        issuer = ISSUERS[name]
        header = text({"alg": "HS256", "typ": "JWT"})
        raw = issuer.seal(header, PAYLOAD, hmac_sha(pem(key)))
        yield Entry(f"PEM as secret without kid, to {name}", "S32", raw, ALGORITHM, "No key is for HS256.", name)
        raw = issuer.token(sign=hmac_sha(pem(key)))
        yield Entry(
            f"HMAC under the name of {name}", "S32, S47", raw, SIGNATURE, "An HMAC that says another alg.", name
        )


ENTRIES = [*algorithms(), *edwards_names(), *confusions()]
