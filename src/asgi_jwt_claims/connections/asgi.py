"""How a connection of an ASGI application ends: whatever that is doing, the end is sent once, and nothing after it."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio

from asgi_jwt_claims.errors import ConnectionEndedError, TokenError
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.tasks import spawn

from .base import Connection

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Message, Receive, Scope, Send
    from asgi_jwt_claims.auth.state import RequestAuth

__all__ = ["ASGIConnection"]


class ASGIConnection(Connection):
    """What http and websocket have in common: an application that waits to receive, and what is sent for it."""

    __slots__ = ("_goodbye", "_is_sent", "_receive", "_send", "_sending", "_waiting", "ended")

    def __init__(self, scope: Scope, receive: Receive, send: Send, auth: RequestAuth | None = None) -> None:
        super().__init__(scope, auth)
        self._receive = receive
        self._send = send
        self._sending = 0
        self._waiting: tuple[anyio.CancelScope, ...] = ()
        self._goodbye: ConnectionEndedError | None = None
        self._is_sent: anyio.Event | None = None
        self.ended = False

    def renew(self) -> None:
        """See `Connection`."""
        if not self.ended:
            super().renew()

    def end(self, error: TokenError) -> None:
        """See `Connection`."""
        self.error = self.error or error
        if self._waiting:
            self._stop_waiting()
        else:
            spawn(self.finish)

    async def finish(self) -> None:
        """Send the end: once, and not before what is on its way; whoever sends that sends the end, too."""
        if self._is_sent is not None:
            await self._is_sent.wait()
        if self.ended or self._sending:
            return
        self.ended = True
        self._is_sent = anyio.Event()
        self.release()
        # A task that sends may notice the end before the registry does, which then cancels no waiting.
        self._stop_waiting()
        try:
            await self._send_end()
        except BaseException:  # the application did not want to wait any longer
            _begin(self._send_end)
            raise
        finally:
            self._is_sent.set()

    def is_end(self, error: BaseException) -> bool:
        """Whether that is what `send` has raised since the end, and nothing else."""
        if isinstance(error, BaseExceptionGroup):
            return all(map(self.is_end, error.exceptions))
        return error is self._goodbye

    async def _wait(self) -> Message | None:
        """What the server says; None: the end has come first."""
        scope = anyio.CancelScope()
        with scope:
            self._waiting = (*self._waiting, scope)
            try:
                return await self._receive()
            finally:
                self._waiting = tuple(one for one in self._waiting if one is not scope)
        return None

    def _stop_waiting(self) -> None:
        for scope in self._waiting:
            scope.cancel()

    async def _pass_on(self, message: Message) -> None:
        self._sending += 1
        try:
            await self._send(message)
        except BaseException:  # also when it is cancelled: nobody else would send the end
            self._sending -= 1
            if self.error is not None:
                _begin(self.finish)
            raise
        self._sending -= 1
        if self.error is not None:
            await self.finish()

    async def _send_end(self) -> None:
        try:
            for message in self._last_messages():
                await self._send(message)
        except Exception:  # noqa: BLE001 -- the client has gone by itself; nobody is left to be told
            logger().debug("the end of a connection could not be sent", exc_info=True)

    @property
    def _reason(self) -> str:
        return "" if self.error is None else self.error.description

    def _has_ended(self) -> ConnectionEndedError:
        # Always the same, so that it is known when the application lets it go.
        if self._goodbye is None:
            self._goodbye = ConnectionEndedError(self._reason)
        return self._goodbye.with_traceback(None)

    @abstractmethod
    def _last_messages(self) -> tuple[Message, ...]: ...


def _begin(function: Callable[[], Any]) -> None:
    with contextlib.suppress(RuntimeError):  # the event loop has ended
        spawn(function)
