"""Issuer and audience: good signatures over names that are nearly the expected ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.corpus.claims import claimed
from tests.corpus.entries import Entry

__all__ = ["ENTRIES"]

INVALID, ISSUER, AUDIENCE = "invalid_claim", "invalid_issuer", "invalid_audience"

EXPECTED = "https://issuer.example/"
ISSUERS_NEARLY = {
    "without the slash": EXPECTED[:-1],
    "with two slashes": EXPECTED + "/",
    "with a path": EXPECTED + "x",
    "http": "http://issuer.example/",
    "capitals": "https://Issuer.example/",
    "a capital scheme": "HTTPS://issuer.example/",
    "the usual port": "https://issuer.example:443/",
    "a part": "issuer",
    "a first part": "https://issuer.example.evil/",
    "a user": "https://issuer.example@evil.example/",
    "a last dot": "https://issuer.example./",
    "an escape": "https://issuer%2Eexample/",
    "a query": EXPECTED + "?",
    "a space behind": EXPECTED + " ",
    "a space in front": " " + EXPECTED,
    "a line feed": EXPECTED + "\n",
    "a zero byte": EXPECTED + "\x00",
    "a cyrillic letter": "https://i\u0455suer.example/",
    "full-width": "https://issuer\uff0eexample/",
    "a soft hyphen": "https://issuer\u00ad.example/",
    "another": "https://mallory.example/",
}
OURS = "https://api.example"
AUDIENCES_NEARLY = {
    "another": "https://other.example",
    "a slash behind": OURS + "/",
    "capitals": "https://API.example",
    "a part": "api",
    "a first part": OURS + ".evil",
    "a space behind": OURS + " ",
    "a list with commas": f"{OURS},https://other.example",
    "a list with spaces": f"{OURS} https://other.example",
    "two others": ["https://other.example", "urn:other"],
    "its characters": [*dict.fromkeys(OURS)],
    "a star": "*",
    "an array in text": f'["{OURS}"]',
}
AUDIENCES_WRONG: dict[str, Any] = {
    "null": None,
    "empty text": "",
    "a number": 1,
    "true": True,
    "an object": {OURS: True},
    "an empty array": [],
    "ours and a number": [OURS, 1],
    "ours and null": [OURS, None],
    "ours and nothing": [OURS, ""],
    "an array within": [[OURS]],
    "an object within": [OURS, {}],
}


def entries() -> Iterator[Entry]:
    """Who issued the token, and for whom."""
    # S55
    for kind, value in ISSUERS_NEARLY.items():
        why = "Issuers are compared code point for code point."
        yield claimed(f"iss: {kind}, to strict", "S55", {"iss": value}, ISSUER, why, "strict")
    for kind, value in {"an array with ours": [EXPECTED], "an object": {EXPECTED: 1}, "null": None}.items():
        yield claimed(f"iss: {kind}, to strict", "S55", {"iss": value}, INVALID, "An issuer is one string.", "strict")
    # S56
    for kind, value in AUDIENCES_NEARLY.items():
        yield claimed(f"aud: {kind}", "S56", {"aud": value}, AUDIENCE, "None of them is ours exactly.", "strict")
    for kind, value in AUDIENCES_WRONG.items():
        yield claimed(f"aud: {kind}", "S56", {"aud": value}, INVALID, "Strings, and at least one.", "strict")
    for kind, value in {"text": OURS, "an array": [OURS], "a word": "account"}.items():
        yield claimed(f"aud: {kind} where none is ours", "S56", {"aud": value}, AUDIENCE, "It is for somebody else.")
    for kind, value in {"null": None, "an empty array": []}.items():
        yield claimed(f"aud: {kind} where none is ours", "S56", {"aud": value}, INVALID, "Wrong is not absent.")


ENTRIES = list(entries())
