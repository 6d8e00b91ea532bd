"""Check what a handler demands of a verified token: its type, freshness, scopes and roles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.config import MAX_LEEWAY
from asgi_jwt_claims.errors import FreshTokenRequiredError, MissingScopeError, RoleRefusedError, SettingError
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.values import Frozen, plain
from asgi_jwt_claims.tokens.reading import SCOPE_TOKEN
from asgi_jwt_claims.tokens.token import about
from asgi_jwt_claims.tokens.verification import check_type

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["AccessPolicy"]


class AccessPolicy(Frozen):
    """What a token must be and carry. Immutable, comparable, checked when it is built.

    Args:
        type: The type of token wanted.
        fresh: Whether the token must come from a recent login; a `timedelta` says how recent, counted from when the user
            logged in (RFC 9470 section 5).
        allow: Roles of which the token must have at least one. A str is one role; an empty collection allows no token.
        deny: Roles of which the token must have none. A str is one role.
        scopes: Scopes that the token must have, all of them. A str is split at spaces.

    With `allow` or `deny`, a token without any role is refused: its role may be one of those denied.

    Raises:
        SettingError: A rule cannot be used.
    """

    _rules: tuple[str, bool | timedelta, frozenset[str] | None, frozenset[str] | None, frozenset[str]]
    _scope_text: str

    def __init__(
        self,
        *,
        type: str = "access",  # noqa: A002 -- the field's name
        fresh: bool | timedelta = False,
        allow: str | Iterable[str] | None = None,
        deny: str | Iterable[str] | None = None,
        scopes: str | Iterable[str] = (),
    ) -> None:
        kind = plain(type)
        if not isinstance(kind, str) or not kind:
            raise SettingError('type must be a non-empty str such as "access" or "refresh"')
        if isinstance(fresh, timedelta):
            as_duration(fresh, "fresh")
        elif not isinstance(fresh, bool):
            raise SettingError("fresh must be True, False or a timedelta")
        wanted = dict.fromkeys(plain(scopes).split()) if isinstance(scopes, str) else _names(scopes, "scopes")
        if not all(map(SCOPE_TOKEN.fullmatch, wanted)):
            raise SettingError("scopes must be scopes as RFC 6749 section 3.3 allows them, none with a space in it")
        rules = (kind, fresh, _roles(allow, "allow"), _roles(deny, "deny"), frozenset(wanted))
        vars(self).update(_rules=rules, _scope_text=" ".join(wanted))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccessPolicy) and self._rules == other._rules

    def __hash__(self) -> int:
        return hash(self._rules)

    def __repr__(self) -> str:
        return f"AccessPolicy({', '.join(f'{name}={value!r}' for name, value in self._arguments().items())})"

    def _arguments(self) -> dict[str, Any]:
        kind, fresh, allow, deny, _ = self._rules
        return {"type": kind, "fresh": fresh, "allow": allow, "deny": deny, "scopes": self._scope_text}

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes demanded, in the order given."""
        return tuple(self._scope_text.split())

    def with_scopes(self, scopes: Sequence[str]) -> AccessPolicy:
        """Return the same rules with further scopes."""
        return AccessPolicy(**{**self._arguments(), "scopes": [*self.scopes, *scopes]}) if scopes else self

    def check(self, token: Token) -> None:
        """Check that `token` fulfils all rules.

        Raises:
            WrongTypeError: It is of another type (401).
            FreshTokenRequiredError: It is not fresh (401, RFC 9470).
            MissingScopeError: It lacks a scope (403).
            RoleRefusedError: Its roles do not allow this (403).
        """
        kind, fresh, allow, deny, scopes = self._rules
        if token.type != kind:
            check_type(token, kind)
        if fresh:
            _check_freshness(token, fresh)
        if scopes and not scopes <= token.scopes:
            missing = " ".join(sorted(scopes - token.scopes))
            raise about(MissingScopeError(scope=self._scope_text, missing=missing, **_unread(token, "scopes")), token)
        if allow is None and deny is None:
            return
        roles = token.roles
        if (
            not roles
            or (allow is not None and allow.isdisjoint(roles))
            or (deny is not None and (deny & roles or _unread(token, "roles")))
        ):
            raise about(RoleRefusedError(roles=", ".join(sorted(roles)), **_unread(token, "roles")), token)


def naming_scopes(error: MissingScopeError, scopes: Iterable[str]) -> MissingScopeError:
    """Return the same refusal with the scopes that all guards of the resource demand (RFC 6750 section 3)."""
    named = MissingScopeError(**{**error.evidence, "scope": " ".join(dict.fromkeys(scopes))})
    named.verified = error.verified
    return named


def _unread(token: Token, use: str) -> dict[str, Any]:
    """The evidence that a claim for `use` could not be read; empty if all could be."""
    unreadable = token._verified[0].unreadable  # noqa: SLF001 -- the places that these were read from are for no handler
    names = [name for of, name in unreadable if of == use] if unreadable else []
    return {"claim": ", ".join(names), "reason": "cannot be read"} if names else {}


def _check_freshness(token: Token, fresh: bool | timedelta) -> None:
    unread = _unread(token, "fresh")
    if isinstance(fresh, bool):
        if unread or not token.fresh:
            raise about(FreshTokenRequiredError(**unread), token)
        return
    age, max_age = token.login_age, fresh.total_seconds()
    # A login that is yet to come is no clock difference: some providers write milliseconds, which would stay fresh forever.
    if unread or age is None or not -MAX_LEEWAY.total_seconds() <= age <= max_age:
        raise about(FreshTokenRequiredError(max_age=int(max_age), age=age, **unread), token)


def _roles(roles: str | Iterable[str] | None, what: str) -> frozenset[str] | None:
    return None if roles is None else frozenset(_names([roles] if isinstance(roles, str) else roles, what))


def _names(values: Iterable[str], what: str) -> dict[str, None]:
    names: list[Any] = list(map(plain, values)) if isinstance(values, Iterable) else [None]
    if not all(isinstance(name, str) and name for name in names):
        raise SettingError(f"{what} must be a non-empty str, or several of them")
    return dict.fromkeys(names)
