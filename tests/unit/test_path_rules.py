"""Rules for paths: what they match, that all of them hold, and what no spelling of a request gets around."""

from __future__ import annotations

import re
import string
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_jwt_claims import JWTConfig, JWTMiddleware, Key, create_access_token, create_refresh_token
from asgi_jwt_claims._asgi import SCOPE_KEY
from asgi_jwt_claims.access import AnyScope, Roles, Scopes
from asgi_jwt_claims.auth.options import Guard
from asgi_jwt_claims.auth.paths.exempt import Exemptions
from asgi_jwt_claims.auth.paths.rules import PathRules
from asgi_jwt_claims.auth.request import is_preflight
from asgi_jwt_claims.errors import (
    AmbiguousPathError,
    ForbiddenError,
    MissingScopeError,
    MissingTokenError,
    RoleRefusedError,
    SettingError,
    WrongTypeError,
)
from asgi_jwt_claims.jwks import JWKSEndpoint
from tests.raw_asgi import Header, Recorder, ask, bearer, http_scope, websocket_scope
from tests.scopes import ScopeMiddleware, admitted
from tests.support import for_each

READ, WRITE, ADMIN = Scopes("reports:read"), Scopes("reports:write"), Roles("admin")

RULES = {
    "GET /reports/*": READ,
    "POST /reports/*": WRITE,
    "/admin/*": ADMIN,
    "/admin/reports/*": READ,
    "/exact": ADMIN,
    "/Caf\u00e9/": ADMIN,
    "DELETE /*": Scopes("delete"),
    "M-SEARCH /upnp": ADMIN,
}


@pytest.fixture
def nothing(config: JWTConfig) -> Header:
    """A good token without any role or scope."""
    return bearer(create_access_token("alice", config))


def found(config: JWTConfig, scope: dict[str, Any]) -> set[str] | None:
    """What the rules demand of a request beside a good token: the words in them; None if no rule matches it."""
    scope = {**scope, "headers": [bearer(create_access_token("alice", config))]}
    middleware = ScopeMiddleware(config, rules=RULES)
    guard = middleware.settings.demand(scope)
    assert guard is not None
    words = {word for word in ("reports:read", "reports:write", "admin", "delete") if f"'{word}'" in repr(guard.policy)}
    error = middleware.open(scope)
    assert (isinstance(error, ForbiddenError), error is None) == (bool(words), guard is middleware.settings.guard)
    return words or None


@for_each(
    ("method", "path", "expected"),
    [
        ("GET", "/reports/a", {"reports:read"}),
        ("HEAD", "/reports/a/b", {"reports:read"}),
        ("GET", "/reports", {"reports:read"}),
        ("GET", "/reports/", {"reports:read"}),
        ("POST", "/reports/a", {"reports:write"}),
        ("PUT", "/reports/a", None),
        ("OPTIONS", "/reports/a", None),
        ("GET", "/reportsx", None),
        ("GET", "/report", None),
        ("GET", "/x/reports/a", None),
        ("GET", "/", None),
        ("GET", "/admin", {"admin"}),
        ("PUT", "/admin/", {"admin"}),
        ("OPTIONS", "/admin/a", {"admin"}),
        ("GET", "/administrator", None),
        ("GET", "/admin-reports/a", None),
        ("GET", "/admin/report", {"admin"}),
        ("GET", "/admin/reports", {"admin", "reports:read"}),
        ("GET", "/admin/reports/a/b/", {"admin", "reports:read"}),
        ("DELETE", "/admin/reports/a", {"admin", "reports:read", "delete"}),
        ("DELETE", "/", {"delete"}),
        ("DELETE", "/any/where", {"delete"}),
        ("GET", "/exact", {"admin"}),
        ("GET", "/exact/", {"admin"}),
        ("GET", "/exact/below", None),
        ("GET", "/ADMIN/a", {"admin"}),
        ("GET", "/eXact", {"admin"}),
        ("GET", "/caf\u00c9", {"admin"}),
        ("GET", "/cafe", None),
        ("M-SEARCH", "/upnp", {"admin"}),
        ("GET", "/upnp", None),
    ],
)
def test_what_a_rule_matches(config: JWTConfig, method: str, path: str, expected: set[str] | None) -> None:
    """Whole segments and the method decide; all rules that match count, and GET covers HEAD."""
    scope = http_scope(path, method=method, raw_path=quote(path).encode())
    assert (method, path, expected) == (method, path, found(config, scope))


@for_each(
    "more",
    [
        {"method": "post"},
        {"method": "Get"},
        {"method": None},
        {"query_string": b"_method=PUT"},
        {"query_string": b"a" * 9000},
        {"headers": [(b"x-http-method-override", b"POST")]},
    ],
)
def test_a_method_that_is_not_sure(config: JWTConfig, more: dict[str, Any]) -> None:
    """The rules of all methods count where a layer further in may go by another method than the request says."""  # S14
    scope = {**http_scope("/reports/a"), **more}
    guard = ScopeMiddleware(config, rules=RULES).settings.demand(scope)
    assert guard is not None
    assert all(f"'{word}'" in repr(guard.policy) for word in ("reports:read", "reports:write", "delete"))


def test_methods_are_not_looked_at_without_need(config: JWTConfig) -> None:
    """Rules without a method hold for any request, and nothing but its path is read."""
    settings = ScopeMiddleware(config, rules={"/admin/*": ADMIN}).settings
    assert settings.demand({"type": "http", "path": "/admin"}) is settings.demand({"type": "x", "path": "/admin/a"})


def test_a_websocket_has_no_method(config: JWTConfig) -> None:
    """The rules of all methods hold for a WebSocket, whatever its scope says of a method."""
    for scope in (websocket_scope("/reports/a"), {**websocket_scope("/reports/a"), "method": "PUT"}):
        assert {"reports:read", "reports:write", "delete"} == found(config, scope)
    assert {"delete"} == found(config, websocket_scope("/"))


@for_each(
    ("path", "root_path", "expected"),
    [
        ("/api/exact", "/api", {"admin"}),
        ("/api/exact", "/api/", {"admin"}),
        ("/api/exact", "", None),
        ("/api/exact", None, None),
        ("/api/exact", "/ap", None),
        ("/reports/a", "/admin", {"admin", "reports:read"}),
        ("/a", "/admin/", {"admin"}),
        ("/", "/exact", {"admin"}),
        ("/apiexact", "/api", {"admin"}),
        ("/x/api/exact", "/api", {"admin"}),
        ("/x/api/exact", "/api/", {"admin"}),
        ("/x/apix/api/exact", "/api/", {"admin"}),
        ("/exact", "/api", {"admin"}),
        ("/exact", "/exact", {"admin"}),
        ("/exact/a", "/exact", None),
        ("/admin/a", "/admin", {"admin"}),
        ("/admin/a", "/admin/a", {"admin"}),
        ("/admin/reports/a", "/admin", {"admin", "reports:read"}),
        ("/api", "/api", None),
    ],
)
def test_root_path(config: JWTConfig, path: str, root_path: str | None, expected: set[str] | None) -> None:
    """A path is compared with `root_path` and without it, wherever it stands, as not all frameworks treat it alike."""  # S123
    assert (path, root_path, expected) == (path, root_path, found(config, http_scope(path, root_path=root_path)))


def test_no_letter_that_a_regular_expression_takes_for_another_gets_around_a_rule(config: JWTConfig) -> None:
    """What Python's regular expressions find without regard to case has the rule of what they look for."""  # S122
    others = "".join(map(chr, range(0x80, 0x2200)))
    for letter in string.ascii_letters:
        for other in re.findall(letter, others, re.IGNORECASE):
            settings = ScopeMiddleware(config, rules={f"/a{letter}a": ADMIN}).settings
            assert (other, Guard(require=ADMIN)) == (other, settings.demand(http_scope(f"/a{other}a", raw_path=None)))


def test_the_root_of_a_mount(config: JWTConfig) -> None:
    """The path of an application's root is empty in a mount, and a rule for `/` is for it."""
    for rule in ("/", "/*"):
        settings = ScopeMiddleware(config, rules={rule: ADMIN}).settings
        for path, root_path in (("/sub", "/sub"), ("/sub/", "/sub"), ("/", "")):
            guard = settings.demand(http_scope(path, root_path=root_path))
            assert Guard(require=ADMIN) == guard


def test_a_path_that_a_mount_has_changed(config: JWTConfig) -> None:
    """The rules hold for the path that is left and for the one that the client has sent."""
    for path, raw_path in (("/exact", b"/mount/exact"), ("/rest", b"/exact"), ("/rest", b"/exact/?a=b")):
        assert {"admin"} == found(config, http_scope(path, raw_path=raw_path))
    assert None is found(config, http_scope("/rest", raw_path=b"/mount/rest"))


# Spelling -------------------------------------------------------------------------------------------------------------


@for_each(
    ("path", "raw_path"),
    [
        ("/public/../admin", None),
        ("/./admin", None),
        ("/admin/.", None),
        ("/public/...", None),
        ("//admin", None),
        ("/public//admin", None),
        ("/public//", None),
        ("/admin;v=1", None),
        ("/public;/x", None),
        ("/public\\admin", None),
        ("/admin\n", None),
        ("/admin\x00", None),
        ("/admin.", None),
        ("/admin /a", None),
        ("/admin%2fa", None),
        ("/ /admin", None),
        ("/\udcff", None),
        ("", None),
        ("*", None),
        ("admin", None),
        ("http://testserver/admin", None),
        ("/" + "a" * 8 * 1024, None),
        ("/public/x", b"/public%2Fx"),
        ("/public/x", b"/public%2fx"),
        ("/public", b"/publi%63"),
        ("/public", b"/%50ublic"),
        ("/public-1", b"/public%2d1"),
        ("/public_1", b"/public%5F1"),
        ("/public~1", b"/public%7e1"),
        ("/public9", b"/public%39"),
        ("/publicz", b"/public%7A"),
        ("/public", b"http://testserver/public"),
        ("/caf\ufffd", b"/caf%E9"),
    ],
)
def test_a_path_that_is_not_plain_is_refused(config: JWTConfig, path: str, raw_path: bytes | None) -> None:
    """Where programs may read a path in several ways nothing passes, with whichever token, on http and websocket."""  # S122
    passes = bearer(create_access_token("alice", config, roles=["admin"], scope="reports:read reports:write delete"))
    for make in (http_scope, websocket_scope):
        for options in ({}, {"required": False}, {"exempt": ["/public", path] if path.startswith("/p") else []}):
            for headers in ((), (passes,)):
                scope = make(path, *headers, raw_path=raw_path)
                try:
                    middleware = ScopeMiddleware(config, rules={"/admin/*": ADMIN}, **options)
                except SettingError:
                    continue  # `exempt` refuses it by itself
                error = middleware.open(scope)
                assert (path, AmbiguousPathError, 400) == (path, type(error), error and error.status)
                assert None is scope["token"]
                assert path not in (str(error), repr(error)) or not path


@for_each(
    ("path", "raw_path"),
    [
        ("/a b", b"/a%20b"),
        ("/caf\u00e9", b"/caf%C3%A9"),
        ("/caf\u00e9", b"/caf%c3%a9"),
        ("/caf\u00e9", "/caf\u00e9".encode()),
        ("/a@b (1)!", b"/a%40b%20(1)!"),
        ("/a@b (1)!", b"/a@b%20%281%29%21"),
        ("/a[1]", b"/a[1]"),
        ("/a[1]\u00e9", b"/a[1]%C3%A9"),
        ("/a", b"/a?b=%61"),
        ("/.well-known/jwks.json", b"/.well-known/jwks.json"),
        ("/a..b/.c", b"/a..b/.c"),
        ("/a/", b"/a/"),
        ("/a", None),
    ],
)
def test_plain_paths_pass(config: JWTConfig, nothing: Header, path: str, raw_path: bytes | None) -> None:
    """Paths as browsers and libraries write them pass, whichever of the optional escapes they use."""
    middleware = ScopeMiddleware(config, rules={"/admin/*": ADMIN})
    assert None is middleware.open(http_scope(path, nothing, raw_path=raw_path))
    assert RoleRefusedError is type(middleware.open(http_scope("/admin" + path, nothing, raw_path=None)))


def test_spelling_is_looked_at_for_the_sake_of_rules_only(config: JWTConfig, nothing: Header) -> None:
    """Without rules no path is refused for its spelling."""
    assert None is ScopeMiddleware(config, rules={}).open(http_scope("/public/../admin", nothing))


@given(
    segments=st.lists(st.sampled_from(["admin", "ADMIN", "a", "..", ".", "", ";", "adm in", "x%"]), max_size=5),
    escapes=st.lists(st.integers(0, 40), max_size=4),
    slash=st.booleans(),
)
def test_no_spelling_reaches_a_path_without_its_rule(segments: list[str], escapes: list[int], slash: bool) -> None:
    """Whatever a router resolves, decodes or folds: what it can make of a path below `/admin` has met the rule."""
    path = "/" + "/".join(segments) + "/" * slash
    raw = "".join(f"%{ord(one):02X}" if number in escapes else one for number, one in enumerate(path)).encode()
    guard: Any = None
    try:
        guard = PathRules({"/admin/*": ADMIN}, None, Exemptions(())).guard_for(http_scope(path, raw_path=raw))
    except AmbiguousPathError:
        return
    resolved: list[str] = []
    for one in path.lower().split("/"):
        if one == "..":
            resolved = resolved[:-1]
        elif one not in ("", "."):
            resolved.append(one)
    assert (resolved[:1] == ["admin"]) is (guard is not None)


# Beside the other options ---------------------------------------------------------------------------------------------


def test_a_path_with_a_rule_needs_a_token(config: JWTConfig, nothing: Header) -> None:
    """With `required=False`, and where `exempt` opens more than the rule is for, the path of a rule is closed."""
    for options in ({"required": False}, {"exempt": ["/admin/public", "/docs/*", "/items"]}, {"exempt": ["/docs/*"]}):
        rules = {"/docs/internal/*": ADMIN, "POST /items": ADMIN}
        middleware = ScopeMiddleware(config, rules=rules, **options)
        for scope in (http_scope("/docs/internal/a"), http_scope("/items", method="POST")):
            assert MissingTokenError is type(middleware.open(scope))
        assert RoleRefusedError is type(middleware.open(http_scope("/docs/internal", nothing)))
        assert None is middleware.open(http_scope("/docs/public"))
    assert None is ScopeMiddleware(config, rules=rules, exempt=["/items"]).open(http_scope("/items"))
    # A WebSocket has no method, so the rule for POST is one for it.
    error = ScopeMiddleware(config, rules=rules, exempt=["/items"]).open(websocket_scope("/items"))
    assert MissingTokenError is type(error)


@for_each(
    ("exempt", "rule"),
    [
        ("/admin/login", "/admin/*"),
        ("/admin", "/admin/*"),
        ("/ADMIN/", "/admin/*"),
        ("/admin/a/*", "/admin/*"),
        ("GET /admin/login", "/admin/*"),
        ("GET /admin/login", "GET /admin/*"),
        ("/a", "/a/"),
        ("/login", "/*"),
        ("GET /", "GET /*"),
        ("HEAD /a", "GET /a"),
    ],
)
def test_what_could_never_be_open(config: JWTConfig, exempt: str, rule: str) -> None:
    """An exempt path that a rule closes altogether is refused when the application is built."""
    with pytest.raises(SettingError, match="would never be open, since") as raised:
        ScopeMiddleware(config, exempt=[exempt], rules={"/other": ADMIN, rule: ADMIN})
    assert repr(exempt) in str(raised.value)
    assert repr(rule) in str(raised.value)


@for_each(
    ("exempt", "rule"),
    [
        ("/admin/*", "/admin/secret"),
        ("/admin/*", "/admin"),
        ("/admin", "GET /admin"),
        ("GET /a", "HEAD /a"),
        ("POST /a", "GET /a"),
        ("/administrator", "/admin/*"),
        ("/b", "/a"),
    ],
)
def test_what_may_be_open(config: JWTConfig, exempt: str, rule: str) -> None:
    """An exempt path of which a rule closes a part, or nothing, is taken."""
    ScopeMiddleware(config, exempt=[exempt], rules={rule: ADMIN})


def test_preflights(config: JWTConfig) -> None:
    """Where preflights pass, the path of a rule for all methods still needs a token; that of a rule for GET does not."""  # S11
    headers = ((b"origin", b"https://app.example"), (b"access-control-request-method", b"GET"))
    middleware = ScopeMiddleware(config, rules={"/admin/*": ADMIN, "GET /reports": READ}, allow_preflight=True)
    for path, expected in (("/admin/a", MissingTokenError), ("/reports", type(None)), ("/other", type(None))):
        scope = http_scope(path, *headers, method="OPTIONS")
        assert (path, expected) == (path, type(middleware.open(scope)))
    assert is_preflight(scope)


def test_a_refused_preflight_is_told(config: JWTConfig, caplog: pytest.LogCaptureFixture) -> None:
    """The log says why a browser cannot reach the path, and what to do."""
    headers = ((b"origin", b"https://app.example"), (b"access-control-request-method", b"GET"))
    middleware = ScopeMiddleware(config, rules={"/admin/*": ADMIN}, allow_preflight=True, required=False)
    middleware.open(http_scope("/admin", *headers, method="OPTIONS"))
    assert "rules" in caplog.text
    assert "preflight" in caplog.text


def test_an_access_token_is_needed(config: JWTConfig) -> None:
    """A refresh token fulfils no rule."""
    raw = create_refresh_token("alice", config)
    for options in ({}, {"required": False}):
        error = ScopeMiddleware(config, rules={"/a": ~Roles("x")}, **options).open(http_scope("/a", bearer(raw)))
        assert WrongTypeError is type(error)


def test_a_rule_for_every_request(config: JWTConfig, nothing: Header) -> None:
    """`require` holds for every request that is not exempt, beside the rules of its path."""
    middleware = ScopeMiddleware(config, require=Scopes("api"), rules={"/admin/*": ADMIN}, exempt=["/login"])
    api = bearer(create_access_token("alice", config, scope="api"))
    admin = bearer(create_access_token("alice", config, roles="admin"))
    both = bearer(create_access_token("alice", config, scope="api", roles=["admin"]))
    assert None is middleware.open(http_scope("/login"))
    assert MissingTokenError is type(middleware.open(http_scope("/")))
    assert MissingScopeError is type(middleware.open(http_scope("/", nothing)))
    assert None is middleware.open(http_scope("/", api))
    assert RoleRefusedError is type(middleware.open(http_scope("/admin", api)))
    assert isinstance(middleware.open(http_scope("/admin", admin)), ForbiddenError)
    assert None is middleware.open(http_scope("/admin", both))


def test_one_refusal_for_all_rules(config: JWTConfig) -> None:
    """The refusal names the scopes of all rules that match, and those of the guards further in."""
    rules = {"/a/*": Scopes("one"), "GET /a/b": Scopes("two"), "/a/b": AnyScope("three")}
    middleware = ScopeMiddleware(config, rules=rules)
    error = middleware.open(http_scope("/a/b", bearer(create_access_token("alice", config, scope="one"))))
    assert isinstance(error, MissingScopeError)
    assert {"one", "two", "three"} == set((error.scope or "").split())


def test_what_let_the_request_in_is_recorded(config: JWTConfig) -> None:
    """The guard of the path is among those that a renewed token has to pass."""  # S131
    middleware = ScopeMiddleware(config, rules={"/a": Scopes("one"), "/b": ADMIN}, required=False)
    for path, expected in (("/a", (Guard(require=Scopes("one")),)), ("/c", ())):
        scope = http_scope(path, bearer(create_access_token("alice", config, scope="one")))
        assert None is middleware.open(scope)
        assert expected == scope[SCOPE_KEY].guards
        admitted(scope)


@pytest.mark.anyio
async def test_endpoints_of_the_library(config: JWTConfig) -> None:
    """They answer in front of the rules, at their own paths, and at no other spelling of them."""  # S124
    endpoints = {"/.well-known/jwks.json": JWKSEndpoint([Key.generate("ES256")])}
    app = JWTMiddleware(Recorder(), config, rules={"/*": ADMIN}, endpoints=endpoints)
    for path, status in (
        ("/.well-known/jwks.json", 200),
        ("/.WELL-known/jwks.json", 401),
        ("/x/../.well-known/jwks.json", 400),
    ):
        assert (path, status) == (path, (await ask(app, path)).status)


# Settings -------------------------------------------------------------------------------------------------------------


@for_each(
    ("options", "message"),
    [
        ({"rules": [("/admin", ADMIN)]}, "rules must be a mapping of paths to rules"),
        ({"rules": None}, "rules must be a mapping"),
        ({"rules": {"admin": ADMIN}}, "rules: 'admin' is not a path such as"),
        ({"rules": {"": ADMIN}}, "is not a path"),
        ({"rules": {"GET": ADMIN}}, "is not a path"),
        ({"rules": {"get /a": ADMIN}}, "is not a path"),
        ({"rules": {"GET,POST /a": ADMIN}}, "is not a path"),
        ({"rules": {"ANY /a": ADMIN}}, "would match no request, since ANY is no method"),
        ({"rules": {"WEBSOCKET /a/*": ADMIN}}, "without one a path is for all methods, and for WebSockets"),
        ({"rules": {"*": ADMIN}}, "every path is"),
        ({"rules": {"/a*": ADMIN}}, "is not a path"),
        ({"rules": {"/*/a": ADMIN}}, "is not a path"),
        ({"rules": {b"/a": ADMIN}}, "is not a path"),
        ({"rules": {"/items/{id}": ADMIN}}, 'template, and rules compares paths as they are; .*"/items/'),
        ({"rules": {"/items/:id/*": ADMIN}}, "is a template"),
        ({"rules": {"/a?b=1": ADMIN}}, "would match no request; write the path decoded"),
        ({"rules": {"/caf%C3%A9": ADMIN}}, "would match no request; write the path decoded"),
        ({"rules": {"/a/../b": ADMIN}}, "would match no request, since such paths are refused"),
        ({"rules": {"//a/*": ADMIN}}, "would match no request, since"),
        ({"rules": {"/a;b": ADMIN}}, "would match no request, since"),
        ({"rules": {"/a./*": ADMIN}}, "would match no request, since"),
        ({"rules": {"/a": "admin"}}, "rules: '/a' needs a rule such as"),
        ({"rules": {"/a": Roles}}, "needs a rule"),
        ({"rules": {"/a": None}}, "needs a rule"),
        ({"require": "admin"}, "require must be a rule such as"),
        ({"require": ADMIN, "required": False}, "require demands a token of every request"),
    ],
)
def test_unusable_rules(config: JWTConfig, options: dict[str, Any], message: str) -> None:
    """What cannot be a rule for a path is refused when the application is built, with what to write instead."""
    with pytest.raises(SettingError, match=message):
        ScopeMiddleware(config, **options)


def test_no_rules(config: JWTConfig) -> None:
    """Without rules, and without what else makes requests different, nothing is looked up."""
    assert ScopeMiddleware(config, rules={}).settings.demands_the_same
    assert not ScopeMiddleware(config, rules={"/a": ADMIN}).settings.demands_the_same
