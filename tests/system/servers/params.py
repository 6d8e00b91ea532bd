"""How oddities are sent, as a request and as the handshake of a websocket, and what may become of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

import pytest

from tests import sockets
from tests.system.servers.servers import Server


class Way(NamedTuple):
    """How something is asked.

    Attributes:
        ask: Sends it.
        opened: The status of the application's answer.
        seen: The path that the application saw, which it tells in its answer.
    """

    ask: Callable[..., sockets.Response]
    opened: int
    seen: Callable[[sockets.Response], str]


def seen_by_websocket(answer: sockets.Response) -> str:
    """The second of the messages, in short unmasked frames (RFC 6455 section 5.2)."""
    second = answer.body[2 + answer.body[1] :]
    return unquote(second[2 : 2 + second[1]])


HTTP = Way(sockets.ask, 200, lambda answer: unquote(answer.headers[b"x-path"]))
WEBSOCKET = Way(sockets.shake, sockets.SWITCHING, seen_by_websocket)
REFUSED = {sockets.SILENT, 400, 401, 413, 414, 431}
each_way = pytest.mark.parametrize("way", [HTTP, WEBSOCKET], ids=["http", "websocket"])


def check_refused(server: Server, what: bytes, answer: sockets.Response) -> None:
    """It was refused, by the middleware or already by the server, which nothing has upset."""
    refused = REFUSED if server.kind.denies else {*REFUSED, 403}
    if answer.status not in refused:
        pytest.fail(f"{what!r} was answered with {answer.status}")
