"""`JWTMiddleware`: wrapped means protected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._forms import read_field
from .challenges import UNAUTHORIZED_CLOSE, OnError, send_answer
from .errors import UnsupportedScopeError
from .gate import GUARDED, Gate
from .outcome import hold
from .sources import DEFAULT_SOURCES, Source

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ._store import RevocationStore
    from .config import JWTConfig
    from .connections import HTTPExchange, WebSocketConnection

__all__ = ["JWTMiddleware"]


class JWTMiddleware:
    """Pure ASGI middleware: validates the bearer token of every http and websocket request.

    The application finds the `Token` in `scope["token"]`, through `get_token(request)`, or through `current_token()`;
    each of them has None where no token was asked for. Refused requests are answered here, and the application never
    sees them. `lifespan` passes through, and keys of providers are kept fresh as long as it lasts; any other type of
    scope is refused, since nobody has guarded it. The application's own exceptions pass untouched.

    Args:
        app: The ASGI application to protect.
        config: Keys, parties, times and names; or several of them, each with an `issuer`: a token is then held to the
            one whose issuer it names.
        required: False: let every request on with its outcome in the scope, for guards to decide.
        exempt: Paths that go on unexamined: `"/login"` exactly, or all below one, `"/docs/*"`.
        realm: Named in `WWW-Authenticate`.
        problem_json: Answer with RFC 9457 problem details.
        on_error: Called with each `TokenError` and its `Answer`; may return another `Answer`. Sync or async.
        sources: Where tokens may be offered, in order; the Authorization header unless said otherwise.
        set_user: Put the token into `scope["user"]` and `scope["auth"]` as well.
        revocation: A `RevocationStore`, asked about every token, optional or not. None: nobody asks.
        end_with_token: Whether WebSockets and `text/event-stream` responses end when their token expires, the leeway
            added, or when it is revoked and the store has a feed.
        close_code: What a WebSocket is closed with then.

    Raises:
        SettingError: An option cannot be used.
    """

    def __init__(  # noqa: PLR0913 -- what may be said about a guard, all of it by name
        self,
        app: ASGIApp,
        config: JWTConfig | Iterable[JWTConfig],
        *,
        required: bool = True,
        exempt: Iterable[str] = (),
        realm: str = "api",
        problem_json: bool = False,
        on_error: OnError | None = None,
        sources: Iterable[Source] = DEFAULT_SOURCES,
        set_user: bool = False,
        revocation: RevocationStore | None = None,
        end_with_token: bool = True,
        close_code: int = UNAUTHORIZED_CLOSE,
    ) -> None:
        self.app = app
        self._gate = Gate(
            config,
            required=required,
            exempt=exempt,
            realm=realm,
            problem_json=problem_json,
            on_error=on_error,
            sources=sources,
            set_user=set_user,
            revocation=revocation,
            end_with_token=end_with_token,
            close_code=close_code,
        )
        from .connections import HTTPExchange, WebSocketConnection  # noqa: PLC0415 -- as in `_live`: they import anyio

        self._http, self._websocket = HTTPExchange, WebSocketConnection

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard, find, verify, put in scope, call."""
        if scope["type"] not in GUARDED:
            await self._live(scope, receive, send)
            return
        gate = self._gate
        protocol = gate.take_protocol(scope) if scope["type"] == "websocket" else None
        if gate.reads_forms and (field := gate.wanted_field(scope)) is not None:
            receive = await read_field(scope, receive, field)
        error = await gate.examine(scope) if gate.is_remote else gate.open(scope)
        if gate.is_undecided(scope):
            error = await gate.examine(scope)
        holder = hold(scope, scope["token"])
        try:
            if error is not None:
                await send_answer(await gate.challenges.respond(error), scope, send)
            elif (connection := self._connection(scope, receive, send, protocol)) is None:
                await self.app(scope, receive, send)
            else:
                try:
                    await self.app(scope, connection.receive, connection.send)
                except Exception as raised:
                    # What `send` has raised since the end, the application may let go; nothing else is caught.
                    if not connection.is_end(raised):
                        raise
                finally:
                    if connection.error is not None:
                        await connection.finish()
                    connection.leave()
        finally:
            holder.release()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The lifespan, in which keys and stores are looked after."""
        if scope["type"] != "lifespan":
            raise UnsupportedScopeError(f"scope type {scope['type']!r} is not guarded, so it is not let through")
        if not self._gate.background:
            await self.app(scope, receive, send)
            return
        from ._lifespan import keep_fresh_during  # noqa: PLC0415 -- it imports anyio, and most have no use for it

        await keep_fresh_during(self._gate.background, lambda: self.app(scope, receive, send))

    def _connection(
        self, scope: Scope, receive: Receive, send: Send, protocol: str | None
    ) -> WebSocketConnection | HTTPExchange | None:
        """What sees to it that the connection ends with its token; None: nothing has to."""
        ends, close_code = self._gate.end_with_token, self._gate.close_code
        if scope["type"] == "websocket":
            return self._websocket(scope, receive, send, close_code=close_code, protocol=protocol, ends=ends)
        return self._http(scope, receive, send) if ends else None
