"""A server that the tests of this folder share, and configurations on a held clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asgi_jwt_claims import AuthEvent, JWTConfig
from asgi_jwt_claims.revocation import MemoryStore
from tests.conftest import SECRET, HeldClock
from tests.valkey import Valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """One server for all tests that leave it alone; each takes a prefix of its own."""
    with Valkey() as server:
        yield server


@pytest.fixture
def events() -> list[AuthEvent]:
    """What `config` was told of."""
    return []


@pytest.fixture
def config(clock: HeldClock, events: list[AuthEvent]) -> JWTConfig:
    """HS256 on the held clock, its events kept."""
    return JWTConfig(secret_key=SECRET, clock=clock, on_event=events.append)


@pytest.fixture
def store(clock: HeldClock) -> MemoryStore:
    """A store on the held clock."""
    return MemoryStore(clock=clock)
