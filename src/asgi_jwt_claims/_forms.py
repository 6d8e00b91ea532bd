"""The one field of a form that is read before the application reads it: the CSRF value.

What has been received is received again by the application, in the same pieces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

__all__ = ["CSRF_KEY", "MAX_FORM", "field_of", "read_field"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]

CSRF_KEY: Final = "asgi_jwt_claims.csrf"
"""The scope key under which stands what a form said in its CSRF field; bytes, or None."""

MAX_FORM: Final = 64 * 1024
"""Bytes of a form that are read ahead, and not one more: the field of a longer form counts as absent."""

_MAX_FIELDS = 1000


def field_of(body: bytes, name: str) -> bytes | None:
    """What an urlencoded form says in one field; None: nothing, or more than one thing."""
    if len(body) > MAX_FORM:
        return None
    try:
        fields = parse_qsl(body, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return None
    values = [value for field, value in fields if field == name.encode()]
    return values[0] if len(values) == 1 else None


async def read_field(scope: MutableMapping[str, Any], receive: Receive, name: str) -> Receive:
    """Read a form ahead, and put what it says in one field into the scope.

    Args:
        scope: Of the request, in which `CSRF_KEY` is set.
        receive: The server's.
        name: The field.

    Returns:
        What the application receives by: the same again.
    """
    received: deque[Message] = deque()
    body = bytearray()
    is_complete = False
    while not is_complete and len(body) <= MAX_FORM:
        message = await receive()
        received.append(message)
        body += message.get("body", b"")
        is_complete = not message.get("more_body", False)
    scope[CSRF_KEY] = field_of(bytes(body), name) if is_complete else None

    async def receive_again() -> Message:
        return received.popleft() if received else await receive()

    return receive_again
