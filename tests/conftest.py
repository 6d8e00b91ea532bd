"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings

from asgi_jwt_claims import AuthEvent, JWTConfig, Key, Token
from asgi_jwt_claims import outcome as outcome_module
from asgi_jwt_claims.revocation import MemoryStore

# No test fails for being slow; how many examples there are is a choice of the run.
settings.register_profile("quick", max_examples=30, deadline=None)
settings.register_profile("thorough", max_examples=200, deadline=None)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
settings.load_profile(PROFILE)

SECRET = "3Qm0v9Tq-6Yd1Jx8Zr5Lw2Kp7Ns4Hb_c"  # 32 characters: exactly what HS256 asks for
NOW = 1_800_000_000


class HeldClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Both event loops, for every test marked `anyio`."""
    return request.param


@pytest.fixture
def clock() -> HeldClock:
    """A held clock."""
    return HeldClock()


@pytest.fixture
def events() -> list[AuthEvent]:
    """What `config` was told of."""
    return []


@pytest.fixture
def config(clock: HeldClock, events: list[AuthEvent]) -> JWTConfig:
    """HS256, everything else as it comes, on the held clock, its events kept."""
    return JWTConfig(secret_key=SECRET, clock=clock, on_event=events.append)


@pytest.fixture
def store(clock: HeldClock) -> MemoryStore:
    """A store on the held clock."""
    return MemoryStore(clock=clock)


@pytest.fixture(scope="session")
def rsa_key() -> Key:
    """One RS256 key for the whole session, since making one takes long."""
    return Key.generate("RS256")


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens that were verified, one entry for each time."""
    seen: list[str] = []
    verify = outcome_module.verify

    def counted(raw: str | bytes, config: JWTConfig, source: str | None) -> Token:
        seen.append(raw if isinstance(raw, str) else raw.decode())
        return verify(raw, config, source)

    monkeypatch.setattr(outcome_module, "verify", counted)
    return seen
