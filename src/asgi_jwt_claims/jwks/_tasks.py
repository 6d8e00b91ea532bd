"""Tasks that belong to the event loop, and to no request.

A fetch that many requests wait for must outlive whichever of them began it. Cancelling that one, by its own scope or by
its server, must not cancel the fetch; anyio has no such task, so this asks the event loop itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["spawn"]

# An event loop refers to its tasks only weakly.
_running: set[asyncio.Task[None]] = set()


def spawn(function: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], object]:
    """Run an async function in a task of its own, in an empty context: it works for all requests, not for this one.

    Args:
        function: Must not raise; there is nobody to raise to.

    Returns:
        What cancels the task.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
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
