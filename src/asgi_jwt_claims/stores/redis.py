"""`RedisStore`: Redis or Valkey through redis-py, on asyncio (extra `redis`)."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

import anyio

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.imports import needs

from ._commands import CommandStore

with needs("redis"):
    from redis import asyncio as aioredis

__all__ = ["RedisStore"]

_CONNECTIONS = 32


class RedisStore(CommandStore["aioredis.Redis | aioredis.RedisCluster"]):
    """Keep revocations and sessions on a server: Redis 6.2 or later, Valkey 7.2 or later, or a cluster of either.

    Set `maxmemory-policy noeviction` and `appendonly yes` on the server: a revocation that the server loses no longer
    counts, unless a `MirroredStore` writes it again.

    The client of `from_url` has at most 32 connections, or `max_connections` of the URL. Calls beyond that wait for one,
    at most `timeout`.

    Args:
        client: A client of redis-py, which the application closes. Give it a `BlockingConnectionPool`: the ordinary pool
            raises when all of its connections are in use.
        prefix: The beginning of all keys, written in braces, so that a cluster keeps them on one node.
        timeout: The longest wait for an answer, and for a free connection; a `timedelta` or seconds.
        clock: A function that returns seconds since the epoch, such as `time.time`.

    Raises:
        SettingError: An option cannot be used.
    """

    __slots__ = ()

    @staticmethod
    def _connect(url: str, timeout: float) -> aioredis.Redis:
        pool = aioredis.BlockingConnectionPool.from_url(
            url, max_connections=_CONNECTIONS, timeout=timeout, socket_connect_timeout=timeout
        )
        return aioredis.Redis.from_pool(pool)

    @staticmethod
    def _check_client(client: object) -> None:
        if not isinstance(client, aioredis.Redis | aioredis.RedisCluster):
            raise SettingError(
                f"client must be one of redis.asyncio, not {type(client).__name__}: "
                "RedisStore(redis.asyncio.Redis.from_url(...))"
            )

    async def run(self) -> None:
        """See `TokenStore`; closes the client of `from_url` at the end."""
        try:
            await self._begin_early()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.aclose()

    async def aclose(self) -> None:
        if self._owned:
            await self._client.aclose()

    def _run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Awaitable[Any]:
        client: Any = self._client  # its stub says that `eval` may also answer at once, as that of the sync client does
        answer: Awaitable[Any] = client.eval(script, len(keys), *keys, *arguments)
        return answer

    async def _read_stream(self, key: str, after: str, milliseconds: int) -> list[tuple[Any, dict[Any, Any]]]:
        found: Any = await self._client.xread({key: after}, count=1000, block=milliseconds)
        # A mapping or pairs, depending on the version of the protocol.
        streams = list(found.values()) if isinstance(found, dict) else [entries for _, entries in found or ()]
        entries: Any = streams[0] if streams else []
        return entries[0] if entries and isinstance(entries[0], list) else entries
