"""The steps of `_compact` as one would take them alone: frame a token, parse a JSON text, read a segment."""

from __future__ import annotations

from typing import Any, NamedTuple

from asgi_jwt_claims import _compact

__all__ = ["Framed", "load_json", "load_segment", "split_compact"]


class Framed(NamedTuple):
    """A token in its parts."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


def split_compact(raw: Any, max_size: int) -> Framed:
    """The parts of a token of at most `max_size` characters: the header still encoded, payload and signature not."""
    return Framed(*_compact.split_compact(_compact.as_ascii(raw, max_size)))


def load_json(data: bytes) -> Any:
    """The value of a JSON text."""
    return _compact.load_json(data)[1]


def load_segment(segment: bytes) -> Any:
    """The JSON value that an encoded segment holds."""
    return _compact.load_json(_compact.b64url_decode(segment))[1]
