"""FastAPI: `install`, `jwt_required`, `get_token`, and the dependency `JWTBearer` with its aliases.

::

    app = FastAPI()
    install(app, config, exempt=("/docs", "/openapi.json"))

    @app.get("/protected")
    async def protected(token: CurrentToken) -> dict[str, Any]:
        return token.user_claims

Without a middleware, `Security(JWTBearer(config))` does the same for single routes, routers or the whole application.
"""

# No `from __future__ import annotations` here: FastAPI evaluates the annotations of a dependency's `__call__`, and for
# an instance it has no module to evaluate them in.

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, MutableMapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeAlias

from fastapi import FastAPI, HTTPException, Security, WebSocketException
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection
from starlette.responses import Response

from . import starlette
from ._guards import decorator, is_async_callable
from ._store import RevocationStore
from .access import Access
from .challenges import Answer, Challenges, close_code
from .config import JWTConfig
from .errors import SettingError, TokenError
from .issuers import trust_in
from .outcome import Outcome, TokenHolder, current_token, examined, get_token, hold, outcome_under
from .sources import Source
from .token import Token

if TYPE_CHECKING:
    from typing import Unpack

    from .gate import GateOptions

__all__ = ["CurrentToken", "JWTBearer", "OptionalToken", "TokenHTTPException", "get_token", "install", "jwt_required"]


class TokenHTTPException(HTTPException):
    """How a dependency refuses.

    FastAPI renders it as any `HTTPException`, `{"detail": {"error": ...}}`, with the right status and
    `WWW-Authenticate`; after `install`, as the middleware's own answer, `{"error": ...}`.

    Attributes:
        error: Why the request was refused.
        answer: The middleware's answer to it.
    """

    def __init__(self, error: TokenError, answer: Answer) -> None:
        detail = {"error": error.error or "unauthorized", "error_description": error.description}
        headers = {name: value for name, value in answer.headers if name not in ("content-type", "content-length")}
        super().__init__(answer.status, detail=detail, headers=headers)
        self.error = error
        self.answer = answer


def install(app: FastAPI, config: JWTConfig | Iterable[JWTConfig], **options: "Unpack[GateOptions]") -> None:
    """Put `JWTMiddleware` into `app`, and let guards refuse with the same answers.

    With `required=True` the documentation pages are guarded too, unless they are `exempt`. The middleware that is added
    last runs first: add `CORSMiddleware` after this, so that refusals carry its headers.

    Args:
        app: An application that has not started.
        config: Keys, parties, times and names; several for several issuers.
        options: Those of `JWTMiddleware`.
    """
    starlette.install(app, config, **options)
    app.add_exception_handler(TokenHTTPException, _plain_answer)


def _plain_answer(_: Any, error: Exception) -> Response:
    if not isinstance(error, TokenHTTPException):
        raise error
    return starlette.to_response(error.answer)


class JWTBearer(SecurityBase):
    """A security dependency whose value is the `Token`.

    Works for http and websocket, on routes, routers and applications, below other dependencies, with
    `Security(..., scopes=[...])`, and with or without a middleware: whatever has verified the token before, under the
    same configuration, is asked instead. The OpenAPI document names it as a bearer scheme.

    Two of them with the same arguments are equal, so `app.dependency_overrides[JWTBearer()]` finds `CurrentToken`.

    Args:
        config: Keys, parties, times and names; several for several issuers. None: those of the middleware that
            `install` has put in.
        optional: Whether absence is tolerated; the value is None then. A bad token never is.
        fresh: Whether the token must come from a recent login; a `timedelta` says how recent.
        type: The type of token wanted.
        allow: Roles of which the token must have one; an empty collection allows nobody.
        deny: Roles of which the token must have none.
        scopes: Scopes the token must have, beside those of `Security`.
        check_revocation: False: do not ask the store whether the token is revoked.
        revocation: What knows which tokens are revoked, beside a `config`. Its background work needs a middleware.
        sources: Where the token may have been offered; empty: wherever the middleware looks, or, beside a `config`, in
            the Authorization header.
        end_with_token: False: a websocket, or a `text/event-stream` response, goes on when its token expires or is
            revoked. Without a middleware it does so in any case.
        realm: Named in `WWW-Authenticate` where there is no middleware.
        scheme_name: What the OpenAPI document calls the scheme.
        description: What it says about it.

    Raises:
        SettingError: Rules that make no sense.
    """

    def __init__(  # noqa: PLR0913 -- what may be said about a guard, all of it by name
        self,
        config: JWTConfig | Iterable[JWTConfig] | None = None,
        *,
        optional: bool = False,
        fresh: bool | timedelta = False,
        type: str = "access",  # noqa: A002 -- the field's name
        allow: str | Iterable[str] | None = None,
        deny: str | Iterable[str] | None = None,
        scopes: str | Iterable[str] = (),
        check_revocation: bool = True,
        revocation: RevocationStore | None = None,
        sources: Iterable[Source] = (),
        end_with_token: bool = True,
        realm: str = "api",
        scheme_name: str = "JWTBearer",
        description: str | None = None,
    ) -> None:
        if not isinstance(optional, bool):
            raise SettingError("optional must be True or False")
        self.model = HTTPBearerModel(bearerFormat="JWT", description=description)
        self.scheme_name = scheme_name
        self._trust = None if config is None else trust_in(config)
        self._optional = optional
        if revocation is not None and (self._trust is None or not isinstance(revocation, RevocationStore)):
            raise SettingError("revocation must be a RevocationStore, beside a config; else it is the middleware's")
        self._revocation = revocation
        self._access = Access(
            type=type,
            fresh=fresh,
            allow=allow,
            deny=deny,
            scopes=scopes,
            check_revocation=check_revocation,
            sources=sources,
            end_with_token=end_with_token,
        )
        self._challenges = Challenges(realm, on_event=None if self._trust is None else self._trust.on_event)
        self._identity = (self._trust, revocation, optional, self._access, realm, scheme_name, description)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JWTBearer) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    async def __call__(self, connection: HTTPConnection, security_scopes: SecurityScopes) -> Token | None:
        """The token of the connection.

        Raises:
            TokenHTTPException: The request is refused.
            WebSocketException: The same for a websocket on a server that cannot send a denial response.
        """
        outcome = await self._outcome(connection)
        try:
            token = outcome.admit(
                connection.scope, self._access.with_scopes(security_scopes.scopes), optional=self._optional
            )
        except TokenError as error:
            answer = await outcome.challenges.respond(error)
            extensions = connection.scope.get("extensions") or {}
            if connection.scope["type"] == "websocket" and "websocket.http.response" not in extensions:
                raise WebSocketException(close_code(answer.status)) from error
            raise TokenHTTPException(error, answer) from error
        if self._trust is not None and token is not None:
            _hold_during(connection.scope, token)
        return token

    async def _outcome(self, connection: HTTPConnection) -> Outcome:
        scope, trust, access = connection.scope, self._trust, self._access
        if trust is None:
            outcome = outcome_under(scope, access)
            await outcome.prepare(scope, check_revocation=access.check_revocation)
            return outcome
        return await examined(
            scope,
            trust,
            self._challenges,
            self._revocation,
            check_revocation=access.check_revocation,
            sources=access.sources,
        )


def _hold_during(scope: MutableMapping[str, Any], token: Token) -> None:
    """Let `current_token()` be this access token until the request ends, where no middleware has said so."""
    # FastAPI ends here what its dependencies have opened with `yield`, after the response and its background tasks.
    stack: contextlib.AsyncExitStack | None = scope.get("fastapi_inner_astack")
    if stack is not None and token.type == "access" and token is not current_token():
        stack.callback(_release, hold(scope, token))


def _release(holder: TokenHolder) -> None:
    with contextlib.suppress(ValueError):  # a route class of the application has run the dependencies in another task
        holder.release()


CurrentToken: TypeAlias = Annotated[Token, Security(JWTBearer())]
"""In a handler, `token: CurrentToken` is the access token; without one, the handler does not run.

Short for `token: Annotated[Token, Security(JWTBearer())]`.
"""

OptionalToken: TypeAlias = Annotated[Optional[Token], Security(JWTBearer(optional=True))]  # noqa: UP045 -- evaluated, and Token | None is not an alias to every FastAPI
"""In a handler, `token: OptionalToken` is the access token, or None where none was sent. A bad one is refused.

Short for `token: Annotated[Token | None, Security(JWTBearer(optional=True))]`.
"""

_HIDDEN = "jwt_required_token"


def _guard(handler: Callable[..., Any], access: Access, optional: bool) -> Callable[..., Any]:
    """FastAPI reads what a handler wants from its signature, so the guard is a dependency in the signature."""
    bearer = JWTBearer(optional=optional, **access.rules)
    parameters = dict(inspect.signature(handler).parameters)
    name = "token" if "token" in parameters else _HIDDEN
    parameters.pop(name, None)
    guard = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Any, Security(bearer)])
    is_variadic = [parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()]
    where = is_variadic.index(True) if True in is_variadic else len(is_variadic)
    ordered = [*parameters.values()]
    ordered.insert(where, guard)

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop(_HIDDEN, None)
        return handler(*args, **kwargs)

    @functools.wraps(handler)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        return await call(*args, **kwargs)

    guarded: Callable[..., Any] = call_async if is_async_callable(handler) else call
    vars(guarded)["__signature__"] = inspect.signature(handler).replace(parameters=ordered)
    return guarded


jwt_required = decorator(_guard)
