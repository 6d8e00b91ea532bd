"""Tokens that are no access tokens, told apart where no claim is there for that (OpenID Connect Core 1.0, RFC 9068)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, create_access_token, verify_token
from asgi_jwt_claims.claims import sign_of_another_kind
from asgi_jwt_claims.errors import InvalidTokenError, MintingError, WrongTypeError
from tests.conftest import HeldClock
from tests.forging import CLAIMS, HEADER, forge, sealed
from tests.support import SECRET

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
    {"events": {}},
]


# S43
@pytest.mark.parametrize("sign", SIGNS, ids=str)
@pytest.mark.parametrize("typ", ["JWT", "at+jwt", None])
def test_a_sign_of_another_kind_is_refused(sign: dict[str, Any], typ: str | None) -> None:
    """A claim that access tokens lack, or the word for another kind, refuses the token and is named to the log."""
    header = {name: value for name, value in {**HEADER, "typ": typ}.items() if value is not None}
    raw = sealed(json.dumps(header).encode(), json.dumps({**CLAIMS, **sign}).encode())
    with pytest.raises(WrongTypeError) as error:
        verify_token(raw, UNTYPED)
    assert error.value.evidence["claim"] in sign
    assert "alice" == verify_token(forge(), UNTYPED).identity


# S43
@pytest.mark.parametrize(
    "claims",
    [
        {"typ": "Bearer"},
        {"token_use": "access"},
        {"typ": "Bearer", "nonce": "n"},
        {"token_use": "access", "nonce": "n"},
        {"typ": "JWT"},
        {"typ": ["ID"], "token_use": None},
        {"email": "u@example.com", "azp": "client-1", "acr": "1", "amr": ["pwd"], "auth_time": 1},
    ],
    ids=str,
)
def test_what_access_tokens_carry_refuses_nothing(claims: dict[str, Any]) -> None:
    """The word for an access token is accepted, with the nonce that Keycloak used to write beside it."""
    assert "alice" == verify_token(forge(claims), UNTYPED).identity


@pytest.mark.parametrize("sign", SIGNS, ids=str)
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
        assert sign_of_another_kind(user_claims) or reserved & user_claims.keys()
        return
    assert user_claims.items() <= verify_token(raw, UNTYPED).user_claims.items()
    assert None is sign_of_another_kind(user_claims)


def test_minting_names_the_claim() -> None:
    """A claim by which the token would be refused is named, with what to do about it."""
    with pytest.raises(MintingError, match="the claim 'typ' says that this is no access token; rename it"):
        create_access_token("alice", UNTYPED, user_claims={"typ": "ID"})


@given(st.dictionaries(NAMES, st.recursive(WORDS, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner))))
def test_no_value_of_these_claims_raises_anything_else(claims: dict[str, Any]) -> None:
    """With any values of these claims, the token is accepted or refused as a bad token."""
    try:
        assert "alice" == verify_token(forge(claims), UNTYPED).identity
    except InvalidTokenError as error:
        assert 401 == error.status  # noqa: PT017 -- acceptance is right too
