"""Authenticate a request. A token is verified at most once, no matter how many guards ask.

Middlewares, guards and `get_token` ask `authenticate_request`. Where it is possible to wait, `complete_request` gets what
a result still needs.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from contextvars import Token as Reset
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol, overload

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.errors import NotGuardedError, TokenError
from asgi_jwt_claims.sources import DEFAULT_SOURCES
from asgi_jwt_claims.sources.forms import peek_form_field
from asgi_jwt_claims.stores.base import ask
from asgi_jwt_claims.tokens.issuers import MultiIssuerVerifier
from asgi_jwt_claims.tokens.token import NotAParameter, Token
from asgi_jwt_claims.tokens.unverified import fetch_keys
from asgi_jwt_claims.tokens.verification import verify_or_fetch

from .authenticator import Authenticator
from .options import ACCESS_TOKEN, OPTIONAL_TOKEN
from .result import NEEDS_FORM, NEEDS_KEYS, NEEDS_STORE, AuthResult
from .state import RequestAuth, find_request_auth, request_auth

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Receive
    from asgi_jwt_claims.config import JWTConfig
    from asgi_jwt_claims.responses import ErrorResponder

    from .options import Guard

__all__ = [
    "CURRENT_TOKEN",
    "HOLDERS_KEY",
    "HoldsToken",
    "TokenHolder",
    "authenticate_by",
    "authenticate_request",
    "authenticator_for",
    "complete_request",
    "current_token",
    "get_token",
    "holders_of",
    "is_preflight",
    "let_in",
    "scope_of",
]


def authenticator_for(scope: MutableMapping[str, Any], own: Authenticator) -> Authenticator:
    """Return the authenticator for the request of a guard that has a configuration of its own.

    A middleware with the same configuration says where to look, which store to ask and how to answer, unless the guard
    says it. If there is no middleware, the guard's authenticator becomes that of the request.

    Args:
        scope: The scope of the request.
        own: The guard's authenticator; without sources it looks where a middleware looks, or in the Authorization header.
    """
    first = find_request_auth(scope)
    if first is None:
        authenticator = own if own.sources else own.replace(DEFAULT_SOURCES, own.store)
        scope[SCOPE_KEY], scope["token"] = RequestAuth(authenticator), None
        return authenticator
    auth = first.for_scope(scope)
    around: RequestAuth | None = auth
    while around is not None:
        base = around.authenticator
        is_same = base.verifier == own.verifier
        if not is_same and isinstance(base.verifier, MultiIssuerVerifier):
            # The token of the scope may have chosen this one of several configurations.
            has_own = any(one is own.verifier for one in base.verifier)
            is_same = has_own and auth.result_for(scope, base).config is own.verifier
        if is_same:
            sources = own.sources or (DEFAULT_SOURCES if around.settings is None else base.sources)
            if sources == base.sources and own.store in (None, base.store):
                return base
            # A guard with a store of its own, and without sources, looks in the header alone, unlike the middleware.
            answers = own if around.settings is None else base
            store = base.store if own.store is None else own.store
            return Authenticator(own.verifier, own.sources or DEFAULT_SOURCES, store, answers.responder)
        around = around.outer
    # A middleware with further configurations, or another guard, may have a store that knows the revoked tokens.
    beside = (grant.authenticator for grant in auth.all_grants())
    stores = (one.store for one in beside if one.store is not None and one.accepts_tokens_of(own.verifier))
    store = next(stores, None) if own.store is None else own.store
    return own.replace(own.sources or DEFAULT_SOURCES, store)


def authenticate_request(scope: MutableMapping[str, Any], authenticator: Authenticator | None = None) -> AuthResult:
    """Return what has become of the credentials of this very scope. Never waits.

    Without an `authenticator`, that of the innermost middleware counts.

    Raises:
        NotGuardedError: There is no middleware.
    """
    return request_auth(scope).result_for(scope, authenticator)


async def complete_request(
    scope: MutableMapping[str, Any],
    result: AuthResult,
    receive: Receive | None = None,
    *,
    check_revocation: bool = True,
) -> tuple[AuthResult, Receive | None]:
    """Get what a result needs: keys, or an answer about the token, then a form, then the answer of the store.

    Each is asked for at most once.

    A forged token never causes a body to be read or a store to be asked.

    Args:
        scope: The scope of the request.
        result: What `authenticate_request` has returned for it.
        receive: The server's `receive`; None if the caller cannot read the body.
        check_revocation: Whether the caller wants to know if the token is revoked.

    Returns:
        The result that takes the place of `result`, and what the application receives by.
    """
    auth: RequestAuth = scope[SCOPE_KEY]
    own = auth.shared or auth
    grant = own if own.result is result else auth.grant_of(result)
    if grant is None:
        return result, receive
    authenticator, state, config = grant.authenticator, result.state, result.config
    if state is NEEDS_KEYS and config is not None:
        result = grant.replace(result, await _after_keys(scope, result, config, authenticator))
    token, credentials = result.token, result.credentials
    if result.state is NEEDS_FORM and receive is not None and token is not None and token.type == "access":
        field = None if credentials is None else credentials.csrf_field
        if isinstance(field, str):  # a source of the application may have put something else there
            receive = await peek_form_field(scope, receive, field)
            result = grant.replace(result, authenticator.after_form(result, scope))
            own.remember(own.result, scope)  # into which the value of the form has been written
    store = authenticator.store
    if result.state is NEEDS_STORE and check_revocation and not (store is None or token is None or config is None):
        try:
            answer: object = await ask(store, token, config)
        except TokenError as failed:
            answer = failed
        result = grant.replace(result, authenticator.after_question(result, answer))
    return result, receive


async def _after_keys(
    scope: MutableMapping[str, Any], result: AuthResult, config: JWTConfig, authenticator: Authenticator
) -> AuthResult:
    error, credentials = result.error, result.credentials
    try:
        if config.introspection is not None and credentials is not None:
            token = await verify_or_fetch(credentials.token, config, credentials.source)
            return authenticator.after_answer(result, token)
        if error is not None and credentials is not None and await fetch_keys(credentials.token, config, error):
            error = None
    except TokenError as refused:
        error = refused.with_traceback(None)
    return authenticator.after_fetch(scope, result, error)


async def authenticate_by(
    scope: MutableMapping[str, Any], own: Authenticator, *, check_revocation: bool = True
) -> tuple[AuthResult, ErrorResponder]:
    """Return the completed result of a guard with a configuration of its own, and what answers a refusal by it.

    See `authenticator_for`, and `complete_request`.
    """
    authenticator = authenticator_for(scope, own)
    result = authenticate_request(scope, authenticator)
    if result.state.needs is not None:
        result, _ = await complete_request(scope, result, check_revocation=check_revocation)
    request_auth(scope).fill(scope)
    return result, authenticator.responder


def let_in(scope: MutableMapping[str, Any], result: AuthResult, guard: Guard) -> Token | None:
    """Record that a guard lets the request in, and return the token; None if there is none, and the guard is optional.

    Raises:
        TokenError: The guard refuses the request.
    """
    error = request_auth(scope).decide(result, guard)
    if error is not None:
        raise error.with_traceback(None)
    return result.token


def is_preflight(scope: Mapping[str, Any]) -> bool:
    """Whether the innermost middleware takes the request for a CORS preflight, and lets such pass without a token."""
    if scope.get("method") != "OPTIONS":
        return False
    auth = find_request_auth(scope)
    return auth is not None and auth.settings is not None and auth.settings.lets_pass_as_preflight(scope)


def scope_of(connection: Any) -> Mapping[str, Any]:
    """Return the ASGI scope of a scope, request, connection or websocket.

    Raises:
        NotGuardedError: The object has no scope, or, on Sanic's own server, `install` has not prepared one.
    """
    if type(connection) is dict:
        return connection
    context = getattr(connection, "ctx", None)
    prepared = None if context is None else getattr(context, SCOPE_KEY, None)
    if prepared is not None and isinstance(prepared, Mapping):
        return prepared
    try:
        scope = connection.scope
    except (AttributeError, NotImplementedError):  # Sanic's request has the attribute even where it has no scope
        scope = connection
    if type(scope) is dict or isinstance(scope, Mapping):  # the first is nearly always true, and quick
        return scope
    raise NotGuardedError(
        f"{type(connection).__name__} has no ASGI scope; on Sanic's own server call asgi_jwt_claims.sanic.install first, "
        "whose guard runs before request middleware with a priority below 100"
    )


_NO_DEPENDENCY = NotAParameter(
    "Depends(get_token) needs the get_token of asgi_jwt_claims.fastapi; or write `token: CurrentToken` of the same module"
)


@overload
def get_token(request_or_scope: Any, *, optional: Literal[False] = ...) -> Token: ...


@overload
def get_token(request_or_scope: Any, *, optional: bool) -> Token | None: ...


def get_token(request_or_scope: Annotated[Any, _NO_DEPENDENCY], *, optional: bool = False) -> Token | None:
    """Return the access token of a request: the one that this very scope offers.

    A scope that was copied with other headers, another query or another kind of method is examined anew, while its
    `scope["token"]` stays what was copied.

    Args:
        request_or_scope: An ASGI scope, or any framework's request or websocket object.
        optional: Whether to return None for a request without a token. A bad token is an error all the same.

    Raises:
        TokenError: What was wrong with the credentials; `MissingTokenError` when there were none.
        NotGuardedError: Neither a middleware nor `install` has prepared the request.
    """
    scope: Any = scope_of(request_or_scope)
    auth = request_auth(scope)
    result = (auth.shared or auth).result or auth.result_for(scope)
    if result is not auth.passed or result.token is None:
        if result.state is NEEDS_KEYS:
            result = auth.result_for(scope)
        error = result.refusal(OPTIONAL_TOKEN if optional else ACCESS_TOKEN)
        if error is not None:
            auth.note(error)  # the middleware answers with it, where a framework makes an error 500 of it
            raise error.with_traceback(None)
        auth.grant(result)
    return result.token


# The current token, for code that has no request at hand ----------------------------------------------------------------


class HoldsToken(Protocol):
    """An object that has the token of one request."""

    @property
    def token(self) -> Token | None:
        """The token; None if there is none, or the request has ended."""

    @token.setter
    def token(self, token: Token | None) -> None: ...


CURRENT_TOKEN: ContextVar[HoldsToken | None] = ContextVar("asgi_jwt_claims_current_token", default=None)
"""What `current_token()` asks.

Tasks and threads that start in a request inherit its context, and may outlive it. They inherit this object and not the
token itself, so that the end of the request can take the token from all of them.
"""

HOLDERS_KEY: Final = "asgi_jwt_claims.holders"
"""The scope key of all objects that have the token of the request: a renewed token has to get into each."""


class TokenHolder:
    """Let `current_token()` be the token of a request, in this task and in what starts in it.

    At the end of the request its `token` becomes None, and `CURRENT_TOKEN` is reset to `before`.
    """

    __slots__ = ("before", "token")

    def __init__(self, scope: MutableMapping[str, Any], token: Token | None) -> None:
        self.token = token
        scope[HOLDERS_KEY] = (*holders_of(scope), self) if HOLDERS_KEY in scope else (self,)
        self.before: Reset[HoldsToken | None] = CURRENT_TOKEN.set(self)


def holders_of(scope: Mapping[str, Any]) -> tuple[HoldsToken, ...]:
    """Return all objects that have the token of the request; none if the key holds something that is not ours."""
    holders = scope.get(HOLDERS_KEY)
    return holders if type(holders) is tuple else ()


def current_token() -> Token | None:
    """Return the access token of the request being handled; None if there is none.

    `JWTMiddleware`, `install` and a `JWTBearer(config)` without a middleware set it. It is None before they have looked
    at the request and after the request has ended, also in tasks and threads that were started in it. A token that only
    a guard has looked at on an exempt path is not here: ask `get_token`.
    """
    holder = CURRENT_TOKEN.get()
    return None if holder is None else holder.token
