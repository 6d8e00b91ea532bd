"""Functions of the application that are told of events, none of which can fail or hold up what it is told of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

import anyio

from .log import logger
from .tasks import ends_task

__all__ = ["notify"]

_EventT = TypeVar("_EventT")

_PATIENCE = 1.0
"""Seconds that an async function may take for one event."""


async def notify(function: Callable[[_EventT], object], event: _EventT, about: str) -> None:
    """Call `function` with `event`, and await the result if it is awaitable, for `_PATIENCE` seconds at most.

    What the function raises is logged, `CancelledError` included; only a cancellation of the calling task goes on. A
    sync function cannot be interrupted.

    Args:
        function: Of the application; sync or async.
        event: What to tell.
        about: What to call the event in the log.
    """
    try:
        result = function(event)
        if not inspect.isawaitable(result):
            return
        with anyio.move_on_after(_PATIENCE) as patience:
            await result
        if patience.cancelled_caught:
            logger().error("on_event was cancelled, since it had not ended after %s s, for %s", _PATIENCE, about)
    except BaseException as error:
        if ends_task(error):
            raise
        logger().exception("on_event failed for %s", about)
