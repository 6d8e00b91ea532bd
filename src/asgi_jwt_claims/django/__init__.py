"""Django: `TokenMiddleware`, `JWTAuth` for django-ninja, `JWTAuthentication` for REST framework, `get_token`.

`application = JWTMiddleware(get_asgi_application(), config)` in asgi.py guards everything. `TokenMiddleware` comes first in
the setting `MIDDLEWARE`. Views, async and sync, read `request.token`, or ask `get_token(request)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from asgi_jwt_claims.access.policy import AccessPolicy
from asgi_jwt_claims.auth.guard import error_response_for, pass_guard_now
from asgi_jwt_claims.auth.options import Guard, GuardOptions, takes_options
from asgi_jwt_claims.auth.request import get_token
from asgi_jwt_claims.auth.state import request_auth
from asgi_jwt_claims.errors import MissingTokenError, TokenError
from asgi_jwt_claims.runtime.imports import needs

with needs("django"):
    from django import http  # isort: skip  # first, so that an error names Django and not what comes with it
    from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["JWTAuth", "JWTAuthentication", "TokenMiddleware", "TokenUser", "get_token"]


class TokenMiddleware:
    """Sets `request.token`, the token that `JWTMiddleware` has let in, or None; and answers a `TokenError` of a view."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        """Go on, with the scope and the token in the request."""
        if not hasattr(request, "scope"):  # a server that calls Django by WSGI below the middleware
            request.scope = request.META.get("asgi.scope", {})
        request_auth(request.scope)  # raises where nothing guards the request
        request.token = request.scope["token"]
        return self._get_response(request)

    def process_exception(self, request: Any, error: Exception) -> http.HttpResponse | None:
        """Answer a refusal as the middleware would; leave any other exception alone."""
        if not isinstance(error, TokenError):
            return None
        answer = async_to_sync(error_response_for)(error, request)
        return http.HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


@takes_options(GuardOptions, Guard, AccessPolicy)
class JWTAuth:
    """The `auth` of django-ninja, for async and sync operations: `auth=JWTAuth(scopes="read")`. `request.auth` is the token.

    With `optional=True` a request without a token is left to the next `auth`. An unusable option raises a `SettingError`.
    It never waits, since not every django-ninja waits for it: what an exempt path leaves undecided is refused.
    """

    openapi_security_schema: ClassVar = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}

    def __init__(self, **options: Unpack[GuardOptions]) -> None:
        self._guard = Guard(**options)

    def __call__(self, request: Any) -> Token | None:
        """Return the token, or raise the `TokenError` to answer with."""
        return pass_guard_now(request, self._guard)


class TokenUser:
    """The user of a token for REST framework: its identity, without a row of the database and without permissions of Django."""

    is_authenticated = is_active = True
    is_anonymous = is_staff = is_superuser = False

    def __init__(self, token: Token) -> None:
        self.pk = self.id = self.username = token.identity

    def __str__(self) -> str:
        return str(self.username)

    def has_perm(self, *_: Any) -> bool:
        """Return False: what a token may do is in its scopes and roles."""
        return False

    has_perms = has_module_perms = has_perm


class JWTAuthentication:
    """An authentication class of REST framework. `request.auth` is the token, and `request.user` a `TokenUser`."""

    def authenticate(self, request: Any) -> tuple[Any, Token] | None:
        """Return user and token; None without a token, so that the next class and the permissions decide."""
        token = get_token(request, optional=True)
        return None if token is None else (self.get_user(token), token)

    def authenticate_header(self, request: Any) -> str:
        """Return the challenge that comes with 401."""
        responder = request_auth(request.scope).authenticator.responder
        return dict(responder.response_for(MissingTokenError()).headers)["www-authenticate"]

    def get_user(self, token: Token) -> Any:
        """Return the user of a token. A subclass may look one up in the database."""
        return TokenUser(token)
