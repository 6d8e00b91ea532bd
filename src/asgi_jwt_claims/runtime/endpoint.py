"""Answer http requests without a guard in front: what all endpoints of this library share."""

from __future__ import annotations

import base64
import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from asgi_jwt_claims.errors import UnsupportedScopeError

if TYPE_CHECKING:
    from asgi_jwt_claims._asgi import Receive, Scope, Send

__all__ = ["Document", "Endpoint", "Headers", "entity_tag", "send_http"]

Headers: TypeAlias = list[tuple[bytes, bytes]]


class Endpoint(ABC):
    """An ASGI application of this library, which demands by itself what it needs of a request."""

    def answers(self, path: str) -> bool:
        """Whether it answers a path below the one where it is mounted; that one itself is `""`."""
        return path in ("", "/")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            raise UnsupportedScopeError(
                f"scope type {scope['type']!r} is not answered; mount {type(self).__name__} in an application"
            )

    @abstractmethod
    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an http scope."""


class Document(Endpoint):
    """Answers GET and HEAD with one document that anyone may read, and caches may keep.

    An `ETag` tells clients that nothing has changed (RFC 9110 section 13.1.2).
    """

    _media_type: ClassVar[bytes] = b"application/json"
    _methods: ClassVar[bytes] = b"GET, HEAD"
    _common: ClassVar[tuple[tuple[bytes, bytes], ...]] = ()
    _cache_control: bytes

    @abstractmethod
    def _content(self) -> tuple[bytes, bytes]:
        """Return the document as it is now, and its entity tag."""

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- no body is read
        if scope["method"] not in ("GET", "HEAD"):
            await send_http(send, 405, [(b"allow", self._methods), (b"content-length", b"0")])
            return
        body, etag = self._content()
        validators = [(b"cache-control", self._cache_control), (b"etag", etag), *self._common]
        if _is_known(etag, scope):
            await send_http(send, 304, validators)
            return
        content = [(b"content-type", self._media_type), (b"content-length", str(len(body)).encode())]
        await send_http(send, 200, [*content, *validators], b"" if scope["method"] == "HEAD" else body)


def entity_tag(body: bytes) -> bytes:
    """Return a strong entity tag for a document."""
    return b'"' + base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=") + b'"'


def _is_known(etag: bytes, scope: Scope) -> bool:
    """Whether the client has this document: `If-None-Match`, compared weakly (RFC 9110 section 13.1.2)."""
    # An entity tag may hold a comma, but ours does not, so that splitting at commas cannot break it.
    values = [value for name, value in scope["headers"] if name == b"if-none-match"]
    tags = {tag.strip().removeprefix(b"W/") for value in values for tag in value.split(b",")}
    return etag in tags or b"*" in tags


async def send_http(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """Send a whole http response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
