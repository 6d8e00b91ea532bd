"""`receive` and `send` of a connection of an ASGI application, by the table of `states`."""

from __future__ import annotations

import contextlib
import sys
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import anyio.lowlevel

from asgi_jwt_claims.auth.state import find_request_auth, forget_error
from asgi_jwt_claims.errors import ConnectionEndedError, TokenError
from asgi_jwt_claims.responses import send_response
from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.tasks import spawn

from .base import Connection
from .states import CLOSED, ENDING, PENDING, Event

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Message, Receive, Scope, Send
    from asgi_jwt_claims.auth.state import RequestAuth
    from asgi_jwt_claims.responses import ErrorResponder

__all__ = ["SERVER_ERROR", "ASGIConnection", "Refusing", "refusal_in"]

SERVER_ERROR: Final = 500  # RFC 9110 section 15.6

_DEEPEST = 100  # causes of an error that are examined
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
        if self.state is CLOSED or self.state is PENDING:
            await self._send(message)
            return
        is_last = message["type"] == self._LAST and not message.get("more_body", False)
        if self.is_over:
            await self.send_end()
            if is_last:
                return
            # Always the same object, so that `is_end` knows it when the application lets it through.
            self._end_error = self._end_error or ConnectionEndedError(self.reason)
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
                await self._send_end(self._end_sent)
            except BaseException:  # the application cancels this task
                _spawn(partial(self._send_end, self._end_sent))
                raise
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
        message, scope = None, anyio.CancelScope()
        try:
            if not self.is_over:
                self._waiting = (*self._waiting, scope)
                with scope:  # the end cancels it
                    message = await self._receive()
        except BaseException:  # also a cancellation: the registry relies on this task to send the end
            self._end_elsewhere()
            raise
        finally:
            self._waiting = tuple([one for one in self._waiting if one is not scope])
        if message is None or self.is_over:
            await self.send_end()
            return self._disconnect()
        if message["type"] in _DISCONNECTS:
            self.close()
        return message

    def _end_with(self, error: TokenError) -> None:
        super()._end_with(error)
        for scope in self._waiting:
            scope.cancel()

    async def _pass_on(self, message: Message) -> None:
        self._sending += 1
        try:
            await self._send(message)
        except BaseException:  # also a cancellation: no other task would send the end
            self._end_elsewhere()
            raise
        finally:
            self._sending -= 1
        if self.state is ENDING:
            await self.send_end()

    def _end_elsewhere(self) -> None:
        if self.state is ENDING:
            _spawn(self.send_end)

    async def _send_end(self, is_sent: anyio.Event) -> None:
        try:
            for message in self._last_messages():
                await self._send(message)
        except Exception:  # noqa: BLE001 -- the client has left by itself, and no task is left to be told
            logger().debug("the end of a connection could not be sent", exc_info=True)
        is_sent.set()

    @abstractmethod
    def _disconnect(self) -> Message: ...

    @abstractmethod
    def _last_messages(self) -> tuple[Message, ...]: ...


def _spawn(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with contextlib.suppress(RuntimeError):  # the event loop has ended
        spawn(function)


class Refusing:
    """The part of an http exchange or a WebSocket that answers refusals, unless an answer has started.

    Applications raise `TokenError`, or `get_token` does for them, and not every framework knows it:

    - The application raises the error, alone or in an exception group with nothing but such errors. It is answered.
    - The framework starts an error 500 while it handles the error, and may raise the error again after that.
    - The framework has dropped the error and starts an error 500 later. `get_token` has noted the error by then.

    In the last two cases the answer to the error replaces the framework's own.

    Attributes:
        is_started: Whether an answer has started.
    """

    __slots__ = ()

    _challenges: ErrorResponder | None
    _scope: Scope
    _send: Send
    is_started: bool

    @property
    def is_replaced(self) -> bool:
        """Whether the answer to a refusal has replaced that of the application."""
        return self._send is _nothing

    async def answer_for(self, raised: Exception) -> bool:
        """Answer the error that the application has raised, if it is a refusal; return whether it has been answered.

        The error that `send` has raised since the end of the connection has been answered by that end.
        """
        watched = cast("Any", self).watched  # a slot of one class that derives from this, and a property of the other
        if watched is not None and watched.is_end(raised):
            return True
        if self.is_replaced:
            return _stems_from_refusal(raised)
        error = None if self.is_started else refusal_in(raised)
        if error is None:
            return False
        await self._refuse(error)
        return True

    async def _refuse(self, error: TokenError) -> None:
        self.is_started = True  # type: ignore[misc]  # a slot of the classes that derive from this one
        send, self._send = self._send, _nothing
        forget_error(self._scope)  # a middleware around this one must not answer it once more
        challenges = cast("ErrorResponder", self._challenges)  # where it is None, no refusal is searched for
        await send_response(await challenges.respond(error, self._scope), self._scope, send)

    def _refusal_behind(self, status: int) -> TokenError | None:
        """The refusal that the application turns into a server error; None if there is none behind it."""
        if status < SERVER_ERROR or self._challenges is None or self.is_replaced:
            return None
        handled, auth = sys.exception(), find_request_auth(self._scope)
        noted = None if auth is None else auth.raised
        if noted is not None and (handled is None or _stems_from_refusal(handled)):
            return noted
        # Any other status is the answer of an application that has caught the error itself.
        return None if handled is None or status != SERVER_ERROR else refusal_in(handled)


async def _nothing(message: Message) -> None:
    """Take the place of the server's `send` once a refusal has been answered."""


def refusal_in(raised: BaseException) -> TokenError | None:
    """The refusal that `raised` is, or the first of a group that contains nothing else; None for all others."""
    if isinstance(raised, BaseExceptionGroup):
        found = [refusal_in(one) for one in raised.exceptions]
        return None if None in found else found[0]
    return raised if isinstance(raised, TokenError) else None


def _stems_from_refusal(raised: BaseException | None) -> bool:
    for _ in range(_DEEPEST):
        if raised is None:
            return False
        if refusal_in(raised) is not None:
            return True
        raised = raised.__cause__ or raised.__context__
    return False
