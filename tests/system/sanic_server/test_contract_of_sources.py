"""The contract of the sources of all frameworks, on Sanic's own server."""

from __future__ import annotations

import pytest

pytest.importorskip("sanic")

from tests.adapters.contract import test_sources
from tests.apps.adapter import Adapter
from tests.apps.sanic_adapter import SanicAdapter
from tests.support import asking_for

globals().update(asking_for("adapter", test_sources))


@pytest.fixture
def anyio_backend() -> str:
    """The event loop of Sanic."""
    return "asyncio"


@pytest.fixture
def adapter() -> Adapter:
    """Sanic on its own server."""
    return SanicAdapter()
