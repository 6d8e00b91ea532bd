"""Claims in and out: the rule for each kind of value, and nothing of the wrong type counted as absent."""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest

from asgi_jwt_claims import JWTConfig
from asgi_jwt_claims.config._prepared import ClaimNames
from asgi_jwt_claims.errors import InvalidClaimError, MintingError
from asgi_jwt_claims.jose.names import REGISTERED_CLAIMS
from asgi_jwt_claims.jose.strict_json import MAX_JSON_DEPTH
from asgi_jwt_claims.tokens.claims import (
    accepted_typ,
    parse_claims,
    read_fresh,
    read_numeric_date,
    read_roles,
    read_scopes,
    read_string,
    read_strings,
)
from asgi_jwt_claims.tokens.minted_claims import json_copy, scope_text
from tests.conftest import NOW

NO_NUMBERS = [None, True, False, "1", "", [1], {"a": 1}, []]
NO_STRINGS = [None, True, 0, 1.5, "", ["a"], {"a": 1}]
NO_LISTS_OF_STRINGS = [None, True, 1, "", [], [""], ["a", ""], ["a", 1], ["a", None], [["a"]], {"a": 1}]


# S43
@pytest.mark.parametrize("typ", ["JWT", "jwt", "Jwt", "application/jwt", "Application/JWT"])
def test_jwt_is_a_typ_for_every_kind(typ: str) -> None:
    """`JWT` goes for access, refresh and other tokens, in any letter case, with and without `application/`."""
    assert [True, True, True] == [accepted_typ(typ, kind) for kind in ("access", "refresh", "invite")]


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_at_jwt_is_a_typ_for_access_tokens_only(typ: str) -> None:
    """`at+jwt` goes for access tokens and for no other."""
    # S43
    assert [True, False, False] == [accepted_typ(typ, kind) for kind in ("access", "refresh", "invite")]


@pytest.mark.parametrize(
    "typ",
    [
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "statuslist+jwt",
        "oauth-authz-req+jwt",
        "rt+jwt",
        "JOSE",
        "JWE",
        "",
        " JWT",
        "JWT ",
        "text/jwt",
        "application/application/jwt",
        "jwt+at",
        "ȷwt",
        None,
        1,
        True,
        ["JWT"],
        {"JWT": 1},
    ],
)
def test_any_other_typ_is_for_nothing_here(typ: Any) -> None:
    """A token minted for another purpose, or a `typ` that is no string, is not accepted for any kind."""
    # S43
    assert [False, False] == [accepted_typ(typ, kind) for kind in ("access", "refresh")]


@pytest.mark.parametrize("value", [0, -1, 1.5, NOW, NOW + 0.25, 2**53])
def test_a_numeric_date_is_a_number(value: float) -> None:
    """An integer or a fraction is a NumericDate."""
    assert value == read_numeric_date({"exp": value}, "exp")


# S49, S51
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_numeric_date_of_another_type_is_wrong(value: Any) -> None:
    """A string, a boolean, null or a container is wrong, never absent."""
    with pytest.raises(InvalidClaimError) as error:
        read_numeric_date({"exp": value}, "exp")
    assert {"claim": "exp", "reason": "not a number"} == error.value.evidence


def test_what_is_absent_is_absent() -> None:
    """A reader of an absent claim gives the value that stands for absence."""
    assert None is read_numeric_date({}, "exp")
    assert None is read_string({}, "iss")
    assert () == read_strings({}, "aud")
    assert frozenset() == read_roles({}, "roles")
    assert frozenset() == read_scopes({}, "scope")
    assert 0 == read_fresh({})


# S62
@pytest.mark.parametrize("value", NO_STRINGS)
def test_a_string_is_a_non_empty_string(value: Any) -> None:
    """Any other type, and the empty string, is wrong."""
    with pytest.raises(InvalidClaimError) as error:
        read_string({"jti": value}, "jti")
    assert {"claim": "jti", "reason": "not a non-empty string"} == error.value.evidence
    assert "a" == read_string({"jti": "a"}, "jti")


# S56
@pytest.mark.parametrize("value", NO_LISTS_OF_STRINGS)
def test_an_audience_of_another_type_is_wrong(value: Any) -> None:
    """An audience is a non-empty string or a non-empty array of them, not mixed with anything."""
    with pytest.raises(InvalidClaimError) as error:
        read_strings({"aud": value}, "aud")
    assert {"claim": "aud", "reason": "neither a non-empty string nor an array of them"} == error.value.evidence


@pytest.mark.parametrize(("value", "audience"), [("a", ("a",)), (["a"], ("a",)), (["a", "b"], ("a", "b"))])
def test_an_audience_is_one_or_several(value: Any, audience: tuple[str, ...]) -> None:
    """A string is one audience, an array several."""
    assert audience == read_strings({"aud": value}, "aud")


@pytest.mark.parametrize(
    ("value", "roles"), [("admin", {"admin"}), ("a b", {"a b"}), (["a", "b", "a"], {"a", "b"}), ([], set())]
)
def test_roles_are_one_or_several(value: Any, roles: set[str]) -> None:
    """A string is one role, whatever it holds; an array is several; an empty array is none."""
    assert roles == read_roles({"roles": value}, "roles")


@pytest.mark.parametrize("value", [value for value in NO_LISTS_OF_STRINGS if value != []])
def test_roles_of_another_type_are_wrong(value: Any) -> None:
    """Roles of another type are wrong, never absent."""
    with pytest.raises(InvalidClaimError):
        read_roles({"roles": value}, "roles")


@pytest.mark.parametrize(
    ("name", "value", "scopes"),
    [
        ("scope", "", set()),
        ("scope", "read", {"read"}),
        ("scope", "read write read", {"read", "write"}),
        ("scope", "https://api.example/x:y", {"https://api.example/x:y"}),
        ("scp", "read write", {"read", "write"}),
        ("scp", ["read", "write"], {"read", "write"}),
        ("scp", [], set()),
    ],
)
def test_scopes_are_divided_by_single_spaces(name: str, value: Any, scopes: set[str]) -> None:
    """A string is divided at spaces; a claim of another name than `scope` may be an array."""
    # S59
    assert scopes == read_scopes({name: value}, name)


# S59
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scope", None),
        ("scope", 1),
        ("scope", ["read"]),
        ("scope", {"read": True}),
        ("scope", " "),
        ("scope", " read"),
        ("scope", "read "),
        ("scope", "read  write"),
        ("scope", "read\tadmin"),
        ("scope", "read\nadmin"),
        ("scope", "read\u00a0admin"),
        ("scope", 'read"'),
        ("scope", "read\\"),
        ("scope", "lesen-ä"),
        ("scp", ["read", 1]),
        ("scp", ["read write"]),
        ("scp", [""]),
        ("scp", [["read"]]),
        ("scp", None),
    ],
)
def test_scopes_of_another_form_are_wrong(name: str, value: Any) -> None:
    """Other types, double spaces and characters that no scope may have are wrong."""
    with pytest.raises(InvalidClaimError) as error:
        read_scopes({name: value}, name)
    read = isinstance(value, str) or value in (["read write"], [""])
    reason = "not scopes divided by single spaces" if read else "not a string"
    assert {"claim": name, "reason": reason} == error.value.evidence


@pytest.mark.parametrize(
    ("value", "fresh"),
    [(True, True), (False, False), (NOW + 1, True), (NOW + 0.5, True), (NOW, False), (NOW - 1, False), (0, False)],
)
def test_fresh_is_a_boolean_or_a_time(value: Any, fresh: bool) -> None:
    """`fresh` is true, false, or the time until which the token is fresh."""
    assert fresh is (NOW < read_fresh({"fresh": value}))


@pytest.mark.parametrize("value", [None, "x", "true", "", [], {}, [True]])
def test_fresh_of_another_type_is_wrong(value: Any) -> None:
    """`fresh` of another type is neither true nor false."""
    with pytest.raises(InvalidClaimError):
        read_fresh({"fresh": value})


CLAIMS: dict[str, Any] = {"sub": "alice", "type": "access", "exp": 1, "iat": 0, "jti": "j"}


@pytest.mark.parametrize("claims", [{"user_claims": {"sub": "x"}}, {"user_claims": {}}, {"sub": "alice"}])
def test_user_claims_are_the_object_under_their_name(config: JWTConfig, claims: dict[str, Any]) -> None:
    """The object is read as it is, and an empty one where there is none."""
    names = parse_claims({**CLAIMS, **claims}, {}, "", config).claim_names
    assert claims.get("user_claims", {}) == names.own(claims)


@pytest.mark.parametrize("value", [None, [], "x", 1, True, [{}]])
def test_user_claims_of_another_type_are_wrong(config: JWTConfig, value: Any) -> None:
    """User claims that are no object are wrong, null included."""
    with pytest.raises(InvalidClaimError) as error:
        parse_claims({**CLAIMS, "user_claims": value}, {}, "", config)
    assert {"claim": "user_claims", "reason": "not an object"} == error.value.evidence


def test_flat_user_claims_are_what_is_not_reserved(config: JWTConfig) -> None:
    """Without a claim of their own, user claims are all claims that mean nothing else."""
    flat = dataclasses.replace(config, user_claims_claim=None)
    assert 1 == parse_claims({**CLAIMS, "user_claims": 1}, {}, "", flat).expires_at
    claims = {"sub": "alice", "exp": 1, "team": "blue", "user_claims": {"a": 1}}
    assert {"team": "blue", "user_claims": {"a": 1}} == ClaimNames("sub", None, frozenset({"sub", "exp"})).own(claims)


def test_the_registered_names_are_those_that_somebody_decides_by() -> None:
    """All of RFC 7519 and what other parties decide by is registered."""
    # S58, S63
    decisive = (
        "scope client_id act may_act roles groups entitlements cnf auth_time acr amr azp sid events fresh "
        "nonce at_hash c_hash s_hash"
    )
    assert {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", *decisive.split()} == REGISTERED_CLAIMS


# Out ------------------------------------------------------------------------------------------------------------------


class Text(str):
    """A str that is more."""

    __slots__ = ("more",)


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "copied"),
    [
        (None, None),
        (True, True),
        ("ä𝄞", "ä𝄞"),
        (Text("x"), "x"),
        (2**53, 2**53),
        (-(2**53), -(2**53)),
        (Number.ONE, 1),
        (1.5, 1.5),
        ([1, (2, "x")], [1, [2, "x"]]),
        ({"a": {"b": []}}, {"a": {"b": []}}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (OrderedDict([("b", 1), ("a", 2)]), {"b": 1, "a": 2}),
        ({Text("a"): 1}, {"a": 1}),
    ],
)
def test_json_values_are_copied_as_plain_types(value: Any, copied: Any) -> None:
    """What is JSON is copied, with tuples as arrays and subclasses as what they are to JSON."""
    twin = json_copy(value, "it")
    assert copied == twin
    assert type(copied) is type(twin)


def test_the_copy_shares_nothing() -> None:
    """Changing the original later changes nothing in the copy."""
    inner: list[int] = [1]
    twin = json_copy({"a": {"b": inner}}, "it")
    inner.append(2)
    assert {"a": {"b": [1]}} == twin


# S64, S146
@pytest.mark.parametrize(
    ("value", "match"),
    [
        (float("nan"), "NaN or Infinity"),
        (float("-inf"), "NaN or Infinity"),
        (2**53 + 1, r"beyond 2\*\*53"),
        (-(2**53) - 1, r"beyond 2\*\*53"),
        (10**400, r"beyond 2\*\*53"),
        ("\ud800", "half of a surrogate pair"),
        (b"x", "type bytes"),
        ({1, 2}, "type set"),
        (object(), "type object"),
        (iter([1]), "type list_iterator"),
        (1j, "type complex"),
        ({1: "x"}, "a name of type int"),
        ({None: "x"}, "a name of type NoneType"),
        ({"\udfff": 1}, "a name of type str; names are str of whole characters"),
        ({"a": [{"b": float("inf")}]}, "NaN or Infinity"),
        ([[b"x"]], "type bytes"),
    ],
)
def test_what_is_not_json_is_refused(value: Any, match: str) -> None:
    """What JSON does not have, or not every parser reads alike, is refused with the name of the argument."""
    with pytest.raises(MintingError, match=f"^it must not contain .*{match}"):
        json_copy(value, "it")


# S64
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (inner,)])
def test_nesting_is_counted_from_where_the_value_will_stand(wrap: Any) -> None:
    """Sixteen levels are copied and seventeen refused, counted from the level given."""
    value = 1
    for _ in range(MAX_JSON_DEPTH - 1):
        value = wrap(value)
    assert value is not None
    json_copy(wrap(value), "it")
    json_copy(value, "it", depth=2)
    for refused, depth in ((wrap(wrap(value)), 1), (wrap(value), 2)):
        with pytest.raises(MintingError, match="more than 16 levels"):
            json_copy(refused, "it", depth)


def test_a_value_that_holds_itself_is_refused() -> None:
    """A circle is nesting without end, and no RecursionError."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(MintingError, match="more than 16 levels"):
        json_copy(circle, "it")


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("read", "read"),
        ("read write", "read write"),
        (["read"], "read"),
        (("read", "write"), "read write"),
        (iter(["read", "a:b/c.d"]), "read a:b/c.d"),
    ],
)
def test_scopes_become_one_string(scope: Any, text: str) -> None:
    """One string stays, several scopes are joined."""
    assert text == scope_text(scope)


# S59
@pytest.mark.parametrize(
    "scope",
    [
        "",
        " ",
        " read",
        "read ",
        "read  write",
        "read\twrite",
        "read\n",
        'a"b',
        "a\\b",
        "ä",
        [],
        [""],
        ["read", ""],
        ["read write"],
        ["read\nadmin"],
        [1],
        ["read", None],
        [["read"]],
    ],
)
def test_text_that_is_no_scope_is_refused(scope: Any) -> None:
    """Empty scopes, foreign characters and a scope with a space in it are refused."""
    with pytest.raises(MintingError, match="scope must be one or more scopes"):
        scope_text(scope)
