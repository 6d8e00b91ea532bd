"""A WebSocket ends by a close; a handshake whose token has ended meanwhile is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, Self

from asgi_jwt_claims.auth.state import find_request_auth

from .asgi import SERVER_ERROR, ASGIConnection, Refusing
from .states import PENDING

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Message, Receive, Scope, Send
    from asgi_jwt_claims.auth.settings import MiddlewareSettings
    from asgi_jwt_claims.responses import ErrorResponder

__all__ = ["WebSocketConnection"]

_INTERNAL_ERRORS = (1011, 4500)  # RFC 6455 section 7.4.1; and how Litestar says 500
_REFUSALS = frozenset({"websocket.close", "websocket.http.response.start"})


class WebSocketConnection(ASGIConnection, Refusing):
    """`receive` and `send` of a WebSocket, which ends by a close if it ends with its token.

    `protocol` is the subprotocol to accept with when the application names none; `challenges` as for `HTTPExchange`.
    """

    _LAST = "websocket.close"

    __slots__ = ("_challenges", "_protocol", "_settings", "is_started")

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        settings: MiddlewareSettings,
        protocol: str | None,
        challenges: ErrorResponder | None = None,
    ) -> None:
        super().__init__(scope, receive, send)
        self._settings = settings
        self._protocol = protocol
        self._challenges = challenges
        self.is_started = False

    def receive(self) -> Awaitable[Message]:
        """See `ASGIConnection`."""
        may_end = self._registry is not None or self.error is not None
        # A server tells an application that waits by itself when a close has been sent, so here it may wait unwatched.
        if may_end or (self.state is PENDING and self._settings.end_with_token):
            return self._receive_until_end()
        return self._receive()

    def send(self, message: Message) -> Coroutine[Any, Any, None]:  # pyright: ignore[reportIncompatibleMethodOverride]  # as awaitable
        """See `ASGIConnection`; the first message accepts or refuses the handshake."""
        if self.state is PENDING:
            self.is_started = True
            if message["type"] == "websocket.accept":
                message = self._accept(message)
            elif (error := self._refusal_behind(_status_of(message))) is not None:
                self.close()
                return self._refuse(error)
            elif message["type"] in _REFUSALS:
                self.close()
        return super().send(message)

    @property
    def watched(self) -> Self:
        """The connection itself."""
        return self

    def _accept(self, message: Message) -> Message:
        auth = find_request_auth(self._scope)
        if auth is not None:
            auth.is_accepted = True
        if self._settings.end_with_token:
            self.open(self._settings.adopt_within)
        else:
            self.close()
        if self._protocol is not None and message.get("subprotocol") is None:
            return {**message, "subprotocol": self._protocol}
        return message

    def _disconnect(self) -> Message:
        return {"type": "websocket.disconnect", "code": self._settings.close_code, "reason": self.reason}

    def _last_messages(self) -> tuple[Message, ...]:
        return ({"type": "websocket.close", "code": self._settings.close_code, "reason": self.reason},)


def _status_of(message: Message) -> int:
    """The status that the first message stands for: of an internal error, or of a denial."""
    is_internal_error = message["type"] == "websocket.close" and message.get("code") in _INTERNAL_ERRORS
    return SERVER_ERROR if is_internal_error else int(message.get("status", 0))
