"""Background work that lives exactly as long as the application does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import anyio

__all__ = ["KeptFresh", "keep_fresh_during"]


class KeptFresh(Protocol):
    """Something that has to be looked after in the background."""

    async def keep_fresh(self) -> None:
        """Look after it, until cancelled."""


async def keep_fresh_during(subjects: Iterable[KeptFresh], run: Callable[[], Awaitable[object]]) -> None:
    """Look after `subjects` while `run` runs, and no longer.

    Raises:
        Exception: What `run` raises, as it is: servers tell by it whether an application has a lifespan at all.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as background:
        for subject in subjects:
            background.start_soon(subject.keep_fresh)
        try:
            await run()
        except Exception as error:  # noqa: BLE001 -- a task group would raise it in a group
            failure = error
        background.cancel_scope.cancel()
    if failure is not None:
        raise failure
