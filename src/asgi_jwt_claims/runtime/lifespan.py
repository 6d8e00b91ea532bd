"""Run background work for exactly as long as the application runs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from asgi_jwt_claims.errors import SettingError, UnsupportedScopeError

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import ASGIApp

__all__ = ["Background", "run_lifespan"]


class Background(Protocol):
    """Work that goes on in the background."""

    async def run(self) -> None:
        """Do the work, until cancelled."""


async def run_lifespan(
    app: ASGIApp, subjects: Collection[Background], check: Callable[[], None], scope: Any, receive: Any, send: Any
) -> None:
    """Run the lifespan of an application, with `subjects` in the background, after a check.

    Raises:
        UnsupportedScopeError: The scope is no lifespan.
        SettingError: `check` raised it.
        Exception: The application raised it. Servers tell by it whether an application has a lifespan at all.
    """
    if scope["type"] != "lifespan":
        raise UnsupportedScopeError(f"scope type {scope['type']!r} is not guarded, so it is not let through")
    try:
        check()
    except SettingError as error:
        # A server that is told so stops and shows it; one that is not takes this for an application without lifespan.
        await receive()
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        raise
    if not subjects:
        await app(scope, receive, send)
        return
    failure: Exception | None = None
    async with anyio.create_task_group() as background:
        for subject in subjects:
            background.start_soon(subject.run)
        try:
            await app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 -- a task group would raise it in a group
            failure = error
        background.cancel_scope.cancel()
    if failure is not None:
        raise failure
