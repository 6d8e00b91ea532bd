"""AccessPolicy: the rules a handler states, what they let pass, and what they refuse."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from typing import Any

import pytest

from asgi_jwt_claims import BearerHeader, Cookie, JWTConfig, Token
from asgi_jwt_claims.access import AccessPolicy
from asgi_jwt_claims.auth.options import ACCESS_TOKEN, OPTIONAL_TOKEN, Guard
from asgi_jwt_claims.errors import (
    FreshTokenRequiredError,
    MissingScopeError,
    RoleRefusedError,
    SettingError,
    TokenError,
    WrongTypeError,
)
from asgi_jwt_claims.tokens.verification import verify
from tests.forging import forge
from tests.support import for_each


def token(config: JWTConfig, **claims: Any) -> Token:
    return verify(forge(claims), config, None)


def test_without_rules_any_access_token_passes(config: JWTConfig) -> None:
    """The plain rule wants an access token and nothing more."""
    assert None is AccessPolicy().check(token(config))


@pytest.mark.parametrize(("wanted", "kind"), [("access", "refresh"), ("refresh", "access"), ("reset", "access")])
def test_the_type_must_be_the_one_wanted(wanted: str, kind: str, config: JWTConfig) -> None:
    """A token of another type is refused, one of the type wanted passes."""
    # S137
    with pytest.raises(WrongTypeError):
        AccessPolicy(type=wanted).check(token(config, type=kind))
    assert None is AccessPolicy(type=wanted).check(token(config, type=wanted))


def test_a_fresh_token_can_be_demanded(config: JWTConfig) -> None:
    """Where freshness is demanded, a token that is not fresh is refused."""
    with pytest.raises(FreshTokenRequiredError):
        AccessPolicy(fresh=True).check(token(config))
    assert None is AccessPolicy(fresh=True).check(token(config, fresh=True))


@for_each(
    ("rules", "roles", "passes"),
    [
        ({"allow": "ADMIN"}, "ADMIN", True),
        ({"allow": "ADMIN"}, "MIN", False),
        ({"allow": "MIN"}, "ADMIN", False),
        ({"allow": "ADMIN"}, "admin", False),
        ({"allow": "ADMIN"}, ["user", "ADMIN"], True),
        ({"allow": ["a", "b"]}, "b", True),
        ({"allow": ["a", "b"]}, ["c", "d"], False),
        ({"allow": "a b"}, ["a", "b"], False),
        ({"allow": "a b"}, "a b", True),
        ({"allow": []}, "ADMIN", False),
        ({"allow": ()}, ["ADMIN"], False),
        ({"allow": "ADMIN"}, [], False),
        ({"allow": "ADMIN"}, None, False),
        ({"deny": "guest"}, "guest", False),
        ({"deny": "guest"}, ["user", "guest"], False),
        ({"deny": "guest"}, "user", True),
        ({"deny": ["guest", "bot"]}, "bot", False),
        ({"deny": "guest"}, [], False),
        ({"deny": "guest"}, None, False),
        ({"deny": []}, "guest", True),
        ({"deny": []}, None, False),
        ({"allow": "user", "deny": "guest"}, ["user"], True),
        ({"allow": "user", "deny": "guest"}, ["user", "guest"], False),
        ({"allow": iter(["user"])}, "user", True),
    ],
)
def test_roles_decide(rules: dict[str, Any], roles: Any, passes: bool, config: JWTConfig) -> None:
    """One allowed role is enough, one denied role is too much, and no role at all is nobody's."""
    subject = token(config) if roles is None else token(config, roles=roles)
    if passes:
        assert None is AccessPolicy(**rules).check(subject)
    else:
        with pytest.raises(RoleRefusedError) as error:
            AccessPolicy(**rules).check(subject)
        assert 403 == error.value.status
        assert {"roles": ", ".join(sorted(subject.roles))} == error.value.evidence


def test_all_scopes_are_needed(config: JWTConfig) -> None:
    """A token passes with all scopes; without one, the refusal names all that are needed and all that are missing."""
    # S116
    access = AccessPolicy(scopes="write read admin")
    assert None is access.check(token(config, scope="admin read write more"))
    with pytest.raises(MissingScopeError) as error:
        access.check(token(config, scope="read"))
    assert "write read admin" == error.value.scope
    assert {"scope": "write read admin", "missing": "admin write"} == error.value.evidence


@pytest.mark.parametrize("held", ["rea", "reader", "Read", "read:all"])
def test_a_similar_scope_is_another_scope(held: str, config: JWTConfig) -> None:
    """Scopes are compared whole."""
    with pytest.raises(MissingScopeError):
        AccessPolicy(scopes=["read"]).check(token(config, scope=held))


def test_rules_are_checked_in_order(config: JWTConfig) -> None:
    """Type, freshness, scopes, roles: the first rule broken gives the answer."""
    access = AccessPolicy(fresh=True, scopes="read", allow="admin")
    steps: list[tuple[dict[str, Any], type[TokenError]]] = [
        ({"type": "refresh"}, WrongTypeError),
        ({}, FreshTokenRequiredError),
        ({"fresh": True}, MissingScopeError),
        ({"fresh": True, "scope": "read"}, RoleRefusedError),
    ]
    for claims, kind in steps:
        with pytest.raises(kind):
            access.check(token(config, **claims))
    assert None is access.check(token(config, fresh=True, scope="read", roles="admin"))


@for_each(
    ("rules", "match"),
    [
        # S150
        ({"type": ""}, "type must be a non-empty str"),
        ({"type": None}, "type must be a non-empty str"),
        ({"fresh": 1}, "fresh must be True, False or a timedelta"),
        ({"fresh": None}, "fresh must be True, False or a timedelta"),
        ({"fresh": timedelta(0)}, "fresh"),
        ({"allow": ""}, "allow must be a non-empty str"),
        ({"allow": ["a", ""]}, "allow must be a non-empty str"),
        ({"allow": [1]}, "allow must be a non-empty str"),
        ({"allow": 1}, "allow must be a non-empty str"),
        ({"allow": True}, "allow must be a non-empty str"),
        ({"deny": ""}, "deny must be a non-empty str"),
        ({"deny": 1}, "deny must be a non-empty str"),
        ({"scopes": 1}, "scopes must be a non-empty str"),
        ({"scopes": None}, "scopes must be a non-empty str"),
        ({"scopes": [1]}, "scopes must be a non-empty str"),
        ({"scopes": [""]}, "scopes must be a non-empty str"),
        ({"scopes": ["a b"]}, "none with a space in it"),
        ({"scopes": 'a"b'}, "scopes as RFC 6749"),
        ({"scopes": ["ä"]}, "scopes as RFC 6749"),
    ],
)
def test_a_rule_that_could_never_hold_is_refused(rules: dict[str, Any], match: str) -> None:
    """A rule that does not say what it seems to say is refused when it is stated."""
    with pytest.raises(SettingError, match=match):
        AccessPolicy(**rules)


def test_equal_rules_are_equal() -> None:
    """Rules are compared and hashed by what they demand, whatever they were given as."""
    one = AccessPolicy(allow="a", scopes="x y")
    other = AccessPolicy(allow=["a"], scopes=["y", "x", "x"])
    assert one == other
    assert hash(one) == hash(other)
    assert one != AccessPolicy(allow="a")
    assert one != "AccessPolicy"
    assert AccessPolicy(allow=[]) != AccessPolicy()


def test_a_policy_shows_its_arguments() -> None:
    """`repr` shows the arguments that make an equal policy, with the scopes in the order given."""
    access = AccessPolicy(type="reset", fresh=True, allow=["a"], deny="b", scopes="y x")
    assert ("y", "x") == access.scopes
    assert access == eval(repr(access), {"AccessPolicy": AccessPolicy})


@pytest.mark.parametrize(
    "value", [AccessPolicy(scopes="x"), ACCESS_TOKEN, OPTIONAL_TOKEN], ids=["policy", "guard", "optional"]
)
def test_nothing_can_be_assigned(value: Any) -> None:
    """A policy and a guard never change, and what all requests share least of all; a copy is equal."""
    before = copy.deepcopy(value)
    for name in [*vars(value), "other"]:
        with pytest.raises(AttributeError, match="frozen"):
            setattr(value, name, True)
        with pytest.raises(AttributeError, match="frozen"):
            delattr(value, name)
    assert before == value == pickle.loads(pickle.dumps(value))
    assert value != "value"


@for_each(
    ("options", "match"),
    [
        ({"optional": 1}, "optional must be True or False"),
        ({"check_revocation": 1}, "check_revocation must be True or False"),
        ({"sources": None}, r"sources=\[BearerHeader\(\)\]"),
        ({"sources": "header"}, "sources must be a list of sources"),
        ({"sources": ["header"]}, "sources must be a list of sources"),
        ({"sources": [BearerHeader]}, "sources must be a list of sources"),
        ({"sources": Cookie}, "sources must be a list of sources"),
        ({"end_with_token": 1}, "end_with_token must be True or False"),
        ({"type": ""}, "type must be a non-empty str"),
    ],
)
def test_an_option_that_cannot_be_used(options: dict[str, Any], match: str) -> None:
    """An option that does not say what it seems to say is refused when the guard is made; an unknown one by name."""
    with pytest.raises(SettingError, match=match):
        Guard(**options)
    with pytest.raises(TypeError, match="'freshness'"):
        Guard(freshness=True)  # type: ignore[call-arg]


def test_equal_options_are_equal() -> None:
    """Guards are compared and hashed by what they demand; scopes can be added, and all else stays."""
    assert Guard(sources=[BearerHeader(), Cookie()]) == Guard(sources=(BearerHeader(), Cookie()))
    assert Guard(sources=Cookie()) == Guard(sources=[Cookie()]) != Guard()  # type: ignore[arg-type]
    assert Guard(sources=[Cookie(), BearerHeader()]) != Guard(sources=[BearerHeader(), Cookie()])
    assert 1 == len({Guard(end_with_token=False), Guard(end_with_token=False)})
    assert Guard(end_with_token=False) != Guard()
    elsewhere = {"sources": [Cookie()], "end_with_token": False, "check_revocation": False, "allow": "a"}
    assert Guard(**elsewhere, scopes="x y") == Guard(**elsewhere, scopes="x").with_scopes(["y"])  # type: ignore[arg-type]
    assert ACCESS_TOKEN == ACCESS_TOKEN.with_scopes([])


def test_scopes_can_be_added() -> None:
    """The same rules with more scopes demand both; without more they are the same object."""
    access = AccessPolicy(allow="a", scopes="x")
    assert AccessPolicy(allow="a", scopes="x y") == access.with_scopes(["y", "x"])
    assert access is access.with_scopes([])
    assert AccessPolicy(allow="a", scopes="x") == access
