"""The logger `asgi_jwt_claims`, made when the first message is logged."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["logger"]


@functools.cache
def logger() -> logging.Logger:
    """Return the logger."""
    import logging  # noqa: PLC0415 -- a good part of the time that importing this library would take

    return logging.getLogger("asgi_jwt_claims")
