"""The middleware behind real servers: what they do to headers and paths, and what becomes of a refused request."""

from __future__ import annotations

import json

from tests import sockets

from .servers import Server


def test_a_token_opens(server: Server, alice: bytes) -> None:
    """A valid token is let in, however the white space around it is spelled."""
    for target in server.targets:
        for value in (b"Bearer %s", b"bearer %s", b"Bearer   %s", b"Bearer %s  ", b"   Bearer %s", b"Bearer %s\t"):
            answer = sockets.ask(server.port, target, b"Authorization: " + value % alice)
            assert (value, 200) == (value, answer.status)
            assert {"identity": "alice"} == json.loads(answer.body)


def test_absence(server: Server) -> None:
    """Without a token the answer is whole, on a connection that stays in order."""
    for target in server.targets:
        answer = sockets.ask(server.port, target)
        assert (401, b'Bearer realm="api"') == (answer.status, answer.headers[b"www-authenticate"])
        assert b"no-store" == answer.headers[b"cache-control"]
        assert {"error": "unauthorized", "error_description": "Authentication is required."} == json.loads(answer.body)


# Values that no server and no middleware may take for a token.
ODDITIES = (
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
    b"Authorization: Bearer %s\r\nauthorization: Basic dXNlcjpwYXNz",
    b"Authorization: Bearer %s\r\nAuthorization:",
    b"Authorization: Basic %s",  # S4
    b"Authorization: JWT %s",
    b"Authorization\xff: Bearer %s",
    b"Authorization_: Bearer %s",  # S12
    b"X-Authorization: Bearer %s",
    b"Cookie: token=%s",
    b"Proxy-Authorization: Bearer %s",
    b"Authorization: Bearer " + b"a" * 20_000,  # S7
    b"User-Agent: kube-probe/1.30",  # S14
    b"X-Original-URL: /login",
    b"X-HTTP-Method-Override: OPTIONS",
)

FOLDED = b"Authorization: Bearer\r\n %s"


def test_oddities(server: Server, alice: bytes) -> None:
    """Whatever bytes stand in the headers: never accepted, and never an error of the server (trap: a 500)."""
    for target in server.targets:
        for line in ODDITIES:
            answer = sockets.ask(server.port, target, line.replace(b"%s", alice))
            assert (line, True, answer.status) == (
                line,
                answer.status in {400, 401, 431, sockets.SILENT},
                answer.status,
            )


def test_folded_lines(server: Server, alice: bytes) -> None:
    """A value folded over two lines is unfolded or refused by the server; it is no error of ours either way."""
    for target in server.targets:
        answer = sockets.ask(server.port, target, FOLDED.replace(b"%s", alice))
        assert answer.status in {200, 400, 401}


def test_two_headers_are_a_bad_request(server: Server, alice: bytes) -> None:
    """Every server hands over both headers, and we refuse both."""  # S1
    line = b"Authorization: Bearer " + alice
    for target in server.targets:
        answer = sockets.ask(server.port, target, line, line)
        assert (400, "invalid_request") == (answer.status, json.loads(answer.body)["error"])


def test_the_query_is_no_source(server: Server, alice: bytes) -> None:
    """A token in the query string opens nothing."""  # S8
    for target in server.targets:
        assert 401 == sockets.ask(server.port, target + b"?access_token=" + alice).status


def test_a_form_is_no_source(server: Server, alice: bytes) -> None:
    """A token in a form opens nothing, and the refused body leaves the connection in order."""  # S9
    form = b"access_token=" + alice
    lines = (b"Content-Type: application/x-www-form-urlencoded", b"Content-Length: %d" % len(form))
    for target in server.targets:
        assert 401 == sockets.ask(server.port, target, *lines, method=b"POST", body=form).status


def test_a_refusal_keeps_the_connection(server: Server, alice: bytes) -> None:
    """After a refusal the next request on the same connection is answered, for another user."""  # S131
    for target in server.targets:
        head = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n"
        first = head + b"\r\n"
        second = head + b"Connection: close\r\nAuthorization: Bearer " + alice + b"\r\n\r\n"
        received = sockets.exchange(server.port, first, second)
        refusal, _, answer = received.partition(b"HTTP/1.1 200")
        assert refusal.startswith(b"HTTP/1.1 401")
        assert b"alice" not in refusal
        assert b"alice" in answer


def test_head(server: Server) -> None:
    """A refused HEAD has headers and no body."""  # S114
    for target in server.targets[:1]:
        answer = sockets.ask(server.port, target, method=b"HEAD")
        assert b"" == answer.body
        assert answer.status in {401, 405}


# Target: status on the raw application, of which /login and /docs/* are exempt.
PATHS = {
    b"/login": 200,
    b"/login?next=/": 200,
    b"/docs/a": 200,
    b"/login/": 401,  # S122
    b"//login": 401,
    b"/LOGIN": 401,
    b"/login;v=1": 401,
    b"/login%2f": 401,
    b"/lo%67in": 401,
    b"/login%00": 401,
    b"/x/../login": 401,
    b"/docs/..": 401,
    b"/docs/../secret": 401,
    b"/docs/%2e%2e/secret": 401,
    b"/docs/%252e%252e/secret": 401,
    b"/docs//secret": 401,
    b"/docs%2fsecret": 401,
    b"/docs-not-really": 401,
    b"/docs": 401,
    b"/secret?/login": 401,
    b"/%ff": 401,
}


def test_paths(server: Server) -> None:
    """Whatever servers leave in a path, nothing but the exempt paths goes on."""
    if not server.has_raw:
        assert 401 == sockets.ask(server.port, b"/framework").status
        return
    for target, status in PATHS.items():
        answer = sockets.ask(server.port, target)
        # Some servers refuse the oddest of them by themselves.
        assert (target, True) == (target, answer.status in ({200} if status == 200 else {400, 401}))


def test_the_host_header_decides_nothing(server: Server) -> None:
    """A host that looks like an exempt path opens nothing."""  # S121
    for host in (b"x/login?", b"/login", b"x/login#", b"localhost\\login"):
        for target in server.targets:
            payload = b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
            assert sockets.parse(sockets.exchange(server.port, payload)).status in {400, 401}
