"""Verification: header rules, key and signature, then every claim that decides something, in that order."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from asgi_jwt_claims import (
    JWTConfig,
    Key,
    KeySet,
    Token,
    create_access_token,
    verify_token,
)
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    BoundTokenError,
    EncryptedTokenError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidHeaderError,
    InvalidSignatureError,
    InvalidTokenError,
    MalformedTokenError,
    MissingClaimError,
    NotYetValidError,
    TokenTooLargeError,
    UnknownKeyError,
    WrongAudienceError,
    WrongIssuerError,
    WrongTypeError,
)
from asgi_jwt_claims.tokens import verification
from asgi_jwt_claims.tokens.verification import check_type, verify
from tests.conftest import NOW, HeldClock
from tests.forging import CLAIMS, HEADER, b64, forge, sealed
from tests.framing import split_compact
from tests.support import SECRET, for_each


def refusal(raw: str | bytes, config: JWTConfig, kind: type[InvalidTokenError], **arguments: Any) -> dict[str, Any]:
    """The evidence of the refusal, which must be exactly of this kind."""
    with pytest.raises(kind) as error:
        verify_token(raw, config, **arguments)
    assert type(error.value) is kind
    return error.value.evidence


def test_a_token_somebody_else_made_is_accepted(config: JWTConfig) -> None:
    """A well-formed token made with the standard library is accepted, as str and as bytes."""
    for raw in (forge(), forge().encode()):
        token = verify_token(raw, config)
        assert ("alice", "access", "5f0c3a9e") == (token.identity, token.type, token.jti)
        assert CLAIMS == token.claims
        assert HEADER == token.headers


# S26
@pytest.mark.parametrize("text", [b"[]", b'"x"', b"1", b"1.5", b"null", b"true", b'[{"a":1}]', b'["sub"]'])
def test_header_and_payload_must_be_objects(text: bytes, config: JWTConfig) -> None:
    """JSON that is no object is no part of a token."""
    evidence = refusal(sealed(text, json.dumps(CLAIMS).encode()), config, MalformedTokenError)
    assert {"reason": "header is not a JSON object"} == evidence
    evidence = refusal(sealed(json.dumps(HEADER).encode(), text), config, MalformedTokenError)
    assert {"reason": "payload is not a JSON object"} == evidence


def test_the_source_is_handed_on(config: JWTConfig) -> None:
    """Where the token was found stands on the token."""
    assert "header" == verify(forge(), config, "header").source
    assert None is verify_token(forge(), config).source


# Framing --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("", MalformedTokenError),
        ("a.b", MalformedTokenError),
        (forge() + ".x", MalformedTokenError),  # S15
        (forge() + "=", MalformedTokenError),  # S16
        (" " + forge(), MalformedTokenError),
        (forge() + "\n", MalformedTokenError),
        ("Bearer " + forge(), MalformedTokenError),
        (forge().rpartition(".")[0] + ".", MalformedTokenError),
        ("e30.e30.e30.e30.e30", EncryptedTokenError),  # S19
        ("x" * 8193, TokenTooLargeError),  # S7
        (json.dumps({"payload": "e30", "protected": "e30", "signature": "e30"}), MalformedTokenError),  # S18
        (None, MalformedTokenError),  # S28
        (7, MalformedTokenError),
    ],
    ids=range(13),
)
def test_what_is_no_compact_jws_is_refused(raw: Any, kind: type[InvalidTokenError], config: JWTConfig) -> None:
    """Framing is strict for whoever calls."""
    refusal(raw, config, kind)


@for_each(
    "header",
    [
        b"\xff\xfe",
        b"\xef\xbb\xbf" + json.dumps(HEADER).encode(),  # S20
        json.dumps(HEADER).encode("utf-16"),
        json.dumps(HEADER).encode("utf-32"),
        b'{"alg":"HS256","alg":"none"}',  # S21
        b'{"alg":"HS256","x":{"a":1,"a":2}}',
        b'{"alg":"HS256","x":NaN}',  # S22
        b'{"alg":"HS256","x":1e999}',
        b'{"alg":"HS256","x":123456789012345678901234567890}',  # S23
        b'{"alg":"HS256","x":' + b"[" * 500 + b"]" * 500 + b"}",  # S24
        b'["HS256"]',  # S26
        b'"HS256"',
        b"null",
        rb'{"alg":"HS256","kid":"\ud800"}',  # S27
        b"{",
    ],
)
def test_header_and_payload_are_strict_json(header: bytes, config: JWTConfig) -> None:
    """A header that is no strict JSON object is malformed, signed or not, and so is such a payload."""
    refusal(sealed(header, json.dumps(CLAIMS).encode()), config, MalformedTokenError)
    refusal(sealed(json.dumps(HEADER).encode(), header), config, MalformedTokenError)


def test_a_header_over_its_limit_is_refused(config: JWTConfig) -> None:
    """A header longer than 2,048 characters is too large, though the token is not."""
    # S25
    assert {"header_size", "max_size"} == set(refusal(forge(header={"x": "x" * 2000}), config, TokenTooLargeError))


# Header ---------------------------------------------------------------------------------------------------------------


@for_each(
    ("name", "value"),
    [
        # S40
        ("crit", []),
        ("crit", ["exp"]),
        ("crit", ["b64"]),
        ("crit", ["alg"]),
        ("crit", ["x", "x"]),
        ("crit", "x"),
        ("crit", None),
        # S41
        ("b64", True),
        ("b64", False),
        # S42
        ("zip", "DEF"),
        ("zip", None),
        # S39
        ("jwk", {"kty": "oct", "k": b64(SECRET.encode()).decode()}),
        ("jwk", None),
        # S44
        ("cty", "JWT"),
        ("cty", "jwt"),
        ("cty", "application/jwt"),
        ("cty", None),
    ],
)
def test_headers_that_nobody_here_understands_are_refused(name: str, value: Any, config: JWTConfig) -> None:
    """Critical extensions, unencoded or compressed payloads, keys in the header and nested tokens are refused."""
    assert name == refusal(forge(header={name: value}), config, InvalidHeaderError)["header"]


def test_other_headers_are_ignored(config: JWTConfig) -> None:
    """Parameters that decide nothing are carried along: addresses of keys, certificates and thumbprints among them."""
    # S39
    extra = {
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/chain.pem",
        "x5c": ["MIIB"],
        "x5t": "AAAA",
        "x5t#S256": "AAAA",
        "nonce": "n",
        "x": [1],
    }
    assert {**HEADER, **extra} == verify_token(forge(header=extra), config).headers


# S39
def test_verifying_opens_no_socket(config: JWTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever addresses a token names, no connection is made and no name is looked up."""
    opened: list[Any] = []
    monkeypatch.setattr(socket, "socket", lambda *args, **_: opened.append(args))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **_: opened.append(args))
    for header in ({"kid": "https://evil.example/kid"}, {"kid": "../../../../dev/null"}):
        with pytest.raises(InvalidTokenError):
            verify_token(forge(header=header), config)
    for header in ({"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/x"}):
        assert "alice" == verify_token(forge(header=header), config).identity
    verify_token(forge({"iss": "https://evil.example"}), config)
    assert [] == opened


# S43
@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
def test_typ_may_be_that_of_a_jwt_or_an_access_token(typ: str, config: JWTConfig) -> None:
    """The letter case of `typ` and the prefix `application/` do not matter."""
    assert typ == verify_token(forge(header={"typ": typ}), config).headers["typ"]


def test_typ_may_be_absent(config: JWTConfig) -> None:
    """A token without `typ` is accepted."""
    assert "typ" not in verify_token(sealed(b'{"alg":"HS256"}', json.dumps(CLAIMS).encode()), config).headers


# S43
@pytest.mark.parametrize(
    "typ",
    [
        *("dpop+jwt", "logout+jwt", "secevent+jwt", "statuslist+jwt", "oauth-authz-req+jwt", "rt+jwt", "kb+jwt"),
        *("JWE", "JOSE", "", "JWT ", None, 1, ["JWT"]),
    ],
)
def test_typ_for_another_purpose_is_refused(typ: Any, config: JWTConfig) -> None:
    """A token minted for another purpose never counts, whoever signed it and whatever its claims say."""
    assert "typ" == refusal(forge(header={"typ": typ}), config, InvalidHeaderError)["header"]
    assert (
        "typ" == refusal(forge({"type": "refresh"}, {"typ": typ}), config, InvalidHeaderError, type="refresh")["header"]
    )


@pytest.mark.parametrize("kid", ["", "k" * 257, "a\nb", "a\x00b", "a\u2028b", None, 7, True, ["k"], {"k": 1}])
def test_a_kid_that_is_no_name_is_refused(kid: Any, config: JWTConfig) -> None:
    """A `kid` is a printable string of acceptable length, or the header is refused."""
    # S37
    assert "kid" == refusal(forge(header={"kid": kid}), config, InvalidHeaderError)["header"]


# Algorithm and key ----------------------------------------------------------------------------------------------------


# S30
@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "noNE", "", "hs256", "HS256 ", "Hs256", "HS384", "HS512", "RS256", "PS256"]
)
def test_an_algorithm_that_is_not_the_keys_is_refused(alg: str, config: JWTConfig) -> None:
    """The name is compared exactly with the key's; `none`, in any case, is nobody's."""
    assert {"alg": alg} == refusal(forge(header={"alg": alg}), config, AlgorithmRefusedError)
    kid = next(iter(config.keys)).kid
    assert {"alg": alg, "kid": kid} == refusal(forge(header={"alg": alg, "kid": kid}), config, AlgorithmRefusedError)


@pytest.mark.parametrize("alg", [None, 1, True, ["HS256"], {"HS256": 1}])
def test_an_algorithm_that_is_no_string_is_refused(alg: Any, config: JWTConfig) -> None:
    """`alg` of another type is refused, and so is a header without it."""
    # S30
    refusal(forge(header={"alg": alg}), config, AlgorithmRefusedError)
    raw = sealed(b'{"typ":"JWT"}', json.dumps(CLAIMS).encode())
    assert {"reason": "alg missing or not a string"} == refusal(raw, config, AlgorithmRefusedError)


def test_an_unknown_kid_is_refused(config: JWTConfig) -> None:
    """A `kid` that no key has is refused, though the only key would verify."""
    # S38
    assert {"kid": "other"} == refusal(forge(header={"kid": "other"}), config, UnknownKeyError)


def test_the_kid_of_another_key_is_refused(clock: HeldClock) -> None:
    """A token that names the other key is tried with that key only."""
    # S38
    first, second = Key.from_secret(SECRET, kid="1"), Key.generate("HS256", kid="2")
    config = JWTConfig(verification_keys=KeySet([first, second]), clock=clock)
    assert "alice" == verify_token(forge(header={"kid": "1"}), config).identity
    assert {"alg": "HS256", "kid": "2"} == refusal(forge(header={"kid": "2"}), config, InvalidSignatureError)
    refusal(forge(), config, UnknownKeyError)


# S45
def test_issuers_do_not_share_keys_of_one_name(clock: HeldClock) -> None:
    """Two issuers whose keys have the same `kid` do not speak for each other."""
    ours, theirs = (Key.generate("ES256", kid="1") for _ in range(2))
    one = JWTConfig(signing_key=ours, issuer="https://a.example", clock=clock)
    other = JWTConfig(signing_key=theirs, issuer="https://b.example", clock=clock)
    posing = JWTConfig(signing_key=theirs, issuer="https://a.example", clock=clock)
    refusal(create_access_token("alice", other), one, InvalidSignatureError)
    refusal(create_access_token("alice", posing), one, InvalidSignatureError)
    assert "alice" == verify_token(create_access_token("alice", one), one).identity


def test_a_signature_is_over_these_bytes(config: JWTConfig) -> None:
    """Header, payload and signature of different tokens do not go together."""
    one, other = forge().split("."), forge({"sub": "mallory"}, {"x": 1}).split(".")
    for index in range(3):
        mixed = [*one]
        mixed[index] = other[index]
        refusal(".".join(mixed), config, InvalidSignatureError)


def test_another_secret_signs_for_nobody(config: JWTConfig) -> None:
    """A signature with another secret, empty or similar, is refused."""
    # S33
    for secret in ("", SECRET[:-1], SECRET + "\x00" * 8 + "x", SECRET.lower(), "x" * 32):
        refusal(forge(secret=secret), config, InvalidSignatureError)


@pytest.mark.parametrize("size", [1, 16, 31, 33, 64])
def test_a_truncated_tag_is_refused(size: int, config: JWTConfig) -> None:
    """A tag that is shorter or longer than the hash is refused."""
    # S47
    framed = split_compact(forge(), 8192)
    signature = (framed.signature * 2)[:size]
    refusal(framed.signing_input + b"." + b64(signature), config, InvalidSignatureError)


# S46, S152
def test_nothing_of_the_payload_is_looked_at_before_the_signature(
    config: JWTConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bad signature the payload is not even decoded, and the clock is not asked."""
    decoded: list[bytes] = []
    load = verification.load_json
    monkeypatch.setattr(verification, "load_json", lambda part: decoded.append(part) or load(part))
    config = config.replace(clock=HeldClock())
    raw = sealed(json.dumps(HEADER).encode(), b"not JSON at all", secret="x" * 32)
    refusal(raw, config, InvalidSignatureError)
    assert [json.dumps(HEADER).encode()] == decoded


# S152
@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ({"crit": ["x"], "alg": "none"}, InvalidHeaderError),
        ({"typ": "dpop+jwt", "kid": 7}, InvalidHeaderError),
        ({"alg": 7, "kid": "unknown"}, AlgorithmRefusedError),
        ({"alg": "none", "kid": "unknown"}, UnknownKeyError),
    ],
)
def test_the_cheaper_rule_refuses_first(
    header: dict[str, Any], kind: type[InvalidTokenError], config: JWTConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Header rules, then algorithm, then key; no signature is computed for a token refused by them."""
    asked: list[bytes] = []
    monkeypatch.setattr(Key, "verify", lambda self, message, signature: asked.append(signature))
    refusal(forge(header=header), config, kind)
    assert [] == asked


# S29
def test_what_was_verified_is_what_is_exposed(config: JWTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes under the signature are the token's first two parts, and the claims come from them alone."""
    signed: list[bytes] = []
    check = Key.verify
    monkeypatch.setattr(
        Key, "verify", lambda self, message, signature: signed.append(message) or check(self, message, signature)
    )
    raw = forge({"n": 1})
    token = verify_token(raw, config)
    assert [raw.rpartition(".")[0].encode()] == signed
    assert 1 == token.claims["n"]


# Times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leeway", [0, 10, 300])
def test_exp_is_the_first_moment_too_late(leeway: float, config: JWTConfig, clock: HeldClock) -> None:
    """A token is accepted until just before `exp` plus the leeway, and refused at that moment."""
    # S50
    config = config.replace(leeway=leeway)
    raw = forge({"exp": NOW + 100})
    clock.now = NOW + 100 + leeway - 0.001
    assert NOW + 100 == verify_token(raw, config).expires_at
    clock.now = NOW + 100 + leeway
    assert {"claim": "exp", "exp": NOW + 100, "now": clock.now} == refusal(raw, config, ExpiredTokenError)


@pytest.mark.parametrize("leeway", [0, 10, 300])
@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_nbf_and_iat_are_the_first_moment_not_too_early(
    claim: str, leeway: float, config: JWTConfig, clock: HeldClock
) -> None:
    """A token is accepted from `nbf` and `iat` minus the leeway on, and refused just before."""
    # S52
    config = config.replace(leeway=leeway)
    raw = forge({"nbf": NOW - 1000, "iat": NOW - 1000, claim: NOW})
    clock.now = NOW - leeway
    assert "alice" == verify_token(raw, config).identity
    clock.now = NOW - leeway - 0.001
    assert {"claim": claim, claim: NOW, "now": clock.now} == refusal(raw, config, NotYetValidError)


def test_times_may_have_fractions(config: JWTConfig) -> None:
    """Fractions of a second are compared, not cut."""
    config = config.replace(leeway=0, clock=HeldClock(NOW + 0.5))
    assert NOW + 0.75 == verify_token(forge({"exp": NOW + 0.75}), config).expires_at
    refusal(forge({"exp": NOW + 0.5}), config, ExpiredTokenError)
    refusal(forge({"nbf": NOW + 0.75}), config, NotYetValidError)


# S49, S51
@for_each("claim", ["exp", "nbf", "iat"])
@for_each("value", [None, True, False, "", str(NOW + 900), [NOW + 900], {"t": NOW + 900}])
def test_a_time_of_another_type_is_wrong_and_never_absent(claim: str, value: Any, config: JWTConfig) -> None:
    """A time that is no number is refused, also where the claim is not required."""
    lenient = config.replace(required_claims=())
    for strictness in (config, lenient):
        assert {"claim": claim, "reason": "not a number"} == refusal(
            forge({claim: value}), strictness, InvalidClaimError
        )


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"99999999999999999999"])
def test_a_time_beyond_numbers_is_malformed(value: bytes, config: JWTConfig) -> None:
    """NaN, Infinity and numbers beyond reason are no JSON here."""
    # S22, S23, S49
    payload = json.dumps(CLAIMS).encode().replace(b'"exp": %d' % (NOW + 900), b'"exp": ' + value)
    assert value in payload
    refusal(sealed(json.dumps(HEADER).encode(), payload), config, MalformedTokenError)


def test_max_age_counts_from_iat(config: JWTConfig, clock: HeldClock) -> None:
    """A token older than `max_age` plus the leeway is refused, though it has not expired."""
    # S53
    config = config.replace(max_age=60)
    raw = forge({"exp": NOW + 86400})
    clock.now = NOW + 69.9
    assert NOW == verify_token(raw, config).issued_at
    clock.now = NOW + 70
    assert {"claim": "iat", "iat": NOW, "now": clock.now} == refusal(raw, config, ExpiredTokenError)


def test_max_age_needs_iat(config: JWTConfig) -> None:
    """A token that does not say its age is refused where age matters."""
    # S53
    config = config.replace(max_age=60, required_claims=["exp"])
    assert {"claim": "iat"} == refusal(forge(without=("iat",)), config, MissingClaimError)


def test_max_lifetime_is_the_longest_span(config: JWTConfig) -> None:
    """A token made for longer than `max_lifetime` is refused, one made for exactly that long is not."""
    # S53
    config = config.replace(max_lifetime=3600)
    assert NOW + 3600 == verify_token(forge({"exp": NOW + 3600}), config).expires_at
    evidence = {"claim": "exp", "reason": "lifetime longer than max_lifetime"}
    assert evidence == refusal(forge({"exp": NOW + 3600.5}), config, InvalidClaimError)


@pytest.mark.parametrize("missing", ["iat", "exp"])
def test_max_lifetime_needs_both_ends(missing: str, config: JWTConfig) -> None:
    """A token that does not say its span is refused where the span matters."""
    # S53
    config = config.replace(max_lifetime=3600, required_claims=())
    assert {"claim": missing} == refusal(forge(without=(missing,)), config, MissingClaimError)


# S49
@pytest.mark.parametrize("claim", ["exp", "iat", "jti", "sub", "type"])
def test_claims_of_every_token_are_required(claim: str, config: JWTConfig) -> None:
    """Without `exp`, `iat`, `jti`, identity or type a token is refused."""
    assert {"claim": claim} == refusal(forge(without=(claim,)), config, MissingClaimError)


def test_times_that_are_not_required_may_be_absent(config: JWTConfig) -> None:
    """With nothing required, a token without times is accepted and has none."""
    config = config.replace(required_claims=())
    token = verify_token(forge(without=("exp", "iat", "nbf", "jti", "fresh")), config)
    assert (None, None, None, False) == (token.expires_at, token.issued_at, token.jti, token.fresh)


# S60
def test_further_claims_can_be_required(config: JWTConfig) -> None:
    """A required claim must be there, whatever its value."""
    config = config.replace(required_claims=["exp", "tenant"])
    assert {"claim": "tenant"} == refusal(forge(), config, MissingClaimError)
    assert None is verify_token(forge({"tenant": None}), config).claims["tenant"]


# Parties --------------------------------------------------------------------------------------------------------------

ISSUER = "https://issuer.example"


# S55
@pytest.mark.parametrize(
    "issuer",
    [
        "https://issuer.example/",
        "https://issuer.example ",
        "https://Issuer.example",
        "HTTPS://issuer.example",
        "https://issuer.exampl",
        "https://issuer.example.evil",
        "http://issuer.example",
        "https://issuer.example\x00",
        "https://issuer\u3002example",
        "h",
    ],
)
def test_another_issuer_is_refused(issuer: str, config: JWTConfig) -> None:
    """The issuer is compared code point for code point."""
    config = config.replace(issuer=ISSUER)
    assert {"iss": issuer} == refusal(forge({"iss": issuer}), config, WrongIssuerError)
    assert ISSUER == verify_token(forge({"iss": ISSUER}), config).issuer


@pytest.mark.parametrize("issuer", [[ISSUER], [ISSUER, "https://evil.example"], None, "", 1, True, {ISSUER: 1}])
def test_an_issuer_that_is_no_string_is_refused(issuer: Any, config: JWTConfig) -> None:
    """A list that holds the issuer is not the issuer, and the type is checked where no issuer is expected too."""
    # S55
    for strictness in (config, config.replace(issuer=ISSUER)):
        assert "iss" == refusal(forge({"iss": issuer}), strictness, InvalidClaimError)["claim"]


def test_a_missing_issuer_is_refused(config: JWTConfig) -> None:
    """Where an issuer is expected, its absence is a missing claim."""
    assert {"claim": "iss"} == refusal(forge(), config.replace(issuer=ISSUER), MissingClaimError)


# S56
@pytest.mark.parametrize(
    ("audience", "accepted"),
    [
        ("api", True),
        (["api"], True),
        (["other", "api"], True),
        ("web", True),
        ("other", False),
        (["other"], False),
        ("ap", False),
        ("api ", False),
        ("API", False),
        ("api web", False),
        ("https://api", False),
    ],
)
def test_the_audience_must_name_us(audience: Any, accepted: bool, config: JWTConfig) -> None:
    """One of our names must stand in `aud`, exactly."""
    config = config.replace(audience=["api", "web"])
    raw = forge({"aud": audience})
    if accepted:
        assert "alice" == verify_token(raw, config).identity
    else:
        names = audience if isinstance(audience, str) else ", ".join(audience)
        assert {"aud": names} == refusal(raw, config, WrongAudienceError)


# S56
@pytest.mark.parametrize(
    "audience", [None, "", [], ["api", 1], ["api", None], [["api"]], {"api": 1}, 1, True, ["api", ""]]
)
def test_an_audience_of_another_type_is_refused(audience: Any, config: JWTConfig) -> None:
    """An audience that is neither a string nor an array of strings is wrong, whether one is expected or not."""
    for strictness in (config, config.replace(audience="api")):
        assert "aud" == refusal(forge({"aud": audience}), strictness, InvalidClaimError)["claim"]


def test_a_missing_audience_is_refused(config: JWTConfig) -> None:
    """Where an audience is expected, its absence is a missing claim."""
    # S56
    assert {"claim": "aud"} == refusal(forge(), config.replace(audience="api"), MissingClaimError)


def test_a_token_for_somebody_is_not_for_nobody_in_particular(config: JWTConfig) -> None:
    """Without an audience of its own, a configuration refuses a token that has one."""
    # S56
    assert {"aud": "api"} == refusal(forge({"aud": "api"}), config, WrongAudienceError)


# The other claims -----------------------------------------------------------------------------------------------------


# S57, S62
@for_each("claim", ["sub", "jti", "type"])
@for_each("value", [None, "", 0, 7, True, ["a"], {"a": 1}])
def test_names_are_non_empty_strings(claim: str, value: Any, config: JWTConfig) -> None:
    """Identity, identifier and type of the token are non-empty strings."""
    assert claim == refusal(forge({claim: value}), config, InvalidClaimError)["claim"]


@pytest.mark.parametrize("value", [7, "alice", ["a"], {"id": 1}, False, 0])
def test_another_identity_claim_holds_any_value_but_null(value: Any, config: JWTConfig) -> None:
    """Under another name the identity is any JSON value; null and the empty string are none."""
    config = config.replace(identity_claim="identity")
    assert value == verify_token(forge({"identity": value}), config).identity
    for none in (None, ""):
        evidence = refusal(forge({"identity": none}), config, InvalidClaimError)
        assert {"claim": "identity", "reason": "null or empty"} == evidence


def test_sub_is_checked_beside_another_identity(config: JWTConfig) -> None:
    """Where another claim is the identity, a wrong `sub` is wrong all the same, and none is needed."""
    # S57
    config = config.replace(identity_claim="identity")
    assert "sub" == refusal(forge({"identity": 7, "sub": 7}), config, InvalidClaimError)["claim"]
    assert 7 == verify_token(forge({"identity": 7}, without=("sub",)), config).identity


@for_each(
    ("claims", "claim"),
    [
        ({"user_claims": None}, "user_claims"),
        ({"user_claims": []}, "user_claims"),
        ({"user_claims": "x"}, "user_claims"),
        ({"fresh": "x"}, "fresh"),
        ({"fresh": None}, "fresh"),
        ({"fresh": [True]}, "fresh"),
        ({"scope": ["read"]}, "scope"),  # S59
        ({"scope": "read  write"}, "scope"),
        ({"scope": "read\tadmin"}, "scope"),
        ({"scope": None}, "scope"),
        ({"roles": None}, "roles"),
        ({"roles": 1}, "roles"),
        ({"roles": ["a", 1]}, "roles"),
        ({"roles": ""}, "roles"),
    ],
)
def test_claims_that_decide_something_have_their_type(claims: dict[str, Any], claim: str, config: JWTConfig) -> None:
    """User claims, freshness, scopes and roles of another type are refused, never counted as absent."""
    assert claim == refusal(forge(claims), config, InvalidClaimError)["claim"]


# S65, S66
@pytest.mark.parametrize(
    "cnf",
    [
        {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
        {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
        {"jwk": {"kty": "EC"}},
        {"jkt": "a", "x5t#S256": "b"},
        {"unknown": 1},
        {},
        [],
        None,
        "x",
        False,
    ],
)
def test_a_bound_token_is_no_bearer_token(cnf: Any, config: JWTConfig) -> None:
    """A token with `cnf`, whatever stands in it, is refused: nothing here can check who sent it."""
    assert {} == refusal(forge({"cnf": cnf}), config, BoundTokenError)


# Types ----------------------------------------------------------------------------------------------------------------


# S137
@pytest.mark.parametrize("kind", ["refresh", "AccessPolicy", "access ", "id", "reset"])
def test_another_type_is_refused(kind: str, config: JWTConfig) -> None:
    """A token of any other type is no access token, and is accepted as what it is."""
    assert {"expected": "access", "type": kind} == refusal(forge({"type": kind}), config, WrongTypeError)
    assert kind == verify_token(forge({"type": kind}), config, type=kind).type


def test_at_jwt_is_for_access_tokens_only(config: JWTConfig) -> None:
    """The header `at+jwt` on a token of another type is a contradiction, and refused."""
    # S43
    raw = forge({"type": "refresh"}, {"typ": "at+jwt"})
    assert {"type": "refresh", "typ": "at+jwt"} == refusal(raw, config, WrongTypeError, type="refresh")


def test_without_a_type_claim_every_token_is_an_access_token(config: JWTConfig) -> None:
    """Where tokens carry no type, what stands under that name says nothing."""
    config = config.replace(type_claim=None)
    assert "access" == verify_token(forge(without=("type",)), config).type
    assert "access" == verify_token(forge({"type": 7}, {"typ": "at+jwt"}), config).type
    refusal(forge(), config, WrongTypeError, type="refresh")


def test_check_type_lets_the_right_type_pass(config: JWTConfig) -> None:
    """The type alone decides."""
    token: Token = verify(forge({"type": "refresh"}), config, None)
    assert token is check_type(token, "refresh")
    with pytest.raises(WrongTypeError):
        check_type(token, "access")


# Evidence -------------------------------------------------------------------------------------------------------------


# S149
@pytest.mark.parametrize(
    "change",
    [
        {"claims": {"exp": NOW - 900}},
        {"claims": {"nbf": NOW + 900}},
        {"claims": {"type": "refresh"}},
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"aud": "api"}},
        {"claims": {"cnf": {}}},
        {"without": ("jti",)},
        {"header": {"alg": "none"}},
        {"header": {"kid": "other"}},
        {"header": {"crit": ["x"]}},
        {"secret": "x" * 32},
    ],
    ids=range(11),
)
def test_no_error_holds_the_token(change: dict[str, Any], config: JWTConfig) -> None:
    """Neither message, repr nor evidence of a refusal holds a part of the token."""
    raw = forge(**change)
    with pytest.raises(InvalidTokenError) as error:
        verify_token(raw, config.replace(issuer=ISSUER) if "iss" in change.get("claims", {}) else config)
    said = f"{error.value} {error.value!r} {error.value.evidence} {error.value.__cause__!r}"
    for part in raw.split("."):
        assert part not in said


# S43
def test_a_security_event_is_no_access_token() -> None:
    """Where no claim tells types apart, a token with `events` (a logout, say) is not taken for an access token."""
    config = JWTConfig(secret_key=SECRET, clock=HeldClock(), type_claim=None)
    event = {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}
    assert {"claim": "events"} == refusal(forge(event, without=("type",)), config, WrongTypeError)
    assert "alice" == verify_token(forge(without=("type",)), config).identity
