"""`receive` and `send` of a connection of an ASGI application, by the table of `states`."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from asgi_jwt_claims.errors import ConnectionEndedError
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.tasks import spawn

from .base import Connection
from .states import CLOSED, ENDING, PENDING, Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

    from asgi_jwt_claims._asgi import Message, Receive, Scope, Send
    from asgi_jwt_claims.auth.state import RequestAuth
    from asgi_jwt_claims.errors import TokenError

__all__ = ["ASGIConnection"]

_DISCONNECTS = ("http.disconnect", "websocket.disconnect")


class ASGIConnection(Connection):
    """What http and websocket have in common. `receive` and `send` are the server's."""

    _LAST: str  # the type of the last message of the application

    __slots__ = ("_end_error", "_end_sent", "_receive", "_send", "_sending", "_waiting")

    def __init__(self, scope: Scope, receive: Receive, send: Send, auth: RequestAuth | None = None) -> None:
        super().__init__(scope, auth)
        self._receive = receive
        self._send = send
        self._sending = 0
        self._waiting: tuple[anyio.CancelScope, ...] = ()
        self._end_error: ConnectionEndedError | None = None
        self._end_sent: anyio.Event | None = None

    def receive(self) -> Awaitable[Message]:
        """Receive what the client sends; once the connection has ended, a disconnect, each time."""
        return self._receive() if self.state is CLOSED else self._receive_until_end()

    async def send(self, message: Message) -> None:
        """Send what the application sends; once the connection has ended, swallow its last message, else raise.

        Raises:
            ConnectionEndedError: The connection has ended.
        """
        if self.state is PENDING:
            await self._begin(message)
            return
        if self.state is CLOSED:
            await self._send(message)
            return
        is_last = message["type"] == self._LAST and not message.get("more_body", False)
        if self.is_over:
            await self.send_end()
            if is_last:
                return
            # Always the same object, so that `is_end` knows it when the application lets it through.
            self._end_error = self._end_error or ConnectionEndedError(self._reason)
            raise self._end_error.with_traceback(None)
        if is_last:
            self.close()
        await self._pass_on(message)

    def end_soon(self) -> None:
        """See `Connection`."""
        if not self._waiting:  # else the tasks that wait, which are stopped, send the end
            spawn(self.send_end)

    async def send_end(self) -> None:
        """Send the end and wait until it has been sent; while another task is sending, leave it to that task."""
        if self.state is ENDING and not self._sending:
            self._move(Event.END_SENT)
            self._end_sent = anyio.Event()
            try:
                await self._send_end()
            except BaseException:  # the application cancels this task
                _spawn(self._send_end)
                raise
            finally:
                self._end_sent.set()
        elif self._end_sent is not None:
            await self._end_sent.wait()
        else:  # an application that receives again and again must let the other task go on
            await anyio.lowlevel.checkpoint()

    async def finish(self) -> None:
        """See to it that the end has been sent, then detach: the application has returned."""
        if self.state is ENDING or (self._end_sent is not None and not self._end_sent.is_set()):
            await self.send_end()
        self.detach()

    def is_end(self, error: BaseException) -> bool:
        """Whether `error` is what `send` has raised since the end, or a group of nothing else."""
        if isinstance(error, BaseExceptionGroup):
            return all(map(self.is_end, error.exceptions))
        return error is self._end_error

    async def _receive_until_end(self) -> Message:
        try:
            message = None if self.is_over else await self._wait()
        except BaseException:  # also a cancellation: the registry relies on this task to send the end
            self._end_elsewhere()
            raise
        if message is None or self.is_over:
            await self.send_end()
            return self._disconnect()
        if message["type"] in _DISCONNECTS:
            self.close()
        return message

    async def _begin(self, message: Message) -> None:
        await self._send(message)

    async def _wait(self) -> Message | None:
        """Receive from the server; None if the end comes first."""
        scope = anyio.CancelScope()
        with scope:
            self._waiting = (*self._waiting, scope)
            try:
                return await self._receive()
            finally:
                self._waiting = tuple(one for one in self._waiting if one is not scope)
        return None

    def _end_with(self, error: TokenError) -> None:
        super()._end_with(error)
        for scope in self._waiting:
            scope.cancel()

    async def _pass_on(self, message: Message) -> None:
        self._sending += 1
        try:
            await self._send(message)
        except BaseException:  # also a cancellation: no other task would send the end
            self._sending -= 1
            self._end_elsewhere()
            raise
        self._sending -= 1
        if self.state is ENDING:
            await self.send_end()

    def _end_elsewhere(self) -> None:
        if self.state is ENDING:
            _spawn(self.send_end)

    async def _send_end(self) -> None:
        try:
            for message in self._last_messages():
                await self._send(message)
        except Exception:  # noqa: BLE001 -- the client has left by itself, and no task is left to be told
            logger().debug("the end of a connection could not be sent", exc_info=True)

    @property
    def _reason(self) -> str:
        return "" if self.error is None else self.error.description

    @abstractmethod
    def _disconnect(self) -> Message: ...

    @abstractmethod
    def _last_messages(self) -> tuple[Message, ...]: ...


def _spawn(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with contextlib.suppress(RuntimeError):  # the event loop has ended
        spawn(function)
