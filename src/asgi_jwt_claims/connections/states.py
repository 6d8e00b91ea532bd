"""States of a connection that ends with its token, or without one, and what moves it from one to the next.

A connection is a WebSocket, or an http response that may turn out to be `text/event-stream`. The application is never
cancelled; only its waiting in `receive` is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["CLOSED", "ENDED", "ENDING", "OPEN", "PENDING", "TRANSITIONS", "WAITING", "Event", "State"]


class State(StrEnum):
    """State of a connection."""

    PENDING = "not accepted, or the response has not started"
    WAITING = "accepted without a token, and the registry watches the time in which it has to adopt one"
    OPEN = "the registry watches its tokens, if it has any"
    ENDING = "a token or the time for one has ended, and the end is still to be sent"
    ENDED = "the end has been sent, or is being sent"
    CLOSED = "it needs no end: all messages pass from now on"


class Event(StrEnum):
    """Event that can change the state. The application closes also by the start of another response, and by returning."""

    OPENS = "accept, or the start of an event stream"
    WAITS = "accept without a token, where `adopt_within` limits the time for one"
    TOKEN_COMES = "`adopt_token`, a guard or `get_token` lets a token in"  # noqa: S105 -- not a password
    TIME_IS_UP = "the time in which to adopt a token has passed"
    TOKEN_ENDS = "the deadline is reached, or the store knows locally of a revocation"  # noqa: S105 -- not a password
    END_SENT = "a task sends the end, and none is sending anything else"
    CLOSES = "the application closes or the client leaves; or a guard has end_with_token=False"


PENDING, WAITING, OPEN, ENDING, ENDED, CLOSED = State

TRANSITIONS: Final = {
    # Register deadline and digests, ask the store's local knowledge once more, then forward. A token that has ended
    # meanwhile moves the connection on before anything is forwarded: the handshake is refused, a stream ends at once.
    (PENDING, Event.OPENS): OPEN,
    (PENDING, Event.CLOSES): CLOSED,
    # Register the time that is left, and forward. Nothing is held back from the application meanwhile.
    (PENDING, Event.WAITS): WAITING,
    # Register deadline and digests in the place of that time, as above.
    (WAITING, Event.TOKEN_COMES): OPEN,
    # As the end of a token, below.
    (WAITING, Event.TIME_IS_UP): ENDING,
    (WAITING, Event.CLOSES): CLOSED,
    # Unregister and keep the error. A task in the middle of sending sends the end after its message. Else a task that
    # waits in `receive` sends it and is told that the client has left; else a task of ours, or the middleware, sends it.
    (OPEN, Event.TOKEN_ENDS): ENDING,
    (OPEN, Event.CLOSES): CLOSED,
    # From now on a close or last piece is swallowed, and any other message raises the one `ConnectionEndedError` of the
    # connection. `receive` returns a disconnect, each time.
    (ENDING, Event.END_SENT): ENDED,
}
"""The next state; where no row stands, the state stays.

A renewal, or a clock that was set back at the deadline, registers an `OPEN` connection again.
"""
