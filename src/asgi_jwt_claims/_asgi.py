"""The types of ASGI, wide enough for applications that are typed by other libraries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

__all__ = ["REQUEST_SCOPES", "SCOPE_KEY", "ASGIApp", "Message", "Receive", "Scope", "Send"]

ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[Any]]
"""An application of any framework: called with scope, receive and send, it returns an awaitable.

The arguments are Any, since Starlette, asgiref, Litestar and Quart each have types of their own for them, none of which
is a subtype of another's.
"""


Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


SCOPE_KEY = "asgi_jwt_claims"
"""The ASGI scope key under which the outcome of the request (token, absence or error) stands beside `scope["token"]`."""


REQUEST_SCOPES: Final = ("http", "websocket")
"""The types of scope that carry requests."""
