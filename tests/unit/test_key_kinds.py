"""RSASSA-PSS and EdDSA keys, keys that are refused for what they are, and tokens exchanged with other libraries."""

from __future__ import annotations

import importlib
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519, padding, rsa

from asgi_jwt_claims import JWTConfig, Key, KeySet, create_access_token, verify_token
from asgi_jwt_claims.errors import AlgorithmRefusedError, KeyConfigurationError
from asgi_jwt_claims.keys import _material
from asgi_jwt_claims.keys._moduli import why_worthless
from tests.forging import b64

PSS = ("PS256", "PS384", "PS512")
EDDSA = ("EdDSA", "Ed25519", "Ed448")
CURVES = {
    "Ed25519": (ed25519.Ed25519PrivateKey.generate(), 32, 64),
    "Ed448": (ed448.Ed448PrivateKey.generate(), 57, 114),
}
SPKI = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
PKCS8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


@pytest.fixture(scope="module")
def rsa_private() -> rsa.RSAPrivateKey:
    """An RSA key."""
    return rsa.generate_private_key(65537, 2048)


# Making and loading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [*PSS, *EDDSA])
def test_a_generated_key_signs_and_verifies(algorithm: str) -> None:
    """A new key of each algorithm verifies what it signed, and neither another message nor another key's signature."""
    key, other = Key.generate(algorithm, kid="new"), Key.generate(algorithm)
    signature = key.sign(b"message")
    assert (algorithm, "new", True, False) == (key.algorithm, key.kid, key.can_sign, key.is_symmetric)
    assert key._signature_length == len(signature)
    for verifier in (key, key.public(), Key.from_jwk(key.public_jwk())):
        assert True is verifier.verify(b"message", signature)
        assert False is verifier.verify(b"massage", signature)
    assert False is other.verify(b"message", signature)


@pytest.mark.parametrize("algorithm", [*PSS, *EDDSA])
def test_a_token_goes_from_key_to_key(algorithm: str) -> None:
    """What is minted with the private key is accepted with the public one, under the name that was configured."""
    key = Key.generate(algorithm)
    raw = create_access_token("alice", JWTConfig(signing_key=key))
    token = verify_token(raw, JWTConfig(verification_keys=[key.public()]))
    assert ("alice", algorithm) == (token.identity, token.headers["alg"])


# S31
@pytest.mark.parametrize(("signs", "verifies"), [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA"), ("PS256", "RS256")])
def test_one_key_has_one_name(signs: str, verifies: str) -> None:
    """The same key under another name is for another algorithm, though the mathematics would agree."""
    key = Key.generate(signs, kid="a")
    raw = create_access_token("alice", JWTConfig(signing_key=key))
    renamed = Key.from_jwk({**key.public_jwk(), "alg": verifies})
    with pytest.raises(AlgorithmRefusedError):
        verify_token(raw, JWTConfig(verification_keys=[renamed]))


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("fully_specified", [False, True])
def test_an_edwards_key_is_loaded(name: str, fully_specified: bool) -> None:
    """PEM and JWK, private and public, load as EdDSA unless the curve's own name is asked for."""
    private, size, length = CURVES[name]
    algorithm = name if fully_specified else None
    x, d = private.public_key().public_bytes_raw(), private.private_bytes_raw()
    jwk = {"kty": "OKP", "crv": name, "x": b64(x).decode()}
    loaded = [
        Key.from_pem(private.private_bytes(*PKCS8), algorithm),
        Key.from_pem(private.public_key().public_bytes(*SPKI), algorithm),
        Key.from_jwk(jwk, algorithm),
        Key.from_jwk({**jwk, "d": b64(d).decode()}, algorithm),
        Key.from_jwk({**jwk, "alg": name if fully_specified else "EdDSA"}),
    ]
    assert [True, False, False, True, False] == [key.can_sign for key in loaded]
    assert size == len(x)
    signature = loaded[0].sign(b"message")
    assert length == len(signature) == loaded[0]._signature_length
    for key in loaded:
        assert (algorithm or "EdDSA") == key.algorithm
        assert key.verify(b"message", signature)
        assert loaded[0].kid == key.kid
        assert {**jwk, "use": "sig", "kid": key.kid, "alg": key.algorithm} == key.public_jwk()


def test_the_thumbprint_of_an_edwards_key_is_that_of_rfc_8037() -> None:
    """The example of RFC 8037 appendix A has the thumbprint printed there as its kid."""
    key = Key.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    assert "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" == key.kid


@pytest.mark.parametrize("algorithm", PSS)
def test_an_rsa_key_can_be_bound_to_pss(algorithm: str, rsa_private: rsa.RSAPrivateKey) -> None:
    """PEM and JWK of RSA load for PSS when it is named, there or in the JWK."""
    signer = Key.from_pem(rsa_private.private_bytes(*PKCS8), algorithm)
    jwk = Key.from_pem(rsa_private.public_key().public_bytes(*SPKI)).public_jwk()
    for key in (signer, Key.from_jwk({**jwk, "alg": algorithm})):
        assert algorithm == key.algorithm
        assert key.verify(b"message", signer.sign(b"message"))


def test_a_pss_salt_has_the_length_of_the_hash(rsa_private: rsa.RSAPrivateKey) -> None:
    """A signature with a shorter or longer salt, or with another hash in its mask, is refused (RFC 7518 section 3.5)."""
    key = Key.from_pem(rsa_private.public_key().public_bytes(*SPKI), "PS256")
    sha = hashes.SHA256()
    verdicts = {}
    for salt in (0, 31, 32, 33, padding.PSS.MAX_LENGTH):
        signature = rsa_private.sign(b"message", padding.PSS(padding.MGF1(sha), salt), sha)
        verdicts[str(salt)] = key.verify(b"message", signature)
    other_mask = rsa_private.sign(b"message", padding.PSS(padding.MGF1(hashes.SHA1()), 32), sha)
    assert ["32"] == [salt for salt, verdict in verdicts.items() if verdict]
    assert False is key.verify(b"message", other_mask)
    assert False is key.verify(b"message", rsa_private.sign(b"message", padding.PKCS1v15(), sha))


def test_a_set_holds_every_kind() -> None:
    """A JWK Set with all kinds of public keys loads; key agreement curves are passed over."""
    keys = [Key.generate(algorithm, kid=algorithm) for algorithm in ("RS256", "PS256", "ES256", *EDDSA)]
    agreement = [{"kty": "OKP", "crv": crv, "x": "AA", "kid": crv} for crv in ("X25519", "X448")]
    loaded = KeySet.from_jwks({"keys": [*agreement, *(key.public_jwk() for key in keys)]})
    assert [key.kid for key in keys] == [key.kid for key in loaded]
    assert "Ed448" == loaded.find("Ed448", "Ed448").algorithm


# Refused for what they are --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"crv": "X25519"}, "not for signatures: its curve X25519 is for key agreement"),
        ({"crv": "Ed25518"}, "crv 'Ed25518'; supported are Ed25519, Ed448"),
        ({"crv": None}, "crv None"),
        ({"crv": "Ed448"}, "not a consistent key"),
        ({"x": "AA"}, "not a consistent key"),
        ({"x": None}, "'x' is missing"),
        ({"d": "AA"}, "not a consistent key"),
        ({"d": b64(bytes(32)).decode()}, "'d' and 'x' do not belong to one key"),
        ({"d": ""}, "'d' is missing"),
        ({"alg": "ES256"}, "algorithm 'ES256' does not go with this key; it can be EdDSA or Ed25519"),
        ({"alg": "Ed448"}, "algorithm 'Ed448' does not go with this key"),
        ({"use": "enc"}, "not for signatures"),
    ],
)
def test_an_okp_jwk_that_cannot_be_used_is_refused(members: dict[str, Any], match: str) -> None:
    """Unknown curves, wrong lengths, halves that do not match and foreign algorithms are refused with the reason."""
    # S34, S36
    jwk = {**Key.from_pem(CURVES["Ed25519"][0].public_key().public_bytes(*SPKI)).public_jwk()}
    del jwk["alg"]
    with pytest.raises(KeyConfigurationError, match=match):
        Key.from_jwk({**jwk, **members})


P25519 = 2**255 - 19
P448 = 2**448 - 2**224 - 1
ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
LOW_ORDER = [
    *(("Ed25519", y, 32) for y in (0, 1, P25519 - 1, ORDER_8, P25519 - ORDER_8, P25519, P25519 + 1)),
    *(("Ed448", y, 57) for y in (0, 1, P448 - 1)),
]


# S34
@pytest.mark.parametrize(("crv", "y", "size"), LOW_ORDER)
@pytest.mark.parametrize("sign", [0, 0x80])
def test_a_point_of_low_order_is_no_public_key(crv: str, y: int, size: int, sign: int) -> None:
    """The points under which signatures can be made without a private key are refused, in every encoding."""
    encoded = bytearray(y.to_bytes(size, "little"))
    encoded[-1] |= sign
    with pytest.raises(KeyConfigurationError, match=r"low order|consistent"):
        Key.from_jwk({"kty": "OKP", "crv": crv, "x": b64(bytes(encoded)).decode()})


def test_the_point_of_order_one_would_verify_anything() -> None:
    """What is refused above is no formality: the neutral point accepts one signature for every message."""
    neutral = ed25519.Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31))
    for message in (b"a", b"b"):
        neutral.verify(b"\x01" + bytes(63), message)


def test_the_points_of_order_eight_are_what_they_are_called() -> None:
    """The y coordinate in the list satisfies the curve equation for a point whose double has y = 0."""
    # Doubling on -x^2 + y^2 = 1 + d x^2 y^2 gives y' = (y^2 + x^2) / (2 - (y^2 - x^2)), so y' = 0 means x^2 = -y^2.
    d = -121665 * pow(121666, -1, P25519) % P25519
    for y in (ORDER_8, P25519 - ORDER_8):
        x_squared = (y * y - 1) * pow(d * y * y + 1, -1, P25519) % P25519
        assert -y * y % P25519 == x_squared


# S34
def test_a_modulus_of_the_faulty_generator_is_refused() -> None:
    """A modulus that is a power of 65537 modulo every small prime is refused, and one that is nearly so is not."""
    primes = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
    product = 2
    for prime in primes:
        product *= prime
    fingerprint = pow(65537, 12345, product)
    modulus = fingerprint + product * ((1 << 2047) // product + 1)
    jwk = {"kty": "RSA", "e": "AQAB", "n": _number(modulus)}
    with pytest.raises(KeyConfigurationError, match="CVE-2017-15361"):
        Key.from_jwk(jwk)
    # Three is no power of 65537 modulo 11 (1 and 10 are); all other residues, and being odd, stay as they were.
    other = product // 11
    shifted = modulus + other * next(n for n in range(11) if (modulus + other * n) % 11 == 3)
    while why_worthless(shifted) is not None:
        shifted += product
    assert "RS256" == Key.from_jwk({**jwk, "n": _number(shifted)}).algorithm


# S34
@pytest.mark.parametrize(
    ("e", "d"), [("AQ", "AQ"), ("AQAB", "_" * 341 + "w"), ("AQAB", "AQ"), ("AQAB", "AA"), ("AA", "AQAB")]
)
def test_a_private_exponent_of_another_key_is_refused(e: str, d: str) -> None:
    """Numbers that do not undo each other are refused before anybody looks for primes that are not there."""
    with pytest.raises(KeyConfigurationError, match="the RSA JWK is not a consistent key"):
        Key.from_jwk({"kty": "RSA", "n": "_" * 341 + "w", "e": e, "d": d})


# S34
def test_the_moduli_that_are_looked_at_are_prime() -> None:
    """The fingerprint of the faulty generator is taken modulo primes, each of them once."""
    primes = _material._ROCA_PRIMES
    assert len(primes) == len(set(primes))
    assert [] == [number for number in primes if any(number % divisor == 0 for divisor in range(2, number))]


# S34
def test_an_rsa_key_longer_than_openssl_can_use_is_refused() -> None:
    """A modulus beyond 16,384 bits could never verify anything."""
    with pytest.raises(KeyConfigurationError, match=r"16400 bits and needs at least 2048 .* at most 16384"):
        Key.from_jwk({"kty": "RSA", "e": "AQAB", "n": _number((1 << 16399) + 1)})
    assert "RS256" == Key.from_jwk({"kty": "RSA", "e": "AQAB", "n": _number((1 << 16383) + 9)}).algorithm


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()


# Exchanged with others ------------------------------------------------------------------------------------------------

EXCHANGED = ("HS256", "HS384", "HS512", "RS256", "RS512", *PSS, "ES256", "ES384", "ES512", *EDDSA)
ED448_AS_EDDSA = "EdDSA with Ed448"


def private_jwk(key: Key) -> dict[str, Any]:
    """The key as another library wants it: with its private members."""
    jwk = {"kid": key.kid, "alg": key.algorithm}
    if key.is_symmetric:
        return {**jwk, "kty": "oct", "k": b64(key._loaded).decode()}  # type: ignore[arg-type]
    private: Any = key._loaded
    members = key.public_jwk()
    if members["kty"] == "OKP":
        return {**members, **jwk, "d": b64(private.private_bytes_raw()).decode()}
    numbers = private.private_numbers()
    if members["kty"] == "EC":
        size = (private.curve.key_size + 7) // 8
        return {**members, **jwk, "d": b64(numbers.private_value.to_bytes(size, "big")).decode()}
    names = {"d": "d", "p": "p", "q": "q", "dp": "dmp1", "dq": "dmq1", "qi": "iqmp"}
    return {**members, **jwk, **{name: _number(getattr(numbers, attribute)) for name, attribute in names.items()}}


def pyjwt(jwk: dict[str, Any], claims: dict[str, Any], foreign: str) -> tuple[str, Any]:
    jwt = importlib.import_module("jwt")
    key = jwt.PyJWK(jwk)
    headers = {"kid": jwk["kid"]}
    verifier = key if jwk["kty"] == "oct" else jwt.PyJWK({name: jwk[name] for name in jwk if name in PUBLIC})
    return (
        jwt.encode(claims, key.key, algorithm=jwk["alg"], headers=headers),
        jwt.decode(foreign, verifier, algorithms=[jwk["alg"]], options={"verify_sub": True}),
    )


def joserfc(jwk: dict[str, Any], claims: dict[str, Any], foreign: str) -> tuple[str, Any]:
    jwk_module, jwt = importlib.import_module("joserfc.jwk"), importlib.import_module("joserfc.jwt")
    key = jwk_module.import_key(jwk)
    algorithms = [jwk["alg"]]
    return (
        jwt.encode({"alg": jwk["alg"], "kid": jwk["kid"]}, claims, key, algorithms=algorithms),
        jwt.decode(foreign, key, algorithms=algorithms).claims,
    )


def jwcrypto(jwk: dict[str, Any], claims: dict[str, Any], foreign: str) -> tuple[str, Any]:
    jwt, jwks = importlib.import_module("jwcrypto.jwt"), importlib.import_module("jwcrypto.jwk")
    key = jwks.JWK(**jwk)
    minted = jwt.JWT(header={"alg": jwk["alg"], "kid": jwk["kid"]}, claims=claims, algs=[jwk["alg"]])
    minted.make_signed_token(key)
    return minted.serialize(), json.loads(jwt.JWT(jwt=foreign, key=key, algs=[jwk["alg"]], expected_type="JWS").claims)


PUBLIC = frozenset({"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"})
NOT_OFFERED = {"PyJWT": ("Ed25519", "Ed448"), "joserfc": (ED448_AS_EDDSA,), "jwcrypto": ("Ed25519", "Ed448")}
OTHERS = {"PyJWT": ("jwt", pyjwt), "joserfc": ("joserfc", joserfc), "jwcrypto": ("jwcrypto", jwcrypto)}


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # joserfc's word; RFC 9864 gave the curves names of their own
@pytest.mark.parametrize("algorithm", [*EXCHANGED, ED448_AS_EDDSA])
@pytest.mark.parametrize("library", OTHERS)
def test_tokens_are_exchanged_both_ways(library: str, algorithm: str) -> None:
    """What another library signs with a key is accepted with that key here, and the reverse."""
    module, exchange = OTHERS[library]
    pytest.importorskip(module)
    if algorithm in NOT_OFFERED[library]:
        pytest.skip(f"{library} does not offer {algorithm}")
    if algorithm == ED448_AS_EDDSA:
        key = Key.from_pem(CURVES["Ed448"][0].private_bytes(*PKCS8), "EdDSA")
    else:
        key = Key.generate(algorithm)
    config = JWTConfig(signing_key=key)
    ours = create_access_token("alice", config, user_claims={"Grüße": ["𝄞", 1.5, None]})
    claims = {**verify_token(ours, config).claims, "sub": "bob", "iat": int(time.time())}
    theirs, read = exchange(private_jwk(key), claims, ours)
    assert "alice" == read["sub"]
    assert {"Grüße": ["𝄞", 1.5, None]} == read["user_claims"]
    verifier = config if key.is_symmetric else JWTConfig(verification_keys=[key.public()])
    assert ("bob", claims) == (verify_token(theirs, verifier).identity, verify_token(theirs, verifier).claims)
