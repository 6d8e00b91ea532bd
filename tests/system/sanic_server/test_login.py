"""A whole life of a login on Sanic's own server."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sanic")

from tests.adapters import test_login
from tests.support import asking_for
from tests.system.sanic_server.test_revocation import opened  # noqa: F401 -- a fixture

globals().update({name: value for name, value in asking_for("opened", test_login).items() if name != "opened"})


@pytest.fixture
def way() -> Any:
    """The application, and the event loop of Sanic."""
    return test_login.on_sanic, "asyncio"
