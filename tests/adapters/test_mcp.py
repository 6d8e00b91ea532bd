"""MCP servers of the official SDK: sessions belong to their user, both libraries know the token, tools refuse by http."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

pytest.importorskip("mcp")
pytest.importorskip("httpx2")

import httpx2
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventStore
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi_jwt_claims import (
    AuthEvent,
    JWTConfig,
    JWTMiddleware,
    Key,
    create_access_token,
    create_refresh_token,
    current_token,
    verify_token,
)
from asgi_jwt_claims.access import Roles, ScopeHierarchy, Scopes
from asgi_jwt_claims.errors import NotGuardedError, SettingError
from asgi_jwt_claims.mcp import MCPMiddleware, TokenVerifier, require
from asgi_jwt_claims.sessions import revoke_token
from asgi_jwt_claims.stores import MemoryStore
from tests.conftest import HeldClock
from tests.forging import forge
from tests.raw_asgi import App, Message, Recorder, ask, bearer, http_scope, lifespan, talk
from tests.support import SECRET

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:8000"
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
MODERN = "2026-07-28"


def notes() -> MCPServer:
    """A server that tells whose request it handles, and refuses as a tool, a resource and a prompt do."""
    server = MCPServer("notes", log_level="ERROR")

    def names() -> str:
        ours, theirs = current_token(), get_access_token()
        return f"{ours and ours.identity} {theirs and theirs.subject}"

    @server.tool()
    async def who() -> str:
        return names()

    @server.tool()
    def who_in_a_thread() -> str:
        return names()

    @server.tool()
    def write(text: str) -> str:
        return f"{require(scopes='notes:write').identity} wrote {text}"

    @server.tool()
    async def erase(all_notes: bool = False) -> str:
        scopes = ["notes:write", "notes:erase"] if all_notes else ["notes:write"]
        return f"{require(scopes=scopes).identity} erased"

    add_further(server)
    return server


def add_further(server: MCPServer) -> None:
    @server.tool()
    async def stubborn() -> str:
        try:
            require(Roles("admin") | Scopes("notes:admin"))
        except Exception:  # noqa: BLE001 -- that is what it is about
            return "I do it all the same"
        return "done"

    @server.tool()
    async def late(ctx: Context[Any, Any]) -> str:
        await ctx.report_progress(1, 2)
        await anyio.sleep(0.05)  # until the event has been sent
        return f"{require(scopes='notes:write').identity} was late"

    @server.resource("notes://all")
    def every_note() -> str:
        return f"all that {require(scopes='notes:read').identity} may read"

    @server.prompt()
    def ask_for_notes() -> str:
        return f"{require(scopes='notes:read').identity} asks"


class User:
    """A client with a token. Its session, once opened, is sent with every request unless another is given."""

    def __init__(self, http: Any, raw: str | None, *, is_modern: bool = False, path: str = "/mcp") -> None:
        self.http, self.session, self.is_modern, self.path = http, "", is_modern, path
        self.headers = ACCEPT if raw is None else {**ACCEPT, "authorization": f"Bearer {raw}"}

    def _headers(self, session: str | None) -> dict[str, str]:
        chosen = self.session if session is None else session
        return {**self.headers, **({"mcp-session-id": chosen} if chosen else {})}

    async def post(self, method: str, params: dict[str, Any], session: str | None = None) -> Any:
        headers = self._headers(session)
        if self.is_modern:
            headers |= {"mcp-protocol-version": MODERN, "mcp-method": method}
            if name := params.get("name") or params.get("uri"):
                headers["mcp-name"] = name
            told = {"protocolVersion": MODERN, "clientInfo": CLIENT_INFO, "clientCapabilities": {}}
            params["_meta"] = {f"io.modelcontextprotocol/{key}": value for key, value in told.items()}
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.http.post(self.path, json=message, headers=headers)

    async def open(self, version: str = "2025-06-18") -> int:
        self.headers = {**self.headers, "mcp-protocol-version": version}
        told = {"protocolVersion": version, "clientInfo": CLIENT_INFO, "capabilities": {}}
        answer = await self.post("initialize", told)
        self.session = answer.headers.get("mcp-session-id", "")
        if answer.status_code == 200:
            said = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            assert 202 == (await self.http.post(self.path, json=said, headers=self._headers(None))).status_code
        return int(answer.status_code)

    async def call(self, tool: str, session: str | None = None, **arguments: Any) -> tuple[int, str]:
        """The status of the answer to a call, and what the tool said, or the challenge."""
        answer = await self.post("tools/call", {"name": tool, "arguments": arguments}, session)
        if answer.status_code != 200:
            return answer.status_code, answer.headers.get("www-authenticate", "")
        said = contents(answer)
        return 200, said["error"]["message"] if "error" in said else said["result"]["content"][0]["text"]

    async def delete(self, session: str | None = None) -> int:
        return int((await self.http.delete(self.path, headers=self._headers(session))).status_code)


CLIENT_INFO = {"name": "tests", "version": "1"}


def contents(answer: Any) -> dict[str, Any]:
    """The last message of an answer, as JSON or in an event stream."""
    lines = answer.text.splitlines() if "event-stream" in answer.headers["content-type"] else ["data:" + answer.text]
    found: dict[str, Any] = json.loads([line[5:] for line in lines if line.startswith("data:")][-1])
    return found


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[Any]:
    """A client of the started application."""
    transport = httpx2.ASGITransport(app)
    with anyio.fail_after(8):
        async with lifespan(app), httpx2.AsyncClient(transport=transport, base_url=URL) as http:
            yield http


async def stream_of(app: App, user: User, session: str | None = None) -> int:
    """The status of the answer to a client that asks for the stream of a session, and leaves."""
    headers = [(name.encode(), value.encode()) for name, value in user._headers(session).items()]
    scope = http_scope("/mcp", *headers)
    scope["headers"][0] = (b"host", b"127.0.0.1:8000")
    started = anyio.Event()
    statuses: list[int] = []

    has_read = False

    async def receive() -> Message:
        nonlocal has_read
        if not has_read:
            has_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await started.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
            started.set()

    await app(scope, receive, send)
    return statuses[0]


KINDS: dict[str, dict[str, Any]] = {"streams": {}, "json": {"json_response": True}}


@pytest.fixture(params=KINDS)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The ways in which the SDK answers."""
    return KINDS[request.param]


# Sessions -------------------------------------------------------------------------------------------------------------


async def test_a_session_belongs_to_its_user(config: JWTConfig, options: dict[str, Any]) -> None:
    """Bob's token opens nothing of Alice's session: no call, no stream, no end. Her own next token goes on with it."""  # S179
    app = MCPMiddleware(notes().streamable_http_app(**options), config)
    async with serving(app) as http:
        alice, bob = (User(http, create_access_token(name, config)) for name in ("alice", "bob"))
        assert (200, 200) == (await alice.open(), await bob.open())
        assert alice.session != bob.session
        for _ in range(2):
            assert (404, "") == await bob.call("who", alice.session)
            assert 404 == await stream_of(app, bob, alice.session)
            assert 404 == await bob.delete(alice.session)
        renewed = User(http, create_access_token("alice", config, scope="notes:write"))
        for user in (alice, renewed):
            assert (200, "alice alice") == await user.call("who", alice.session)
            assert 200 == await stream_of(app, user, alice.session)
        assert (200, "bob bob") == await bob.call("who")
        assert 200 == await renewed.delete(alice.session)
        assert (404, "") == await alice.call("who")


ISSUERS = ("https://one.example", "https://two.example")


def of_issuer(issuer: str) -> JWTConfig:
    return JWTConfig(signing_key=Key.generate("HS256"), issuer=issuer)


@pytest.mark.thorough
async def test_a_session_belongs_to_an_issuer_and_a_client() -> None:
    """Two issuers may know different people by one name, and one user may use clients that must not share a session."""  # S179
    one, two = ISSUERS
    configs = [JWTConfig(secret_key=SECRET, issuer=issuer, clock=HeldClock()) for issuer in ISSUERS]
    app = MCPMiddleware(notes().streamable_http_app(), configs)
    async with serving(app) as http:

        def user(issuer: str, client: str | None = None, claim: str = "client_id") -> User:
            return User(http, forge({"iss": issuer, **({} if client is None else {claim: client})}))

        alice, of_app = user(one), user(one, "app")
        assert (200, 200) == (await alice.open(), await of_app.open())
        for other in (user(two), user(one, "app"), user(two, "app")):
            assert (404, "") == await other.call("who", alice.session)
        for other in (user(two, "app"), user(one), user(one, "another"), user(one, "another", "cid")):
            assert (404, "") == await other.call("who", of_app.session)
        for claim in ("azp", "cid", "appid"):
            assert (200, "alice alice") == await user(one, "app", claim).call("who", of_app.session)


@pytest.mark.thorough
async def test_a_session_without_a_token_serves_no_token(config: JWTConfig) -> None:
    """Where tokens are not required, a session without one and a session with one are strangers, in both directions."""  # S179
    app = MCPMiddleware(notes().streamable_http_app(), config, required=False)
    async with serving(app) as http:
        alice, stranger = User(http, create_access_token("alice", config)), User(http, None)
        forger = User(http, create_access_token("alice", config.replace(secret_key="x" * 40)))
        assert [200] * 3 == [await one.open() for one in (alice, stranger, forger)]
        for other in (stranger, forger):
            assert (404, "") == await other.call("who", alice.session)
            assert (404, "") == await alice.call("who", other.session)
            assert (200, "None None") == await other.call("who")
        status, challenge = await stranger.call("write", text="a")
        assert (401, 'Bearer realm="api"') == (status, challenge)
        status, challenge = await forger.call("write", text="a")
        assert (401, True) == (status, 'error="invalid_token"' in challenge)


async def test_a_session_on_an_exempt_path_belongs_to_its_token(config: JWTConfig) -> None:
    """Where the path is exempt, and tools ask for the token by themselves, Bob and a stranger are kept out all the same."""  # S179
    app = MCPMiddleware(notes().streamable_http_app(), config, exempt=["/mcp"])
    async with serving(app) as http:
        alice, bob = (User(http, create_access_token(name, config, scope="notes:write")) for name in ("alice", "bob"))
        refresher, stranger = User(http, create_refresh_token("alice", config)), User(http, None)
        assert [200] * 4 == [await one.open() for one in (alice, bob, refresher, stranger)]
        for other in (bob, refresher, stranger):
            assert (404, "") == await other.call("write", alice.session, text="a")
            assert 404 == await other.delete(alice.session)
        assert (200, "alice wrote a") == await alice.call("write", text="a")
        assert (200, "None None") == await stranger.call("who")


@pytest.mark.thorough
async def test_the_user_of_an_outer_middleware_is_not_taken_over(config: JWTConfig) -> None:
    """Where the inner middleware lets a request on without a token, the SDK does not see the user of another one."""
    inner = MCPMiddleware(notes().streamable_http_app(), of_issuer(ISSUERS[0]), required=False)
    app = MCPMiddleware(inner, config)
    async with serving(app) as http:
        alice, bob = (User(http, create_access_token(name, config)) for name in ("alice", "bob"))
        assert 200 == await alice.open()
        assert (200, "None None") == await alice.call("who")
        assert (200, "None None") == await bob.call("who", alice.session)


async def test_a_mounted_server(config: JWTConfig) -> None:
    """Behind the middleware of a whole application, a mounted server needs its own to bind its sessions; a token counts once."""
    mounted = notes().streamable_http_app()
    inside = MCPMiddleware(mounted, config)
    app = JWTMiddleware(
        Starlette(routes=[Mount("/", inside)], lifespan=lambda _: mounted.router.lifespan_context(mounted)), config
    )
    async with serving(app) as http:
        alice, bob = (User(http, create_access_token(name, config)) for name in ("alice", "bob"))
        assert 200 == await alice.open()
        assert (404, "") == await bob.call("who", alice.session)
        assert (200, "alice alice") == await alice.call("who")


# Who it is ------------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("tool", ["who", "who_in_a_thread"])
@pytest.mark.parametrize("kind", ["streams", "json", "stateless", "modern"])
async def test_both_libraries_know_the_token(config: JWTConfig, tool: str, kind: str) -> None:
    """`current_token()` and `get_access_token()` are those of the request, in async tools and in threads."""
    made = notes().streamable_http_app(**{"stateless": {"stateless_http": True}}.get(kind, KINDS.get(kind, {})))
    async with serving(MCPMiddleware(made, config)) as http:
        for name in ("alice", "bob", "alice"):
            user = User(http, create_access_token(name, config), is_modern=kind == "modern")
            assert kind in ("stateless", "modern") or 200 == await user.open()
            assert (200, f"{name} {name}") == await user.call(tool)
    assert (None, None) == (current_token(), get_access_token())


async def test_what_the_sdk_knows_of_a_token(config: JWTConfig) -> None:
    """The SDK's token has what its guards and RFC 7662 ask for, and neither its `repr` nor its `str` shows the encoded one."""
    own = config.replace(issuer=ISSUERS[0], audience=["https://a.example/mcp", "https://b.example/mcp"])
    audience = ["https://elsewhere.example", "https://b.example/mcp", "https://a.example/mcp"]
    raw = forge({"iss": ISSUERS[0], "aud": audience, "azp": "app", "client_id": 7, "scope": "notes:write notes:read"})
    found = await TokenVerifier(own).verify_token(raw)
    assert found is not None
    assert (raw, "app", ["notes:read", "notes:write"]) == (found.token, found.client_id, found.scopes)
    assert ("alice", "https://b.example/mcp") == (found.subject, found.resource)
    assert found.claims is not None
    assert (ISSUERS[0], found.expires_at) == (found.claims["iss"], found.claims["exp"])
    assert (False, False) == (raw in repr(found), raw in str(found))
    assert raw == found.model_dump()["token"]


async def test_scopes_that_are_implied(config: JWTConfig) -> None:
    """The guards of the SDK and of FastMCP find the scopes that a token implies, beside those that it names."""
    own = config.replace(scope_hierarchy=ScopeHierarchy({"notes:write": "notes:read"}))
    found = await TokenVerifier(own).verify_token(create_access_token("alice", own, scope="notes:write"))
    assert ["notes:read", "notes:write"] == (found and found.scopes)
    async with serving(MCPMiddleware(notes().streamable_http_app(), own)) as http:
        alice = User(http, create_access_token("alice", own, scope="notes:write"))
        assert 200 == await alice.open()
        assert 200 == (await alice.post("resources/read", {"uri": "notes://all"})).status_code


async def test_identities_of_other_kinds(config: JWTConfig) -> None:
    """An identity that is no text is the same subject however its members are ordered; a token may have no end and no audience."""
    verifier = TokenVerifier(config.replace(identity_claim="user", required_claims=[]))
    tokens = [forge({"user": who}, without=("exp",)) for who in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, 7)]
    found = [await verifier.verify_token(raw) for raw in tokens]
    assert ['{"a": 1, "b": 2}', '{"a": 1, "b": 2}', "7"] == [one and one.subject for one in found]
    assert [(None, None, "")] * 3 == [one and (one.expires_at, one.resource, one.client_id) for one in found]


async def test_the_user_in_the_scope(config: JWTConfig) -> None:
    """The SDK's user and its scopes are in the scope, for applications of any kind; set_user would put another there."""
    recorder = Recorder()
    app = MCPMiddleware(recorder, config)
    raw = create_access_token("alice", config, scope="notes:read")
    await ask(app, "/", bearer(raw))
    scope = recorder.scope
    assert ("alice", ["notes:read"], ["notes:read"]) == (
        scope["user"].access_token.subject,
        scope["user"].scopes,
        scope["auth"].scopes,
    )
    assert 401 == (await ask(app)).status
    await talk(app, "/", bearer(raw))
    assert "alice" == recorder.calls[-1][0]["user"].access_token.subject
    with pytest.raises(SettingError, match="leave out set_user"):
        MCPMiddleware(recorder, config, set_user=True)


# Refusals of tools ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_modern", [False, True])
async def test_a_tool_asks_for_further_scopes(config: JWTConfig, options: dict[str, Any], is_modern: bool) -> None:
    """A tool refuses with 403 and all scopes that it needs for these arguments; with them, the same session goes on."""  # S179
    async with serving(MCPMiddleware(notes().streamable_http_app(**options), config)) as http:
        alice = User(http, create_access_token("alice", config, scope="notes:read"), is_modern=is_modern)
        assert is_modern or 200 == await alice.open()
        for scopes, arguments in (("notes:write", {}), ("notes:write notes:erase", {"all_notes": True})):
            status, challenge = await alice.call("erase", **arguments)
            assert (403, True, True) == (
                status,
                'error="insufficient_scope"' in challenge,
                f'scope="{scopes}"' in challenge,
            )
        raw = create_access_token("alice", config, scope="notes:write notes:erase")
        able = User(http, raw, is_modern=is_modern)
        assert (200, "alice erased") == await able.call("erase", alice.session, all_notes=True)
        assert (200, "alice wrote a") == await able.call("write", alice.session, text="a")


@pytest.mark.thorough
@pytest.mark.parametrize("is_modern", [False, True])
async def test_resources_and_prompts_refuse_too(config: JWTConfig, options: dict[str, Any], is_modern: bool) -> None:
    """What a resource or a prompt demands is answered in the same way."""
    async with serving(MCPMiddleware(notes().streamable_http_app(**options), config)) as http:
        for scope, status in (("", 403), ("notes:read", 200)):
            alice = User(http, create_access_token("alice", config, scope=scope or None), is_modern=is_modern)
            assert is_modern or 200 == await alice.open()
            for method, params in (
                ("resources/read", {"uri": "notes://all"}),
                ("prompts/get", {"name": "ask_for_notes"}),
            ):
                answer = await alice.post(method, params)
                assert status == answer.status_code
                assert ("alice" in answer.text) is (status == 200)


async def test_what_is_refused_stays_refused(config: JWTConfig, events: list[AuthEvent]) -> None:
    """A tool that goes on after a refusal has done so in vain; the refusal is reported like any other, once."""
    async with serving(MCPMiddleware(notes().streamable_http_app(), config)) as http:
        alice = User(http, create_access_token("alice", config, roles=["staff"]))
        assert 200 == await alice.open()
        events.clear()
        status, challenge = await alice.call("stubborn")
        assert (403, True) == (status, 'scope="notes:admin"' in challenge)
        refused = [(one.code, one.identity) for one in events if one.name == "refused"]
        assert (1, "alice") == (len(refused), refused[0][1])
        admin = User(http, create_access_token("alice", config, roles=["admin"]))
        assert (200, "done") == await admin.call("stubborn", alice.session)


async def test_a_refusal_after_a_part_of_the_answer(config: JWTConfig, events: list[AuthEvent]) -> None:
    """Once a part of the answer has been sent, the refusal is an error of the protocol, in fixed words, and is reported too."""
    async with serving(MCPMiddleware(notes().streamable_http_app(), config)) as http:
        alice = User(http, create_access_token("alice", config))
        assert 200 == await alice.open()
        params = {"name": "late", "arguments": {}, "_meta": {"progressToken": 1}}
        answer = await alice.post("tools/call", params)
        assert (200, True) == (answer.status_code, "notifications/progress" in answer.text)
        assert {"code": -32600, "message": "The token lacks a required scope."} == contents(answer)["error"]
        assert [("refused", "missing_scope", "alice")] == [(one.name, one.code, one.identity) for one in events]


class Events(EventStore):
    """Keeps no events, and numbers them."""

    def __init__(self) -> None:
        self.count = 0

    async def store_event(self, stream_id: str, message: Any) -> str:
        self.count += 1
        return str(self.count)

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> None:
        """There is nothing to replay."""


@pytest.mark.parametrize(("version", "status"), [("2025-06-18", 403), ("2025-11-25", 200)])
async def test_a_refusal_of_a_server_with_an_event_store(config: JWTConfig, version: str, status: int) -> None:
    """Where an event begins each stream, which newer versions demand, the refusal is an error of the protocol."""
    async with serving(MCPMiddleware(notes().streamable_http_app(event_store=Events()), config)) as http:
        alice = User(http, create_access_token("alice", config))
        assert 200 == await alice.open(version)
        found, said = await alice.call("write", text="a")
        assert (status, True) == (found, "scope" in said)


async def test_require_needs_the_middleware(config: JWTConfig) -> None:
    """Outside of a request, behind another middleware, and in a task that outlives its request, there is nothing to ask."""
    with pytest.raises(NotGuardedError, match="MCPMiddleware"):
        require()
    wake, found = anyio.Event(), []

    async def outlive() -> None:
        await wake.wait()
        with pytest.raises(NotGuardedError, match="MCPMiddleware"):
            require()
        found.append(current_token())

    async with anyio.create_task_group() as tasks:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert "alice" == require(fresh=False).identity
            tasks.start_soon(outlive)
            await Recorder()(scope, receive, send)

        guarded = MCPMiddleware(app, config)
        assert 200 == (await ask(guarded, "/", bearer(create_access_token("alice", config)))).status
        wake.set()
    assert [None] == found


async def test_the_start_of_an_answer_waits_for_no_body_that_never_comes(config: JWTConfig) -> None:
    """A response without a body is passed on as the application leaves it, and an error of the application stays its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        if scope["path"] == "/fails":
            raise LookupError("mine")

    guarded, header = MCPMiddleware(app, config), bearer(create_access_token("alice", config))
    assert ["http.response.start"] == (await ask(guarded, "/", header, method="POST")).types
    with pytest.raises(LookupError, match="mine"):
        await ask(guarded, "/fails", header, method="POST")


# The verifier ---------------------------------------------------------------------------------------------------------


def with_verifier(verifier: TokenVerifier) -> Any:
    settings = AuthSettings(
        issuer_url="https://login.example",  # type: ignore[arg-type]  # pydantic reads it
        resource_server_url=f"{URL}/mcp",  # type: ignore[arg-type]  # as above
        required_scopes=["notes:read"],
        validate_token_resource=True,
    )
    server = notes()
    server.settings.auth, server._token_verifier = settings, verifier
    return server.streamable_http_app()


async def test_the_verifier_of_the_sdk(config: JWTConfig) -> None:
    """The SDK's own guard, given the verifier, binds sessions, checks scopes and knows the resource among the audience."""
    own = config.replace(audience=[f"{URL}/mcp", "https://another.example"])
    async with serving(with_verifier(TokenVerifier(own))) as http:

        def user(name: str, scope: str | None = "notes:read") -> User:
            return User(http, create_access_token(name, own, scope=scope))

        alice = user("alice")
        assert [200, 403, 401] == [await one.open() for one in (alice, user("alice", None), User(http, None))]
        assert (200, "None alice") == await alice.call("who")
        assert (404, "") == await user("bob").call("who", alice.session)
        elsewhere = User(
            http, create_access_token("alice", config.replace(audience="https://elsewhere.example"), scope="notes:read")
        )
        assert 401 == await elsewhere.open()


async def test_the_verifier_refuses(config: JWTConfig, store: MemoryStore, events: list[AuthEvent]) -> None:
    """Forged, expired, revoked and foreign tokens, refresh tokens and any other text are None, and reported."""  # S179
    verifier = TokenVerifier([config.replace(issuer=ISSUERS[0]), of_issuer(ISSUERS[1])], store=store)
    own = config.replace(issuer=ISSUERS[0])
    good, revoked = create_access_token("alice", own), create_access_token("alice", own)
    await revoke_token(verify_token(revoked, own), own, store)
    events.clear()
    assert None is not await verifier.verify_token(good)
    assert [] == events
    bad = [
        "",
        " ",
        "é",
        "\ud800",
        f"{good}\n",
        good[:-2],
        f"{good}, Bearer {good}",
        revoked,
        create_refresh_token("alice", own),
        create_access_token("alice", of_issuer(ISSUERS[0])),
        create_access_token("alice", config),
    ]
    assert [None] * len(bad) == [await verifier.verify_token(raw) for raw in bad]
    assert {"refused"} == {event.name for event in events}
    assert len(bad) == len(events)


class Distant(MemoryStore):
    """A store that has to be asked."""

    def is_revoked_locally(self, *_: object) -> None:
        """Nothing is known without asking."""


async def test_the_verifier_waits_for_the_store(config: JWTConfig, clock: HeldClock, events: list[AuthEvent]) -> None:
    """The verifier asks a store that has to be asked, and tells of what it accepts, as the middleware does."""
    own, store = config.replace(accepted_events=True), Distant(clock=clock)
    verifier, raw = TokenVerifier(own, store=store), create_access_token("alice", own)
    found = await verifier.verify_token(raw)
    assert ("alice", ["accepted"]) == (found and found.subject, [event.name for event in events])
    await revoke_token(verify_token(raw, own), own, store)
    assert None is await verifier.verify_token(raw)


async def test_the_verifier_cannot_be_misconfigured(config: JWTConfig) -> None:
    """What cannot be used is told when the verifier is made."""
    with pytest.raises(SettingError, match="store must be a TokenStore"):
        TokenVerifier(config, store=object())  # type: ignore[arg-type]
