"""`TokenCookies` and what sets them: names and rules that browsers keep, and one header for each cookie, byte for byte."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from starlette import responses
from starlette.requests import Request

from asgi_jwt_claims import (
    Cookie,
    JWTConfig,
    JWTMiddleware,
    TokenCookies,
    TokenPair,
    create_access_token,
    create_token_pair,
    set_token_cookies,
    unset_token_cookies,
)
from asgi_jwt_claims.errors import (
    CookieTooLargeError,
    InvalidRequestError,
    NotGuardedError,
    SettingError,
)
from asgi_jwt_claims.sessions import cookies as cookies_module
from asgi_jwt_claims.sessions import csrf_token
from asgi_jwt_claims.sources.csrf import csrf_digest
from tests.conftest import HeldClock
from tests.raw_asgi import Header, Recorder, ask, http_scope
from tests.support import SECRET, for_each


@pytest.fixture
def pair(config: JWTConfig) -> TokenPair:
    return create_token_pair("alice", config)


def value_of(pair: TokenPair) -> str:
    """What the CSRF cookie holds: a digest for each token."""
    return f"{csrf_digest(pair.access_token.encode()).decode()}.{csrf_digest(pair.refresh_token.encode()).decode()}"


def lines(headers: list[Header]) -> list[str]:
    return [value.decode() for name, value in headers if name == b"set-cookie"]


def set_lines(pair: TokenPair, config: JWTConfig) -> list[str]:
    headers: list[Header] = []
    set_token_cookies(headers, pair, config)
    return lines(headers)


# The settings ---------------------------------------------------------------------------------------------------------


@for_each(
    ("settings", "match"),
    [
        # S150
        ({"secure": 1}, "secure must be True or False"),
        ({"secure": None}, "secure must be True or False"),
        ({"partitioned": "yes"}, "partitioned must be True or False"),
        ({"same_site": "lax"}, "must be 'Lax', 'Strict' or 'None'"),
        ({"same_site": None}, "the word, in quotes"),
        ({"same_site": True}, "must be 'Lax', 'Strict' or 'None'"),
        ({"same_site": "None", "secure": False}, "need secure=True"),
        ({"partitioned": True, "secure": False}, "need secure=True"),
        ({"refresh_path": "auth"}, 'a path such as "/auth"'),
        ({"refresh_path": ""}, 'a path such as "/auth"'),
        ({"refresh_path": None}, 'a path such as "/auth"'),
        ({"refresh_path": "/a;Domain=example.com"}, 'a path such as "/auth"'),
        ({"refresh_path": "/a b"}, 'a path such as "/auth"'),
        ({"refresh_path": "/a\r\nSet-Cookie: x=y"}, 'a path such as "/auth"'),
        ({"refresh_path": "/a\n"}, 'a path such as "/auth"'),
        ({"refresh_path": "/\u00e9"}, 'a path such as "/auth"'),
        ({"access_name": ""}, "use letters, digits, - and _"),
        ({"access_name": "a b"}, "use letters, digits, - and _"),
        ({"access_name": "a=b"}, "use letters, digits, - and _"),
        ({"access_name": "a;b"}, "use letters, digits, - and _"),
        ({"access_name": "a\n"}, "use letters, digits, - and _"),
        ({"refresh_name": "\u00e9"}, "use letters, digits, - and _"),
        ({"csrf_name": None}, "use letters, digits, - and _"),
        ({"csrf_name": b"csrf"}, "use letters, digits, - and _"),
        ({"csrf_header": "X-CSRF:"}, "use letters, digits, - and _"),
        ({"csrf_header": ""}, "use letters, digits, - and _"),
        ({"csrf_header": "Cookie"}, "must not be Cookie, which browsers send by themselves"),
        ({"csrf_header": "ORIGIN"}, "must not be ORIGIN, which browsers send by themselves"),
        ({"csrf_field": ""}, 'a form field such as "csrf_token"'),
        ({"csrf_field": None}, 'a form field such as "csrf_token"'),
        ({"access_name": "x", "csrf_name": "x"}, "must be different names"),
        ({"access_name": "__Secure-refresh_token"}, "must be different names"),
        ({"secure": False}, "__Host-access_token needs secure=True, or browsers drop the cookie"),
        ({"secure": False, "access_name": "a", "csrf_name": "c"}, "__Secure-refresh_token needs secure=True"),
        (
            {"secure": False, "access_name": "__host-a", "csrf_name": "c", "refresh_name": "r"},
            "__host-a needs secure=True",
        ),
        ({"refresh_name": "__Host-refresh_token"}, "call the refresh cookie __Secure-"),
        ({"refresh_name": "__HOST-refresh_token", "refresh_path": "/auth"}, "has the path /"),
        ({"trusted_origins": "https://a.example"}, r"trusted_origins=\('https://a.example',\)"),
        ({"trusted_origins": 5}, "must be a list of origins"),
        ({"trusted_origins": None}, "must be a list of origins"),
    ],
)
def test_cookies_that_would_not_be_kept_are_refused(settings: dict[str, Any], match: str) -> None:
    """What browsers would drop, or what would protect nothing, is refused when it is stated; the message mends it."""
    with pytest.raises(SettingError, match=match):
        TokenCookies(**settings)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://a.example", "https://a.example:8443", "http://localhost:5173", "http://127.0.0.1:8000"),
        *("http://[::1]:8000", "https://xn--mnchen-3ya.example", "chrome-extension://abcdefghijklmnop"),
        *("capacitor://localhost", "http://a.example:443", "https://a.example:80"),
    ],
)
def test_origins_as_browsers_send_them(origin: str) -> None:
    """What a browser can send as an Origin can be trusted."""
    assert frozenset({origin}) == TokenCookies(trusted_origins=[origin]).trusted_origins


@for_each(
    "origin",
    [
        *("a.example", "//a.example", "https:a.example", "https://", "https://a.example/", "https://a.example/app"),
        *("https://a.example:443", "http://a.example:80", "https://user@a.example", "https://a.example?x", "null"),
        *("https://a.example#x", "HTTPS://a.example", "https://A.example", "https://a.example ", "https://a.example\n"),
        *("https://*.a.example", "https://*", "*", "https://a.example:*", "https://m\u00fcnchen.example"),
        *("wss://a.example", "ws://a.example", "https://a.example:", "https://a.example:port", "https://a\\b", ""),
        *("https://[::1", "https://::1", "https://a.example, https://b.example", None, b"https://a.example"),
    ],
)
def test_what_no_browser_sends_is_no_origin(origin: Any) -> None:
    """An origin that could never match, such as a pattern, is refused."""
    with pytest.raises(SettingError, match="is not an origin as browsers send it"):
        TokenCookies(trusted_origins=[origin])


def test_cookies_are_settings_like_others() -> None:
    """Frozen, compared by what they say, and changed in a copy."""
    cookies = TokenCookies(trusted_origins=iter(["https://a.example"]))
    assert cookies == TokenCookies(trusted_origins=["https://a.example", "https://a.example"])
    assert hash(cookies) == hash(dataclasses.replace(cookies))
    assert cookies != TokenCookies()
    with pytest.raises(dataclasses.FrozenInstanceError):
        cookies.secure = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        TokenCookies("name")  # type: ignore[misc]


def test_a_refresh_cookie_for_the_whole_host() -> None:
    """With the path / the refresh cookie may have the strictest name as well."""
    assert "/" == TokenCookies(refresh_name="__Host-refresh_token", refresh_path="/").refresh_path


# What is set ----------------------------------------------------------------------------------------------------------


def test_the_cookies_of_a_login(config: JWTConfig, pair: TokenPair) -> None:
    """Three cookies, with these very attributes; nothing of it may be stored."""  # S111
    headers: list[Header] = [(b"x-own", b"1")]
    set_token_cookies(headers, pair, config)
    assert [
        f"__Host-access_token={pair.access_token}; Path=/; SameSite=Lax; Max-Age=900; HttpOnly; Secure",
        f"__Secure-refresh_token={pair.refresh_token}; Path=/auth; SameSite=Lax; Max-Age=1209600; HttpOnly; Secure",
        f"__Host-csrf_token={value_of(pair)}; Path=/; SameSite=Lax; Max-Age=1209600; Secure",
    ] == lines(headers)
    assert (b"x-own", b"1") == headers[0]
    assert (b"cache-control", b"no-store") == headers[-1]
    assert {type(part) for header in headers for part in header} == {bytes}


def test_the_end_of_a_login(config: JWTConfig) -> None:
    """The same cookies, empty and over: with the same names, paths and prefixes, or browsers would keep them."""
    headers: list[Header] = [(b"x-own", b"1")]
    unset_token_cookies(headers, config)
    assert [
        "__Host-access_token=; Path=/; SameSite=Lax; Max-Age=0; HttpOnly; Secure",
        "__Secure-refresh_token=; Path=/auth; SameSite=Lax; Max-Age=0; HttpOnly; Secure",
        "__Host-csrf_token=; Path=/; SameSite=Lax; Max-Age=0; Secure",
    ] == lines(headers)
    assert [(b"x-own", b"1"), (b"cache-control", b"no-store")] == [headers[0], headers[-1]]


# Changed settings: the attributes of the access cookie, and those of the refresh cookie.
OTHERWISE: list[tuple[dict[str, Any], str, str]] = [
    (
        {"same_site": "Strict"},
        "Path=/; SameSite=Strict; Max-Age=900; HttpOnly; Secure",
        "Path=/auth; SameSite=Strict; Max-Age=1209600; HttpOnly; Secure",
    ),
    (
        {"same_site": "None", "partitioned": True},
        "Path=/; SameSite=None; Max-Age=900; HttpOnly; Secure; Partitioned",
        "Path=/auth; SameSite=None; Max-Age=1209600; HttpOnly; Secure; Partitioned",
    ),
    (
        {"refresh_path": "/api/v1/auth/"},
        "Path=/; SameSite=Lax; Max-Age=900; HttpOnly; Secure",
        "Path=/api/v1/auth/; SameSite=Lax; Max-Age=1209600; HttpOnly; Secure",
    ),
    (
        {"secure": False},
        "Path=/; SameSite=Lax; Max-Age=900; HttpOnly",
        "Path=/auth; SameSite=Lax; Max-Age=1209600; HttpOnly",
    ),
]


@pytest.mark.parametrize(("settings", "access", "refresh"), OTHERWISE)
def test_every_setting_is_said(
    config: JWTConfig, pair: TokenPair, settings: dict[str, Any], access: str, refresh: str
) -> None:
    """Each setting changes the attributes of what is set, and of what is taken away."""
    cookies = TokenCookies(access_name="a", refresh_name="r", csrf_name="c", **settings)
    changed = config.replace(cookies=cookies)
    readable = refresh.replace(cookies.refresh_path, "/").replace("; HttpOnly", "")
    expected = [f"a={pair.access_token}; {access}", f"r={pair.refresh_token}; {refresh}"]
    assert [*expected, f"c={value_of(pair)}; {readable}"] == set_lines(pair, changed)
    gone: list[Header] = []
    unset_token_cookies(gone, changed)
    assert [f"a=; {access}".replace("=900", "=0"), f"r=; {refresh}".replace("=1209600", "=0")] == lines(gone)[:2]


def test_the_csrf_cookie_has_a_part_for_each_token(config: JWTConfig, pair: TokenPair) -> None:
    """It is bound to these very tokens: another login has another value, and scripts can read it."""
    csrf = set_lines(pair, config)[2]
    name, _, value = csrf.partition(";")[0].partition("=")
    assert ("__Host-csrf_token", value_of(pair), False) == (name, value, "HttpOnly" in csrf)
    assert 2 == len(set(value.split(".")))
    other = create_token_pair("alice", config)
    assert not set(value.split(".")) & set(value_of(other).split("."))


def test_cookies_last_as_long_as_their_tokens(clock: HeldClock) -> None:
    """Max-Age is what is left of each token, in whole seconds, and never less than nothing."""
    config = JWTConfig(secret_key=SECRET, clock=clock, access_lifetime=100, refresh_lifetime=1000)
    pair = create_token_pair("alice", config)
    for later, ages in ((0, (100, 1000)), (30.5, (69, 969)), (500, (0, 500)), (5000, (0, 0))):
        clock.now += later
        access, refresh, csrf = set_lines(pair, config)
        clock.now -= later
        assert f"Max-Age={ages[0]};" in access
        assert f"Max-Age={ages[1]};" in refresh
        assert f"Max-Age={ages[1]};" in csrf


def test_what_never_expires_lasts_as_long_as_the_browser_runs(clock: HeldClock) -> None:
    """A token without an end has a cookie without Max-Age."""
    config = JWTConfig(
        secret_key=SECRET, clock=clock, refresh_lifetime=None, session_lifetime=None, required_claims=["jti"]
    )
    access, refresh, csrf = set_lines(create_token_pair("alice", config), config)
    assert "; Max-Age=900;" in access
    assert "Max-Age" not in refresh + csrf


def test_a_token_that_no_browser_would_keep(
    config: JWTConfig, pair: TokenPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond 4,096 bytes of name and value browsers ignore a cookie, silently; here it is an error, and none is set."""
    headers: list[Header] = []
    long = TokenPair(create_access_token("alice", config, user_claims={"a": "a" * 4000}), pair.refresh_token)
    with pytest.raises(CookieTooLargeError, match="put fewer user claims into the token"):
        set_token_cookies(headers, long, config)
    assert [] == headers
    longest = max(len(line.partition(";")[0]) - 1 for line in set_lines(pair, config))
    monkeypatch.setattr(cookies_module, "_MAX_COOKIE", longest)
    assert 3 == len(set_lines(pair, config))
    monkeypatch.setattr(cookies_module, "_MAX_COOKIE", longest - 1)
    with pytest.raises(CookieTooLargeError, match=f"would have {longest} bytes"):
        set_lines(pair, config)


# On responses ---------------------------------------------------------------------------------------------------------


def starlette_response() -> Any:
    return responses.JSONResponse({"a": 1}, headers={"x-own": "1", "cache-control": "public, max-age=60"})


def fastapi_response() -> Any:
    fastapi = pytest.importorskip("fastapi.responses")
    return fastapi.JSONResponse({"a": 1}, headers={"x-own": "1", "cache-control": "public, max-age=60"})


def sanic_response() -> Any:
    sanic = pytest.importorskip("sanic")
    return sanic.json({"a": 1}, headers={"x-own": "1", "cache-control": "public, max-age=60"})


def pairs_of(response: Any) -> list[tuple[str, str]]:
    """The headers of any framework's response, as they are sent."""
    if hasattr(response, "raw_headers"):
        return [(name.decode(), value.decode()) for name, value in response.raw_headers]
    return [(name.lower(), str(value)) for name, value in response.headers.items()]


RESPONSES = [starlette_response, fastapi_response, sanic_response]


@pytest.mark.parametrize("make", RESPONSES)
def test_a_response_of_a_framework(config: JWTConfig, pair: TokenPair, make: Any) -> None:
    """Three more headers; what was there stays, but that the response may be stored."""
    response = make()
    response.set_cookie("theme", "dark") if hasattr(response, "set_cookie") else response.add_cookie("theme", "dark")
    set_token_cookies(response, pair, config)
    headers = pairs_of(response)
    cookies = [value for name, value in headers if name == "set-cookie"]
    assert set_lines(pair, config) == cookies[1:]
    assert cookies[0].startswith("theme=dark")
    assert ["no-store"] == [value for name, value in headers if name == "cache-control"]
    assert ["1"] == [value for name, value in headers if name == "x-own"]


@pytest.mark.parametrize("make", RESPONSES)
def test_the_end_of_a_login_on_a_response(config: JWTConfig, make: Any) -> None:
    """The cookies are taken away in the same way."""
    response = make()
    unset_token_cookies(response, config)
    gone: list[Header] = []
    unset_token_cookies(gone, config)
    headers = pairs_of(response)
    assert lines(gone) == [value for name, value in headers if name == "set-cookie"]
    assert ["no-store"] == [value for name, value in headers if name == "cache-control"]


@pytest.mark.parametrize(
    "target", [None, {}, (), "response", b"", {"headers": []}, Request({"type": "http", "headers": []}), object()]
)
def test_what_is_no_response_is_refused(config: JWTConfig, pair: TokenPair, target: Any) -> None:
    """The message names an object on which no cookies can be set."""
    with pytest.raises(SettingError, match="must be a response or a list of ASGI headers, not "):
        set_token_cookies(target, pair, config)
    with pytest.raises(SettingError, match=type(target).__name__):
        unset_token_cookies(target, config)


def test_a_configuration_that_only_verifies_can_set_cookies(config: JWTConfig, pair: TokenPair) -> None:
    """Setting cookies needs no key: the tokens have been minted."""
    other = JWTConfig(secret_key="x" * 32, clock=config.clock)
    assert set_lines(pair, config) == set_lines(pair, other)


# What comes back ------------------------------------------------------------------------------------------------------


def jar(pair: TokenPair, config: JWTConfig) -> Header:
    """What a browser sends after a login, to any path below the refresh path."""
    return (b"cookie", "; ".join(line.partition(";")[0] for line in set_lines(pair, config)).encode())


@pytest.mark.anyio
async def test_what_was_set_is_let_in(config: JWTConfig, pair: TokenPair) -> None:
    """The cookies, with the value of the CSRF cookie in the header, open what they should."""
    app = Recorder()
    value = (b"x-csrf-token", value_of(pair).encode())
    for source, kind in ((Cookie(), "access"), (Cookie(type="refresh"), "refresh")):
        offered = source(http_scope("/", jar(pair, config), value, method="POST"), 8192)
        assert offered is not None
        assert pair[f"{kind}_token"].encode() == offered.token
    guarded = JWTMiddleware(app, config, sources=[Cookie()])
    assert 403 == (await ask(guarded, "/", jar(pair, config), method="POST")).status
    assert 200 == (await ask(guarded, "/", jar(pair, config), value, method="POST")).status
    assert "alice" == app.scope["token"].identity


def test_the_value_for_a_form(config: JWTConfig, pair: TokenPair) -> None:
    """The value is that of the request's cookies, in every framework: for both tokens, or for the one that is known."""
    scope = http_scope("/", jar(pair, config))
    assert value_of(pair) == csrf_token(scope, config) == csrf_token(Request(scope), config)
    expected = csrf_digest(pair.access_token.encode()).decode()
    access = b"__Host-access_token=" + pair.access_token.encode()
    foreign = f"{'A' * 32}.{'B' * 32}"
    for planted in ("", foreign, f'{expected}."><script>', f"{expected}.short", f"{expected}.{expected}.{expected}"):
        cookies = (b"cookie", access + b"; __Host-csrf_token=" + planted.encode())
        assert expected == csrf_token(http_scope("/", cookies), config)
    assert expected == csrf_token(http_scope("/", (b"cookie", access)), config)
    other = config.replace(cookies=TokenCookies(access_name="other"))
    assert "" == csrf_token(scope, other)
    assert expected == csrf_token(http_scope("/", (b"cookie", b"other=" + pair.access_token.encode())), other)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"cookie", b"theme=dark"),),
        ((b"cookie", b"__Host-access_token=a; __Host-access_token=b"),),
        ((b"cookie", b"__Host-access_token=a"), (b"cookie", b"__Host-access_token=a")),
    ],
)
def test_without_a_token_there_is_no_value(config: JWTConfig, headers: tuple[Header, ...]) -> None:
    """Without the cookie, or with two of them, the field is empty, so that a page for visitors can be rendered."""
    assert "" == csrf_token(http_scope("/", *headers), config)


def test_where_there_is_no_request(config: JWTConfig) -> None:
    """An object without a scope has no cookies, and neither does a header that no browser sends."""
    with pytest.raises(NotGuardedError):
        csrf_token(object(), config)
    with pytest.raises(InvalidRequestError):
        csrf_token(http_scope("/", (b"cookie", b"__Host-access_token=a; " + b"x" * 70_000)), config)
