"""`RedisStore`: Redis or Valkey through redis-py, on asyncio (extra `redis`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.extras import needs

from ._commands import CommandStore

with needs("redis"):
    from redis import asyncio as aioredis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["RedisStore"]

_CONNECTIONS = 32


class RedisStore(CommandStore):
    """Keeps everything on a server that all processes share: Redis 6.2 or later, Valkey 7.2 or later, or a cluster.

    Let the server keep what it is told (`maxmemory-policy noeviction`, `appendonly yes`); what it forgets is no longer
    revoked, except for mirrors, which tell it again.

    Args:
        client: Of redis-py. It remains the application's to close; `from_url` makes one that closes with the store. Give
            it a `BlockingConnectionPool`: the ordinary pool fails at once when all of its connections are in use.
        prefix: What the names of keys begin with, in braces: all of them on one node of a cluster.
        timeout: The longest to wait for an answer, and for a connection to ask by; a `timedelta` or seconds.
        clock: Seconds since the epoch, as `time.time`.

    Raises:
        SettingError: An option cannot be used.
    """

    __slots__ = ("_client", "_owned")

    def __init__(
        self,
        client: aioredis.Redis | aioredis.RedisCluster,
        *,
        prefix: str = "asgi-jwt-claims",
        timeout: float = 1.0,
        **options: Callable[[], float],
    ) -> None:
        if not isinstance(client, aioredis.Redis | aioredis.RedisCluster):
            raise SettingError("client must be one of redis.asyncio: RedisStore(redis.asyncio.Redis.from_url(...))")
        super().__init__(prefix=prefix, timeout=timeout, **options)
        self._client = client
        self._owned = False

    @classmethod
    def from_url(cls, url: str, **options: Any) -> RedisStore:
        """A store with a client of its own, for `redis://`, `rediss://` or `unix://`.

        It has at most 32 connections, or as many as `max_connections` in the URL says. Calls beyond that wait for one,
        at most `timeout`.

        Args:
            url: Where the server is.
            options: Those of `RedisStore`.
        """
        timeout = as_duration(options.get("timeout", 1.0), "timeout").total_seconds()
        pool = aioredis.BlockingConnectionPool.from_url(url, max_connections=_CONNECTIONS, timeout=timeout)
        store = cls(aioredis.Redis.from_pool(pool), **options)
        store._owned = True
        return store

    async def run(self) -> None:
        """See `TokenStore`; closes a client of its own at the end."""
        try:
            await self._greet()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await self.aclose()

    async def aclose(self) -> None:
        """See `TokenStore`."""
        if self._owned:
            await self._client.aclose()

    async def _run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        return await self._client.eval(script, len(keys), *keys, *arguments)

    async def _read_stream(self, key: str, after: str, milliseconds: int) -> list[tuple[Any, dict[Any, Any]]]:
        found: Any = await self._client.xread({key: after}, count=1000, block=milliseconds)
        # Pairs or a mapping, as the version of the protocol has it.
        streams = list(found.values()) if isinstance(found, dict) else [entries for _, entries in found or ()]
        entries: Any = streams[0] if streams else []
        return entries[0] if entries and isinstance(entries[0], list) else entries
