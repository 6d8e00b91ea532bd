"""A refusal that is raised below the middleware becomes its answer, in one shape, as long as nothing has been answered."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import (
    ErrorResponse,
    JWTConfig,
    JWTMiddleware,
    TokenError,
    create_access_token,
    get_token,
    verify_token,
)
from asgi_jwt_claims.errors import (
    ForbiddenError,
    MissingScopeError,
    MissingTokenError,
    StoreUnavailableError,
)
from asgi_jwt_claims.stores import MemoryStore, TokenDigests
from tests.raw_asgi import App, Exchange, Header, Message, Receive, Scope, Send, ask, bearer, talk

pytestmark = pytest.mark.anyio

Handler = Callable[[Scope], Awaitable[None]]


class OutOfReach(MemoryStore):
    """A store that cannot be asked."""

    def is_revoked_locally(self, *_: object) -> None:
        """Nothing is known without asking."""

    async def is_revoked(self, digests: TokenDigests) -> bool:
        """Fail."""
        raise StoreUnavailableError(reason="down")


@pytest.fixture
def alice(config: JWTConfig) -> Header:
    return bearer(create_access_token("alice", config))


async def say(send: Send, status: int = 200, body: bytes = b"own") -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": body})


async def reads_the_token(scope: Scope) -> None:
    get_token(scope)


def lets_go(handler: Handler) -> App:
    """An application that leaves errors to the server."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await handler(scope)
        await say(send)

    return app


def answers_in_place(handler: Handler) -> App:
    """A framework that answers 500 while it handles an error, and raises it again for the server to log."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await handler(scope)
        except Exception:
            await say(send, 500)
            raise
        await say(send)

    return app


def answers_later(handler: Handler) -> App:
    """A framework that puts an error away and answers 500 when it has done with it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        status = 200
        try:
            await handler(scope)
        except Exception:  # noqa: BLE001 -- as frameworks do
            status = 500
        await say(send, status)

    return app


def wraps_it(handler: Handler) -> App:
    """A framework that makes an error of its own of any other, and answers it with some server error."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            try:
                await handler(scope)
            except TokenError as error:
                raise RuntimeError("framework") from error
        except RuntimeError:
            await say(send, 502)
            raise
        await say(send)

    return app


def listens(handler: Handler) -> App:
    """A framework that listens for its client to go while it handles a request, and answers twice."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await anyio.lowlevel.checkpoint()
            status = 200
            try:
                await handler(scope)
            except TokenError:
                status = 500
            for _ in range(1 if status == 200 else 2):
                await say(send, status)

    return app


FRAMEWORKS = [lets_go, answers_in_place, answers_later, wraps_it, listens]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("raw", [None, "a.b.c"])
async def test_get_token_without_a_good_token(
    config: JWTConfig, framework: Callable[[Handler], App], ends: bool, raw: str | None
) -> None:
    """No matter what a framework makes of the error, the client gets the very answer that the middleware gives."""
    headers = [] if raw is None else [bearer(raw)]
    wrapped = JWTMiddleware(framework(reads_the_token), config, required=False, end_with_token=ends)
    answer = await ask(wrapped, "/", *headers)
    strict = await ask(JWTMiddleware(framework(reads_the_token), config), "/", *headers)
    assert strict.messages == answer.messages
    assert 401 == answer.status


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_good_token(config: JWTConfig, alice: Header, framework: Callable[[Handler], App]) -> None:
    """Nothing changes for those whose token is good."""
    answer = await ask(JWTMiddleware(framework(reads_the_token), config, required=False), "/", alice)
    assert (200, b"own") == (answer.status, answer.body)


@pytest.mark.parametrize("framework", [lets_go, answers_in_place])
@pytest.mark.parametrize(
    ("error", "status"), [(ForbiddenError(), 403), (MissingScopeError(scope="a"), 403), (StoreUnavailableError(), 503)]
)
async def test_an_error_of_a_handler(
    config: JWTConfig, alice: Header, framework: Callable[[Handler], App], error: TokenError, status: int
) -> None:
    """What a handler raises by itself is answered where it comes out, or where the framework is handling it."""

    async def handler(scope: Scope) -> None:
        raise error

    answer = await ask(JWTMiddleware(framework(handler), config), "/", alice)
    assert (status, error.description) == (answer.status, answer.json["error_description"])


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("tasks", errors)


@pytest.mark.parametrize("framework", [lets_go, answers_in_place])
@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (group(ForbiddenError()), 403),
        (group(group(MissingTokenError()), group(group(ForbiddenError()))), 401),
        (group(ForbiddenError(), LookupError()), None),
        (group(group(LookupError()), ForbiddenError()), None),
        (group(LookupError()), None),
    ],
)
async def test_groups(
    config: JWTConfig, alice: Header, framework: Callable[[Handler], App], raised: Exception, status: int | None
) -> None:
    """A group with nothing but refusals is answered as the first of them; with anything else in it, it passes."""  # S134

    async def handler(scope: Scope) -> None:
        raise raised

    if status is not None:
        assert status == (await ask(JWTMiddleware(framework(handler), config), "/", alice)).status
        return
    with pytest.raises(ExceptionGroup) as caught:
        await ask(JWTMiddleware(framework(handler), config), "/", alice)
    assert raised is caught.value


async def test_a_task_group(config: JWTConfig) -> None:
    """The same for a real group of tasks."""

    async def handler(scope: Scope) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reads_the_token, scope)
            tasks.start_soon(anyio.sleep_forever)

    assert 401 == (await ask(JWTMiddleware(lets_go(handler), config, required=False), "/")).status


@pytest.mark.parametrize("framework", [lets_go, answers_in_place, answers_later])
async def test_errors_of_the_application_pass(config: JWTConfig, framework: Callable[[Handler], App]) -> None:
    """An error of the application keeps its own answer, also where a refusal was caught before it."""  # S134

    async def handler(scope: Scope) -> None:
        raise ZeroDivisionError

    async def recovers(scope: Scope) -> None:
        with contextlib.suppress(TokenError):
            get_token(scope)
        raise ZeroDivisionError

    for one in (handler, recovers)[: 1 if framework is answers_later else 2]:
        sent: list[Message] = []
        wrapped = JWTMiddleware(framework(one), config, required=False)
        try:
            sent = (await ask(_kept(wrapped, sent), "/")).messages
        except ZeroDivisionError:
            assert framework is not answers_later
        else:
            assert framework is answers_later
        assert [500, None][: 0 if framework is lets_go else 2] == [message.get("status") for message in sent]


def _kept(app: App, sent: list[Message]) -> App:
    """The same application, with its messages kept although it raises."""

    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        async def keep(message: Message) -> None:
            sent.append(message)
            await send(message)

        await app(scope, receive, keep)

    return kept


async def test_an_answer_of_the_application_passes(config: JWTConfig) -> None:
    """A refusal that the application has caught, and answered in its own way, is its own business."""
    raw = "a.b.c"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            verify_token(raw, config)
        except TokenError:
            await say(send, 502)  # the answer of another service had a bad token

    answer = await ask(JWTMiddleware(app, config, required=False), "/")
    assert (502, b"own") == (answer.status, answer.body)

    async def redirects(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            get_token(scope)
        except TokenError:
            await say(send, 303)

    assert 303 == (await ask(JWTMiddleware(redirects, config, required=False), "/")).status


async def test_after_the_start_of_the_response(config: JWTConfig) -> None:
    """Nothing can be answered any more, and the error passes as it is."""  # S134
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        get_token(scope)

    with pytest.raises(MissingTokenError):
        await ask(_kept(JWTMiddleware(app, config, required=False), sent), "/")
    assert ["http.response.start"] == [message["type"] for message in sent]


async def test_another_error_after_the_answer_passes(config: JWTConfig) -> None:
    """Once a refusal has taken the place of an error 500, only what stems from it is swallowed."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            get_token(scope)
        except TokenError:
            await say(send, 500)
        raise LookupError

    with pytest.raises(LookupError):
        await ask(JWTMiddleware(app, config, required=False), "/")


async def test_an_error_of_another_request_is_not_taken(config: JWTConfig, alice: Header) -> None:
    """What `get_token` has raised for a copy with other headers says nothing about the request itself."""

    async def handler(scope: Scope) -> None:
        with pytest.raises(MissingTokenError):
            get_token({**scope, "headers": []})
        raise ZeroDivisionError

    answer = await ask(JWTMiddleware(answers_later(handler), config), "/", alice)
    assert (500, b"own") == (answer.status, answer.body)


@pytest.mark.parametrize("exempt", [(), ("/",)], ids=["guarded", "exempt"])
@pytest.mark.parametrize("is_same", [True, False], ids=["same configuration", "another"])
async def test_an_error_of_a_part_is_not_taken(config: JWTConfig, alice: Header, is_same: bool, exempt: Any) -> None:
    """What `get_token` has raised for a part of a batch, below another middleware, leaves the batch its own error 500."""

    async def part(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(TokenError):
            get_token(scope)
        await say(send)

    guarded = JWTMiddleware(part, config if is_same else JWTConfig(secret_key="x" * 32), required=False)

    async def batch(scope: Scope, receive: Receive, send: Send) -> None:
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await guarded({**scope, "headers": [bearer("a.b.c")]}, receive, keep)
        assert 200 == sent[0]["status"]
        await say(send, 500)

    answer = await ask(JWTMiddleware(batch, config, exempt=exempt), "/", alice)
    assert (500, b"own") == (answer.status, answer.body)


async def test_nested_middlewares_answer_an_outage_once(config: JWTConfig, alice: Header) -> None:
    """The outer middleware leaves an error 503 of the inner one as it is."""
    seen: list[str] = []

    def on_error(error: TokenError, answer: ErrorResponse, _: object) -> ErrorResponse | None:
        seen.append(error.code)
        return None

    async def reads_and_drops(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(StoreUnavailableError):
            get_token(scope)
        await say(send, 500)

    app = JWTMiddleware(reads_and_drops, config, required=False, store=OutOfReach(), on_error=on_error)
    answer = await ask(JWTMiddleware(app, config, required=False, on_error=on_error), "/", alice)
    assert (503, ["store_unavailable"]) == (answer.status, seen)


async def test_nested_middlewares_answer_once(config: JWTConfig) -> None:
    """The innermost answers, once, and the outer ones see a refusal like any other."""
    seen: list[str] = []

    def on_error(error: TokenError, answer: ErrorResponse, _: object) -> ErrorResponse | None:
        seen.append(error.code)
        return None

    inner = JWTMiddleware(answers_in_place(reads_the_token), config, required=False, realm="inner", on_error=on_error)
    answer = await ask(JWTMiddleware(inner, config, required=False, on_error=on_error), "/")
    assert (401, 'Bearer realm="inner"') == (answer.status, answer.headers["www-authenticate"])
    assert ["token_missing"] == seen


def socket(*messages: Message, reads: bool = True, error: Exception | None = None) -> App:
    """A websocket application that reads the token, sends these messages, and raises."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
            if reads:
                get_token(scope)
        except TokenError:
            if not messages:
                raise
        for message in messages:
            await send(message)
        if error is not None:
            raise error

    return app


DENIAL: list[Message] = [
    {"type": "websocket.http.response.start", "status": 500, "headers": []},
    {"type": "websocket.http.response.body", "body": b"own"},
]


@pytest.mark.parametrize("denial", [True, False])
@pytest.mark.parametrize(
    "app",
    [
        socket(),
        socket(reads=False, error=ForbiddenError()),
        socket(*DENIAL),
        socket({"type": "websocket.close", "code": 1011}),
    ],
    ids=["raised", "of its own", "denied", "closed"],
)
async def test_a_websocket_before_it_is_accepted(config: JWTConfig, app: App, denial: bool) -> None:
    """A refusal is answered by the denial response, or by a close before the accept."""  # S125
    answer: Exchange = await talk(JWTMiddleware(app, config, required=False), "/", denial=denial)
    if denial:
        assert ["websocket.http.response.start", "websocket.http.response.body"] == answer.types
        assert answer.status in (401, 403)
        assert "error" in answer.json
    else:
        assert (["websocket.close"], True) == (answer.types, answer.close_code in (3000, 3003))


async def test_a_websocket_after_it_is_accepted(config: JWTConfig) -> None:
    """Once it is accepted the error passes as it is, and a close of the application is its own."""  # S134
    accept: Message = {"type": "websocket.accept"}
    close: Message = {"type": "websocket.close", "code": 1011}
    error = ForbiddenError()
    with pytest.raises(ForbiddenError) as caught:
        await talk(JWTMiddleware(socket(accept, error=error), config, required=False), "/")
    assert error is caught.value
    answer = await talk(JWTMiddleware(socket(accept, close), config, required=False), "/")
    assert (["websocket.accept", "websocket.close"], 1011) == (answer.types, answer.close_code)
    answer = await talk(JWTMiddleware(socket({**close, "code": 1000}), config, required=False), "/")
    assert 1000 == answer.close_code


async def test_causes_without_an_end(config: JWTConfig) -> None:
    """Errors that name one another as their causes are not followed for ever."""
    first, second = LookupError("first"), LookupError("second")
    first.__cause__, second.__cause__ = second, first

    async def handler(scope: Scope) -> None:
        with pytest.raises(MissingTokenError):
            get_token(scope)
        raise first

    with pytest.raises(LookupError):
        await ask(JWTMiddleware(answers_in_place(handler), config, required=False), "/")
