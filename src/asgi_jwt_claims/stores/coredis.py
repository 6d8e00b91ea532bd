"""`CoredisStore`: Redis or Valkey through coredis, on asyncio and trio (extra `coredis`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime.imports import needs

from ._commands import CommandStore

with needs("coredis"):
    from coredis import Redis
    from coredis.retry import NoRetryPolicy

__all__ = ["CoredisStore"]


class CoredisStore(CommandStore["Redis[Any]"]):
    """Keep revocations and sessions on a server, as `RedisStore` does, through coredis.

    The application has to enter a client (`async with client`) before its store is used; that of `from_url` is open
    during the lifespan. Any number of calls share few connections. A call that has been sent is not cancelled, because
    coredis would lose a place of its pool for good; it lasts for the client's two timeouts at most.

    Args:
        client: A client of coredis with a `stream_timeout` and a `connect_timeout`, in seconds.
        prefix: As for `RedisStore`.
        timeout: The longest wait for an answer; a `timedelta` or seconds.
        clock: As for `RedisStore`.

    Raises:
        SettingError: An option cannot be used.
    """

    __slots__ = ()

    @staticmethod
    def _connect(url: str, timeout: float) -> Redis[Any]:
        return Redis.from_url(
            url, stream_timeout=timeout, connect_timeout=timeout, retry_policy=NoRetryPolicy(), verify_version=False
        )

    @staticmethod
    def _check_client(client: object) -> None:
        if not isinstance(client, Redis):
            raise SettingError(
                f"client must be one of coredis, not {type(client).__name__}: CoredisStore(coredis.Redis.from_url(...))"
            )
        settings = client.connection_pool.connection_kwargs
        if not settings.get("stream_timeout") or not settings.get("connect_timeout"):
            raise SettingError("client needs a stream_timeout and a connect_timeout, such as 1 second each")

    async def run(self) -> None:
        """See `TokenStore`; the client of `from_url` is open meanwhile."""
        if not self._owned:
            await self._begin_early()
            return
        async with self._client:
            await self._begin_early()
            await anyio.sleep_forever()

    async def _run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str]) -> Any:
        with anyio.CancelScope(shield=True):
            return await self._client.eval(script, keys, arguments)

    async def _read_stream(self, key: str, after: str, milliseconds: int) -> list[tuple[Any, dict[Any, Any]]]:
        # Half of `stream_timeout` at most, so that a wait without entries is no failure.
        settings: Any = self._client.connection_pool.connection_kwargs
        longest = max(1, round(settings["stream_timeout"] * 500))
        found: Any = None
        with anyio.CancelScope(shield=True):
            found = await self._client.xread({key: after}, count=1000, block=min(milliseconds, longest))
        return [(entry.identifier, dict(entry.field_values)) for entries in (found or {}).values() for entry in entries]
