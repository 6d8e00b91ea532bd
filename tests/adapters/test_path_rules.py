"""No framework routes a request to a handler below a rule's path without the rule, whatever its router resolves or folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from asgi_jwt_claims import JWTConfig, JWTMiddleware, create_access_token
from asgi_jwt_claims.access import Roles
from tests.raw_asgi import App, Exchange, ask, bearer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


def starlette() -> App:
    async def secret(request: Any) -> PlainTextResponse:
        return PlainTextResponse("secret")

    return Starlette(routes=[Mount("/admin", routes=[Route("/secret", secret)])])


def falcon() -> App:
    module: Any = pytest.importorskip("falcon.asgi")

    class Secret:
        async def on_get(self, req: Any, resp: Any) -> None:
            resp.text = "secret"

    app = module.App()
    app.req_options.strip_url_path_trailing_slash = True
    app.add_route("/admin/secret", Secret())
    answers: App = app
    return answers


def litestar() -> App:
    module: Any = pytest.importorskip("litestar")

    async def secret() -> str:
        return "secret"

    secret.__annotations__ = {"return": str}
    app: App = module.Litestar([module.get("/admin/secret")(secret)])
    return app


def blacksheep() -> App:
    module: Any = pytest.importorskip("blacksheep")
    app = module.Application()

    @app.router.get("/admin/secret")
    async def secret() -> str:
        return "secret"

    async def started(*arguments: Any) -> None:
        if not app.started:
            await app.start()
        await app(*arguments)

    return started


def quart() -> App:
    module: Any = pytest.importorskip("quart")
    app = module.Quart(__name__)

    @app.get("/admin/secret")
    async def secret() -> str:
        return "secret"

    asgi: App = app.asgi_app
    return asgi


FRAMEWORKS = [starlette, falcon, litestar, blacksheep, quart]

PLAIN = "/admin/secret"
ODD = (
    *("/admin/secret/", "/ADMIN/secret", "/admin/Secret", "/Admin/SECRET/"),
    *("//admin/secret", "/admin//secret", "/admin/secret//", "///admin///secret///"),
    *("/./admin/secret", "/x/../admin/secret", "/admin/./secret", "/admin/x/../secret", "/admin/secret/."),
    *("/%61dmin/secret", "/admin/secre%74", "/admin%2Fsecret", "/admin%2fsecret", "/%2e/admin/secret"),
    *("/x/%2e%2e/admin/secret", "/x%2f..%2fadmin/secret", "/%2561dmin/secret", "/admin%252Fsecret"),
    *(
        "/admin;x/secret",
        "/admin/secret;x",
        "/;/admin/secret",
        "/admin/secret%3Bx",
        "/admin\\secret",
        "/admin%5Csecret",
    ),
    *(
        "/admin/secret%0A",
        "/admin/secret%00",
        "/admin/secret%20",
        "/admin%20/secret",
        "/admin/secret.",
        "/admin./secret",
    ),
    *("admin/secret", "http://testserver/admin/secret", "/%ef%bd%81dmin/secret"),
)


@pytest.mark.parametrize("make", FRAMEWORKS)
async def test_no_spelling_gets_around_a_rule(config: JWTConfig, make: Callable[[], App]) -> None:
    """A token without the role reaches the handler by no spelling of its path, by which the router alone would find it."""  # S14, S122
    bare = make()
    guarded = JWTMiddleware(bare, config, required=False, rules={"/admin/*": Roles("admin")})
    user, admin = (bearer(create_access_token("alice", config, roles=role)) for role in ("user", "admin"))

    async def answer(app: App, target: str, *headers: Any) -> Exchange:
        return await ask(app, unquote(target), *headers, raw_path=target.encode())

    assert b"secret" == (await answer(guarded, PLAIN, admin)).body
    assert 403 == (await answer(guarded, PLAIN, user)).status
    assert 404 == (await answer(guarded, "/other", user)).status
    for target in ODD:
        assert (target, True) == (target, (await answer(guarded, target, user)).status in (400, 403, 404))
        assert (target, True) == (target, (await answer(guarded, target)).status in (400, 401, 404))


@pytest.mark.parametrize("make", FRAMEWORKS)
async def test_no_root_path_gets_around_a_rule(config: JWTConfig, make: Callable[[], App]) -> None:
    """Where a router finds the root path, and takes it off, neither a rule is left out nor a path opened."""  # S123
    bare = make()
    user = bearer(create_access_token("alice", config, roles="user"))
    by_rule = JWTMiddleware(bare, config, required=False, rules={"/admin/*": Roles("admin")})
    by_default = JWTMiddleware(bare, config, exempt=["/docs/*", "/x/api/*"])
    for path in ("/api/admin/secret", "/docs/api/admin/secret", "/docs/apiadmin/secret", "/x/api/admin/secret"):
        for app, headers in ((by_rule, (user,)), (by_default, ())):
            for more in ({"root_path": "/api"}, {"root_path": "/api/"}, {"root_path": "/api", "raw_path": None}):
                answer = await ask(app, path, *headers, **more)
                assert (path, more, True) == (path, more, b"secret" not in answer.body)
    if make is not blacksheep:  # which cannot parse what it takes this for
        answer = await ask(by_rule, "/apiadmin/secret", user, root_path="/api")
        assert b"secret" not in answer.body
