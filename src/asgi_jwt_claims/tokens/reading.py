"""Read single claims by their types.

The functions that raise are for claims that decide: one of the wrong type is wrong, never absent. `read_granted` is for
roles and scopes in the tokens of other parties, which may take many shapes: what it cannot read grants nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from asgi_jwt_claims import errors
from asgi_jwt_claims.config._claim_paths import ABSENT, ClaimPath, find

__all__ = [
    "SCOPE_TOKEN",
    "read_fresh",
    "read_granted",
    "read_numeric_date",
    "read_roles",
    "read_scopes",
    "read_string",
    "read_strings",
]

SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 section 3.3

_NONE: frozenset[str] = frozenset()


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
    if isinstance(values, list) and values and all(isinstance(item, str) and item for item in values):
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


def read_fresh(claims: Mapping[str, Any]) -> float:
    """Read `fresh`, the NumericDate until which the token is fresh: infinity for true, 0 for false or if absent."""
    value = claims.get("fresh", False)
    if isinstance(value, bool):
        return math.inf if value else 0
    return read_numeric_date(claims, "fresh") or 0


def read_granted(
    claims: Mapping[str, Any], paths: tuple[ClaimPath, ...], is_name: Callable[[str], object]
) -> tuple[frozenset[str], list[ClaimPath]]:
    """Read the roles or scopes that stand at several places together, and find the places that cannot be read.

    A string holds names separated by spaces, an array holds names, and an object has them as its keys, unless their
    value is false or null. Null, and what is not there, are no names. A place where something else stands, or a name
    that `is_name` refuses, cannot be read; what can be read there counts nevertheless.
    """
    names: set[str] = set()
    unreadable = []
    for path in paths:
        value = find(claims, path)
        if value is ABSENT:
            if _is_elsewhere(claims, path):
                unreadable.append(path)
            continue
        found = _names_in(value)
        if found is None:
            unreadable.append(path)
            continue
        good = [name for name in found if isinstance(name, str) and is_name(name)]
        names.update(good)
        if len(good) != len(found):
            unreadable.append(path)
    return frozenset(names), unreadable


def _names_in(value: Any) -> list[Any] | None:
    if isinstance(value, str):
        return [name for name in value.split(" ") if name]
    if isinstance(value, dict):
        return [name for name, member in value.items() if member is not False and member is not None]
    if isinstance(value, list):
        return value
    return [] if value is None else None


def _is_elsewhere(claims: Mapping[str, Any], path: ClaimPath) -> bool:
    """Whether a claim that is not there may exist all the same."""
    # OpenID Connect Core 1.0 section 5.6.2: a claim that has to be fetched, such as the groups of a user with many.
    names = claims.get("_claim_names")
    if isinstance(names, dict) and path[0] in names:
        return True
    parents = [find(claims, path[:length]) for length in range(1, len(path))]
    return not all(isinstance(parent, dict) or parent is None or parent is ABSENT for parent in parents)
