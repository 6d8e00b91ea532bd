"""The denial matrix: what a client sees of each refusal, for http and websocket, on every server.

A refusal never differs between the two, except where a server does not offer `websocket.http.response`: a refused
handshake is then a bare 403. Everything is read as bytes, so that no client hides a `101`. Three servers see all of the
matrix, the others a sample: what refuses is the same code on all of them.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import NamedTuple

import pytest

from asgi_jwt_claims import JWTConfig, create_access_token, create_refresh_token
from tests import sockets
from tests.apps.served import CONFIG
from tests.support import SECRET
from tests.system.servers.servers import Server

YESTERDAY = JWTConfig(secret_key=SECRET, clock=lambda: time.time() - 86_400)
OTHERS = JWTConfig(secret_key=SECRET[::-1])


class Case(NamedTuple):
    """Credentials, and the refusal they lead to; `error` is None where the challenge names none."""

    lines: tuple[bytes, ...]
    status: int
    error: str | None
    description: str

    @property
    def challenge(self) -> bytes:
        """The `WWW-Authenticate` of the refusal."""
        error = f', error="{self.error}", error_description="{self.description}"' if self.error else ""
        return f'Bearer realm="api"{error}'.encode()


def bearer(token: str) -> bytes:
    return b"Authorization: Bearer " + token.encode()


GOOD = bearer(create_access_token("alice", CONFIG))
ABSENT = (401, None, "Authentication is required.")
REPEATED = (400, "invalid_request", "More than one credential was sent.")
MALFORMED = (400, "invalid_request", "The Authorization header is malformed.")

CASES = {
    "no token": Case((), *ABSENT),
    "another scheme": Case((b"Authorization: Basic YWxpY2U6c2VjcmV0",), *ABSENT),  # S4
    "no token after the scheme": Case((b"Authorization: Bearer",), *MALFORMED),  # S6
    "no credentials at all": Case((b"Authorization:",), *MALFORMED),
    "not a token": Case((bearer("a.b.c"),), 401, "invalid_token", "The token is malformed."),
    "signed with another key": Case(
        (bearer(create_access_token("alice", OTHERS)),),
        401,
        "invalid_token",
        "The token signature could not be verified.",
    ),
    "expired": Case((bearer(create_access_token("alice", YESTERDAY)),), 401, "invalid_token", "The token has expired."),
    "a refresh token": Case(  # S137
        (bearer(create_refresh_token("alice", CONFIG)),), 401, "invalid_token", "The token is of the wrong type."
    ),
    "two headers": Case((GOOD, GOOD), *REPEATED),  # S1
    "two schemes": Case((GOOD, b"Authorization: Basic YWxpY2U6c2VjcmV0"), *REPEATED),  # S3
    "two tokens in a header": Case((GOOD + b", " + GOOD.partition(b" ")[2],), *MALFORMED),  # S2
}
FORBIDDEN = Case((GOOD,), 403, "insufficient_scope", "The role of the token is not allowed.")  # S116
ADMIN = bearer(create_access_token("alice", CONFIG, roles="ADMIN"))

# These differ in what reads a request, in the event loop, and in who stands between the server and the adapter.
FULLY = ("uvicorn-sansio", "hypercorn-trio", "sanic-own")
"""The servers that see every case; the others see a sample."""

SAMPLE = ("no token", "not a token", "expired", "two headers")


@pytest.fixture
def cases(request: pytest.FixtureRequest) -> list[Case]:
    """What the server of the test is asked."""
    names = CASES if request.node.callspec.params["server"] in FULLY else SAMPLE
    return [CASES[name] for name in names]


def check(case: Case, answer: sockets.Response) -> None:
    """The answer is the whole refusal: status, challenge and body."""
    assert (case, case.status, case.challenge) == (case, answer.status, answer.headers.get(b"www-authenticate"))
    assert (b"no-store", b"application/json") == (answer.headers[b"cache-control"], answer.headers[b"content-type"])
    refusal = {"error": case.error or "unauthorized", "error_description": case.description}
    assert refusal == json.loads(answer.body)


def check_handshake(server: Server, case: Case, answer: sockets.Response) -> None:
    """The handshake is refused: as over http where the server offers it, by a bare 403 where it does not."""
    if server.kind.denies:
        check(case, answer)
    else:
        assert (403, b"") == (answer.status, answer.body)


def test_http_is_refused(server: Server, cases: list[Case]) -> None:
    """Every refusal of a request is the documented one, in the middleware and at a guarded route."""
    for case, target in itertools.product(cases, (*server.targets, b"/framework/admin")):
        check(case, sockets.ask(server.port, target, *case.lines))


def test_a_handshake_is_refused(server: Server, cases: list[Case]) -> None:
    """No socket is accepted without a good token, and the client learns why (trap: websockets left open)."""  # S125
    for case, target in itertools.product(cases, (*server.sockets, b"/framework/admin/ws")):
        check_handshake(server, case, sockets.shake(server.port, target, *case.lines))


def test_a_role_is_missing(server: Server) -> None:
    """A good token that lacks the role is refused with 403 by the guard of the route."""  # S116
    check(FORBIDDEN, sockets.ask(server.port, b"/framework/admin", *FORBIDDEN.lines))
    answer = sockets.shake(server.port, b"/framework/admin/ws", *FORBIDDEN.lines)
    check_handshake(server, FORBIDDEN, answer)


def test_good_tokens_are_let_in(server: Server) -> None:
    """With a good token all of them let the client in, and the application knows the identity."""
    guarded = [*((target, GOOD) for target in server.targets), (b"/framework/admin", ADMIN)]
    for target, line in guarded:
        answer = sockets.ask(server.port, target, line)
        assert (target, 200, {"identity": "alice"}) == (target, answer.status, json.loads(answer.body))
    guarded = [*((target, GOOD) for target in server.sockets), (b"/framework/admin/ws", ADMIN)]
    for target, line in guarded:
        answer = sockets.shake(server.port, target, line)
        assert (target, sockets.SWITCHING) == (target, answer.status)
        assert b"\x81\x05alice" in answer.body


def test_what_is_not_required_goes_on_without_identity(server: Server, cases: list[Case]) -> None:
    """`required=False` lets http and websocket on alike where no guard stands, as nobody."""  # S129
    for case in cases:
        answer = sockets.ask(server.port, b"/framework/open", *case.lines)
        assert (case, 200, {"identity": None}) == (case, answer.status, json.loads(answer.body))
        answer = sockets.shake(server.port, b"/framework/open/ws", *case.lines)
        assert (case, sockets.SWITCHING, True) == (case, answer.status, b"\x81\x04None" in answer.body)
