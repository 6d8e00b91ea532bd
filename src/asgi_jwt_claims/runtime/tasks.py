"""Run tasks that belong to the event loop, and to no request.

A fetch that many requests wait for must outlive the request that started it, even if that request is cancelled. anyio
has no such task, so this asks the event loop itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["caller_from_any_thread", "ends_task", "in_event_loop", "spawn"]

# An event loop refers to its tasks only weakly.
_running: set[asyncio.Task[None]] = set()


def spawn(function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], object]:
    """Run a function in a task of its own, in an empty context, since it works for all requests.

    The function must not raise, as no caller would see it. Returns a function that cancels the task.
    """
    trio = _current_trio()
    if trio is not None:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await function()

        trio.lowlevel.spawn_system_task(run)
        cancel: Callable[[], object] = scope.cancel
        return cancel
    task = asyncio.get_running_loop().create_task(function(), context=contextvars.Context())
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task.cancel


def in_event_loop() -> bool:
    """Whether an event loop runs in this thread, so that `spawn` can be called."""
    if _current_trio() is not None:
        return True
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def ends_task(error: BaseException) -> bool:
    """Whether `error`, just caught, ends the running task or the process, and so has to be raised again.

    A function of the application can raise `asyncio.CancelledError` too, for example by awaiting a cancelled task of
    its own. That is a failure of the function, and cancels nothing else.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        return True
    if _current_trio() is not None:
        return anyio.current_effective_deadline() == -math.inf
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def caller_from_any_thread() -> Callable[[Callable[[], object]], object]:
    """Return what lets any thread call a function in this event loop. It raises RuntimeError once the loop is over."""
    trio = _current_trio()
    soon: Callable[[Callable[[], object]], object] = (
        asyncio.get_running_loop().call_soon_threadsafe
        if trio is None
        else trio.lowlevel.current_trio_token().run_sync_soon
    )
    return soon


def _current_trio() -> Any:
    """Return the module trio if trio runs in this thread."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_task() else None
