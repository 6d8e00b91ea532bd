"""A WebSocket ends by a close; a handshake whose token has ended meanwhile is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.state import find_request_auth

from .asgi import ASGIConnection
from .refusals import Refusing
from .states import PENDING

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Self

    from asgi_jwt_claims._asgi import Message, Receive, Scope, Send
    from asgi_jwt_claims.responses import ErrorResponder

__all__ = ["WebSocketConnection"]

_INTERNAL_ERROR = 1011  # RFC 6455 section 7.4.1
_REFUSALS = frozenset({"websocket.close", "websocket.http.response.start"})


class WebSocketConnection(ASGIConnection, Refusing):
    """`receive` and `send` of a WebSocket, which ends by a close with `close_code`, if it `ends` with its token.

    `protocol` is the subprotocol to accept with when the application names none; `challenges` as for `HTTPExchange`.
    """

    _LAST = "websocket.close"

    __slots__ = ("_challenges", "_close_code", "_ends", "_protocol", "is_started")

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        close_code: int,
        protocol: str | None,
        ends: bool,
        challenges: ErrorResponder | None = None,
    ) -> None:
        super().__init__(scope, receive, send, scope.get(SCOPE_KEY))
        self._challenges = challenges
        self.is_started = False
        self._ends = ends
        self._close_code = close_code
        self._protocol = protocol

    def receive(self) -> Awaitable[Message]:
        """See `ASGIConnection`."""
        # A server tells an application that waits by itself when a close has been sent, so here it may wait unwatched.
        if self._registry is None and self.error is None and (self.state is not PENDING or not self._ends):
            return self._receive()
        return self._receive_until_end()

    @property
    def watched(self) -> Self:
        """The connection itself."""
        return self

    async def _begin(self, message: Message) -> None:
        self.is_started = True
        kind = message["type"]
        if kind == "websocket.accept":
            message = self._accept(message)
        elif (error := self._refusal_behind(_status_of(message))) is not None:
            self.close()
            await self._refuse(error)
            return
        elif kind in _REFUSALS:
            self.close()
        await (self._send if self.state is PENDING else self.send)(message)

    def _accept(self, message: Message) -> Message:
        """Open the connection; the message that accepts it, which is not sent if the token has ended meanwhile."""
        auth = find_request_auth(self._scope)
        if auth is not None:
            auth.is_accepted = True
        (self.open if self._ends else self.close)()
        if self._protocol is not None and message.get("subprotocol") is None:
            return {**message, "subprotocol": self._protocol}
        return message

    def _disconnect(self) -> Message:
        return {"type": "websocket.disconnect", "code": self._close_code, "reason": self._reason}

    def _last_messages(self) -> tuple[Message, ...]:
        return ({"type": "websocket.close", "code": self._close_code, "reason": self._reason},)


def _status_of(message: Message) -> int:
    """The status that the first message of an application stands for: an internal error, or that of a denial."""
    is_internal_error = message["type"] == "websocket.close" and message.get("code") == _INTERNAL_ERROR
    return 500 if is_internal_error else int(message.get("status", 0))
