"""Work out the one answer to a token that a rule refuses: what a client has to ask for, so that the token passes.

A client can get a token from another login (RFC 9470) and a token with further scopes (RFC 6750 section 3). It can do
nothing about roles, other claims and the application's own checks, or against a part under `~`. So the alternatives of a
rule are collected, each with what it asks for. The one to name is, in this order: one that needs a login only; one that
needs scopes only; the one with the fewest scopes; the first as the rule is written. Before it is named, the rule is tried
with what the client would get, so that the answer always helps, and names nothing that is not needed.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from asgi_jwt_claims.config.scopes import ScopeHierarchy, are_granted
from asgi_jwt_claims.errors import (
    ForbiddenError,
    FreshTokenRequiredError,
    MissingScopeError,
    RoleRefusedError,
    TokenError,
)
from asgi_jwt_claims.tokens.token import about

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token, TokenFields

__all__ = [
    "NOTHING",
    "Alternative",
    "Outcomes",
    "Part",
    "View",
    "Whole",
    "best",
    "product",
    "refusal_of",
    "refusal_of_part",
]

_MOST: Final = 32
"""Alternatives that are looked at: a rule with more has them cut off, and may be answered with a plain 403."""


class View(NamedTuple):
    """A token that a client could get.

    Attributes:
        hierarchy: That of the configuration.
        scopes: Its scopes; None if they are those of the token at hand.
        age: Seconds since its login; None if there is no other login.
        acr: The `acr` of its login; None if that has none.
    """

    hierarchy: ScopeHierarchy | None
    scopes: frozenset[str] | None
    age: float | None = None
    acr: str | None = None


class Alternative(NamedTuple):
    """What a client has to get for a part to hold.

    Attributes:
        scopes: Further scopes.
        login: Whether it takes another login.
        max_age: The greatest age of that login in seconds; None if any will do.
        acr: The values of `acr`, one of which that login needs; None if any will do.
    """

    scopes: tuple[str, ...] = ()
    login: bool = False
    max_age: float | None = None
    acr: tuple[str, ...] | None = None

    def beside(self, other: Alternative) -> Alternative | None:
        """Return what both ask for; None if no login can have an `acr` for both."""
        ages = [age for age in (self.max_age, other.max_age) if age is not None]
        acr = self.acr if other.acr is None else other.acr
        if self.acr is not None and other.acr is not None:
            acr = tuple(value for value in self.acr if value in other.acr)
            if not acr:
                return None
        scopes = tuple(dict.fromkeys(self.scopes + other.scopes))
        return Alternative(scopes, self.login or other.login, min(ages, default=None), acr)

    @property
    def rank(self) -> tuple[int, int]:
        """What decides which of several is named: the lowest."""
        return (self.login + 1 if self.scopes else 0), len(self.scopes)


NOTHING: Final = Alternative()


class Part(Protocol):
    """A part of a rule that is no combination of others.

    Attributes:
        named_scopes: The scopes that it names.
        max_age: The greatest age of a login that it names, in seconds.
        acr_values: The values of `acr` that it names.
        is_of_roles: Whether it is about roles alone.
    """

    named_scopes: tuple[str, ...]
    max_age: float | None
    acr_values: tuple[str, ...]
    is_of_roles: bool

    @abstractmethod
    def test(self, token: Token, fields: TokenFields) -> bool | None:
        """Return whether the part holds for a token; None if that cannot be decided."""

    @abstractmethod
    def given(self, view: View, outcome: bool) -> bool:
        """Whether the part would hold for another token, if `outcome` is what it says of the one at hand."""

    @abstractmethod
    def helps(self) -> Sequence[Alternative]:
        """Return what would let the part hold."""

    @abstractmethod
    def evidence(self, token: Token) -> dict[str, Any]:
        """Return why the part cannot be decided, for logs."""


Outcomes: TypeAlias = Mapping[Part, bool | None]


class Whole(Protocol):
    """A rule, whether it is a combination or a single part. `wanted` is False under `~`, where a part has to fail."""

    @abstractmethod
    def outcome(self, of: Callable[[Part], bool | None]) -> bool | None:
        """Return whether the rule holds, if its parts say what `of` returns; None if it cannot be decided."""

    @abstractmethod
    def alternatives(self, outcomes: Outcomes, wanted: bool = True) -> list[Alternative]:
        """Return what would bring the rule to what is wanted, the best ones first."""

    @abstractmethod
    def unmet(self, outcomes: Outcomes, wanted: bool = True) -> Iterator[tuple[Part, bool]]:
        """Yield the parts that are in the way, each with what is wanted of it."""

    @abstractmethod
    def literals(self, wanted: bool = True) -> Iterator[tuple[Part, bool]]:
        """Yield all parts, each with what is wanted of it."""


class SinglePart(Part, Whole, Protocol):
    """A part that stands alone."""


def best(found: Iterable[Alternative]) -> list[Alternative]:
    """Return each of these once, the best ones first."""
    return sorted(dict.fromkeys(found), key=lambda one: one.rank)[:_MOST]


def product(lists: Iterable[Iterable[Alternative]]) -> list[Alternative]:
    """Return the alternatives of parts all of which are needed."""
    found = [NOTHING]
    for others in lists:
        beside = [one.beside(other) for one in found for other in others]
        found = best([one for one in beside if one is not None])
    return found


def refusal_of_part(part: SinglePart, token: Token, outcome: bool | None) -> TokenError:
    """Return the error for a token that a single part refuses: what `refusal_of` returns, in less time."""
    fields = token._verified[0]  # noqa: SLF001 -- what the configuration says is for no handler
    if fields.claim_names.hierarchy is not None:  # some of its scopes may imply others
        return refusal_of(part, token, {part: outcome})
    evidence = part.evidence(token) if outcome is None else {}
    for alternative in part.helps():
        return about(_error_for(alternative, token, fields, evidence), token)
    return about(_plain_refusal([part], token, evidence), token)


def refusal_of(rule: Whole, token: Token, outcomes: Outcomes) -> TokenError:
    """Return the error to answer with, for a token that a rule refuses.

    If parts cannot be decided, only those count: what would let them hold if they could be decided.
    """
    fields = token._verified[0]  # noqa: SLF001 -- as above
    literals = [*dict.fromkeys(rule.literals())]
    undecided = [(part, wanted) for part, wanted in literals if outcomes[part] is None]
    evidence: dict[str, Any] = {}
    if undecided:
        unmet = undecided
        alternatives = product([part.helps() if wanted else () for part, wanted in unmet])
        evidence = _joined([part.evidence(token) for part, _ in unmet])

        def holds(view: View) -> bool:
            return all(part.given(view, False) for part, _ in undecided)
    else:
        unmet = [*dict.fromkeys(rule.unmet(outcomes))]
        alternatives = best(rule.alternatives(outcomes))

        def holds(view: View) -> bool:
            return rule.outcome(lambda part: part.given(view, outcomes[part] is True)) is True

    if len(literals) > 1 or not literals[0][1]:  # a combination
        evidence["unmet"] = ", ".join([f"{'' if wanted else '~'}{part!r}" for part, wanted in unmet])
    parts = [part for part, wanted in literals if wanted]
    for alternative in alternatives:
        asked = _settled(alternative, parts, fields, holds)
        if asked is not None:
            return about(_error_for(asked, token, fields, evidence), token)
    beyond = [part for part, wanted in unmet if not (wanted and part.helps())]
    return about(_plain_refusal(beyond, token, evidence), token)


def _joined(evidence: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the texts of several pieces of evidence, each text once."""
    texts: dict[str, dict[str, None]] = {}
    for piece in evidence:
        for name, text in piece.items():
            texts.setdefault(name, {})[text] = None
    return {name: ", ".join(found) for name, found in texts.items()}


def _plain_refusal(beyond: list[Part], token: Token, evidence: dict[str, Any]) -> TokenError:
    """Return the error that asks for nothing. `beyond` are the parts that no client can do anything about."""
    if beyond and all(part.is_of_roles for part in beyond):
        return RoleRefusedError(roles=", ".join(sorted(token.roles)), **evidence)
    return ForbiddenError(**evidence)


def _error_for(asked: Alternative, token: Token, fields: TokenFields, evidence: dict[str, Any]) -> TokenError:
    """Return the error that asks for an alternative."""
    held, hierarchy = fields.scopes, fields.claim_names.hierarchy
    if asked.scopes:
        granted = held if hierarchy is None else {one for one in asked.scopes if hierarchy.grants(held, (one,))}
        missing = [scope for scope in asked.scopes if scope not in granted]
        evidence = {"scope": " ".join(asked.scopes), "missing": " ".join(sorted(missing)), **evidence}
    if not asked.login:
        return MissingScopeError(**evidence)
    if asked.max_age is not None:
        evidence = {"max_age": int(asked.max_age), "age": token.login_age, **evidence}
    if asked.acr is not None:
        evidence = {"acr_values": " ".join(asked.acr), **evidence}
    return FreshTokenRequiredError(**evidence)


def _settled(
    asked: Alternative, parts: list[Part], fields: TokenFields, holds: Callable[[View], bool]
) -> Alternative | None:
    """Return an alternative with all that it needs, and no more; None if the rule would not hold all the same."""
    hierarchy, held = fields.claim_names.hierarchy, fields.scopes
    scopes = held.union(asked.scopes) if asked.scopes else None
    login = _login_for(asked, parts, lambda age, acr: holds(View(hierarchy, scopes, age, acr)))
    if login is None:
        return None
    max_age, acr = login
    needed: list[str] = []
    if scopes is not None:
        ages = (None,) if not asked.login else (0, math.inf if max_age is None else max_age)
        views = [View(hierarchy, None, age, one) for age in ages for one in acr or (None,)]
        named = dict.fromkeys(scope for part in parts for scope in part.named_scopes)
        needed = [scope for scope in named if are_granted(frozenset((scope,)), scopes, hierarchy)]
        for scope in reversed(needed):
            rest = [one for one in needed if one != scope]
            # A client may keep the scopes that it has, or give them up for those that are named.
            kept = (frozenset(rest), held.union(rest))
            if all(holds(view._replace(scopes=scopes)) for view in views for scopes in kept):
                needed = rest
    return Alternative(tuple(needed), asked.login, max_age, acr or None)


def _login_for(
    asked: Alternative, parts: list[Part], holds: Callable[[float | None, str | None], bool]
) -> tuple[float | None, tuple[str, ...]] | None:
    """Return the age and the values of `acr` that a login needs, none if any will do; None if no login is enough.

    What the login at hand has, and the rule needs, another login may lack. So it is asked for as well; but nothing that the
    rule holds without.
    """
    if not asked.login:
        return (None, ()) if holds(None, None) else None

    def fits(max_age: float | None, acr: str | None) -> bool:
        return holds(0, acr) and holds(math.inf if max_age is None else max_age, acr)

    named = dict.fromkeys(value for part in parts for value in part.acr_values)
    ages = {part.max_age for part in parts if part.max_age is not None}
    for max_age in (None, *sorted(ages, reverse=True)):
        if fits(max_age, None):
            return max_age, ()
        # Another alternative, which comes later, may ask for an older login and another `acr`.
        is_enough = asked.max_age is None or (max_age is not None and max_age <= asked.max_age)
        values = tuple(value for value in asked.acr or (named if is_enough else ()) if fits(max_age, value))
        if values:
            return max_age, values
    return None
