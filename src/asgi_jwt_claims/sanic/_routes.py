"""Find the guards of the routes of a Sanic application, and the mistakes made with them.

A guard says by which rules it goes in an attribute of the handler that it makes. So a websocket's guard can be asked before
the handshake, and a guard that guards nothing can be found when the application starts.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from asgi_jwt_claims.auth.guard import takes_token
from asgi_jwt_claims.auth.routes import without_guard
from asgi_jwt_claims.errors import ForbiddenError, MissingTokenError, SettingError, TokenError
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.sources.cookie import Cookie
from asgi_jwt_claims.sources.header import BearerHeader

from ._scope import is_websocket

if TYPE_CHECKING:
    from sanic import Request, Sanic

    from asgi_jwt_claims.auth.options import Guard
    from asgi_jwt_claims.sources._credentials import Source

__all__ = ["RouteGuard", "ask_guards", "check_routes", "document", "guard_head", "mark"]

_GUARDS = "__jwt_guards__"
_REFUSAL = {"application/json": {"error": str, "error_description": str}}


class RouteGuard(NamedTuple):
    """One guard of a handler; `ask` raises what it refuses a request with."""

    guard: Guard
    ask: Callable[[Request], Awaitable[None]]


def mark(guarded: Callable[..., Any], guard: RouteGuard) -> None:
    """Let a guarded handler say so; what `functools.wraps` makes of it says so too."""
    setattr(guarded, _GUARDS, (guard, *_guards_of(guarded)))


def _guards_of(handler: Any) -> tuple[RouteGuard, ...]:
    """The guards of a handler, the outermost first."""
    guards: tuple[RouteGuard, ...] = getattr(handler, _GUARDS, ())
    return guards


async def ask_guards(request: Request) -> None:
    """Ask the guards of a websocket route: once its handler runs the handshake is over, and 401 cannot be said."""
    if is_websocket(request):
        for guard in _guards_of(_own_handler(request.route)):
            await guard.ask(request)


def _own_handler(route: Any) -> Any:
    """The handler of a route, without what Sanic puts around that of a websocket."""
    handler = route.handler
    return handler.args[0] if isinstance(handler, functools.partial) and route.extra.websocket else handler


def _endpoints_of(route: Any) -> Iterator[tuple[Any, tuple[RouteGuard, ...]]]:
    """What a route calls: its handler or, of a class-based view, the methods; each with its guards."""
    handler = _own_handler(route)
    view = getattr(handler, "view_class", None)
    if view is None:
        yield handler, _guards_of(handler)
        return
    for name in sorted(method.lower() for method in route.methods):
        method = getattr(view, name, None)
        if method is not None:
            yield method, (*_guards_of(handler), *_guards_of(method))


def check_routes(app: Sanic[Any, Any]) -> None:
    """Raise SettingError if a handler runs without the guard put around it, or its guard cannot pass the token."""
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
            guards and takes_token(handler) for handler, guards in _endpoints_of(route)
        ):
            raise SettingError(
                f"the route {route.name} ({route.path}) has a parameter called token, as is the argument in which "
                "jwt_required passes the token: rename the parameter of the route"
            )
        handler = _own_handler(route)
        if route.extra.websocket and not _guards_of(handler) and _hides_guard(handler):
            logger().warning(
                "the guard of the websocket %s is asked only after the handshake, since it stands below a decorator "
                "that does not use functools.wraps",
                route.name,
            )


def guard_head(app: Sanic[Any, Any]) -> None:
    """Let HEAD pass the guards that GET has to pass.

    sanic-ext answers HEAD by the handler of GET, on a route that it adds to the application. The middleware of the handler's
    blueprint, and so its guard, does not run there; nor does what answers the refusals of the handler.
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
    handlers = [handler for handler, _ in _endpoints_of(route)]
    return [_own_handler(route), *handlers, *(one.func for one in route.extra.request_middleware)]


def _hides_guard(handler: Any) -> bool:
    """Whether there is a guard among the functions that a handler has been made of."""
    waiting, seen = [handler], set()
    while waiting:
        function = waiting.pop()
        if _guards_of(function):
            return True
        seen.add(function)
        for cell in function.__closure__ or () if inspect.isfunction(function) else ():
            with contextlib.suppress(ValueError):  # it is empty
                if inspect.isfunction(cell.cell_contents) and cell.cell_contents not in seen:
                    waiting.append(cell.cell_contents)
    return False


# The OpenAPI document of sanic-ext --------------------------------------------------------------------------------------


def document(app: Sanic[Any, Any], specification: Any, sources_of: Callable[[Any], Iterable[Source]]) -> None:
    """Mark guarded handlers in the OpenAPI `specification` of sanic-ext.

    `sources_of` tells where the guard of the application or of a blueprint looks for tokens, given a route.
    """
    from sanic_ext.extensions.openapi.builders import OperationStore  # noqa: PLC0415 -- sanic-ext may not be installed

    operations: Any = OperationStore()  # type: ignore[no-untyped-call]  # sanic-ext's own
    for route in app.router.routes:
        for handler, guards in _endpoints_of(route):
            if not guards:
                continue
            operation = operations[handler]
            sources = guards[0].guard.sources or sources_of(route)
            schemes = dict(map(_scheme_of, sources))
            if not operation.security:  # else the application has said so itself
                for name, scheme in schemes.items():
                    specification.add_security_scheme(name, **scheme)
                    operation.secured(name)
                if all(one.guard.optional for one in guards):
                    operation.security.append({})
            for error in (MissingTokenError(), ForbiddenError()):
                if error.status not in operation.responses:
                    operation.response(error.status, _REFUSAL, error.description)


def _scheme_of(source: Source) -> tuple[str, dict[str, Any]]:
    """The name and the description of a security scheme (OpenAPI 3.0.3, security scheme object)."""
    if isinstance(source, Cookie):
        return _named("JWTCookie", source.name), {"type": "apiKey", "location": "cookie", "name": source.name}
    if isinstance(source, BearerHeader):
        if source.name != "authorization" or not source.scheme:
            return _named("JWTHeader", source.name), {"type": "apiKey", "location": "header", "name": source.name}
        if source.scheme != "bearer":
            return _named("JWTHeader", source.scheme), {"type": "http", "scheme": source.scheme}
    return "JWTBearer", {"type": "http", "scheme": "bearer", "bearer_format": "JWT"}


def _named(kind: str, place: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{kind}_{place}")
