"""Scopes that imply others: a token with `orders:admin` may do what needs `orders:read`."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.values import Frozen, plain

__all__ = ["SCOPE_TOKEN", "ScopeHierarchy", "are_granted"]

SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 section 3.3

_MAX_CACHED = 1024  # different sets of scopes, of which tokens have few


class ScopeHierarchy(Frozen):
    """Which scopes imply others, directly or through others. Immutable, comparable, hashable.

    ::

        ScopeHierarchy({"orders:admin": ["orders:write"], "orders:write": ["orders:read"]})

    A configuration has it as `scope_hierarchy`. Rules then hold for a token with a scope that implies the one they name.
    `token.scopes` stays as it stands in the token, and a refusal names the scopes of the rule.

    Args:
        implied: The scopes that each scope implies. A str is split at spaces.
        wildcards: Whether a scope of a token that ends in `:*` stands for every scope that begins with what is before
            the asterisk, such as `orders:*` for `orders:read` and `orders:items:read`.

    Raises:
        SettingError: An argument cannot be used, or scopes imply each other in a circle.
    """

    _implied: dict[str, tuple[str, ...]]
    _wildcards: bool
    _cache: dict[frozenset[str], tuple[frozenset[str], tuple[str, ...]]]

    def __init__(self, implied: Mapping[str, str | Iterable[str]], *, wildcards: bool = False) -> None:
        if not isinstance(implied, Mapping):
            raise SettingError(
                f'implied must be a mapping such as {{"orders:write": ["orders:read"]}}, not {type(implied).__name__}'
            )
        if not isinstance(wildcards, bool):
            raise SettingError(f"wildcards must be True or False, not {wildcards!r}")
        read = {plain(scope): _names(names) for scope, names in implied.items()}
        for scope in [*read, *(name for names in read.values() for name in names)]:
            if not isinstance(scope, str) or not SCOPE_TOKEN.fullmatch(scope):
                raise SettingError(
                    f"implied must consist of scopes as RFC 6749 section 3.3 allows them, without spaces, not {scope!r}"
                )
        vars(self).update(_implied=read, _wildcards=wildcards, _cache={})
        scopes = {*read, *(name for names in read.values() for name in names)}
        try:
            graphlib.TopologicalSorter({scope: self._below(scope) for scope in scopes}).prepare()
        except graphlib.CycleError as error:
            circle = " -> ".join(reversed(error.args[1]))
            raise SettingError(f"scopes must not imply each other in a circle: {circle}") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScopeHierarchy) and self._arguments == other._arguments

    def __hash__(self) -> int:
        return hash(self._arguments)

    def __repr__(self) -> str:
        shown = {scope: list(names) for scope, names in self._implied.items()}
        return f"ScopeHierarchy({shown!r}{', wildcards=True' if self._wildcards else ''})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self._implied, self._wildcards)

    @property
    def _arguments(self) -> tuple[Any, ...]:
        return frozenset((scope, frozenset(names)) for scope, names in self._implied.items()), self._wildcards

    def expand(self, scopes: Iterable[str]) -> frozenset[str]:
        """Return `scopes` with all that they imply. What a wildcard stands for is not listed, since it has no end."""
        return self._expanded(frozenset(scopes))[0]

    def grants(self, held: Iterable[str], wanted: Iterable[str]) -> bool:
        """Whether a token with the scopes `held` may do what needs all scopes that are `wanted`."""
        scopes, prefixes = self._expanded(frozenset(held))
        return all(scope in scopes or (bool(prefixes) and scope.startswith(prefixes)) for scope in wanted)

    def _expanded(self, held: frozenset[str]) -> tuple[frozenset[str], tuple[str, ...]]:
        """All scopes that are implied, and the beginnings of those that wildcards stand for."""
        known = self._cache.get(held)
        if known is None:
            found: set[str] = set()
            pending = [*held]
            while pending:
                scope = pending.pop()
                if scope not in found:
                    found.add(scope)
                    pending += self._below(scope)
            prefixes = tuple(sorted(scope[:-1] for scope in found if self._is_wildcard(scope)))
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            known = self._cache[held] = frozenset(found), prefixes
        return known

    def _below(self, scope: str) -> list[str]:
        implied = [*self._implied.get(scope, ())]
        if self._is_wildcard(scope):
            implied += [name for name in self._implied if name != scope and name.startswith(scope[:-1])]
        return implied

    def _is_wildcard(self, scope: str) -> bool:
        return self._wildcards and scope.endswith(":*") and scope != ":*"


def are_granted(wanted: frozenset[str], held: frozenset[str], hierarchy: ScopeHierarchy | None) -> bool:
    """Whether the scopes `held` include all that are `wanted`, or imply them by `hierarchy`."""
    return wanted <= held or (hierarchy is not None and hierarchy.grants(held, wanted))


def _names(names: str | Iterable[str]) -> tuple[Any, ...]:
    if isinstance(names, str):
        return tuple(plain(names).split())
    return tuple(map(plain, names)) if isinstance(names, Iterable) else (names,)


def _rebuilt(implied: Mapping[str, tuple[str, ...]], wildcards: bool) -> ScopeHierarchy:
    return ScopeHierarchy(implied, wildcards=wildcards)
