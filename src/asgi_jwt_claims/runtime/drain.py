"""Read the rest of a refused request's body, so that the client can read the response.

Some servers close the connection after a response to a request whose body has not been read. A client that is still
sending then sees a reset instead of the response (RFC 9112 section 9.6).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio

__all__ = ["drain_body"]

_LONGEST: Final = 1.0  # seconds
_LEAST: Final = 64  # bytes that each message counts for, so that empty ones come to an end as well


async def drain_body(scope: Mapping[str, Any], receive: Callable[[], Awaitable[Mapping[str, Any]]], limit: int) -> None:
    """Read and drop at most `limit` bytes of a request's body, for at most one second."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # RFC 9110 section 10.1.1: the client sends its body only if it is asked to
    read = 0
    with anyio.move_on_after(_LONGEST):
        while read < limit:
            message = await receive()
            if not message.get("more_body", False):
                return
            read += max(len(message.get("body", b"")), _LEAST)
