"""Read one field of an urlencoded form or query.

A form is read before the application reads it. The application then receives the same messages again.
"""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from .csrf import CSRF_TOKEN_KEY

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Message, Receive

__all__ = ["MAX_FORM", "field_values", "peek_form_field"]

MAX_FORM: Final = 64 * 1024
"""Bytes of a form that are read ahead. The field of a longer form counts as absent."""

_MAX_FIELDS = 1000
_MAX_ESCAPES = 256  # in the values that are decoded
_MAX_VALUE = 1024  # bytes of the field; a CSRF value is shorter
_MAX_MESSAGES = 1024  # each of them is kept, even an empty one


def field_values(encoded: bytes, name: bytes, max_fields: int, max_size: int) -> list[bytes]:
    """Return the values of one field in an urlencoded form or query.

    A value of more than `max_size` bytes is cut, but stays longer than this.

    Raises:
        ValueError: There are more than `max_fields` fields, or the values have more escapes than a client writes.
    """
    if encoded.count(b"&") >= max_fields:
        raise ValueError("too many fields")
    # Decoding takes longer than everything else, so only the values of this field are decoded.
    values = [match[1] or b"" for match in _field(name).finditer(b"&" + encoded)]
    if sum(value.count(b"%") for value in values) > _MAX_ESCAPES:
        raise ValueError("too many escapes")
    # An escaped byte takes three.
    return [unquote_to_bytes(value[: 3 * (max_size + 1)].replace(b"+", b" ")) for value in values]


@lru_cache(maxsize=16)
def _field(name: bytes) -> re.Pattern[bytes]:
    """Return a pattern that finds a field, with each character of its name plain or escaped."""
    spellings = []
    for byte in name:
        escape = b"%" + b"".join(
            b"[%c%c]" % (digit, digit ^ 32) if digit > ord("9") else b"%c" % digit for digit in b"%02x" % byte
        )
        plain = b"[+]" if byte == ord(" ") else re.escape(b"%c" % byte)
        spellings.append(escape if byte in b"&=%+" else b"(?:%s|%s)" % (plain, escape))
    return re.compile(b"&" + b"".join(spellings) + rb"(?:=([^&]*))?(?=&|\Z)", re.DOTALL)


async def peek_form_field(scope: MutableMapping[str, Any], receive: Receive, name: str) -> Receive:
    """Read a form ahead, and put the value of the field `name` into the scope under `CSRF_TOKEN_KEY`.

    Returns:
        A `receive` for the application, which gets the same messages again.
    """
    received: deque[Message] = deque()
    body = bytearray()
    more = True
    while more and len(body) <= MAX_FORM and len(received) < _MAX_MESSAGES:
        message = await receive()
        received.append(message)
        body += message.get("body", b"")
        more = message.get("more_body", False)
    # The client may have left before the form was complete.
    is_whole = received[-1]["type"] == "http.request" and not more and len(body) <= MAX_FORM
    values: list[bytes] = []
    with contextlib.suppress(ValueError):
        values = field_values(bytes(body), name.encode(), _MAX_FIELDS, _MAX_VALUE) if is_whole else []
    scope[CSRF_TOKEN_KEY] = values[0] if len(values) == 1 else None

    async def receive_again() -> Message:
        return received.popleft() if received else await receive()

    return receive_again
