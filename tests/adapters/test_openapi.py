"""What the OpenAPI document of a FastAPI application says of its guards."""

import json
from typing import Annotated, Any

import pytest

pytest.importorskip("fastapi")

from fastapi import APIRouter, Depends, FastAPI, Request, Security, WebSocket
from fastapi.openapi.models import OpenAPI
from fastapi.security import HTTPBasic

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    JWTConfig,
    TokenCookies,
    WebSocketProtocol,
)
from asgi_jwt_claims.access import AnyScope, Scopes
from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.fastapi import (
    CurrentToken,
    JWTBearer,
    OptionalToken,
    describe_guards,
    install,
    jwt_required,
)
from tests.raw_asgi import ask

pytestmark = pytest.mark.anyio

BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
COOKIE = {"type": "apiKey", "in": "cookie", "name": "__Host-access_token"}
HEADER = {"type": "apiKey", "in": "header", "name": "x-access-token"}
OTHER = TokenCookies(access_name="a!b", secure=False, refresh_name="r", csrf_name="c")


def document(app: FastAPI) -> dict[str, Any]:
    """The document, which is a valid one, and the same each time."""
    found = app.openapi()
    OpenAPI.model_validate(found)
    schemes = found.get("components", {}).get("securitySchemes", {})
    for path in found["paths"].values():
        for operation in path.values():
            assert schemes.keys() >= {name for requirement in operation.get("security", []) for name in requirement}
            assert all("description" in response for response in operation["responses"].values())
    before = json.dumps(found)
    assert before == json.dumps(app.openapi())
    return found


def schemes(app: FastAPI) -> Any:
    """The schemes of the document."""
    return document(app)["components"]["securitySchemes"]


def security(app: FastAPI, path: str = "/") -> Any:
    """What an operation demands: one of these."""
    return document(app)["paths"][path]["get"].get("security")


def guarded_by(*dependencies: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/", dependencies=list(dependencies))
    async def handler() -> None: ...

    return app


# Where tokens are found -----------------------------------------------------------------------------------------------

PLACES = [
    ([BearerHeader()], {"JWTBearer": BEARER}),
    ([Cookie()], {"JWTCookie": COOKIE}),
    ([Cookie(type="refresh")], {"JWTCookie-__Secure-refresh_token": {**COOKIE, "name": "__Secure-refresh_token"}}),
    ([Cookie(OTHER)], {"JWTCookie-a_b": {**COOKIE, "name": "a!b"}}),
    ([BearerHeader(), Cookie()], {"JWTBearer": BEARER, "JWTCookie": COOKIE}),
    ([Cookie(), BearerHeader()], {"JWTCookie": COOKIE, "JWTBearer": BEARER}),
    ([BearerHeader("X-Access-Token", scheme="")], {"JWTHeader-x-access-token": HEADER}),
    ([BearerHeader("X-Access-Token")], {"JWTHeader-x-access-token": HEADER}),
    ([BearerHeader(scheme="")], {"JWTHeader-authorization": {**HEADER, "name": "authorization"}}),
    ([BearerHeader(scheme="Token")], {"JWTHeader-token": {"type": "http", "scheme": "token"}}),
    ([Cookie(), WebSocketProtocol()], {"JWTCookie": COOKIE}),
    ([WebSocketProtocol()], {"JWTBearer": BEARER}),
    ([lambda scope, max_size: None], {"JWTBearer": BEARER}),
]


@pytest.mark.parametrize(("sources", "expected"), PLACES)
def test_the_sources_of_a_guard(config: JWTConfig, sources: Any, expected: Any) -> None:
    """Each source is a scheme of its own kind, and several are alternatives."""
    for guard in (JWTBearer(config, sources=sources), JWTBearer(sources=sources)):
        app = guarded_by(Security(guard))
        assert expected == schemes(app)
        assert [{name: []} for name in expected] == security(app)
        assert document(app)["paths"]["/"]["get"].get("parameters") is None


@pytest.mark.parametrize(("sources", "expected"), PLACES)
@pytest.mark.parametrize("early", [True, False])
def test_the_sources_of_the_middleware(config: JWTConfig, sources: Any, expected: Any, early: bool) -> None:
    """A guard without sources of its own looks where the middleware does, and the document says so."""
    own = {} if "JWTCookie-a_b" not in expected else {"cookies": OTHER}
    app, router = FastAPI(), APIRouter()
    if early:
        install(app, config.replace(**own), sources=sources)  # type: ignore[arg-type]

    @app.get("/")
    async def handler(token: CurrentToken) -> None: ...

    @router.get("/included")
    @jwt_required
    async def included() -> None: ...

    @app.get("/scoped")
    async def scoped(token: Annotated[Any, Security(JWTBearer(), scopes=["read"])]) -> None: ...

    app.include_router(router, prefix="/x")
    if not early:
        install(app, config.replace(**own), sources=sources)  # type: ignore[arg-type]
    assert expected == schemes(app)
    for path, scopes in (("/", []), ("/x/included", []), ("/scoped", ["read"])):
        assert [{name: scopes} for name in expected] == security(app, path)


def test_guards_of_both_kinds(config: JWTConfig) -> None:
    """A guard with sources of its own keeps them under a middleware that looks elsewhere."""
    app = FastAPI()
    install(app, config, sources=[Cookie()])

    @app.get("/")
    async def both(
        token: CurrentToken, other: Annotated[Any, Security(JWTBearer(sources=[BearerHeader()]))]
    ) -> None: ...

    @app.get("/basic")
    async def basic(token: CurrentToken, _: Annotated[Any, Depends(HTTPBasic())]) -> None: ...

    @app.get("/extra", openapi_extra={"security": [{"Key": [], "JWTBearer": []}, {}]})
    async def extra(token: CurrentToken) -> None: ...

    assert {"JWTBearer", "JWTCookie", "HTTPBasic"} == app.openapi()["components"]["securitySchemes"].keys()
    assert [{"JWTCookie": []}, {"JWTBearer": []}] == app.openapi()["paths"]["/"]["get"]["security"]
    assert [{"JWTCookie": []}, {"HTTPBasic": []}] == app.openapi()["paths"]["/basic"]["get"]["security"]
    assert [{"JWTCookie": []}, {"Key": [], "JWTBearer": []}, {}] == app.openapi()["paths"]["/extra"]["get"]["security"]


async def test_several_sources_are_one_guard(config: JWTConfig) -> None:
    """The alternatives of the document change nothing about who is let in, nor about overrides."""
    guard = JWTBearer(config, sources=[Cookie(), BearerHeader()])
    app = guarded_by(Security(guard))
    assert 401 == (await ask(app)).status
    app.dependency_overrides[JWTBearer(config, sources=[Cookie(), BearerHeader()])] = lambda: None
    assert 200 == (await ask(app)).status


# Names ----------------------------------------------------------------------------------------------------------------


def test_names_and_descriptions() -> None:
    """A name of one's own is that of the first source, and begins those of others; a description stands at each."""
    app = guarded_by(Security(JWTBearer(sources=[Cookie(), BearerHeader()], scheme_name="Staff", description="Ask us")))
    described = {"Staff": {**COOKIE, "description": "Ask us"}, "Staff-JWTBearer": {**BEARER, "description": "Ask us"}}
    assert described == schemes(app)
    assert [{"Staff": []}, {"Staff-JWTBearer": []}] == security(app)


def test_a_name_under_the_middleware(config: JWTConfig) -> None:
    """It stays the name where the middleware says what the place is."""
    app = guarded_by(Security(JWTBearer(scheme_name="Staff")), Security(JWTBearer()))
    install(app, config, sources=[Cookie()])
    assert {"Staff": COOKIE, "JWTCookie": COOKIE} == schemes(app)


def test_two_places_of_one_kind(config: JWTConfig) -> None:
    """Two cookies, or two headers, are two schemes."""
    guards = [Cookie(), Cookie(type="refresh"), BearerHeader("X-A"), BearerHeader("X-B")]
    app = guarded_by(*(Security(JWTBearer(config, sources=[source])) for source in guards))
    assert 4 == len(schemes(app)) == len(security(app))


def test_two_logins() -> None:
    """Two logins are two schemes."""
    app = guarded_by(*(Security(JWTBearer(token_url=url)) for url in ("login", "https://login.example.com/token")))
    assert {"JWTPassword-login", "JWTPassword-https_login.example.com_token"} == schemes(app).keys()


def test_a_mounted_application(config: JWTConfig) -> None:
    """A mounted application has a document of its own, which can be told where the middleware looks."""
    app, sub = FastAPI(), guarded_by(Security(JWTBearer()))
    app.mount("/sub", sub)
    install(app, config, sources=[Cookie()])
    describe_guards(sub, sources=iter([Cookie()]))
    for _ in range(2):
        assert {"JWTCookie": COOKIE} == schemes(sub)
        assert "401" in document(sub)["paths"]["/"]["get"]["responses"]
    with pytest.raises(SettingError, match="sources must be a list of sources"):
        describe_guards(sub, sources=["cookie"])  # type: ignore[list-item]


@pytest.mark.parametrize("name", ["", "My Scheme", "a/b", "ä", 7])
def test_impossible_names(name: Any) -> None:
    """OpenAPI allows no other characters in the name of a component."""
    with pytest.raises(SettingError, match="scheme_name must consist of letters"):
        JWTBearer(scheme_name=name)


# The form of the documentation page -----------------------------------------------------------------------------------


def test_a_login_form(config: JWTConfig) -> None:
    """With the address of a login the scheme is the password flow, which the page has a form for."""
    flow = {"type": "oauth2", "flows": {"password": {"tokenUrl": "login", "scopes": {}}}}
    for options in ({}, {"sources": [BearerHeader()]}):
        app = guarded_by(Security(JWTBearer(config, token_url="login", **options)))  # type: ignore[arg-type]
        assert {"JWTPassword-login": flow} == schemes(app)
        assert [{"JWTPassword-login": []}] == security(app)
    app = guarded_by(Security(JWTBearer(token_url="login", scheme_name="Users")))
    install(app, config, sources=[BearerHeader(), Cookie()])
    assert {"Users": flow, "Users-JWTCookie": COOKIE} == schemes(app)
    assert JWTBearer(token_url="login") == JWTBearer(token_url="login") != JWTBearer()


@pytest.mark.parametrize(
    "options", [{"token_url": ""}, {"token_url": 7}, {"token_url": "login", "sources": [Cookie()]}]
)
def test_a_login_form_that_is_none(options: Any) -> None:
    """An address that is none, and a form whose token would go where the guard does not look, are refused."""
    with pytest.raises(SettingError, match="token_url must be the address of a login"):
        JWTBearer(**options)


# Answers --------------------------------------------------------------------------------------------------------------


def mixed() -> FastAPI:
    """An application with guarded operations, and one that is open."""
    app = FastAPI()
    router = APIRouter(dependencies=[Security(JWTBearer())])

    @app.get("/current", responses={403: {"description": "Not yours."}, 404: {}})
    async def current(token: CurrentToken) -> None: ...

    @app.get("/optional")
    async def optional(token: OptionalToken) -> None: ...

    @app.get("/decorated")
    @jwt_required(allow="admin")
    async def decorated(request: Request) -> None: ...

    def nested(token: CurrentToken) -> None: ...

    @app.get("/nested")
    async def below(_: Annotated[None, Depends(nested)]) -> None: ...

    @router.get("/routed")
    @router.post("/routed")
    async def routed() -> None: ...

    @app.get("/open")
    async def opened() -> None: ...

    @app.get("/hidden", include_in_schema=False)
    async def hidden(token: CurrentToken) -> None: ...

    @app.websocket("/ws")
    async def feed(websocket: WebSocket, token: CurrentToken) -> None: ...

    app.include_router(router)
    app.mount("/sub", FastAPI())
    return app


@pytest.mark.parametrize("how", ["install", "describe"])
def test_responses(config: JWTConfig, how: str) -> None:
    """Guarded operations say that they may answer 401 and 403, in the application's own words where it has some."""
    app = mixed()
    if how == "install":
        install(app, config)
    else:
        describe_guards(app)
    paths = document(app)["paths"]
    codes = {
        (path, method): {code for code in operation["responses"] if code in ("401", "403")}
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    gets = ("/current", "/optional", "/decorated", "/nested", "/routed")
    guarded = {key: {"401", "403"} for key in [*((path, "get") for path in gets), ("/routed", "post")]}
    assert {**guarded, ("/open", "get"): set()} == codes
    assert "Not yours." == paths["/current"]["get"]["responses"]["403"]["description"]
    assert {"200", "401", "403", "404"} == paths["/current"]["get"]["responses"].keys()


def test_operations_that_come_later(config: JWTConfig) -> None:
    """The document is right after another route has been added, and where an application makes its own."""
    app = FastAPI()
    own = app.openapi

    def renamed() -> dict[str, Any]:
        found = own()
        found["info"]["title"] = "Mine"
        return found

    app.openapi = renamed  # type: ignore[method-assign]  # as FastAPI documents it
    install(app, config)
    app.get("/early")(jwt_required(lambda: None))
    assert "401" in document(app)["paths"]["/early"]["get"]["responses"]
    app.openapi_schema = None
    app.get("/late")(jwt_required(lambda: None))
    assert "401" in document(app)["paths"]["/late"]["get"]["responses"]
    assert "Mine" == document(app)["info"]["title"]


def test_a_document_of_the_applications_own(config: JWTConfig) -> None:
    """A document that leaves the schemes to others, and says more about its paths, stays what it is."""
    app = guarded_by(Security(JWTBearer()))
    own = {"get": {"responses": {}}, "parameters": [], "summary": "Mine"}
    app.openapi = lambda: {"paths": {"/": own}}  # type: ignore[method-assign]  # as FastAPI documents it
    install(app, config, sources=[Cookie()])
    found = app.openapi()["paths"]["/"]
    assert {"401", "403"} == found["get"]["responses"].keys()
    assert ("Mine", False) == (found["summary"], "security" in found["get"])


def test_an_empty_application(config: JWTConfig) -> None:
    """An application without operations has a document, too."""
    app = FastAPI()
    install(app, config, sources=[Cookie()])
    assert {} == document(app)["paths"]


def test_webhooks_and_callbacks(config: JWTConfig) -> None:
    """A scheme that only a webhook or a callback names stays in the document."""  # OpenAPI 3.1.0 section 4.8.30
    for where in ("webhook", "callback"):
        app = guarded_by(Security(JWTBearer()))
        install(app, config, sources=[Cookie()])
        router = app.webhooks if where == "webhook" else APIRouter()
        router.post("/told")(jwt_required(lambda: None))
        app.post("/order", callbacks=router.routes if where == "callback" else None)(lambda: None)
        found = document(app)
        operations = found["webhooks"] if where == "webhook" else found["paths"]["/order"]["post"]["callbacks"]
        assert "JWTBearer" in json.dumps(operations)
        assert {"JWTBearer": BEARER, "JWTCookie": COOKIE} == found["components"]["securitySchemes"]


# Scopes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_scopes_of_guards(config: JWTConfig, is_installed: bool) -> None:
    """An operation names the scopes of `Security` and those without which its guards let no token in; a login offers them."""
    app = FastAPI()
    if is_installed:
        install(app, config, exempt=["/login"])
    else:
        describe_guards(app)
    login = JWTBearer(None if is_installed else config, token_url="login", require=Scopes("a") & AnyScope("b", "c"))

    @app.get("/")
    async def handler(token: Annotated[Any, Security(login, scopes=["d"])]) -> None: ...

    @app.get("/other")
    @jwt_required(scopes="x y", sources=[BearerHeader(), Cookie()])
    async def other() -> None: ...

    for _ in range(2):
        assert [{"JWTPassword-login": ["d", "a"]}] == security(app)
        assert [{"JWTBearer": ["x", "y"]}, {"JWTCookie": ["x", "y"]}] == security(app, "/other")
        assert {"a": "", "d": ""} == schemes(app)["JWTPassword-login"]["flows"]["password"]["scopes"]
