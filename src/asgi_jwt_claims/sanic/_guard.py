"""Authenticate the requests of Sanic as a middleware does, and guard its handlers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from sanic import Request
from sanic.compat import Header
from sanic.middleware import Middleware
from sanic.response import HTTPResponse
from sanic.server.websockets.connection import WebSocketConnection as ASGIWebSocket
from sanic.server.websockets.impl import WebsocketImplProtocol

from asgi_jwt_claims.auth.guard import decorator, guard_handler, takes_token
from asgi_jwt_claims.auth.request import complete_request, let_in
from asgi_jwt_claims.auth.routes import note_guarded
from asgi_jwt_claims.auth.state import RequestAuth, request_auth
from asgi_jwt_claims.responses import ErrorResponse, close_code

from ._connections import strip_token, translate_denials, watch_asgi
from ._routes import RouteGuard, mark
from ._scope import hold_during, is_asgi, prepared_scope

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Receive
    from asgi_jwt_claims.auth.options import Guard
    from asgi_jwt_claims.auth.settings import MiddlewareSettings
    from asgi_jwt_claims.errors import TokenError
    from asgi_jwt_claims.tokens.token import Token

__all__ = [
    "WEBSOCKETS",
    "answer_endpoint",
    "authenticate",
    "close_websocket",
    "jwt_required",
    "refusals_of",
    "to_response",
]

WEBSOCKETS = (WebsocketImplProtocol, ASGIWebSocket)
"""What a handler gets to speak with: on Sanic's own server, and in ASGI mode."""

_REFUSALS = "_asgi_jwt_claims_refusals"


def refusals_of(request: Request) -> dict[MiddlewareSettings, TokenError | None]:
    """Return what each guard of `install` has answered to the request."""
    refusals: dict[MiddlewareSettings, TokenError | None] = vars(request.ctx).setdefault(_REFUSALS, {})
    return refusals


async def authenticate(request: Request, settings: MiddlewareSettings) -> TokenError | None:
    """Authenticate the request as a middleware does, once; its answer is remembered."""
    refusals = refusals_of(request)
    if settings not in refusals:
        scope, result = prepared_scope(request), None
        if scope["type"] == "websocket" and is_asgi(request):
            translate_denials(request, scope)
        auth = RequestAuth.enter(scope, settings)
        if auth.protocol is not None:
            strip_token(request, scope, auth.protocol)
        if not auth.is_exempt:
            result = auth.result_for(scope)
            if result.state.needs is not None:
                result, _ = await complete_request(scope, result, _receive_form(request))
        error = auth.admit(scope, result)
        if auth.untold is not None:
            await auth.tell_accepted(scope)
        if error is None and is_asgi(request):
            watch_asgi(request, scope, settings, auth.protocol)
        refusals[settings] = error
        request.ctx.token = scope["token"]
        hold_during(request, scope)
    return refusals[settings]


async def answer_endpoint(request: Request, settings: MiddlewareSettings) -> HTTPResponse | None:
    """Return the answer of an endpoint in front of the guard; None if the guard decides."""
    if settings.mounts is None:
        return None
    sent: list[Any] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    if not await settings.mounts.answer(prepared_scope(request), _receive_body(request), send):
        return None
    start, body = sent
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"])
    return to_response(ErrorResponse(start["status"], headers, body["body"]))


def _receive_form(request: Request) -> Receive | None:
    """Return what the body is received by; None if the handler wants to read it by itself."""
    return None if hasattr(getattr(request.route, "handler", None), "is_stream") else _receive_body(request)


def _receive_body(request: Request) -> Receive:
    async def receive() -> MutableMapping[str, Any]:
        await cast("Any", request).receive_body()  # which Sanic would do next, or has done
        return {"type": "http.request", "body": request.body}

    return receive


def to_response(answer: ErrorResponse) -> HTTPResponse:
    """Return the answer as a response of Sanic."""
    # The last argument is for an empty body, which Sanic would else describe as `None`.
    return HTTPResponse(answer.body, answer.status, Header(answer.headers), "text/plain")


async def close_websocket(request: Request, arguments: Iterable[Any], status: int) -> None:
    """Close the websocket among the arguments of a handler, with the code that says the same as `status`."""
    websocket = next(argument for argument in arguments if isinstance(argument, WEBSOCKETS))
    code = close_code(status)
    if isinstance(websocket, ASGIWebSocket):  # whose own close() does nothing
        transport: Any = request.transport
        await transport.send({"type": "websocket.close", "code": code, "reason": ""})
    else:
        await websocket.close(code)


async def _refuse(request: Request, answer: ErrorResponse, arguments: tuple[Any, ...]) -> HTTPResponse | None:
    if any(isinstance(argument, WEBSOCKETS) for argument in arguments):
        # The handshake is over, since `install` has not asked this guard before it (`ask_guards`).
        await close_websocket(request, arguments, answer.status)
        return None
    return to_response(answer)


_refuse.__module__ = "asgi_jwt_claims.sanic"  # which errors name as the adapter


async def _call_sync(handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # Sanic calls sync handlers on the event loop, and so does this; what they return may be awaitable all the same.
    result = handler(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _call_variadic(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler that takes any argument by name. A class-based view does, but not each of its methods takes a token."""

    def call(*args: Any, token: Token | None, **kwargs: Any) -> Any:
        request = next(argument for argument in args if isinstance(argument, Request))
        view_class = getattr(getattr(request.route, "handler", None), "view_class", None)
        # Sanic routes to a view only what the view has a method for.
        if view_class is None or takes_token(getattr(view_class, request.method.lower())):
            kwargs["token"] = token
        return handler(*args, **kwargs)

    return functools.update_wrapper(call, handler)


def _guard(handler: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    if isinstance(handler, Middleware):  # the guard stands above `app.on_request`, which has made this of a function
        note_guarded(handler.func)
    is_variadic = takes_token(handler) and "token" not in inspect.signature(handler).parameters
    guarded = guard_handler(
        _call_variadic(handler) if is_variadic else handler,
        guard,
        is_connection=lambda argument: isinstance(argument, Request),
        refuse=_refuse,
        call_sync=_call_sync,
    )
    # The guard passes the token by the rules of this handler; sanic-ext must not inject one by the rules of any other.
    hints = handler.__annotations__ if inspect.isroutine(handler) else {}  # of an object they are others
    guarded.__annotations__ = {name: hint for name, hint in hints.items() if name != "token"}

    async def ask(request: Request) -> None:
        scope = prepared_scope(request)
        auth = request_auth(scope)
        result = auth.result_for(scope, auth.authenticator_with(guard.sources))
        if result.state.needs is not None:
            result, _ = await complete_request(scope, result, check_revocation=guard.check_revocation)
        let_in(scope, result, guard)

    mark(guarded, RouteGuard(guard, ask))
    return guarded


jwt_required = decorator(_guard)
