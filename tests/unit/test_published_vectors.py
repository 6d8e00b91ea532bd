"""Vectors in a folder beside the clone, used where it is there: Project Wycheproof, and the cookbook of RFC 7520."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asgi_jwt_claims import Key, KeySet
from asgi_jwt_claims.errors import KeyConfigurationError
from asgi_jwt_claims.jose import algorithms as _jose
from asgi_jwt_claims.jose.compact import b64url_decode
from asgi_jwt_claims.tokens import verify_jws
from tests.forging import b64
from tests.framing import load_json, split_compact
from tests.support import ROOT

VECTORS = ROOT.parent / "shared" / "vectors"
HASHES = {"SHA-256": "256", "SHA-384": "384", "SHA-512": "512"}

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the published vectors are not at ../shared/vectors")


def groups_of(name: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = json.loads((VECTORS / "wycheproof" / f"{name}_test.json").read_bytes())["testGroups"]
    return groups


def wrong_verdicts(key: Key, group: dict[str, Any], signature: str = "sig") -> list[Any]:
    """The cases that the key decides otherwise than published; only "valid" is to be accepted."""
    return [
        (case["tcId"], case["comment"], case["result"])
        for case in group["tests"]
        if key.verify(bytes.fromhex(case["msg"]), bytes.fromhex(case[signature])) is not (case["result"] == "valid")
    ]


@pytest.mark.parametrize("size", ["256", "384", "512"])
def test_hmac_tags_are_decided_as_published(size: str) -> None:
    """Every full-length tag under a key of acceptable length is decided as published; shorter keys are refused."""
    judged = refused = 0
    for group in groups_of(f"hmac_sha{size}"):
        if group["tagSize"] != int(size):
            continue  # truncated tags are no JWS
        for case in group["tests"]:
            secret = bytes.fromhex(case["key"])
            if len(secret) * 8 < int(size):
                with pytest.raises(KeyConfigurationError, match="needs at least"):
                    Key.from_secret(secret, f"HS{size}")
                refused += 1
                continue
            assert [] == wrong_verdicts(Key.from_secret(secret, f"HS{size}"), {"tests": [case]}, "tag")
            judged += 1
    assert judged > 50
    assert refused > 0


# S34, S47, S48
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("secp256r1_sha256", "ES256"), ("secp384r1_sha384", "ES384"), ("secp521r1_sha512", "ES512")],
)
def test_ecdsa_signatures_are_decided_as_published(name: str, algorithm: str) -> None:
    """Every ECDSA signature in the form of RFC 7518 is decided as published, from PEM and from JWK."""
    judged = 0
    for group in groups_of(f"ecdsa_{name}_p1363"):
        keys = [Key.from_pem(group["publicKeyPem"])]
        if "publicKeyJwk" in group:
            keys.append(Key.from_jwk(group["publicKeyJwk"]))
        for key in keys:
            assert algorithm == key.algorithm
            assert [] == wrong_verdicts(key, group)
            judged += len(group["tests"])
    assert judged > 200


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", ["2048_sha256", "2048_sha384", "2048_sha512", "3072_sha256", "3072_sha384", "4096_sha512"]
)
def test_rsa_signatures_are_decided_as_published(name: str) -> None:
    """Every PKCS#1 v1.5 signature is decided as published; what is merely "acceptable" is rejected."""
    judged = 0
    for group in groups_of(f"rsa_signature_{name}"):
        key = Key.from_pem(group["publicKeyPem"], f"RS{HASHES[group['sha']]}")
        assert [] == wrong_verdicts(key, group)
        judged += len(group["tests"])
    assert judged > 200


# S34
@pytest.mark.thorough
@pytest.mark.parametrize(
    "name",
    [
        "2048_sha256_mgf1_32",
        "2048_sha384_mgf1_48",
        "3072_sha256_mgf1_32",
        "4096_sha256_mgf1_32",
        "4096_sha384_mgf1_48",
        "4096_sha512_mgf1_64",
    ],
)
def test_rsa_pss_signatures_are_decided_as_published(name: str) -> None:
    """Every RSASSA-PSS signature with a salt as long as the hash is decided as published."""
    judged = 0
    for group in groups_of(f"rsa_pss_{name}"):
        key = Key.from_pem(group["publicKeyPem"], f"PS{HASHES[group['sha']]}")
        assert [] == wrong_verdicts(key, group)
        judged += len(group["tests"])
    assert judged > 100


@pytest.mark.parametrize(("name", "least"), [("Ed25519", 150), ("Ed448", 80)])
def test_eddsa_signatures_are_decided_as_published(name: str, least: int) -> None:
    """Every EdDSA signature is decided as published, from PEM and from JWK, under either name."""
    judged = 0
    for group in groups_of(name.lower()):
        for key in (Key.from_pem(group["publicKeyPem"]), Key.from_jwk(group["publicKeyJwk"], name)):
            assert [] == wrong_verdicts(key, group)
        judged += len(group["tests"])
    assert judged > least


def test_every_applicable_vector_is_judged() -> None:
    """The files hold 3,697 cases beside truncated tags; HMAC keys too short to be loaded are decided rightly as well."""
    cases = wrong = 0
    for path in sorted((VECTORS / "wycheproof").glob("*_test.json")):
        for group in json.loads(path.read_bytes())["testGroups"]:
            if not path.name.startswith("hmac"):
                cases += len(group["tests"])
            elif group["tagSize"] == int(path.name[8:11]):
                for case in group["tests"]:
                    primitive = _jose.build(bytes.fromhex(case["key"]), f"HS{group['tagSize']}")
                    verdict = primitive.verify(bytes.fromhex(case["msg"]), bytes.fromhex(case["tag"]))
                    wrong += verdict is not (case["result"] == "valid")
                    cases += 1
    assert (3697, 0) == (cases, wrong)


COOKBOOK = {
    "RS256": "jws/4_1.rsa_v15_signature",
    "PS384": "jws/4_2.rsa-pss_signature",
    "ES512": "jws/4_3.ecdsa_signature",
    "HS256": "jws/4_4.hmac-sha2_integrity_protection",
    "EdDSA": "curve25519/jws",
}


@pytest.mark.parametrize("algorithm", COOKBOOK)
def test_the_examples_of_rfc_7520_and_8037_verify(algorithm: str) -> None:
    """The compact JWS of the cookbook is framed, says its algorithm, and verifies with its key and no other bytes."""
    example = json.loads((VECTORS / "cookbook" / f"{COOKBOOK[algorithm]}.json").read_bytes())
    key = Key.from_jwk(example["input"]["key"], algorithm)
    framed = split_compact(example["output"]["compact"], 8192)
    header = json.loads(b64url_decode(framed.header))
    assert algorithm == key.algorithm == header["alg"]
    assert example["input"]["key"].get("kid") == header.get("kid")
    assert load_json(b64url_decode(framed.header)) == example["signing"]["protected"]
    assert example["input"]["payload"] == framed.payload.decode()
    assert (header, framed.payload) == verify_jws(example["output"]["compact"], KeySet([key]))
    assert key.verify(framed.signing_input, framed.signature)
    assert not key.verify(framed.signing_input + b"A", framed.signature)
    if example.get("reproducible"):
        assert framed.signature == key.sign(framed.signing_input)


@pytest.mark.parametrize(
    "name", ["3_1.ec_public_key", "3_2.ec_private_key", "3_3.rsa_public_key", "3_4.rsa_private_key"]
)
def test_the_keys_of_rfc_7520_load(name: str) -> None:
    """The cookbook's keys load, and what is published of them is their public half."""
    jwk = json.loads((VECTORS / "cookbook" / "jwk" / f"{name}.json").read_bytes())
    key = Key.from_jwk(jwk)
    assert ("private" in name) is key.can_sign
    published = key.public_jwk()
    assert {member: jwk[member] for member in published if member in jwk} == {
        member: published[member] for member in published if member in jwk
    }
    assert "d" not in published


def test_the_secret_of_rfc_7520_loads() -> None:
    """The cookbook's MAC key signs with HS256."""
    jwk = json.loads((VECTORS / "cookbook" / "jwk" / "3_5.symmetric_key_mac_computation.json").read_bytes())
    key = Key.from_jwk(jwk)
    assert ("HS256", jwk["kid"]) == (key.algorithm, key.kid)
    assert b64(key._loaded).decode() == jwk["k"]  # type: ignore[arg-type]
