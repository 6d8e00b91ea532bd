"""What the OpenAPI document of sanic-ext says of guarded handlers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

pytest.importorskip("sanic")
pytest.importorskip("sanic_ext")
pytest.importorskip("websockets")

from sanic import Blueprint, HTTPResponse, Request, Sanic, empty
from sanic.views import HTTPMethodView
from sanic_ext import openapi
from sanic_ext.extensions.openapi.builders import OperationStore, SpecificationBuilder

from asgi_jwt_claims import BearerHeader, Cookie, JWTConfig, Token, TokenCookies
from asgi_jwt_claims.sanic import install, jwt_required
from asgi_jwt_claims.sessions import TokenEndpoints
from asgi_jwt_claims.stores import MemoryStore
from tests.apps.adapter import asgi_site
from tests.apps.sanic_adapter import new_app

pytestmark = pytest.mark.anyio

BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


@pytest.fixture
def anyio_backend() -> str:
    """Sanic runs on asyncio only."""
    return "asyncio"


@pytest.fixture
def app() -> Iterator[Sanic[Any, Any]]:
    """An application that sanic-ext has extended; it keeps what it documents for the whole process."""
    for store in (OperationStore, SpecificationBuilder):
        store.reset()
    yield new_app(extended=True)
    for store in (OperationStore, SpecificationBuilder):
        store.reset()


async def handler(request: Request) -> HTTPResponse:
    return empty()


async def open_handler(request: Request) -> HTTPResponse:
    """One that no test puts a guard around: a guarded handler may not stand open anywhere in the process."""
    return empty()


async def document_of(app: Any) -> Any:
    async with asgi_site(app) as site:
        return (await site.get("/docs/openapi.json")).json()


async def test_guarded_handlers(app: Any, config: JWTConfig) -> None:
    """A guarded handler names the scheme, and how it refuses; other handlers are left as they are."""
    install(app, config, exempt=["/docs/*"])

    @app.get("/guarded/<number:int>")
    @jwt_required(allow="ADMIN")
    @openapi.summary("A summary")
    async def guarded(request: Request, number: int, token: Token) -> HTTPResponse:
        return empty()

    @app.get("/optional")
    @jwt_required(optional=True)
    async def optional(request: Request, token: Token | None) -> HTTPResponse:
        return empty()

    app.add_route(open_handler, "/open")
    document = await document_of(app)
    assert {"JWTBearer": BEARER} == document["components"]["securitySchemes"]
    paths = document["paths"]
    operation = paths["/guarded/{number}"]["get"]
    assert [{"JWTBearer": []}] == operation["security"]
    assert {"401", "403"} == set(operation["responses"])
    assert {"error", "error_description"} == set(
        operation["responses"]["401"]["content"]["application/json"]["schema"]["properties"]
    )
    assert ["number"] == [parameter["name"] for parameter in operation["parameters"]]
    assert [{"JWTBearer": []}, {}] == paths["/optional"]["get"]["security"]
    assert "security" not in paths["/open"]["get"]
    assert {"default"} == set(paths["/open"]["get"]["responses"])


async def test_cookies(app: Any, config: JWTConfig) -> None:
    """A guard that reads cookies names the cookie; one that reads several places names all of them, each enough."""
    cookies = TokenCookies(access_name="__Host-a!b")
    other = config.replace(cookies=cookies)
    install(app, other, exempt=["/docs/*"], sources=[BearerHeader(), Cookie(cookies)])
    app.add_route(jwt_required(handler), "/both", name="both")

    async def by_cookie(request: Request) -> HTTPResponse:
        return empty()

    app.add_route(jwt_required(sources=[Cookie()])(by_cookie), "/cookie", name="cookie")
    document = await document_of(app)
    assert {
        "JWTBearer": BEARER,
        "JWTCookie___Host-a_b": {"type": "apiKey", "in": "cookie", "name": "__Host-a!b"},
        "JWTCookie___Host-access_token": {"type": "apiKey", "in": "cookie", "name": "__Host-access_token"},
    } == document["components"]["securitySchemes"]
    paths = document["paths"]
    assert [{"JWTBearer": []}, {"JWTCookie___Host-a_b": []}] == paths["/both"]["get"]["security"]
    assert [{"JWTCookie___Host-access_token": []}] == paths["/cookie"]["get"]["security"]


async def test_views_and_blueprints(app: Any, config: JWTConfig) -> None:
    """The methods of a view have what they are guarded by, themselves or as a whole; a blueprint has its own sources."""
    part = Blueprint("part", url_prefix="/part")
    install(part, config, sources=[Cookie()])

    class View(HTTPMethodView):
        @jwt_required
        async def get(self, request: Request) -> HTTPResponse:
            return empty()

        async def post(self, request: Request) -> HTTPResponse:
            return empty()

    class Guarded(HTTPMethodView):
        decorators = [jwt_required]  # noqa: RUF012 -- as Sanic documents it

        async def get(self, request: Request) -> HTTPResponse:
            return empty()

    part.add_route(View.as_view(), "/view")
    app.add_route(Guarded.as_view(), "/guarded")
    app.blueprint(part)
    paths = (await document_of(app))["paths"]
    assert [{"JWTCookie___Host-access_token": []}] == paths["/part/view"]["get"]["security"]
    assert "security" not in paths["/part/view"]["post"]
    assert [{"JWTBearer": []}] == paths["/guarded"]["get"]["security"]


async def test_what_the_application_says_itself(app: Any, config: JWTConfig) -> None:
    """What a handler's own decorators say of security and refusals stays."""
    install(app, config, exempt=["/docs/*"])

    @app.get("/")
    @openapi.secured("own")
    @openapi.response(403, {"text/plain": str}, "Not yours.")
    @jwt_required
    async def guarded(request: Request) -> HTTPResponse:
        return empty()

    operation = (await document_of(app))["paths"]["/"]["get"]
    assert [{"own": []}] == operation["security"]
    assert "Not yours." == operation["responses"]["403"]["description"]
    assert "401" in operation["responses"]


async def test_a_source_of_the_application(app: Any, config: JWTConfig) -> None:
    """The document calls a token from a source that the application wrote a bearer token: it knows no more."""

    def find_nothing(scope: Mapping[str, Any], max_size: int) -> None:
        return None

    install(app, config, sources=[find_nothing], exempt=["/docs/*"])
    app.add_route(jwt_required(handler), "/guarded")
    document = await document_of(app)
    assert [{"JWTBearer": []}] == document["paths"]["/guarded"]["get"]["security"]
    assert {"JWTBearer": BEARER} == document["components"]["securitySchemes"]


async def test_endpoints_under_sanic_ext(app: Any, config: JWTConfig) -> None:
    """In an application that sanic-ext has extended the endpoints answer, though it adds routes and injects arguments."""
    install(app, config, endpoints={"/auth": TokenEndpoints(config, MemoryStore())})
    async with asgi_site(app) as site:
        assert 401 == (await site.get("/auth/sessions")).status_code


async def test_without_the_document(config: JWTConfig) -> None:
    """Where sanic-ext makes no document the application starts all the same."""
    app = new_app(extended=True)
    app.config.OAS = False
    install(app, config)
    app.add_route(jwt_required(handler), "/")
    async with asgi_site(app) as site:
        assert 401 == (await site.get("/")).status_code


@pytest.mark.parametrize(
    ("source", "name", "scheme"),
    [
        (BearerHeader("X-Token", ""), "JWTHeader_x-token", {"type": "apiKey", "in": "header", "name": "x-token"}),
        (BearerHeader(scheme="JWT"), "JWTHeader_jwt", {"type": "http", "scheme": "jwt"}),
    ],
    ids=["header", "scheme"],
)
async def test_other_headers(
    app: Any, config: JWTConfig, source: BearerHeader, name: str, scheme: dict[str, str]
) -> None:
    """A header of another name, or with another scheme, is named as what it is."""
    install(app, config, sources=[source], exempt=["/docs/*"])
    app.add_route(jwt_required(handler), "/guarded")
    document = await document_of(app)
    assert [{name: []}] == document["paths"]["/guarded"]["get"]["security"]
    assert {name: scheme} == document["components"]["securitySchemes"]
