"""Stores of revocations and sessions, behind one contract: `TokenStore`.

`MemoryStore` and `SQLiteStore` need no server; `RedisStore` is in `.redis` (extra `redis`), `CoredisStore` in `.coredis`
(extra `coredis`), and `MirroredStore` stands in front of one of these two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgi_jwt_claims.runtime.imports import importer

if TYPE_CHECKING:
    from .base import Revocation, RevocationFeed, SessionRecord, TokenDigests, TokenStore
    from .memory import MemoryStore
    from .mirrored import MirroredStore
    from .sqlite import SQLiteStore

__all__ = [
    "MemoryStore",
    "MirroredStore",
    "Revocation",
    "RevocationFeed",
    "SQLiteStore",
    "SessionRecord",
    "TokenDigests",
    "TokenStore",
]

__getattr__ = importer(
    __name__,
    {
        "base": ("Revocation", "RevocationFeed", "SessionRecord", "TokenDigests", "TokenStore"),
        "memory": ("MemoryStore",),
        "mirrored": ("MirroredStore",),
        "sqlite": ("SQLiteStore",),
    },
)
