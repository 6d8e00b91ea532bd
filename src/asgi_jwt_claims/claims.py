"""Claims: the registered names, the rule for each kind of value, and the application's own claims in and out.

Reading follows one rule throughout: a claim of the wrong type is wrong, never absent (`InvalidClaimError`). Writing
refuses whatever reading would refuse, so that what is minted is accepted (`MintingError`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ._compact import MAX_JSON_DEPTH, MAX_SAFE_INTEGER, has_lone_surrogate
from .errors import InvalidClaimError, MintingError

__all__ = [
    "REGISTERED_CLAIMS",
    "SCOPE_TOKEN",
    "accepted_typ",
    "check_user_claims",
    "json_copy",
    "read_audience",
    "read_fresh",
    "read_numeric_date",
    "read_roles",
    "read_scopes",
    "read_string",
    "scope_text",
]

REGISTERED_CLAIMS = frozenset(
    {
        # RFC 7519 section 4.1
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti"),
        # RFC 8693, RFC 9068, RFC 7800, OpenID Connect Core: what other parties decide by
        *("scope", "client_id", "act", "may_act", "roles", "groups", "entitlements", "cnf"),
        *("auth_time", "acr", "amr", "azp", "nonce", "sid", "events"),
        # this library's own
        "fresh",
    }
)
"""Names that flat user claims may never take."""

SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 section 3.3

_NONE: frozenset[str] = frozenset()

_JWT_MEDIA_TYPES = frozenset({"jwt", "application/jwt"})
# RFC 8725 section 3.11: what is none of these (dpop+jwt, logout+jwt, secevent+jwt ...) was minted for something else.
_ACCESS_MEDIA_TYPES = _JWT_MEDIA_TYPES | {"at+jwt", "application/at+jwt"}


def accepted_typ(typ: object, kind: str) -> bool:
    """Whether a `typ` header is one for tokens of type `kind` (RFC 7515 section 4.1.9: letter case does not matter)."""
    media_types = _ACCESS_MEDIA_TYPES if kind == "access" else _JWT_MEDIA_TYPES
    return isinstance(typ, str) and typ.lower() in media_types


# In: from a token whose signature has been verified -------------------------------------------------------------------


def read_numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2): seconds since the epoch, a JSON number; None when absent."""
    value = claims.get(name)
    kind = type(value)  # a bool is an int to isinstance, and no number in JSON
    if kind is int or kind is float:
        return value
    if name not in claims:
        return None
    raise InvalidClaimError(claim=name, reason="not a number")


def read_string(claims: Mapping[str, Any], name: str) -> str | None:
    """A non-empty string; None when absent."""
    value = claims.get(name)
    if isinstance(value, str) and value:
        return value
    if name not in claims:
        return None
    raise InvalidClaimError(claim=name, reason="not a non-empty string")


def _strings(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = claims[name]
    if isinstance(values, str) and values:
        return (values,)
    if isinstance(values, list) and values and all(isinstance(item, str) and item for item in values):
        return tuple(values)
    raise InvalidClaimError(claim=name, reason="neither a non-empty string nor an array of them")


def read_audience(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """`aud` (RFC 7519 section 4.1.3): a string or an array of strings; empty when absent."""
    return _strings(claims, "aud") if "aud" in claims else ()


def read_roles(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Roles: a string is one role, an array several; empty when absent or an empty array."""
    if name not in claims or claims[name] == []:
        return _NONE
    return frozenset(_strings(claims, name))


def read_scopes(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Scopes: one string, divided by single spaces (RFC 8693 section 4.2); empty when absent or an empty string.

    A claim of another name than `scope` (some providers' `scp`) may also be an array.
    """
    value = claims.get(name, "")
    if value == "":
        return _NONE
    if isinstance(value, list) and name != "scope" and all(isinstance(item, str) for item in value):
        scopes = value
    elif isinstance(value, str):
        scopes = value.split(" ")
    else:
        raise InvalidClaimError(claim=name, reason="not a string")
    if not all(SCOPE_TOKEN.fullmatch(scope) for scope in scopes):
        raise InvalidClaimError(claim=name, reason="not scopes divided by single spaces")
    return frozenset(scopes)


def read_fresh(claims: Mapping[str, Any]) -> float:
    """`fresh`: the NumericDate until which the token is fresh; infinity and 0 for true and false; 0 when absent."""
    value = claims.get("fresh", False)
    if isinstance(value, bool):
        return math.inf if value else 0
    return read_numeric_date(claims, "fresh") or 0


def check_user_claims(claims: Mapping[str, Any], name: str | None) -> None:
    """That the claim which holds the application's claims, if one does, is an object."""
    if name is not None and not isinstance(claims.get(name, {}), dict):
        raise InvalidClaimError(claim=name, reason="not an object")


# Out: into a token that is to be minted -------------------------------------------------------------------------------


def json_copy(value: Any, what: str, depth: int = 1) -> Any:
    """A deep copy of a JSON value, so that nothing the caller does later can change the token.

    Args:
        value: str, int, float, bool, None, or list, tuple and mapping (with str names) of these.
        what: What to call the value in an error.
        depth: The level at which the value will stand in the token.

    Raises:
        MintingError: Not JSON; not the same value in every JSON parser; or nested too deeply.
    """
    kind = type(value)
    # Most values are no more than this, and need no closer look.
    if (kind is str and value.isascii()) or kind is bool or (kind is int and abs(value) <= MAX_SAFE_INTEGER):
        return value
    if kind is dict or isinstance(value, Mapping):
        _check_depth(what, depth)
        return {
            name if type(name) is str and name.isascii() else _member_name(name, what): json_copy(
                member, what, depth + 1
            )
            for name, member in value.items()
        }
    if kind is list or isinstance(value, list | tuple):
        _check_depth(what, depth)
        return [json_copy(member, what, depth + 1) for member in value]
    return _json_scalar(value, what)


def _check_depth(what: str, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        _refuse(what, f"more than {MAX_JSON_DEPTH} levels of nesting in the token")


def _json_scalar(value: Any, what: str) -> Any:
    if value is None:
        return value
    if isinstance(value, str):
        if has_lone_surrogate(value):
            _refuse(what, "a string with half of a surrogate pair")
        return str(value)
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            _refuse(what, "an integer beyond 2**53, which not every JSON parser can carry; pass it as a str")
        return int(value)
    if not isinstance(value, float):
        _refuse(what, f"a value of type {type(value).__name__}, which is not JSON; convert it first")
    if not math.isfinite(value):
        _refuse(what, "NaN or Infinity, which JSON does not have")
    return float(value)


def _member_name(name: object, what: str) -> str:
    if not isinstance(name, str) or has_lone_surrogate(name):
        _refuse(what, f"a name of type {type(name).__name__}; names are str of whole characters")
    return str(name)


def _refuse(what: str, content: str) -> NoReturn:
    raise MintingError(f"{what} must not contain {content}")


def scope_text(scope: str | Iterable[str]) -> str:
    """Scopes as one string divided by single spaces (RFC 6749 section 3.3), from such a string or from several scopes.

    Raises:
        MintingError: A scope is empty or has a character that no scope may have.
    """
    scopes = scope.split(" ") if isinstance(scope, str) else list(scope)
    if not scopes or not all(isinstance(name, str) and SCOPE_TOKEN.fullmatch(name) for name in scopes):
        raise MintingError("scope must be one or more scopes divided by single spaces (RFC 6749 section 3.3)")
    return " ".join(scopes)
