"""Before a request is refused, a bounded rest of its body is read, so that a client that still sends sees the answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from asgi_jwt_claims import Cookie, JWTConfig, JWTMiddleware, create_access_token
from asgi_jwt_claims.auth.settings import MiddlewareSettings
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.runtime import drain as module
from tests.raw_asgi import Header, Message, Recorder, bearer, http_scope, websocket_scope

pytestmark = pytest.mark.anyio

BOUND = 64 * 1024
PIECE = b"x" * 1000


class Upload:
    """A client that sends a body, and the server that keeps the order of what is read and what is answered."""

    def __init__(self, pieces: Iterable[bytes], *, ends: bool = True) -> None:
        self.order: list[str] = []
        self.statuses: list[int] = []
        self.read = 0
        self._messages = iter([{"type": "http.request", "body": piece, "more_body": True} for piece in pieces])
        self._last: Message = {"type": "http.request", "body": b"", "more_body": False}
        self._ends = ends

    async def receive(self) -> Message:
        """A piece; at the end the last, or nothing ever."""
        await anyio.lowlevel.checkpoint()
        self.order.append("receive")
        message = next(self._messages, None)
        if message is None and not self._ends:
            await anyio.sleep_forever()
        message = message or self._last
        self.read += len(message["body"])
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer."""
        self.order.append("send")
        if message["type"].endswith("start"):
            self.statuses.append(message["status"])

    @property
    def is_answered_last(self) -> bool:
        """Whether all that was read was read before the answer."""
        return self.order == sorted(self.order)


async def refuse(config: JWTConfig, upload: Upload, *headers: Header, drain: int = BOUND, **options: Any) -> None:
    """Hand an upload without a token to a guarded application, which must not see it."""
    app = Recorder()
    guarded = JWTMiddleware(app, config, drain=drain, **options)
    await guarded(http_scope("/", *headers, method="POST"), upload.receive, upload.send)
    assert [] == app.calls
    assert upload.statuses in ([401], [400], [403])


async def test_the_rest_is_read_before_the_answer(config: JWTConfig) -> None:
    """A body within the bound is read to its end, and then the client is answered."""
    upload = Upload([PIECE] * 50)
    await refuse(config, upload)
    assert (50_000, 51, True) == (upload.read, upload.order.count("receive"), upload.is_answered_last)


@pytest.mark.parametrize("drain", [1, BOUND, 2 * BOUND])
async def test_no_more_is_read_than_the_bound(config: JWTConfig, drain: int) -> None:
    """Of a longer body no more is read than up to the piece that reaches the bound."""
    upload = Upload([PIECE] * 10_000)
    await refuse(config, upload, drain=drain)
    assert drain <= upload.read < drain + len(PIECE)


async def test_empty_pieces_come_to_an_end(config: JWTConfig) -> None:
    """A client that sends nothing, in many pieces, is read no longer than one that sends something."""
    upload = Upload([b""] * 10_000)
    await refuse(config, upload)
    assert BOUND // 64 == upload.order.count("receive")


async def test_nothing_is_read_by_default(config: JWTConfig) -> None:
    """Without the option the answer comes at once."""
    upload = Upload([PIECE] * 3)
    await refuse(config, upload, drain=0)
    assert ["send", "send"] == upload.order


async def test_a_client_that_trickles(config: JWTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ends after one second, whatever the client still means to send."""
    spans: list[float] = []

    def at_once(seconds: float) -> anyio.CancelScope:
        spans.append(seconds)
        return real(0.01)

    real = anyio.move_on_after
    monkeypatch.setattr(module.anyio, "move_on_after", at_once)
    upload = Upload([PIECE], ends=False)
    await refuse(config, upload)
    assert ([1.0], ["receive", "receive", "send", "send"]) == (spans, upload.order)


async def test_a_client_that_goes(config: JWTConfig) -> None:
    """A client that leaves is not waited for."""
    upload = Upload([PIECE])
    upload._last = {"type": "http.disconnect", "body": b""}
    await refuse(config, upload)
    assert 2 == upload.order.count("receive")


async def test_a_client_that_waits_for_the_answer(config: JWTConfig) -> None:
    """A client that asks first whether to send (RFC 9110 section 10.1.1) is told by the answer, and sends nothing."""
    upload = Upload([PIECE])
    await refuse(config, upload, (b"expect", b"100-continue"))
    assert ["send", "send"] == upload.order


async def test_a_form_that_has_been_read(config: JWTConfig) -> None:
    """A form that was read for its CSRF value has no rest that could be waited for."""
    raw = create_access_token("alice", config).encode()
    headers = [(b"cookie", b"__Host-access_token=" + raw), (b"content-type", b"application/x-www-form-urlencoded")]
    upload = Upload([b"a=1"])
    await refuse(config, upload, *headers, sources=[Cookie()])
    assert ([403], True) == (upload.statuses, upload.is_answered_last)


async def test_only_refused_requests_are_read(config: JWTConfig) -> None:
    """The application reads the body of a request that goes on, and a refused handshake has none."""
    app = Recorder()
    guarded = JWTMiddleware(app, config, drain=BOUND)
    upload = Upload([PIECE])
    header = bearer(create_access_token("alice", config))
    await guarded(http_scope("/", header, method="POST"), upload.receive, upload.send)
    assert (1, 0) == (len(app.calls), upload.read)
    shaken = Upload([PIECE])
    await guarded(websocket_scope("/"), shaken.receive, shaken.send)
    assert "receive" not in shaken.order


@pytest.mark.parametrize("drain", [-1, True, 1.0, "1024", None])
def test_unusable_bounds(config: JWTConfig, drain: Any) -> None:
    """A bound is a number of bytes, and the message says so."""
    with pytest.raises(SettingError, match=r"drain must be an int of bytes such as 1024 \* 1024, or 0"):
        MiddlewareSettings(config, drain=drain)
