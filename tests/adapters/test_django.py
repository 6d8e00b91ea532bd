"""Django behind the middleware: views, django-ninja, REST framework, and the clients of its tests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("tests.apps.django_site")  # where Django, django-ninja and REST framework are installed

from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings

from asgi_jwt_claims import (
    BearerHeader,
    Cookie,
    ErrorResponse,
    JWTConfig,
    JWTMiddleware,
    TokenCookies,
    TokenError,
    create_access_token,
    create_refresh_token,
    create_token_pair,
    set_token_cookies,
    unset_token_cookies,
    verify_token,
)
from asgi_jwt_claims.django import TokenUser
from asgi_jwt_claims.django.testing import guard_client
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    ForbiddenError,
    InvalidSignatureError,
    MissingScopeError,
    MissingTokenError,
    NotGuardedError,
    SettingError,
    WrongTypeError,
)
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sessions import csrf_token, start_session
from asgi_jwt_claims.stores import MemoryStore
from tests.apps import django_site as site
from tests.conftest import HeldClock
from tests.raw_asgi import Exchange, Header, Message, bearer, http_scope

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The event loop that Django runs on."""
    return "asyncio"


@pytest.fixture
def alice(config: JWTConfig) -> str:
    return create_access_token("alice", config, scope="read")


def app(config: JWTConfig, **options: Any) -> JWTMiddleware:
    return JWTMiddleware(site.application, config, **options)


def forged(raw: str) -> str:
    return raw[:-4] + ("AAAA" if raw[-4:] != "AAAA" else "BBBA")


async def ask(app: JWTMiddleware, path: str, *headers: Header, method: str = "GET") -> Exchange:
    """Send one request and stay: Django stops what it does for a client that has left."""
    sent: list[Message] = []
    waiting: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(http_scope(path, *headers, method=method), receive, send)
    return Exchange(sent)


def is_answer(response: Exchange, error: TokenError) -> None:
    """The response is the answer to `error`, byte for byte."""
    expected = ErrorResponder().response_for(error)
    headers = {name.lower(): value for name, value in response.headers.items()}
    assert (expected.status, expected.body) == (response.status, response.body)
    assert dict(expected.headers) == {name: headers[name] for name, _ in expected.headers}


VIEWS = ("/told", "/told_async", "/asked", "/asked_async")


@pytest.mark.parametrize("required", [True, False])
async def test_views_get_the_token(config: JWTConfig, alice: str, required: bool) -> None:
    """Async and sync views read it from the request, ask for it, and have it as the current one."""
    for path in VIEWS:
        response = await ask(app(config, required=required), path, bearer(alice))
        assert (200, "alice", True) == (response.status, response.json["identity"], response.json.get("same", True))


async def test_every_path_needs_a_token(config: JWTConfig, alice: str) -> None:
    """Wrapped means protected: unknown paths too."""
    for path in (*VIEWS, "/unknown", "/api/sync", "/rest"):
        is_answer(await ask(app(config), path), MissingTokenError())
        is_answer(await ask(app(config), path, bearer(forged(alice))), InvalidSignatureError())
    assert 404 == (await ask(app(config), "/unknown", bearer(alice))).status


async def test_without_demand_the_views_decide(config: JWTConfig, clock: HeldClock, alice: str) -> None:
    """`request.token` is None without a token; `get_token` refuses with the challenge, also a bad token."""
    lax = app(config, required=False)
    for path in ("/told", "/told_async"):
        assert {"identity": None, "same": True} == (await ask(lax, path)).json
    for path in ("/asked", "/asked_async"):
        is_answer(await ask(lax, path), MissingTokenError())
        is_answer(await ask(lax, path, bearer(forged(alice))), InvalidSignatureError())
    clock.now += 3600
    is_answer(await ask(lax, "/asked", bearer(alice)), ExpiredTokenError())


async def test_a_refusal_of_a_view(config: JWTConfig, alice: str) -> None:
    """An error of the library that a view raises is answered with its challenge; other exceptions stay Django's."""
    for path in ("/forbidden", "/forbidden_async"):
        is_answer(await ask(app(config), path, bearer(alice)), ForbiddenError())
    assert 500 == (await ask(app(config), "/broken", bearer(alice))).status


async def test_on_error_shapes_refusals_of_views(config: JWTConfig, alice: str) -> None:
    """An async `on_error` is waited for, and its response is sent as it is, once."""
    seen = []

    async def on_error(error: TokenError, response: ErrorResponse, scope: Any) -> ErrorResponse:
        await asyncio.sleep(0)
        seen.append(error.code)
        return ErrorResponse(500, (("x-own", "yes"), ("content-length", "0")), b"")

    for path in ("/forbidden", "/forbidden_async"):
        response = await ask(app(config, on_error=on_error), path, bearer(alice))
        headers = {name.lower(): value for name, value in response.headers.items()}
        assert (500, "yes", b"") == (response.status, headers["x-own"], response.body)
    assert ["forbidden", "forbidden"] == seen


async def test_an_application_that_is_not_wrapped(config: JWTConfig, alice: str) -> None:
    """No view runs where nothing guards: the error says what to do."""
    with pytest.raises(NotGuardedError, match="wrap the application"):
        await AsyncClient().get("/told")
    with pytest.raises(NotGuardedError, match="wrap the application"):
        Client().get("/told")


# django-ninja -----------------------------------------------------------------------------------------------------------


async def test_ninja(config: JWTConfig, alice: str) -> None:
    """The token is `request.auth` of sync and async operations."""
    for path in ("/api/sync", "/api/async", "/api/scoped", "/api/scoped_async"):
        response = await ask(app(config), path, bearer(alice))
        assert (200, {"identity": "alice"}) == (response.status, response.json)


@pytest.mark.parametrize("debug", [False, True])
async def test_ninja_refuses(config: JWTConfig, alice: str, debug: bool) -> None:
    """Refusals are ours with their challenge, in debug mode too, where ninja answers 500 with a traceback."""
    lax, poor = app(config, required=False), create_access_token("bob", config, scope="write")
    with override_settings(DEBUG=debug):
        for path in ("/api/sync", "/api/async"):
            is_answer(await ask(lax, path), MissingTokenError())
            is_answer(await ask(lax, path, bearer(forged(alice))), InvalidSignatureError())
        for path in ("/api/scoped", "/api/scoped_async"):
            is_answer(await ask(lax, path, bearer(poor)), MissingScopeError(scope="read"))


async def test_ninja_looks_for_another_type(config: JWTConfig, alice: str, store: MemoryStore) -> None:
    """An operation may want another type of token; what only a store that has to be asked could decide is refused."""
    lax = app(config, exempt=["/api/refresh"])
    raw = create_refresh_token("alice", config)
    assert {"identity": "alice"} == (await ask(lax, "/api/refresh", bearer(raw))).json
    is_answer(await ask(lax, "/api/refresh", bearer(alice)), WrongTypeError())
    of_session = (await start_session("alice", config, store)).refresh_token
    undecided = app(config, exempt=["/api/refresh"], store=store)
    assert 503 == (await ask(undecided, "/api/refresh", bearer(of_session))).status


async def test_ninja_looks_in_its_own_sources(config: JWTConfig, alice: str) -> None:
    """An operation may look in a cookie where the middleware does not."""
    lax = app(config, required=False)
    cookie = (b"cookie", f"{config.cookies.access_name}={alice}".encode())
    assert {"identity": "alice"} == (await ask(lax, "/api/cookie", cookie)).json
    is_answer(await ask(lax, "/api/cookie", bearer(alice)), MissingTokenError())


async def test_ninja_with_a_choice(config: JWTConfig, alice: str) -> None:
    """With `optional=True` the next `auth` is asked where there is no token, and not where there is a bad one."""
    lax = app(config, required=False)
    assert {"by": "alice"} == (await ask(lax, "/api/either", bearer(alice))).json
    assert {"by": "by key"} == (await ask(lax, "/api/either", (b"x-key", b"good"))).json
    assert 401 == (await ask(lax, "/api/either")).status
    is_answer(await ask(lax, "/api/either", (b"x-key", b"good"), bearer(forged(alice))), InvalidSignatureError())


def test_the_openapi_document_of_ninja() -> None:
    """Each operation names the scheme."""
    document = site.api.get_openapi_schema()
    assert {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"} == document["components"]["securitySchemes"][
        "JWTAuth"
    ]
    assert [{"JWTAuth": []}] == document["paths"]["/api/sync"]["get"]["security"]


# REST framework ---------------------------------------------------------------------------------------------------------


async def test_rest_framework(config: JWTConfig, alice: str) -> None:
    """Permissions and throttles of REST framework work with the user of a token."""
    response = await ask(app(config), "/rest", bearer(alice))
    assert (200, {"identity": "alice", "user": "alice", "pk": "alice"}) == (response.status, response.json)


async def test_rest_framework_refuses(config: JWTConfig, alice: str) -> None:
    """Without a token its own 401 carries our challenge; a bad token is refused, where none is needed, too."""
    lax = app(config, required=False)
    response = await ask(lax, "/rest")
    headers = {name.lower(): value for name, value in response.headers.items()}
    assert (401, 'Bearer realm="api"') == (response.status, headers["www-authenticate"])
    assert {"authenticated": False, "auth": None} == (await ask(lax, "/rest_open")).json
    for path in ("/rest", "/rest_open"):
        is_answer(await ask(lax, path, bearer(forged(alice))), InvalidSignatureError())


async def test_a_token_gives_no_permission_of_django(config: JWTConfig) -> None:
    """Roles of a token are not Django's: neither staff nor permissions of models."""
    raw = create_access_token("admin", config, roles=["admin", "staff"])
    assert 403 == (await ask(app(config), "/rest_admin", bearer(raw))).status
    assert 403 == (await ask(app(config), "/rest_model", bearer(raw), method="POST")).status


def test_the_user_of_a_token(config: JWTConfig) -> None:
    """It is what Django and REST framework ask of a user."""
    user = TokenUser(verify_token(create_access_token("alice", config), config))
    assert (True, True, False, False, False) == (
        user.is_authenticated,
        user.is_active,
        user.is_anonymous,
        user.is_staff,
        user.is_superuser,
    )
    assert ("alice", "alice", "alice", "alice") == (user.pk, user.id, user.username, str(user))
    assert (False, False, False) == (user.has_perm("a.b"), user.has_perms(["a.b"]), user.has_module_perms("a"))


# Cookies ----------------------------------------------------------------------------------------------------------------


def parts(header: str) -> set[str]:
    """What a Set-Cookie header says, but for what Django says twice."""
    return {part.lower() for part in header.replace('=""', "=").split("; ") if not part.lower().startswith("expires")}


def test_cookies_in_a_response(config: JWTConfig) -> None:
    """They are those of a list of headers, of a login and of its end."""
    pair = create_token_pair("alice", config)
    for change in (
        lambda target: set_token_cookies(target, pair, config),
        lambda target: unset_token_cookies(target, config),
    ):
        response, headers = HttpResponse(), []
        change(response)
        change(headers)
        wanted = [parts(value.decode()) for name, value in headers if name == b"set-cookie"]
        assert wanted == [parts(cookie.OutputString()) for cookie in response.cookies.values()]
        assert "no-store" == response["cache-control"]


def test_partitioned_cookies_are_refused(config: JWTConfig) -> None:
    """What the response would drop is an error, and no cookie is set."""
    response = HttpResponse()
    with pytest.raises(SettingError, match="list of ASGI headers"):
        unset_token_cookies(response, config.replace(cookies=TokenCookies(partitioned=True)))
    assert not response.cookies


# The clients of tests ---------------------------------------------------------------------------------------------------


def headers(raw: str) -> dict[str, str]:
    return {"authorization": f"Bearer {raw}"}


async def test_the_async_client(config: JWTConfig, alice: str) -> None:
    """It asks through the middleware, and its answers have all that tests of Django ask of them."""
    client = guard_client(AsyncClient(), app(config, exempt=["GET /rest_open"]))
    for path in (*VIEWS, "/api/async", "/rest"):
        assert 401 == (await client.get(path)).status_code
        found = await client.get(f"{path}?a=b", headers=headers(alice))
        assert (200, "alice") == (found.status_code, found.json()["identity"])
    refused = await client.get("/told")
    assert 'Bearer realm="api"' == refused["www-authenticate"]
    assert ("/told", "told") == (refused.asgi_request.path, refused.resolver_match.func.__name__)
    assert "/told" == (await client.get("/told", headers=headers(alice))).asgi_request.path
    assert 200 == (await client.get("/rest_open")).status_code
    assert 403 == (await client.get("/forbidden", headers=headers(alice))).status_code


def test_the_sync_client(config: JWTConfig, alice: str) -> None:
    """As above, with views that the client calls by WSGI."""
    client = guard_client(Client(), app(config, exempt=["GET /rest_open"]))
    for path in (*VIEWS, "/api/async", "/api/sync", "/rest"):
        assert 401 == client.get(path).status_code
        found = client.get(f"{path}?a=b", headers=headers(alice))
        assert (200, "alice") == (found.status_code, found.json()["identity"])
    refused = client.get("/told")
    assert 'Bearer realm="api"' == refused["www-authenticate"]
    assert ("/told", "told") == (refused.wsgi_request.path, refused.resolver_match.func.__name__)
    assert "/told" == client.get("/told", headers=headers(alice)).wsgi_request.path
    assert 200 == client.get("/rest_open").status_code
    assert 403 == client.get("/forbidden", headers=headers(alice)).status_code
    assert b"alice" == b"".join(client.get("/streamed", headers=headers(alice)).streaming_content)
    with pytest.raises(LookupError):
        client.get("/broken", headers=headers(alice))


def browser(client: Any, config: JWTConfig) -> str:
    """Put the cookies of a login into a client, and return the CSRF value."""
    pair = create_token_pair("alice", config)
    client.cookies[config.cookies.access_name] = pair.access_token
    cookie = f"{config.cookies.access_name}={pair.access_token}".encode()
    return csrf_token({"type": "http", "headers": [(b"cookie", cookie)]}, config)


def test_a_form_in_the_sync_client(config: JWTConfig) -> None:
    """The form is read for its CSRF value, and the view reads it again."""
    client = guard_client(Client(), app(config, sources=[BearerHeader(), Cookie()]))
    form = {"note": "n", "csrf_token": browser(client, config)}
    sent = client.post("/posted", "&".join(f"{n}={v}" for n, v in form.items()), "application/x-www-form-urlencoded")
    assert (200, {"identity": "alice", "note": "n"}) == (sent.status_code, sent.json())
    assert 403 == client.post("/posted", "note=n", "application/x-www-form-urlencoded").status_code


async def test_a_form_in_the_async_client(config: JWTConfig) -> None:
    """As in the sync one."""
    client = guard_client(AsyncClient(), app(config, sources=[BearerHeader(), Cookie()]))
    form = {"note": "n", "csrf_token": browser(client, config)}
    encoded = "&".join(f"{n}={v}" for n, v in form.items())
    sent = await client.post("/posted", encoded, "application/x-www-form-urlencoded")
    assert (200, {"identity": "alice", "note": "n"}) == (sent.status_code, sent.json())
    assert 403 == (await client.post("/posted", "note=n", "application/x-www-form-urlencoded")).status_code


@pytest.mark.parametrize("wrong", [None, site.application, JWTMiddleware])
def test_a_client_needs_the_guarded_application(wrong: Any) -> None:
    """A mistake is told where it is made."""
    with pytest.raises(SettingError, match="takes the JWTMiddleware"):
        guard_client(Client(), wrong)
