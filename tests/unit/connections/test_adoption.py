"""A WebSocket without a token goes on with one that comes in a message, as if the handshake had brought it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from asgi_jwt_claims import (
    AuthEvent,
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    Token,
    adopt_token,
    create_access_token,
    create_refresh_token,
    current_token,
    get_token,
    renew_token,
    verify_token,
)
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    ForbiddenError,
    InvalidSignatureError,
    MalformedCredentialsError,
    MalformedTokenError,
    MissingScopeError,
    MissingTokenError,
    NotGuardedError,
    RepeatedCredentialsError,
    StoreUnavailableError,
    TokenError,
    WrongIssuerError,
    WrongTypeError,
)
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.sources import Credentials
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.raw_asgi import App, Header, Receive, Scope, Send, bearer, http_scope, talk, websocket_scope
from tests.support import SECRET
from tests.unit.connections.connection import a_while, connected, until
from tests.unit.connections.test_revocations import REVOKED, guarded
from tests.unit.connections.test_websockets import EXPIRED

pytestmark = pytest.mark.anyio

Expire = Callable[[], None]
PROXY = BearerHeader("X-Proxy-Token")


class Adopting:
    """A websocket application that adopts what it is told, or renews with it, and says what has come of it.

    Attributes:
        tokens: What was adopted or renewed.
        errors: What was refused.
    """

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.tokens: list[Token] = []
        self.errors: list[Exception] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            word, _, raw = message["text"].rpartition(" ")
            text = "good"
            try:
                self.tokens.append(await (renew_token if word else adopt_token)(scope, raw))
            except TokenError as error:
                self.errors.append(error)
                text = error.code
            await send({"type": "websocket.send", "text": text})


@pytest.fixture
def app() -> Adopting:
    return Adopting()


def optional(app: App, config: Any, **options: Any) -> JWTMiddleware:
    return JWTMiddleware(app, config, required=False, **options)


async def adopting(scope: Scope, raw: Any) -> str:
    """What comes of it: the code of the error."""
    try:
        await adopt_token(scope, raw)
    except TokenError as error:
        return error.code
    return "good"


@pytest.mark.parametrize("options", [{"required": False}, {"exempt": ["/"]}], ids=["optional", "exempt"])
async def test_as_if_the_handshake_had_brought_it(
    app: Adopting, config: JWTConfig, raw: str, expire: Expire, options: dict[str, Any]
) -> None:
    """The token is everywhere that one of the handshake would be, and the connection ends with it."""  # S126, S131
    seen: list[Any] = []

    async def look(scope: Scope, receive: Receive, send: Send) -> None:
        early = contextvars.copy_context()
        seen.append((scope["token"], early.run(current_token), get_token(scope, optional=True)))
        await app(scope, receive, send)
        seen.append((scope["token"], early.run(current_token), get_token(scope), scope["user"], scope["auth"].token))

    context = contextvars.copy_context()
    async with connected(JWTMiddleware(look, config, set_user=True, **options), websocket_scope("/")) as connection:
        connection.say(raw)
        await until(lambda: ["good"] == connection.texts)
        expire()
        await until(lambda: connection.is_over)
    assert EXPIRED == connection.end
    assert [(None,) * 3, (app.tokens[0],) * 5] == seen
    assert ("alice", "message") == (app.tokens[0].identity, app.tokens[0].source)
    assert context.run(current_token) is None is connection.error


async def test_revocation(app: Adopting, config: JWTConfig, raw: str, store: MemoryStore) -> None:
    """A revoked token is refused, and one that is revoked later ends the connection."""  # S143
    revoked = create_access_token("alice", config)
    await revoke_token(verify_token(revoked, config), config, store)
    async with connected(optional(app, config, store=store), websocket_scope("/")) as connection:
        connection.say(revoked)
        connection.say(raw)
        await until(lambda: ["token_revoked", "good"] == connection.texts)
        await revoke_token(verify_token(raw, config), config, store)
        await until(lambda: REVOKED == connection.end)


async def test_revoked_while_it_adopts(app: Adopting, config: JWTConfig, raw: str, clock: HeldClock) -> None:
    """What is revoked between the question and the answer ends the connection all the same."""

    class Slow(MemoryStore):
        async def is_revoked(self, marks: Any) -> bool:
            answer = await super().is_revoked(marks)
            await revoke_token(verify_token(raw, config), config, self)
            await a_while()
            return answer

    async with connected(optional(app, config, store=Slow(clock=clock)), websocket_scope("/")) as connection:
        connection.say(raw)
        await until(lambda: REVOKED == connection.end)


@pytest.mark.parametrize("answer", [None, 0, StoreUnavailableError()])
async def test_a_store_that_cannot_say(config: JWTConfig, raw: str, answer: object) -> None:
    """A token of which the store does not say that it is not revoked is refused."""  # S141

    class Broken(MemoryStore):
        async def check(self, token: Token, config: JWTConfig) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    app = Adopting()
    async with connected(optional(app, config, store=Broken()), websocket_scope("/")) as connection:
        connection.say(raw)
        await until(lambda: ["store_unavailable"] == connection.texts)
        assert app.scope["token"] is None


async def test_renewal(app: Adopting, config: JWTConfig, raw: str, clock: HeldClock, expire: Expire) -> None:
    """What was adopted is renewed as the token of a handshake is: by one of the same identity."""
    async with connected(optional(app, config), websocket_scope("/")) as connection:
        connection.say(raw)
        clock.now += 600
        connection.say("renew " + create_access_token("bob", config))
        connection.say("renew " + create_access_token("alice", config))
        await until(lambda: ["good", "wrong_identity", "good"] == connection.texts)
        clock.now += 600
        await a_while()
        assert not connection.end
        assert app.tokens[1] is get_token(app.scope) is app.scope["token"]
        expire()
        await until(lambda: EXPIRED == connection.end)


async def test_a_connection_that_has_a_token(app: Adopting, config: JWTConfig, alice: Header, raw: str) -> None:
    """Neither the token of the handshake nor one that was adopted is replaced by adopting another one."""  # S3
    bob = create_access_token("bob", config)
    wrapped = JWTMiddleware(app, config)
    for middleware, scope in (
        (wrapped, websocket_scope("/", alice)),
        (optional(app, config), websocket_scope("/", alice)),
        (JWTMiddleware(app, config, exempt=["/"]), websocket_scope("/", alice)),
        (optional(guarded(app, sources=[PROXY]), config), websocket_scope("/", (b"x-proxy-token", alice[1]))),
        (optional(app, config), websocket_scope("/")),
    ):
        async with connected(middleware, scope) as connection:
            if len(scope["headers"]) == 1:
                connection.say(raw)
                await until(lambda connection=connection: ["good"] == connection.texts)
            connection.say(bob)
            await until(lambda connection=connection: ["repeated_credentials"] == connection.texts[-1:])
            assert "bob" not in [token and token.identity for token in (app.scope["token"], current_token())]
    assert "renew_token" in str([error.evidence for error in app.errors if isinstance(error, TokenError)])
    assert {RepeatedCredentialsError} == set(map(type, app.errors))


async def test_a_handshake_with_a_bad_token(
    app: Adopting, config: JWTConfig, raw: str, clock: HeldClock, expire: Expire
) -> None:
    """Credentials of the handshake that let nothing in keep no token out that comes later."""
    earlier = JWTConfig(secret_key=SECRET, clock=lambda: clock.now - 86_400)
    expired = create_access_token("alice", earlier)
    cookie = (b"cookie", b"__Host-access_token=" + create_access_token("bob", config).encode())
    foreign = (b"origin", b"https://evil.example")
    for headers, error in (
        ((bearer(expired),), "token_expired"),
        (((b"authorization", b"Bearer"),), "malformed_credentials"),
        ((cookie, foreign), "foreign_origin"),  # the rules of cookies do not apply to a message
    ):
        codes: list[str] = []

        async def look(scope: Scope, receive: Receive, send: Send, codes: list[str] = codes) -> None:
            try:
                get_token(scope)
            except TokenError as refused:
                codes.append(refused.code)
            await app(scope, receive, send)

        middleware = optional(look, config, sources=[BearerHeader(), Cookie()])
        async with connected(middleware, websocket_scope("/", *headers, scheme="wss")) as connection:
            connection.say(raw)
            await until(lambda connection=connection: ["good"] == connection.texts)
            assert app.tokens[-1] is get_token(app.scope)
        assert [error] == codes


async def test_a_handshake_that_nothing_has_decided_about(app: Adopting, config: JWTConfig, raw: str) -> None:
    """On an exempt path the store is asked about the token of the handshake: a revoked one keeps no other out."""

    class Remote(MemoryStore):
        """Knows nothing without being asked."""

        def is_revoked_locally(self, token: Token, config: JWTConfig) -> bool | None:
            return None

    store = Remote(clock=config.clock)
    other = create_access_token("alice", config)
    for answer in ("repeated_credentials", "good"):
        middleware = JWTMiddleware(app, config, store=store, exempt=["/"])
        async with connected(middleware, websocket_scope("/", bearer(other))) as connection:
            connection.say(raw)
            await until(lambda connection=connection, answer=answer: [answer] == connection.texts)
        await revoke_token(verify_token(other, config), config, store)


async def test_sources_of_the_application(app: Adopting, config: JWTConfig, raw: str) -> None:
    """A source of which nothing is known leaves the adopted token where it is; one that raises refuses."""
    found: list[bool] = []

    class Own:
        def __call__(self, scope: Mapping[str, Any], max_size: int) -> Credentials | None:
            if scope["path"] == "/bad":
                raise MalformedCredentialsError
            return None

    for path, answer in (("/", "good"), ("/bad", "malformed_credentials")):
        async with connected(optional(app, config, sources=[Own()]), websocket_scope(path)) as connection:
            connection.say(raw)
            await until(lambda connection=connection, answer=answer: [answer] == connection.texts)
            if answer == "good":
                connection.say(raw)
                await until(lambda connection=connection: "repeated_credentials" == connection.texts[-1])
                found.append(get_token(app.scope) is get_token(dict(app.scope)) is app.tokens[0])
    assert [True] == found


async def test_two_at_once(config: JWTConfig) -> None:
    """Of two that are adopted at the same time, one wins, for everything that a handler reads."""
    waiting: list[anyio.Event] = []

    class Slow(MemoryStore):
        async def check(self, token: Token, config: JWTConfig) -> bool:
            waiting.append(anyio.Event())
            await waiting[-1].wait()
            return False

    results: list[str] = []
    read: list[Any] = []

    async def hub(scope: Scope, receive: Receive, send: Send) -> None:
        async def adopt(name: str) -> None:
            results.append(f"{name} {await adopting(scope, create_access_token(name, config))}")

        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            for number, name in enumerate(("alice", "bob"), 1):
                tasks.start_soon(adopt, name)
                await until(lambda number=number: number == len(waiting))
            for number in (1, 0):
                waiting[number].set()
                await until(lambda number=number: len(results) == 2 - number)
        read.extend((scope["token"], scope["user"], scope["auth"].token, get_token(scope), current_token()))
        await send({"type": "websocket.close"})

    await talk(optional(hub, config, store=Slow(), set_user=True), "/")
    assert ["bob good", "alice repeated_credentials"] == results
    assert ["bob"] * 5 == [token.identity for token in read]


async def test_what_is_refused(clock: HeldClock, expire: Expire) -> None:
    """A token that would not have been let in leaves the connection without one, and free to adopt another."""  # S126
    config = JWTConfig(secret_key=SECRET, clock=clock, issuer="https://issuer.example")
    elsewhere = JWTConfig(secret_key=SECRET, clock=clock, issuer="https://other.example")
    earlier = JWTConfig(secret_key=SECRET, clock=lambda: clock.now - 86_400, issuer=config.issuer)
    good = create_access_token("alice", config)
    app = Adopting()
    bad: tuple[tuple[Any, type[TokenError]], ...] = (
        (create_access_token("alice", elsewhere), WrongIssuerError),
        (create_access_token("alice", earlier), ExpiredTokenError),
        (good[:-4] + "AAAA", InvalidSignatureError),
        (create_refresh_token("alice", config), WrongTypeError),
        *((junk, MalformedTokenError) for junk in ("", "a.b.c", "é", b"\xff", f"Bearer {good}", None, 5, {"t": good})),
    )
    async with connected(optional(app, config), websocket_scope("/")) as connection:
        for raw, error in bad:
            with pytest.raises(error):
                await adopt_token(app.scope, raw)
            with pytest.raises(MissingTokenError):
                get_token(app.scope)
            assert app.scope["token"] is None
        connection.say(good)
        await until(lambda: ["good"] == connection.texts)


async def test_guards_that_let_it_in_without_a_token(
    app: Adopting, config: JWTConfig, store: MemoryStore, expire: Expire
) -> None:
    """The rules of an optional guard count for the token that comes later, as they do for one of the handshake."""  # S133
    plain, chatty = (create_access_token("alice", config, scope=scope) for scope in ("read", "chat"))
    rules = {"optional": True, "scopes": "chat"}
    for guards in ([rules], [rules, rules], [{"optional": True}, rules], [{**rules, "sources": [PROXY]}]):
        layers: App = app
        for one in guards:
            layers = guarded(layers, **one)
        async with connected(optional(layers, config), websocket_scope("/")) as connection:
            connection.say(plain)
            connection.say(chatty)
            await until(lambda connection=connection: ["missing_scope", "good"] == connection.texts)
            connection.say(f"renew {plain}")
            await until(lambda connection=connection: ["missing_scope", "good", "missing_scope"] == connection.texts)
    assert {MissingScopeError} == set(map(type, app.errors))
    assert isinstance(app.errors[0], ForbiddenError)
    outliving = guarded(app, optional=True, end_with_token=False)
    async with connected(optional(outliving, config), websocket_scope("/")) as connection:
        connection.say(plain)
        await until(lambda: connection.texts)
        expire()
        await a_while()
        connection.say(plain)
        await until(lambda: ["good", "repeated_credentials"] == connection.texts)
    careless = guarded(app, optional=True, check_revocation=False)
    async with connected(optional(careless, config, store=store), websocket_scope("/")) as connection:
        fresh = create_access_token("alice", config)
        connection.say(fresh)
        await until(lambda: connection.texts)
        await revoke_token(verify_token(fresh, config), config, store)
        await a_while()
        assert not connection.end


async def test_where_nothing_can_be_adopted(config: JWTConfig, raw: str, alice: Header) -> None:
    """Without a middleware, before the accept, or where no connection is watched, adopting is a mistake."""
    errors: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/accepts":
            await send({"type": "websocket.accept"})
        try:
            await adopt_token(scope, raw)
        except (NotGuardedError, TokenError) as error:
            errors.append(error)
        await send({"type": "websocket.close"})

    for middleware, path in (
        (app, "/accepts"),
        (optional(app, config), "/"),
        (optional(app, config, end_with_token=False), "/accepts"),
    ):
        await talk(middleware, path)
    assert [NotGuardedError] * 3 == list(map(type, errors))
    assert ["has to be accepted first" in str(error) for error in errors] == [False, True, True]
    await talk(optional(app, config), "/", (b"authorization", b"Bearer"))
    assert MalformedCredentialsError is type(errors.pop())


async def test_http(config: JWTConfig, raw: str) -> None:
    """An http request has to bring its token: one that adopts another one is refused, whatever it answers."""
    codes: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        codes.append(await adopting(scope, raw))
        assert scope["token"] is None
        await send({"type": "http.response.body"})

    async with connected(optional(app, config), http_scope("/")) as connection:
        await until(lambda: connection.is_over)
    assert (["token_missing"], None) == (codes, connection.error)


async def test_a_connection_that_has_ended(app: Adopting, config: JWTConfig, raw: str) -> None:
    """Once the application has closed or has returned no token is adopted, nor once a client has left that had a time to
    do so. Without a time nothing looks at what the application receives, and the token goes with the application."""  # S131
    codes: list[str] = []

    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/close":
            await send({"type": "websocket.close"})
        else:
            assert "websocket.disconnect" == (await receive())["type"]
        codes.append(await adopting(scope, raw))

    for path, within in (("/close", None), ("/left", 10), ("/left", None)):
        await talk(optional(leaving, config, adopt_within=within), path)
    assert ["token_missing", "token_missing", "good"] == codes
    assert current_token() is None

    class Slow(MemoryStore):
        async def check(self, token: Token, config: JWTConfig) -> bool:
            await returned.wait()
            return False

    returned = anyio.Event()

    async def returning(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        tasks.start_soon(adopt_later, scope)
        await until(lambda: started)

    async def adopt_later(scope: Scope) -> None:
        started.append(True)
        codes.append(await adopting(scope, raw))
        codes.append(repr(current_token()))

    started: list[bool] = []
    async with anyio.create_task_group() as tasks:
        exchange = await talk(optional(returning, config, store=Slow()), "/")
        await a_while()
        returned.set()
    assert (["token_missing", "None"], ["websocket.accept"]) == (codes[3:], exchange.types)


async def test_several_issuers(app: Adopting, clock: HeldClock) -> None:
    """The issuer that the token names chooses among several configurations, and an unknown one is refused."""
    configs = [
        JWTConfig(secret_key=secret, clock=clock, issuer=f"https://{name}.example", leeway=leeway)
        for secret, name, leeway in ((SECRET, "one", 0), (SECRET[::-1], "two", 60))
    ]
    unknown = JWTConfig(secret_key=SECRET, clock=clock, issuer="https://three.example")
    for config, left in zip(configs, (0, 60), strict=True):
        async with connected(optional(app, configs), websocket_scope("/")) as connection:
            for raw in (create_access_token("alice", unknown), "a.b", create_access_token("alice", config)):
                connection.say(raw)
            await until(lambda connection=connection: ["invalid_issuer", "token_malformed", "good"] == connection.texts)
            connection.say("renew " + create_access_token("alice", config))
            await until(lambda connection=connection: "good" == connection.texts[-1] and 4 == len(connection.texts))
            clock.now += 899 + left
            await a_while()
            assert not connection.end
            clock.now += 1
            await until(lambda connection=connection: EXPIRED == connection.end)


async def test_two_middlewares(app: Adopting, config: JWTConfig, clock: HeldClock, raw: str, expire: Expire) -> None:
    """Of two middlewares the inner one adopts; an equal one around it shares the token, and another one keeps its own."""
    async with connected(optional(optional(app, config), config), websocket_scope("/")) as connection:
        connection.say(raw)
        await until(lambda: ["good"] == connection.texts)
        assert [app.tokens[0]] * 2 == [holder.token for holder in app.scope["asgi_jwt_claims.holders"]]
        expire()
        await until(lambda: EXPIRED == connection.end)
    other = JWTConfig(secret_key=SECRET[::-1], clock=clock)
    proxy = (b"x-proxy-token", b"Bearer " + create_access_token("proxy", other).encode())
    outer = JWTMiddleware(optional(app, config), other, sources=[PROXY])
    async with connected(outer, websocket_scope("/", proxy)) as connection:
        connection.say(create_access_token("proxy", other))
        connection.say(create_access_token("alice", config))
        await until(lambda: ["unknown_key", "good"] == connection.texts)
        holders = app.scope["asgi_jwt_claims.holders"]
        assert ["proxy", "alice"] == [holder.token.identity for holder in holders]
        expire()
        await until(lambda: EXPIRED == connection.end)


async def test_a_copy_of_the_scope(config: JWTConfig, raw: str, expire: Expire) -> None:
    """A copy that offers the same as the handshake adopts for the connection; one that offers a token has that one."""
    seen: list[Any] = []

    async def copying(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        copy = {**scope, "path_remaining": "chat"}
        other = {**scope, "headers": [bearer(create_access_token("bob", config))]}
        with pytest.raises(NotGuardedError):
            await adopt_token(other, raw)
        token = await adopt_token(copy, raw)
        seen.extend([token is copy["token"], token is get_token(copy) is get_token(scope) is current_token()])
        seen.append(get_token(other).identity)
        await receive()

    async with connected(optional(copying, config), websocket_scope("/")) as connection:
        await until(lambda: 3 == len(seen))
        expire()
        await until(lambda: EXPIRED == connection.end)
    assert [True, True, "bob"] == seen


async def test_what_the_application_has_put_into_the_scope(config: JWTConfig, raw: str) -> None:
    """What stands there as token, user or auth stays, and is not even compared."""

    class User:
        """One that is loaded when it is compared."""

        __hash__ = None  # type: ignore[assignment]  # as the rule for classes with __eq__ wants it

        def __eq__(self, other: object) -> bool:
            raise AssertionError

    user, seen = User(), list[bool]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.update(token="mine", user=user, auth="own")
        await receive()
        await send({"type": "websocket.accept"})
        token = await adopt_token(scope, raw)
        seen.extend(
            [scope["token"] == "mine", scope["user"] is user, scope["auth"] == "own", get_token(scope) is token]
        )

    await talk(optional(app, config, set_user=True), "/")
    assert [True] * 4 == seen


async def test_the_event(clock: HeldClock) -> None:
    """An adopted token is reported as accepted, once, and one that the application refuses is not."""
    told: list[AuthEvent] = []
    config = JWTConfig(secret_key=SECRET, clock=clock, on_event=told.append, accepted_events=True)
    app = Adopting()
    async with connected(optional(app, config), websocket_scope("/")) as connection:
        for raw in ("a.b.c", create_access_token("alice", config), create_access_token("alice", config)):
            connection.say(raw)
        await until(lambda: 3 == len(connection.texts))
    assert [("accepted", "alice")] == [(event.name, event.identity) for event in told]
