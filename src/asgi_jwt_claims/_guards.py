"""What `jwt_required` is, whatever the framework: one signature, one order of events, one way to pass the token on."""

from __future__ import annotations

import contextlib
import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from .access import Access
from .errors import SettingError, TokenError
from .outcome import outcome_under, scope_of
from .token import Token

if TYPE_CHECKING:
    from .challenges import Answer
    from .sources import Source

__all__ = [
    "JWTRequired",
    "check_token_argument",
    "decorator",
    "guard_handler",
    "guarded_handlers",
    "is_async_callable",
    "note_guarded",
    "takes_token",
]

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
Wrap = Callable[[Callable[..., Any], Access, bool], Callable[..., Any]]
Refuse = Callable[[Any, "Answer", tuple[Any, ...]], Awaitable[Any]]
Call = Callable[..., Awaitable[Any]]

guarded_handlers: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()
"""The handlers that a guard has been put around. A framework that calls one of them calls it without its guard."""


class JWTRequired(Protocol):
    """Guards a handler: it runs only with a token that the rules let pass, which it receives as `token`.

    Used bare, `@jwt_required`, or called, `@jwt_required(fresh=True)`; on functions and methods, async and sync, for
    http and websocket. A handler without a parameter named `token` is guarded all the same.

    Args:
        optional: Whether the handler also runs without a token (`token` is None then). A bad token is refused as ever.
        fresh: Whether the token must come from a recent login; a `timedelta` says how recent.
        type: The type of token wanted. Where the middleware demands access tokens, the path of a handler for another
            type has to be `exempt`.
        allow: Roles of which the token must have one; a str is one role, an empty collection allows nobody.
        deny: Roles of which the token must have none; a str is one role.
        scopes: Scopes the token must have, all of them; a str is divided at spaces.
        check_revocation: False: do not ask the store whether the token is revoked. Where the middleware demands access
            tokens, it has asked already, unless the path is `exempt`.
        sources: Where the token may have been offered, if not wherever the middleware looks. A middleware that demands
            access tokens has to find one in its own sources first, unless the path is `exempt`.
        end_with_token: False: a websocket, or a `text/event-stream` response, goes on when its token expires or is
            revoked.

    Raises:
        SettingError: When decorating, for rules that make no sense.
        NotGuardedError: When called, if nothing has prepared the request.
    """

    @overload
    def __call__(self, function: HandlerT, /) -> HandlerT: ...

    @overload
    def __call__(
        self,
        *,
        optional: bool = ...,
        fresh: bool | timedelta = ...,
        type: str = ...,
        allow: str | Iterable[str] | None = ...,
        deny: str | Iterable[str] | None = ...,
        scopes: str | Iterable[str] = ...,
        check_revocation: bool = ...,
        sources: Iterable[Source] = ...,
        end_with_token: bool = ...,
    ) -> Callable[[HandlerT], HandlerT]: ...


def decorator(wrap: Wrap) -> JWTRequired:
    """The `jwt_required` of a framework, from its way to wrap one handler."""

    def jwt_required(
        function: Callable[..., Any] | None = None,
        /,
        *,
        optional: bool = False,
        fresh: bool | timedelta = False,
        type: str = "access",  # noqa: A002 -- the field's name
        allow: str | Iterable[str] | None = None,
        deny: str | Iterable[str] | None = None,
        scopes: str | Iterable[str] = (),
        check_revocation: bool = True,
        sources: Iterable[Source] = (),
        end_with_token: bool = True,
    ) -> Any:
        if not isinstance(optional, bool):
            raise SettingError("optional must be True or False")
        access = Access(
            type=type,
            fresh=fresh,
            allow=allow,
            deny=deny,
            scopes=scopes,
            check_revocation=check_revocation,
            sources=sources,
            end_with_token=end_with_token,
        )

        def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
            if not callable(handler) or inspect.isclass(handler):
                raise SettingError(
                    f"jwt_required guards a handler, not {handler!r}; decorate the methods of a class, "
                    "and give options by name"
                )
            note_guarded(handler)
            return wrap(handler, access, optional)

        return decorate if function is None else decorate(function)

    jwt_required.__doc__ = JWTRequired.__doc__
    return jwt_required


def note_guarded(handler: Callable[..., Any]) -> None:
    """Remember that a guard is put around `handler`, and so around what `functools.wraps` says that it wraps."""
    with contextlib.suppress(TypeError):  # it cannot be remembered
        guarded_handlers.add(handler)
    inner = getattr(handler, "__wrapped__", None)
    if callable(inner):
        note_guarded(inner)


def check_token_argument(arguments: Mapping[str, Any], kind: type[Any] = Token) -> None:
    """Refuse to replace an argument named `token` that is something else, such as a part of the path.

    Args:
        arguments: Those of a handler, by name.
        kind: What another guard around this one passes.

    Raises:
        SettingError: There is one.
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


def is_async_callable(handler: Callable[..., Any]) -> bool:
    """Whether calling `handler` makes a coroutine: an `async def`, or an object whose `__call__` is one."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def guard_handler(
    handler: Callable[..., Any],
    access: Access,
    optional: bool,
    *,
    is_connection: Callable[[Any], bool],
    refuse: Refuse,
    call_sync: Call,
) -> Callable[..., Any]:
    """An async handler that admits, then calls `handler`.

    Args:
        handler: Sync or async; function or method.
        access: The rules.
        optional: Whether absence is tolerated.
        is_connection: Tells the request among the handler's arguments.
        refuse: Answers a connection, given the handler's arguments too; what it returns, the handler returns.
        call_sync: Awaits a sync handler.
    """
    passes_token = takes_token(handler)
    is_async = is_async_callable(handler)

    @functools.wraps(handler)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        connection = next(filter(is_connection, (*args, *kwargs.values())), None)
        scope = cast("MutableMapping[str, Any]", scope_of(connection))
        outcome = outcome_under(scope, access)
        if not outcome.attended:  # which saves nearly everybody a coroutine
            await outcome.prepare(scope, check_revocation=access.check_revocation)
        try:
            token: Token | None = outcome.admit(scope, access, optional=optional)
        except TokenError as error:
            return await refuse(connection, await outcome.challenges.respond(error), args)
        if passes_token:
            check_token_argument(kwargs)
            kwargs["token"] = token
        return await (handler(*args, **kwargs) if is_async else call_sync(handler, *args, **kwargs))

    return guarded
