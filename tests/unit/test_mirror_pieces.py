"""A mirror lets the event loop do other things while it learns."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims.stores import MemoryStore, MirroredStore, Revocation, SessionRecord, TokenDigests
from asgi_jwt_claims.stores._commands import FeedStore, Position

pytestmark = pytest.mark.anyio


def revocation(number: int) -> Revocation:
    return Revocation("token", number.to_bytes(16, "big"), math.inf)


class Server(FeedStore):
    """A server that has one large page, and then one large answer of its feed."""

    def __init__(self) -> None:
        self.memory = MemoryStore()
        self.entries: list[tuple[Position, Revocation]] = []

    async def position(self) -> Position:
        return Position("0", 0)

    async def page(self, cursor: int) -> tuple[int, list[Revocation]]:
        return 0, [revocation(number) for number in range(1000)]

    async def follow(self, after: Position, wait: float) -> list[tuple[Position, Revocation]]:
        await anyio.sleep(0.001)
        return [entry for entry in self.entries if entry[0].number > after.number]

    async def is_revoked(self, marks: TokenDigests) -> bool:
        return await self.memory.is_revoked(marks)

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        await self.memory.revoke(revocations)

    async def cutoff(self, identity: bytes) -> float:
        return await self.memory.cutoff(identity)

    async def session(self, session: bytes) -> SessionRecord | None:
        return await self.memory.session(session)

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = 500) -> list[SessionRecord]:
        return await self.memory.sessions(identity, after=after, limit=limit)

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        return await self.memory.replace_session(session, current, record)


async def test_listeners_are_told_in_pieces() -> None:
    """Of any number that becomes known at once listeners hear a hundred at a time, and the event loop goes on between."""
    server = Server()
    mirror = MirroredStore(server)
    told: list[tuple[int, int]] = []
    turns = 0

    def listener(revocations: Collection[Any]) -> None:
        told.append((len(revocations), turns))

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    mirror.feed.subscribe(listener)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turn)
        tasks.start_soon(mirror.run)
        with anyio.fail_after(60):
            while len(told) < 10:  # noqa: ASYNC110 -- what is waited for happens elsewhere
                await anyio.sleep(0.001)
            server.entries = [(Position("1", number), revocation(1000 + number)) for number in range(1, 301)]
            while len(told) < 13:  # noqa: ASYNC110 -- as above
                await anyio.sleep(0.001)
        await mirror.revoke([revocation(2000 + number) for number in range(150)])
        tasks.cancel_scope.cancel()
    assert [100] * 14 + [50] == [number for number, _ in told]
    assert 8 <= len(
        {at for _, at in told}
    )  # trio runs tasks of one turn in any order: at most two pieces follow at once
    assert 1450 == len(mirror)
