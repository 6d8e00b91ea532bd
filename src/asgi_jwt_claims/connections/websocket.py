"""A WebSocket ends by a close."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.lowlevel

from asgi_jwt_claims.auth.state import find_request_auth

from .asgi import ASGIConnection
from .refusals import Refusing

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Message, Receive, Scope, Send
    from asgi_jwt_claims.responses import ErrorResponder

__all__ = ["WebSocketConnection"]

_INTERNAL_ERROR = 1011  # RFC 6455 section 7.4.1


class WebSocketConnection(ASGIConnection, Refusing):
    """`receive` and `send` of a websocket for an application that knows nothing of all this.

    Args:
        scope: The scope of the request, in which the `RequestAuth` stands.
        receive: The server's.
        send: The server's.
        close_code: What the connection is closed with.
        protocol: The subprotocol that is answered when the application names none; None: none is.
        ends: Whether it ends with its token.
        challenges: How to answer a refusal that the application lets go before it accepts. None: it answers by itself.
    """

    __slots__ = (
        "_challenges",
        "_close_code",
        "_ends",
        "_protocol",
        "_told",
        "accepted",
        "is_started",
    )

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
        super().__init__(scope, receive, send, find_request_auth(scope))
        self._challenges = challenges
        self.is_started = False
        self._ends = ends
        self._close_code = close_code
        self._protocol = protocol
        self._told = False
        self.accepted = False

    async def receive(self) -> Message:
        """What the application is told."""
        if self._told:
            await anyio.lowlevel.checkpoint()
            return self._disconnect()
        is_free = self._registry is None and self.error is None
        if not self._ends or (self.accepted and is_free):
            return await self._receive()
        message = None if self.is_over else await self._wait()
        if message is None or self.is_over:
            await self.finish()
            self._told = True
            return self._disconnect()
        if message["type"] == "websocket.disconnect":
            self.ended = True
            self.release()
        return message

    async def send(self, message: Message) -> None:
        """What the application says."""
        kind = message["type"]
        if self.is_replaced:
            return
        if not self.is_started:
            self.is_started = True
            error = None if kind == "websocket.accept" else self._refusal_behind(_status_of(message))
            if error is not None:
                await self._refuse(error)
                return
        if self.accepted and self.is_over:
            await self.finish()
            if kind == "websocket.close":
                return
            raise self._has_ended()
        if kind == "websocket.accept":
            await self._accept(message)
            return
        if kind == "websocket.close":
            self.ended = True
            self.release()
        await self._pass_on(message)

    async def _accept(self, message: Message) -> None:
        if self._protocol is not None and message.get("subprotocol") is None:
            message = {**message, "subprotocol": self._protocol}
        if self._ends:
            self.begin()
        self.accepted = not self.is_over
        if not self.accepted:
            # The token has come to its end since the handshake was examined; nothing has been accepted yet.
            await self.finish()
            raise self._has_ended()
        auth = find_request_auth(self._scope)
        if auth is not None:
            auth.is_accepted = True
        await self._pass_on(message)

    def _disconnect(self) -> Message:
        return {"type": "websocket.disconnect", "code": self._close_code, "reason": self._reason}

    def _last_messages(self) -> tuple[Message, ...]:
        return ({"type": "websocket.close", "code": self._close_code, "reason": self._reason},)


def _status_of(message: Message) -> int:
    """The status that the first message of an application stands for: an internal error, or that of a denial."""
    is_internal_error = message["type"] == "websocket.close" and message.get("code") == _INTERNAL_ERROR
    return 500 if is_internal_error else int(message.get("status", 0))
