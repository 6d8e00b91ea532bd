"""Opaque tokens behind every adapter: each asks the authorization server, waits for it, and then goes on as with any token."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

pytest.importorskip("httpx2")
pytest.importorskip("fastapi")
pytest.importorskip("sanic")

from sanic import Sanic
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi_jwt_claims import AuthEvent, Cookie, JWTConfig, JWTMiddleware, Token, create_access_token, verify_token_async
from asgi_jwt_claims import starlette as for_starlette
from asgi_jwt_claims.connections import registry
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.sessions import TokenEndpoints, revoke_identity, revoke_token
from asgi_jwt_claims.sources.csrf import csrf_digest
from asgi_jwt_claims.stores import MemoryStore
from tests.adapters.test_remote_keys import ASGI_ADAPTERS, Adapter, ask, open_asgi, open_sanic_asgi, sanic_app, whoever
from tests.adapters.test_revocation import Distant
from tests.conftest import NOW, HeldClock
from tests.raw_asgi import Recorder, bearer, drive, http_scope, talk, websocket_scope
from tests.raw_asgi import ask as ask_app
from tests.support import SECRET
from tests.unit.connections.connection import Talker, connected, until
from tests.unit.introspection.server import AuthorizationServer, opaque
from tests.unit.jwks.test_remote import together

pytestmark = pytest.mark.anyio


@pytest.fixture
def opened() -> Any:
    """How an application of Sanic is run; `tests/system/sanic_server` has the other way."""
    return open_sanic_asgi


@pytest.fixture
def server() -> AuthorizationServer:
    """It knows one token of Alice's."""
    return AuthorizationServer(opaque={"sub": "alice", "scope": "read", "roles": ["staff"], "exp": NOW + 600})


async def live(client: Any, server: AuthorizationServer) -> None:
    """What is promised at every adapter: one call for all, 401 for what is not active, 503 while nobody can say."""
    server.delay = 0.02
    assert [(200, "alice")] * 10 == await together(*[lambda: ask(client, "opaque")] * 10)
    for _ in range(2):
        assert (401, None) == await ask(client, "unknown")
    assert ["opaque", "unknown"] == server.asked
    server.always(b"", 429, retry_after="7")
    assert (200, "alice") == await ask(client, "opaque")
    answer = await client.get("/", headers={"Authorization": "Bearer another"})
    assert (503, "7") == (answer.status_code, answer.headers["retry-after"])
    assert "www-authenticate" not in answer.headers


@pytest.mark.thorough
@pytest.mark.parametrize("adapter", ASGI_ADAPTERS, ids=lambda adapter: adapter.__name__)
async def test_every_adapter_waits_for_the_answer(adapter: Adapter, server: AuthorizationServer) -> None:
    """Alone, beside another configuration, guarded by middleware, decorator or dependency, it is the same."""  # S103
    async with open_asgi(adapter(opaque(server, negative_ttl=60))) as client:
        await live(client, server)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("exempt", [(), ("/",)], ids=["installed", "guarded alone"])
async def test_sanic_waits_for_the_answer(opened: Any, exempt: tuple[str, ...], server: AuthorizationServer) -> None:
    """In ASGI mode, and on its own server."""  # S103
    app = sanic_app(opaque(server, negative_ttl=60), exempt=exempt)
    try:
        async with opened(app) as client:
            await live(client, server)
    finally:
        Sanic.unregister_app(app)


@pytest.mark.parametrize("adapter", ASGI_ADAPTERS, ids=lambda adapter: adapter.__name__)
async def test_without_an_answer_kept_each_request_asks_once(adapter: Adapter, server: AuthorizationServer) -> None:
    """However many guards a request passes, it makes one call, also with `ttl=0`."""
    async with open_asgi(adapter(opaque(server, ttl=0))) as client:
        for _ in range(3):
            assert (200, "alice") == await ask(client, "opaque")
    assert 3 == len(server.asked)


async def test_what_cannot_wait_uses_the_answer_at_hand(server: AuthorizationServer) -> None:
    """`get_token` on an exempt path is synchronous: 503 until the answer is there."""
    app = Starlette(routes=[Route("/", whoever)])
    config = opaque(server)
    for_starlette.install(app, config, exempt=["/"])
    async with open_asgi(app) as client:
        assert (503, None) == await ask(client, "opaque")
        assert [] == server.asked
        await verify_token_async("opaque", config)
        assert (200, "alice") == await ask(client, "opaque")


async def test_guards_check_scopes_and_roles(server: AuthorizationServer) -> None:
    """Those of the answer, as of any token."""

    async def handle(request: Any, token: Token) -> Response:
        return JSONResponse({"identity": token.identity})

    allowed: dict[str, Any] = {"/read": {"scopes": ["read"]}, "/staff": {"allow": ["staff"]}}
    refused: dict[str, Any] = {
        "/write": {"scopes": ["write"]},
        "/admin": {"allow": ["admin"]},
        "/deny": {"deny": ["staff"]},
    }
    routes = [
        Route(path, for_starlette.jwt_required(**rules)(handle)) for path, rules in {**allowed, **refused}.items()
    ]
    app = Starlette(routes=routes)
    for_starlette.install(app, opaque(server))
    async with open_asgi(app) as client:
        for paths, status in ((allowed, 200), (refused, 403)):
            for path in paths:
                answer = await client.get(path, headers={"Authorization": "Bearer opaque"})
                assert (path, status) == (path, answer.status_code)
    assert 1 == len(server.asked)


# Beside others --------------------------------------------------------------------------------------------------------


async def test_both_kinds_of_tokens_behind_one_middleware(server: AuthorizationServer) -> None:
    """One's own are verified here, others are asked about; a token of three parts is never sent."""  # S103
    told: dict[str, list[AuthEvent]] = {"own": [], "opaque": []}
    own = JWTConfig(secret_key=SECRET, issuer="https://own.example", clock=lambda: NOW, on_event=told["own"].append)
    config = opaque(server, settings={"on_event": told["opaque"].append, "required_claims": ["sid"]})
    server.known["good"] = {"active": True, "sub": "bob", "sid": "s", "iss": "https://login.example"}
    server.known["opaque"]["iss"] = "https://login.example"
    app = Recorder()
    wrapped = JWTMiddleware(app, [own, config])
    raw = create_access_token("alice", own)
    for token, status in ((raw, 200), (raw[:-8] + "AAAAAAAA", 401), ("a.b.c", 401), ("good", 200), ("opaque", 401)):
        assert status == (await ask_app(wrapped, "/", bearer(token))).status
    assert ["alice", "bob"] == [scope["token"].identity for scope, _, _ in app.calls]
    assert ["good", "opaque"] == server.asked
    # What has no verified facts is told to both; a refusal of a token that is known, to its own configuration.
    assert ["invalid_signature", "token_malformed"] == [event.code for event in told["own"]]
    assert [*told["own"], "missing_claim"] == [*told["opaque"][:2], told["opaque"][2].code]


# A store --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MemoryStore, Distant])
async def test_opaque_tokens_are_revoked_as_others(server: AuthorizationServer, kind: Any) -> None:
    """By themselves, with or without a `jti`, and by their identity; the store is asked where it has to be."""
    server.known["other"] = {"active": True, "sub": "alice", "jti": "j", "iat": NOW - 60}
    server.known["third"] = {"active": True, "sub": "alice", "iat": NOW - 60}
    config, store = opaque(server), kind(clock=HeldClock())
    app = JWTMiddleware(Recorder(), config, store=store)
    tokens = {raw: await verify_token_async(raw, config) for raw in ("opaque", "other", "third")}

    async def statuses() -> list[int]:
        return [(await ask_app(app, "/", bearer(raw))).status for raw in tokens]

    assert [200, 200, 200] == await statuses()
    await revoke_token(tokens["opaque"], config, store)
    assert [401, 200, 200] == await statuses()
    await revoke_token(tokens["other"], config, store)
    assert [401, 401, 200] == await statuses()
    await revoke_identity("alice", config, store)
    assert [401, 401, 401] == await statuses()
    cold = JWTMiddleware(Recorder(), opaque(server), store=store)
    assert 401 == (await ask_app(cold, "/", bearer("third"))).status
    if isinstance(store, Distant):
        store.is_away = True
        assert (
            503 == (await ask_app(JWTMiddleware(Recorder(), opaque(server), store=store), "/", bearer("third"))).status
        )


def test_no_session_begins_with_an_opaque_token(server: AuthorizationServer) -> None:
    """Endpoints that mint need a key."""
    with pytest.raises(SettingError):
        TokenEndpoints(opaque(server), MemoryStore())


# Cookies and forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [None, MemoryStore(clock=HeldClock())], ids=["no store", "store"])
async def test_a_form_is_read_after_the_answer(server: AuthorizationServer, store: Any) -> None:
    """A cookie with an opaque token needs the CSRF value; the form is read only once the token is known to be good."""
    app = JWTMiddleware(Recorder(), opaque(server), sources=[Cookie()], store=store)
    form = (b"content-type", b"application/x-www-form-urlencoded")
    for raw, value, status in ((b"opaque", b"opaque", 200), (b"opaque", b"other", 403), (b"unknown", b"unknown", 401)):
        cookie = (b"cookie", b"__Host-access_token=" + raw)
        body = {"type": "http.request", "body": b"csrf_token=" + csrf_digest(value), "more_body": False}
        answer = await drive(app, http_scope("/", cookie, form, method="POST"), body)
        assert status == answer.status
        assert 403 == (await ask_app(app, "/", (b"cookie", b"__Host-access_token=opaque"), method="POST")).status


# WebSockets -----------------------------------------------------------------------------------------------------------


async def test_a_websocket_ends_with_its_opaque_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the `exp` of the answer, though the answer itself was to be kept for longer."""
    monkeypatch.setattr(registry, "_LONGEST_PAUSE", 0.005)
    clock = HeldClock()
    server = AuthorizationServer(opaque={"sub": "alice", "exp": clock.now + 30})
    config = opaque(server, settings={"clock": clock, "leeway": 0})
    async with connected(JWTMiddleware(Talker(), config), websocket_scope("/", bearer("opaque"))) as connection:
        connection.say("hello")
        await until(lambda: connection.texts)
        clock.now += 30
        await until(lambda: (3000, "The token has expired.") == connection.end)
    assert 1 == len(server.asked)


async def test_a_websocket_ends_with_a_revocation(server: AuthorizationServer) -> None:
    """A store ends connections with opaque tokens, too."""
    config, store = opaque(server), MemoryStore(clock=HeldClock())
    app = JWTMiddleware(Talker(), config, store=store)
    token = await verify_token_async("opaque", config)
    async with connected(app, websocket_scope("/", bearer("opaque"))) as connection:
        connection.say("hello")
        await until(lambda: connection.texts)
        await revoke_token(token, config, store)
        await until(lambda: (3000, "The token has been revoked.") == connection.end)


async def test_a_websocket_that_cannot_be_checked_is_refused(server: AuthorizationServer) -> None:
    """503 as a denial response, or the close code that says to try again later."""
    server.answer = server.break_down
    for denial in (True, False):
        answer = await talk(JWTMiddleware(Recorder(), opaque(server)), "/", bearer("opaque"), denial=denial)
        assert (503 if denial else 1013) == (answer.status if denial else answer.close_code)


async def test_a_hung_server_delays_nobody_else(server: AuthorizationServer) -> None:
    """While calls hang, tokens with an answer at hand pass, and further calls are refused at once."""  # S103
    config = opaque(server, timeout=60)
    app = JWTMiddleware(Recorder(), config)
    assert 200 == (await ask_app(app, "/", bearer("opaque"))).status
    server.delay = 3600.0
    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(ask_app, app, "/", bearer(f"made-up-{number}"))
        await until(lambda: 11 == len(server.asked))
        with anyio.fail_after(30):
            assert 503 == (await ask_app(app, "/", bearer("made-up"))).status
            assert 200 == (await ask_app(app, "/", bearer("opaque"))).status
        group.cancel_scope.cancel()
    assert config.introspection is not None
    for call in config.introspection._calls.running.values():
        call.cancel()
