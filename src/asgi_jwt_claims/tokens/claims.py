"""Claims: the registered names, the rule for each kind of value, and the application's own claims in and out.

Reading follows one rule throughout: a claim of the wrong type is wrong, never absent (`InvalidClaimError`). Writing
refuses whatever reading would refuse, so that what is minted is accepted (`MintingError`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from asgi_jwt_claims.errors import InvalidClaimError, MintingError
from asgi_jwt_claims.jose.strict_json import MAX_JSON_DEPTH, MAX_SAFE_INTEGER, has_lone_surrogate
from asgi_jwt_claims.runtime.values import plain

__all__ = [
    "SCOPE_TOKEN",
    "accepted_typ",
    "check_identity",
    "check_user_claims",
    "granted_scope",
    "json_copy",
    "read_audience",
    "read_fresh",
    "read_numeric_date",
    "read_once",
    "read_roles",
    "read_scopes",
    "read_string",
    "scope_text",
    "sign_of_another_kind",
]

SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749 section 3.3

_NONE: frozenset[str] = frozenset()

_JWT_MEDIA_TYPES = frozenset({"jwt", "application/jwt"})
# RFC 8725 section 3.11: what is none of these (dpop+jwt, logout+jwt, secevent+jwt ...) was minted for something else.
_ACCESS_ONLY_MEDIA_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_ACCESS_MEDIA_TYPES = _JWT_MEDIA_TYPES | _ACCESS_ONLY_MEDIA_TYPES


def accepted_typ(typ: object, kind: str) -> bool:
    """Whether a `typ` header is one for tokens of type `kind` (RFC 7515 section 4.1.9: letter case does not matter)."""
    media_types = _ACCESS_MEDIA_TYPES if kind == "access" else _JWT_MEDIA_TYPES
    return isinstance(typ, str) and typ.lower() in media_types


_KIND_CLAIMS = ("token_use", "typ")  # of Cognito and of Keycloak
_OTHER_KINDS = frozenset({"refresh", "offline", "logout"})
_ACCESS_KINDS = frozenset({"access", "bearer"})
# OpenID Connect Core 1.0 sections 3.1.3.6 and 3.3.2.11, FAPI 1.0 part 2 section 5.1: hashes of what came beside an ID
# token.
_ID_TOKEN_CLAIMS = ("at_hash", "c_hash", "s_hash")
_ACCESS_TOKEN_CLAIMS = ("scope", "scp")  # RFC 9068 section 2.2.3; of Okta and of Entra ID


def sign_of_another_kind(
    claims: Mapping[str, Any], header: Mapping[str, Any], *, accept_id_tokens: bool = False
) -> str | None:
    """The claim by which a token without a type claim shows that it is no access token; None when there is none.

    Args:
        claims: Of the token.
        header: Of the token.
        accept_id_tokens: Whether an ID token counts as an access token.
    """
    words = {name: claims[name].lower() for name in _KIND_CLAIMS if isinstance(claims.get(name), str)}
    for name, word in words.items():
        if word in _OTHER_KINDS or (word == "id" and not accept_id_tokens):
            return name
    if "events" in claims:  # RFC 8417 section 2.2: a security event, such as a logout
        return "events"
    if accept_id_tokens:
        return None
    for name in _ID_TOKEN_CLAIMS:
        if name in claims:
            return name
    # Section 2: an ID token carries the nonce of its request. Some issuers put it into access tokens too, which show
    # in another way what they are.
    if "nonce" in claims and not (
        _ACCESS_KINDS.intersection(words.values())
        or any(name in claims for name in _ACCESS_TOKEN_CLAIMS)
        or str(header.get("typ", "")).lower() in _ACCESS_ONLY_MEDIA_TYPES
    ):
        return "nonce"
    return None


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


def check_identity(identity: Any, identity_claim: str) -> Any:
    """An identity as it is minted, and by which its tokens and sessions are found again.

    Args:
        identity: Whom a token speaks for.
        identity_claim: The claim that it stands in, the configuration's.

    Returns:
        A copy: a non-empty str for `sub` (RFC 7519 section 4.1.2), any JSON value but None and "" for another claim.

    Raises:
        MintingError: It is none of these.
    """
    identity = plain(identity)
    if identity is None or (isinstance(identity, str) and not identity):
        raise MintingError(f"the identity must not be {identity!r}: it says whom a token speaks for")
    if identity_claim == "sub" and not isinstance(identity, str):
        raise MintingError(f"the identity must be a str, not {type(identity).__name__}; convert it with str()")
    return json_copy(identity, "the identity", depth=2)


def json_copy(value: Any, what: str, depth: int = 1) -> Any:
    """A deep copy of a JSON value, so that nothing the caller does later can change the token.

    Args:
        value: str, int, float, bool, None, or list, tuple and mapping (with str names) of these. Subclasses of str, int
            and float are copied as the characters or the number that they hold.
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
        _check_depth(what, depth)
        return [json_copy(member, what, depth + 1) for member in value]
    return _json_scalar(plain(value), what)


def _check_depth(what: str, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        _refuse(what, f"more than {MAX_JSON_DEPTH} levels of nesting in the token")


def _json_scalar(value: Any, what: str) -> Any:
    if value is None:
        return value
    if isinstance(value, str):
        if has_lone_surrogate(value):
            _refuse(what, "a string with half of a surrogate pair")
        return value
    if isinstance(value, int):
        if abs(value) > MAX_SAFE_INTEGER:
            _refuse(what, "an integer beyond 2**53, which not every JSON parser can carry; pass it as a str")
        return value
    if not isinstance(value, float):
        _refuse(what, f"a value of type {type(value).__name__}, which is not JSON; convert it first")
    if not math.isfinite(value):
        _refuse(what, "NaN or Infinity, which JSON does not have")
    return value


def _member_name(name: object, what: str) -> str:
    if not isinstance(name, str) or has_lone_surrogate(name):
        _refuse(what, f"a name of type {type(name).__name__}; names are str of whole characters")
    return str.__str__(name)


def _refuse(what: str, content: str) -> NoReturn:
    raise MintingError(f"{what} must not contain {content}")


def read_once(values: str | Iterable[str] | None) -> str | Iterable[str] | None:
    """Several values as a list, since two tokens need what an iterator gives only once; any other value as it is."""
    return values if isinstance(values, str) or not isinstance(values, Iterable) else list(values)


def scope_text(scope: str | Iterable[str]) -> str:
    """Scopes as one string divided by single spaces (RFC 6749 section 3.3), from such a string or from several scopes.

    Raises:
        MintingError: A scope is empty or has a character that no scope may have.
    """
    several = scope if isinstance(scope, Iterable) else ()
    scopes = plain(scope).split(" ") if isinstance(scope, str) else [plain(name) for name in several]
    if not scopes or not all(isinstance(name, str) and SCOPE_TOKEN.fullmatch(name) for name in scopes):
        raise MintingError("scope must be one or more scopes divided by single spaces (RFC 6749 section 3.3)")
    return " ".join(scopes)


def granted_scope(scope: str | Iterable[str] | None) -> str | None:
    """The scopes of a token that is to be minted, as `scope_text` has them; None for None, an empty str or no scopes.

    A login form that asks for no scopes gives an empty list (`OAuth2PasswordRequestForm.scopes` of FastAPI).

    Raises:
        MintingError: As `scope_text`.
    """
    scope = plain(read_once(scope))
    return None if scope in (None, "", []) else scope_text(scope)
