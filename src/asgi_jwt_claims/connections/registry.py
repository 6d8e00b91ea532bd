"""The open connections of an event loop, by deadline and by digest, and the one task that ends them when they are due."""

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

__all__ = ["ConnectionRegistry", "DeadlineQueue", "Watched", "current_registry"]

_PER_SECOND: Final = 4  # ticks
_LONGEST_PAUSE: Final = 1.0  # seconds between two readings of the clock
_LAST_TICK: Final = 2**53  # which no clock will ever show
_BATCH: Final = 50  # connections that are ended or rechecked before other tasks get their turn


class Watched(Protocol):
    """What the registry needs of a `Connection`."""

    slot: tuple[DeadlineQueue, int] | None
    digests: tuple[bytes, ...]

    def expire(self) -> None:
        """Called at the deadline."""

    def recheck(self) -> None:
        """Called when a token with one of the digests may be revoked."""


class DeadlineQueue:
    """The connections of one clock, by deadline, in ticks of 250 ms."""

    __slots__ = ("_ticks", "by_tick", "clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.by_tick: dict[int, set[Watched]] = {}
        self._ticks: list[int] = []

    def add(self, connection: Watched, ends_at: float) -> bool:
        """Add a connection; whether its tick is new and the first of all."""
        tick = math.ceil(min(ends_at * _PER_SECOND, _LAST_TICK))
        connection.slot = (self, tick)
        if tick in self.by_tick:
            self.by_tick[tick].add(connection)
            return False
        self.by_tick[tick] = {connection}
        heapq.heappush(self._ticks, tick)
        return self._ticks[0] == tick

    def remove(self, connection: Watched, tick: int) -> None:
        """Remove a connection that was added at this tick."""
        _discard(self.by_tick, tick, connection)
        # Ticks without connections, and those that stand here twice, must not become many.
        if len(self._ticks) > 2 * len(self.by_tick) + 64:
            self._ticks = sorted(self.by_tick)

    def due(self) -> Iterator[Watched]:
        """Take out the connections whose deadline is reached."""
        while self._ticks and not self._now() * _PER_SECOND < self._ticks[0]:
            tick = heapq.heappop(self._ticks)
            for connection in self.by_tick.pop(tick, ()):
                if connection.slot == (self, tick):  # else it has been removed or renewed in the meantime
                    yield connection

    def pause(self) -> float:
        """Seconds until the next deadline; infinite without any."""
        return self._ticks[0] / _PER_SECOND - self._now() if self._ticks else math.inf

    def _now(self) -> float:
        try:
            return self.clock()
        except Exception:  # noqa: BLE001 -- a broken clock makes its connections due, and must not stop the others
            return math.inf


class ConnectionRegistry:
    """All connections of one event loop that end with a token. `call_soon` lets it call a function, from any thread."""

    def __init__(self) -> None:
        self._queues: dict[int, DeadlineQueue] = {}
        self._by_digest: dict[bytes, set[Watched]] = {}
        self._feeds: set[RevocationFeed] = set()
        self._pending: deque[Collection[Revocation]] = deque()
        self._thread = threading.get_ident()
        self._is_watched = False
        self.call_soon = caller_from_any_thread()
        self._count = 0
        self._changed = anyio.Event()

    @property
    def is_here(self) -> bool:
        """Whether the caller runs in the thread of the event loop."""
        return self._thread == threading.get_ident()

    def add(
        self, connection: Watched, ends_at: float, clock: Callable[[], float], feeds: Collection[RevocationFeed]
    ) -> None:
        """Watch a connection until `ends_at` by `clock` (infinity for no deadline), or a revocation in one of the feeds."""
        self._count += 1
        if ends_at != math.inf:
            if id(clock) not in self._queues:
                self._queues[id(clock)] = DeadlineQueue(clock)
            if self._queues[id(clock)].add(connection, ends_at):
                self._changed.set()
        for digest in connection.digests:
            self._by_digest.setdefault(digest, set()).add(connection)
        for feed in feeds:
            if feed not in self._feeds:
                self._feeds.add(feed)
                feed.subscribe(self._on_revoked)
        if not self._is_watched:
            self._is_watched = True
            spawn(self._watch)

    def remove(self, connection: Watched) -> None:
        """Drop every reference to a connection."""
        self._count -= 1
        if connection.slot is not None:
            queue, tick = connection.slot
            connection.slot = None
            queue.remove(connection, tick)
            if not queue.by_tick and self._queues.get(id(queue.clock)) is queue:
                del self._queues[id(queue.clock)]
        for digest in connection.digests:
            _discard(self._by_digest, digest, connection)
        connection.digests = ()
        if self._count == 0:
            self._changed.set()

    def _on_revoked(self, revocations: Collection[Revocation]) -> None:
        if not self._is_watched:
            return
        self._pending.append(revocations)
        try:
            self.call_soon(lambda: self._changed.set())  # noqa: PLW0108 -- the event of that moment
        except RuntimeError:  # the event loop has ended, and its connections with it
            self._stop()

    async def _watch(self) -> None:
        try:
            while self._count:
                await self._run_due()
                self._changed = anyio.Event()
                if self._count and not self._pending:
                    pauses = [queue.pause() for queue in self._queues.values()]
                    with anyio.move_on_after(min([_LONGEST_PAUSE, *pauses])):
                        await self._changed.wait()
        finally:
            self._stop()
            if not self._count:
                # An Event refers to the event loop, which the variable would keep for ever.
                _REGISTRY.set(None)

    def _stop(self) -> None:
        self._is_watched = False
        for feed in self._feeds:
            feed.unsubscribe(self._on_revoked)
        self._feeds.clear()
        self._pending.clear()

    async def _run_due(self) -> None:
        for done, step in enumerate(self._due(), 1):
            try:
                step()
            except Exception:  # noqa: BLE001 -- a connection that cannot be ended must not keep the others from ending
                logger().exception("a connection could not be ended")
            if done % _BATCH == 0:
                await anyio.lowlevel.checkpoint()

    def _due(self) -> Iterator[Callable[[], None]]:
        for queue in tuple(self._queues.values()):
            for connection in queue.due():
                yield connection.expire
        while self._pending:
            for revocation in self._pending.popleft():
                for connection in tuple(self._by_digest.get(revocation.digest, ())):
                    yield connection.recheck


def _discard(index: dict[Any, set[Watched]], key: Any, connection: Watched) -> None:
    found = index.get(key, set())
    found.discard(connection)
    if not found:
        index.pop(key, None)


_REGISTRY: Final = anyio.lowlevel.RunVar[ConnectionRegistry | None]("asgi_jwt_claims_connections", None)


def current_registry() -> ConnectionRegistry:
    """The registry of the running event loop, made where there is none."""
    found = _REGISTRY.get()
    if found is None:
        found = ConnectionRegistry()
        _REGISTRY.set(found)
    return found
