"""Official MCP clients, of the Python and the TypeScript SDK, find their way into a server by a real provider.

`python tests/system/providers/install.py DIR` installs provider, client and conformance suite; `PROVIDERS_DIR` says where.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest

pytest.importorskip("httpx2")
pytest.importorskip("mcp")
pytest.importorskip("uvicorn")

import httpx2
import uvicorn
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

from asgi_jwt_claims import JWTConfig, create_access_token
from asgi_jwt_claims.mcp import MCPMiddleware
from tests.adapters.test_mcp import User
from tests.apps.mcp_notes import behind_its_own_guard, behind_the_middleware, notes
from tests.raw_asgi import App, bearer
from tests.sockets import PATIENCE
from tests.support import SECRET, free_port, serving
from tests.system.providers.test_providers import DIRECTORY, NEEDED

pytestmark = [pytest.mark.anyio, *NEEDED]

CALLBACK = "http://127.0.0.1:9/callback"


@pytest.fixture
def anyio_backend() -> str:
    """One event loop, since the clients bring their own."""
    return "asyncio"


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    """A socket, and the address of the endpoint of an MCP server that listens there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"


@contextmanager
def published(app: App, listener: socket.socket) -> Iterator[None]:
    """An application on uvicorn, in this process."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def place(make: Callable[[str, str], App]) -> Iterator[str]:
    """The address of an MCP server, which `make` makes of the issuer and that address, with a provider for it."""
    port = free_port()
    with listening() as (listener, resource):
        command = ["node", str(DIRECTORY / "mcp_provider.mjs"), str(port), resource]
        with serving(command, port) as issuer, published(make(issuer, resource), listener):
            yield resource


class Storage:
    """What a client keeps between its starts, in memory."""

    def __init__(self) -> None:
        self.tokens: Any = None
        self.client: Any = None

    async def get_tokens(self) -> Any:
        return self.tokens

    async def set_tokens(self, tokens: Any) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> Any:
        return self.client

    async def set_client_info(self, client_info: Any) -> None:
        self.client = client_info


class Browser:
    """What the client opens for its user, who logs in and consents."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.scopes: list[str] = []
        self.answer: dict[str, list[str]] = {}

    async def open(self, address: str) -> None:
        self.scopes.append(parse_qs(urlsplit(address).query)["scope"][0])
        url = f"{address}&login_hint={self.user}"
        async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            while not url.startswith(CALLBACK):
                answer = await http.get(url)
                assert answer.is_redirect, answer.text
                url = str(answer.url.join(answer.headers["location"]))
        self.answer = parse_qs(urlsplit(url).query)

    async def come_back(self) -> AuthorizationCodeResult:
        code, state, issuer = (self.answer[name][0] for name in ("code", "state", "iss"))
        return AuthorizationCodeResult(code=code, state=state, iss=issuer)


def login(resource: str, browser: Browser, storage: Storage) -> OAuthClientProvider:
    """The SDK's own way in: it discovers, registers, and logs its user in by PKCE."""
    metadata = OAuthClientMetadata.model_validate(
        {
            "client_name": "tests",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code"],
            "token_endpoint_auth_method": "none",
        }
    )
    return OAuthClientProvider(resource, metadata, storage, browser.open, browser.come_back)


@asynccontextmanager
async def opened(resource: str, auth: OAuthClientProvider, **options: Any) -> AsyncIterator[Client]:
    """A client of the SDK that is connected."""
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, timeout=PATIENCE) as http,
        Client(streamable_http_client(resource, http_client=http), **options) as client,
    ):
        yield client


async def call(client: Client, tool: str) -> str:
    result: Any = await client.call_tool(tool, {"text": "a"})
    text: str = result.content[0].text
    return text


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("options", [{}, {"json_response": True}], ids=["streams", "json"])
async def test_the_client_of_the_python_sdk(mode: str, options: dict[str, Any]) -> None:
    """Discovery, registration, PKCE, a call, and a step-up to the scope that a tool asks for, in both eras of the protocol."""
    browser, storage = Browser("alice"), Storage()
    with place(lambda issuer, resource: behind_the_middleware(issuer, resource, **options)) as resource:
        auth = login(resource, browser, storage)
        async with opened(resource, auth, mode=mode) as client:
            assert ["who", "write"] == [tool.name for tool in (await client.list_tools()).tools]
            assert "alice alice a" == await call(client, "who")
            assert ["notes:read"] == browser.scopes
            assert "alice wrote a" == await call(client, "write")
            assert ["notes:read", "notes:read notes:write"] == browser.scopes
            assert "alice alice a" == await call(client, "who")
    assert "notes:read notes:write" == storage.tokens.scope


async def test_the_client_of_the_typescript_sdk() -> None:
    """The same way in by the other official client, which also ends its session."""
    with place(behind_the_middleware) as resource:
        run = await anyio.run_process(["node", str(DIRECTORY / "mcp_client.mjs"), resource, "alice"], check=False)
    assert 0 == run.returncode, run.stderr.decode()
    told = json.loads(run.stdout)
    assert (["who", "write"], "alice alice", "alice wrote a") == (told["tools"], told["who"], told["wrote"])
    assert (["notes:read", "notes:write"], True) == (told["asked"], bool(told["session"]))


async def test_the_guard_of_the_sdk_with_our_verifier() -> None:
    """The SDK's own guard publishes the metadata, and takes what the verifier says of the provider's tokens."""
    browser = Browser("alice")
    with place(behind_its_own_guard) as resource:
        async with opened(resource, login(resource, browser, Storage()), mode="legacy") as client:
            assert "None alice a" == await call(client, "who")


async def test_a_session_is_refused_to_another_user() -> None:
    """Bob, logged in by the same provider, can use none of Alice's session: no call, no stream, no end."""  # S179
    with place(behind_the_middleware) as resource:
        tokens = []
        for name in ("alice", "bob"):
            storage = Storage()
            auth = login(resource, Browser(name), storage)
            async with opened(resource, auth) as client:
                assert f"{name} {name} a" == await call(client, "who")
            tokens.append(storage.tokens.access_token)
        async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            alice, bob = (User(http, raw, path=resource) for raw in tokens)
            assert (200, 200) == (await alice.open(), await bob.open())
            assert (404, "") == await bob.call("who", alice.session)
            async with http.stream("GET", resource, headers=bob._headers(alice.session)) as answer:
                assert 404 == answer.status_code
            assert 404 == await bob.delete(alice.session)
            assert (200, "alice alice") == await alice.call("who")
            async with http.stream("GET", resource, headers=alice._headers(None)) as answer:
                assert 200 == answer.status_code
            assert 200 == await alice.delete()


# The conformance suite of the protocol ---------------------------------------------------------------------------------


async def conformance(*arguments: str) -> str:
    program = DIRECTORY / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    run = await anyio.run_process(["node", str(program), *arguments], check=False, cwd=DIRECTORY)
    return run.stdout.decode() + run.stderr.decode()


async def test_the_suite_asks_nothing_of_a_server_about_authorization() -> None:
    """All its scenarios of authorization are about clients. A release that has some for servers fails here, to be run."""
    listed = await conformance("list", "--server")
    names = re.findall(r"^\s+- (\S+)", listed, re.MULTILINE)
    assert "server-initialize" in names
    assert [] == [name for name in names if re.search("auth|scope|token|resource-meta", name)]


SCENARIOS = ("server-initialize", "ping", "tools-list", "dns-rebinding-protection")


async def test_the_guard_changes_nothing_of_the_protocol() -> None:
    """What the suite, which has no token, asks of a server passes behind the middleware as it does without it."""
    config = JWTConfig(secret_key=SECRET)
    header = bearer(create_access_token("alice", config))

    guarded = MCPMiddleware(notes().streamable_http_app(), config)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], header]
        await guarded(scope, receive, send)

    with listening() as (listener, url), published(app, listener):
        for scenario in SCENARIOS:
            told = await conformance("server", "--url", url, "--scenario", scenario)
            assert re.search(r"Passed: (\d+)/\1, 0 failed", told), told
