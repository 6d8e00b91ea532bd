"""Guards beside each other, before and after the accept, and what a renewal leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Token,
    create_access_token,
    get_token,
    renew_token,
    verify_token,
)
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.options import Guard
from asgi_jwt_claims.errors import RevokedTokenError, WrongIdentityError
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.starlette import install, jwt_required
from asgi_jwt_claims.stores import MemoryStore, SQLiteStore
from tests.conftest import HeldClock
from tests.raw_asgi import Header, Receive, Scope, Send, ask, bearer, http_scope, websocket_scope
from tests.scopes import admit
from tests.support import SECRET
from tests.unit.connections.connection import connected, until
from tests.unit.connections.test_revocations import REVOKED, hello
from tests.unit.connections.test_websockets import EXPIRED

pytestmark = pytest.mark.anyio

Expire = Callable[[], None]
LAX, STRICT = Guard(check_revocation=False), Guard()


@pytest.mark.parametrize("guards", [(LAX, STRICT), (STRICT, LAX), (LAX, STRICT, LAX)])
async def test_a_lax_guard_beside_a_strict_one(
    config: JWTConfig, alice: Header, raw: str, store: MemoryStore, guards: tuple[Guard, ...]
) -> None:
    """As long as one guard wants to know, a revoked token ends the connection and renews none."""  # S133
    refused: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for access in guards:
            admit(scope, access)
        await send({"type": "websocket.accept"})
        store._feed._listeners, listeners = (), store._feed._listeners
        await revoke_token(verify_token(raw, config), config, store)
        with pytest.raises(RevokedTokenError):
            await renew_token(scope, raw)
        refused.append(True)
        store._feed._listeners = listeners
        await revoke_token(verify_token(raw, config), config, store)
        assert "websocket.disconnect" == (await receive())["type"]

    lenient = JWTMiddleware(app, config, required=False, store=store)
    async with connected(lenient, hello(alice)) as connection:
        await until(lambda: connection.is_over)
    assert ([True], REVOKED, None) == (refused, connection.end, connection.error)


async def test_guards_are_remembered_once(config: JWTConfig, alice: Header) -> None:
    """A guard that is asked for every message costs no more with the thousandth than with the first."""
    passed: list[int] = []

    class Endpoint(WebSocketEndpoint):
        encoding = "text"

        @jwt_required
        async def on_receive(self, websocket: WebSocket, data: str, token: Token) -> None:
            passed.append(len(websocket.scope[SCOPE_KEY].grants_for(websocket.scope)[0].guards))

    app = Starlette(routes=[WebSocketRoute("/", Endpoint)])
    install(app, config, required=False)
    async with connected(app, hello(alice)) as connection:  # type: ignore[arg-type]  # Starlette types scopes in its own way
        for _ in range(20):
            connection.say("hello")
        await until(lambda: len(passed) == 20)
        connection.hang_up()
    assert [1] * 20 == passed


@pytest.mark.parametrize("revoked", [True, False])
async def test_a_guard_that_comes_after_the_accept(
    config: JWTConfig, alice: Header, raw: str, store: MemoryStore, expire: Expire, revoked: bool
) -> None:
    """What a guard finds in sources of its own ends the connection, also if it was first asked for a message."""  # S127
    heard: list[str] = []

    class Endpoint(WebSocketEndpoint):
        encoding = "text"

        @jwt_required(sources=[Cookie()])
        async def on_receive(self, websocket: WebSocket, data: str, token: Token) -> None:
            heard.append(token.identity)

    app = Starlette(routes=[WebSocketRoute("/", Endpoint)])
    install(app, config, required=False, store=store)
    headers = ((b"cookie", b"__Host-access_token=" + raw.encode()), (b"origin", b"https://testserver"))
    async with connected(app, websocket_scope("/", *headers)) as connection:  # type: ignore[arg-type]  # Starlette types scopes in its own way
        connection.say("hello")
        await until(lambda: heard)
        if revoked:
            await revoke_token(verify_token(raw, config), config, store)
        else:
            expire()
        await until(lambda: connection.end)
        await until(lambda: connection.is_over)
    assert (["alice"], REVOKED if revoked else EXPIRED) == (heard, connection.end)


async def test_a_late_guard_that_lets_it_go_on(config: JWTConfig, raw: str, expire: Expire) -> None:
    """A guard with sources of its own, asked late, can also say that the connection goes on."""
    heard: list[str] = []

    class Endpoint(WebSocketEndpoint):
        encoding = "text"

        @jwt_required(sources=[Cookie()], end_with_token=False)
        async def on_receive(self, websocket: WebSocket, data: str, token: Token) -> None:
            heard.append(data)

    app = Starlette(routes=[WebSocketRoute("/", Endpoint)])
    install(app, config, required=False)
    headers = ((b"cookie", b"__Host-access_token=" + raw.encode()), (b"origin", b"https://testserver"))
    async with connected(app, websocket_scope("/", *headers)) as connection:  # type: ignore[arg-type]  # Starlette types scopes in its own way
        connection.say("first")
        await until(lambda: heard)
        expire()
        connection.say("second")
        await until(lambda: len(heard) == 2)
        connection.hang_up()
    assert (["first", "second"], ["accept"]) == (heard, connection.types)


async def test_a_renewal_leaves_no_rights_behind(config: JWTConfig) -> None:
    """Whatever a handler reads, it reads the new token: also the user and its scopes, as Starlette knows them."""
    wide = create_access_token("alice", config, scope="read admin")
    narrow = create_access_token("alice", config, scope="read")
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        token = await renew_token(scope, narrow)
        seen.extend(one is token for one in (scope["token"], scope["user"], scope["auth"].token))

    async with connected(JWTMiddleware(app, config, set_user=True), hello(bearer(wide))) as connection:
        await until(lambda: connection.is_over)
    assert ([True, True, True], None) == (seen, connection.error)


async def test_a_renewal_by_another_issuer(clock: HeldClock) -> None:
    """The same name at another issuer is somebody else, also where the configuration demands no issuer."""  # S57
    config = JWTConfig(secret_key=SECRET, clock=clock)
    first, second = (
        create_access_token("alice", config.replace(issuer=issuer))
        for issuer in ("https://a.example", "https://b.example")
    )
    refused: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await renew_token(scope, first)
        with pytest.raises(WrongIdentityError):
            await renew_token(scope, second)
        refused.append(True)

    async with connected(JWTMiddleware(app, config), hello(bearer(first))) as connection:
        await until(lambda: connection.is_over)
    assert ([True], None) == (refused, connection.error)


async def test_an_inner_middleware_without_the_store(config: JWTConfig, alice: Header, tmp_path: Any) -> None:
    """What the outer one has left unexamined may have to wait for the outer one's store."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    store = SQLiteStore(tmp_path / "store.db", clock=config.clock)
    nested = JWTMiddleware(JWTMiddleware(app, config), config, exempt=["/x"], store=store)
    assert 200 == (await ask(nested, "/x", alice)).status
    await store.aclose()


async def test_a_token_that_a_thread_asks_for_first(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """On an exempt path a thread may be the first to ask; the stream ends with that token all the same."""
    begun = anyio.Event()

    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> Any:
            yield b"data: first\n\n"
            token = await anyio.to_thread.run_sync(lambda: get_token(request))
            yield f"data: {token.identity}\n\n".encode()
            begun.set()
            await anyio.sleep_forever()

        return StreamingResponse(parts(), media_type="text/event-stream")

    app = JWTMiddleware(Starlette(routes=[Route("/x", stream)]), config, exempt=["/x"])
    async with connected(app, http_scope("/x", alice)) as connection:
        await begun.wait()
        expire()
        await until(lambda: connection.is_over)
    assert b"data: first\n\ndata: alice\n\n" == connection.body
    assert (True, None) == (connection.end, connection.error)


async def test_the_order_of_sources_of_guards(config: JWTConfig, raw: str) -> None:
    """What one guard finds in a cookie is nothing to another that looks in the header, whichever comes first."""
    fastapi = pytest.importorskip("fastapi")
    adapter = pytest.importorskip("asgi_jwt_claims.fastapi")
    by_cookie = fastapi.Security(adapter.JWTBearer(config, optional=True, sources=[Cookie()]))
    by_header = fastapi.Security(adapter.JWTBearer(config))
    both = fastapi.Security(adapter.JWTBearer(config, sources=[BearerHeader(), Cookie()]))
    cookie = (b"cookie", b"__Host-access_token=" + raw.encode())
    for guards, status in (
        ((by_cookie, by_header), 401),
        ((by_header, by_cookie), 401),
        ((by_cookie, both), 200),
        ((by_cookie,), 200),
    ):
        app = fastapi.FastAPI()
        app.add_api_route("/", lambda: "in", dependencies=list(guards))
        assert status == (await ask(app, "/", cookie)).status
        assert status == (await ask(JWTMiddleware(app, config, required=False), "/", cookie)).status
        wide = JWTMiddleware(app, config, required=False, sources=[BearerHeader(), Cookie()])
        assert 200 == (await ask(wide, "/", cookie)).status
