"""A process of its own with a store: `python -m tests.system.stores.process`. Reads commands and answers, as lines of JSON."""

from __future__ import annotations

import itertools
import json
import sys
import time
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread

from asgi_jwt_claims import JWTConfig, TokenError
from asgi_jwt_claims.sessions import rotate_refresh_token
from asgi_jwt_claims.stores import MirroredStore, Revocation, SQLiteStore, TokenDigests, TokenStore
from tests.support import SECRET

PATIENCE = 60.0
"""Seconds that a store may take, since the machine may be busy."""


def answer(content: Any) -> None:
    print(json.dumps(content), flush=True)  # noqa: T201 -- this is how it speaks


def open_store(kind: str, place: str, prefix: str) -> TokenStore:
    """A store on a place that is shared with other processes."""
    if kind == "sqlite":
        return SQLiteStore(place, timeout=PATIENCE)
    from asgi_jwt_claims.stores.redis import RedisStore  # noqa: PLC0415 -- only where it is installed

    store = RedisStore.from_url(place, prefix=prefix, timeout=PATIENCE)
    return MirroredStore(store) if kind == "mirrored" else store


def marks_for(name: str) -> TokenDigests:
    """The digests of a token with this mark."""
    return TokenDigests(bytes.fromhex(name), b"", b"", 0.0)


def revocation_of(name: str) -> Revocation:
    """The revocation of a token with this mark, for an hour."""
    return Revocation("token", bytes.fromhex(name), time.time() + 3600)


class Process:
    """What it can be told to do; each method is a command, and the first of them is `open`."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self.tasks = tasks
        self.store: Any = None
        self.config = JWTConfig(secret_key=SECRET)
        self.scope = anyio.CancelScope()

    async def open(self, kind: str, place: str, prefix: str, grace: float) -> bool:
        """Work on this store from now on, and no longer on the one before; answer once it does."""
        self.scope.cancel()
        if self.store is not None:
            await self.store.aclose()
        self.store = open_store(kind, place, prefix)
        self.config = JWTConfig(secret_key=SECRET, refresh_grace=grace)
        self.scope = anyio.CancelScope()
        self.tasks.start_soon(self.run, self.store, self.scope)
        while isinstance(self.store, MirroredStore) and not self.store.is_current:  # noqa: ASYNC110 -- that says nothing
            await anyio.sleep(0.01)
        return await self.store.is_revoked(marks_for("00" * 16)) is False

    async def run(self, store: TokenStore, scope: anyio.CancelScope) -> None:
        """Let the store hear what others revoke, until another one is opened."""
        with scope:
            await store.run()

    async def rotate(self, raw: str, times: int) -> list[Any]:
        """Use one refresh token many times at once: the pairs, and the codes of the errors."""
        results: list[Any] = []

        async def once() -> None:
            try:
                results.append(dict(await rotate_refresh_token(raw, self.config, self.store)))
            except TokenError as error:
                results.append(error.code)

        async with anyio.create_task_group() as tasks:
            for _ in range(times):
                tasks.start_soon(once)
        return results

    async def revoke(self, names: list[str]) -> bool:
        """Revoke tokens one by one."""
        for name in names:
            await self.store.revoke([revocation_of(name)])
        return True

    async def revoked(self, names: list[str]) -> list[bool]:
        """Which tokens are revoked."""
        return [await self.store.is_revoked(marks_for(name)) for name in names]

    async def storm(self) -> None:
        """Revoke one token after the other until killed, and say which only when it is done."""
        for number in itertools.count():
            name = number.to_bytes(16, "big").hex()
            await self.store.revoke([revocation_of(name)])
            answer(name)

    async def watch(self, names: list[str]) -> list[float]:
        """When each token was first known to be revoked, in seconds since the epoch."""
        seen: dict[str, float] = {}
        while len(seen) < len(names):
            for name in names:
                if name not in seen and await self.store.is_revoked(marks_for(name)):
                    seen[name] = time.time()
            await anyio.sleep(0.0005)
        return [seen[name] for name in names]


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        process = Process(tasks)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline):
            name, arguments = json.loads(line)
            answer(await getattr(process, name)(*arguments))
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
