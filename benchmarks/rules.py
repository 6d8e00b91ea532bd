"""Measure what a rule about a token costs, beside the same written by hand."""

from __future__ import annotations

from typing import Any, Final

from asgi_jwt_claims import Token, create_access_token, verify_token
from asgi_jwt_claims.access import ACR, AccessPolicy, AnyScope, Check, Claim, Fresh, Roles, Rule, Scopes
from asgi_jwt_claims.errors import MissingScopeError, TokenError, WrongTypeError

from .material import IDENTITY, configuration, new_material
from .measure import Effort, Figure, Task, compare
from .sections import Section, Table, Target, ratio

MOST: Final = 1.5
"""Microseconds that a tree of five may take."""

TEXT: Final = """\
`check` of a verified token that passes. By hand is what a handler would write for two scopes: the type and a comparison of
sets. A tree of five has five parts on three levels. Each rule is compared with the work by hand in the same rounds."""

BY_HAND: Final = "two scopes, by hand"
SHORT: Final = "two scopes, `scopes=`"
TREE: Final = "a tree of five"

WANTED: Final = frozenset({"orders:read", "orders:write"})


def by_hand(token: Token) -> None:
    """What `scopes=` does, in a handler."""
    if token.type != "access":
        raise WrongTypeError()
    if not token.scopes >= WANTED:
        raise MissingScopeError()


def works_here(token: Token) -> bool:
    """Stands for a function of the application."""
    return bool(token.roles)


PLAN: Final = Claim(("user_claims", "plan"), "pro")
RULES: Final[dict[str, Rule | AccessPolicy]] = {
    SHORT: AccessPolicy(scopes=WANTED),
    "a role, `allow=`": AccessPolicy(allow="support"),
    "two scopes, `Scopes`": Scopes(*WANTED),
    "`AnyScope`": AnyScope("reports", "orders:read"),
    "`Roles`": Roles("support"),
    "`Fresh`": Fresh(max_age=300),
    "`~ACR`": ~ACR("gold") & Scopes("a"),
    "`Claim`": PLAN,
    "`Check`": Check(works_here),
    "five beside each other": Scopes("orders:read")
    & Scopes("orders:write")
    & AnyScope("a", "b")
    & Roles("support")
    & PLAN,
    TREE: Scopes("orders:read") & (Roles("support") | AnyScope("a", "b")) & (Fresh(max_age=300) | PLAN),
}


def run(effort: Effort) -> Section:
    """Measure every rule with one token."""
    config = configuration(new_material("HS256"))
    claims: dict[str, Any] = {"scope": "orders:read orders:write a", "roles": ["support"], "fresh": True}
    token = verify_token(create_access_token(IDENTITY, config, user_claims={"plan": "pro"}, **claims), config)
    prove(token, verify_token(create_access_token(IDENTITY, config, user_claims={"works": False}), config))
    section = Section("rules", "Rules", TEXT)
    tasks = {BY_HAND: Task(by_hand, [token])}
    tasks |= {name: Task(rule.check, [token]) for name, rule in RULES.items()}
    figures = compare(tasks, effort.rounds, effort.batch)
    section.keep("check", figures)
    section.tables.append(_table(figures))
    section.targets = [
        Target(f"{SHORT} / by hand", figures[SHORT].ratio, 1.25),
        Target(TREE, figures[TREE].microseconds, MOST, " µs"),
    ]
    return section


def prove(good: Token, bad: Token) -> None:
    """Make sure that each rule lets one token pass and refuses the other.

    Raises:
        AssertionError: One does not.
    """
    for name, check in {BY_HAND: by_hand, **{name: rule.check for name, rule in RULES.items()}}.items():
        check(good)
        try:
            check(bad)
        except TokenError:
            continue
        raise AssertionError(name)


def _table(figures: dict[str, Figure]) -> Table:
    rows = [
        [name, f"{figure.microseconds:.2f}", ratio(figure.ratio), f"{ratio(figure.low)} to {ratio(figure.high)}"]
        for name, figure in figures.items()
    ]
    return Table("What a check costs", ["rule", "µs", "/ by hand", "quartiles"], rows)
