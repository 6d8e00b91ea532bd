"""A mirror: exact while it hears the feed, honest when it does not, and never forgetful."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import JWTConfig, create_access_token, verify_token
from asgi_jwt_claims.errors import StoreUnavailableError
from asgi_jwt_claims.stores import MemoryStore, MirroredStore, Revocation, SessionRecord
from asgi_jwt_claims.stores._commands import FeedStore, Position
from tests.conftest import HeldClock
from tests.records import MARK, MARKS, RECORD

pytestmark = pytest.mark.anyio


def token_revocation(number: int) -> Revocation:
    return Revocation("token", number.to_bytes(16, "big"), math.inf)


class RevocationFeed(FeedStore):
    """A server as a mirror sees it, in memory: it can be away, lose its feed, or skip a number."""

    def __init__(self) -> None:
        self.known_revocations: dict[bytes, Revocation] = {}
        self.entries: list[tuple[Position, Revocation]] = []
        self.number = 1000
        self.is_away = False
        self.asked = 0
        self.readings = 0
        self.memory = MemoryStore()
        self.during_reading: deque[Revocation] = deque()

    def reach(self) -> None:
        if self.is_away:
            raise StoreUnavailableError(reason="away")

    async def is_revoked(self, marks: Any) -> bool:
        self.asked += 1
        self.reach()
        return marks.token in self.known_revocations

    async def revoke(self, revocations: Any) -> None:
        self.reach()
        for one in revocations:
            self.known_revocations[one.digest] = one
            self.number += 1
            self.entries.append((Position(str(self.number), self.number), one))

    async def cutoff(self, identity: bytes) -> float:
        self.reach()
        return 3.0

    async def session(self, session: bytes) -> SessionRecord | None:
        return await self.memory.session(session)

    async def sessions(self, identity: bytes, *, after: bytes = b"", limit: int = 500) -> list[SessionRecord]:
        return await self.memory.sessions(identity, after=after, limit=limit)

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        return await self.memory.replace_session(session, current, record)

    async def position(self) -> Position:
        self.reach()
        return Position(str(self.number), self.number)

    async def page(self, cursor: int) -> tuple[int, list[Revocation]]:
        self.reach()
        if cursor == 0:
            self.readings += 1
            found = list(self.known_revocations.values())
            if self.during_reading:
                await self.revoke([self.during_reading.popleft()])
            return (7, found) if found else (0, found)
        return 0, []

    async def follow(self, after: Position, wait: float) -> list[tuple[Position, Revocation]]:
        self.reach()
        await anyio.sleep(0.001)
        self.reach()
        return [entry for entry in self.entries if int(entry[0].id) > int(after.id)]

    def lose(self, number: int = 0) -> None:
        """Start again, empty."""
        self.known_revocations.clear()
        self.entries.clear()
        self.number = number


async def until(holds: Any) -> None:
    with anyio.fail_after(30):
        while not holds():  # noqa: ASYNC110 -- what is waited for happens elsewhere
            await anyio.sleep(0.002)


@pytest.fixture
def feed() -> RevocationFeed:
    return RevocationFeed()


async def test_it_begins_with_what_there_is(feed: RevocationFeed) -> None:
    """Everything that was revoked before the mirror was there is known to it, without a question."""
    await feed.revoke([token_revocation(number) for number in range(100)])
    mirror = MirroredStore(feed)
    assert not mirror.is_current
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.run)
        await until(lambda: mirror.is_current)
        assert 100 == len(mirror)
        for number in range(100):
            assert await mirror.is_revoked(MARKS._replace(token=number.to_bytes(16, "big")))
        assert not await mirror.is_revoked(MARKS)
        assert 0 == feed.asked
        tasks.cancel_scope.cancel()


async def test_nothing_falls_between(feed: RevocationFeed) -> None:
    """What is revoked while everything is being read, too late for the page it belongs on, comes by the feed."""
    await feed.revoke([token_revocation(1)])
    feed.during_reading.append(token_revocation(2))
    mirror = MirroredStore(feed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.run)
        await until(lambda: 2 == len(mirror))
        assert 1 == feed.readings
        tasks.cancel_scope.cancel()


async def test_whoever_listens_hears_of_everything(feed: RevocationFeed) -> None:
    """Open connections are told of what was there, of what comes by the feed, and of what is revoked here."""  # S127
    await feed.revoke([token_revocation(1)])
    mirror = MirroredStore(feed)
    told: set[bytes] = set()

    def listener(revocations: Any) -> None:
        told.update(one.digest for one in revocations)

    mirror.feed.subscribe(listener)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.run)
        await until(lambda: mirror.is_current)
        await feed.revoke([token_revocation(2)])
        await until(lambda: token_revocation(2).digest in told)
        await mirror.revoke([token_revocation(3)])
        assert {token_revocation(number).digest for number in (1, 2, 3)} == told
        mirror.feed.unsubscribe(listener)
        await mirror.revoke([token_revocation(4)])
        assert token_revocation(4).digest not in told
        tasks.cancel_scope.cancel()


async def test_a_missing_number(feed: RevocationFeed) -> None:
    """An entry that never came is noticed by the next one, and everything is read anew."""
    mirror = MirroredStore(feed)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.run)
        await until(lambda: mirror.is_current)
        await feed.revoke([token_revocation(1)])
        await until(lambda: 1 == len(mirror))
        feed.number += 1  # lost
        feed.known_revocations[MARK] = Revocation("token", MARK, math.inf)
        await feed.revoke([token_revocation(2)])
        await until(lambda: 3 == len(mirror))
        assert 2 == feed.readings
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("number", [0, 5, 5000])
async def test_a_server_that_has_lost_everything(
    feed: RevocationFeed, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A mirror notices even if its connection has survived, wherever the numbers go on, and tells the server again."""
    mirror = MirroredStore(feed)
    cutoff = Revocation("identity", b"i" * 16, math.inf, 5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.run)
        await until(lambda: mirror.is_current)
        await mirror.revoke([*(token_revocation(number) for number in range(600)), cutoff])
        feed.lose(number)
        await until(lambda: 601 == len(feed.known_revocations))
        assert cutoff == feed.known_revocations[cutoff.digest]
        assert 601 == len(mirror)
        await until(lambda: "601 revocations, which were written again" in caplog.text)
        tasks.cancel_scope.cancel()


async def test_something_comes_just_now(feed: RevocationFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry between the end of waiting and the look at the number is read, not taken for a loss."""
    mirror = MirroredStore(feed)
    position = feed.position
    arrivals = iter(range(1, 4))

    async def arrive_before() -> Position:
        if mirror.is_current and (number := next(arrivals, None)):
            await feed.revoke([token_revocation(number)])
        return await position()

    monkeypatch.setattr(feed, "position", arrive_before)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.run)
        await until(lambda: 3 == len(mirror))
        assert 1 == feed.readings
        tasks.cancel_scope.cancel()


async def test_a_feed_that_makes_no_sense(
    feed: RevocationFeed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The application goes on after each failure of the feed, and the mirror tries again."""
    mirror = MirroredStore(feed)
    page = feed.page
    failures = iter([KeyError("m"), StoreUnavailableError(reason="read-only replica")])

    async def fail_at_first(cursor: int) -> tuple[int, list[Revocation]]:
        if failure := next(failures, None):
            raise failure
        return await page(cursor)

    monkeypatch.setattr(feed, "page", fail_at_first)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.run)
        await until(lambda: mirror.is_current)
        assert 2 == caplog.text.count("the feed of revocations is lost")
        assert (
            "StoreUnavailableError(store_unavailable) {'retry_after': 1, 'reason': 'read-only replica'}" in caplog.text
        )
        tasks.cancel_scope.cancel()


async def test_without_the_feed(feed: RevocationFeed, config: JWTConfig, clock: HeldClock) -> None:
    """After `max_lag` of silence the server is asked, and if it does not answer, no token is accepted."""
    moment = HeldClock(0)
    mirror = MirroredStore(feed, clock=clock, monotonic=moment)
    token = verify_token(create_access_token("alice", config), config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mirror.run)
        await until(lambda: mirror.is_current)
        await mirror.revoke([token_revocation(1)])
        feed.is_away = True
        assert (False, False) == (mirror.is_revoked_locally(token, config), await mirror.check(token, config))
        moment.now = 5.1
        assert None is mirror.is_revoked_locally(token, config)
        with pytest.raises(StoreUnavailableError):
            await mirror.check(token, config)
        assert await mirror.is_revoked(MARKS._replace(token=(1).to_bytes(16, "big")))
        with pytest.raises(StoreUnavailableError):
            await mirror.revoke([token_revocation(2)])
        assert not await self_known(mirror, 2)
        feed.is_away = False
        await until(lambda: mirror.is_current)
        assert False is mirror.is_revoked_locally(token, config)
        tasks.cancel_scope.cancel()


async def self_known(mirror: MirroredStore, number: int) -> bool:
    return mirror._index.is_revoked(MARKS._replace(token=number.to_bytes(16, "big")), 1.0)


async def test_a_server_that_answers_without_a_feed(feed: RevocationFeed) -> None:
    """Before there is a feed, each answer is the server's."""
    mirror = MirroredStore(feed)
    assert not await mirror.is_revoked(MARKS)
    await feed.revoke([Revocation("token", MARK, math.inf)])
    assert await mirror.is_revoked(MARKS)
    assert 2 == feed.asked


async def test_the_choice_to_let_in(feed: RevocationFeed, caplog: pytest.LogCaptureFixture) -> None:
    """Only who has chosen so in so many words lets in what might be revoked; what is known to be stays out."""
    mirror = MirroredStore(feed, when_unreachable="allow_possibly_revoked_tokens")
    await mirror.revoke([token_revocation(1)])
    feed.is_away = True
    assert not await mirror.is_revoked(MARKS)
    assert "tokens that may be revoked are accepted" in caplog.text
    assert await mirror.is_revoked(MARKS._replace(token=(1).to_bytes(16, "big")))


async def test_the_rest_is_the_servers(feed: RevocationFeed) -> None:
    """Sessions and cutoffs are asked of the store behind it; of two cutoffs the later counts."""
    mirror = MirroredStore(feed)
    assert await mirror.replace_session(MARK, b"", RECORD)
    assert RECORD == await mirror.session(MARK)
    assert [RECORD] == await mirror.sessions(MARK)
    assert 3.0 == await mirror.cutoff(MARK)
    await mirror.revoke([Revocation("identity", MARK, math.inf, 9.0)])
    assert 9.0 == await mirror.cutoff(MARK)
    await mirror.aclose()
