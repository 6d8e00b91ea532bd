"""Parse and write strict JSON (RFC 8259), the second half of the strict spelling of a token. See `compact`."""

from __future__ import annotations

import json
import math
from json.scanner import make_scanner
from typing import Any, NoReturn, cast

from asgi_jwt_claims.errors import MalformedTokenError

__all__ = ["MAX_HEADER_COMMAS", "MAX_JSON_DEPTH", "MAX_SAFE_INTEGER", "copy_json", "dump_json", "load_json"]

MAX_HEADER_COMMAS = 128
"""Commas in a header, that is, about so many members and elements; parsing more takes longer than all other checks."""

MAX_JSON_DEPTH = 16
"""Levels of nesting, the outermost object counted."""

MAX_SAFE_INTEGER = 2**53
"""Integers beyond this are not the same number in every JSON parser (RFC 8259 section 6)."""

_MAX_INTEGER_DIGITS = len(str(MAX_SAFE_INTEGER)) + 1  # one more for the sign
_MAX_FLOAT_LENGTH = 32
_WHITE_SPACE = " \t\n\r"  # RFC 8259 section 2
_DIGITS_AND_BRACKETS = bytes.maketrans(b"123456789{", b"000000000[")
_RUN_OF_DIGITS = b"0" * len(str(MAX_SAFE_INTEGER))
_ONE_KIND_OF_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS_OR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))


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


_STRICT: dict[str, Any] = {
    "object_pairs_hook": _object_without_repeats,
    "parse_constant": _refuse_constant,
    "parse_float": _parse_float,
}
# What `raw_decode` of a decoder calls, less its frame for every token: `(text, start) -> (value, end)`.
_SCAN = make_scanner(cast("Any", json.JSONDecoder(**_STRICT)))
_SCAN_LARGE_INTEGERS = make_scanner(cast("Any", json.JSONDecoder(**_STRICT, parse_int=_parse_int)))
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False)


def _too_deep(data: bytes) -> bool:
    # No step of Python for each string or bracket: a token of many small objects costs about what its length costs.
    # Backslashes in pairs first: the last one of a run escapes the next character if it is alone.
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets_and_quotes = bare.translate(_ONE_KIND_OF_BRACKETS, _NO_BRACKETS_OR_QUOTES)
    # A string without brackets is two quotes now. Of what is left, every second piece between quotes is in a string.
    brackets = b"".join(brackets_and_quotes.replace(b'""', b"").split(b'"')[::2])
    # Each round takes away the innermost level. Brackets that do not go in pairs stay, and make no JSON.
    for _ in range(MAX_JSON_DEPTH):
        outer = brackets.replace(b"[]", b"")
        if len(outer) == len(brackets):
            break
        brackets = outer
    return bool(brackets)


def has_lone_surrogate(text: str) -> bool:
    """Whether `text` holds half of a surrogate pair, which no UTF-8 text can carry."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def load_json(data: bytes) -> tuple[str, Any]:
    """Parse strict JSON, and return the text and its value.

    Raises:
        MalformedTokenError: The JSON breaks one of the rules at the top of `compact`.
    """
    try:
        text = data.decode().strip(_WHITE_SPACE)
    except UnicodeDecodeError:
        raise MalformedTokenError(reason="not UTF-8") from None
    # Rare things are searched for in the whole text at once, and examined only where they may be.
    digits_and_brackets = data.translate(_DIGITS_AND_BRACKETS)
    if digits_and_brackets.count(b"[") > MAX_JSON_DEPTH and _too_deep(data):
        raise MalformedTokenError(reason="nested too deeply")
    scan = _SCAN_LARGE_INTEGERS if digits_and_brackets.find(_RUN_OF_DIGITS) >= 0 else _SCAN
    try:
        value, end = scan(text, 0)
    except (ValueError, StopIteration):
        # A byte order mark ends here too: it is not JSON white space.
        raise MalformedTokenError(reason="not JSON") from None
    if end != len(text):
        raise MalformedTokenError(reason="not JSON")
    # Only an escape can smuggle half of a surrogate pair into UTF-8 text: \ud800 to \udfff.
    if ("\\ud" in text or "\\uD" in text) and has_lone_surrogate(json.dumps(value, ensure_ascii=False)):
        raise MalformedTokenError(reason="lone surrogate")
    return text, value


def dump_json(value: dict[str, Any]) -> bytes:
    """Serialise a JSON object that has been checked, compactly and as UTF-8."""
    return _ENCODER.encode(value).encode()


def copy_json(value: Any) -> Any:
    """Copy a JSON value deeply; several times quicker than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {name: copy_json(member) for name, member in value.items()}
    if isinstance(value, list):
        return [copy_json(member) for member in value]
    return value
