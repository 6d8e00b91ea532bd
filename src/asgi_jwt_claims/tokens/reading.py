"""Read single claims by their types.

The functions that raise are for claims that decide: one of the wrong type is wrong, never absent. `read_granted` is for
roles and scopes in the tokens of other parties, which may take many shapes: what it cannot read grants nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias

from asgi_jwt_claims import errors
from asgi_jwt_claims.config._claim_paths import ABSENT, ClaimPath, find
from asgi_jwt_claims.config.scopes import SCOPE_TOKEN

__all__ = [
    "SCOPE_TOKEN",
    "Unread",
    "is_elsewhere",
    "read_fresh",
    "read_granted",
    "read_numeric_date",
    "read_roles",
    "read_scopes",
    "read_string",
    "read_strings",
]

Unread: TypeAlias = tuple[str, ClaimPath]
"""What could not be read, such as `roles`, and where."""

_MAX_REMEMBERED = 256  # characters

_NONE: frozenset[str] = frozenset()
_IS_NAME: dict[str, Callable[[str], object]] = {"scopes": SCOPE_TOKEN.fullmatch, "roles": bool}


def read_numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """Read a NumericDate (RFC 7519 section 2), a JSON number of seconds since the epoch; None if it is absent."""
    value = claims.get(name)
    # A bool is an int to isinstance, and no number in JSON.
    if name in claims and type(value) not in (int, float):
        raise errors.InvalidClaimError(claim=name, reason="not a number")
    return value


def read_string(claims: Mapping[str, Any], name: str) -> str | None:
    """Read a non-empty string; None if it is absent."""
    value = claims.get(name)
    if name in claims and not (isinstance(value, str) and value):
        raise errors.InvalidClaimError(claim=name, reason="not a non-empty string")
    return value


def read_strings(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Read one or several non-empty strings, as in `aud` (RFC 7519 section 4.1.3); empty if the claim is absent."""
    values = claims.get(name)
    if isinstance(values, str) and values:
        return (values,)
    if isinstance(values, list) and values:
        for item in values:
            if not (isinstance(item, str) and item):
                break
        else:
            return tuple(values)
    if name not in claims:
        return ()
    raise errors.InvalidClaimError(claim=name, reason="neither a non-empty string nor an array of them")


def read_roles(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Read roles: a string is one role, an array several; empty if the claim is absent or an empty array."""
    return _NONE if claims.get(name) == [] else frozenset(read_strings(claims, name))


def read_scopes(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Read scopes, one string separated by single spaces (RFC 8693 section 4.2); empty if absent or an empty string.

    A claim of another name than `scope` (`scp` of some providers) may also be an array.
    """
    value = claims.get(name, "")
    if value == "":
        return _NONE
    if isinstance(value, list) and name != "scope" and all(isinstance(item, str) for item in value):
        scopes = value
    elif isinstance(value, str):
        scopes = value.split(" ")
    else:
        raise errors.InvalidClaimError(claim=name, reason="not a string")
    if not all(SCOPE_TOKEN.fullmatch(scope) for scope in scopes):
        raise errors.InvalidClaimError(claim=name, reason="not scopes divided by single spaces")
    return frozenset(scopes)


def read_fresh(claims: Mapping[str, Any], name: str = "fresh") -> float:
    """Read `fresh`, the NumericDate until which the token is fresh: infinity for true, 0 for false or if absent."""
    value = claims.get(name, False)
    if isinstance(value, bool):
        return math.inf if value else 0
    return read_numeric_date(claims, name) or 0


def read_granted(
    claims: dict[str, Any], paths: tuple[ClaimPath, ...], use: Literal["scopes", "roles"], unread: list[Unread]
) -> frozenset[str]:
    """Read the roles or scopes that stand at several places together, and add the places that cannot be read to a list.

    A string holds scopes separated by spaces, or roles separated by any white space, so that none of them hides behind a
    tab. An array holds names, and an object has them as its keys, unless their value is false or null. Null, and what is
    not there, are no names. A place where something else stands, such as a scope of other characters, cannot be read;
    what can be read there counts nevertheless.
    """
    is_name = _IS_NAME[use]
    granted = _NONE
    for path in paths:
        value = claims.get(path[0], ABSENT) if len(path) == 1 else find(claims, path)
        if value is ABSENT:
            if is_elsewhere(claims, path):
                unread.append((use, path))
            continue
        names: Iterable[str] = value
        if type(value) is list:
            for name in value:
                if type(name) is not str or not is_name(name):
                    names = [name for name in value if type(name) is str and is_name(name)]
                    unread.append((use, path))
                    break
        else:
            is_short = type(value) is str and len(value) <= _MAX_REMEMBERED
            names, is_whole = (_read_text if is_short else _read_names)(value, use)
            if not is_whole:
                unread.append((use, path))
        granted = granted.union(names)
    return granted


def _read_names(value: Any, use: Literal["scopes", "roles"]) -> tuple[frozenset[str], bool]:
    """Read the names in a value that is no array, and say whether all of it could be read."""
    found = value.split() if use == "roles" and type(value) is str else _names_in(value)
    is_name = _IS_NAME[use]
    good = [name for name in found if type(name) is str and is_name(name)]
    return frozenset(good), len(good) == len(found)


_read_text: Callable[[str, Literal["scopes", "roles"]], tuple[frozenset[str], bool]]
_read_text = functools.lru_cache(256)(_read_names)
"""Many tokens of a provider have the same few scopes, in one string."""


def _names_in(value: Any) -> list[Any]:
    """Return the names in a value that is no array. One that cannot be read is a name of another type."""
    if type(value) is str:
        names = value.split(" ")
        return [name for name in names if name] if "" in names else names
    if type(value) is dict:
        return [name for name, member in value.items() if member is not False and member is not None]
    return [] if value is None else [value]


def is_elsewhere(claims: Mapping[str, Any], path: ClaimPath) -> bool:
    """Whether a claim that is not there may exist all the same."""
    # OpenID Connect Core 1.0 section 5.6.2: a claim that has to be fetched, such as the groups of a user with many.
    names = claims.get("_claim_names")
    if type(names) is dict and path[0] in names:
        return True
    # Entra ID: more groups than a token of the implicit flow holds; it then has this in their place.
    if path[0] == "groups" and claims.get("hasgroups") is True:
        return True
    value: Any = claims
    for name in path[:-1]:
        value = value.get(name)
        if not isinstance(value, dict):
            return value is not None
    return False
