"""What tests make the browser do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.sockets import PATIENCE

__all__ = ["cookies_of", "log_in", "open_page", "run", "statuses", "wait_until"]


def run(browser: Any, script: str) -> Any:
    """Run the body of an asynchronous function in the page that is open, and return what it returns."""
    return browser.execute_script(f"return (async () => {{ {script} }})()")


def open_page(browser: Any, site: Any, host: str = "localhost") -> Any:
    """Open the blank page of a site, which has the scripts of the documentation."""
    browser.get(f"{site.origin}/page".replace("localhost", host))
    return browser


def log_in(browser: Any, site: Any) -> None:
    """Log in on the page of a site, by the script of the documentation."""
    assert 200 == run(open_page(browser, site), "return (await logIn('alice', 'secret')).status")
    site.forget()


def cookies_of(browser: Any) -> dict[str, Any]:
    """All cookies that the browser has, whatever their path, by their names."""
    return {cookie["name"]: cookie for cookie in browser.execute_cdp_cmd("Storage.getCookies", {})["cookies"]}


def statuses(site: Any, method: str, path: str) -> list[int]:
    """How a site has answered such requests."""
    return [request.status for request in site.requests if (request.method, request.path) == (method, path)]


def wait_until(holds: Callable[[], Any]) -> None:
    """Wait for what another thread or process does."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
