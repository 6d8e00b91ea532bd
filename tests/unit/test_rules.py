"""Rules as values: what each part asks of a token, how parts combine, and what a refusal asks a client for."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from asgi_jwt_claims import JWTConfig, Token, access
from asgi_jwt_claims.access import ACR, AccessPolicy, AnyScope, Check, Claim, Fresh, Roles, Rule, ScopeHierarchy, Scopes
from asgi_jwt_claims.access.parts import DeniedRoles
from asgi_jwt_claims.access.policy import naming_scopes
from asgi_jwt_claims.auth.options import Guard
from asgi_jwt_claims.errors import (
    ForbiddenError,
    FreshTokenRequiredError,
    MissingScopeError,
    RoleRefusedError,
    SettingError,
    TokenError,
    WrongTypeError,
)
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.tokens.verification import verify
from tests.conftest import NOW, HeldClock
from tests.forging import forge
from tests.support import SECRET, for_each

PATH = ("organization", "plan")


@pytest.fixture
def foreign(clock: HeldClock) -> JWTConfig:
    """A configuration for the tokens of another party, whose claims may be unreadable."""
    return JWTConfig(
        secret_key=SECRET, clock=clock, type_claim=None, user_claims_claim=None, required_claims=("exp", "iat")
    )


def token(config: JWTConfig, **claims: Any) -> Token:
    return verify(forge(claims, without=() if "fresh" in claims else ("fresh",)), config, None)


def yes(_: Token) -> bool:
    return True


def no(_: Token) -> bool:
    return False


def broken(_: Token) -> bool:
    raise LookupError("the secret of alice")


def odd(_: Token) -> Any:
    return 1


async def later() -> bool:
    return True


def postponed(_: Token) -> Any:
    return later()


def refused(rule: Rule | AccessPolicy, subject: Token) -> TokenError:
    """The error that a rule refuses a token with."""
    with pytest.raises(TokenError) as error:
        rule.check(subject)
    return error.value


def says(rule: Rule, subject: Token) -> bool | None:
    """What a rule says: True, False, or None if the whole rule cannot be decided, so that its opposite does not hold."""
    outcomes = []
    for one in (rule, ~rule):
        try:
            one.check(subject)
        except TokenError:
            outcomes.append(False)
        else:
            outcomes.append(True)
    assert outcomes != [True, True]
    return None if outcomes == [False, False] else outcomes[0]


# Parts ----------------------------------------------------------------------------------------------------------------


@for_each(
    ("rule", "claims", "expected"),
    [
        (Scopes("a"), {"scope": "a b"}, True),
        (Scopes("a b"), {"scope": "b a"}, True),
        (Scopes("a", "b"), {"scope": "a"}, False),
        (Scopes("a"), {}, False),
        (Scopes("a"), {"scope": "A"}, False),
        (Scopes("a"), {"scope": 7}, None),
        (AnyScope("a b"), {"scope": "b"}, True),
        (AnyScope("a", "b"), {"scope": "c"}, False),
        (AnyScope("a"), {}, False),
        (AnyScope("a"), {"scope": 7}, None),
        (Roles("a"), {"roles": ["b", "a"]}, True),
        (Roles("a", "b"), {"roles": "b"}, True),
        (Roles("a b"), {"roles": ["a", "b"]}, False),
        (Roles("ADMIN"), {"roles": "MIN"}, False),
        (Roles(), {"roles": "a"}, False),
        (Roles("a"), {}, False),
        (Roles("a"), {"roles": [7]}, None),
        (Roles("a"), {"roles": ["a", 7]}, True),
        (DeniedRoles("a"), {"roles": "b"}, True),
        (DeniedRoles("a"), {"roles": "a"}, False),
        (DeniedRoles("a"), {}, False),
        (DeniedRoles("a"), {"roles": ["b", 7]}, None),
        (Fresh(), {"fresh": True}, True),
        (Fresh(), {"fresh": NOW + 1}, True),
        (Fresh(), {"fresh": NOW}, False),
        (Fresh(), {}, False),
        (Fresh(), {"fresh": "yes"}, None),
        (Fresh(300), {"auth_time": NOW - 300}, True),
        (Fresh(max_age=timedelta(minutes=5)), {"auth_time": NOW - 301}, False),
        (Fresh(300), {"auth_time": NOW + 301}, False),
        (Fresh(300), {"auth_time": NOW, "fresh": False}, False),
        (Fresh(300), {}, False),
        (Fresh(300), {"auth_time": "now"}, None),
        (ACR("gold", "silver"), {"acr": "silver"}, True),
        (ACR("gold"), {"acr": "silver"}, False),
        (ACR("gold"), {}, False),
        (ACR("gold"), {"acr": None}, False),
        (ACR("gold"), {"acr": ["gold"]}, None),
        (ACR("1"), {"acr": 1}, None),
        (Claim("plan", "pro"), {"plan": "pro"}, True),
        (Claim("plan", "pro"), {"plan": "Pro"}, False),
        (Claim("plan", {"pro", "team"}), {"plan": "team"}, True),
        (Claim("plan", "pro"), {}, False),
        (Claim("plan", "pro"), {"plan": None}, False),
        (Claim("plan", "pro"), {"plan": ["pro"]}, None),
        (Claim("plan", "pro"), {"plan": {"pro": True}}, None),
        (Claim("plan", "pro"), {"plan": True}, None),
        (Claim("plan", {"pro", 3}), {"plan": 3.0}, True),
        (Claim("plan", 1), {"plan": True}, None),
        (Claim("plan", True), {"plan": 1}, None),
        (Claim("plan", True), {"plan": False}, False),
        (Claim("plan", "3"), {"plan": 3}, None),
        (Claim(PATH, "pro"), {"organization": {"plan": "pro"}}, True),
        (Claim(PATH, "pro"), {"organization": {}}, False),
        (Claim(PATH, "pro"), {"organization": "pro"}, None),
        (Claim("plan", "pro"), {"_claim_names": {"plan": "elsewhere"}}, None),
        (Claim(("a.b",), "pro"), {"a.b": "pro"}, True),
        (Check(yes), {}, True),
        (Check(no), {}, False),
        (Check(broken), {}, None),
        (Check(odd), {}, None),
        (Check(postponed), {}, None),
    ],
)
def test_a_part_says_one_of_three_things(
    rule: Rule, claims: dict[str, Any], expected: bool | None, foreign: JWTConfig
) -> None:
    """A part holds, fails, or cannot be decided, in which case neither it nor its opposite lets the token pass."""
    # S61
    assert expected is says(rule, token(foreign, **claims))


def test_a_check_is_asked_once(config: JWTConfig) -> None:
    """A function gets the token itself, and is called once for a token, whether that passes or not."""
    subject, asked = token(config), []

    def ask(one: Token) -> bool:
        asked.append(one)
        return len(asked) > 1  # what it says later comes too late

    rule = Check(ask) & Check(ask)
    assert isinstance(refused(rule, subject), ForbiddenError)
    assert [subject] == asked
    rule.check(subject)
    assert 2 == len(asked)


def test_a_check_that_fails_is_logged(config: JWTConfig, caplog: pytest.LogCaptureFixture) -> None:
    """The log says which function has failed, and how; the error says neither to the client."""
    for function, text in ((broken, "Check(broken) failed"), (odd, "Check(odd) returned int, not True or False")):
        caplog.clear()
        error = refused(Check(function), token(config))
        assert [logging.ERROR] == [record.levelno for record in caplog.records]
        assert text in caplog.text
        assert {"reason": "cannot be decided"} == error.evidence
        assert "alice" not in f"{error!r} {error}"


def test_handlers_cannot_change_what_a_rule_reads(config: JWTConfig) -> None:
    """What a handler writes into its copy of the claims changes no decision, and a claim is read once."""
    subject = token(config, plan="free", acr="1")
    subject.claims.update(plan="pro", acr="2")
    for rule in (Claim("plan", "pro"), ACR("2")):
        refused(rule, subject)
        subject.claims.update(plan="pro", acr="2")
        refused(rule, subject)


# Combinations ---------------------------------------------------------------------------------------------------------

HOLDS, FAILS, UNDECIDED = Scopes("a"), Roles("x"), Claim("odd", 1)


@for_each(
    ("rule", "expected"),
    [
        (HOLDS & HOLDS, True),
        (HOLDS & FAILS, False),
        (FAILS & FAILS, False),
        (HOLDS | FAILS, True),
        (FAILS | HOLDS, True),
        (FAILS | FAILS, False),
        (~FAILS, True),
        (~~HOLDS, True),
        (~(HOLDS & FAILS), True),
        (~(HOLDS | FAILS), False),
        (HOLDS | UNDECIDED, None),
        (UNDECIDED | HOLDS, None),
        (FAILS & UNDECIDED, None),
        (UNDECIDED & FAILS, None),
        (HOLDS & (FAILS | ~UNDECIDED), None),
        (HOLDS | (HOLDS & Check(broken)), None),
        (HOLDS | Check(no), True),
        (HOLDS & ~Check(yes), False),
    ],
)
def test_what_cannot_be_decided_refuses_the_whole_rule(rule: Rule, expected: bool | None, config: JWTConfig) -> None:
    """`&`, `|` and `~` mean what they say, unless a part cannot be decided: then nothing saves the rule."""
    # S61
    subject = token(config, scope="a", user_claims={}, odd=[])
    assert expected is says(rule, subject)
    if expected is not True:
        assert refused(rule, subject).verified["identity"] == "alice"


def test_rules_do_not_combine_with_anything_else() -> None:
    """`and`, `or`, `not` and `if` would drop a rule without a word, so they raise; so does what is no rule."""
    for misuse in (
        lambda: Scopes("a") and Roles("b"),
        lambda: Scopes("a") or Roles("b"),
        lambda: not Scopes("a"),
    ):
        with pytest.raises(SettingError, match=r"combine rules by &, \| and ~"):
            misuse()
    for wrong in (lambda: Scopes("a") & "b", lambda: Scopes("a") | None, lambda: True & Scopes("a")):  # type: ignore[operator]
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(TypeError, match="abstract"):
        Rule()  # type: ignore[abstract]  # an application that calls it without types


RULES: list[tuple[Rule, str]] = [
    (Scopes("a b", "a"), "Scopes('a', 'b')"),
    (AnyScope("a", "b"), "AnyScope('a', 'b')"),
    (Roles("b", "a"), "Roles('b', 'a')"),
    (Roles(), "Roles()"),
    (Fresh(), "Fresh()"),
    (Fresh(timedelta(minutes=5)), "Fresh(max_age=300)"),
    (Fresh(0.5), "Fresh(max_age=0.5)"),
    (ACR("gold", "silver"), "ACR('gold', 'silver')"),
    (Claim("plan", "pro"), "Claim('plan', 'pro')"),
    (Claim(("a.b",), True), "Claim(('a.b',), True)"),
    (Claim(PATH, {"pro", 3}), "Claim(('organization', 'plan'), {'pro', 3})"),
    (Check(yes), "Check(yes)"),
    (Scopes("a") & Roles("b") & Fresh(), "Scopes('a') & Roles('b') & Fresh()"),
    (Scopes("a") & (Roles("b") & Fresh()), "Scopes('a') & Roles('b') & Fresh()"),
    (Scopes("a") | Roles("b") | Fresh(), "Scopes('a') | Roles('b') | Fresh()"),
    (Scopes("a") & (Roles("b") | Fresh()), "Scopes('a') & (Roles('b') | Fresh())"),
    (Scopes("a") & Roles("b") | Fresh(), "(Scopes('a') & Roles('b')) | Fresh()"),
    (~Scopes("a") & ~(Roles("b") | Fresh()), "~Scopes('a') & ~(Roles('b') | Fresh())"),
    (~~Scopes("a"), "Scopes('a')"),
]


@for_each(("rule", "text"), RULES)
def test_a_rule_shows_the_code_that_makes_it(rule: Rule, text: str) -> None:
    """`repr` is readable code that makes an equal rule, and copies are equal."""
    assert text == repr(rule)
    names = {name: getattr(access, name) for name in access.__all__} | {"yes": yes}
    for other in (eval(text, names), copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):
        assert rule == other
        assert hash(rule) == hash(other)


def test_different_rules_differ() -> None:
    """Rules are compared by what they are made of, and work as keys; nothing about them can be assigned."""
    rules = [rule for rule, _ in RULES]
    assert 18 == len(set(rules))
    assert Claim("a", 1) != Claim("a", True)
    assert Scopes("a") != AnyScope("a") != "Scopes('a')"
    assert Check(yes) != Check(no)
    for rule in rules:
        with pytest.raises(AttributeError, match="frozen"):
            rule.arguments = ()
    assert "Check(<lambda>)" in repr(Check(lambda _: True)).replace("test_different_rules_differ.<locals>.", "")


class Asker:
    def __call__(self, subject: Token) -> bool:
        return subject.identity == "alice"


class AsyncAsker:
    async def __call__(self, _: Token) -> bool:
        return True


class Unhashable(Asker):
    __hash__ = None  # type: ignore[assignment]


def test_an_object_may_be_asked(config: JWTConfig) -> None:
    """`Check` takes anything that can be called with a token, and shows it."""
    asker = Asker()
    Check(asker).check(token(config))
    assert repr(Check(asker)) == f"Check({asker!r})"


@for_each(
    ("make", "match"),
    [
        # S150
        (Scopes, r"Scopes must be given scopes, as in Scopes\("),
        (lambda: Scopes(""), "Scopes must be a non-empty str"),
        (lambda: Scopes(" "), "Scopes must be given scopes"),
        (lambda: Scopes(["a"]), "Scopes must be a non-empty str"),
        (lambda: Scopes("ä"), "as RFC 6749 section 3.3 allows"),
        (AnyScope, "AnyScope must be given scopes"),
        (lambda: AnyScope('a"b'), "as RFC 6749 section 3.3 allows"),
        (lambda: Roles(""), "Roles must be a non-empty str"),
        (lambda: Roles(1), "Roles must be a non-empty str"),
        (lambda: Fresh(True), "max_age must be a timedelta or seconds"),
        (lambda: Fresh(0), "max_age must be more than zero"),
        (lambda: Fresh("5"), "max_age must be a timedelta or seconds"),
        (ACR, "ACR must be given values"),
        (lambda: ACR("a b"), "without spaces"),
        (lambda: ACR(2), "ACR must be a non-empty str"),
        (lambda: Claim("", "a"), "Claim must be a non-empty str"),
        (lambda: Claim("a.b", "a"), r"write \('a', 'b'\)"),
        (lambda: Claim("a", None), "Claim must be given a str, a number, a bool"),
        (lambda: Claim("a", ["b"]), "Claim must be given a str"),
        (lambda: Claim("a", set()), "a non-empty set"),
        (lambda: Claim("a", {None}), "Claim must be given a str"),
        (lambda: Check(None), "Check must be given a function"),
        (lambda: Check(Asker), "Check must be given a function"),
        (lambda: Check(later), "must be given a sync function"),
        (lambda: Check(AsyncAsker()), "must be given a sync function"),
        (lambda: Check(Unhashable()), "must be given a hashable function"),
        (lambda: AccessPolicy(require="read"), r"require must be a rule such as Scopes\("),
        (lambda: Guard(require=Scopes), "require must be a rule such as"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused(make: Callable[[], Any], match: str) -> None:
    """A rule that does not say what it seems to say is refused when it is made, with what to write instead."""
    with pytest.raises(SettingError, match=match):
        make()


# What a refusal asks for ----------------------------------------------------------------------------------------------

RESPONDER = ErrorResponder()


def asks(rule: Rule | AccessPolicy, subject: Token) -> tuple[str, str]:
    """The name of the error, and the attributes of its challenge that say what would let the token pass."""
    error = refused(rule, subject)
    header = dict(RESPONDER.response_for(error).headers)["www-authenticate"]
    _, _, attributes = header.partition(f'error_description="{error.description}"')
    return type(error).__name__.removesuffix("Error"), attributes.removeprefix(", ")


STALE = {"auth_time": NOW - 1000, "fresh": True}


@for_each(
    ("rule", "claims", "expected"),
    [
        # One part.
        (Scopes("b a c"), {"scope": "c"}, ("MissingScope", 'scope="b a c"')),
        (AnyScope("b", "a"), {"scope": "c"}, ("MissingScope", 'scope="b"')),
        (Roles("b"), {"roles": "a"}, ("RoleRefused", "")),
        (~Roles("a"), {"roles": "a"}, ("RoleRefused", "")),
        (Fresh(), {}, ("FreshTokenRequired", "")),
        (Fresh(0.5), {}, ("FreshTokenRequired", 'max_age="0"')),
        (Fresh(300), STALE, ("FreshTokenRequired", 'max_age="300"')),
        (ACR("gold", "silver"), {"acr": "tin"}, ("FreshTokenRequired", 'acr_values="gold silver"')),
        (Claim("plan", "pro"), {"scope": "a"}, ("Forbidden", "")),
        (Check(no), {}, ("Forbidden", "")),
        # All of them: one answer for all that is missing, and none if something else is in the way.
        (Scopes("a") & Scopes("b"), {"scope": "a"}, ("MissingScope", 'scope="a b"')),
        (Fresh(300) & Fresh(60), {}, ("FreshTokenRequired", 'max_age="60"')),
        (ACR("a", "b", "c") & ACR("c", "b"), {}, ("FreshTokenRequired", 'acr_values="b c"')),
        (ACR("a") & ACR("b"), {}, ("Forbidden", "")),
        (
            Fresh(300) & ACR("gold") & Scopes("a b"),
            {"scope": "b"},
            ("FreshTokenRequired", 'scope="a b", acr_values="gold", max_age="300"'),
        ),
        (Fresh() & Roles("b"), {}, ("RoleRefused", "")),
        (AnyScope("a", "b") & Fresh(), {"scope": "b"}, ("FreshTokenRequired", "")),
        ((Scopes("a") | Claim("plan", "pro")) & Roles("b"), {"scope": "a"}, ("RoleRefused", "")),
        (Scopes("a") & Roles("b") & Check(no), {}, ("Forbidden", "")),
        (Scopes("a") & Check(yes), {}, ("MissingScope", 'scope="a"')),
        # One of several: a login before scopes, few scopes before many, the first before the others.
        (Scopes("a") | Scopes("b"), {}, ("MissingScope", 'scope="a"')),
        (Scopes("a b") | Scopes("c"), {}, ("MissingScope", 'scope="c"')),
        (Scopes("a") | Fresh(), {}, ("FreshTokenRequired", "")),
        (Scopes("a") & (Scopes("b") | Fresh()), {}, ("MissingScope", 'scope="a b"')),
        (Scopes("a") | Roles("b"), {}, ("MissingScope", 'scope="a"')),
        (Roles("b") | Claim("plan", "pro"), {}, ("Forbidden", "")),
        (AnyScope("a", "b") & Scopes("b"), {}, ("MissingScope", 'scope="b"')),
        (AnyScope("a", "b") & Scopes("c"), {"scope": "b"}, ("MissingScope", 'scope="b c"')),
        (AnyScope("a", "b") & Scopes("c"), {"scope": "a b"}, ("MissingScope", 'scope="a c"')),
        (Fresh(60) | Fresh(300), {}, ("FreshTokenRequired", 'max_age="300"')),
        (Fresh(60) | Fresh(), {}, ("FreshTokenRequired", "")),
        (Fresh(60) | ACR("gold"), {}, ("FreshTokenRequired", 'max_age="60"')),
        (ACR("gold") | Fresh(60), {}, ("FreshTokenRequired", 'acr_values="gold"')),
        (ACR("gold") & Fresh(60) | Fresh(60), {}, ("FreshTokenRequired", 'max_age="60"')),
        # What the login at hand has, and another one may lack.
        (ACR("gold") & Fresh(), {"acr": "gold"}, ("FreshTokenRequired", 'acr_values="gold"')),
        (ACR("gold") | Scopes("a"), {"acr": "tin"}, ("FreshTokenRequired", 'acr_values="gold"')),
        (
            ACR("gold") & Fresh(2000) & Fresh(1500),
            STALE,
            ("FreshTokenRequired", 'acr_values="gold", max_age="1500"'),
        ),
        (ACR("gold", "tin") & ~ACR("tin"), {}, ("FreshTokenRequired", 'acr_values="gold"')),
        # Under `~`: a scope or a login that would break another part is not asked for.
        (Scopes("a") & ~AnyScope("a", "b"), {}, ("Forbidden", "")),
        (Fresh() & ~Fresh(300), {}, ("Forbidden", "")),
        ((Fresh() & ~Fresh(300)) | Scopes("a"), {}, ("MissingScope", 'scope="a"')),
        (~Scopes("a"), {"scope": "a"}, ("Forbidden", "")),
        (~(Scopes("a") & Roles("b")), {"scope": "a", "roles": "b"}, ("Forbidden", "")),
        (~Scopes("b") | Scopes("a"), {"scope": "b"}, ("MissingScope", 'scope="a"')),
        (~(~Scopes("a") | ~Scopes("b")), {}, ("MissingScope", 'scope="a b"')),
        # What cannot be decided.
        (Scopes("a") | Claim("plan", 1), {"scope": "a", "plan": []}, ("Forbidden", "")),
        (Scopes("a") & Fresh(300), {"scope": "a", "auth_time": "x"}, ("FreshTokenRequired", 'max_age="300"')),
        (Fresh() | ACR("gold"), {"fresh": "x", "acr": []}, ("FreshTokenRequired", 'acr_values="gold"')),
        (Scopes("a") | Roles("b"), {"scope": 7, "roles": "b"}, ("MissingScope", 'scope="a"')),
        (~Scopes("a"), {"scope": 7}, ("Forbidden", "")),
        (Roles("b") | Scopes("a"), {"scope": "a", "roles": 7}, ("RoleRefused", "")),
        (Roles("b") & Scopes("a"), {"scope": 7, "roles": 7}, ("RoleRefused", "")),
    ],
)
def test_a_refusal_asks_for_what_helps(
    rule: Rule, claims: dict[str, Any], expected: tuple[str, str], foreign: JWTConfig
) -> None:
    """The answer is 401 if a login helps (RFC 9470), 403 with all scopes if they help (RFC 6750), else a plain 403."""
    # S116
    assert expected == asks(rule, token(foreign, **claims))


def test_the_log_learns_what_is_missing(foreign: JWTConfig) -> None:
    """The evidence of a combined rule names each part in the way; nothing of it is in the response."""
    rule = (Scopes("a") & ~Roles("guest")) | (Claim("plan", "pro") & Fresh(300))
    error = refused(rule, token(foreign, scope="b", roles="guest", plan="free", auth_time=NOW - 400))
    assert ForbiddenError is type(error)
    assert {
        "unmet": "Scopes('a'), ~Roles('guest'), Claim('plan', 'pro'), Fresh(max_age=300)",
    } == error.evidence
    error = refused(Scopes("a") & Claim("plan", "pro") & Roles("b"), token(foreign, plan=[], roles=7))
    assert {
        "claim": "plan, roles",
        "reason": "cannot be read",
        "unmet": "Claim('plan', 'pro'), Roles('b')",
    } == error.evidence
    error = refused(Fresh(300) & Scopes("a"), token(foreign, auth_time=NOW - 400))
    assert {
        "max_age": 300,
        "age": 400,
        "scope": "a",
        "missing": "a",
        "unmet": "Fresh(max_age=300), Scopes('a')",
    } == error.evidence
    assert b"unmet" not in RESPONDER.response_for(error).body


def test_a_rule_with_very_many_alternatives(config: JWTConfig) -> None:
    """The alternatives that are looked at are bounded, so that a refusal takes no time that grows without end."""
    rule: Rule = AnyScope("a0", "b0")
    for number in range(1, 40):
        rule &= AnyScope(f"a{number}", f"b{number}")
    error = refused(rule, token(config))
    assert isinstance(error, MissingScopeError)
    assert " ".join(f"a{number}" for number in range(40)) == error.scope


# AccessPolicy ---------------------------------------------------------------------------------------------------------


def test_short_forms_and_a_rule(config: JWTConfig) -> None:
    """With `require`, the short forms and the rule are one rule of all, and the type is checked first."""
    policy = AccessPolicy(scopes="a", fresh=timedelta(minutes=5), allow="x", require=ACR("gold") & Scopes("b"))
    assert ("a", "b") == policy.scopes
    with pytest.raises(WrongTypeError):
        policy.check(token(config, type="refresh"))
    assert ("RoleRefused", "") == asks(policy, token(config, roles="y"))
    expected = 'scope="a b", acr_values="gold", max_age="300"'
    assert ("FreshTokenRequired", expected) == asks(policy, token(config, roles="x"))
    policy.check(token(config, roles="x", scope="a b", acr="gold", fresh=True))
    assert ("Forbidden", "") == asks(AccessPolicy(require=Check(no)), token(config))
    AccessPolicy(require=Check(yes)).check(token(config))


def test_a_policy_with_a_rule_is_a_value() -> None:
    """`require` is compared, shown and kept when scopes are added."""
    policy = AccessPolicy(scopes="a", require=Roles("b") | Fresh())
    assert policy == eval(repr(policy), {"AccessPolicy": AccessPolicy, "Roles": Roles, "Fresh": Fresh})
    assert policy != AccessPolicy(scopes="a") != AccessPolicy(scopes="a", require=Roles("b"))
    assert hash(policy) == hash(pickle.loads(pickle.dumps(policy)))
    assert AccessPolicy(scopes="a c", require=Roles("b") | Fresh()) == policy.with_scopes(["c"])
    assert Guard(require=Scopes("a")) == Guard(require=Scopes("a")) != Guard()


@for_each(
    ("rules", "claims", "kind", "evidence"),
    [
        ({"scopes": "b a"}, {"scope": 7}, MissingScopeError, {"scope": "b a", "missing": "a b", "claim": "scope"}),
        ({"allow": "a"}, {"roles": ["b", 7]}, RoleRefusedError, {"roles": "b", "claim": "roles"}),
        ({"deny": "a"}, {"roles": ["a", 7]}, RoleRefusedError, {"roles": "a", "claim": "roles"}),
        ({"fresh": True}, {"fresh": "x"}, FreshTokenRequiredError, {"max_age": None, "claim": "fresh"}),
        (
            {"fresh": timedelta(minutes=5)},
            {"auth_time": "x"},
            FreshTokenRequiredError,
            {"max_age": 300, "age": None, "claim": "auth_time"},
        ),
        ({"fresh": True, "allow": "a"}, {}, FreshTokenRequiredError, {"max_age": None}),
        ({"fresh": True, "scopes": "a"}, {}, FreshTokenRequiredError, {"max_age": None}),
        ({"scopes": "a", "allow": "a"}, {}, MissingScopeError, {"scope": "a", "missing": "a"}),
    ],
)
def test_short_forms_answer_as_ever(
    rules: dict[str, Any], claims: dict[str, Any], kind: type[TokenError], evidence: dict[str, Any], foreign: JWTConfig
) -> None:
    """The short forms are checked in their order, and the first that is broken answers, with the evidence of its part."""
    error = refused(AccessPolicy(**rules), token(foreign, **claims))
    assert kind is type(error)
    assert evidence | ({"reason": "cannot be read"} if "claim" in evidence else {}) == error.evidence


def test_other_guards_add_their_scopes(config: JWTConfig) -> None:
    """A refusal that names scopes names those of all guards, and keeps all else, however long; no other names any."""
    # S116
    values = [f"urn:example:a:long:name:of:a:level:{number}" for number in range(10)]
    error = refused(ACR(*values) & Fresh(300) & Scopes("a"), token(config))
    named = naming_scopes(error, ["b", "a", "c"])
    assert isinstance(named, FreshTokenRequiredError)
    assert ("b a c", " ".join(values), 300) == (named.scope, named.acr_values, named.max_age)
    assert error.evidence | {"scope": "b a c"} == named.evidence
    assert (error.verified, "a") == (named.verified, error.scope)  # type: ignore[attr-defined]
    for other in (refused(Fresh(300), token(config)), refused(Roles("a"), token(config))):
        assert other is naming_scopes(other, ["b"])


# Hierarchies ----------------------------------------------------------------------------------------------------------


def test_rules_know_the_hierarchy(config: JWTConfig) -> None:
    """A token with a scope that implies the one demanded passes; a refusal names what the rule demands, and no more."""
    hierarchy = ScopeHierarchy({"o:admin": ["o:write"], "o:write": ["o:read"]}, wildcards=True)
    config = config.replace(scope_hierarchy=hierarchy)
    for scope in ("o:read", "o:write", "o:admin", "o:*"):
        subject = token(config, scope=scope)
        for rule in (Scopes("o:read"), AnyScope("x", "o:read"), Scopes("o:read") & ~Scopes("x")):
            assert says(rule, subject) is True
            AccessPolicy(require=rule).check(subject)
        AccessPolicy(scopes="o:read").check(subject)
        assert {scope} == subject.scopes
    reader = token(config, scope="o:read")
    assert ("MissingScope", 'scope="o:write"') == asks(Scopes("o:write") & AnyScope("o:read", "p"), reader)
    assert ("MissingScope", 'scope="o:write"') == asks(AccessPolicy(scopes="o:write"), reader)
    assert ("MissingScope", 'scope="o:admin p"') == asks(Scopes("o:admin o:read p"), token(config, scope="o:admin"))
    assert says(AnyScope("x"), reader) is False
    assert ("Forbidden", "") == asks(Scopes("o:admin") & ~Scopes("o:read"), token(config))
