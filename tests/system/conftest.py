"""What the tests of several folders share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.stores.workers import Pool
from tests.valkey import Valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """One server for all tests that leave it alone; each takes a prefix of its own."""
    with Valkey() as server:
        yield server


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """One pool of processes for all tests that kill none of them."""
    pool = Pool()
    yield pool
    pool.close()
