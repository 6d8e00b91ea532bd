"""The middleware: which requests go on, and what stands in their scope then."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_jwt_claims import BearerHeader, Cookie, JWTConfig, TokenCookies, create_access_token
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.errors import MalformedTokenError, MissingTokenError, SettingError
from asgi_jwt_claims.tokens.token import Anonymous
from tests.conftest import HeldClock
from tests.raw_asgi import Header, bearer, http_scope, websocket_scope
from tests.scopes import ScopeMiddleware
from tests.support import SECRET, for_each

EXEMPT = ("/", "/login", "/docs/*", "/caf\u00e9", "/files/*", "/trailing/")


def is_open(middleware: ScopeMiddleware, scope: dict[str, Any]) -> bool:
    return middleware.open(scope) is None


@pytest.fixture
def middleware(config: JWTConfig) -> ScopeMiddleware:
    return ScopeMiddleware(config, exempt=EXEMPT)


@for_each(
    "path",
    [
        "/",
        "/login",
        "/docs/",
        "/docs/a",
        "/docs/a/",
        "/docs/a/b.html",
        "/docs/..hidden",
        "/docs/.hidden",
        "/caf\u00e9",
        "/trailing/",
        "/files/report (1).pdf",
        "/files/a:b@c,d+e=f&g!h'i*j$k",
    ],
)
@pytest.mark.parametrize("kind", [http_scope, websocket_scope])
def test_exempt_paths_are_open(middleware: ScopeMiddleware, path: str, kind: Any) -> None:
    """An exempt path goes on without a token, exactly or by whole segments."""
    scope = kind(path)
    assert is_open(middleware, scope)
    assert None is scope["token"]


@for_each(
    "path",
    [
        "",
        "*",
        "login",
        "//",
        "/login/",  # S122
        "//login",
        "/login//",
        "/./login",
        "/x/../login",
        "/login/..",
        "/login/../admin",
        "/Login",
        "/LOGIN",
        "/login ",
        " /login",
        "/login\x00",
        "/login;v=1",
        "/login;",
        "/login?x=1",
        "/login#x",
        "/login%20",
        "/log%69n",
        "/loginx",
        "/login.json",
        "/login\\",
        "/login/x",
        "http://testserver/login",
        "/trailing",
        "/docs",
        "/Docs/a",
        "/docsx",
        "/docs-not-really/a",  # trap: exclude="/pub" also opened "/public-not-really"
        "/docs../admin",
        "/docs//",
        "/docs//a",
        "/docs/a//b",
        "/docs/a//",
        "/docs/.",
        "/docs/..",
        "/docs/./a",
        "/docs/../admin",
        "/docs/a/../../admin",
        "/docs/a/..",
        "/docs/...",
        "/docs/.. /admin",  # what comes later may leave out the spaces, or whatever it cannot print
        "/docs/..\x00/admin",
        "/docs/.\t./admin",
        "/docs/..\r\n/admin",
        "/docs/..\u200b/admin",
        "/docs/%2e%2e/admin",  # encoded twice: a server has decoded it once already
        "/docs/%2fadmin",
        "/docs/a;b",
        "/docs/..;/admin",
        "/docs/..\\admin",
        "/docs\\..\\admin",
        "//docs/a",
        "/./docs/a",
        "/admin/docs/a",
        "http://testserver/docs/a",
    ],
)
@pytest.mark.parametrize("kind", [http_scope, websocket_scope])
def test_no_other_path_is_open(middleware: ScopeMiddleware, path: str, kind: Any) -> None:
    """No spelling of another path, and no odd spelling of an exempt one, is let through."""  # S122
    assert not is_open(middleware, kind(path))


@for_each(
    ("path", "raw_path", "expected"),
    [
        ("/login", None, True),
        ("/login", b"/login", True),
        ("/login", b"/login?next=/admin", True),  # one client keeps the query in raw_path
        ("/login", b"/lo%67in", False),
        ("/login", b"/%6Cogin", False),
        ("/login", b"%2Flogin", False),
        ("/login", b"/admin", False),
        ("/login", b"/admin?/login", False),
        ("/login", b"/login/", False),
        ("/login", b"http://testserver/login", False),
        ("/login", b"", False),
        ("/caf\u00e9", b"/caf%C3%A9", True),
        ("/caf\u00e9", "/caf\u00e9".encode(), True),
        ("/caf\u00e9", b"/caf%E9", False),
        ("/docs/a b", b"/docs/a%20b", True),
        ("/docs/a b", b"/docs/a+b", False),
        ("/docs/a/b", b"/docs/a%2Fb", False),
        ("/docs/a/b", b"/docs%2Fa/b", False),
        ("/docs/a", b"/docs/%61", False),
        ("/docs/\udcff", b"/docs/\xff", False),
        ("/docs/report (1).pdf", b"/docs/report%20(1).pdf", True),  # as browsers spell it
        ("/docs/report (1).pdf", b"/docs/report%20%281%29.pdf", True),  # as Python spells it
        ("/docs/a:b", b"/docs/a:b", True),
    ],
)
def test_the_path_on_the_wire_is_spelled_plainly(
    middleware: ScopeMiddleware, path: str, raw_path: bytes | None, expected: bool
) -> None:
    """Where a server gives `raw_path`, needless escapes close an exempt path, since some frameworks route on it."""  # S122
    assert expected is is_open(middleware, http_scope(path, raw_path=raw_path))


def test_a_scope_without_raw_path(middleware: ScopeMiddleware) -> None:
    """`raw_path` is optional in ASGI."""
    scope = http_scope("/login")
    del scope["raw_path"]
    assert is_open(middleware, scope)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"x/login?")],  # S121
        [(b"host", b"testserver/login")],
        [(b"x-original-url", b"/login")],
        [(b"x-rewrite-url", b"/login")],
        [(b"x-forwarded-uri", b"/login")],
        [(b"x-forwarded-prefix", b"/login")],
        [(b"x-forwarded-for", b"127.0.0.1")],
        [(b"x-forwarded-user", b"alice")],
        [(b"x-http-method-override", b"OPTIONS"), (b"origin", b"x"), (b"access-control-request-method", b"GET")],
        [(b"user-agent", b"kube-probe/1.30")],  # S14
        [(b"user-agent", b"GoogleHC/1.0")],
        [(b"referer", b"http://testserver/login")],
        [(b"cookie", b"token=a.b.c")],
        [(b"proxy-authorization", b"Bearer a.b.c")],
        [(b"upgrade", b"websocket"), (b"connection", b"upgrade")],
    ],
)
def test_no_header_opens_a_path(middleware: ScopeMiddleware, headers: list[Header]) -> None:
    """The path and the method of the request decide; nothing that a client can write into a header does."""
    scope = http_scope("/protected")
    scope["headers"] = headers
    assert MissingTokenError is type(middleware.open(scope))


@for_each(
    ("path", "root_path", "expected"),
    [
        ("/login", "", True),
        ("/api/login", "/api", True),  # as uvicorn and Starlette's mounts give it
        ("/login", "/api", True),  # as hypercorn and granian give it
        ("/a/b/login", "/a/b", True),
        ("/api/docs/a", "/api", True),
        ("/api/docs/..", "/api", False),
        ("/api/", "/api", True),
        ("/api", "/api", False),
        ("/login", "/login", False),
        ("/docs/a", "/docs/a", False),
        ("/docs/admin", "/docs", False),
        ("/docs/login", "/docs", True),
        ("/api/api/login", "/api", False),
        ("/apilogin", "/api", False),
        ("/api/login", "/ap", False),
        ("/API/login", "/api", False),
        ("/api//login", "/api", False),
        ("/api/login", "/api/", False),
        ("/api//login", "/api/", False),
        ("//login", "/", False),
        ("/login", "/", True),
        ("/login", "login", True),
        ("/api", "/login", False),
    ],
)
def test_a_root_path_is_not_part_of_the_path(
    middleware: ScopeMiddleware, path: str, root_path: str, expected: bool
) -> None:
    """What is compared is what a router sees: the path below the `root_path` of the server or the mount."""  # S123
    assert expected is is_open(middleware, http_scope(path, root_path=root_path))


@pytest.mark.parametrize(
    ("raw_path", "expected"),
    [
        (b"/api/docs/a%20b", True),
        (b"/docs/a%20b", True),  # a server that puts the root path in front of `path` alone
        (b"/%61pi/docs/a%20b", False),
        (b"/api/docs/%61%20b", False),
        (b"/api%2Fdocs/a%20b", False),
        (b"/api", False),
    ],
)
def test_the_spelling_below_a_root_path(middleware: ScopeMiddleware, raw_path: bytes, expected: bool) -> None:
    """Needless escapes close an exempt path below a root path as well, in the root path and after it."""  # S122
    assert expected is is_open(middleware, http_scope("/api/docs/a b", root_path="/api", raw_path=raw_path))


RULES = ("GET /items", "POST /orders", "GET /docs/*", "PUT /docs/api/*", "/both", "GET /both", "M-SEARCH /upnp")


@for_each(
    ("method", "path", "expected"),
    [
        ("GET", "/items", True),
        ("HEAD", "/items", True),  # RFC 9110 section 9.3.2: HEAD is GET without the content
        ("POST", "/items", False),
        ("OPTIONS", "/items", False),
        ("get", "/items", False),
        ("GET ", "/items", False),
        ("", "/items", False),
        (None, "/items", False),
        ("*", "/items", False),
        ("GET", "/items/", False),
        ("GET", "/items/1", False),
        ("POST", "/orders", True),
        ("GET", "/orders", False),
        ("HEAD", "/orders", False),
        ("GET", "/docs/a", True),
        ("HEAD", "/docs/a/b", True),
        ("GET", "/docs/../a", False),
        ("PUT", "/docs/a", False),
        ("PUT", "/docs/api/a", True),
        ("GET", "/docs/api/a", True),
        ("DELETE", "/docs/api/a", False),
        ("DELETE", "/both", True),
        ("M-SEARCH", "/upnp", True),
    ],
)
def test_a_path_is_exempt_for_a_method(config: JWTConfig, method: str | None, path: str, expected: bool) -> None:
    """A rule with a method opens its path for this method, and one for GET for HEAD too."""  # S122
    assert expected is is_open(ScopeMiddleware(config, exempt=RULES), http_scope(path, method=method))  # type: ignore[arg-type]


@for_each(
    ("path", "root_path", "expected"),
    [
        ("/docs/a", "/api", True),
        ("/docs/api/admin", "/api", False),
        ("/docs/apis", "/api", False),
        ("/docs/api/admin", "/api/", False),
        ("/api/docs/a", "/api", True),
        ("/api/docs/api/a", "/api", True),
        ("/docs/a", "/", True),
        ("/api-docs/a", "/api", True),
        ("/v1/api/admin", "/api", False),
        ("/v1/api/docs/a", "/api", True),
        ("/v1/api/docs/a", "/api/docs", False),
    ],
)
def test_a_root_path_further_in(config: JWTConfig, path: str, root_path: str, expected: bool) -> None:
    """A path is not exempt if a router that finds the root path in it would be left with any other path."""  # S123
    middleware = ScopeMiddleware(config, exempt=["/docs/*", "/api-docs/*", "/v1/api/*", "/v1/api/docs/*"])
    assert (path, root_path, expected) == (path, root_path, is_open(middleware, http_scope(path, root_path=root_path)))


@pytest.mark.parametrize(("path", "expected"), [("/items", False), ("/docs/a", False), ("/both", True)])
def test_a_rule_with_a_method_is_no_rule_for_websockets(config: JWTConfig, path: str, expected: bool) -> None:
    """A handshake passes by rules without a method only, whatever its scope says of a method."""
    middleware = ScopeMiddleware(config, exempt=RULES)
    assert expected is is_open(middleware, websocket_scope(path))
    assert expected is is_open(middleware, {**websocket_scope(path), "method": "GET"})


@pytest.mark.parametrize(
    ("header", "query", "expected"),
    [
        ((b"x-http-method-override", b"DELETE"), b"", False),
        ((b"X-HTTP-Method", b"DELETE"), b"", False),
        ((b"x_method_override", b"DELETE"), b"", False),
        ((b"accept", b"*/*"), b"_method=DELETE", False),
        ((b"accept", b"*/*"), b"a=b&%5Fmethod=DELETE", False),
        ((b"accept", b"*/*"), b"x-http-method-override=DELETE", False),
        ((b"accept", b"*/*"), b"a=" + b"b" * 8190, True),
        ((b"accept", b"*/*"), b"a=" + b"b" * 8191, False),
        ((b"x-forwarded-method", b"GET"), b"payment_method=card", True),
        ((b"x-http-method-override" + b"-" * 43, b"DELETE"), b"", True),
    ],
)
def test_another_method_to_go_by(config: JWTConfig, header: Header, query: bytes, expected: bool) -> None:
    """A path that is open for one method is not open for another one, which a layer further in would go by."""  # S14
    middleware = ScopeMiddleware(config, exempt=RULES)
    for path, has_method in (("/items", True), ("/docs/a", True), ("/both", False)):
        assert (expected or not has_method) is is_open(middleware, http_scope(path, header, query_string=query))


def test_long_paths_are_not_exempt(middleware: ScopeMiddleware) -> None:
    """A path of 8 KiB may be exempt, and no longer one, in characters or as it is spelled."""  # S122
    path = "/docs/" + "a" * (8 * 1024 - 6)
    assert is_open(middleware, http_scope(path))
    assert not is_open(middleware, http_scope(path + "a"))
    accents = "/docs/" + "\u00e9" * 5000
    assert is_open(middleware, http_scope(accents[:1000]))
    assert not is_open(middleware, http_scope(accents))


def test_the_longest_of_many_prefixes(config: JWTConfig) -> None:
    """Any number of prefixes is looked up, short and long, and those that lie in each other."""
    middleware = ScopeMiddleware(
        config, exempt=[*(f"/p{number}/*" for number in range(1000)), "/p7/deep/down/*", "/q/deep/*"]
    )
    paths = {"/p0/a": True, "/p999/a/b": True, "/p7/deep/down/x": True, "/q/deep/x": True, "/q/x": False, "/r": False}
    assert paths == {path: is_open(middleware, http_scope(path)) for path in paths}


@pytest.mark.parametrize("required", [True, False])
def test_a_valid_token_goes_on(config: JWTConfig, required: bool) -> None:
    """The token stands in the scope, and says where it came from."""
    scope = http_scope("/protected", bearer(create_access_token("alice", config)))
    assert is_open(ScopeMiddleware(config, required=required), scope)
    assert ("alice", "header") == (scope["token"].identity, scope["token"].source)


@pytest.mark.parametrize(("headers", "error"), [((), MissingTokenError), ((bearer("a.b.c"),), MalformedTokenError)])
def test_nothing_is_refused_here_when_not_required(
    config: JWTConfig, headers: tuple[Header, ...], error: type[Exception]
) -> None:
    """With `required=False` every request goes on, with None in the scope; the guards decide later."""
    strict, lenient = http_scope("/", *headers), http_scope("/", *headers)
    assert error is type(ScopeMiddleware(config).open(strict))
    assert None is ScopeMiddleware(config, required=False).open(lenient)
    assert None is strict["token"]
    assert None is lenient["token"]


@pytest.mark.parametrize("path", ["/login", "/protected"])
def test_what_stood_in_the_scope_is_overwritten(middleware: ScopeMiddleware, path: str) -> None:
    """Both keys are always ours, on exempt paths too."""  # S128
    scope = http_scope(path, token="forged", **{SCOPE_KEY: "forged"})
    middleware.open(scope)
    assert None is scope["token"]
    assert "RequestAuth" == type(scope[SCOPE_KEY]).__name__


def test_an_exempt_path_is_not_examined(middleware: ScopeMiddleware, config: JWTConfig) -> None:
    """On an exempt path even a good token waits until a guard asks for it."""
    scope = http_scope("/login", bearer(create_access_token("alice", config)))
    middleware.open(scope)
    assert None is scope["token"]


def test_the_other_keys_of_the_scope_are_left_alone(middleware: ScopeMiddleware, config: JWTConfig) -> None:
    """Two keys are added, none is changed: outer middleware keeps seeing the route, the state and the user."""  # S130
    scope = http_scope("/protected", bearer(create_access_token("alice", config)), user="theirs", state={"a": 1})
    before = dict(scope)
    middleware.open(scope)
    assert {**before, "token": scope["token"], SCOPE_KEY: scope[SCOPE_KEY]} == scope


@pytest.mark.parametrize("headers", [(), (bearer("a.b.c"),)], ids=["absent", "bad"])
def test_a_refusal_keeps_nothing_alive(middleware: ScopeMiddleware, headers: tuple[Header, ...]) -> None:
    """The error that is handed on carries no traceback, hence no frame with the request in it."""
    error = middleware.open(http_scope("/protected", *headers))
    assert error is not None
    assert None is error.__traceback__


def test_set_user(config: JWTConfig) -> None:
    """By option the token, or an anonymous somebody without scopes, is also `user` and `auth`."""
    middleware = ScopeMiddleware(config, set_user=True, required=False)
    known, unknown = http_scope("/", bearer(create_access_token("alice", config)), user="x"), http_scope("/", user="x")
    middleware.open(known)
    middleware.open(unknown)
    assert known["token"] is known["user"] is known["auth"].token
    assert {"authenticated"} == known["auth"].scopes
    assert isinstance(unknown["user"], Anonymous)
    assert unknown["user"] is unknown["auth"]
    assert (False, "", frozenset()) == (
        unknown["user"].is_authenticated,
        unknown["user"].display_name,
        unknown["auth"].scopes,
    )


@pytest.mark.parametrize("set_user", [True, False])
def test_an_inner_middleware_speaks_for_its_own_token(config: JWTConfig, set_user: bool) -> None:
    """Where an outer middleware of this library has set the user, an inner one lets it say what its own token says."""  # S128
    other = JWTConfig(secret_key=SECRET[::-1], clock=config.clock)
    scope = http_scope("/", bearer(create_access_token("alice", config)))
    ScopeMiddleware(config, set_user=True).open(scope)
    assert "alice" == scope["user"].identity
    ScopeMiddleware(other, required=False, set_user=set_user).open(scope)
    assert None is scope["token"]
    assert isinstance(scope["user"], Anonymous)
    assert scope["user"] is scope["auth"]
    ScopeMiddleware(config, set_user=set_user).open(scope)
    assert scope["token"] is scope["user"] is scope["auth"].token


def test_the_inner_middleware_takes_over_what_the_outer_has_found(config: JWTConfig) -> None:
    """One result for both; each refuses in its own way, and the outer one is there again after the inner one."""  # S133
    outer, inner = ScopeMiddleware(config, required=False), ScopeMiddleware(config, realm="inner")
    scope = http_scope("/", bearer("a.b.c"))
    outer.open(scope)
    first = scope[SCOPE_KEY]
    assert first.result_for(scope).error is inner.open(scope)
    second = scope[SCOPE_KEY]
    assert first.result_for(scope) is second.result_for(scope)
    assert [one.settings.authenticator.responder for one in (outer, inner)] == [
        first.authenticator.responder,
        second.authenticator.responder,
    ]
    assert first is second.outer


@for_each(
    "options",
    [
        {"required": 1},
        {"required": "no"},
        {"required": None},
        {"set_user": 0},
        {"allow_preflight": 1},
        {"exempt": "/login"},
        {"exempt": ["login"]},
        {"exempt": [""]},
        {"exempt": ["*"]},
        {"exempt": ["/*"]},
        {"exempt": ["/docs*"]},
        {"exempt": ["/*/docs"]},
        {"exempt": ["/docs/*/x/*"]},
        {"exempt": ["/docs/**"]},
        {"exempt": ["get /items"]},
        {"exempt": ["GET  /items"]},
        {"exempt": ["GET items"]},
        {"exempt": ["GET,POST /items"]},
        {"exempt": ["GET /*"]},
        {"exempt": [" /items"]},
        {"exempt": ["/items?page=1"]},
        {"exempt": ["/items#top"]},
        {"exempt": ["/caf%C3%A9"]},
        {"exempt": [b"/login"]},
        {"exempt": [None]},
        {"exempt": b"/login"},
        {"exempt": 5},
        {"sources": 5},
        {"sources": ()},
        {"sources": ["header"]},
        {"sources": "header"},
        {"sources": [BearerHeader]},
        {"sources": [BearerHeader(), Cookie]},
        {"end_with_token": 1},
        {"end_with_token": None},
        {"close_code": 1001},
        {"close_code": 2999},
        {"close_code": 5000},
        {"close_code": True},
        {"close_code": "3000"},
        {"close_code": 3000.0},
        {"realm": 'a"b'},
        {"problem_json": "yes"},
        {"on_error": "function"},
    ],
)
def test_unusable_options(config: JWTConfig, options: dict[str, Any]) -> None:
    """An option that cannot mean what it says is refused when the application is built."""
    with pytest.raises(SettingError):
        ScopeMiddleware(config, **options)


@pytest.mark.parametrize(
    "path", ["/items/{id}", "GET /items/{id:int}", "/items/<id>", "/items/<int:id>/*", "/items/:id"]
)
def test_templates_are_refused(config: JWTConfig, path: str) -> None:
    """A template of a route, which no path equals, is refused when the application is built, and the reason is given."""
    with pytest.raises(SettingError, match="is a template, and exempt compares paths as they are"):
        ScopeMiddleware(config, exempt=[path])


@pytest.mark.parametrize("config", [None, "secret", {"secret_key": "x"}, JWTConfig], ids=repr)
def test_only_a_configuration_will_do(config: Any) -> None:
    """There is no default configuration, hence no default secret (trap: a secret shipped with the library)."""
    with pytest.raises(SettingError, match="config must be a JWTConfig"):
        ScopeMiddleware(config)


def test_a_cookie_without_names_is_that_of_the_configuration(clock: HeldClock) -> None:
    """`Cookie()` is bound to the names and rules of the middleware's configuration; one with names of its own is not."""
    plain, named = TokenCookies(), TokenCookies(access_name="other", trusted_origins=["https://a.example"])
    one, other = (JWTConfig(secret_key=SECRET, clock=clock, cookies=cookies) for cookies in (plain, named))
    unbound = Cookie()
    for config, source, expected in (
        (one, unbound, Cookie(plain)),
        (other, unbound, Cookie(named)),
        (other, Cookie(type="refresh"), Cookie(named, type="refresh")),
        (other, Cookie(plain), Cookie(plain)),
        (one, Cookie(named), Cookie(named)),
    ):
        assert (expected, BearerHeader()) == ScopeMiddleware(
            config, sources=[source, BearerHeader()]
        ).settings.authenticator.sources
    assert Cookie(plain) == unbound
    raw = create_access_token("alice", other)
    scope = http_scope("/", (b"cookie", b"other=" + raw.encode()))
    assert None is ScopeMiddleware(other, sources=[unbound]).open(scope)
    assert "alice" == scope["token"].identity


def test_a_cookie_without_names_for_several_configurations(clock: HeldClock) -> None:
    """Where they differ in their cookies, it is that of the defaults if one of them has these; if none has, it is refused."""
    names = [TokenCookies(), TokenCookies(access_name="a"), TokenCookies(access_name="b")]
    plain, one, other = (
        JWTConfig(secret_key=SECRET, clock=clock, cookies=cookies, issuer=f"https://{number}.example")
        for number, cookies in enumerate(names)
    )
    assert (Cookie(names[0]),) == ScopeMiddleware([plain, one], sources=[Cookie()]).settings.authenticator.sources
    alike = one.replace(issuer="https://c.example")
    assert (Cookie(names[1]),) == ScopeMiddleware([one, alike], sources=[Cookie()]).settings.authenticator.sources
    with pytest.raises(SettingError, match=r"different cookies; pass Cookie\(config.cookies\)"):
        ScopeMiddleware([one, other], sources=[Cookie()])
