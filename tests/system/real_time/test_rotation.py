"""Rotation from end to end, over real HTTP: one application mints and publishes, another verifies by URL."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("httpx2")
pytest.importorskip("uvicorn")

import anyio
import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    Key,
    create_access_token,
    get_token,
)
from asgi_jwt_claims.jwks import FetchPolicy, HTTPXFetch, JWKSEndpoint, RemoteKeySet
from asgi_jwt_claims.keys import KeyRing
from tests.sockets import PATIENCE

ISSUER, AUDIENCE = "https://login.example", "https://api.example"
LEAD = 2.0  # seconds from a key's publication to its first use
LIFETIME = 60

pytestmark = pytest.mark.anyio


@contextlib.contextmanager
def served(app: Any) -> Iterator[str]:
    """`app` under uvicorn, in a thread and on an event loop of its own. Yields its URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + PATIENCE
            while not server.started:
                assert time.monotonic() < deadline
                assert thread.is_alive()
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


async def read(request: Request) -> Response:
    return JSONResponse({"kid": get_token(request).headers["kid"]})


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_three_rotations_under_load_refuse_nobody() -> None:
    """Tokens of each key are accepted from its first to its last, by an application that knows nothing but a URL."""  # S92, S93
    ring = KeyRing(Key.generate("ES256"), publish_ahead=LEAD, retain=LIFETIME + 10)
    minting = JWTConfig(
        key_ring=ring, issuer=ISSUER, audience=AUDIENCE, access_lifetime=LIFETIME, refresh_lifetime=LIFETIME
    )

    async def log_in(request: Request) -> Response:
        return JSONResponse({"access_token": create_access_token("alice", minting)})

    login = Starlette(
        routes=[Route("/login", log_in), Mount("/jwks", JWKSEndpoint(ring, max_age=LEAD / 2))],
    )
    with served(login) as login_url:
        keys = RemoteKeySet(
            f"{login_url}/jwks/",
            loopback_http=True,
            fetch=HTTPXFetch(),
            policy=FetchPolicy(ttl=0.25, min_ttl=0.25, max_ttl=0.25, backoff=0.05, unknown_kid_interval=600),
        )
        api = JWTMiddleware(
            Starlette(routes=[Route("/", read)]), JWTConfig(jwks=keys, issuer=ISSUER, audience=AUDIENCE)
        )
        with served(api) as api_url:
            accepted, refused, tokens = await under_load(ring, login_url, api_url)
            assert [] == refused
            assert 4 == len(accepted)
            assert all(count > 10 for count in accepted.values()), accepted
            assert 3 <= keys.status().rotations
            await remove_and_ask(ring, keys, api_url, tokens)


async def under_load(ring: KeyRing, login_url: str, api_url: str) -> tuple[dict[str, int], list[Any], list[str]]:
    """Log in and ask all the time, with new tokens and with old ones, while the ring turns three times."""
    accepted: dict[str, int] = {}
    refused: list[Any] = []
    tokens: list[str] = []
    turned = anyio.Event()

    async def user(client: httpx2.AsyncClient) -> None:
        while not turned.is_set():
            raw = (await client.get(f"{login_url}/login")).json()["access_token"]
            tokens.append(raw)
            for one in (raw, raw, random.choice(tokens)):
                answer = await client.get(api_url, headers={"Authorization": f"Bearer {one}"})
                if answer.status_code == 200:
                    kid = answer.json()["kid"]
                    accepted[kid] = accepted.get(kid, 0) + 1
                else:
                    refused.append((answer.status_code, answer.text))

    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client, anyio.create_task_group() as users:
        for _ in range(4):
            users.start_soon(user, client)
        for _ in range(3):
            await anyio.sleep(0.3)
            added = Key.generate("ES256")
            ring.add(added)
            with anyio.fail_after(PATIENCE):
                while ring.current is not added:  # noqa: ASYNC110 -- the clock tells nobody
                    await anyio.sleep(0.02)
        await anyio.sleep(0.5)
        turned.set()
    return accepted, refused, tokens


async def remove_and_ask(ring: KeyRing, keys: RemoteKeySet, api_url: str, tokens: list[str]) -> None:
    """Take every retired key off: after the next refresh none of its tokens is accepted, and all others are.

    A key that may not be looked for yet cannot be called invalid: 503. How many those are depends on how long this takes.
    """
    removed = {key.kid for key in ring.retired}
    for kid in removed:
        ring.remove(kid)
    fetched = keys.status().fetches
    with anyio.fail_after(PATIENCE):
        while keys.status().fetches < fetched + 2:  # noqa: ASYNC110 -- what is waited for tells nobody
            await anyio.sleep(0.02)
    by_status: dict[int, set[str]] = {}
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        for raw in tokens[:: max(1, len(tokens) // 100)] + tokens[-1:]:
            kid = key_of(raw)
            answer = await client.get(api_url, headers={"Authorization": f"Bearer {raw}"})
            by_status.setdefault(answer.status_code, set()).add(kid)
    assert {ring.current.kid} == by_status.pop(200)
    assert by_status[401]
    assert removed == by_status.pop(401) | by_status.pop(503, set())
    assert {} == by_status


def key_of(raw: str) -> str:
    """The kid that a token names."""

    header = raw.split(".", 1)[0]
    kid: str = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    return kid
