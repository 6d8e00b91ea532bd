"""Websockets and event streams under every server: they end with their token, and their handlers see a client that goes.

All connections to a server are open at once, and what has become of them is what the tests look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

pytest.importorskip("starlette")
pytest.importorskip("websockets")

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from asgi_jwt_claims import create_access_token, verify_token
from asgi_jwt_claims.tokens.digests import digests_of
from tests import sockets
from tests.apps.connections import CONFIG
from tests.system.servers.servers import SERVERS, Server, one_worker_each, serve
from tests.system.stores.workers import Place, lone_worker
from tests.valkey import Valkey

APP = "tests.apps.connections:application"
RENEWABLE = ("raw/socket", "starlette/socket")
EACH = 4
"""Connections of each kind that expire."""

PATIENCE = 60.0
"""Seconds after which something does not happen any more."""

SEEN = {
    "raw/socket": "disconnect 3000",
    "raw/socket-busy": "OSError",
    "starlette/socket": "disconnect 3000",
    "starlette/socket-busy": "disconnect 1006",
    "raw/stream": "http.disconnect",
    "raw/stream-busy": "OSError",
    "starlette/stream": "over",
    "starlette/stream-busy": "over",
}
"""What a handler sees of the end, by the kind of connection; of a client that goes by itself it sees the like."""


class End(NamedTuple):
    """How a connection has ended.

    Attributes:
        at: When, in seconds since the epoch.
        how: The code and the reason of the close of a websocket; of a stream, whether its end was a clean one.
    """

    at: float
    how: object


class Client:
    """One connection, from its beginning to its end.

    Attributes:
        kind: What is connected to.
        name: What the diary calls it.
        is_open: Set when it is.
        end: How it has ended; None: it has not.
    """

    def __init__(self, server: Server, kind: str, group: str, raw: str, renewal: str | None = None) -> None:
        self.kind = kind
        self.name = f"{group}-{os.urandom(4).hex()}"
        self.is_open = asyncio.Event()
        self.end: End | None = None
        self._port = server.port
        self._target = f"/{kind}?name={self.name}"
        self._raw = raw
        self._renewal = renewal

    async def run(self) -> None:
        """Open it, renew it, and see how it ends."""
        how = await (self._talk() if "socket" in self.kind else self._listen())
        self.end = End(time.time(), how)

    async def _talk(self) -> object:
        uri, headers = f"ws://127.0.0.1:{self._port}{self._target}", {"Authorization": f"Bearer {self._raw}"}
        # A server may not answer a close as long as its application does not receive.
        patience: Any = {"open_timeout": PATIENCE, "close_timeout": 0.5, "ping_interval": None}
        async with connect(uri, additional_headers=headers, **patience) as socket:
            if self._renewal:
                await socket.send(f"renew {self._renewal}")
                assert "renew" == await socket.recv()
            self.is_open.set()
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await socket.recv()
            return socket.close_code, socket.close_reason

    async def _listen(self) -> object:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            head = f"GET {self._target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self._raw}\r\n\r\n"
            writer.write(head.encode())
            assert b"200" in await reader.readline()
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                data = await reader.read(65536)
                if not data:
                    return False
                received += data
                if b"tick" in received:
                    self.is_open.set()
            return True
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Story(NamedTuple):
    """What has become of all connections to one server.

    Attributes:
        expired: Those whose token has expired.
        expiry: When.
        renewed: Those whose token was renewed.
        renewed_expiry: When the new one has expired.
        revoked: Those whose token was revoked; none where there is no feed.
        revoked_at: When.
        good: Those whose token is still good.
        diary: What the handlers have seen.
    """

    expired: list[Client]
    expiry: float
    renewed: list[Client]
    renewed_expiry: float
    revoked: list[Client]
    revoked_at: float
    good: list[Client]
    diary: dict[str, str]

    @property
    def delay(self) -> float:
        """Seconds from when a connection had to end until it did, at worst."""
        ends = [(self.expired, self.expiry), (self.renewed, self.renewed_expiry), (self.revoked, self.revoked_at)]
        return max(client.end.at - at if client.end else float("inf") for some, at in ends for client in some)


async def tell(server: Server, place: Place | None, lifetime: int) -> Story:
    """Open everything, renew some, revoke some, and see how all of them end.

    Args:
        server: The server.
        place: The store, as a process on it is told of it; None: there is none.
        lifetime: Of the tokens that expire, in seconds; those of the renewals last a second longer.
    """
    short, longer = (create_access_token("alice", CONFIG, lifetime=seconds) for seconds in (lifetime, lifetime + 1))
    doomed, fine = (create_access_token("alice", CONFIG) for _ in range(2))
    story = Story(
        [Client(server, kind, "expired", short) for kind in SEEN for _ in range(EACH)],
        float(verify_token(short, CONFIG).expires_at or 0),
        [Client(server, kind, "renewed", short, longer) for kind in RENEWABLE],
        float(verify_token(longer, CONFIG).expires_at or 0),
        [Client(server, kind, "revoked", doomed) for kind in SEEN if place],
        0.0,
        [Client(server, kind, "good", fine) for kind in SEEN],
        {},
    )
    clients = [*story.expired, *story.renewed, *story.revoked, *story.good]
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(client.run()) for client in clients]
        for client in clients:
            await client.is_open.wait()
        if place:
            mark = digests_of(verify_token(doomed, CONFIG), CONFIG).token
            await asyncio.to_thread(revoke, place, mark)
            story = story._replace(revoked_at=time.time())
        await asyncio.sleep(story.renewed_expiry + 1 - time.time())
        ended = len(clients) - len(story.good)
        names = {client.name for client in clients}  # another attempt may have left others
        for _ in range(200):
            response = await asyncio.to_thread(sockets.ask, server.port, b"/diary")
            story.diary.update({name: what for name, what in json.loads(response.body).items() if name in names})
            if len(story.diary) >= ended:
                break
            await asyncio.sleep(0.1)
        for task in running:
            task.cancel()
    return story


def revoke(place: Place, mark: bytes) -> None:
    """Let another process revoke a token."""
    with lone_worker(place) as worker:
        assert worker.ask("revoke", [mark.hex()])


def told_in_time(server: Server, place: Place | None) -> Story:
    """The story of a server; told again, and slower, if the machine was too busy to be in time."""
    for lifetime in (3, 6):
        with contextlib.suppress(ExceptionGroup, TimeoutError):
            story = asyncio.run(tell(server, place, lifetime))
            if story.delay <= 1:
                return story
    return asyncio.run(tell(server, place, 12))


@pytest.fixture(scope="module", params=one_worker_each(SERVERS))
def story(request: pytest.FixtureRequest, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The story of each server, told once."""
    name, prefix = request.param, os.urandom(8).hex()
    client = "coredis" if name == "hypercorn-trio" else "redis"  # redis-py knows no trio
    pytest.importorskip(client)
    # Daphne has no lifespan, so nobody follows a feed there.
    place = None if name == "daphne" else ("redis", valkey.url, prefix)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TESTS_STORE", valkey.url if place else "")
        environment.setenv("TESTS_PREFIX", prefix)
        environment.setenv("TESTS_CLIENT", client)
        with serve(name, APP, tmp_path_factory.mktemp("server") / "log") as server:
            yield told_in_time(server, place)


@pytest.fixture
def reason(request: pytest.FixtureRequest) -> bool:
    """Whether the server passes on the reason of a close; daphne drops it."""
    return "daphne" not in request.node.callspec.id


def check(clients: list[Client], reason: str) -> None:
    """All have ended as they should."""
    ends = {client.name: client.end and client.end.how for client in clients}
    assert {client.name: (3000, reason) if "socket" in client.kind else True for client in clients} == ends


def test_they_expire(story: Story, reason: bool) -> None:
    """Every connection ends when its token has expired, by a close with its code and reason, or as a stream ends."""
    check(story.expired, "The token has expired." if reason else "")
    assert all(client.end is not None and story.expiry <= client.end.at for client in story.expired)


def test_they_live_on_when_renewed(story: Story, reason: bool) -> None:
    """A connection that was renewed ends when the new token has expired."""
    check(story.renewed, "The token has expired." if reason else "")
    assert all(client.end is not None and story.renewed_expiry <= client.end.at for client in story.renewed)


def test_they_are_revoked(story: Story, reason: bool) -> None:
    """What another process revokes ends here; on daphne, which has no lifespan, there is no feed to hear it from."""
    if not story.revoked:
        pytest.skip("daphne has no lifespan, in which a mirror could follow its feed")
    check(story.revoked, "The token has been revoked.")


def test_within_a_second(story: Story) -> None:
    """None of them outlives its token by more than a second."""
    assert 1 >= story.delay


def test_good_tokens(story: Story) -> None:
    """Whoever's token is good stays."""
    assert [None] * len(SEEN) == [client.end for client in story.good]


def test_what_the_handlers_see(story: Story) -> None:
    """Handlers see what they see of a client that goes, and those of others see nothing."""
    ended = [*story.expired, *story.renewed, *story.revoked]
    assert {client.name: SEEN[client.kind] for client in ended} == story.diary
