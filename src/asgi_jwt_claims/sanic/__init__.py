"""Sanic, on its own server and in ASGI mode: `install`, `jwt_required`, `get_token`.

::

    app = Sanic("example")
    install(app, config)

    @app.get("/protected")
    @jwt_required
    async def protected(request: Request, token: Token) -> HTTPResponse:
        return json(token.user_claims)

One code path serves both modes: on Sanic's own server an ASGI scope is made of the request. With sanic-ext, `token: Token`
is also injected by its type into handlers without a guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Unpack

from asgi_jwt_claims.auth.options import MiddlewareOptions, takes_options
from asgi_jwt_claims.auth.paths.exempt import CORS_INSIDE
from asgi_jwt_claims.auth.request import authenticate_request, complete_request, get_token
from asgi_jwt_claims.auth.settings import MiddlewareSettings, settings_for_install
from asgi_jwt_claims.connections.asgi import refusal_in
from asgi_jwt_claims.errors import SettingError, TokenError
from asgi_jwt_claims.runtime.imports import needs
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.sources import DEFAULT_SOURCES
from asgi_jwt_claims.tokens.token import Token

with needs("sanic"):
    from sanic import Blueprint, Request, Sanic
    from sanic.exceptions import SanicException
    from sanic.response import HTTPResponse  # noqa: TC002 -- sanic-ext evaluates the annotations of handlers

    from ._connections import watch_stream, watch_websocket
    from ._guard import answer_endpoint, authenticate, jwt_required, refusals_of, to_response
    from ._routes import ask_guards, check_routes, document, guard_head
    from ._scope import let_go, prepared_scope

if TYPE_CHECKING:
    from sanic.handlers import ErrorHandler

    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.sources._credentials import Source

    GuardRequest = Callable[[Request], Awaitable[HTTPResponse | None]]

__all__ = ["get_token", "install", "jwt_required"]

_FIRST = 100  # before the application's own request middleware, which may want the token
_LAST = -10_000  # after the listeners of sanic-ext

_settings: weakref.WeakKeyDictionary[GuardRequest, MiddlewareSettings] = weakref.WeakKeyDictionary()
"""The settings of each request middleware that `install` has made."""

_looking_into_groups: weakref.WeakSet[ErrorHandler] = weakref.WeakSet()


@takes_options(MiddlewareOptions, MiddlewareSettings)
def install(
    app: Sanic[Any, Any] | Blueprint, config: JWTConfig | Iterable[JWTConfig], **options: Unpack[MiddlewareOptions]
) -> None:
    """Guard every request of `app`, on Sanic's own server as well as in ASGI mode, unknown routes included.

    Of a blueprint, every request to one of its routes is guarded, for http and websocket; call this before
    `app.blueprint(...)`. Where the application is guarded as well, both have to let a request on, and the blueprint's
    configuration decides what the token is.

    The token is in `request.ctx.token`, through `get_token(request)` and `current_token()`. Wrapping the application in
    `JWTMiddleware` as well does no harm: nothing is verified twice.

    Args:
        app: An application or a blueprint that has not started.
        config: Keys, parties, times and names; several for several issuers.
        options: Those of `MiddlewareOptions`, listed below.

    Raises:
        SettingError: An option cannot be used, or `app` cannot be guarded, or is guarded already. Also when the
            application starts: a guard would guard nothing, or a route of the blueprint is not guarded.
    """
    _check_target(app)
    settings = settings_for_install(config, options)
    _check_settings(app, settings)
    checked: set[Sanic[Any, Any]] = set()

    async def check(app: Sanic[Any, Any]) -> None:
        check_routes(app)
        _check_blueprints(app)
        checked.add(app)

    async def guard_request(request: Request) -> HTTPResponse | None:
        if request.app not in checked:  # a server may go on where starting has failed
            await check(request.app)
        answer = await answer_endpoint(request, settings)
        if answer is not None:
            return answer
        error = await authenticate(request, settings)
        try:
            if error is None:
                await ask_guards(request)
        except TokenError as refusal:
            error = refusal
        return None if error is None else await answer_token_error(request, error)

    async def answer_token_error(request: Request, error: TokenError) -> HTTPResponse:
        return to_response(await settings.authenticator.responder.respond(error, prepared_scope(request)))

    _keep_background(app, settings)
    # An application's guard before that of a blueprint.
    app.on_request(guard_request, priority=_FIRST if isinstance(app, Sanic) else _FIRST - 1)
    app.exception(TokenError)(answer_token_error)
    if isinstance(app, Sanic):
        _look_into_groups(app)
    else:
        app.before_server_start(_look_into_groups)
        app.before_server_start(guard_head, priority=_LAST)
    _watch_connections(app, settings)
    app.before_server_start(check, priority=_FIRST)
    if settings.refuses_preflights and isinstance(app, Sanic):  # the routes of sanic-ext belong to no blueprint
        app.before_server_start(_warn_of_cors)
    # sanic-ext has been set up by then, by itself or by the application, and looks at its dependencies after this.
    app.before_server_start(_extend, priority=_FIRST)
    _settings[guard_request] = settings


def _check_settings(app: object, settings: MiddlewareSettings) -> None:
    if settings.drain:
        raise SettingError("leave drain out: Sanic reads the body of a request by itself")
    if settings.mounts is not None and not isinstance(app, Sanic):
        raise SettingError(
            "give endpoints and protected_resource to install(app, ...) of the application: Sanic asks the guard of a "
            "blueprint for the routes of the blueprint only"
        )


def _keep_background(app: Sanic[Any, Any] | Blueprint, settings: MiddlewareSettings) -> None:
    """Keep keys and stores fresh as long as the application runs."""
    running: dict[Sanic[Any, Any], list[asyncio.Task[None]]] = {}

    async def start(app: Sanic[Any, Any]) -> None:
        # Sanic's own tasks would be left alone at the end of its ASGI mode.
        running[app] = [asyncio.create_task(subject.run()) for subject in settings.background]

    async def stop(app: Sanic[Any, Any]) -> None:
        for task in running.pop(app, ()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    app.after_server_start(start)
    app.before_server_stop(stop)


def _look_into_groups(app: Sanic[Any, Any]) -> None:
    """Let a group of refusals be handled as a refusal is, and leave all other groups to the application."""
    if app.error_handler in _looking_into_groups:
        return
    _looking_into_groups.add(app.error_handler)
    respond: Callable[[Request, Exception], Any] = app.error_handler.response

    def respond_to_refusal(request: Request, exception: Exception) -> Any:
        return respond(request, refusal_in(exception) or exception)

    app.error_handler.response = respond_to_refusal  # type: ignore[method-assign]  # Sanic knows exceptions by class alone


async def _warn_of_cors(app: Sanic[Any, Any]) -> None:
    # sanic-ext answers preflights in handlers, which the guard stands in front of.
    settings = getattr(app.ctx, "cors", None)
    if settings is not None and settings.allow_origins:
        logger().warning(CORS_INSIDE)


def _check_target(app: object) -> None:
    if not isinstance(app, Sanic | Blueprint):
        raise SettingError(
            f"install guards a Sanic application or a Blueprint, not {type(app).__name__}: install(app, config)"
        )
    if _guards_of(app):
        raise SettingError(
            "install has been called for this application or blueprint already; for tokens of several issuers give "
            "all configurations at once: install(app, [first, second])"
        )
    if isinstance(app, Blueprint) and app.registered:
        raise SettingError("call install(blueprint, config) before app.blueprint(blueprint)")
    if isinstance(app, Sanic) and (TokenError, None) in app.error_handler.cached_handlers:
        raise SettingError(
            "the application has an exception handler for TokenError, which install would replace: change the answer "
            "with install(app, config, on_error=...)"
        )


def _check_blueprints(app: Sanic[Any, Any]) -> None:
    """Refuse routes added to a guarded blueprint too late: Sanic then leaves out the middleware of the blueprint."""
    for blueprint in app.blueprints.values():
        guards = _guards_of(blueprint)
        for route in blueprint.routes:
            if not guards <= {one.func for one in route.extra.request_middleware}:
                raise SettingError(
                    f"the route {route.name} was added to its blueprint after app.blueprint(...), so that nothing "
                    "guards it: add the routes of a blueprint first"
                )


def _guards_of(app: Sanic[Any, Any] | Blueprint) -> set[GuardRequest]:
    """The request middleware that `install` has given to an application or a blueprint, or to what it is a copy of."""
    futures: Any = app._future_middleware  # noqa: SLF001 -- Sanic tells it nowhere else
    functions = (getattr(one.middleware, "func", one.middleware) for one in futures)
    return {function for function in functions if function in _settings}


async def _inject_token(request: Request) -> Token:
    # sanic-ext injects before any request middleware has run.
    for settings in _settings_of(request.route):
        await authenticate(request, settings)
    scope = prepared_scope(request)
    result = authenticate_request(scope)
    if result.state.needs is not None:
        await complete_request(scope, result)
    return get_token(scope)


async def _extend(app: Sanic[Any, Any]) -> None:
    """Let sanic-ext, where it is installed, inject tokens and document guards."""
    extensions = getattr(app, "_ext", None)
    if extensions is not None:
        with contextlib.suppress(SanicException):  # its injection is switched off
            extensions.add_dependency(Token, _inject_token)
        document(app, extensions.openapi, _sources_of)


def _settings_of(route: Any) -> list[MiddlewareSettings]:
    """The settings of the guards that a request to a route passes, in that order."""
    return [_settings[one.func] for one in route.extra.request_middleware if one.func in _settings]


def _sources_of(route: Any) -> tuple[Source, ...]:
    found = _settings_of(route)
    return found[-1].authenticator.sources if found else DEFAULT_SOURCES


def _watch_connections(app: Sanic[Any, Any] | Blueprint, settings: MiddlewareSettings) -> None:
    async def watch_opened(request: Request, websocket: Any) -> None:
        if settings in refusals_of(request):  # Sanic sends the signals of a blueprint for all of the application
            watch_websocket(request, prepared_scope(request), settings, websocket)

    async def end_websocket(request: Request, **_: Any) -> None:
        let_go(prepared_scope(request))

    app.add_signal(watch_opened, "websocket.handler.before")
    for event in ("websocket.handler.after", "websocket.handler.exception"):
        app.signal(event, priority=_FIRST)(end_websocket)  # which come in reverse order, so after all others
    if settings.end_with_token:
        # Before all others, so that none of them returns a response after this one.
        app.on_response(watch_stream, priority=-_FIRST)  # type: ignore[no-untyped-call]  # Sanic's own
