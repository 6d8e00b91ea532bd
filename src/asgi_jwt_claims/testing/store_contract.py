"""`StoreContract`: the tests that every store of revocations and sessions has to pass."""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio

from asgi_jwt_claims.config import JWTConfig
from asgi_jwt_claims.errors import StoreUnavailableError
from asgi_jwt_claims.stores.base import Revocation, TokenStore
from asgi_jwt_claims.tokens.digests import TokenDigests, digests_of
from asgi_jwt_claims.tokens.minting import create_access_token
from asgi_jwt_claims.tokens.verification import verify_token

from ._sessions import SHORT, SessionContract, later, new_digest, new_digests, new_record

if TYPE_CHECKING:
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["StoreContract"]

_MANY = 1200
_LONG = 15 * 86400.0  # seconds: longer than a refresh token lives by default


class StoreContract(SessionContract):
    """Tests of a `TokenStore`, for any runner of async tests. Subclass it, and write how to open two stores.

    ::

        @pytest.mark.anyio
        class TestMyStore(StoreContract):
            @asynccontextmanager
            async def open_stores(self):
                place = ...  # an empty one
                yield MyStore(place), MyStore(place)

    Attributes:
        lag: How long it may take until one store knows what another has revoked, or that its place is out of reach, in
            seconds. 0 if it must know at once.
        one_loop: Whether an open store belongs to the event loop that it was opened in. If False, event loops in several
            threads share it, which is tested.
    """

    async def test_nothing_is_revoked_at_first(self) -> None:
        """An empty store answers False, and knows no sessions."""
        async with self.open_stores() as (store, _):
            assert await store.is_revoked(new_digests()) is False
            assert await store.cutoff(new_digest()) == 0
            assert await store.session(new_digest()) is None
            assert await store.sessions(new_digest()) == []

    async def test_a_token_is_revoked(self) -> None:
        """A token is revoked by its digest, and no other token with it, of the same session or without a digest."""
        async with self.open_stores() as (store, other):
            digests = new_digests()
            await store.revoke([Revocation("token", digests.token, later())])
            for one in (store, other):
                assert await self.until(functools.partial(one.is_revoked, digests)) is True
                assert await one.is_revoked(digests._replace(token=new_digest())) is False
                assert await one.is_revoked(TokenDigests(b"", b"", new_digest(), 0.0)) is False

    async def test_what_is_known_without_waiting(self) -> None:
        """`is_revoked_locally` agrees with `is_revoked`, or returns None."""
        async with self.open_stores() as (store, other):
            config = JWTConfig(secret_key=os.urandom(32))
            token = verify_token(create_access_token("alice", config), config)
            for one in (store, other):
                assert one.is_revoked_locally(token, config) in (None, False)
            await store.revoke([Revocation("token", digests_of(token, config).token, later())])
            for one in (store, other):
                assert await self.until(functools.partial(one.check, token, config)) is True
                assert await self.until(functools.partial(_knows_or_asks, one, token, config)) is True

    async def test_a_session_is_revoked(self) -> None:
        """All tokens of a session are revoked, and no other token of the identity."""
        async with self.open_stores() as (store, other):
            digests = new_digests()
            await store.revoke([Revocation("session", digests.session, later())])
            for one in (store, other):
                assert await self.until(functools.partial(one.is_revoked, digests)) is True
                assert await one.is_revoked(digests._replace(token=new_digest())) is True
                assert await one.is_revoked(digests._replace(session=new_digest())) is False

    async def test_an_identity_is_revoked_as_of_a_time(self) -> None:
        """Tokens issued at the cutoff or before are revoked; later ones, and those of other identities, are not."""
        async with self.open_stores() as (store, other):
            digests = new_digests(issued_at=1000.0)
            await store.revoke([Revocation("identity", digests.identity, later(), 1000.5)])
            for one in (store, other):
                assert await self.until(functools.partial(one.is_revoked, digests)) is True
                assert await one.is_revoked(digests._replace(issued_at=1000.5)) is True
                assert await one.is_revoked(digests._replace(issued_at=0.0)) is True
                assert await one.is_revoked(digests._replace(issued_at=1001.0)) is False
                assert await one.is_revoked(digests._replace(identity=new_digest())) is False
                assert await one.cutoff(digests.identity) == 1000.5

    async def test_the_longer_counts(self) -> None:
        """Of two revocations of the same digest the later times count, in either order."""
        async with self.open_stores() as (store, _):
            first, second = new_digests(issued_at=5.0), new_digests(issued_at=5.0)
            soon, at_last = time.time() + SHORT, later()
            for digests, order in ((first, (0, 1)), (second, (1, 0))):
                token, session, identity = _revoke_all_three(digests, at_last, 5.0)
                both = (
                    [token._replace(until=soon), session, identity],
                    [token, session._replace(until=soon), identity._replace(until=soon, cutoff=4.0)],
                )
                for which in order:
                    await store.revoke(both[which])
            await anyio.sleep(SHORT + 0.1)
            for digests in (first, second):
                await _assert_each_is_revoked(store, digests)
                assert await store.cutoff(digests.identity) == 5.0

    async def test_it_is_forgotten_in_time(self) -> None:
        """A revocation is dropped once its tokens have expired, and kept if they never expire."""
        async with self.open_stores() as (store, _):
            brief, endless, past = new_digests(issued_at=1.0), new_digests(), new_digests()
            times = {endless: math.inf, past: time.time() - 1}
            tokens = [Revocation("token", digests.token, until) for digests, until in times.items()]
            await store.revoke([*_revoke_all_three(brief, time.time() + SHORT, 2.0), *tokens])
            assert await store.is_revoked(past) is False
            await anyio.sleep(SHORT + 0.1)
            # Stores drop expired records when they are written to.
            await store.revoke([Revocation("token", new_digest(), later())])
            assert await store.is_revoked(brief) is False
            assert await store.cutoff(brief.identity) == 0
            assert await store.is_revoked(endless) is True

    async def test_it_is_kept_for_long(self) -> None:
        """A revocation and a session of two weeks ago count until they expire."""
        async with self.open_stores() as (store, other):
            digests, record = new_digests(issued_at=5.0), new_record()
            with self.clock_moved(-_LONG):
                await store.revoke(_revoke_all_three(digests, later() + _LONG, 5.0))
                await store.replace_session(record.session, b"", record)
            for one in (store, other):
                assert await self.until(functools.partial(one.is_revoked, digests)) is True
                await _assert_each_is_revoked(one, digests)
                assert await one.session(record.session) == record

    async def test_digests_that_are_almost_alike(self) -> None:
        """A digest that differs in any single bit is another one."""
        async with self.open_stores() as (store, _):
            digests, record = new_digests(), new_record()
            await store.revoke(_revoke_all_three(digests, later(), 5.0))
            await store.replace_session(record.session, b"", record)
            for bit in range(0, 128, 5):
                token, session, identity = (_flip_bit(digest, bit) for digest in digests[:3])
                near = TokenDigests(token, session, identity, 1.0)
                assert await store.is_revoked(near) is False
                assert await store.cutoff(near.identity) == 0
                assert await store.session(_flip_bit(record.session, bit)) is None
                assert await store.sessions(_flip_bit(record.identity, bit)) == []
                assert await store.replace_session(record.session, _flip_bit(record.current, bit), record) is False

    async def test_it_is_kept_when_stores_are_closed(self) -> None:
        """A store that was closed has lost nothing, and can be used again."""
        async with self.open_stores() as stores:
            digests, record = new_digests(), new_record()
            await stores[0].revoke([Revocation("token", digests.token, later())])
            await stores[0].replace_session(record.session, b"", record)
            for one in stores:
                await one.aclose()
            for one in stores:
                assert await self.until(functools.partial(one.is_revoked, digests)) is True
                assert await one.session(record.session) == record

    async def test_a_place_out_of_reach(self) -> None:
        """Every call raises when the place cannot be reached; none says that a token is not revoked."""
        async with self.open_stores() as (store, _):
            digests, record = new_digests(), new_record()
            assert await store.is_revoked(digests) is False
            calls: tuple[Callable[[], Awaitable[Any]], ...] = (
                lambda: store.is_revoked(digests),
                lambda: store.revoke([Revocation("token", digests.token, later())]),
                lambda: store.cutoff(digests.identity),
                lambda: store.session(record.session),
                lambda: store.sessions(record.identity),
                lambda: store.replace_session(record.session, b"", record),
            )
            async with self.break_place():
                for call in calls:
                    # Within the lag, because an answer that was on its way may count for a moment.
                    assert await self.until(functools.partial(_is_refused, call))

    async def test_many_at_once(self) -> None:
        """One call takes any number of revocations, also none."""
        async with self.open_stores() as (store, _):
            await store.revoke([])
            many = [new_digest() for _ in range(_MANY)]
            await store.revoke([Revocation("token", one, later()) for one in many])
            for one in (many[0], many[_MANY // 2], many[-1]):
                assert await store.is_revoked(new_digests()._replace(token=one)) is True


def _flip_bit(digest: bytes, bit: int) -> bytes:
    return (int.from_bytes(digest, "big") ^ 1 << bit).to_bytes(16, "big")


def _revoke_all_three(digests: TokenDigests, until: float, cutoff: float) -> list[Revocation]:
    """The revocations of a token, of its session and of its identity."""
    return [
        Revocation("token", digests.token, until),
        Revocation("session", digests.session, until),
        Revocation("identity", digests.identity, until, cutoff),
    ]


async def _assert_each_is_revoked(store: TokenStore, digests: TokenDigests) -> None:
    for name in ("token", "session", "identity"):
        other = new_digests(digests.issued_at)
        assert await store.is_revoked(other._replace(**{name: getattr(digests, name)})) is True


async def _knows_or_asks(store: TokenStore, token: Token, config: JWTConfig) -> bool:
    return store.is_revoked_locally(token, config) in (None, True)


async def _is_refused(call: Callable[[], Awaitable[Any]]) -> bool:
    try:
        await call()
    except StoreUnavailableError:
        return True
    return False
