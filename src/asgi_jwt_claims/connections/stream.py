"""A response of `text/event-stream` ends by its last piece; and any other response is left alone."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from asgi_jwt_claims._asgi import SCOPE_KEY

from .asgi import ASGIConnection
from .refusals import Refusing

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Message, Receive, Scope, Send
    from asgi_jwt_claims.auth.state import RequestAuth
    from asgi_jwt_claims.errors import TokenError
    from asgi_jwt_claims.responses import ErrorResponder

__all__ = ["EventStream", "HTTPExchange"]

_EVENT_STREAM: Final = b"text/event-stream"
_SHORTEST: Final = len(_EVENT_STREAM)


class HTTPExchange(Refusing):
    """`receive` and `send` of an http request, until its response turns out to be a stream: one object, and no more.

    Args:
        scope: The scope of the request, in which the `RequestAuth` stands.
        receive: The server's.
        send: The server's.
        challenges: How to answer a refusal that the application lets go. None: the application answers by itself.
        ends: Whether a stream ends with its token.
    """

    __slots__ = (
        "_auth",
        "_challenges",
        "_ends",
        "_has_read",
        "_receive",
        "_scope",
        "_send",
        "_stream",
        "is_started",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        challenges: ErrorResponder | None = None,
        ends: bool = True,
    ) -> None:
        self._challenges = challenges
        self._ends = ends
        self.is_started = False
        self._scope = scope
        self._auth: RequestAuth | None = scope.get(SCOPE_KEY)  # the middleware has written it
        self._receive = receive
        self._send = send
        self._has_read = False
        self._stream: EventStream | None = None

    async def receive(self) -> Message:
        """What the application is told."""
        if self._has_read and self._ends:
            # Nothing but the end can come now, and the application may begin to wait for it before the stream begins.
            return await self._watched().receive()
        if self._stream is not None:
            return await self._stream.receive()
        message = await self._receive()
        self._has_read = not message.get("more_body", False)
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """What the application says; for all but streams the server's own `send`, and nothing around it."""
        if message["type"] == "http.response.start":
            self.is_started = True
            if message.get("status", 200) >= 500 and (error := self._refusal_behind(message["status"])) is not None:  # noqa: PLR2004 -- a server error, RFC 9110 section 15.6
                return self._refuse(error)
            if not self._ends or not _is_event_stream(message) or self.is_replaced:
                return self._send(message)
            return self._watched().start(message)
        return self._send(message) if self._stream is None or self.is_replaced else self._stream.send(message)

    @property
    def error(self) -> TokenError | None:
        """Why it has to end, or has ended."""
        return None if self._stream is None else self._stream.error

    async def finish(self) -> None:
        """See to it that the end is sent."""
        await self._watched().finish()

    def is_end(self, error: BaseException) -> bool:
        """Whether that is what `send` has raised since the end, and nothing else."""
        return self._stream is not None and self._stream.is_end(error)

    def leave(self) -> None:
        """The application has returned."""
        if self._stream is not None:
            self._stream.leave()

    def _watched(self) -> EventStream:
        if self._stream is None:
            self._stream = EventStream(self._scope, self._receive, self._send, self._auth)
        return self._stream


class EventStream(ASGIConnection):
    """A response of `text/event-stream`; or any other, as long as it has not begun, or if it turns out to be none."""

    __slots__ = ("_has_trailers", "_is_begun")

    def __init__(self, scope: Scope, receive: Receive, send: Send, auth: RequestAuth | None) -> None:
        super().__init__(scope, receive, send, auth)
        self._is_begun = False
        self._has_trailers = False

    async def receive(self) -> Message:
        """What the application is told."""
        message = None if self.is_over else await self._wait()
        if message is None or self.is_over:
            await self.finish()
            return {"type": "http.disconnect"}
        if message["type"] == "http.disconnect":
            self.release()
        return message

    async def start(self, message: Message) -> None:
        """Begin the stream."""
        self._is_begun = True
        self.begin()
        self._has_trailers = bool(message.get("trailers"))
        may_end_early = self._registry is not None or self.error is not None
        await self._pass_on(_without_length(message, self._scope) if may_end_early else message)

    async def send(self, message: Message) -> None:
        """What the application says."""
        if not self._is_begun:
            await self._send(message)
            return
        # Server push, trailers and messages of other extensions are no part of the body.
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if self.is_over:
            await self.finish()
            if is_last:
                return
            raise self._has_ended()
        if is_last:
            self.ended = True
            self.release()
        await self._pass_on(message)

    def _last_messages(self) -> tuple[Message, ...]:
        end: Message = {"type": "http.response.body", "body": b"", "more_body": False}
        # A server to which trailers are announced waits for them.
        return (end, {"type": "http.response.trailers", "headers": []}) if self._has_trailers else (end,)


def _is_event_stream(message: Message) -> bool:
    headers = message.get("headers", ())
    if type(headers) is not list and not isinstance(headers, tuple):
        # One framework gives a generator, which can be read only once.
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
    """The start of a stream that may end before its announced length, for which a server or a client would wait."""
    names = {header[0].lower() for header in message.get("headers", ())}
    if b"content-length" not in names:
        return message
    dropped, added = {b"content-length"}, []
    if scope.get("http_version", "1.1").startswith("1"):  # HTTP/2 has no such header (RFC 9113 section 8.2.2)
        dropped.add(b"connection")
        added = [(b"connection", b"close")]
    return {**message, "headers": [header for header in message["headers"] if header[0].lower() not in dropped] + added}
