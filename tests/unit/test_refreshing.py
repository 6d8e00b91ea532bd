"""Refreshing at the edges: at the end of a session, with claims that cannot be minted, after lost answers, repeated."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import pytest

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    Token,
    TokenError,
    TokenPair,
    verify_token,
)
from asgi_jwt_claims.errors import (
    ClaimsUnavailableError,
    ExpiredTokenError,
    ReusedTokenError,
    RevokedTokenError,
    StoreUnavailableError,
    WrongClientError,
)
from asgi_jwt_claims.sessions import RefreshedClaims, list_sessions, rotate_refresh_token, start_session
from asgi_jwt_claims.stores import MemoryStore, SessionRecord
from tests.conftest import HeldClock
from tests.support import SECRET

pytestmark = pytest.mark.anyio

DAY = 86400


@pytest.fixture
def events() -> list[AuthEvent]:
    """What `config` was told of."""
    return []


@pytest.fixture
def config(clock: HeldClock, events: list[AuthEvent]) -> JWTConfig:
    """HS256 on the held clock, its events kept."""
    return JWTConfig(secret_key=SECRET, clock=clock, on_event=events.append)


class Kept(MemoryStore):
    """A store that keeps the states of sessions, and loses answers where it is told to."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.states: list[SessionRecord] = []
        self.losing = ""

    async def session(self, session: bytes) -> SessionRecord | None:
        if self.losing == "everything from now on":
            raise StoreUnavailableError(reason="away")
        return await super().session(session)

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        losing, self.losing = self.losing, ""
        if losing == "the request":
            raise StoreUnavailableError(reason="lost")
        replaced = await super().replace_session(session, current, record)
        self.states.append(record)
        if losing:
            self.losing = losing if losing == "everything from now on" else ""
            raise StoreUnavailableError(reason="lost")
        return replaced

    def restore(self, state: SessionRecord) -> None:
        """Be what a replica is that has not heard of the last writes."""
        self._sessions[state.session] = state


@pytest.fixture
def store(clock: HeldClock) -> Kept:
    """A store on the held clock."""
    return Kept(clock=clock)


def access(pair: TokenPair, config: JWTConfig) -> Token:
    return verify_token(pair.access_token, config)


def names(events: list[AuthEvent]) -> list[str]:
    return [event.name for event in events]


async def refused(raw: str, config: JWTConfig, store: MemoryStore, **options: Any) -> TokenError:
    with pytest.raises(TokenError) as refusal:
        await rotate_refresh_token(raw, config, store, **options)
    return refusal.value


# The end of a session -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [3600, 3600.5, 3605, 3609.9])
async def test_within_the_leeway_after_the_end(later: float, store: Kept, clock: HeldClock) -> None:
    """A refresh token is accepted a leeway longer than its session lives: it is refused as expired, the loader not asked."""  # S139
    asked: list[Token] = []
    config = JWTConfig(secret_key=SECRET, clock=clock, session_lifetime=3600, refresh_lifetime=3600, access_lifetime=60)
    pair = await start_session("alice", config, store)
    clock.now += later
    error = await refused(pair.refresh_token, config, store, claims_loader=asked.append)
    assert (ExpiredTokenError, []) == (type(error), asked)


async def test_after_session_lifetime_was_shortened(config: JWTConfig, store: Kept, clock: HeldClock) -> None:
    """A session that is older than sessions may be now is refused; one that is not goes on, and ends as is said now."""  # S139
    old = await start_session("alice", config, store)
    clock.now += 5 * DAY
    young = await start_session("alice", config, store)
    shorter = config.replace(session_lifetime=3 * DAY, refresh_lifetime=3 * DAY)
    clock.now += DAY
    assert ExpiredTokenError is type(await refused(old.refresh_token, shorter, store))
    pair = await rotate_refresh_token(young.refresh_token, shorter, store)
    assert clock.now + 2 * DAY == verify_token(pair.refresh_token, shorter, type="refresh").expires_at


# What can still fail --------------------------------------------------------------------------------------------------


class Lazy(Mapping[str, Any]):
    """Claims that are read from somewhere that is away."""

    def __getitem__(self, name: str) -> Any:
        raise OSError("away")

    def __iter__(self) -> Iterator[str]:
        raise OSError("away")

    def __len__(self) -> int:
        return 1


ODD: tuple[Any, ...] = (
    {"since": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
    {"set": {1}},
    {"long": "x" * 9000},
    {1: 1},
    {"big": 2**60},
    {"half": "\ud83d"},
    "text",
    ["list"],
    7,
    Lazy(),
    RefreshedClaims({}, roles=[7]),  # type: ignore[list-item]
    RefreshedClaims("text"),  # type: ignore[arg-type]
)


@pytest.mark.parametrize("loaded", ODD, ids=lambda one: type(one).__name__)
async def test_claims_that_cannot_be_minted(
    loaded: Any, config: JWTConfig, store: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """What a loader returns and no token can carry is a loader that failed: 503, and the token can be used."""
    pair = await start_session("alice", config, store)
    error = await refused(pair.refresh_token, config, store, claims_loader=lambda _: loaded)
    assert (ClaimsUnavailableError, 503, 1) == (type(error), error.status, len(store.states))
    assert "could not be minted" in caplog.text
    await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=lambda _: {"fine": True})


async def test_settings_that_mint_nothing(config: JWTConfig, store: Kept) -> None:
    """A configuration that has become too strict to mint spends no token."""
    pair = await start_session("alice", config, store)
    for changes in ({"max_lifetime": 60}, {"required_claims": ["exp", "tenant"]}, {"max_token_size": 256}):
        strict = config.replace(max_token_size=8192).replace(**changes)
        with pytest.raises(TokenError):
            await rotate_refresh_token(pair.refresh_token, strict, store)
    await rotate_refresh_token(pair.refresh_token, config, store)


async def test_a_pair_that_cannot_be_delivered(config: JWTConfig, store: Kept, clock: HeldClock) -> None:
    """`check` sees the pair before the token is used, and a repeated answer too; when it raises, 503."""
    seen: list[TokenPair] = []

    def check(pair: TokenPair) -> None:
        seen.append(pair)
        if len(seen) != 2:
            raise ValueError("too long")

    pair = await start_session("alice", config, store)
    assert ClaimsUnavailableError is type(await refused(pair.refresh_token, config, store, check=check))
    assert 1 == len(store.states)
    successor = await rotate_refresh_token(pair.refresh_token, config, store, check=check)
    clock.now += 1
    assert ClaimsUnavailableError is type(await refused(pair.refresh_token, config, store, check=check))
    assert [dict(successor)] * 2 == [dict(one) for one in seen[1:]]
    await rotate_refresh_token(successor.refresh_token, config, store)


# Lost answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [10, 0])
async def test_an_answer_that_was_lost(grace: int, store: Kept, clock: HeldClock, events: list[AuthEvent]) -> None:
    """The store has done what it was told, and only its answer was lost: the client gets its tokens."""  # S138
    config = JWTConfig(secret_key=SECRET, clock=clock, refresh_grace=grace, on_event=events.append)
    pair = await start_session("alice", config, store)
    store.losing = "the answer"
    pair = await rotate_refresh_token(pair.refresh_token, config, store)
    clock.now += 60
    await rotate_refresh_token(pair.refresh_token, config, store)
    assert ["issued", "refreshed", "refreshed"] == names(events)


async def test_a_request_that_was_lost(config: JWTConfig, store: Kept, clock: HeldClock) -> None:
    """The store has not done it: 503, and the token can be used at any later time."""  # S138, S141
    pair = await start_session("alice", config, store)
    store.losing = "the request"
    assert StoreUnavailableError is type(await refused(pair.refresh_token, config, store))
    clock.now += 60
    await rotate_refresh_token(pair.refresh_token, config, store)


async def test_a_store_that_is_lost(config: JWTConfig, store: Kept, clock: HeldClock) -> None:
    """When the state cannot be read either: 503, and within the grace the same answer as if nothing had happened."""  # S141
    pair = await start_session("alice", config, store)
    store.losing = "everything from now on"
    assert StoreUnavailableError is type(await refused(pair.refresh_token, config, store))
    store.losing = ""
    clock.now += 9
    pair = await rotate_refresh_token(pair.refresh_token, config, store)
    await rotate_refresh_token(pair.refresh_token, config, store)


async def test_another_request_was_quicker(config: JWTConfig, store: Kept) -> None:
    """The answer is lost, and the state is what another request with the same token has made of it: its answer."""  # S138
    pair = await start_session("alice", config, store)
    first: list[TokenPair] = []

    async def load(token: Token) -> dict[str, Any]:
        first.append(await rotate_refresh_token(pair.refresh_token, config, store))
        store.losing = "the request"
        return {}

    again = await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=load)
    assert dict(first[0]) == dict(again)


async def test_a_session_that_is_gone_meanwhile(config: JWTConfig, store: Kept) -> None:
    """The answer is lost, and so is the session: it is refused, as it would be at the next request."""
    pair = await start_session("alice", config, store)

    async def load(token: Token) -> dict[str, Any]:
        store._sessions.clear()
        store.losing = "the request"
        return {}

    error = await refused(pair.refresh_token, config, store, claims_loader=load)
    assert (RevokedTokenError, "no such session here") == (type(error), error.evidence["reason"])


async def test_a_store_that_went_back(
    config: JWTConfig, store: Kept, clock: HeldClock, events: list[AuthEvent], caplog: pytest.LogCaptureFixture
) -> None:
    """A token that is newer than what the store knows was not stolen: no alarm; but the session ends, and says why."""  # S138
    pair = await start_session("alice", config, store)
    clock.now += 60
    newer = await rotate_refresh_token(pair.refresh_token, config, store)
    store.restore(store.states[0])
    clock.now += 60
    error = await refused(newer.refresh_token, config, store)
    assert (RevokedTokenError, "the store has lost the state of the session") == (type(error), error.evidence["reason"])
    assert ["issued", "refreshed", "revoked"] == names(events)
    assert "has lost the last state" in caplog.text
    assert await store.check(access(newer, config), config)
    assert RevokedTokenError is type(await refused(pair.refresh_token, config, store))


async def test_an_old_token_is_not_a_new_one(store: Kept, clock: HeldClock, events: list[AuthEvent]) -> None:
    """A token that was used twice is a theft also where it was minted by a clock that is ahead of the next one."""  # S138
    config = JWTConfig(secret_key=SECRET, clock=clock, on_event=events.append)
    ahead = config.replace(clock=lambda: clock.now + 9)
    pair = await start_session("alice", config, store)
    stolen = await rotate_refresh_token(pair.refresh_token, ahead, store)
    pair = await rotate_refresh_token(stolen.refresh_token, config, store)
    await rotate_refresh_token(pair.refresh_token, config, store)
    assert ReusedTokenError is type(await refused(stolen.refresh_token, config, store))
    assert "reuse_detected" == events[-1].name


# Repeats --------------------------------------------------------------------------------------------------------------


async def test_repeats_are_told(config: JWTConfig, store: Kept, events: list[AuthEvent]) -> None:
    """Each answer that is given again is an event, and those of one token count once."""  # S138
    pair = await start_session("alice", config, store)
    await rotate_refresh_token(pair.refresh_token, config, store)
    for _ in range(60):
        await rotate_refresh_token(pair.refresh_token, config, store)
    assert ["issued", "refreshed", *["refresh_repeated"] * 60] == names(events)
    assert verify_token(pair.refresh_token, config, type="refresh").jti == events[-1].jti
    assert (1, True) == (store.states[-1].repeats, store.states[-1].was_repeated)
    assert 3 == len(store.states)


async def test_a_thief_behind_a_client(
    config: JWTConfig, store: Kept, clock: HeldClock, events: list[AuthEvent]
) -> None:
    """A session ends whose last fifty refreshes were each repeated, and one that was not begins the count anew."""  # S138
    raw = (await start_session("alice", config, store)).refresh_token

    async def refresh(times: int) -> None:
        nonlocal raw
        for _ in range(times):
            clock.now += 800
            successor = (await rotate_refresh_token(raw, config, store)).refresh_token
            clock.now += 9
            assert successor == (await rotate_refresh_token(raw, config, store)).refresh_token
            raw = successor

    await refresh(49)
    clock.now += 800
    raw = (await rotate_refresh_token(raw, config, store)).refresh_token
    await refresh(49)
    clock.now += 800
    last = raw
    pair = await rotate_refresh_token(raw, config, store)
    assert ReusedTokenError is type(await refused(last, config, store))
    assert ["refreshed", "revoked", "reuse_detected"] == names(events)[-3:]
    assert RevokedTokenError is type(await refused(pair.refresh_token, config, store))
    assert [] == await list_sessions("alice", config, store)


# What is carried over -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [None, "auth.example", ["auth.example", "web"]])
@pytest.mark.parametrize("granted", ["api", ["api", "files"], ("api",)])
async def test_an_audience_of_its_own(own: Any, granted: Any, store: Kept, clock: HeldClock) -> None:
    """The access tokens of a session are for whom it was begun for, all its life; the refresh tokens for the issuer."""  # S139
    config = JWTConfig(secret_key=SECRET, clock=clock, audience=own)
    api = config.replace(audience="api")
    pair = await start_session("alice", config, store, audience=granted)
    for _ in range(3):
        clock.now += 60
        assert "api" in access(pair, api).audience
        assert ([granted] if isinstance(granted, str) else [*granted]) == list(access(pair, api).audience)
        mine = verify_token(pair.refresh_token, config, type="refresh").audience
        assert config._prepared.audiences == set(mine)
        pair = await rotate_refresh_token(pair.refresh_token, config, store)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    "grant",
    [
        {"roles": "admin", "scope": "b a", "user_claims": {}},
        {"roles": ["b", "a"], "scope": ["z", "y"], "user_claims": {"a": [1, {}]}},
        {"roles": [], "user_claims": None},
        {},
    ],
)
async def test_claims_keep_their_shape(grant: dict[str, Any], flat: bool, store: Kept, clock: HeldClock) -> None:
    """A refresh without a loader changes times and identifiers, and nothing else."""  # S139
    config = JWTConfig(secret_key=SECRET, clock=clock, user_claims_claim=None if flat else "user_claims")
    pair = await start_session("alice", config, store, **grant, fresh=False)
    clock.now += 60
    again = await rotate_refresh_token(pair.refresh_token, config, store)
    changing = {"iat", "nbf", "exp", "jti"}
    before, after = (
        {n: v for n, v in access(one, config).claims.items() if n not in changing} for one in (pair, again)
    )
    assert before == after


async def test_a_client_of_no_whole_characters(config: JWTConfig, store: Kept) -> None:
    """A client identifier that no token could carry is another client's, and no error."""  # S140
    pair = await start_session("alice", config, store, client_id="app")
    assert WrongClientError is type(await refused(pair.refresh_token, config, store, client_id="\ud83d"))


async def test_roles_that_can_be_read_once(config: JWTConfig, store: Kept) -> None:
    """A loader may return roles as an iterator: both tokens carry them."""
    pair = await start_session("alice", config, store, roles=["reader"])

    def load(token: Token) -> RefreshedClaims:
        return RefreshedClaims({}, (role for role in ["admin"]))  # type: ignore[arg-type]

    pair = await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=load)
    assert {"admin"} == verify_token(pair.access_token, config).roles
    assert {"admin"} == verify_token(pair.refresh_token, config, type="refresh").roles


@pytest.mark.parametrize("size", [1, 3, 12, 40])
async def test_a_damaged_answer(size: int, config: JWTConfig, store: Kept) -> None:
    """A stored response that cannot be decrypted counts as none: the repeat is refused."""
    pair = await start_session("alice", config, store)
    await rotate_refresh_token(pair.refresh_token, config, store)
    record = store.states[-1]
    await store.replace_session(record.session, record.current, record._replace(response=b"x" * size))
    with pytest.raises(ReusedTokenError):
        await rotate_refresh_token(pair.refresh_token, config, store)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_loader_that_is_cancelled_from_inside(config: JWTConfig, store: Kept) -> None:
    """A loader whose own task was cancelled has failed: 503, and the refresh token has not been used."""
    pair = await start_session("alice", config, store)

    async def load(token: Token) -> RefreshedClaims:
        lookup = asyncio.ensure_future(asyncio.sleep(10))
        lookup.cancel()
        await lookup
        return RefreshedClaims({})

    with pytest.raises(ClaimsUnavailableError):
        await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=load)
    await rotate_refresh_token(pair.refresh_token, config, store)


async def test_a_request_that_is_cancelled(config: JWTConfig, store: Kept) -> None:
    """A cancelled request ends while the loader waits, and the refresh token has not been used."""
    pair = await start_session("alice", config, store)
    waits = anyio.Event()

    async def load(token: Token) -> RefreshedClaims:
        waits.set()
        await anyio.sleep_forever()
        return RefreshedClaims({})

    async def rotate() -> None:
        await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=load)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(rotate)
        await waits.wait()
        tasks.cancel_scope.cancel()
    await rotate_refresh_token(pair.refresh_token, config, store)


@pytest.mark.parametrize("scope", ["", [], ()])
async def test_a_session_without_scopes(scope: Any, config: JWTConfig, clock: HeldClock) -> None:
    """A login that grants no scopes, as a form that asks for none says it, can be refreshed like any other."""
    store = MemoryStore(clock=clock)
    pair = await start_session("alice", config, store, scope=scope)
    again = await rotate_refresh_token(pair.refresh_token, config, store)
    assert (None, None) == (pair.scope, again.scope)
    assert frozenset() == verify_token(again.access_token, config).scopes
