"""Background work that lives exactly as long as the application does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import anyio

__all__ = ["Background", "run_during"]


class Background(Protocol):
    """Something that has to be looked after in the background."""

    async def run(self) -> None:
        """Look after it, until cancelled."""


async def run_during(subjects: Iterable[Background], call: Callable[[], Awaitable[object]]) -> None:
    """Look after `subjects` while `call` runs, and no longer.

    Raises:
        Exception: What `call` raises, as it is: servers tell by it whether an application has a lifespan at all.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as background:
        for subject in subjects:
            background.start_soon(subject.run)
        try:
            await call()
        except Exception as error:  # noqa: BLE001 -- a task group would raise it in a group
            failure = error
        background.cancel_scope.cancel()
    if failure is not None:
        raise failure
