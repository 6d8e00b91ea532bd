"""Call the steps of `jose` separately: frame a token, parse a JSON text, read a segment."""

from __future__ import annotations

from typing import Any, NamedTuple

from asgi_jwt_claims.jose import compact, strict_json

__all__ = ["Framed", "load_json", "load_segment", "split_compact"]


class Framed(NamedTuple):
    """A token in its parts."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


def split_compact(raw: Any, max_size: int) -> Framed:
    """Split a token of at most `max_size` characters; the header stays encoded, payload and signature are decoded."""
    return Framed(*compact.split_compact(compact.as_ascii(raw, max_size)))


def load_json(data: bytes) -> Any:
    """Parse a JSON text."""
    return strict_json.load_json(data)[1]


def load_segment(segment: bytes) -> Any:
    """Parse the JSON text of an encoded segment."""
    return strict_json.load_json(compact.b64url_decode(segment))[1]
