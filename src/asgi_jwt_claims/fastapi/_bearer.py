"""`JWTBearer`, the security dependency whose value is the token; its aliases, and its names in the OpenAPI document."""

# No `from __future__ import annotations` here: FastAPI evaluates the annotations of a dependency's `__call__`, and for
# an instance it has no module to evaluate them in.

import contextlib
import inspect
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Annotated, Any, NamedTuple, Optional, Self, TypeAlias, Unpack

from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from asgi_jwt_claims.access.policy import AccessPolicy, naming_scopes
from asgi_jwt_claims.auth.authenticator import Authenticator
from asgi_jwt_claims.auth.options import Guard, GuardOptions, takes_options
from asgi_jwt_claims.auth.request import (
    CURRENT_TOKEN,
    TokenHolder,
    authenticate_by,
    complete_request,
    current_token,
    is_preflight,
)
from asgi_jwt_claims.auth.routes import check_routes
from asgi_jwt_claims.auth.state import request_auth
from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import SettingError, TokenError
from asgi_jwt_claims.responses import ErrorResponder, ErrorResponse, close_code
from asgi_jwt_claims.runtime.imports import needs
from asgi_jwt_claims.sources import DEFAULT_SOURCES, BearerHeader, Cookie, Source
from asgi_jwt_claims.sources._credentials import schemes_of
from asgi_jwt_claims.stores.base import TokenStore
from asgi_jwt_claims.tokens.issuers import verifier_for
from asgi_jwt_claims.tokens.token import NotAParameter, Token

with needs("fastapi"):
    from fastapi import HTTPException, Security, WebSocketException
    from fastapi.openapi.models import APIKey, HTTPBase, HTTPBearer, OAuth2, OAuthFlowPassword, OAuthFlows
    from fastapi.openapi.models import SecurityBase as SchemeModel
    from fastapi.security import SecurityScopes
    from fastapi.security.base import SecurityBase


__all__ = ["CurrentToken", "JWTBearer", "OptionalToken", "TokenHTTPException", "guards_below"]


SCHEME_NAME = re.compile(r"[A-Za-z0-9._-]+")  # OpenAPI Specification 3.1.0 section 4.8.7: the name of a component


class Scheme(SecurityBase):
    """One place where a token may be offered, as the OpenAPI document names it."""

    def __init__(self, scheme_name: str, model: SchemeModel) -> None:
        self.scheme_name, self.model = scheme_name, model

    async def __call__(self) -> None:
        """Nothing: `JWTBearer` has looked there."""


class Wording(NamedTuple):
    """What a guard wants the OpenAPI document to say of it."""

    scheme_name: str | None
    description: str | None
    token_url: str | None

    def schemes(self, sources: Iterable[Source]) -> list[Scheme]:
        """The schemes of these sources. OpenAPI describes no WebSockets and no functions; if all are such, the header is named."""
        models = dict(filter(None, map(self._scheme, sources))) or dict([self._scheme(BearerHeader())])  # type: ignore[list-item]  # which is described
        names = [*models]
        if self.scheme_name is not None:
            names = [self.scheme_name, *(f"{self.scheme_name}-{name}" for name in names[1:])]
        return [Scheme(name, model) for name, model in zip(names, models.values(), strict=True)]

    def _scheme(self, source: Source) -> tuple[str, SchemeModel] | None:
        if isinstance(source, Cookie):
            return _name("JWTCookie", source.name, Cookie().name), self._api_key("cookie", source.name)
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
    return kind if place == default else f"{kind}-{'_'.join(SCHEME_NAME.findall(place))}"


class TokenHTTPException(HTTPException):
    """How a dependency refuses.

    FastAPI renders it as any `HTTPException`, `{"detail": {"error": ...}}`; after `install` it becomes the middleware's
    own answer, `{"error": ...}`.

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


@takes_options(GuardOptions, Guard, AccessPolicy)
class JWTBearer(SecurityBase):
    """A security dependency whose value is the `Token`.

    Works for http and websocket, on routes, routers and applications, below other dependencies, with
    `Security(..., scopes=[...])`, and with or without a middleware: a token is verified once for each configuration. The
    OpenAPI document names each place where the token may be.

    Two of them with the same arguments are equal, so `app.dependency_overrides[JWTBearer()]` finds `CurrentToken`.

    Args:
        config: Keys, parties, times and names; several for several issuers. None for those of the middleware that
            `install` has added.
        store: The `TokenStore` that knows which tokens are revoked, beside a `config`. Its background work needs a middleware.
        realm: Named in `WWW-Authenticate` where no middleware has the same configuration.
        scheme_name: What the OpenAPI document calls the scheme, where the names of further sources begin with it. None for
            `JWTBearer`, `JWTCookie`, `JWTPassword-` and the address, or `JWTHeader-` and the header's name.
        description: What the document says about it.
        token_url: The address, relative to the application, of a login that takes a form with `username` and `password`
            and answers with a `TokenPair` (RFC 6749 section 4.3), for the documentation page to log in by itself. For
            the Authorization header.
        options: Those of `GuardOptions`. Beside a `config`, no `sources` means the Authorization header unless a
            middleware looks elsewhere. Without a middleware a connection ends with its token in any case.

    Raises:
        SettingError: An option cannot be used.
    """

    def __init__(
        self,
        config: Annotated[
            JWTConfig | Iterable[JWTConfig] | None,
            NotAParameter("JWTBearer is a class: Depends(JWTBearer()) and Security(JWTBearer()) have parentheses"),
        ] = None,
        *,
        store: TokenStore | None = None,
        realm: str = "api",
        scheme_name: str | None = None,
        description: str | None = None,
        token_url: str | None = None,
        **options: Unpack[GuardOptions],
    ) -> None:
        verifier = None if config is None else verifier_for(config)
        if store is not None and (verifier is None or not isinstance(store, TokenStore)):
            raise SettingError("store must be a TokenStore, beside a config; else it is the middleware's")
        if scheme_name is not None and (not isinstance(scheme_name, str) or SCHEME_NAME.fullmatch(scheme_name) is None):
            raise SettingError("scheme_name must consist of letters, digits, dots, hyphens and underscores")
        guard = Guard(**options)
        schemes = schemes_of(guard.sources or DEFAULT_SOURCES)
        responder = ErrorResponder(realm, listeners=None if verifier is None else verifier.on_event, schemes=schemes)
        wants_header = not guard.sources or BearerHeader() in guard.sources
        if token_url is not None and (not token_url or not isinstance(token_url, str) or not wants_header):
            raise SettingError('token_url must be the address of a login such as "login", for the Authorization header')
        self._authenticator = None if verifier is None else Authenticator(verifier, guard.sources, store, responder)
        self._realm = realm
        self._wording = Wording(scheme_name, description, token_url)
        self._use(guard)

    @classmethod
    def of(cls, guard: Guard) -> Self:
        """Return a dependency with this guard that trusts the middleware."""
        bearer = cls()
        bearer._use(guard)
        return bearer

    def _use(self, guard: Guard) -> None:
        self._guard = guard
        self._guards: dict[tuple[str, ...], Guard] = {(): guard}
        self._identity = (self._authenticator, guard, self._realm, self._wording)
        first, *others = self._wording.schemes(self._guard.sources or DEFAULT_SOURCES)
        self.scheme_name, self.model = first.scheme_name, first.model
        self.scheme_names = frozenset([first.scheme_name, *(one.scheme_name for one in others)])
        # FastAPI reads from its signature what a dependency depends on, and documents every scheme that it finds there.
        own = [one for one in inspect.signature(self.__call__).parameters.values() if one.kind is not one.VAR_KEYWORD]
        kind = inspect.Parameter.KEYWORD_ONLY
        for number, one in enumerate(others):
            own.append(inspect.Parameter(f"scheme_{number}", kind, annotation=Annotated[None, Security(one)]))
        self.__signature__ = inspect.Signature(own)

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
        scope, app = connection.scope, connection.scope.get("app")
        wanted = tuple(security_scopes.scopes)
        guard = self._guards.get(wanted)
        if guard is None:  # the application writes few different ones
            guard = self._guards[wanted] = self._guard.with_scopes(wanted)
        if self._authenticator is not None:
            if isinstance(app, Starlette) and app not in _checked:  # there may be no middleware to do so
                check_routes(app)
                _checked.add(app)
            checks = guard.check_revocation
            result, responder = await authenticate_by(scope, self._authenticator, check_revocation=checks)
            auth = request_auth(scope)
        else:
            auth = request_auth(scope)
            responder = auth.authenticator.responder
            result = auth.result_for(scope, auth.authenticator_with(guard.sources))
            if result.state.needs is not None:
                result, _ = await complete_request(scope, result, check_revocation=guard.check_revocation)
        if is_preflight(scope):
            return None  # the handler runs without a token, which a preflight never has
        error = result.refusal(guard)
        if error is not None:
            auth.note(None)  # this answer has to stay
            error = naming_scopes(error, (*self._demanded_by_route(scope), *guard.policy.scopes))
            answer = await responder.respond(error, scope)
            if scope["type"] == "websocket" and "websocket.http.response" not in (scope.get("extensions") or {}):
                raise WebSocketException(close_code(answer.status)) from error
            raise TokenHTTPException(error, answer) from error
        auth.grant(result, guard)
        if auth.untold is not None:
            await auth.tell_accepted(scope)
        if auth.settings is None and result.token is not None:
            _hold_during(scope, result.token)
        return result.token

    def _demanded_by_route(self, scope: Mapping[str, Any]) -> Iterator[str]:
        """The scopes that all guards of the route demand of this token, in the order in which they are asked."""
        included = scope.get("fastapi", {}).get("effective_route_context")  # the route as a router has included it
        for route in (included, getattr(included, "starlette_route", None), scope.get("route")):
            dependant = getattr(route, "dependant", None)
            if dependant is not None:
                for guard, scopes in guards_below(dependant):
                    both = (guard._authenticator, self._authenticator)  # noqa: SLF001 -- of this very class
                    if both[0] is None or both[1] is None or both[0].verifier == both[1].verifier:
                        yield from (*guard._guard.policy.scopes, *scopes)  # noqa: SLF001 -- of this very class
                return

    @property
    def looks_where_middleware_does(self) -> bool:
        """Whether it has neither a configuration nor sources of its own."""
        return self._authenticator is None and not self._guard.sources

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes without which it lets no token in, but for those of `Security(..., scopes=[...])`."""
        return self._guard.policy.scopes

    def places(self, sources: Iterable[Source]) -> list[Scheme]:
        """How the OpenAPI document names these sources, if it is this guard that looks there."""
        return self._wording.schemes(sources)


_checked: weakref.WeakSet[Any] = weakref.WeakSet()
"""The applications whose routes have been looked at."""


def _hold_during(scope: MutableMapping[str, Any], token: Token) -> None:
    """Let `current_token()` be this access token until the request ends, where no middleware has said so."""
    # FastAPI ends here what its dependencies have opened with `yield`, after the response and its background tasks.
    stack: contextlib.AsyncExitStack | None = scope.get("fastapi_inner_astack")
    if stack is not None and token.type == "access" and token is not current_token():
        stack.callback(_release, TokenHolder(scope, token))


def _release(holder: TokenHolder) -> None:
    holder.token = None
    with contextlib.suppress(ValueError):  # a route class of the application has run the dependencies in another task
        CURRENT_TOKEN.reset(holder.before)


CurrentToken: TypeAlias = Annotated[Token, Security(JWTBearer())]
"""In a handler, `token: CurrentToken` is the access token; without one, the handler does not run."""


OptionalToken: TypeAlias = Annotated[Optional[Token], Security(JWTBearer(optional=True))]  # noqa: UP045 -- evaluated, and Token | None is not an alias to every FastAPI
"""In a handler, `token: OptionalToken` is the access token, or None where none was sent. A bad one is refused."""


def guards_below(dependant: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[JWTBearer, tuple[str, ...]]]:
    """The guards among the dependencies of a route, each with the scopes of the `Security` above it."""
    for below in dependant.dependencies:
        scopes = (*above, *(below.own_oauth_scopes or ()))
        if isinstance(below.call, JWTBearer):
            yield below.call, scopes
        yield from guards_below(below, scopes)
