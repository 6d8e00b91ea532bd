"""`MemoryStore` says when it is used where it cannot work: in one of several worker processes."""

from __future__ import annotations

import multiprocessing.process
import sys
from types import ModuleType
from typing import Any

import pytest

from asgi_jwt_claims.stores import MemoryStore
from asgi_jwt_claims.stores.memory import _warn_of_workers


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A process that has not warned yet, and shows no sign of workers."""
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    _warn_of_workers.cache_clear()
    yield
    _warn_of_workers.cache_clear()


@pytest.mark.parametrize("sign", ["WEB_CONCURRENCY is 4", "of gunicorn", "started through multiprocessing"])
def test_a_worker_is_told_once(sign: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The first store of a process that looks like a worker logs why, the others nothing."""
    if "WEB" in sign:
        monkeypatch.setenv("WEB_CONCURRENCY", "4")
    elif "gunicorn" in sign:
        monkeypatch.setitem(sys.modules, "gunicorn.arbiter", ModuleType("gunicorn.arbiter"))
    else:
        monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: "the server")
    for _ in range(2):
        MemoryStore()
    assert [f"MemoryStore is used in a worker process ({sign})"] == [
        record.getMessage().partition(":")[0] for record in caplog.records
    ]


@pytest.mark.parametrize("workers", [None, "1", "", "many", "-2"])
def test_one_process_is_told_nothing(
    workers: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A process without a sign of others is told nothing, with `multiprocessing` loaded or not."""
    if workers is None:
        monkeypatch.delitem(sys.modules, "multiprocessing.process")
    else:
        monkeypatch.setenv("WEB_CONCURRENCY", workers)
    MemoryStore()
    assert [] == caplog.records
