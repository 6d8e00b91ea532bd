"""The ASGI scope of a request of Sanic, and the token that `current_token()` returns while Sanic handles it.

In ASGI mode the server has made a scope. On Sanic's own server one is made here, of the bytes that the client has sent:
Sanic decodes names and values, and takes more away from them than HTTP allows (RFC 9110 section 5.5), so that one
header or cookie could pass for another one.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from sanic.http.constants import Stage

from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.request import CURRENT_TOKEN, HOLDERS_KEY, current_token, holders_of
from asgi_jwt_claims.sources._credentials import FIELD_NAME

if TYPE_CHECKING:
    from sanic import Request

    from asgi_jwt_claims.auth.request import HoldsToken
    from asgi_jwt_claims.tokens.token import Token

__all__ = ["TASK_KEY", "hold_during", "is_asgi", "is_websocket", "let_go", "parse_head", "prepared_scope"]

TASK_KEY: Final = "asgi_jwt_claims.task"
"""The scope key of the task that handles the request."""


def is_asgi(request: Request) -> bool:
    """Whether Sanic is an ASGI application here."""
    return hasattr(request.transport, "scope")


def is_websocket(request: Request) -> bool:
    """Whether the route of a request is that of a websocket."""
    return request.route is not None and bool(getattr(request.route.extra, "websocket", False))


def prepared_scope(request: Request) -> MutableMapping[str, Any]:
    """The scope that the core reads of a request: the server's, or one made for Sanic's own server."""
    if not hasattr(request.ctx, SCOPE_KEY):  # where `scope_of` looks
        setattr(request.ctx, SCOPE_KEY, getattr(request.transport, "scope", None) or _scope_from(request))
    scope: MutableMapping[str, Any] = getattr(request.ctx, SCOPE_KEY)
    if request.route is not None:
        scope["path_template"] = request.uri_template
    return scope


def _scope_from(request: Request) -> MutableMapping[str, Any]:
    # Over HTTP/3, or from a test, there is no head. Sanic has decoded the fields, and has taken nothing away.
    decoded = ((_encoded(name), _encoded(value)) for name, value in request.headers.items())
    headers = parse_head(request.head) if request.head else _fields(decoded)
    raw_path: str = getattr(request, "path", "")  # Sanic has none for an address such as `http://example.com`
    offered = b",".join(value for name, value in headers if name == b"sec-websocket-protocol").split(b",")
    return {
        "type": "websocket" if is_websocket(request) else "http",
        "method": request.method,
        "scheme": request.scheme,
        "client": (request.client_ip, request.port),
        "path": unquote(raw_path),
        "raw_path": raw_path.encode(),
        "query_string": request.query_string.encode(),
        "headers": headers,
        "subprotocols": [name.strip(b" \t").decode("latin-1") for name in offered if name.strip(b" \t")],
        TASK_KEY: asyncio.current_task(),
    }


def parse_head(head: bytes) -> list[tuple[bytes, bytes]]:
    """Return the header fields of the head of an HTTP/1.1 request, request line included (RFC 9112 sections 2.1 and 5).

    Names are in lower case, and values without the spaces and tabs around them; nothing else is taken away. Lines that are
    no header field are left out: those without a colon, and those whose name is no token, such as a name with a space
    behind it or a line that continues the one before.
    """
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return _fields((name, value) for name, colon, value in lines if colon)


def _fields(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    # RFC 9110 section 5.6.2: a name is a token, so ASCII; `lower` of bytes changes no other letters.
    return [(name.lower(), value.strip(b" \t")) for name, value in pairs if FIELD_NAME.fullmatch(name)]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def hold_during(request: Request, scope: MutableMapping[str, Any]) -> None:
    """Let `current_token()` be the token in the scope of a request, until its response has been sent."""
    held = holders_of(scope)
    scope[HOLDERS_KEY] = (*held, request.ctx)
    # Around an application in ASGI mode, a middleware may hold the token already.
    if not held or current_token() is not scope["token"]:
        holder: HoldsToken = _RequestHolder(request, scope["token"])
        scope[HOLDERS_KEY] = (*held, request.ctx, holder)
        CURRENT_TOKEN.set(holder)


def let_go(scope: MutableMapping[str, Any]) -> None:
    """Let `current_token()` be None from now on for what has started in a request that Sanic has handled."""
    for holder in holders_of(scope):
        if isinstance(holder, _RequestHolder):
            holder.token = None


class _RequestHolder:
    """The token of one request of Sanic, until its response has been sent.

    Sanic does not say when that is, but for websockets in ASGI mode, and on its own server one task handles all requests of
    a connection. So the request is looked at whenever the token is asked for.
    """

    __slots__ = ("_request", "_task", "_token")

    def __init__(self, request: Request, token: Token | None) -> None:
        # What inherits the context of a request keeps this object, but neither the request nor its body.
        self._request = weakref.ref(request)
        self._task: weakref.ref[asyncio.Task[Any]] = weakref.ref(asyncio.current_task())  # type: ignore[arg-type]  # Sanic handles requests in tasks
        self._token = token

    @property
    def token(self) -> Token | None:
        """The token; None if there is none, or the request has ended."""
        if self._token is not None and self._is_over():
            self._token = None
        return self._token

    @token.setter
    def token(self, token: Token | None) -> None:
        self._token = token

    def _is_over(self) -> bool:
        request, task = self._request(), self._task()
        if request is None or task is None or task.done():
            return True
        stream: Any = request.stream
        if stream is None or stream.stage is Stage.IDLE:
            return True
        protocol = getattr(stream, "protocol", None)  # None in ASGI mode
        return protocol is not None and protocol.http is None  # the connection has ended first
