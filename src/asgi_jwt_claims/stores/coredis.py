"""`CoredisStore`: Redis or Valkey through coredis, on asyncio and trio (extra `coredis`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.durations import as_duration
from asgi_jwt_claims.runtime.extras import needs

from ._commands import CommandStore

with needs("coredis"):
    from coredis import Redis
    from coredis.retry import NoRetryPolicy

__all__ = ["CoredisStore"]


class CoredisStore(CommandStore):
    """As `RedisStore`, through coredis.

    A client of coredis has to be entered (`async with client`) by whoever made it. `from_url` makes one that the store
    enters while the application runs.

    A call that has been sent is not cancelled, since coredis would lose a place of its pool by that for good; it takes
    `stream_timeout` and `connect_timeout` of the client at most. Any number of
    calls share few connections, and none fails for want of one.

    Args:
        client: Of coredis, with a `stream_timeout` and a `connect_timeout`, in seconds.
        prefix: What the names of keys begin with, in braces: all of them on one node of a cluster.
        timeout: The longest to wait for an answer, a `timedelta` or seconds.
        clock: Seconds since the epoch, as `time.time`.

    Raises:
        SettingError: An option cannot be used.
    """

    __slots__ = ("_client", "_longest_block", "_owned")

    def __init__(
        self, client: Redis[Any], *, prefix: str = "asgi-jwt-claims", timeout: float = 1.0, **options: Any
    ) -> None:
        if not isinstance(client, Redis):
            raise SettingError("client must be one of coredis: CoredisStore(coredis.Redis.from_url(...))")
        super().__init__(prefix=prefix, timeout=timeout, **options)
        settings = client.connection_pool.connection_kwargs
        stream_timeout = settings.get("stream_timeout")
        if not stream_timeout or not settings.get("connect_timeout"):
            raise SettingError("the client needs a stream_timeout and a connect_timeout, such as 1 second each")
        self._longest_block = max(1, round(stream_timeout * 500))
        self._client = client
        self._owned = False

    @classmethod
    def from_url(cls, url: str, **options: Any) -> CoredisStore:
        """A store with a client of its own, which is there while the application runs (its lifespan).

        Args:
            url: Where the server is.
            options: Those of `CoredisStore`.
        """
        timeout = as_duration(options.get("timeout", 1.0), "timeout").total_seconds()
        client = Redis.from_url(
            url, stream_timeout=timeout, connect_timeout=timeout, retry_policy=NoRetryPolicy(), verify_version=False
        )
        store = cls(client, **options)
        store._owned = True
        return store

    async def run(self) -> None:
        """See `TokenStore`; the client is open meanwhile."""
        if not self._owned:
            await self._greet()
            return
        async with self._client:
            await self._greet()
            await anyio.sleep_forever()

    async def _run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        with anyio.CancelScope(shield=True):
            return await self._client.eval(script, keys, arguments)

    async def _read_stream(self, key: str, after: str, milliseconds: int) -> list[tuple[Any, dict[Any, Any]]]:
        found: Any = None
        with anyio.CancelScope(shield=True):
            # Less than its `stream_timeout`: that nothing has come in the meantime is no failure.
            found = await self._client.xread({key: after}, count=1000, block=min(milliseconds, self._longest_block))
        return [(entry.identifier, dict(entry.field_values)) for entries in (found or {}).values() for entry in entries]
