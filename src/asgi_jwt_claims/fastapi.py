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
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional, TypeAlias, TypeVar, cast

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import Response

from . import starlette
from .access.policy import AccessPolicy, naming_scopes
from .auth import request as core
from .auth.guard import (
    annotation_of_token,
    check_routes,
    decorator,
    is_async_callable,
    mark_path_parameter,
    may_be_token,
)
from .auth.request import (
    Outcome,
    TokenHolder,
    current_token,
    examined,
    forget_error,
    is_guarded,
    is_preflight,
    outcome_under,
)
from .config import JWTConfig
from .errors import MissingScopeError, SettingError, TokenError
from .middleware import with_options
from .responses import ErrorResponder, ErrorResponse, close_code
from .runtime.extras import needs
from .sources import DEFAULT_SOURCES
from .sources._credentials import Source
from .sources.cookie import Cookie
from .sources.header import BearerHeader
from .stores.base import TokenStore
from .tokens.issuers import verifier_for
from .tokens.token import NotAParameter, Token

with needs("fastapi"):
    from fastapi import FastAPI, HTTPException, Security, WebSocketException, routing
    from fastapi.encoders import jsonable_encoder
    from fastapi.openapi.models import (
        APIKey,
        HTTPBase,
        HTTPBearer,
        OAuth2,
        OAuthFlowPassword,
        OAuthFlows,
    )
    from fastapi.openapi.models import SecurityBase as SchemeModel
    from fastapi.params import Depends
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase
    from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from typing import Unpack

    from .auth.authenticator import GateOptions

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

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

_DEFAULT_COOKIE = Cookie().name
_NAME = re.compile(r"[A-Za-z0-9._-]+")  # OpenAPI Specification 3.1.0 section 4.8.7: the name of a component


class TokenHTTPException(HTTPException):
    """How a dependency refuses.

    FastAPI renders it as any `HTTPException`, `{"detail": {"error": ...}}`, with the right status and
    `WWW-Authenticate`; after `install`, as the middleware's own answer, `{"error": ...}`.

    Attributes:
        error: Why the request was refused.
        response: The middleware's answer to it.
    """

    def __init__(self, error: TokenError, answer: ErrorResponse) -> None:
        detail = {"error": error.error or "unauthorized", "error_description": error.description}
        headers = {name: value for name, value in answer.headers if name not in ("content-type", "content-length")}
        super().__init__(answer.status, detail=detail, headers=headers)
        self.error = error
        self.response = answer


def install(app: FastAPI, config: JWTConfig | Iterable[JWTConfig], **options: "Unpack[GateOptions]") -> None:
    """Put `JWTMiddleware` into `app`, and let guards refuse with the same answers.

    With `required=True` the documentation pages are guarded too, unless they are `exempt`. The middleware that is added
    last runs first: add `CORSMiddleware` after this, so that it gets its preflights and refusals carry its headers.
    Applications that are mounted in `app` when it starts answer in the same way.

    The OpenAPI document then names the places where the middleware looks for tokens, and says which operations may
    answer 401 and 403 (`describe_guards`).

    Args:
        app: An application that has not started.
        config: Keys, parties, times and names; several for several issuers.
        options: Those of `JWTMiddleware`, listed below.

    Raises:
        SettingError: An argument cannot be used. When the application starts: `jwt_required` stands above the route
            decorator of a handler.
    """
    handlers: Any = {TokenError: starlette.token_error_handler, TokenHTTPException: _plain_answer}
    gate = starlette.install_with(app, FastAPI, config, options, handlers)
    describe_guards(app, gate.sources)


install.__doc__ = with_options(install.__doc__)


def _plain_answer(_: Any, error: Exception) -> Response:
    if not isinstance(error, TokenHTTPException):
        raise error
    return starlette.to_response(error.response)


class _Scheme(SecurityBase):
    """One place where a token may be offered, as the OpenAPI document names it."""

    def __init__(self, scheme_name: str, model: SchemeModel) -> None:
        self.scheme_name, self.model = scheme_name, model

    async def __call__(self) -> None:
        """Nothing: `JWTBearer` has looked there."""


class _Wording(NamedTuple):
    """What a guard wants the OpenAPI document to say of it."""

    scheme_name: str | None
    description: str | None
    token_url: str | None

    def schemes(self, sources: Iterable[Source]) -> list[_Scheme]:
        """The schemes of these sources. OpenAPI describes no WebSockets and no functions; if all are such, the header is named."""
        models = dict(filter(None, map(self._scheme, sources))) or dict([self._scheme(BearerHeader())])  # type: ignore[list-item]  # which is described
        names = [*models]
        if self.scheme_name is not None:
            names = [self.scheme_name, *(f"{self.scheme_name}-{name}" for name in names[1:])]
        return [_Scheme(name, model) for name, model in zip(names, models.values(), strict=True)]

    def _scheme(self, source: Source) -> tuple[str, SchemeModel] | None:
        if isinstance(source, Cookie):
            return _name("JWTCookie", source.name, _DEFAULT_COOKIE), self._api_key("cookie", source.name)
        if not isinstance(source, BearerHeader):
            return None
        if source.name != "authorization" or not source.scheme:
            return _name("JWTHeader", source.name), self._api_key("header", source.name)
        if source.scheme != "bearer":
            return _name("JWTHeader", source.scheme), HTTPBase(scheme=source.scheme, description=self.description)
        if self.token_url is None:
            return "JWTBearer", HTTPBearer(bearerFormat="JWT", description=self.description)
        flows = OAuthFlows(password=OAuthFlowPassword(tokenUrl=self.token_url))
        return _name("JWTPassword", self.token_url), OAuth2(flows=flows, description=self.description)

    def _api_key(self, place: str, name: str) -> SchemeModel:
        return APIKey.model_validate({"in": place, "name": name, "description": self.description})


def _name(kind: str, place: str, default: str | None = None) -> str:
    return kind if place == default else f"{kind}-{'_'.join(_NAME.findall(place))}"


class JWTBearer(SecurityBase):
    """A security dependency whose value is the `Token`.

    Works for http and websocket, on routes, routers and applications, below other dependencies, with
    `Security(..., scopes=[...])`, and with or without a middleware: whatever has verified the token before, under the
    same configuration, is asked instead. The OpenAPI document names each place where the token may be: the bearer scheme
    for the Authorization header, an API key for a cookie or another header.

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
        store: What knows which tokens are revoked, beside a `config`. Its background work needs a middleware.
        sources: Where the token may have been offered; empty: wherever the middleware looks, or, beside a `config`, in
            the Authorization header.
        end_with_token: False: a websocket, or a `text/event-stream` response, goes on when its token expires or is
            revoked. Without a middleware it does so in any case.
        realm: Named in `WWW-Authenticate` where there is no middleware.
        scheme_name: What the OpenAPI document calls the scheme; None: `JWTBearer`, `JWTCookie`, `JWTPassword-` and the
            address, or `JWTHeader-` and the header's name. The first of several sources gets the name; those of others begin with it.
        description: What the document says about it.
        token_url: The address of the login, relative to the application, that takes a form with `username` and
            `password` and answers with a `TokenPair` (RFC 6749 section 4.3). The documentation page then logs in by
            itself. For the Authorization header.

    Raises:
        SettingError: Rules that make no sense.
    """

    def __init__(  # noqa: PLR0913 -- what may be said about a guard, all of it by name
        self,
        config: Annotated[
            JWTConfig | Iterable[JWTConfig] | None,
            NotAParameter("JWTBearer is a class: Depends(JWTBearer()) and Security(JWTBearer()) have parentheses"),
        ] = None,
        *,
        optional: bool = False,
        fresh: bool | timedelta = False,
        type: str = "access",  # noqa: A002 -- the field's name
        allow: str | Iterable[str] | None = None,
        deny: str | Iterable[str] | None = None,
        scopes: str | Iterable[str] = (),
        check_revocation: bool = True,
        store: TokenStore | None = None,
        sources: Iterable[Source] = (),
        end_with_token: bool = True,
        realm: str = "api",
        scheme_name: str | None = None,
        description: str | None = None,
        token_url: str | None = None,
    ) -> None:
        if not isinstance(optional, bool):
            raise SettingError("optional must be True or False")
        self._trust = None if config is None else verifier_for(config)
        self._optional = optional
        if store is not None and (self._trust is None or not isinstance(store, TokenStore)):
            raise SettingError("store must be a TokenStore, beside a config; else it is the middleware's")
        self._store = store
        self._access = AccessPolicy(
            type=type,
            fresh=fresh,
            allow=allow,
            deny=deny,
            scopes=scopes,
            check_revocation=check_revocation,
            sources=sources,
            end_with_token=end_with_token,
        )
        self._challenges = ErrorResponder(realm, listeners=None if self._trust is None else self._trust.on_event)
        if scheme_name is not None and (not isinstance(scheme_name, str) or _NAME.fullmatch(scheme_name) is None):
            raise SettingError("scheme_name must consist of letters, digits, dots, hyphens and underscores")
        wants_header = not self._access.sources or BearerHeader() in self._access.sources
        if token_url is not None and (not token_url or not isinstance(token_url, str) or not wants_header):
            raise SettingError('token_url must be the address of a login such as "login", for the Authorization header')
        self._wording = _Wording(scheme_name, description, token_url)
        self._identity = (self._trust, store, optional, self._access, realm, self._wording)
        first, *others = self._wording.schemes(self._access.sources or DEFAULT_SOURCES)
        self.scheme_name, self.model = first.scheme_name, first.model
        # FastAPI reads from its signature what a dependency depends on, and documents every scheme that it finds there.
        own = [one for one in inspect.signature(self.__call__).parameters.values() if one.kind is not one.VAR_KEYWORD]
        alternatives = [
            inspect.Parameter(
                f"scheme_{number}", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[None, Security(one)]
            )
            for number, one in enumerate(others)
        ]
        self.__signature__ = inspect.Signature([*own, *alternatives])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JWTBearer) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    async def __call__(
        self,
        connection: HTTPConnection,
        security_scopes: SecurityScopes,
        **schemes: None,  # noqa: ARG002 -- FastAPI passes the values of all dependencies; these have none
    ) -> Token | None:
        """The token of the connection.

        Raises:
            TokenHTTPException: The request is refused.
            WebSocketException: The same for a websocket on a server that cannot send a denial response.
        """
        if self._trust is not None:  # so there may be no middleware, which would have looked at all routes
            _check_once(connection.scope.get("app"))
        outcome = await self._outcome(connection)
        if is_preflight(connection.scope):
            return None  # the handler runs without a token, which a preflight never has
        access = self._access.with_scopes(security_scopes.scopes)
        try:
            token = outcome.admit(connection.scope, access, optional=self._optional)
        except TokenError as error:
            forget_error(connection.scope)
            refusal = error
            if isinstance(error, MissingScopeError):
                refusal = naming_scopes(error, (*self._demanded_by_route(connection.scope), *access.scopes))
            answer = await outcome.challenges.respond(refusal, connection.scope)
            extensions = connection.scope.get("extensions") or {}
            if connection.scope["type"] == "websocket" and "websocket.http.response" not in extensions:
                raise WebSocketException(close_code(answer.status)) from error
            raise TokenHTTPException(refusal, answer) from error
        if outcome.is_untold:
            await outcome.tell_accepted(connection.scope)
        if self._trust is not None and token is not None and not is_guarded(connection.scope):
            _hold_during(connection.scope, token)
        return token

    def _demanded_by_route(self, scope: Mapping[str, Any]) -> Iterator[str]:
        """The scopes that all guards of the route demand of this token, in the order in which they are asked."""
        included = scope.get("fastapi", {}).get("effective_route_context")  # the route as a router has included it
        for route in (included, getattr(included, "starlette_route", None), scope.get("route")):
            dependant = getattr(route, "dependant", None)
            if dependant is not None:
                for guard, scopes in _guards_below(dependant):
                    trusts = (guard._trust, self._trust)  # noqa: SLF001 -- of this very class
                    if None in trusts or trusts[0] == trusts[1]:
                        yield from (*guard._access.scopes, *scopes)  # noqa: SLF001 -- of this very class
                return

    @property
    def looks_where_middleware_does(self) -> bool:
        """Whether it has neither a configuration nor sources of its own."""
        return self._trust is None and not self._access.sources

    def places(self, sources: Iterable[Source]) -> list[_Scheme]:
        """How the OpenAPI document names these sources, if it is this guard that looks there."""
        return self._wording.schemes(sources)

    async def _outcome(self, connection: HTTPConnection) -> Outcome:
        scope, trust, access = connection.scope, self._trust, self._access
        if trust is None:
            outcome = outcome_under(scope, access)
            if not outcome.attended:
                await outcome.prepare(scope, check_revocation=access.check_revocation)
            return outcome
        return await examined(
            scope,
            trust,
            self._challenges,
            self._store,
            check_revocation=access.check_revocation,
            sources=access.sources,
        )


_checked: weakref.WeakSet[Any] = weakref.WeakSet()
"""The applications whose routes have been looked at."""


def _check_once(app: object) -> None:
    if isinstance(app, Starlette) and app not in _checked:
        check_routes(app)
        _checked.add(app)


def _hold_during(scope: MutableMapping[str, Any], token: Token) -> None:
    """Let `current_token()` be this access token until the request ends, where no middleware has said so."""
    # FastAPI ends here what its dependencies have opened with `yield`, after the response and its background tasks.
    stack: contextlib.AsyncExitStack | None = scope.get("fastapi_inner_astack")
    if stack is not None and token.type == "access" and token is not current_token():
        stack.callback(_release, TokenHolder(scope, token))


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


def _guards_below(dependant: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[JWTBearer, tuple[str, ...]]]:
    """The guards among the dependencies of a route, each with the scopes of the `Security` above it."""
    for below in dependant.dependencies:
        scopes = (*above, *(below.own_oauth_scopes or ()))
        if isinstance(below.call, JWTBearer):
            yield below.call, scopes
        yield from _guards_below(below, scopes)


def _usable_as_dependency(function: HandlerT) -> HandlerT:
    """`get_token`, with a signature by which FastAPI gives it the value of `CurrentToken`."""

    @functools.wraps(function)
    def call(request_or_scope: Any, *, optional: bool = False) -> Token | None:
        if isinstance(request_or_scope, Token):
            return request_or_scope
        return cast("Token | None", function(request_or_scope, optional=optional))

    parameter = inspect.Parameter("request_or_scope", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=CurrentToken)
    vars(call)["__signature__"] = inspect.Signature([parameter])
    return cast("HandlerT", call)


get_token = _usable_as_dependency(core.get_token)
"""`get_token(request)` as everywhere; and `Depends(get_token)`, which is the same as `CurrentToken`."""

_HIDDEN = "jwt_required_token"


def _guard(handler: Callable[..., Any], access: AccessPolicy, optional: bool) -> Callable[..., Any]:
    """FastAPI reads what a handler wants from its signature, so the guard is a dependency in the signature."""
    bearer = JWTBearer(optional=optional, **access.rules)
    parameters = dict(inspect.signature(handler).parameters)
    passes_token = _receives_token(handler, parameters.get("token"))
    name = "token" if passes_token else _HIDDEN
    while name in parameters and not passes_token:  # that of another guard
        name += "_"
    parameters.pop(name, None)
    guard = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Any, Security(bearer)])
    is_variadic = [parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()]
    where = is_variadic.index(True) if True in is_variadic else len(is_variadic)
    ordered = [*parameters.values()]
    ordered.insert(where, guard)

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


# The OpenAPI document -------------------------------------------------------------------------------------------------


def describe_guards(app: FastAPI, sources: Iterable[Source] = DEFAULT_SOURCES) -> None:
    """Let the OpenAPI document of `app` say which operations may answer 401 and 403, and where tokens may be.

    `install` does so. This is for an application without it: one that `JWTBearer(config)` guards, or that is mounted in
    another application.

    Args:
        app: The application. Its operations may be added later.
        sources: Those of the middleware around it, which guards without sources of their own have.

    Raises:
        SettingError: `sources` are none.
    """
    places = AccessPolicy(sources=sources).sources
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        # FastAPI keeps the document that it has made, so this runs again on what it has already changed.
        document = generate()
        replaced: set[str] = set()
        # A FastAPI that keeps included routers as they are has a function for their routes; an older one copies them.
        for route in getattr(routing, "iter_route_contexts", iter)(app.routes):
            dependant = getattr(route, "dependant", None)
            guards = [guard for guard, _ in _guards_below(dependant)] if dependant is not None else []
            operations = document.get("paths", {}).get(getattr(route, "path_format", None), {})
            for method in getattr(route, "methods", None) or ():
                if guards and method.lower() in operations:
                    replaced |= _describe_operation(document, operations[method.lower()], guards, places)
        _forget_schemes(document, replaced)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI wants it


def _describe_operation(
    document: dict[str, Any], operation: dict[str, Any], guards: list[JWTBearer], sources: tuple[Source, ...]
) -> set[str]:
    """Say what an operation answers, and name the sources of the middleware where guards have none of their own.

    Returns:
        The names of the schemes that those of the middleware take the place of.
    """
    responses = operation.setdefault("responses", {})
    responses.setdefault("401", {"description": "The token is missing, or not valid."})
    responses.setdefault("403", {"description": "The token does not allow this."})
    places = {guard.scheme_name: guard.places(sources) for guard in guards if guard.looks_where_middleware_does}
    kept = {guard.scheme_name for guard in guards if not guard.looks_where_middleware_does}
    requirements = operation.get("security", [])
    security: list[dict[str, list[str]]] = []
    for requirement in requirements:
        name, scopes = next(iter(requirement.items()), ("", []))
        found = places.get(name, []) if len(requirement) == 1 else []
        alternatives: list[dict[str, list[str]]] = [{scheme.scheme_name: scopes} for scheme in found]
        if not found or name in kept:
            alternatives.append(requirement)
        security += [alternative for alternative in alternatives if alternative not in security]
        for scheme in found:
            model = jsonable_encoder(scheme.model, by_alias=True, exclude_none=True)
            _schemes_of(document)[scheme.scheme_name] = model
    requirements[:] = security
    return set(places)


def _forget_schemes(document: dict[str, Any], names: set[str]) -> None:
    """Leave out those of the schemes that nothing in the document names any more."""
    for name in names.difference(*_requirements_in(document)):
        _schemes_of(document).pop(name, None)


def _requirements_in(part: Any) -> Iterator[Any]:
    """All security requirements in a part of the document: of operations, and of callbacks and webhooks as well."""
    if isinstance(part, dict):
        for name, inner in part.items():
            if name == "security" and isinstance(inner, list):
                yield from inner
            else:
                yield from _requirements_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _requirements_in(inner)


def _schemes_of(document: dict[str, Any]) -> dict[str, Any]:
    schemes: dict[str, Any] = document.setdefault("components", {}).setdefault("securitySchemes", {})
    return schemes
