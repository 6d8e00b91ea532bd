"""Tokens of WebSocket handshakes, to which a browser's script can add no header of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from asgi_jwt_claims.errors import (
    InvalidRequestError,
    RepeatedCredentialsError,
    SettingError,
    TokenTooLargeError,
)
from asgi_jwt_claims.runtime.values import plain

from ._credentials import FIELD_NAME, ComparableSource, Credentials, check_b64token
from .forms import values_of

__all__ = ["InsecureWebSocketQuery", "WebSocketProtocol", "offered_protocols"]

_TAKEN_KEY: Final = "asgi_jwt_claims.subprotocols"
"""The scope key of `_Taken`."""

_HEADER = b"sec-websocket-protocol"
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]+")  # RFC 3986 section 2.3
_MAX_PROTOCOLS = 64  # of one handshake
_MAX_FIELDS = 64
_MAX_REST = 8192  # bytes of a query beyond the token


class _Taken(NamedTuple):
    """The subprotocols as they were offered, and what has been left of them when the token was taken out."""

    offered: list[str]
    left: list[str]


class WebSocketProtocol(ComparableSource):
    """A token offered as a subprotocol: `new WebSocket(url, ["bearer", token])`.

    The token follows the name; other protocols may stand before and behind the two. The middleware takes both out of
    what the application sees, and answers with the name where the application chooses no protocol of its own: browsers
    give up a connection for which they offered protocols and got none. The token is never sent back.

    Args:
        name: The protocol that announces the token.

    Raises:
        SettingError: A name that no protocol can have.
    """

    def __init__(self, name: str = "bearer") -> None:
        name = plain(name)
        if not isinstance(name, str) or not name.isascii() or FIELD_NAME.fullmatch(name.encode()) is None:
            raise SettingError('the name of a WebSocketProtocol must be an HTTP token such as "bearer"')
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

    def take_out(self, scope: MutableMapping[str, Any]) -> bool:
        """Take the name and the token out of the handshake that the application sees.

        Returns:
            Whether they were there, so that the name has to be answered.
        """
        protocols = offered_protocols(scope)
        # More than that are refused when the token is looked for.
        if len(protocols) > _MAX_PROTOCOLS or self.name not in protocols:
            return False
        kept = _without_token(scope.get("subprotocols") or (), self.name)
        scope[_TAKEN_KEY] = _Taken(protocols, kept)
        scope["subprotocols"] = kept
        scope["headers"] = [header for header in scope["headers"] if header[0] != _HEADER]
        if kept:
            scope["headers"].append((_HEADER, ", ".join(kept).encode("latin-1", "replace")))
        return True


class InsecureWebSocketQuery(ComparableSource):
    """A token in the query of a WebSocket's address: `wss://example.com/feed?access_token=...` (RFC 6750 section 2.3).

    Addresses end up in the logs of servers and proxies and in the histories of browsers, and with them the token. Take
    `WebSocketProtocol` or `Cookie` wherever you write the client. Never looked at for http.

    Args:
        name: The parameter; only letters, digits, `-`, `.`, `_` and `~`, which every client writes in one way.

    Raises:
        SettingError: Another name.
    """

    def __init__(self, name: str = "access_token") -> None:
        name = plain(name)
        if not isinstance(name, str) or _UNRESERVED.fullmatch(name) is None:
            raise SettingError(
                'the name of an InsecureWebSocketQuery must be a parameter such as "access_token", '
                "of letters, digits, - . _ and ~"
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
            found = values_of(query, self._name, _MAX_FIELDS, max_size)
        except ValueError:
            raise InvalidRequestError(source="websocket_query", reason="too many parameters or escapes") from None
        if not found:
            return None
        if len(found) > 1:
            raise RepeatedCredentialsError(parameter=self._name.decode())
        check_b64token(found[0], max_size, "websocket_query")
        return Credentials(found[0], "websocket_query")


def offered_protocols(scope: Mapping[str, Any]) -> list[str]:
    """The subprotocols that the client has offered, also after a token was taken out of them."""
    shown: list[str] = list(scope.get("subprotocols") or ())
    taken = scope.get(_TAKEN_KEY)
    # In a scope that was copied with other protocols, these are what is offered.
    return taken.offered if isinstance(taken, _Taken) and taken.left == shown else shown


def _without_token(protocols: list[str] | tuple[str, ...], name: str) -> list[str]:
    """Neither the name, nor what follows it: not in any other place either, where an application might choose it."""
    hidden = {name, *(protocol for before, protocol in pairwise(protocols) if before == name)}
    return [protocol for protocol in protocols if protocol not in hidden]
