"""`JWTMiddleware`: wrapped means protected."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._asgi import REQUEST_SCOPES, SCOPE_KEY
from .auth.current import TokenHolder
from .auth.exempt import CORS_INSIDE, has_cors
from .auth.options import MiddlewareOptions, describe_options, show_options
from .auth.request import complete_request
from .auth.routes import check_routes
from .auth.settings import MiddlewareSettings
from .auth.state import RequestAuth
from .errors import SettingError, UnsupportedScopeError
from .responses import send_response
from .runtime.log import logger

if TYPE_CHECKING:
    from typing import Self, Unpack

    from ._asgi import ASGIApp, Receive, Scope, Send
    from .config import JWTConfig
    from .errors import TokenError

__all__ = ["JWTMiddleware"]


class JWTMiddleware:
    """Pure ASGI middleware: validates the bearer token of every http and websocket request.

    The application finds the `Token` in `scope["token"]`, through `get_token(request)`, or through `current_token()`;
    each of them has None where no token was asked for. Refused requests are answered here, and the application never
    sees them. `lifespan` passes through, and keys of providers are kept fresh as long as it lasts; any other type of
    scope is refused, since it has not been guarded.

    A `TokenError` that the application lets go before its response has started, alone or in an `ExceptionGroup` with
    nothing but such errors, becomes its answer; so does an error 500 that a framework makes of it. All other exceptions
    of the application pass untouched.

    Args:
        app: The ASGI application to protect, of any framework.
        config: Keys, parties, times and names; or several of them, each with an `issuer`: a token is then held to the
            one whose issuer it names.
        options: Those of `MiddlewareOptions`.

    Raises:
        SettingError: `app` is no ASGI application, or an option cannot be used. When the application starts, or with the
            first request: `jwt_required` stands above the route decorator of one of its handlers (Starlette and FastAPI).
    """

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """Refuse the configuration in the place of the application, which Python could not explain."""
        if arguments and "app" in options:
            raise SettingError("give the configuration by its name: DefineMiddleware(JWTMiddleware, config=config)")
        return super().__new__(cls)

    def __init__(
        self, app: ASGIApp, config: JWTConfig | Iterable[JWTConfig], **options: Unpack[MiddlewareOptions]
    ) -> None:
        if not callable(app):
            raise SettingError(f"app must be an ASGI application, not {type(app).__name__}: JWTMiddleware(app, config)")
        self.app = app
        self._knows_routes = False
        # `install` has made the settings already, so that its caller is told of mistakes.
        self._settings = config if isinstance(config, MiddlewareSettings) else MiddlewareSettings(config, **options)
        if self._settings.refuses_preflights and has_cors(app):
            logger().warning(CORS_INSIDE)
        from .connections.stream import HTTPExchange  # noqa: PLC0415 -- as in `_lifespan`: they import anyio
        from .connections.websocket import WebSocketConnection  # noqa: PLC0415 -- as in `_lifespan`: they import anyio

        self._http, self._websocket = HTTPExchange, WebSocketConnection

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: C901 -- one coroutine for a request
        """Authenticate the request, then refuse it or call the application."""
        if scope["type"] not in REQUEST_SCOPES:
            await self._lifespan(scope, receive, send)
            return
        if not self._knows_routes:
            check_routes(self.app, scope.get("app"))
            self._knows_routes = True
        settings, result = self._settings, None
        auth = RequestAuth.enter(scope, settings)
        if not auth.is_exempt:
            result = auth.result_for(scope)
            if result.state.needs is not None:
                result, receive = await complete_request(scope, result, receive)
        error = auth.admit(scope, result)
        if auth.untold is not None:
            await auth.tell_accepted(scope)
        holder = TokenHolder(scope, scope["token"])
        try:
            if error is not None:
                await self._refuse(error, scope, receive, send)
                return
            # Ends with its token, and answers refusals of the application.
            connection = (
                self._http(scope, receive, send, settings.authenticator.responder, settings.end_with_token)
                if scope["type"] == "http"
                else self._websocket(scope, receive, send, settings, auth.protocol, settings.authenticator.responder)
            )
            try:
                await self.app(scope, connection.receive, connection.send)
            except Exception as raised:
                # Swallow only the error that `send` has raised since the end of the connection. A refusal is answered.
                is_end = connection.watched is not None and connection.watched.is_end(raised)
                if not is_end and not await connection.answer_for(raised):
                    raise
            finally:
                if connection.watched is not None:
                    await connection.watched.finish()
        finally:
            holder.release()
            if auth.outer is not None:
                scope[SCOPE_KEY] = auth.outer

    async def _refuse(self, error: TokenError, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._settings.authenticator.responder.respond(error, scope)
        if self._settings.drain and scope["type"] == "http":
            from .runtime.drain import drain_body  # noqa: PLC0415 -- as in `_lifespan`

            await drain_body(scope, receive, self._settings.drain)
        await send_response(answer, scope, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The lifespan, in which keys and stores are looked after."""
        if scope["type"] != "lifespan":
            raise UnsupportedScopeError(f"scope type {scope['type']!r} is not guarded, so it is not let through")
        try:
            check_routes(self.app, scope.get("app"))
        except SettingError as error:
            # A server that is told so stops and shows it; one that is not takes this for an application without lifespan.
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        if not self._settings.background:
            await self.app(scope, receive, send)
            return
        from .runtime.lifespan import run_during  # noqa: PLC0415 -- it imports anyio, and most have no use for it

        await run_during(self._settings.background, lambda: self.app(scope, receive, send))


JWTMiddleware.__doc__ = describe_options(JWTMiddleware.__doc__, MiddlewareOptions)
show_options(JWTMiddleware.__init__, MiddlewareSettings)
# What `help` and editors show of the class is how it is built; its `__new__` takes anything.
vars(JWTMiddleware.__new__)["__signature__"] = inspect.signature(JWTMiddleware.__init__)
