"""What is read of forms and queries: the one field that says something, and of a form before the application reads it.

What has been received is received again by the application, in the same pieces.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from .csrf import CSRF_TOKEN_KEY

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Message, Receive

__all__ = ["MAX_FORM", "peek_form_field", "values_of"]

MAX_FORM: Final = 64 * 1024
"""Bytes of a form that are read ahead, and not one more: the field of a longer form counts as absent."""

_MAX_FIELDS = 1000
_MAX_ESCAPES = 256  # in what is decoded
_MAX_VALUE = 1024  # bytes of the one field; a CSRF value is shorter
_NINE: Final = ord("9")
_MAX_PIECES = 1024  # each of them is kept, however small


def values_of(encoded: bytes, name: bytes, max_fields: int, max_size: int) -> list[bytes]:
    """What an urlencoded form or query says in one field, as bytes.

    Args:
        encoded: The form or query.
        name: The field.
        max_fields: How many fields it may have in all.
        max_size: Longest value that is of use, in bytes; a longer one is cut, and is longer than that all the same.

    Raises:
        ValueError: It has more fields than that, or more escapes than a client writes into this one.
    """
    if encoded.count(b"&") >= max_fields:
        raise ValueError("too many fields")
    # Decoding takes longer than all the rest, so nothing is decoded but the values of that very name.
    values = [match[1] or b"" for match in _field(name).finditer(b"&" + encoded)]
    if sum(value.count(b"%") for value in values) > _MAX_ESCAPES:
        raise ValueError("too many escapes")
    return [_decoded(value[: 3 * (max_size + 1)]) for value in values]  # three bytes for an escaped one


@lru_cache(maxsize=16)
def _field(name: bytes) -> re.Pattern[bytes]:
    """Finds a field, each character of its name spelled plainly or as an escape."""
    spellings = []
    for byte in name:
        escape = b"%" + b"".join(
            b"[%c%c]" % (digit, digit ^ 32) if digit > _NINE else b"%c" % digit for digit in b"%02x" % byte
        )
        plain = b"[+]" if byte == ord(" ") else re.escape(b"%c" % byte)
        spellings.append(escape if byte in b"&=%+" else b"(?:%s|%s)" % (plain, escape))
    return re.compile(b"&" + b"".join(spellings) + rb"(?:=([^&]*))?(?=&|\Z)", re.DOTALL)


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _only_value(body: bytes, name: str) -> bytes | None:
    """What a form says in one field; None: nothing, or more than one thing."""
    try:
        values = values_of(body, name.encode(), _MAX_FIELDS, _MAX_VALUE)
    except ValueError:
        return None
    return values[0] if len(values) == 1 else None


async def peek_form_field(scope: MutableMapping[str, Any], receive: Receive, name: str) -> Receive:
    """Read a form ahead, and put what it says in one field into the scope.

    Args:
        scope: Of the request, in which `CSRF_TOKEN_KEY` is set.
        receive: The server's.
        name: The field.

    Returns:
        What the application receives by: the same again.
    """
    received: deque[Message] = deque()
    body = bytearray()
    more = True
    while more and len(body) <= MAX_FORM and len(received) < _MAX_PIECES:
        message = await receive()
        received.append(message)
        body += message.get("body", b"")
        more = message.get("more_body", False)
    # The client may have gone in the middle of it.
    is_whole = received[-1]["type"] == "http.request" and not more and len(body) <= MAX_FORM
    scope[CSRF_TOKEN_KEY] = _only_value(bytes(body), name) if is_whole else None

    async def receive_again() -> Message:
        return received.popleft() if received else await receive()

    return receive_again
