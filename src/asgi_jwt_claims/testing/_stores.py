"""What the tests of stores have in common: open stores, a clock that can be moved, and records to store."""

from __future__ import annotations

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any
from unittest import SkipTest, mock

import anyio

from asgi_jwt_claims.stores.base import Revocation, SessionRecord, TokenStore
from asgi_jwt_claims.tokens.digests import TokenDigests

__all__ = ["SHORT", "StoreTests", "flip_bit", "later", "new_digest", "new_digests", "new_record", "revoke_all_three"]

SHORT = 0.3
"""Seconds after which something expires while a test waits for it."""


class StoreTests(ABC):
    """Tests of stores that open two of them for each test."""

    lag: float = 0.0
    one_loop: bool = False

    @abstractmethod
    def open_stores(self) -> AbstractAsyncContextManager[tuple[TokenStore, TokenStore]]:
        """Open two stores on the same empty place; a store without a place outside of itself twice."""

    def break_place(self) -> AbstractAsyncContextManager[Any]:
        """Keep the stores that were opened last from their place meanwhile.

        Optional: without it, the test that needs it is skipped.
        """
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


def flip_bit(digest: bytes, bit: int) -> bytes:
    return (int.from_bytes(digest, "big") ^ 1 << bit).to_bytes(16, "big")


def new_digest() -> bytes:
    return os.urandom(16)


def new_digests(issued_at: float = 1.0) -> TokenDigests:
    return TokenDigests(new_digest(), new_digest(), new_digest(), issued_at)


def later() -> float:
    return float(math.floor(time.time()) + 600)  # whole, so that each store can keep it as it is


def revoke_all_three(digests: TokenDigests, until: float, cutoff: float) -> list[Revocation]:
    """The revocations of a token, of its session and of its identity."""
    return [
        Revocation("token", digests.token, until),
        Revocation("session", digests.session, until),
        Revocation("identity", digests.identity, until, cutoff),
    ]


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
