"""What NIST and the RFCs have published, judged by our keys: out of a package, and out of `figures`."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from asgi_jwt_claims import Key, KeySet
from asgi_jwt_claims.errors import KeyConfigurationError
from asgi_jwt_claims.tokens import verify_jws
from tests.forging import b64
from tests.framing import load_segment, split_compact
from tests.unit.figures import FIGURES, THUMBPRINT

VECTORS = Path(cryptography_vectors.__file__).parent
RSA = "asymmetric/RSA/FIPS_186-2"
CURVES = {"P-256,SHA-256": "ES256", "P-384,SHA-384": "ES384", "P-521,SHA-512": "ES512"}
MIN_BITS = 2048
REPRODUCIBLE = ("HS256", "RS256", "EdDSA")  # of the algorithms in `figures`


@functools.cache
def cases_of(name: str, last: str) -> list[dict[str, str]]:
    """The cases of a file of `name = value` lines, each of which ends with the line `last`.

    Headings in brackets, and what stands above the first of several cases, apply to all that follow.
    """
    cases = []
    values: dict[str, str] = {}
    for line in (VECTORS / name).read_text().splitlines():
        if line.startswith("["):
            values = {"section": line.strip("[] ")}
        elif match := re.match(r"(\w+) ?= ?(.*)", line):
            values[match[1]] = match[2].strip()
            if match[1] == last:
                cases.append(dict(values))
    return cases


def encoded(number: str, size: int | None = None) -> str:
    """A hexadecimal number as base64url, in as many bytes as it needs unless told."""
    value = int(number, 16)
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big")).decode()


@functools.cache
def rsa_key(modulus: str, exponent: str, algorithm: str) -> Key:
    return Key.from_jwk({"kty": "RSA", "n": encoded(modulus), "e": encoded(exponent)}, algorithm)


def rsa_cases(name: str, last: str, family: str) -> list[tuple[Key, dict[str, str]]]:
    """The cases for SHA-256 and longer hashes with moduli that our keys take; the others are refused."""
    judged = []
    refused = set()
    for case in cases_of(f"{RSA}/{name}", last):
        size = case["SHAAlg"][3:]
        if size not in {"256", "384", "512"}:
            continue
        if int(case["section"].removeprefix("mod = ")) >= MIN_BITS:
            judged.append((rsa_key(case["n"], case["e"], f"{family}{size}"), case))
        elif case["n"] not in refused:
            refused.add(case["n"])
            with pytest.raises(KeyConfigurationError, match="needs at least 2048"):
                rsa_key(case["n"], case["e"], f"{family}{size}")
    assert len(refused) >= 2
    return judged


def is_right(key: Key, case: dict[str, str], *, valid: bool) -> bool:
    return valid is key.verify(bytes.fromhex(case["Msg"]), bytes.fromhex(case["S"]))


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "last", "least"), [("SigGen15", "S", 90), ("SigVer15", "Result", 162)])
def test_rsa_signatures_are_decided_as_published(name: str, last: str, least: int) -> None:
    """Every PKCS#1 v1.5 signature of FIPS 186-3 is decided as published; keys below 2,048 bits do not load."""
    cases = rsa_cases(f"{name}_186-3.rsp", last, "RS")
    assert [] == [case for key, case in cases if not is_right(key, case, valid=case.get("Result", "P") == "P")]
    assert len(cases) >= least


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "last", "salt", "least"), [("SigGenPSS", "S", 0, 90), ("SigVerPSS", "Result", 10, 162)]
)
def test_rsa_pss_signatures_with_another_salt_are_rejected(name: str, last: str, salt: int, least: int) -> None:
    """No RSASSA-PSS signature of FIPS 186-3 is accepted, since no salt in these files is as long as the hash."""
    cases = rsa_cases(f"{name}_186-3.rsp", last, "PS")
    assert [] == [case for key, case in cases if not is_right(key, case, valid=False)]
    assert len(cases) >= least
    # That it is the salt: with this one they are valid.
    right = [(key, case) for key, case in cases if case.get("Result", "P") == "P"][::5]
    for key, case in right:
        hashed = getattr(hashes, case["SHAAlg"])()
        pss = padding.PSS(padding.MGF1(hashed), salt)
        public: Any = key._loaded
        public.verify(bytes.fromhex(case["S"]), bytes.fromhex(case["Msg"]), pss, hashed)
    assert len(right) >= 5


def ec_jwk(case: dict[str, str]) -> dict[str, str]:
    curve = case["section"][:5]
    size = (int(curve[2:]) + 7) // 8
    return {"kty": "EC", "crv": curve, "x": encoded(case["Qx"], size), "y": encoded(case["Qy"], size)}


@pytest.mark.parametrize("section", CURVES)
@pytest.mark.parametrize("name", ["SigGen.txt", "SigVer.rsp"])
def test_ecdsa_signatures_are_decided_as_published(name: str, section: str) -> None:
    """Every ECDSA signature of FIPS 186-3, as r and s side by side, is decided as published for the curve's hash."""
    last = {"SigGen.txt": "S", "SigVer.rsp": "Result"}[name]
    wrong = judged = 0
    for case in cases_of(f"asymmetric/ECDSA/FIPS_186-3/{name}", last):
        if case["section"] == section:
            key = Key.from_jwk(ec_jwk(case))
            assert CURVES[section] == key.algorithm
            size = key._signature_length // 2
            signature = b"".join(int(case[half], 16).to_bytes(size, "big") for half in ("R", "S"))
            verdict = key.verify(bytes.fromhex(case["Msg"]), signature)
            wrong += verdict is not case.get("Result", "P").startswith("P")
            judged += 1
    assert 0 == wrong
    assert judged >= 15


@pytest.mark.parametrize("name", ["P-192", "P-224"])
def test_other_curves_are_refused(name: str) -> None:
    """A key of FIPS 186-3 on a curve that JWS does not have is refused when it is loaded."""
    case = next(case for case in cases_of("asymmetric/ECDSA/FIPS_186-3/SigGen.txt", "S") if name in case["section"])
    with pytest.raises(KeyConfigurationError, match="supported are P-256, P-384, P-521"):
        Key.from_jwk(ec_jwk(case))


@pytest.mark.parametrize("section", CURVES)
def test_deterministic_ecdsa_signatures_verify(section: str) -> None:
    """The signatures of RFC 6979 verify for the PEM keys beside them, and the changed ones do not."""
    path = VECTORS / "asymmetric/ECDSA/RFC6979/evppkey_ecdsa_rfc6979.txt"
    if not path.is_file():
        pytest.skip("this version of cryptography_vectors has no RFC 6979")
    curve, size = section.split(",SHA-")
    text = path.read_text()
    pem = re.search(rf"PublicKey ?= ?{curve}_PUB\n(-+BEGIN.+?-+END PUBLIC KEY-+\n)", text, re.DOTALL)
    assert pem
    key = Key.from_pem(pem[1])
    assert CURVES[section] == key.algorithm
    verify = rf'DigestVerify = SHA{size}\nKey = {curve}_PUB\nInput = "(\w+)"\nOutput = (\w+)\n(Result = VERIFY_ERROR)?'
    judged = 0
    for message, signature, fails in re.findall(verify, text):
        halves = decode_dss_signature(bytes.fromhex(signature))
        raw = b"".join(half.to_bytes(key._signature_length // 2, "big") for half in halves)
        assert (not fails) is key.verify(message.encode(), raw)
        judged += 1
    assert judged >= 4


def check_eddsa(curve: str, secret: bytes, public: bytes, message: bytes, signature: bytes) -> None:
    """The private key makes this signature; the public one accepts it, and not for a longer message."""
    jwk = {"kty": "OKP", "crv": curve, "x": b64(public).decode()}
    assert signature == Key.from_jwk({**jwk, "d": b64(secret).decode()}, curve).sign(message)
    key = Key.from_jwk(jwk)
    assert key.verify(message, signature)
    assert not key.verify(message + b"\x00", signature)


def test_ed25519_signatures_are_made_as_published() -> None:
    """Every eighth case of the authors of Ed25519 is signed as published, and verifies."""
    lines = (VECTORS / "asymmetric/Ed25519/sign.input").read_text().splitlines()[::8]
    for line in lines:
        secret, public, message, signed = map(bytes.fromhex, line.split(":")[:4])
        check_eddsa("Ed25519", secret[:32], public, message, signed[:64])
    assert len(lines) >= 128


def test_ed448_signatures_are_made_as_published() -> None:
    """Every case of RFC 8032 section 7.4 is signed as published; with a context, which JWS has not, it is rejected."""
    with_context = judged = 0
    text = (VECTORS / "asymmetric/Ed448/rfc8032.txt").read_text()
    for block in text.split("COUNT = ")[1:]:
        case = dict(re.findall(r"(\w+) =[ ]?(\w*)", block))
        values = [bytes.fromhex(case[name]) for name in ("SECRET", "PUBLIC", "MESSAGE", "SIGNATURE")]
        if "CONTEXT" in case:
            key = Key.from_jwk({"kty": "OKP", "crv": "Ed448", "x": b64(values[1]).decode()})
            assert not key.verify(values[2], values[3])
            with_context += 1
        else:
            check_eddsa("Ed448", *values)
            judged += 1
    assert with_context >= 1
    assert judged >= 8


@pytest.mark.parametrize("size", ["256", "384", "512"])
def test_hmac_tags_are_made_as_published(size: str) -> None:
    """The tags of RFC 4231 are made and accepted under keys as long as the hash; shorter keys are refused."""
    judged = refused = 0
    for case in cases_of(f"HMAC/rfc-4231-sha{size}.txt", "MD"):
        secret, message, tag = (bytes.fromhex(case[name]) for name in ("Key", "Msg", "MD"))
        if len(secret) * 8 < int(size):
            with pytest.raises(KeyConfigurationError, match="needs at least"):
                Key.from_secret(secret, f"HS{size}")
            refused += 1
            continue
        key = Key.from_secret(secret, f"HS{size}")
        assert tag == key.sign(message)
        assert key.verify(message, tag)
        assert not key.verify(message, tag[:-1])
        judged += 1
    assert judged >= 2
    assert refused >= 4


def changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("section", FIGURES)
def test_the_examples_of_the_rfcs_verify(section: str) -> None:
    """A printed token is framed, names its algorithm, verifies by its key, and is signed again alike where it can be."""
    figure = FIGURES[section]
    key = Key.from_jwk(figure.jwk, figure.algorithm)
    framed = split_compact(figure.compact, 8192)
    header = load_segment(framed.header)
    assert figure.algorithm == header["alg"] == key.algorithm
    assert figure.jwk.get("kid") == header.get("kid")
    assert (header, framed.payload) == verify_jws(figure.compact, KeySet([key]))
    assert key.verify(framed.signing_input, framed.signature)
    if figure.algorithm in REPRODUCIBLE:
        assert framed.signature == key.sign(framed.signing_input)
    else:
        assert key.verify(framed.signing_input, key.sign(framed.signing_input))


@pytest.mark.parametrize("section", FIGURES)
def test_a_changed_example_is_rejected(section: str) -> None:
    """A printed token does not verify once a bit changes at either end or in the middle of signature or payload."""
    figure = FIGURES[section]
    key = Key.from_jwk(figure.jwk, figure.algorithm)
    _, payload, signature, signing_input = split_compact(figure.compact, 8192)
    head = signing_input.partition(b".")[0]
    for place in (0, len(signature) // 2, len(signature) - 1):
        assert not key.verify(signing_input, changed(signature, place))
    for place in (0, len(payload) // 2, len(payload) - 1):
        assert not key.verify(head + b"." + b64(changed(payload, place)), signature)


def test_the_examples_are_whole() -> None:
    """The nine tokens hold the payloads that the RFCs print beside them."""
    payloads = [split_compact(figure.compact, 8192).payload for figure in FIGURES.values()]
    assert [b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'] * 3 == payloads[:3]
    assert [b"Payload", b"Example of Ed25519 signing"] == [payloads[3], payloads[8]]
    frodo = "It\u2019s a dangerous business, Frodo, going out your door."
    assert all(payload.decode().startswith(frodo) for payload in payloads[4:8])


def test_the_thumbprint_of_rfc_8037() -> None:
    """The key of RFC 8037 appendix A.1 is named by the thumbprint of appendix A.3 (RFC 7638)."""
    assert THUMBPRINT == Key.from_jwk(FIGURES["RFC 8037 A.4"].jwk).kid
