"""Tokens of a real foreign provider, and of a real foreign library, in both directions. Needs Node.js and npm.

`python tests/system/providers/install.py DIR` installs both into a directory; `PROVIDERS_DIR` says which.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
    Token,
    TokenError,
    create_access_token,
    get_token,
    verify_token,
    verify_token_async,
)
from asgi_jwt_claims.errors import UnknownKeyError
from asgi_jwt_claims.introspection import Introspection
from asgi_jwt_claims.jwks import FetchPolicy, JWKSEndpoint, RemoteKeySet
from asgi_jwt_claims.keys import KeyRing
from tests.sockets import PATIENCE
from tests.support import free_port, serving

DIRECTORY = Path(os.environ.get("PROVIDERS_DIR") or "not-installed")

NEEDED = [
    pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js here"),
    pytest.mark.skipif(
        not (DIRECTORY / "node_modules").is_dir(), reason="no provider is installed; tox -e providers installs one"
    ),
]
pytestmark = [pytest.mark.anyio, *NEEDED]

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
JOSE_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
ISSUER, AUDIENCE = "https://login.example", "https://api.example"
CLIENT = ("app", "a-secret-of-this-test-alone")


def audience_of(algorithm: str) -> str:
    """The resource whose tokens the provider signs so."""
    return f"https://{algorithm}.example"


@pytest.fixture
def provider() -> Iterator[str]:
    """A fresh provider; the value is its issuer."""
    port = free_port()
    with serving(["node", str(DIRECTORY / "provider.mjs"), str(port)], port) as url:
        yield url


async def token_of(issuer: str, algorithm: str) -> str:
    """An access token by the grant for clients (RFC 6749 section 4.4), for a resource (RFC 8707): `opaque`, or an algorithm's."""
    form = {"grant_type": "client_credentials", "resource": audience_of(algorithm), "scope": "read write"}
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        answer = await client.post(f"{issuer}/token", data=form, auth=CLIENT)
    assert 200 == answer.status_code, answer.text
    raw: str = answer.json()["access_token"]
    return raw


async def take_step(issuer: str, step: str) -> None:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        assert 204 == (await client.post(f"{issuer}/control/{step}")).status_code


def config_for(issuer: str, algorithm: str, keys: RemoteKeySet | None = None) -> JWTConfig:
    keys = RemoteKeySet(issuer=issuer, loopback_http=True) if keys is None else keys
    return JWTConfig.for_issuer(issuer, audience=audience_of(algorithm), jwks=keys)


# oidc-provider --------------------------------------------------------------------------------------------------------


async def test_access_tokens_of_every_algorithm_are_accepted(provider: str) -> None:
    """Found by discovery, the provider's keys verify its tokens (RFC 9068); one fetch serves all four algorithms."""
    keys = RemoteKeySet(issuer=provider, loopback_http=True)
    for algorithm in ALGORITHMS:
        token = await verify_token_async(await token_of(provider, algorithm), config_for(provider, algorithm, keys))
        assert (algorithm, "at+jwt") == (token.headers["alg"], token.headers["typ"])
        assert ("app", provider, (audience_of(algorithm),)) == (token.identity, token.issuer, token.audience)
        assert (frozenset({"read", "write"}), "app") == (token.scopes, token.claims["client_id"])
    assert (1, 4) == (keys.status().fetches, keys.status().keys)


async def test_tokens_for_others_and_of_others_are_refused(provider: str) -> None:
    """The provider's signature alone opens nothing: audience and issuer have to be right as well."""
    raw = await token_of(provider, "ES256")
    keys = RemoteKeySet(issuer=provider, loopback_http=True)
    by_address = RemoteKeySet(f"{provider}/jwks", loopback_http=True)
    for config, code in (
        (config_for(provider, "RS256", keys), "invalid_audience"),
        (JWTConfig.for_issuer(ISSUER, audience=audience_of("ES256"), jwks=by_address), "invalid_issuer"),
    ):
        with pytest.raises(TokenError) as refused:
            await verify_token_async(raw, config)
        assert code == refused.value.code
    header, payload, signature = raw.split(".")
    with pytest.raises(TokenError) as refused:
        await verify_token_async(f"{header}.{payload}.{signature[::-1]}", config_for(provider, "ES256", keys))
    assert 401 == refused.value.status


async def test_an_application_serves_the_users_of_the_provider(provider: str) -> None:
    """Two resources behind one middleware over HTTP: each with its configuration, and both know the same keys."""

    async def read(request: Request) -> Response:
        return JSONResponse({"scopes": sorted(get_token(request).scopes)})

    app = JWTMiddleware(Starlette(routes=[Route("/", read)]), config_for(provider, "EdDSA"))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        for algorithm, status in (("EdDSA", 200), ("ES256", 401)):
            raw = await token_of(provider, algorithm)
            answer = await client.get("/", headers={"Authorization": f"Bearer {raw}"})
            assert status == answer.status_code
        assert 401 == (await client.get("/")).status_code


async def test_the_provider_changes_its_keys(provider: str) -> None:
    """New keys are accepted from their first token, old ones until they are gone, and not a moment after the refresh."""  # S92, S93
    keys = RemoteKeySet(issuer=provider, loopback_http=True)
    configs = {algorithm: config_for(provider, algorithm, keys) for algorithm in ALGORITHMS}
    old = {algorithm: await token_of(provider, algorithm) for algorithm in ALGORITHMS}

    async def all_accepted(tokens: dict[str, str]) -> set[str]:
        for _ in range(3):
            seen = [await verify_token_async(raw, configs[algorithm]) for algorithm, raw in tokens.items()]
        return {token.headers["kid"] for token in seen}

    old_kids = await all_accepted(old)
    await take_step(provider, "published")
    assert old_kids == await all_accepted({name: await token_of(provider, name) for name in ALGORITHMS})
    await take_step(provider, "signing")
    new = {algorithm: await token_of(provider, algorithm) for algorithm in ALGORITHMS}
    new_kids = await all_accepted(new)
    assert (4, set()) == (len(new_kids), old_kids & new_kids)
    assert (2, 8) == (keys.status().fetches, keys.status().keys)  # the unknown key led to the second
    assert old_kids == await all_accepted(old)
    await take_step(provider, "alone")
    await keys.fetch_now()
    for algorithm, raw in old.items():
        with pytest.raises(UnknownKeyError):
            verify_token(raw, configs[algorithm])
    assert new_kids == await all_accepted(new)


async def test_the_provider_goes_down_and_comes_back() -> None:
    """Through an outage old keys serve; after it, a provider with other keys is believed anew."""  # S94
    port = free_port()
    command = ["node", str(DIRECTORY / "provider.mjs"), str(port)]
    policy = FetchPolicy(ttl=0.2, min_ttl=0.2, max_ttl=0.2, backoff=0.1, max_backoff=0.2, unknown_kid_interval=0.1)
    with serving(command, port) as issuer:
        keys = RemoteKeySet(issuer=issuer, loopback_http=True, policy=policy)
        config = config_for(issuer, "ES256", keys)
        raw = await token_of(issuer, "ES256")
        assert "app" == (await verify_token_async(raw, config)).identity
    await anyio.sleep(0.5)
    for _ in range(5):
        assert "app" == (await verify_token_async(raw, config)).identity
        await anyio.sleep(0.1)
    assert "stale" == keys.status().state
    with serving(command, port):
        renewed = await token_of(issuer, "ES256")
        with anyio.fail_after(PATIENCE):
            while await refusal(renewed, config) is not None:  # noqa: ASYNC110 -- the provider tells nobody
                await anyio.sleep(0.1)
        assert 401 == await refusal(raw, config)


async def refusal(raw: str, config: JWTConfig) -> int | None:
    try:
        await verify_token_async(raw, config)
    except TokenError as error:
        return error.status
    return None


# Opaque tokens --------------------------------------------------------------------------------------------------------

API = ("urn:api 1", "another-secret-of-this-test:%")


def opaque_config(url: str, **settings: Any) -> JWTConfig:
    introspection = Introspection(f"{url}/token/introspection", API, loopback_http=True, timeout=60)
    return JWTConfig.for_introspection(introspection, **settings)


async def tokens_of_alice(issuer: str) -> dict[str, str]:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        tokens: dict[str, str] = (await client.post(f"{issuer}/control/tokens")).json()
    return tokens


async def code_of(raw: str, config: JWTConfig) -> str | None:
    try:
        await verify_token_async(raw, config)
    except TokenError as error:
        return error.code
    return None


async def test_opaque_tokens_are_accepted(provider: str) -> None:
    """The provider knows the client by its encoded name and secret, and says whose token it is, for whom and for what."""  # S103
    raw = await token_of(provider, "opaque")
    config = opaque_config(provider, audience=audience_of("opaque"), issuer=provider)
    token = await verify_token_async(raw, config)
    assert ("app", provider, (audience_of("opaque"),)) == (token.identity, token.issuer, token.audience)
    assert (frozenset({"read", "write"}), frozenset({"reader"})) == (token.scopes, token.roles)
    assert token.expires_at is not None
    assert 550 < token.expires_at - time.time() < 650
    assert verify_token(raw, config).claims == token.claims
    assert {"active", "client_id", "exp", "iat", "iss", "aud", "scope", "token_type", "sub", "roles"} == set(
        token.claims
    )


async def test_opaque_tokens_for_others_are_refused(provider: str) -> None:
    """Active is not enough: for another audience, of another issuer, unknown, or asked about as a client that is none."""  # S103
    raw, audience = await token_of(provider, "opaque"), audience_of("opaque")
    assert "invalid_audience" == await code_of(raw, opaque_config(provider, audience=AUDIENCE))
    assert "invalid_audience" == await code_of(raw, opaque_config(provider))
    assert "invalid_issuer" == await code_of(raw, opaque_config(provider, audience=audience, issuer=ISSUER))
    assert "token_inactive" == await code_of(raw[:-1], opaque_config(provider, audience=audience))
    wrong = Introspection(f"{provider}/token/introspection", (API[0], "wrong"), loopback_http=True, timeout=60)
    config = JWTConfig.for_introspection(wrong, audience=audience)
    assert "introspection_unavailable" == await code_of(raw, config)


async def test_a_refresh_token_of_the_provider_is_told_apart(provider: str) -> None:
    """It is as active as an access token, but has no `token_type`: whoever demands that keeps it out."""
    tokens = await tokens_of_alice(provider)
    config = opaque_config(provider)
    assert "alice" == (await verify_token_async(tokens["access_token"], config)).identity
    strict = config.replace(required_claims=["exp", "token_type"])
    assert "alice" == (await verify_token_async(tokens["access_token"], strict)).identity
    assert "missing_claim" == await code_of(tokens["refresh_token"], strict)


async def test_a_token_that_the_provider_revokes_is_refused(provider: str) -> None:
    """At once by a configuration that keeps no answers, and by others at the latest when the answer is forgotten."""
    raw, audience = await token_of(provider, "opaque"), audience_of("opaque")
    at_once = JWTConfig.for_introspection(
        Introspection(f"{provider}/token/introspection", API, ttl=0, loopback_http=True, timeout=60), audience=audience
    )
    kept = opaque_config(provider, audience=audience)
    assert [None, None] == [await code_of(raw, config) for config in (at_once, kept)]
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        answer = await client.post(f"{provider}/token/revocation", data={"token": raw}, auth=CLIENT)
    assert 200 == answer.status_code
    assert ["token_inactive", None] == [await code_of(raw, config) for config in (at_once, kept)]


async def test_an_application_serves_both_kinds_of_tokens(provider: str) -> None:
    """JWTs are verified by the keys of the provider, opaque tokens by its word, behind one middleware."""

    async def read(request: Request) -> Response:
        return JSONResponse({"audience": get_token(request).audience})

    configs = [config_for(provider, "ES256"), opaque_config(provider, audience=audience_of("opaque"))]
    transport = httpx2.ASGITransport(JWTMiddleware(Starlette(routes=[Route("/", read)]), configs))
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver", timeout=PATIENCE) as client:
        for resource in ("ES256", "opaque"):
            raw = await token_of(provider, resource)
            answer = await client.get("/", headers={"Authorization": f"Bearer {raw}"})
            assert (200, {"audience": [audience_of(resource)]}) == (answer.status_code, answer.json())
        assert 401 == (await client.get("/", headers={"Authorization": "Bearer made-up"})).status_code


# jose -----------------------------------------------------------------------------------------------------------------


async def jose(command: str, **asked: Any) -> dict[str, Any]:
    """What the library on the other side makes of it."""
    run = await anyio.run_process(
        ["node", str(DIRECTORY / "jose.mjs"), command], input=json.dumps(asked).encode(), check=True
    )
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def private_jwk(algorithm: str) -> dict[str, Any]:
    """A new private key as a JWK of the foreign library's making."""
    script = (
        "import {generateKeyPair, exportJWK} from 'jose';"
        f"const {{privateKey}} = await generateKeyPair('{algorithm}', {{extractable: true}});"
        f"console.log(JSON.stringify({{...await exportJWK(privateKey), alg: '{algorithm}', kid: 'theirs'}}))"
    )
    command = ["node", "--input-type=module", "-e", script]
    run = subprocess.run(command, cwd=DIRECTORY, check=True, capture_output=True)
    jwk: dict[str, Any] = json.loads(run.stdout)
    return jwk


def claims() -> dict[str, Any]:
    now = int(time.time())
    return {"iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "iat": now, "exp": now + 60, "team": "blue"}


@pytest.mark.parametrize("algorithm", JOSE_ALGORITHMS)
async def test_what_jose_mints_is_accepted(algorithm: str) -> None:
    """A token of the other side's, with a key of the other side's, in every algorithm that it has."""
    jwk = private_jwk(algorithm)
    raw = (await jose("mint", jwk=jwk, alg=algorithm, claims=claims()))["token"]
    key = Key.from_jwk(jwk).public()
    config = JWTConfig(
        verification_keys=[key],
        issuer=ISSUER,
        audience=AUDIENCE,
        type_claim=None,
        user_claims_claim=None,
        required_claims=("exp", "iat"),
    )
    token = verify_token(raw, config)
    assert ("alice", {"team": "blue"}, algorithm) == (token.identity, token.user_claims, token.headers["alg"])


@contextmanager
def published(app: Any) -> Iterator[str]:
    """`app` over real HTTP, in a thread of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("algorithm", JOSE_ALGORITHMS)
async def test_jose_accepts_what_is_minted_here(algorithm: str) -> None:
    """The other side fetches the keys that a ring publishes, and finds token and claims good; a forged token it refuses."""
    ring = KeyRing(Key.generate(algorithm), publish_ahead=0.2, retain=1000)
    config = JWTConfig(
        key_ring=ring, issuer=ISSUER, audience=AUDIENCE, access_lifetime=600, refresh_lifetime=600, leeway=10
    )
    app = Starlette(routes=[Mount("/jwks", JWKSEndpoint(ring, max_age=0.1))])
    raw = create_access_token("alice", config, user_claims={"team": "blue"})
    with published(app) as url:
        asked = {"jwks_url": f"{url}/jwks/", "issuer": ISSUER, "audience": AUDIENCE}
        answer = await jose("verify", token=raw, **asked)
        assert ("alice", {"team": "blue"}) == (answer["claims"]["sub"], answer["claims"]["user_claims"])
        assert {"alg": algorithm, "typ": "JWT", "kid": ring.current.kid} == answer["header"]
        forged = create_access_token("alice", config.replace(key_ring=None, signing_key=imposter(ring.current)))
        assert {"error": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"} == await jose("verify", token=forged, **asked)
        # The ring turns; tokens of both keys are good.
        ring.add(Key.generate(algorithm))
        await anyio.sleep(0.3)
        renewed = create_access_token("bob", config)
        assert ring.current.kid != answer["header"]["kid"]
        for token, identity in ((raw, "alice"), (renewed, "bob")):
            assert identity == (await jose("verify", token=token, **asked))["claims"]["sub"]


def imposter(key: Key) -> Key:
    """Another key of the same kind and name."""
    return Key.generate(key.algorithm, kid=key.kid)


async def test_a_secret_is_shared_with_jose() -> None:
    """HS256 in both directions."""
    secret = Key.generate("HS256", kid="shared")
    config = JWTConfig(signing_key=secret, issuer=ISSUER, audience=AUDIENCE, type_claim=None, user_claims_claim=None)
    jwk = {"kty": "oct", "k": secret_text(secret), "alg": "HS256", "kid": "shared"}
    raw = (await jose("mint", jwk=jwk, alg="HS256", claims={**claims(), "jti": "one"}))["token"]
    token: Token = verify_token(raw, config)
    assert "alice" == token.identity
    answer = await jose("verify", token=create_access_token("bob", config), jwk=jwk, issuer=ISSUER, audience=AUDIENCE)
    assert "bob" == answer["claims"]["sub"]


def secret_text(key: Key) -> str:
    """The secret of a key, as a JWK holds it."""
    material = key._loaded
    assert isinstance(material, bytes)
    return base64.urlsafe_b64encode(material).rstrip(b"=").decode()
