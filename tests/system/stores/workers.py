"""Processes that do what they are told, with a store that they share; see `process.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import ROOT

__all__ = ["PROCESSES", "Place", "Pool", "Worker", "all_of", "lone_worker"]

PROCESSES = 4

Place = tuple[str, str, str]
"""The kind of a store, where it is, and its prefix there."""


class Worker:
    """A process that does what it is told."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.system.stores.process"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT
        )

    def tell(self, name: str, *arguments: Any) -> None:
        """Tell it what to do."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([name, arguments]) + "\n")

    def heard(self) -> Any:
        """Its next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.endswith("\n"), f"the process ended: {line!r}"
        return json.loads(line)

    def ask(self, name: str, *arguments: Any) -> Any:
        """Tell it, and hear what comes of it."""
        self.tell(name, *arguments)
        return self.heard()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def lone_worker(place: Place) -> Iterator[Worker]:
    """A process that is on a store and in no pool; it may be killed."""
    worker = Worker()
    try:
        assert worker.ask("open", *place, 10)
        yield worker
    finally:
        worker.kill()


def all_of(told: list[Worker], name: str, *arguments: Any) -> list[Any]:
    """What comes of it when all of them are told at once."""
    for worker in told:
        worker.tell(name, *arguments)
    return [worker.heard() for worker in told]


class Pool:
    """Processes that serve one test after the other."""

    def __init__(self) -> None:
        self._workers: list[Worker] = []

    @contextmanager
    def on(self, place: Place, grace: float = 10) -> Iterator[list[Worker]]:
        """All of them, on one store; a test that fails leaves none of them to the next."""
        while len(self._workers) < PROCESSES:
            self._workers.append(Worker())
        try:
            assert [True] * PROCESSES == all_of(self._workers, "open", *place, grace)
            yield self._workers
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all of them."""
        while self._workers:
            self._workers.pop().kill()
