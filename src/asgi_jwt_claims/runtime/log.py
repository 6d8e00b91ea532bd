"""The logger of this library, `asgi_jwt_claims`, made when there is first something to say."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["logger"]


@functools.cache
def logger() -> logging.Logger:
    """The logger."""
    import logging  # noqa: PLC0415 -- a good part of the time that importing this library would take

    return logging.getLogger("asgi_jwt_claims")
