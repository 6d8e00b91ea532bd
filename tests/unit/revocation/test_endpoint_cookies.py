"""`TokenEndpoints` for browsers: the tokens come and go as cookies, and only the own pages can make them."""

from __future__ import annotations

import importlib
import json
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from asgi_jwt_claims import (
    AuthEvent,
    BearerHeader,
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenCookies,
    TokenPair,
    create_access_token,
    set_token_cookies,
    verify_token,
)
from asgi_jwt_claims.errors import SettingError, StoreUnavailableError
from asgi_jwt_claims.sessions import TokenEndpoints, start_session
from asgi_jwt_claims.sources.csrf import csrf_digest
from asgi_jwt_claims.stores import MemoryStore, SessionRecord
from tests.apps.adapter import asgi_site
from tests.conftest import HeldClock
from tests.raw_asgi import Header, Message, bearer, drive, http_scope
from tests.support import SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """One event loop. What waits, and so could tell loops apart, is tested on both elsewhere."""
    return "asyncio"


FORM: Header = (b"content-type", b"application/x-www-form-urlencoded")
EXEMPT = ["/login", "/auth/refresh", "/auth/logout"]
NAMES = ["__Host-access_token", "__Secure-refresh_token", "__Host-csrf_token"]
EVIL: list[Header] = [
    (b"origin", b"https://evil.example"),
    (b"origin", b"null"),
    (b"sec-fetch-site", b"cross-site"),
    (b"sec-fetch-site", b"same-site"),
]


class Answered(NamedTuple):
    """An answer, its cookies apart."""

    status: int
    json: Any
    headers: dict[str, str]
    cookies: list[str]

    @property
    def values(self) -> dict[str, str]:
        """The cookies that are set, by name."""
        pairs = [line.partition(";")[0].partition("=") for line in self.cookies]
        return {name: value for name, _, value in pairs}

    @property
    def is_forgetting(self) -> bool:
        """Whether all cookies are taken away."""
        return NAMES == list(self.values) and all("=; " in line and "; Max-Age=0; " in line for line in self.cookies)


class Browser:
    """What a browser keeps, and sends."""

    def __init__(self, app: Any, pair: TokenPair, config: JWTConfig) -> None:
        self.app = app
        headers: list[tuple[bytes, bytes]] = []
        set_token_cookies(headers, pair, config)
        self.jar: dict[str, str] = {}
        self.keep([value.decode() for name, value in headers if name == b"set-cookie"])

    def keep(self, lines: list[str]) -> None:
        """Do as the lines say."""
        for line in lines:
            name, _, value = line.partition(";")[0].partition("=")
            self.jar[name] = value
            if "Max-Age=0;" in line:
                del self.jar[name]

    def without(self, *names: str) -> Browser:
        """The same one, with some cookies lost."""
        for name in names:
            self.jar.pop(name, None)
        return self

    async def send(
        self, path: str, *headers: Header, form: Any = None, method: str = "POST", csrf: bool = True, **more: Any
    ) -> Answered:
        """A request with the cookies and, as the page adds it, with the CSRF value in the header."""
        sent: list[Header] = list(headers)
        if self.jar:
            sent.append((b"cookie", "; ".join(f"{name}={value}" for name, value in self.jar.items()).encode()))
        if csrf and NAMES[2] in self.jar:
            sent.append((b"x-csrf-token", self.jar[NAMES[2]].encode()))
        body = b"" if form is None else form if isinstance(form, bytes) else urlencode(form).encode()
        request: Message = {"type": "http.request", "body": body, "more_body": False}
        scope = http_scope(path, *sent, *((FORM,) if form is not None else ()), method=method, **more)
        exchange = await drive(self.app, scope, request)
        pairs = [(name.decode(), value.decode()) for name, value in exchange.start["headers"]]
        cookies = [value for name, value in pairs if name == "set-cookie"]
        others = dict(pairs)
        self.keep(cookies)
        return Answered(exchange.status, json.loads(exchange.body or b"null"), others, cookies)


@pytest.fixture
def app(config: JWTConfig, store: MemoryStore) -> Any:
    return TokenEndpoints(config, store, cookies=True)


@pytest.fixture
async def pair(config: JWTConfig, store: MemoryStore) -> TokenPair:
    return await start_session("alice", config, store, scope="read", user_claims={"a": 1})


@pytest.fixture
def browser(app: Any, pair: TokenPair, config: JWTConfig) -> Browser:
    return Browser(app, pair, config)


# Refresh --------------------------------------------------------------------------------------------------------------


async def test_refresh(browser: Browser, pair: TokenPair, config: JWTConfig) -> None:
    """An empty POST with the cookie and the CSRF value: new cookies, and no token where a script could read it."""
    for _ in range(3):
        before = dict(browser.jar)
        answer = await browser.send("/refresh")
        assert (200, {"token_type": "Bearer", "expires_in": 900, "scope": "read"}) == (answer.status, answer.json)
        assert ("no-store", "application/json") == (answer.headers["cache-control"], answer.headers["content-type"])
        assert NAMES == list(answer.values)
        assert not set(before.values()) & set(answer.values.values())
        token = verify_token(answer.values[NAMES[0]], config)
        assert ("alice", {"a": 1}) == (token.identity, token.user_claims)
        parts = [csrf_digest(answer.values[name].encode()).decode() for name in NAMES[:2]]
        assert ".".join(parts) == answer.values[NAMES[2]]
        assert "; Path=/auth; " in answer.cookies[1]
    assert pair.access_token not in browser.jar.values()


async def test_refresh_by_a_form(browser: Browser) -> None:
    """The CSRF value may stand in a hidden field, and the parameters of RFC 6749 beside it."""
    form = {"csrf_token": browser.jar[NAMES[2]], "grant_type": "refresh_token", "scope": "read"}
    assert 200 == (await browser.send("/refresh", form=form, csrf=False)).status
    form = {"csrf_token": csrf_digest(browser.jar[NAMES[1]].encode()).decode()}
    assert 200 == (await browser.send("/refresh", form=form, csrf=False)).status
    answer = await browser.send("/refresh", form={"scope": "write"})
    assert (400, "invalid_scope", []) == (answer.status, answer.json["error"], answer.cookies)


@pytest.mark.parametrize("path", ["/refresh", "/logout", "/logout-everywhere"])
async def test_without_the_csrf_value(browser: Browser, config: JWTConfig, path: str) -> None:
    """Without it, or with another one, nothing happens: 403, and the cookies stay."""  # S10
    before = dict(browser.jar)
    for headers, form in (
        ((), None),
        ((), {"csrf_token": "x"}),
        ((), {"csrf_token": "\u00fc\u20ac"}),
        ((), b"csrf_token="),
        (((b"x-csrf-token", b"x"),), None),
        (((b"x-csrf-token", b"\xff"),), None),
        (((b"x-csrf-token", csrf_digest(b"other")),), {"csrf_token": browser.jar[NAMES[2]]}),
    ):
        answer = await browser.send(path, *headers, form=form, csrf=False)
        assert (403, "invalid_request", []) == (answer.status, answer.json["error"], answer.cookies)
        assert 'error="invalid_request"' in answer.headers["www-authenticate"]
    assert before == browser.jar
    assert 200 == (await browser.send(path)).status


async def test_each_cookie_has_its_own_value(browser: Browser) -> None:
    """The part of the access token does not refresh, and that of the refresh token ends no session of all."""
    access, refresh = ((b"x-csrf-token", csrf_digest(browser.jar[name].encode())) for name in NAMES[:2])
    assert 403 == (await browser.send("/refresh", access, csrf=False)).status
    assert 403 == (await browser.send("/logout-everywhere", refresh, csrf=False)).status
    assert 200 == (await browser.send("/refresh", refresh, csrf=False)).status


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("path", ["/refresh", "/logout", "/logout-everywhere"])
async def test_from_another_origin(browser: Browser, path: str, evil: Header) -> None:
    """Another site gets nothing done, even with the CSRF value."""  # S10
    answer = await browser.send(path, evil)
    assert (403, []) == (answer.status, answer.cookies)
    assert 200 == (await browser.send(path, (b"origin", b"https://testserver"))).status


async def test_a_trusted_origin(config: JWTConfig, store: MemoryStore, pair: TokenPair) -> None:
    """The configuration's cookies say which other origin may, and what everything is called."""
    cookies = TokenCookies(csrf_header="X-XSRF", trusted_origins=["https://app.example"])
    config = config.replace(cookies=cookies)
    browser = Browser(TokenEndpoints(config, store, cookies=True), pair, config)
    value = (b"x-xsrf", browser.jar[NAMES[2]].encode())
    assert 403 == (await browser.send("/refresh")).status
    assert 403 == (await browser.send("/refresh", value, (b"origin", b"https://other.example"), csrf=False)).status
    assert 200 == (await browser.send("/refresh", value, (b"origin", b"https://app.example"), csrf=False)).status


@pytest.mark.parametrize(("path", "field"), [("/refresh", "refresh_token"), ("/logout", "token")])
async def test_a_token_in_two_places(browser: Browser, pair: TokenPair, path: str, field: str) -> None:
    """A token in a cookie and another one in the form is one too many, be it the same."""
    form = {"grant_type": "refresh_token", field: pair.refresh_token}
    answer = await browser.send(path, form=form)
    assert (400, "More than one credential was sent.") == (answer.status, answer.json["error_description"])
    assert [] == answer.cookies
    assert 200 == (await browser.send(path)).status


@pytest.mark.parametrize(
    ("content", "status"),
    [('""', 400), ("a b", 400), ("\u00fc", 400), ("a" * 9000, 401), ("x; __Secure-refresh_token=y", 400)],
)
@pytest.mark.parametrize("path", ["/refresh", "/logout"])
async def test_cookies_that_are_none(browser: Browser, path: str, content: str, status: int) -> None:
    """A cookie that cannot be a token is refused as by every other source, by its characters, length or number."""
    browser.jar[NAMES[1]] = content
    answer = await browser.send(path)
    assert (status, []) == (answer.status, answer.cookies)
    assert answer.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(("path", "status", "left"), [("/refresh", 400, 0), ("/logout", 200, 3)])
async def test_an_empty_cookie_counts_as_absent(browser: Browser, path: str, status: int, left: int) -> None:
    """A cookie without a value is answered as if it were not there; a logout takes all cookies away."""  # S6
    browser.jar[NAMES[1]] = ""
    answer = await browser.send(path)
    assert (status, left) == (answer.status, len(answer.cookies))
    browser.jar.pop(NAMES[1], None)
    assert status == (await browser.send(path)).status


async def test_a_refresh_that_fails(
    browser: Browser, config: JWTConfig, store: MemoryStore, clock: HeldClock, events: list[AuthEvent]
) -> None:
    """A token that is of no use any more is taken away, so that it does not come again with every request."""
    first = dict(browser.jar)
    assert 200 == (await browser.send("/refresh")).status
    clock.now += 60
    browser.jar = first  # a thief's
    answer = await browser.send("/refresh")
    assert (400, "invalid_grant", True) == (answer.status, answer.json["error"], answer.is_forgetting)
    assert {} == browser.jar
    assert ["reuse_detected", "refused"] == [event.name for event in events][-2:]
    answer = await browser.send("/refresh")
    assert (400, "invalid_request", []) == (answer.status, answer.json["error"], answer.cookies)


async def test_a_refresh_token_of_somebody_else(app: Any, config: JWTConfig, pair: TokenPair) -> None:
    """An access token in the refresh cookie, or one of another key, is `invalid_grant`."""
    other = JWTConfig(secret_key="x" * 32, clock=config.clock)
    for raw in (pair.access_token, create_access_token("alice", other)):
        answer = await Browser(app, TokenPair(pair.access_token, raw), config).send("/refresh")
        assert (400, "invalid_grant", True) == (answer.status, answer.json["error"], answer.is_forgetting)


class Away(MemoryStore):
    """A store that cannot be reached, once it is told so."""

    is_away = False

    def is_revoked_locally(self, token: Any, config: JWTConfig) -> Any:
        return None

    async def is_revoked(self, marks: Any) -> bool:
        self.reach()
        return await super().is_revoked(marks)

    async def revoke(self, revocations: Any) -> None:
        self.reach()
        await super().revoke(revocations)

    async def session(self, session: bytes) -> SessionRecord | None:
        self.reach()
        return await super().session(session)

    def reach(self) -> None:
        if self.is_away:
            raise StoreUnavailableError(retry_after=7)


async def test_a_store_that_is_away(config: JWTConfig, clock: HeldClock) -> None:
    """A browser stays logged in while the store is away: 503, and the cookies stay."""
    store = Away(clock=clock)
    browser = Browser(TokenEndpoints(config, store, cookies=True), await start_session("alice", config, store), config)
    store.is_away = True
    for path in ("/refresh", "/logout", "/logout-everywhere"):
        answer = await browser.send(path)
        assert (503, "7", []) == (answer.status, answer.headers["retry-after"], answer.cookies)
    store.is_away = False
    assert 200 == (await browser.send("/refresh")).status


async def test_a_refresh_by_form_as_ever(app: Any, browser: Browser, pair: TokenPair) -> None:
    """A client that sends its token in the form gets the new ones in the body, and no cookie."""
    form = {"grant_type": "refresh_token", "refresh_token": pair.refresh_token}
    answer = await browser.without(*NAMES).send("/refresh", form=form)
    assert (200, []) == (answer.status, answer.cookies)
    assert {"access_token", "refresh_token"} < answer.json.keys()
    form = {"grant_type": "refresh_token", "refresh_token": pair.access_token}
    answer = await browser.send("/refresh", form=form)
    assert (400, "invalid_grant", []) == (answer.status, answer.json["error"], answer.cookies)


@pytest.mark.parametrize("form", [None, {"csrf_token": "x"}])
async def test_a_refresh_without_the_cookie(browser: Browser, form: Any) -> None:
    """A browser that has no such cookie any more, or sends it to another path, is told so, and of no grant type."""
    answer = await browser.without(NAMES[1]).send("/refresh", form=form, csrf=False)
    assert (400, "invalid_request", []) == (answer.status, answer.json["error"], answer.cookies)
    assert "There is no refresh token, neither in a cookie nor in a form." == answer.json["error_description"]


# Logging out ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [(), NAMES[:1], NAMES[1:2]], ids=["nothing", "access", "refresh"])
@pytest.mark.parametrize("by_form", [False, True])
async def test_logout(
    browser: Browser, pair: TokenPair, config: JWTConfig, store: MemoryStore, lost: list[str], by_form: bool
) -> None:
    """By either cookie the session ends, and all cookies are taken away."""
    value = {"csrf_token": browser.jar[NAMES[2]]}
    answer = await browser.without(*lost).send("/logout", form=value if by_form else None, csrf=not by_form)
    assert (200, {}, True) == (answer.status, answer.json, answer.is_forgetting)
    assert "no-store" == answer.headers["cache-control"]
    assert await store.check(verify_token(pair.access_token, config), config)
    assert {} == browser.jar


@pytest.mark.parametrize("lost", [NAMES[:1], NAMES[1:2]])
async def test_logout_needs_the_value_of_its_cookie(
    browser: Browser, pair: TokenPair, config: JWTConfig, store: MemoryStore, lost: list[str]
) -> None:
    """No other site ends the session, by neither cookie."""  # S10
    browser.without(*lost)
    assert 403 == (await browser.send("/logout", csrf=False)).status
    for evil in EVIL:
        assert 403 == (await browser.send("/logout", evil)).status
    assert not await store.check(verify_token(pair.access_token, config), config)


async def test_logout_without_any_cookie(app: Any, browser: Browser) -> None:
    """Whose cookies have expired is logged out already, and what is left of them is taken away; but by no other site."""
    browser.without(*NAMES)
    for headers in ((), ((b"origin", b"https://testserver"),), ((b"sec-fetch-site", b"same-origin"),)):
        answer = await browser.send("/logout", *headers)
        assert (200, {}, True) == (answer.status, answer.json, answer.is_forgetting)
    for evil in EVIL:
        answer = await browser.send("/logout", evil)
        assert (403, []) == (answer.status, answer.cookies)
        assert (403, []) == ((answer := await browser.send("/logout", evil, form=b"")).status, answer.cookies)


async def test_logout_with_a_token_that_is_no_good(browser: Browser, clock: HeldClock, config: JWTConfig) -> None:
    """It ends nothing, and is taken away all the same (RFC 7009 section 2.2)."""
    clock.now += 10**7
    answer = await browser.send("/logout")
    assert (200, {}, True) == (answer.status, answer.json, answer.is_forgetting)


async def test_logout_by_form_as_ever(browser: Browser, pair: TokenPair) -> None:
    """A client sends the token in the form and gets no cookie; without a token the request is wrong."""
    browser.without(*NAMES)
    # The form of a page whose cookies have expired has its hidden field, and nothing else.
    assert (200, 3) == ((gone := await browser.send("/logout", form={"csrf_token": "x"})).status, len(gone.cookies))
    answer = await browser.send("/logout", form={"other": "x"})
    assert (400, "invalid_request", []) == (answer.status, answer.json["error"], answer.cookies)
    answer = await browser.send("/logout", form={"token": pair.refresh_token})
    assert (200, []) == (answer.status, answer.cookies)


async def test_logout_of_another_client(config: JWTConfig, store: MemoryStore) -> None:
    """A cookie too is only good for the client that its token was issued to; refused, it stays."""
    pair = await start_session("alice", config, store, client_id="web")
    browser = Browser(TokenEndpoints(config, store, cookies=True), pair, config)
    answer = await browser.send("/logout", form={"client_id": "other"})
    assert (400, "invalid_grant", []) == (answer.status, answer.json["error"], answer.cookies)
    assert 200 == (await browser.send("/logout", form={"client_id": "web"})).status


async def test_log_out_everywhere(app: Any, browser: Browser, config: JWTConfig, store: MemoryStore) -> None:
    """By the access cookie all sessions end, and the cookies go; by the header there are none to take away."""
    other = await start_session("alice", config, store)
    answer = await browser.send("/logout-everywhere")
    assert (200, {}, True) == (answer.status, answer.json, answer.is_forgetting)
    assert await store.check(verify_token(other.access_token, config), config)
    config.clock.now += 1  # type: ignore[attr-defined]
    later = await start_session("alice", config, store)
    answer = await browser.send("/logout-everywhere", bearer(later.access_token))
    assert (200, []) == (answer.status, answer.cookies)


# One's sessions -------------------------------------------------------------------------------------------------------


async def test_sessions(browser: Browser, config: JWTConfig, store: MemoryStore) -> None:
    """They are listed by the access cookie alone, and ended by it with the CSRF value."""
    other = verify_token((await start_session("alice", config, store)).access_token, config).session_id
    sessions = (await browser.send("/sessions", method="GET", csrf=False)).json["sessions"]
    assert {other, verify_token(browser.jar[NAMES[0]], config).session_id} == {one["id"] for one in sessions}
    assert 403 == (await browser.send(f"/sessions/{other}", method="DELETE", csrf=False)).status
    for evil in EVIL:
        assert 403 == (await browser.send(f"/sessions/{other}", evil, method="DELETE")).status
    answer = await browser.send(f"/sessions/{other}", method="DELETE")
    assert (200, []) == (answer.status, answer.cookies)
    assert 1 == len((await browser.send("/sessions", method="GET")).json["sessions"])
    assert 401 == (await browser.without(NAMES[0]).send("/sessions", method="GET")).status


async def test_a_cookie_and_a_header(browser: Browser, pair: TokenPair) -> None:
    """A token in both is one too many."""
    assert 400 == (await browser.send("/sessions", bearer(pair.access_token), method="GET")).status


async def test_without_the_option_there_are_no_cookies(config: JWTConfig, store: MemoryStore, pair: TokenPair) -> None:
    """Unless they are asked for, cookies are not looked at and not set."""  # S10
    browser = Browser(TokenEndpoints(config, store), pair, config)
    for path in ("/refresh", "/logout"):
        answer = await browser.send(path, form=b"")
        assert (400, "invalid_request", []) == (answer.status, answer.json["error"], answer.cookies)
    assert 401 == (await browser.send("/logout-everywhere")).status
    assert 401 == (await browser.send("/sessions", method="GET")).status
    form = {"grant_type": "refresh_token", "refresh_token": pair.refresh_token}
    answer = await browser.send("/refresh", form=form)
    assert (200, [], True) == (answer.status, answer.cookies, "refresh_token" in answer.json)


# Below others ---------------------------------------------------------------------------------------------------------


async def test_below_a_middleware(
    app: Any, config: JWTConfig, store: MemoryStore, pair: TokenPair, verifications: list[str]
) -> None:
    """Its paths are exempt, and what the middleware has found in a cookie is not verified again."""
    sources = [BearerHeader(), Cookie()]
    exempt = ["/refresh", "/logout"]
    browser = Browser(JWTMiddleware(app, config, sources=sources, store=store, exempt=exempt), pair, config)
    assert 200 == (await browser.send("/sessions", method="GET")).status
    assert [pair.access_token] == verifications
    assert 200 == (await browser.send("/refresh", form={"csrf_token": browser.jar[NAMES[2]]}, csrf=False)).status
    # The middleware has read the form of a page without a script.
    form = {"csrf_token": browser.jar[NAMES[2]]}
    answer = await browser.send("/logout-everywhere", form=form, csrf=False)
    assert (200, True) == (answer.status, answer.is_forgetting)
    assert 401 == (await browser.send("/sessions", method="GET")).status


async def test_below_a_middleware_that_looks_at_headers_only(
    app: Any, config: JWTConfig, store: MemoryStore, pair: TokenPair
) -> None:
    """Where the middleware demands nothing, the endpoints look for themselves."""
    browser = Browser(JWTMiddleware(app, config, store=store, required=False), pair, config)
    assert 200 == (await browser.send("/sessions", method="GET")).status
    assert 200 == (await browser.send("/logout-everywhere")).status
    assert 401 == (await Browser(browser.app, pair, config).send("/sessions", method="GET")).status


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
async def test_mounted(app: Any, config: JWTConfig, store: MemoryStore, pair: TokenPair, framework: str) -> None:
    """Mounted where the refresh path says, below the framework's own middleware."""
    options = {"sources": [BearerHeader(), Cookie()], "store": store, "exempt": EXEMPT}
    if framework == "starlette":
        mounted: Any = Starlette(
            routes=[Mount("/auth", app)], middleware=[Middleware(JWTMiddleware, config, **options)]
        )
    else:
        mounted = pytest.importorskip("fastapi").FastAPI()
        mounted.add_middleware(JWTMiddleware, config, **options)
        mounted.mount("/auth", app)
    browser = Browser(mounted, pair, config)
    assert 403 == (await browser.send("/auth/refresh", csrf=False)).status
    assert 200 == (await browser.send("/auth/refresh")).status
    assert 200 == (await browser.send("/auth/sessions", method="GET")).status
    answer = await browser.send("/auth/logout")
    assert (200, True) == (answer.status, answer.is_forgetting)
    assert 401 == (await browser.send("/auth/sessions", method="GET")).status


@pytest.mark.parametrize("cookies", [1, None, "yes", TokenCookies()])
def test_the_option(config: JWTConfig, store: MemoryStore, cookies: Any) -> None:
    """It is a yes or no; what cookies are called stands in the configuration, and the message says so."""
    with pytest.raises(SettingError, match=r"JWTConfig\(cookies=TokenCookies\(...\)\)"):
        TokenEndpoints(config, store, cookies=cookies)


async def test_a_loader_and_a_short_life(store: MemoryStore, clock: HeldClock) -> None:
    """What the loader says stands in the new access cookie, which lasts as long as its token."""
    config = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=60, refresh_lifetime=600)
    app = TokenEndpoints(config, store, cookies=True, claims_loader=lambda token: {"of": token.identity})
    browser = Browser(app, await start_session("alice", config, store), config)
    answer = await browser.send("/refresh")
    assert {"of": "alice"} == verify_token(answer.values[NAMES[0]], config).user_claims
    assert ["Max-Age=60", "Max-Age=600", "Max-Age=600"] == [line.split("; ")[3] for line in answer.cookies]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("is_served", [True, False], ids=["server", "asgi"])
async def test_below_a_prefix_of_sanic(store: MemoryStore, clock: HeldClock, is_served: bool) -> None:
    """On Sanic's own server and in ASGI mode a browser refreshes and logs out alike."""
    sanic = pytest.importorskip("sanic")
    pytest.importorskip("websockets")
    adapter = importlib.import_module("asgi_jwt_claims.sanic")
    apps = importlib.import_module("tests.apps.sanic_adapter")
    cookies = TokenCookies(access_name="a", refresh_name="r", csrf_name="c", secure=False)
    config = JWTConfig(secret_key=SECRET, clock=clock, cookies=cookies)
    app = apps.new_app()
    sources = [BearerHeader(), Cookie(cookies)]
    endpoints = {"/auth": TokenEndpoints(config, store, cookies=True)}
    adapter.install(app, config, store=store, sources=sources, exempt=["/login"], endpoints=endpoints)

    async def login(request: Any) -> Any:
        response = sanic.json({})
        set_token_cookies(response, await start_session("alice", config, store), config)
        return response

    app.add_route(login, "/login")
    async with apps.socket_site(app) if is_served else asgi_site(app) as site:
        assert 200 == (await site.client.get("/login")).status_code
        assert 403 == (await site.client.post("/auth/refresh")).status_code
        answer = await site.client.post("/auth/refresh", headers={"x-csrf-token": site.client.cookies["c"]})
        assert (200, 3) == (answer.status_code, len(answer.headers.get_list("set-cookie")))
        assert "access_token" not in answer.json()
        assert 1 == len((await site.client.get("/auth/sessions")).json()["sessions"])
        assert 403 == (await site.client.post("/auth/logout", headers={"origin": "null"})).status_code
        answer = await site.client.post("/auth/logout", data={"csrf_token": site.client.cookies["c"]})
        assert 200 == answer.status_code
        assert {} == dict(site.client.cookies)
        assert 401 == (await site.client.get("/auth/sessions")).status_code
