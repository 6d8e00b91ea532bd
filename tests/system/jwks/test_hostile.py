"""A provider that stalls, lies, floods and breaks off, over real HTTP and TLS: nobody is let in, and nobody else suffers."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx2")

import anyio
import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key, create_access_token, verify_token
from asgi_jwt_claims.errors import KeysUnavailableError, SettingError
from asgi_jwt_claims.jwks import HTTPXFetch, KeySetEvent, RefreshPolicy, RemoteKeySet
from tests.support import ROOT
from tests.system.jwks.hostile import BEHAVIOURS

pytestmark = pytest.mark.anyio

AUDIENCE = "https://api.example"
KEY, OTHER = Key.generate("ES256", kid="good"), Key.generate("RS256", kid="other")

QUICK = RefreshPolicy(timeout=1.0, backoff=0.01, max_backoff=0.02)
MOST_BLOCKED = 0.020
"""Seconds of work on the event loop between two other things that it does."""

WORKS = {"good", "gzipped", "some-bad"}
FAILURES = sorted(set(BEHAVIOURS) - WORKS)
METADATA = {
    "wrong-issuer": {"issuer": "https://localhost.example", "jwks_uri": "{url}/jwks"},
    "plain-uri": {"issuer": "{url}", "jwks_uri": "http://localhost/jwks"},
    "file-uri": {"issuer": "{url}", "jwks_uri": "file:///etc/passwd"},
    "data-uri": {"issuer": "{url}", "jwks_uri": "data:application/json,{{}}"},
    "no-uri": {"issuer": "{url}"},
}


# The provider ---------------------------------------------------------------------------------------------------------


def certificate(
    directory: Path, name: str, issuer: tuple[Any, Any] | None, host: str = "localhost", *, ended: bool = False
) -> tuple[Any, Any]:
    """A certificate with its private key, signed by `issuer`, written to a file of its name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    start, end = now - dt.timedelta(days=10), now + dt.timedelta(days=-1 if ended else 10)
    signer_name, signer_key = (subject, key) if issuer is None else (issuer[0].subject, issuer[1])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        # Demanded by the strict rules of RFC 5280, which Python 3.13 applies.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()), critical=False)
        .add_extension(_usage(signs_certificates=issuer is None), critical=True)
        .sign(signer_key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / f"{name}.pem").write_bytes(pem)
    return built, key


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def write_documents(directory: Path) -> None:
    good, other = KEY.public_jwk(), OTHER.public_jwk()
    secret = {"kty": "oct", "kid": "secret", "alg": "HS256", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}
    twins = [Key.generate("ES256", kid="twin").public_jwk() for _ in range(2)]
    junk = [{**other, "kid": f"junk-{number}", "n": "A" * 3900 + "E"} for number in range(63)]
    documents = {
        "good": [good],
        "some-bad": [{"kty": "EC"}, secret, *twins, {**good, "kid": "broken", "x": "AAAA"}, good, other],
        "only-secret": [secret],
        "too-many": [{**good, "kid": f"key-{number}"} for number in range(65)],
        "long-key": [{**other, "n": "x" * 200_000}],
        "junk-keys": junk,
    }
    for name, keys in documents.items():
        (directory / f"{name}.json").write_text(json.dumps({"keys": keys}))


class Hostile:
    """The provider, and how it is to be trusted."""

    def __init__(self, ports: dict[str, int], authority: Path) -> None:
        self.ports = ports
        self.authority = authority
        self.context = ssl.create_default_context(cafile=authority)
        self.url = f"https://localhost:{ports['good']}"

    def _get(self, path: str) -> Any:
        return httpx2.get(f"{self.url}{path}", verify=self.context, trust_env=False, timeout=30).json()

    def behave(self, name: str) -> None:
        """From now on."""
        self._get(f"/control/{name}")

    def seen(self) -> list[str]:
        """The heads of the requests since the last time."""
        heads: list[str] = self._get("/seen")
        return heads

    def keys(self, **options: Any) -> RemoteKeySet:
        """A key set that asks here."""
        options = {"policy": QUICK, "fetch": HTTPXFetch(ssl_context=self.context), **options}
        return RemoteKeySet(**({} if "issuer" in options else {"url": f"{self.url}/jwks"}), **options)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[tuple[str, list[object]]]:
    """A port where nobody may knock, and those who did."""
    visitors: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    visitors.append(listener.accept())
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", visitors
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory, elsewhere: tuple[str, list[object]]) -> Iterator[Hostile]:
    """The hostile provider, in a process of its own."""
    directory = tmp_path_factory.mktemp("hostile")
    ca, other_ca = (certificate(directory, name, None) for name in ("ca", "another-ca"))
    certificate(directory, "good", ca)
    certificate(directory, "other-ca", other_ca)
    certificate(directory, "expired", ca, ended=True)
    certificate(directory, "wrong-host", ca, "elsewhere.example")
    write_documents(directory)
    (directory / "elsewhere").write_text(elsewhere[0])
    command = [sys.executable, "-m", "tests.system.jwks.hostile", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            ports = json.loads(process.stdout.readline())
            provider = Hostile(ports, directory / "ca.pem")
            for name, document in {"good": {"issuer": "{url}", "jwks_uri": "{url}/jwks"}, **METADATA}.items():
                filled = {member: value.format(url=provider.url) for member, value in document.items()}
                (directory / f"{name}.metadata.json").write_text(json.dumps(filled))
            yield provider
        finally:
            process.kill()


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
    provider.behave(behaviour)
    cold = config_of(provider.keys())
    assert (503, "1") == await ask(cold)
    provider.behave("good")
    events: list[KeySetEvent] = []
    keys = provider.keys(on_event=events.append)
    warm = config_of(keys)
    assert (200, None) == await ask(warm)
    provider.behave(behaviour)
    with pytest.raises(KeysUnavailableError):
        await keys.refresh()
    assert (200, None) == await ask(warm)
    assert ["fetched", "failed"] == [event.name for event in events]
    assert (1, 1) == (keys.status().keys, keys.status().failures)
    assert 300 > len(str(keys.status().last_failure))
    provider.behave("good")
    await anyio.sleep(0.05)
    assert (200, None) == await ask(cold)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whatever_it_does_the_event_loop_goes_on(provider: Hostile, backend: str) -> None:
    """No answer, however large, compressed or malformed, keeps the event loop's thread busy for long at a time."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    command = [sys.executable, "-m", "tests.system.jwks.blocking", backend, provider.url, str(provider.authority)]
    run = subprocess.run(
        [*command, ",".join(FAILURES)], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=300
    )
    longest: dict[str, float] = json.loads(run.stdout)
    assert set(FAILURES) == set(longest)
    assert {} == {name: seconds for name, seconds in longest.items() if seconds >= MOST_BLOCKED}


async def test_what_is_good_among_the_bad_is_used(provider: Hostile) -> None:
    """Beside broken, secret and ambiguous entries, the good keys verify; of the others none does."""  # S97, S100
    provider.behave("some-bad")
    keys = provider.keys()
    config = config_of(keys)
    assert (200, None) == await ask(config)
    assert "alice" == verify_token(token_for(config, OTHER), config).identity
    assert ({"good", "other"}, 4) == ({key.kid for key in keys.keys}, keys.status().passed_over)


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
            await keys.refresh()
        except KeysUnavailableError:
            assert f"the JWK Set was answered with status {behaviour[-3:]}" == keys.status().last_failure
    assert [] == visitors


async def test_requests_carry_nothing_over(provider: Hostile) -> None:
    """Each fetch is anonymous: no cookie that an earlier answer set, no credentials, and a plain request otherwise."""  # S96
    provider.behave("good")
    provider.seen()
    keys = provider.keys()
    for _ in range(3):
        await keys.refresh()
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


@pytest.mark.parametrize("port", ["other-ca", "expired", "wrong-host"])
async def test_who_cannot_prove_its_name_is_not_believed(provider: Hostile, port: str) -> None:
    """A certificate of another authority, an old one, or one of another host: no keys come from there."""  # S96
    provider.behave("good")
    keys = RemoteKeySet(
        f"https://localhost:{provider.ports[port]}/jwks",
        policy=QUICK,
        fetch=HTTPXFetch(ssl_context=provider.context),
    )
    assert (503, "1") == await ask(config_of(keys))
    assert "ConnectError" == keys.status().last_failure


async def test_who_speaks_no_tls_is_not_believed(provider: Hostile) -> None:
    """https is not given up for somebody who does not speak it."""  # S96
    address = f"https://localhost:{provider.ports['plain']}/jwks"
    keys = RemoteKeySet(address, policy=QUICK, fetch=HTTPXFetch(ssl_context=provider.context))
    assert (503, "1") == await ask(config_of(keys))
    assert "ConnectTimeout" == keys.status().last_failure


async def test_a_fetch_without_a_deadline_has_none(provider: Hostile) -> None:
    """Called outside of a key set, the client waits for as long as it takes."""
    provider.behave("good")
    answer = await HTTPXFetch(ssl_context=provider.context)(f"{provider.url}/jwks", max_size=10_000)
    assert (200, ["good"]) == (answer.status, [jwk["kid"] for jwk in json.loads(answer.body)["keys"]])


async def test_without_its_authority_it_is_not_believed(provider: Hostile) -> None:
    """The default trusts what the system trusts, and this provider's authority is no part of that."""
    keys = RemoteKeySet(f"{provider.url}/jwks")
    assert (503, "1") == await ask(config_of(keys))
    assert "ConnectError" == keys.status().last_failure


@pytest.mark.parametrize("behaviour", ["huge", "huge-chunked", "bomb", "bomb-in-bomb", "endless-headers", "drip"])
async def test_memory_stays_flat(provider: Hostile, behaviour: str) -> None:
    """Ten megabytes, or a hundred once unpacked, are not kept: no fetch needs more than four, and none leaves any behind."""  # S96
    provider.behave(behaviour)
    keys = provider.keys(policy=RefreshPolicy(timeout=0.5))

    async def fail() -> None:
        with pytest.raises(KeysUnavailableError):
            await keys.refresh()

    await fail()  # whatever is imported and made once
    tracemalloc.start()
    try:
        await fail()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(3):
            await fail()
        _, peak = tracemalloc.get_traced_memory()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 4 * 1024 * 1024 > peak - before
    assert 256 * 1024 > after - before


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
        await keys.refresh()
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
        keys = provider.keys(fetch=HTTPXFetch(ssl_context=provider.context, proxy=address))
        with pytest.raises(KeysUnavailableError):
            await keys.refresh()
        thread.join()
    assert [f"CONNECT localhost:{provider.ports['good']} HTTP/1.1".encode()] == asked
    assert "ProxyError" == keys.status().last_failure


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where httpx2 is not installed, the message says what to install, when the key set is built."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(SettingError, match=r'pip install "asgi-jwt-claims\[jwks\]", or pass a fetch of your own'):
        RemoteKeySet("https://issuer.example/jwks")
