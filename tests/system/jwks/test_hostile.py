"""A provider that stalls, lies, floods and breaks off, over real HTTP and TLS: nobody is let in, and nobody else suffers."""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from typing import Any

import pytest

pytest.importorskip("httpx2")

import anyio
import httpx2

from asgi_jwt_claims import (
    JWTConfig,
    JWTMiddleware,
    Key,
    create_access_token,
    verify_token,
)
from asgi_jwt_claims.errors import KeysUnavailableError, SettingError
from asgi_jwt_claims.jwks import HTTPXFetch, KeySetEvent, RemoteKeySet
from tests.sockets import PATIENCE
from tests.system.jwks.provider import FAILURES, HANGING, KEY, METADATA, OTHER, PATIENT, QUICK, Hostile

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("hostile provider")]

AUDIENCE = "https://api.example"


def config_of(keys: RemoteKeySet) -> JWTConfig:
    return JWTConfig(jwks=keys, issuer=keys.issuer or "https://issuer.example", audience=AUDIENCE)


def token_for(config: JWTConfig, key: Key = KEY) -> str:
    return create_access_token("alice", JWTConfig(signing_key=key, issuer=config.issuer, audience=AUDIENCE))


async def ask(config: JWTConfig) -> tuple[int, str | None]:
    """Status and `Retry-After` of a request through the middleware."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(JWTMiddleware(app, config)), base_url="http://testserver"
    ) as client:
        answer = await client.get("/", headers={"Authorization": f"Bearer {token_for(config)}"})
    return answer.status_code, answer.headers.get("retry-after")


# What it does ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", FAILURES)
async def test_whatever_it_does_nobody_is_let_in_or_thrown_out(provider: Hostile, behaviour: str) -> None:
    """Cold, the answer is 503; with keys in hand, their tokens go on; and it recovers."""  # S94, S96
    policy = QUICK if behaviour in HANGING else PATIENT
    provider.behave(behaviour)
    cold = config_of(provider.keys(policy=policy))
    assert (503, "1") == await ask(cold)
    provider.behave("good")
    events: list[KeySetEvent] = []
    keys = provider.keys(policy=policy, on_event=events.append)
    warm = config_of(keys)
    await until_let_in(warm)
    provider.behave(behaviour)
    with pytest.raises(KeysUnavailableError):
        await keys.fetch_now()
    assert (200, None) == await ask(warm)
    names = [event.name for event in events]
    assert ["fetched", "failed"] == names[-2:]
    assert (1, names.count("failed")) == (keys.status().keys, keys.status().failures)
    assert 300 > len(str(keys.status().last_failure))
    provider.behave("good")
    await until_let_in(cold)


async def until_let_in(config: JWTConfig) -> None:
    """Ask until the keys are there: a busy machine may need more than one fetch where fetches have little time."""
    with anyio.fail_after(PATIENCE):
        while (200, None) != await ask(config):  # noqa: ASYNC110 -- the provider tells nobody
            await anyio.sleep(0.05)


async def test_what_is_good_among_the_bad_is_used(provider: Hostile) -> None:
    """Beside broken, secret and ambiguous entries, the good keys verify; of the others none does."""  # S97, S100
    provider.behave("some-bad")
    keys = provider.keys()
    config = config_of(keys)
    assert (200, None) == await ask(config)
    assert "alice" == verify_token(token_for(config, OTHER), config).identity
    assert ({"good", "other"}, 4) == ({key.kid for key in keys.keys}, keys.status().skipped)


async def test_compressed_answers_are_read(provider: Hostile) -> None:
    """gzip is asked for, and understood."""
    provider.behave("gzipped")
    assert (200, None) == await ask(config_of(provider.keys()))


@pytest.mark.parametrize("metadata", METADATA)
async def test_metadata_of_another_is_refused(provider: Hostile, metadata: str) -> None:
    """Of another issuer, or pointing to where keys must not come from: 503, and the keys are never asked for."""  # S98
    provider.behave(metadata)
    provider.seen()
    keys = provider.keys(issuer=provider.url)
    assert (503, "1") == await ask(config_of(keys))
    assert ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] == [
        head.split(" ")[1] for head in provider.seen()
    ]
    provider.behave("good")
    await anyio.sleep(0.05)
    assert (200, None) == await ask(config_of(keys))


async def test_nobody_is_sent_elsewhere(
    provider: Hostile, elsewhere: tuple[str, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No redirect is followed, and no proxy of the environment is used."""  # S96
    url, visitors = elsewhere
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, url)
    for behaviour in ("good", "redirect-301", "redirect-307"):
        provider.behave(behaviour)
        keys = provider.keys()
        try:
            await keys.fetch_now()
        except KeysUnavailableError:
            assert (
                f"the request for the JWK Set was answered with status {behaviour[-3:]}" == keys.status().last_failure
            )
    assert [] == visitors


async def test_requests_carry_nothing_over(provider: Hostile) -> None:
    """Each fetch is anonymous: no cookie that an earlier answer set, no credentials, and a plain request otherwise."""  # S96
    provider.behave("good")
    provider.seen()
    keys = provider.keys()
    for _ in range(3):
        await keys.fetch_now()
    heads = provider.seen()
    assert (3, 1) == (len(heads), len(set(heads)))
    request, *headers = heads[0].strip().split("\r\n")
    assert "GET /jwks HTTP/1.1" == request
    assert {
        "host": f"localhost:{provider.ports['good']}",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "connection": "keep-alive",
        "user-agent": "asgi-jwt-claims",
    } == {name.lower(): value for name, value in (header.split(": ", 1) for header in headers)}


@pytest.mark.parametrize(
    ("port", "reason"),
    [
        ("other-ca", "unable to get local issuer certificate"),
        ("expired", "certificate has expired"),
        ("wrong-host", "Hostname mismatch, certificate is not valid for 'localhost'."),
    ],
)
async def test_who_cannot_prove_its_name_is_not_believed(provider: Hostile, port: str, reason: str) -> None:
    """A certificate of another authority, an old one, or one of another host: no keys come from there."""  # S96
    provider.behave("good")
    keys = RemoteKeySet(
        f"https://localhost:{provider.ports[port]}/jwks",
        policy=PATIENT,
        fetch=HTTPXFetch(verify=provider.context),
    )
    assert (503, "1") == await ask(config_of(keys))
    assert f"ConnectError: the certificate is not accepted: {reason}" == keys.status().last_failure


async def test_who_speaks_no_tls_is_not_believed(provider: Hostile) -> None:
    """https is not given up for somebody who does not speak it."""  # S96
    address = f"https://localhost:{provider.ports['plain']}/jwks"
    keys = RemoteKeySet(address, policy=QUICK, fetch=HTTPXFetch(verify=provider.context))
    assert (503, "1") == await ask(config_of(keys))
    assert "ConnectTimeout" == keys.status().last_failure


async def test_a_fetch_without_a_deadline_has_none(provider: Hostile) -> None:
    """Called outside of a key set, the client waits for as long as it takes."""
    provider.behave("good")
    answer = await HTTPXFetch(verify=provider.context)(f"{provider.url}/jwks", max_size=10_000)
    assert (200, ["good"]) == (answer.status, [jwk["kid"] for jwk in json.loads(answer.body)["keys"]])


async def test_without_its_authority_it_is_not_believed(provider: Hostile) -> None:
    """The default trusts what the system trusts, and this provider's authority is no part of that."""
    keys = RemoteKeySet(f"{provider.url}/jwks")
    assert (503, "1") == await ask(config_of(keys))
    reason = "the certificate is not accepted: unable to get local issuer certificate"
    assert f"ConnectError: {reason}" == keys.status().last_failure


# The client -----------------------------------------------------------------------------------------------------------


async def test_the_default_context_is_made_once_and_off_the_loop(
    provider: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the system's certificates takes long: another thread does it, and never again."""
    provider.behave("good")
    threads: list[int] = []

    def create() -> ssl.SSLContext:
        threads.append(threading.get_ident())
        return provider.context

    monkeypatch.setattr("httpx2.create_ssl_context", create)
    keys = provider.keys(fetch=HTTPXFetch())
    for _ in range(3):
        await keys.fetch_now()
    assert 1 == len(threads)
    assert threading.get_ident() not in threads


async def test_a_proxy_is_used_when_it_is_named(provider: Hostile) -> None:
    """The connection goes to the proxy, which is asked to connect to the provider."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def proxy() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65536).split(b"\r\n")[0])
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=proxy)
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        keys = provider.keys(fetch=HTTPXFetch(verify=provider.context, proxy=address))
        with pytest.raises(KeysUnavailableError):
            await keys.fetch_now()
        thread.join()
    assert [f"CONNECT localhost:{provider.ports['good']} HTTP/1.1".encode()] == asked
    assert "ProxyError" == keys.status().last_failure


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where httpx2 is not installed, the message says what to install, when the key set is built."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(SettingError, match=r'pip install "asgi-jwt-claims\[jwks\]", or pass a fetch of your own'):
        RemoteKeySet("https://issuer.example/jwks")
