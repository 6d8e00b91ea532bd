"""One fetch at a time on an event loop, which all wait for who need it, and which belongs to none of them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.lowlevel import RunVar

from asgi_jwt_claims.runtime.tasks import spawn

__all__ = ["Fetching", "SingleFlight"]

# Old versions of anyio tell such variables apart by their names.
_numbers = itertools.count()


class Fetching:
    """A fetch under way.

    Attributes:
        landed: Set when it is over.
        failed: Whether it brought nothing.
    """

    __slots__ = ("cancel", "failed", "landed")

    def __init__(self) -> None:
        self.landed = anyio.Event()
        self.failed = True
        self.cancel: Callable[[], object]


class SingleFlight:
    """Lets one fetch at a time be under way on each event loop.

    Args:
        fetch: What a flight does, given itself; it calls `land` when it is over, and raises nothing.
    """

    __slots__ = ("_current", "_fetch")

    def __init__(self, fetch: Callable[[Fetching], Coroutine[Any, Any, None]]) -> None:
        self._fetch = fetch
        # Events and tasks belong to one event loop, and several may share a set of keys.
        self._current: RunVar[Fetching | None] = RunVar(f"asgi_jwt_claims.jwks.flight.{next(_numbers)}", None)

    @property
    def current(self) -> Fetching | None:
        """The one under way on this event loop."""
        return self._current.get()

    def launch(self) -> Fetching:
        """Begin one, where there is none."""
        flight = Fetching()
        self._current.set(flight)
        flight.cancel = spawn(functools.partial(self._fetch, flight))
        return flight

    def land(self, flight: Fetching) -> None:
        """Let the next one begin, and those who wait for this one go on."""
        if self._current.get() is flight:
            self._current.set(None)
        flight.landed.set()

    def abandon(self) -> None:
        """End the one under way, if there is one."""
        flight = self._current.get()
        if flight is not None:
            flight.cancel()
            # A task that is cancelled before its first step never takes one, and could not tell those who wait.
            self.land(flight)
