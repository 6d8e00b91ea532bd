"""What the contract needs of a framework: an application with these routes, an http client and a websocket client."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import httpx2

from asgi_jwt_claims import JWTConfig, Token, current_token, get_token
from tests import by_hand

EXEMPT = ("/refresh", "/ws/refresh")
"""Where another type of token is wanted, so that the middleware must not demand an access token."""

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

async def unguarded(request: Request) -> Response:
    return reply({"identity": get_token(request).identity})

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
    "unguarded",
    "perhaps",
    "current",
)
"""Handlers by name; each stands at `/<name>`. Beside them: `/method` and `/ws/echo`, `/ws/admin`, `/ws/refresh`."""


def handlers(**names: Any) -> dict[str, Any]:
    """The handlers, with the names of one framework."""
    namespace: dict[str, Any] = {"Token": Token, "current_token": current_token, **names}
    namespace.setdefault("get_token", get_token)
    # Not under the name of this file: Sanic would look for their source in it.
    exec(compile(HANDLERS, "<handlers>", "exec"), namespace)
    return {name: namespace[name] for name in ROUTES}


def greeting(token: Token) -> str:
    """What a websocket says first: who it believes is there."""
    current = current_token()
    return json.dumps({"identity": token.identity, "user_claims": token.user_claims, "current": current is token})


class Talk(NamedTuple):
    """What came of a websocket: refused with a status, or accepted with what was heard."""

    status: int | None
    headers: dict[str, str]
    texts: Sequence[str]
    code: int | None = None


class Site(ABC):
    """An application that answers."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, *raws: str | bytes) -> httpx2.Response:
        """One request with these tokens in Authorization headers."""
        return await self.client.get(path, headers=[by_hand.bearer(raw) for raw in raws])

    async def lines(self, path: str, *values: bytes) -> httpx2.Response:
        """One request with these Authorization headers."""
        return await self.client.get(path, headers=[(b"authorization", value) for value in values])

    @abstractmethod
    async def talk(self, path: str, *raws: str, says: str = "hello") -> Talk:
        """One websocket connection that says something, listens to two messages, and leaves."""


class Door(ABC):
    """A framework, with its adapter installed."""

    @abstractmethod
    def open(self, config: JWTConfig, *, required: bool = True, **options: Any) -> AbstractAsyncContextManager[Site]:
        """An application with all the routes, ready to answer."""


class AsgiSite(Site):
    """An application called in process."""

    def __init__(self, client: httpx2.AsyncClient, app: by_hand.App) -> None:
        super().__init__(client)
        self.app = app

    async def talk(self, path: str, *raws: str, says: str = "hello") -> Talk:
        """See `Site`."""
        heard = await by_hand.talk(self.app, path, *map(by_hand.bearer, raws), says=[says])
        if "websocket.accept" in heard.types:
            return Talk(None, {}, heard.texts, heard.close_code)
        return Talk(heard.status, heard.headers, (), None)


@asynccontextmanager
async def asgi_site(app: by_hand.App) -> AsyncIterator[Site]:
    """A site that is called in process, its lifespan started."""
    transport = httpx2.ASGITransport(app)  # type: ignore[arg-type]
    async with (
        by_hand.lifespan(app),
        httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client,
    ):
        yield AsgiSite(client, app)
