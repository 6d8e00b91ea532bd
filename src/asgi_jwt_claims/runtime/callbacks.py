"""Call functions of the application with events, without letting them fail or delay anything."""

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
"""The time that an async function may take for one event, in seconds."""


async def notify(function: Callable[[_EventT], object], event: _EventT, about: str) -> None:
    """Call a sync or async function of the application, for at most `_PATIENCE` seconds if it is async.

    What it raises is logged with `about`, the name of the event. That includes a `CancelledError` of its own, but a
    cancellation of the calling task continues.
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
