"""Find guards that guard nothing, when the application starts.

A guard above the route decorator guards nothing: the route decorator has registered the handler without it. So each
`jwt_required` notes the handlers that it is given, and `check_routes` looks for them among the routes.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final

from asgi_jwt_claims.errors import SettingError

__all__ = ["check_routes", "mark_path_parameter", "name_of", "note_guarded", "without_guard"]

_guarded_handlers: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()
"""The handlers that some `jwt_required` has wrapped. As the endpoint of a route, such a one is without its guard."""

_made: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()
"""What `jwt_required` has made of them."""

_LOSES_PATH_PARAMETER: Final = "__jwt_loses_token__"
"""The attribute of a guarded handler that could not receive a path parameter called `token`."""

_BELOW = ("app", "_base_app", "router", "original_router", "endpoint")
"""The attributes in which Starlette and FastAPI keep what stands below an application, a middleware or a route."""

_TOKEN_PARAMETER = re.compile(r"\{token[:}]")


def note_guarded(handler: Callable[..., Any], guarded: Callable[..., Any] | None = None) -> None:
    """Remember that `guarded` guards `handler`, and also what `functools.wraps` says that `handler` wraps."""
    if guarded is not None:
        _made.add(guarded)
    for one in _with_wrapped(handler):
        with contextlib.suppress(TypeError):  # an object that cannot be referred to weakly, or has no hash
            _guarded_handlers.add(one)


def _with_wrapped(handler: Any) -> Iterator[Callable[..., Any]]:
    """A handler, and those that it wraps: other decorators may stand between the guard and the route."""
    seen: set[int] = set()
    while handler is not None and id(handler) not in seen:
        yield handler
        seen.add(id(handler))
        handler = getattr(handler, "__dict__", {}).get("__wrapped__")


def check_routes(*applications: Any) -> None:
    """Refuse routes of Starlette and FastAPI that a guard was meant for and does not stand before.

    It looks below applications, middlewares around them and routers. It reads instance attributes only, so it runs no
    code of the application and finds no routes in other frameworks.

    Raises:
        SettingError: `jwt_required` stands above a route decorator; or a path has a parameter called `token` that its
            handler could not receive.
    """
    endpoints = [(handler, found[1]) for found in _endpoints(applications) for handler in _handlers(found[0])]
    for handler in without_guard([handler for handler, _ in endpoints]):
        raise SettingError(
            f"{name_of(handler)} is a route without its guard: jwt_required stands above the route decorator, which "
            "registers the function below it. Put jwt_required between the route decorator and the handler; a route "
            "that is meant to be open needs a function of its own"
        )
    for handler, has_token in endpoints:
        if has_token and getattr(handler, "__dict__", {}).get(_LOSES_PATH_PARAMETER):
            raise SettingError(
                f"{name_of(handler)}: the path has a parameter called token, and jwt_required passes the Token by that "
                "name; rename the parameter of the path"
            )


def without_guard(handlers: Collection[Any]) -> Iterator[Any]:
    """Those of the handlers of all routes that some `jwt_required` has wrapped, but that are registered unwrapped."""
    within_guards: set[int] = set()
    for handler in handlers:
        chain = [*_with_wrapped(handler)]
        guards = [place for place, one in enumerate(chain) if _is_in(one, _made)]
        within_guards.update(id(one) for place in guards for one in chain[place + 1 :])
    for handler in handlers:
        # One guard may be on a route by itself, and on another one with a second guard around it.
        if _is_in(handler, _guarded_handlers) and not (_is_in(handler, _made) and id(handler) in within_guards):
            yield handler


def _is_in(handler: Any, handlers: weakref.WeakSet[Callable[..., Any]]) -> bool:
    with contextlib.suppress(TypeError):  # an object without a hash
        return handler in handlers
    return False


def _endpoints(applications: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """The endpoints of all routes below these, and whether their path has a parameter called `token`."""
    below = [(application, False) for application in applications]
    seen: set[tuple[int, bool]] = set()
    while below:
        one, has_token = below.pop()
        members: dict[str, Any] = {} if inspect.isroutine(one) or inspect.isclass(one) else getattr(one, "__dict__", {})
        paths = (members.get("path"), getattr(members.get("include_context"), "prefix", None))
        has_token = has_token or any(_TOKEN_PARAMETER.search(path) for path in paths if isinstance(path, str))
        if (id(one), has_token) in seen:
            continue
        seen.add((id(one), has_token))
        if "endpoint" in members:
            yield members["endpoint"], has_token
        routes = members.get("routes")
        nested = [*(routes if isinstance(routes, list | tuple) else ()), *map(members.get, _BELOW)]
        below.extend((other, has_token) for other in nested if other is not None)


def _handlers(endpoint: Any) -> list[Any]:
    """The handler of a route; the methods of a class."""
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    if inspect.isclass(endpoint):
        methods = inspect.getmembers_static(endpoint, inspect.isfunction)
        # `get = jwt_required(_get)` is no mistake: Starlette calls no method with such a name.
        return [method for name, method in methods if not name.startswith("_")]
    return [endpoint]


def name_of(handler: Any) -> str:
    """The name of a handler as errors give it: with its module."""
    return f"{handler.__module__}.{getattr(handler, '__qualname__', type(handler).__qualname__)}"


def mark_path_parameter(guarded: Callable[..., Any]) -> None:
    """Let `check_routes` refuse `guarded` where the path has a parameter called `token`."""
    setattr(guarded, _LOSES_PATH_PARAMETER, True)
