"""The middleware behind real servers: ordinary requests, and the connections that they come on."""

from __future__ import annotations

import json

from tests import sockets
from tests.system.servers.params import check_refused
from tests.system.servers.servers import Server


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


FOLDED = b"Authorization: Bearer\r\n %s"


def test_folded_lines(server: Server, alice: bytes) -> None:
    """A value folded over two lines is unfolded or refused by the server; it is no error of ours either way."""
    for target in server.targets:
        answer = sockets.ask(server.port, target, FOLDED.replace(b"%s", alice))
        assert answer.status in {200, 400, 401}


def test_the_query_is_no_source(server: Server, alice: bytes) -> None:
    """A token in the query string opens nothing."""  # S8
    for target in server.targets:
        assert 401 == sockets.ask(server.port, target + b"?access_token=" + alice).status
    for target in server.sockets:
        check_refused(server, target, sockets.shake(server.port, target + b"?access_token=" + alice))


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
