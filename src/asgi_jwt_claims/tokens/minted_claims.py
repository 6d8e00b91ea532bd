"""Check and copy what an application puts into a token.

What reading would refuse is refused here (`MintingError`), so that what is minted is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from asgi_jwt_claims.errors import MintingError
from asgi_jwt_claims.jose.strict_json import MAX_JSON_DEPTH, MAX_SAFE_INTEGER, has_lone_surrogate
from asgi_jwt_claims.runtime.values import plain

from .reading import SCOPE_TOKEN

__all__ = ["check_identity", "granted_scope", "json_copy", "read_once", "scope_text"]


def check_identity(identity: Any, identity_claim: str) -> Any:
    """Check and copy an identity, as it is minted and as its tokens and sessions are found again.

    It is a non-empty str for `sub` (RFC 7519 section 4.1.2); any JSON value but None and "" for another claim.

    Raises:
        MintingError: The identity is something else.
    """
    identity = plain(identity)
    if identity is None or (isinstance(identity, str) and not identity):
        raise MintingError(f"the identity must not be {identity!r}: it says whom a token speaks for")
    if identity_claim == "sub" and not isinstance(identity, str):
        raise MintingError(f"the identity must be a str, not {type(identity).__name__}; convert it with str()")
    return json_copy(identity, "the identity", depth=2)


def json_copy(value: Any, what: str, depth: int = 1) -> Any:
    """Copy a JSON value deeply, so that nothing the caller does later can change the token.

    A JSON value is a str, int, float, bool or None, or a list, tuple or mapping (with str names) of these. Subclasses
    are copied as what they hold. `what` names the value in an error; `depth` is the level where it will stand.

    Raises:
        MintingError: The value is not JSON, is not the same in every JSON parser, or is nested too deeply.
    """
    kind = type(value)
    # Nearly all values are one of these, and need no further check.
    if (kind is str and value.isascii()) or kind is bool or (kind is int and abs(value) <= MAX_SAFE_INTEGER):
        return value
    if depth > MAX_JSON_DEPTH and isinstance(value, Mapping | list | tuple):
        _refuse(what, f"more than {MAX_JSON_DEPTH} levels of nesting in the token")
    if kind is dict or isinstance(value, Mapping):
        members = {
            name if type(name) is str and name.isascii() else _member_name(name, what): json_copy(
                member, what, depth + 1
            )
            for name, member in value.items()
        }
        if len(members) != len(value):
            _refuse(what, "two names that are the same characters")
        return members
    if kind is list or isinstance(value, list | tuple):
        return [json_copy(member, what, depth + 1) for member in value]
    return _json_scalar(plain(value), what)


def _json_scalar(value: Any, what: str) -> Any:
    if isinstance(value, str) and has_lone_surrogate(value):
        _refuse(what, "a string with half of a surrogate pair")
    if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER:
        _refuse(what, "an integer beyond 2**53, which not every JSON parser can carry; pass it as a str")
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(what, "NaN or Infinity, which JSON does not have")
    if value is not None and not isinstance(value, str | int | float):
        _refuse(what, f"a value of type {type(value).__name__}, which is not JSON; convert it first")
    return value


def _member_name(name: object, what: str) -> str:
    if not isinstance(name, str) or has_lone_surrogate(name):
        _refuse(what, f"a name of type {type(name).__name__}; names are str of whole characters")
    return str.__str__(name)


def _refuse(what: str, content: str) -> NoReturn:
    raise MintingError(f"{what} must not contain {content}")


def read_once(values: str | Iterable[str] | None) -> str | Iterable[str] | None:
    """Read an iterable into a list, since an iterator can be read only once; return a str or None as it is."""
    return values if isinstance(values, str) or not isinstance(values, Iterable) else list(values)


def scope_text(scope: str | Iterable[str]) -> str:
    """Write one or several scopes as one string, separated by single spaces (RFC 6749 section 3.3).

    Raises:
        MintingError: A scope is empty or has a character that scopes must not have.
    """
    names = plain(scope).split(" ") if isinstance(scope, str) else scope if isinstance(scope, Iterable) else ()
    scopes = [plain(name) for name in names]
    if not scopes or not all(isinstance(name, str) and SCOPE_TOKEN.fullmatch(name) for name in scopes):
        raise MintingError("scope must be one or more scopes separated by single spaces (RFC 6749 section 3.3)")
    return " ".join(scopes)


def granted_scope(scope: str | Iterable[str] | None) -> str | None:
    """Write the scopes of a token as `scope_text` does; None for None, an empty str or an empty list.

    A login form that asks for no scopes gives an empty list (`OAuth2PasswordRequestForm.scopes` of FastAPI).
    """
    scope = plain(read_once(scope))
    return None if scope in (None, "", []) else scope_text(scope)
