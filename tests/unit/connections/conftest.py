"""Fixtures of the tests of connections: time passes when it is told to, and is noticed at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asgi_jwt_claims import JWTConfig, create_access_token
from asgi_jwt_claims.connections import registry as _watch
from tests.conftest import HeldClock
from tests.raw_asgi import Header, bearer


@pytest.fixture(autouse=True)
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """The held clock is looked at all the time, instead of every second."""
    monkeypatch.setattr(_watch, "_LONGEST_PAUSE", 0.005)


@pytest.fixture
def raw(config: JWTConfig) -> str:
    """A token of Alice."""
    return create_access_token("alice", config)


@pytest.fixture
def alice(raw: str) -> Header:
    """The header with it."""
    return bearer(raw)


@pytest.fixture
def expire(clock: HeldClock, config: JWTConfig) -> Callable[[], None]:
    """Let so much time pass that every token has expired."""

    def pass_time() -> None:
        clock.now += 15 * 60 + config._prepared.leeway_seconds

    return pass_time
