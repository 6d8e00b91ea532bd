"""The adapters of the contract, each on the event loops that its framework runs on.

Sanic's own server has `tests/system/sanic_server`.
"""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.apps.adapter import Adapter

# Framework, module, class, event loop.
PARAMS = (
    ("starlette", "starlette_adapter", "StarletteAdapter", "asyncio"),
    ("starlette", "starlette_adapter", "StarletteAdapter", "trio"),
    ("fastapi", "fastapi_adapter", "FastAPIAdapter", "asyncio"),
    ("sanic", "sanic_adapter", "SanicAsgiAdapter", "asyncio"),
    # It takes long to build its applications.
    *(
        pytest.param(("litestar", "litestar_adapter", "LitestarAdapter", loop), marks=pytest.mark.thorough)
        for loop in ("asyncio", "trio")
    ),
)


@pytest.fixture(params=PARAMS, ids=lambda way: f"{way[2]}-{way[3]}")
def way(request: pytest.FixtureRequest) -> Any:
    """One framework on one event loop."""
    pytest.importorskip(request.param[0])
    return request.param


@pytest.fixture
def anyio_backend(way: Any) -> Any:
    """The event loop of the adapter."""
    return way[3]


@pytest.fixture
def adapter(way: Any) -> Adapter:
    """The framework."""
    kind: type[Adapter] = getattr(importlib.import_module(f"tests.apps.{way[1]}"), way[2])
    return kind()
