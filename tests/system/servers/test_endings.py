"""How connections end on real servers: a stream that is cut short, a refusal of an upload, a WebSocket without a token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from asgi_jwt_claims import JWTConfig, create_access_token
from tests import sockets
from tests.apps.endings import CONFIG
from tests.support import SECRET
from tests.system.servers.servers import SERVERS, Server, one_worker_each, serve

APP = "tests.apps.endings:application"
UPLOAD = b"x" * 3_000_000


@pytest.fixture(scope="module", params=one_worker_each(SERVERS))
def ending(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the application of these tests."""
    with serve(request.param, APP, tmp_path_factory.mktemp("ending") / "log") as served:
        yield served


def test_a_refused_upload_is_answered(ending: Server) -> None:
    """With `drain` a client that uploads megabytes reads the refusal, and no reset takes its place, each time."""
    for _ in range(5):
        answer = sockets.ask(ending.port, b"/", b"Content-Length: %d" % len(UPLOAD), method=b"POST", body=UPLOAD)
        assert (401, b"Bearer realm") == (answer.status, answer.headers[b"www-authenticate"][:12])


def test_a_stream_that_announced_a_length_ends_its_connection(ending: Server) -> None:
    """A stream that its token cuts short is a whole answer without a length, and the connection is closed after it."""
    raw = create_access_token("alice", CONFIG, lifetime=3600).encode()
    head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + raw + b"\r\n\r\n"
    # Daphne leaves it to the client to close.
    is_daphne = ending.kind is SERVERS["daphne"]
    answer = (
        sockets.first_response(ending.port, head) if is_daphne else sockets.parse(sockets.exchange(ending.port, head))
    )
    assert (200, b"close") == (answer.status, answer.headers[b"connection"])
    assert b"content-length" not in answer.headers
    assert answer.body.startswith(b"data: 1\n\n")


@pytest.mark.parametrize("path", ["/reads", "/sleeps", "/sends", "/adopts"])
def test_a_websocket_without_a_token(ending: Server, path: str) -> None:
    """It is closed with 3000 in time, no matter what the application does; one that adopts a token ends with that."""
    reason = "Authentication is required."
    with connect(f"ws://127.0.0.1:{ending.port}{path}", proxy=None, open_timeout=sockets.PATIENCE) as websocket:
        if path == "/adopts":
            websocket.send(create_access_token("alice", JWTConfig(secret_key=SECRET), lifetime=3))
            assert "alice" == websocket.recv(sockets.PATIENCE)
            reason = "The token has expired."
        with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 -- whichever of them it is
            while True:
                websocket.recv(sockets.PATIENCE)
    close = closed.value.rcvd
    assert close is not None
    assert (3000, "" if ending.kind is SERVERS["daphne"] else reason) == (close.code, close.reason)
