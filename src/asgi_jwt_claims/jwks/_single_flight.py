"""Let concurrent callers share one fetch for the same thing, on each event loop."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Coroutine, Hashable, Mapping
from typing import Any

import anyio
from anyio.lowlevel import RunVar, RunvarToken

from asgi_jwt_claims.runtime.tasks import spawn

__all__ = ["Fetching", "SingleFlight"]

# Old versions of anyio tell such variables apart by their names.
_numbers = itertools.count()


class Fetching:
    """One fetch. It runs in a task of its own, so that no caller's cancellation ends it."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.done = anyio.Event()
        self.failed = True  # until it has brought keys
        self.found: object = None  # what else it has brought
        self.cancel: Callable[[], object]
        self.unset: RunvarToken[Mapping[Hashable, Fetching]]


class SingleFlight:
    """Lets at most one fetch for each key run on each event loop, and counts them in `started`.

    `fetch` receives the `Fetching` and what `start` was given, calls `finish` at its end, and raises nothing.
    """

    def __init__(self, fetch: Callable[..., Coroutine[Any, Any, None]]) -> None:
        self._fetch = fetch
        self.started = 0
        # Events and tasks belong to one event loop, and several may share a set of keys.
        self._running: RunVar[Mapping[Hashable, Fetching]] = RunVar(
            f"asgi_jwt_claims.jwks.fetching.{next(_numbers)}", {}
        )

    @property
    def running(self) -> Mapping[Hashable, Fetching]:
        """The fetches that run on this event loop, by their keys."""
        return self._running.get()

    @property
    def current(self) -> Fetching | None:
        """The fetch without a key that runs on this event loop; None if there is none."""
        return self.running.get(None)

    def start(self, key: Hashable = None, *args: object) -> Fetching:
        """Return the fetch for `key` that runs, after starting one with `args` if there is none."""
        running = self.running
        fetching = running.get(key)
        if fetching is None:
            self.started += 1
            fetching = Fetching(key)
            unset = self._running.set({**running, key: fetching})
            # Of the first of those that run at the same time, which was set where nothing was.
            fetching.unset = next(iter(running.values())).unset if running else unset
            fetching.cancel = spawn(functools.partial(self._fetch, fetching, *args))
        return fetching

    def finish(self, fetching: Fetching) -> None:
        """Mark a fetch as ended: waiting callers continue, and the next fetch may start."""
        others = {key: other for key, other in self.running.items() if other is not fetching}
        if others:
            self._running.set(others)
        elif self.running:
            # Unset, so that nothing stays on the event loop of a set of keys that is given up.
            self._running.reset(fetching.unset)
        fetching.done.set()

    def cancel(self) -> None:
        """Cancel the fetch without a key that runs, if there is one."""
        fetching = self.current
        if fetching is not None:
            fetching.cancel()
            # A task that is cancelled before its first step never takes one, and could not wake those who wait.
            self.finish(fetching)
