"""An introspection endpoint that stalls, lies, floods and breaks off, over real HTTP and TLS: every token gets 503."""

from __future__ import annotations

import pytest

pytest.importorskip("httpx2")

from asgi_jwt_claims import JWTConfig, verify_token_async
from asgi_jwt_claims.errors import IntrospectionUnavailableError
from asgi_jwt_claims.introspection import Introspection
from asgi_jwt_claims.jwks import HTTPXFetch
from tests.system.jwks.hostile import BEHAVIOURS, CERTIFICATES
from tests.system.jwks.provider import HANGING, Hostile

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("hostile provider")]


def config_of(provider: Hostile, port: int, timeout: float = 60.0) -> JWTConfig:
    post = HTTPXFetch(verify=provider.context).post
    introspection = Introspection(f"https://localhost:{port}/introspect", ("api", "secret"), post=post, timeout=timeout)
    return JWTConfig.for_introspection(introspection)


@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
async def test_whatever_it_does_is_503(provider: Hostile, behaviour: str, caplog: pytest.LogCaptureFixture) -> None:
    """Endless, compressed without end, half an answer, a redirect, or JSON that is none of RFC 7662: it ends, and is 503."""  # S103
    provider.behave(behaviour)
    config = config_of(provider, provider.ports["good"], 1.0 if behaviour in HANGING else 60.0)
    with pytest.raises(IntrospectionUnavailableError) as refused:
        await verify_token_async("opaque-secret", config)
    assert 0 < len(refused.value.evidence["reason"]) < 200
    assert "opaque-secret" not in caplog.text


@pytest.mark.parametrize("certificate", sorted({*CERTIFICATES} - {"good"}))
async def test_another_server_learns_nothing(provider: Hostile, certificate: str) -> None:
    """Without a certificate that is trusted for the host, neither token nor secret is sent."""  # S103
    provider.behave("good")
    provider.seen()
    with pytest.raises(IntrospectionUnavailableError) as refused:
        await verify_token_async("opaque-secret", config_of(provider, provider.ports[certificate]))
    assert "the certificate is not accepted" in refused.value.evidence["reason"]
    assert [] == provider.seen()


async def test_no_proxy_and_no_redirect(
    provider: Hostile, elsewhere: tuple[str, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token goes to the endpoint and nowhere else, whatever the environment and the endpoint say."""  # S103
    url, visitors = elsewhere
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, url)
    for behaviour in ("good", "redirect-301", "redirect-307"):
        provider.behave(behaviour)
        with pytest.raises(IntrospectionUnavailableError):
            await verify_token_async("opaque-secret", config_of(provider, provider.ports["good"]))
    assert [] == visitors
