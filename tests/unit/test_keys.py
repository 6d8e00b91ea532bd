"""Keys: what may be one, what it may do, and how one is found. Bad material is refused where it is loaded."""

from __future__ import annotations

import base64
import copy
import datetime as dt
import hashlib
import hmac
import json
import logging
import pickle
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from asgi_jwt_claims import ConfigurationError, Key, KeySet
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    KeyConfigurationError,
    SigningKeyMissingError,
    UnknownKeyError,
)
from asgi_jwt_claims.jose import algorithms as _jose
from asgi_jwt_claims.keys import _material, _secrets
from asgi_jwt_claims.keys import key as _key
from asgi_jwt_claims.keys.key import MAX_KID_LENGTH, is_kid
from tests.forging import b64
from tests.keys import rsa_key
from tests.support import SECRET, for_each

PEM = serialization.Encoding.PEM
DER = serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS8 = serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()

RSA = rsa_key()
EC = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
SECRETS = {"HS256": b"\x01\x9f" * 16 + b"a", "HS384": b"\x01\x9f" * 24 + b"a", "HS512": b"\x01\x9f" * 32 + b"a"}


def public_pem(key: Any, encoding: Any = PEM, form: Any = SPKI) -> bytes:
    public: bytes = key.public_key().public_bytes(encoding, form)
    return public


def private_pem(key: Any, form: Any = PKCS8, encryption: Any = PLAIN, encoding: Any = PEM) -> bytes:
    private: bytes = key.private_bytes(encoding, form, encryption)
    return private


def certificate(encoding: Any = PEM) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer.example")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, RSA.public_key(), 1, day, day + dt.timedelta(days=1))
    return builder.sign(RSA, hashes.SHA256()).public_bytes(encoding)


def integer(number: int) -> str:
    return b64(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode()


def rsa_jwk(*members: str, **changes: Any) -> dict[str, Any]:
    numbers = RSA.private_numbers()
    every = {
        "n": numbers.public_numbers.n,
        "e": numbers.public_numbers.e,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dp": numbers.dmp1,
        "dq": numbers.dmq1,
        "qi": numbers.iqmp,
    }
    return {"kty": "RSA", **{name: integer(every[name]) for name in ("n", "e", *members)}, **changes}


def ec_jwk(**changes: Any) -> dict[str, Any]:
    return {**Key.from_pem(public_pem(EC["ES256"])).public_jwk(), **changes}


# Making keys ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"])
def test_a_generated_key_signs_and_verifies(algorithm: str) -> None:
    """A new key of each algorithm verifies what it signed, and neither another message nor another key's signature."""
    key, other = Key.generate(algorithm, kid="new"), Key.generate(algorithm)
    signature = key.sign(b"message")
    assert (algorithm, "new", True, algorithm[0] == "H") == (key.algorithm, key.kid, key.can_sign, key.is_symmetric)
    assert True is key.verify(b"message", signature)
    assert False is key.verify(b"massage", signature)
    assert False is other.verify(b"message", signature)


def test_generated_keys_have_full_strength() -> None:
    """A new secret is as long as its hash and a new RSA key has 2,048 bits and the usual exponent."""
    # S34
    lengths = [len(_material_of(Key.generate(algorithm))) for algorithm in ("HS256", "HS384", "HS512")]
    assert [32, 48, 64] == lengths
    made = _material_of(Key.generate("RS512"))
    assert (2048, 65537) == (made.key_size, made.public_key().public_numbers().e)


def _material_of(key: Key) -> Any:
    return key._loaded


@pytest.mark.parametrize("algorithm", ["none", "None", "", "hs256", "HS1", "PS256x", "ES256K"])
def test_no_key_is_generated_for_another_algorithm(algorithm: str) -> None:
    """Names are exact, and `none` is no algorithm."""
    # S30, S145
    with pytest.raises(KeyConfigurationError, match="is not one of HS256"):
        Key.generate(algorithm)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_hmac_is_that_of_the_standard_library(algorithm: str) -> None:
    """A secret signs as HMAC with the hash that the algorithm names, given as bytes or as text."""
    secret = "ä" + "x9" * 40
    expected = hmac.new(secret.encode(), b"message", f"sha{algorithm[2:]}").digest()
    assert expected == Key.from_secret(secret, algorithm).sign(b"message")
    assert expected == Key.from_secret(secret.encode(), algorithm).sign(b"message")


@pytest.mark.parametrize(("algorithm", "chosen"), [("RS256", hashes.SHA256()), ("RS384", hashes.SHA384())])
def test_rsa_signs_with_pkcs1_v15(algorithm: str, chosen: Any) -> None:
    """An RSA signature is PKCS#1 v1.5 with the hash that the algorithm names."""
    signature = Key.from_pem(private_pem(RSA), algorithm).sign(b"message")
    RSA.public_key().verify(signature, b"message", padding.PKCS1v15(), chosen)
    assert 256 == len(signature)


@pytest.mark.parametrize(("algorithm", "length"), [("ES256", 64), ("ES384", 96), ("ES512", 132)])
def test_ecdsa_signatures_are_two_integers_of_fixed_length(algorithm: str, length: int) -> None:
    """An ECDSA signature is r and s, each as long as the curve's field, and neither DER nor shorter verifies."""
    # S47, S48
    key = Key.from_pem(private_pem(EC[algorithm]))
    signature = key.sign(b"message")
    assert length == len(signature)
    r, s = (int.from_bytes(half, "big") for half in (signature[: length // 2], signature[length // 2 :]))
    der = encode_dss_signature(r, s)
    EC[algorithm].public_key().verify(der, b"message", ec.ECDSA(hashes.SHA512() if length > 96 else _hash(algorithm)))
    assert (r, s) == decode_dss_signature(der)
    assert False is key.verify(b"message", der)
    assert False is key.verify(b"message", signature + b"\x00")
    assert False is key.verify(b"message", b"\x00" + signature)


def _hash(algorithm: str) -> Any:
    return {"ES256": hashes.SHA256(), "ES384": hashes.SHA384()}[algorithm]


# S48
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_zero_is_no_ecdsa_signature(algorithm: str) -> None:
    """r or s of zero, or out of range, verifies nothing."""
    key = Key.from_pem(public_pem(EC[algorithm]))
    half = _material.signature_length(EC[algorithm], algorithm) // 2
    signature = Key.from_pem(private_pem(EC[algorithm])).sign(b"message")
    for forged in (
        bytes(2 * half),
        bytes(half) + signature[half:],
        signature[:half] + bytes(half),
        b"\xff" * 2 * half,
        bytes(2 * half - 1) + b"\x01",
    ):
        assert False is key.verify(b"message", forged)


# S47
@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
def test_the_length_of_a_signature_is_checked_before_the_key_is_used(
    algorithm: str, rsa_key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature of another length never reaches the arithmetic."""
    key = rsa_key if algorithm == "RS256" else Key.generate(algorithm)
    signature = key.sign(b"message")
    asked = []
    monkeypatch.setattr(type(key._verifier), "verify", lambda self, msg, sig: asked.append(sig) or True)
    for wrong in (b"", signature[:-1], signature + b"\x00", signature * 2):
        assert False is key.verify(b"message", wrong)
    assert [] == asked
    assert True is key.verify(b"message", signature)
    assert [signature] == asked


# S148
def test_hmac_tags_are_compared_by_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tag goes to the constant-time comparison of `cryptography`, and its verdict counts."""
    seen = []

    class Watched:
        def __init__(self, key: bytes, *_: Any) -> None:
            assert SECRET.encode() == key

        def copy(self) -> Watched:
            seen.append(b"copied")
            return self

        def update(self, message: bytes) -> None:
            seen.append(message)

        def verify(self, tag: bytes) -> None:
            seen.append(tag)

    monkeypatch.setattr(_jose, "HMAC", Watched)
    key = Key.from_secret(SECRET)
    assert True is key.verify(b"message", b"t" * 32)
    assert [b"copied", b"message", b"t" * 32] == seen


# S33
@pytest.mark.parametrize(("algorithm", "needed"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_is_as_long_as_the_hash(algorithm: str, needed: int) -> None:
    """An empty secret and one a byte too short are refused with the command that makes a good one."""
    secret = (SECRET + SECRET[::-1]).encode()[:needed]
    assert algorithm == Key.from_secret(secret, algorithm).algorithm
    for short in (b"", secret[:1], secret[:-1]):
        with pytest.raises(KeyConfigurationError, match=rf"{len(short)} bytes and needs at least {needed}.*secrets"):
            Key.from_secret(short, algorithm)


def test_the_length_of_a_secret_counts_in_bytes() -> None:
    """Text is measured as UTF-8."""
    assert "HS256" == Key.from_secret("äöüß" * 4 + "1").algorithm


@pytest.mark.parametrize("secret", [None, 1, ["x" * 40], bytearray(40), {"k": "x"}])
def test_a_secret_is_text_or_bytes(secret: Any) -> None:
    """Any other type is refused."""
    with pytest.raises(KeyConfigurationError, match="str or bytes"):
        Key.from_secret(secret)


def test_a_secret_may_hold_any_characters() -> None:
    """Half of a surrogate pair, as it comes out of the environment, is no UnicodeEncodeError."""
    assert "HS256" == Key.from_secret("\udc80" + "x7" * 20).algorithm


# S33
@pytest.mark.parametrize(
    ("secret", "warned"),
    [
        ("password" * 4, True),
        ("a" * 32, True),
        ("correct horse battery staple, again", True),
        ("MY VERY LONG SECRET THAT I MADE UP", True),
        ("correct-horse-battery-staple-again", True),
        ("Ab1-" * 8, True),
        ("7x" * 16, True),
        *((f"every{mark}word{mark}of{mark}mine{mark}is{mark}in{mark}a{mark}long{mark}book", True) for mark in " _.,!-"),
        *((f"EVERY{mark}WORD{mark}OF{mark}MINE{mark}IS{mark}IN{mark}A{mark}LONG{mark}BOOK", True) for mark in " _.,!-"),
        (SECRET, False),
        ("Ab1-" * 8 + "A", False),
        ("Correct horse battery staple, again", False),
        ("correct horse battery staple 4 me!", False),
    ],
)
def test_a_guessable_secret_is_warned_of(secret: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Repetition and mere words are logged as a warning, which does not hold the secret."""
    # S149
    with caplog.at_level(logging.WARNING, "asgi_jwt_claims"):
        Key.from_secret(secret)
    said = "the secret for HS256 looks guessable; make one with: python -c "
    assert warned is any(message.startswith(said) for message in caplog.messages)
    assert secret not in caplog.text


# No asymmetric key is a secret ----------------------------------------------------------------------------------------

JWK_TEXT = json.dumps(rsa_jwk()).encode()
SSH = serialization.PublicFormat.OpenSSH
OPENSSH = serialization.Encoding.OpenSSH
LOCKED = serialization.BestAvailableEncryption(b"password")

ASYMMETRIC = {
    "public PEM": public_pem(RSA),
    "public PKCS#1 PEM": public_pem(RSA, form=serialization.PublicFormat.PKCS1),
    "EC public PEM": public_pem(EC["ES256"]),
    "private PEM": private_pem(RSA),
    "encrypted PEM": private_pem(EC["ES256"], encryption=LOCKED),
    "certificate": certificate(),
    "OpenSSH private": private_pem(EC["ES256"], serialization.PrivateFormat.OpenSSH),
    "PEM without line ends": public_pem(RSA).replace(b"\n", b""),
    "PEM with CRLF": public_pem(RSA).replace(b"\n", b"\r\n"),
    "PEM after white space": b" \n\t" + public_pem(RSA),
    "PEM after text": b"Bag Attributes\n" + public_pem(RSA),
    "PEM after a byte order mark": b"\xef\xbb\xbf" + public_pem(RSA),
    "PEM in UTF-16": public_pem(RSA).decode().encode("utf-16"),
    "SSH2 armour": b"---- BEGIN SSH2 PUBLIC KEY ----\n" + b"A" * 40,
    "PGP armour": b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n" + b"A" * 40,
    "PuTTY": b"PuTTY-User-Key-File-3: ssh-ed25519\n" + b"A" * 40,
    "SSH RSA": public_pem(RSA, OPENSSH, SSH),
    "SSH ECDSA": public_pem(EC["ES256"], OPENSSH, SSH),
    "SSH Ed25519": public_pem(ed25519.Ed25519PrivateKey.generate(), OPENSSH, SSH),
    "SSH of a hardware key": b"sk-ssh-ed25519@openssh.com " + b"AAAA" * 20,
    "SSH of an ECDSA hardware key": b"sk-ecdsa-sha2-nistp256@openssh.com  " + b"AAAA" * 20,
    "SSH after white space": b"\n " + public_pem(EC["ES256"], OPENSSH, SSH),
    "SSH after options": b'no-pty,command="x" ' + public_pem(RSA, OPENSSH, SSH),
    "DER": public_pem(RSA, DER),
    "EC DER": public_pem(EC["ES256"], DER),
    "PKCS#1 DER": public_pem(RSA, DER, serialization.PublicFormat.PKCS1),
    "private DER": private_pem(RSA, encoding=DER),
    "private PKCS#1 DER": private_pem(RSA, serialization.PrivateFormat.TraditionalOpenSSL, encoding=DER),
    "encrypted DER": private_pem(EC["ES256"], encryption=LOCKED, encoding=DER),
    "Ed25519 DER": public_pem(ed25519.Ed25519PrivateKey.generate(), DER),
    "certificate DER": certificate(DER),
    "base64 DER": base64.b64encode(public_pem(RSA, DER)),
    "base64 DER less one": base64.b64encode(public_pem(EC["ES512"], DER)).rstrip(b"="),
    "base64 DER less two": base64.b64encode(public_pem(EC["ES256"], DER)).rstrip(b"="),
    "base64 DER in lines": base64.encodebytes(public_pem(EC["ES256"], DER)),
    "base64url DER": base64.urlsafe_b64encode(public_pem(RSA, DER)).rstrip(b"="),
    "hexadecimal DER": public_pem(RSA, DER).hex().encode(),
    "DER within white space": b" " + public_pem(RSA, DER) + b"\n",
    "DER read as Latin-1": public_pem(RSA, DER).decode("latin-1").encode(),
    "base64 certificate": base64.b64encode(certificate(DER)),
    "JWK": JWK_TEXT,
    "JWK, indented": json.dumps(rsa_jwk(), indent=2).encode(),
    "JWK after white space": b"\r\n " + JWK_TEXT,
    "JWK after a byte order mark": b"\xef\xbb\xbf" + JWK_TEXT,
    "JWK before text": JWK_TEXT + b" # the key",
    "JWK before other bytes": JWK_TEXT + b"\xff\x80",
    "JWK with an object within": json.dumps({**rsa_jwk(), "of": {}}).encode(),
    "JWK in UTF-16": JWK_TEXT.decode().encode("utf-16-le"),
    "JWK Set": json.dumps({"keys": [rsa_jwk()]}).encode(),
    "EC JWK": json.dumps(ec_jwk()).encode(),
}


# S32
@for_each("text", ASYMMETRIC.values())
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_no_asymmetric_key_is_a_secret(text: bytes, algorithm: str) -> None:
    """A public or private key, in whatever form, is refused as an HMAC secret with the way to load it."""
    with pytest.raises(KeyConfigurationError, match=r"Key\.from_pem"):
        Key.from_secret(text, algorithm)


# S32
@for_each("name", [name for name, text in ASYMMETRIC.items() if text.isascii()])
def test_no_asymmetric_key_is_a_secret_as_str(name: str) -> None:
    """Given as str it is refused alike, and so is a JWK that says so in `k`."""
    text = ASYMMETRIC[name]
    with pytest.raises(KeyConfigurationError, match="everyone who knows the public key could then sign"):
        Key.from_secret(text.decode())
    with pytest.raises(KeyConfigurationError, match="everyone who knows the public key could then sign"):
        Key.from_jwk({"kty": "oct", "k": b64(text).decode()})


def test_a_kind_of_key_that_cannot_be_loaded_is_no_secret_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """DER of a kind that `cryptography` knows and does not support counts as asymmetric."""
    # S32

    def unsupported(data: bytes) -> None:
        raise UnsupportedAlgorithm("no such curve")

    monkeypatch.setattr(_secrets.serialization, "load_der_public_key", unsupported)
    with pytest.raises(KeyConfigurationError, match="a DER key"):
        Key.from_secret(public_pem(RSA, DER))


@pytest.mark.parametrize(
    ("algorithm", "name", "is_theirs"),
    [
        ("RS256", "sign", True),
        ("RS256", "verify", True),
        ("ES256", "verify", True),
        ("ES256", "sign", False),
        ("HS256", "sign", False),
        ("HS256", "verify", False),
        ("PS256", "sign", False),
        ("PS256", "verify", False),
        ("EdDSA", "sign", False),
        ("EdDSA", "verify", False),
    ],
)
def test_python_jose_computes_what_the_documentation_says(algorithm: str, name: str, is_theirs: bool) -> None:
    """RS signatures, and verdicts on RS and ES ones, come from python-jose's own functions; all else from ours."""
    function = getattr(_jose.ALGORITHMS[algorithm], name)
    theirs = "jose.backends.cryptography_backend"
    assert (theirs if is_theirs else _jose.__name__) == function.__module__


def test_what_python_jose_refuses_is_refused_when_loaded() -> None:
    """A secret that begins like an SSH key is none of ours to use, and the reason is kept."""
    with pytest.raises(KeyConfigurationError, match=r"cannot be used for HS256: .*asymmetric"):
        Key.from_secret("ssh-rsa" + SECRET)


@pytest.mark.parametrize(
    "secret",
    [
        b"0" + SECRET.encode(),  # 0x30 begins a DER sequence
        b"0\x82\x01\x22" + bytes(range(40)),
        base64.b64encode(b"0\x82" + bytes(range(40))),
        base64.b64encode(bytes(range(40))),
        b'{"k' + SECRET.encode(),
        b'{"kid": 1, "note": "this is an object, but no key"}',
        SECRET.encode() + b'{"kty"',
        b"[" * 100_000 + b'{"k',
        b'{"k":' + b"[" * 100_000,
        bytes(range(128, 192)),
    ],
    ids=range(10),
)
def test_a_secret_that_only_looks_like_a_key_is_accepted(secret: bytes) -> None:
    """Random bytes are not mistaken for a key."""
    assert Key.from_secret(secret).is_symmetric


# PEM ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pem", "algorithm", "can_sign"),
    [
        (private_pem(RSA), "RS256", True),
        (private_pem(RSA, serialization.PrivateFormat.TraditionalOpenSSL), "RS256", True),
        (public_pem(RSA), "RS256", False),
        (public_pem(RSA, form=serialization.PublicFormat.PKCS1), "RS256", False),
        (certificate(), "RS256", False),
        (private_pem(EC["ES256"]), "ES256", True),
        (private_pem(EC["ES256"], serialization.PrivateFormat.TraditionalOpenSSL), "ES256", True),
        (public_pem(EC["ES384"]), "ES384", False),
        (public_pem(EC["ES512"]), "ES512", False),
    ],
)
def test_pem_is_loaded(pem: bytes, algorithm: str, can_sign: bool) -> None:
    """Private keys, public keys and certificates load from bytes and text, with the algorithm that goes with them."""
    for text in (pem, pem.decode()):
        key = Key.from_pem(text)
        assert (algorithm, can_sign, False) == (key.algorithm, key.can_sign, key.is_symmetric)


@pytest.mark.parametrize("password", ["password", b"password"])
def test_an_encrypted_pem_is_loaded_with_its_password(password: str | bytes) -> None:
    """The password opens the key, as text and as bytes."""
    key = Key.from_pem(private_pem(EC["ES256"], encryption=LOCKED), password=password)
    assert key.verify(b"message", key.sign(b"message"))


@pytest.mark.parametrize(
    ("pem", "password", "match"),
    [
        (private_pem(EC["ES256"], encryption=LOCKED), None, "do not go together"),
        (private_pem(EC["ES256"]), "password", "do not go together"),
        (private_pem(EC["ES256"], encryption=LOCKED), "wrong", "the password does not open the encrypted PEM key"),
        ("", None, "not PEM that can be read"),
        ("secret", None, "not PEM that can be read"),
        ("\udc80", None, "not PEM that can be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", None, "not PEM that can be read"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", None, "not PEM that can be read"),
        (public_pem(RSA, DER), None, "not PEM that can be read"),
        (None, None, r"PEM must be str or bytes, not NoneType.*read_text"),
        (public_pem(x25519.X25519PrivateKey.generate()), None, "kind X25519PublicKey is not supported"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), None, "kind secp256k1 is not supported"),
        (private_pem(dsa.generate_private_key(1024)), None, "kind DSAPrivateKey is not supported"),
    ],
)
def test_what_is_no_usable_pem_is_refused(pem: Any, password: str | None, match: str) -> None:
    """Unreadable text, wrong passwords and kinds of key without an algorithm are refused with the reason."""
    with pytest.raises(KeyConfigurationError, match=match):
        Key.from_pem(pem, password=password)


# S34
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("bits", [1024, 2047])
def test_rsa_below_2048_bits_is_refused(bits: int) -> None:
    """A short RSA key is refused, private and public, as PEM and as JWK."""
    weak = rsa.generate_private_key(65537, bits)
    jwk = {"kty": "RSA", "e": "AQAB", "n": integer(weak.public_key().public_numbers().n)}
    for load in (
        lambda: Key.from_pem(private_pem(weak)),
        lambda: Key.from_pem(public_pem(weak)),
        lambda: Key.from_jwk(jwk),
    ):
        with pytest.raises(KeyConfigurationError, match=f"has {bits} bits and needs at least 2048"):
            load()


# S34
@pytest.mark.parametrize("exponent", [1, 2, 65536, 2**32 + 1, 2**64 + 1])
def test_a_bad_rsa_exponent_is_refused(exponent: int) -> None:
    """An exponent that is even, one or huge is refused."""
    with pytest.raises(KeyConfigurationError, match=r"exponent|consistent"):
        Key.from_jwk(rsa_jwk(e=integer(exponent)))


@pytest.mark.parametrize("exponent", [3, 17, 65537, 2**32 - 1])
def test_an_odd_rsa_exponent_is_accepted(exponent: int) -> None:
    """Odd exponents from three on are acceptable."""
    assert "RS256" == Key.from_jwk(rsa_jwk(e=integer(exponent))).algorithm


# S31
@pytest.mark.parametrize(
    ("pem", "algorithm"),
    [
        (public_pem(RSA), "HS256"),
        (public_pem(RSA), "ES256"),
        (public_pem(RSA), "rs256"),
        (public_pem(RSA), "none"),
        (public_pem(RSA), ""),
        (public_pem(EC["ES256"]), "ES384"),
        (public_pem(EC["ES256"]), "ES512"),
        (public_pem(EC["ES384"]), "ES256"),
        (public_pem(EC["ES256"]), "HS256"),
        (public_pem(EC["ES256"]), "RS256"),
    ],
)
def test_an_algorithm_must_go_with_the_key(pem: bytes, algorithm: str) -> None:
    """A key is bound to an algorithm of its own kind and curve, or not at all."""
    # S34
    with pytest.raises(KeyConfigurationError, match="does not go with this key"):
        Key.from_pem(pem, algorithm)


@pytest.mark.parametrize("algorithm", ["RS256", "none", "HS1024", "", "hs256"])
def test_a_secret_is_for_hmac_only(algorithm: str) -> None:
    """A secret cannot be bound to another algorithm."""
    # S30, S145
    with pytest.raises(KeyConfigurationError, match="does not go with this key; it can be HS256"):
        Key.from_secret(SECRET, algorithm)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_one_rsa_key_is_bound_to_one_algorithm(algorithm: str) -> None:
    """The same material bound to another algorithm verifies nothing of it."""
    # S31
    signature = Key.from_pem(private_pem(RSA), algorithm).sign(b"message")
    verdicts = {name: Key.from_pem(public_pem(RSA), name).verify(b"message", signature) for name in _RS}
    assert {name: name == algorithm for name in _RS} == verdicts


_RS = ("RS256", "RS384", "RS512")


# JWK ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jwk", "algorithm", "can_sign"),
    [
        ({"kty": "oct", "k": b64(SECRET.encode()).decode()}, "HS256", True),
        ({"kty": "oct", "k": b64(SECRETS["HS512"]).decode(), "alg": "HS512"}, "HS512", True),
        (rsa_jwk(), "RS256", False),
        (rsa_jwk(alg="RS384"), "RS384", False),
        (rsa_jwk("d"), "RS256", True),
        (rsa_jwk("d", "p", "q", "dp", "dq", "qi"), "RS256", True),
        (ec_jwk(), "ES256", False),
        (ec_jwk(alg=None, use="sig", key_ops=["verify"]), "ES256", False),
        (ec_jwk(key_ops=["sign"]), "ES256", False),
    ],
)
def test_a_jwk_is_loaded(jwk: dict[str, Any], algorithm: str, can_sign: bool) -> None:
    """Secrets, RSA and EC keys load from a mapping and from JSON text."""
    # S31: an absent alg follows from kty and crv, never from a token
    for form in (jwk, json.dumps(jwk), json.dumps(jwk).encode()):
        key = Key.from_jwk(form)
        assert (algorithm, can_sign) == (key.algorithm, key.can_sign)


def test_a_private_jwk_signs_what_its_public_half_verifies() -> None:
    """A private RSA or EC JWK, with or without its prime factors, is the key it says."""
    public = Key.from_pem(public_pem(RSA))
    for jwk in (rsa_jwk("d"), rsa_jwk("d", "p", "q", "dp", "dq", "qi")):
        assert public.verify(b"message", Key.from_jwk(jwk).sign(b"message"))
    numbers = EC["ES512"].private_numbers()
    jwk = {**Key.from_pem(public_pem(EC["ES512"])).public_jwk(), "d": b64(numbers.private_value.to_bytes(66)).decode()}
    assert Key.from_pem(public_pem(EC["ES512"])).verify(b"message", Key.from_jwk(jwk).sign(b"message"))


OTHER = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()


@for_each(
    ("jwk", "match"),
    [
        ({}, "kty None; supported are"),
        ({"kty": "EKT", "crv": "Ed25519", "x": "AA"}, "kty 'EKT'"),
        ({"kty": "rsa"}, "kty 'rsa'"),
        ({"kty": "oct"}, "'k' is missing"),
        ({"kty": "oct", "k": ""}, "'k' is missing"),
        ({"kty": "oct", "k": 1}, "'k' is missing or not a string"),
        ({"kty": "oct", "k": "AA"}, "has 1 bytes and needs at least 32"),
        ({"kty": "oct", "k": "A" * 44 + "=="}, "'k' is not base64url"),
        ({"kty": "oct", "k": "AB"}, "'k' is not base64url"),
        ({"kty": "oct", "k": "ä" * 44}, "'k' is not base64url"),
        (rsa_jwk(n=None), "'n' is missing"),
        (rsa_jwk(e=65537), "'e' is missing or not a string"),
        (rsa_jwk(n="AA"), "the RSA JWK is not a consistent key"),
        (rsa_jwk("d", "p"), "'q' is missing"),
        (rsa_jwk("d", "p", "q", "dp", "dq", "qi", p="AQAB"), "the RSA JWK is not a consistent key"),
        (rsa_jwk(d="AQAB"), "the RSA JWK is not a consistent key"),
        # S34
        (ec_jwk(crv="P-384"), "must have 48 bytes each"),
        (ec_jwk(crv="secp256k1"), "crv 'secp256k1'; supported are P-256"),
        (ec_jwk(crv=None), "crv None"),
        (ec_jwk(crv=["P-256"]), r"crv \['P-256'\]"),
        (ec_jwk(x="AAAA"), "must have 32 bytes each"),
        (ec_jwk(y=None), "'y' is missing"),
        (ec_jwk(y=b64(OTHER.y.to_bytes(32)).decode()), "the EC JWK is not a consistent key"),
        (ec_jwk(x=b64(bytes(32)).decode(), y=b64(bytes(32)).decode()), "the EC JWK is not a consistent key"),
        (ec_jwk(d="AQ"), "the EC JWK is not a consistent key"),
        (ec_jwk(d=1), "'d' is missing or not a string"),
        # S36
        (rsa_jwk(use="enc"), "not for signatures: its use is 'enc'"),
        (rsa_jwk(use=None), "not for signatures: its use is None"),
        (rsa_jwk(key_ops=[]), "neither 'sign' nor 'verify'"),
        (rsa_jwk(key_ops=["encrypt", "wrapKey"]), "neither 'sign' nor 'verify'"),
        (rsa_jwk(key_ops="verify"), "neither 'sign' nor 'verify'"),
        (rsa_jwk(key_ops=[{}, ["verify"]]), "neither 'sign' nor 'verify'"),
        (rsa_jwk(alg="ES256"), "algorithm 'ES256' does not go with this key"),
        (rsa_jwk(alg="RSA-OAEP"), "algorithm 'RSA-OAEP' does not go"),
        (rsa_jwk(alg=256), "algorithm 256 does not go"),
        (ec_jwk(alg="ES384"), "algorithm 'ES384' does not go"),
        # S37
        (rsa_jwk(kid=""), "a kid must be a str of 1 to 256 printable characters"),
        (rsa_jwk(kid=7), "a kid must be a str"),
        (rsa_jwk(kid="k" * 257), "a kid must be a str"),
        (rsa_jwk(kid="a\nb"), "a kid must be a str"),
        ("not JSON", "a JWK must be JSON text or a mapping"),
        (b"\xff", "a JWK must be JSON text or a mapping"),
        ("[" * 100_000, "a JWK must be JSON text or a mapping"),
        ("[]", "a JWK must be a JSON object, not list"),
        (None, "a JWK must be a JSON object, not NoneType"),
    ],
)
def test_a_jwk_that_cannot_be_used_is_refused(jwk: Any, match: str) -> None:
    """Missing, malformed or contradictory members are refused with the reason."""
    with pytest.raises(KeyConfigurationError, match=match):
        Key.from_jwk(jwk)


def test_a_jwk_and_its_loader_must_agree_on_the_algorithm() -> None:
    """An algorithm given for a JWK that names another is refused; the same one, or one for a JWK without, is not."""
    # S36
    with pytest.raises(KeyConfigurationError, match="the JWK is for alg 'RS256', not 'RS512'"):
        Key.from_jwk(rsa_jwk(alg="RS256"), "RS512")
    assert "RS512" == Key.from_jwk(rsa_jwk(alg="RS512"), "RS512").algorithm
    assert "RS512" == Key.from_jwk(rsa_jwk(), "RS512").algorithm


# What a key is --------------------------------------------------------------------------------------------------------


def test_the_kid_is_the_thumbprint_of_rfc_7638() -> None:
    """The RSA example of RFC 7638 section 3.1 has the thumbprint that stands there."""
    # S144
    jwk = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu"
        "6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa"
        "pJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
    }
    assert "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" == Key.from_jwk(jwk).kid


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_private_and_public_half_have_one_thumbprint(algorithm: str) -> None:
    """However a key is loaded, its kid is the same."""
    # S144
    private, public = Key.from_pem(private_pem(EC[algorithm])), Key.from_pem(public_pem(EC[algorithm]))
    jwk = public.public_jwk()
    canonical = json.dumps({name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":")).encode()
    expected = b64(hashlib.sha256(canonical).digest()).decode()
    assert [expected] * 4 == [private.kid, public.kid, private.public().kid, Key.from_jwk(jwk).kid]


def test_the_kid_of_a_secret_is_its_thumbprint() -> None:
    """A secret has the thumbprint that RFC 7638 section 3.2 gives to `oct` keys."""
    canonical = b'{"k":"%s","kty":"oct"}' % b64(SECRET.encode())
    assert b64(hashlib.sha256(canonical).digest()).decode() == Key.from_secret(SECRET).kid


@pytest.mark.parametrize("kid", ["k", "2026-11", "k" * 256, "ключ 1"])
def test_a_kid_can_be_given(kid: str) -> None:
    """A printable kid of at most 256 characters is taken, in place of the JWK's own or the thumbprint."""
    # S37
    assert 256 == MAX_KID_LENGTH
    assert kid == Key.from_secret(SECRET, kid=kid).kid
    assert kid == Key.from_pem(public_pem(RSA), kid=kid).kid
    assert kid == Key.from_jwk(rsa_jwk(kid="own"), kid=kid).kid
    assert kid == Key.from_jwk(rsa_jwk(kid=kid)).kid
    assert is_kid(kid)


@pytest.mark.parametrize("kid", ["", "k" * 257, "a\nb", "a\x00", "a\u2028", "\ud800", "\x1b[31m", 7, b"k", ["k"]])
def test_a_bad_kid_is_refused(kid: Any) -> None:
    """An empty, long or unprintable kid, or one that is no str, is refused."""
    # S37
    assert not is_kid(kid)
    with pytest.raises(KeyConfigurationError, match="a kid must be a str"):
        Key.from_secret(SECRET, kid=kid)


def test_the_public_half_cannot_sign(rsa_key: Key) -> None:
    """The public half has the same kid and algorithm, verifies, and cannot sign."""
    public = rsa_key.public()
    assert (rsa_key.kid, rsa_key.algorithm, False) == (public.kid, public.algorithm, public.can_sign)
    assert public.verify(b"message", rsa_key.sign(b"message"))
    with pytest.raises(SigningKeyMissingError, match="cannot sign"):
        public.sign(b"message")
    assert public.kid == public.public().kid


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "ES512"])
def test_what_is_published_is_public(algorithm: str, rsa_key: Key) -> None:
    """A published JWK has what identifies the key and nothing private, and loads again as the same key."""
    # S144
    key = rsa_key if algorithm == "RS256" else Key.from_pem(private_pem(EC[algorithm]), kid="mine")
    jwk = key.public_jwk()
    members = {"n", "e"} if algorithm == "RS256" else {"crv", "x", "y"}
    assert {"kty", "kid", "use", "alg"} | members == set(jwk)
    assert ("sig", algorithm, key.kid) == (jwk["use"], jwk["alg"], jwk["kid"])
    again = Key.from_jwk(jwk)
    assert (key.kid, False) == (again.kid, again.can_sign)
    assert again.verify(b"message", key.sign(b"message"))


@pytest.mark.parametrize("ask", [Key.public, Key.public_jwk])
def test_a_secret_has_no_public_half(ask: Any) -> None:
    """Nothing of a secret can be published."""
    # S144
    with pytest.raises(KeyConfigurationError, match="a secret has no public half"):
        ask(Key.from_secret(SECRET))


def test_a_key_is_frozen() -> None:
    """No attribute can be set."""
    key = Key.from_secret(SECRET)
    for name in ("algorithm", "kid", "_signer", "other"):
        with pytest.raises(AttributeError, match="frozen"):
            setattr(key, name, "none")
    assert "HS256" == key.algorithm


def test_a_set_of_keys_is_frozen() -> None:
    """No attribute can be set or deleted, not even what it caches headers in."""
    keys = KeySet([Key.from_secret(SECRET)])
    for name in (*KeySet.__slots__, "other"):
        with pytest.raises(AttributeError, match="a KeySet is frozen"):
            setattr(keys, name, {})
        with pytest.raises(AttributeError, match="a KeySet is frozen"):
            delattr(keys, name)
    assert 1 == len(keys)


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_cannot_be_carried_along(carry: Any) -> None:
    """A key is neither pickled nor copied."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        carry(Key.from_secret(SECRET))


def test_the_repr_shows_no_material() -> None:
    """The repr has algorithm and kid, escaped, and says what only verifies."""
    # S149
    assert "<Key HS256 kid='a'>" == repr(Key.from_secret(SECRET, kid="a"))
    assert "<Key RS256 kid='b' verifies only>" == repr(Key.from_pem(public_pem(RSA), kid="b"))
    assert "<KeySet of 1: <Key HS256 kid='a'>>" == repr(KeySet([Key.from_secret(SECRET, kid="a")]))
    assert SECRET not in repr(Key.from_secret(SECRET))


def test_the_table_of_algorithms_is_ours() -> None:
    """python-jose's own registry is left as it is, and the table has exactly the fifteen algorithms."""
    hashed = {f"{kind}{size}" for kind in ("HS", "RS", "PS", "ES") for size in (256, 384, 512)}
    assert {*hashed, "EdDSA", "Ed25519", "Ed448"} == set(_jose.ALGORITHMS) == set(_key._GENERATORS)
    assert [32, 48, 64] == [_jose.hash_length(f"HS{size}") for size in (256, 384, 512)]


# Sets of keys ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed() -> KeySet:
    """Three ES256 and ES384 keys."""
    return KeySet(
        [
            Key.from_pem(public_pem(EC["ES256"]), kid="a"),
            Key.generate("ES256", kid="b"),
            Key.from_pem(public_pem(EC["ES384"]), kid="c"),
        ]
    )


# S38
def test_a_kid_finds_only_its_key(mixed: KeySet) -> None:
    """A kid finds the key of that name and no other, whatever else could verify."""
    assert ["a", "b"] == [mixed.find(kid, "ES256").kid for kid in ("a", "b")]
    for kid in ("d", "A", "a ", ""):
        with pytest.raises(UnknownKeyError) as error:
            mixed.find(kid, "ES256")
        assert {"kid": kid} == error.value.evidence


# S31
def test_the_algorithm_must_be_that_of_the_key(mixed: KeySet) -> None:
    """A kid with another algorithm than its key's is refused as such."""
    for algorithm in ("ES384", "HS256", "none", "es256", "RS256", ""):
        with pytest.raises(AlgorithmRefusedError) as error:
            mixed.find("a", algorithm)
        assert {"alg": algorithm, "kid": "a"} == error.value.evidence


# S38
def test_without_a_kid_there_must_be_one_candidate(mixed: KeySet) -> None:
    """Without a kid the only key of the algorithm is found; several or none are refused."""
    assert "c" == mixed.find(None, "ES384").kid
    with pytest.raises(UnknownKeyError) as several:
        mixed.find(None, "ES256")
    assert {"reason": "no kid, and several keys could be meant"} == several.value.evidence
    with pytest.raises(AlgorithmRefusedError) as none:
        mixed.find(None, "ES512")
    assert {"alg": "ES512"} == none.value.evidence


def test_a_set_is_iterated_in_order(mixed: KeySet) -> None:
    """A set has its keys, in the order given."""
    assert ["a", "b", "c"] == [key.kid for key in mixed]
    assert 3 == len(mixed)


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ([], "at least one key"),
        ([SECRET], "holds Key objects, not str"),
        ([Key.from_secret(SECRET, kid="a"), Key.from_secret(SECRETS["HS256"], kid="a")], "two keys have the kid 'a'"),
        ([Key.from_secret(SECRET), Key.from_pem(public_pem(RSA))], "do not mix"),  # S32
    ],
)
def test_a_set_that_could_confuse_is_refused(members: list[Any], match: str) -> None:
    """Nothing, something else, names twice, or secrets beside public keys make no set."""
    with pytest.raises(ConfigurationError, match=match):
        KeySet(members)


def test_a_jwk_set_is_loaded() -> None:
    """The signature keys of a set load from a mapping and from text; others are passed over."""
    # S36
    document = {
        "keys": [
            rsa_jwk(kid="a", use="sig"),
            rsa_jwk(kid="encryption", use="enc"),
            rsa_jwk(kid="wrapping", key_ops=["wrapKey"]),
            {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "agreement"},
            {"kty": ["RSA"], "kid": "nonsense"},
            ec_jwk(kid="b", alg="ES256"),
        ]
    }
    for form in (document, json.dumps(document), json.dumps(document).encode()):
        assert [("a", "RS256"), ("b", "ES256")] == [(key.kid, key.algorithm) for key in KeySet.from_jwks(form)]


@pytest.mark.parametrize(
    ("document", "match"),
    [
        ({}, 'an object with a "keys" array'),
        ({"keys": {}}, 'an object with a "keys" array'),
        ({"keys": []}, "at least one key"),
        ({"keys": [rsa_jwk(use="enc")]}, "at least one key"),
        ({"keys": ["x"]}, "a key of a JWK Set must be JSON text or a mapping"),
        ({"keys": [None]}, "a key of a JWK Set must be a JSON object"),
        ({"keys": [rsa_jwk(n="AA")]}, "not a consistent key"),
        ({"keys": [rsa_jwk(kid="a"), rsa_jwk(kid="a")]}, "two keys have the kid 'a'"),
        ({"keys": [rsa_jwk("d")]}, "holds a private key"),  # S35
        ({"keys": [rsa_jwk(), {"kty": "oct", "k": b64(SECRET.encode()).decode()}]}, "do not mix"),
        ("[]", "a JWK Set must be a JSON object, not list"),
        ("{", "a JWK Set must be JSON text"),
    ],
)
def test_a_jwk_set_that_cannot_be_used_is_refused(document: Any, match: str) -> None:
    """Anything but a set of usable public keys, or of secrets, is refused with the reason."""
    with pytest.raises(KeyConfigurationError, match=match):
        KeySet.from_jwks(document)


def test_a_jwk_set_of_secrets_is_loaded() -> None:
    """Secrets are no private half of anything and load."""
    assert 1 == len(KeySet.from_jwks({"keys": [{"kty": "oct", "k": b64(SECRET.encode()).decode()}]}))
