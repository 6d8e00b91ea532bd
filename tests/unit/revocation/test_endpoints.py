"""`TokenEndpoints`: refresh as RFC 6749 has it, log out as RFC 7009 has it, and one's own sessions."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    JWTMiddleware,
    Key,
    TokenPair,
    create_access_token,
    create_refresh_token,
    verify_token,
)
from asgi_jwt_claims.errors import (
    SettingError,
    StoreUnavailableError,
    UnsupportedScopeError,
)
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.stores import MemoryStore, SessionRecord
from tests.conftest import HeldClock
from tests.forging import forge
from tests.raw_asgi import Exchange, Header, Message, ask, bearer, drive, http_scope, talk
from tests.support import SECRET

pytestmark = pytest.mark.anyio

FORM = (b"content-type", b"application/x-www-form-urlencoded")


@pytest.fixture
def app(config: JWTConfig, store: MemoryStore) -> Any:
    return TokenEndpoints(config, store)


async def post(app: Any, path: str, form: dict[str, Any] | bytes, *headers: Header) -> Exchange:
    """A form, in two pieces."""
    body = form if isinstance(form, bytes) else urlencode(form, doseq=True).encode()
    pieces: list[Message] = [
        {"type": "http.request", "body": body[:9], "more_body": True},
        {"type": "http.request", "body": body[9:]},
    ]
    return await drive(app, http_scope(path, *(headers or (FORM,)), method="POST"), *pieces)


def refreshing(pair: TokenPair, **more: Any) -> dict[str, Any]:
    return {"grant_type": "refresh_token", "refresh_token": pair.refresh_token, **more}


def is_json(answer: Exchange, status: int) -> Any:
    """Of this status, not to be stored, and whole."""  # S114
    assert status == answer.status
    headers = answer.headers
    assert ("application/json", "no-store") == (headers["content-type"], headers["cache-control"])
    assert str(len(answer.body)) == headers["content-length"]
    return answer.json


async def test_refresh(app: Any, config: JWTConfig, store: MemoryStore) -> None:
    """A refresh token is answered with the members of RFC 6749 section 5.1, at any mount point."""
    mounted = Starlette(routes=[Mount("/auth/tokens", app)])
    pair = await start_session("alice", config, store, scope="read write", user_claims={"a": 1})
    for path, served in (("/refresh", app), ("/auth/tokens/refresh", mounted)):
        content = is_json(await post(served, path, refreshing(pair, scope="read", other="ignored")), 200)
        assert {"access_token", "refresh_token", "token_type", "expires_in", "scope"} == set(content)
        assert ("Bearer", 900, "read") == (content["token_type"], content["expires_in"], content["scope"])
        assert {"a": 1} == verify_token(content["access_token"], config).user_claims
        pair = TokenPair(content["access_token"], content["refresh_token"])


async def test_refresh_asks_the_loader(config: JWTConfig, store: MemoryStore) -> None:
    """`claims_loader` decides what the new tokens say."""
    app = TokenEndpoints(config, store, claims_loader=lambda token: {"of": token.identity})
    pair = await start_session("alice", config, store)
    content = is_json(await post(app, "/refresh", refreshing(pair)), 200)
    assert {"of": "alice"} == verify_token(content["access_token"], config).user_claims


CHARSET = (b"content-type", b"Application/X-WWW-Form-Urlencoded; charset=utf-8")
OTHER = (b"content-type", b"application/json")


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        (b"", (), 400, "invalid_request"),
        (b"%s", (), 400, "invalid_request"),
        (b"a=%ff", (), 400, "invalid_request"),
        (b"a=\xff", (), 400, "invalid_request"),
        (b"&".join([b"a=1"] * 30), (), 400, "invalid_request"),
        ({"refresh_token": "x"}, (), 400, "invalid_request"),
        ({"grant_type": "refresh_token"}, (), 400, "invalid_request"),
        (b"grant_type=refresh_token&refresh_token=", (), 400, "invalid_request"),
        ({"grant_type": "password", "refresh_token": "x"}, (), 400, "unsupported_grant_type"),
        ({"grant_type": ["refresh_token", "refresh_token"], "refresh_token": "x"}, (), 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": ["x", "y"]}, (), 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, (CHARSET,), 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, (OTHER,), 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, (FORM, FORM), 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, ((b"accept", b"*/*"),), 400, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "\u00fc\x00"}, (), 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x" * 9000}, (), 400, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x" * 90000}, (), 413, "invalid_request"),
    ],
)
async def test_requests_that_are_wrong(app: Any, form: Any, headers: Any, status: int, error: str) -> None:
    """Every wrong request has the answer of RFC 6749 section 5.2, and none is an error of the server."""
    content = is_json(await post(app, "/refresh", form, *headers), status)
    assert (error, True) == (content["error"], content["error_description"].endswith("."))


async def test_tokens_that_are_wrong(
    app: Any, config: JWTConfig, store: MemoryStore, clock: HeldClock, events: list[AuthEvent]
) -> None:
    """Each bad token is `invalid_grant`, and scopes that were not granted are `invalid_scope`."""
    pair = await start_session("alice", config, store, scope="read", client_id="web")
    for raw in (pair.access_token, create_refresh_token("alice", config), "a.b.c", forge({"type": "refresh"})):
        answer = await post(app, "/refresh", {"grant_type": "refresh_token", "refresh_token": raw})
        assert "invalid_grant" == is_json(answer, 400)["error"]
    assert "invalid_grant" == is_json(await post(app, "/refresh", refreshing(pair)), 400)["error"]
    wide = await post(app, "/refresh", refreshing(pair, client_id="web", scope="write"))
    assert "invalid_scope" == is_json(wide, 400)["error"]
    is_json(await post(app, "/refresh", refreshing(pair, client_id="web")), 200)
    clock.now += 11
    reuse = await post(app, "/refresh", refreshing(pair, client_id="web"))
    assert {"error": "invalid_grant", "error_description": "The token has been revoked."} == is_json(reuse, 400)
    assert ["token_reused"] == [event.code for event in events if event.name == "refused"][-1:]
    assert ["reuse_detected", "refused"] == [event.name for event in events][-2:]


class Away(MemoryStore):
    """A store that cannot be reached, once it is told so."""

    is_away = False

    def is_revoked_locally(self, token: Any, config: JWTConfig) -> Any:
        return None

    async def is_revoked(self, marks: Any) -> bool:
        if self.is_away:
            raise StoreUnavailableError(retry_after=7)
        return await super().is_revoked(marks)

    async def revoke(self, revocations: Any) -> None:
        if self.is_away:
            raise StoreUnavailableError(retry_after=7)
        await super().revoke(revocations)

    async def session(self, session: bytes) -> SessionRecord | None:
        if self.is_away:
            raise StoreUnavailableError(retry_after=7)
        return await super().session(session)


async def test_a_store_that_is_away(config: JWTConfig, clock: HeldClock) -> None:
    """503 with `Retry-After`, everywhere; nothing is said to have ended, and nothing has been used up."""
    store = Away(clock=clock)
    app = TokenEndpoints(config, store)
    pair = await start_session("alice", config, store)
    session_id = verify_token(pair.access_token, config).session_id
    store.is_away = True
    mine = bearer(pair.access_token)
    for answer in (
        await post(app, "/refresh", refreshing(pair)),
        await post(app, "/logout", {"token": pair.refresh_token}),
        await post(app, "/logout-everywhere", b"", FORM, mine),
        await ask(app, "/sessions", mine),
        await ask(app, f"/sessions/{session_id}", mine, method="DELETE"),
    ):
        assert "temporarily_unavailable" == is_json(answer, 503)["error"]
        assert "7" == answer.headers["retry-after"]
    store.is_away = False
    is_json(await post(app, "/refresh", refreshing(pair)), 200)


async def test_keys_that_are_away(store: MemoryStore, clock: HeldClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that cannot be checked at the moment is not a token that is no good: log out is not pretended."""
    config = JWTConfig(secret_key=SECRET, clock=clock)

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError(retry_after=7)

    monkeypatch.setattr("asgi_jwt_claims.sessions.endpoints.verify_or_fetch", away)
    assert 503 == (await post(TokenEndpoints(config, store), "/logout", {"token": "a.b.c"})).status


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_logout(app: Any, config: JWTConfig, store: MemoryStore, which: str) -> None:
    """With either token of a session, all of the session ends, and nothing of another one (RFC 7009 section 2.1)."""
    pair, other = await start_session("alice", config, store), await start_session("alice", config, store)
    form = {"token": pair[which], "token_type_hint": "anything"}
    assert {} == is_json(await post(app, "/logout", form), 200)
    assert {} == is_json(await post(app, "/logout", form), 200)
    assert await store.check(verify_token(pair.access_token, config), config)
    assert "invalid_grant" == is_json(await post(app, "/refresh", refreshing(pair)), 400)["error"]
    is_json(await post(app, "/refresh", refreshing(other)), 200)


async def test_logout_of_a_single_token(app: Any, config: JWTConfig, store: MemoryStore) -> None:
    """A token without a session is revoked by itself; one that has no name either cannot be."""
    token = create_access_token("alice", config)
    is_json(await post(app, "/logout", {"token": token}), 200)
    assert await store.check(verify_token(token, config), config)
    lax = JWTConfig(secret_key=SECRET, clock=config.clock, required_claims=["exp"])
    is_json(await post(TokenEndpoints(lax, store), "/logout", {"token": forge(without=("jti",))}), 200)


async def test_logout_of_nothing(app: Any, config: JWTConfig, store: MemoryStore) -> None:
    """A token that is no good needs no revocation (RFC 7009 section 2.2); a request without one is wrong."""
    for raw in ("a.b.c", "\u00fc", forge(secret="x" * 32), forge({"exp": 1})):
        assert {} == is_json(await post(app, "/logout", {"token": raw}), 200)
    assert "invalid_request" == is_json(await post(app, "/logout", {"other": "x"}), 400)["error"]


async def test_logout_of_another_client(app: Any, config: JWTConfig, store: MemoryStore) -> None:
    """Only the client that a token was issued to revokes it (RFC 7009 section 2.1)."""
    pair = await start_session("alice", config, store, client_id="web")
    refused = await post(app, "/logout", {"token": pair.refresh_token, "client_id": "other"})
    assert "invalid_grant" == is_json(refused, 400)["error"]
    assert not await store.check(verify_token(pair.access_token, config), config)
    is_json(await post(app, "/logout", {"token": pair.refresh_token, "client_id": "web"}), 200)


async def test_the_list_of_sessions(app: Any, config: JWTConfig, store: MemoryStore, clock: HeldClock) -> None:
    """The list has the sessions of one identity, each with its label and times, and says which is the current one."""
    phone = await start_session("alice", config, store, label="phone")
    clock.now += 5
    laptop = await start_session("alice", config, store, label="laptop")
    await start_session("bob", config, store)
    mine = bearer(phone.access_token)
    sessions = is_json(await ask(app, "/sessions", mine), 200)["sessions"]
    assert [("laptop", False), ("phone", True)] == [(one["label"], one["current"]) for one in sessions]
    assert [clock.now, clock.now - 5] == [one["started_at"] for one in sessions]
    assert verify_token(laptop.access_token, config).session_id == sessions[0]["id"]
    is_json(await ask(app, f"/sessions/{sessions[0]['id']}", mine, method="DELETE"), 200)
    assert ["phone"] == [one["label"] for one in is_json(await ask(app, "/sessions", mine), 200)["sessions"]]
    assert 401 == (await ask(app, "/sessions", bearer(laptop.access_token))).status


async def test_endless_sessions_are_shown(store: MemoryStore, clock: HeldClock) -> None:
    """A session without an end has null for it: JSON has no infinity."""
    config = JWTConfig(
        secret_key=SECRET, clock=clock, refresh_lifetime=None, session_lifetime=None, required_claims=["jti"]
    )
    pair = await start_session("alice", config, store)
    answer = await ask(TokenEndpoints(config, store), "/sessions", bearer(pair.access_token))
    assert None is is_json(answer, 200)["sessions"][0]["expires_at"]


async def test_nobody_ends_the_sessions_of_others(app: Any, config: JWTConfig, store: MemoryStore) -> None:
    """Another's session, and one that does not exist, are answered alike."""
    alice, bob = await start_session("alice", config, store), await start_session("bob", config, store)
    answers = [
        await ask(app, f"/sessions/{name}", bearer(alice.access_token), method="DELETE")
        for name in (verify_token(bob.access_token, config).session_id, "no-such-session", "\udcff", "")
    ]
    assert [404] * 4 == [answer.status for answer in answers]
    assert 1 == len({answer.body for answer in answers})
    is_json(await post(app, "/refresh", refreshing(bob)), 200)


async def test_log_out_everywhere(app: Any, config: JWTConfig, store: MemoryStore) -> None:
    """All sessions of the identity end at once, the one that asks included."""  # S143
    pairs = [await start_session("alice", config, store) for _ in range(3)]
    bob = await start_session("bob", config, store)
    mine = bearer(pairs[0].access_token)
    assert {} == is_json(await post(app, "/logout-everywhere", b"", mine), 200)
    for pair in pairs:
        assert "invalid_grant" == is_json(await post(app, "/refresh", refreshing(pair)), 400)["error"]
    assert 401 == (await ask(app, "/sessions", mine)).status
    is_json(await post(app, "/refresh", refreshing(bob)), 200)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/sessions"), ("DELETE", "/sessions/x"), ("POST", "/logout-everywhere")]
)
async def test_who_is_asking(app: Any, config: JWTConfig, store: MemoryStore, method: str, path: str) -> None:
    """Without an access token that counts there is a challenge; a refresh token is none."""
    pair = await start_session("alice", config, store)
    for headers, status in (((), 401), ((bearer(pair.refresh_token),), 401), ((bearer(b"\xff"),), 400)):
        answer = await ask(app, path, *headers, method=method)
        assert (status, True) == (answer.status, answer.headers["www-authenticate"].startswith('Bearer realm="api"'))


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/refresh", 405, "POST"),
        ("GET", "/logout", 405, "POST"),
        ("GET", "/logout-everywhere", 405, "POST"),
        ("POST", "/sessions", 405, "GET"),
        ("GET", "/sessions/x", 405, "DELETE"),
        ("POST", "/refresh//", 404, None),
        ("POST", "//refresh", 404, None),
        ("POST", "/Refresh", 404, None),
        ("POST", "/auth/refresh", 404, None),
        ("POST", "", 404, None),
    ],
)
async def test_other_paths_and_methods(app: Any, method: str, path: str, status: int, allowed: str | None) -> None:
    """What there is not is 404, and another method 405 with those there are."""
    answer = await ask(app, path, method=method)
    is_json(answer, status)
    assert allowed == answer.headers.get("allow")


async def test_below_a_middleware_of_another_configuration(config: JWTConfig, store: MemoryStore) -> None:
    """The endpoints refuse an access token with their own realm, and tell their own listener, not the middleware's."""
    told: list[AuthEvent] = []
    elsewhere: list[AuthEvent] = []
    app = TokenEndpoints(config.replace(on_event=told.append), store, realm="tokens")
    other = JWTConfig(secret_key=SECRET[::-1], clock=config.clock, on_event=elsewhere.append)
    wrapped = JWTMiddleware(app, other, realm="other", required=False)
    for headers, code in (((), "token_missing"), ((bearer(create_access_token("bob", other)),), "unknown_key")):
        answer = await drive(wrapped, http_scope("/sessions", *headers))
        assert answer.headers["www-authenticate"].startswith('Bearer realm="tokens"')
        assert code == told.pop().code
    assert [] == [*told, *elsewhere]


async def test_below_a_middleware(app: Any, config: JWTConfig, store: MemoryStore) -> None:
    """Its paths are exempt, and what the middleware has verified is not verified again."""
    wrapped = JWTMiddleware(app, config, store=store, exempt=["/refresh", "/logout"])
    pair = await start_session("alice", config, store)
    assert 1 == len(is_json(await ask(wrapped, "/sessions", bearer(pair.access_token)), 200)["sessions"])
    is_json(await post(wrapped, "/refresh", refreshing(pair)), 200)
    assert 401 == (await ask(wrapped, "/sessions")).status


async def test_other_scopes(app: Any) -> None:
    """A websocket is turned away, and a lifespan belongs to the application that this is mounted in."""
    assert 1000 == (await talk(app, "/refresh")).close_code
    with pytest.raises(UnsupportedScopeError):
        await drive(app, {"type": "lifespan"})


async def test_a_client_that_leaves(app: Any) -> None:
    """A client that leaves before its form is complete is not answered."""
    first = {"type": "http.request", "body": b"grant_type=", "more_body": True}
    assert [] == (await drive(app, http_scope("/refresh", FORM, method="POST"), first)).messages


def test_settings(config: JWTConfig, store: MemoryStore) -> None:
    """What cannot work is refused when it is built."""
    for arguments, options in (
        ((None, store), {}),
        (([config], store), {}),
        ((config, None), {}),
        ((config, store), {"claims_loader": 7}),
        ((config, store), {"realm": '"'}),
    ):
        with pytest.raises(SettingError):
            TokenEndpoints(*arguments, **options)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="session_claim"):
        TokenEndpoints(JWTConfig(secret_key=SECRET, session_claim=None), store)


async def test_no_answer_shows_more_than_it_has_to(app: Any, config: JWTConfig, store: MemoryStore) -> None:
    """A refusal does not repeat what was sent."""
    for path in ("/refresh", "/logout"):
        form = {"grant_type": "<script>", "refresh_token": "<script>", "token": "<script>"}
        assert b"<" not in (await post(app, path, form)).body


def test_keys_that_only_verify(store: MemoryStore) -> None:
    """Who cannot sign can list and end sessions all the same."""
    public = Key.from_jwk(Key.generate("ES256").public_jwk())
    TokenEndpoints(JWTConfig(verification_keys=[public]), store)
