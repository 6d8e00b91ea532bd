"""`JWKSEndpoint`: what it answers, to whom, and what it never says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi_jwt_claims import Key, KeySet
from asgi_jwt_claims.errors import KeyConfigurationError, SettingError, UnsupportedScopeError
from asgi_jwt_claims.jwks import JWKSEndpoint
from asgi_jwt_claims.keys import KeyRing
from tests.conftest import NOW, HeldClock
from tests.keys import make_key

pytestmark = pytest.mark.anyio

ALGORITHMS = ("RS256", "PS384", "ES256", "ES512", "EdDSA", "Ed448")
KEYS = [make_key(algorithm, kid=algorithm) for algorithm in ALGORITHMS]
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


async def ask(
    app: JWKSEndpoint, method: str = "GET", headers: list[tuple[bytes, bytes]] | None = None
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("there is nothing to read")

    await app({"type": "http", "method": method, "path": "/any", "headers": headers or []}, receive, send)
    assert ["http.response.start", "http.response.body"] == [message["type"] for message in sent]
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], head, sent[1]["body"]


async def test_the_public_keys_are_answered() -> None:
    """A JWK Set of its own media type, to be kept for five minutes, with everything a verifier needs and nothing more."""
    status, headers, body = await ask(JWKSEndpoint(KEYS))
    document = json.loads(body)
    assert (200, ["keys"]) == (status, list(document))
    assert [key.public_jwk() for key in KEYS] == document["keys"]
    assert {
        "content-type": "application/jwk-set+json",
        "content-length": str(len(body)),
        "cache-control": "public, max-age=300",
        "etag": headers["etag"],
    } == headers
    assert list(ALGORITHMS) == [key.algorithm for key in KeySet.from_jwks(body)]


async def test_no_private_member_is_ever_answered() -> None:
    """Private keys of every kind go in, and only their public halves come out."""  # S144
    _, _, body = await ask(JWKSEndpoint(KeySet(KEYS)))
    assert set() == {member for jwk in json.loads(body)["keys"] for member in jwk} & PRIVATE_MEMBERS
    with pytest.raises(KeyConfigurationError, match="keys holds a secret"):
        JWKSEndpoint([Key.generate("HS256")])


@pytest.mark.parametrize(
    ("known", "status"),
    [
        ("{etag}", 304),
        ("W/{etag}", 304),
        ('"other", {etag}', 304),
        ("*", 304),
        ('"other"', 200),
        ("", 200),
        ("{etag}x", 200),
    ],
)
async def test_who_has_them_already_is_told_so(known: str, status: int) -> None:
    """RFC 9110 section 13.1.2: an entity tag that matches, weakly compared, gets 304 with the validators and no body."""
    app = JWKSEndpoint(KEYS)
    _, headers, body = await ask(app)
    value = known.format(etag=headers["etag"]).encode()
    seen, head, sent = await ask(app, headers=[(b"if-none-match", value)])
    assert (status, b"" if status == 304 else body) == (seen, sent)
    assert headers["etag"] == head["etag"]
    assert "public, max-age=300" == head["cache-control"]


async def test_head_is_get_without_a_body() -> None:
    """The same status and headers, and nothing after them."""
    app = JWKSEndpoint(KEYS)
    status, headers, _ = await ask(app)
    assert (status, headers, b"") == await ask(app, "HEAD")


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE", "get"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    """405 names those that are."""
    assert (405, {"allow": "GET, HEAD", "content-length": "0"}, b"") == await ask(JWKSEndpoint(KEYS), method)


async def test_the_answer_follows_the_ring(clock: HeldClock) -> None:
    """A key is published as soon as it is on the ring, and no longer when it is gone; the entity tag tells."""
    first, second = Key.generate("ES256"), Key.generate("ES256")
    ring = KeyRing(first, clock=clock)
    app = JWKSEndpoint(ring)
    _, before, _ = await ask(app)
    ring.add(second)
    status, during, body = await ask(app, headers=[(b"if-none-match", before["etag"].encode())])
    assert (200, [first.kid, second.kid]) == (status, [jwk["kid"] for jwk in json.loads(body)["keys"]])
    clock.now = NOW + 1800
    assert 304 == (await ask(app, headers=[(b"if-none-match", during["etag"].encode())]))[0]
    clock.now += 15 * 86400
    _, _, body = await ask(app)
    assert [second.kid] == [jwk["kid"] for jwk in json.loads(body)["keys"]]


@pytest.mark.parametrize(
    ("max_age", "match"),
    [
        (901, "max_age must be at most half of the ring's publish_ahead, 900 seconds"),
        (0, "max_age must be more than zero"),
    ],
)
def test_an_answer_is_not_kept_for_too_long(max_age: float, match: str) -> None:
    """Whoever keeps it has to ask again before a new key signs."""
    with pytest.raises(SettingError, match=match):
        JWKSEndpoint(KeyRing(KEYS[0]), max_age=max_age)


async def test_other_scopes_are_not_answered() -> None:
    """A websocket is closed before it is accepted; anything else is an error of the application."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("there is nothing to read")

    await JWKSEndpoint(KEYS)({"type": "websocket"}, receive, send)
    assert [{"type": "websocket.close", "code": 1000, "reason": ""}] == sent
    with pytest.raises(UnsupportedScopeError, match="scope type 'lifespan' is not answered"):
        await JWKSEndpoint(KEYS)({"type": "lifespan"}, receive, send)


async def test_it_can_be_mounted() -> None:
    """In Starlette, below any path, asked over HTTP."""
    httpx2 = pytest.importorskip("httpx2")
    app = Starlette(routes=[Mount("/.well-known/jwks.json", JWKSEndpoint(KEYS))])
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://a.example", follow_redirects=True) as client:
        answer = await client.get("/.well-known/jwks.json")
        again = await client.get("/.well-known/jwks.json", headers={"if-none-match": answer.headers["etag"]})
    assert ([*ALGORITHMS], 304) == ([jwk["kid"] for jwk in answer.json()["keys"]], again.status_code)
