"""`docs/frameworks.md` is what the checks of `tests/system/frameworks` would write."""

from __future__ import annotations

import re

from tests.support import ROOT
from tests.system.frameworks.checks import CHECKS, described
from tests.system.frameworks.frameworks import FRAMEWORKS
from tests.system.frameworks.page import PAGE, render, versions_on


def test_the_page_is_what_a_run_writes() -> None:
    """With the versions that stand on it, a run writes the page as it is; all fourteen frameworks are there."""
    text = PAGE.read_text()
    versions = versions_on(text)
    assert [framework.name for framework in FRAMEWORKS] == list(versions)
    assert 14 == len(versions)
    assert text == render(versions)


def test_there_are_twenty_checks_each_with_a_sentence() -> None:
    """The page lists twenty checks, and says of each what holds."""
    assert 20 == len(CHECKS)
    assert [] == [name for name in CHECKS if not described(name).endswith(".")]


def test_every_framework_is_installed_by_its_environment() -> None:
    """What the page gives a version of is in the requirements, or an extra of this library."""
    text = (ROOT / "tests" / "system" / "frameworks" / "requirements.txt").read_text()
    installed = {*re.findall(r"^[a-z0-9]+", text, re.MULTILINE), "fastapi", "sanic", "starlette"}
    assert set() == {name for framework in FRAMEWORKS for name in framework.distributions} - installed


def test_what_a_framework_lacks_is_a_check() -> None:
    """A framework lacks nothing but checks that exist, and has its application."""
    apps = ROOT / "tests" / "system" / "frameworks" / "apps"
    assert {framework.module for framework in FRAMEWORKS} == {path.stem for path in apps.glob("*.py")} - {"__init__"}
    assert set() == {name for framework in FRAMEWORKS for name in framework.lacks} - set(CHECKS)
