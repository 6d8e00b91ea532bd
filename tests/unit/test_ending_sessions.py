"""How sessions end: alone, with their identity, or beyond the limit; and for how long that is remembered."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    Token,
    TokenPair,
    create_access_token,
    verify_token,
)
from asgi_jwt_claims.errors import (
    MintingError,
    RevokedTokenError,
    SettingError,
    StoreUnavailableError,
)
from asgi_jwt_claims.sessions import (
    list_sessions,
    revoke_identity,
    revoke_session,
    revoke_token,
    rotate_refresh_token,
    start_session,
)
from asgi_jwt_claims.starlette import install, jwt_required
from asgi_jwt_claims.stores import MemoryStore, Revocation, SessionRecord
from asgi_jwt_claims.tokens.digests import digests_of
from tests.conftest import NOW, HeldClock
from tests.raw_asgi import ask, bearer
from tests.support import SECRET

pytestmark = pytest.mark.anyio

DAY = 86400


class Watched(MemoryStore):
    """A store that keeps what it was told, and fails where it is told to."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.told: list[Revocation] = []
        self.pages: list[int] = []
        self.failing: set[str] = set()

    def reach(self, what: str) -> None:
        if what in self.failing:
            raise StoreUnavailableError(reason=what)

    async def revoke(self, revocations: Collection[Revocation]) -> None:
        for one in revocations:
            self.reach(one.kind)
        self.told += revocations
        await super().revoke(revocations)

    async def sessions(self, identity: bytes, **page: Any) -> list[SessionRecord]:
        self.reach("sessions")
        found = await super().sessions(identity, **page)
        self.pages.append(len(found))
        return found


@pytest.fixture
def events() -> list[AuthEvent]:
    """What `config` was told of."""
    return []


@pytest.fixture
def config(clock: HeldClock, events: list[AuthEvent]) -> JWTConfig:
    """HS256 on the held clock, its events kept."""
    return JWTConfig(secret_key=SECRET, clock=clock, on_event=events.append)


@pytest.fixture
def store(clock: HeldClock) -> Watched:
    """A store on the held clock."""
    return Watched(clock=clock)


def access(pair: TokenPair, config: JWTConfig) -> Token:
    return verify_token(pair.access_token, config)


def session_id(pair: TokenPair, config: JWTConfig) -> str:
    return str(access(pair, config).session_id)


async def test_how_many_have_ended(config: JWTConfig, store: Watched) -> None:
    """Ending a session says whether there was one to end; its tokens are revoked either way."""  # S143
    pair = await start_session("alice", config, store)
    assert 1 == await revoke_session(session_id(pair, config), config, store)
    assert 0 == await revoke_session(session_id(pair, config), config, store)
    assert 0 == await revoke_session("another", config, store)
    lost = MemoryStore(clock=config.clock)
    assert 0 == await revoke_session(session_id(pair, config), config, lost)
    assert await lost.check(access(pair, config), config)


@pytest.mark.parametrize("name", [None, "", 7, b"x", ["x"]])
async def test_no_session(name: Any, config: JWTConfig, store: Watched) -> None:
    """What names no session, such as the `session_id` of a token that has none, is an error and not a success."""  # S143
    with pytest.raises(SettingError, match="session_id must be"):
        await revoke_session(name, config, store)
    assert [] == store.told


async def test_an_ended_session_is_kept_apart(config: JWTConfig, store: Watched, clock: HeldClock) -> None:
    """Its revocation is kept while its access tokens live, and its record, which no list shows, while its refresh token does."""
    pair = await start_session("alice", config, store)
    await revoke_session(session_id(pair, config), config, store)
    (told,) = store.told
    assert (digests_of(access(pair, config), config).session, True) == (
        told.digest,
        NOW + 900 + 20 <= told.until < NOW + 1000,
    )
    assert [] == await list_sessions("alice", config, store)
    clock.now += 14 * DAY - 1
    with pytest.raises(RevokedTokenError) as refused:
        await rotate_refresh_token(pair.refresh_token, config, store)
    assert "the session has ended" == refused.value.evidence["reason"]
    record = await store.session(told.digest)
    assert record is not None
    assert (True, b"", bytes(16)) == (record.has_ended, record.response, record.current)
    clock.now += 12
    assert None is await store.session(told.digest)


@pytest.mark.parametrize("lifetime", [60, DAY, 30 * DAY])
async def test_as_long_as_the_access_token_lives(lifetime: int, store: Watched, clock: HeldClock) -> None:
    """The session knows how long its longest access token lives, also when lifetimes have changed since."""
    config = JWTConfig(secret_key=SECRET, clock=clock, refresh_lifetime=30 * DAY)
    earlier = config.replace(access_lifetime=lifetime)
    pair = await start_session("alice", earlier, store)
    clock.now += 30
    after = await rotate_refresh_token(pair.refresh_token, config.replace(access_lifetime=60), store)
    await revoke_session(session_id(after, config), config.replace(access_lifetime=60, refresh_lifetime=60), store)
    clock.now = NOW + lifetime + 9.5
    token = access(pair, config)
    assert await store.check(token, config)
    clock.now = NOW + lifetime + 20 + 200  # the longest that clocks and requests under way add
    assert not await store.check(token, config)


async def test_sessions_that_never_expire(store: Watched, clock: HeldClock) -> None:
    """Where tokens never expire, what is revoked is never forgotten."""
    config = JWTConfig(
        secret_key=SECRET,
        clock=clock,
        access_lifetime=None,
        refresh_lifetime=None,
        session_lifetime=None,
        required_claims=["jti"],
    )
    pair = await start_session("alice", config, store)
    await revoke_session(session_id(pair, config), config, store)
    await revoke_identity("alice", config, store)
    await revoke_token(access(pair, config), config, store)
    assert [math.inf] * 3 == [one.until for one in store.told]


async def test_a_record_that_does_not_say(config: JWTConfig, store: Watched, clock: HeldClock) -> None:
    """A record of before sessions knew it: its tokens are revoked for as long as the longest token may live."""
    pair = await start_session("alice", config, store)
    mark = digests_of(access(pair, config), config).session
    record = await store.session(mark)
    assert record is not None
    await store.replace_session(mark, record.current, record._replace(access_expires_at=0.0))
    pair = await rotate_refresh_token(pair.refresh_token, config, store)
    await revoke_session(session_id(pair, config), config, store)
    assert NOW + 14 * DAY < store.told[-1].until


@pytest.mark.parametrize("behind", [0, 9])
@pytest.mark.parametrize("how", ["token", "identity"])
async def test_clocks_that_differ(how: str, behind: int, store: Watched, clock: HeldClock) -> None:
    """A verifier whose clock is a leeway behind the store's accepts nothing that the store has just forgotten."""
    ahead, late = (lambda: clock.now + 9 - behind), (lambda: clock.now - behind)
    issuer = JWTConfig(secret_key=SECRET, clock=ahead, access_lifetime=60, refresh_lifetime=60)
    verifier = issuer.replace(clock=late)
    raw = create_access_token("alice", issuer)
    if how == "token":
        await revoke_token(verify_token(raw, verifier), verifier, store)
    else:
        await revoke_identity("alice", verifier, store)
    clock.now = float(verify_token(raw, verifier).expires_at or 0) + 10 + behind - 0.5
    assert await store.check(verify_token(raw, verifier), verifier)


# An identity ----------------------------------------------------------------------------------------------------------


async def test_many_sessions(config: JWTConfig, store: Watched, clock: HeldClock, events: list[AuthEvent]) -> None:
    """However many sessions there are, all end; they are read in pages, and one event tells of it."""  # S143
    for _ in range(1003):
        await start_session("alice", config, store, max_sessions=None)
    bob = await start_session("bob", config, store)
    assert 1003 == len(await list_sessions("alice", config, store))
    store.pages.clear()
    assert 1003 == await revoke_identity("alice", config, store)
    assert ([500, 500, 3], "identity") == (store.pages, events[-1].revoked)
    assert [] == await list_sessions("alice", config, store)
    assert not await store.check(access(bob, config), config)
    clock.now += 1
    assert 0 == await revoke_identity("alice", config, store)


@pytest.mark.parametrize("failing", ["sessions", "session"])
async def test_the_cutoff_comes_first(failing: str, config: JWTConfig, store: Watched) -> None:
    """When the sessions cannot be read, or not be ended, no token counts any more all the same, and the call says so."""
    pairs = [await start_session("alice", config, store) for _ in range(3)]
    single = verify_token(create_access_token("alice", config), config)
    store.failing = {failing}
    with pytest.raises(StoreUnavailableError):
        await revoke_identity("alice", config, store)
    assert [True] * 4 == [
        await store.check(token, config) for token in (single, *(access(one, config) for one in pairs))
    ]


class Racing(Watched):
    """A store in which a session is refreshed, by a release with longer lifetimes, just before it is ended."""

    config: JWTConfig
    raw: str = ""
    pair: TokenPair

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        if record.has_ended and self.raw:
            raw, self.raw = self.raw, ""
            self.pair = await rotate_refresh_token(raw, self.config, Unmarked(self))
        return await super().replace_session(session, current, record)


class Unmarked(MemoryStore):
    """Where a refresh looks that has been told already that nothing is revoked."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(clock=store._clock)
        self._sessions, self._by_identity = store._sessions, store._by_identity


@pytest.mark.parametrize("how", ["session", "identity"])
async def test_a_refresh_under_way(how: str, clock: HeldClock) -> None:
    """What a refresh issues between the look at a session and its end is revoked until it has expired."""
    config = JWTConfig(secret_key=SECRET, clock=clock)
    store = Racing(clock=clock)
    store.config = config.replace(access_lifetime=7 * DAY)
    pair = await start_session("alice", config, store)
    store.raw = pair.refresh_token
    if how == "session":
        assert 1 == await revoke_session(session_id(pair, config), config, store)
    else:
        assert 1 == await revoke_identity("alice", config, store)
    clock.now += 7 * DAY - 1
    assert await store.check(access(store.pair, config), config)
    with pytest.raises(RevokedTokenError):
        await rotate_refresh_token(store.pair.refresh_token, config, store)


class Slow(Watched):
    """A store in which reading the sessions takes so long that the user logs in meanwhile."""

    log_in: Any = None

    async def sessions(self, identity: bytes, **page: Any) -> list[SessionRecord]:
        log_in, self.log_in = self.log_in, None
        if log_in is not None:
            await log_in()
        return await super().sessions(identity, **page)


async def test_a_login_after_the_cutoff(config: JWTConfig, clock: HeldClock) -> None:
    """A call that takes long does not end the session of a login that came after it had begun."""
    store = Slow(clock=clock)
    await start_session("alice", config, store)

    async def log_in() -> None:
        clock.now += 30
        store.pair = await start_session("alice", config, store, max_sessions=None)  # type: ignore[attr-defined]

    store.log_in = log_in
    assert 1 == await revoke_identity("alice", config, store)
    assert not await store.check(access(store.pair, config), config)  # type: ignore[attr-defined]
    assert 1 == len(await list_sessions("alice", config, store))


async def test_revoked_in_the_future(clock: HeldClock, store: Watched) -> None:
    """Where a clock has gone wrong, a login gives no token that is not valid yet: 503, and when to come again."""
    config = JWTConfig(secret_key=SECRET, clock=clock, leeway=2)
    await revoke_identity("alice", config.replace(clock=lambda: clock.now + 60), store)
    with pytest.raises(StoreUnavailableError) as refused:
        await start_session("alice", config, store)
    assert (61, []) == (refused.value.retry_after, await list_sessions("alice", config, store))


async def test_a_login_waits_for_a_clock_that_is_ahead(
    clock: HeldClock, store: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a revocation by a node that is a leeway ahead, the next login has tokens that are valid at once."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(anyio, "sleep", sleep)
    config = JWTConfig(secret_key=SECRET, clock=clock)
    await revoke_identity("alice", config.replace(clock=lambda: clock.now + 10), store)
    token = access(await start_session("alice", config, store), config)
    assert ([5.0], NOW + 11, False) == (waited, token.issued_at, await store.check(token, config))


# Room -----------------------------------------------------------------------------------------------------------------


async def test_the_oldest_ends(config: JWTConfig, store: Watched, clock: HeldClock, events: list[AuthEvent]) -> None:
    """A login beyond `max_sessions` ends the session whose login is the longest ago, as if it had been revoked."""
    pairs = []
    for _ in range(4):
        pairs.append(await start_session("alice", config, store, max_sessions=3))
        clock.now += 1
    await rotate_refresh_token(pairs[1].refresh_token, config, store)
    await start_session("bob", config, store, max_sessions=1)
    pairs.append(await start_session("alice", config, store, max_sessions=3))
    ended = [await store.check(access(pair, config), config) for pair in pairs]
    assert [True, True, False, False, False] == ended
    assert [session_id(pair, config) for pair in pairs[:2]] == [
        one.session_id for one in events if one.name == "revoked"
    ]
    assert 3 == len(await list_sessions("alice", config, store))
    with pytest.raises(RevokedTokenError):
        await rotate_refresh_token(pairs[0].refresh_token, config, store)


async def test_the_newest_stays(config: JWTConfig, store: Watched) -> None:
    """With room for one, the login itself remains, also among logins of the same second; None ends nothing."""
    for _ in range(5):
        await start_session("alice", config, store, max_sessions=None)
    assert 5 == len(await list_sessions("alice", config, store))
    pair = await start_session("alice", config, store, max_sessions=1)
    assert [session_id(pair, config)] == [one.id for one in await list_sessions("alice", config, store)]


async def test_a_hundred_by_default(config: JWTConfig, store: Watched) -> None:
    """A client does not fill the store by logging in again and again."""
    for _ in range(105):
        await start_session("alice", config, store)
    assert 100 == len(await list_sessions("alice", config, store))


@pytest.mark.parametrize("failing", ["sessions", "session"])
async def test_a_login_without_counting(
    failing: str, config: JWTConfig, store: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """When the sessions cannot be counted or ended, the login counts, and the next one counts them again."""
    first = await start_session("alice", config, store)
    store.failing = {failing}
    second = await start_session("alice", config, store, max_sessions=1)
    assert "max_sessions" in caplog.text
    store.failing = set()
    await rotate_refresh_token(second.refresh_token, config, store)
    await start_session("alice", config, store, max_sessions=1)
    assert 1 == len(await list_sessions("alice", config, store))
    assert failing == "session" or await store.check(access(first, config), config)


@pytest.mark.parametrize(
    "options",
    [
        {"max_sessions": 0},
        {"max_sessions": -1},
        {"max_sessions": True},
        {"max_sessions": 1.5},
        {"label": "phone \ud83d"},
        {"client_id": "app \udc00"},
    ],
)
async def test_arguments_of_a_login(options: dict[str, Any], config: JWTConfig, store: Watched) -> None:
    """What no store could keep or no call could mean is refused before anything is stored."""
    with pytest.raises(SettingError, match=next(iter(options))):
        await start_session("alice", config, store, **options)
    assert [] == await list_sessions("alice", config, store)


@pytest.mark.parametrize("fresh", [60, 60.4, timedelta(minutes=1)])
async def test_fresh_for_a_time(fresh: Any, config: JWTConfig, store: Watched) -> None:
    """How long a login counts as recent is said in seconds or as a timedelta, like any other duration."""
    assert NOW + 60 == access(await start_session("alice", config, store, fresh=fresh), config).claims["fresh"]


@pytest.mark.parametrize("fresh", ["60", 0, -1, None])
async def test_fresh_for_no_time(fresh: Any, config: JWTConfig, store: Watched) -> None:
    """What is no duration is an error that names the argument."""
    with pytest.raises(SettingError, match="fresh"):
        await start_session("alice", config, store, fresh=fresh)


@pytest.mark.parametrize("token", ["a.b.c", None, b"a.b.c", {"jti": "x"}])
async def test_a_token_that_is_no_token(token: Any, config: JWTConfig, store: Watched) -> None:
    """The text of a token is not the token: nothing is revoked, and the error says what to do."""
    with pytest.raises(SettingError, match="verify_token"):
        await revoke_token(token, config, store)


def test_no_token_lives_longer_than_is_remembered(clock: HeldClock) -> None:
    """A lifetime beyond the longer of the two, or `max_lifetime`, is refused, and the message says what to set."""  # S53, S136
    config = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=60, refresh_lifetime=timedelta(hours=1))
    create_access_token("alice", config, lifetime=3600)
    with pytest.raises(
        MintingError, match=r"3601 seconds is longer than max_lifetime, which is 3600 seconds.*set max_"
    ):
        create_access_token("alice", config, lifetime=3601)
    create_access_token("alice", config.replace(max_lifetime=7200), lifetime=7200)
    endless = config.replace(access_lifetime=None, refresh_lifetime=None, required_claims=())
    create_access_token("alice", endless, lifetime=timedelta(days=9999))
    with pytest.raises(MintingError, match="an endless lifetime is longer than max_lifetime, which is 7200 seconds"):
        create_access_token("alice", endless.replace(max_lifetime=7200))
    assert (3600, 7200, math.inf) == (
        config._prepared.longest_seconds,
        config.replace(max_lifetime=7200)._prepared.longest_seconds,
        endless._prepared.longest_seconds,
    )


# Refresh tokens in guards ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [0, 600, 1200, 13 * DAY])
async def test_a_guard_for_refresh_tokens(later: float, config: JWTConfig, store: Watched, clock: HeldClock) -> None:
    """A guard for refresh tokens refuses that of an ended session for as long as the token lives."""  # S143
    first, second = [await start_session("alice", config, store) for _ in range(2)]
    await revoke_session(session_id(first, config), config, store)
    clock.now += later

    @jwt_required(type="refresh")
    async def renew(request: Request) -> Response:
        return Response()

    app = Starlette(routes=[Route("/renew", renew)])
    install(app, config, store=store, exempt=["/renew"])
    assert 401 == (await ask(app, "/renew", bearer(first.refresh_token))).status
    assert 200 == (await ask(app, "/renew", bearer(second.refresh_token))).status


async def test_a_guard_for_refresh_tokens_needs_the_store(config: JWTConfig, store: Watched) -> None:
    """A store that does not know the session of a refresh token does not vouch for the token."""  # S143
    pair = await start_session("alice", config, store)
    token = verify_token(pair.refresh_token, config, type="refresh")
    other = MemoryStore(clock=config.clock)
    assert await other.check(token, config)
    assert not await store.check(token, config)


async def test_a_session_lives_as_long_as_its_access_tokens(store: Watched, clock: HeldClock) -> None:
    """After lifetimes were shortened, an access token from before them can still be listed and revoked."""  # S143
    before = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=30 * DAY, refresh_lifetime=30 * DAY)
    after = before.replace(access_lifetime=60, refresh_lifetime=120)
    pair = await start_session("alice", before, store)
    token = access(pair, before)
    await rotate_refresh_token(pair.refresh_token, after, store)
    clock.now += DAY
    assert [token.session_id] == [one.id for one in await list_sessions("alice", after, store)]
    assert 1 == await revoke_identity("alice", after, store)
    clock.now += 28 * DAY
    assert await store.check(token, after)
