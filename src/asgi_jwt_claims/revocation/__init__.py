"""Revocation and sessions: which tokens no longer count, and the life of refresh tokens.

Stores behind one contract, `RevocationStore`: `MemoryStore`, `SQLiteStore`, `RedisStore` (in `.redis`, extra `redis`),
`CoredisStore` (in `.coredis`, extra `coredis`), and `MirroredStore` in front of one of the last two.
"""

from __future__ import annotations

from asgi_jwt_claims._store import Marks, Revocation, RevocationStore, SessionRecord

from .memory import MemoryStore
from .mirrored import MirroredStore
from .rotation import ClaimsLoader, Renewal, rotate_refresh_token
from .sessions import Session, list_sessions, revoke_identity, revoke_session, revoke_token, start_session
from .sqlite import SQLiteStore

__all__ = [
    "ClaimsLoader",
    "Marks",
    "MemoryStore",
    "MirroredStore",
    "Renewal",
    "Revocation",
    "RevocationStore",
    "SQLiteStore",
    "Session",
    "SessionRecord",
    "list_sessions",
    "revoke_identity",
    "revoke_session",
    "revoke_token",
    "rotate_refresh_token",
    "start_session",
]
