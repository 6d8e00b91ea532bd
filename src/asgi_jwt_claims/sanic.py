"""Sanic, on its own server and in ASGI mode: `install`, `jwt_required`, `get_token`.

::

    app = Sanic("example")
    install(app, config)

    @app.get("/protected")
    @jwt_required
    async def protected(request: Request, token: Token) -> HTTPResponse:
        return json(token.user_claims)

One code path serves both modes. Where there is an ASGI scope it is used; on Sanic's own server one is made of the
request, and the gate that the ASGI middleware uses examines that. With sanic-ext, `token: Token` is also injected by
its type into handlers without a guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from typing import TYPE_CHECKING, Any, cast

from sanic import Request, Sanic
from sanic.compat import Header
from sanic.exceptions import SanicException
from sanic.response import HTTPResponse
from sanic.server.websockets.connection import WebSocketConnection

from ._forms import read_field
from ._guards import decorator, guard_handler, takes_token
from ._sanic_connections import (
    TASK_KEY,
    WEBSOCKETS,
    content_type,
    follow,
    follow_stream,
    follow_websocket,
    hide_token,
    is_asgi,
    is_websocket,
    speak_websocket,
)
from .challenges import Answer, close_code
from .claims import plain
from .errors import SettingError, TokenError
from .gate import Gate
from .outcome import ANY_ACCESS_TOKEN, HOLDERS_KEY, get_token, hold, outcome_under
from .token import SCOPE_KEY, Token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping
    from typing import Unpack

    from sanic.response import BaseHTTPResponse

    from .access import Access
    from .config import JWTConfig
    from .endpoints import TokenEndpoints
    from .gate import GateOptions

__all__ = ["add_token_endpoints", "get_token", "install", "jwt_required"]

_GUARD = "__jwt_guard__"
_REFUSAL = "jwt_refusal"
_FIRST = 100  # before the application's own request middleware, which may want the token


def install(app: Sanic[Any, Any], config: JWTConfig | Iterable[JWTConfig], **options: Unpack[GateOptions]) -> None:
    """Guard every request of `app`, on Sanic's own server as well as in ASGI mode, unknown routes included.

    The token is in `request.ctx.token`, through `get_token(request)` and `current_token()`. Wrapping the application in
    `JWTMiddleware` as well does no harm: nothing is verified twice.

    Args:
        app: An application that has not started.
        config: Keys, parties, times and names; several for several issuers.
        options: Those of `JWTMiddleware`.
    """
    gate = Gate(config, **options)

    async def guard_request(request: Request) -> HTTPResponse | None:
        error = await _examine(request, gate) or await _refused_by_route(request)
        return None if error is None else _to_response(await gate.challenges.respond(error))

    async def answer_token_error(_: Request, error: TokenError) -> HTTPResponse:
        return _to_response(await gate.challenges.respond(error))

    async def inject_token(request: Request) -> Token:
        # sanic-ext injects before any request middleware has run.
        await _examine(request, gate)
        scope = prepared_scope(request)
        outcome = outcome_under(scope, ANY_ACCESS_TOKEN)
        await outcome.prepare(scope)
        return outcome.admit(scope, ANY_ACCESS_TOKEN)

    async def register_injection(app: Sanic[Any, Any]) -> None:
        extensions = getattr(app, "_ext", None)
        if extensions is not None:
            with contextlib.suppress(SanicException):  # its injection is switched off
                extensions.add_dependency(Token, inject_token)

    background: list[asyncio.Task[None]] = []

    async def start_background(_: Sanic[Any, Any]) -> None:
        background.extend(asyncio.create_task(subject.keep_fresh()) for subject in gate.background)

    async def stop_background(_: Sanic[Any, Any]) -> None:
        while background:
            task = background.pop()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    if gate.background:
        # Sanic's own tasks would be left alone at the end of its ASGI mode.
        app.register_listener(start_background, "after_server_start")
        app.register_listener(stop_background, "before_server_stop")
    app.register_middleware(guard_request, "request", priority=_FIRST)
    app.exception(TokenError)(answer_token_error)
    _follow_connections(app, gate)
    # sanic-ext has been set up by then, by itself or by the application, and looks at its dependencies after this.
    app.register_listener(register_injection, "before_server_start", priority=_FIRST)


def _follow_connections(app: Sanic[Any, Any], gate: Gate) -> None:
    async def follow_opened(request: Request, websocket: Any) -> None:
        follow_websocket(request, prepared_scope(request), gate, websocket)

    async def follow_response(request: Request, response: BaseHTTPResponse) -> None:
        if not is_asgi(request) and "event-stream" in content_type(response):
            await follow_stream(request, response, prepared_scope(request))

    app.add_signal(follow_opened, "websocket.handler.before")
    if gate.end_with_token:
        # Before all others: whichever of them returns a response is the last.
        app.register_middleware(follow_response, "response", priority=-_FIRST)


def add_token_endpoints(app: Sanic[Any, Any], endpoints: TokenEndpoints, prefix: str = "/auth") -> None:
    """Let `endpoints` answer below `prefix`, in both modes. Sanic cannot mount an ASGI application.

    Args:
        app: An application that has not started.
        endpoints: What answers.
        prefix: Such as `"/auth"`: the application then answers `POST /auth/refresh` and so on. Where `install` demands
            access tokens, `/auth/refresh` and `/auth/logout` have to be `exempt`.

    Raises:
        SettingError: The prefix is none.
    """
    prefix = plain(prefix)
    if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.endswith("/"):
        raise SettingError('prefix must be a path such as "/auth"')

    async def respond(request: Request, **_: str) -> HTTPResponse:
        async def read_body(_: int) -> bytes:
            return request.body  # Sanic has read it, and has its own limit

        scope = {**prepared_scope(request), "path": request.path.removeprefix(prefix), "root_path": ""}
        return _to_response(await endpoints.answer(scope, read_body))

    name = f"token_endpoints{prefix.replace('/', '_')}"
    app.add_route(respond, f"{prefix}/<path:path>", methods=["GET", "POST", "DELETE"], name=name)


async def _examine(request: Request, gate: Gate) -> TokenError | None:
    """Let the gate examine the request, once; what it said is remembered."""
    if not hasattr(request.ctx, _REFUSAL):
        scope = prepared_scope(request)
        protocol = _shake_hands(request, scope, gate) if scope["type"] == "websocket" else None
        if gate.reads_forms and (field := gate.wanted_field(scope)) is not None:
            await _read_form(request, scope, field)
        refused = await gate.examine(scope) if gate.is_remote else gate.open(scope)
        if gate.is_undecided(scope):
            refused = await gate.examine(scope)
        if refused is None and is_asgi(request):
            follow(request, scope, gate, protocol)
        setattr(request.ctx, _REFUSAL, refused)
        request.ctx.token = scope["token"]
        scope[HOLDERS_KEY] = (request.ctx,)  # which `renew_token` puts the new token into
        # Sanic's own server handles all requests of a connection in one task: every request has to say whose it is.
        hold(scope, scope["token"])
    refusal: TokenError | None = getattr(request.ctx, _REFUSAL)
    return refusal


def _shake_hands(request: Request, scope: MutableMapping[str, Any], gate: Gate) -> str | None:
    """Make of a handshake what the gate and the application can deal with; the protocol to answer with, if any."""
    if is_asgi(request):
        speak_websocket(request, scope)
    protocol = gate.take_protocol(scope)
    if protocol is not None:
        hide_token(request, scope, protocol)
    return protocol


async def _read_form(request: Request, scope: MutableMapping[str, Any], field: str) -> None:
    """Put what a form says in one field into the scope, unless its handler wants to read the body by itself."""
    if hasattr(getattr(request.route, "handler", None), "is_stream"):
        return
    await cast("Any", request).receive_body()  # which Sanic would do next, or has done

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": request.body}

    await read_field(scope, receive, field)


def prepared_scope(request: Request) -> MutableMapping[str, Any]:
    """The scope that the core reads of a request: the ASGI scope, or one made for Sanic's own server."""
    if not hasattr(request.ctx, SCOPE_KEY):
        setattr(request.ctx, SCOPE_KEY, getattr(request.transport, "scope", None) or _scope_from(request))
    scope: MutableMapping[str, Any] = getattr(request.ctx, SCOPE_KEY)
    return scope


def _scope_from(request: Request) -> MutableMapping[str, Any]:
    """What the gate reads of an ASGI scope, for a request of Sanic's own server."""
    offered = ",".join(request.headers.getall("sec-websocket-protocol", ())).split(",")
    return {
        "type": "websocket" if is_websocket(request) else "http",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "query_string": _as_received(request.query_string),
        "headers": [(_as_received(name.lower()), _as_received(value)) for name, value in request.headers.items()],
        "subprotocols": [protocol.strip(" \t") for protocol in offered if protocol.strip(" \t")],
        TASK_KEY: asyncio.current_task(),
    }


def _as_received(text: str) -> bytes:
    """The bytes of a header, which Sanic decodes as UTF-8 with surrogates for whatever is none."""
    return text.encode("utf-8", "surrogateescape")


async def _refused_by_route(request: Request) -> TokenError | None:
    """Ask the guard of a websocket route now: once its handler runs, the handshake is over and 401 cannot be said."""
    handler = getattr(request.route, "handler", None) if is_websocket(request) else None
    if not isinstance(handler, functools.partial):
        return None
    access, optional = getattr(handler.args[0], _GUARD, (None, True))
    try:
        if access is not None:
            scope = prepared_scope(request)
            outcome = outcome_under(scope, access)
            await outcome.prepare(scope, check_revocation=access.check_revocation)
            outcome.admit(scope, access, optional=optional)
    except TokenError as error:
        return error
    return None


def _to_response(answer: Answer) -> HTTPResponse:
    return HTTPResponse(answer.body, answer.status, Header(answer.headers))


async def _refuse(request: Request, answer: Answer, arguments: tuple[Any, ...]) -> HTTPResponse | None:
    websocket = next((argument for argument in arguments if isinstance(argument, WEBSOCKETS)), None)
    if websocket is None:
        return _to_response(answer)
    # The handshake is over, since `install` has not asked this guard before it (`_refused_by_route`).
    code = close_code(answer.status)
    if isinstance(websocket, WebSocketConnection):  # whose own close() does nothing
        transport: Any = request.transport
        await transport.send({"type": "websocket.close", "code": code, "reason": ""})
    else:
        await websocket.close(code)
    return None


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


def _guard(handler: Callable[..., Any], access: Access, optional: bool) -> Callable[..., Any]:
    is_variadic = takes_token(handler) and "token" not in inspect.signature(handler).parameters
    guarded = guard_handler(
        _call_variadic(handler) if is_variadic else handler,
        access,
        optional,
        is_connection=lambda argument: isinstance(argument, Request),
        refuse=_refuse,
        call_sync=_call_sync,
    )
    # The guard passes the token by the rules of this handler; sanic-ext must not inject one by the rules of any other.
    guarded.__annotations__ = {name: hint for name, hint in guarded.__annotations__.items() if name != "token"}
    setattr(guarded, _GUARD, (access, optional))
    return guarded


jwt_required = decorator(_guard)
