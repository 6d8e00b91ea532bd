"""Answer a refusal that an application lets through, or that a framework turns into an error 500.

Applications raise `TokenError`, or `get_token` does for them, and not every framework knows it. Before the response has
started, three things can happen:

- The application raises the error, alone or in an exception group with nothing but such errors. It is answered.
- The framework starts an error 500 while it handles the error, and may raise the error again after that.
- The framework has dropped the error and starts an error 500 later. `get_token` has noted the error by then.

In the last two cases the answer to the error replaces the framework's own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from asgi_jwt_claims.auth.state import find_request_auth
from asgi_jwt_claims.errors import TokenError
from asgi_jwt_claims.responses import send_response

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import ASGIApp, Message, Scope, Send
    from asgi_jwt_claims.responses import ErrorResponder

__all__ = ["Refusing", "refusal_in"]

_DEEPEST = 100  # causes of an error that are examined


class Refusing:
    """The part of an http exchange or a WebSocket that answers refusals.

    Attributes:
        is_started: Whether an answer has started, so that no refusal can be answered any more.
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

    async def run(self, app: ASGIApp) -> None:
        """Call an application, answer the refusal that it lets through, and finish what is watched."""
        exchange = cast("Any", self)  # with the attributes of the classes that derive from this one
        try:
            await app(self._scope, exchange.receive, exchange.send)
        except Exception as raised:
            # Swallow only the error that `send` has raised since the end of the connection. A refusal is answered.
            is_end = exchange.watched is not None and exchange.watched.is_end(raised)
            if not is_end and not await self.answer_for(raised):
                raise
        finally:
            if exchange.watched is not None:
                await exchange.watched.finish()

    async def answer_for(self, raised: Exception) -> bool:
        """Answer the error that the application has raised, if it is a refusal and no answer has started.

        Returns:
            Whether the error has been answered, now or before.
        """
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
        challenges = cast("ErrorResponder", self._challenges)  # where it is None, no refusal is searched for
        await send_response(await challenges.respond(error, self._scope), self._scope, send)

    def _refusal_behind(self, status: int) -> TokenError | None:
        """The refusal that the application turns into a server error; None if there is none behind it."""
        if status < 500 or self._challenges is None or self.is_replaced:  # noqa: PLR2004 -- a server error, RFC 9110 section 15.6
            return None
        handled, auth = sys.exception(), find_request_auth(self._scope)
        noted = None if auth is None else auth.raised
        if noted is not None and (handled is None or _stems_from_refusal(handled)):
            return noted
        # Any other status is the answer of an application that has caught the error itself.
        return None if handled is None or status != 500 else refusal_in(handled)  # noqa: PLR2004 -- see above


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
