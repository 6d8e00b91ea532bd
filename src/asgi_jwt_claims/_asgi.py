"""Name the types and scope keys of ASGI that all modules share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

__all__ = ["REQUEST_SCOPES", "SCOPE_KEY", "ASGIApp", "Message", "Receive", "Scope", "Send"]

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]
"""An application of any framework, called with scope, receive and send.

The arguments are Any, since Starlette, asgiref, Litestar and Quart each define their own types for them, and none of
these is a subtype of another.
"""

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

SCOPE_KEY = "asgi_jwt_claims"
"""The scope key of the result of authentication, beside `scope["token"]`."""

REQUEST_SCOPES: Final = ("http", "websocket")
"""The types of scope that the middleware authenticates."""
