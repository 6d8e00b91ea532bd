"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from asgi_jwt_claims import AuthEvent, JWTConfig, Key, Token
from asgi_jwt_claims.auth import authenticator as auth_module
from asgi_jwt_claims.stores import MemoryStore
from tests.keys import make_key
from tests.support import SECRET

# No test fails for being slow, nor for drawing slowly, as the first one does in a new clone.
# `--hypothesis-profile=thorough` draws more examples.
ANY_SPEED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=20, **ANY_SPEED)
settings.register_profile("thorough", max_examples=200, **ANY_SPEED)
settings.load_profile("quick")

# In development mode it warns of slow steps: of how busy the machine is.
logging.getLogger("asyncio").setLevel(logging.ERROR)

NOW = 1_800_000_000


LEFT_OUT = """\
Left out: what is marked `thorough` (`python -m pytest tests/unit tests/adapters` runs it too), tests/system (servers,
processes, outages, documentation, browser), other versions of Python and of what this library requires, and most of
the examples that Hypothesis draws. All of it, in about 25 minutes:

    python -m pip install tox && python -m tox
"""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes for a run: none beside this one for single files, else as many as processors, 8 at most.

    One more where tests wait for servers.
    """
    paths = [Path(argument.partition("::")[0]) for argument in config.args]
    if not any(path.is_dir() for path in paths):
        return 0
    return min((os.cpu_count() or 1) + any("system" in path.parts for path in paths), 8)


def is_plain(config: pytest.Config) -> bool:
    """Whether the command names no tests."""
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.markexpr


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out of a plain run what is marked `thorough`."""
    if is_plain(config):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("thorough")])
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what a plain run has left out."""
    if is_plain(config):
        terminalreporter.section("what else there is")
        terminalreporter.write(LEFT_OUT)


def is_thorough() -> bool:
    """Whether this run is to draw, and to offer, all there is."""
    return settings.get_current_profile_name() == "thorough"


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
    return make_key("RS256")


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens that were verified, one entry for each time."""
    seen: list[str] = []
    verify = auth_module.verify

    def counted(raw: str | bytes, config: JWTConfig, source: str | None) -> Token:
        seen.append(raw if isinstance(raw, str) else raw.decode())
        return verify(raw, config, source)

    monkeypatch.setattr(auth_module, "verify", counted)
    return seen
