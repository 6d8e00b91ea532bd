"""A connection goes on with another token of the same identity, and with no other."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    Token,
    create_access_token,
    create_refresh_token,
    current_token,
    get_token,
    renew_token,
    verify_token,
)
from asgi_jwt_claims.connections.registry import _REGISTRY
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    MalformedTokenError,
    MissingScopeError,
    MissingTokenError,
    NotGuardedError,
    RevokedTokenError,
    TokenError,
    WrongIdentityError,
    WrongIssuerError,
    WrongTypeError,
)
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import Header, Receive, Scope, Send, bearer, http_scope, talk, websocket_scope
from tests.support import SECRET
from tests.unit.connections.connection import a_while, connected, until
from tests.unit.connections.test_revocations import REVOKED, guarded, hello
from tests.unit.connections.test_streams import START, tick
from tests.unit.connections.test_websockets import EXPIRED

pytestmark = pytest.mark.anyio

Expire = Callable[[], None]


class Renewing:
    """A websocket application that renews with whatever it is told, and says what has come of it."""

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.error: TokenError | None = None
        self.told: list[str] = []
        self.current: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            self.told.append(message["type"])
            if message["type"] == "websocket.disconnect":
                return
            text = "renewed"
            try:
                token = await renew_token(scope, message["text"])
                assert token is scope["token"]
                assert token is get_token(scope)
            except TokenError as error:
                self.error, text = error, "refused"
            self.current.append(current_token())
            await send({"type": "websocket.send", "text": text})


@pytest.fixture
def app() -> Renewing:
    return Renewing()


async def test_it_lives_longer(
    app: Renewing, config: JWTConfig, alice: Header, clock: HeldClock, expire: Expire
) -> None:
    """A connection lives as long as the new token, which is the token from then on."""
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        clock.now += 600
        new = create_access_token("alice", config)
        connection.say(new)
        await until(lambda: ["renewed"] == connection.texts)
        assert verify_token(new, config).jti == app.scope["token"].jti == app.current[0].jti
        clock.now += 600
        await a_while()
        connection.say("no token")
        await until(lambda: ["renewed", "refused"] == connection.texts)
        expire()
        await until(lambda: EXPIRED == connection.end)
    assert MalformedTokenError is type(app.error)


async def test_a_task_of_the_connection_sees_the_new_token(config: JWTConfig, alice: Header, clock: HeldClock) -> None:
    """A renewal by one task is seen by the others of the connection, and by no other connection."""  # S131
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        before = scope["token"]
        other = contextvars.copy_context()
        await receive()
        await send({"type": "websocket.accept"})
        outside = JWTMiddleware(renewing(scope), config)
        async with connected(outside, hello(bearer(create_access_token("bob", config)))) as connection:
            await until(lambda: bool(connection.sent))
        seen.extend([before is other.run(current_token), scope["token"] is other.run(current_token) is current_token()])

    def renewing(scope: Scope) -> Any:
        async def hub(own: Scope, receive: Receive, send: Send) -> None:
            await renew_token(scope, create_access_token("alice", config))
            seen.append(current_token() is own["token"])
            await send({"type": "websocket.accept"})

        return hub

    async with connected(JWTMiddleware(app, config), hello(alice)):
        await until(lambda: 3 == len(seen))
    assert [True, False, True] == seen


async def test_an_exempt_path_stays_exempt(config: JWTConfig, alice: Header) -> None:
    """A renewal gives no current token to a middleware that has left the path alone."""
    app = Renewing()
    inner = JWTMiddleware(app, config, exempt=["/"])

    async def between(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)
        app.current.append(current_token())

    async with connected(JWTMiddleware(between, config), hello(alice)) as connection:
        new = create_access_token("alice", config)
        before = [holder.token for holder in connection.scope["asgi_jwt_claims.holders"]]
        await renew_token(connection.scope, new)
        after = [holder.token for holder in connection.scope["asgi_jwt_claims.holders"]]
    assert (["alice", None], ["alice", None]) == tuple(
        [token and token.identity for token in tokens] for tokens in (before, after)
    )
    assert verify_token(new, config).jti == after[0].jti


async def test_what_stands_in_the_scope_already(config: JWTConfig, alice: Header, app: Renewing) -> None:
    """What an outer layer has put under our key of the holders neither disturbs nor gets a token."""  # S128
    for planted in ("rubbish", [1], None):
        app.current.clear()
        scope = {**hello(alice), "asgi_jwt_claims.holders": planted}
        async with connected(JWTMiddleware(app, config), scope) as connection:
            connection.say(create_access_token("alice", config))
            await until(lambda: ["renewed"] == connection.texts)
        assert app.scope["token"] is app.current[0]


async def test_it_lives_shorter(app: Renewing, config: JWTConfig, alice: Header, clock: HeldClock) -> None:
    """A token that expires earlier ends the connection earlier."""
    hasty = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=60)
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.say(create_access_token("alice", hasty))
        await until(lambda: ["renewed"] == connection.texts)
        clock.now += 70
        await until(lambda: EXPIRED == connection.end)


async def test_from_a_token_that_never_expires(app: Renewing, clock: HeldClock) -> None:
    """A connection that was watched for nothing is watched once it has a token that ends, and the other way round."""
    config = JWTConfig(
        secret_key=SECRET, clock=clock, access_lifetime=None, refresh_lifetime=None, required_claims=("jti",)
    )
    hasty = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=60)
    eternal = create_access_token("alice", config)
    async with connected(JWTMiddleware(app, config), hello(bearer(eternal))) as connection:
        for raw in (create_access_token("alice", hasty), eternal):
            connection.say(raw)
        await until(lambda: ["renewed"] * 2 == connection.texts)
        clock.now += 100
        await a_while()
        connection.say(create_access_token("alice", hasty))
        await until(lambda: ["renewed"] * 3 == connection.texts)
        clock.now += 100
        await until(lambda: EXPIRED == connection.end)


def refused_tokens(config: JWTConfig, clock: HeldClock) -> dict[type[TokenError], str]:
    another_issuer = JWTConfig(secret_key=SECRET, clock=clock, issuer="https://other.example")
    earlier = JWTConfig(secret_key=SECRET, clock=lambda: clock.now - 86_400, issuer=config.issuer)
    return {
        WrongIdentityError: create_access_token("bob", config, scope="chat"),
        WrongTypeError: create_refresh_token("alice", config),
        ExpiredTokenError: create_access_token("alice", earlier, scope="chat"),
        MissingScopeError: create_access_token("alice", config),
        WrongIssuerError: create_access_token("alice", another_issuer, scope="chat"),
    }


@pytest.mark.parametrize(
    "error", [WrongIdentityError, WrongTypeError, ExpiredTokenError, MissingScopeError, WrongIssuerError]
)
async def test_what_is_refused(app: Renewing, clock: HeldClock, expire: Expire, error: type[TokenError]) -> None:
    """Whatever would not have been let in, or is somebody else's, changes nothing."""
    config = JWTConfig(secret_key=SECRET, clock=clock, issuer="https://issuer.example")
    mine = create_access_token("alice", config, scope="chat")
    async with connected(JWTMiddleware(guarded(app, scopes="chat"), config), hello(bearer(mine))) as connection:
        clock.now += 300
        connection.say(refused_tokens(config, clock)[error])
        await until(lambda: ["refused"] == connection.texts)
        assert (error, verify_token(mine, config).jti) == (type(app.error), app.scope["token"].jti)
        assert "alice" == app.current[0].identity
        connection.say(create_access_token("alice", config, scope="chat"))
        await until(lambda: ["refused", "renewed"] == connection.texts)
        expire()
        await until(lambda: EXPIRED == connection.end)


async def test_revoked_tokens(app: Renewing, config: JWTConfig, alice: Header, store: MemoryStore) -> None:
    """A revoked token renews nothing; the one that has renewed ends the connection when it is revoked, the old one not."""
    old = verify_token(alice[1].split()[1], config)
    revoked, new = (create_access_token("alice", config) for _ in range(2))
    await revoke_token(verify_token(revoked, config), config, store)
    async with connected(JWTMiddleware(app, config, store=store), hello(alice)) as connection:
        connection.say(revoked)
        await until(lambda: ["refused"] == connection.texts)
        assert RevokedTokenError is type(app.error)
        connection.say(new)
        await until(lambda: ["refused", "renewed"] == connection.texts)
        await revoke_token(old, config, store)
        await a_while()
        assert not connection.end
        await revoke_token(verify_token(new, config), config, store)
        await until(lambda: REVOKED == connection.end)


def _has(entries: list[Any], number: int) -> bool:
    return len(entries) == number


async def test_two_renewals_at_once(config: JWTConfig, alice: Header) -> None:
    """The renewal that ends last counts, for everything that a handler reads."""

    waiting: list[anyio.Event] = []

    class Slow(MemoryStore):
        def is_revoked_locally(self, token: Token, config: JWTConfig) -> bool:
            return False

        async def check(self, token: Token, config: JWTConfig) -> bool:
            waiting.append(anyio.Event())
            await waiting[-1].wait()
            return False

    ended: list[Token] = []
    read: list[Any] = []

    async def renewing(scope: Scope, receive: Receive, send: Send) -> None:
        async def renew() -> None:
            ended.append(await renew_token(scope, create_access_token("alice", config)))

        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            for number in (0, 1):
                tasks.start_soon(renew)
                await until(functools.partial(_has, waiting, number + 1))
            for number in (1, 0):
                waiting[number].set()
                await until(functools.partial(_has, ended, 2 - number))
        read.extend((scope["token"], scope["user"], scope["auth"].token, get_token(scope), current_token()))
        await send({"type": "websocket.close"})

    guarded = JWTMiddleware(renewing, config, store=Slow(), set_user=True)
    await talk(guarded, "/", alice)
    assert 2 == len(set(ended))
    assert [ended[1]] * 5 == read


async def test_revoked_while_it_renews(app: Renewing, config: JWTConfig, alice: Header, clock: HeldClock) -> None:
    """What is revoked between the question and the answer ends the connection all the same."""

    class Slow(MemoryStore):
        async def is_revoked(self, marks: Any) -> bool:
            answer = await super().is_revoked(marks)
            await revoke_token(verify_token(new, config), config, self)
            await a_while()
            return answer

    new = create_access_token("alice", config)
    async with connected(JWTMiddleware(app, config, store=Slow(clock=clock)), hello(alice)) as connection:
        connection.say(new)
        await until(lambda: REVOKED == connection.end)


async def test_it_has_ended_meanwhile(
    app: Renewing, config: JWTConfig, alice: Header, clock: HeldClock, expire: Expire
) -> None:
    """A token that is examined for so long that the connection has ended comes too late, and is not the token."""

    class Slow(MemoryStore):
        async def is_revoked(self, marks: Any) -> bool:
            await until(lambda: connection.end)
            return False

    later = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=timedelta(days=1))
    new = create_access_token("alice", later)
    async with connected(JWTMiddleware(app, config, store=Slow(clock=clock)), hello(alice)) as connection:
        connection.say(new)
        await a_while()
        expire()
        await until(lambda: connection.is_over)
    assert (ExpiredTokenError, EXPIRED) == (type(app.error), connection.end)
    assert verify_token(new, later).jti != app.scope["token"].jti


async def test_after_the_client_has_gone(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Renewing what has gone is of no use, and does no harm."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await renew_token(scope, create_access_token("alice", config))
        await a_while()
        assert _REGISTRY.get() is None
        expire()
        await a_while()

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.hang_up()
        await until(lambda: connection.is_over)
    assert (["accept"], None) == (connection.types, connection.error)


async def test_nothing_to_renew(config: JWTConfig, alice: Header) -> None:
    """Without a connection, or where it does not end, renewing is a mistake; without a token it is refused."""
    new = create_access_token("alice", config)
    errors: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
        try:
            await renew_token(scope, new)
        except (NotGuardedError, MissingTokenError) as error:
            errors.append(error)
        await send({"type": "websocket.close"})

    for middleware, scope in (
        (JWTMiddleware(app, config, required=False), websocket_scope("/")),
        (JWTMiddleware(app, config, end_with_token=False), hello(alice)),
        (JWTMiddleware(guarded(app, end_with_token=False), config), hello(alice)),
        (JWTMiddleware(app, config), http_scope("/", alice)),
        (app, websocket_scope("/")),
    ):
        async with connected(middleware, scope) as connection:
            await until(lambda connection=connection: connection.is_over)
    assert MissingTokenError is type(errors.pop(0))
    assert 4 == len(errors)
    assert all("no token to renew" in str(error) for error in errors)


async def test_a_stream(config: JWTConfig, clock: HeldClock, expire: Expire) -> None:
    """A stream can be renewed too, by whoever has its scope; by the rules of its guard."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send(dict(START))
        await send(tick())
        await anyio.sleep_forever()

    mine = bearer(create_access_token("alice", config, scope="chat"))
    async with connected(JWTMiddleware(guarded(app, scopes="chat"), config), http_scope("/", mine)) as connection:
        await until(lambda: connection.body)
        clock.now += 600
        with pytest.raises(MissingScopeError):
            await renew_token(scopes[0], create_access_token("alice", config))
        await renew_token(scopes[0], create_access_token("alice", config, scope="chat"))
        clock.now += 600
        await a_while()
        assert not connection.end
        expire()
        await until(lambda: connection.end)
        connection.is_over = True


async def test_the_token_of_an_optional_guard(
    config: JWTConfig, alice: Header, clock: HeldClock, expire: Expire
) -> None:
    """A scope in which somebody has put something else as its token keeps that."""
    renewed: list[Token] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["token"] = "mine"
        await receive()
        await send({"type": "websocket.accept"})
        renewed.append(await renew_token(scope, create_access_token("alice", config)))
        await receive()

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        await until(lambda: renewed)
        assert "mine" == connection.scope["token"]
        expire()
        await until(lambda: EXPIRED == connection.end)
