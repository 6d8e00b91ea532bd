"""Run background work for exactly as long as the application runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import anyio

__all__ = ["Background", "run_during"]


class Background(Protocol):
    """Work that goes on in the background."""

    async def run(self) -> None:
        """Do the work, until cancelled."""


async def run_during(subjects: Iterable[Background], call: Callable[[], Awaitable[object]]) -> None:
    """Run `subjects` in the background until `call` has ended, and raise what it raises.

    Servers tell by it whether an application has a lifespan at all.
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
