"""`Token` and `TokenPair`: frozen, own copies, no raw token anywhere."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from asgi_jwt_claims import JWTConfig, Token, TokenPair, create_access_token, verify_token
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.jose.strict_json import copy_json
from asgi_jwt_claims.tokens.token import Anonymous
from tests.conftest import NOW


@pytest.fixture
def raw(config: JWTConfig) -> str:
    """An access token with something in every field."""
    full = config.replace(issuer="https://issuer.example", audience=["api", "web"])
    return create_access_token(
        "alice",
        full,
        user_claims={"team": {"name": "blue", "ids": [1, {"deep": True}]}},
        fresh=True,
        scope="read write",
        roles=["admin", "editor"],
        headers={"x": {"y": 1}},
    )


@pytest.fixture
def token(config: JWTConfig, raw: str) -> Token:
    """The same, verified."""
    return verify_token(raw, config.replace(issuer="https://issuer.example", audience="api"))


def test_fields_are_read_from_the_claims(token: Token) -> None:
    """Every field has the value of its claim."""
    assert "alice" == token.identity
    assert {"team": {"name": "blue", "ids": [1, {"deep": True}]}} == token.user_claims
    assert "access" == token.type
    assert token.fresh is True
    assert token.claims["jti"] == token.jti
    assert "https://issuer.example" == token.issuer
    assert ("api", "web") == token.audience
    assert frozenset({"read", "write"}) == token.scopes
    assert frozenset({"admin", "editor"}) == token.roles
    assert NOW == token.issued_at
    assert NOW + 900 == token.expires_at
    assert {"alg", "typ", "kid", "x"} == set(token.headers)
    assert None is token.source


def test_names_of_sanic_jwt_extended(token: Token) -> None:
    """The old names give the same values."""
    assert token.identity == token.jwt_identity
    assert token.user_claims is token.jwt_user_claims
    assert token.claims is token.raw_jwt


def test_a_token_stands_as_a_starlette_user(token: Token) -> None:
    """A token says that it is authenticated and has a name to show; nobody has neither."""
    assert True is token.is_authenticated
    assert "alice" == token.display_name
    assert False is Anonymous.is_authenticated
    assert ("", "", frozenset()) == (Anonymous.identity, Anonymous.display_name, Anonymous.scopes)


@pytest.mark.parametrize("name", ["identity", "_verified", "_own", "source", "type", "another"])
def test_a_token_is_frozen(token: Token, name: str) -> None:
    """No attribute can be set or deleted, known or not."""
    with pytest.raises(AttributeError, match="frozen"):
        setattr(token, name, "mallory")
    with pytest.raises(AttributeError, match="frozen"):
        delattr(token, name)
    assert "alice" == token.identity


def test_a_token_is_no_dataclass_and_has_no_dict(token: Token) -> None:
    """Injectors that rebuild dataclasses find none, and there is no room for further attributes."""
    assert not dataclasses.is_dataclass(token)
    assert not hasattr(token, "__dict__")


def test_containers_are_copies_of_the_token_itself(token: Token) -> None:
    """Changing what was handed out changes nothing that anybody decides by."""
    # S109
    token.user_claims["team"]["ids"].append(2)
    token.claims["sub"] = "mallory"
    token.claims["user_claims"].clear()
    token.headers["alg"] = "none"
    assert "alice" == token.identity
    assert [1, {"deep": True}, 2] == token.user_claims["team"]["ids"]
    fresh = copy.copy(token)
    assert [1, {"deep": True}] == fresh.user_claims["team"]["ids"]
    assert "alice" == fresh.claims["sub"]
    assert "HS256" == fresh.headers["alg"]


def test_containers_are_handed_out_once(token: Token) -> None:
    """Within one token the same container comes back each time."""
    assert token.user_claims is token.user_claims
    assert token.claims is token.claims
    assert token.headers is token.headers
    assert token.claims["user_claims"] is not token.user_claims


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda token: pickle.loads(pickle.dumps(token))])
def test_copies_say_the_same(token: Token, duplicate: Any) -> None:
    """A copied or pickled token has the same fields, claims and source."""
    # S154
    twin = duplicate(token)
    assert type(twin) is Token
    assert token.claims == twin.claims
    assert token.headers == twin.headers
    assert token.user_claims == twin.user_claims
    assert (token.identity, token.scopes, token.roles) == (twin.identity, twin.scopes, twin.roles)


def test_nothing_of_a_token_holds_the_encoded_token(token: Token, raw: str) -> None:
    """Neither the repr nor a pickle holds the signature or any encoded part."""
    # S110, S154
    said = repr(token).encode() + pickle.dumps(token) + pickle.dumps([token.claims, token.headers])
    for part in raw.split("."):
        assert part.encode() not in said


def test_repr_is_short(token: Token) -> None:
    """The repr shows type, identity and jti, and no claims."""
    assert f"<Token access identity='alice' jti={token.jti!r}>" == repr(token)


def test_the_source_is_kept() -> None:
    """Where the token was found stays with the token and its copies."""
    fields: Any = {"identity": "alice", "type": "access", "jti": None}
    assert "header" == Token(fields, False, "header").source == copy.copy(Token(fields, False, "header")).source


def test_a_token_can_be_subscripted_for_type_checkers() -> None:
    """`Token[...]` means something at run time too."""
    assert Token is Token[dict[str, Any]].__origin__  # type: ignore[attr-defined]


def test_the_scope_key_is_stable() -> None:
    """The name in the ASGI scope is part of the interface."""
    assert "asgi_jwt_claims" == SCOPE_KEY


def test_a_pair_is_the_answer_of_rfc_6749() -> None:
    """As a mapping a pair has the members of RFC 6749 section 5.1, in order."""
    pair = TokenPair("a.a.a", "r.r.r", expires_in=900, scope="read")
    expected = {
        "access_token": "a.a.a",
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": "r.r.r",
        "scope": "read",
    }
    assert expected == dict(pair)
    assert list(expected) == list(pair)
    assert 5 == len(pair)
    assert ("a.a.a", "r.r.r", "Bearer", 900, "read") == (
        pair.access_token,
        pair.refresh_token,
        pair.token_type,
        pair.expires_in,
        pair.scope,
    )


def test_a_pair_leaves_out_what_it_does_not_have() -> None:
    """Without lifetime and scope those members are absent, not null."""
    pair = TokenPair("a.a.a", "r.r.r")
    assert {"access_token": "a.a.a", "token_type": "Bearer", "refresh_token": "r.r.r"} == dict(pair)
    assert (None, None) == (pair.expires_in, pair.scope)


def test_the_repr_of_a_pair_shows_no_token() -> None:
    """Neither token stands in the repr."""
    # S110
    assert "<TokenPair expires_in=1 scope='read'>" == repr(TokenPair("a.a.a", "r.r.r", expires_in=1, scope="read"))


def test_copy_json_copies_containers_only() -> None:
    """Objects and arrays are copied at every level, other values are handed on."""
    value = {"a": [1, {"b": [None, "x", True, 1.5]}]}
    twin = copy_json(value)
    assert value == twin
    assert twin is not value
    assert twin["a"] is not value["a"]
    assert twin["a"][1]["b"] is not value["a"][1]["b"]  # type: ignore[index]
