"""Tests of sessions in a store, and what these and the other tests of stores need."""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any
from unittest import SkipTest, mock

import anyio
import anyio.to_thread

from asgi_jwt_claims.stores.base import SessionRecord, TokenStore
from asgi_jwt_claims.tokens.digests import TokenDigests

__all__ = ["SHORT", "SessionContract", "later", "new_digest", "new_digests", "new_record"]

SHORT = 0.3
"""Seconds after which something expires while a test waits for it."""

_THREADS = 8
_PATIENCE = 60.0  # seconds that a thread may take to begin
_NO_TOKEN = b"\0" * 16


class SessionContract(ABC):
    """Tests of sessions: reading, replacing, listing, and expiring. Each opens two stores."""

    lag: float = 0.0
    one_loop: bool = False

    @abstractmethod
    def open_stores(self) -> AbstractAsyncContextManager[tuple[TokenStore, TokenStore]]:
        """Open two stores on the same empty place; a store without a place outside of itself twice."""

    def break_place(self) -> AbstractAsyncContextManager[Any]:
        """Keep the stores that were opened last from their place meanwhile. Optional: without it, a test is skipped."""
        raise SkipTest("there is no break_place")

    def clock_moved(self, seconds: float) -> AbstractContextManager[Any]:
        """Move the clock of the stores meanwhile, by a number of seconds that may be negative.

        Optional: replaces `time.time` in the whole process. Override it for stores that have another clock.
        """
        real = time.time

        def moved() -> float:
            return real() + seconds

        return mock.patch("time.time", moved)

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Whether a condition holds, now or within `lag`."""
        deadline = time.monotonic() + self.lag
        while not (held := await holds()) and time.monotonic() < deadline:  # noqa: ASYNC110 -- another process decides
            await anyio.sleep(0.01)
        return held

    async def test_a_session_is_kept_as_it_is(self) -> None:
        """Every field is read as it was written, by each store on the place."""
        async with self.open_stores() as (store, other):
            plain = new_record()
            rich = new_record(
                identity=plain.identity,
                previous=new_digest(),
                response=os.urandom(700),
                response_until=later(),
                previous_used_at=time.time(),
                expires_at=math.inf,
                label="t\u00e9l\u00e9phone \U0001f4f1 'x' {y}",
            )._replace(access_expires_at=math.inf, audience='["a","b"]', repeats=7, was_repeated=True)
            for record in (plain, rich):
                assert await store.replace_session(record.session, b"", record) is True
                found = await other.session(record.session)
                assert found is not None
                assert found == record
                assert found.was_repeated is record.was_repeated
                assert found.has_ended is False
            assert await other.sessions(plain.identity) == sorted([plain, rich])
            assert await store.sessions(new_digest()) == []

    async def test_a_session_is_replaced_from_its_current_state(self) -> None:
        """A session is replaced only from the state that it is in, and started only if there is none."""
        async with self.open_stores() as (store, other):
            first = new_record()
            second = first._replace(current=new_digest(), previous=first.current)
            assert await store.replace_session(first.session, new_digest(), first) is False
            assert await store.replace_session(first.session, b"", first) is True
            assert await other.replace_session(first.session, b"", second) is False
            assert await other.replace_session(first.session, second.current, second) is False
            assert await other.replace_session(first.session, first.current, second) is True
            assert await store.replace_session(first.session, first.current, first) is False
            assert await store.session(first.session) == second
            assert await store.sessions(first.identity) == [second]

    async def test_a_session_that_was_ended(self) -> None:
        """The record of an ended session is kept until it expires, is on no list, and cannot be replaced by a live one."""
        async with self.open_stores() as stores:
            first, lasting = new_record(response=b"response", response_until=later()), new_record()
            for record in (first, lasting._replace(identity=first.identity)):
                await stores[0].replace_session(record.session, b"", record)
            ended = first._replace(current=_NO_TOKEN, response=b"", has_ended=True)
            assert await stores[0].replace_session(first.session, first.current, ended) is True
            for one in stores:
                found = await one.session(first.session)
                assert found is not None
                assert found == ended
                assert found.has_ended is True
                assert await one.sessions(first.identity) == [lasting._replace(identity=first.identity)]
                assert await one.replace_session(first.session, first.current, first) is False
                assert await one.replace_session(first.session, b"", first) is False

    async def test_sessions_come_in_pages(self) -> None:
        """Sessions are in the order of their digests, and each page but the last has as many as the limit says."""
        async with self.open_stores() as (store, other):
            owner = new_digest()
            every = sorted(new_record(identity=owner) for _ in range(8))
            gone = {
                1: every[1]._replace(current=_NO_TOKEN, has_ended=True),
                5: every[5]._replace(expires_at=time.time()),
            }
            for number, record in sorted(enumerate(every), key=lambda pair: pair[1].current):
                await store.replace_session(record.session, b"", record)
                if number in gone:
                    await store.replace_session(record.session, record.current, gone[number])
            stranger = new_record()
            await store.replace_session(stranger.session, b"", stranger)
            live = [record for number, record in enumerate(every) if number not in gone]
            assert await other.sessions(owner, limit=2) == live[:2]
            assert await other.sessions(owner, limit=5) == live[:5]
            assert await other.sessions(owner, after=live[1].session, limit=2) == live[2:4]
            assert await other.sessions(owner, after=live[1].session, limit=9) == live[2:]
            assert await other.sessions(owner, after=every[5].session) == live[4:]
            assert await other.sessions(owner, after=live[-1].session) == []

    async def test_a_page_is_cut_short_by_its_limit_alone(self) -> None:
        """A page of an identity with very many sessions is never short by itself."""
        async with self.open_stores() as (store, other):
            owner = new_digest()
            every = sorted(new_record(identity=owner) for _ in range(120))
            for record in every:
                await store.replace_session(record.session, b"", record)
            assert await other.sessions(owner) == every

    async def test_one_of_many_replaces_it(self) -> None:
        """Of any number of calls at once, exactly one replaces the session."""
        async with self.open_stores() as stores:
            first = new_record()
            await stores[0].replace_session(first.session, b"", first)
            contenders = [first._replace(current=new_digest()) for _ in range(20)]
            won: list[SessionRecord] = []

            async def contend(number: int, record: SessionRecord) -> None:
                if await stores[number % 2].replace_session(first.session, first.current, record):
                    won.append(record)

            async with anyio.create_task_group() as tasks:
                for number, record in enumerate(contenders):
                    tasks.start_soon(contend, number, record)
            assert len(won) == 1
            assert await stores[0].session(first.session) == won[0]

    async def test_one_of_many_in_threads_replaces_it(self) -> None:
        """Of calls at once, each in a thread and an event loop of its own, exactly one replaces the session."""
        if self.one_loop:
            raise SkipTest("a store belongs to one event loop")
        async with self.open_stores() as stores:
            for _ in range(5):
                first = new_record()
                await stores[0].replace_session(first.session, b"", first)
                together = threading.Barrier(_THREADS, timeout=_PATIENCE)
                won: list[SessionRecord] = []

                async with anyio.create_task_group() as tasks:
                    for number in range(_THREADS):
                        tasks.start_soon(_contend_in_a_thread, stores[number % 2], first, together, won)
                assert len(won) == 1
                assert await stores[0].session(first.session) == won[0]

    async def test_a_session_ends_by_itself(self) -> None:
        """An expired session is as if it had never been, and its response is dropped before."""
        async with self.open_stores() as (store, _):
            now = time.time()
            brief = new_record(expires_at=now + SHORT)
            lasting = new_record(identity=brief.identity, response=b"response", response_until=now + SHORT)
            for record in (brief, lasting):
                await store.replace_session(record.session, b"", record)
            await anyio.sleep(SHORT + 0.1)
            assert await store.session(brief.session) is None
            assert await store.session(lasting.session) == lasting._replace(response=b"")
            assert await store.sessions(brief.identity) == [lasting._replace(response=b"")]
            assert await store.replace_session(brief.session, brief.current, brief) is False
            again = brief._replace(expires_at=later())
            assert await store.replace_session(brief.session, b"", again) is True


async def _contend(
    store: TokenStore, before: SessionRecord, together: threading.Barrier, won: list[SessionRecord]
) -> None:
    record = before._replace(current=new_digest())
    together.wait()
    if await store.replace_session(before.session, before.current, record):
        won.append(record)


async def _contend_in_a_thread(*arguments: Any) -> None:
    await anyio.to_thread.run_sync(functools.partial(anyio.run, _contend, *arguments))


def new_digest() -> bytes:
    return os.urandom(16)


def new_digests(issued_at: float = 1.0) -> TokenDigests:
    return TokenDigests(new_digest(), new_digest(), new_digest(), issued_at)


def later() -> float:
    return float(math.floor(time.time()) + 600)  # whole, so that each store can keep it as it is


def new_record(**changes: Any) -> SessionRecord:
    """The record of a session that no store knows, with the given fields changed."""
    now = time.time()
    record = SessionRecord(
        session=new_digest(),
        identity=new_digest(),
        session_id=os.urandom(16).hex(),
        current=new_digest(),
        previous=b"",
        previous_used_at=0.0,
        response=b"",
        response_until=0.0,
        started_at=now - 5,
        refreshed_at=now,
        expires_at=later(),
        label="",
    )
    return record._replace(**changes)
