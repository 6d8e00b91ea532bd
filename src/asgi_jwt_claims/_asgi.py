"""The types of ASGI, wide enough for applications that are typed by other libraries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

__all__ = ["ASGIApp"]

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]
"""An application of any framework: called with scope, receive and send, it returns an awaitable.

The arguments are Any, since Starlette, asgiref, Litestar and Quart each have types of their own for them, none of which
is a subtype of another's.
"""
