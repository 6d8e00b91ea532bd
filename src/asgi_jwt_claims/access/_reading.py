"""Read what rules are made of, and what they ask of a token."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from asgi_jwt_claims.config._claim_paths import ABSENT, ClaimPath, find
from asgi_jwt_claims.config.scopes import SCOPE_TOKEN
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.values import plain
from asgi_jwt_claims.tokens.reading import is_elsewhere

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token, TokenFields

__all__ = [
    "evidence_of_unread",
    "kind_of",
    "read_claim",
    "read_names",
    "read_scopes",
    "read_some_scopes",
    "unread",
]


def read_names(values: Iterable[str], what: str) -> dict[str, None]:
    """Read non-empty names, each once, in the order given.

    Raises:
        SettingError: `what` has something else.
    """
    names: list[Any] = list(map(plain, values)) if isinstance(values, Iterable) else [None]
    if not all(isinstance(name, str) and name for name in names):
        raise SettingError(f"{what} must be a non-empty str, or several of them")
    return dict.fromkeys(names)


def read_scopes(values: str | Iterable[str], what: str) -> tuple[str, ...]:
    """Read scopes, each once, in the order given. A str is split at spaces.

    Raises:
        SettingError: `what` has something else.
    """
    wanted = dict.fromkeys(plain(values).split()) if isinstance(values, str) else read_names(values, what)
    if not all(map(SCOPE_TOKEN.fullmatch, wanted)):
        raise SettingError(f"{what} must be scopes as RFC 6749 section 3.3 allows them, none with a space in it")
    return tuple(wanted)


def read_some_scopes(what: str, values: tuple[str, ...]) -> tuple[str, ...]:
    names = read_scopes([name for value in read_names(values, what) for name in value.split()], what)
    if not names:
        raise SettingError(f'{what} must be given scopes, as in {what}("orders:read")')
    return names


def unread(use: str, fields: TokenFields) -> list[str]:
    """The claims for `use` that could not be read."""
    return [name for of, name in fields.unreadable if of == use]


def evidence_of_unread(use: str, token: Token) -> dict[str, Any]:
    fields = token._verified[0]  # noqa: SLF001 -- the names of claims are for no handler
    return {"claim": ", ".join(unread(use, fields)), "reason": "cannot be read"}


def read_claim(fields: TokenFields, path: ClaimPath) -> tuple[str, Any]:
    """Find a claim, and return it with its kind: `str`, `number`, `bool`, `null`, or `other` if it cannot be read.

    It is what stood in the token, no matter what handlers have done to their copies. One that is absent counts as null.
    """
    claims = json.loads(fields.payload)
    value = find(claims, path)
    if value is ABSENT:
        value = claims if is_elsewhere(claims, path) else None
    found = fields.cache[path] = kind_of(value), value if isinstance(value, str | int | float) else None
    return found


def kind_of(value: object) -> str:
    """Name the JSON type of a value that can be compared; `other` if it is an array, an object or no JSON at all."""
    if value is None:
        return "null"
    if isinstance(value, str | bool):
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "other"
