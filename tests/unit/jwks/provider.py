"""An identity provider in this process: it signs, it publishes, and it fails when told to. With a clock to move."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from asgi_jwt_claims import JWTConfig, Key, create_access_token
from asgi_jwt_claims.jwks import FetchResponse, RemoteKeySet
from tests.conftest import NOW
from tests.forging import b64

__all__ = ["AUDIENCE", "ISSUER", "URL", "MovingClock", "Provider", "unknown_token", "verifier"]

ISSUER = "https://issuer.example"
URL = f"{ISSUER}/jwks"
AUDIENCE = "https://api.example"


class MovingClock:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Provider:
    """Signs tokens, and is a `fetch` that publishes the keys.

    Attributes:
        fetched: The addresses that were asked, one entry for each time.
        answer: What it does when asked; `publish` unless a test says otherwise.
        headers: Of its answers.
    """

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys) or [Key.generate("ES256")]
        self.fetched: list[str] = []
        self.answer: Callable[[str], Awaitable[FetchResponse]] = self.publish
        self.headers: dict[str, str] = {}
        self.delay = 0.0

    async def __call__(self, url: str, *, max_size: int) -> FetchResponse:
        self.fetched.append(url)
        await anyio.sleep(self.delay)
        return await self.answer(url)

    async def publish(self, url: str) -> FetchResponse:
        return FetchResponse(200, self.headers, json.dumps(self.document()).encode())

    async def break_down(self, url: str) -> FetchResponse:
        raise ConnectionError("refused by a machine whose name is nobody's business")

    def document(self) -> dict[str, Any]:
        return {"keys": [key.public_jwk() for key in self.keys]}

    def token(self, key: Key | None = None, **settings: Any) -> str:
        """A token of `key`, by default the newest; `settings` are those of the configuration that mints it."""
        signing_key = self.keys[-1] if key is None else key
        parties = {"issuer": ISSUER, "audience": AUDIENCE, "clock": lambda: NOW}
        return create_access_token("alice", JWTConfig(signing_key=signing_key, **{**parties, **settings}))


def verifier(provider: Provider, monotonic: Callable[[], float] | None = None, **options: Any) -> JWTConfig:
    """A configuration that fetches from `provider`; `options` are those of the `RemoteKeySet`."""
    clock = {} if monotonic is None else {"monotonic": monotonic}
    keys = RemoteKeySet(URL, fetch=provider, **clock, **options)
    return JWTConfig(jwks=keys, issuer=ISSUER, audience=AUDIENCE, clock=lambda: NOW)


def unknown_token(number: int, *, like: str) -> str:
    """A forged token: that of somebody, but for a kid that nobody knows."""
    _, payload, signature = like.split(".")
    header = {"alg": "ES256", "typ": "JWT", "kid": f"made-up-{number}"}
    return f"{b64(json.dumps(header).encode()).decode()}.{payload}.{signature}"
