"""What a provider sends: a JWK Set, a metadata document, a `Cache-Control` header. Sans-IO; nothing of it is trusted.

Bytes in, keys and addresses out, or a `RefusedDocumentError`. Documents are read leniently, since no signature depends
on their spelling: a byte order mark, any number, and a member that comes twice (the last one counts) do no harm. An
entry of a set that cannot be used is passed over, since the provider may publish it for others (RFC 7517 section 5).
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from asgi_jwt_claims.errors import KeyConfigurationError
from asgi_jwt_claims.keys._loading import PRIVATE_MEMBERS
from asgi_jwt_claims.keys.key import Key, load_jwk, without_empty
from asgi_jwt_claims.keys.key_set import KeySet

from ._urls import check_address

__all__ = ["ReadSet", "RefusedDocumentError", "read_jwks", "read_max_age", "read_metadata", "read_retry_after"]

# RFC 9111 section 5.2: directives are separated by commas; a value may be quoted.
_DIRECTIVE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:\"((?:[^\"\\]|\\.)*)\"|([^,\s]*)))?")
_MAX_CACHE_CONTROL = 1024
_MAX_REASON = 200
_MAX_DATE = 64
_SECONDS = re.compile(r"[0-9]{1,9}")


class RefusedDocumentError(Exception):
    """An answer cannot be used.

    Args:
        reason: Why, in words that are fixed but for the reasons of `skipped`, which are cut to a length, and the issuer
            that metadata names, which is cut and quoted.
        skipped: Why entries of a JWK Set are not used, one reason for each.
        retry_after: How long the provider asks to be left alone, in seconds.
    """

    def __init__(self, reason: str, *, skipped: tuple[str, ...] = (), retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.skipped = skipped
        self.retry_after = retry_after


class ReadSet(NamedTuple):
    """A JWK Set that has been read.

    Attributes:
        keys: Its keys; the very object that was there before if they are the same.
        skipped: Why entries are not used, one reason for each.
    """

    keys: KeySet
    skipped: tuple[str, ...]


def read_jwks(
    body: bytes,
    algorithms: tuple[str, ...],
    max_keys: int,
    before: KeySet | None,
    seconds_to_check: float = 1.0,
) -> ReadSet:
    """The signature keys of a JWK Set (RFC 7517 section 5).

    Args:
        body: The document.
        algorithms: The only ones that keys may be for, if any are named; the first that fits is that of a key which
            does not say.
        max_keys: Most entries.
        before: The keys from before. One that is still there stays the same object.
        seconds_to_check: How long RSA keys are checked for all that could be wrong with them, in seconds; not counting
            the one that is being checked when the time is over. Those after it are checked for what is seen at once,
            and thoroughly when they come again: what has been found out before takes no time.

    Raises:
        RefusedDocumentError: Not a JWK Set, one that is too long, or one without a usable key.
    """
    end = time.monotonic() + seconds_to_check
    entries = _object(body, "JWK Set").get("keys")
    if type(entries) is not list:
        raise RefusedDocumentError("the JWK Set has no array of keys")
    if len(entries) > max_keys:
        raise RefusedDocumentError(f"the JWK Set has more than {max_keys} keys")
    skipped: list[str] = []
    by_name: dict[tuple[str, str], Key | None] = {}
    for entry in entries:
        try:
            key = _key(entry, algorithms, thorough=time.monotonic() < end)
        except (KeyConfigurationError, RecursionError) as error:  # the latter by an entry nested as deep as Python goes
            skipped.append(str(error)[:_MAX_REASON])
            continue
        known = by_name.setdefault((key.kid, key.algorithm), key)
        if known is None or known.public_jwk() != key.public_jwk():
            # RFC 7517 section 4.5: only keys of several kinds may have one kid, and `alg` says which of those is meant.
            # Which of two keys of one algorithm is meant cannot be known, so neither is.
            skipped.append(f"several keys have the kid {key.kid!r} and the algorithm {key.algorithm}")
            by_name[key.kid, key.algorithm] = None
    found = [key for key in by_name.values() if key is not None]
    if not found:
        reason = "the JWK Set has no key that could be used"
        if skipped:
            reason += f"; of {len(skipped)} passed over, the last because: {skipped[-1]}"
        raise RefusedDocumentError(reason, skipped=tuple(skipped))
    return ReadSet(_with_known(found, before), tuple(skipped))


def _key(entry: Any, algorithms: tuple[str, ...], *, thorough: bool) -> Key:
    if type(entry) is not dict:
        raise KeyConfigurationError("not a JSON object")
    entry = without_empty(entry)
    # All who can read the set could sign with these.
    if entry.get("kty") == "oct" or "k" in entry:
        raise KeyConfigurationError("a secret")
    if not PRIVATE_MEMBERS.isdisjoint(entry):
        raise KeyConfigurationError("a private key, which is one no longer")
    if not algorithms:
        return load_jwk(entry, thorough=thorough)
    if "alg" in entry:
        if entry["alg"] not in algorithms:
            raise KeyConfigurationError("for an algorithm that is not among those wanted")
        return load_jwk(entry, thorough=thorough)
    for algorithm in algorithms[:-1]:
        try:
            return load_jwk(entry, algorithm, thorough=thorough)
        except KeyConfigurationError:
            continue
    return load_jwk(entry, algorithms[-1], thorough=thorough)


def _with_known(found: list[Key], before: KeySet | None) -> KeySet:
    """The keys as a set, each as the object that it was before; and the set itself, if it is the same."""
    known = {(key.kid, key.algorithm): key for key in before or ()}
    keys = []
    for key in found:
        same = known.get((key.kid, key.algorithm))
        keys.append(same if same is not None and same.public_jwk() == key.public_jwk() else key)
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
    said = document.get("issuer")
    if said != issuer:
        if isinstance(said, str) and said.removesuffix("/") == issuer.removesuffix("/"):
            raise RefusedDocumentError(
                f"the metadata is of another issuer, the one with{'' if said.endswith('/') else 'out'} a slash at the end; "
                "write the issuer as the metadata does"
            )
        shown = repr(said[:_MAX_REASON]) if isinstance(said, str) else "none that is a string"
        raise RefusedDocumentError(f"the metadata is of another issuer: it names {shown}")
    problem = check_address(document.get("jwks_uri"), loopback_http=loopback_http)
    if problem is not None:
        raise RefusedDocumentError(f"the jwks_uri of the metadata {problem}")
    address: str = document["jwks_uri"]
    return address


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        # No member that counts is a number, so it does not matter that float is not exact. `int` refuses long ones.
        document = json.loads(body.decode("utf-8-sig"), parse_int=float)
    except UnicodeDecodeError:
        raise RefusedDocumentError(f"the {what}: not UTF-8") from None
    except ValueError:
        raise RefusedDocumentError(f"the {what}: not JSON") from None
    except RecursionError:
        raise RefusedDocumentError(f"the {what}: nested too deeply") from None
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


def read_retry_after(headers: Mapping[str, str]) -> float:
    """How long the server asks to be left alone, in seconds (RFC 9110 section 10.2.3); 0.0 if it does not, or not so.

    Args:
        headers: Of the answer, their names in lower case.
    """
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _seconds_of_date(value)
    # By the clock that wrote it, where the answer says what that clock shows.
    now = _seconds_of_date(headers.get("date", ""))
    return 0.0 if until is None else max(0.0, until - (time.time() if now is None else now))


def _seconds_of_date(value: str) -> float | None:
    """A date of HTTP (RFC 9110 section 5.6.7), in seconds since the epoch."""
    try:
        return email.utils.parsedate_to_datetime(value[:_MAX_DATE]).timestamp()
    except (ValueError, OverflowError):
        return None
