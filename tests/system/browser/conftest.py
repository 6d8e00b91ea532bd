"""One browser for all tests, which has no cookies when a test begins."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sockets import PATIENCE

FLAGS = (
    "--headless",
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    # Nothing but what the tests ask for goes out.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's Chromium. Where it is missing, these tests are skipped; in continuous integration they fail."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="there is no selenium here; tox -e browser has it")
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"there is no {' and no '.join(missing)} here; Debian's packages are chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    # Cookies that say `SameSite=None` go along with everything, as in browsers that do not block them yet.
    options.add_experimental_option("prefs", {"profile.cookie_controls_mode": 0})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
    try:
        driver.set_script_timeout(PATIENCE)
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def served(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """All sites, for all tests."""
    sites = importlib.import_module("tests.apps.browser")
    with sites.served_sites(tmp_path_factory.mktemp("sites")) as served:
        yield served


@pytest.fixture
def sites(served: Any) -> Any:
    """All sites, without memories."""
    for site in served:
        site.forget()
    return served


@pytest.fixture
def browser(chromium: Any) -> Iterator[Any]:
    """The browser, without cookies."""
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    yield chromium
    chromium.get("about:blank")  # ends connections
