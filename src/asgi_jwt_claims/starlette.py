"""Starlette: `install`, `jwt_required`, `get_token`.

::

    app = Starlette(routes=[Route("/protected", protected)])
    install(app, config)

    @jwt_required
    async def protected(request: Request, token: Token) -> Response:
        return JSONResponse(token.user_claims)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketState

from .auth.guard import annotation_of_token, decorator, error_response_for, guard_handler, may_be_token
from .auth.options import MiddlewareOptions, takes_options
from .auth.request import get_token
from .auth.routes import mark_path_parameter
from .auth.settings import MiddlewareSettings, settings_for_install
from .auth.state import find_request_auth
from .errors import SettingError, TokenError
from .middleware import JWTMiddleware
from .responses import ErrorResponse, close_code, send_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias, Unpack

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, ExceptionHandler, Message

    from .auth.options import Guard
    from .config import JWTConfig

    Handlers: TypeAlias = Mapping[type[Exception], ExceptionHandler]

__all__ = ["get_token", "install", "jwt_required", "token_error_handler"]


@takes_options(MiddlewareOptions, MiddlewareSettings)
def install(app: Starlette, config: JWTConfig | Iterable[JWTConfig], **options: Unpack[MiddlewareOptions]) -> None:
    """Put `JWTMiddleware` into `app`, and turn every `TokenError` that a handler lets go into its answer.

    Applications of Starlette and FastAPI that are mounted in `app` when it starts answer in the same way.

    The middleware that is added last runs first: add `CORSMiddleware` after this, so that it gets its preflights and
    refusals carry its headers.

    Args:
        app: A Starlette (or FastAPI) application that has not started.
        config: Keys, parties, times and names; several for several issuers.
        options: Those of `MiddlewareOptions`, listed below.

    Raises:
        SettingError: An argument cannot be used. When the application starts: `jwt_required` stands above the route
            decorator of a handler.
    """
    install_with(app, Starlette, config, options, {TokenError: token_error_handler})  # type: ignore[dict-item]  # one handler for http and websocket, which answer differently


def install_with(
    app: Starlette,
    kind: type[Starlette],
    config: JWTConfig | Iterable[JWTConfig],
    options: MiddlewareOptions,
    handlers: Handlers,
) -> MiddlewareSettings:
    """Do what `install` does, for this kind of application, with the exception handlers of an adapter.

    The handlers also answer for what is mounted in `app`. The settings of the middleware are returned.

    Raises:
        SettingError: An argument cannot be used; or `app` is no application of that kind, or has started.
    """
    if not isinstance(app, kind):
        raise SettingError(
            f"install(app, config) wants a {kind.__name__} application that has not started, not "
            f"{type(app).__name__}; a group of routes is guarded by Middleware(JWTMiddleware, config=config) on its "
            "Mount or Router, or by a dependency of its APIRouter"
        )
    if getattr(app, "middleware_stack", None) is not None:
        raise SettingError("install(app, config) has to be called before the application starts")
    settings = settings_for_install(config, options)
    app.add_middleware(_InstalledMiddleware, settings, routes=app.routes, handlers=handlers)
    _add_handlers(app, handlers)
    return settings


class _InstalledMiddleware(JWTMiddleware):
    """The middleware that `install` puts in. It is made when the application starts, with all its routes."""

    def __init__(
        self, app: ASGIApp, settings: MiddlewareSettings, *, routes: Iterable[BaseRoute], handlers: Handlers
    ) -> None:
        super().__init__(app, settings)  # type: ignore[arg-type]  # which stands for configuration and options
        for mounted in _mounted(routes):
            _add_handlers(mounted, handlers)


def _mounted(routes: Iterable[BaseRoute]) -> Iterator[Starlette]:
    """The applications of Starlette's kind that stand below these routes, at any depth."""
    for route in routes:
        inner = getattr(route, "_base_app", getattr(route, "app", None))  # without the middleware of a `Mount`
        if isinstance(inner, Starlette):
            yield inner
        yield from _mounted(getattr(inner, "routes", ()))


def _add_handlers(app: Starlette, handlers: Handlers) -> None:
    for kind, handler in handlers.items():
        app.exception_handlers.setdefault(kind, handler)


async def token_error_handler(connection: HTTPConnection, error: Exception) -> Response | None:
    """An exception handler for `TokenError`: the answer that the middleware would have given.

    `install` registers it. Where the application is wrapped instead, `app.add_exception_handler(TokenError, ...)` does.
    """
    if not isinstance(error, TokenError):
        raise error
    return await _refuse(connection, await error_response_for(error, connection.scope))


def to_response(answer: ErrorResponse) -> Response:
    """The answer as a Starlette response."""
    response = Response(answer.body, answer.status)
    response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    return response


async def _refuse(connection: HTTPConnection, answer: ErrorResponse, _: tuple[Any, ...] = ()) -> Response | None:
    if not isinstance(connection, WebSocket):
        return to_response(answer)
    auth = find_request_auth(connection.scope)
    # An exception handler gets another object than the handler had, which knows nothing of what that one has done.
    is_accepted = auth is not None and auth.is_accepted
    if connection.application_state is WebSocketState.CONNECTING and not is_accepted:
        await send_response(answer, connection.scope, connection.send)
    elif connection.application_state is not WebSocketState.DISCONNECTED:
        await connection.close(close_code(answer.status))

    async def already_disconnected() -> Message:
        return {"type": "websocket.disconnect", "code": close_code(answer.status), "reason": ""}

    # A WebSocketEndpoint goes on to receive after a refused on_connect. It is told that the client has gone.
    connection.receive = already_disconnected  # type: ignore[method-assign]  # of this one object, which is done with
    return None


def _guard(handler: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    guarded = guard_handler(
        handler,
        guard,
        # The first is nearly always true, and the second asks a class that is written in Python.
        is_connection=lambda argument: type(argument) is Request or isinstance(argument, HTTPConnection),
        refuse=_refuse,
        call_sync=run_in_threadpool,
    )
    if not may_be_token(annotation_of_token(handler)):
        mark_path_parameter(guarded)
    return guarded


jwt_required = decorator(_guard)
