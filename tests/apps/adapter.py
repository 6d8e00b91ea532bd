"""What the contract needs of a framework: an application with these routes, an http client and a websocket client."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import httpx2

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    Token,
    create_token_pair,
    current_token,
    get_token,
    require,
    set_token_cookies,
    unset_token_cookies,
)
from asgi_jwt_claims.access import ACR, Fresh, Roles, Scopes
from asgi_jwt_claims.sessions import csrf_token
from tests import raw_asgi

EXEMPT = ("/refresh", "/ws/refresh", "/login")
"""Where another type of token is wanted, or none, so that the middleware must not demand an access token."""

HANDLERS = """
@jwt_required
async def protected(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity, "user_claims": token.user_claims, "current": current_token() is token})

@jwt_required()
def synchronous(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity, "user_claims": token.user_claims, "current": current_token() is token})

@jwt_required
async def tokenless(request: Request) -> Response:
    return reply({"identity": get_token(request).identity})

@jwt_required(optional=True)
async def optional(request: Request, token: Token) -> Response:
    return reply({"identity": token and token.identity})

@jwt_required(fresh=True)
async def fresh(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity})

@jwt_required(type="refresh")
async def refresh(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity, "type": token.type, "user_claims": token.user_claims})

@jwt_required(allow="ADMIN")
async def admin(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity})

@jwt_required(allow=["EDITOR", "ADMIN"])
async def either(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity})

@jwt_required(allow=[])
async def nobody(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity})

@jwt_required(deny="BANNED")
async def unbanned(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity})

@jwt_required(optional=True, allow="ADMIN")
async def optional_admin(request: Request, token: Token) -> Response:
    return reply({"identity": token and token.identity})

@jwt_required(scopes="read write")
async def scoped(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity, "scopes": sorted(token.scopes)})

@jwt_required(require=Scopes("read") & (Roles("ADMIN") | ACR("gold", "silver") & Fresh(max_age=300)))
async def ruled(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity})

@jwt_required(sources=[Cookie()])
async def by_cookie(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity, "source": token.source})

@jwt_required(sources=[BearerHeader()])
def by_header(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity, "source": token.source})

@jwt_required
async def source(request: Request, token: Token) -> Response:
    return reply({"identity": token.identity, "source": token.source})

@jwt_required
async def form(request: Request, token: Token) -> Response:
    body = await read(request)
    return reply({"identity": token.identity, "source": token.source, "body": body.decode()})

async def login(request: Request) -> Response:
    response = reply({})
    set_token_cookies(response, create_token_pair("alice", config), config)
    return response

async def page(request: Request) -> Response:
    return reply({"csrf_token": csrf_token(request, config)})

async def logout(request: Request) -> Response:
    response = reply({})
    unset_token_cookies(response, config)
    return response

async def unguarded(request: Request) -> Response:
    return reply({"identity": get_token(request).identity})

async def asking(request: Request) -> Response:
    token = require(request, Roles("ADMIN") | Scopes("read"), scopes="write")
    return reply({"identity": token.identity})

def asking_sync(request: Request) -> Response:
    return reply({"identity": require(request, allow="ADMIN").identity})

async def perhaps(request: Request) -> Response:
    token = get_token(request, optional=True)
    return reply({"identity": token and token.identity})

async def current(request: Request) -> Response:
    token = current_token()
    return reply({"identity": token and token.identity})
"""
"""The same text under every framework; only what `Request`, `Response`, `reply` and `jwt_required` mean differs."""

ROUTES = (
    "protected",
    "synchronous",
    "tokenless",
    "optional",
    "fresh",
    "refresh",
    "admin",
    "either",
    "nobody",
    "unbanned",
    "optional_admin",
    "scoped",
    "ruled",
    "unguarded",
    "asking",
    "asking_sync",
    "perhaps",
    "current",
)
"""Handlers by name; each stands at `/<name>`. Beside them: `/method`, `POST /form`, and the websockets below."""

BESIDE = ("source", "by_cookie", "by_header", "login", "page", "logout")
"""Handlers like those, which say where the token was, look in one source only, or deal with a browser's cookies."""

WEBSOCKETS: dict[str, dict[str, Any]] = {
    "/ws/echo": {},
    "/ws/admin": {"allow": "ADMIN"},
    "/ws/refresh": {"type": "refresh"},
    "/ws/by_cookie": {"sources": [Cookie()]},
}
"""The rules of websocket routes, by path."""


OF_THE_LIBRARY = (
    ACR,
    BearerHeader,
    Cookie,
    Fresh,
    Roles,
    Scopes,
    create_token_pair,
    csrf_token,
    require,
    set_token_cookies,
    unset_token_cookies,
)


def handlers(**names: Any) -> dict[str, Any]:
    """The handlers, with the names of one framework."""
    namespace: dict[str, Any] = {"Token": Token, "current_token": current_token, **names}
    namespace |= {function.__name__: function for function in OF_THE_LIBRARY}
    namespace.setdefault("get_token", get_token)
    # Not under the name of this file: Sanic would look for their source in it.
    exec(compile(HANDLERS, "<handlers>", "exec"), namespace)
    return {name: namespace[name] for name in (*ROUTES, *BESIDE, "form")}


def greeting(token: Token) -> str:
    """What a websocket says first: who it believes is there."""
    current = current_token()
    claims = {"identity": token.identity, "user_claims": token.user_claims, "source": token.source}
    return json.dumps({**claims, "current": current is token})


class Talk(NamedTuple):
    """What came of a websocket: refused with a status, or accepted with what was heard."""

    status: int | None
    headers: dict[str, str]
    texts: Sequence[str]
    code: int | None = None
    protocol: str | None = None


class Site(ABC):
    """An application that answers."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, *raws: str | bytes) -> httpx2.Response:
        """One request with these tokens in Authorization headers."""
        return await self.client.get(path, headers=[raw_asgi.bearer(raw) for raw in raws])

    async def lines(self, path: str, *values: bytes) -> httpx2.Response:
        """One request with these Authorization headers."""
        return await self.client.get(path, headers=[(b"authorization", value) for value in values])

    @property
    def origin(self) -> str:
        """What a browser says of requests of its pages. It sends Secure cookies over https, or to its own machine."""
        return str(self.client.base_url).rstrip("/").replace("http://testserver", "https://testserver")

    async def talk(self, path: str, *raws: str, says: str = "hello") -> Talk:
        """One websocket connection with these tokens in Authorization headers."""
        return await self.shake(path, *map(raw_asgi.bearer, raws), says=says)

    @abstractmethod
    async def shake(
        self, path: str, *headers: raw_asgi.Header, protocols: Sequence[str] = (), says: str = "hello"
    ) -> Talk:
        """One websocket connection that says something, listens to two messages, and leaves.

        Args:
            path: With a query, perhaps.
            headers: Of the handshake.
            protocols: The subprotocols that are offered.
            says: What.
        """


class Adapter(ABC):
    """A framework, with its adapter installed."""

    @abstractmethod
    def open(self, config: JWTConfig, *, required: bool = True, **options: Any) -> AbstractAsyncContextManager[Site]:
        """An application with all the routes, ready to answer."""


class AsgiSite(Site):
    """An application called in process."""

    def __init__(self, client: httpx2.AsyncClient, app: raw_asgi.App) -> None:
        super().__init__(client)
        self.app = app

    async def shake(
        self, path: str, *headers: raw_asgi.Header, protocols: Sequence[str] = (), says: str = "hello"
    ) -> Talk:
        """See `Site`."""
        path, _, query = path.partition("?")
        line = [(b"sec-websocket-protocol", ", ".join(protocols).encode())] if protocols else []
        more = {"query_string": query.encode(), "subprotocols": list(protocols)}
        heard = await raw_asgi.talk(self.app, path, *headers, *line, says=[says], **more)
        if "websocket.accept" in heard.types:
            protocol = heard.messages[heard.types.index("websocket.accept")].get("subprotocol")
            return Talk(None, {}, heard.texts, heard.close_code, protocol)
        return Talk(heard.status, heard.headers, (), None)


@asynccontextmanager
async def asgi_site(app: raw_asgi.App) -> AsyncIterator[Site]:
    """A site that is called in process, its lifespan started."""
    transport = httpx2.ASGITransport(app)  # type: ignore[arg-type]
    async with (
        raw_asgi.lifespan(app),
        httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        yield AsgiSite(client, app)
