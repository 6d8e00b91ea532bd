"""The parts of rules: scopes, roles, the login, other claims, and functions of the application."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from asgi_jwt_claims.config import MAX_LEEWAY
from asgi_jwt_claims.config._claim_paths import ClaimPath, as_path, name_of
from asgi_jwt_claims.config.scopes import SCOPE_TOKEN, are_granted
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.tokens.token import age_of_login

from ._reading import evidence_of_unread, kind_of, read_claim, read_names, read_some_scopes, unread
from ._refusals import Alternative, View
from .rules import SinglePart

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token, TokenFields

__all__ = ["ACR", "AnyScope", "Check", "Claim", "DeniedRoles", "Fresh", "Roles", "Scopes"]

_MAX_LEEWAY: Final = MAX_LEEWAY.total_seconds()
_KINDS: Final = ("str", "bool", "number")


class _OfScopes(SinglePart):
    """A part about scopes."""

    _wanted: frozenset[str]

    def __init__(self, *scopes: str) -> None:
        names = read_some_scopes(type(self).__name__, scopes)
        super().__init__(*names)
        vars(self).update(named_scopes=names, _wanted=frozenset(names))

    def evidence(self, token: Token) -> dict[str, Any]:
        return evidence_of_unread("scopes", token)


class Scopes(_OfScopes):
    """The token has all of these scopes, or scopes that imply them.

    Args:
        scopes: One or several. A str is split at spaces.

    Raises:
        SettingError: They are none, or not scopes.
    """

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes, in the order given."""
        return self.named_scopes

    def test(self, token: Token, fields: TokenFields) -> bool | None:  # noqa: ARG002 -- other parts ask the token
        # In the usual case without a call.
        if self._wanted <= fields.scopes or are_granted(self._wanted, fields.scopes, fields.claim_names.hierarchy):
            return True
        return None if fields.unreadable and unread("scopes", fields) else False

    def given(self, view: View, outcome: bool) -> bool:
        return outcome if view.scopes is None else are_granted(self._wanted, view.scopes, view.hierarchy)

    def helps(self) -> Sequence[Alternative]:
        return (Alternative(self.named_scopes),)


class AnyScope(_OfScopes):
    """The token has one of these scopes, or a scope that implies one of them. A refusal asks for the first.

    Args:
        scopes: One or several. A str is split at spaces.

    Raises:
        SettingError: They are none, or not scopes.
    """

    def test(self, token: Token, fields: TokenFields) -> bool | None:  # noqa: ARG002 -- other parts ask the token
        if not self._wanted.isdisjoint(fields.scopes):
            return True
        hierarchy = fields.claim_names.hierarchy
        if hierarchy is not None and any(hierarchy.grants(fields.scopes, (scope,)) for scope in self._wanted):
            return True
        return None if fields.unreadable and unread("scopes", fields) else False

    def given(self, view: View, outcome: bool) -> bool:
        held, hierarchy = view.scopes, view.hierarchy
        if held is None:
            return outcome
        return any(are_granted(frozenset((scope,)), held, hierarchy) for scope in self._wanted)

    def helps(self) -> Sequence[Alternative]:
        return [Alternative((scope,)) for scope in self.named_scopes]


class Roles(SinglePart):
    """The token has one of these roles. Without any, no token passes.

    Args:
        roles: Any number of them. A str is one role.

    Raises:
        SettingError: One is not a non-empty str.
    """

    _wanted: frozenset[str]
    is_of_roles = True

    def __init__(self, *roles: str) -> None:
        names = tuple(read_names(roles, "Roles"))
        super().__init__(*names)
        vars(self).update(_wanted=frozenset(names))

    def test(self, token: Token, fields: TokenFields) -> bool | None:  # noqa: ARG002 -- other parts ask the token
        if not self._wanted.isdisjoint(fields.roles):
            return True
        return None if fields.unreadable and unread("roles", fields) else False

    def evidence(self, token: Token) -> dict[str, Any]:
        return evidence_of_unread("roles", token)


class DeniedRoles(Roles):
    """The token has a role, and none of these: the `deny` of `AccessPolicy`.

    A token without any role is refused, as its role may be one of those denied. `~Roles(...)` lets it pass.
    """

    def test(self, token: Token, fields: TokenFields) -> bool | None:  # noqa: ARG002 -- other parts ask the token
        if fields.unreadable and unread("roles", fields):
            return None
        return bool(fields.roles) and self._wanted.isdisjoint(fields.roles)


class Fresh(SinglePart):
    """The token comes from a recent login, and not from a refresh.

    Args:
        max_age: The greatest age of the login, a `timedelta` or seconds, counted from when the user logged in (RFC 9470
            section 5). None if it is enough that the token is fresh.

    Raises:
        SettingError: `max_age` is not a positive duration.
    """

    def __init__(self, max_age: timedelta | float | None = None) -> None:
        seconds = None if max_age is None else as_duration(max_age, "max_age").total_seconds()
        super().__init__(*(() if seconds is None else (seconds,)))
        vars(self).update(max_age=seconds)

    def __repr__(self) -> str:
        return "Fresh()" if self.max_age is None else f"Fresh(max_age={self.max_age:.15g})"

    def test(self, token: Token, fields: TokenFields) -> bool | None:
        if fields.unreadable and unread("fresh", fields):
            return None
        max_age = self.max_age
        if max_age is None:
            return token.fresh
        age = age_of_login(fields, token._verified[1])  # noqa: SLF001 -- quicker than the property
        # A login that is yet to come is no clock difference: some providers write milliseconds, which would stay fresh
        # forever.
        return age is not None and -_MAX_LEEWAY <= age <= max_age

    def given(self, view: View, outcome: bool) -> bool:
        return outcome if view.age is None else self.max_age is None or view.age <= self.max_age

    def helps(self) -> Sequence[Alternative]:
        return (Alternative(login=True, max_age=self.max_age),)

    def evidence(self, token: Token) -> dict[str, Any]:
        return evidence_of_unread("fresh", token)


class ACR(SinglePart):
    """The user logged in in one of these ways: the `acr` claim is one of these values (RFC 9068 section 2.2.1).

    Args:
        values: One or several, in order of preference.

    Raises:
        SettingError: They are none, or contain other characters than `acr_values` may (RFC 9470 section 3).
    """

    _wanted: frozenset[str]

    def __init__(self, *values: str) -> None:
        names = tuple(read_names(values, "ACR"))
        # The characters of a scope are those of a quoted-string without escapes and spaces.
        if not names or not all(map(SCOPE_TOKEN.fullmatch, names)):
            raise SettingError("ACR must be given values of printable ASCII without spaces, quotes and backslashes")
        super().__init__(*names)
        vars(self).update(acr_values=names, _wanted=frozenset(names))

    def test(self, token: Token, fields: TokenFields) -> bool | None:  # noqa: ARG002 -- other parts ask the token
        kind, value = fields.cache.get(("acr",)) or read_claim(fields, ("acr",))
        return value in self._wanted if kind == "str" else False if kind == "null" else None

    def given(self, view: View, outcome: bool) -> bool:
        return outcome if view.age is None else view.acr in self._wanted

    def helps(self) -> Sequence[Alternative]:
        return (Alternative(login=True, acr=self.acr_values),)

    def evidence(self, token: Token) -> dict[str, Any]:  # noqa: ARG002 -- others say which claims they are
        return {"claim": "acr", "reason": "cannot be read"}


class Claim(SinglePart):
    """A claim has this value.

    Nothing is converted: 3 and "3" differ, and so do 1 and true. A claim of another type than the value, such as an array,
    cannot be read. One that is absent or null has no value.

    Args:
        name: The name of the claim, or its path as a tuple such as ("organization", "plan").
        value: A str, a number or a bool, or a set of them, one of which it has to be.

    Raises:
        SettingError: An argument cannot be used.
    """

    _path: ClaimPath
    _values: frozenset[tuple[str, str | float]]
    _readable: frozenset[str]

    def __init__(self, name: str | tuple[str, ...], value: str | float | set[Any] | frozenset[Any]) -> None:
        path = as_path(name, "Claim")
        given = [*map(plain, value if isinstance(value, set | frozenset) else (value,))]
        if not given or not all(kind_of(one) in _KINDS for one in given):
            raise SettingError(f"Claim must be given a str, a number, a bool or a non-empty set of them, not {value!r}")
        values = frozenset([(kind_of(one), one) for one in given])
        super().__init__(path, values)
        vars(self).update(_path=path, _values=values, _readable=frozenset(["null", *(kind for kind, _ in values)]))

    def __reduce__(self) -> tuple[Any, ...]:
        return Claim, (self._path, {one for _, one in self._values})

    def __repr__(self) -> str:
        values = sorted([repr(one) for _, one in self._values])
        value = values[0] if len(values) == 1 else f"{{{', '.join(values)}}}"
        name = self._path[0] if len(self._path) == 1 and "." not in self._path[0] else self._path
        return f"Claim({name!r}, {value})"

    def test(self, token: Token, fields: TokenFields) -> bool | None:  # noqa: ARG002 -- other parts ask the token
        found = fields.cache.get(self._path) or read_claim(fields, self._path)
        return True if found in self._values else False if found[0] in self._readable else None

    def evidence(self, token: Token) -> dict[str, Any]:  # noqa: ARG002 -- others say which claims they are
        return {"claim": name_of(self._path), "reason": "cannot be read"}


class Check(SinglePart):
    """A function of the application says so: sync, called with the token once for each check, in which it is.

    Args:
        function: Returns True or False. If it returns anything else, or raises, the whole rule refuses the token.

    Raises:
        SettingError: It is no sync function, or not hashable.
    """

    _function: Callable[[Token], bool]
    asks_application = True

    def __init__(self, function: Callable[[Token], bool]) -> None:
        if not callable(function) or inspect.isclass(function):
            raise SettingError(f"Check must be given a function of the token, not {function!r}")
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            raise SettingError("Check must be given a sync function; an async one cannot be asked here")
        try:
            hash(function)
        except TypeError:
            raise SettingError("Check must be given a hashable function, so that rules can be compared") from None
        super().__init__(function)
        vars(self).update(_function=function)

    def __repr__(self) -> str:
        return f"Check({getattr(self._function, '__qualname__', None) or repr(self._function)})"

    def test(self, token: Token, fields: TokenFields) -> bool | None:  # noqa: ARG002 -- a function of the token
        try:
            answer: object = self._function(token)
        except Exception:  # noqa: BLE001 -- a function of the application may raise anything
            logger().exception("%r failed; the token is refused", self)
            return None
        if answer is True or answer is False:
            return answer
        if inspect.iscoroutine(answer):
            answer.close()
        logger().error("%r returned %s, not True or False; the token is refused", self, type(answer).__name__)
        return None
