"""Claims: good signatures over what is wrong, from the first wrong value on; `valid` stands on the other side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.conftest import NOW
from tests.corpus.entries import Entry
from tests.corpus.issuers import ISSUERS

__all__ = ["ENTRIES", "claimed"]

MISSING, INVALID, EXPIRED, EARLY = "missing_claim", "invalid_claim", "token_expired", "token_not_yet_valid"
BOUND = "token_bound"

NOT_NUMBERS: dict[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "text": "tomorrow",
    "digits in text": str(NOW + 60),
    "empty text": "",
    "a date": "2027-01-15T08:00:00Z",
    "an array": [NOW + 60],
    "an empty array": [],
    "an object": {"seconds": NOW + 60},
}
NOT_NAMES: dict[str, Any] = {
    "null": None,
    "empty text": "",
    "a number": 1,
    "zero": 0,
    "true": True,
    "false": False,
    "an array": ["alice"],
    "an empty array": [],
    "an object": {"id": "alice"},
}


def claimed(
    name: str, items: str, claims: dict[str, Any], code: str, wrong: str, issuer: str = "hs256", *without: str
) -> Entry:
    """A token of an issuer with some claims changed or left out, for that issuer's configuration."""
    return Entry(name, items, ISSUERS[issuer].token(claims, without=without), code, wrong, issuer, signed=True)


def wrong_kinds() -> Iterator[Entry]:
    """Absent, or of another JSON type than its own."""
    # S49, S51, S60
    for claim, items in (("exp", "S49"), ("nbf", "S51"), ("iat", "S51"), ("fresh", "S51, S60")):
        for kind, value in NOT_NUMBERS.items():
            if claim == "fresh" and isinstance(value, bool):
                continue
            why = "A time is a JSON number; another type is wrong, not absent."
            yield claimed(f"{claim}: {kind}", items, {claim: value}, INVALID, why)
    for claim in ("exp", "nbf", "iat"):
        why = "Wrong is not absent, even where the claim is not required."
        yield claimed(f"{claim}: null where not required", "S51", {claim: None}, INVALID, why, "lenient")
    # S57, S62, S60, S55
    for claim, items in (("sub", "S57"), ("jti", "S62"), ("type", "S60"), ("iss", "S55")):
        for kind, value in NOT_NAMES.items():
            yield claimed(f"{claim}: {kind}", items, {claim: value}, INVALID, "It is a non-empty string.")
    # S60
    for kind, value in {"null": None, "an array": [], "text": "admin", "a number": 1, "true": True}.items():
        yield claimed(f"user_claims: {kind}", "S60", {"user_claims": value}, INVALID, "They are an object.")
    roles = {"null": None, "a number": 1, "an object": {"ADMIN": True}, "true": True, "empty text": ""}
    roles |= {"numbers": [1], "an empty name": ["ADMIN", ""], "an array within": [["ADMIN"]], "null within": [None]}
    for kind, value in roles.items():
        yield claimed(f"roles: {kind}", "S60", {"roles": value}, INVALID, "Roles are one string or an array of them.")


def absent() -> Iterator[Entry]:
    """Required, and not there; or there, and saying nothing."""
    for claim, items in (("sub", "S57"), ("exp", "S49"), ("iat", "S51"), ("jti", "S62"), ("type", "S60")):
        yield claimed(f"no {claim}", items, {}, MISSING, "A required claim is absent.", "hs256", claim)
    for claim, items in (("iss", "S55"), ("aud", "S56"), ("email", "S60")):
        yield claimed(f"no {claim}, to strict", items, {}, MISSING, "A required claim is absent.", "strict", claim)
    yield claimed("required claim in other letters", "S60", {"Email": "a"}, MISSING, "Case matters.", "strict", "email")
    yield claimed("no claims at all", "S49, S57", {}, MISSING, "An empty object.", "hs256", *ISSUERS["hs256"].claims)
    # S57: an identity under another name
    yield claimed("no identity", "S57", {}, MISSING, "The claim that names somebody.", "provider", "identity")
    yield claimed("identity: null", "S57", {"identity": None}, INVALID, "Nobody.", "provider")


def times() -> Iterator[Entry]:
    """The clock says `NOW`; the default leeway is ten seconds, "strict" and "limited" have limits."""
    # S50, S54
    ends = {"the last moment of the leeway": NOW - 10, "long ago": NOW - 900, "zero": 0, "below zero": -1}
    ends |= {"a fraction before": NOW - 10.001, "minus 2**53": -(2**53), "as float": float(NOW - 10), "-1e308": -1e308}
    for kind, value in ends.items():
        yield claimed(f"exp: {kind}", "S50, S54", {"exp": value}, EXPIRED, "The time has come: now < exp + leeway.")
    yield claimed("exp: this second", "S50, S54", {"exp": NOW}, EXPIRED, "No leeway, so it is over.", "strict")
    yield claimed("exp: before iat", "S50", {"exp": NOW - 60, "iat": NOW}, EXPIRED, "It ended before it began.")
    # S52, S54
    starts = {
        "a second beyond the leeway": NOW + 11,
        "a moment beyond the leeway": NOW + 10.001,
        "tomorrow": NOW + 86400,
    }
    starts |= {"in milliseconds": NOW * 1000, "1e300": 1e300}
    for claim in ("nbf", "iat"):
        for kind, value in starts.items():
            yield claimed(f"{claim}: {kind}", "S52, S54", {claim: value}, EARLY, "It lies in the future.")
        yield claimed(f"{claim}: a second too early", "S52", {claim: NOW + 1}, EARLY, "No leeway.", "strict")
    # S53
    old = {"iat": NOW - 3600, "exp": NOW}
    yield claimed(
        "as old as the limit", "S53", {**old, "exp": NOW - 1 + 10}, EXPIRED, "The limit is 3,600 seconds.", "strict"
    )
    yield claimed("old beyond the leeway", "S53", {"iat": NOW - 3610}, EXPIRED, "3,600 seconds and ten.", "limited")
    yield claimed("old by far", "S53", {"iat": 0}, EXPIRED, "Issued in 1970.", "limited")
    why = "The limit is 3,600 seconds from iat to exp."
    yield claimed("lifetime a second too long", "S53", {"exp": NOW + 3601}, INVALID, why, "strict")
    yield claimed("lifetime a moment too long", "S53", {"exp": NOW + 3600.001}, INVALID, why, "limited")
    yield claimed("lifetime without end", "S53", {"exp": 1e300}, INVALID, why, "limited")
    yield claimed("age unknown", "S53", {}, MISSING, "The age is limited and cannot be told.", "limited", "iat")
    yield claimed(
        "lifetime unknown", "S53", {}, MISSING, "The lifetime is limited, and there is none.", "limited", "exp"
    )


def scopes() -> Iterator[Entry]:
    """Scopes, under either name."""
    # S59
    values: dict[str, Any] = {
        "an array": ["read"],
        "a number": 1,
        "null": None,
        "an object": {"read": True},
        "two spaces": "read  write",
        "a space in front": " read",
        "a space behind": "read ",
        "only a space": " ",
        "a tab": "read\twrite",
        "a line feed": "read\nwrite",
        "a quote": 'read"write',
        "a backslash": "read\\write",
        "a no-break space": "read\u00a0write",
        "no ascii": "l\u00e4sen",
        "a zero byte": "read\x00",
        "delete character": "read\x7f",
    }
    for kind, value in values.items():
        why = "Scopes are one string, divided by single spaces, of RFC 6749's characters."
        yield claimed(f"scope: {kind}", "S59", {"scope": value}, INVALID, why)


def confirmations() -> Iterator[Entry]:
    """Bound to a key of the sender."""
    thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    # S65
    for name in ("jkt", "x5t#S256", "jwk", "kid", "jku", "jwe"):
        yield claimed(f"cnf: {name}", "S65", {"cnf": {name: thumbprint}}, BOUND, "Worth nothing as a bearer token.")
    # S66
    odd: dict[str, Any] = {
        "null": None,
        "an empty object": {},
        "text": thumbprint,
        "an array": [{"jkt": thumbprint}],
        "false": False,
        "two members": {"jkt": thumbprint, "x5t#S256": thumbprint},
        "an unknown member": {"osc": thumbprint},
        "a number for jkt": {"jkt": 1},
    }
    for kind, value in odd.items():
        yield claimed(f"cnf: {kind}", "S66", {"cnf": value}, BOUND, "A confirmation that cannot be checked.")
    for name in ("provider", "strict", "lenient"):
        yield claimed(f"cnf, to {name}", "S65", {"cnf": {"jkt": thumbprint}}, BOUND, "The same everywhere.", name)


ENTRIES = [*wrong_kinds(), *absent(), *times(), *scopes(), *confirmations()]
