"""Tokens of other released provider software: Better Auth by Node.js, Authlib, Django OAuth Toolkit, and Moto's Cognito.

Each test is skipped where its software is not installed; `tox -e providers` installs all of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("httpx2")

import httpx2

from asgi_jwt_claims import JWTConfig, TokenError, verify_token_async
from asgi_jwt_claims.introspection import Introspection
from asgi_jwt_claims.jwks import FetchResponse, HTTPXFetch, RemoteKeySet
from tests.sockets import PATIENCE
from tests.support import free_port, serving

HERE = Path(__file__).parent
DIRECTORY = Path(os.environ.get("PROVIDERS_DIR") or "not-installed")
API = "https://api.example"
CLIENT = ("app", "a-secret-of-this-test-alone")

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop: what is tried here is tokens."""
    return "asyncio"


PYTHON = DIRECTORY / "python" / "bin" / "python"
in_python = pytest.mark.skipif(not PYTHON.is_file(), reason="the providers in Python are not installed")
better_auth = pytest.mark.skipif(
    shutil.which("node") is None or not (DIRECTORY / "node_modules" / "better-auth").is_dir(),
    reason="Better Auth is not installed, or there is no Node.js",
)


@contextmanager
def python_program(name: str) -> Iterator[str]:
    """Start a provider of this folder. The variable lets Authlib answer over http."""
    port = free_port()
    with serving([str(PYTHON), str(HERE / name), str(port)], port, AUTHLIB_INSECURE_TRANSPORT="1") as url:
        yield url


def client(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE)


def remote_config(issuer: str, audience: str = API, **settings: Any) -> JWTConfig:
    keys = RemoteKeySet(issuer=issuer, loopback_http=True)
    return JWTConfig.for_issuer(issuer, audience=audience, jwks=keys, **settings)


async def code_of(raw: str, config: JWTConfig) -> str | None:
    """The code of the refusal; None if the token is accepted."""
    try:
        await verify_token_async(raw, config)
    except TokenError as error:
        return error.code
    return None


# Better Auth ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def better_auth_url() -> Iterator[str]:
    port = free_port()
    with serving(["node", str(DIRECTORY / "better-auth.mjs"), str(port)], port) as url:
        yield url


async def ask(url: str, what: str) -> Any:
    async with client(url) as http:
        answer = await http.post(f"/control/{what}")
    assert 200 == answer.status_code, answer.text
    return answer.json()


@better_auth
async def test_tokens_of_better_auth_are_accepted(better_auth_url: str) -> None:
    """Those of a user and of a machine, by discovery, each with its scopes, and as one of several audiences."""
    config = remote_config(better_auth_url)
    user = await verify_token_async((await ask(better_auth_url, "tokens"))["access_token"], config)
    assert ("ES256", "at+jwt") == (user.headers["alg"], user.headers["typ"])
    assert (API, f"{better_auth_url}/api/auth/oauth2/userinfo") == user.audience
    assert ({"openid", "read"}, user.claims["sub"]) == (user.scopes, user.identity)
    assert user.session_id == user.claims["sid"]
    machine = await verify_token_async((await ask(better_auth_url, "machine"))["access_token"], config)
    assert ({"read", "write"}, machine.claims["client_id"]) == (machine.scopes, machine.identity)


@better_auth
async def test_an_id_token_of_better_auth_is_no_access_token(better_auth_url: str) -> None:
    """Not even where its audience, the client, is that of the API."""
    tokens = await ask(better_auth_url, "tokens")
    config = remote_config(better_auth_url)
    assert "invalid_token_type" == await code_of(tokens["id_token"], config)
    client_id = (await verify_token_async(tokens["access_token"], config)).claims["client_id"]
    for_client = remote_config(better_auth_url, client_id)
    assert "invalid_token_type" == await code_of(tokens["id_token"], for_client)
    assert await code_of(tokens["id_token"], for_client.replace(accept_id_tokens=True)) is None


@better_auth
async def test_better_auth_changes_its_key(better_auth_url: str) -> None:
    """A token of the new key leads to one more fetch; those of the old key stay good."""
    config = remote_config(better_auth_url)
    assert isinstance(config.jwks, RemoteKeySet)
    old = (await ask(better_auth_url, "machine"))["access_token"]
    assert await code_of(old, config) is None
    assert (1, 1) == (config.jwks.status().fetches, config.jwks.status().keys)
    await ask(better_auth_url, "rotation")
    new = (await ask(better_auth_url, "machine"))["access_token"]
    assert [None, None] == [await code_of(raw, config) for raw in (new, old)]
    assert (2, 2) == (config.jwks.status().fetches, config.jwks.status().keys)


# Authlib --------------------------------------------------------------------------------------------------------------


@in_python
async def test_tokens_of_authlib() -> None:
    """Access tokens without a kid are accepted, a user's with its roles; the ID token is refused, also for its audience."""
    with python_program("authlib_server.py") as url:
        config = remote_config(url)
        grant = {"grant_type": "client_credentials", "scope": "read write"}
        asked = {"response_type": "code", "client_id": "app", "scope": "openid read", "nonce": "n"}
        async with client(url) as http:
            machine = (await http.post("/token", data=grant, auth=CLIENT)).json()["access_token"]
            redirect = (await http.get("/authorize", params=asked)).headers["location"]
            grant = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(redirect).query)["code"][0]}
            user = (await http.post("/token", data=grant, auth=CLIENT)).json()
        token = await verify_token_async(machine, config)
        assert ({"alg": "RS256", "typ": "at+jwt"}, "app") == (token.headers, token.identity)
        assert (frozenset({"read", "write"}), frozenset()) == (token.scopes, token.roles)
        token = await verify_token_async(user["access_token"], config)
        assert ("alice", {"openid", "read"}, {"reader"}) == (token.identity, token.scopes, token.roles)
        assert "invalid_token_type" == await code_of(user["id_token"], remote_config(url, "app"))


# Django OAuth Toolkit -------------------------------------------------------------------------------------------------


@in_python
async def test_tokens_of_django_oauth_toolkit() -> None:
    """It answers for its opaque tokens with `username` and no `sub`. Its ID tokens are good for neither configuration."""
    with python_program("django_server.py") as url:
        introspection = Introspection(f"{url}/introspect/", CLIENT, loopback_http=True, timeout=60)
        settings = {"identity_claim": "username", "required_claims": {"client_id": "app"}}
        opaque = JWTConfig.for_introspection(introspection, **settings)
        tokens = await ask(url, "tokens")
        token = await verify_token_async(tokens["access_token"], opaque)
        assert ("alice", {"openid", "read"}) == (token.identity, token.scopes)
        assert "token_inactive" == await code_of(tokens["refresh_token"], opaque)
        assert "token_inactive" == await code_of(tokens["id_token"], opaque)
        keys = remote_config(url, "app")
        assert "invalid_token_type" == await code_of(tokens["id_token"], keys)
        assert await code_of(tokens["id_token"], keys.replace(accept_id_tokens=True)) is None


# Cognito, as Moto simulates it ----------------------------------------------------------------------------------------

REGION = "eu-west-1"
SIGNED = f"AWS4-HMAC-SHA256 Credential=x/20260101/{REGION}/cognito-idp/aws4_request, SignedHeaders=host, Signature=x"


async def cognito(http: httpx2.AsyncClient, action: str, **body: Any) -> Any:
    """Call an action of the API. Moto reads the region from the signature, and does not check it."""
    target = {"X-Amz-Target": f"AWSCognitoIdentityProviderService.{action}", "Authorization": SIGNED}
    answer = await http.post("/", json=body, headers={**target, "Content-Type": "application/x-amz-json-1.1"})
    assert 200 == answer.status_code, answer.text
    return answer.json()


@in_python
async def test_the_preset_reads_tokens_of_a_simulated_cognito() -> None:
    """The access token is accepted with scopes and groups; the ID token, another client and another pool are refused."""
    port = free_port()
    command = [str(PYTHON), "-c", "from moto.server import main; main()", "-p", str(port)]
    with serving(command, port) as url:
        user = {"Username": "alice"}
        async with client(url) as http:
            pool = (await cognito(http, "CreateUserPool", PoolName="p"))["UserPool"]["Id"]
            flows = {"ExplicitAuthFlows": ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]}
            made = await cognito(http, "CreateUserPoolClient", UserPoolId=pool, ClientName="app", **flows)
            client_id = made["UserPoolClient"]["ClientId"]
            await cognito(http, "AdminCreateUser", UserPoolId=pool, MessageAction="SUPPRESS", **user)
            password = {"Password": "A-passw0rd-of-tests!", "Permanent": True}
            await cognito(http, "AdminSetUserPassword", UserPoolId=pool, **user, **password)
            await cognito(http, "CreateGroup", UserPoolId=pool, GroupName="readers")
            await cognito(http, "AdminAddUserToGroup", UserPoolId=pool, GroupName="readers", **user)
            flow = {"AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "UserPoolId": pool, "ClientId": client_id}
            login = {"USERNAME": "alice", "PASSWORD": password["Password"]}
            answer = await cognito(http, "AdminInitiateAuth", AuthParameters=login, **flow)
        tokens = answer["AuthenticationResult"]

        async def fetch(address: str, *, max_size: int) -> FetchResponse:
            """Moto stands in for the hosts of AWS."""
            return await HTTPXFetch()(f"{url}{urlsplit(address).path}", max_size=max_size)

        def preset(**arguments: str) -> JWTConfig:
            given = {"region": REGION, "user_pool_id": pool, "client_id": client_id, **arguments}
            return JWTConfig.for_provider("cognito", **given, fetch=fetch, loopback_http=True)

        token = await verify_token_async(tokens["AccessToken"], preset())
        assert (token.claims["sub"], "alice") == (token.identity, token.claims["username"])
        assert ({"aws.cognito.signin.user.admin"}, {"readers"}) == (token.scopes, token.roles)
        assert "invalid_token_type" == await code_of(tokens["IdToken"], preset(audience=client_id))
        assert "invalid_claim" == await code_of(tokens["AccessToken"], preset(client_id="another"))
        assert "invalid_issuer" == await code_of(tokens["AccessToken"], preset(user_pool_id="eu-west-1_another"))
