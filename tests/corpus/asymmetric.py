"""Signatures by the mathematics of their kind: numbers, paddings and points that make none of the key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

from tests.corpus.entries import Entry
from tests.corpus.issuers import EC, ED448, ED25519, ISSUERS, RSA
from tests.corpus.signers import P256_ORDER, Signer, ecdsa, hmac_sha, raw_ecdsa, rsa_encoded, rsa_pkcs1, rsa_pss
from tests.support import SECRET

__all__ = ["ENTRIES"]

INVALID = "invalid_signature"

# L, the order of the group of the base point (RFC 8032 sections 5.1 and 5.2).
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
ED448_ORDER = 2**446 - 13818066809895115352007386748515426880336692474882178609894547503885


def ecdsas() -> Iterator[Entry]:
    """The numbers r and s."""
    # S48
    issuer, n = ISSUERS["es256"], P256_ORDER
    pairs: dict[str, Callable[[int, int], tuple[int, int]]] = {
        "r is zero": lambda r, s: (0, s),
        "s is zero": lambda r, s: (r, 0),
        "both are zero": lambda r, s: (0, 0),
        "both are one": lambda r, s: (1, 1),
        "r is n": lambda r, s: (n, s),
        "s is n": lambda r, s: (r, n),
        "both are n": lambda r, s: (n, n),
        "beyond n": lambda r, s: (n + 1, n + 1),
        "r is n - r": lambda r, s: (n - r, s),
        "as large as can be": lambda r, s: (2**256 - 1, 2**256 - 1),
        "s first": lambda r, s: (s, r),
        "s is r": lambda r, s: (r, r),
    }
    for name, change in pairs.items():
        raw = issuer.token(sign=ecdsa(EC, change=change))
        yield Entry(f"es256: {name}", "S48", raw, INVALID, "Numbers that are no signature.", "es256")
    forms: dict[str, Signer] = {
        "DER": lambda message: EC.sign(message, ec.ECDSA(hashes.SHA256())),
        "DER of zeros": lambda message: bytes.fromhex("3006020100020100"),
        "DER of zeros, filled up": lambda message: bytes.fromhex("3006020100020100").ljust(64, b"\x00"),
        "DER of n": lambda message: utils.encode_dss_signature(n, n),
        "little-endian": lambda message: b"".join(
            number.to_bytes(32, "little") for number in raw_ecdsa(EC, message, hashes.SHA256())
        ),
        "for P-521": lambda message: b"".join(
            number.to_bytes(66, "big") for number in raw_ecdsa(EC, message, hashes.SHA256())
        ),
        "without leading zeros": without_leading_zeros,
        "sha-1": ecdsa(EC, hashes.SHA1()),
        "sha-384": ecdsa(EC, hashes.SHA384()),
        "sha-512": ecdsa(EC, hashes.SHA512()),
        "on secp256k1": ecdsa(ec.generate_private_key(ec.SECP256K1())),
        "on P-384": ecdsa(ec.generate_private_key(ec.SECP384R1())),
    }
    for name, sign in forms.items():
        raw = issuer.token({"jti": name}, sign=sign)
        yield Entry(f"es256: {name}", "S34, S48", raw, INVALID, "Not r and s of P-256 in 64 bytes.", "es256")


def without_leading_zeros(message: bytes) -> bytes:
    """A good signature whose r happens to begin with a zero byte, which is then left out."""
    while (r_and_s := raw_ecdsa(EC, message, hashes.SHA256()))[0] >= 2**248:
        pass
    return r_and_s[0].to_bytes(31, "big") + r_and_s[1].to_bytes(32, "big")


def rsas() -> Iterator[Entry]:
    """RSA: paddings and lengths."""
    modulus = RSA.public_key().public_numbers().n
    sha1_info = bytes.fromhex("3021300906052b0e03021a05000414")
    layouts: dict[str, Callable[[bytes, bytes, int], bytes]] = {
        "no DigestInfo": lambda info, digest, k: b"\x00\x01" + b"\xff" * (k - 35) + b"\x00" + digest,
        "DigestInfo of sha-1": lambda info, digest, k: (
            b"\x00\x01" + b"\xff" * (k - 3 - 35) + b"\x00" + sha1_info + digest[:20]
        ),
        "no NULL in DigestInfo": lambda info, digest, k: (
            b"\x00\x01"
            + b"\xff" * (k - 52)
            + b"\x00"
            + bytes.fromhex("302f300b0609608648016503040201")
            + b"\x04\x20"
            + digest
        ),
        "something behind the hash": lambda info, digest, k: (
            b"\x00\x01" + b"\xff" * 8 + b"\x00" + info + digest + bytes(k - 62)
        ),
        "block type 2": lambda info, digest, k: b"\x00\x02" + b"\xff" * (k - 54) + b"\x00" + info + digest,
        "zeros for padding": lambda info, digest, k: b"\x00\x01" + b"\x00" * (k - 53) + info + digest,
        "one hole in the padding": lambda info, digest, k: (
            b"\x00\x01" + b"\xff" * 9 + b"\xfe" + b"\xff" * (k - 64) + b"\x00" + info + digest
        ),
    }
    forms = {name: rsa_encoded(RSA, layout) for name, layout in layouts.items()}
    forms |= {
        "PSS": rsa_pss(RSA),
        "sha-1": rsa_pkcs1(RSA, hashes.SHA1()),
        "sha-512": rsa_pkcs1(RSA, hashes.SHA512()),
        "a key of 1,024 bits": rsa_pkcs1(rsa.generate_private_key(65537, 1024)),
        "a key of 3,072 bits": rsa_pkcs1(rsa.generate_private_key(65537, 3072)),
        "one": lambda message: (1).to_bytes(256, "big"),
        "the modulus": lambda message: modulus.to_bytes(256, "big"),
        "the modulus less one": lambda message: (modulus - 1).to_bytes(256, "big"),
        "negative": lambda message: (modulus - int.from_bytes(rsa_pkcs1(RSA)(message), "big")).to_bytes(256, "big"),
    }
    for name, sign in forms.items():
        raw = ISSUERS["rs256"].token({"jti": name}, sign=sign)
        yield Entry(f"rs256: {name}", "S34, S47", raw, INVALID, "Not PKCS#1 v1.5 with SHA-256 by this key.", "rs256")
    rs512 = {"sha-256": rsa_pkcs1(RSA), "PSS": rsa_pss(RSA, hashes.SHA512(), salt=64)}
    for name, sign in rs512.items():
        raw = ISSUERS["rs512"].token({"jti": name}, sign=sign)
        yield Entry(f"rs512: {name}", "S34, S47", raw, INVALID, "Not PKCS#1 v1.5 with SHA-512.", "rs512")


def pss() -> Iterator[Entry]:
    """RSASSA-PSS: the hash, the mask and the length of the salt."""
    sha512 = hashes.SHA512()
    forms: dict[str, dict[str, Signer]] = {
        "ps256": {
            "PKCS#1 v1.5": rsa_pkcs1(RSA),
            "no salt": rsa_pss(RSA, salt=0),
            "a salt of 20 bytes": rsa_pss(RSA, salt=20),
            "a salt of 31 bytes": rsa_pss(RSA, salt=31),
            "a salt of 33 bytes": rsa_pss(RSA, salt=33),
            "the longest salt": rsa_pss(RSA, salt=256 - 34),
            "sha-512": rsa_pss(RSA, sha512),
            "as for PS512": rsa_pss(RSA, sha512, salt=64),
            "a mask of sha-1": rsa_pss(RSA, mask=hashes.SHA1()),
            "a mask of sha-512": rsa_pss(RSA, mask=sha512),
        },
        "ps512": {
            "PKCS#1 v1.5": rsa_pkcs1(RSA, sha512),
            "a salt of 32 bytes": rsa_pss(RSA, sha512),
            "as for PS256": rsa_pss(RSA),
            "a mask of sha-256": rsa_pss(RSA, sha512, salt=64, mask=hashes.SHA256()),
        },
    }
    for issuer, signers in forms.items():
        for name, sign in signers.items():
            raw = ISSUERS[issuer].token({"jti": name}, sign=sign)
            why = "RFC 7518 section 3.5 wants one hash throughout and a salt of its length."
            yield Entry(f"{issuer}: {name}", "S34, S47", raw, INVALID, why, issuer)


def with_s_plus(order: int, sign: Signer) -> Signer:
    """Signatures whose second half, s, is too large by the order of the group, which the equation does not notice."""

    def enlarged(message: bytes) -> bytes:
        signature = sign(message)
        half = len(signature) // 2
        s = int.from_bytes(signature[half:], "little") + order
        return signature[:half] + s.to_bytes(half, "little")

    return enlarged


def eddsas() -> Iterator[Entry]:
    """Ed25519 and Ed448: s is less than the order of the group (RFC 8032 sections 5.1.7 and 5.2.7)."""
    forms: dict[str, dict[str, Signer]] = {
        "eddsa": {
            "s plus the order": with_s_plus(ED25519_ORDER, ED25519.sign),
            "of the hash": lambda message: ED25519.sign(hashlib.sha512(message).digest()),
            "the neutral element": lambda message: b"\x01" + bytes(63),
            "an hmac": hmac_sha(SECRET, "sha512"),
            "by Ed448": ED448.sign,
            "by Ed448, cut": lambda message: ED448.sign(message)[:64],
        },
        "ed448": {
            "s plus the order": with_s_plus(ED448_ORDER, ED448.sign),
            "of the hash": lambda message: ED448.sign(hashlib.shake_256(message).digest(64)),
            "the neutral element": lambda message: b"\x01" + bytes(113),
            "by Ed25519": ED25519.sign,
            "by Ed25519, filled up": lambda message: ED25519.sign(message).ljust(114, b"\x00"),
        },
    }
    forms["ed25519"] = {"s plus the order": forms["eddsa"]["s plus the order"]}
    forms["eddsa-448"] = {"by Ed25519": ED25519.sign}
    for issuer, signers in forms.items():
        for name, sign in signers.items():
            raw = ISSUERS[issuer].token({"jti": name}, sign=sign)
            yield Entry(f"{issuer}: {name}", "S34, S47", raw, INVALID, "Not a signature of this key.", issuer)


ENTRIES = [*ecdsas(), *rsas(), *pss(), *eddsas()]
