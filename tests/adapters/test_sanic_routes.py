"""Blueprints of Sanic, and mistakes that are found when the application starts."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sanic")
pytest.importorskip("websockets")

from sanic import Blueprint, HTTPResponse, Request, empty, json, text
from sanic.views import HTTPMethodView

from asgi_jwt_claims import (
    JWTConfig,
    Token,
    TokenError,
    create_access_token,
    current_token,
)
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.auth.request import get_token
from asgi_jwt_claims.errors import ForbiddenError, SettingError
from asgi_jwt_claims.sanic import install, jwt_required
from tests.adapters.test_sanic import Open, anyio_backend, app, extended, site_of
from tests.apps.sanic_adapter import failure_of, new_app
from tests.conftest import HeldClock
from tests.raw_asgi import ask, lifespan
from tests.scopes import ScopeMiddleware
from tests.support import SECRET

__all__ = ["anyio_backend", "app", "extended", "site_of"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config, roles="USER")


@pytest.fixture
def admins(clock: HeldClock) -> JWTConfig:
    """Another issuer than that of `config`."""
    return JWTConfig(secret_key=SECRET[::-1], issuer="https://admins.example", clock=clock)


@pytest.fixture
def root(admins: JWTConfig) -> str:
    return create_access_token("root", admins)


async def handler(request: Request) -> HTTPResponse:
    token = request.ctx.token
    same = token is get_token(request) is current_token()
    return json({"identity": token.identity, "same": same})


async def say(request: Request, ws: Any) -> None:
    await ws.send(get_token(ws if hasattr(ws, "scope") else request).identity)
    await ws.send("done")


def blueprint_of(name: str, folder: Path, **options: Any) -> Blueprint:
    """A blueprint with all kinds of routes."""
    blueprint = Blueprint(name, **options)
    blueprint.add_route(handler, "/plain", name="plain")
    blueprint.add_route(functools.partial(handler), "/item/<number:int>", name="item")
    blueprint.add_websocket_route(say, "/ws")
    blueprint.static("/files", folder, name="files")

    class View(HTTPMethodView):
        async def get(self, request: Request) -> HTTPResponse:
            return await handler(request)

    blueprint.add_route(View.as_view(), "/view")

    @blueprint.post("/stream", stream=True)
    async def stream(request: Request) -> HTTPResponse:
        return text(b"".join([part async for part in request.stream]).decode())

    return blueprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file.txt").write_text("text")
    return tmp_path


# Blueprints -----------------------------------------------------------------------------------------------------------


async def test_a_guarded_blueprint(app: Any, config: JWTConfig, site_of: Open, alice: str, folder: Path) -> None:
    """`install` on a blueprint guards every route of it, in nested groups too, and no route of another."""  # S124
    guarded = blueprint_of("guarded", folder, url_prefix="/guarded")
    install(guarded, config, realm="part")
    group = Blueprint.group(Blueprint.group(guarded, url_prefix="/inner"), version=2)
    app.blueprint(group)
    opened = Blueprint("opened", url_prefix="/opened")

    @opened.get("/")
    async def anybody(request: Request) -> HTTPResponse:
        return json({"current": current_token()})

    @opened.websocket("/ws")
    async def chat(request: Request, ws: Any) -> None:
        await ws.send("open")
        await ws.send("done")

    app.blueprint(opened)
    async with site_of(app) as site:
        for path in ("/plain", "/view"):
            assert {"identity": "alice", "same": True} == (await site.get(f"/v2/inner/guarded{path}", alice)).json()
        files = "/inner/guarded/files"  # Sanic gives files no version
        paths = [f"/v2/inner/guarded{path}" for path in ("/plain", "/item/7", "/view")]
        for path in (*paths, f"{files}/file.txt", f"{files}/none"):
            refused = await site.get(path)
            assert (path, 401, 'Bearer realm="part"') == (
                path,
                refused.status_code,
                refused.headers["www-authenticate"],
            )
        assert 401 == (await site.client.post("/v2/inner/guarded/stream", content=b"x")).status_code
        assert "text" == (await site.get(f"{files}/file.txt", alice)).text
        assert 401 == (await site.talk("/v2/inner/guarded/ws")).status
        assert ["alice", "done"] == list((await site.talk("/v2/inner/guarded/ws", alice)).texts)
        assert {"current": None} == (await site.get("/opened/", alice)).json()
        assert ["open", "done"] == list((await site.talk("/opened/ws")).texts)
        assert 404 == (await site.get("/v2/inner/guarded/unknown")).status_code


@pytest.mark.parametrize("order", ["first", "last"])
async def test_application_and_blueprint(
    app: Any, config: JWTConfig, admins: JWTConfig, site_of: Open, alice: str, root: str, folder: Path, order: str
) -> None:
    """Where both have a guard both are asked, and each only for its own; the blueprint's says whose the request is."""
    part = blueprint_of("admin", folder, url_prefix="/admin")
    install(part, admins, exempt=["/admin/files/*"])
    if order == "first":
        install(app, config, exempt=["/admin/*"])
    app.blueprint(part)
    if order == "last":
        install(app, config, exempt=["/admin/*"])
    app.add_route(handler, "/")
    async with site_of(app) as site:
        assert {"identity": "alice", "same": True} == (await site.get("/", alice)).json()
        assert {"identity": "root", "same": True} == (await site.get("/admin/plain", root)).json()
        assert [401, 401, 401] == [
            (await site.get(*asked)).status_code for asked in (("/", root), ("/admin/plain", alice), ("/admin/plain",))
        ]
        assert 200 == (await site.get("/admin/files/file.txt")).status_code
        assert ["root", "done"] == list((await site.talk("/admin/ws", root)).texts)
        assert 401 == (await site.talk("/admin/ws", alice)).status


async def test_the_error_of_a_handler_of_a_blueprint(app: Any, config: JWTConfig, site_of: Open) -> None:
    """A `TokenError` that a handler of a guarded blueprint lets go becomes its answer."""
    part = Blueprint("part")
    install(part, config, required=False)

    @part.get("/")
    async def own(request: Request) -> HTTPResponse:
        return json({"identity": get_token(request).identity})

    app.blueprint(part)
    async with site_of(app) as site:
        assert 401 == (await site.get("/")).status_code


async def test_refusals_below_a_blueprint(extended: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """What a handler of a guarded blueprint refuses is its answer: alone or in a group, by GET and by sanic-ext's HEAD."""
    parts = [Blueprint(name, url_prefix=f"/{name}") for name in ("one", "two")]
    for part in parts:
        install(part, config)

        @part.get("/alone")
        async def refuse(request: Request) -> HTTPResponse:
            raise ForbiddenError

        @part.get("/group")
        async def refuse_in_a_task(request: Request) -> HTTPResponse:
            raise ExceptionGroup("tasks", [ExceptionGroup("more", [ForbiddenError()])])

        @part.get("/mixed")
        async def fail(request: Request) -> HTTPResponse:
            raise ExceptionGroup("tasks", [ForbiddenError(), LookupError()])

        extended.blueprint(part)
    good = {"authorization": f"Bearer {alice}"}
    async with site_of(extended) as site:
        for path, status in (("/one/alone", 403), ("/two/alone", 403), ("/two/group", 403), ("/one/mixed", 500)):
            for method in ("GET", "HEAD"):
                answer = await site.client.request(method, path, headers=good)
                assert (path, method, status) == (path, method, answer.status_code)


async def test_a_copied_blueprint(app: Any, config: JWTConfig, site_of: Open, alice: str, folder: Path) -> None:
    """A copy of a guarded blueprint is guarded, too."""
    part = Blueprint("part", url_prefix="/part")
    part.add_route(handler, "/", name="handler")
    install(part, config)
    app.blueprint(part)
    app.blueprint(part.copy("other", url_prefix="/other"))
    async with site_of(app) as site:
        for path in ("/part/", "/other/"):
            assert 401 == (await site.get(path)).status_code
            assert {"identity": "alice", "same": True} == (await site.get(path, alice)).json()


@pytest.mark.parametrize("grouped", [False, True])
async def test_head_of_a_guarded_blueprint(
    extended: Any, config: JWTConfig, site_of: Open, alice: str, grouped: bool
) -> None:
    """sanic-ext answers HEAD by the handler of GET, and so only for a client that has a token (trap: silently open)."""
    ran: list[str] = []

    async def note(request: Request) -> HTTPResponse:
        ran.append(f"{request.method} {request.path}")
        return text("noted")

    part, opened = Blueprint("part", url_prefix="/part"), Blueprint("opened", url_prefix="/opened")
    install(part, config)
    for blueprint in (part, opened):
        blueprint.add_route(note, "/plain", name="plain")
        blueprint.add_route(note, "/hosted", name="hosted", host="example.com")
    part.add_route(jwt_required(functools.partial(note)), "/guarded", name="guarded")
    part.add_route(note, "/own", name="own", methods=["GET", "HEAD"])
    extended.blueprint(Blueprint.group(part, url_prefix="/group") if grouped else part)
    extended.blueprint(opened)
    prefix = "/group/part" if grouped else "/part"
    async with site_of(extended) as site:
        for name in ("plain", "hosted", "guarded", "own"):
            asked: dict[str, str] = {"host": "example.com"} if name == "hosted" else {}
            for method in ("GET", "HEAD"):
                refused = await site.client.request(method, f"{prefix}/{name}", headers=asked)
                assert (name, method, 401) == (name, method, refused.status_code)
            assert [] == ran
            good = {**asked, "authorization": f"Bearer {alice}"}
            assert 200 == (await site.client.head(f"{prefix}/{name}", headers=good)).status_code
            assert [f"HEAD {prefix}/{name}"] == ran
            ran.clear()
        assert 200 == (await site.client.head("/opened/plain")).status_code


async def test_injection_into_a_blueprint(
    extended: Any, config: JWTConfig, admins: JWTConfig, site_of: Open, alice: str, root: str
) -> None:
    """sanic-ext injects the token of the guard that the handler stands behind, and none where there is no guard."""
    for name, trusted in (("users", config), ("admins", admins)):
        part = Blueprint(name, url_prefix=f"/{name}")

        async def injected(request: Request, token: Token) -> HTTPResponse:
            return json({"identity": token.identity})

        part.add_route(injected, "/")
        install(part, trusted)
        extended.blueprint(part)

    @extended.get("/open")
    async def unguarded(request: Request, token: Token) -> HTTPResponse:
        raise AssertionError("reached")

    async with site_of(extended) as site:
        for path, raw, identity in (("/users/", alice, "alice"), ("/admins/", root, "root")):
            assert {"identity": identity} == (await site.get(path, raw)).json()
        assert [401, 401, 500] == [
            (await site.get(*asked)).status_code for asked in (("/users/", root), ("/admins/", alice), ("/open", alice))
        ]


async def test_injection_beside_guards_of_objects(extended: Any, config: JWTConfig, site_of: Open, alice: str) -> None:
    """sanic-ext reads no annotations of a guard itself where the handler has none: an object, or one partly applied."""
    install(extended, config)

    class Greeting:
        word: Unknown  # type: ignore[name-defined]  # noqa: F821 -- nothing of the handler's

        async def __call__(self, request: Request, token: Token) -> HTTPResponse:
            return text(token.identity)

    extended.add_route(jwt_required(Greeting()), "/object", name="object")
    extended.add_route(jwt_required(functools.partial(handler_of_a_token)), "/partial", name="partial")
    async with site_of(extended) as site:
        assert ["alice", "alice"] == [(await site.get(path, alice)).text for path in ("/object", "/partial")]


def test_what_cannot_be_guarded(app: Any, config: JWTConfig) -> None:
    """Whatever `install` cannot guard it refuses at once, and nothing has changed."""
    for wrong in (Blueprint.group(Blueprint("part")), config, None):
        with pytest.raises(SettingError, match="a Sanic application or a Blueprint"):
            install(wrong, config)  # type: ignore[arg-type]
    registered = Blueprint("registered")
    app.blueprint(registered)
    with pytest.raises(SettingError, match=r"before app\.blueprint"):
        install(registered, config)
    app.exception(TokenError)(lambda request, error: empty())
    with pytest.raises(SettingError, match="on_error"):
        install(app, config)
    assert not app.request_middleware


@pytest.mark.parametrize("kind", [new_app, lambda: Blueprint("part")])
async def test_a_second_install(kind: Any, config: JWTConfig, admins: JWTConfig) -> None:
    """A second `install` is refused before it has changed anything: one gate would answer for the other (trap)."""
    target = kind()
    install(target, config)
    before = [*target._future_middleware]
    with pytest.raises(SettingError, match=r"already.*install\(app, \[first, second\]\)"):
        install(target, admins)
    assert before == [*target._future_middleware]


async def test_options_are_checked_first(app: Any, config: JWTConfig) -> None:
    """After a bad option has been refused, `install` can be called again."""
    with pytest.raises(SettingError):
        install(app, config, exempt=["login"])
    install(app, config, exempt=["/login"])


# Mistakes -------------------------------------------------------------------------------------------------------------


ORDER = "write jwt_required below the decorator that adds the route"


def above_a_route(app: Any) -> None:
    @jwt_required(allow="ADMIN")
    @app.get("/guarded")
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    app.ctx.kept = handler


def above_a_websocket(app: Any) -> None:
    @jwt_required
    @app.websocket("/guarded")
    async def handler(request: Request, ws: Any) -> None:
        raise AssertionError("reached")

    app.ctx.kept = handler


def above_a_stream(app: Any) -> None:
    @jwt_required
    @app.post("/guarded", stream=True)
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    app.ctx.kept = handler


def above_a_blueprint_s_route(app: Any) -> None:
    part = Blueprint("part")

    @jwt_required
    @part.route("/guarded", methods=["GET", "PUT"])
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    app.ctx.kept = handler
    app.blueprint(Blueprint.group(part))


def around_a_route(app: Any) -> None:
    @jwt_required(allow="ADMIN")
    @app.get("/guarded")
    @jwt_required
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    app.ctx.kept = handler


def around_another_decorator(app: Any) -> None:
    def other(handler: Any) -> Any:
        @functools.wraps(handler)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await handler(*args, **kwargs)

        return wrapper

    @jwt_required
    @other
    @app.get("/guarded")
    async def handler(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    app.ctx.kept = handler


def beside_a_view(app: Any) -> None:
    class View(HTTPMethodView):
        async def get(self, request: Request) -> HTTPResponse:
            raise AssertionError("reached")

    app.ctx.kept = jwt_required(View.get)
    app.add_route(View.as_view(), "/guarded")


def beside_a_whole_view(app: Any) -> None:
    class View(HTTPMethodView):
        async def get(self, request: Request) -> HTTPResponse:
            raise AssertionError("reached")

    view = View.as_view()
    app.ctx.kept = jwt_required(view)
    app.add_route(view, "/guarded")


def above_a_middleware(app: Any) -> None:
    app.add_route(handler, "/guarded")

    @jwt_required
    @app.on_request
    async def middleware(request: Request) -> None:
        raise AssertionError("reached")

    app.ctx.kept = middleware


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    "slip",
    [
        *(above_a_route, above_a_websocket, above_a_stream, above_a_blueprint_s_route, around_a_route),
        *(around_another_decorator, beside_a_view, beside_a_whole_view, above_a_middleware),
    ],
)
async def test_a_guard_that_guards_nothing(app: Any, config: JWTConfig, slip: Any, required: bool) -> None:
    """A handler that runs without the guard around it stops the application from starting (trap: silently open)."""
    install(app, config, required=required)
    slip(app)
    assert ORDER in await failure_of(app)
    # A server may go on all the same.
    assert [500, 500] == [(await ask(app, path)).status for path in ("/guarded", "/unknown")]


def a_text(app: Any) -> None:
    @app.get("/guarded/<token>")
    @jwt_required
    async def handler(request: Request, token: Any) -> HTTPResponse:
        raise AssertionError("reached")


def a_pattern(app: Any) -> None:
    @app.get(r"/guarded/<token:[a-z]{3}>/<other>")
    @jwt_required(optional=True)
    async def handler(request: Request, **kwargs: Any) -> HTTPResponse:
        raise AssertionError("reached")


def of_a_websocket(app: Any) -> None:
    @app.websocket("/guarded/<token:str>")
    @jwt_required
    async def handler(request: Request, ws: Any, token: Any) -> None:
        raise AssertionError("reached")


def of_a_view(app: Any) -> None:
    class View(HTTPMethodView):
        @jwt_required
        async def get(self, request: Request, token: Any) -> HTTPResponse:
            raise AssertionError("reached")

    app.add_route(View.as_view(), "/guarded/<token:uuid>")


def of_a_guarded_view(app: Any) -> None:
    class View(HTTPMethodView):
        decorators = [jwt_required]  # noqa: RUF012 -- as Sanic documents it

        async def get(self, request: Request, token: Any) -> HTTPResponse:
            raise AssertionError("reached")

    app.add_route(View.as_view(), "/guarded/<token:path>")


@pytest.mark.parametrize("parameter", [a_text, a_pattern, of_a_websocket, of_a_view, of_a_guarded_view])
async def test_a_parameter_named_token(app: Any, config: JWTConfig, parameter: Any) -> None:
    """A part of the path that is called token would be replaced by the token, or would pass for it: it is refused."""  # S128
    install(app, config)
    parameter(app)
    assert "rename the parameter of the route" in await failure_of(app)


async def test_a_parameter_named_token_without_install(app: Any, config: JWTConfig, alice: str) -> None:
    """Where nothing looks at the routes beforehand, the guard itself refuses to replace the argument."""  # S128
    guard = jwt_required(handler_of_a_token)
    request = Request(b"/", {}, "1.1", "GET", None, app)  # type: ignore[arg-type]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"authorization", b"Bearer " + alice.encode())]}
    ScopeMiddleware(config).open(scope)
    setattr(request.ctx, SCOPE_KEY, scope)
    for wrong in ("mallory", 7, ""):
        with pytest.raises(SettingError, match="rename the parameter of the route"):
            await guard(request, token=wrong)
    assert [b"alice"] * 2 == [(await guarded(request)).body for guarded in (guard, jwt_required(guard))]


async def handler_of_a_token(request: Request, token: Token) -> HTTPResponse:
    return text(token.identity)


async def test_no_mistakes(app: Any, config: JWTConfig, site_of: Open, alice: str, folder: Path) -> None:
    """A parameter called token is nobody's business where no guard passes one, and other handlers are left alone."""
    install(app, config)

    @app.get("/open/<token>")
    async def own(request: Request, token: str) -> HTTPResponse:
        return text(token)

    @app.get("/guarded/<token>")
    @jwt_required
    async def other(request: Request) -> HTTPResponse:
        raise AssertionError("reached")

    @app.get("/twice")
    @jwt_required(allow="USER")
    @jwt_required
    async def twice(request: Request, token: Token) -> HTTPResponse:
        return text(token.identity)

    class View(HTTPMethodView):
        @jwt_required
        async def get(self, request: Request, token: Token) -> HTTPResponse:
            return text(token.identity)

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        async def __call__(self, request: Request) -> HTTPResponse:
            return text("any")

    user = jwt_required(functools.partial(handler_of_a_token))
    app.add_route(user, "/user", name="user")
    app.add_route(jwt_required(allow="ADMIN")(user), "/admin", name="admin")
    app.route("/view", methods=["GET", "PUT"])(View.as_view())
    app.add_route(jwt_required(Unhashable()), "/unhashable", name="unhashable")
    app.static("/files", folder)
    async with site_of(app) as site:
        for path, said in (("/view", "alice"), ("/unhashable", "any"), ("/user", "alice")):
            assert said == (await site.get(path, alice)).text
        assert 403 == (await site.get("/admin", alice)).status_code
        assert "mine" == (await site.get("/open/mine", alice)).text
        assert "alice" == (await site.get("/twice", alice)).text
        assert "text" == (await site.get("/files/file.txt", alice)).text


@pytest.mark.parametrize("before", [True, False])
async def test_a_route_that_is_added_too_late(app: Any, config: JWTConfig, before: bool) -> None:
    """Sanic leaves out the middleware of a blueprint for routes that come after it: the application does not start."""
    part = Blueprint("part")
    if before:
        part.add_route(handler, "/early", name="early")
    install(part, config)
    app.blueprint(part)
    part.add_route(handler, "/guarded", name="late")
    assert "add the routes of a blueprint first" in await failure_of(app)


async def test_a_hidden_guard_is_named(app: Any, config: JWTConfig, caplog: pytest.LogCaptureFixture) -> None:
    """A websocket's guard that cannot be asked before the handshake is named in the log when the application starts."""  # S125
    install(app, config, required=False)

    def hide(handler: Any) -> Any:
        async def wrapper(request: Request, ws: Any) -> Any:
            return await handler(request, ws)

        return wrapper

    @jwt_required
    async def guarded(request: Request, ws: Any) -> None:
        raise AssertionError("reached")

    async def recursive(request: Request, ws: Any) -> Any:
        return await recursive(request, ws)

    async def unfinished(request: Request, ws: Any) -> Any:
        return never  # noqa: F821 -- a variable without a value

    never = guarded
    del never
    app.add_websocket_route(hide(hide(guarded)), "/hidden", name="hidden")
    app.add_websocket_route(guarded, "/seen", name="seen")
    app.add_websocket_route(recursive, "/recursive", name="recursive")
    app.add_websocket_route(unfinished, "/unfinished", name="unfinished")
    with caplog.at_level(logging.WARNING, "asgi_jwt_claims"):
        async with lifespan(app):
            pass
    assert [f"{app.name}.hidden"] == [record.args[0] for record in caplog.records]  # type: ignore[index]


def test_drain_is_refused(config: JWTConfig) -> None:
    """Sanic reads bodies by itself, so that the option could do nothing."""
    with pytest.raises(SettingError, match="leave drain out"):
        install(new_app(), config, drain=1)
