"""Combine rules about a token: `Scopes("orders:read") & (Roles("support") | Fresh(max_age=300))`.

A rule holds, fails, or cannot be decided. It cannot be decided if a claim that it reads cannot be read, or if a function
fails. One part that cannot be decided refuses the whole rule: under `~`, beside a part that holds, and in any order. So
all parts are asked for each token.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.values import Frozen

from ._refusals import NOTHING, Alternative, Outcomes, Part, View, Whole, best, product, refusal_of, refusal_of_part

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token, TokenFields

__all__ = ["Rule", "SinglePart"]


class Rule(Frozen, Whole):
    """A rule about a token. Immutable, comparable, hashable; its `repr` is the code that makes it.

    `a & b` holds if both hold, `a | b` if one of them does, `~a` if `a` fails. The parts are `Scopes`, `AnyScope`,
    `Roles`, `Fresh`, `ACR`, `Claim` and `Check`.
    """

    arguments: tuple[Any, ...]
    asks_application: bool = False
    parts: tuple[Part, ...]
    _hash: int

    def __init__(self, *arguments: Any) -> None:
        vars(self).update(arguments=arguments, _hash=hash((type(self), arguments)))

    def __and__(self, other: Rule) -> Rule:
        return _All(*_members(_All, self), *_members(_All, other)) if isinstance(other, Rule) else NotImplemented

    def __or__(self, other: Rule) -> Rule:
        return _Any(*_members(_Any, self), *_members(_Any, other)) if isinstance(other, Rule) else NotImplemented

    def __invert__(self) -> Rule:
        return _Not(self)

    def __bool__(self) -> NoReturn:
        raise SettingError("a rule is neither true nor false: combine rules by &, | and ~, not by and, or and not")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rule) and type(self) is type(other) and self.arguments == other.arguments

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.arguments

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.arguments))})"

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes without which the rule cannot hold, in the order in which they are written."""
        return ()

    def check(self, token: Token) -> None:
        """Check that the rule holds for `token`.

        The error names what would let the token pass, as far as a client can ask for it: of several alternatives the one
        that needs a login only, else the one with the fewest scopes, else the first. It names nothing if nothing helps, or
        if a part cannot be decided in a way that another token would change.

        Raises:
            FreshTokenRequiredError: A login helps: 401 with `acr_values` and `max_age` (RFC 9470 section 3), and with
                `scope` if scopes are missing too.
            MissingScopeError: Further scopes help: 403 with all scopes that are needed (RFC 6750 section 3.1).
            RoleRefusedError: Roles are in the way, and nothing else that a client cannot ask for (403).
            ForbiddenError: Anything else is in the way (403).
        """
        fields = token._verified[0]  # noqa: SLF001 -- what decides is read where no handler can change it
        if not self.asks_application and self.test(token, fields) is True:
            return
        # Each part once: functions of the application take time, and may change their minds.
        outcomes = {part: part.test(token, fields) for part in self.parts}
        if not self.asks_application or self.outcome(outcomes.__getitem__) is not True:
            raise refusal_of(self, token, outcomes)

    @abstractmethod
    def test(self, token: Token, fields: TokenFields) -> bool | None:
        """Return whether the rule holds for a token; None if it cannot be decided."""


# Combinations ---------------------------------------------------------------------------------------------------------


class _Several(Rule):
    """Rules that are combined by one operator.

    Attributes:
        needs: What the combination says if all of them say it: True for `&`, False for `|`.
    """

    arguments: tuple[Rule, ...]
    _tests: tuple[Callable[[Token, TokenFields], bool | None], ...]
    needs: bool
    operator: str

    def __init__(self, *rules: Rule) -> None:
        super().__init__(*rules)
        vars(self).update(
            _tests=tuple([rule.test for rule in rules]),
            parts=tuple(dict.fromkeys(part for rule in rules for part in rule.parts)),
            asks_application=any(rule.asks_application for rule in rules),
        )

    def __repr__(self) -> str:
        # `&` binds more closely than `|`.
        return self.operator.join(
            [f"({rule!r})" if isinstance(rule, _Several) else repr(rule) for rule in self.arguments]
        )

    def outcome(self, of: Callable[[Part], bool | None]) -> bool | None:
        outcomes = [rule.outcome(of) for rule in self.arguments]
        return None if None in outcomes else (not self.needs) not in outcomes if self.needs else True in outcomes

    def alternatives(self, outcomes: Outcomes, wanted: bool = True) -> list[Alternative]:
        found = [rule.alternatives(outcomes, wanted) for rule in self.arguments]
        return product(found) if wanted is self.needs else best([one for some in found for one in some])

    def unmet(self, outcomes: Outcomes, wanted: bool = True) -> Iterator[tuple[Part, bool]]:
        if self.outcome(outcomes.__getitem__) is not wanted:
            for rule in self.arguments:
                yield from rule.unmet(outcomes, wanted)

    def literals(self, wanted: bool = True) -> Iterator[tuple[Part, bool]]:
        for rule in self.arguments:
            yield from rule.literals(wanted)


class _All(_Several):
    """`a & b`."""

    needs = True
    operator = " & "

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(scope for rule in self.arguments for scope in rule.scopes))

    def test(self, token: Token, fields: TokenFields) -> bool | None:
        holds = True
        for test in self._tests:
            outcome = test(token, fields)
            if not outcome:
                if outcome is None:
                    return None
                holds = False
        return holds


class _Any(_Several):
    """`a | b`."""

    needs = False
    operator = " | "

    def test(self, token: Token, fields: TokenFields) -> bool | None:
        holds = False
        for test in self._tests:
            outcome = test(token, fields)
            if outcome:
                holds = True
            elif outcome is None:
                return None
        return holds


class _Not(Rule):
    """`~a`."""

    arguments: tuple[Rule]

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        vars(self).update(parts=rule.parts, asks_application=rule.asks_application)

    def __invert__(self) -> Rule:
        return self.arguments[0]

    def __repr__(self) -> str:
        (rule,) = self.arguments
        return f"~({rule!r})" if isinstance(rule, _Several) else f"~{rule!r}"

    def test(self, token: Token, fields: TokenFields) -> bool | None:
        outcome = self.arguments[0].test(token, fields)
        return None if outcome is None else not outcome

    def outcome(self, of: Callable[[Part], bool | None]) -> bool | None:
        outcome = self.arguments[0].outcome(of)
        return None if outcome is None else not outcome

    def alternatives(self, outcomes: Outcomes, wanted: bool = True) -> list[Alternative]:
        return self.arguments[0].alternatives(outcomes, not wanted)

    def unmet(self, outcomes: Outcomes, wanted: bool = True) -> Iterator[tuple[Part, bool]]:
        return self.arguments[0].unmet(outcomes, not wanted)

    def literals(self, wanted: bool = True) -> Iterator[tuple[Part, bool]]:
        return self.arguments[0].literals(not wanted)


def _members(kind: type[_Several], rule: Rule) -> tuple[Rule, ...]:
    """The rules that a combination of this kind is made of, so that `a & b & c` is one rule of three."""
    return rule.arguments if isinstance(rule, kind) else (rule,)


class SinglePart(Rule):
    """A rule that is no combination of others. See `_refusals.Part`."""

    named_scopes: tuple[str, ...] = ()
    max_age: float | None = None
    acr_values: tuple[str, ...] = ()
    is_of_roles = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        vars(self).update(parts=(self,))

    def check(self, token: Token) -> None:
        """Check that the rule holds for `token`; see `Rule.check`."""
        outcome = self.test(token, token._verified[0])  # noqa: SLF001 -- as above
        if outcome is not True:
            raise refusal_of_part(self, token, outcome)

    def given(self, view: View, outcome: bool) -> bool:  # noqa: ARG002 -- others go by what the client gets
        return outcome

    def helps(self) -> Sequence[Alternative]:
        return ()

    def evidence(self, token: Token) -> dict[str, Any]:  # noqa: ARG002 -- others name their claims
        return {"reason": "cannot be decided"}

    def outcome(self, of: Callable[[Part], bool | None]) -> bool | None:
        return of(self)

    def alternatives(self, outcomes: Outcomes, wanted: bool = True) -> list[Alternative]:
        return [NOTHING] if outcomes[self] is wanted else best(self.helps() if wanted else ())

    def unmet(self, outcomes: Outcomes, wanted: bool = True) -> Iterator[tuple[Part, bool]]:
        if outcomes[self] is not wanted:
            yield self, wanted

    def literals(self, wanted: bool = True) -> Iterator[tuple[Part, bool]]:
        yield self, wanted
