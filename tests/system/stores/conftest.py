"""A server that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.valkey import Valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """One server for all tests that leave it alone; each takes a prefix of its own."""
    with Valkey() as server:
        yield server
