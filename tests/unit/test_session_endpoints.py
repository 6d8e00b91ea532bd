"""The endpoints where sessions end: tokens that have expired or come from an earlier release, and answers for browsers."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import urlencode

import pytest

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    Key,
    TokenPair,
    create_access_token,
    set_token_cookies,
    verify_token,
)
from asgi_jwt_claims.sessions import (
    TokenEndpoints,
    list_sessions,
    revoke_session,
    rotate_refresh_token,
    start_session,
)
from asgi_jwt_claims.stores import MemoryStore, SessionRecord
from asgi_jwt_claims.stores._revocation_index import RevocationIndex
from tests.conftest import HeldClock
from tests.forging import forge
from tests.raw_asgi import Exchange, Header, ask, bearer, drive, http_scope
from tests.support import SECRET

pytestmark = pytest.mark.anyio

DAY = 86400
FORM = (b"content-type", b"application/x-www-form-urlencoded")


@pytest.fixture
def events() -> list[AuthEvent]:
    """What `config` was told of."""
    return []


@pytest.fixture
def config(clock: HeldClock, events: list[AuthEvent]) -> JWTConfig:
    """HS256 on the held clock, its events kept."""
    return JWTConfig(secret_key=SECRET, clock=clock, on_event=events.append)


@pytest.fixture
def store(clock: HeldClock) -> MemoryStore:
    """A store on the held clock."""
    return MemoryStore(clock=clock)


async def post(app: Any, path: str, form: dict[str, str], *headers: Header) -> Exchange:
    body = {"type": "http.request", "body": urlencode(form).encode()}
    return await drive(app, http_scope(path, FORM, *headers, method="POST"), body)


def refreshing(pair: TokenPair) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": pair.refresh_token}


# Logging out with a token that has expired ----------------------------------------------------------------------------


@pytest.mark.parametrize("later", [911, 1200, 13 * DAY])
async def test_an_expired_access_token(later: float, config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """An expired access token still names its session, which ends, also after a long pause (RFC 7009)."""  # S143
    pair = await start_session("alice", config, store)
    other = await start_session("alice", config, store)
    clock.now += later
    app = TokenEndpoints(config, store)
    assert 200 == (await post(app, "/logout", {"token": pair.access_token})).status
    assert 400 == (await post(app, "/refresh", refreshing(pair))).status
    assert 200 == (await post(app, "/refresh", refreshing(other))).status


async def test_what_else_an_expired_token_must_be(config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """Nothing but `exp` is passed over: signature, issuer, audience, type, age and client decide as ever."""
    ours = config.replace(issuer="https://us.example", audience="api")
    pair = await start_session("alice", ours, store)
    claims = verify_token(pair.access_token, ours).claims
    clock.now += 1200
    for changes, secret, settings in (
        ({}, "x" * 32, {}),
        ({"iss": "https://them.example"}, SECRET, {}),
        ({"aud": "web"}, SECRET, {}),
        ({"type": "invitation"}, SECRET, {}),
        ({"nbf": clock.now + 60}, SECRET, {}),
        ({"iat": clock.now + 60}, SECRET, {}),
        ({"cnf": {}}, SECRET, {}),
        ({"sid": 7}, SECRET, {}),
        ({}, SECRET, {"max_age": 600}),
        ({}, SECRET, {"max_lifetime": 60}),
    ):
        app = TokenEndpoints(ours.replace(**settings), store)
        raw = forge({**claims, **changes}, secret=secret)
        assert (changes, 200) == (changes, (await post(app, "/logout", {"token": raw})).status)
        assert 1 == len(await list_sessions("alice", ours, store))
    bound = forge({**claims, "client_id": "app"})
    assert 400 == (await post(TokenEndpoints(ours, store), "/logout", {"token": bound, "client_id": "web"})).status
    assert 1 == len(await list_sessions("alice", ours, store))
    assert 200 == (await post(TokenEndpoints(ours, store), "/logout", {"token": pair.access_token})).status
    assert [] == await list_sessions("alice", ours, store)


async def test_an_expired_refresh_token(config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """A refresh token that was spent and has expired since ends nothing: its session has a successor."""
    first = await start_session("alice", config, store)
    clock.now += 13 * DAY
    second = await rotate_refresh_token(first.refresh_token, config, store)
    clock.now += 2 * DAY
    app = TokenEndpoints(config, store)
    assert 200 == (await post(app, "/logout", {"token": first.refresh_token})).status
    assert 200 == (await post(app, "/refresh", refreshing(second))).status


async def test_a_single_token_that_has_expired(config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """A token of no session that has expired is refused already: 200, and nothing is left to do."""
    raw = create_access_token("alice", config)
    clock.now += 1200
    assert 200 == (await post(TokenEndpoints(config, store), "/logout", {"token": raw})).status


# Tokens of an earlier release -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["session", "everywhere", "logout"])
async def test_tokens_of_an_earlier_release(how: str, store: MemoryStore, clock: HeldClock) -> None:
    """A token that was minted when lifetimes were longer stays revoked until it expires, not as long as new ones would."""  # S143
    config = JWTConfig(secret_key=SECRET, clock=clock, refresh_lifetime=7 * DAY)
    earlier = config.replace(access_lifetime=30 * DAY, refresh_lifetime=30 * DAY)
    pair, app = await start_session("alice", earlier, store), TokenEndpoints(config, store)
    mine = bearer(pair.access_token)
    session_id = verify_token(pair.access_token, config).session_id
    if how == "session":
        answer = await ask(app, f"/sessions/{session_id}", mine, method="DELETE")
    elif how == "everywhere":
        answer = await ask(app, "/logout-everywhere", mine, method="POST")
    else:
        answer = await post(app, "/logout", {"token": pair.access_token})
    assert 200 == answer.status
    for days in (1, 7, 14, 29.9):
        clock.now = 1_800_000_000 + days * DAY
        assert 401 == (await ask(app, "/sessions", mine)).status
        assert 400 == (await post(app, "/refresh", refreshing(pair))).status


@pytest.mark.parametrize("how", ["everywhere", "session", "logout"])
async def test_a_long_token_at_hand(how: str, store: MemoryStore, clock: HeldClock) -> None:
    """A token that no record knows, and that lives longer than any is minted now, is revoked until it expires."""  # S143
    config = JWTConfig(secret_key=SECRET, clock=clock, refresh_lifetime=7 * DAY)
    raw = forge({"sid": "a" * 32, "exp": clock.now + 30 * DAY})
    app = TokenEndpoints(config, store)
    if how == "everywhere":
        assert 200 == (await ask(app, "/logout-everywhere", bearer(raw), method="POST")).status
    elif how == "logout":
        assert 200 == (await post(app, "/logout", {"token": raw})).status
    else:
        assert 404 == (await ask(app, f"/sessions/{'a' * 32}", bearer(raw), method="DELETE")).status
        return
    clock.now += 29 * DAY
    assert 401 == (await ask(app, "/sessions", bearer(raw))).status


# Identifiers of sessions ----------------------------------------------------------------------------------------------


class Asked(MemoryStore):
    """A store that counts how often it is asked for a session."""

    asked = 0

    async def session(self, session: bytes) -> SessionRecord | None:
        self.asked += 1
        return await super().session(session)


@pytest.mark.parametrize(
    "name", ["", "x", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "\u0661" * 32, "x" * 60_000, "../" * 9]
)
async def test_what_is_no_identifier_is_not_looked_for(name: str, config: JWTConfig, clock: HeldClock) -> None:
    """A session identifier has 32 hexadecimal digits: for anything else 404, and no store is asked."""
    store = Asked(clock=clock)
    pair = await start_session("alice", config, store)
    answer = await ask(TokenEndpoints(config, store), f"/sessions/{name}", bearer(pair.access_token), method="DELETE")
    assert (404, 0) == (answer.status, store.asked)


async def test_a_session_that_has_ended_is_not_there(config: JWTConfig, store: MemoryStore) -> None:
    """To end a session twice is 404 the second time, though its record is still kept."""
    pair, other = [await start_session("alice", config, store) for _ in range(2)]
    session_id = verify_token(other.access_token, config).session_id
    app = TokenEndpoints(config, store)
    answers = [await ask(app, f"/sessions/{session_id}", bearer(pair.access_token), method="DELETE") for _ in range(2)]
    assert [200, 404] == [answer.status for answer in answers]


# Answers --------------------------------------------------------------------------------------------------------------


async def test_the_log_says_why(config: JWTConfig, store: MemoryStore, caplog: pytest.LogCaptureFixture) -> None:
    """A refused refresh token says in the log whether its session is unknown here, or has ended; to the client it does not."""
    caplog.set_level(logging.INFO)
    pair = await start_session("alice", config, store)
    elsewhere = await post(TokenEndpoints(config, MemoryStore()), "/refresh", refreshing(pair))
    assert "no such session here" in caplog.text
    await revoke_session(str(verify_token(pair.access_token, config).session_id), config, store)
    store._index = RevocationIndex()  # the mark is forgotten before the record is
    ended = await post(TokenEndpoints(config, store), "/refresh", refreshing(pair))
    assert "the session has ended" in caplog.text
    assert elsewhere.body == ended.body
    assert pair.refresh_token not in caplog.text


async def test_a_refresh_at_the_end_of_a_session(store: MemoryStore, clock: HeldClock) -> None:
    """Within the leeway after the end it is `invalid_grant` (RFC 6749 section 5.2), so that the client logs in anew."""  # S139
    config = JWTConfig(secret_key=SECRET, clock=clock, session_lifetime=3600, refresh_lifetime=3600, access_lifetime=60)
    pair = await start_session("alice", config, store)
    clock.now += 3605
    answer = await post(TokenEndpoints(config, store), "/refresh", refreshing(pair))
    assert (400, "invalid_grant") == (answer.status, answer.json["error"])


async def test_keys_that_only_verify_refresh_nothing(store: MemoryStore, clock: HeldClock) -> None:
    """An application that cannot sign answers 503 to a refresh, and leaves the token as it was."""
    key = Key.generate("ES256")
    config = JWTConfig(signing_key=key, clock=clock)
    public = JWTConfig(verification_keys=[Key.from_jwk(key.public_jwk())], clock=clock)
    pair = await start_session("alice", config, store)
    answer = await post(TokenEndpoints(public, store), "/refresh", refreshing(pair))
    assert (503, "temporarily_unavailable") == (answer.status, answer.json["error"])
    assert 200 == (await post(TokenEndpoints(config, store), "/refresh", refreshing(pair))).status


def with_cookies(pair: TokenPair, config: JWTConfig) -> tuple[Header, Header]:
    headers: list[Header] = []
    set_token_cookies(headers, pair, config)
    jar = [value.split(b";")[0] for name, value in headers if name == b"set-cookie"]
    return (b"cookie", b"; ".join(jar)), (b"x-csrf-token", jar[2].split(b"=", 1)[1])


async def test_a_cookie_that_would_be_too_long(config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """Whether a browser keeps the new cookies is known before the old token is used: 503, its cookies stay, no alarm."""
    claims: dict[str, Any] = {"teams": ["a-team-with-a-longish-name"] * 150}
    app = TokenEndpoints(config, store, cookies=True, claims_loader=lambda _: claims)
    pair = await start_session("alice", config, store)
    for _ in range(2):
        answer = await drive(
            app, http_scope("/refresh", *with_cookies(pair, config), method="POST"), {"type": "http.request"}
        )
        assert (503, False) == (answer.status, "set-cookie" in answer.headers)
        clock.now += 30
    claims.clear()
    answer = await drive(
        app, http_scope("/refresh", *with_cookies(pair, config), method="POST"), {"type": "http.request"}
    )
    assert 200 == answer.status


async def test_a_repeat_that_is_too_long_for_a_cookie(config: JWTConfig, store: MemoryStore) -> None:
    """An answer that was given to a form and is asked for again by a cookie, which cannot hold it, is 503."""
    claims = {"teams": ["a-team-with-a-longish-name"] * 150}
    app = TokenEndpoints(config, store, cookies=True, claims_loader=lambda _: claims)
    pair = await start_session("alice", config, store)
    assert 200 == (await post(app, "/refresh", refreshing(pair))).status
    answer = await drive(
        app, http_scope("/refresh", *with_cookies(pair, config), method="POST"), {"type": "http.request"}
    )
    assert 503 == answer.status


# Where they are mounted -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/"])
async def test_a_slash_at_the_end(end: str, config: JWTConfig, store: MemoryStore) -> None:
    """Every path is the same with one slash at its end, which some frameworks add, and no path with two."""
    app = TokenEndpoints(config, store)
    header = bearer(create_access_token("alice", config))
    pair = await start_session("alice", config, store)
    assert 200 == (await post(app, f"/refresh{end}", refreshing(pair))).status
    (session,) = (await ask(app, f"/sessions{end}", header)).json["sessions"]
    assert 200 == (await ask(app, f"/sessions/{session['id']}{end}", header, method="DELETE")).status
    assert 200 == (await post(app, f"/logout{end}", {"token": pair.access_token})).status
    assert 200 == (await ask(app, f"/logout-everywhere{end}", header, method="POST")).status
    mounted = http_scope(f"/auth/refresh{end}", root_path="/auth", method="POST")
    assert 400 == (await drive(app, mounted, {"type": "http.request"})).status
    for path in ("/refresh//", "//refresh", "/", ""):
        assert 404 == (await post(app, path, {})).status
