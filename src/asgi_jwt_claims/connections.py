"""Connections that end with their token: WebSockets, and responses of `text/event-stream`.

A token is good until it expires or is revoked, and a connection that was opened with it must not outlive that. Three
things have to come together, and none of them may cancel the application, which is not ours to cancel:

- *when*: all connections of an event loop stand in one structure, by the quarter of a second in which their token
  ends, and by what a store of revocations knows their token by. One task looks after all of them, and only while there
  are any; it looks at the clock of the tokens every second, since that may be set. A connection costs an entry in a
  set, not a task and not a timer.
- *how*, if the application is waiting to receive: its waiting is broken off, and it is told that the client has gone.
  It closes nothing itself; the close, or the end of the stream, has been sent before it is told.
- *how*, if it is doing something else: the end is sent for it. Whatever it sends after that raises `ConnectionEndedError`,
  as sending to a client that has gone does.

Where the application is in the middle of sending, its message goes out first.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from ._log import logger
from ._store import Feed, Revocation, marks_of
from ._tasks import caller_from_any_thread, spawn
from .errors import ConnectionEndedError, ExpiredTokenError, RevokedTokenError, TokenError
from .outcome import Outcome, outcome_for
from .token import SCOPE_KEY
from .verification import good_until

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["Connection", "HTTPExchange", "WebSocketConnection"]

_TICKS: Final = 4  # in a second
_LONGEST_PAUSE: Final = 1.0  # seconds between two looks at the clock
_LAST_TICK: Final = 2**53  # of which no clock will ever tell
_AT_ONCE: Final = 50  # connections or revocations that are attended to before anything else gets its turn
_EVENT_STREAM: Final = b"text/event-stream"


class Connection(ABC):
    """An open connection, as far as its end goes. Made when the middleware has examined the request.

    Args:
        scope: The scope of the request.
        outcome: That of the middleware; None: it stands in the scope.

    Attributes:
        error: Why it has to end, or has ended; None: it has not.
        place: Where it waits for the end of its token.
        marks: By what revocations its tokens are known, while the connection listens to any.
    """

    __slots__ = ("_clock", "_ends_at", "_first", "_outcomes", "_registry", "_scope", "error", "marks", "place")

    def __init__(self, scope: MutableMapping[str, Any], outcome: Outcome | None = None) -> None:
        self._scope = scope
        # Another middleware further in may put its own outcome into the scope.
        self._first = outcome or outcome_for(scope, None)
        self._outcomes: tuple[Outcome, ...] = ()
        self._ends_at = math.inf
        self._clock: Callable[[], float] = time.time
        self._registry: Connections | None = None
        self.error: TokenError | None = None
        self.place: tuple[_Schedule, int] | None = None
        self.marks: tuple[bytes, ...] = ()

    def begin(self) -> None:
        """From now on the connection is open: watch it, if it has a token to end with."""
        outcomes = tuple(dict.fromkeys((*_from(self._first), *_from(outcome_for(self._scope, None)))))
        if not all(outcome.end_with_token for outcome in outcomes):
            return
        self._outcomes = outcomes
        for outcome in outcomes:
            outcome.connections = (*outcome.connections, self)
        self._watch()
        # Only now, since a revocation may have come from another thread before anybody listened.
        if any(map(_is_revoked, outcomes)):
            self.error = RevokedTokenError()
            self.release()

    def renew(self) -> None:
        """See `Renewable`."""
        self._watch()
        self.recheck()

    def release(self) -> None:
        """The connection has ended, or is going to be watched in another way. Harmless when it is not watched."""
        if self._registry is not None:
            self._ends_at = math.inf
            self._registry.remove(self)
            self._registry = None

    def leave(self) -> None:
        """The application has done with the connection: nothing refers to it any more."""
        self.release()
        for outcome in self._outcomes:
            outcome.connections = tuple(one for one in outcome.connections if one is not self)
        self._outcomes = ()

    def expire(self) -> None:
        """End, if the token has; the clock decides, which may have been set in the meantime."""
        if self.is_over:
            self.end(self.error or ExpiredTokenError())
        else:
            self._watch()

    def recheck(self) -> None:
        """End, if a token is known to be revoked."""
        if self._registry is not None and any(map(_is_revoked, self._outcomes)):
            self.end(RevokedTokenError())

    @property
    def is_over(self) -> bool:
        """Whether its time is over."""
        if self.error is None and self._ends_at != math.inf and not self._clock() < self._ends_at:
            self.error = ExpiredTokenError()
        return self.error is not None

    @abstractmethod
    def end(self, error: TokenError) -> None:
        """Bring about the end, without waiting for it."""

    def _watch(self) -> None:
        self.release()
        feeds, marks = set[Feed](), set[bytes]()
        for outcome in self._outcomes:
            token, config = outcome.held, outcome.config
            if token is None or config is None:
                continue
            until = good_until(token, config)
            if until is not None and until < self._ends_at:
                self._ends_at, self._clock = until, config.clock
            feed = None if outcome.revocation is None else outcome.revocation.feed
            if feed is not None and outcome.heeds_revocation:
                feeds.add(feed)
                marks.update(mark for mark in marks_of(token, config)[:3] if mark)
        if feeds or self._ends_at != math.inf:
            self.marks = tuple(marks)
            self._registry = _connections()
            self._registry.add(self, self._ends_at, self._clock, feeds)


def _from(outcome: Outcome | None) -> Iterator[Outcome]:
    while outcome is not None:
        yield outcome
        outcome = outcome.following


def _is_revoked(outcome: Outcome) -> bool:
    if outcome.revocation is None or outcome.held is None or outcome.config is None or not outcome.heeds_revocation:
        return False
    return outcome.revocation.known(outcome.held, outcome.config) is True


class _Schedule:
    """The connections whose tokens end by one clock, by when they do."""

    __slots__ = ("_ticks", "by_tick", "clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.by_tick: dict[int, set[Connection]] = {}
        self._ticks: list[int] = []

    def add(self, connection: Connection, ends_at: float) -> bool:
        """Let a connection wait for its time; whether that is the first to come."""
        tick = math.ceil(min(ends_at * _TICKS, _LAST_TICK))
        connection.place = (self, tick)
        waiting = self.by_tick.get(tick)
        if waiting is not None:
            waiting.add(connection)
            return False
        self.by_tick[tick] = {connection}
        heapq.heappush(self._ticks, tick)
        return self._ticks[0] == tick

    def remove(self, connection: Connection, tick: int) -> None:
        """Let it wait no longer."""
        _discard(self.by_tick, tick, connection)
        # Ticks for which nobody waits any more, and those that stand here twice, must not become many.
        if len(self._ticks) > 2 * len(self.by_tick) + 64:
            self._ticks = sorted(self.by_tick)

    def due(self) -> Iterator[Connection]:
        """Those whose time has come."""
        while self._ticks and not self._now() * _TICKS < self._ticks[0]:
            tick = heapq.heappop(self._ticks)
            for connection in self.by_tick.pop(tick, ()):
                if connection.place == (self, tick):  # else it has ended, or been renewed, in the meantime
                    yield connection

    def pause(self) -> float:
        """Seconds until the next has its time."""
        return self._ticks[0] / _TICKS - self._now() if self._ticks else math.inf

    def _now(self) -> float:
        try:
            return self.clock()
        except Exception:  # noqa: BLE001 -- a clock that is broken ends all that go by it, and nothing else
            return math.inf


class Connections:
    """All connections of one event loop that have to end."""

    def __init__(self) -> None:
        self._schedules: dict[int, _Schedule] = {}
        self._by_mark: dict[bytes, set[Connection]] = {}
        self._feeds: set[Feed] = set()
        self._news: deque[Collection[Revocation]] = deque()
        self._call: Callable[[Callable[[], object]], object] | None = None
        self._count = 0
        self._changed = anyio.Event()

    def add(self, connection: Connection, ends_at: float, clock: Callable[[], float], feeds: Collection[Feed]) -> None:
        """Watch a connection whose token ends then, by that clock (infinity: never by itself)."""
        self._count += 1
        if ends_at != math.inf:
            schedule = self._schedules.get(id(clock))
            if schedule is None:
                schedule = self._schedules[id(clock)] = _Schedule(clock)
            if schedule.add(connection, ends_at):
                self._changed.set()
        for mark in connection.marks:
            self._by_mark.setdefault(mark, set()).add(connection)
        for feed in feeds:
            if feed not in self._feeds:
                self._feeds.add(feed)
                feed.join(self._hear)
        if self._call is None:
            self._call = caller_from_any_thread()
            spawn(self._watch)

    def remove(self, connection: Connection) -> None:
        """Watch a connection no longer; nothing of it is kept."""
        self._count -= 1
        if connection.place is not None:
            schedule, tick = connection.place
            connection.place = None
            schedule.remove(connection, tick)
            if not schedule.by_tick and self._schedules.get(id(schedule.clock)) is schedule:
                del self._schedules[id(schedule.clock)]
        for mark in connection.marks:
            _discard(self._by_mark, mark, connection)
        connection.marks = ()
        if self._count == 0:
            self._changed.set()

    def _hear(self, revocations: Collection[Revocation]) -> None:
        call = self._call
        if call is None:
            return
        self._news.append(revocations)
        try:
            call(self._notice)
        except RuntimeError:  # this event loop has ended, and its connections with it
            self._rest()

    def _notice(self) -> None:
        self._changed.set()

    async def _watch(self) -> None:
        try:
            while self._count:
                await self._attend()
                self._changed = anyio.Event()
                if self._count and not self._news:
                    with anyio.move_on_after(self._pause()):
                        await self._changed.wait()
        finally:
            self._rest()
            if not self._count:
                # The variable would keep the event loop, to which an Event refers, for ever.
                _CONNECTIONS.set(None)

    def _rest(self) -> None:
        self._call = None
        for feed in self._feeds:
            feed.leave(self._hear)
        self._feeds.clear()
        self._news.clear()

    def _pause(self) -> float:
        return min(_LONGEST_PAUSE, *(schedule.pause() for schedule in self._schedules.values()), math.inf)

    async def _attend(self) -> None:
        for done, step in enumerate(self._to_do(), 1):
            try:
                step()
            except Exception:  # noqa: BLE001 -- one that cannot be ended must not keep the others from it
                logger().exception("a connection could not be ended")
            if done % _AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()

    def _to_do(self) -> Iterator[Callable[[], None]]:
        for schedule in tuple(self._schedules.values()):
            for connection in schedule.due():
                yield connection.expire
        while self._news:
            for revocation in self._news.popleft():
                for connection in tuple(self._by_mark.get(revocation.mark, ())):
                    yield connection.recheck


def _discard(index: dict[Any, set[Connection]], key: Any, connection: Connection) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(connection)
        if not found:
            del index[key]


_CONNECTIONS: Final = anyio.lowlevel.RunVar[Connections | None]("asgi_jwt_claims_connections", None)


def _connections() -> Connections:
    found = _CONNECTIONS.get()
    if found is None:
        found = Connections()
        _CONNECTIONS.set(found)
    return found


class _ASGIConnection(Connection):
    """What http and websocket have in common: an application that waits to receive, and what is sent for it."""

    __slots__ = ("_goodbye", "_is_sent", "_receive", "_send", "_sending", "_waiting", "ended")

    def __init__(self, scope: Scope, receive: Receive, send: Send, outcome: Outcome | None = None) -> None:
        super().__init__(scope, outcome)
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
            for scope in self._waiting:
                scope.cancel()
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

    async def _pass_on(self, message: Message) -> None:
        self._sending += 1
        try:
            await self._send(message)
        except BaseException:
            self._sending -= 1
            if self.error is not None:
                _begin(self.finish)
            raise
        self._sending -= 1
        if self.error is not None:
            await self.finish()

    async def _send_end(self) -> None:
        try:
            await self._send(self._last_message())
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
    def _last_message(self) -> Message: ...


def _begin(function: Callable[[], Any]) -> None:
    with contextlib.suppress(RuntimeError):  # the event loop has ended
        spawn(function)


class WebSocketConnection(_ASGIConnection):
    """`receive` and `send` of a websocket for an application that knows nothing of all this.

    Args:
        scope: The scope of the request, in which the outcome stands.
        receive: The server's.
        send: The server's.
        close_code: What the connection is closed with.
        protocol: The subprotocol that is answered when the application names none; None: none is.
        ends: Whether it ends with its token.
    """

    __slots__ = ("_close_code", "_ends", "_protocol", "_told", "accepted")

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, close_code: int, protocol: str | None, ends: bool
    ) -> None:
        super().__init__(scope, receive, send)
        self._ends = ends
        self._close_code = close_code
        self._protocol = protocol
        self._told = False
        self.accepted = False

    async def receive(self) -> Message:
        """What the application is told."""
        is_free = self._registry is None and self.error is None
        if self._told or not self._ends or (self.accepted and is_free):
            return await self._receive()
        message = None if self.is_over else await self._wait()
        if message is None or self.is_over:
            await self.finish()
            self._told = True
            return {"type": "websocket.disconnect", "code": self._close_code, "reason": self._reason}
        if message["type"] == "websocket.disconnect":
            self.ended = True
            self.release()
        return message

    async def send(self, message: Message) -> None:
        """What the application says."""
        kind = message["type"]
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
        for outcome in _from(outcome_for(self._scope, None)):
            outcome.is_accepted = True
        await self._pass_on(message)

    def _last_message(self) -> Message:
        return {"type": "websocket.close", "code": self._close_code, "reason": self._reason}


class HTTPExchange:
    """`receive` and `send` of an http request, until its response turns out to be a stream: one object, and no more.

    Args:
        scope: The scope of the request, in which the outcome stands.
        receive: The server's.
        send: The server's.
    """

    __slots__ = ("_has_read", "_outcome", "_receive", "_scope", "_send", "_stream")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._outcome = scope.get(SCOPE_KEY)
        self._receive = receive
        self._send = send
        self._has_read = False
        self._stream: EventStream | None = None

    async def receive(self) -> Message:
        """What the application is told."""
        if self._has_read:
            # Nothing but the end can come now, and the application may begin to wait for it before the stream begins.
            return await self._watched().receive()
        if self._stream is not None:
            return await self._stream.receive()
        message = await self._receive()
        self._has_read = not message.get("more_body", False)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """What the application says; for all but streams the server's own `send`, and nothing around it."""
        if message["type"] == "http.response.start":
            if not _is_event_stream(message):
                return self._send(message)
            return self._watched().start(message)
        return self._send(message) if self._stream is None else self._stream.send(message)

    @property
    def error(self) -> TokenError | None:
        """Why it has to end, or has ended."""
        return None if self._stream is None else self._stream.error

    async def finish(self) -> None:
        """See to it that the end is sent."""
        await self._watched().finish()

    def is_end(self, error: BaseException) -> bool:
        """Whether that is what `send` has raised since the end, and nothing else."""
        return self._stream is not None and self._stream.is_end(error)

    def leave(self) -> None:
        """The application has returned."""
        if self._stream is not None:
            self._stream.leave()

    def _watched(self) -> EventStream:
        if self._stream is None:
            self._stream = EventStream(self._scope, self._receive, self._send, self._outcome)
        return self._stream


class EventStream(_ASGIConnection):
    """A response of `text/event-stream`; or any other, as long as it has not begun, or if it turns out to be none."""

    __slots__ = ("_is_begun",)

    def __init__(self, scope: Scope, receive: Receive, send: Send, outcome: Outcome | None) -> None:
        super().__init__(scope, receive, send, outcome)
        self._is_begun = False

    async def receive(self) -> Message:
        """What the application is told."""
        message = None if self.is_over else await self._wait()
        if message is None or self.is_over:
            await self.finish()
            return {"type": "http.disconnect"}
        if message["type"] == "http.disconnect":
            self.release()
        return message

    async def start(self, message: Message) -> None:
        """Begin the stream."""
        self._is_begun = True
        self.begin()
        await self._pass_on(message)

    async def send(self, message: Message) -> None:
        """What the application says."""
        if not self._is_begun:
            await self._send(message)
            return
        is_last = not message.get("more_body", False)
        if self.is_over:
            await self.finish()
            if is_last:
                return
            raise self._has_ended()
        if is_last:
            self.ended = True
            self.release()
        await self._pass_on(message)

    def _last_message(self) -> Message:
        return {"type": "http.response.body", "body": b"", "more_body": False}


def _is_event_stream(message: Message) -> bool:
    headers = message.get("headers", ())
    if type(headers) is not list and not isinstance(headers, tuple):
        # One framework gives a generator, which can be read only once.
        message["headers"] = headers = list(headers)
    for name, value in headers:
        if name == b"content-type" or name.lower() == b"content-type":
            # Most of what is none is shorter, and nobody's requests should wait for the rest.
            return len(value) >= len(_EVENT_STREAM) and value.partition(b";")[0].strip().lower() == _EVENT_STREAM
    return False
