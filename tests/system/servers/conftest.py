"""Fixtures of the tests with real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asgi_jwt_claims import create_access_token
from tests.apps.served import CONFIG
from tests.system.servers.servers import EVERYTHING, SERVED, Server, one_worker_each, serve


@pytest.fixture(scope="package", params=one_worker_each(SERVED))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server after another, each for all tests that ask for it."""
    name, application = EVERYTHING[request.param]
    with serve(name, application, tmp_path_factory.mktemp("server") / "log") as served:
        yield served


@pytest.fixture(scope="package")
def alice() -> bytes:
    """A valid access token."""
    return create_access_token("alice", CONFIG).encode()
