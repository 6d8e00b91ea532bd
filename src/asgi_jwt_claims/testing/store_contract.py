"""What every store of revocations and sessions has to fulfil, as tests that any runner of async tests can run."""

from __future__ import annotations

import functools
import math
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, TypeAlias
from unittest import SkipTest, mock

import anyio
import anyio.to_thread

from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import StoreUnavailableError
from asgi_jwt_claims.stores.base import Revocation, SessionRecord, TokenStore
from asgi_jwt_claims.tokens.digests import TokenDigests, digests_of
from asgi_jwt_claims.tokens.minting import create_access_token
from asgi_jwt_claims.tokens.verification import verify_token

__all__ = ["StoreContract"]

Stores: TypeAlias = AbstractAsyncContextManager[tuple[TokenStore, TokenStore]]

_SHORT = 0.3  # seconds
_MANY = 1200
_RACERS = 20
_THREADS = 8
_ROUNDS = 5
_LONG = 15 * 86400.0  # seconds: longer than a refresh token lives by default
_PATIENCE = 60.0  # seconds that a thread may take to begin
_NO_TOKEN = b"\0" * 16


class StoreContract(ABC):
    """Subclass it, say how to open a store, and let a runner of async tests find it.

    ::

        @pytest.mark.anyio
        class TestMyStore(StoreContract):
            @asynccontextmanager
            async def open_stores(self):
                place = ...  # an empty one
                yield MyStore(place), MyStore(place)

    Attributes:
        lag: How long, in seconds, it may take until one store knows what another has revoked, or that its place is out
            of reach. 0: no time at all.
        one_loop: Whether an open store belongs to the event loop that it was opened in. False: event loops in several
            threads share it, which is tested.
    """

    lag: float = 0.0
    one_loop: bool = False

    @abstractmethod
    def open_stores(self) -> Stores:
        """Two stores on the same place, which is empty. A store that is a place by itself twice."""

    def break_place(self) -> AbstractAsyncContextManager[Any]:
        """Keep the stores that were opened last from their place meanwhile.

        Optional: the test that needs it is skipped for a store that cannot be kept from its place.
        """
        raise SkipTest("there is no break_place")

    def clock_moved(self, seconds: float) -> AbstractContextManager[Any]:
        """Let the clock of the stores be so many seconds away from the time meanwhile.

        Optional: `time.time` is replaced, in the whole process; override it for stores that have another clock.
        """
        real = time.time

        def moved() -> float:
            return real() + seconds

        return mock.patch("time.time", moved)

    async def test_nothing_is_revoked_at_first(self) -> None:
        """An empty store answers no, with a bool, and knows no sessions."""
        async with self.open_stores() as (store, _):
            assert await store.is_revoked(_digests()) is False
            assert await store.cutoff(_digest()) == 0
            assert await store.session(_digest()) is None
            assert await store.sessions(_digest()) == []

    async def test_a_token_is_revoked(self) -> None:
        """By its digest, and no other token with it, be it of the same session and identity, or without a digest."""
        async with self.open_stores() as (store, other):
            digests = _digests()
            await store.revoke([Revocation("token", digests.token, _later())])
            for one in (store, other):
                await self._until(lambda one=one: one.is_revoked(digests))  # type: ignore[misc]
                assert await one.is_revoked(digests) is True
                assert await one.is_revoked(digests._replace(token=_digest())) is False
                assert await one.is_revoked(TokenDigests(b"", b"", _digest(), 0.0)) is False

    async def test_what_is_known_without_waiting(self) -> None:
        """`known` agrees with `is_revoked`, or says nothing."""
        async with self.open_stores() as (store, other):
            config = JWTConfig(secret_key=os.urandom(32))
            token = verify_token(create_access_token("alice", config), config)
            for one in (store, other):
                assert one.is_revoked_locally(token, config) in (None, False)
            await store.revoke([Revocation("token", digests_of(token, config).token, _later())])
            for one in (store, other):
                await self._until(lambda one=one: one.check(token, config))  # type: ignore[misc]
                assert one.is_revoked_locally(token, config) in (None, True)

    async def test_a_family_is_revoked(self) -> None:
        """All of its tokens, and nothing else of the identity."""
        async with self.open_stores() as (store, other):
            digests = _digests()
            await store.revoke([Revocation("session", digests.session, _later())])
            for one in (store, other):
                await self._until(lambda one=one: one.is_revoked(digests))  # type: ignore[misc]
                assert await one.is_revoked(digests._replace(token=_digest())) is True
                assert await one.is_revoked(digests._replace(session=_digest())) is False

    async def test_an_identity_is_revoked_as_of_a_time(self) -> None:
        """What was issued then or before is revoked, what came after is not, and others are not concerned."""
        async with self.open_stores() as (store, other):
            digests = _digests(issued_at=1000.0)
            await store.revoke([Revocation("identity", digests.identity, _later(), 1000.5)])
            for one in (store, other):
                await self._until(lambda one=one: one.is_revoked(digests))  # type: ignore[misc]
                assert await one.is_revoked(digests._replace(issued_at=1000.5)) is True
                assert await one.is_revoked(digests._replace(issued_at=0.0)) is True
                assert await one.is_revoked(digests._replace(issued_at=1001.0)) is False
                assert await one.is_revoked(digests._replace(identity=_digest())) is False
                assert await one.cutoff(digests.identity) == 1000.5

    async def test_the_longer_counts(self) -> None:
        """Of two revocations of the same digest neither takes anything from the other, in either order."""
        async with self.open_stores() as (store, _):
            first, second = _digests(issued_at=5.0), _digests(issued_at=5.0)
            soon, later = time.time() + _SHORT, _later()
            for digests, order in ((first, (0, 1)), (second, (1, 0))):
                both = (
                    [
                        Revocation("token", digests.token, soon),
                        Revocation("session", digests.session, later),
                        Revocation("identity", digests.identity, later, 5.0),
                    ],
                    [
                        Revocation("token", digests.token, later),
                        Revocation("session", digests.session, soon),
                        Revocation("identity", digests.identity, soon, 4.0),
                    ],
                )
                for which in order:
                    await store.revoke(both[which])
            await anyio.sleep(_SHORT + 0.1)
            for digests in (first, second):
                assert await store.is_revoked(TokenDigests(digests.token, _digest(), _digest(), 5.0)) is True
                assert await store.is_revoked(TokenDigests(_digest(), digests.session, _digest(), 5.0)) is True
                assert await store.is_revoked(TokenDigests(_digest(), _digest(), digests.identity, 5.0)) is True
                assert await store.cutoff(digests.identity) == 5.0

    async def test_it_is_forgotten_in_time(self) -> None:
        """Once the last token has expired, nothing is kept; and what never expires is kept."""
        async with self.open_stores() as (store, _):
            brief, endless, past = _digests(issued_at=1.0), _digests(), _digests()
            soon = time.time() + _SHORT
            await store.revoke(
                [
                    Revocation("token", brief.token, soon),
                    Revocation("session", brief.session, soon),
                    Revocation("identity", brief.identity, soon, 2.0),
                    Revocation("token", endless.token, math.inf),
                    Revocation("token", past.token, time.time() - 1),
                ]
            )
            assert await store.is_revoked(past) is False
            await anyio.sleep(_SHORT + 0.1)
            # Stores tidy up when they are written to.
            await store.revoke([Revocation("token", _digest(), _later())])
            assert await store.is_revoked(brief) is False
            assert await store.cutoff(brief.identity) == 0
            assert await store.is_revoked(endless) is True

    async def test_it_is_kept_for_long(self) -> None:
        """What was told two weeks ago counts until its time has come, and so does the session that began then."""
        async with self.open_stores() as (store, other):
            digests, record = _digests(issued_at=5.0), _record()
            with self.clock_moved(-_LONG):
                await store.revoke(
                    [
                        Revocation("token", digests.token, _later() + _LONG),
                        Revocation("session", digests.session, _later() + _LONG),
                        Revocation("identity", digests.identity, _later() + _LONG, 5.0),
                    ]
                )
                await store.replace_session(record.session, b"", record)
            for one in (store, other):
                await self._until(lambda one=one: one.is_revoked(digests))  # type: ignore[misc]
                assert await one.is_revoked(TokenDigests(digests.token, _digest(), _digest(), 5.0)) is True
                assert await one.is_revoked(TokenDigests(_digest(), digests.session, _digest(), 5.0)) is True
                assert await one.is_revoked(TokenDigests(_digest(), _digest(), digests.identity, 5.0)) is True
                assert await one.session(record.session) == record

    async def test_marks_that_are_almost_alike(self) -> None:
        """A digest that differs in a single bit, wherever, is another one."""
        async with self.open_stores() as (store, _):
            digests, record = _digests(), _record()
            await store.revoke(
                [
                    Revocation("token", digests.token, _later()),
                    Revocation("session", digests.session, _later()),
                    Revocation("identity", digests.identity, _later(), 5.0),
                ]
            )
            await store.replace_session(record.session, b"", record)
            for bit in range(0, 128, 5):
                near = TokenDigests(
                    _flipped(digests.token, bit), _flipped(digests.session, bit), _flipped(digests.identity, bit), 1.0
                )
                assert await store.is_revoked(near) is False
                assert await store.cutoff(near.identity) == 0
                assert await store.session(_flipped(record.session, bit)) is None
                assert await store.sessions(_flipped(record.identity, bit)) == []
                assert await store.replace_session(record.session, _flipped(record.current, bit), record) is False

    async def test_it_is_kept_when_stores_are_closed(self) -> None:
        """Closing a store loses nothing, and it can be used again."""
        async with self.open_stores() as stores:
            digests, record = _digests(), _record()
            await stores[0].revoke([Revocation("token", digests.token, _later())])
            await stores[0].replace_session(record.session, b"", record)
            for one in stores:
                await one.aclose()
            for one in stores:
                await self._until(lambda one=one: one.is_revoked(digests))  # type: ignore[misc]
                assert await one.is_revoked(digests) is True
                assert await one.session(record.session) == record

    async def test_a_place_out_of_reach(self) -> None:
        """Every call says that the place cannot be reached; none says that a token is not revoked."""
        async with self.open_stores() as (store, _):
            digests, record = _digests(), _record()
            assert await store.is_revoked(digests) is False
            calls: tuple[Callable[[], Awaitable[Any]], ...] = (
                lambda: store.is_revoked(digests),
                lambda: store.revoke([Revocation("token", digests.token, _later())]),
                lambda: store.cutoff(digests.identity),
                lambda: store.session(record.session),
                lambda: store.sessions(record.identity),
                lambda: store.replace_session(record.session, b"", record),
            )
            async with self.break_place():
                for call in calls:
                    # Each within the lag: an answer that was on its way may still count for a moment.
                    assert await self._until(lambda call=call: _is_refused(call))  # type: ignore[misc]

    async def test_many_at_once(self) -> None:
        """Any number of revocations is taken in one call, none included."""
        async with self.open_stores() as (store, _):
            await store.revoke([])
            many = [_digest() for _ in range(_MANY)]
            await store.revoke([Revocation("token", one, _later()) for one in many])
            for one in (many[0], many[_MANY // 2], many[-1]):
                assert await store.is_revoked(_digests()._replace(token=one)) is True

    async def test_a_session_is_kept_as_it_is(self) -> None:
        """Every field comes back as it went in, in every store on the place."""
        async with self.open_stores() as (store, other):
            plain = _record()
            rich = _record(
                identity=plain.identity,
                previous=_digest(),
                response=os.urandom(700),
                response_until=_later(),
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
            assert await store.sessions(_digest()) == []

    async def test_a_session_is_replaced_by_who_knows_it(self) -> None:
        """Only from the state that it is in; begun only where there is none."""
        async with self.open_stores() as (store, other):
            first = _record()
            second = first._replace(current=_digest(), previous=first.current)
            assert await store.replace_session(first.session, _digest(), first) is False
            assert await store.replace_session(first.session, b"", first) is True
            assert await other.replace_session(first.session, b"", second) is False
            assert await other.replace_session(first.session, second.current, second) is False
            assert await other.replace_session(first.session, first.current, second) is True
            assert await store.replace_session(first.session, first.current, first) is False
            assert await store.session(first.session) == second
            assert await store.sessions(first.identity) == [second]

    async def test_a_session_that_was_ended(self) -> None:
        """It is kept as such until it expires, is on no list, and does not come to life again."""
        async with self.open_stores() as stores:
            first, lasting = _record(response=b"sealed", response_until=_later()), _record()
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
        """In the order of their sessions, each page as long as was asked for, but for the last."""
        async with self.open_stores() as (store, other):
            owner = _digest()
            every = sorted(_record(identity=owner) for _ in range(8))
            gone = {
                1: every[1]._replace(current=_NO_TOKEN, has_ended=True),
                5: every[5]._replace(expires_at=time.time()),
            }
            for number, record in sorted(enumerate(every), key=lambda pair: pair[1].current):
                await store.replace_session(record.session, b"", record)
                if number in gone:
                    await store.replace_session(record.session, record.current, gone[number])
            stranger = _record()
            await store.replace_session(stranger.session, b"", stranger)
            live = [record for number, record in enumerate(every) if number not in gone]
            assert await other.sessions(owner, limit=2) == live[:2]
            assert await other.sessions(owner, limit=5) == live[:5]
            assert await other.sessions(owner, after=live[1].session, limit=2) == live[2:4]
            assert await other.sessions(owner, after=live[1].session, limit=9) == live[2:]
            assert await other.sessions(owner, after=every[5].session) == live[4:]
            assert await other.sessions(owner, after=live[-1].session) == []

    async def test_a_page_is_cut_short_by_its_limit_alone(self) -> None:
        """Of an identity with very many sessions, a page that is short must not hide the rest."""
        async with self.open_stores() as (store, other):
            owner = _digest()
            every = sorted(_record(identity=owner) for _ in range(120))
            for record in every:
                await store.replace_session(record.session, b"", record)
            assert await other.sessions(owner) == every

    async def test_one_of_many_replaces_it(self) -> None:
        """Of any number at once, exactly one."""
        async with self.open_stores() as stores:
            first = _record()
            await stores[0].replace_session(first.session, b"", first)
            contenders = [first._replace(current=_digest()) for _ in range(_RACERS)]
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
        """Of any number at the same time, each in a thread and an event loop of its own, exactly one."""
        if self.one_loop:
            raise SkipTest("a store belongs to one event loop")
        async with self.open_stores() as stores:
            for _ in range(_ROUNDS):
                first = _record()
                await stores[0].replace_session(first.session, b"", first)
                together = threading.Barrier(_THREADS, timeout=_PATIENCE)
                won: list[SessionRecord] = []

                async with anyio.create_task_group() as tasks:
                    for number in range(_THREADS):
                        tasks.start_soon(_contend_in_a_thread, stores[number % 2], first, together, won)
                assert len(won) == 1
                assert await stores[0].session(first.session) == won[0]

    async def test_a_session_ends_by_itself(self) -> None:
        """After its time it is as if it had never been; what was sealed is forgotten before."""
        async with self.open_stores() as (store, _):
            now = time.time()
            brief = _record(expires_at=now + _SHORT)
            lasting = _record(identity=brief.identity, response=b"sealed", response_until=now + _SHORT)
            for record in (brief, lasting):
                await store.replace_session(record.session, b"", record)
            await anyio.sleep(_SHORT + 0.1)
            assert await store.session(brief.session) is None
            assert await store.session(lasting.session) == lasting._replace(response=b"")
            assert await store.sessions(brief.identity) == [lasting._replace(response=b"")]
            assert await store.replace_session(brief.session, brief.current, brief) is False
            again = brief._replace(expires_at=_later())
            assert await store.replace_session(brief.session, b"", again) is True

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Whether something holds, now or, if this store may take its time, within its lag."""
        deadline = time.monotonic() + self.lag
        while not (held := await holds()) and time.monotonic() < deadline:  # noqa: ASYNC110 -- what is waited for is elsewhere
            await anyio.sleep(0.01)
        return held


async def _contend(
    store: TokenStore, before: SessionRecord, together: threading.Barrier, won: list[SessionRecord]
) -> None:
    record = before._replace(current=_digest())
    together.wait()
    if await store.replace_session(before.session, before.current, record):
        won.append(record)


async def _contend_in_a_thread(*arguments: Any) -> None:
    await anyio.to_thread.run_sync(functools.partial(anyio.run, _contend, *arguments))


async def _is_refused(call: Callable[[], Awaitable[Any]]) -> bool:
    try:
        await call()
    except StoreUnavailableError:
        return True
    return False


def _flipped(digest: bytes, bit: int) -> bytes:
    return (int.from_bytes(digest, "big") ^ 1 << bit).to_bytes(16, "big")


def _digest() -> bytes:
    return os.urandom(16)


def _digests(issued_at: float = 1.0) -> TokenDigests:
    return TokenDigests(_digest(), _digest(), _digest(), issued_at)


def _later() -> float:
    return float(math.floor(time.time()) + 600)


def _record(
    *,
    identity: bytes | None = None,
    previous: bytes = b"",
    previous_used_at: float = 0.0,
    response: bytes = b"",
    response_until: float = 0.0,
    expires_at: float | None = None,
    label: str = "",
) -> SessionRecord:
    now = time.time()
    return SessionRecord(
        session=_digest(),
        identity=_digest() if identity is None else identity,
        session_id=os.urandom(16).hex(),
        current=_digest(),
        previous=previous,
        previous_used_at=previous_used_at,
        response=response,
        response_until=response_until,
        started_at=now - 5,
        refreshed_at=now,
        expires_at=_later() if expires_at is None else expires_at,
        label=label,
    )
