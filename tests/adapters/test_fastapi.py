"""What is particular to FastAPI."""

import contextvars
from typing import Annotated, Any

import anyio
import pytest

pytest.importorskip("fastapi")

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, Security, WebSocket, routing
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import SecurityScopes
from starlette.requests import HTTPConnection

from asgi_jwt_claims import (
    AuthEvent,
    BearerHeader,
    ErrorResponse,
    JWTConfig,
    JWTMiddleware,
    Token,
    TokenError,
    adopt_token,
    create_access_token,
    create_refresh_token,
    current_token,
    get_token,
)
from asgi_jwt_claims import fastapi as adapter
from asgi_jwt_claims.access import AnyScope, Roles, ScopeHierarchy
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    MissingScopeError,
    NotGuardedError,
    SettingError,
)
from asgi_jwt_claims.fastapi import (
    CurrentToken,
    JWTBearer,
    OptionalToken,
    TokenHTTPException,
    install,
    jwt_required,
)
from tests.apps import postponed
from tests.conftest import HeldClock
from tests.raw_asgi import Header, ask, bearer, http_scope, talk
from tests.support import SECRET

pytestmark = pytest.mark.anyio

ADMIT = {"identity": "alice"}


@pytest.fixture
def app() -> Any:
    return FastAPI()


@pytest.fixture
def alice(config: JWTConfig) -> Header:
    return bearer(create_access_token("alice", config, roles="USER", scope="read"))


MISSING = {"error": "unauthorized", "error_description": "Authentication is required."}


# One word in the handler ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("required", [True, False])
async def test_current_token(app: Any, config: JWTConfig, alice: Header, required: bool) -> None:
    """`token: CurrentToken` is the token, and what `get_token` and `current_token` say."""
    install(app, config, required=required)

    @app.get("/")
    async def handler(request: Request, token: CurrentToken) -> Any:
        return {"identity": token.identity, "same": token is get_token(request) is current_token()}

    @app.get("/sync")
    def synchronous(token: CurrentToken) -> Any:
        return {"identity": token.identity, "same": token is current_token()}

    for path in ("/", "/sync"):
        assert {"identity": "alice", "same": True} == (await ask(app, path, alice)).json
        refused = await ask(app, path)
        assert (401, MISSING) == (refused.status, refused.json)


async def test_optional_token(app: Any, config: JWTConfig, alice: Header, clock: HeldClock) -> None:
    """`token: OptionalToken` is None where none was sent; a bad one is refused."""  # S129
    install(app, config, required=False)

    @app.get("/")
    async def handler(token: OptionalToken) -> Any:
        return {"identity": token and token.identity}

    assert {"identity": None} == (await ask(app, "/")).json
    assert ADMIT == (await ask(app, "/", alice)).json
    assert 401 == (await ask(app, "/", bearer("a.b.c"))).status
    assert 400 == (await ask(app, "/", bearer(""))).status
    clock.now += 3600
    assert 401 == (await ask(app, "/", alice)).status


async def test_postponed_annotations(config: JWTConfig, alice: Header) -> None:
    """Handlers of a module with `from __future__ import annotations` are read the same."""
    app: Any = postponed.build(config)
    for path in ("/current", "/guarded", "/guarded-sync", "/method", "/body/7"):
        answer = await ask(app, path, alice)
        assert (path, 200, "alice") == (path, answer.status, answer.json["identity"])
        assert (path, 401) == (path, (await ask(app, path)).status)
    assert {"identity": "alice", "number": 7, "query": "x"} == (await ask(app, "/body/7", alice)).json
    assert ["alice"] == (await talk(app, "/ws", alice)).texts
    assert 401 == (await talk(app, "/ws")).status


async def test_a_guarded_handler_keeps_its_parameters(app: Any, config: JWTConfig, alice: Header) -> None:
    """`jwt_required` leaves path, query and body to FastAPI, wherever `token` stands among them."""
    install(app, config)

    @app.post("/items/{number}")
    @jwt_required
    async def handler(number: int, token: Token, body: dict[str, Any], query: str = "x") -> Any:
        return {"identity": token.identity, "number": number, "query": query}

    @app.get("/bare/{number}")
    @jwt_required(scopes="read")
    async def tokenless(number: int) -> Any:
        return {"number": number}

    assert 422 == (await ask(app, "/items/7", alice, method="POST")).status
    assert {"number": 7} == (await ask(app, "/bare/7", alice)).json
    paths = (await ask(app, "/openapi.json", alice)).json["paths"]
    assert {"number", "query"} == {parameter["name"] for parameter in paths["/items/{number}"]["post"]["parameters"]}
    assert {"number"} == {parameter["name"] for parameter in paths["/bare/{number}"]["get"]["parameters"]}


async def test_a_handler_that_is_an_object(app: Any, config: JWTConfig, alice: Header) -> None:
    """An object with an async `__call__` is guarded like a function."""
    install(app, config)

    class Handler:
        async def __call__(self, token: Token) -> Any:
            return {"identity": token.identity}

    app.get("/")(jwt_required(Handler()))
    assert ADMIT == (await ask(app, "/", alice)).json


async def test_a_handler_that_takes_anything(alice: Header, config: JWTConfig) -> None:
    """The guard's parameter goes before `**kwargs`, as Python demands."""

    @jwt_required
    async def handler(request: Request, **kwargs: Any) -> Any:
        raise AssertionError("called")

    signature = adapter.inspect.signature(handler)
    assert ["request", "jwt_required_token", "kwargs"] == list(signature.parameters)


# Without a middleware -------------------------------------------------------------------------------------------------


async def test_without_a_middleware(app: Any, config: JWTConfig, alice: Header, verifications: list[str]) -> None:
    """A dependency with its own configuration verifies by itself, once, and fills the scope."""

    @app.get("/")
    async def handler(request: Request, token: Annotated[Token, Security(JWTBearer(config))]) -> Any:
        return {"identity": token.identity, "same": token is get_token(request) is request.scope["token"]}

    assert {"identity": "alice", "same": True} == (await ask(app, "/", alice)).json
    assert 1 == len(verifications)


async def test_the_answer_without_a_middleware(app: Any, config: JWTConfig) -> None:
    """FastAPI's own form of an `HTTPException`, with the right status and challenge."""

    @app.get("/")
    async def handler(token: Annotated[Token, Security(JWTBearer(config, realm="orders"))]) -> Any:
        raise AssertionError("reached")

    answer = await ask(app, "/")
    assert (401, {"detail": MISSING}) == (answer.status, answer.json)
    assert 'Bearer realm="orders"' == answer.headers["www-authenticate"]
    assert "no-store" == answer.headers["cache-control"]
    assert str(len(answer.body)) == answer.headers["content-length"]
    forged = await ask(app, "/", bearer("a.b.c"))
    assert "invalid_token" == forged.json["detail"]["error"]


async def test_the_answer_after_install(app: Any, config: JWTConfig) -> None:
    """After `install` a dependency refuses with the middleware's own answer, problem details and all."""

    @app.get("/")
    async def handler(token: CurrentToken) -> Any:
        raise AssertionError("reached")

    install(app, config, required=False, realm="orders", problem_json=True)
    answer = await ask(app, "/")
    assert "application/problem+json" == answer.headers["content-type"]
    assert 'Bearer realm="orders"' == answer.headers["www-authenticate"]
    assert 401 == answer.json["status"]


async def test_a_wrapped_application(app: Any, config: JWTConfig, alice: Header) -> None:
    """Wrapped instead of installed, the dependency asks the middleware; only the form of the refusal is FastAPI's."""

    @app.get("/")
    async def handler(token: CurrentToken) -> Any:
        return {"identity": token.identity}

    def on_error(error: TokenError, answer: ErrorResponse, scope: Any) -> ErrorResponse:
        return answer._replace(headers=(*answer.headers, ("x-code", error.code)))

    wrapped = JWTMiddleware(app, config, required=False, on_error=on_error)
    assert ADMIT == (await ask(wrapped, "/", alice)).json
    refused = await ask(wrapped, "/")
    assert (401, {"detail": MISSING}) == (refused.status, refused.json)
    assert "token_missing" == refused.headers["x-code"]


async def test_the_path_of_an_event(app: Any, config: JWTConfig, alice: Header, events: list[AuthEvent]) -> None:
    """The template in an event has the prefixes of included routers, and is that of the innermost route of a mount."""
    inner, outer, mounted = APIRouter(prefix="/items"), APIRouter(), FastAPI()

    async def handler() -> Any:
        raise AssertionError("reached")

    routers: list[tuple[Any, str]] = [(app, "/items/{id}"), (inner, "/{id}"), (mounted, "/{id}")]
    for router, path in routers:
        router.add_api_route(path, jwt_required(allow="ADMIN")(handler), methods=["GET"])
    outer.include_router(inner, prefix="/v1")
    app.include_router(outer, prefix="/api")
    app.mount("/tenants/{tenant}", mounted)
    install(app, config.replace(on_event=events.append))
    for path in ("/items/4711", "/api/v1/items/4711", "/tenants/acme/4711"):
        await ask(app, path, alice)
    assert ["/items/{id}", "/api/v1/items/{id}", "/{id}"] == [event.path for event in events]


async def test_events_without_a_middleware(app: Any, config: JWTConfig, alice: Header, events: list[AuthEvent]) -> None:
    """A dependency with a configuration of its own tells of what it lets in, once, and of what it refuses."""
    bearer_of = JWTBearer(config.replace(on_event=events.append, accepted_events=True), allow=["USER"])

    @app.get("/items/{number}", dependencies=[Security(bearer_of)])
    async def handler(token: Annotated[Token, Security(bearer_of)]) -> Any:
        return {"identity": token.identity}

    assert ADMIT == (await ask(app, "/items/7", alice)).json
    guest = bearer(create_access_token("guest", config))
    assert [403, 401] == [(await ask(app, "/items/7", *headers)).status for headers in ((guest,), ())]
    assert [
        ("accepted", None, "alice", "/items/{number}"),
        ("refused", "role_refused", "guest", "/items/{number}"),
        ("refused", "token_missing", None, "/items/{number}"),
    ] == [(event.name, event.code, event.identity, event.path) for event in events]


async def test_current_token_needs_a_middleware(app: Any, alice: Header) -> None:
    """Without a configuration from anywhere nobody gets in, and the error says what is missing."""

    @app.get("/")
    async def handler(token: CurrentToken) -> Any:
        raise AssertionError("reached")

    with pytest.raises(NotGuardedError, match="install"):
        await ask(app, "/", alice)


async def test_a_dependency_beside_a_middleware(
    app: Any, config: JWTConfig, alice: Header, verifications: list[str]
) -> None:
    """Under the same configuration the dependency asks the middleware, and nothing is verified twice (trap)."""
    install(app, config)

    @app.get("/")
    async def handler(
        token: Annotated[Token, Security(JWTBearer(config))],
        same: CurrentToken,
        again: Annotated[Token, Security(JWTBearer(config), scopes=["read"])],
    ) -> Any:
        return {"identity": token.identity, "same": token is same is again}

    assert {"identity": "alice", "same": True} == (await ask(app, "/", alice)).json
    assert 1 == len(verifications)


async def test_many_dependencies_without_a_middleware(
    app: Any, config: JWTConfig, alice: Header, verifications: list[str]
) -> None:
    """However many dependencies of one configuration there are, the token is verified once (trap)."""
    app.router.dependencies.append(Security(JWTBearer(config)))

    def identity(token: Annotated[Token, Security(JWTBearer(config, allow="USER"))]) -> str:
        return str(token.identity)

    @app.get("/", dependencies=[Security(JWTBearer(config, scopes="read"))])
    async def handler(
        identity: Annotated[str, Depends(identity)],
        token: Annotated[Token, Security(JWTBearer(config, optional=True), scopes=["read"])],
    ) -> Any:
        return {"identity": identity}

    assert ADMIT == (await ask(app, "/", alice)).json
    assert 1 == len(verifications)


async def test_two_configurations(app: Any, config: JWTConfig, verifications: list[str]) -> None:
    """Dependencies of two configurations each have their own verdict (trap: shared state); the first one is current."""
    other = JWTConfig(secret_key=SECRET[::-1], clock=config.clock, send_kid=False)

    @app.get("/mine")
    async def mine(token: Annotated[Token, Security(JWTBearer(config))]) -> Any:
        return {"identity": token.identity}

    @app.get("/theirs")
    async def theirs(token: Annotated[Token, Security(JWTBearer(other))]) -> Any:
        return {"identity": token.identity}

    @app.get("/both")
    async def both(
        first: Annotated[Token, Security(JWTBearer(config))], second: Annotated[Token, Security(JWTBearer(other))]
    ) -> Any:
        raise AssertionError("reached")

    alice, bob = bearer(create_access_token("alice", config)), bearer(create_access_token("bob", other))
    statuses = [[(await ask(app, path, header)).status for path in ("/mine", "/theirs")] for header in (alice, bob)]
    assert [[200, 401], [401, 200]] == statuses
    verifications.clear()
    assert 401 == (await ask(app, "/both", alice)).status
    assert 2 == len(verifications)


# Scopes and rules -----------------------------------------------------------------------------------------------------


async def test_security_scopes(app: Any, config: JWTConfig) -> None:
    """The scopes of `Security`, all the way up the tree of dependencies, are demanded and named together."""  # S116
    install(app, config)

    def nested(token: Annotated[Token, Security(JWTBearer(scopes="own"), scopes=["inner"])]) -> Token:
        return token

    router = APIRouter(dependencies=[Security(JWTBearer(), scopes=["router"])])

    @router.get("/nested")
    async def handler(token: Annotated[Token, Security(nested, scopes=["outer"])]) -> Any:
        return {"identity": token.identity}

    app.include_router(router)
    full = bearer(create_access_token("alice", config, scope="own inner outer router"))
    assert ADMIT == (await ask(app, "/nested", full)).json
    for lacking in ("own", "inner", "outer"):
        scope = " ".join({"own", "inner", "outer", "router"} - {lacking})
        answer = await ask(app, "/nested", bearer(create_access_token("alice", config, scope=scope)))
        assert (403, "insufficient_scope") == (answer.status, answer.json["error"])
        assert answer.headers["www-authenticate"].endswith('scope="router own outer inner"')
    without = await ask(app, "/nested", bearer(create_access_token("alice", config, scope="own inner outer")))
    assert 403 == without.status
    assert without.headers["www-authenticate"].endswith('scope="router own outer inner"')


async def test_security_scopes_and_rules(app: Any, config: JWTConfig) -> None:
    """The scopes of `Security` are granted by those that imply them, and stand beside the rule of the guard."""
    hierarchy = ScopeHierarchy({"orders:admin": ["orders:write"], "orders:write": ["orders:read"]}, wildcards=True)
    config = config.replace(scope_hierarchy=hierarchy)
    guard = JWTBearer(config, require=AnyScope("reports", "orders:admin") | Roles("support"))

    @app.get("/orders")
    async def handler(token: Annotated[Token, Security(guard, scopes=["orders:read"])]) -> Any:
        return {"identity": token.identity}

    for claims in ({"scope": "orders:admin"}, {"scope": "orders:*"}, {"scope": "orders:write", "roles": "support"}):
        assert ADMIT == (await ask(app, "/orders", bearer(create_access_token("alice", config, **claims)))).json
    for claims, named in (
        ({"scope": "orders:write"}, {"orders:read", "reports"}),
        ({"scope": "reports"}, {"orders:read", "reports"}),
        ({"roles": "support"}, {"orders:read"}),
    ):
        refusal = await ask(app, "/orders", bearer(create_access_token("alice", config, **claims)))
        assert named == scopes_named(refusal)


def scopes_named(answer: Any) -> set[str]:
    """The scopes in the challenge of an answer."""
    assert 403 == answer.status
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    return set(answer.headers["www-authenticate"].partition('scope="')[2].removesuffix('"').split())


@pytest.mark.parametrize("late", [False, *([True] if hasattr(routing, "iter_route_contexts") else [])])
async def test_the_scopes_of_all_guards(app: Any, config: JWTConfig, late: bool) -> None:
    """A refusal names the scopes of every guard of the route, wherever that stands, so that one step is enough."""  # S116
    install(app, config)
    inner = APIRouter(dependencies=[Security(JWTBearer(scopes="inner"))])
    outer = APIRouter(prefix="/outer", dependencies=[Security(JWTBearer(config), scopes=["outer"])])

    def handlers() -> None:
        @inner.get("/x", dependencies=[Security(JWTBearer(), scopes=["route"])])
        @jwt_required(scopes="above")
        @jwt_required(scopes="below")
        async def handler(token: Annotated[Token, Security(JWTBearer(scopes="own"))]) -> Any:
            return {"identity": token.identity}

    if not late:
        handlers()
    outer.include_router(inner, dependencies=[Security(JWTBearer(), scopes=["include"])])
    app.include_router(outer, prefix="/app", dependencies=[Security(JWTBearer(), scopes=["app"])])
    if late:
        handlers()
    everything = {"inner", "outer", "route", "above", "below", "own", "include", "app"}
    for lacking in ({"app"}, {"own"}, {"below", "inner"}, everything):
        header = bearer(create_access_token("alice", config, scope=sorted(everything - lacking)))
        assert everything == scopes_named(await ask(app, "/app/outer/x", header))
    full = bearer(create_access_token("alice", config, scope=sorted(everything)))
    assert ADMIT == (await ask(app, "/app/outer/x", full)).json


async def test_the_scopes_of_a_websocket(app: Any, config: JWTConfig) -> None:
    """The same for a websocket, on a router that is included."""
    install(app, config)
    router = APIRouter(dependencies=[Security(JWTBearer(), scopes=["router"])])

    @router.websocket("/ws")
    async def converse(websocket: WebSocket, token: Annotated[Token, Security(JWTBearer(scopes="own"))]) -> None:
        raise AssertionError("reached")

    app.include_router(router)
    app.websocket("/direct", dependencies=[Security(JWTBearer(), scopes=["router"])])(converse)
    for path in ("/ws", "/direct"):
        assert {"router", "own"} == scopes_named(await talk(app, path, bearer(create_access_token("alice", config))))


async def test_the_scopes_of_another_configuration(app: Any, config: JWTConfig, alice: Header) -> None:
    """What a guard with another configuration demands is demanded of another token."""
    other = JWTConfig(secret_key=SECRET[::-1], clock=config.clock, send_kid=False)

    @app.get("/", dependencies=[Security(JWTBearer(other, scopes="theirs"))])
    async def handler(token: Annotated[Token, Security(JWTBearer(config, scopes="mine"))]) -> Any:
        raise AssertionError("reached")

    app.dependency_overrides[JWTBearer(other, scopes="theirs")] = lambda: None
    assert {"mine"} == scopes_named(await ask(app, "/", alice))


async def test_a_dependency_that_is_called_by_hand(app: Any, config: JWTConfig, alice: Header) -> None:
    """Outside a route there is nothing but its own scopes to name."""
    request = Request(http_scope("/", alice))
    with pytest.raises(TokenHTTPException) as raised:
        await JWTBearer(config, scopes="own")(request, SecurityScopes(["more"]))
    assert 'scope="own more"' in dict(raised.value.headers or {})["www-authenticate"]


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ({}, 200),
        ({"allow": "USER"}, 200),
        ({"allow": ["ADMIN", "USER"]}, 200),
        ({"allow": "US"}, 403),
        ({"allow": []}, 403),
        ({"deny": "USER"}, 403),
        ({"fresh": True}, 401),
        ({"type": "refresh"}, 401),
        ({"scopes": "read"}, 200),
        ({"scopes": ["read", "write"]}, 403),
        ({"optional": True, "allow": "ADMIN"}, 403),
    ],
)
async def test_rules(app: Any, config: JWTConfig, alice: Header, rules: dict[str, Any], status: int) -> None:
    """A dependency has the rules of `jwt_required`."""

    @app.get("/")
    async def handler(token: Annotated[Any, Security(JWTBearer(config, **rules))]) -> Any:
        return {}

    assert status == (await ask(app, "/", alice)).status


async def test_a_refresh_route(app: Any, config: JWTConfig, alice: Header) -> None:
    """On an exempt path a dependency may demand a refresh token."""
    install(app, config, exempt=["/refresh"])

    @app.post("/refresh")
    async def refresh(token: Annotated[Token, Security(JWTBearer(type="refresh"))]) -> Any:
        return {"identity": token.identity, "type": token.type}

    raw = create_refresh_token("alice", config)
    assert {**ADMIT, "type": "refresh"} == (await ask(app, "/refresh", bearer(raw), method="POST")).json
    assert 401 == (await ask(app, "/refresh", alice, method="POST")).status


@pytest.mark.parametrize(
    "arguments",
    [
        {"config": "secret"},
        {"config": {"secret_key": "x"}},
        {"config": JWTConfig},
        {"optional": 1},
        {"optional": None},
        {"fresh": "yes"},
        {"type": ""},
        {"allow": ""},
        {"scopes": ["a b"]},
        {"realm": 'a"b'},
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any]) -> None:
    """They are refused when the dependency is built."""
    with pytest.raises(SettingError):
        JWTBearer(**arguments)


# Overrides and documents ----------------------------------------------------------------------------------------------


async def test_overrides(app: Any, config: JWTConfig) -> None:
    """`dependency_overrides` finds the dependency by identity, and that of `CurrentToken` by equality."""
    mine = JWTBearer(config)

    @app.get("/mine")
    async def handler(token: Annotated[Any, Security(mine)]) -> Any:
        return {"token": token}

    @app.get("/current")
    async def current(token: CurrentToken) -> Any:
        return {"token": token}

    @app.get("/optional")
    async def optional(token: OptionalToken) -> Any:
        return {"token": token}

    app.dependency_overrides[mine] = lambda: "mine"
    app.dependency_overrides[JWTBearer()] = lambda: "current"
    app.dependency_overrides[JWTBearer(optional=True)] = lambda: "optional"
    for name in ("mine", "current", "optional"):
        assert {"token": name} == (await ask(app, f"/{name}")).json


def test_equality() -> None:
    """Two dependencies are equal when everything they decide by is, and are nothing else's equal."""
    config = JWTConfig(secret_key=SECRET)
    kinds: list[dict[str, Any]] = [
        {},
        {"config": config},
        {"config": config.replace()},
        {"optional": True},
        {"fresh": True},
        {"type": "refresh"},
        {"allow": "A"},
        {"allow": []},
        {"deny": "A"},
        {"scopes": "a"},
        {"realm": "x"},
        {"scheme_name": "x"},
        {"description": "x"},
    ]
    first, second = ([JWTBearer(**kind) for kind in kinds] for _ in range(2))
    assert first == second
    assert len(kinds) == len({*first, *second})
    assert JWTBearer(allow=["A", "B"], scopes=["a", "b"]) == JWTBearer(allow=("B", "A"), scopes="a b")
    assert JWTBearer() != "JWTBearer"


async def test_the_openapi_document(app: Any, config: JWTConfig) -> None:
    """The document names one bearer scheme, and each operation what it demands; guards by decorator included."""
    install(app, config, exempt=["/openapi.json"])

    @app.get("/current")
    async def current(token: CurrentToken) -> Any: ...

    @app.get("/scoped")
    async def scoped(token: Annotated[Token, Security(JWTBearer(), scopes=["read", "write"])]) -> Any: ...

    @app.get("/decorated")
    @jwt_required
    async def decorated(request: Request) -> Any: ...

    @app.get("/named")
    async def named(token: Annotated[Token, Security(JWTBearer(scheme_name="Staff", description="Keys"))]) -> Any: ...

    @app.get("/open")
    async def opened() -> Any: ...

    document = (await ask(app, "/openapi.json")).json
    plain = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert {"JWTBearer": plain, "Staff": {**plain, "description": "Keys"}} == document["components"]["securitySchemes"]
    security = {path: operations["get"].get("security") for path, operations in document["paths"].items()}
    assert {
        "/current": [{"JWTBearer": []}],
        "/scoped": [{"JWTBearer": ["read", "write"]}],
        "/decorated": [{"JWTBearer": []}],
        "/named": [{"Staff": []}],
        "/open": None,
    } == security
    assert not any(operations["get"].get("parameters") for operations in document["paths"].values())


# Websockets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["dependency", "installed", "decorated", "nested"])
async def test_websockets(app: Any, config: JWTConfig, alice: Header, way: str) -> None:
    """Each way to guard a websocket admits with a token, and denies or closes without, never accepting first."""  # S125
    if way != "dependency":
        install(app, config, required=False)

    def nested(token: CurrentToken) -> Token:
        return token

    annotations: dict[str, Any] = {
        "dependency": Annotated[Token, Security(JWTBearer(config))],
        "installed": CurrentToken,
        "decorated": Token,
        "nested": Annotated[Token, Depends(nested)],
    }

    async def handler(websocket: WebSocket, token: Any) -> None:
        await websocket.accept()
        await websocket.send_text(token.identity)

    handler.__annotations__["token"] = annotations[way]
    app.websocket("/ws")(jwt_required(handler) if way == "decorated" else handler)
    assert ["alice"] == (await talk(app, "/ws", alice)).texts
    denied = await talk(app, "/ws")
    assert (401, 'Bearer realm="api"') == (denied.status, denied.headers["www-authenticate"])
    closed = await talk(app, "/ws", denial=False)
    assert [("websocket.close", 3000)] == [(message["type"], message["code"]) for message in closed.messages]


async def test_a_websocket_rule(app: Any, config: JWTConfig, alice: Header) -> None:
    """A role that is not allowed is 403, or the close code that says so."""

    @app.websocket("/ws")
    async def handler(
        websocket: WebSocket, token: Annotated[Token, Security(JWTBearer(config, allow="ADMIN"))]
    ) -> None:
        raise AssertionError("reached")

    assert 403 == (await talk(app, "/ws", alice)).status
    assert 3003 == (await talk(app, "/ws", alice, denial=False)).close_code
    assert 3003 == (await talk(app, "/ws", alice, extensions=None)).close_code


# The rest -------------------------------------------------------------------------------------------------------------


async def test_token_http_exception() -> None:
    """What a dependency raises is an `HTTPException` with the error and the answer on it."""
    error, answer = ExpiredTokenError(), ErrorResponse(401, (("content-length", "1"), ("www-authenticate", "x")), b"x")
    raised = TokenHTTPException(error, answer)
    assert isinstance(raised, HTTPException)
    assert (401, {"www-authenticate": "x"}) == (raised.status_code, raised.headers)
    assert {"error": "invalid_token", "error_description": "The token has expired."} == raised.detail
    assert (error, answer) == (raised.error, raised.response)


async def test_an_application_may_answer_itself(app: Any, config: JWTConfig) -> None:
    """A handler of the application's own for the exception takes over."""
    install(app, config, required=False)

    @app.exception_handler(TokenHTTPException)
    async def mine(request: Request, error: TokenHTTPException) -> JSONResponse:
        return JSONResponse({"code": error.error.code}, 418)

    @app.get("/")
    async def handler(token: CurrentToken) -> Any:
        raise AssertionError("reached")

    answer = await ask(app, "/")
    assert (418, {"code": "token_missing"}) == (answer.status, answer.json)


def test_the_exception_handler_passes_on_what_is_not_ours() -> None:
    """An exception of another kind goes on as it is."""
    with pytest.raises(ZeroDivisionError):
        adapter._plain_answer(None, ZeroDivisionError())


async def test_background_tasks(app: Any, config: JWTConfig, alice: Header) -> None:
    """After the response the token is still the current one."""  # S132
    install(app, config)
    seen: list[Any] = []

    @app.get("/")
    async def handler(token: CurrentToken, tasks: BackgroundTasks) -> Any:
        tasks.add_task(lambda: seen.append(current_token() is token))
        return {}

    await ask(app, "/", alice)
    assert [True] == seen


# `current_token` without a middleware --------------------------------------------------------------------------------


def name_of(token: Token | None) -> str | None:
    return None if token is None else token.identity


async def test_current_token_under_a_dependency_alone(app: Any, config: JWTConfig, alice: Header) -> None:
    """`JWTBearer(config)` alone sets the current token, until the request has ended, its background tasks included."""  # S131
    guard = Security(JWTBearer(config))
    seen: list[str | None] = []
    inherited: list[contextvars.Context] = []

    def note() -> None:
        seen.append(name_of(current_token()))

    @app.get("/async", dependencies=[guard])
    async def handler(tasks: BackgroundTasks) -> Any:
        inherited.append(contextvars.copy_context())
        tasks.add_task(note)
        note()

    @app.get("/sync", dependencies=[guard])
    def in_a_thread() -> Any:
        note()

    @app.websocket("/ws", dependencies=[guard])
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        note()

    for path in ("/async", "/sync"):
        assert 200 == (await ask(app, path, alice)).status
        note()
    await talk(app, "/ws", alice)
    note()
    assert ["alice", "alice", None, "alice", None, "alice", None] == seen
    assert inherited[0].run(current_token) is None


async def test_current_token_under_a_dependency_and_a_middleware(app: Any, config: JWTConfig, alice: Header) -> None:
    """Under a middleware the current token is its own, whatever else a dependency with another configuration finds."""
    other = JWTConfig(secret_key=SECRET[::-1], clock=config.clock)
    bob = (b"x-other", create_access_token("bob", other).encode())
    install(app, config, exempt=["/exempt"])
    guard = Annotated[Token, Security(JWTBearer(other, sources=[BearerHeader("X-Other", "")]))]

    @app.get("/exempt")
    @app.get("/guarded")
    async def handler(token: guard) -> Any:
        return [token.identity, name_of(current_token())]

    assert ["bob", "alice"] == (await ask(app, "/guarded", alice, bob)).json
    assert ["bob", None] == (await ask(app, "/exempt", bob)).json


async def test_current_token_is_an_access_token(app: Any, config: JWTConfig) -> None:
    """A dependency that wants a refresh token, or finds none at all, sets nothing."""
    refresh = bearer(create_refresh_token("alice", config))

    @app.get("/refresh", dependencies=[Security(JWTBearer(config, type="refresh"))])
    async def refreshed() -> Any:
        return name_of(current_token())

    @app.get("/optional", dependencies=[Security(JWTBearer(config, optional=True))])
    async def optional() -> Any:
        return name_of(current_token())

    assert [None, None] == [(await ask(app, "/refresh", refresh)).json, (await ask(app, "/optional")).json]


async def test_dependencies_in_a_task_of_their_own(app: Any, config: JWTConfig, alice: Header) -> None:
    """A route class may run dependencies and handler in another task: the token ends with the request all the same."""
    inherited: list[contextvars.Context] = []

    class InATask(APIRoute):
        def get_route_handler(self) -> Any:
            handle = super().get_route_handler()

            async def in_a_task(request: Request) -> Any:
                responses: list[Any] = []

                async def run() -> None:
                    responses.append(await handle(request))

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(run)
                return responses[0]

            return in_a_task

    router = APIRouter(route_class=InATask)

    @router.get("/", dependencies=[Security(JWTBearer(config))])
    async def handler() -> Any:
        inherited.append(contextvars.copy_context())
        return name_of(current_token())

    app.include_router(router)
    assert "alice" == (await ask(app, "/", alice)).json
    assert inherited[0].run(current_token) is None


async def test_a_dependency_called_by_hand(config: JWTConfig, alice: Header) -> None:
    """Where FastAPI cannot say when the request ends, a dependency sets nothing."""
    token = await JWTBearer(config)(HTTPConnection(http_scope("/", alice)), SecurityScopes())
    assert ("alice", None) == (name_of(token), current_token())


async def test_documentation_pages_are_guarded_unless_exempt(app: Any, config: JWTConfig) -> None:
    """Wrapped means protected: the pages that FastAPI makes, too."""
    install(app, config, exempt=["/openapi.json"])
    paths = ("/openapi.json", "/docs", "/redoc", "/unknown")
    assert [200, 401, 401, 401] == [(await ask(app, path)).status for path in paths]


@pytest.mark.parametrize("late", [False, True], ids=["before install", "after it"])
async def test_a_mounted_application(config: JWTConfig, alice: Header, late: bool) -> None:
    """A FastAPI that is mounted refuses with the same answers as the one that `install` was called on."""
    app, sub, deep = FastAPI(), FastAPI(), FastAPI()
    if not late:
        app.mount("/sub", sub)
        sub.mount("/deep", deep)
    install(app, config, required=False)
    for one in (app, sub, deep):

        @one.get("/current")
        async def current(token: CurrentToken) -> Any:
            return token.identity

        @one.get("/rule", dependencies=[Security(JWTBearer(allow="ADMIN"))])
        async def rule() -> Any:
            raise AssertionError("reached")

        @one.get("/raised")
        async def raised(request: Request) -> Any:
            raise MissingScopeError(scope="write")

        @one.get("/read")
        async def read(request: Request) -> Any:
            return adapter.get_token(request).identity

    if late:
        app.mount("/sub", sub)
        sub.mount("/deep", deep)
    for path, headers, status in (
        ("/current", [], 401),
        ("/current", [bearer("a.b.c")], 401),
        ("/rule", [alice], 403),
        ("/raised", [alice], 403),
        ("/read", [], 401),
        ("/read", [alice], 200),
    ):
        answers = [await ask(app, f"{where}{path}", *headers) for where in ("", "/sub", "/sub/deep")]
        assert status == answers[0].status
        assert answers[0].messages == answers[1].messages == answers[2].messages


async def test_the_guards_of_a_group_and_its_own_preflight(app: Any, config: JWTConfig, alice: Header) -> None:
    """What the middleware lets pass as a preflight, the guards of a router let pass without a token."""  # S11
    reached: list[Any] = []
    router = APIRouter(dependencies=[Security(JWTBearer()), Security(JWTBearer(config, allow="ADMIN"))])

    @router.options("/x")
    async def preflight(token: CurrentToken) -> Any:
        reached.append(token)

    @router.get("/x")
    async def handler() -> Any:
        raise AssertionError("reached")

    app.include_router(router)
    install(app, config, allow_preflight=True)
    asks = ((b"origin", b"https://app.example"), (b"access-control-request-method", b"GET"))
    assert 200 == (await ask(app, "/x", *asks, method="OPTIONS")).status
    assert [None] == reached
    for headers in (asks[:1], (*asks, alice), (*asks, (b"x-http-method", b"GET"))):
        assert (await ask(app, "/x", *headers, method="OPTIONS")).status in (401, 403)
    assert 401 == (await ask(app, "/x", *asks)).status
    assert [None] == reached


async def test_a_token_that_comes_in_a_message(app: Any, config: JWTConfig) -> None:
    """What an optional guard demands counts for it, and a refusal closes the websocket."""  # S126
    install(app, config, required=False)
    guard = Security(JWTBearer(optional=True), scopes=["chat"])

    @app.websocket("/ws", dependencies=[guard])
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        token = await adopt_token(websocket, await websocket.receive_text())
        await websocket.send_text(f"{token.identity} {token is get_token(websocket) is current_token()}")

    for scope, answer in (("read", ([], 3003)), ("chat", (["alice True"], None))):
        exchange = await talk(app, "/ws", says=[create_access_token("alice", config, scope=scope)])
        assert answer == (exchange.texts, exchange.close_code)
