"""What an ASGI application is to type checkers, whichever library its own types are from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

__all__ = ["ASGIApp"]

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]
"""An application of any framework: called with scope, receive and send, it returns an awaitable.

The arguments are Any, since Starlette, asgiref, Litestar and Quart each have types of their own for them, none of which
is a subtype of another's.
"""
