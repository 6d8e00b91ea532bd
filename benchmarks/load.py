"""Send load: a few connections to one server at a time, each with one request after the other.

Run as a program of its own, so that it has a core of its own: `python -m benchmarks.load` reads a plan as JSON and
prints, as JSON, how many answers came in a second, for each run one number a round.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator

CONNECTIONS = 8
OK = b"HTTP/1.1 200 "


def main() -> None:
    """Carry out the plan: `{"rounds": 3, "seconds": 0.3, "tokens": {case: [...]}, "runs": {name: [port, case]}}`."""
    plan = json.load(sys.stdin)
    requests = {case: itertools.cycle([_request(raw) for raw in raws]) for case, raws in plan["tokens"].items()}
    speeds: dict[str, list[float]] = {name: [] for name in plan["runs"]}
    for port, case in plan["runs"].values():
        # The first requests also pay for what is built when it is first needed.
        answers_in_a_second(port, 0.1, requests[case])
    for _ in range(plan["rounds"]):
        for name, (port, case) in plan["runs"].items():
            speeds[name].append(answers_in_a_second(port, plan["seconds"], requests[case]))
    json.dump(speeds, sys.stdout)


def answers_in_a_second(port: int, seconds: float, requests: Iterator[bytes]) -> float:
    """Drive the server at `port` for so many seconds.

    Raises:
        RuntimeError: An answer is not of status 200.
    """
    answered = 0
    with selectors.DefaultSelector() as selector:
        connections = [_connected(port, selector) for _ in range(CONNECTIONS)]
        for connection in connections:
            connection.sendall(next(requests))
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            answered += _serve(selector, requests)
        took = time.perf_counter() - began
        for connection in connections:
            connection.close()
    return answered / took


def _connected(port: int, selector: selectors.BaseSelector) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(connection, selectors.EVENT_READ, (connection, bytearray()))
    return connection


def _serve(selector: selectors.BaseSelector, requests: Iterator[bytes]) -> int:
    """Take what has come, and follow each complete answer by the next request; how many there were."""
    answered = 0
    for key, _ in selector.select(timeout=1):
        connection, received = key.data
        received += connection.recv(65536)
        if _is_complete(received):
            if not received.startswith(OK):
                raise RuntimeError(f"unexpected answer: {bytes(received[:60])!r}")
            received.clear()
            connection.sendall(next(requests))
            answered += 1
    return answered


def _is_complete(received: bytearray) -> bool:
    """Whether the whole answer is there: one request is under way, so nothing can follow it."""
    head, end, body = bytes(received).partition(b"\r\n\r\n")
    if not end:
        return False
    _, _, rest = head.lower().partition(b"\r\ncontent-length: ")
    return len(body) >= int(rest.partition(b"\r\n")[0])


def _request(raw: str) -> bytes:
    lines = ["GET /protected HTTP/1.1", "Host: api.example", "Accept: application/json", f"Authorization: Bearer {raw}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


if __name__ == "__main__":
    main()
