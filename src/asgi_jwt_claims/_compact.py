"""The one spelling of a token: strict compact serialisation, strict base64url, strict JSON. Sans-IO.

RFC 7515 leaves a verifier free to read a token leniently. Deny lists and caches are sound only if it does not: every
byte sequence accepted here is the only spelling of its header, payload and signature. So, in order of cost:

1. length, before anything is looked at;
2. three non-empty parts of base64url characters, without padding or white space (RFC 7515 sections 2 and 7.1);
3. no base64 quantum that a lenient decoder would also read differently (zero trailing bits, RFC 4648 section 3.5);
4. UTF-8 without a byte order mark, then JSON with no repeated name at any level (RFC 7515 section 4, RFC 7519 section
   4), no NaN or Infinity, no number that another parser would read as another number, no lone surrogate, and at most
   `MAX_JSON_DEPTH` levels, counted before the parser could recurse.

Bytes in, Python values out, or one of our errors. Nothing here knows a key, a claim or a clock.
"""

from __future__ import annotations

import binascii
import json
import math
import re
from typing import Any, NamedTuple, NoReturn

from .errors import EncryptedTokenError, MalformedTokenError, TokenTooLargeError

__all__ = [
    "MAX_HEADER_SIZE",
    "MAX_JSON_DEPTH",
    "MAX_SAFE_INTEGER",
    "Compact",
    "b64url_decode",
    "b64url_encode",
    "dump_json",
    "load_object",
    "split_compact",
]

MAX_HEADER_SIZE = 2048
"""Characters of the encoded header."""

MAX_JSON_DEPTH = 16
"""Levels of nesting, the outermost object counted."""

MAX_SAFE_INTEGER = 2**53
"""Integers beyond this are not the same number in every JSON parser (RFC 8259 section 6)."""

_COMPACT = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]*")
_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
_FROM_STANDARD_ALPHABET = bytes.maketrans(b"+/", b"-_")
_JWS_DOTS = 2
_JWE_DOTS = 4

# The last character of an incomplete quantum carries 4 or 2 unused bits; these are the characters where they are zero.
_CANONICAL_LAST = {0: None, 2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
_PADDING = {0: b"", 2: b"==", 3: b"="}

_MAX_INTEGER_DIGITS = len(str(MAX_SAFE_INTEGER)) + 1  # one more for the sign
_MAX_FLOAT_LENGTH = 32
# A string, escapes and all, or a bracket outside of strings. Possessive, and an unterminated string reaches to the end,
# so that no character is looked at twice: the scan is linear whatever the input.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class Compact(NamedTuple):
    """The parts of a compact JWS, still encoded but for the signature."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


def b64url_encode(data: bytes) -> bytes:
    """Base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_FROM_STANDARD_ALPHABET)


def b64url_decode(segment: bytes) -> bytes:
    """Decode the canonical base64url spelling, and no other.

    Raises:
        MalformedTokenError: For a foreign character, padding, an impossible length or non-zero trailing bits.
    """
    if _BASE64URL.fullmatch(segment) is None:
        raise MalformedTokenError(reason="not base64url")
    return _decode_known_alphabet(segment)


def _decode_known_alphabet(segment: bytes) -> bytes:
    remainder = len(segment) % 4
    if remainder not in _PADDING:
        raise MalformedTokenError(reason="impossible base64url length")
    last = _CANONICAL_LAST[remainder]
    if last is not None and segment[-1] not in last:
        raise MalformedTokenError(reason="non-canonical base64url")
    return binascii.a2b_base64(segment.translate(_TO_STANDARD_ALPHABET) + _PADDING[remainder])


def split_compact(raw: str | bytes, max_size: int) -> Compact:
    """Frame a compact JWS (RFC 7515 section 7.1): sizes, number of parts, alphabet, then the signature's bytes.

    Args:
        raw: The token as offered.
        max_size: Longest acceptable token, in characters.

    Raises:
        TokenTooLargeError: Longer than `max_size`, or the header longer than `MAX_HEADER_SIZE`.
        EncryptedTokenError: Five parts (RFC 7516).
        MalformedTokenError: Anything else that is not a compact JWS.
    """
    if not isinstance(raw, str | bytes):
        raise MalformedTokenError(reason="neither str nor bytes")
    if len(raw) > max_size:
        raise TokenTooLargeError(size=len(raw), max_size=max_size)
    if isinstance(raw, str):
        try:
            raw = raw.encode("ascii")
        except UnicodeEncodeError:
            raise MalformedTokenError(reason="not ASCII") from None
    match = _COMPACT.fullmatch(raw)
    if match is None:
        dots = raw.count(b".")
        if dots == _JWE_DOTS:
            raise EncryptedTokenError(reason="five parts")
        reason = "empty part or foreign character" if dots == _JWS_DOTS else "not three parts"
        raise MalformedTokenError(reason=reason)
    header, payload, signature = match.groups()
    if len(header) > MAX_HEADER_SIZE:
        raise TokenTooLargeError(header_size=len(header), max_size=MAX_HEADER_SIZE)
    return Compact(header, payload, _decode_known_alphabet(signature), raw[: match.end(2)])


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedTokenError(reason=f"JSON constant {name}")


def _parse_int(digits: str) -> int:
    # The length first: int() of a long string is quadratic, and refuses very long ones with a ValueError of its own.
    if len(digits) > _MAX_INTEGER_DIGITS or abs(value := int(digits)) > MAX_SAFE_INTEGER:
        raise MalformedTokenError(reason="integer out of range")
    return value


def _parse_float(digits: str) -> float:
    if len(digits) > _MAX_FLOAT_LENGTH or not math.isfinite(value := float(digits)):
        raise MalformedTokenError(reason="number out of range")
    return value


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedTokenError(reason="repeated member name")
    return members


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object_without_repeats,
    parse_constant=_refuse_constant,
    parse_int=_parse_int,
    parse_float=_parse_float,
)


def _too_deep(text: str) -> bool:
    if text.count("{") + text.count("[") <= MAX_JSON_DEPTH:
        return False  # the common case: not enough brackets in the whole text
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        character = match.group()
        if character in "[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                return True
        elif character in "]}":
            depth -= 1
    return False


def has_lone_surrogate(text: str) -> bool:
    """Whether `text` holds half of a surrogate pair, which no UTF-8 text can carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def load_json(data: bytes) -> Any:
    """Parse strict JSON.

    Raises:
        MalformedTokenError: For anything that the top of this module refuses.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedTokenError(reason="not UTF-8") from None
    if _too_deep(text):
        raise MalformedTokenError(reason="nested too deeply")
    try:
        value = _DECODER.decode(text)
    except ValueError:
        # A byte order mark ends here too: it is no JSON white space.
        raise MalformedTokenError(reason="not JSON") from None
    # Only an escape can smuggle half of a surrogate pair into UTF-8 text.
    if "\\u" in text and has_lone_surrogate(json.dumps(value, ensure_ascii=False)):
        raise MalformedTokenError(reason="lone surrogate")
    return value


def load_object(segment: bytes) -> dict[str, Any]:
    """Decode a header or payload segment whose alphabet `split_compact` has checked.

    Raises:
        MalformedTokenError: Not the one spelling of a JSON object.
    """
    value = load_json(_decode_known_alphabet(segment))
    if not isinstance(value, dict):
        raise MalformedTokenError(reason="not a JSON object")
    return value


def dump_json(value: dict[str, Any]) -> bytes:
    """Serialise a JSON object that has been checked, compactly and as UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
