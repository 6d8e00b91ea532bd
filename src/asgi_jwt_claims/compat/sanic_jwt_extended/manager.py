"""`JWTManager`: read the settings of an application, and answer the exceptions of its guards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sanic.response import HTTPResponse, json

from asgi_jwt_claims.auth.authenticator import Authenticator
from asgi_jwt_claims.auth.request import authenticator_for
from asgi_jwt_claims.auth.state import request_auth
from asgi_jwt_claims.errors import ExpiredTokenError
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sanic._connections import translate_denials
from asgi_jwt_claims.sanic._routes import ask_guards, check_routes
from asgi_jwt_claims.sanic._scope import is_asgi, is_websocket, prepared_scope

from .exceptions import AccessDenied, ConfigurationConflictError, NoAuthorizationError, RequestRefused, refusal
from .settings import Settings, read_settings, set_defaults

if TYPE_CHECKING:
    from sanic import Request, Sanic

    from asgi_jwt_claims.auth.options import Guard
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["JWTManager", "admit", "settings_of"]

_CONTEXT = "sanic_jwt_extended"
_FIRST = 100  # before the application's own request middleware, as that of `install`
_RESPONDER = ErrorResponder()


class JWTManager:
    """Prepare Sanic applications for the guards and the token functions.

    Secrets and settings are checked at once if a key is set, otherwise before the server starts.

    Args:
        app: The application; None to call `init_app` later.
        legacy_status: Whether to answer with the status codes of 0.4.4 and without `WWW-Authenticate`, in place of those
            of RFC 6750.

    Raises:
        ConfigurationError: A setting cannot be used; the message says what to write instead.
    """

    def __init__(self, app: Sanic[Any, Any] | None = None, *, legacy_status: bool = False) -> None:
        self._legacy_status = legacy_status
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Sanic[Any, Any]) -> None:
        """Prepare `app`."""
        set_defaults(app.config)
        app.exception(RequestRefused)(self._answer)
        app.on_request(_guard_handshake, priority=_FIRST)
        app.before_server_start(check_routes, priority=_FIRST)
        setattr(app.ctx, _CONTEXT, None)
        if any(app.config[name] is not None for name in ("JWT_SECRET_KEY", "JWT_PRIVATE_KEY", "JWT_PUBLIC_KEY")):
            settings_of(app)
        else:
            app.before_server_start(_check_settings)

    def _answer(self, request: Request, exception: RequestRefused) -> HTTPResponse:
        body = {settings_of(request.app).message_key: str(exception)}
        if self._legacy_status:
            is_401 = isinstance(exception, NoAuthorizationError | AccessDenied)
            return json(body, status=401 if is_401 or isinstance(exception.error, ExpiredTokenError) else 422)
        answer = _RESPONDER.response_for(exception.error)
        headers = {name: value for name, value in answer.headers if name in ("www-authenticate", "cache-control")}
        return json(body, status=answer.status, headers=headers)


async def _guard_handshake(request: Request) -> None:
    """Let the guard of a websocket refuse before the handshake."""
    if is_websocket(request):
        if is_asgi(request):
            translate_denials(request, prepared_scope(request))
        await ask_guards(request)


def _check_settings(app: Sanic[Any, Any]) -> None:
    settings_of(app)


def settings_of(app: Sanic[Any, Any]) -> Settings:
    """Return the settings of an application that has a `JWTManager`."""
    if not hasattr(app.ctx, _CONTEXT):
        raise ConfigurationConflictError("the application has no JWTManager; call JWTManager(app)")
    settings: Settings | None = getattr(app.ctx, _CONTEXT)
    if settings is None:
        settings = read_settings(app.config)
        setattr(app.ctx, _CONTEXT, settings)
    return settings


def admit(request: Request, guard: Guard) -> Token | None:
    """Return the token of a request, verified at most once, or raise the `RequestRefused` of the guard."""
    settings = settings_of(request.app)
    scope = prepared_scope(request)
    authenticator = authenticator_for(scope, Authenticator(settings.config, settings.sources, None, _RESPONDER))
    auth = request_auth(scope)
    result = auth.result_for(scope, authenticator)
    auth.fill(scope)
    error = result.refusal(guard)
    if error is not None:
        raise refusal(error) from error
    auth.grant(result, guard)
    return result.token
