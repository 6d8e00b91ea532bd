"""A process that forks while a store is in use: the child can use it too, and neither loses anything."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from asgi_jwt_claims.stores import Revocation, SQLiteStore, TokenDigests

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")

PATIENCE = 60  # seconds
MARK = b"m" * 16


def marks(number: int) -> TokenDigests:
    return TokenDigests(number.to_bytes(16, "big"), b"", b"", 1.0)


def revocation(number: int) -> Revocation:
    return Revocation("token", marks(number).token, math.inf)


def in_child(work: Callable[[], bool]) -> int:
    """Start a child that does some work: its process id. It exits with 0 if the work returns True."""
    with warnings.catch_warnings():
        # Of Python 3.12: a fork beside threads. This is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    status = 1
    try:
        signal.alarm(PATIENCE)
        status = 0 if work() else 2
    finally:
        os._exit(status)


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_loses_nothing(tmp_path: Path) -> None:
    """What a child has written after its parent has closed the store is seen by every process."""
    path = tmp_path / "db"
    store = SQLiteStore(path)
    asyncio.run(store.revoke([revocation(1)]))
    theirs, ours = os.pipe()

    def work() -> bool:
        found = asyncio.run(store.is_revoked(marks(1)))
        os.read(theirs, 1)
        asyncio.run(store.revoke([revocation(2)]))
        return found

    child = in_child(work)
    asyncio.run(store.revoke([revocation(3)]))
    asyncio.run(store.aclose())
    os.write(ours, b"x")
    assert 0 == status_of(child)
    for end in (theirs, ours):
        os.close(end)
    for one in (store, SQLiteStore(path)):
        assert [True] * 3 == [asyncio.run(one.is_revoked(marks(number))) for number in (1, 2, 3)]
        asyncio.run(one.aclose())


def test_a_fork_while_threads_are_in_the_store(tmp_path: Path) -> None:
    """While other threads read and write, a child that is forked can read and write, and so can the parent."""
    path = tmp_path / "db"
    store = SQLiteStore(path, timeout=PATIENCE)
    asyncio.run(store.revoke([revocation(0)]))
    ended = threading.Event()

    def busy() -> None:
        async def work() -> None:
            while not ended.is_set():
                await store.revoke([Revocation("token", MARK, math.inf)])
                await store.is_revoked(marks(0))

        asyncio.run(work())

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()

    def work(number: int) -> bool:
        asyncio.run(store.revoke([revocation(number)]))
        return asyncio.run(store.is_revoked(marks(0)))

    children = [in_child(lambda number=number: work(number)) for number in range(1, 6)]  # type: ignore[misc]
    assert [0] * 5 == [status_of(child) for child in children]
    ended.set()
    for thread in threads:
        thread.join()
    assert [True] * 6 == [asyncio.run(store.is_revoked(marks(number))) for number in range(6)]
    asyncio.run(store.aclose())


def test_a_fork_while_a_writer_waits(tmp_path: Path) -> None:
    """A fork does not wait for a writer that waits for another process, nor does the child."""
    path = tmp_path / "db"
    store = SQLiteStore(path, timeout=PATIENCE)
    asyncio.run(store.revoke([revocation(0)]))
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    writer = threading.Thread(target=lambda: asyncio.run(store.revoke([revocation(1)])))
    writer.start()
    time.sleep(0.05)
    child = in_child(lambda: asyncio.run(store.is_revoked(marks(0))))
    assert 0 == status_of(child)
    assert writer.is_alive()
    other.execute("ROLLBACK")
    writer.join()
    other.close()
    assert asyncio.run(store.is_revoked(marks(1)))
    asyncio.run(store.aclose())
