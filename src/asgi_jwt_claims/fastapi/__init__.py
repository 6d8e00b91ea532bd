"""FastAPI: `install`, `jwt_required`, `get_token`, and the dependency `JWTBearer` with its aliases.

::

    app = FastAPI()
    install(app, config, exempt=("/docs", "/openapi.json"))

    @app.get("/protected")
    async def protected(token: CurrentToken) -> dict[str, Any]:
        return token.user_claims

Without a middleware, `Security(JWTBearer(config))` does the same for single routes, routers or the whole application.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

from asgi_jwt_claims import starlette
from asgi_jwt_claims.auth import request as core
from asgi_jwt_claims.auth.guard import annotation_of_token, decorator, is_async_callable, may_be_token
from asgi_jwt_claims.auth.options import MiddlewareOptions, takes_options
from asgi_jwt_claims.auth.routes import mark_path_parameter
from asgi_jwt_claims.auth.settings import MiddlewareSettings
from asgi_jwt_claims.errors import SettingError, TokenError
from asgi_jwt_claims.runtime.imports import needs
from asgi_jwt_claims.tokens.token import Token

with needs("fastapi"):
    from fastapi import FastAPI, Security
    from fastapi.params import Depends
    from pydantic.fields import FieldInfo

    from ._bearer import CurrentToken, JWTBearer, OptionalToken, TokenHTTPException
    from ._openapi import describe_guards

if TYPE_CHECKING:
    from typing import Unpack

    from starlette.responses import Response

    from asgi_jwt_claims.auth.options import Guard
    from asgi_jwt_claims.config import JWTConfig

__all__ = [
    "CurrentToken",
    "JWTBearer",
    "OptionalToken",
    "TokenHTTPException",
    "describe_guards",
    "get_token",
    "install",
    "jwt_required",
]


@takes_options(MiddlewareOptions, MiddlewareSettings)
def install(app: FastAPI, config: JWTConfig | Iterable[JWTConfig], **options: Unpack[MiddlewareOptions]) -> None:
    """Put `JWTMiddleware` into `app`, and let guards refuse with the same answers.

    With `required=True` the documentation pages are guarded too, unless they are `exempt`. The middleware that is added
    last runs first: add `CORSMiddleware` after this, so that it gets its preflights and refusals carry its headers.
    Applications that are mounted in `app` when it starts answer in the same way.

    The OpenAPI document then names the places where the middleware looks for tokens, and says which operations may
    answer 401 and 403 (`describe_guards`).

    Args:
        app: An application that has not started.
        config: Keys, parties, times and names; several for several issuers.
        options: Those of `MiddlewareOptions`, listed below.

    Raises:
        SettingError: An argument cannot be used. When the application starts: `jwt_required` stands above the route
            decorator of a handler.
    """
    handlers: Any = {TokenError: starlette.token_error_handler, TokenHTTPException: _plain_answer}
    settings = starlette.install_with(app, FastAPI, config, options, handlers)
    describe_guards(app, settings.authenticator.sources)


def _plain_answer(_: Any, error: Exception) -> Response:
    if not isinstance(error, TokenHTTPException):
        raise error
    return starlette.to_response(error.response)


@functools.wraps(core.get_token)
def _get_token(request_or_scope: Any, *, optional: bool = False) -> Token | None:
    is_token = isinstance(request_or_scope, Token)  # the value of `CurrentToken`, which FastAPI gives by the signature
    return request_or_scope if is_token else core.get_token(request_or_scope, optional=optional)


vars(_get_token)["__signature__"] = inspect.Signature(
    [inspect.Parameter("request_or_scope", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=CurrentToken)]
)
get_token = core.get_token if TYPE_CHECKING else _get_token
"""`get_token(request)` as everywhere; and `Depends(get_token)`, which is the same as `CurrentToken`."""

_HIDDEN = "jwt_required_token"


def _guard(handler: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    """FastAPI reads what a handler wants from its signature, so the guard is a dependency in the signature."""
    bearer = JWTBearer.of(guard)
    parameters = dict(inspect.signature(handler).parameters)
    passes_token = _receives_token(handler, parameters.get("token"))
    name = "token" if passes_token else _HIDDEN
    while name in parameters and not passes_token:  # that of another guard
        name += "_"
    parameters.pop(name, None)
    dependency = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Any, Security(bearer)])
    # Before `**kwargs`, which come last.
    ordered = sorted([*parameters.values(), dependency], key=lambda one: one.kind is one.VAR_KEYWORD)

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not passes_token:
            kwargs.pop(name, None)
        return handler(*args, **kwargs)

    @functools.wraps(handler)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        return await call(*args, **kwargs)

    guarded: Callable[..., Any] = call_async if is_async_callable(handler) else call
    vars(guarded)["__signature__"] = inspect.signature(handler).replace(parameters=ordered)
    if passes_token:
        mark_path_parameter(guarded)
    return guarded


def _receives_token(handler: Callable[..., Any], parameter: inspect.Parameter | None) -> bool:
    """Whether the guard passes the token as `token`; not where a dependency of the handler's own has that name.

    Raises:
        SettingError: A request parameter has that name, and would be lost.
    """
    if parameter is None:
        return False
    annotation = annotation_of_token(handler)
    marks = (parameter.default, *getattr(annotation, "__metadata__", ()))
    if any(isinstance(mark, Depends) for mark in marks):
        return False
    has_default = parameter.default is not None and parameter.default is not parameter.empty
    if has_default or any(isinstance(mark, FieldInfo) for mark in marks) or not may_be_token(annotation):
        raise SettingError(
            f"{handler.__module__}.{getattr(handler, '__qualname__', handler)}: jwt_required passes the Token as `token`; "
            "give the parameter of the path, query or body another name"
        )
    return True


jwt_required = decorator(_guard)
