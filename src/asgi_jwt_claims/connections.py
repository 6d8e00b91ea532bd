"""Connections that end with their token: WebSockets, and responses of `text/event-stream`.

A token is good until it expires or is revoked, and a connection that was opened with it must not outlive that. Three
things have to come together, and none of them may cancel the application, which is not ours to cancel:

- *when*: all connections of an event loop stand in one structure, by the quarter of a second in which their token
  ends, and by what a store of revocations knows their token by. One task looks after all of them, and only while there
  are any. A connection costs an entry in a set, not a task and not a timer.
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
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Collection, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.lowlevel

from ._log import logger
from ._store import Feed, Revocation, marks_of
from ._tasks import caller_from_any_thread, spawn
from .errors import ConnectionEndedError, ExpiredTokenError, RevokedTokenError, TokenError
from .outcome import Outcome, outcome_for
from .verification import good_until

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["Connection", "EventStream", "HTTPExchange", "WebSocketConnection"]

_TICKS: Final = 4  # in a second
_AT_ONCE: Final = 200  # connections or revocations that are attended to before anything else gets its turn
_EVENT_STREAM: Final = b"text/event-stream"


class Connection(ABC):
    """An open connection, as far as its end goes.

    Attributes:
        error: Why it has to end, or has ended; None: it has not.
        tick: The quarter of a second in which its token ends, while that is waited for.
        marks: By what revocations its tokens are known, while the connection listens to any.
    """

    __slots__ = ("_ends_at", "_outcomes", "_registry", "_scope", "error", "marks", "tick")

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self._scope = scope
        self._outcomes: tuple[Outcome, ...] = ()
        self._ends_at = math.inf
        self._registry: Connections | None = None
        self.error: TokenError | None = None
        self.tick: int | None = None
        self.marks: tuple[bytes, ...] = ()

    def begin(self) -> None:
        """From now on the connection is open: watch it, if it has a token to end with."""
        outcomes = tuple(_outcomes_in(self._scope))
        if not all(outcome.end_with_token for outcome in outcomes):
            return
        self._outcomes = tuple(outcome for outcome in outcomes if outcome.held is not None)
        for outcome in self._outcomes:
            outcome.connections = (*outcome.connections, self)
        if any(map(_is_revoked, self._outcomes)):
            self.error = RevokedTokenError()
        else:
            self.renew()

    def renew(self) -> None:
        """See `Renewable`."""
        self.release()
        ends_at, feeds, marks = self._limits()
        if ends_at != math.inf or feeds:
            self._ends_at = ends_at
            self.marks = tuple(marks)
            self._registry = _connections()
            self._registry.add(self, ends_at - self._now(), feeds)

    def release(self) -> None:
        """The connection has ended, or is going to be watched in another way. Harmless when it is not watched."""
        self._ends_at = math.inf
        if self._registry is not None:
            self._registry.remove(self)
            self._registry = None

    def expire(self) -> None:
        """End, if the token has; the clock decides, which may have been set in the meantime."""
        if self.is_over:
            self.end(self.error or ExpiredTokenError())
        elif self._registry is not None:
            self.renew()

    def recheck(self) -> None:
        """End, if a token is known to be revoked."""
        if any(map(_is_revoked, self._outcomes)):
            self.end(RevokedTokenError())

    @property
    def is_over(self) -> bool:
        """Whether its time is over."""
        if self.error is None and self._ends_at != math.inf and self._now() >= self._ends_at:
            self.error = ExpiredTokenError()
        return self.error is not None

    @abstractmethod
    def end(self, error: TokenError) -> None:
        """Bring about the end, without waiting for it."""

    def _now(self) -> float:
        # All configurations of one request have clocks that show the same.
        config = self._outcomes[0].config
        return math.inf if config is None else config.clock()

    def _limits(self) -> tuple[float, set[Feed], set[bytes]]:
        ends_at, feeds, marks = math.inf, set[Feed](), set[bytes]()
        for outcome in self._outcomes:
            if outcome.held is None or outcome.config is None:
                continue
            until = good_until(outcome.held, outcome.config)
            ends_at = min(ends_at, math.inf if until is None else until)
            feed = None if outcome.revocation is None else outcome.revocation.feed
            if feed is not None and outcome.heeds_revocation:
                feeds.add(feed)
                marks.update(mark for mark in marks_of(outcome.held, outcome.config)[:3] if mark)
        return ends_at, feeds, marks


def _outcomes_in(scope: MutableMapping[str, Any]) -> Iterator[Outcome]:
    outcome = outcome_for(scope, None)
    while outcome is not None:
        yield outcome
        outcome = outcome.following


def _is_revoked(outcome: Outcome) -> bool:
    if outcome.revocation is None or outcome.held is None or outcome.config is None or not outcome.heeds_revocation:
        return False
    return outcome.revocation.known(outcome.held, outcome.config) is True


class Connections:
    """All connections of one event loop that have to end."""

    def __init__(self) -> None:
        self._by_tick: dict[int, set[Connection]] = {}
        self._ticks: list[int] = []
        self._by_mark: dict[bytes, set[Connection]] = {}
        self._feeds: set[Feed] = set()
        self._news: deque[Collection[Revocation]] = deque()
        self._call = caller_from_any_thread()
        self._count = 0
        self._changed = anyio.Event()
        self._is_watched = False

    def add(self, connection: Connection, seconds: float, feeds: Collection[Feed]) -> None:
        """Watch a connection whose token ends in so many seconds (infinity: never by itself)."""
        self._count += 1
        if seconds != math.inf:
            tick = math.ceil((anyio.current_time() + seconds) * _TICKS)
            connection.tick = tick
            if tick not in self._by_tick:
                self._by_tick[tick] = set()
                heapq.heappush(self._ticks, tick)
                if self._ticks[0] == tick:
                    self._changed.set()
            self._by_tick[tick].add(connection)
        for mark in connection.marks:
            self._by_mark.setdefault(mark, set()).add(connection)
        for feed in self._feeds.symmetric_difference(self._feeds.union(feeds)):
            self._feeds.add(feed)
            feed.join(self._hear)
        if not self._is_watched:
            self._is_watched = True
            spawn(self._watch)

    def remove(self, connection: Connection) -> None:
        """Watch a connection no longer; nothing of it is kept."""
        self._count -= 1
        if connection.tick is not None:
            _discard(self._by_tick, connection.tick, connection)
            connection.tick = None
        for mark in connection.marks:
            _discard(self._by_mark, mark, connection)
        connection.marks = ()
        if self._count == 0:
            self._changed.set()

    def _hear(self, revocations: Collection[Revocation]) -> None:
        self._news.append(revocations)
        with contextlib.suppress(RuntimeError):  # this event loop has ended, and its connections with it
            self._call(self._notice)

    def _notice(self) -> None:
        self._changed.set()

    async def _watch(self) -> None:
        try:
            while self._count:
                await self._attend()
                self._changed = anyio.Event()
                if self._count and not self._news:
                    wait = self._ticks[0] / _TICKS - anyio.current_time() if self._ticks else math.inf
                    with anyio.move_on_after(wait):
                        await self._changed.wait()
        finally:
            self._is_watched = False
            for feed in self._feeds:
                feed.leave(self._hear)
            self._feeds.clear()

    async def _attend(self) -> None:
        done = 0
        for connection in self._due():
            _attempt(connection.expire)
            done += 1
            if done % _AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
        while self._news:
            for revocation in self._news.popleft():
                for connection in tuple(self._by_mark.get(revocation.mark, ())):
                    _attempt(connection.recheck)
                done += 1
                if done % _AT_ONCE == 0:
                    await anyio.lowlevel.checkpoint()

    def _due(self) -> Iterator[Connection]:
        while self._ticks and self._ticks[0] <= anyio.current_time() * _TICKS:
            tick = heapq.heappop(self._ticks)
            for connection in self._by_tick.pop(tick, ()):
                if connection.tick == tick:  # else it has ended, or been renewed, in the meantime
                    yield connection


def _discard(index: dict[Any, set[Connection]], key: Any, connection: Connection) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(connection)
        if not found:
            del index[key]


def _attempt(step: Any) -> None:
    try:
        step()
    except Exception:  # noqa: BLE001 -- one that cannot be ended must not keep the others from it
        logger().exception("a connection could not be ended")


_CONNECTIONS: Final = anyio.lowlevel.RunVar[Connections]("asgi_jwt_claims_connections")


def _connections() -> Connections:
    try:
        return _CONNECTIONS.get()
    except LookupError:
        made = Connections()
        _CONNECTIONS.set(made)
        return made


class _ASGIConnection(Connection):
    """What http and websocket have in common: an application that waits to receive, and what is sent for it."""

    __slots__ = ("_receive", "_send", "_sending", "_waiting", "ended")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope)
        self._receive = receive
        self._send = send
        self._sending = 0
        self._waiting: tuple[anyio.CancelScope, ...] = ()
        self.ended = False

    def end(self, error: TokenError) -> None:
        """See `Connection`."""
        self.error = error
        if self._waiting:
            for scope in self._waiting:
                scope.cancel()
        elif not self._sending and not self.ended:
            spawn(self._finish_quietly)

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
        finally:
            self._sending -= 1
        if self.error is not None:
            await self._finish()

    async def _finish(self) -> None:
        """Send the end, once."""
        if not self.ended:
            self.ended = True
            self.release()
            await self._send(self._last_message())

    async def _finish_quietly(self) -> None:
        try:
            await self._finish()
        except Exception:  # noqa: BLE001 -- the client has gone by itself; nobody is left to be told
            logger().debug("the end of a connection could not be sent", exc_info=True)

    @abstractmethod
    def _last_message(self) -> Message: ...


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
        if not self.accepted or self._told:
            return await self._receive()
        message = None
        if not self.is_over:
            message = await self._wait()
        if message is None or self.is_over:
            await self._finish()
            self._told = True
            return {"type": "websocket.disconnect", "code": self._close_code, "reason": self._reason}
        if message["type"] == "websocket.disconnect":
            self.release()
        return message

    async def send(self, message: Message) -> None:
        """What the application says."""
        kind = message["type"]
        if self.accepted and self.is_over:
            await self._finish()
            if kind == "websocket.close":
                return
            raise ConnectionEndedError(self._reason)
        if kind == "websocket.accept":
            await self._accept(message)
        else:
            await self._pass_on(message)
            if kind == "websocket.close":
                self.release()

    async def _accept(self, message: Message) -> None:
        if self._protocol is not None and message.get("subprotocol") is None:
            message = {**message, "subprotocol": self._protocol}
        if self._ends:
            self.begin()
        self.accepted = not self.is_over
        if not self.accepted:
            # The token has come to its end since the handshake was examined; nothing has been accepted yet.
            await self._finish()
            raise ConnectionEndedError(self._reason)
        for outcome in _outcomes_in(self._scope):
            outcome.is_accepted = True
        await self._pass_on(message)

    @property
    def _reason(self) -> str:
        return "" if self.error is None else self.error.description

    def _last_message(self) -> Message:
        return {"type": "websocket.close", "code": self._close_code, "reason": self._reason}


class HTTPExchange:
    """`receive` and `send` of an http request, until its response turns out to be a stream: one object, and no more.

    Args:
        scope: The scope of the request, in which the outcome stands.
        receive: The server's.
        send: The server's.
    """

    __slots__ = ("_has_read", "_receive", "_scope", "_send", "_stream")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._has_read = False
        self._stream: EventStream | None = None

    async def receive(self) -> Message:
        """What the application is told."""
        if self._has_read:
            # Nothing but the end can come now, and the application may begin to wait for it before the stream begins.
            return await self._watched().receive()
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
    def ended(self) -> bool:
        """Whether a stream has been ended here."""
        return self._stream is not None and self._stream.ended

    def release(self) -> None:
        """The application has returned."""
        if self._stream is not None:
            self._stream.release()

    def _watched(self) -> EventStream:
        if self._stream is None:
            self._stream = EventStream(self._scope, self._receive, self._send)
        return self._stream


class EventStream(_ASGIConnection):
    """A response of `text/event-stream`; or any other, as long as it has not begun, or if it turns out to be none."""

    __slots__ = ("_is_begun",)

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self._is_begun = False

    async def receive(self) -> Message:
        """Whether the client has gone, or the token has ended."""
        gone = None if self.is_over else await self._wait()
        if gone is None or self.is_over:
            await self._finish()
            return {"type": "http.disconnect"}
        self.release()
        return gone

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
            await self._finish()
            if is_last:
                return
            raise ConnectionEndedError("" if self.error is None else self.error.description)
        if is_last:
            self.release()
            self.ended = True
        await self._pass_on(message)

    def _last_message(self) -> Message:
        return {"type": "http.response.body", "body": b"", "more_body": False}


def _is_event_stream(message: Message) -> bool:
    headers = message.get("headers", ())
    if type(headers) is not list:
        # One framework gives a generator, which can be read only once.
        message["headers"] = headers = list(headers)
    for name, value in headers:
        if name == b"content-type" or name.lower() == b"content-type":
            kind: bytes = value.partition(b";")[0]
            return kind.strip().lower() == _EVENT_STREAM
    return False
