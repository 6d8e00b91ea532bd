"""An authorization server in this process, which is a `post`: it knows tokens, and does what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from asgi_jwt_claims import JWTConfig
from asgi_jwt_claims.introspection import Introspection
from asgi_jwt_claims.jwks import FetchResponse
from tests.conftest import NOW

__all__ = ["CLIENT", "URL", "AuthorizationServer", "opaque"]

URL = "https://issuer.example/introspect"
CLIENT = ("orders api", "s3cr%t:ü")


class AuthorizationServer:
    """Answers by `known`, the claims of each token; about any other it says that the token is not active.

    Attributes:
        asked: The tokens that it was asked about, one entry for each call.
        calls: What each call has sent: address, form and headers.
        answer: What it does when asked; `tell` unless a test says otherwise.
        delay: How long it takes, in seconds.
        most: How many calls have run at once.
    """

    def __init__(self, **known: dict[str, Any]) -> None:
        self.known = {name: {"active": True, **claims} for name, claims in known.items()}
        self.asked: list[str] = []
        self.calls: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.answer: Callable[[str], Awaitable[FetchResponse]] = self.tell
        self.delay = 0.0
        self.running = self.most = 0

    async def __call__(
        self, url: str, *, form: Mapping[str, str], headers: Mapping[str, str], max_size: int
    ) -> FetchResponse:
        self.asked.append(form["token"])
        self.calls.append((url, dict(form), dict(headers)))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await anyio.sleep(self.delay)
            return await self.answer(form["token"])
        finally:
            self.running -= 1

    async def tell(self, token: str) -> FetchResponse:
        return FetchResponse(200, {}, json.dumps(self.known.get(token, {"active": False})).encode())

    def always(self, body: bytes | object, status: int = 200, **headers: str) -> None:
        """Answer so from now on, whatever is asked."""

        async def answer(token: str) -> FetchResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return FetchResponse(status, named, body if isinstance(body, bytes) else json.dumps(body).encode())

        self.answer = answer

    async def break_down(self, token: str) -> FetchResponse:
        raise ConnectionError("refused by a machine whose name is nobody's business")


def opaque(server: AuthorizationServer, *, settings: Mapping[str, Any] | None = None, **options: Any) -> JWTConfig:
    """A configuration that asks `server`; `options` are those of the `Introspection`."""
    introspection = Introspection(URL, CLIENT, post=server, **options)
    return JWTConfig.for_introspection(introspection, **{"clock": lambda: NOW, **(settings or {})})
