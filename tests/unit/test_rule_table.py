"""The truth table: generated rules and tokens, judged by an evaluator that shares no code with the library.

The evaluator goes by the claims as they were written, and by the descriptions that the rules are made from.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig
from asgi_jwt_claims.access import ACR, AnyScope, Check, Claim, Fresh, Roles, Rule, ScopeHierarchy, Scopes
from asgi_jwt_claims.errors import ForbiddenError, FreshTokenRequiredError, MissingScopeError, TokenError
from asgi_jwt_claims.tokens.verification import verify
from tests.conftest import NOW, HeldClock
from tests.forging import forge
from tests.support import SECRET

pytestmark = pytest.mark.thorough

Described = tuple[Any, ...]
"""A rule: its name, and its arguments or the rules that it combines."""

ABSENT = object()
IMPLIED = {"a": {"a"}, "b": {"b"}, "c": {"c", "b"}, "d": {"d", "c", "b"}}
AGES = (100, 1000)


def yes(_: object) -> bool:
    return True


def no(_: object) -> bool:
    return False


def raises(_: object) -> bool:
    raise RuntimeError


def one(_: object) -> Any:
    return 1


ANSWERS = {yes: True, no: False, raises: None, one: None}
LEVELS = ("gold", "tin")
CONFIG = JWTConfig(
    secret_key=SECRET,
    clock=HeldClock(),
    type_claim=None,
    user_claims_claim=None,
    required_claims=("exp", "iat"),
    scope_hierarchy=ScopeHierarchy({"d": ["c"], "c": ["b"]}),
)


# What is drawn --------------------------------------------------------------------------------------------------------

names = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map(tuple)
parts: st.SearchStrategy[Described] = st.one_of(
    st.tuples(st.just("Scopes"), names),
    st.tuples(st.just("AnyScope"), names),
    st.tuples(st.just("Roles"), names),
    st.tuples(st.just("Fresh"), st.sampled_from((None, *AGES))),
    st.tuples(st.just("ACR"), st.sampled_from((LEVELS, LEVELS[:1], LEVELS[1:], ("tin", "gold")))),
    st.tuples(st.just("Claim"), st.sampled_from(("pro", 3, True))),
    st.tuples(st.just("Check"), st.sampled_from((yes, no, yes, no, raises, one))),
)
rules = st.recursive(
    parts,
    lambda inner: st.one_of(
        st.tuples(st.just("&"), inner, inner), st.tuples(st.just("|"), inner, inner), st.tuples(st.just("~"), inner)
    ),
    max_leaves=8,
)
readable = st.fixed_dictionaries(
    {},
    optional={
        "scope": st.lists(st.sampled_from("abcd"), max_size=3, unique=True).map(" ".join),
        "roles": st.lists(st.sampled_from("abcd"), max_size=3, unique=True),
        "fresh": st.sampled_from((True, False, NOW, NOW + 1)),
        "auth_time": st.sampled_from((NOW, NOW - 100, NOW - 101, NOW - 5000, NOW + 300, NOW + 301)),
        "acr": st.sampled_from((*LEVELS, "lead", None)),
        "plan": st.sampled_from(("pro", "free", None)),
    },
)
odd = st.fixed_dictionaries(
    {},
    optional={
        "scope": st.sampled_from((7, {"a": 1, "b": False}, ["a"], "ä a")),
        "roles": st.sampled_from((7, ["a", 7], "a\tb")),
        "fresh": st.just("x"),
        "auth_time": st.just("x"),
        "acr": st.sampled_from((1, ["gold"])),
        "plan": st.sampled_from((3, True, ["pro"], 3.0)),
    },
)
tokens = st.one_of(readable, st.tuples(readable, odd).map(lambda both: both[0] | both[1]))


def build(rule: Described) -> Rule:
    """The rule of a description."""
    name, *arguments = rule
    if name == "&":
        return build(arguments[0]) & build(arguments[1])
    if name == "|":
        return build(arguments[0]) | build(arguments[1])
    if name == "~":
        return ~build(arguments[0])
    (argument,) = arguments
    several = {"Scopes": Scopes, "AnyScope": AnyScope, "Roles": Roles, "ACR": ACR}
    if name in several:
        return several[name](*argument)
    return {"Fresh": Fresh, "Claim": lambda value: Claim("plan", value), "Check": Check}[name](argument)


# The evaluator --------------------------------------------------------------------------------------------------------


def read_names(value: Any, use: str) -> tuple[set[str], bool]:
    """The names in a claim of a foreign token, and whether all of it could be read."""
    if value is ABSENT or value is None:
        return set(), True
    if isinstance(value, str):
        found: list[Any] = [name for name in (value.split() if use == "roles" else value.split(" ")) if name]
    elif isinstance(value, dict):
        found = [name for name, member in value.items() if member not in (False, None)]
    elif isinstance(value, list):
        found = value
    else:
        return set(), False
    good = {name for name in found if isinstance(name, str) and (use == "roles" or name.isascii())}
    return good, len(good) == len(found)


def scopes_say(name: str, argument: Any, claims: dict[str, Any]) -> bool | None:
    """What `Scopes`, `AnyScope` and `Roles` say of claims."""
    use = "roles" if name == "Roles" else "scope"
    held, is_read = read_names(claims.get(use, ABSENT), use)
    if use == "scope":
        held = set().union(*[IMPLIED.get(scope, set()) for scope in held])
    holds = all(one in held for one in argument) if name == "Scopes" else any(one in held for one in argument)
    return True if holds else False if is_read else None


def fresh_says(max_age: int | None, claims: dict[str, Any]) -> bool | None:
    """What `Fresh` says of claims."""
    fresh, login = claims.get("fresh", False), claims.get("auth_time", ABSENT)
    if isinstance(fresh, str) or isinstance(login, str):
        return None
    is_fresh = fresh is True or (fresh is not False and fresh > NOW)
    if max_age is None:
        return is_fresh
    if login is ABSENT and is_fresh:
        login = NOW  # `iat`
    return login is not ABSENT and ("fresh" not in claims or is_fresh) and -300 <= NOW - login <= max_age


def claim_says(name: str, argument: Any, claims: dict[str, Any]) -> bool | None:
    """What `ACR` and `Claim` say of claims."""
    value = claims.get("acr" if name == "ACR" else "plan")
    if value is None:
        return False
    if name == "ACR":
        return value in argument if isinstance(value, str) else None
    kinds = [kind for kind in (str, (int, float)) if isinstance(value, kind) and isinstance(argument, kind)]
    return value == argument if kinds and isinstance(value, bool) == isinstance(argument, bool) else None


def part_says(name: str, argument: Any, claims: dict[str, Any]) -> bool | None:
    """What a single part says of claims."""
    if name in ("Scopes", "AnyScope", "Roles"):
        return scopes_say(name, argument, claims)
    if name == "Fresh":
        return fresh_says(argument, claims)
    return ANSWERS[argument] if name == "Check" else claim_says(name, argument, claims)


def says(rule: Described, claims: dict[str, Any]) -> bool | None:
    """What a rule says of claims: None if any part of it cannot be decided."""
    name, *arguments = rule
    if name not in "&|~":
        return part_says(name, arguments[0], claims)
    found = [says(argument, claims) for argument in arguments]
    if None in found:
        return None
    return not found[0] if name == "~" else found[0] and found[1] if name == "&" else found[0] or found[1]


def passes(rule: Rule, claims: dict[str, Any]) -> TokenError | None:
    """None if a rule lets a token with these claims pass, else the error."""
    own = {name: value for name, value in claims.items() if value is not ABSENT}
    try:
        rule.check(verify(forge(own, without=() if "fresh" in own else ("fresh",)), CONFIG, None))
    except TokenError as error:
        return error
    return None


@settings(max_examples=500)
@given(rules, tokens)
def test_the_truth_table(rule: Described, claims: dict[str, Any]) -> None:
    """For 500 generated rules and tokens, exactly those pass that the evaluator lets pass, and their opposites do not."""
    expected = says(rule, claims)
    made = build(rule)
    assert (expected is True) is (passes(made, claims) is None)
    assert (expected is False) is (passes(~made, claims) is None)


@settings(max_examples=500)
@given(rules, rules, rules, tokens)
def test_order_makes_no_difference(
    first: Described, second: Described, third: Described, claims: dict[str, Any]
) -> None:
    """The order of the parts decides nothing about what passes, nor do the laws of De Morgan."""
    one, two, three = map(build, (first, second, third))
    found = {
        passes(rule, claims) is None
        for rule in (one & (two | three), (three | two) & one, ~(~one | ~(two | three)), ~(~(two | three) | ~one))
    }
    assert 1 == len(found)


# What a refusal asks for ----------------------------------------------------------------------------------------------


class Wish(NamedTuple):
    """What a client asks for, having read a challenge: scopes, another login, its greatest age and its levels."""

    scopes: frozenset[str] | None
    login: bool
    max_age: int | None
    levels: tuple[str, ...]


def granted(wish: Wish, claims: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims of all tokens that a client may get for a wish, the best and the worst."""
    scopes = {} if wish.scopes is None else {"scope": " ".join(sorted(wish.scopes))}
    if not wish.login:
        return [claims | scopes]
    ages = (0, 10**6 if wish.max_age is None else wish.max_age)
    levels: tuple[Any, ...] = wish.levels or (ABSENT,)
    return [claims | scopes | {"fresh": True, "auth_time": NOW - age, "acr": level} for age in ages for level in levels]


def suffices(rule: Rule, wish: Wish, claims: dict[str, Any]) -> bool:
    """Whether each token that a client may get for a wish passes."""
    return all(passes(rule, one) is None for one in granted(wish, claims))


def read(error: TokenError) -> Wish:
    """The wish of a client that has read the challenge of an error."""
    scope = getattr(error, "scope", None)
    scopes = None if scope is None else frozenset(scope.split())
    if not isinstance(error, FreshTokenRequiredError):
        return Wish(scopes, False, None, ())
    return Wish(scopes, True, error.max_age, tuple((error.acr_values or "").split()))


def is_plain(rule: Described) -> bool:
    """Whether nothing that a client can ask for stands under `~`."""
    name, *arguments = rule
    if name == "~":
        return arguments[0][0] in ("Roles", "Claim", "Check")
    return name not in "&|" or all(map(is_plain, arguments))


@settings(max_examples=500)
@given(rules, readable)
@example(("&", ("AnyScope", ("a", "d")), ("Scopes", ("d",))), {})
@example(("&", ("ACR", ("gold",)), ("Fresh", 100)), {"acr": "gold"})
@example(("|", ("Fresh", 100), ("Fresh", None)), {})
@example(("~", ("&", ("Scopes", ("a",)), ("~", ("Scopes", ("a", "b"))))), {"scope": "a"})
@example(("~", ("&", ("Scopes", ("b",)), ("~", ("Scopes", ("a",))))), {"scope": "b"})
@example(("|", ("&", ("ACR", ("gold",)), ("Fresh", 100)), ("Fresh", 100)), {})
def test_a_refusal_names_exactly_what_helps(rule: Described, claims: dict[str, Any]) -> None:
    """What a challenge names lets the token pass, less does not, and a challenge that names nothing has nothing to name."""
    # S116
    made = build(rule)
    error = passes(made, claims)
    if error is None or says(rule, claims) is None:
        return
    wish = read(error)
    if wish.scopes is None and not wish.login:
        assert isinstance(error, ForbiddenError)
        if is_plain(rule):
            held = frozenset(claims.get("scope", "").split())
            more = [held.union(some) for size in range(5) for some in itertools.combinations("abcd", size)]
            logins = [(False, None, ())]
            logins += [(True, age, levels) for age in (None, *AGES) for levels in ((), LEVELS[:1], LEVELS[1:])]
            assert not any(suffices(made, Wish(scopes, *login), claims) for scopes in more for login in logins)
        return
    assert isinstance(error, FreshTokenRequiredError if wish.login else MissingScopeError)
    assert suffices(made, wish, claims)
    assert not wish.login or not suffices(made, wish._replace(login=False), claims)
    assert wish.max_age is None or not suffices(made, wish._replace(max_age=None), claims)
    assert not wish.levels or not suffices(made, wish._replace(levels=()), claims)
    if wish.scopes is not None:
        # A client may keep the scopes that it has, or give them up for those that are named.
        held = frozenset(claims.get("scope", "").split())
        assert suffices(made, wish._replace(scopes=wish.scopes | held), claims)
        for scope in wish.scopes:
            less = wish.scopes - {scope}
            assert not all(suffices(made, wish._replace(scopes=some), claims) for some in (less, less | held))
