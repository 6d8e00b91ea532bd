"""Frameworks whose clients send the token in a message: the programs of the page about it, driven in this process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from asgi_jwt_claims import JWTConfig, create_access_token
from asgi_jwt_claims.connections import base
from tests.conftest import HeldClock
from tests.pages import executed
from tests.raw_asgi import ask, websocket_scope
from tests.support import ROOT, SECRET
from tests.unit.connections.connection import ClientConnection, connected, until

for framework in ("fastapi", "sanic", "strawberry", "ariadne", "socketio", "channels"):
    pytest.importorskip(framework)

pytestmark = pytest.mark.anyio

PAGE = ROOT / "docs/how-to/tokens-in-messages.md"
GRAPHQL = "graphql-transport-ws"
EXPIRED = (3000, "The token has expired.")
LATE = (3000, "Authentication is required.")

Open = Callable[[str], AbstractAsyncContextManager[ClientConnection]]


@pytest.fixture
def anyio_backend() -> str:
    """These frameworks run on asyncio only."""
    return "asyncio"


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks are looked at all the time, instead of every second."""
    monkeypatch.setattr("asgi_jwt_claims.connections.registry._LONGEST_PAUSE", 0.005)


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> HeldClock:
    """The monotonic clock, held."""
    held = HeldClock(1000.0)
    monkeypatch.setattr(base, "monotonic", held)
    return held


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names that the page defines."""
    from django.conf import settings  # noqa: PLC0415 -- it may not be installed

    if not settings.configured:
        settings.configure()
    with executed(PAGE, monkeypatch) as names:
        yield names


@pytest.fixture
def raw() -> str:
    """A good token of Alice."""
    return create_access_token("alice", JWTConfig(secret_key=SECRET))


def fading() -> str:
    """A token that has expired, and is let in for a second or two more: for the rest of the leeway."""
    config = JWTConfig(secret_key=SECRET, clock=lambda: time.time() - 10, access_lifetime=2)
    return create_access_token("alice", config)


async def says(connection: ClientConnection, number: int) -> Any:
    """What the application sends as its nth message."""
    await until(lambda: len(sent(connection)) > number or connection.end)
    return sent(connection)[number]


def sent(connection: ClientConnection) -> list[str]:
    return [message.get("text") or "" for message in connection.sent if message["type"] == "websocket.send"]


class Chat:
    """How one framework is spoken to.

    Args:
        app: The name of the application on the page.
        path: Where it answers.
        hello: Makes the message that brings a token.
        question: Asks who the client is; with the answer's number among the messages, and a part of it.
        refusal: The end of a connection whose token is refused, or what it is told.
    """

    def __init__(self, app: str, path: str, hello: Any, question: tuple[str, int, str], refusal: Any) -> None:
        self.app, self.path, self.hello, self.question, self.refusal = app, path, hello, question, refusal

    def open(self, page: dict[str, Any]) -> AbstractAsyncContextManager[ClientConnection]:
        """Connect without a token."""
        scope = websocket_scope(self.path, subprotocols=[GRAPHQL] if "graphql" in self.path else [])
        scope["query_string"] = b"EIO=4&transport=websocket"
        scope["headers"] += [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]
        return connected(page[self.app], scope)


def graphql(app: str) -> Chat:
    query = {"id": "1", "type": "subscribe", "payload": {"query": "subscription { names }"}}
    return Chat(
        app,
        "/graphql",
        lambda raw: json.dumps({"type": "connection_init", "payload": {"token": raw}}),
        (json.dumps(query), 1, '"alice"'),
        {"strawberry_site": (4403, "Forbidden"), "ariadne_site": (1000, "")}[app],
    )


CHATS = [
    Chat("site", "/feed", str, ("hello", 0, "alice: hello"), (3000, None)),
    graphql("strawberry_site"),
    graphql("ariadne_site"),
    Chat(
        "socketio_site",
        "/socket.io/",
        lambda raw: "40" + json.dumps({"token": raw}),
        ('420["whoami"]', 2, '430["alice"]'),
        "44",
    ),
    Chat(
        "channels_site",
        "/chat",
        lambda raw: json.dumps({"token": raw}),
        ('{"text": "hi"}', 0, '"from": "alice"'),
        (3000, None),
    ),
]
every = pytest.mark.parametrize("chat", CHATS, ids=lambda chat: chat.app)


@every
async def test_a_token_in_the_first_message(page: dict[str, Any], chat: Chat, raw: str, elapsed: HeldClock) -> None:
    """The framework's own handlers see it from then on, and the time to adopt one ends no more."""
    question, number, answer = chat.question
    async with chat.open(page) as connection:
        connection.say(chat.hello(raw))
        connection.say(question)
        assert answer in await says(connection, number)
        elapsed.now += 60
        connection.say(question.replace('"1"', '"2"'))
        await says(connection, len(sent(connection)))
        assert not connection.end
    assert connection.error is None


@every
@pytest.mark.parametrize("bad", ["a.b.c", None, 5, {"token": {}}], ids=["forged", "none", "number", "object"])
async def test_a_bad_token(page: dict[str, Any], chat: Chat, bad: Any, elapsed: HeldClock) -> None:
    """It is refused in the framework's own way, or by the end of the time, and never by an internal error."""
    async with chat.open(page) as connection:
        connection.say(chat.hello(bad))
        if isinstance(chat.refusal, str):
            await until(lambda: any(text.startswith(chat.refusal) for text in sent(connection)))
            assert not connection.end
            elapsed.now += 10
            await until(lambda: LATE == connection.end)
        else:
            await until(lambda: connection.end)
            assert [chat.refusal[0]] == [connection.sent[-1]["code"]]
    assert connection.error is None


@every
async def test_nothing_is_sent(page: dict[str, Any], chat: Chat, elapsed: HeldClock) -> None:
    """A client that sends nothing is left in time, and the framework takes it for gone."""
    async with chat.open(page) as connection:
        elapsed.now += 10
        await until(lambda: connection.is_over)
    assert (LATE, None) == (connection.end, connection.error)


@pytest.mark.thorough
@every
async def test_it_expires(page: dict[str, Any], chat: Chat) -> None:
    """The connection ends with the token, and the framework takes the client for gone."""
    async with chat.open(page) as connection:
        connection.say(chat.hello(fading()))
        await until(lambda: connection.is_over)
    assert (EXPIRED, None) == (connection.end, connection.error)


async def test_polling(page: dict[str, Any], raw: str) -> None:
    """The polling transport of Socket.IO, whose requests no message could give a token, is refused by its server."""
    response = await ask(page["socketio_site"], "/socket.io/", query_string=b"EIO=4&transport=polling")
    assert (400, b'"Invalid transport"') == (response.status, response.body)
    server = page["socketio"].AsyncServer(async_mode="asgi")
    refused: list[str] = []

    @server.event
    async def connect(sid: str, environ: Any, auth: Any) -> bool:
        try:
            await page["adopt_token"](environ["asgi.scope"], auth["token"])
        except page["TokenError"] as error:
            refused.append(error.code)
        return False

    app = page["JWTMiddleware"](page["socketio"].ASGIApp(server), page["config"], required=False)
    opened = await ask(app, "/socket.io/", query_string=b"EIO=4&transport=polling")
    sid = json.loads(opened.body[1:])["sid"]
    query = f"EIO=4&transport=polling&sid={sid}".encode()
    connection = ClientConnection(
        {**websocket_scope("/socket.io/"), "type": "http", "method": "POST", "query_string": query}
    )
    body = b"40" + json.dumps({"token": raw}).encode()
    connection._to_say[0] = {"type": "http.request", "body": body, "more_body": False}
    connection.scope["headers"].append((b"content-length", str(len(body)).encode()))
    await connection.serve(app)
    assert (["token_missing"], 200) == (refused, connection.sent[0]["status"])


async def test_the_older_protocol_of_strawberry(page: dict[str, Any], raw: str) -> None:
    """It has another name, and lets a client leave the parameters out altogether."""
    for payload, end in (({"token": raw}, None), (None, 1011), ({}, 1011)):
        async with connected(page["strawberry_site"], websocket_scope("/", subprotocols=["graphql-ws"])) as connection:
            connection.say(json.dumps({"type": "connection_init", "payload": payload}))
            first = json.loads(await says(connection, 0))
            if end is None:
                assert "connection_ack" == first["type"]
            else:
                await until(lambda connection=connection: connection.end)
                assert ("connection_error", end) == (first["type"], connection.sent[-1]["code"])
        assert connection.error is None
