"""The guards of 0.4.4, which pass the token to the handler as `token`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from inspect import isawaitable
from typing import Any, TypeAlias

from sanic import Request

from asgi_jwt_claims.auth.guard import check_token_argument
from asgi_jwt_claims.auth.options import OPTIONAL_TOKEN, Guard
from asgi_jwt_claims.auth.routes import note_guarded
from asgi_jwt_claims.sanic._guard import WEBSOCKETS, close_websocket
from asgi_jwt_claims.sanic._routes import RouteGuard, mark

from .exceptions import ConfigurationConflictError, RequestRefused
from .manager import admit
from .tokens import Token

__all__ = ["fresh_jwt_required", "jwt_optional", "jwt_refresh_token_required", "jwt_required"]

Handler: TypeAlias = Callable[..., Any]
Roles: TypeAlias = str | Iterable[str] | None


def _guard(handler: Handler, guard: Guard) -> Handler:
    @functools.wraps(handler)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        request = next(argument for argument in args if isinstance(argument, Request))
        check_token_argument(kwargs, Token)
        try:
            kwargs["token"] = Token(admit(request, guard))
        except RequestRefused as refused:
            if not any(isinstance(argument, WEBSOCKETS) for argument in args):
                raise
            # The handshake is over, because a decorator without functools.wraps has hidden this guard.
            await close_websocket(request, args, refused.error.status)
            return None
        result = handler(*args, **kwargs)
        return await result if isawaitable(result) else result

    async def ask(request: Request[Any, Any]) -> None:
        admit(request, guard)

    note_guarded(handler)
    mark(guarded, RouteGuard(guard, ask))
    return guarded


def _role_guard(function: Handler | None, allow: Roles, deny: Roles, *, fresh: bool) -> Any:
    if allow is not None and deny is not None:
        raise ConfigurationConflictError("allow and deny cannot be given together")
    guard = Guard(fresh=fresh, allow=allow, deny=deny)
    return functools.partial(_guard, guard=guard) if function is None else _guard(function, guard)


def jwt_required(function: Handler | None = None, allow: Roles = None, deny: Roles = None) -> Any:
    """Guard a handler by an access token; bare, or called with roles.

    Args:
        function: The handler, if the decorator is used bare.
        allow: Roles of which the token must have one. A str is one role; an empty list refuses every token.
        deny: Roles of which the token must have none. With `allow` or `deny`, a token without a role is refused.
    """
    return _role_guard(function, allow, deny, fresh=False)


def fresh_jwt_required(function: Handler | None = None, allow: Roles = None, deny: Roles = None) -> Any:
    """Guard a handler as `jwt_required` does, by a token that comes from a recent login."""
    return _role_guard(function, allow, deny, fresh=True)


def jwt_optional(fn: Handler) -> Handler:
    """Let in a request without a token, with an empty `Token`; refuse a bad token or a bad header."""
    return _guard(fn, OPTIONAL_TOKEN)


def jwt_refresh_token_required(fn: Handler) -> Handler:
    """Guard a handler by a refresh token."""
    return _guard(fn, Guard(type="refresh"))
