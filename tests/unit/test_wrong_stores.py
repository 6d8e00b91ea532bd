"""The published contract tells a store that is subtly wrong from one that is right."""

from __future__ import annotations

import time
import unittest
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import JWTConfig, Token
from asgi_jwt_claims.stores import MemoryStore, Revocation, SessionRecord, TokenDigests, TokenStore
from asgi_jwt_claims.testing import StoreContract

pytestmark = pytest.mark.anyio


class LetsIn(MemoryStore):
    """Without its place it says that nothing is revoked."""

    is_away = False

    async def is_revoked(self, marks: TokenDigests) -> bool:
        return not self.is_away and await super().is_revoked(marks)


class ForgetsSoon(MemoryStore):
    """It keeps nothing for longer than eleven minutes."""

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        latest = time.time() + 660
        await super().revoke([one._replace(until=min(latest, one.until)) for one in revocations])


class LastOneCounts(MemoryStore):
    """A later revocation of a session replaces one that lasts longer."""

    def __init__(self) -> None:
        super().__init__()
        self.revoked_sessions: dict[bytes, float] = {}

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        for one in revocations:
            if one.kind == "session":
                self.revoked_sessions[one.digest] = one.until
        await super().revoke([one for one in revocations if one.kind != "session"])

    async def is_revoked(self, marks: TokenDigests) -> bool:
        return self.revoked_sessions.get(marks.session, 0.0) > time.time() or await super().is_revoked(marks)


class ShortDigests(MemoryStore):
    """It keeps the first four bytes of each digest."""

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        await super().revoke([one._replace(digest=one.digest[:4]) for one in revocations])

    async def is_revoked(self, marks: TokenDigests) -> bool:
        short = TokenDigests(marks.token[:4], marks.session[:4], marks.identity[:4], marks.issued_at)
        return await super().is_revoked(short)

    async def cutoff(self, identity: bytes) -> float:
        return await super().cutoff(identity[:4])


class WritesNothing(MemoryStore):
    """What it was told is gone when it is closed."""

    async def aclose(self) -> None:
        MemoryStore.__init__(self)


class LooksThenWrites(MemoryStore):
    """It compares, and replaces later, without letting the event loop do anything in between."""

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        before = self._sessions.get(session)
        if (before.current if before else b"") != current:
            return False
        time.sleep(0.005)  # noqa: ASYNC251 -- what this store does wrong
        self._sessions[session] = record
        return True


class AwaitsThenWrites(LooksThenWrites):
    """It compares, and replaces later; meanwhile the event loop goes on."""

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        before = self._sessions.get(session)
        await anyio.lowlevel.checkpoint()
        return (before.current if before else b"") == current and await super().replace_session(
            session, self._sessions[session].current if before else b"", record
        )


class Lists(MemoryStore):
    """Its lists hold sessions that have ended, in the order in which they began, and do not end."""

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = 500) -> list[SessionRecord]:
        return [one for one in self._sessions.values() if one.identity == identity]


class ForgetsEnds(MemoryStore):
    """It drops the record of a session that was ended."""

    async def session(self, session: bytes) -> SessionRecord | None:
        record = await super().session(session)
        return None if record is None or record.has_ended else record


class ShortPages(MemoryStore):
    """It never returns more than a hundred sessions at once."""

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = 500) -> list[SessionRecord]:
        return await super().sessions(identity, after=after, limit=min(100, limit))


class KnowsNothing(MemoryStore):
    """It says at once that a token is good, also after it was revoked."""

    def is_revoked_locally(self, token: Token, config: JWTConfig) -> bool:
        return False


def contract_of(kind: type[MemoryStore]) -> StoreContract:
    """The contract, for a store that is a place by itself."""

    class Contract(StoreContract):
        @asynccontextmanager
        async def open_stores(self) -> AsyncIterator[tuple[TokenStore, TokenStore]]:
            self.store: Any = kind()
            yield self.store, self.store

        @asynccontextmanager
        async def break_place(self) -> AsyncIterator[None]:
            self.store.is_away = True
            yield

    return Contract()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (LetsIn, "test_a_place_out_of_reach"),
        (KnowsNothing, "test_what_is_known_without_waiting"),
        (ForgetsSoon, "test_it_is_kept_for_long"),
        (LastOneCounts, "test_the_longer_counts"),
        (ShortDigests, "test_digests_that_are_almost_alike"),
        (WritesNothing, "test_it_is_kept_when_stores_are_closed"),
        (LooksThenWrites, "test_one_of_many_in_threads_replaces_it"),
        (AwaitsThenWrites, "test_one_of_many_replaces_it"),
        (Lists, "test_sessions_come_in_pages"),
        (ShortPages, "test_a_page_is_cut_short_by_its_limit_alone"),
        (Lists, "test_a_session_that_was_ended"),
        (ForgetsEnds, "test_a_session_that_was_ended"),
    ],
)
async def test_a_wrong_store_is_told(kind: type[MemoryStore], name: str) -> None:
    """A store with this fault fails this test of the contract, which a store without it passes."""
    with pytest.raises(AssertionError):
        await getattr(contract_of(kind), name)()
    if name != "test_a_place_out_of_reach":  # memory is always within reach
        await getattr(contract_of(MemoryStore), name)()


async def test_what_a_store_cannot_do_is_skipped() -> None:
    """Without `break_place`, and for a store that belongs to one event loop, a test is skipped, not passed."""

    class Bare(StoreContract):
        one_loop = True

        @asynccontextmanager
        async def open_stores(self) -> AsyncIterator[tuple[TokenStore, TokenStore]]:
            store = MemoryStore()
            yield store, store

    for test in (Bare().test_a_place_out_of_reach, Bare().test_one_of_many_in_threads_replaces_it):
        with pytest.raises(unittest.SkipTest):
            await test()
