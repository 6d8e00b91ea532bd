"""Blueprints of Sanic, on its own server."""

from __future__ import annotations

import pytest

pytest.importorskip("sanic")
pytest.importorskip("websockets")

from tests.adapters import test_sanic_routes
from tests.adapters.test_sanic import Open
from tests.apps.sanic_adapter import socket_site
from tests.support import asking_for

globals().update(asking_for("site_of", test_sanic_routes))


@pytest.fixture
def site_of() -> Open:
    """How an application is run."""
    return socket_site
