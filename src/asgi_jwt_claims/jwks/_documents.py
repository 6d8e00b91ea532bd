"""Read what an issuer sends: a JWK Set, a metadata document, `Cache-Control`, `Retry-After`. No I/O, no trust.

Documents are read leniently, since no signature depends on their spelling: a byte order mark, any number, a byte that
is not UTF-8, and a repeated member (the last one counts) do no harm.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from asgi_jwt_claims.errors import KeyConfigurationError
from asgi_jwt_claims.keys._loading import PRIVATE_MEMBERS
from asgi_jwt_claims.keys.key import Key, is_same_key, load_jwk, load_pem, without_empty
from asgi_jwt_claims.keys.key_set import KeySet

from ._urls import check_address

__all__ = ["ReadSet", "RefusedDocumentError", "read_jwks", "read_max_age", "read_metadata", "read_retry_after"]

# RFC 9111 section 5.2: directives are separated by commas; a value may be quoted.
_DIRECTIVE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:\"((?:[^\"\\]|\\.)*)\"|([^,\s]*)))?")
_MAX_REASON = 200
_SECONDS = re.compile(r"[0-9]{1,9}")


class RefusedDocumentError(Exception):
    """A response cannot be used: why, with what is quoted from it cut to a fixed length.

    `skipped` has the reasons of `ReadSet`. `retry_after` says for how many seconds the issuer asks not to be called.
    """

    def __init__(self, reason: str, *, skipped: tuple[str, ...] = (), retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.skipped = skipped
        self.retry_after = retry_after


class ReadSet(NamedTuple):
    """A JWK Set that has been read."""

    keys: KeySet
    """The same object as before if no key has changed."""
    skipped: tuple[str, ...]
    """Why entries are not used, one reason for each."""


class KeysOfIssuers(KeySet):
    """Keys of which some are for the tokens of one issuer alone: those whose JWK has the member `issuer` of Entra ID."""

    __slots__ = ("issuers",)

    issuers: dict[tuple[str, str], str]
    """The issuers, by the `kid` and the algorithm of the keys."""

    def __init__(self, keys: KeySet, issuers: dict[tuple[str, str], str]) -> None:
        super().__init__(keys)
        object.__setattr__(self, "issuers", issuers)

    def issuer_of(self, key: Key) -> str | None:
        """See `KeySet`."""
        return self.issuers.get((key.kid, key.algorithm))


def read_jwks(
    body: bytes, algorithms: tuple[str, ...], max_keys: int, before: KeySet | None, seconds_to_check: float = 1.0
) -> ReadSet:
    """Read the signature keys of a JWK Set. Entries that cannot be used are skipped (RFC 7517 section 5).

    The set may also be an object of PEM texts by `kid`, certificates or public keys, as Google publishes some.
    Keys from `before` that are still there stay the same objects. For `seconds_to_check`, RSA keys are checked
    thoroughly; later ones quickly, and thoroughly when they come again, since results of checks are remembered.

    Raises:
        RefusedDocumentError: The document is not a JWK Set, is too long, or has no usable key.
    """
    end = time.monotonic() + seconds_to_check
    document = _object(body, "JWK Set")
    entries: Any = document.get("keys")
    if "keys" not in document and any(map(_is_pem, document.values())):
        # Pairs, so that a kid that stands there twice is seen. What nests deeper is no PEM text in any case.
        entries = _parsed(body, object_pairs_hook=list)
    if type(entries) is not list:
        raise RefusedDocumentError("the JWK Set has no array of keys")
    if len(entries) > max_keys:
        raise RefusedDocumentError(f"the JWK Set has more than {max_keys} keys")
    skipped: list[str] = []
    by_name: dict[tuple[str, str], Key | None] = {}
    issuers: dict[tuple[str, str], str] = {}
    for entry in entries:
        try:
            key = _key(entry, algorithms, thorough=time.monotonic() < end)
        except (KeyConfigurationError, RecursionError) as error:  # the latter by an entry nested as deep as Python goes
            skipped.append(str(error)[:_MAX_REASON])
            continue
        name, issuer = (key.kid, key.algorithm), entry.get("issuer") if type(entry) is dict else None
        if isinstance(issuer, str) and (name not in issuers or "{" in issuers[name]):
            issuers[name] = issuer  # the one that is for less tenants, if a key stands there twice
        known = by_name.setdefault(name, key)
        if known is None or not is_same_key(known, key):
            # RFC 7517 section 4.5: only keys of several kinds may have one kid, and `alg` says which of those is meant.
            # Which of two keys of one algorithm is meant cannot be known, so neither is used.
            skipped.append(f"several keys have the kid {key.kid!r} and the algorithm {key.algorithm}")
            by_name[key.kid, key.algorithm] = None
    found = [key for key in by_name.values() if key is not None]
    if not found:
        why = f"; {len(skipped)} were skipped, the last because: {skipped[-1]}" if skipped else ""
        raise RefusedDocumentError(f"the JWK Set has no key that can be used{why}", skipped=tuple(skipped))
    keys = _with_known(found, before)
    if issuers != (keys.issuers if isinstance(keys, KeysOfIssuers) else {}):
        keys = KeysOfIssuers(keys, issuers)
    return ReadSet(keys, tuple(skipped))


def _key(entry: Any, algorithms: tuple[str, ...], *, thorough: bool) -> Key:
    if type(entry) is tuple:
        return _key_from_pem(entry, algorithms, thorough=thorough)
    if type(entry) is not dict:
        raise KeyConfigurationError("not a JSON object")
    entry = without_empty(entry)
    # Everyone who can read the set could sign with these.
    if entry.get("kty") == "oct" or "k" in entry:
        raise KeyConfigurationError("a secret")
    if not PRIVATE_MEMBERS.isdisjoint(entry):
        raise KeyConfigurationError("a private key, which is private no longer")
    if not algorithms or "alg" in entry:
        if algorithms and entry["alg"] not in algorithms:
            raise KeyConfigurationError("for an algorithm that is not accepted here")
        return load_jwk(entry, thorough=thorough)
    return _first_that_fits(algorithms, lambda algorithm: load_jwk(entry, algorithm, thorough=thorough))


def _key_from_pem(entry: tuple[str, object], algorithms: tuple[str, ...], *, thorough: bool) -> Key:
    kid, pem = entry
    if not isinstance(pem, str) or not _is_pem(pem):
        raise KeyConfigurationError("not PEM text, as other members of the object are")
    if "PRIVATE KEY-----" in pem:
        raise KeyConfigurationError("a private key, which is private no longer")
    data = pem.encode("utf-8", "replace")
    return _first_that_fits(algorithms or (None,), lambda algorithm: load_pem(data, algorithm, kid, thorough=thorough))


def _is_pem(value: object) -> bool:
    return isinstance(value, str) and "-----BEGIN " in value


def _first_that_fits(algorithms: tuple[str | None, ...], load: Callable[[str | None], Key]) -> Key:
    """Load a key that does not name its algorithm, for the first of `algorithms` that goes with it."""
    for algorithm in algorithms[:-1]:
        with contextlib.suppress(KeyConfigurationError):
            return load(algorithm)
    return load(algorithms[-1])


def _with_known(found: list[Key], before: KeySet | None) -> KeySet:
    """Make a set of the keys, each the same object as before; return the set from before if nothing has changed."""
    known = {(key.kid, key.algorithm): key for key in before or ()}
    pairs = ((known.get((key.kid, key.algorithm), key), key) for key in found)
    keys = [old if is_same_key(old, new) else new for old, new in pairs]
    if before is not None and len(keys) == len(before) and all(key in before for key in keys):
        return before
    return KeySet(keys)


def read_metadata(body: bytes, issuer: str, **plain_http: Any) -> str:
    """Read the `jwks_uri` of a metadata document (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2).

    `plain_http` are the options of `check_address`.
    """
    document = _object(body, "metadata")
    # RFC 8414 section 3.3, code point for code point: or one issuer could speak for another.
    named = document.get("issuer")
    if named != issuer:
        if isinstance(named, str) and named.removesuffix("/") == issuer.removesuffix("/"):
            raise RefusedDocumentError(
                f"the metadata is of another issuer, the one with{'' if named.endswith('/') else 'out'} a slash at the end; "
                "write the issuer as the metadata does"
            )
        shown = repr(named[:_MAX_REASON]) if isinstance(named, str) else "none that is a string"
        raise RefusedDocumentError(f"the metadata is of another issuer: it names {shown}")
    problem = check_address(document.get("jwks_uri"), **plain_http)
    if problem is not None:
        raise RefusedDocumentError(f"the jwks_uri of the metadata {problem}")
    return str(document["jwks_uri"])


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        document = _parsed(body)
    except ValueError:
        raise RefusedDocumentError(f"the {what}: not JSON") from None
    except RecursionError:
        raise RefusedDocumentError(f"the {what}: nested too deeply") from None
    if type(document) is not dict:
        raise RefusedDocumentError(f"the {what} is not a JSON object")
    return document


def _parsed(body: bytes, **options: Any) -> Any:
    # No member that counts is a number, so it does not matter that float is not exact. `int` refuses long ones.
    # Nor does one hold the replacement character: addresses and base64url are ASCII.
    return json.loads(body.decode("utf-8-sig", "replace"), parse_int=float, **options)


def read_max_age(headers: Mapping[str, str]) -> float | None:
    """Read how long a response may be used, in seconds (RFC 9111 sections 4.2.1, 5.2.2); None if it does not say."""
    max_age: float | None = None
    for name, quoted, plain in _DIRECTIVE.findall(headers.get("cache-control", "")[:1024]):
        directive = name.lower()
        if directive in ("no-store", "no-cache"):
            return 0.0
        value = quoted or plain
        if directive == "max-age" and max_age is None:
            # Section 4.2.1: an unreadable value counts as expired; the policy's `min_ttl` then applies.
            max_age = float(value) if _SECONDS.fullmatch(value) else 0.0
    age = headers.get("age", "")
    return max_age if max_age is None or not _SECONDS.fullmatch(age) else max(0.0, max_age - float(age))


def read_retry_after(headers: Mapping[str, str]) -> float:
    """Read how long the server asks not to be called, in seconds (RFC 9110 section 10.2.3); 0.0 if it does not."""
    value = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _seconds_of_date(value)
    # By the server's own clock, if the response says what that shows.
    now = _seconds_of_date(headers.get("date", ""))
    return 0.0 if until is None else max(0.0, until - (time.time() if now is None else now))


def _seconds_of_date(value: str) -> float | None:
    """Read a date of HTTP (RFC 9110 section 5.6.7), in seconds since the epoch; None if it is not one."""
    try:
        return email.utils.parsedate_to_datetime(value[:64]).timestamp()
    except (ValueError, OverflowError):
        return None
