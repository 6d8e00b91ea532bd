"""Event streams end with their token; every other response goes on to its end, and nothing is touched on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.connections.registry import _REGISTRY
from asgi_jwt_claims.connections.states import CLOSED, PENDING
from asgi_jwt_claims.connections.stream import HTTPExchange
from asgi_jwt_claims.errors import ConnectionEndedError
from tests.raw_asgi import App, Header, Message, Receive, Scope, Send, bearer, http_scope
from tests.unit.connections.connection import ClientConnection, a_while, connected, until

pytestmark = pytest.mark.anyio

Expire = Callable[[], None]
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


def tick(text: bytes = b"data: tick\n\n", *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": text, "more_body": more}


def get(header: Header, **more: Any) -> Scope:
    return http_scope("/", header, **more)


class Silent:
    """A stream that says nothing, and waits for its client to go."""

    def __init__(self, *, reads: bool = True, begins_late: bool = False) -> None:
        self.told: list[Message] = []
        self.reads = reads
        self.begins_late = begins_late

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.reads:
            await receive()
        async with anyio.create_task_group() as tasks:
            if self.begins_late:
                tasks.start_soon(self.wait, receive)
                await a_while()
            await send(dict(START))
            await send(tick())
            if not self.begins_late:
                await self.wait(receive)

    async def wait(self, receive: Receive) -> None:
        while not self.told or self.told[-1]["type"] != "http.disconnect":
            self.told.append(await receive())


class Busy:
    """A stream that never receives, and says something now and then."""

    def __init__(self, pause: float = 0.001) -> None:
        self.pause = pause
        self.errors: list[Exception] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(dict(START))
        try:
            while True:
                await send(tick())
                await anyio.sleep(self.pause)
        except OSError as error:
            self.errors.append(error)
        await send(tick(b"", more=False))


@pytest.mark.parametrize("app", [Silent(), Silent(begins_late=True)], ids=["waits", "has been waiting"])
async def test_a_silent_stream(config: JWTConfig, alice: Header, expire: Expire, app: Silent) -> None:
    """An application that waits for its client to go is told that it has, once the stream has ended."""
    app.told = []
    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: connection.body)
        expire()
        await until(lambda: connection.is_over)
    assert (["start", "body", "body"], True, None) == (connection.types, connection.end, connection.error)
    assert [{"type": "http.disconnect"}] == app.told


async def test_a_busy_stream(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Whoever sends after the end finds out by an OSError, and may still say that this was the last."""
    app = Busy()
    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: len(connection.sent) > 3)
        expire()
        await until(lambda: connection.is_over)
    assert (True, None) == (connection.end, connection.error)
    assert [(ConnectionEndedError, "The token has expired.")] == [(type(one), str(one)) for one in app.errors]


async def test_a_stream_with_long_pauses(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A stream ends while its application is asleep."""
    async with connected(JWTMiddleware(Busy(600), config), get(alice)) as connection:
        await until(lambda: connection.body)
        expire()
        await until(lambda: connection.end)
        connection.is_over = True  # in ten minutes


async def test_it_lets_the_error_go(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """The error may go up through the application; the server never sees it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(dict(START))
        while True:
            await send(tick())
            await anyio.sleep(0.001)

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        expire()
        await until(lambda: connection.is_over)
    assert (True, None) == (connection.end, connection.error)


async def test_the_request_is_still_being_read(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A body that the client takes its time with is read no further than the token lasts."""
    app = Silent(reads=False)
    part = {"type": "http.request", "body": b"part", "more_body": True}
    async with connected(JWTMiddleware(app, config), get(alice, method="POST")) as connection:
        connection.push(part)
        await until(lambda: len(app.told) == 2)
        expire()
        await until(lambda: connection.is_over)
    assert ["http.request", "http.request", "http.disconnect"] == [message["type"] for message in app.told]
    assert app.told[1] is part


async def test_the_client_goes(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A client that goes by itself ends the stream as ever."""
    app = Silent()
    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: connection.body)
        connection.hang_up()
        await until(lambda: connection.is_over)
    assert "left" == app.told[-1]["reason"]
    assert connection.error is None


async def test_the_client_goes_first(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A stream that starts after the application was told that the client has gone is left alone."""
    told: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.extend([await receive(), await receive()])
        expire()
        for message in (dict(START), tick(), tick(b"", more=False)):
            await send(message)
            assert _REGISTRY.get() is None

    connection = ClientConnection(get(alice))
    connection.push({"type": "http.disconnect"})
    await connection.serve(JWTMiddleware(app, config))
    assert (["http.request", "http.disconnect"], None) == ([one["type"] for one in told], connection.error)
    assert (["start", "body", "body"], b"data: tick\n\n") == (connection.types, connection.body)


async def test_what_comes_before_the_start(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A message before the start passes, also while a task waits for the client to go."""
    told: list[Message] = []
    hint: Message = {"type": "http.response.early_hint", "links": []}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, receive)
            await a_while()
            await send(hint)
            await send(dict(START))

    async def wait(receive: Receive) -> None:
        told.append(await receive())

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: len(connection.sent) == 2)
        assert hint is connection.sent[0]
        expire()
        await until(lambda: connection.is_over)
    assert (True, [{"type": "http.disconnect"}]) == (connection.end, told)


async def test_it_ends_by_itself(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A stream that has ended is not ended again, even if its token ends while the last of it is on its way."""
    going = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(dict(START))
        await going.wait()
        await send(tick(b"last", more=False))
        await anyio.sleep(0.2)

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await a_while()
        connection.unblock()
        await until(lambda: connection.is_over)
    assert (["start", "body"], b"last", None) == (connection.types, connection.body, connection.error)


async def test_the_last_after_the_end(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """The last part, sent after the end, is nobody's error."""
    going = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(dict(START))
        await going.wait()
        await send(tick(b"last", more=False))

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        expire()
        await until(lambda: connection.end)
        going.set()
        await until(lambda: connection.is_over)
    assert (["start", "body"], b"", None) == (connection.types, connection.body, connection.error)


async def test_before_it_begins(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A stream that begins too late has a beginning and an end, and nothing between them."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        expire()
        await send(dict(START))
        await send(tick())

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: connection.is_over)
    assert (["start", "body"], b"", True, None) == (connection.types, connection.body, connection.end, connection.error)


async def test_what_is_on_its_way(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A part that is on its way goes out whole before the end; the task that waits is told at once."""
    going = anyio.Event()
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(dict(START))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk, send)
            told.append((await receive())["type"])

    async def talk(send: Send) -> None:
        await going.wait()
        await send(tick(b"slow"))

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        connection.block()
        going.set()
        await until(lambda: connection.is_blocked)
        expire()
        await until(lambda: told)
        assert ["start"] == connection.types
        connection.unblock()
        await until(lambda: connection.is_over)
    assert (b"slow", True, None, ["http.disconnect"]) == (connection.body, connection.end, connection.error, told)


@pytest.mark.parametrize(
    "kinds",
    [
        [b"text/event-stream; charset=utf-8"],
        [b"Text/Event-Stream"],
        [b"text/event-stream ;q=1"],
        [b" text/event-stream"],
        [b"text/event-stream, text/html"],
        [b"text/html;q=1 ,\ttext/event-stream;q=1"],
        [b"text/plain", b"text/event-stream"],
        [b"text/event-stream", b"text/plain"],
    ],
)
async def test_what_is_a_stream(config: JWTConfig, alice: Header, expire: Expire, kinds: list[bytes]) -> None:
    """Parameters, spaces and case make no difference, and one of several types is enough."""
    start = {**START, "headers": [(b"x-first", b"1"), *((b"Content-Type", kind) for kind in kinds)]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await anyio.sleep_forever()

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        expire()
        await until(lambda: connection.end)
        assert connection.sent[0] is start
        connection.is_over = True


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-type", b"text/event-streams")],
        [(b"content-type", b"application/json")],
        [(b"x-content-type", b"text/event-stream")],
        [(b"content-type", b"text/plain, text/event-streams;q=text/event-stream")],
        ((b"content-type", b"text/plain"),),
        [],
    ],
)
async def test_what_is_none(config: JWTConfig, alice: Header, expire: Expire, headers: Any) -> None:
    """Any other response is passed on untouched, message by message, by the server's own `send`."""  # S135
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    messages = [start, tick(b"one"), tick(b"two", more=False)]
    copies = [dict(message) for message in messages]
    seen: list[Message] = []

    class Sending:
        """What a server's `send` has returned, and is awaited."""

        def __init__(self, message: Message) -> None:
            seen.append(message)

        def __await__(self) -> Any:
            yield from anyio.lowlevel.checkpoint().__await__()

    returned: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            returned.append(send(message))
            await returned[-1]
            expire()

    connection = ClientConnection(get(alice))
    await JWTMiddleware(app, config)(connection.scope, connection.receive, Sending)  # type: ignore[arg-type]  # a class in the place of a function
    assert [True] * 3 == [one is another for one, another in zip(messages, seen, strict=True)]
    assert copies == messages
    assert start["headers"] is headers
    assert [Sending] * 3 == [type(one) for one in returned]


OTHERS: list[Message] = [
    {"type": "http.response.push", "path": "/style.css", "headers": []},
    {"type": "http.response.debug", "info": {}},
    {"type": "http.response.early_hint", "links": []},
    {"type": "http.response.trailers", "headers": [], "more_trailers": True},
    {"type": "http.response.unheard.of"},
]


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other["type"])
async def test_other_messages_in_a_stream(config: JWTConfig, alice: Header, expire: Expire, other: Message) -> None:
    """A message that is no part of the body passes, and the stream ends with its token all the same; after that none."""
    errors: list[str] = []
    ended = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(dict(START))
        await send(other)
        await send(tick())
        await ended.wait()
        for message in (other, tick()):
            try:
                await send(message)
            except ConnectionEndedError as error:
                errors.append(str(error))

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: connection.body)
        expire()
        await until(lambda: connection.end)
        ended.set()
        await until(lambda: connection.is_over)
    assert [START["type"], other["type"], *["http.response.body"] * 2] == [
        message["type"] for message in connection.sent
    ]
    assert other is connection.sent[1]
    assert ["The token has expired."] * 2 == errors


async def test_trailers_after_a_stream(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Trailers that the application sends after its own end pass; where the token ends the stream, there are empty ones."""
    trailers: Message = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "trailers": True})
        if scope["path"] == "/whole":
            await send(tick(more=False))
            await send(trailers)
        else:
            expire()
            await receive()
            await receive()

    async def send(message: Message) -> None:
        sent.append(message)

    for path in ("/whole", "/"):
        await JWTMiddleware(app, config)(http_scope(path, alice), ClientConnection(get(alice)).receive, send)
    empty = {"type": "http.response.trailers", "headers": []}
    assert [tick(more=False), trailers] == sent[1:3]
    assert [tick(b"", more=False), empty] == sent[4:]


LENGTH: list[Header] = [(b"Content-Length", b"10000"), (b"connection", b"keep-alive"), (b"x-last", b"1")]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.1", [(b"x-last", b"1"), (b"connection", b"close")]),
        ("1.0", [(b"x-last", b"1"), (b"connection", b"close")]),
        ("2", LENGTH[1:]),
        ("3", LENGTH[1:]),
    ],
)
async def test_a_stream_that_announces_its_length(
    config: JWTConfig, alice: Header, version: str, expected: list[Header]
) -> None:
    """A stream that may end early announces no length, for which a server would wait, and closes its connection."""
    start = {**START, "headers": [*START["headers"], *LENGTH]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send(tick(more=False))

    async with connected(JWTMiddleware(app, config), get(alice, http_version=version)) as connection:
        await until(lambda: connection.is_over)
    assert [*START["headers"], *expected] == connection.sent[0]["headers"]
    assert [*START["headers"], *LENGTH] == start["headers"]


async def test_a_stream_that_nobody_ends_keeps_its_length(config: JWTConfig) -> None:
    """Where no token can end a stream, its start passes untouched."""  # S135
    start = {**START, "headers": [*START["headers"], *LENGTH]}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send(tick(more=False))

    async with connected(JWTMiddleware(app, config, required=False), http_scope()) as connection:
        await until(lambda: connection.is_over)
    assert start is connection.sent[0]


async def test_no_headers_at_all(config: JWTConfig, alice: Header) -> None:
    """A start without headers is passed on without any."""  # S135

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send(tick(b"", more=False))

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: connection.is_over)
    assert {"type": "http.response.start", "status": 204} == connection.sent[0]


@pytest.mark.parametrize("kind", [b"text/event-stream", b"text/plain"])
async def test_headers_that_can_be_read_once(config: JWTConfig, alice: Header, expire: Expire, kind: bytes) -> None:
    """Headers that come as a generator, as Sanic's do, reach the server all the same."""
    headers = [(b"x-first", b"1"), (b"content-type", kind), (b"x-last", b"1")]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": (header for header in headers)})
        await anyio.sleep_forever()

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        assert headers == list(connection.sent[0]["headers"])
        expire()
        await (until(lambda: connection.end) if kind == b"text/event-stream" else a_while())
        assert connection.end is (kind == b"text/event-stream")
        connection.is_over = True


async def test_waiting_beside_another_response(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """A download whose application also waits for its client to go is not cut, and hears of nothing but that."""
    told: list[Message] = []
    going = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, receive)
            await a_while()
            await send({**START, "headers": [(b"content-type", b"text/csv")]})
            await send(tick(b"one"))
            await going.wait()
            await send(tick(b"two", more=False))

    async def wait(receive: Receive) -> None:
        told.append(await receive())

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: connection.body)
        expire()
        await a_while()
        assert [] == told
        going.set()
        await until(lambda: connection.end)
    assert (b"onetwo", ["left"]) == (connection.body, [message["reason"] for message in told])


async def read() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def drop(message: Message) -> None:
    pass


async def test_another_response_is_not_watched(alice: Header) -> None:
    """Once another response has started, its application receives from the server itself, with nothing between them."""
    exchange = HTTPExchange({**get(alice), SCOPE_KEY: None}, read, drop)
    await exchange.receive()
    await exchange.send({**START, "headers": []})
    await exchange.receive()
    assert exchange.watched is None


async def test_another_response_is_let_go(alice: Header) -> None:
    """What was watched because a stream might have come is left alone from the start of another response on."""
    exchange = HTTPExchange({**get(alice), SCOPE_KEY: None}, read, drop)
    await exchange.receive()
    await exchange.receive()
    assert exchange.watched is not None
    assert exchange.watched.state is PENDING
    await exchange.send({**START, "headers": []})
    assert exchange.watched.state is CLOSED


async def test_head(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """The answer to HEAD is a stream of nothing, and over at once."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(dict(START))
        await send(tick(b"", more=False))
        await a_while()

    async with connected(JWTMiddleware(app, config), get(alice, method="HEAD")) as connection:
        await until(lambda: connection.end)
        expire()
        await until(lambda: connection.is_over)
    assert (["start", "body"], None) == (connection.types, connection.error)


async def test_the_middleware_opts_out(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """With `end_with_token=False` a stream goes on after its token, and its client is still heard."""
    heard: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(dict(START))
        expire()
        await send(tick(b"late"))
        heard.append((await receive())["type"])

    async with connected(JWTMiddleware(app, config, end_with_token=False), get(alice)) as connection:
        await until(lambda: connection.body == b"late")
        connection.hang_up()
        await until(lambda: heard == ["http.disconnect"])


async def test_exceptions_of_the_application(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Whatever happens in a stream, before its end or after, the server gets to see."""  # S134
    for ends in (False, True):

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send(dict(START))
            await a_while()
            raise LookupError("mine")

        fresh = bearer(create_access_token("alice", config))
        async with connected(JWTMiddleware(app, config), get(fresh)) as connection:
            if ends:
                expire()
            await until(lambda connection=connection: connection.is_over)
        assert (LookupError, ends) == (type(connection.error), connection.end)

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError) as caught:
        await JWTMiddleware(failing, config)(
            get(bearer(create_access_token("alice", config))), connection.receive, connection.send
        )
    assert "mine" == str(caught.value)


# Starlette ------------------------------------------------------------------------------------------------------------


async def ticks(pause: float) -> AsyncIterator[str]:
    """One tick after the other."""
    while True:
        yield "data: tick\n\n"
        await anyio.sleep(pause)


def starlette(pause: float, *, with_middleware: bool = False) -> App:
    """A Starlette application with a stream."""
    applications = pytest.importorskip("starlette.applications")
    from starlette.middleware.base import BaseHTTPMiddleware  # noqa: PLC0415 -- only where it is installed
    from starlette.responses import StreamingResponse  # noqa: PLC0415 -- as above
    from starlette.routing import Route  # noqa: PLC0415 -- as above

    async def stream(request: Any) -> Any:
        return StreamingResponse(ticks(pause), media_type="text/event-stream")

    async def touch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    app: Any = applications.Starlette(routes=[Route("/", stream)])
    if with_middleware:
        app.add_middleware(BaseHTTPMiddleware, dispatch=touch)
    return app  # type: ignore[no-any-return]


async def test_an_end_whose_task_is_cancelled(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """An application that cancels the task that sends the end, and returns, returns to its server after the end."""

    receiving = anyio.CancelScope()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(dict(START))
        await send(tick())
        with receiving:
            await receive()

    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: connection.body)
        connection.block()
        expire()
        await until(lambda: connection.is_blocked)
        receiving.cancel()
        await a_while()
        assert not connection.is_over
        connection.unblock()
        await until(lambda: connection.is_over)
    assert (True, None) == (connection.end, connection.error)


@pytest.mark.filterwarnings(  # Starlette leaves generators open there, its own and the application's, and trio says so
    "ignore:Exception ignored in. <async_generator object (Request.stream|ticks):pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("pause", [0.001, 600], ids=["busy", "silent"])
@pytest.mark.parametrize("inside", ["alone", "in the middleware of another kind"])
async def test_streaming_responses(config: JWTConfig, alice: Header, expire: Expire, pause: float, inside: str) -> None:
    """Starlette's own streams end, be they busy or silent, with and without its own kind of middleware."""
    app = starlette(pause, with_middleware=inside != "alone")
    async with connected(JWTMiddleware(app, config), get(alice)) as connection:
        await until(lambda: connection.body)
        expire()
        await until(lambda: connection.is_over)
    assert (True, None) == (connection.end, connection.error)


async def test_streaming_responses_of_later_servers(config: JWTConfig, alice: Header, expire: Expire) -> None:
    """Where the server raises for a client that has gone (ASGI 2.4), a stream that says something ends likewise."""
    requests = pytest.importorskip("starlette.requests")
    scope = get(alice, asgi={"version": "3.0", "spec_version": "2.4"})
    async with connected(JWTMiddleware(starlette(0.001), config), scope) as connection:
        await until(lambda: connection.body)
        expire()
        await until(lambda: connection.is_over)
    # What Starlette tells its server whenever a client has gone.
    assert (True, requests.ClientDisconnect) == (connection.end, type(connection.error))
