"""Whatever the keys: each is refused or works, a token opens with its own and no other, and nothing foreign escapes."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, Key, KeySet, create_access_token, verify_token
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    InvalidSignatureError,
    KeyConfigurationError,
    TokenError,
    UnknownKeyError,
)
from tests.conftest import HeldClock
from tests.forging import CLAIMS, b64
from tests.keys import make_key, make_public_key
from tests.unit.test_fuzz_core import JSON, TEXT

ALGORITHMS = tuple(f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512))
ALGORITHMS += ("EdDSA", "Ed25519", "Ed448")


@functools.cache
def key_for(algorithm: str, number: int) -> Key:
    """One of the two keys for an algorithm, made by the first test that draws it, since loading one for RSA takes long."""
    return make_key(algorithm, number=number)


def signed(key: Key, header: dict[str, Any]) -> str:
    signing_input = b64(json.dumps(header).encode()) + b"." + b64(json.dumps(CLAIMS).encode())
    return (signing_input + b"." + b64(key.sign(signing_input))).decode()


def public(key: Key) -> Key:
    return key if key.is_symmetric else key.public()


# Which key a token opens with -----------------------------------------------------------------------------------------


@given(st.sampled_from(ALGORITHMS), st.sampled_from(ALGORITHMS), st.booleans())
def test_a_key_verifies_what_it_signed_and_nothing_else(signer: str, verifier: str, other: bool) -> None:
    """Of all pairs of keys and algorithms, only a key's own tokens are accepted."""
    # S30, S31, S32
    signing, verifying = key_for(signer, 0), key_for(verifier, int(other))
    config = JWTConfig(verification_keys=[public(verifying)], clock=HeldClock())
    raw = signed(signing, {"alg": signer})
    if signing is verifying:
        assert CLAIMS == verify_token(raw, config).claims
        return
    expected = InvalidSignatureError if signer == verifier else AlgorithmRefusedError
    with pytest.raises(expected):
        verify_token(raw, config)
    with pytest.raises(InvalidSignatureError):
        verify_token(signed(signing, {"alg": verifier}), config)


SECRETS = [Key.from_secret(bytes([place]) * 31 + bytes(range(64)), f"HS{bits}", kid=f"{place}-{bits}")
           for place in range(3) for bits in (256, 384, 512)]  # fmt: skip


@given(
    st.lists(st.sampled_from(SECRETS), min_size=1, unique_by=lambda key: key.kid),
    st.sampled_from(SECRETS),
    st.none() | st.sampled_from([*(key.kid for key in SECRETS), "nobody"]),
    st.none() | st.sampled_from(["HS256", "HS384", "HS512"]),
)
def test_a_token_opens_with_the_one_key_that_is_meant(
    keys: list[Key], signer: Key, kid: str | None, algorithm: str | None
) -> None:
    """With any number of keys: the named one, or the only one of the algorithm, and only if it is the signer."""
    # S38
    algorithm = algorithm or signer.algorithm
    config = JWTConfig(verification_keys=keys, clock=HeldClock())
    raw = signed(signer, {"alg": algorithm} | ({} if kid is None else {"kid": kid}))
    meant = [key for key in keys if key.kid == kid] if kid is not None else keys
    candidates = [key for key in meant if key.algorithm == algorithm]
    if [signer] == candidates:
        assert CLAIMS == verify_token(raw, config).claims
        return
    expected: type[TokenError] = InvalidSignatureError
    if not meant or len(candidates) > 1:
        expected = UnknownKeyError
    elif not candidates:
        expected = AlgorithmRefusedError
    with pytest.raises(expected):
        verify_token(raw, config)


@given(st.lists(st.sampled_from(SECRETS), min_size=1, unique_by=lambda key: key.kid), st.randoms(use_true_random=False))
def test_the_order_of_keys_means_nothing(keys: list[Key], order: Any) -> None:
    """Every key of a set verifies what it signed, wherever it stands."""
    shuffled = [*keys]
    order.shuffle(shuffled)
    for key in keys:
        raw = create_access_token("alice", JWTConfig(signing_key=key, clock=HeldClock()))
        config = JWTConfig(verification_keys=KeySet(shuffled), clock=HeldClock())
        assert "alice" == verify_token(raw, config).identity
        assert {"alg": key.algorithm, "typ": "JWT", "kid": key.kid} == verify_token(raw, config).headers


# What may be a key ----------------------------------------------------------------------------------------------------

MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "kty": st.sampled_from(["oct", "RSA", "EC", "OKP", "rsa", ""]) | JSON,
    "crv": st.sampled_from(["P-256", "P-384", "P-521", "Ed25519", "Ed448", "X25519", "secp256k1"]) | JSON,
    "alg": st.sampled_from([*ALGORITHMS, "none", "RSA-OAEP"]) | JSON,
    "use": st.sampled_from(["sig", "enc"]) | JSON,
    "key_ops": st.lists(st.sampled_from(["sign", "verify", "encrypt"]), max_size=3) | JSON,
    "kid": TEXT | JSON,
    "e": st.sampled_from(["AQAB", "Aw", "AQ", "Ag", "AA", ""]) | JSON,
    **{name: st.binary(max_size=70).map(lambda data: b64(data).decode()) | JSON for name in ("k", "n", "x", "y", "d")},
    **{name: st.binary(max_size=40).map(lambda data: b64(data).decode()) for name in ("p", "q", "dp", "dq", "qi")},
}
PUBLIC_JWKS = [make_public_key(algorithm).public_jwk() for algorithm in ALGORITHMS if algorithm[:2] != "HS"]
JWKS = st.fixed_dictionaries({}, optional=MEMBERS) | st.builds(
    lambda jwk, changes: {**jwk, **changes}, st.sampled_from(PUBLIC_JWKS), st.fixed_dictionaries({}, optional=MEMBERS)
)


def loaded(load: Any, *arguments: Any) -> Any:
    try:
        return load(*arguments)
    except KeyConfigurationError as error:
        reason = str(error)
    assert reason
    return None


# S34, S35, S36
@given(JWKS, st.none() | st.sampled_from([*ALGORITHMS, "none"]) | TEXT.filter(bool))
@example({"kty": "oct", "k": "A" * 43, "key_ops": [["verify"]]}, None)
@example({"kty": ["oct"], "k": "A" * 43}, None)
@example({"kty": "EC", "crv": {"P-256": 1}}, None)
def test_any_jwk_is_a_key_or_refused(jwk: dict[str, Any], algorithm: str | None) -> None:
    """A JWK with any members is refused as a configuration error, as mapping and as text alike, or it is a key."""
    key, again = loaded(Key.from_jwk, jwk, algorithm), loaded(Key.from_jwk, json.dumps(jwk), algorithm)
    assert (key is None) is (again is None)
    if key is None:
        return
    assert (key.kid, key.algorithm, key.can_sign) == (again.kid, again.algorithm, again.can_sign)
    assert (jwk.get("alg") if algorithm is None else algorithm) in (None, key.algorithm)
    assert jwk.get("kid", key.kid) in {key.kid, None}
    assert False is key.verify(b"message", bytes(key._signature_length))
    if key.can_sign:
        assert True is key.verify(b"message", key.sign(b"message"))


@given(st.lists(JWKS | JSON, max_size=4) | JSON)
@example([1])
@example([PUBLIC_JWKS[0], PUBLIC_JWKS[0]])
def test_any_jwk_set_is_a_key_set_or_refused(keys: Any) -> None:
    """A JWK Set with anything in it is refused as a configuration error, or it holds keys of one kind only."""
    # S33, S36
    for document in ({"keys": keys}, json.dumps({"keys": keys}), keys):
        key_set = loaded(KeySet.from_jwks, document)
        if key_set is not None:
            assert 1 == len({key.is_symmetric for key in key_set})
            assert not any(key.can_sign and not key.is_symmetric for key in key_set)


# S28
@given(
    st.binary(max_size=200)
    | st.text(max_size=200)
    | st.builds(
        lambda label, body, end: f"-----BEGIN {label}-----\n{body}\n-----END {end}-----\n",
        st.sampled_from(["PUBLIC KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "CERTIFICATE", ""]),
        st.text("ABCMIIz019+/=\n", max_size=120),
        st.sampled_from(["PUBLIC KEY", "PRIVATE KEY", "CERTIFICATE"]),
    ),
    st.none() | st.sampled_from(ALGORITHMS),
)
def test_any_text_is_a_key_or_refused(text: Any, algorithm: str | None) -> None:
    """Any text as PEM, as a JWK, as a JWK Set and as a secret is refused as a configuration error, or it is a key."""
    assert loaded(Key.from_pem, text, algorithm) is None
    for load in (Key.from_jwk, Key.from_secret):
        key = loaded(load, text, algorithm or "HS256")
        assert key is None or (key.can_sign and key.verify(b"message", key.sign(b"message")))
    loaded(KeySet.from_jwks, text)


# S32
@given(
    st.sampled_from([json.dumps(jwk) for jwk in PUBLIC_JWKS] + [json.dumps({"keys": PUBLIC_JWKS})]),
    st.text(" \t\r\n\ufeff\x00", max_size=5),
    st.text(" \t\r\n\x00", max_size=5),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16"]),
)
def test_no_public_key_is_a_secret(text: str, before: str, after: str, encoding: str) -> None:
    """The text of a public key is refused as a secret, with anything around it and in any encoding of it."""
    secret = (before + text + after).encode(encoding)
    with pytest.raises(KeyConfigurationError, match="everyone who knows the public key could then sign"):
        Key.from_secret(secret)
