"""Whatever members a header has: under a true signature it is refused for a reason, or it changes nothing."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, verify_token
from asgi_jwt_claims.errors import (
    AlgorithmRefusedError,
    InvalidHeaderError,
    InvalidTokenError,
    UnknownKeyError,
)
from asgi_jwt_claims.jose.strict_json import MAX_JSON_DEPTH
from tests.conftest import HeldClock
from tests.forging import CLAIMS, HEADER, b64, forge, sealed
from tests.support import SECRET
from tests.unit.test_fuzz_core import JSON, TEXT, deeper_than

CONFIG = JWTConfig(secret_key=SECRET, clock=HeldClock())
(KEY,) = CONFIG.keys
REFUSED = ("crit", "b64", "zip", "jwk", "cty")
MEANINGFUL = {*REFUSED, "alg", "typ", "kid"}
OTHERS = ("jku", "x5u", "x5c", "x5t", "x5t#S256", "nonce", "iss", "sub", "aud", "enc", "epk", "apu", "p2s", "p2c")
REGISTERED = sorted({*MEANINGFUL, *OTHERS})


def fits(header: Any) -> bool:
    """Whether a header with this in it is within the limits, so that it is refused for nothing but what it says."""
    return not deeper_than({"": header}, MAX_JSON_DEPTH) and len(json.dumps(header)) < 1400


# S39
@given(st.dictionaries(st.sampled_from(REGISTERED) | TEXT, JSON, max_size=5))
@example({"x5t": "AAAA", "enc": "A256GCM", "iss": "https://other.example"})
def test_members_without_a_meaning_change_nothing(members: dict[str, Any]) -> None:
    """A header with any further members is accepted with the claims it came with, and carries them along unread."""
    members = {name: value for name, value in members.items() if name not in MEANINGFUL}
    assume(fits(members))
    token = verify_token(forge(header=members), CONFIG)
    assert {**HEADER, **members} == token.headers
    assert CLAIMS == token.claims


# S39, S40, S41, S42, S44
@given(st.sampled_from(REFUSED), JSON, st.dictionaries(TEXT, JSON, max_size=3), st.randoms(use_true_random=False))
@example("crit", [], {}, None)
@example("b64", True, {}, None)
@example("jwk", None, {}, None)
def test_a_refused_member_is_refused_with_any_value(name: str, value: Any, others: dict[str, Any], order: Any) -> None:
    """A header that asks for what is not done here is refused, whatever the value, wherever it stands."""
    header = [*{**HEADER, **others, name: value}.items()]
    if order is not None:
        order.shuffle(header)
    assume(fits(dict(header)))
    with pytest.raises(InvalidHeaderError):
        verify_token(sealed(json.dumps(dict(header)).encode(), json.dumps(CLAIMS).encode()), CONFIG)


TYPES = {"jwt", "application/jwt", "at+jwt", "application/at+jwt"}
SPELLINGS = st.sampled_from(sorted(TYPES)).flatmap(
    lambda typ: st.tuples(*(st.sampled_from([c.lower(), c.upper()]) for c in typ)).map("".join)
)


# S43
@given(
    SPELLINGS | JSON | st.sampled_from(["dpop+jwt", "logout+jwt", "JWT ", "application/", "JWS", "jwt\u200b", "jWT"])
)
@example("application/application/jwt")
@example("\u212aWT")  # the Kelvin sign, which is a K to lower() alone
def test_any_type_is_one_of_four_or_refused(typ: Any) -> None:
    """`typ` is a JWT or an access token, in any letter case, or the token is refused."""
    assume(fits(typ))
    if isinstance(typ, str) and typ.isascii() and typ.lower() in TYPES:
        assert "alice" == verify_token(forge(header={"typ": typ}), CONFIG).identity
        return
    with pytest.raises(InvalidHeaderError):
        verify_token(forge(header={"typ": typ}), CONFIG)


ALGORITHMS = [
    *(f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)),
    *("none", "ES256K", "EdDSA", "Ed25519", "Ed448", "A128KW", "dir", "RSA1_5", "RSA-OAEP"),
]


# S30, S31
@given(
    st.sampled_from(ALGORITHMS)
    | st.sampled_from(ALGORITHMS).flatmap(
        lambda name: st.tuples(*(st.sampled_from([c.lower(), c.upper()]) for c in name)).map("".join)
    )
    | TEXT
    | JSON,
    st.booleans(),
)
@example("HS256\x00", True)
@example(["HS256"], True)
@example(" HS256", False)
def test_any_algorithm_but_the_keys_own_is_refused(algorithm: Any, named: bool) -> None:
    """No spelling of any algorithm opens a key that is for another one, whether or not the token names the key."""
    assume(algorithm != "HS256" and fits(algorithm))
    header = {"alg": algorithm, "kid": KEY.kid} if named else {"alg": algorithm}
    with pytest.raises(AlgorithmRefusedError):
        verify_token(forge(header=header), CONFIG)


# S38
@given(st.text(string.printable, max_size=20) | st.text(max_size=300) | JSON)
@example(KEY.kid.swapcase())
@example(KEY.kid[:-1])
@example(f"{KEY.kid}\n")
def test_any_kid_but_the_keys_own_is_refused(kid: Any) -> None:
    """No other key identifier, and nothing that is no identifier, finds the only key there is."""
    assume(kid != KEY.kid and fits(kid))
    with pytest.raises((UnknownKeyError, InvalidHeaderError)):
        verify_token(forge(header={"kid": kid}), CONFIG)


# S17, S29
@given(st.integers(0, 2), st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", max_size=4))
def test_a_signature_over_another_spelling_is_worth_nothing(part: int, tail: str) -> None:
    """A part with characters added is refused, even when a lenient decoder would read the same bytes."""
    parts = forge().split(".")
    parts[part] += tail
    assume(tail)
    with pytest.raises(InvalidTokenError):
        verify_token(".".join(parts), CONFIG)


# S21
@given(st.sampled_from([*HEADER, *CLAIMS]), st.data())
def test_a_name_that_stands_twice_is_refused(name: str, data: st.DataObject) -> None:
    """A second member of the same name is refused in header and payload, however its name is escaped."""
    source = HEADER if name in HEADER else CLAIMS
    escaped = "".join(data.draw(st.sampled_from([c, f"\\u{ord(c):04x}", f"\\u{ord(c):04X}"])) for c in name)
    twice = f'{json.dumps(source)[:-1]},"{escaped}":{json.dumps(data.draw(st.sampled_from([source[name], None])))}}}'
    texts = [twice if source is HEADER else json.dumps(HEADER), twice if source is CLAIMS else json.dumps(CLAIMS)]
    with pytest.raises(InvalidTokenError) as caught:
        verify_token(sealed(*(text.encode() for text in texts)), CONFIG)
    assert "token_malformed" == caught.value.code


def test_the_bare_token_is_good() -> None:
    """The refusals above are worth something: the same token without the change is accepted."""
    raw = forge(header={"kid": KEY.kid})
    assert CLAIMS == verify_token(raw, CONFIG).claims
    assert b64(json.dumps({**HEADER, "kid": KEY.kid}).encode()).decode() == raw.split(".")[0]
