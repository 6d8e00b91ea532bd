"""What a hostile provider costs: time on the event loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("httpx2")

from tests.support import ROOT
from tests.system.jwks.provider import FAILURES, Hostile

MOST_BLOCKED = 0.020
"""Seconds of work on the event loop between two other things that it does."""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whatever_it_does_the_event_loop_goes_on(provider: Hostile, backend: str) -> None:
    """No answer, however large, compressed or malformed, keeps the event loop's thread busy for long at a time."""
    left = FAILURES
    for _ in range(3):  # others may keep the machine busy
        left = [name for name, seconds in measured(provider, backend, left).items() if seconds >= MOST_BLOCKED]
        if not left:
            break
    assert [] == left


def measured(provider: Hostile, backend: str, behaviours: list[str]) -> dict[str, float]:
    """The longest that each of them kept the loop's thread busy, in seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    command = [sys.executable, "-m", "tests.system.jwks.blocking", backend, provider.url, str(provider.authority)]
    run = subprocess.run(
        [*command, ",".join(behaviours)], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=600
    )
    longest: dict[str, float] = json.loads(run.stdout)
    assert set(behaviours) == set(longest)
    return longest
