"""The life of a refresh token: used once, answered again within the grace, and what comes of using it twice."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import anyio
import pytest

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    Key,
    Token,
    TokenError,
    TokenPair,
    create_access_token,
    create_refresh_token,
    verify_token,
)
from asgi_jwt_claims.access import ScopeHierarchy
from asgi_jwt_claims.errors import (
    ClaimsUnavailableError,
    ExpiredTokenError,
    IdentityRefusedError,
    MintingError,
    MissingClaimError,
    MissingScopeError,
    ReusedTokenError,
    RevokedTokenError,
    SettingError,
    WrongClientError,
    WrongTypeError,
)
from asgi_jwt_claims.sessions import (
    RefreshedClaims,
    list_sessions,
    revoke_identity,
    revoke_session,
    revoke_token,
    rotate_refresh_token,
    rotation,
    start_session,
)
from asgi_jwt_claims.sessions._response_encryption import decrypt_response, encrypt_response
from asgi_jwt_claims.stores import MemoryStore, SessionRecord
from asgi_jwt_claims.tokens.digests import digest
from asgi_jwt_claims.tokens.minting import mint
from tests.conftest import NOW, HeldClock
from tests.forging import forge
from tests.support import SECRET

pytestmark = pytest.mark.anyio

CLAIMS = {"VERI TAS": "LUX MEA"}


def access(pair: TokenPair, config: JWTConfig) -> Token:
    return verify_token(pair.access_token, config)


def refresh(pair: TokenPair, config: JWTConfig) -> Token:
    return verify_token(pair.refresh_token, config, type="refresh")


def names(events: list[AuthEvent]) -> list[str]:
    return [event.name for event in events]


async def refused(raw: str, config: JWTConfig, store: MemoryStore, **options: Any) -> type[TokenError]:
    with pytest.raises(TokenError) as refusal:
        await rotate_refresh_token(raw, config, store, **options)
    return refusal.type


async def test_a_new_pair_of_the_same_session(config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """Identity, claims, scopes, roles, audience, session and login are carried over; freshness is not."""  # S139, S142
    config = JWTConfig(secret_key=SECRET, clock=clock, audience=["api", "web"], issuer="https://us.example")
    pair = await start_session(
        "alice", config, store, user_claims=CLAIMS, scope="read write", roles=["ADMIN", "USER"], audience=["api"]
    )
    clock.now += 60
    token, renewed = access(pair, config), access(await rotate_refresh_token(pair.refresh_token, config, store), config)
    for name in ("identity", "user_claims", "scopes", "roles", "audience", "session_id", "authenticated_at"):
        assert (name, getattr(token, name)) == (name, getattr(renewed, name))
    assert (CLAIMS, {"read", "write"}, ("api",)) == (renewed.user_claims, renewed.scopes, renewed.audience)
    assert (NOW, NOW + 60) == (renewed.authenticated_at, renewed.issued_at)
    assert (True, False) == (token.fresh, renewed.fresh)
    assert token.jti != renewed.jti


async def test_a_long_life(config: JWTConfig, store: MemoryStore, clock: HeldClock, events: list[AuthEvent]) -> None:
    """Each successor can be used once, for as long as the session lives, and the list shows one session."""  # S138
    pair = await start_session("alice", config, store, label="phone")
    for _ in range(20):
        clock.now += 3600
        pair = await rotate_refresh_token(pair.refresh_token, config, store)
    (session,) = await list_sessions("alice", config, store)
    assert ("phone", NOW, NOW + 20 * 3600) == (session.label, session.started_at, session.refreshed_at)
    assert ["issued", *["refreshed"] * 20] == names(events)
    assert access(pair, config).session_id == session.id == events[-1].session_id


async def test_a_lost_answer(config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """Within the grace the very same answer is given again, as often as it is asked for."""  # S138
    pair = await start_session("alice", config, store)
    successor = await rotate_refresh_token(pair.refresh_token, config, store, scope=None)
    for _ in range(3):
        clock.now += 3
        again = await rotate_refresh_token(pair.refresh_token.encode(), config, store)
        assert dict(successor) == dict(again)
    await rotate_refresh_token(successor.refresh_token, config, store)


async def test_reuse_ends_the_family(
    config: JWTConfig, store: MemoryStore, clock: HeldClock, events: list[AuthEvent], caplog: pytest.LogCaptureFixture
) -> None:
    """After the grace a spent token ends everything that comes of its login, and nothing else."""  # S138
    pair = await start_session("alice", config, store)
    other = await start_session("alice", config, store)
    successor = await rotate_refresh_token(pair.refresh_token, config, store)
    clock.now += 10
    assert ReusedTokenError is await refused(pair.refresh_token, config, store)
    assert ["issued", "issued", "refreshed", "revoked", "reuse_detected"] == names(events)
    assert ("session", refresh(pair, config).session_id) == (events[3].revoked, events[3].session_id)
    assert ("alice", refresh(pair, config).jti) == (events[4].identity, events[4].jti)
    assert "was used twice" in caplog.text
    for raw in (pair.refresh_token, successor.refresh_token):
        assert RevokedTokenError is await refused(raw, config, store)
    for one in (pair, successor):
        assert await store.check(access(one, config), config)
    assert not await store.check(access(other, config), config)
    assert [access(other, config).session_id] == [one.id for one in await list_sessions("alice", config, store)]
    await rotate_refresh_token(other.refresh_token, config, store)


async def test_reuse_within_the_grace(config: JWTConfig, store: MemoryStore) -> None:
    """Once the successor has been used, the client had it: sending the old token ends the session."""  # S138
    pair = await start_session("alice", config, store)
    successor = await rotate_refresh_token(pair.refresh_token, config, store)
    last = await rotate_refresh_token(successor.refresh_token, config, store)
    assert ReusedTokenError is await refused(pair.refresh_token, config, store)
    assert RevokedTokenError is await refused(last.refresh_token, config, store)


async def test_without_a_grace(clock: HeldClock, store: MemoryStore) -> None:
    """With `refresh_grace=0` the second use is a reuse at once, and no answer is kept."""  # S138
    config = JWTConfig(secret_key=SECRET, clock=clock, refresh_grace=0)
    pair = await start_session("alice", config, store)
    await rotate_refresh_token(pair.refresh_token, config, store)
    assert ReusedTokenError is await refused(pair.refresh_token, config, store)


async def test_many_at_once(config: JWTConfig, store: MemoryStore) -> None:
    """Of any number of requests with one token all get the one successor."""  # S138
    pair = await start_session("alice", config, store)
    answers: list[dict[str, Any]] = []

    async def rotate() -> None:
        async def load(token: Token) -> dict[str, Any]:
            await anyio.sleep(0.01)  # all of them have found the session before any has replaced it
            return CLAIMS

        answers.append(dict(await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=load)))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(rotate)
    assert [answers[0]] * 20 == answers


async def test_ended_while_it_is_refreshed(config: JWTConfig, store: MemoryStore) -> None:
    """A session that ends between the look at the store and the answer has ended."""

    async def log_out(token: Token) -> dict[str, Any]:
        await revoke_session(str(token.session_id), config, store)
        return {}

    pair = await start_session("alice", config, store)
    assert RevokedTokenError is await refused(pair.refresh_token, config, store, claims_loader=log_out)
    assert [] == await list_sessions("alice", config, store)


class Busy(MemoryStore):
    """A store in which a session is refreshed each time that it is read."""

    refreshes = 0

    async def replace_session(self, session: bytes, current: bytes, record: SessionRecord) -> bool:
        if record.has_ended:
            self.refreshes += 1
            before = self._sessions[session]
            self._sessions[session] = before._replace(current=self.refreshes.to_bytes(16, "big"))
        return await super().replace_session(session, current, record)


async def test_a_refresh_under_way_does_not_outlive_its_session(config: JWTConfig, clock: HeldClock) -> None:
    """A session that cannot be taken off the list, since it is refreshed again and again, is revoked all the same."""
    store = Busy(clock=clock)
    pair = await start_session("alice", config, store)
    session_id = refresh(pair, config).session_id
    lifetime = float(config._prepared.refresh_seconds or 0)
    clock.now += lifetime - 3600
    # What a refresh issues that has looked at the store before, and is a minute late.
    late = forge({"sid": session_id, "type": "refresh", "exp": clock.now + lifetime + 60})
    await revoke_session(str(session_id), config, store)
    assert 3 == store.refreshes
    clock.now += lifetime
    assert await store.check(verify_token(late, config, type="refresh"), config)


async def test_types_are_kept_apart(config: JWTConfig, store: MemoryStore) -> None:
    """An access token refreshes nothing, and a refresh token opens nothing."""  # S137
    pair = await start_session("alice", config, store)
    assert WrongTypeError is await refused(pair.access_token, config, store)
    with pytest.raises(WrongTypeError):
        verify_token(pair.refresh_token, config)


async def test_tokens_without_a_session(config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """A refresh token without a login, or whose session the store does not know, is refused; losing data revives nothing."""
    assert MissingClaimError is await refused(create_refresh_token("alice", config), config, store)
    pair = await start_session("alice", config, store)
    assert RevokedTokenError is await refused(pair.refresh_token, config, MemoryStore(clock=clock))
    lax = JWTConfig(secret_key=SECRET, clock=clock, required_claims=["exp"])
    unnamed = forge({"sid": "f", "type": "refresh"}, without=("jti",))
    assert MissingClaimError is await refused(unnamed, lax, store)


async def test_a_session_without_a_login(config: JWTConfig, store: MemoryStore) -> None:
    """A refresh token that does not say when its user logged in cannot be held to the session's lifetime."""
    pair = await start_session("alice", config, store)
    session_id = refresh(pair, config).session_id
    grant = dict.fromkeys(("user_claims", "scope", "roles", "audience"))
    raw, jti = mint("alice", config, "refresh", NOW, NOW + 60, grant, {"sid": session_id})
    marks = rotation.digests_of(refresh(pair, config), config)
    record = await store.session(marks.session)
    assert record is not None
    successor = record._replace(current=digest("token", config.issuer, jti))
    await store.replace_session(marks.session, marks.token, successor)
    assert MissingClaimError is await refused(raw, config, store)


@pytest.mark.parametrize("how", ["token", "session", "identity"])
async def test_what_is_revoked_is_not_refreshed(
    config: JWTConfig, store: MemoryStore, clock: HeldClock, how: str
) -> None:
    """A refresh token that was revoked, by itself, with its session or with its identity, gets no answer."""  # S143
    pair = await start_session("alice", config, store)
    token = refresh(pair, config)
    if how == "token":
        await revoke_token(token, config, store)
    elif how == "session":
        await revoke_session(str(token.session_id), config, store)
    else:
        await revoke_identity("alice", config, store)
    assert RevokedTokenError is await refused(pair.refresh_token, config, store)


async def test_scopes_narrow(config: JWTConfig, store: MemoryStore) -> None:
    """A request may ask for a part of the scopes for its access token; the session keeps them all, never more."""  # S139
    pair = await start_session("alice", config, store, scope="read write")
    narrow = await rotate_refresh_token(pair.refresh_token, config, store, scope="read")
    assert ({"read"}, "read") == (access(narrow, config).scopes, narrow.scope)
    assert {"read", "write"} == refresh(narrow, config).scopes
    for scope in ("read admin", "admin", 'read "', "read  write", ""):
        assert (scope, MissingScopeError) == (scope, await refused(narrow.refresh_token, config, store, scope=scope))
    assert {"read", "write"} == access(await rotate_refresh_token(narrow.refresh_token, config, store), config).scopes


async def test_scopes_narrow_to_what_they_imply(config: JWTConfig, store: MemoryStore) -> None:
    """By the hierarchy of the configuration, a request may ask for a scope that one of the session implies."""  # S139
    config = config.replace(scope_hierarchy=ScopeHierarchy({"admin": ["write"]}, wildcards=True))
    pair = await start_session("alice", config, store, scope="admin x:*")
    narrow = await rotate_refresh_token(pair.refresh_token, config, store, scope="write x:y")
    assert {"write", "x:y"} == access(narrow, config).scopes
    assert {"admin", "x:*"} == refresh(narrow, config).scopes
    for scope in ("read", "write read", "*", "x"):
        assert (scope, MissingScopeError) == (scope, await refused(narrow.refresh_token, config, store, scope=scope))


async def test_the_loader(config: JWTConfig, store: MemoryStore) -> None:
    """Claims are evaluated anew by a function, sync or async, which may change the roles too."""  # S142
    pair = await start_session("alice", config, store, user_claims={"plan": "free"}, roles="USER")

    def load(token: Token) -> dict[str, Any]:
        return {"plan": "paid", "was": token.user_claims["plan"]}

    async def load_both(token: Token) -> RefreshedClaims:
        return RefreshedClaims({"plan": "paid"}, ["ADMIN"])

    pair = await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=load)
    token = access(pair, config)
    assert ({"plan": "paid", "was": "free"}, {"USER"}) == (token.user_claims, token.roles)
    pair = await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=load_both)
    token = access(pair, config)
    assert ({"plan": "paid"}, {"ADMIN"}) == (token.user_claims, token.roles)


async def test_the_loader_says_no(config: JWTConfig, store: MemoryStore) -> None:
    """None from the loader refuses the identity; the token stays unused."""
    pair = await start_session("alice", config, store)
    no: Any = lambda token: None  # noqa: E731 -- as applications write it
    assert IdentityRefusedError is await refused(pair.refresh_token, config, store, claims_loader=no)
    await rotate_refresh_token(pair.refresh_token, config, store)


async def test_the_loader_fails(config: JWTConfig, store: MemoryStore, caplog: pytest.LogCaptureFixture) -> None:
    """When the loader fails nothing is decided: 503, and the token stays unused; a refusal of its own counts."""

    async def fail(token: Token) -> dict[str, Any]:
        raise OSError("the database is away")

    def refuse(token: Token) -> dict[str, Any]:
        raise WrongClientError()

    pair = await start_session("alice", config, store)
    assert ClaimsUnavailableError is await refused(pair.refresh_token, config, store, claims_loader=fail)
    assert "claims_loader failed" in caplog.text
    assert WrongClientError is await refused(pair.refresh_token, config, store, claims_loader=refuse)
    odd: Any = lambda _: {"a": {1}}  # noqa: E731 -- what no JSON can hold
    assert ClaimsUnavailableError is await refused(pair.refresh_token, config, store, claims_loader=odd)
    await rotate_refresh_token(pair.refresh_token, config, store)


async def test_clients(config: JWTConfig, store: MemoryStore) -> None:
    """A session that was begun for a client is refreshed by that client alone, through all successors."""  # S140
    pair = await start_session("alice", config, store, client_id="app")
    for client in (None, "", "other", "app "):
        assert WrongClientError is await refused(pair.refresh_token, config, store, client_id=client)
    for _ in range(2):
        pair = await rotate_refresh_token(pair.refresh_token, config, store, client_id="app")
    assert WrongClientError is await refused(pair.refresh_token, config, store)
    free = await start_session("alice", config, store)
    await rotate_refresh_token(free.refresh_token, config, store, client_id="anybody")
    odd = forge({"client_id": 7, "type": "refresh", "sid": "f", "auth_time": NOW})
    assert WrongClientError is await refused(odd, config, store, client_id="7")


async def test_idle_sessions_end(config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """A session that is not refreshed for `refresh_lifetime` ends, and leaves the list."""  # S139
    pair = await start_session("alice", config, store)
    clock.now += timedelta(days=30, seconds=61).total_seconds()
    assert ExpiredTokenError is await refused(pair.refresh_token, config, store)
    assert [] == await list_sessions("alice", config, store)


async def test_every_session_ends(store: MemoryStore, clock: HeldClock) -> None:
    """However often it is refreshed, no token lives longer than `session_lifetime` from the login."""  # S139, S142
    config = JWTConfig(secret_key=SECRET, clock=clock, session_lifetime=timedelta(days=1), leeway=0)
    end = NOW + 86400
    pair = await start_session("alice", config, store)
    for hours in (8, 15, 23.9):
        clock.now = NOW + hours * 3600
        pair = await rotate_refresh_token(pair.refresh_token, config, store)
        assert end == refresh(pair, config).expires_at
        assert end >= float(access(pair, config).expires_at or 0)
    assert (end, 360) == (access(pair, config).expires_at, pair.expires_in)
    clock.now = end
    assert ExpiredTokenError is await refused(pair.refresh_token, config, store)


async def test_endless_sessions(store: MemoryStore, clock: HeldClock) -> None:
    """Without lifetimes tokens and sessions never end by themselves, and can be ended for good all the same."""
    config = JWTConfig(
        secret_key=SECRET,
        clock=clock,
        access_lifetime=None,
        refresh_lifetime=None,
        session_lifetime=None,
        required_claims=["jti"],
    )
    pair = await start_session("alice", config, store)
    clock.now += 10 * 365 * 86400
    pair = await rotate_refresh_token(pair.refresh_token, config, store)
    assert (None, None) == (access(pair, config).expires_at, pair.expires_in)
    await revoke_session(str(access(pair, config).session_id), config, store)
    clock.now += 10 * 365 * 86400
    assert RevokedTokenError is await refused(pair.refresh_token, config, store)
    await revoke_token(access(pair, config), config, store)


async def test_sessions_need_names(clock: HeldClock, store: MemoryStore) -> None:
    """Without a claim that names the session there are none, which is said when one is begun."""
    for changes in ({"session_claim": None}, {"type_claim": None}):
        config = JWTConfig(secret_key=SECRET, clock=clock, **changes)  # type: ignore[arg-type]
        with pytest.raises(SettingError, match="session_claim"):
            await start_session("alice", config, store)
        with pytest.raises(SettingError, match="session_claim"):
            await rotate_refresh_token("a.b.c", config, store)


@pytest.mark.parametrize("options", [{"label": "x" * 201}, {"label": None}, {"client_id": ""}, {"client_id": 7}])
async def test_options_of_a_session(config: JWTConfig, store: MemoryStore, options: dict[str, Any]) -> None:
    """What a session cannot be begun with is refused before anything is stored."""
    with pytest.raises(SettingError, match=next(iter(options))):
        await start_session("alice", config, store, **options)
    assert [] == await list_sessions("alice", config, store)


async def test_claims_cannot_pose_as_ours(config: JWTConfig, store: MemoryStore) -> None:
    """User claims stand in their own claim, at login and at every refresh: none becomes a session or a login."""  # S63
    claims = {"sid": "mine", "auth_time": 1, "client_id": "mine", "fresh": True, "type": "access", "jti": "mine"}
    pair = await start_session("alice", config, store, user_claims=claims)
    pair = await rotate_refresh_token(pair.refresh_token, config, store, claims_loader=lambda _: claims)
    for token in (access(pair, config), refresh(pair, config)):
        assert claims == token.user_claims
        assert (True, NOW) == (token.session_id not in (None, "mine"), token.authenticated_at)
    merged = JWTConfig(secret_key=SECRET, clock=config.clock, user_claims_claim=None)
    for name in ("sid", "auth_time", "client_id"):
        with pytest.raises(MintingError, match=name):
            await start_session("alice", merged, store, user_claims={name: "mine"})


async def test_stores_hold_no_tokens(config: JWTConfig, store: MemoryStore) -> None:
    """Nothing that a store holds is a token, a part of one, or decrypts the response."""  # S141
    pair = await start_session("alice", config, store)
    successor = await rotate_refresh_token(pair.refresh_token, config, store)
    (record,) = store._sessions.values()
    assert record.response
    held = repr(record).encode() + record.response
    for raw in (*map(str, dict(pair).values()), *map(str, dict(successor).values())):
        for part in raw.split("."):
            assert len(part) < 8 or part.encode() not in held
    for key in (record.current, record.previous, record.session, successor.refresh_token.encode(), b""):
        assert None is decrypt_response(record.response, key, record.session)
    assert None is decrypt_response(record.response, pair.refresh_token.encode(), b"another session")


def test_what_is_sealed_is_opened() -> None:
    """Sealed and opened with the same token, an answer is the same, with or without its optional parts."""
    for pair in (TokenPair("a", "b"), TokenPair("a", "b", expires_in=7, scope="x")):
        opened = decrypt_response(encrypt_response(pair, b"raw", b"session"), b"raw", b"session")
        assert opened is not None
        assert dict(pair) == dict(opened)


async def test_a_twin_of_a_spent_token(config: JWTConfig, store: MemoryStore) -> None:
    """Another encoding of the token that was used is another token: no response, and the session ends."""
    pair = await start_session("alice", config, store)
    await rotate_refresh_token(pair.refresh_token, config, store)
    twin = forge(refresh(pair, config).claims)
    assert twin != pair.refresh_token
    assert ReusedTokenError is await refused(twin, config, store)


async def test_comparisons_take_constant_time(
    config: JWTConfig, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client sends is compared with what the store knows by `hmac.compare_digest`."""  # S148
    compared: list[tuple[bytes, bytes]] = []

    class Watched:
        @staticmethod
        def compare_digest(known: bytes, sent: bytes) -> bool:
            compared.append((known, sent))
            return known == sent

    monkeypatch.setattr(rotation, "hmac", Watched)
    pair = await start_session("alice", config, store, client_id="app")
    await rotate_refresh_token(pair.refresh_token, config, store, client_id="app")
    await rotate_refresh_token(pair.refresh_token, config, store, client_id="app")
    assert 5 == len(compared)


async def test_logs_hold_no_tokens(
    config: JWTConfig, store: MemoryStore, clock: HeldClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Through a whole life and its end nothing is logged that could be used or belongs to the user."""  # S149
    caplog.set_level(logging.DEBUG)
    pair = await start_session("alice@example.org", config, store, user_claims={"secret": "LUX MEA"})
    successor = await rotate_refresh_token(pair.refresh_token, config, store)
    clock.now += 11
    await refused(pair.refresh_token, config, store)
    assert caplog.records
    for text in (*dict(pair).values(), *dict(successor).values(), "alice@example.org", "LUX MEA"):
        if text != "Bearer":
            assert str(text) not in caplog.text or str(text).isdigit()


async def test_listeners_break_nothing(store: MemoryStore, clock: HeldClock, caplog: pytest.LogCaptureFixture) -> None:
    """The session goes on if `on_event`, sync or async, fails; an async one is awaited."""
    told: list[str] = []

    async def listen(event: AuthEvent) -> None:
        told.append(event.name)
        raise RuntimeError("the log is full")

    def fail(event: AuthEvent) -> None:
        raise RuntimeError("the log is full")

    for listener in (listen, fail):
        config = JWTConfig(secret_key=SECRET, clock=clock, on_event=listener)
        pair = await start_session("alice", config, store)
        await rotate_refresh_token(pair.refresh_token, config, store)
    assert ["issued", "refreshed"] == told
    assert 4 == caplog.text.count("on_event failed")


async def test_an_asymmetric_key(store: MemoryStore, clock: HeldClock) -> None:
    """Sessions live under any key that signs."""
    config = JWTConfig(signing_key=Key.generate("ES256"), clock=clock)
    pair = await start_session({"id": 7}, JWTConfig(**settings_of(config)), store)
    pair = await rotate_refresh_token(pair.refresh_token, JWTConfig(**settings_of(config)), store)
    assert {"id": 7} == access(pair, JWTConfig(**settings_of(config))).identity


def settings_of(config: JWTConfig) -> dict[str, Any]:
    return {"signing_key": config.signing_key, "clock": config.clock, "identity_claim": "identity"}


async def test_log_out_everywhere(
    config: JWTConfig, store: MemoryStore, clock: HeldClock, events: list[AuthEvent]
) -> None:
    """Everything that an identity has ends, what others have does not, and the next login counts."""  # S143
    pairs = [await start_session("alice", config, store) for _ in range(3)]
    bob = await start_session("bob", config, store)
    single = verify_token(create_access_token("alice", config), config)
    await revoke_identity("alice", config, store)
    assert ("revoked", "identity", "alice") == (events[-1].name, events[-1].revoked, events[-1].identity)
    assert [] == await list_sessions("alice", config, store)
    for token in (single, *(access(pair, config) for pair in pairs)):
        assert await store.check(token, config)
    clock.now += 0.5
    before = anyio.current_time()
    again = await start_session("alice", config, store)
    assert 0.4 < anyio.current_time() - before
    assert NOW + 1 == refresh(again, config).issued_at
    assert not await store.check(refresh(again, config), config)
    assert not await store.check(access(bob, config), config)
    clock.now += 100
    await rotate_refresh_token(again.refresh_token, config, store)


async def test_revocation_lasts_as_long_as_the_longest_token(
    config: JWTConfig, store: MemoryStore, clock: HeldClock
) -> None:
    """No token is minted for longer than `max_lifetime`, and what is revoked is remembered for that long."""
    year = timedelta(days=365)
    with pytest.raises(MintingError, match="set max_lifetime"):
        create_access_token("alice", config, lifetime=year)
    config = config.replace(max_lifetime=year)
    token = verify_token(create_access_token("alice", config, lifetime=year), config)
    assert 0 == await revoke_identity("alice", config, store)
    clock.now += timedelta(days=364).total_seconds()
    assert await store.check(token, config)
    clock.now += timedelta(days=2).total_seconds()
    assert not await store.check(token, config)


async def test_tokens_of_another_party_may_live_longer_than_any_minted_here(clock: HeldClock) -> None:
    """A revocation of its identity or session is kept for ever, unless `max_lifetime` or `max_age` limits its tokens."""  # S143
    month = 30 * 86400.0
    shape: dict[str, Any] = {"type_claim": None, "user_claims_claim": None, "required_claims": ["exp", "iat"]}
    own = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=month, refresh_lifetime=month, **shape)
    raw = create_access_token("alice", own)
    (key,) = own.keys
    for limits, is_kept in (
        ({}, True),
        ({"max_lifetime": month}, False),
        ({"max_age": month}, False),
        ({"max_age": 2 * month, "max_lifetime": month}, False),
    ):
        store = MemoryStore(clock=clock)
        foreign = JWTConfig(verification_keys=[key], clock=clock, **limits, **shape)
        token = verify_token(raw, foreign)
        await revoke_identity("alice", foreign, store)
        clock.now += month - 1
        assert await store.check(token, foreign)
        clock.now += 120
        assert is_kept is await store.check(token, foreign)
        clock.now -= month + 119


async def test_one_token(config: JWTConfig, store: MemoryStore, events: list[AuthEvent]) -> None:
    """A token is revoked by its `jti`; one that has none is not silently left as it was."""  # S143
    token, other = (verify_token(create_access_token("alice", config), config) for _ in range(2))
    await revoke_token(token, config, store)
    assert ("token", token.jti) == (events[-1].revoked, events[-1].jti)
    assert (True, False) == (await store.check(token, config), await store.check(other, config))
    lax = JWTConfig(secret_key=SECRET, clock=config.clock, required_claims=["exp"])
    with pytest.raises(SettingError, match="jti"):
        await revoke_token(verify_token(forge(without=("jti",)), lax), lax, store)


async def test_issuers_share_a_store(store: MemoryStore, clock: HeldClock) -> None:
    """Two issuers that name their users and sessions alike do not revoke each other's tokens."""
    one, two = (JWTConfig(secret_key=SECRET, clock=clock, issuer=f"https://{name}.example") for name in ("one", "two"))
    first, second = await start_session("alice", one, store), await start_session("alice", two, store)
    await revoke_identity("alice", one, store)
    assert await store.check(access(first, one), one)
    assert not await store.check(access(second, two), two)
    await rotate_refresh_token(second.refresh_token, two, store)
