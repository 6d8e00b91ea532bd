"""One test per published root cause that broke a JWT library, and could have broken this one."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives import serialization

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    KeySet,
    TokenError,
    create_access_token,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    BoundTokenError,
    EncryptedTokenError,
    InvalidClaimError,
    InvalidHeaderError,
    InvalidSignatureError,
    InvalidTokenError,
    KeyConfigurationError,
    MalformedTokenError,
    SettingError,
    TokenTooLargeError,
    UnknownKeyError,
    WrongAudienceError,
    WrongIssuerError,
)
from asgi_jwt_claims.jwks import RemoteKeySet
from tests.conftest import NOW, HeldClock
from tests.forging import CLAIMS, HEADER, b64, forge, sealed
from tests.framing import load_json
from tests.support import SECRET
from tests.unit.jwks.provider import AUDIENCE, Provider, unknown_token, verifier

PAYLOAD = json.dumps(CLAIMS).encode()


@pytest.fixture
def public_forms(rsa_key: Key) -> dict[str, bytes]:
    """A public key in every form in which somebody may have taken it for a secret."""
    public: Any = rsa_key.public()._loaded
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = public.public_bytes(serialization.Encoding.PEM, spki)
    der: bytes = public.public_bytes(serialization.Encoding.DER, spki)
    pkcs1 = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    jwk = json.dumps(rsa_key.public_jwk()).encode()
    return {
        "PEM": pem,
        "PEM without final newline": pem.strip(),
        "PEM after white space": b"\n  " + pem,
        "PEM on one line": pem.replace(b"\n", b" "),
        "OpenSSH": public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH),
        "DER": der,
        "PKCS#1 DER": pkcs1,
        "base64 DER": base64.b64encode(der),
        "JWK text": jwk,
        "JWK Set text": b'{"keys":[' + jwk + b"]}",
    }


# S32
@pytest.mark.parametrize(
    "form",
    [
        *("PEM", "PEM without final newline", "PEM after white space", "PEM on one line", "OpenSSH"),
        *("DER", "PKCS#1 DER", "base64 DER", "JWK text", "JWK Set text"),
    ],
)
def test_public_key_as_hmac_secret(form: str, public_forms: dict[str, bytes], rsa_key: Key, clock: HeldClock) -> None:
    """A public key in no form verifies HS256 tokens: not as a secret, and not where RS256 is expected.

    2022-29217 (PyJWT), 2024-33663 with its DER bypass (python-jose), 2026-34950 (fast-jwt), 2026-48526 (PyJWT),
    2024-37568 (authlib).
    """
    secret = public_forms[form]
    with pytest.raises(KeyConfigurationError):
        JWTConfig(secret_key=secret, clock=clock)
    with pytest.raises(KeyConfigurationError):
        Key.from_jwk({"kty": "oct", "k": b64(secret).decode(), "alg": "HS256"})
    config = JWTConfig(verification_keys=[rsa_key.public()], clock=clock)
    for header in ({}, {"kid": rsa_key.kid}):
        with pytest.raises(AlgorithmRefusedError):
            verify_token(forge(header=header, secret=secret), config)


# S31
def test_algorithm_taken_from_the_header(rsa_key: Key, clock: HeldClock) -> None:
    """A key without an algorithm of its own gets one from its kind, never from the token's header.

    2026-22817 and 2026-22818 (Hono), 2026-11800 (Keycloak).
    """
    jwk = {name: value for name, value in rsa_key.public_jwk().items() if name in ("kty", "n", "e")}
    config = JWTConfig(verification_keys=KeySet.from_jwks({"keys": [jwk]}), clock=clock)
    minter = JWTConfig(signing_key=rsa_key, clock=clock)
    assert "alice" == verify_token(create_access_token("alice", minter), config).identity
    for alg in ("HS256", "RS384", "RS512", "PS256", "ES256", "none"):
        with pytest.raises(AlgorithmRefusedError):
            verify_token(forge(header={"alg": alg, "kid": rsa_key.kid}), config)


# S30
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "noNE"])
@pytest.mark.parametrize("signature", ["", "AA", "e30"])
def test_unsigned_tokens(alg: str, signature: str, config: JWTConfig) -> None:
    """A token with `none` in any letter case, with or without a signature, is refused.

    2025-61152 (python-jose, disputed), 2026-28802 (authlib).
    """
    raw = f"{b64(json.dumps({'alg': alg}).encode()).decode()}.{b64(PAYLOAD).decode()}.{signature}"
    with pytest.raises(AlgorithmRefusedError if signature else MalformedTokenError):
        verify_token(raw, config)


# S30
def test_the_operator_cannot_ask_for_unsigned_tokens() -> None:
    """No key and no configuration can be bound to `none`."""
    for make in (
        lambda: JWTConfig(secret_key=SECRET, algorithm="none"),
        lambda: Key.from_secret(SECRET, "none"),
        lambda: Key.generate("none"),
        lambda: Key.from_jwk({"kty": "oct", "k": b64(SECRET.encode()).decode(), "alg": "none"}),
    ):
        with pytest.raises(KeyConfigurationError):
            make()


# S39
def test_key_from_the_header(config: JWTConfig, rsa_key: Key) -> None:
    """A token signed with the key that its own header brings or names is refused: the key is not used.

    2026-27962 (authlib), 2024-21643 (Microsoft IdentityModel, `jku`).
    """
    mallory = "mallory's very own secret, 32 bytes and more"
    jwk = {"kty": "oct", "k": b64(mallory.encode()).decode(), "kid": "mallory"}
    for header in (
        {"jwk": jwk},
        {"jwk": jwk, "kid": "mallory"},
        {"jwk": rsa_key.public_jwk(), "alg": "RS256"},
        {"jku": "https://mallory.example/jwks.json"},
        {"x5u": "https://mallory.example/cert.pem"},
        {"x5c": ["MIIB"]},
    ):
        with pytest.raises(InvalidHeaderError if "jwk" in header else InvalidSignatureError):
            verify_token(forge(header=header, secret=mallory), config)


# S40
@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["https://a.example/policy"], [], ["x", "x"], "exp", {}, None])
def test_critical_extensions_ignored(crit: Any, config: JWTConfig) -> None:
    """A token that says it must be understood is refused, since nothing of it is.

    2026-32597 (PyJWT), 2025-59420 (authlib), 2026-35042 (fast-jwt).
    """
    with pytest.raises(InvalidHeaderError):
        verify_token(forge(header={"crit": crit, "https://a.example/policy": "deny"}), config)


# S33
@pytest.mark.parametrize("secret", ["", b"", "x", "secret", "a" * 31])
def test_empty_or_short_secret(secret: str | bytes) -> None:
    """An empty or short secret makes no configuration.

    2026-44351 (fast-jwt), 2026-45363 (ruby-jwt).
    """
    with pytest.raises(KeyConfigurationError, match="needs at least 32"):
        JWTConfig(secret_key=secret)
    with pytest.raises(KeyConfigurationError):
        JWTConfig.from_env(environ={"JWT_SECRET_KEY": secret.decode() if isinstance(secret, bytes) else secret})


# S55
@pytest.mark.parametrize("issuer", ["https://a", "acc", "https://accounts.example.evil", "", "example"])
def test_issuer_by_containment(issuer: str, config: JWTConfig) -> None:
    """A part of the expected issuer, or something around it, is another issuer.

    2024-53861 (PyJWT).
    """
    config = config.replace(issuer="https://accounts.example")
    with pytest.raises(WrongIssuerError if issuer else InvalidClaimError):
        verify_token(forge({"iss": issuer}), config)


# S55
def test_issuer_as_a_list(config: JWTConfig) -> None:
    """An array that holds the expected issuer is refused, also where the setting is a list of the issuer's names.

    2025-30144 (fast-jwt).
    """
    expected = "https://accounts.example"
    with pytest.raises(InvalidClaimError):
        verify_token(forge({"iss": ["https://evil.example", expected]}), config.replace(issuer=expected))
    with pytest.raises(InvalidClaimError):
        verify_token(forge({"iss": ["https://evil.example", expected]}), config.replace(issuer=[expected]))


# S56
def test_audience_by_containment(config: JWTConfig) -> None:
    """A part of an audience's name is another audience."""
    for audience in ("ap", "api.evil", ["a", "p", "i"]):
        with pytest.raises(WrongAudienceError):
            verify_token(forge({"aud": audience}), config.replace(audience="api"))


# S51
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["0", None, [], True])
def test_wrong_type_counted_as_absent(claim: str, value: Any, config: JWTConfig) -> None:
    """A time of the wrong type is wrong, also where the claim may be absent.

    2026-25537 (jsonwebtoken for Rust).
    """
    with pytest.raises(InvalidClaimError):
        verify_token(forge({claim: value}), config.replace(required_claims=()))


# S24
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_recursion_by_nested_json(opening: str, config: JWTConfig) -> None:
    """A header or payload nested without end is malformed, and no RecursionError.

    2025-53864 (Nimbus).
    """
    deep = b'{"alg":"HS256","x":' + opening.encode() * 60_000
    large = config.replace(max_token_size=65536)
    with pytest.raises(MalformedTokenError):
        verify_token(sealed(json.dumps(HEADER).encode(), deep[:40_000]), large)
    with pytest.raises(MalformedTokenError):
        verify_token(sealed(deep[:1500], PAYLOAD), large)


# S15
@pytest.mark.parametrize("raw", ["." * 8192, "." * 10_000_000, "a." * 4096, "e30.e30.e30.e30.e30.e30"])
def test_splitting_at_many_dots(raw: str, config: JWTConfig) -> None:
    """Any number of dots is refused without a part for each.

    2025-30204 (golang-jwt), 2025-27144 (go-jose).
    """
    with pytest.raises((MalformedTokenError, TokenTooLargeError)):
        verify_token(raw, config)


# S7
def test_oversized_segments(config: JWTConfig) -> None:
    """A token beyond the limit is refused by its length, before anything is decoded.

    2025-61920 (authlib), 2026-48525 (PyJWT).
    """
    with pytest.raises(TokenTooLargeError) as error:
        verify_token("A" * 10_000_000, config)
    assert {"size": 10_000_000, "max_size": 8192} == error.value.evidence


# S149
def test_oversized_token_in_the_log(config: JWTConfig) -> None:
    """The refusal of an oversized token holds its length and nothing of its text.

    2025-65015 (joserfc).
    """
    with pytest.raises(TokenTooLargeError) as error:
        verify_token("SECRETTEXT" * 1000, config)
    assert "SECRETTEXT" not in f"{error.value!r}{error.value}{error.value.args}"


# S18, S29
def test_json_and_compact_serialisation_confused(config: JWTConfig) -> None:
    """A JSON serialisation around a genuine token is no token, whichever parser would read what out of it.

    2022-39227 (python-jwt).
    """
    header, payload, signature = forge().split(".")
    forged = b64(json.dumps({**CLAIMS, "sub": "mallory"}).encode()).decode()
    polyglot = f'{{"  {header}.{forged}.":"","protected":"{header}","payload":"{payload}","signature":"{signature}"}}'
    for raw in (
        polyglot,
        json.dumps({"payload": payload, "protected": header, "signature": signature}),
        json.dumps({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}),
    ):
        with pytest.raises(MalformedTokenError):
            verify_token(raw, config)


# S19
def test_encrypted_tokens(config: JWTConfig) -> None:
    """Five parts are refused as encrypted, before any of them is decoded.

    2023-51774 (json-jwt), 2026-29000 (pac4j), 2026-28490 (authlib), 2022-3102 (jwcrypto).
    """
    header = b64(json.dumps({"alg": "dir", "enc": "A128GCM", "zip": "DEF"}).encode()).decode()
    for raw in (f"{header}.AA.AA.AA.AA", f"{header}..AA.AA.AA", "!.!.!.!.!"):
        with pytest.raises(EncryptedTokenError):
            verify_token(raw, config)


# S42
def test_decompression_bombs(config: JWTConfig) -> None:
    """A compressed payload is refused by its header; nothing is ever inflated.

    2024-33664 (python-jose), 2025-62706 (authlib), 2024-28102 (jwcrypto), 2024-21319 (Microsoft IdentityModel).
    """
    bomb = zlib.compress(b"0" * 1_000_000)
    with pytest.raises(InvalidHeaderError):
        verify_token(sealed(json.dumps({**HEADER, "zip": "DEF"}).encode(), bomb), config)
    with pytest.raises(MalformedTokenError):
        verify_token(sealed(json.dumps(HEADER).encode(), bomb), config)


# S19
def test_iteration_counts_from_the_header(config: JWTConfig) -> None:
    """A header that asks for password-based key derivation is refused for its algorithm, whatever the count.

    2023-6681 (jwcrypto), 2026-27932 (joserfc).
    """
    header = {"alg": "PBES2-HS256+A128KW", "p2c": 2**31, "p2s": "AAAA"}
    with pytest.raises(AlgorithmRefusedError):
        verify_token(forge(header=header), config)


# S44
def test_token_within_a_token(config: JWTConfig) -> None:
    """A signed token that holds another token is refused, by its header and by its payload.

    2026-29000 (pac4j).
    """
    inner = forge().encode()
    with pytest.raises(InvalidHeaderError):
        verify_token(sealed(json.dumps({**HEADER, "cty": "JWT"}).encode(), inner), config)
    with pytest.raises(MalformedTokenError):
        verify_token(sealed(json.dumps(HEADER).encode(), inner), config)


# S21
@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("header", b'{"alg":"none","typ":"JWT","alg":"HS256"}'),
        ("header", b'{"alg":"HS256","kid":"a","kid":"b"}'),
        ("header", rb'{"alg":"HS256","\u0061lg":"none"}'),
        ("payload", PAYLOAD[:-1] + b',"sub":"mallory"}'),
        ("payload", PAYLOAD[:-1] + b',"exp":9999999999}'),
        ("payload", PAYLOAD[:-1] + b',"user_claims":{"role":"user","role":"admin"}}'),
    ],
)
def test_repeated_member_names(part: str, text: bytes, config: JWTConfig) -> None:
    """A name that stands twice, at any level and however spelt, has no value here that is another one elsewhere."""
    raw = sealed(text, PAYLOAD) if part == "header" else sealed(json.dumps(HEADER).encode(), text)
    with pytest.raises(MalformedTokenError) as error:
        verify_token(raw, config)
    assert {"reason": "repeated member name"} == error.value.evidence


# S17
def test_many_spellings_of_one_token(config: JWTConfig) -> None:
    """Stray bits, padding, white space and the other alphabet make no second spelling of an accepted token."""
    raw = forge()
    head, _, signature = raw.rpartition(".")
    stray = signature[:-1] + chr(ord(signature[-1]) + 1)
    spellings = [f"{head}.{stray}", raw + "=", raw + "\n", raw + "\x00", raw.replace(".", " .")]
    # What a lenient decoder would make of the first of them is the very same signature.
    assert base64.urlsafe_b64decode(signature + "=") == base64.urlsafe_b64decode(stray + "=")
    for spelling in spellings:
        with pytest.raises(MalformedTokenError):
            verify_token(spelling, config)


# S20
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"])
def test_json_in_another_encoding(encoding: str, config: JWTConfig) -> None:
    """Header and payload are UTF-8 without a byte order mark; no other encoding is guessed."""
    for raw in (
        sealed(json.dumps(HEADER).encode(encoding), PAYLOAD),
        sealed(json.dumps(HEADER).encode(), PAYLOAD.decode().encode(encoding)),
    ):
        with pytest.raises(MalformedTokenError):
            verify_token(raw, config)


# S23
def test_quadratic_integers(config: JWTConfig) -> None:
    """A number of thousands of digits is refused before it is converted."""
    digits = b"9" * 40_000
    raw = sealed(json.dumps(HEADER).encode(), PAYLOAD[:-1] + b',"n":' + digits + b"}")
    with pytest.raises(MalformedTokenError) as error:
        verify_token(raw, config.replace(max_token_size=65536))
    assert {"reason": "integer out of range"} == error.value.evidence


# S151
def test_backtracking_scanners() -> None:
    """Text made against the scanner of brackets costs no more than its length: a quadratic scan would not end today.

    2026-35041 (fast-jwt).
    """
    with pytest.raises(MalformedTokenError):
        load_json(b'{"alg":"HS256","x":' + b"[" * 15 + b"]" * 15 + b"[" + b'"' + b'\\"' * 10**6)


# S45
def test_keys_of_one_name_from_two_issuers(clock: HeldClock) -> None:
    """A key is found within its own configuration only, whatever name other issuers give to theirs.

    2025-59936 (get-jwks).
    """
    names = {"https://a.example": Key.generate("ES256", kid="1"), "https://b.example": Key.generate("ES256", kid="1")}
    configs = {issuer: JWTConfig(signing_key=key, issuer=issuer, clock=clock) for issuer, key in names.items()}
    forged = JWTConfig(signing_key=names["https://b.example"], issuer="https://a.example", clock=clock)
    with pytest.raises(InvalidSignatureError):
        verify_token(create_access_token("alice", forged), configs["https://a.example"])
    with pytest.raises(KeyConfigurationError, match="two keys have the kid"):
        KeySet(names.values())


# S38
def test_every_key_tried_in_turn(clock: HeldClock) -> None:
    """A token is verified with the key it names, or the only one there is, and never with whichever fits."""
    keys = [Key.from_secret(SECRET, kid="old"), Key.generate("HS256", kid="new")]
    config = JWTConfig(verification_keys=keys, clock=clock)
    for header, kind in (
        ({"kid": "new"}, InvalidSignatureError),
        ({"kid": "?"}, UnknownKeyError),
        ({}, UnknownKeyError),
    ):
        with pytest.raises(kind):
            verify_token(forge(header=header), config)
    assert "alice" == verify_token(forge(header={"kid": "old"}), config).identity


# S48
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_psychic_signatures(algorithm: str, clock: HeldClock) -> None:
    """An ECDSA signature of zeros is no signature."""
    key = Key.generate(algorithm)
    config = JWTConfig(signing_key=key, clock=clock)
    head = create_access_token("alice", config).rpartition(".")[0]
    for signature in (bytes(key._signature_length), b"\x30\x06\x02\x01\x00\x02\x01\x00", b"\x00"):
        with pytest.raises(InvalidSignatureError):
            verify_token(f"{head}.{b64(signature).decode()}", config)


# S43
def test_tokens_for_another_purpose(config: JWTConfig) -> None:
    """Proofs, logout and event tokens of the same issuer, signed with the same key, are no access tokens."""
    for typ in ("dpop+jwt", "logout+jwt", "secevent+jwt", "statuslist+jwt", "application/dpop+jwt"):
        with pytest.raises(InvalidHeaderError):
            verify_token(forge(header={"typ": typ}), config)


# S65
def test_bound_token_used_as_a_bearer_token(config: JWTConfig) -> None:
    """A token bound to its sender's key is refused where nothing can check the sender."""
    with pytest.raises(BoundTokenError):
        verify_token(forge({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}), config)


# S61
def test_a_check_that_fails_open_on_an_unknown_algorithm(config: JWTConfig) -> None:
    """An algorithm that nobody knows is refused, and no check is skipped for it.

    2026-28498 (authlib).
    """
    for alg in ("XX256", "HS999", "ES256K", "EdDSA", "HS256\x00"):
        with pytest.raises(AlgorithmRefusedError):
            verify_token(forge(header={"alg": alg}), config)


# S37
@pytest.mark.parametrize(
    "kid", ["../../../../dev/null", "' OR '1'='1", "|cat /etc/passwd", "file:///dev/null", "https://x"]
)
def test_kid_as_a_path_or_a_query(kid: str, config: JWTConfig) -> None:
    """A `kid` is looked up among names and used for nothing else."""
    with pytest.raises(UnknownKeyError) as error:
        verify_token(forge(header={"kid": kid}, secret=""), config)
    assert {"kid": kid} == error.value.evidence


# S63
def test_user_claims_over_registered_claims(config: JWTConfig) -> None:
    """What a user brings as claims changes neither who the token speaks for nor until when."""
    raw = create_access_token("alice", config, user_claims={"sub": "admin", "exp": 9_999_999_999, "fresh": True})
    token = verify_token(raw, config)
    assert ("alice", NOW + 900, False) == (token.identity, token.expires_at, token.fresh)


# S28
@pytest.mark.parametrize("raw", ["é", "\ud800", "\x00", "..", "e30.e30.e30", "bnVsbA.bnVsbA.bnVsbA", b"\xff" * 10])
def test_malformed_tokens_as_server_errors(raw: str | bytes, config: JWTConfig) -> None:
    """Whatever was sent, the refusal is an InvalidTokenError, which answers 401."""
    with pytest.raises(InvalidTokenError) as error:
        verify_token(raw, config)
    assert 401 == error.value.status


# S91
def test_a_fetch_for_every_unknown_key_and_no_keys_after_a_failure() -> None:
    """Unknown keys spend a budget and no more, and a fetch that fails takes no key away.

    2026-48524 (PyJWT).
    """
    provider = Provider()
    config = verifier(provider)
    raw = provider.token()

    async def flood() -> None:
        await verify_token_async(raw, config)
        provider.answer = provider.break_down
        for number in range(50):
            with pytest.raises(TokenError):
                await verify_token_async(unknown_token(number, like=raw), config)
        assert "alice" == verify_token(raw, config).identity

    anyio.run(flood)
    assert 3 == len(provider.fetched)


# S96
@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://a.example/keys", "data:,{}", "gopher://a.example/"])
def test_keys_from_an_address_of_any_kind(address: str) -> None:
    """Only https is asked for keys, and http on loopback by a flag; no library underneath decides what else there is.

    2026-48522 (PyJWT).
    """
    with pytest.raises(SettingError, match="is not a URL that begins with https://"):
        RemoteKeySet(address, loopback_http=True)


# S99
def test_keys_of_one_name_from_two_providers() -> None:
    """What one provider's key has verified, or is called, says nothing about another provider's.

    2025-59936 (get-jwks).
    """
    providers = {name: Provider(Key.generate("ES256", kid="1")) for name in ("https://a.example", "https://b.example")}
    configs = [
        JWTConfig(
            jwks=RemoteKeySet(f"{issuer}/jwks", fetch=provider), issuer=issuer, audience=AUDIENCE, clock=lambda: NOW
        )
        for issuer, provider in providers.items()
    ]
    forged = providers["https://b.example"].token(issuer="https://a.example")

    async def meet_both() -> None:
        for _ in range(3):
            for config, (issuer, provider) in zip(configs, providers.items(), strict=True):
                token = await verify_token_async(provider.token(issuer=issuer), config)
                assert issuer == token.issuer
            with pytest.raises(InvalidSignatureError):
                await verify_token_async(forged, configs[0])

    anyio.run(meet_both)
