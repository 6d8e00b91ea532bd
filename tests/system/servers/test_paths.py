"""Oddities of request targets, byte by byte, on every server: 0 openings, and 0 answers 500.

Each is sent as a request and as the handshake of a websocket. What the server makes of it is the server's business; it
never gets further than what is written in `exempt`, and the log shows no error at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from tests import sockets
from tests.system.servers.params import WEBSOCKET, Way, check_refused, each_way
from tests.system.servers.servers import APP, SANICS_OWN, SERVERS, Server, each_closed_server, one_worker_each, serve

# Exempt are `/login`, `/docs/*` and `/api/status`.

OPEN = (b"/login", b"/login?next=/", b"/login?/../secret", b"/docs/", b"/docs/a", b"/docs/a/b/", b"/docs/a%20b")

OPEN_IN_MOUNT = (b"/framework/mounted/login", b"/framework/mounted/docs/a", b"/framework/mounted/docs/a%20b")

# What a server may take for an exempt path, since it is one by RFC 9112 section 3.2, but for a fragment.
EQUIVALENT = {
    b"/login#": "/login",
    b"/login#/../secret": "/login",
    b"/docs/#/../../secret": "/docs/",
    b" /login": "/login",
    b"http://127.0.0.1/login": "/login",
    b"HTTP://X/login": "/login",
    b"ws://127.0.0.1/login": "/login",
    b"https://elsewhere/login": "/login",
    b"http://user:password@x/login": "/login",
    b"http://[::1]/login": "/login",
    b"http://x:99999/login": "/login",
    b"http://x/docs/a": "/docs/a",
    b"/docs/\xc3\xa9": "/docs/é",
}

# What daphne's websockets make of a target before anybody sees it. Its applications only ever see `/login`.
EQUIVALENT_ON_DAPHNE = dict.fromkeys(
    (
        b"///login",
        b"//x/login",
        b"/login;v=1",
        b"/login;",
        b"http:/login",
        b"http:///login",
        b"file:///login",
        b"javascript:/login",
    ),
    "/login",
)

CLOSED = (
    # Slashes
    b"/",
    b"/secret",
    b"/login/",
    b"/login//",
    b"//login",
    b"///login",
    b"/docs",
    b"/docs-not-really",
    b"/docs//secret",
    b"//docs/a",
    b"//login/secret",
    b"//x/login",
    b"\\login",
    b"/\\login",
    b"\\\\login",
    b"/secret\\..\\login",
    b"/docs/..\\secret",
    b"/docs/\\..\\secret",
    # Case
    b"/LOGIN",
    b"/Login",
    b"/DOCS/a",
    # Escapes
    b"/lo%67in",
    b"/%6cogin",
    b"/%6Cogin",
    b"%2flogin",
    b"/%2flogin",
    b"/login%2f",
    b"/login%2F",
    b"/login%252f",
    b"/lo%2567in",
    b"/docs%2fsecret",
    b"/docs%2f..%2fsecret",
    b"/login%",
    b"/login%2",
    b"/login%zz",
    b"/login%3f",
    b"/login%23",
    b"/login%3bv=1",
    # Dot segments
    b"/./login",
    b"/../login",
    b"/.%2e/login",
    b"/x/../login",
    b"/login/.",
    b"/login/..",
    b"/login/../secret",
    b"/docs/.",
    b"/docs/..",
    b"/docs/./secret",
    b"/docs/../secret",
    b"/docs/%2e%2e/secret",
    b"/docs/%2E%2E%2fsecret",
    b"/docs/%252e%252e/secret",
    b"/docs/..%2fsecret",
    b"/docs/..%5csecret",
    b"/docs/..;/secret",
    b"/docs/a/../../secret",
    b"/docs/..%00/secret",
    b"/docs/.%09./secret",
    b"/docs/..%0d%0a/secret",
    b"/docs/..%20/secret",
    # Parameters, queries, fragments
    b"/login;v=1",
    b"/login;",
    b"/;/login",
    b"/docs;/secret",
    b"/?/login",
    b"?/login",
    b"/secret?/login",
    b"/secret%3f/login",
    b"/#/login",
    b"/secret#",
    b"/secret#/login",
    b"/secret?x#/login",
    b"/secret%23/login",
    # Bytes that no path should have
    b"/login%00",
    b"/login%0a",
    b"/login%0d%0aX:%20y",
    b"/login%20",
    b"/login%ff",
    b"/login%c0%af",
    b"/%ff",
    b"/docs/%ff",
    b"/docs/\xe9",
    b"/login\x00",
    b"/login\x01",
    b"/login\t",
    b"/login\x7f",
    b"/login\xff",
    b"/l\xc3\xb6gin",
    b"/\xef\xbd\x8cogin",  # a wide l
    b"/login /secret",
    b"/secret /login",
    # The absolute form
    b"http://127.0.0.1",
    b"http://127.0.0.1/secret",
    b"http://127.0.0.1//login",
    b"http://127.0.0.1/lo%67in",
    b"http://x/login@/secret",
    b"http://x/login@y/secret",
    b"http://login@/secret",
    b"http://x\\login/secret",
    b"http://x?/login",
    b"http://x#/login",
    b"http://x/secret?http://x/login",
    b"http://x/secret#/login",
    b"http://x/login/../secret",
    b"http://x/docs/../secret",
    b"http://x/docs/%2e%2e/secret",
    b"http:/login",
    b"http:///login",
    b"http:login",
    b"http://[/login",
    b"/http://x/login",
    b"file:///login",
    b"javascript:/login",
    # Other forms, and none
    b"127.0.0.1:80",
    b"*",
    b"*/login",
    b"login",
    b"docs/a",
    b"@/login",
    b":/login",
    b"",
    # Long ones
    b"/login" + b"a" * 7_000,
    b"/" * 7_000 + b"login",
    b"/docs/" + b"../" * 2_000 + b"secret",
    b"/docs/" + b"%2e%2e/" * 1_000 + b"secret",
    # Below `/framework/mounted`, where the same is exempt, and of the mount's own path nothing
    b"/framework/mounted/secret",
    b"/framework/mounted/login/",
    b"/framework/mounted//login",
    b"/framework/mounted/../login",
    b"/framework/mounted/lo%67in",
    b"/framework/%6dounted/login",
    b"/framework/mounted/docs/../secret",
)


def is_readable(server: Server, target: bytes) -> bool:
    """Whether the application reads the target at all: what Sanic cannot parse, or has no path, is an error of its own."""
    if server.application == APP:
        return True
    httptools = pytest.importorskip("httptools")
    try:
        return httptools.parse_url(target).path is not None
    except httptools.HttpParserInvalidURLError:
        return False


@each_closed_server
@each_way
def test_what_is_exempt_is_open(server: Server, way: Way) -> None:
    """The exempt paths as anybody would write them are open to everybody, for requests and handshakes alike."""
    if server.application != APP and way is WEBSOCKET:
        return  # a route of Sanic is for one of them
    for target in (*OPEN, *(OPEN_IN_MOUNT if server.application == APP else ())):
        if server.kind is SANICS_OWN and b"%" in target:
            continue  # it leaves escapes in the path, where nothing tells whether they were needed
        answer = way.ask(server.port, target)
        assert (target, way.opened) == (target, answer.status)
        assert unquote(target.partition(b"?")[0].decode()) == way.seen(answer)


@each_closed_server
@each_way
def test_what_is_exempt_is_no_wider(server: Server, way: Way) -> None:
    """No other spelling opens anything, whatever servers leave in a path."""  # S122, S124
    on_daphne = server.kind is SERVERS["daphne"] and way is WEBSOCKET
    for target in CLOSED:
        if not (on_daphne and target in EQUIVALENT_ON_DAPHNE) and is_readable(server, target):
            check_refused(server, target, way.ask(server.port, target))


@each_closed_server
@each_way
def test_what_servers_resolve_is_what_applications_see(server: Server, way: Way) -> None:
    """Where a server itself makes a target into an exempt path, the application is asked for that and nothing else."""
    on_daphne = server.kind is SERVERS["daphne"] and way is WEBSOCKET
    if server.application != APP and way is WEBSOCKET:
        return  # as above
    for target, path in (EQUIVALENT | (EQUIVALENT_ON_DAPHNE if on_daphne else {})).items():
        if not is_readable(server, target):
            continue
        answer = way.ask(server.port, target)
        if answer.status == way.opened:
            assert (target, path) == (target, way.seen(answer))
        else:
            check_refused(server, target, answer)


@each_closed_server
def test_very_long_paths(server: Server) -> None:
    """A path of any length is refused, by the server or by us."""
    for target in (b"/" + b"a" * 100_000, b"/" * 100_000 + b"login", b"/login/" + b"../" * 30_000):
        check_refused(server, target[:20], sockets.ask(server.port, target))


# --- Below a root path ---

# What opens where the root path is `/api`, and the path that applications see. Uvicorn puts the root path in front of
# what the client asks for; for the others a client may ask with it or without, but Litestar would route what stands behind
# the root path, wherever that is.
OPEN_BELOW_API = {
    "/login": "/api/login",
    "/docs/a": "/api/docs/a",
    "/docs/api/secret": "/api/docs/api/secret",
    "/api/status": "/api/api/status",
}
OPEN_BESIDE_API = {target: target for target in ("/login", "/api/login", "/docs/a", "/api/docs/a", "/api/api/status")}

TARGETS = (
    b"/",
    b"/api",
    b"/api/",
    b"/login",
    b"/api/login",
    b"/api/api/login",
    b"/api/login/",
    b"/api//login",
    b"/api/./login",
    b"/api/../login",
    b"/api%2flogin",
    b"/%61pi/login",
    b"/API/login",
    b"/apilogin",
    b"/ap/login",
    b"/api;/login",
    b"/login/api",
    b"/docs/a",
    b"/docs/api/secret",
    b"/docs/../api/login",
    b"/api/docs/a",
    b"/api/docs/../secret",
    b"/secret",
    b"/api/secret",
    b"/status",
    b"/status/",
    b"/../status",
    b"/api/status",
    b"/api/status/",
    b"/api/../status",
    b"/api/../api/status",
    b"/api/api/status",
    b"/framework/mounted/login",
    b"/api/framework/mounted/login",
    b"http://x/api/login",
    b"http://x/secret",
)


@pytest.fixture(scope="module", params=one_worker_each(SERVERS))
def below(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is told that its root path is `/api`."""
    option = SERVERS[request.param].root_path
    with serve(request.param, APP, tmp_path_factory.mktemp("below") / "log", option, "/api") as served:
        yield served


@each_way
def test_a_root_path(below: Server, way: Way) -> None:
    """Exempt is what is written, whatever the root path is, and no spelling of either makes it wider."""  # S123
    opened = OPEN_BELOW_API if below.kind.command[0] == "uvicorn" else OPEN_BESIDE_API
    for target in TARGETS:
        answer = way.ask(below.port, target)
        if (path := opened.get(target.decode())) is not None:
            assert (target, way.opened, path) == (target, answer.status, way.seen(answer))
        elif target == b"http://x/api/login" and answer.status == way.opened:
            assert "/api/login" == way.seen(answer)  # a server that resolves it gives the exempt path
        else:
            check_refused(below, target, answer)
