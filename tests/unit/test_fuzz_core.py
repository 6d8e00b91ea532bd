"""Whatever the bytes: only our errors, what is minted is accepted, any changed byte is refused, one spelling each."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asgi_jwt_claims import (
    JWTConfig,
    Token,
    create_access_token,
    create_refresh_token,
    verify_token,
)
from asgi_jwt_claims.errors import (
    ConfigurationError,
    InvalidTokenError,
    MalformedTokenError,
    MintingError,
    TokenError,
)
from asgi_jwt_claims.jose.compact import b64url_decode, b64url_encode
from asgi_jwt_claims.jose.strict_json import MAX_JSON_DEPTH, dump_json
from asgi_jwt_claims.tokens.minted_claims import json_copy
from tests.conftest import HeldClock
from tests.forging import CLAIMS, HEADER, b64, forge, sealed
from tests.framing import load_json, load_segment, split_compact
from tests.keys import make_key
from tests.support import SECRET

CONFIG = JWTConfig(secret_key=SECRET, clock=HeldClock())
STRICT = CONFIG.replace(issuer="https://issuer.example", audience="api", max_age=60, max_lifetime=900)
FLAT = CONFIG.replace(user_claims_claim=None, identity_claim="identity", type_claim=None, required_claims=())

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
WILD_TEXT = st.text(max_size=20)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
WILD_SCALARS = SCALARS | st.integers() | st.floats() | WILD_TEXT | st.binary(max_size=8)


def nested(scalars: st.SearchStrategy[Any], names: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4), max_leaves=12
    )


JSON = nested(SCALARS, TEXT)
WILD = nested(WILD_SCALARS, WILD_TEXT | st.integers())
OBJECTS = st.dictionaries(TEXT, JSON, max_size=5)

NAMES = sorted({*CLAIMS, *HEADER, "iss", "aud", "scope", "roles", "cnf", "user_claims", "kid", "crit", "identity"})
JSON_TEXT = st.builds(
    json.dumps,
    st.dictionaries(st.sampled_from(NAMES) | TEXT, JSON, max_size=6),
    ensure_ascii=st.booleans(),
    separators=st.sampled_from([(",", ":"), (", ", " : ")]),
)
CLOSE_TO_JSON = st.text(st.sampled_from('{}[]":,\\ud8001eE+-.0 \n\u00a0NaInfty'), max_size=60)


# Only our errors ------------------------------------------------------------------------------------------------------

OFFERED = st.binary(max_size=200) | st.text(max_size=200) | st.text("eyJ0.-_=A", max_size=60)


# S28
@given(OFFERED)
def test_framing_raises_only_our_errors(raw: str | bytes) -> None:
    """Any bytes and any text are framed or refused as an invalid token, and what is framed is spelt that way only."""
    try:
        framed = split_compact(raw, 150)
    except InvalidTokenError:
        return
    spelt = b".".join([framed.header, b64url_encode(framed.payload), b64url_encode(framed.signature)])
    assert (raw.encode() if isinstance(raw, str) else raw) == spelt


@given(st.binary(max_size=64))
def test_bytes_have_one_spelling(data: bytes) -> None:
    """Encoding and decoding are each other's inverse."""
    # S17
    assert b64(data) == b64url_encode(data)
    assert data == b64url_decode(b64url_encode(data))


@given(st.text("ABCDwxyz0189-_+/=\n", max_size=12).map(str.encode) | st.binary(max_size=12))
def test_what_decodes_is_the_one_spelling(segment: bytes) -> None:
    """Any segment is refused as malformed, or is exactly what encoding its bytes gives."""
    # S17
    try:
        data = b64url_decode(segment)
    except MalformedTokenError:
        return
    assert segment == b64url_encode(data)


@given(
    st.binary(max_size=100)
    | (JSON_TEXT | CLOSE_TO_JSON | st.text(max_size=60)).map(lambda t: t.encode("utf-8", "surrogatepass"))
)
@example(b'"\\')
@example(b'"\\ud800"')
@example(b"[" * 40 + b'"')
def test_json_raises_only_our_errors(data: bytes) -> None:
    """Any bytes are parsed or refused as malformed; what is parsed, the standard library parses to the same value."""
    try:
        value = load_json(data)
    except MalformedTokenError:
        return
    assert json.loads(data.decode()) == value
    assert value == load_json(json.dumps(value).encode())


@given(OBJECTS)
def test_what_is_written_is_read(value: dict[str, Any]) -> None:
    """A JSON object that has been checked is written and read back the same."""
    assume(not deeper_than(value, MAX_JSON_DEPTH))
    assert value == load_json(dump_json(value))
    assert value == load_segment(b64url_encode(dump_json(value)))


def deeper_than(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(deeper_than(member, levels - 1) for member in members)


@given(st.integers(0, 40), st.integers(0, 40), st.sampled_from(["[", '{"a":', '[{"a":']), st.booleans())
def test_the_depth_is_counted_like_a_parser_would(opened: int, strings: int, opening: str, closed: bool) -> None:
    """Text is refused as too deep exactly when more than sixteen brackets are open at once outside strings.

    Many brackets that are never closed are no JSON however deep they are.
    """
    # S24
    brackets = (opening * opened).count("[") + (opening * opened).count("{")
    closing = {"[": "]", '{"a":': "}", '[{"a":': "}]"}[opening]
    decoy = json.dumps('[{"' * strings)
    text = opening * opened + decoy + (closing * opened if closed else "")
    try:
        load_json(text.encode())
        verdict = "parsed"
    except MalformedTokenError as error:
        verdict = error.evidence["reason"]
    if closed or not opened:
        assert ("nested too deeply" if brackets > MAX_JSON_DEPTH else "parsed") == verdict
    else:
        assert verdict == "nested too deeply" or (verdict == "not JSON" and brackets <= MAX_JSON_DEPTH)


@given(JSON_TEXT | CLOSE_TO_JSON, JSON_TEXT | CLOSE_TO_JSON)
def test_a_signed_token_raises_only_our_errors(header: str, payload: str) -> None:
    """Any header and payload under a true signature are accepted or refused with a TokenError of status 401."""
    raw = sealed(header.encode("utf-8", "surrogatepass"), payload.encode("utf-8", "surrogatepass"))
    for config in (CONFIG, STRICT, FLAT):
        refused_or_consistent(raw, config)


@given(
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=5), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3)
)
def test_any_claims_raise_only_our_errors(claims: dict[str, Any], header: dict[str, Any]) -> None:
    """An acceptable token with any values in any of its claims is accepted or refused with a TokenError."""
    assume(not deeper_than({"": [claims, header]}, MAX_JSON_DEPTH))
    for config in (CONFIG, STRICT, FLAT):
        refused_or_consistent(forge(claims), config)
        refused_or_consistent(forge(claims, header), config)


@given(st.sampled_from([name for name in NAMES if name != "identity"]), JSON)
def test_one_claim_of_any_value(name: str, value: Any) -> None:
    """With one claim changed, what is accepted has that claim in the right type, and what is refused says which."""
    assume(not deeper_than({name: value}, MAX_JSON_DEPTH))
    token, refusal = attempt(forge({name: value}), CONFIG)
    if token is None:
        assert name in (refusal.evidence.get("claim"), "exp", "iat", "nbf", "aud", "type", "cnf")
        return
    assert value == token.claims[name]
    kinds: dict[str, Any] = {"sub": str, "jti": str, "iss": str, "type": str, "user_claims": dict, "scope": str}
    assert isinstance(value, kinds.get(name, object))


def attempt(raw: str, config: JWTConfig) -> tuple[Token | None, TokenError]:
    """The token, or else the refusal."""
    try:
        return verify_token(raw, config), TokenError()
    except TokenError as error:
        return None, error


def refused_or_consistent(raw: str, config: JWTConfig) -> None:
    token, refusal = attempt(raw, config)
    if token is None:
        assert 401 == refusal.status
        assert type(refusal).description == str(refusal)
        assert repr(refusal.evidence).isprintable()
        return
    now = config.clock()
    assert "access" == token.type
    assert token.identity is not None
    assert token.expires_at is None or now < token.expires_at + config._prepared.leeway_seconds
    assert token.issuer == (config.issuer or token.issuer)
    assert not token.audience or config._prepared.audiences & set(token.audience)
    assert "cnf" not in token.claims


# What is minted is accepted -------------------------------------------------------------------------------------------

ARGUMENTS: dict[str, st.SearchStrategy[Any]] = {
    "user_claims": st.none() | OBJECTS,
    "scope": st.none() | st.lists(st.text("abc:/.", min_size=1), min_size=1, max_size=3),
    "roles": st.none() | TEXT.filter(bool) | st.lists(TEXT.filter(bool), max_size=3),
    "lifetime": st.none() | st.timedeltas(timedelta(microseconds=1), timedelta(days=14)),
}


@given(
    TEXT.filter(bool),
    st.fixed_dictionaries({}, optional=ARGUMENTS),
    st.booleans() | st.timedeltas(timedelta(seconds=1), timedelta(days=9)),
)
def test_what_is_minted_is_accepted(identity: str, arguments: dict[str, Any], fresh: bool | timedelta) -> None:
    """Whatever can be minted is accepted with the same configuration, and says what was minted."""
    assume(not deeper_than({"": arguments.get("user_claims")}, MAX_JSON_DEPTH))
    access = verify_token(create_access_token(identity, CONFIG, fresh=fresh, **arguments), CONFIG)
    refresh = verify_token(create_refresh_token(identity, CONFIG, **arguments), CONFIG, type="refresh")
    roles, scope = arguments.get("roles"), arguments.get("scope")
    for token in (access, refresh):
        assert identity == token.identity
        assert (arguments.get("user_claims") or {}) == token.user_claims
        assert frozenset(scope or ()) == token.scopes
        assert frozenset([roles] if isinstance(roles, str) else roles or ()) == token.roles
    assert bool(fresh) is access.fresh


@given(WILD, st.dictionaries(WILD_TEXT, WILD, max_size=4), st.lists(WILD_TEXT, max_size=3) | WILD_TEXT)
def test_minting_accepts_or_refuses(identity: Any, user_claims: dict[str, Any], names: Any) -> None:
    """Any identity, claims and names are minted and then accepted, or refused as an error of the application."""
    for config in (CONFIG, FLAT):
        for arguments in (
            {"user_claims": user_claims},
            {"roles": names},
            {"scope": names},
            {"headers": {"x": user_claims}},
        ):
            try:
                raw = create_access_token(identity, config, **arguments)
            except MintingError:
                continue
            assert identity == verify_token(raw, config).identity


@given(WILD)
def test_a_json_copy_is_json(value: Any) -> None:
    """What is copied is the same value, is written, and is read back by the strict parser; all else is refused."""
    try:
        copied = json_copy(value, "it")
    except MintingError:
        return
    assert value == copied
    assert value == load_json(json.dumps(copied, ensure_ascii=False, allow_nan=False).encode())


@given(st.floats() | st.integers() | st.timedeltas())
def test_any_lifetime_is_positive_or_refused(lifetime: Any) -> None:
    """A lifetime of any size makes a token that expires later than it was made, or is refused."""
    try:
        token = verify_token(create_access_token("alice", CONFIG, lifetime=lifetime), CONFIG)
    except ConfigurationError:
        return
    assert token.expires_at is not None
    assert math.isfinite(token.expires_at)
    assert token.issued_at is not None
    assert token.issued_at + 1 <= token.expires_at


# Any changed byte is refused ------------------------------------------------------------------------------------------

KEYS = {name: make_key(name) for name in ("HS256", "ES256", "RS256", "PS256", "EdDSA", "Ed25519", "Ed448")}
SIGNED = {
    name: (
        JWTConfig(signing_key=key, clock=HeldClock()),
        create_access_token("alice", JWTConfig(signing_key=key, clock=HeldClock())),
    )
    for name, key in KEYS.items()
}


@given(st.sampled_from(sorted(SIGNED)), st.data())
def test_any_changed_character_is_refused(name: str, data: st.DataObject) -> None:
    """A token with one character replaced, inserted, removed or doubled is refused."""
    config, raw = SIGNED[name]
    place = data.draw(st.integers(0, len(raw) - 1))
    character = data.draw(st.sampled_from("AQgwabz019-_.=+/ \n\x00é") | st.characters())
    changes = [
        raw[:place] + character + raw[place + 1 :],
        raw[:place] + character + raw[place:],
        raw[:place] + raw[place + 1 :],
        raw + character,
        raw[: place + 1],
    ]
    for changed in changes:
        if changed != raw:
            with pytest.raises(InvalidTokenError):
                verify_token(changed, config)
    assert "alice" == verify_token(raw, config).identity


@pytest.mark.parametrize("name", sorted(SIGNED))
def test_every_flipped_bit_of_the_signature_is_refused(name: str) -> None:
    """No bit of a signature is free."""
    config, raw = SIGNED[name]
    signing_input, _, signature = raw.rpartition(".")
    data = b64url_decode(signature.encode())
    for bit in range(0, len(data) * 8, 1 if len(data) < 100 else 7):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidTokenError):
            verify_token(f"{signing_input}.{b64(flipped).decode()}", config)


# S17
@pytest.mark.parametrize("name", sorted(SIGNED))
def test_a_token_has_one_spelling(name: str) -> None:
    """Of all last characters of each part only the token's own is accepted, and so for padding and white space."""
    config, raw = SIGNED[name]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    ends = [place - 1 for place, character in enumerate(raw + ".") if character == "."]
    spellings = {raw[:end] + last + raw[end + 1 :] for end in ends for last in alphabet}
    spellings |= {
        raw[: end + 1] + padding + raw[end + 1 :] for end in ends for padding in ("=", "==", "\n", " ", "\r\n")
    }
    accepted = []
    for spelling in spellings:
        try:
            verify_token(spelling, config)
        except InvalidTokenError:
            continue
        accepted.append(spelling)
    assert [raw] == accepted


@given(st.binary(max_size=80))
def test_verifying_any_bytes_never_raises(signature: bytes) -> None:
    """A key answers yes or no to any signature of any length."""
    for key in KEYS.values():
        assert False is key.verify(b"message", signature)
        assert False is key.verify(b"message", (signature * 256)[: key._signature_length])
