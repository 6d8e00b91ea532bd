"""What is known of the routes of a Sanic application: which guards stand at them, and which mistakes were made.

A guard says of itself, in an attribute of the handler that it makes, by which rules it goes. So a websocket's guard can
be asked before the handshake, and a guard that guards nothing can be found when the application starts.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from asgi_jwt_claims.auth.guard import takes_token
from asgi_jwt_claims.auth.routes import without_guard
from asgi_jwt_claims.errors import SettingError, TokenError
from asgi_jwt_claims.runtime.log import logger

from ._connections import is_websocket

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sanic import Request, Sanic

    from asgi_jwt_claims.auth.options import Guard

__all__ = ["RouteGuard", "ask_guards", "check_routes", "endpoints_of", "guard_head", "guards_of", "mark"]

_GUARDS = "__jwt_guards__"


class RouteGuard(NamedTuple):
    """One guard of a handler."""

    guard: Guard
    ask: Callable[[Request], Awaitable[None]]
    """Raises what the guard refuses the request with."""


def mark(guarded: Callable[..., Any], guard: RouteGuard) -> None:
    """Let a guarded handler say so; what `functools.wraps` makes of it says so too."""
    setattr(guarded, _GUARDS, (guard, *guards_of(guarded)))


def guards_of(handler: Any) -> tuple[RouteGuard, ...]:
    """The guards of a handler, the outermost first."""
    guards: tuple[RouteGuard, ...] = getattr(handler, _GUARDS, ())
    return guards


async def ask_guards(request: Request) -> None:
    """Ask the guards of a websocket route: once its handler runs the handshake is over, and 401 cannot be said.

    Raises:
        Exception: What the first guard that refuses raises.
    """
    if is_websocket(request):
        for guard in guards_of(_own_handler(request.route)):
            await guard.ask(request)


def _own_handler(route: Any) -> Any:
    """The handler of a route, without what Sanic puts around that of a websocket."""
    handler = route.handler
    return handler.args[0] if isinstance(handler, functools.partial) and route.extra.websocket else handler


def endpoints_of(route: Any) -> Iterator[tuple[Any, tuple[RouteGuard, ...]]]:
    """What a route calls: its handler or, of a class-based view, the methods; each with its guards."""
    handler = _own_handler(route)
    view = getattr(handler, "view_class", None)
    if view is None:
        yield handler, guards_of(handler)
        return
    for name in sorted(method.lower() for method in route.methods):
        method = getattr(view, name, None)
        if method is not None:
            yield method, (*guards_of(handler), *guards_of(method))


def check_routes(app: Sanic[Any, Any]) -> None:
    """Find guards that guard nothing.

    Raises:
        SettingError: A handler runs without the guard that was put around it, or its guard has no argument to pass the
            token in; or a route has been added to a blueprint too late for the guard of that.
    """
    functions = [(route, _functions_of(route)) for route in app.router.routes]
    unguarded = {*map(id, without_guard([one for _, called in functions for one in called]))}
    for route, called in functions:
        if not unguarded.isdisjoint(map(id, called)):
            raise SettingError(
                f"the handler of {route.name} ({route.path or '/'}) runs without its jwt_required: write jwt_required "
                "below the decorator that adds the route, next to the handler; a route that shall be open needs a handler "
                "of its own"
            )
        if any(parameter.name == "token" for parameter in route.params.values()) and any(
            guards and takes_token(handler) for handler, guards in endpoints_of(route)
        ):
            raise SettingError(
                f"the route {route.name} ({route.path}) has a parameter called token, as is the argument in which "
                "jwt_required passes the token: rename the parameter of the route"
            )
        handler = _own_handler(route)
        if route.extra.websocket and not guards_of(handler) and _hides_guard(handler):
            logger().warning(
                "the guard of the websocket %s is asked only after the handshake, since it stands below a decorator "
                "that does not use functools.wraps",
                route.name,
            )


def guard_head(app: Sanic[Any, Any]) -> None:
    """Let HEAD pass the guards that GET has to pass.

    sanic-ext answers HEAD by the handler of GET, on a route that it adds to the application. The middleware of the
    handler's blueprint, and so its guard, does not run there; nor does what answers the refusals of the handler.
    """
    answers = app.error_handler.cached_handlers
    for route in app.router.routes:
        handler = getattr(route.handler, "__route_handler__", None)
        for other in () if handler is None else app.router.routes:
            is_same_place = (other.path, other.requirements) == (route.path, route.requirements)
            if other.handler is handler and is_same_place and other.name in app.named_request_middleware:
                app.named_request_middleware[route.name] = app.named_request_middleware[other.name]
                answers[TokenError, route.name] = answers.get((TokenError, other.name))
    app.finalize_middleware()


def _functions_of(route: Any) -> list[Any]:
    """All that Sanic calls for a request to a route."""
    handlers = [handler for handler, _ in endpoints_of(route)]
    return [_own_handler(route), *handlers, *(one.func for one in route.extra.request_middleware)]


def _hides_guard(handler: Any) -> bool:
    """Whether there is a guard among the functions that a handler has been made of."""
    waiting, seen = [handler], set()
    while waiting:
        function = waiting.pop()
        if guards_of(function):
            return True
        seen.add(function)
        for cell in function.__closure__ or () if inspect.isfunction(function) else ():
            with contextlib.suppress(ValueError):  # it is empty
                if inspect.isfunction(cell.cell_contents) and cell.cell_contents not in seen:
                    waiting.append(cell.cell_contents)
    return False
