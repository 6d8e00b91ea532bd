"""The hostile provider as tests see it: started once, its certificates and documents made for it."""

from __future__ import annotations

import datetime as dt
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from asgi_jwt_claims import Key
from asgi_jwt_claims.jwks import FetchPolicy, HTTPXFetch, RemoteKeySet
from tests.sockets import PATIENCE
from tests.support import ROOT
from tests.system.jwks.hostile import BEHAVIOURS

__all__ = ["FAILURES", "HANGING", "KEY", "METADATA", "OTHER", "PATIENT", "QUICK", "Hostile", "elsewhere", "provider"]

KEY, OTHER = Key.generate("ES256", kid="good"), Key.generate("RS256", kid="other")


PATIENT = FetchPolicy(timeout=PATIENCE, backoff=0.01, max_backoff=0.02)
QUICK = FetchPolicy(timeout=1.0, backoff=0.01, max_backoff=0.02)
"""For what never ends by itself."""


WORKS = {"good", "gzipped", "some-bad"}
FAILURES = sorted(set(BEHAVIOURS) - WORKS)
HANGING = {"stall", "stall-within", "drip"}
"""What only the end of the time for a fetch ends."""

METADATA = {
    "wrong-issuer": {"issuer": "https://localhost.example", "jwks_uri": "{url}/jwks"},
    "plain-uri": {"issuer": "{url}", "jwks_uri": "http://localhost/jwks"},
    "file-uri": {"issuer": "{url}", "jwks_uri": "file:///etc/passwd"},
    "data-uri": {"issuer": "{url}", "jwks_uri": "data:application/json,{{}}"},
    "no-uri": {"issuer": "{url}"},
}


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
        httpx2 = pytest.importorskip("httpx2")
        return httpx2.get(f"{self.url}{path}", verify=self.context, trust_env=False, timeout=PATIENCE).json()

    def behave(self, name: str) -> None:
        """From now on."""
        self._get(f"/control/{name}")

    def seen(self) -> list[str]:
        """The heads of the requests since the last time."""
        heads: list[str] = self._get("/seen")
        return heads

    def keys(self, **options: Any) -> RemoteKeySet:
        """A key set that asks here."""
        options = {"policy": PATIENT, "fetch": HTTPXFetch(verify=self.context), **options}
        return RemoteKeySet(**({} if "issuer" in options else {"url": f"{self.url}/jwks"}), **options)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory, elsewhere: tuple[str, list[object]]) -> Iterator[Hostile]:
    """The hostile provider, in a process of its own."""
    pytest.importorskip("httpx2")
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
