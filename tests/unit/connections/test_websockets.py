"""WebSockets end with their token, whatever the application is doing, and it is told as if the client had gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token, current_token
from asgi_jwt_claims.connections import registry as _watch
from asgi_jwt_claims.errors import ConnectionEndedError, SettingError
from tests.conftest import HeldClock
from tests.forging import forge
from tests.raw_asgi import Header, Receive, Scope, Send, bearer, websocket_scope
from tests.support import SECRET
from tests.unit.connections.connection import Talker, a_while, connected, until

pytestmark = pytest.mark.anyio

PATIENT = JWTConfig(secret_key=SECRET, leeway=300)
EXPIRED = (3000, "The token has expired.")
Expire = Callable[[], None]


def hello(header: Header) -> Scope:
    return websocket_scope("/", header)


class Busy:
    """A websocket application that does something else until it is told to go on, and then sends."""

    def __init__(self) -> None:
        self.go_on = anyio.Event()
        self.errors: list[Exception] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await self.go_on.wait()
        for _ in range(2):
            try:
                await send({"type": "websocket.send", "text": "late"})
            except OSError as error:
                self.errors.append(error)
        await send({"type": "websocket.close", "code": 1000})


async def test_while_it_waits(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """An application that waits to receive is told that the client has gone, after the close has been sent."""
    app = Talker()
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.say("hello")
        await until(lambda: connection.texts)
        expire()
        await until(lambda: connection.is_over)
    assert ["accept", "send", "close"] == connection.types
    assert EXPIRED == connection.end
    assert {"type": "websocket.disconnect", "code": 3000, "reason": EXPIRED[1]} == app.told[-1]
    assert connection.error is None


async def test_not_before_its_time(config: JWTConfig, alice: Header, clock: HeldClock) -> None:
    """The last second of the leeway is still its own."""
    async with connected(JWTMiddleware(Talker(), config), hello(alice)) as connection:
        clock.now += 15 * 60 + 9.9
        await a_while()
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)
        clock.now += 0.2
        await until(lambda: EXPIRED == connection.end)


async def test_while_it_is_busy(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """One that does something else is closed for; what it sends later raises an OSError, and its close is nothing."""
    app = Busy()
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        expire()
        await until(lambda: EXPIRED == connection.end)
        app.go_on.set()
        await until(lambda: connection.is_over)
    assert ["accept", "close"] == connection.types
    assert [EXPIRED[1]] * 2 == [str(error) for error in app.errors]
    assert [ConnectionEndedError] * 2 == [type(error) for error in app.errors]


async def test_it_is_noticed_by_whoever_sends_first(
    config: JWTConfig, alice: Header, expire: Expire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent after the end but before anybody has looked at the clock is not sent."""
    monkeypatch.setattr("asgi_jwt_claims.connections.registry._LONGEST_PAUSE", 600)
    app = Busy()
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        expire()
        app.go_on.set()
        await until(lambda: connection.is_over)
    assert (["accept", "close"], EXPIRED) == (connection.types, connection.end)


async def test_it_is_noticed_by_whoever_receives_first(
    config: JWTConfig, alice: Header, expire: Expire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after the end is not received, whether the application waits already or asks later."""
    monkeypatch.setattr("asgi_jwt_claims.connections.registry._LONGEST_PAUSE", 600)
    told = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        expire()
        told.append((await receive())["type"])

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.say("too late")
        await until(lambda: connection.is_over)
    assert (["websocket.disconnect"], EXPIRED) == (told, connection.end)
    talker = Talker()
    fresh = bearer(create_access_token("alice", config))
    async with connected(JWTMiddleware(talker, config), hello(fresh)) as connection:
        await a_while()
        expire()
        connection.say("too late")
        await until(lambda: connection.is_over)
    assert ["websocket.disconnect"] == [message["type"] for message in talker.told]


async def test_in_the_middle_of_sending(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A message that is on its way goes out first, and then the close."""
    going = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await going.wait()
        await send({"type": "websocket.send", "text": "slow"})
        await anyio.sleep_forever()

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await a_while()
        assert ["accept"] == connection.types
        connection.unblock()
        await until(lambda: EXPIRED == connection.end)
        assert ["accept", "send", "close"] == connection.types
        connection.is_over = True  # it never returns; that is not what is tested


async def test_two_messages_on_their_way(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Both go out before the close, while the task that waits to receive is told at once."""
    told: list[Any] = []
    going = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            for text in ("one", "two"):
                tasks.start_soon(say, send, text)
            told.append(await receive())

    async def say(send: Send, text: str) -> None:
        await going.wait()
        await send({"type": "websocket.send", "text": text})

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await until(lambda: told)
        assert (["accept"], "websocket.disconnect") == (connection.types, told[0]["type"])
        connection.unblock()
        await until(lambda: connection.is_over)
    assert (["accept", "send", "send", "close"], EXPIRED) == (connection.types, connection.end)


async def test_a_message_that_is_given_up(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """The close goes out though the application has lost patience with what was on its way."""
    given_up = anyio.Event()
    going = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await going.wait()
        with anyio.move_on_after(0.1):
            await send({"type": "websocket.send", "text": "slow"})
        given_up.set()
        await anyio.sleep_forever()

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await given_up.wait()
        connection.unblock()
        await until(lambda: EXPIRED == connection.end)
        assert ["accept", "close"] == connection.types
        connection.is_over = True


@pytest.mark.thorough
async def test_an_end_that_is_given_up(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """An application that waits with a timeout cannot get in the way of the close."""
    talks = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await talks.wait()
        with anyio.move_on_after(0.2):
            await receive()
        await anyio.sleep_forever()

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.block()
        talks.set()
        await a_while()
        expire()
        await until(lambda: connection.is_blocked)
        await anyio.sleep(0.3)
        connection.unblock()
        await until(lambda: EXPIRED == connection.end)
        assert ["accept", "close"] == connection.types
        connection.is_over = True


async def test_it_returns_while_a_message_is_on_its_way(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """The close is sent before the server hears that the application has returned, which may just hang up."""
    going = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say, send)
            await receive()
            tasks.cancel_scope.cancel()

    async def say(send: Send) -> None:
        await going.wait()
        try:
            await send({"type": "websocket.send", "text": "slow"})
        finally:
            connection.unblock()

    ends: list[Any] = []

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        await JWTMiddleware(app, config)(scope, receive, send)
        ends.append(connection.end)

    async with connected(server, hello(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await until(lambda: connection.is_over)
    assert [EXPIRED] == ends


async def test_two_tasks_that_wait(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Both are told, and there is one close."""
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(wait, receive)

    async def wait(receive: Receive) -> None:
        told.append(await receive())

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        expire()
        await until(lambda: connection.is_over)
    assert (["websocket.disconnect"] * 2, ["accept", "close"]) == ([one["type"] for one in told], connection.types)


@pytest.mark.thorough
async def test_one_task_waits_while_another_notices(
    config: JWTConfig, alice: Header, expire: Expire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that sends after the end notices it before the registry does; one that waits is told all the same."""
    monkeypatch.setattr(_watch, "_LONGEST_PAUSE", 3600.0)
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, receive)
            await anyio.wait_all_tasks_blocked()
            expire()
            with pytest.raises(ConnectionEndedError):
                await send({"type": "websocket.send", "text": "late"})

    async def wait(receive: Receive) -> None:
        told.append(await receive())

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        await until(lambda: connection.is_over)
    assert (["websocket.disconnect"], ["accept", "close"]) == ([one["type"] for one in told], connection.types)


async def test_one_that_waits_since_before_it_was_accepted(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A task that has always been waiting is told, too."""
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, receive)
            await a_while()
            await send({"type": "websocket.accept"})

    async def wait(receive: Receive) -> None:
        told.append(await receive())

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        expire()
        await until(lambda: connection.is_over)
    assert (["websocket.disconnect"], EXPIRED) == ([one["type"] for one in told], connection.end)


async def test_it_goes_on_receiving(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Whoever asks again after it has been told is told the same; what the client says meanwhile reaches nobody."""
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        told.extend([await receive(), await receive(), await receive()])

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        expire()
        await until(lambda: connection.is_over)
    assert ["websocket.disconnect"] * 3 == [message["type"] for message in told]
    assert [3000] * 3 == [message["code"] for message in told]


async def test_it_closes_by_itself(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """One that has closed is left alone, even if its token ends while the close is on its way."""
    going, waits = anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await going.wait()
        await send({"type": "websocket.close", "code": 4000, "reason": "by itself"})
        await waits.wait()

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await a_while()
        connection.unblock()
        await until(lambda: connection.end)
        await a_while()
        waits.set()
        await until(lambda: connection.is_over)
    assert (["accept", "close"], (4000, "by itself"), None) == (connection.types, connection.end, connection.error)


async def test_before_it_is_accepted(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A token that ends between the handshake and the accept opens nothing; the application is told so by the accept."""
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        expire()
        try:
            await send({"type": "websocket.accept"})
        finally:
            told.append(await receive())

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        await until(lambda: connection.is_over)
    assert (["close"], EXPIRED, None) == (connection.types, connection.end, connection.error)
    assert ["websocket.disconnect"] == [one["type"] for one in told]


async def test_after_a_handshake_that_was_refused(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """The close that has refused it is the only one, whatever the application sends after that."""
    errors: list[type[Exception]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        expire()
        for _ in range(2):
            try:
                await send({"type": "websocket.accept"})
            except ConnectionEndedError as error:
                errors.append(type(error))
        await send({"type": "websocket.close"})

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        await until(lambda: connection.is_over)
    assert (["close"], EXPIRED, None, 2) == (connection.types, connection.end, connection.error, len(errors))


async def test_waiting_is_given_up_in_the_moment_of_the_end(clock: HeldClock, expire: Expire) -> None:
    """An application that is cancelled while its waiting is stopped does not keep the close from being sent."""
    scopes: list[anyio.CancelScope] = []

    class Cancelling(HeldClock):
        """Cancels the application before it shows a time at which the token has expired."""

        def __call__(self) -> float:
            if clock.now > self.now and scopes:
                scopes[0].cancel()
            return clock.now

    config = JWTConfig(secret_key=SECRET, clock=Cancelling())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        with anyio.CancelScope() as cancelled:
            scopes.append(cancelled)
            await receive()
        await anyio.sleep_forever()

    async with connected(JWTMiddleware(app, config), hello(bearer(create_access_token("alice", config)))) as connection:
        await until(lambda: scopes)
        await a_while()
        expire()
        await until(lambda: EXPIRED == connection.end)
        assert scopes[0].cancelled_caught
        connection.is_over = True  # it never returns; that is not what is tested


async def test_all_that_wait_are_told_by_another_that_does(
    config: JWTConfig, alice: Header, expire: Expire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that begins to receive may notice the end first, even while a message is on its way."""
    told: list[str] = []
    going, asks = anyio.Event(), anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, receive)
            await going.wait()
            tasks.start_soon(send, {"type": "websocket.send", "text": "slow"})
            await asks.wait()
            await wait(receive)

    async def wait(receive: Receive) -> None:
        told.append((await receive())["type"])

    monkeypatch.setattr(_watch, "_LONGEST_PAUSE", 3600.0)
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        asks.set()
        await until(lambda: len(told) == 2)
        assert ["accept"] == connection.types
        connection.unblock()
        await until(lambda: connection.is_over)
    assert (["websocket.disconnect"] * 2, ["accept", "send", "close"]) == (told, connection.types)


async def test_others_get_their_turn(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """An application that is told of the end and asks again at once does not hold up the message that is on its way."""
    going = anyio.Event()
    turns = [0]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            await going.wait()
            tasks.start_soon(send, {"type": "websocket.send", "text": "slow"})
            await receive()
            tasks.start_soon(count)
            for _ in range(50):
                await receive()
            turns.append(turns[0])

    async def count() -> None:
        for _ in range(100):
            turns[0] += 1
            await anyio.lowlevel.checkpoint()

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await until(lambda: len(turns) == 2)
        assert turns[1] >= 25
        assert ["accept"] == connection.types
        connection.unblock()
        await until(lambda: connection.is_over)
    assert ["accept", "send", "close"] == connection.types


async def test_the_client_has_gone_first(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A close that cannot be sent any more is nobody's error."""
    talker = Talker()
    async with connected(JWTMiddleware(talker, config), hello(alice)) as connection:
        connection.hang_up()
        await until(lambda: connection.is_over)
    assert (1001, None) == (talker.told[-1]["code"], connection.error)
    busy = Busy()
    async with connected(JWTMiddleware(busy, config), hello(alice)) as connection:
        connection.has_hung_up = True
        expire()
        await a_while()
        busy.go_on.set()
        await until(lambda: connection.is_over)
    assert (["accept"], None) == (connection.types, connection.error)


async def test_what_is_on_its_way_to_a_client_that_has_gone(
    config: JWTConfig, alice: Header, expire: Expire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own error reaches the application."""
    app = Busy()
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.block()
        app.go_on.set()
        await until(lambda: connection.is_blocked)
        expire()
        await a_while()
        connection.hang_up()
        await until(lambda: connection.is_over)
    assert ["the client has gone", EXPIRED[1]] == [str(error) for error in app.errors]


async def test_a_client_that_goes_by_itself(config: JWTConfig, alice: Header) -> None:
    """The server's own error reaches the application while its token is good, and goes on to the server."""
    app = Busy()
    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.has_hung_up = True
        app.go_on.set()
        await until(lambda: connection.is_over)
    assert ["the client has gone"] * 2 == [str(error) for error in app.errors]
    assert "the client has gone" == str(connection.error)


async def test_after_it_has_heard_that_the_client_has_gone(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """An application that goes on without its client is on its own: nothing is closed, nothing raised for it."""
    told: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        told.append(await receive())
        expire()
        await a_while()
        told.append(await receive())

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        connection.hang_up()
        await until(lambda: connection.is_over)
    assert ([1001, 1001], ["accept"]) == ([message["code"] for message in told], connection.types)


async def test_it_lets_the_error_go(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """What `send` has raised may go up through the application, alone or in groups; servers never see it."""

    async def alone(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await anyio.sleep(0.001)

    async def in_groups(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(talk, send)

    async def talk(send: Send) -> None:
        with anyio.CancelScope(shield=True):
            while True:
                await send({"type": "websocket.send", "text": "tick"})
                await anyio.sleep(0.001)

    for app in (alone, in_groups):
        fresh = bearer(create_access_token("alice", config))
        async with connected(JWTMiddleware(app, config), hello(fresh)) as connection:
            await until(lambda connection=connection: connection.texts)
            expire()
            await until(lambda connection=connection: connection.is_over)
        assert (None, EXPIRED) == (connection.error, connection.end)


@pytest.mark.parametrize("kind", ["of its own", "another connection's", "beside ours"])
async def test_exceptions_of_the_application(config: JWTConfig, alice: Header, expire: Expire, kind: str) -> None:
    """Any other exception passes as the object it is, after the end as before."""  # S134
    raised: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        if kind == "of its own":
            raised.append(LookupError("mine"))
        elif kind == "another connection's":
            raised.append(ConnectionEndedError("not ours"))
        else:
            try:
                await send({"type": "websocket.send", "text": "late"})
            except ConnectionEndedError as error:
                raised.append(ExceptionGroup("both", [error, LookupError("mine")]))
        raise raised[0]

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        expire()
        await until(lambda: connection.is_over)
    assert connection.error is raised[0]


async def test_what_is_raised_before_the_end(config: JWTConfig, alice: Header) -> None:
    """An error of the same kind that the application raises by itself passes, too."""  # S134

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ConnectionEndedError("mine")

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        await until(lambda: connection.is_over)
    assert "mine" == str(connection.error)


async def test_max_age(clock: HeldClock, expire: Expire) -> None:
    """The age at which a token is refused ends its connections, if that comes before its expiry."""
    config = JWTConfig(secret_key=SECRET, clock=clock, max_age=timedelta(minutes=5), leeway=0)
    header = bearer(create_access_token("alice", config))
    async with connected(JWTMiddleware(Talker(), config), hello(header)) as connection:
        clock.now += 299
        await a_while()
        assert ["accept"] == connection.types
        clock.now += 1
        await until(lambda: EXPIRED == connection.end)


async def test_a_token_that_never_expires(clock: HeldClock, expire: Expire) -> None:
    """A connection with a token without `exp`, or with one in another age of the world, goes on."""
    config = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=None, refresh_lifetime=None, required_claims=())
    eternal = create_access_token("alice", config)
    later = forge({"sub": "alice", "type": "access", "exp": 1e308})
    for raw in (eternal, later):
        async with connected(JWTMiddleware(Talker(), config), hello(bearer(raw))) as connection:
            expire()
            await a_while()
            connection.say("still here")
            await until(lambda connection=connection: ["still here"] == connection.texts)


async def test_a_clock_that_is_set(config: JWTConfig, alice: Header, clock: HeldClock, expire: Expire) -> None:
    """The clock of the claims decides, however it is set: back and it lives longer, forward and it ends."""  # S104
    async with connected(JWTMiddleware(Talker(), config), hello(alice)) as connection:
        clock.now -= 86_400
        expire()
        await a_while()
        assert ["accept"] == connection.types
        clock.now += 86_400
        await until(lambda: EXPIRED == connection.end)


@pytest.mark.parametrize("now", [float("nan"), float("inf")])
async def test_a_clock_that_is_no_clock(config: JWTConfig, alice: Header, clock: HeldClock, now: float) -> None:
    """What no request would be let in by ends the connection."""
    async with connected(JWTMiddleware(Talker(), config), hello(alice)) as connection:
        clock.now = now
        await until(lambda: EXPIRED == connection.end)


async def test_the_code(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """The application can choose what connections are closed with."""
    app = Talker()
    async with connected(JWTMiddleware(app, config, close_code=4401), hello(alice)) as connection:
        expire()
        await until(lambda: connection.is_over)
    assert ((4401, EXPIRED[1]), 4401) == (connection.end, app.told[-1]["code"])


@pytest.mark.parametrize("code", [999, 1001, 1006, 2999, 5000, True, 3000.0, "3000"])
def test_codes_that_cannot_be_used(config: JWTConfig, code: Any) -> None:
    """Codes that applications may not send are refused when the middleware is built."""
    with pytest.raises(SettingError, match="close_code"):
        JWTMiddleware(Talker(), config, close_code=code)


async def test_the_middleware_opts_out(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """`end_with_token=False` leaves all connections alone."""
    async with connected(JWTMiddleware(Talker(), config, end_with_token=False), hello(alice)) as connection:
        expire()
        await a_while()
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)


async def test_nobody_in_particular(config: JWTConfig, expire: Expire) -> None:
    """A connection without a token has none to end with."""
    scope = websocket_scope("/")
    async with connected(JWTMiddleware(Talker(), config, required=False), scope) as connection:
        expire()
        await a_while()
        connection.say("still here")
        await until(lambda: ["still here"] == connection.texts)


async def test_the_token_of_the_moment(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Context variables are the application's own, before the end and after."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        seen.append(current_token())

    async with connected(JWTMiddleware(app, config), hello(alice)) as connection:
        expire()
        await until(lambda: connection.is_over)
    assert ["alice"] == [token.identity for token in seen]
    assert current_token() is None
