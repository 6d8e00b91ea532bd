"""ScopeHierarchy: which scopes imply others, and where that counts."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig
from asgi_jwt_claims.access import ScopeHierarchy
from asgi_jwt_claims.config import scopes as module
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.tokens.token import Granted
from asgi_jwt_claims.tokens.verification import verify
from tests.forging import forge
from tests.support import SECRET, for_each

ORDERS = {"orders:admin": ["orders:write"], "orders:write": "orders:read stock:read"}


@for_each(
    ("held", "wanted", "plain", "wild"),
    [
        ("orders:read", "orders:read", True, True),
        ("orders:write", "orders:read", True, True),
        ("orders:admin", "orders:read stock:read", True, True),
        ("orders:read", "orders:write", False, False),
        ("orders:admin", "orders:delete", False, False),
        ("", "orders:read", False, False),
        ("orders:read", "", True, True),
        ("orders:*", "orders:read", False, True),
        ("orders:*", "orders:items:read", False, True),
        ("orders:*", "stock:read", False, True),  # as it stands for orders:write
        ("orders:*", "orders:*", True, True),
        ("orders:*", "orders", False, False),
        ("orders:*", "orders:", False, True),
        ("orders:*", "ordersx:read", False, False),
        ("orders*", "orders:read", False, False),
        ("*", "orders:read", False, False),
        (":*", ":read", False, False),
        ("orders:read", "orders:*", False, False),
        ("orders:items:*", "orders:items:read", False, True),
        ("orders:items:*", "orders:read", False, False),
    ],
)
def test_what_a_scope_grants(held: str, wanted: str, plain: bool, wild: bool) -> None:
    """A scope grants what it implies, through others too; `orders:*` is a scope like any other unless wildcards are on."""
    assert plain is ScopeHierarchy(ORDERS).grants(held.split(), wanted.split())
    assert wild is ScopeHierarchy(ORDERS, wildcards=True).grants(held.split(), wanted.split())


def test_all_that_scopes_imply() -> None:
    """`expand` lists what is implied, by the names that a wildcard stands for too, and leaves unknown scopes as they are."""
    hierarchy = ScopeHierarchy(ORDERS)
    assert {"orders:write", "orders:read", "stock:read", "x"} == hierarchy.expand(["orders:write", "x"])
    assert {"orders:*"} == hierarchy.expand({"orders:*"})
    wild = ScopeHierarchy({**ORDERS, "all": ["orders:*"]}, wildcards=True)
    expected = {"all", "orders:*", "orders:admin", "orders:write", "orders:read", "stock:read"}
    assert expected == wild.expand(["all"])
    assert wild.grants(["all"], ["orders:anything"])


@for_each(
    ("implied", "wildcards", "match"),
    [
        # S150
        ([], False, "implied must be a mapping"),
        (None, False, "implied must be a mapping"),
        ({}, 1, "wildcards must be True or False"),
        ({"a b": ["c"]}, False, "without spaces, not 'a b'"),
        ({1: ["c"]}, False, "not 1"),
        ({"a": [1]}, False, "not 1"),
        ({"a": None}, False, "not None"),
        ({"a": ["ä"]}, False, "RFC 6749 section 3.3"),
        ({"a": ["a"]}, False, "circle: a -> a"),
        ({"a": ["b"], "b": ["a"]}, False, "circle: (a -> b -> a|b -> a -> b)"),
        ({"a": ["b"], "b": ["c"], "c": ["a"]}, False, "in a circle"),
        ({"o:read": ["o:*"]}, True, "in a circle"),
        ({"o:*": ["p"], "p": ["o:x"], "o:x": ["q"], "q": ["o:*"]}, True, "in a circle"),
    ],
)
def test_a_hierarchy_that_cannot_be_used(implied: Any, wildcards: Any, match: str) -> None:
    """A circle, by which a small scope would imply a large one, is refused when the hierarchy is made, as other mistakes."""
    with pytest.raises(SettingError, match=match):
        ScopeHierarchy(implied, wildcards=wildcards)


def test_a_circle_is_one_by_wildcards_only() -> None:
    """Without wildcards, `o:*` is a name that stands for nothing else."""
    assert ScopeHierarchy({"o:read": ["o:*"]}).grants(["o:read"], ["o:*"])


def test_a_hierarchy_is_a_value() -> None:
    """Equal hierarchies are equal, in any order; `repr` is the code that makes one, and nothing can be assigned."""
    one = ScopeHierarchy({"a": ["b", "c"], "d": "e"}, wildcards=True)
    other = ScopeHierarchy({"d": ["e"], "a": {"c", "b"}}, wildcards=True)
    assert one == other == eval(repr(one), {"ScopeHierarchy": ScopeHierarchy})
    assert hash(one) == hash(other)
    assert one == copy.deepcopy(one) == pickle.loads(pickle.dumps(one))
    assert one != ScopeHierarchy({"a": ["b", "c"], "d": "e"}) != "ScopeHierarchy"
    assert "ScopeHierarchy({'a': ['b']})" == repr(ScopeHierarchy({"a": "b"}))
    with pytest.raises(AttributeError, match="frozen"):
        one.wildcards = False  # type: ignore[attr-defined]


@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from("efgh"), max_size=3), max_size=4),
    st.lists(st.sampled_from("abcdefgh"), max_size=4),
)
def test_the_answers_agree(implied: dict[str, list[str]], held: list[str]) -> None:
    """`grants` and `expand` agree, and more scopes never grant less."""
    hierarchy = ScopeHierarchy(implied)
    found = hierarchy.expand(held)
    assert found == {scope for scope in "abcdefgh" if hierarchy.grants(held, [scope])}
    assert found == {*held, *(name for scope in held for name in implied.get(scope, ()))}
    assert found <= hierarchy.expand([*held, "a"])


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sets of scopes come along, a bounded number is remembered."""
    monkeypatch.setattr(module, "_MAX_CACHED", 2)
    hierarchy = ScopeHierarchy({"a": "b"})
    for number in range(5):
        assert hierarchy.grants({"a", str(number)}, {"b"})
        assert len(hierarchy._cache) <= 2


def test_starlette_knows_implied_scopes(config: JWTConfig) -> None:
    """`scope["auth"]`, by which Starlette's `@requires` goes, has the scopes that are implied too."""
    raw = forge({"scope": "orders:write"})
    implied = {"authenticated", "orders:write", "orders:read", "stock:read"}
    assert implied == Granted(verify(raw, config.replace(scope_hierarchy=ScopeHierarchy(ORDERS)), None)).scopes
    assert {"authenticated", "orders:write"} == Granted(verify(raw, config, None)).scopes


@pytest.mark.parametrize("value", [{"a": ["b"]}, "a b", ScopeHierarchy])
def test_a_configuration_takes_nothing_else(value: Any) -> None:
    """`scope_hierarchy` is a ScopeHierarchy or None; it cannot come from text."""
    with pytest.raises(SettingError, match=r"scope_hierarchy must be ScopeHierarchy\({...}\) or None"):
        JWTConfig(secret_key=SECRET, scope_hierarchy=value)
    with pytest.raises(SettingError, match=r"JWT_SCOPE_HIERARCHY cannot be text; give scope_hierarchy="):
        JWTConfig.from_env(environ={"JWT_SECRET_KEY": SECRET, "JWT_SCOPE_HIERARCHY": "{}"})
