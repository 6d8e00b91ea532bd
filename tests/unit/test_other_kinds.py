"""Tokens that are no access tokens, told apart where no claim is there for that (OpenID Connect Core 1.0, RFC 9068)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token, verify_token
from asgi_jwt_claims.errors import InvalidTokenError, MintingError, WrongTypeError
from asgi_jwt_claims.jose.names import REGISTERED_CLAIMS
from asgi_jwt_claims.tokens.claims import sign_of_another_kind
from tests.conftest import HeldClock
from tests.forging import CLAIMS, HEADER, forge, sealed
from tests.raw_asgi import Recorder, ask, bearer
from tests.support import SECRET, for_each

UNTYPED = JWTConfig(
    secret_key=SECRET, clock=HeldClock(), type_claim=None, user_claims_claim=None, required_claims=("exp",)
)
TYPED = JWTConfig(secret_key=SECRET, clock=HeldClock())

SIGNS: list[dict[str, Any]] = [
    {"nonce": "n-0S6_WzA2Mj"},
    {"nonce": None},
    {"nonce": "n", "typ": "JWT"},
    {"nonce": "n", "token_use": 1},
    {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"},
    {"c_hash": "LDktKdoQak3Pk0cnXxCltA"},
    {"s_hash": "LDktKdoQak3Pk0cnXxCltA"},
    {"at_hash": "77QmUPtjPfzWtF2AnpK9RQ", "typ": "Bearer"},
    {"typ": "ID"},
    {"typ": "id"},
    {"typ": "Refresh"},
    {"typ": "Offline"},
    {"typ": "Logout"},
    {"token_use": "id"},
    {"token_use": "ID"},
    {"token_use": "access", "typ": "ID"},
    {"typ": "id_token"},
    {"type": "refresh"},
    {"token_type": "Refresh-Token"},
    {"tokenType": "refresh-token"},
    {"tokenName": "id_token"},
    {"type": "access", "nonce": "n"},
    {"events": {}},
]


def typed(typ: str | None, claims: dict[str, Any]) -> bytes:
    """A good token with this `typ` in its header, or none."""
    header = {name: value for name, value in {**HEADER, "typ": typ}.items() if value is not None}
    return sealed(json.dumps(header).encode(), json.dumps({**CLAIMS, **claims}).encode())


# S43
@for_each("sign", SIGNS)
@for_each("typ", ["JWT", None])
def test_a_sign_of_another_kind_is_refused(sign: dict[str, Any], typ: str | None) -> None:
    """A claim that access tokens lack, or the word for another kind, refuses the token and is named to the log."""
    with pytest.raises(WrongTypeError) as error:
        verify_token(typed(typ, sign), UNTYPED)
    assert error.value.evidence["claim"] in sign
    assert "alice" == verify_token(forge(), UNTYPED).identity


# S43
@for_each("sign", [sign for sign in SIGNS if "nonce" not in sign])
@for_each("mark", [{"scope": "read"}, {"scp": ["read"]}, {}])
def test_no_mark_of_an_access_token_outweighs_the_others(sign: dict[str, Any], mark: dict[str, Any]) -> None:
    """Only a nonce is forgiven; a token with any other mark of an ID token is refused, whatever else it says."""
    for typ in ("JWT", "at+jwt"):
        with pytest.raises(WrongTypeError):
            verify_token(typed(typ, {**sign, **mark}), UNTYPED)


# S43
@pytest.mark.parametrize(
    "claims",
    [
        {"typ": "Bearer"},
        {"token_use": "access"},
        {"typ": "Bearer", "nonce": "n"},
        {"token_use": "access", "nonce": "n"},
        {"scope": "openid", "nonce": "n"},
        {"scp": "read", "nonce": "n"},
        {"scp": ["read"], "nonce": "n"},
        {"typ": "JWT"},
        {"typ": ["ID"], "token_use": None},
        {"type": "app", "tokenName": "access_token", "token_type": "Bearer"},
        {"typ": "access_token", "nonce": "n"},
        {"email": "u@example.com", "azp": "client-1", "acr": "1", "amr": ["pwd"], "auth_time": 1},
    ],
    ids=str,
)
def test_what_access_tokens_carry_refuses_nothing(claims: dict[str, Any]) -> None:
    """A token that shows that it is an access token is accepted, with a nonce too, as some issuers write it."""
    assert "alice" == verify_token(forge(claims), UNTYPED).identity


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_an_access_token_by_its_header_may_have_a_nonce(typ: str) -> None:
    """The `typ` of RFC 9068 marks an access token as well as a claim does."""
    assert "alice" == verify_token(typed(typ, {"nonce": "n"}), UNTYPED).identity


LENIENT = UNTYPED.replace(accept_id_tokens=True)
OTHERS: list[dict[str, Any]] = [
    {"typ": "Refresh"},
    {"typ": "Offline"},
    {"typ": "Logout"},
    {"token_use": "refresh"},
    {"type": "refresh"},
    {"token_type": "Refresh-Token"},
    {"tokenType": "refresh-token"},
    {"events": {}},
]


@pytest.mark.parametrize("sign", [sign for sign in SIGNS if sign not in OTHERS], ids=str)
def test_id_tokens_pass_where_they_are_accepted(sign: dict[str, Any]) -> None:
    """`accept_id_tokens=True` lets ID tokens pass, for issuers that have no others; what is minted may look like one."""
    assert "alice" == verify_token(forge(sign), LENIENT).identity
    if not sign.keys() & REGISTERED_CLAIMS:
        raw = create_access_token("alice", LENIENT, user_claims=sign)
        assert sign.items() <= verify_token(raw, LENIENT).user_claims.items()


@pytest.mark.parametrize(
    "sign", [*OTHERS, {"typ": "Refresh", "token_use": "id"}, {"events": {}, "nonce": "n"}], ids=str
)
def test_other_kinds_pass_nowhere(sign: dict[str, Any]) -> None:
    """Refresh tokens and security events are no ID tokens, and are refused all the same."""
    with pytest.raises(WrongTypeError):
        verify_token(forge(sign), LENIENT)


@pytest.mark.anyio
async def test_each_of_several_issuers_decides_for_its_tokens() -> None:
    """One of several configurations may accept ID tokens, and the others still do not."""
    names = ("https://a.example", "https://b.example")
    configs = [(LENIENT if name == names[0] else UNTYPED).replace(issuer=name) for name in names]
    for name, expected in zip(names, (200, 401), strict=True):
        header = bearer(forge({"iss": name, "nonce": "n"}))
        assert expected == (await ask(JWTMiddleware(Recorder(), configs), "/", header)).status


@pytest.mark.parametrize("sign", [sign for sign in SIGNS if "type" not in sign], ids=str)
def test_a_token_with_a_type_of_its_own_says_what_it_is(sign: dict[str, Any]) -> None:
    """Where a claim tells the type, it decides, and these names are claims like any other."""
    assert "alice" == verify_token(forge(sign), TYPED).identity


NAMES = st.sampled_from(["nonce", "at_hash", "c_hash", "s_hash", "events", "typ", "token_use", "plan"])
WORDS = st.sampled_from(["ID", "id", "Refresh", "access", "Bearer", "JWT", ""]) | st.none() | st.integers(0, 3)


@given(st.dictionaries(NAMES, WORDS | st.lists(WORDS, max_size=2), max_size=4))
def test_what_is_minted_without_a_type_is_an_access_token(user_claims: dict[str, Any]) -> None:
    """Flat user claims are minted and then accepted, or refused as an error of the application."""
    try:
        raw = create_access_token("alice", UNTYPED, user_claims=user_claims)
    except MintingError:
        reserved = {"nonce", "at_hash", "c_hash", "s_hash", "events"}
        assert sign_of_another_kind(user_claims, {}) or reserved & user_claims.keys()
        return
    assert user_claims.items() <= verify_token(raw, UNTYPED).user_claims.items()
    assert None is sign_of_another_kind(user_claims, {})


def test_minting_names_the_claim() -> None:
    """A claim by which the token would be refused is named, with what to do about it."""
    with pytest.raises(MintingError, match="the claim 'typ' would mark the token as no access token; rename it"):
        create_access_token("alice", UNTYPED, user_claims={"typ": "ID"})


@pytest.mark.thorough
@given(st.dictionaries(NAMES, st.recursive(WORDS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))))
def test_no_value_of_these_claims_raises_anything_else(claims: dict[str, Any]) -> None:
    """With any values of these claims, the token is accepted or refused as a bad token."""
    try:
        assert "alice" == verify_token(forge(claims), UNTYPED).identity
    except InvalidTokenError as error:
        assert 401 == error.status  # noqa: PT017 -- acceptance is right too
