"""Check what a handler demands of a verified token: its type, freshness, scopes, roles and a rule."""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.errors import FreshTokenRequiredError, MissingScopeError, SettingError, TokenError
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.values import Frozen, plain
from asgi_jwt_claims.tokens.verification import check_type

from ._reading import read_names, read_scopes
from .parts import DeniedRoles, Fresh, Roles, Scopes
from .rules import Rule

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["AccessPolicy", "naming_scopes"]


class AccessPolicy(Frozen):
    """What a token must be and carry. Immutable, comparable, checked when it is built.

    Args:
        type: The type of token wanted.
        fresh: Whether the token must come from a recent login; a `timedelta` says how recent, counted from when the user
            logged in (RFC 9470 section 5).
        allow: Roles of which the token must have at least one. A str is one role; an empty collection allows no token.
        deny: Roles of which the token must have none. A str is one role.
        scopes: Scopes that the token must have, all of them. A str is split at spaces.
        require: A `Rule` that must hold too. None if there is none.

    With `allow` or `deny`, a token without any role is refused: its role may be one of those denied.

    The first of type, freshness, scopes and roles that is broken gives the answer. With `require`, freshness, scopes,
    roles and that rule are one rule of them all, and its answer names all that helps.

    Raises:
        SettingError: A rule cannot be used.
    """

    _rules: tuple[str, bool | timedelta, frozenset[str] | None, frozenset[str] | None, frozenset[str], Rule | None]
    _scope_text: str
    _type: str
    _parts: tuple[Rule, ...]

    def __init__(
        self,
        *,
        type: str = "access",  # noqa: A002 -- the field's name
        fresh: bool | timedelta = False,
        allow: str | Iterable[str] | None = None,
        deny: str | Iterable[str] | None = None,
        scopes: str | Iterable[str] = (),
        require: Rule | None = None,
    ) -> None:
        kind = plain(type)
        if not isinstance(kind, str) or not kind:
            raise SettingError('type must be a non-empty str such as "access" or "refresh"')
        if isinstance(fresh, timedelta):
            as_duration(fresh, "fresh")
        elif not isinstance(fresh, bool):
            raise SettingError("fresh must be True, False or a timedelta")
        wanted = read_scopes(scopes, "scopes")
        if require is not None and not isinstance(require, Rule):
            raise SettingError(f'require must be a rule such as Scopes("orders:read"), not {require!r}')
        allowed, denied = _roles(allow, "allow"), _roles(deny, "deny")
        parts: list[Rule] = []
        if fresh:
            parts.append(Fresh(None if isinstance(fresh, bool) else fresh))
        if wanted:
            parts.append(Scopes(*wanted))
        if allowed is not None:
            parts.append(Roles(*sorted(allowed)))
        if denied is not None:
            parts.append(DeniedRoles(*sorted(denied)))
        if require is not None:
            parts = [functools.reduce(operator.and_, [*parts, require])]
        vars(self).update(
            _rules=(kind, fresh, allowed, denied, frozenset(wanted), require),
            _scope_text=" ".join(wanted),
            _type=kind,
            _parts=tuple(parts),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccessPolicy) and self._rules == other._rules

    def __hash__(self) -> int:
        return hash(self._rules)

    def __repr__(self) -> str:
        return f"AccessPolicy({', '.join(f'{name}={value!r}' for name, value in self._arguments().items())})"

    def _arguments(self) -> dict[str, Any]:
        kind, fresh, allow, deny, _, require = self._rules
        rules = {"type": kind, "fresh": fresh, "allow": allow, "deny": deny, "scopes": self._scope_text}
        return rules if require is None else {**rules, "require": require}

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes demanded, in the order given, and those without which `require` cannot hold."""
        return tuple(dict.fromkeys(scope for part in self._parts for scope in part.scopes))

    def with_scopes(self, scopes: Sequence[str]) -> AccessPolicy:
        """Return the same rules with further scopes."""
        return AccessPolicy(**{**self._arguments(), "scopes": [*self._scope_text.split(), *scopes]}) if scopes else self

    def check(self, token: Token) -> None:
        """Check that `token` fulfils all rules.

        Raises:
            WrongTypeError: It is of another type (401).
            FreshTokenRequiredError: It is not fresh (401, RFC 9470).
            MissingScopeError: It lacks a scope (403).
            RoleRefusedError: Its roles do not allow this (403).
            ForbiddenError: `require` does not hold for another reason (403).
        """
        fields = token._verified[0]  # noqa: SLF001 -- quicker than the properties
        if fields.type != self._type:
            check_type(token, self._type)
        for part in self._parts:
            if part.asks_application or part.test(token, fields) is not True:
                part.check(token)


def naming_scopes(error: TokenError, scopes: Iterable[str]) -> TokenError:
    """Return the same refusal, and if it names scopes, with those that all guards of the resource demand.

    See RFC 6750 section 3.
    """
    if not isinstance(error, MissingScopeError | FreshTokenRequiredError) or error.scope is None:
        return error
    named = copy.copy(error)
    named.scope = " ".join(dict.fromkeys([*scopes, *error.scope.split()]))
    named.evidence = TokenError(**{**error.evidence, "scope": named.scope}).evidence
    return named


def _roles(roles: str | Iterable[str] | None, what: str) -> frozenset[str] | None:
    return None if roles is None else frozenset(read_names([roles] if isinstance(roles, str) else roles, what))
