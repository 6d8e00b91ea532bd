"""Let concurrent callers share one fetch per event loop."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.lowlevel import RunVar, RunvarToken

from asgi_jwt_claims.runtime.tasks import spawn

__all__ = ["Fetching", "SingleFlight"]

# Old versions of anyio tell such variables apart by their names.
_numbers = itertools.count()


class Fetching:
    """One fetch. It runs in a task of its own, so that no caller's cancellation ends it."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.failed = True  # until it has brought keys
        self.cancel: Callable[[], object]
        self.unset: RunvarToken[Fetching | None]


class SingleFlight:
    """Lets at most one fetch run on each event loop, and counts them in `started`.

    `fetch` receives the `Fetching`, calls `finish` at its end, and raises nothing.
    """

    def __init__(self, fetch: Callable[[Fetching], Coroutine[Any, Any, None]]) -> None:
        self._fetch = fetch
        self.started = 0
        # Events and tasks belong to one event loop, and several may share a set of keys.
        self._current: RunVar[Fetching | None] = RunVar(f"asgi_jwt_claims.jwks.fetching.{next(_numbers)}", None)

    @property
    def current(self) -> Fetching | None:
        """The fetch that runs on this event loop; None if there is none."""
        return self._current.get()

    def start(self) -> Fetching:
        """Return the fetch that runs, after starting one if there is none."""
        fetching = self._current.get()
        if fetching is None:
            self.started += 1
            fetching = Fetching()
            fetching.unset = self._current.set(fetching)
            fetching.cancel = spawn(functools.partial(self._fetch, fetching))
        return fetching

    def finish(self, fetching: Fetching) -> None:
        """Mark a fetch as ended: waiting callers continue, and the next fetch may start."""
        if self._current.get() is fetching:
            # Unset, so that nothing stays on the event loop of a set of keys that is given up.
            self._current.reset(fetching.unset)
        fetching.done.set()

    def cancel(self) -> None:
        """Cancel the fetch that runs, if there is one."""
        fetching = self._current.get()
        if fetching is not None:
            fetching.cancel()
            # A task that is cancelled before its first step never takes one, and could not wake those who wait.
            self.finish(fetching)
