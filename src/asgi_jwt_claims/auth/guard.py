"""Guard handlers: `jwt_required` for every framework that has an adapter, and `require` for all others."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar, cast, overload

from asgi_jwt_claims.access.policy import AccessPolicy
from asgi_jwt_claims.errors import NotGuardedError, SettingError, TokenError
from asgi_jwt_claims.tokens.token import NotAParameter, Token

from .options import Guard, GuardOptions, takes_options
from .request import complete_request, is_preflight, scope_of
from .routes import name_of, note_guarded
from .state import request_auth

if TYPE_CHECKING:
    from typing import Unpack

    from asgi_jwt_claims.access import Rule
    from asgi_jwt_claims.responses import ErrorResponse

__all__ = [
    "JWTRequired",
    "annotation_of_token",
    "ask_guard",
    "check_token_argument",
    "decorator",
    "error_response_for",
    "guard_handler",
    "is_async_callable",
    "may_be_token",
    "pass_guard",
    "pass_guard_now",
    "require",
    "takes_token",
]


HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
Wrap = Callable[[Callable[..., Any], Guard], Callable[..., Any]]
Refuse = Callable[[Any, "ErrorResponse", tuple[Any, ...]], Awaitable[Any]]
Call = Callable[..., Awaitable[Any]]

_NO_DEPENDENCY = NotAParameter(
    "jwt_required decorates handlers and is no dependency: write `token: CurrentToken`, or "
    "Depends(JWTBearer(...)), both of asgi_jwt_claims.fastapi"
)
_NO_DEPENDENCY_EITHER = NotAParameter(
    "Depends(require) has no request: write `token: CurrentToken`, or Depends(JWTBearer(scopes=...)), both of "
    "asgi_jwt_claims.fastapi, or call require(request, ...) in the handler"
)
_SHORT = frozenset({str, bool, types.NoneType, timedelta})  # no classes of their own, which may be equal and differ
_class_of: Callable[[object], type[Any]] = type
_Handler = Annotated[Callable[..., Any], _NO_DEPENDENCY]

_SCOPES: Final = "__jwt_scopes__"
"""The attribute of a guarded handler with the scopes that its guard and the guards inside it demand."""


def require(
    request_or_scope: Annotated[Any, _NO_DEPENDENCY_EITHER],
    rule: Rule | None = None,
    *,
    scopes: str | Iterable[str] = "",
    allow: str | Iterable[str] | None = None,
    deny: str | Iterable[str] | None = None,
    fresh: bool | timedelta = False,
    type: str = "access",  # noqa: A002 -- the name of the option everywhere
) -> Token:
    """Return the token of a request, if it fulfils all that is demanded. For handlers of any framework.

    It asks as `jwt_required` does, but never waits. Below the middleware its errors become answers by themselves.

    Args:
        request_or_scope: An ASGI scope, or any framework's request or websocket object.
        rule: A rule such as `Scopes("orders:read") | Roles("support")`. None if there is none.
        scopes: Scopes that the token must have, all of them; a str is split at spaces.
        allow: Roles of which the token must have one; a str is one role, an empty collection allows no token.
        deny: Roles of which the token must have none; a str is one role.
        fresh: Whether the token must come from a recent login; a `timedelta` says how recent (RFC 9470).
        type: The type of token wanted.

    Raises:
        TokenError: There is no token, it is not good, or it does not fulfil what is demanded (RFC 6750 section 3.1).
        SettingError: What is demanded cannot be.
        NotGuardedError: Neither a middleware nor `install` has prepared the request.
    """
    short: tuple[Any, ...] = (scopes, allow, deny, fresh, type)
    guard = _guard_of(*short) if rule is None and _SHORT.issuperset(map(_class_of, short)) else _new_guard(rule, *short)
    return cast("Token", pass_guard_now(request_or_scope, guard))  # without one, the guard refuses


def _new_guard(rule: Rule | None, scopes: Any, allow: Any, deny: Any, fresh: Any, kind: Any) -> Guard:
    return Guard(require=rule, scopes=scopes, allow=allow, deny=deny, fresh=fresh, type=kind)


# A rule is not remembered: its function may be made for one request, and keep it alive.
_guard_of = functools.lru_cache(maxsize=256, typed=True)(functools.partial(_new_guard, None))


async def error_response_for(error: TokenError, request_or_scope: Any) -> ErrorResponse:
    """Return what the middleware would answer to a refusal, for an application that answers it by itself.

    The refusal is logged, reported as an event, and shown to `on_error`. So call it once for each.

    Args:
        error: Why the request is refused.
        request_or_scope: An ASGI scope, or any framework's request or websocket object.

    Raises:
        SettingError: `error` is no `TokenError`.
        NotGuardedError: Neither a middleware nor `install` has prepared the request.
    """
    if not isinstance(error, TokenError):
        raise SettingError(f"error must be a TokenError, not {type(error).__name__}: raise all others again")
    scope: Any = scope_of(request_or_scope)
    auth = request_auth(scope)
    auth.note(None)  # this answer has to stay
    return await auth.authenticator.responder.respond(error, scope)


class JWTRequired(Protocol):
    """Guard a handler: it runs only with a token that passes, which it receives as `token`.

    Used bare, `@jwt_required`, or called, `@jwt_required(fresh=True)`; on functions and methods, async and sync, for
    http and websocket. A handler without a parameter named `token` is guarded all the same.

    Raises:
        SettingError: When decorating, for options that cannot be used.
        NotGuardedError: When called, if neither a middleware nor `install` has prepared the request.
    """

    @overload
    def __call__(self, function: HandlerT, /) -> HandlerT: ...

    @overload
    def __call__(self, **options: Unpack[GuardOptions]) -> Callable[[HandlerT], HandlerT]: ...


def decorator(wrap: Wrap) -> JWTRequired:
    """Make the `jwt_required` of a framework from its way to wrap one handler."""

    def jwt_required(
        function: Annotated[Callable[..., Any] | None, _NO_DEPENDENCY] = None, /, **options: Unpack[GuardOptions]
    ) -> Any:
        guard = Guard(**options)

        def decorate(handler: _Handler) -> Callable[..., Any]:
            if not callable(handler) or inspect.isclass(handler):
                raise SettingError(
                    f"jwt_required guards a handler, not {handler!r}; decorate the methods of a class, "
                    "and give options by name"
                )
            guarded = wrap(handler, guard)
            note_guarded(handler, guarded)
            return guarded

        return decorate if function is None else decorate(function)

    jwt_required.__doc__ = JWTRequired.__doc__
    return takes_options(GuardOptions, Guard, AccessPolicy)(jwt_required)


def check_token_argument(arguments: Mapping[str, Any], kind: type[Any] = Token) -> None:
    """Refuse to replace an argument named `token` that is no `kind` of token, such as a part of the path.

    Raises:
        SettingError: The argument is something else.
    """
    token = arguments.get("token")
    if token is not None and not isinstance(token, kind):
        raise SettingError(
            "a parameter of the route is called token, as is the argument in which jwt_required passes the token: "
            "rename the parameter of the route"
        )


def takes_token(handler: Callable[..., Any]) -> bool:
    """Whether `handler` has a parameter named `token`, or takes any."""
    parameters = inspect.signature(handler).parameters.values()
    return any(parameter.name == "token" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def annotation_of_token(handler: Callable[..., Any]) -> Any:
    """The annotation of the parameter called `token`, evaluated if it can be; `Parameter.empty` if there is none."""
    parameter = inspect.signature(handler).parameters.get("token")
    annotation = inspect.Parameter.empty if parameter is None else parameter.annotation
    if not isinstance(annotation, str):
        return annotation
    while isinstance(handler, functools.partial):
        handler = handler.func
    function = inspect.unwrap(handler)
    names = getattr(function, "__globals__", None) or getattr(type(function).__call__, "__globals__", {})
    holder = types.SimpleNamespace(__annotations__={"token": annotation})
    try:
        return typing.get_type_hints(holder, names, include_extras=True)["token"]
    except Exception:  # noqa: BLE001 -- an annotation may raise anything when it is evaluated
        return annotation


def may_be_token(annotation: Any) -> bool:
    """Whether a parameter with this annotation may receive a `Token`: it has none, or `Any`, `Token`, `Token | None`."""
    if isinstance(annotation, str):
        return re.search(r"\bToken\b", annotation) is not None
    annotation = getattr(annotation, "__value__", annotation)  # of `type X = ...`
    if annotation in (inspect.Parameter.empty, Any, object, Token, types.NoneType):
        return True
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return all(map(may_be_token, typing.get_args(annotation)))
    if origin is Annotated:
        return may_be_token(typing.get_args(annotation)[0])
    return origin is Token


def is_async_callable(handler: Callable[..., Any]) -> bool:
    """Whether calling `handler` makes a coroutine: an `async def`, or an object whose `__call__` is one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


async def ask_guard(
    scope: Any, guard: Guard, inner_scopes: tuple[str, ...] = ()
) -> tuple[Token | None, TokenError | None]:
    """Let a request pass a guard, or say why not: return its token, None if there is none, and the error to answer with.

    `inner_scopes` are those that further guards of the handler demand, which a challenge names too. What the middleware
    lets pass as a preflight passes without a token, which it never has.

    Raises:
        NotGuardedError: Neither a middleware nor `install` has prepared the request.
    """
    auth = request_auth(scope)
    result = auth.result_for(scope, auth.authenticator_with(guard.sources))
    if result.state.needs is not None:
        result, _ = await complete_request(scope, result, check_revocation=guard.check_revocation)
    if is_preflight(scope):
        return None, None  # the guard's own sources may have found a token, about which nothing has decided
    error = auth.decide(result, guard, inner_scopes)
    if error is None and auth.untold is not None:
        await auth.tell_accepted(scope)
    return result.token, error


async def pass_guard(connection: Any, guard: Guard) -> Token | None:
    """Return the token with which a request passes a guard; None if the guard is optional and there is none.

    Raises:
        TokenError: The guard refuses the request. The middleware answers with it where a framework would answer 500.
        NotGuardedError: Neither a middleware nor `install` has prepared the request.
    """
    scope: Any = scope_of(connection)
    token, error = await ask_guard(scope, guard)
    if error is not None:
        request_auth(scope).note(error)
        raise error.with_traceback(None)
    return token


def pass_guard_now(connection: Any, guard: Guard) -> Token | None:
    """Do as `pass_guard`, but never wait: what is undecided is refused."""
    scope: Any = scope_of(connection)
    auth = request_auth(scope)
    result = auth.result_for(scope, auth.authenticator_with(guard.sources))
    error = auth.decide(result, guard)
    if error is not None:
        auth.note(error)  # the middleware answers with it, where a framework makes an error 500 of it
        raise error.with_traceback(None)
    return result.token


def guard_handler(
    handler: Callable[..., Any], guard: Guard, *, is_connection: Callable[[Any], bool], refuse: Refuse, call_sync: Call
) -> Callable[..., Any]:
    """Return an async handler that calls `handler` if the request passes.

    Args:
        handler: A function or method, sync or async.
        guard: What is demanded.
        is_connection: Tells the request among the handler's arguments.
        refuse: Answers a connection, given the handler's arguments too; the handler returns what it returns.
        call_sync: Awaits a sync handler.
    """
    passes_token = takes_token(handler)
    is_async = is_async_callable(handler)
    inner_scopes: tuple[str, ...] = getattr(handler, _SCOPES, ())

    @functools.wraps(handler)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        connection = next(filter(is_connection, (*args, *kwargs.values())), None)
        if connection is None:
            raise NotGuardedError(
                f"jwt_required of {refuse.__module__} has found no request of that framework among the arguments of "
                f"{name_of(handler)}; take the jwt_required of the adapter for yours, or call require(request) in it"
            )
        scope: Any = scope_of(connection)
        token, error = await ask_guard(scope, guard, inner_scopes)
        if error is not None:
            return await refuse(connection, await error_response_for(error, scope), args)
        if passes_token:
            if kwargs:
                check_token_argument(kwargs)
            kwargs["token"] = token
        return await (handler(*args, **kwargs) if is_async else call_sync(handler, *args, **kwargs))

    setattr(guarded, _SCOPES, (*guard.policy.scopes, *inner_scopes))
    return guarded
