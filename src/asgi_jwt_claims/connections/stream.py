"""A response of `text/event-stream` ends by its last piece. Any other response is left alone."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from asgi_jwt_claims._asgi import SCOPE_KEY

from .asgi import SERVER_ERROR, ASGIConnection, Refusing
from .states import PENDING

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Message, Receive, Scope, Send
    from asgi_jwt_claims.auth.state import RequestAuth
    from asgi_jwt_claims.responses import ErrorResponder

__all__ = ["EventStream", "HTTPExchange"]

_EVENT_STREAM: Final = b"text/event-stream"
_SHORTEST: Final = len(_EVENT_STREAM)


class EventStream(ASGIConnection):
    """A response of `text/event-stream`, or one that may turn out to be."""

    _LAST = "http.response.body"

    __slots__ = ("_has_trailers",)

    _has_trailers: bool

    async def start(self, message: Message) -> None:
        """Send the start of the response, and the end after it if a token has ended."""
        if self.state is not PENDING:
            await self.send(message)
            return
        self.open()
        self._has_trailers = bool(message.get("trailers"))
        may_end_early = self._registry is not None or self.error is not None
        await self._pass_on(_without_length(message, self._scope) if may_end_early else message)

    def _disconnect(self) -> Message:
        return {"type": "http.disconnect"}

    def _last_messages(self) -> tuple[Message, ...]:
        end: Message = {"type": "http.response.body", "body": b"", "more_body": False}
        # A server waits for trailers that were announced.
        return (end, {"type": "http.response.trailers", "headers": []}) if self._has_trailers else (end,)


class HTTPExchange(Refusing):
    """`receive` and `send` of an http request, until its response turns out to be an event stream.

    `challenges` writes the answer to a refusal that the application lets through; None leaves that to the application.
    `ends` says whether an event stream ends with its token; `watched` is that stream, or what may turn out to be one.
    """

    __slots__ = ("_auth", "_challenges", "_ends", "_has_read", "_receive", "_scope", "_send", "is_started", "watched")

    _STREAM: type[EventStream] = EventStream

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, challenges: ErrorResponder | None = None, ends: bool = True
    ) -> None:
        self._challenges = challenges
        self._ends = ends
        self.is_started = False
        self._scope = scope
        self._auth: RequestAuth | None = scope.get(SCOPE_KEY)  # the middleware has written it
        self._receive = receive
        self._send = send
        self._has_read = False
        self.watched: EventStream | None = None

    async def receive(self) -> Message:
        """Receive what the client sends, or that it has left."""
        # Once all is read only a disconnect can come, and the application may wait for it before the stream starts.
        watched = self._watch() if self._has_read and self._ends else self.watched
        if watched is not None:
            return await watched.receive()
        message = await self._receive()
        self._has_read = not message.get("more_body", False)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Send what the application sends: by the server's own `send` and nothing around it, but for event streams."""
        if message["type"] == "http.response.start":
            self.is_started = True
            status = message.get("status", 200)
            if status >= SERVER_ERROR and (error := self._refusal_behind(status)) is not None:
                return self._refuse(error)
            if self._ends and _is_event_stream(message) and not self.is_replaced:
                return self._watch().start(message)
            self._ends = False
            if self.watched is not None:
                self.watched.close()
        return self._send(message) if self.watched is None or self.is_replaced else self.watched.send(message)

    def _watch(self) -> EventStream:
        if self.watched is None:
            self.watched = self._STREAM(self._scope, self._receive, self._send, self._auth)
        return self.watched


def _is_event_stream(message: Message) -> bool:
    headers = message.get("headers", ())
    if type(headers) is not list and not isinstance(headers, tuple):
        # Sanic gives a generator, which can be read only once.
        message["headers"] = headers = list(headers)
    for name, value in headers:
        # Most values are shorter, so that most requests cost one comparison for each header.
        if len(value) >= _SHORTEST and name.lower() == b"content-type":
            # Clients do not agree on which of several types counts (Fetch standard, "extract a MIME type").
            for kind in value.split(b","):
                if kind.partition(b";")[0].strip().lower() == _EVENT_STREAM:
                    return True
    return False


def _without_length(message: Message, scope: Scope) -> Message:
    """The start of a stream without its announced length, which server and client would wait for after an early end."""
    names = {header[0].lower() for header in message.get("headers", ())}
    if b"content-length" not in names:
        return message
    dropped, added = {b"content-length"}, []
    if scope.get("http_version", "1.1").startswith("1"):  # HTTP/2 has no such header (RFC 9113 section 8.2.2)
        dropped.add(b"connection")
        added = [(b"connection", b"close")]
    return {**message, "headers": [header for header in message["headers"] if header[0].lower() not in dropped] + added}
