"""`JWTMiddleware`: wrapped means protected."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ._asgi import REQUEST_SCOPES, SCOPE_KEY
from .auth.options import MiddlewareOptions, takes_options
from .auth.request import CURRENT_TOKEN, TokenHolder, complete_request
from .auth.routes import check_routes
from .auth.settings import MiddlewareSettings, settings_around
from .auth.state import RequestAuth
from .errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self, Unpack

    from ._asgi import ASGIApp
    from .config import JWTConfig

__all__ = ["JWTMiddleware"]


@takes_options(MiddlewareOptions, MiddlewareSettings)
class JWTMiddleware:
    """Pure ASGI middleware: authenticates every http and websocket request.

    The application finds the `Token` in `scope["token"]`, by `get_token(request)` and by `current_token()`, each None where
    no token was asked for. Refused requests are answered here, and the application never sees them. A `TokenError` that
    leaves the application before its response has started, alone or in an `ExceptionGroup` of such errors only, is
    answered too, also if a framework turns it into an error 500; other exceptions pass untouched. `lifespan` passes, and
    keys of providers are kept fresh as long as it lasts. Any other type of scope is refused, since it is not guarded.

    Args:
        app: The ASGI application to protect, of any framework.
        config: Keys, parties, times and names; or several, each with an `issuer`: the `iss` of a token chooses one.
        options: Those of `MiddlewareOptions`.

    Raises:
        SettingError: `app` is no ASGI application, or an option cannot be used. When the application starts, or with the
            first request: `jwt_required` stands above the route decorator of a handler (Starlette and FastAPI).
    """

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """Refuse the configuration in the place of the application, which Python could not explain."""
        if arguments and "app" in options:
            raise SettingError("give the configuration by its name: DefineMiddleware(JWTMiddleware, config=config)")
        return super().__new__(cls)

    def __init__(
        self, app: ASGIApp, config: JWTConfig | Iterable[JWTConfig], **options: Unpack[MiddlewareOptions]
    ) -> None:
        from .connections.stream import HTTPExchange  # noqa: PLC0415 -- it imports anyio, which the package does not
        from .connections.websocket import WebSocketConnection  # noqa: PLC0415 -- as above
        from .runtime.lifespan import run_lifespan  # noqa: PLC0415 -- as above

        settings = settings_around(app, config, options)
        self.app, self._settings, self._knows_routes = app, settings, False
        self._http, self._websocket = HTTPExchange, WebSocketConnection
        self._lifespan = partial(run_lifespan, app, settings.background)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: C901 -- a call more would cost time
        """Authenticate the request, then refuse it or call the application."""
        if scope["type"] not in REQUEST_SCOPES:
            await self._lifespan(partial(check_routes, self.app, scope.get("app")), scope, receive, send)
            return
        if not self._knows_routes:
            check_routes(self.app, scope.get("app"))
            self._knows_routes = True
        settings = self._settings
        if settings.mounts is not None and await settings.mounts.answer(scope, receive, send):
            return
        auth = RequestAuth.enter(scope, settings)
        result = None if auth.is_exempt else auth.result_for(scope)
        if result is not None and result.state.needs is not None:
            result, receive = await complete_request(scope, result, receive)
        error = auth.admit(scope, result)
        if auth.untold is not None:
            await auth.tell_accepted(scope)
        holder = TokenHolder(scope, scope["token"])
        try:
            if error is not None:
                await settings.refuse(error, scope, receive, send)
                return
            responder = settings.authenticator.responder
            connection = (
                self._http(scope, receive, send, responder, settings.end_with_token)
                if scope["type"] == "http"
                else self._websocket(scope, receive, send, settings, auth.protocol, responder)
            )
            try:
                await self.app(scope, connection.receive, connection.send)
            except Exception as raised:
                if not await connection.answer_for(raised):
                    raise
            finally:
                if connection.watched is not None:
                    await connection.watched.finish()
        finally:
            holder.token = None
            CURRENT_TOKEN.reset(holder.before)
            if auth.outer is not None:
                scope[SCOPE_KEY] = auth.outer
