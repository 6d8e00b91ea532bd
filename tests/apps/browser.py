"""What the browser visits: the application of the page about cookies, as the page has it, and those of other origins."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from asgi_jwt_claims import (
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenCookies,
    WebSocketProtocol,
    create_token_pair,
    get_token,
    set_token_cookies,
)
from tests.pages import ROOT, blocks, executed
from tests.support import SECRET
from tests.system.browser.driving import wait_until

PAGE = ROOT / "docs" / "how-to" / "cookies.md"


class Request(NamedTuple):
    """What has arrived, with or without cookies, and what was answered."""

    method: str
    path: str
    has_cookie: bool
    status: int


class Site:
    """An application under an origin of its own, and a blank page with a script there. Remembers what it was asked."""

    def __init__(self, app: Any, listener: socket.socket, script: str, notes: list[str], config: JWTConfig) -> None:
        self.app = app
        self.script = script
        self.notes = notes
        self.config = config
        self.requests: list[Request] = []
        self.listener = listener
        self.origin = origin(listener)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the blank page; pass everything else on, and write it down."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["path"] in ("/page", "/favicon.ico"):
            page = HTMLResponse(f"<!doctype html><title>page</title><script>{self.script}</script>")
            await page(scope, receive, send)
            return

        async def noting_send(message: Any) -> None:
            kind = message["type"]
            statuses = {"websocket.accept": 101, "websocket.close": 403}
            if kind.endswith("response.start") or (kind in statuses and not answered):
                answered.append(message.get("status") or statuses[kind])
                has_cookie = any(name == b"cookie" for name, _ in scope["headers"])
                method = scope.get("method", "WEBSOCKET")
                self.requests.append(Request(method, scope["path"], has_cookie, answered[0]))
            await send(message)

        answered: list[int] = []
        await self.app(scope, receive, noting_send)

    def forget(self) -> None:
        """As if nobody had been here."""
        self.notes.clear()
        self.requests.clear()


class Sites(NamedTuple):
    """All of them, each with a port of its own.

    Attributes:
        own: The application of the documentation.
        api: Its application for pages of another origin, which is `pages`.
        lenient: One whose cookies every site may send along; only our own checks are left.
        pages: An origin that `api` trusts, and nobody else does.
    """

    own: Site
    api: Site
    lenient: Site
    pages: Site


def origin(listener: socket.socket, host: str = "localhost") -> str:
    return f"http://{host}:{listener.getsockname()[1]}"


def program(**replaced: str) -> str:
    """The page about cookies, with the addresses in it replaced."""
    return re.sub(r"https://(app|api)\.example\.com", lambda found: replaced[found[1]], PAGE.read_text())


@contextmanager
def served_sites(directory: Path) -> Iterator[Sites]:
    """Serve them all."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        page = directory / "cookies.md"
        page.write_text(program(app=origin(listeners[3]), api=origin(listeners[1])))
        script = "\n".join(block.text for block in blocks(page) if block.language == "js")
        names = stack.enter_context(executed(page, stack.enter_context(pytest.MonkeyPatch.context())))
        notes = names["notes"]
        sites = Sites(
            own=Site(names["app"], listeners[0], script, notes, names["config"]),
            api=Site(names["api"], listeners[1], script, notes, names["trusting"]),
            lenient=lenient_site(listeners[2], script),
            pages=Site(Starlette(), listeners[3], script, [], names["config"]),
        )
        for site in sites:
            stack.enter_context(served(site))
        yield sites


def lenient_site(listener: socket.socket, script: str) -> Site:
    """Cookies without `SameSite`, and tokens as subprotocols."""
    cookies = TokenCookies(same_site="None")
    config = JWTConfig(secret_key=SECRET, cookies=cookies, leeway=0)
    notes: list[str] = []

    async def login(request: Any) -> Response:
        pair = create_token_pair("alice", config)
        response = Response(pair.access_token)
        set_token_cookies(response, pair, config)
        return response

    async def add_note(request: Any) -> Response:
        notes.append((await request.body()).decode())
        return Response(get_token(request).identity)

    async def feed(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(f"Hello {get_token(websocket).identity} {websocket.scope['subprotocols']}")
        async for text in websocket.iter_text():
            notes.append(text)  # noqa: PERF401 -- each as it comes

    routes = [
        Route("/login", login, methods=["POST"]),
        Route("/notes", add_note, methods=["POST"]),
        WebSocketRoute("/feed", feed),
    ]
    app = JWTMiddleware(
        Starlette(routes=routes), config, sources=[Cookie(cookies), WebSocketProtocol()], exempt=["/login"]
    )
    return Site(app, listener, script, notes, config)


@contextmanager
def served(site: Site) -> Iterator[None]:
    """A site, by uvicorn in a thread of its own."""
    server = uvicorn.Server(uvicorn.Config(site, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [site.listener]})
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        thread.join()
