"""The checks that are run without further frameworks: against those that have an adapter."""

from __future__ import annotations

import pytest

from .checks import CHECKS
from .frameworks import FRAMEWORKS, Framework
from .run import results

pytestmark = pytest.mark.anyio

SAMPLE = [framework for framework in FRAMEWORKS if framework.module in ("starlette", "fastapi", "sanic")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("framework", SAMPLE, ids=lambda framework: framework.module)
async def test_what_the_page_says_of_a_framework_holds(framework: Framework) -> None:
    """Every check passes, but those that the page says this framework cannot do."""
    pytest.importorskip(framework.module)
    found = await results(framework.module)
    assert 20 == len(CHECKS) == len(found)
    assert {} == {name: error for name, error in found.items() if error and name not in framework.lacks}
    assert [] == [name for name in framework.lacks if found[name] is None]
