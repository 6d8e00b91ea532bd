"""The programs of the README on every server: no header and no method opens them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asgi_jwt_claims import create_access_token
from tests import sockets
from tests.apps.readme import CONFIG, PROGRAMS
from tests.system.servers.servers import SERVERS, Server, one_worker_each, serve

PREFLIGHT = (b"Origin: https://evil.example", b"Access-Control-Request-Method: POST")
FORGED = (
    PREFLIGHT,
    (*PREFLIGHT, b"Access-Control-Request-Headers: authorization"),
    (*PREFLIGHT, b"X-HTTP-Method-Override: DELETE"),
    (*PREFLIGHT, b"Cookie: a=b"),
)
ON_SANIC = ("sanic", "uvicorn-sansio", "hypercorn-asyncio", "granian")


@pytest.fixture(scope="module", params=one_worker_each([*SERVERS, *(f"sanic on {name}" for name in ON_SANIC)]))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server with the programs; Sanic's on those that it stands on, and on its own."""
    name = request.param
    application = "sanic" if name.startswith("sanic on ") else "application"
    log = tmp_path_factory.mktemp("readme") / "log"
    with serve(name.removeprefix("sanic on "), f"tests.apps.readme:{application}", log) as server:
        yield server


def test_a_forged_preflight_opens_no_program(served: Server) -> None:
    """What looks like a preflight gets the 401 that every request without a token gets; with a token there is 200."""  # S14
    token = b"Authorization: Bearer " + create_access_token("alice", CONFIG).encode()
    for program in PROGRAMS if served.application.endswith(":application") else [b"sanic"]:
        line = b"X-Program: " + program
        for forged in FORGED:
            answer = sockets.ask(served.port, b"/protected", line, *forged, method=b"OPTIONS")
            assert (program, forged, 401) == (program, forged, answer.status)
        assert 200 == sockets.ask(served.port, b"/protected", line, token).status
