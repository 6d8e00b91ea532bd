"""Keys that issuers publish as certificates: in `x5c`, in an object of PEM texts, and named by a thumbprint."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, Key, KeySet, verify_token, verify_token_async
from asgi_jwt_claims.errors import AlgorithmRefusedError, InvalidTokenError, KeyConfigurationError, UnknownKeyError
from asgi_jwt_claims.jwks import FetchResponse, RemoteKeySet
from asgi_jwt_claims.jwks._documents import RefusedDocumentError, read_jwks
from tests.conftest import NOW
from tests.forging import b64
from tests.keys import make_key, rsa_key

ISSUER, AUDIENCE, URL = "https://issuer.example", "https://api.example", "https://issuer.example/certs"
PRIVATE_FORM = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


@functools.cache
def signer(number: int) -> Any:
    return rsa_key(number) if number < 2 else ec.generate_private_key(ec.SECP256R1())


def certify(key: Any, signing_key: Any, serial: int = 1) -> x509.Certificate:
    """A certificate that expired long ago: nothing in it is trusted."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    start = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial)
    builder = builder.not_valid_before(start).not_valid_after(start + dt.timedelta(days=1))
    return builder.sign(signing_key, hashes.SHA256())


@functools.cache
def certificate(number: int, serial: int = 1) -> x509.Certificate:
    return certify(signer(number), signer(number), serial)


def der(number: int, serial: int = 1) -> bytes:
    return certificate(number, serial).public_bytes(serialization.Encoding.DER)


def pem(number: int) -> str:
    return certificate(number).public_bytes(serialization.Encoding.PEM).decode()


def x5c(number: int) -> str:
    return base64.b64encode(der(number)).decode()


def x5t(number: int, serial: int = 1) -> str:
    return b64(hashlib.sha1(der(number, serial)).digest()).decode()


def x5t_s256(number: int) -> str:
    return b64(hashlib.sha256(der(number)).digest()).decode()


@functools.cache
def private(number: int) -> Key:
    return Key.from_pem(signer(number).private_bytes(*PRIVATE_FORM))


def token(number: int, **header: Any) -> str:
    """A token signed by that key, with exactly this header beside `alg`."""
    key = private(number)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": NOW, "exp": NOW + 60}
    parts = [b64(json.dumps(part).encode()).decode() for part in ({"alg": key.algorithm, **header}, claims)]
    return ".".join([*parts, b64(key.sign(".".join(parts).encode())).decode()])


def read(*entries: Any, algorithms: tuple[str, ...] = ()) -> tuple[KeySet, tuple[str, ...]]:
    return read_jwks(json.dumps({"keys": entries}).encode(), algorithms, 64, None)


def read_map(document: Any, algorithms: tuple[str, ...] = ()) -> tuple[KeySet, tuple[str, ...]]:
    return read_jwks(json.dumps(document).encode(), algorithms, 64, None)


def verifier(document: Any) -> JWTConfig:
    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        return FetchResponse(200, {}, json.dumps(document).encode())

    jwks = RemoteKeySet(URL, fetch=fetch)
    settings: dict[str, Any] = {"type_claim": None, "user_claims_claim": None, "required_claims": ("exp",)}
    return JWTConfig(jwks=jwks, issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW, **settings)


# Certificates in `x5c` ------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("number", [0, 2])
async def test_the_first_certificate_is_the_key(number: int) -> None:
    """A JWK without members of a key has that of its first certificate; the rest of the chain is not looked at."""  # S39
    kty = "RSA" if number == 0 else "EC"
    config = verifier({"keys": [{"kty": kty, "kid": "k", "use": "sig", "x5c": [x5c(number), "no certificate"]}]})
    assert "alice" == (await verify_token_async(token(number, kid="k"), config)).identity
    with pytest.raises(InvalidTokenError):
        await verify_token_async(token(1, kid="k"), config)


def test_line_breaks_in_a_certificate_do_no_harm() -> None:
    """Base64 of a certificate that is folded as in PEM is read."""
    keys, _ = read({"kty": "RSA", "kid": "k", "x5c": ["\r\n".join(pem(0).splitlines()[1:-1])]})
    assert private(0).public_jwk()["n"] == keys.find("k", "RS256").public_jwk()["n"]


def test_the_members_of_the_key_come_first() -> None:
    """Where a JWK has the numbers of a key, these count, and its certificate only lends its thumbprint."""
    keys, _ = read({**private(0).public_jwk(), "kid": "k", "x5c": [x5c(1)]})
    assert private(0).public_jwk()["n"] == keys.find("k", "RS256").public_jwk()["n"]
    assert "k" == keys.find(None, "RS256", x5t(1)).kid


def encoded(key: Any) -> str:
    """A certificate for that key."""
    return base64.b64encode(certify(key, signer(2)).public_bytes(serialization.Encoding.DER)).decode()


def of_unknown_version(number: int) -> bytes:
    """A certificate that says it has the version 6, which is none."""
    version_3, version_6 = (bytes([0xA0, 3, 2, 1, version - 1]) for version in (3, 6))
    return der(number).replace(version_3, version_6, 1)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (
            {"kty": "RSA", "x5c": [base64.b64encode(of_unknown_version(0)).decode()]},
            "the first certificate of the JWK's x5c cannot be read",
        ),
        ({"kty": "RSA", "x5c": ["!"]}, "the first certificate of the JWK's x5c cannot be read"),
        ({"kty": "RSA", "x5c": ["A"]}, "the first certificate of the JWK's x5c is not base64"),
        ({"kty": "RSA", "x5c": ["\u00e9"]}, "the first certificate of the JWK's x5c is not base64"),
        ({"kty": "RSA", "x5c": ["MIIB"]}, "the first certificate of the JWK's x5c cannot be read"),
        ({"kty": "RSA", "x5c": [1]}, "the first certificate of the JWK's x5c is not base64"),
        ({"kty": "RSA", "x5c": "MIIB"}, "the first certificate of the JWK's x5c is not base64"),
        ({"kty": "EC", "x5c": [x5c(0)]}, "the JWK has kty 'EC', but its certificate has a key of another kind"),
        ({"kty": "EC", "crv": "P-384", "x5c": [x5c(2)]}, "the JWK has kty 'EC', but its certificate has a key of"),
        ({"kty": "RSA", "x5c": [encoded(x25519.X25519PrivateKey.generate())]}, "a key of kind"),
        ({"kty": "RSA", "d": "AQAB", "x5c": [x5c(0)]}, "a private key, which is private no longer"),
        ({"kty": "oct", "x5c": [x5c(0)]}, "a secret"),
    ],
)
def test_a_certificate_that_is_no_key(entry: dict[str, Any], reason: str) -> None:
    """It is passed over with its reason, and takes no other key with it."""  # S97
    keys, skipped = read(entry, make_key("ES256").public_jwk())
    assert (1, 1) == (len(keys), len(skipped))
    assert skipped[0].startswith(reason)


def test_own_keys_may_be_certificates() -> None:
    """`Key.from_jwk` reads `x5c`, and refuses what it cannot read."""
    assert "k" == Key.from_jwk({"kty": "EC", "kid": "k", "x5c": [x5c(2)]}).kid
    with pytest.raises(KeyConfigurationError, match="cannot be read"):
        Key.from_jwk({"kty": "EC", "x5c": ["MIIB"]})


# An object of PEM texts -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_object_of_certificates() -> None:
    """Certificates by kid, as Firebase publishes those of its session cookies, are a key set."""
    config = verifier({"a": pem(0), "b": pem(1), "c": pem(2)})
    for number, kid in enumerate("abc"):
        assert "alice" == (await verify_token_async(token(number, kid=kid), config)).identity
    for kid in ("b", "c", "d"):
        with pytest.raises(InvalidTokenError):
            await verify_token_async(token(0, kid=kid), config)


def test_an_object_of_public_keys() -> None:
    """Public keys by kid, as Identity-Aware Proxy publishes its own, are a key set."""
    public = (
        signer(2).public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    keys, _ = read_map({"a": public.decode()})
    assert [("a", "ES256")] == [(key.kid, key.algorithm) for key in keys]


def test_each_member_of_such_an_object_is_judged_alone() -> None:
    """A member that is no certificate is passed over with its reason; a private key is never used."""  # S97, S100
    leaked = signer(1).private_bytes(*PRIVATE_FORM).decode()
    broken = "-----BEGIN CERTIFICATE-----\n\u00e9\n-----END CERTIFICATE-----"
    unknown = (
        f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(of_unknown_version(1)).decode()}-----END CERTIFICATE-----"
    )
    documents = {"a": pem(0), "b": leaked, "c": 7, "d": "text", "e": broken, "": pem(2), "f": None, "g": unknown}
    keys, skipped = read_map(documents)
    assert ["a"] == [key.kid for key in keys]
    assert "a private key, which is private no longer" == skipped[0]
    assert 3 == skipped.count("not PEM text, as other members of the object are")
    assert skipped[-1].startswith("the key is not PEM that can be read")
    assert any("a kid must be a str of 1 to 256 printable characters" in reason for reason in skipped)
    with pytest.raises(RefusedDocumentError, match="the JWK Set has no key that can be used; 1 were skipped"):
        read_map({"b": leaked})


def test_a_kid_that_stands_twice_in_such_an_object() -> None:
    """Which of two keys of one algorithm is meant cannot be known, so neither is used; copies and other kinds are."""  # S97
    pairs = [("a", pem(0)), ("b", pem(0)), ("a", pem(1)), ("c", pem(0)), ("c", pem(0)), ("b", pem(2))]
    text = ",".join(f"{json.dumps(kid)}:{json.dumps(value)}" for kid, value in pairs)
    keys, skipped = read_jwks(f"{{{text}}}".encode(), (), 10, None)
    assert [("b", "RS256"), ("c", "RS256"), ("b", "ES256")] == [(key.kid, key.algorithm) for key in keys]
    assert ("several keys have the kid 'a' and the algorithm RS256",) == skipped


def test_such_an_object_binds_its_keys_to_the_algorithms_that_are_wanted() -> None:
    """Each key is for the first algorithm of the list that goes with it, since it does not name its own."""
    keys, skipped = read_map({"a": pem(0), "c": pem(2)}, algorithms=("PS256", "RS256"))
    assert [("a", "PS256")] == [(key.kid, key.algorithm) for key in keys]
    assert 1 == len(skipped)


@pytest.mark.parametrize("document", [{}, {"error": "not found"}, {"keys": None, "a": pem(2)}])
def test_what_is_neither_a_set_nor_such_an_object(document: Any) -> None:
    """Without an array of keys and without PEM text, the document is refused."""
    with pytest.raises(RefusedDocumentError, match="the JWK Set has no array of keys"):
        read_map(document)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=40) | st.text(max_size=40).map("-----BEGIN {}".format)))
def test_any_object_of_texts_is_read_or_refused(document: dict[str, str]) -> None:
    """No text of a member causes any other error than ours."""
    with pytest.raises(RefusedDocumentError):
        read_map(document)


# Thumbprints ----------------------------------------------------------------------------------------------------------

CERTIFIED = [{"kty": "RSA", "kid": str(number), "x5c": [x5c(number)]} for number in (0, 1)]


@pytest.mark.anyio
async def test_a_thumbprint_finds_the_key_of_a_token_without_a_kid() -> None:
    """`x5t` and `x5t#S256` name a certificate, and that key alone verifies the token."""  # S38
    config = verifier({"keys": CERTIFIED})
    for number in (0, 1):
        for header in ({"x5t": x5t(number)}, {"x5t#S256": x5t_s256(number)}):
            assert "alice" == (await verify_token_async(token(number, **header), config)).identity
            with pytest.raises(InvalidTokenError):
                await verify_token_async(token(1 - number, **header), config)
    with pytest.raises(UnknownKeyError):
        await verify_token_async(token(0), config)


@pytest.mark.anyio
async def test_the_kid_comes_first() -> None:
    """A token that names its key by `kid` is verified with that one; its thumbprint is ignored."""  # S38
    config = verifier({"keys": CERTIFIED})
    assert "alice" == (await verify_token_async(token(0, kid="0", x5t=x5t(1)), config)).identity
    with pytest.raises(InvalidTokenError):
        await verify_token_async(token(0, kid="1", x5t=x5t(0)), config)


@pytest.mark.parametrize("thumbprint", [7, None, [], {}, "", "x" * 257, "\n", True])
def test_a_thumbprint_that_is_none_is_ignored(thumbprint: Any) -> None:
    """A header parameter of a wrong type names no key: with one key, that is used; with several, none."""
    one, several = KeySet([private(0).public()]), read(*CERTIFIED)[0]
    assert one.find(None, "RS256", thumbprint).algorithm == "RS256"
    with pytest.raises(UnknownKeyError):
        several.find(None, "RS256", thumbprint)


def test_a_certificate_that_no_key_has() -> None:
    """The only key is not taken for a certificate that is not its own; a key without a certificate is."""
    certified, bare = read(CERTIFIED[0])[0], KeySet([private(0).public()])
    with pytest.raises(UnknownKeyError) as unknown:
        certified.find(None, "RS256", x5t(1))
    assert x5t(1) == unknown.value.evidence["thumbprint"]
    assert bare.find(None, "RS256", x5t(1)) in bare


def test_a_certificate_of_two_keys_names_neither() -> None:
    """Two kids with one certificate cannot be told apart by it."""
    keys, _ = read(CERTIFIED[0], {**CERTIFIED[1], "x5t": x5t(0)})
    with pytest.raises(UnknownKeyError):
        keys.find(None, "RS256", x5t(0))


def test_a_thumbprint_chooses_no_algorithm() -> None:
    """The key that a certificate names must be for the algorithm of the token."""  # S30
    keys, _ = read(*CERTIFIED)
    with pytest.raises(AlgorithmRefusedError):
        keys.find(None, "RS512", x5t(0))


def test_a_published_thumbprint_counts_in_any_spelling() -> None:
    """Issuers that hash in a way of their own write the same text into their keys and their tokens."""
    keys, _ = read({**private(0).public_jwk(), "kid": "k", "x5t": "NTAxZmMxNDMy=="}, CERTIFIED[1])
    assert "k" == keys.find(None, "RS256", "NTAxZmMxNDMy==").kid


def test_own_certificates_are_found_by_their_thumbprints() -> None:
    """Keys loaded from certificates in PEM verify tokens that name no kid."""
    keys = [Key.from_pem(pem(number)) for number in (0, 1)]
    settings: dict[str, Any] = {"type_claim": None, "user_claims_claim": None, "required_claims": ("exp",)}
    config = JWTConfig(
        verification_keys=[keys[0].public(), keys[1]], issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW, **settings
    )
    for number in (0, 1):
        assert "alice" == verify_token(token(number, x5t=x5t(number)), config).identity


def test_a_renewed_certificate_is_another_key() -> None:
    """When a key gets a new certificate, the set has the new thumbprint, and the old one finds nothing."""
    before, _ = read(*CERTIFIED)
    entry = {**CERTIFIED[0], "x5c": [base64.b64encode(der(0, serial=2)).decode()]}
    after, _ = read_jwks(json.dumps({"keys": [entry, CERTIFIED[1]]}).encode(), (), 64, before)
    assert "0" == after.find(None, "RS256", x5t(0, serial=2)).kid
    assert after.find("1", "RS256") in before
    with pytest.raises(UnknownKeyError):
        after.find(None, "RS256", x5t(0))


@pytest.mark.anyio
async def test_an_unknown_certificate_causes_one_fetch() -> None:
    """A token that names a new certificate is verified after one fetch; made-up ones cause none in between."""  # S91
    asked: list[str] = []
    published = [CERTIFIED[:1], CERTIFIED]

    async def fetch(url: str, *, max_size: int) -> FetchResponse:
        asked.append(url)
        return FetchResponse(200, {}, json.dumps({"keys": published[min(len(asked), 2) - 1]}).encode())

    settings: dict[str, Any] = {"type_claim": None, "user_claims_claim": None, "required_claims": ("exp",)}
    config = JWTConfig(
        jwks=RemoteKeySet(URL, fetch=fetch), issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW, **settings
    )
    assert "alice" == (await verify_token_async(token(0, x5t=x5t(0)), config)).identity
    assert "alice" == (await verify_token_async(token(1, x5t=x5t(1)), config)).identity
    assert 2 == len(asked)
    for _ in range(3):
        with pytest.raises(UnknownKeyError):
            await verify_token_async(token(1, x5t="made-up"), config)
    assert 3 == len(asked)


# Documents that are not quite right ----------------------------------------------------------------------------------


def test_a_byte_that_is_no_utf_8_does_no_harm() -> None:
    """A Latin-1 byte in a member that is not read does not shut out every user."""
    body = json.dumps({"keys": [CERTIFIED[0]], "owner": "MUNCHEN"}).encode().replace(b"MUNCHEN", b"M\xdcnchen")
    keys, _ = read_jwks(body, (), 64, None)
    assert ["0"] == [key.kid for key in keys]


def test_a_key_of_spiffe() -> None:
    """Keys whose use is `jwt-svid` verify the tokens of SPIFFE; those for certificates are passed over."""
    entry = {**private(2).public_jwk(), "kid": "k"}
    keys, skipped = read({**entry, "use": "jwt-svid"}, {**entry, "kid": "x", "use": "x509-svid"})
    assert (["k"], ("the JWK is not for signatures: its use is 'x509-svid'",)) == ([key.kid for key in keys], skipped)


def test_a_short_key_in_a_certificate_is_refused() -> None:
    """The checks of keys apply to those of certificates too."""  # S34
    entry = {"kty": "RSA", "x5c": [encoded(rsa.generate_private_key(65537, 1024))]}
    with pytest.raises(RefusedDocumentError, match="the RSA key has 1024 bits"):
        read(entry)
