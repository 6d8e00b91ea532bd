"""Browsers are sent to the login page and come back to the page that they wanted; to no other host, and scripts are not."""

from __future__ import annotations

import inspect
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_jwt_claims import Cookie, JWTConfig, JWTMiddleware, create_access_token
from asgi_jwt_claims.errors import (
    ExpiredTokenError,
    ForbiddenError,
    FreshTokenRequiredError,
    MalformedCredentialsError,
    MissingTokenError,
    SettingError,
    StoreUnavailableError,
    TokenError,
)
from asgi_jwt_claims.responses import ErrorResponder
from asgi_jwt_claims.sessions import login_redirect, safe_next
from tests.raw_asgi import Header, Recorder, ask, http_scope, talk, websocket_scope
from tests.support import for_each

HTML: Header = (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
OPENS: tuple[Header, ...] = (HTML, (b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"document"))


def redirected(scope: dict[str, Any], error: TokenError | None = None, path: str = "/login") -> str | None:
    """The address that a refusal leads to; None if it is not redirected."""
    error = error or MissingTokenError()
    answer: Any = login_redirect(path)(error, ErrorResponder().response_for(error), scope)
    if answer is None:
        return None
    assert not inspect.isawaitable(answer)
    assert (303, b"") == (answer.status, answer.body)
    headers = dict(answer.headers)
    assert {"location", "content-length", "cache-control"} == set(headers)
    assert ("0", "no-store") == (headers["content-length"], headers["cache-control"])
    return str(headers["location"])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_browser_that_opens_a_page_is_redirected(method: str) -> None:
    """The page with its query comes along; older browsers send no Fetch Metadata."""
    for headers in (
        OPENS,
        (HTML,),
        ((b"accept", b" Text/HTML ; q=0.1"),),
        ((b"accept", b"a/b;q=1,text/html;level=1"),),
    ):
        scope = http_scope("/orders/7", *headers, method=method, query_string=b"page=2&sort=a%20b")
        assert "/login?next=/orders/7%3Fpage%3D2%26sort%3Da%2520b" == redirected(scope)


@for_each(
    "headers",
    [
        (),
        ((b"accept", b"*/*"),),
        ((b"accept", b"text/*"),),
        ((b"accept", b"application/json"),),
        ((b"accept", b"text/html;q=0"),),
        ((b"accept", b"text/html; Q = 0.000 , */*"),),
        ((b"accept", b""),),
        (HTML, HTML),
        (HTML, (b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty")),
        (HTML, (b"sec-fetch-mode", b"navigate"), (b"sec-fetch-dest", b"iframe")),
        (HTML, (b"sec-fetch-mode", b"navigate"), (b"sec-fetch-mode", b"navigate")),
        (HTML, (b"sec-fetch-mode", b"")),
    ],
)
def test_scripts_and_programs_get_the_refusal(headers: tuple[Header, ...]) -> None:
    """What does not open a page, or says so twice, keeps its status and its challenge."""
    assert redirected(http_scope("/orders", *headers)) is None


@for_each("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", ""])
def test_a_form_is_not_redirected(method: str) -> None:
    """A redirect would lose what was sent."""
    assert redirected(http_scope("/orders", *OPENS, method=method)) is None


def test_a_handshake_is_not_redirected() -> None:
    """A WebSocket client follows no redirect."""
    assert redirected(websocket_scope("/feed", *OPENS)) is None


@for_each(
    ("error", "is_redirected"),
    [
        (MissingTokenError(), True),
        (ExpiredTokenError(), True),
        (FreshTokenRequiredError(max_age=60), True),
        (ForbiddenError(), False),
        (MalformedCredentialsError(), False),
        (StoreUnavailableError(reason="gone"), False),
    ],
)
def test_only_a_login_that_helps(error: TokenError, is_redirected: bool) -> None:
    """Only 401 leads to the login: with 403 the user is known, and 400 and 503 would come again."""
    assert is_redirected is (redirected(http_scope("/orders", *OPENS), error) is not None)


def test_a_login_page_that_is_not_exempt_does_not_redirect_to_itself() -> None:
    """The browser sees the refusal, and no endless redirect."""
    assert redirected(http_scope("/login", *OPENS)) is None
    assert redirected(http_scope("/login", *OPENS, query_string=b"next=/a")) is None
    assert redirected(http_scope("/app/login", *OPENS, root_path="/app")) is None
    assert "/login?next=/login/help" == redirected(http_scope("/login/help", *OPENS))


def test_a_prefix_of_server_or_mount() -> None:
    """The addresses are those that the browser knows, whether or not the server leaves the prefix in the path."""
    for path in ("/app/orders", "/orders"):
        assert "/app/login?next=/app/orders" == redirected(http_scope(path, *OPENS, root_path="/app"))
    assert "/app/login?next=/app/application" == redirected(http_scope("/application", *OPENS, root_path="/app"))


@for_each("root_path", ["//evil.example", "/\\evil.example", "https://evil.example", "evil"])
def test_a_prefix_that_a_client_has_sent(root_path: str) -> None:
    """Daphne takes the prefix from a header: one that is no path is not redirected to."""
    location = redirected(http_scope("/orders", *OPENS, root_path=root_path))
    assert location is None or "" == urlsplit(location.replace("\\", "/")).netloc


@for_each(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/%2f/x",
        " /x",
        "//",
        "/ /x",
        "/" * 3000,
    ],
)
def test_a_path_that_could_be_another_host(path: str) -> None:
    """A request may have such a path, and `next` then stays away."""
    location = redirected(http_scope("/", *OPENS) | {"path": path})
    assert location is not None
    target = parse_qs(urlsplit(location).query).get("next", [""])[0]
    assert not target or ("/" == target[0] and "" == urlsplit(target).netloc)


FOREIGN = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/\r\n/evil.example",
    " /orders",
    "/ord ers",
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%09/evil.example",
    "/%0d%0aset-cookie:a=b",
    "/%20/evil.example",
    "/%252fevil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "orders",
    "?next=/a",
    "#a",
    "",
    '/"onload="x',
    "/<script>",
    "/orders\x00",
    "/\u2215evil.example",
    "/orders#fragment",
    "/orders\n",
    "/" + "a" * 2048,
    None,
    7,
    ["/orders"],
    b"/orders",
]


@for_each("value", FOREIGN)
def test_next_leads_to_no_other_host(value: Any) -> None:
    """What a browser or a program could take for another address, or is none, is replaced by the default."""
    assert "/" == safe_next(value)
    assert "/home" == safe_next(value, "/home")


@for_each(
    "value",
    [
        "/",
        "/orders",
        "/orders/7?page=2&a=%20",
        "/%C3%BCber",
        "/a//b",
        "/.well-known/x",
        "/a?u=https://b.example/",
        "/a'b",
    ],
)
def test_next_leads_back(value: str) -> None:
    """A path of the application comes back as it is."""
    assert value == safe_next(value)


def host_of(address: str) -> str:
    """The host that a browser takes from an address (WHATWG URL standard section 4.4), written once more."""
    cleaned = re.sub(r"[\t\r\n]", "", address.strip("".join(map(chr, range(33))))).replace("\\", "/")
    if re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", cleaned):
        return "a scheme"
    return cleaned[2:] if cleaned.startswith("//") else ""


SHARP = st.text(st.sampled_from("/\\%\t\r\n .@:?#0259CcFfa\u2215\x00"), max_size=12)


@given(SHARP | st.text(max_size=12))
@example("/%5C/evil")
def test_no_text_leads_elsewhere(value: str) -> None:
    """What passes names no host, as it is and decoded once more."""
    for given_value in (value, "/" + value):
        found = safe_next(given_value, "")
        assert found in ("", given_value)
        assert "" == host_of(found)
        assert "" == host_of(unquote(found))


@given(SHARP | st.text(), st.binary(max_size=20), st.sampled_from(["", "/app", "/\u00fc", "//x", "x"]) | SHARP)
def test_any_request_is_answered(path: str, query: bytes, root_path: str) -> None:
    """No path, query or prefix raises; the address names no host, and `next` is the request's own path or is missing."""
    scope = http_scope("/", *OPENS) | {"path": "/" + path, "query_string": query, "root_path": root_path}
    location = redirected(scope)
    if location is None:
        return
    assert re.fullmatch(r"/[!-~]*", location)
    assert "" == host_of(location)
    wanted = parse_qs(urlsplit(location).query).get("next")
    if wanted is not None:
        assert wanted[0] == safe_next(wanted[0], "")
        assert unquote(wanted[0].partition("?")[0], errors="surrogatepass").endswith(
            path.encode(errors="replace").decode()
        )


@for_each(
    "path", ["login", "https://login.example", "//login", "/log in", "/login?a=b", "/login#a", "", None, 7, b"/login"]
)
def test_a_login_page_is_a_path(path: Any) -> None:
    """A mistake is told when the middleware is built."""
    with pytest.raises(SettingError, match='takes the path of a login page such as "/login"'):
        login_redirect(path)


@pytest.mark.anyio
async def test_behind_the_middleware(config: JWTConfig) -> None:
    """A browser without a cookie is redirected, one with a token passes, and scripts and sockets are refused as ever."""
    recorder = Recorder()
    app = JWTMiddleware(recorder, config, sources=[Cookie()], exempt=["/login"], on_error=login_redirect("/login"))
    opened = await ask(app, "/orders", *OPENS)
    assert (303, "/login?next=/orders") == (opened.status, opened.headers["location"])
    assert "www-authenticate" not in opened.headers
    script = await ask(app, "/orders", (b"accept", b"*/*"))
    assert (401, True) == (script.status, script.headers["www-authenticate"].startswith("Bearer"))
    assert 401 == (await talk(app, "/feed", *OPENS)).status
    cookie = (b"cookie", b"__Host-access_token=" + create_access_token("alice", config).encode())
    assert 200 == (await ask(app, "/orders", *OPENS, cookie)).status
    assert 200 == (await ask(app, "/login", *OPENS)).status
