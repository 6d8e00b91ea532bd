"""What a provider sends: a JWK Set, a metadata document, a `Cache-Control` header. Sans-IO; nothing of it is trusted.

Bytes in, keys and addresses out, or a `RefusedDocumentError` with fixed words. A set is read leniently in one way only:
an entry that cannot be used is passed over, since the provider may publish it for somebody else (RFC 7517 section 5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from asgi_jwt_claims._compact import load_json
from asgi_jwt_claims.errors import KeyConfigurationError, MalformedTokenError
from asgi_jwt_claims.keys import Key, KeySet

from ._addresses import check_address

__all__ = ["ReadSet", "RefusedDocumentError", "read_jwks", "read_max_age", "read_metadata"]

# RFC 9111 section 5.2: directives are separated by commas; a value may be quoted.
_DIRECTIVE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:\"((?:[^\"\\]|\\.)*)\"|([^,\s]*)))?")
_MAX_CACHE_CONTROL = 1024
_MAX_REASON = 200
_SECONDS = re.compile(r"[0-9]{1,9}")


class RefusedDocumentError(Exception):
    """An answer cannot be used. Its text is fixed words; nothing that was received is in it."""


class ReadSet(NamedTuple):
    """A JWK Set that has been read.

    Attributes:
        keys: Its keys; the very object that was there before if they are the same.
        passed_over: Why entries are not used, one reason for each.
    """

    keys: KeySet
    passed_over: tuple[str, ...]


def read_jwks(body: bytes, algorithms: tuple[str, ...], max_keys: int, before: KeySet | None) -> ReadSet:
    """The signature keys of a JWK Set (RFC 7517 section 5).

    Args:
        body: The document.
        algorithms: The only ones that keys may be for, if any are named; the first that fits is that of a key which
            does not say.
        max_keys: Most entries.
        before: The keys from before. One that is still there stays the same object.

    Raises:
        RefusedDocumentError: Not a JWK Set, one that is too long, or one without a usable key.
    """
    entries = _object(body, "JWK Set").get("keys")
    if type(entries) is not list:
        raise RefusedDocumentError("the JWK Set has no array of keys")
    if len(entries) > max_keys:
        raise RefusedDocumentError(f"the JWK Set has more than {max_keys} keys")
    passed_over: list[str] = []
    by_kid: dict[str, Key | None] = {}
    for entry in entries:
        try:
            key = _key(entry, algorithms)
        except KeyConfigurationError as error:
            passed_over.append(str(error)[:_MAX_REASON])
            continue
        if key.kid not in by_kid:
            by_kid[key.kid] = key
            continue
        known = by_kid[key.kid]
        if known is None or known.public_jwk() != key.public_jwk():
            # RFC 7517 section 4.5: a kid tells keys apart. Which of the two is meant cannot be known, so neither is.
            passed_over.append(f"several keys have the kid {key.kid!r}")
            by_kid[key.kid] = None
    found = [key for key in by_kid.values() if key is not None]
    if not found:
        raise RefusedDocumentError("the JWK Set has no key that could be used")
    return ReadSet(_with_known(found, before), tuple(passed_over))


def _key(entry: Any, algorithms: tuple[str, ...]) -> Key:
    if type(entry) is not dict:
        raise KeyConfigurationError("not a JSON object")
    # Whoever can read the set could sign with these.
    if entry.get("kty") == "oct" or "k" in entry:
        raise KeyConfigurationError("a secret")
    if "d" in entry:
        raise KeyConfigurationError("a private key, which is one no longer")
    if not algorithms:
        return Key.from_jwk(entry)
    if "alg" in entry:
        if entry["alg"] not in algorithms:
            raise KeyConfigurationError("for an algorithm that is not among those wanted")
        return Key.from_jwk(entry)
    for algorithm in algorithms[:-1]:
        try:
            return Key.from_jwk(entry, algorithm)
        except KeyConfigurationError:
            continue
    return Key.from_jwk(entry, algorithms[-1])


def _with_known(found: list[Key], before: KeySet | None) -> KeySet:
    """The keys as a set, each as the object that it was before; and the set itself, if it is the same."""
    known = {key.kid: key for key in before or ()}
    keys = [
        known[key.kid] if key.kid in known and known[key.kid].public_jwk() == key.public_jwk() else key for key in found
    ]
    if before is not None and len(keys) == len(before) and all(key in before for key in keys):
        return before
    return KeySet(keys)


def read_metadata(body: bytes, issuer: str, *, loopback_http: bool) -> str:
    """The `jwks_uri` of a metadata document (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2).

    Raises:
        RefusedDocumentError: Not a metadata document, that of another issuer, or no address that may be asked.
    """
    document = _object(body, "metadata")
    # RFC 8414 section 3.3, code point for code point: or one issuer could speak for another.
    if document.get("issuer") != issuer:
        raise RefusedDocumentError("the metadata is of another issuer")
    problem = check_address(document.get("jwks_uri"), loopback_http=loopback_http)
    if problem is not None:
        raise RefusedDocumentError(f"the jwks_uri of the metadata {problem}")
    address: str = document["jwks_uri"]
    return address


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        _, document = load_json(body)
    except MalformedTokenError as error:
        raise RefusedDocumentError(f"the {what}: {error.evidence['reason']}") from None
    if type(document) is not dict:
        raise RefusedDocumentError(f"the {what} is not a JSON object")
    return document


def read_max_age(headers: Mapping[str, str]) -> float | None:
    """How long an answer may be used, in seconds (RFC 9111 sections 4.2.1 and 5.2.2); None: it does not say.

    Args:
        headers: Of the answer, their names in lower case.
    """
    max_age: float | None = None
    for name, quoted, plain in _DIRECTIVE.findall(headers.get("cache-control", "")[:_MAX_CACHE_CONTROL]):
        directive = name.lower()
        if directive in ("no-store", "no-cache"):
            return 0.0
        value = quoted or plain
        if directive == "max-age" and max_age is None:
            # Section 4.2.1: what cannot be read counts as over already; the policy's least time is then the one.
            max_age = float(value) if _SECONDS.fullmatch(value) else 0.0
    age = headers.get("age", "")
    return max_age if max_age is None or not _SECONDS.fullmatch(age) else max(0.0, max_age - float(age))
