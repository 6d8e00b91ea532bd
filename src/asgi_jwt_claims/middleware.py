"""`JWTMiddleware`: wrapped means protected."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._asgi import REQUEST_SCOPES, SCOPE_KEY
from .auth.authenticator import CORS_INSIDE, Gate
from .auth.request import TokenHolder
from .auth.routes import check_routes
from .errors import SettingError, UnsupportedScopeError
from .responses import UNAUTHORIZED_CLOSE, OnError, send_response
from .runtime.log import logger
from .sources import DEFAULT_SOURCES
from .sources.forms import peek_form_field

if TYPE_CHECKING:
    from typing import Self, Unpack

    from ._asgi import ASGIApp, Receive, Scope, Send
    from .auth.authenticator import GateOptions
    from .config import JWTConfig
    from .connections.websocket import WebSocketConnection
    from .errors import TokenError
    from .sources._credentials import Source
    from .stores.base import TokenStore

__all__ = ["JWTMiddleware"]

_DEEPEST = 32  # layers around an application that are looked at


class JWTMiddleware:
    """Pure ASGI middleware: validates the bearer token of every http and websocket request.

    The application finds the `Token` in `scope["token"]`, through `get_token(request)`, or through `current_token()`;
    each of them has None where no token was asked for. Refused requests are answered here, and the application never
    sees them. `lifespan` passes through, and keys of providers are kept fresh as long as it lasts; any other type of
    scope is refused, since it has not been guarded.

    A `TokenError` that the application lets go before its response has started, alone or in an `ExceptionGroup` with
    nothing but such errors, becomes its answer; so does an error 500 that a framework makes of it. All other exceptions
    of the application pass untouched.

    Args:
        app: The ASGI application to protect, of any framework.
        config: Keys, parties, times and names; or several of them, each with an `issuer`: a token is then held to the
            one whose issuer it names.
        required: False: let every request on with its outcome in the scope, for guards to decide.
        exempt: Paths that go on unexamined: `"/login"` exactly, all below one, `"/docs/*"`, or either for one method,
            `"GET /items"`.
        allow_preflight: Let CORS preflights on unexamined, for every path. Anyone can send one by hand, so the application
            must answer each `OPTIONS` request by itself. The better way is a CORS middleware outside of this one.
        realm: Named in `WWW-Authenticate`.
        problem_json: Answer with RFC 9457 problem details.
        on_error: Called with each `TokenError`, its `ErrorResponse` and the scope; may return another `ErrorResponse`. Sync or async.
        sources: Where tokens may be offered, in order; the Authorization header unless said otherwise.
        set_user: Put the token into `scope["user"]`, and its scopes with `"authenticated"` into `scope["auth"]`.
        store: A `TokenStore`, asked about every token, optional or not. None: nobody asks.
        end_with_token: Whether WebSockets and `text/event-stream` responses end when their token expires, the leeway
            added, or when it is revoked and the store has a feed.
        close_code: What a WebSocket is closed with then.
        drain: Bytes of its body that are read, within one second, before an http request is refused: on some servers a
            client that is still sending does not see the answer otherwise. 0: none.

    Raises:
        SettingError: `app` is no ASGI application, or an option cannot be used. When the application starts, or with the
            first request: `jwt_required` stands above the route decorator of one of its handlers (Starlette and FastAPI).
    """

    def __new__(cls, *arguments: Any, **options: Any) -> Self:
        """Refuse the configuration in the place of the application, which Python could not explain."""
        if arguments and "app" in options:
            raise SettingError("give the configuration by its name: DefineMiddleware(JWTMiddleware, config=config)")
        return super().__new__(cls)

    def __init__(  # noqa: PLR0913 -- what may be said about a guard, all of it by name
        self,
        app: ASGIApp,
        config: JWTConfig | Iterable[JWTConfig],
        *,
        required: bool = True,
        exempt: Iterable[str] = (),
        allow_preflight: bool = False,
        realm: str = "api",
        problem_json: bool = False,
        on_error: OnError | None = None,
        sources: Iterable[Source] = DEFAULT_SOURCES,
        set_user: bool = False,
        store: TokenStore | None = None,
        end_with_token: bool = True,
        close_code: int = UNAUTHORIZED_CLOSE,
        drain: int = 0,
    ) -> None:
        if not callable(app):
            raise SettingError(f"app must be an ASGI application, not {type(app).__name__}: JWTMiddleware(app, config)")
        self.app = app
        self._knows_routes = False
        self._gate = _gate(
            config,
            required=required,
            exempt=exempt,
            allow_preflight=allow_preflight,
            realm=realm,
            problem_json=problem_json,
            on_error=on_error,
            sources=sources,
            set_user=set_user,
            store=store,
            end_with_token=end_with_token,
            close_code=close_code,
            drain=drain,
        )
        if self._gate.refuses_preflights and _has_cors(app):
            logger().warning(CORS_INSIDE)
        from .connections.stream import HTTPExchange  # noqa: PLC0415 -- as in `_live`: they import anyio
        from .connections.websocket import WebSocketConnection  # noqa: PLC0415 -- as in `_live`: they import anyio

        self._http, self._websocket = HTTPExchange, WebSocketConnection

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Guard, find, verify, put in scope, call."""
        if scope["type"] not in REQUEST_SCOPES:
            await self._live(scope, receive, send)
            return
        if not self._knows_routes:
            check_routes(self.app, scope.get("app"))
            self._knows_routes = True
        gate = self._gate
        protocol = gate.strip_subprotocol(scope) if scope["type"] == "websocket" else None
        error = None if gate.is_remote else gate.open(scope)
        if gate.is_remote or scope[SCOPE_KEY].is_undecided:
            error, receive = await self._wait(scope, receive)
        outcome = scope[SCOPE_KEY]
        if outcome.is_untold:
            await outcome.tell_accepted(scope)
        holder = TokenHolder(scope, scope["token"])
        try:
            if error is not None:
                await self._refuse(error, scope, receive, send)
                return
            # What sees to it that the connection ends with its token, and that refusals of the application are answered.
            connection = (
                self._http(scope, receive, send, gate.challenges, gate.end_with_token)
                if scope["type"] == "http"
                else self._accepting(scope, receive, send, protocol)
            )
            try:
                await self.app(scope, connection.receive, connection.send)
            except Exception as raised:
                # Swallow only the error that `send` has raised since the end of the connection. A refusal is answered.
                is_end = connection.watched is not None and connection.watched.is_end(raised)
                if not is_end and not await connection.answer_for(raised):
                    raise
            finally:
                if connection.watched is not None:
                    await connection.watched.finish()
        finally:
            holder.release()

    async def _refuse(self, error: TokenError, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._gate.challenges.respond(error, scope)
        if self._gate.drain and scope["type"] == "http":
            from .runtime.drain import drain_body  # noqa: PLC0415 -- as in `_live`

            await drain_body(scope, receive, self._gate.drain)
        await send_response(answer, scope, send)

    async def _wait(self, scope: Scope, receive: Receive) -> tuple[TokenError | None, Receive]:
        """Examine a request for which keys, a form or a store are needed; and what the application then receives by."""

        async def read_form(field: str) -> None:
            nonlocal receive
            receive = await peek_form_field(scope, receive, field)

        return await self._gate.examine(scope, read_form), receive

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The lifespan, in which keys and stores are looked after."""
        if scope["type"] != "lifespan":
            raise UnsupportedScopeError(f"scope type {scope['type']!r} is not guarded, so it is not let through")
        try:
            check_routes(self.app, scope.get("app"))
        except SettingError as error:
            # A server that is told so stops and shows it; one that is not takes this for an application without lifespan.
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        if not self._gate.background:
            await self.app(scope, receive, send)
            return
        from .runtime.lifespan import run_during  # noqa: PLC0415 -- it imports anyio, and most have no use for it

        await run_during(self._gate.background, lambda: self.app(scope, receive, send))

    def _accepting(self, scope: Scope, receive: Receive, send: Send, protocol: str | None) -> WebSocketConnection:
        gate = self._gate
        return self._websocket(
            scope,
            receive,
            send,
            close_code=gate.close_code,
            protocol=protocol,
            ends=gate.end_with_token,
            challenges=gate.challenges,
        )


def _gate(config: JWTConfig | Iterable[JWTConfig] | Gate, **options: Unpack[GateOptions]) -> Gate:
    """The gate of these options; the one that `install` has built, so that its caller is told of mistakes, as it is."""
    return config if isinstance(config, Gate) else Gate(config, **options)


def _has_cors(app: object) -> bool:
    """Whether a CORS middleware stands in an application: among those around it, or those that it puts around itself."""
    for _ in range(_DEEPEST):
        # Starlette and FastAPI keep theirs under this name until they start.
        kinds = [getattr(one, "cls", None) for one in getattr(app, "user_middleware", ())]
        if any("CORS" in getattr(kind, "__name__", "") for kind in (type(app), *kinds)):
            return True
        app = getattr(app, "app", None)
    return False


def with_options(text: str | None) -> str | None:
    """The docstring of an `install`, followed by what `JWTMiddleware` says of the options; None where there are none."""
    if text is None or JWTMiddleware.__doc__ is None:
        return text
    options = inspect.cleandoc(JWTMiddleware.__doc__).partition("    required: ")[2].partition("\n\nRaises:")[0]
    return f"{inspect.cleandoc(text)}\n\nOptions:\n    required: {options}\n"


# What `help` and editors show of the class is how it is built; its `__new__` takes anything.
vars(JWTMiddleware.__new__)["__signature__"] = inspect.signature(JWTMiddleware.__init__)
