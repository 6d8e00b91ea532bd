"""The example with a page, served by the command of its docstring, and clicked."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.pages import ROOT, blocks
from tests.support import SECRET, free_port, serving
from tests.system.browser.driving import wait_until

EXAMPLE = ROOT / "examples" / "browser_app.py"


def test_the_example_has_the_script_of_the_documentation() -> None:
    """What the documentation says about scripts of the own origin stands in the example, letter by letter."""
    scripts = [block.text for block in blocks(ROOT / "docs" / "how-to" / "cookies.md") if block.language == "js"]
    assert [True, True] == [script in EXAMPLE.read_text() for script in scripts[:2]]


def test_the_example_can_be_clicked_through(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log in, read, write, be refused without the CSRF value, log out: each button shows what it should."""
    monkeypatch.chdir(ROOT)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "examples.browser_app:app", "--port", str(port)]
    with serving(command, port, JWT_SECRET_KEY=SECRET):
        browser.get(f"http://localhost:{port}/")

        def click(text: str) -> str:
            browser.execute_script("document.querySelector('pre').textContent = ''")
            browser.find_element("xpath", f"//button[.='{text}']").click()
            shown = browser.find_element("tag name", "pre")
            wait_until(lambda: shown.text)
            answer: str = shown.text
            return answer

        assert "401" == click("Read")[:3]
        assert '200 {"user":"test"}' == click("Log in")
        assert '200 {"data":{"VERI TAS":"LUX MEA"}}' == click("Read")
        assert '200 {"visits":1}' == click("Write")
        assert "403" == click("Write without the CSRF value")[:3]
        assert '200 {"visits":2}' == click("Write")
        assert "200" == click("Log out")[:3]
        assert "401" == click("Read")[:3]
