"""When connections end: all of an event loop in one structure, and one task that looks after them."""

from __future__ import annotations

import heapq
import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import anyio.lowlevel

from asgi_jwt_claims.runtime.log import logger
from asgi_jwt_claims.runtime.tasks import caller_from_any_thread, spawn

if TYPE_CHECKING:
    from asgi_jwt_claims.stores.base import Revocation, RevocationFeed

__all__ = ["Connections", "Schedule", "Watched", "connections_here"]

_TICKS: Final = 4  # in a second
_LONGEST_PAUSE: Final = 1.0  # seconds between two looks at the clock
_LAST_TICK: Final = 2**53  # of which no clock will ever tell
_AT_ONCE: Final = 50  # connections or revocations that are attended to before anything else gets its turn


class Watched(Protocol):
    """What is watched: something that knows when its time is over.

    Attributes:
        place: Where it waits for the end of its token.
        digests: By what revocations its tokens are known.
    """

    place: tuple[Schedule, int] | None
    digests: tuple[bytes, ...]

    def expire(self) -> None:
        """Its time has come."""

    def recheck(self) -> None:
        """Something has been revoked that it may be about."""


class Schedule:
    """The connections whose tokens end by one clock, by when they do."""

    __slots__ = ("_ticks", "by_tick", "clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.by_tick: dict[int, set[Watched]] = {}
        self._ticks: list[int] = []

    def add(self, connection: Watched, ends_at: float) -> bool:
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

    def remove(self, connection: Watched, tick: int) -> None:
        """Let it wait no longer."""
        _discard(self.by_tick, tick, connection)
        # Ticks for which nobody waits any more, and those that stand here twice, must not become many.
        if len(self._ticks) > 2 * len(self.by_tick) + 64:
            self._ticks = sorted(self.by_tick)

    def due(self) -> Iterator[Watched]:
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
    """All connections of one event loop that have to end.

    Attributes:
        call: Makes the event loop call a function soon, from any thread.
    """

    def __init__(self) -> None:
        self._schedules: dict[int, Schedule] = {}
        self._by_mark: dict[bytes, set[Watched]] = {}
        self._feeds: set[RevocationFeed] = set()
        self._news: deque[Collection[Revocation]] = deque()
        self._thread = threading.get_ident()
        self._is_watched = False
        self.call = caller_from_any_thread()
        self._count = 0
        self._changed = anyio.Event()

    @property
    def is_here(self) -> bool:
        """Whether this is the thread of the event loop."""
        return self._thread == threading.get_ident()

    def add(
        self, connection: Watched, ends_at: float, clock: Callable[[], float], feeds: Collection[RevocationFeed]
    ) -> None:
        """Watch a connection whose token ends then, by that clock (infinity: never by itself)."""
        self._count += 1
        if ends_at != math.inf:
            schedule = self._schedules.get(id(clock))
            if schedule is None:
                schedule = self._schedules[id(clock)] = Schedule(clock)
            if schedule.add(connection, ends_at):
                self._changed.set()
        for mark in connection.digests:
            self._by_mark.setdefault(mark, set()).add(connection)
        for feed in feeds:
            if feed not in self._feeds:
                self._feeds.add(feed)
                feed.subscribe(self._hear)
        if not self._is_watched:
            self._is_watched = True
            spawn(self._watch)

    def remove(self, connection: Watched) -> None:
        """Watch a connection no longer; nothing of it is kept."""
        self._count -= 1
        if connection.place is not None:
            schedule, tick = connection.place
            connection.place = None
            schedule.remove(connection, tick)
            if not schedule.by_tick and self._schedules.get(id(schedule.clock)) is schedule:
                del self._schedules[id(schedule.clock)]
        for mark in connection.digests:
            _discard(self._by_mark, mark, connection)
        connection.digests = ()
        if self._count == 0:
            self._changed.set()

    def _hear(self, revocations: Collection[Revocation]) -> None:
        if not self._is_watched:
            return
        self._news.append(revocations)
        try:
            self.call(self._notice)
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
        self._is_watched = False
        for feed in self._feeds:
            feed.unsubscribe(self._hear)
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
                for connection in tuple(self._by_mark.get(revocation.digest, ())):
                    yield connection.recheck


def _discard(index: dict[Any, set[Watched]], key: Any, connection: Watched) -> None:
    found = index.get(key)
    if found is not None:
        found.discard(connection)
        if not found:
            del index[key]


_CONNECTIONS: Final = anyio.lowlevel.RunVar[Connections | None]("asgi_jwt_claims_connections", None)


def connections_here() -> Connections:
    """The connections of the event loop that runs."""
    found = _CONNECTIONS.get()
    if found is None:
        found = Connections()
        _CONNECTIONS.set(found)
    return found
