"""Read the token of a WebSocket handshake, to which scripts in browsers cannot add headers."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from itertools import pairwise
from typing import Any, Final

from asgi_jwt_claims.errors import InvalidRequestError, RepeatedCredentialsError, SettingError, TokenTooLargeError
from asgi_jwt_claims.runtime.values import plain

from ._credentials import FIELD_NAME, ComparableSource, Credentials, check_b64token
from .forms import field_values

__all__ = ["InsecureWebSocketQuery", "WebSocketProtocol", "offered_protocols"]

_STRIPPED_KEY: Final = "asgi_jwt_claims.subprotocols"  # the scope key of those offered, and those without the token
_HEADER = b"sec-websocket-protocol"
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]+")  # RFC 3986 section 2.3
_MAX_PROTOCOLS = 64  # of one handshake
_MAX_FIELDS = 64
_MAX_REST = 8192  # bytes of a query beyond the token


class WebSocketProtocol(ComparableSource):
    """A token offered as a subprotocol: `new WebSocket(url, ["bearer", token])`.

    The token follows the name; other protocols may stand before and after the two. The middleware hides both from the
    application. If the application chooses no protocol, the middleware chooses the name, without which browsers would
    fail the connection. The token is never sent back.

    Args:
        name: The subprotocol that announces the token.

    Raises:
        SettingError: The name is not an HTTP token.
    """

    def __init__(self, name: str = "bearer") -> None:
        name = plain(name)
        if not isinstance(name, str) or not name.isascii() or FIELD_NAME.fullmatch(name.encode()) is None:
            raise SettingError(f'WebSocketProtocol name must be a subprotocol such as "bearer", got {name!r}')
        self.name = name

    def __call__(self, scope: Mapping[str, Any], max_size: int) -> Credentials | None:
        """See `Source`."""
        if scope.get("type") != "websocket":
            return None
        protocols = offered_protocols(scope)
        if len(protocols) > _MAX_PROTOCOLS:
            raise InvalidRequestError(source="websocket_protocol", reason="so many subprotocols", count=len(protocols))
        if self.name not in protocols:
            return None
        if protocols.count(self.name) > 1:
            raise RepeatedCredentialsError(protocol=self.name)
        following = "".join(protocols[protocols.index(self.name) + 1 :][:1])
        if not following.isascii():
            raise InvalidRequestError(source="websocket_protocol", reason="not ASCII")
        token = following.encode()
        check_b64token(token, max_size, "websocket_protocol")
        return Credentials(token, "websocket_protocol")

    def strip(self, scope: MutableMapping[str, Any]) -> bool:
        """Remove name and token from the handshake that the application sees, and tell whether the name was offered."""
        protocols = offered_protocols(scope)
        # A handshake with more subprotocols is refused when the credentials are extracted.
        if len(protocols) > _MAX_PROTOCOLS or self.name not in protocols:
            return False
        shown = scope.get("subprotocols") or ()
        # The name and the token go wherever they occur, so that neither can be chosen.
        hidden = {self.name, *(protocol for before, protocol in pairwise(shown) if before == self.name)}
        kept = [protocol for protocol in shown if protocol not in hidden]
        scope[_STRIPPED_KEY] = (protocols, kept[:])  # the application may change its list in place
        scope["subprotocols"] = kept
        scope["headers"] = [header for header in scope["headers"] if header[0] != _HEADER]
        if kept:
            scope["headers"].append((_HEADER, ", ".join(kept).encode("latin-1", "replace")))
        return True


class InsecureWebSocketQuery(ComparableSource):
    """A token in the query of a WebSocket URL: `wss://example.com/feed?access_token=...` (RFC 6750 section 2.3).

    URLs, and the token with them, end up in the logs of servers and proxies and in the history of browsers. Use
    `WebSocketProtocol` or `Cookie` if you write the client. The source finds nothing in http requests.

    Args:
        name: The name of the parameter. It consists of letters, digits, `-`, `.`, `_` and `~`, which no client escapes.

    Raises:
        SettingError: The name has other characters.
    """

    def __init__(self, name: str = "access_token") -> None:
        name = plain(name)
        if not isinstance(name, str) or _UNRESERVED.fullmatch(name) is None:
            raise SettingError(
                'InsecureWebSocketQuery name must consist of letters, digits, - . _ and ~, such as "access_token", '
                f"got {name!r}"
            )
        self._name = name.encode()

    def __call__(self, scope: Mapping[str, Any], max_size: int) -> Credentials | None:
        """See `Source`."""
        if scope.get("type") != "websocket":
            return None
        query: bytes = scope.get("query_string", b"")
        if self._name not in query:
            return None
        if len(query) > max_size + _MAX_REST:
            raise TokenTooLargeError(size=len(query), max_size=max_size)
        try:
            found = field_values(query, self._name, _MAX_FIELDS, max_size)
        except ValueError:
            raise InvalidRequestError(source="websocket_query", reason="too many parameters or escapes") from None
        if not found:
            return None
        if len(found) > 1:
            raise RepeatedCredentialsError(parameter=self._name.decode())
        check_b64token(found[0], max_size, "websocket_query")
        return Credentials(found[0], "websocket_query")


def offered_protocols(scope: Mapping[str, Any]) -> list[str]:
    """Return the subprotocols that the client offered, including a token that was removed from the scope."""
    shown: list[str] = list(scope.get("subprotocols") or ())
    offered, left = scope.get(_STRIPPED_KEY, (shown, shown))
    # A scope may have been copied with other subprotocols, which count then.
    return offered if left == shown else shown
