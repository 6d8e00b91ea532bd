"""The doors of the contract, each on the event loops that its framework runs on.

Sanic's own server has `tests/system/sanic_server`.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.apps.door import Door

# Framework, module, class, event loop.
WAYS = (
    ("starlette", "starlette_door", "StarletteDoor", "asyncio"),
    ("starlette", "starlette_door", "StarletteDoor", "trio"),
    ("fastapi", "fastapi_door", "FastAPIDoor", "asyncio"),
    ("sanic", "sanic_door", "SanicAsgiDoor", "asyncio"),
)


@pytest.fixture(params=WAYS, ids=lambda way: f"{way[2]}-{way[3]}")
def way(request: pytest.FixtureRequest) -> Any:
    """One framework on one event loop."""
    pytest.importorskip(request.param[0])
    return request.param


@pytest.fixture
def anyio_backend(way: Any) -> Any:
    """The event loop of the door."""
    return way[3]


@pytest.fixture
def door(way: Any) -> Door:
    """The framework."""
    kind: type[Door] = getattr(importlib.import_module(f"tests.apps.{way[1]}"), way[2])
    return kind()
