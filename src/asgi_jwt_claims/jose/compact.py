"""Split and decode a token strictly: compact serialisation and base64url here, JSON in `strict_json`.

RFC 7515 lets a verifier read a token leniently. These modules do not: every byte sequence they accept is the only
spelling of its header, its payload and the bytes of its signature. In order of cost, they check:

1. length, before anything is looked at;
2. three non-empty parts of base64url characters, without padding or white space (RFC 7515 sections 2 and 7.1);
3. no base64 quantum that a lenient decoder would also read differently (zero trailing bits, RFC 4648 section 3.5);
4. UTF-8 without a byte order mark, then JSON with no repeated name at any level (RFC 7515 section 4, RFC 7519 section
   4), no NaN or Infinity, no number that another parser would read as another number, no lone surrogate, and at most
   `MAX_JSON_DEPTH` levels, counted before the parser could recurse.

Still a token must never be denied by its bytes, only by its claims: an ECDSA signature (r, s) can be turned into
(r, n - s) without the key, and the key accepts both (FIPS 186-5 section 6.4.2 forbids neither).
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import TypeAlias

from asgi_jwt_claims.errors import EncryptedTokenError, MalformedTokenError, TokenTooLargeError

__all__ = [
    "DEFAULT_MAX_TOKEN_SIZE",
    "MAX_HEADER_SIZE",
    "Framed",
    "as_ascii",
    "b64url_decode",
    "b64url_encode",
    "split_compact",
]

DEFAULT_MAX_TOKEN_SIZE = 8192
"""Characters of a token, unless configured otherwise."""

MAX_HEADER_SIZE = 2048
"""Characters of the encoded header."""

# Decoding goes by way of the standard alphabet; what belongs to it alone, and padding, becomes a character of neither.
_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_+/=", b"+/!!!")
_JWS_PARTS = 3
_JWE_PARTS = 5

# By the length modulo 4: the characters that may stand last (None for any), and the padding that the decoder wants. An
# incomplete quantum leaves 4 or 2 bits of its last character unused; these are the characters where they are zero.
_ENDINGS = ((None, b""), (b"", b""), (b"AQgw", b"=="), (b"AEIMQUYcgkosw048", b"="))


def b64url_encode(data: bytes) -> bytes:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return b2a_base64(data, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")


def b64url_decode(segment: bytes) -> bytes:
    """Decode the canonical base64url spelling, and no other.

    Raises:
        MalformedTokenError: It has a foreign character, padding, an impossible length or non-zero trailing bits.
    """
    last, padding = _ENDINGS[len(segment) % 4]
    if last is not None and segment[-1] not in last:
        reason = "non-canonical base64url" if last else "impossible base64url length"
        raise MalformedTokenError(reason=_reason(reason, segment))
    try:
        return a2b_base64(segment.translate(_TO_STANDARD_ALPHABET) + padding, strict_mode=True)
    except Base64Error:
        raise MalformedTokenError(reason=_reason("not base64url", segment)) from None


def _reason(reason: str, text: bytes) -> str:
    """Return `reason`, or in its place the advice that the white space in `text` needs."""
    has_white_space = bool(text) and text.split() != [text]
    return "white space; leave the scheme (Bearer) and line ends away" if has_white_space else reason


def as_ascii(raw: str | bytes, max_size: int) -> bytes:
    """Return a token as bytes.

    Raises:
        TokenTooLargeError: It is longer than `max_size` characters.
        MalformedTokenError: It is not ASCII, or neither str nor bytes.
    """
    if isinstance(raw, bytes) and len(raw) <= max_size:
        return raw
    if not isinstance(raw, bytes | str):
        raise MalformedTokenError(reason="neither str nor bytes")
    if isinstance(raw, bytes) or len(raw) > max_size:
        raise TokenTooLargeError(size=len(raw), max_size=max_size)
    try:
        return raw.encode("ascii")
    except UnicodeEncodeError:
        raise MalformedTokenError(reason="not ASCII") from None


Framed: TypeAlias = tuple[bytes, bytes, bytes, bytes]
"""The header, still encoded; the payload; the signature; what was signed."""


def split_compact(raw: bytes) -> Framed:
    """Split a compact JWS (RFC 7515 section 7.1), and decode all but its header, which may be in a cache.

    Raises:
        TokenTooLargeError: The header is longer than `MAX_HEADER_SIZE`.
        EncryptedTokenError: It has five parts (RFC 7516).
        MalformedTokenError: It is not a compact JWS.
    """
    parts = raw.split(b".", _JWE_PARTS)
    if len(parts) != _JWS_PARTS:
        if len(parts) == _JWE_PARTS:
            raise EncryptedTokenError(reason="five parts")
        raise MalformedTokenError(reason=_reason("not three parts", raw))
    header, payload, signature = parts
    if not (header and payload and signature):
        raise MalformedTokenError(reason="empty part")
    if len(header) > MAX_HEADER_SIZE:
        raise TokenTooLargeError(header_size=len(header), max_size=MAX_HEADER_SIZE)
    return header, b64url_decode(payload), b64url_decode(signature), raw[: -len(signature) - 1]
