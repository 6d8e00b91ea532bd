"""End Sanic's connections with their token, and keep the token of a handshake from the application.

In ASGI mode Sanic's transport gets what the middleware puts around an application. On Sanic's own server `_OwnStream` takes
the place of what sends a response of `text/event-stream`. After its end the connection is closed, too: the handler may wait
for anything, and the client's next request would wait with it. Sanic then tells the handler that the client has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

import anyio
from sanic.compat import Header
from sanic.exceptions import RequestCancelled
from sanic.response import BaseHTTPResponse
from sanic.server import HttpProtocol

from asgi_jwt_claims.connections.base import Connection
from asgi_jwt_claims.connections.states import Event
from asgi_jwt_claims.connections.stream import EventStream, HTTPExchange
from asgi_jwt_claims.connections.websocket import WebSocketConnection
from asgi_jwt_claims.errors import ConnectionEndedError
from asgi_jwt_claims.responses import close_code

from ._scope import TASK_KEY, is_asgi, prepared_scope

if TYPE_CHECKING:
    from sanic import Request

    from asgi_jwt_claims.auth.settings import MiddlewareSettings

__all__ = ["strip_token", "translate_denials", "watch_asgi", "watch_stream", "watch_websocket"]

_PROTOCOLS = "sec-websocket-protocol"


class TaskBound(Connection):
    """Detaches when the request's task ends, the one event that Sanic always delivers."""

    def open(self, adopt_within: float | None = None) -> None:
        """See `Connection`."""
        super().open(adopt_within)
        self._scope[TASK_KEY].add_done_callback(self._on_done)

    def detach(self) -> None:
        """See `Connection`."""
        # On Sanic's own server a task handles many requests. It must not keep something of each.
        self._scope[TASK_KEY].remove_done_callback(self._on_done)
        super().detach()

    def _on_done(self, _: asyncio.Task[Any]) -> None:
        self.detach()


class _Stream(TaskBound, EventStream):
    """An event stream."""


class _Exchange(HTTPExchange):
    """A request that may be answered with an event stream."""

    _STREAM = _Stream

    @property
    def has_ended(self) -> bool:
        """Whether the response has ended, or is going to end, with its token."""
        return self.watched is not None and self.watched.error is not None


class _WebSocket(TaskBound, WebSocketConnection):
    """A websocket in ASGI mode."""

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """See `WebSocketConnection`."""
        if self.error is not None and message["type"].startswith("http."):
            return  # Sanic's answer where accepting was not possible any more: the handshake has been refused
        try:
            await super().send(message)
        except ConnectionEndedError as error:
            error.quiet = True  # type: ignore[attr-defined]  # so Sanic does not log it, if its handler lets it go
            raise


class _OwnWebSocket(TaskBound):
    """A websocket on Sanic's own server."""

    def __init__(self, scope: MutableMapping[str, Any], websocket: Any, code: int) -> None:
        super().__init__(scope)
        self._websocket, self._close_code = websocket, code

    def end_soon(self) -> None:
        """See `Connection`."""
        self._move(Event.END_SENT)
        # `close()` keeps delivering client messages until the client acknowledges.
        self._websocket.end_connection(self._close_code, self.reason)


class _OwnStream:
    """What Sanic's own server reads a request and sends its response through; the exchange sends."""

    def __init__(self, stream: Any, exchange: _Exchange) -> None:
        vars(self).update(_stream=stream, _exchange=exchange)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_stream"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(vars(self)["_stream"], name, value)

    def __aiter__(self) -> Any:
        return self._stream.__aiter__()

    def respond(self, response: BaseHTTPResponse) -> BaseHTTPResponse:
        """Connect a response, which middleware may have changed for another."""
        self._stream.respond(response)
        response.stream = self  # type: ignore[assignment]  # it does what Sanic asks of a stream
        return response

    @property
    def send(self) -> Any:
        """What sends a part of the response; None once it has ended by itself."""
        return self._send if self._exchange.has_ended or self._stream.send is not None else None

    async def _send(self, data: bytes, end_stream: bool) -> None:
        try:
            await self._exchange.send({"type": "http.response.body", "body": data, "more_body": not end_stream})
        except ConnectionEndedError:
            raise RequestCancelled from None  # as if the client had gone


def strip_token(request: Request, scope: MutableMapping[str, Any], protocol: str) -> None:
    """Show the application a handshake without the token that was offered as a subprotocol, as `scope` already has it.

    `protocol` is the answer when the route names no protocol that the client knows.
    """
    if is_asgi(request):
        _offer(request, scope["subprotocols"])
        return
    # Sanic's own server answers only what has been offered, and what the route names. The route's come first.
    _offer(request, (*scope["subprotocols"], protocol))
    handler: Any = request.route.handler  # type: ignore[union-attr]  # there is one, that of a websocket
    request.match_info["subprotocols"] = [*(handler.keywords.get("subprotocols") or ()), protocol]


def translate_denials(request: Request, scope: MutableMapping[str, Any]) -> None:
    """Make denial responses of Sanic's http answers to a websocket in ASGI mode, or closes where no server takes those."""
    transport: Any = request.transport  # its type is that of Sanic's own server, which has no send
    send = transport.send
    can_deny = "websocket.http.response" in (scope.get("extensions") or {})

    async def translate(message: MutableMapping[str, Any]) -> None:
        if not message["type"].startswith("http."):
            await send(message)
        elif can_deny:
            # Sanic's headers are a generator, which a server may want to read more than once.
            headers = {"headers": list(message["headers"])} if "headers" in message else {}
            await send({**message, **headers, "type": f"websocket.{message['type']}"})
        elif message["type"] == "http.response.start":
            await send({"type": "websocket.close", "code": close_code(message["status"]), "reason": ""})

    transport.send = translate


def watch_asgi(
    request: Request, scope: MutableMapping[str, Any], settings: MiddlewareSettings, protocol: str | None
) -> None:
    """Let what this request opens end with its token, in ASGI mode. `protocol` is that of `strip_token`, if any."""
    transport: Any = request.transport
    receive, send = transport.receive, transport.send
    scope[TASK_KEY] = asyncio.current_task()
    connection: _WebSocket | _Exchange
    if scope["type"] == "websocket":
        connection = _WebSocket(scope, receive, send, settings, protocol)
        # Sanic has made one already, from the server's own functions, and with the token among its protocols.
        transport.create_websocket_connection(connection.send, connection.receive)
    elif settings.end_with_token:
        connection = _Exchange(scope, receive, send)
    else:
        return
    transport.receive, transport.send = connection.receive, connection.send


def watch_websocket(
    request: Request, scope: MutableMapping[str, Any], settings: MiddlewareSettings, websocket: Any
) -> None:
    """Let a websocket that has been opened end with its token; in ASGI mode `watch_asgi` has seen to that."""
    websocket.scope = scope  # so that a handler may give it to `get_token` and `adopt_token`
    if is_asgi(request):
        return
    if request.match_info.pop("subprotocols", None) is not None:
        _offer(request, scope["subprotocols"])
    if settings.end_with_token:
        connection = _OwnWebSocket(scope, websocket, settings.close_code)
        connection.open(settings.adopt_within)
        if connection.is_over:
            connection.end_soon()  # the handshake is over, too; the handler finds its client gone


async def watch_stream(request: Request, response: Any) -> None:
    """Let a response that has not started end with its token, if it is an event stream on Sanic's own server."""
    kind = _content_type(response)
    if is_asgi(request) or "event-stream" not in kind:
        return
    stream: Any = request.stream

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            return  # Sanic sends the headers with the first of the body
        is_last = not message["more_body"]
        try:
            await stream.send(message["body"], end_stream=is_last)
            if stream.send is None and exchange.watched is not None and not exchange.has_ended:
                exchange.watched.detach()
        finally:
            if is_last and exchange.has_ended:
                _hang_up(request)

    exchange = _Exchange(prepared_scope(request), anyio.sleep_forever, send)  # type: ignore[arg-type]  # it returns nothing, as it never does
    request.stream = watched = _OwnStream(stream, exchange)  # type: ignore[assignment]  # see `_OwnStream.respond`
    if isinstance(response, BaseHTTPResponse):
        watched.respond(response)
    await exchange.send({"type": "http.response.start", "headers": [(b"content-type", kind.encode())]})


def _content_type(response: Any) -> str:
    """The content type of what a handler has responded with, in lower case."""
    headers = getattr(response, "headers", None)
    kinds = headers.getall("content-type", ()) if isinstance(headers, Header) else ()
    kind = ", ".join(map(str, kinds)) or getattr(response, "content_type", None)
    return str(kind or "").lower()


def _offer(request: Request, protocols: Iterable[str]) -> None:
    request.headers.popall(_PROTOCOLS, None)
    offered = ", ".join(protocols)
    if offered:
        request.headers[_PROTOCOLS] = offered


def _hang_up(request: Request) -> None:
    protocol = request.protocol
    if isinstance(protocol, HttpProtocol):  # HTTP/3 has other streams on the same connection
        protocol.close()
