"""Oddities of headers, byte by byte, on every server: 0 openings, and 0 answers 500.

Each is sent as a request and as the handshake of a websocket, to the middleware and to a guarded route.
"""

from __future__ import annotations

from tests import sockets
from tests.system.servers.params import HTTP, WEBSOCKET, Way, check_refused, each_way
from tests.system.servers.servers import Server

# Values that no server and no middleware may take for a token; %s is a good one.
CREDENTIALS = (
    b"Authorization:",  # a trap of its own: blank
    b"Authorization: ",
    b"Authorization: Bearer",  # S6
    b"Authorization: Bearer ",
    b"Authorization: Bearer\t%s",  # S5
    b"Authorization: Bearer %s %s",
    b"Authorization: Bearer %s, Bearer %s",  # S2
    b"Authorization: Bearer %s,",
    b"Authorization: Bearer %s\x00",
    b"Authorization: \x00Bearer %s",
    b"Authorization: Bearer %s\xff",
    b"Authorization: Bearer \xff\xfe",
    "Authorization: Bearer ü".encode(),
    b"Authorization: Bearer %s\x0b",
    b"Authorization: Bearer %s\x7f",
    b'Authorization: Bearer "%s"',
    b"Authorization: Bearer %s=",
    b"Authorization: Bearer %s.",
    b"Authorization: Bearer .%s",
    b"Authorization : Bearer %s",
    b"Authorization: Bearer %s\r\nAuthorization: Bearer %s",  # S1
    b"Authorization: Bearer %s\r\nauthorization: Basic dXNlcjpwYXNz",  # S3
    b"Authorization: Bearer %s\r\nAuthorization: DPoP %s",
    b"Authorization: Bearer %s\r\nAuthorization:",
    b"Authorization: Basic %s",  # S4
    b"Authorization: JWT %s",
    b"Authorization: %s",
    b"Authorization\xff: Bearer %s",
    b"Authorization_: Bearer %s",  # S12
    b"HTTP_AUTHORIZATION: Bearer %s",
    b"X-Authorization: Bearer %s",
    b"X-Forwarded-Authorization: Bearer %s",
    b"X-Access-Token: %s",
    b"Proxy-Authorization: Bearer %s",
    b"Sec-WebSocket-Protocol: bearer, %s",  # S126: a source only where it is chosen
    b"Cookie: token=%s",  # S10: likewise
    b"Cookie: __Host-access_token=%s",
    b"Cookie: access_token=%s; Authorization=%s",
    b"Authorization: Bearer " + b"a" * 8_000,  # S7
    b"Authorization: Bearer " + b"." * 8_000,
)

# What must not switch the guard off.
SWITCHES = (
    b"X-Forwarded-For: 127.0.0.1",  # S13
    b"X-Forwarded-Host: 127.0.0.1",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Prefix: /login",
    b"X-Forwarded-Path: /login",
    b"X-Forwarded-Uri: /login",
    b"X-Forwarded-Method: OPTIONS",
    b"X-Forwarded-User: alice",
    b"X-Forwarded-Email: alice@example.com",
    b"Forwarded: for=127.0.0.1;host=localhost;proto=https",
    b"X-Real-IP: 127.0.0.1",
    b"X-Original-URL: /login",  # S121
    b"X-Original-URI: /login",
    b"X-Rewrite-URL: /login",
    b"X-Script-Name: /login",
    b"Script-Name: /login",
    b"X-Envoy-Original-Path: /login",
    b"Referer: http://127.0.0.1/login",
    b"X-HTTP-Method-Override: OPTIONS",  # S11
    b"X-HTTP-Method: OPTIONS",
    b"X-Method-Override: OPTIONS",
    b"X-HTTP-Method-Override: OPTIONS\r\nOrigin: http://x\r\nAccess-Control-Request-Method: GET",
    b"Origin: http://x\r\nAccess-Control-Request-Method: GET",
    b"User-Agent: kube-probe/1.30",  # S14
    b"User-Agent: GoogleHC/1.0",
    b"User-Agent: ELB-HealthChecker/2.0",
    b"X-Internal-Request: true",
    b"Remote-User: alice",
    b"X-User: alice",
    b"X-Remote-User: alice",
    b"REMOTE_USER: alice",
    b"X_FORWARDED_USER: alice",
    b"Token: alice",  # S128
    b"scope-token: alice",
    b"asgi_jwt_claims: alice",
    b"asgi.scope.token: alice",
    b"Purpose: prefetch",
    b"Sec-Fetch-Site: same-origin",
)

HOSTS = (
    b"x/login?",
    b"x/login",
    b"/login",
    b"x/login#",
    b"x?/login",
    b"x/docs/",
    b"localhost\\login",
    b"login",
    b"user:password@x/login",
    b"[::1]/login",
    b"127.0.0.1:80/login",
    b"x\xff/login",
    b"",
)


@each_way
def test_credentials(server: Server, way: Way, alice: bytes) -> None:
    """Whatever bytes stand in the headers: never accepted, and never an error of the server (trap: a 500)."""
    for target in server.targets if way is HTTP else server.sockets:
        for line in CREDENTIALS:
            if way is WEBSOCKET and server.kind.only_ascii and not line.isascii():
                continue
            check_refused(server, line, way.ask(server.port, target, line.replace(b"%s", alice)))


def test_very_long_credentials(server: Server) -> None:
    """A header of any length is refused, by the server or by us."""  # S7
    for target in server.targets:
        for value in (
            b"Bearer " + b"a" * 200_000,
            b"Bearer" + b" " * 20_000,
            b"a" * 20_000,
            b"Bearer " + b"." * 60_000,
        ):
            check_refused(server, value[:20], sockets.ask(server.port, target, b"Authorization: " + value))


@each_way
def test_switches(server: Server, way: Way) -> None:
    """No header switches the guard off, or makes somebody of nobody."""
    for target in server.targets if way is HTTP else server.sockets:
        for line in SWITCHES:
            check_refused(server, line, way.ask(server.port, target, line))


def test_the_host_header_decides_nothing(server: Server) -> None:
    """A host that looks like an exempt path opens nothing."""  # S121
    ordinary = b"Host: 127.0.0.1"
    for requests, targets in ((sockets.request_bytes, server.targets), (sockets.handshake_bytes, server.sockets)):
        for target in targets:
            for host in HOSTS:
                if requests is sockets.handshake_bytes and not host.isascii():
                    continue  # two websocket libraries fall over it before anybody is asked
                payload = requests(target).replace(ordinary, b"Host: " + host)
                check_refused(server, host, sockets.first_response(server.port, payload))
            for lines in (b"Host: x/login\r\n" + ordinary, ordinary + b"\r\nHost: x/login", b"X: y"):
                payload = requests(target).replace(ordinary, lines)
                check_refused(server, lines, sockets.first_response(server.port, payload))
