"""The program of the page that this library descends from, run as it stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sanic")

import httpx2

from tests.adapters.test_compat_sanic_jwt_extended import LONG_SECRET, get
from tests.sockets import PATIENCE
from tests.support import ROOT, free_port, serving

pytestmark = pytest.mark.anyio

PAGE = ROOT.parent / "shared" / "seed" / "insert_user_claims.txt"


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: the server is another process."""
    return "asyncio"


def seed_program(secret: str) -> str:
    """The program of the page, its import lines and its secret changed, and nothing else."""
    if not PAGE.exists():
        pytest.skip("the page is not beside this checkout")
    text = PAGE.read_text()
    text = text[text.index("from sanic import Sanic") :]
    text = text.replace("from sanic_jwt_extended", "from asgi_jwt_claims.compat.sanic_jwt_extended")
    return text.replace('"super-secret"', f'"{secret}"')


async def log_in_and_read(url: str) -> Any:
    """What the page's program answers to its own login."""
    async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        login = await client.post("/login", json={"username": "test", "password": "test"})
        return (await get(client, "/protected", login.json()["access_token"])).json()


async def test_the_page_on_sanics_own_server(tmp_path: Path) -> None:
    """The page's program answers its own claims when it is run as it stands."""
    program = tmp_path / "page.py"
    # Another port than 8000, where something else may be listening.
    port = free_port()
    program.write_text(seed_program(LONG_SECRET).replace("app.run()", f"app.run(port={port})"))
    with serving([sys.executable, str(program)], port) as url:
        assert {"data": {"VERI TAS": "LUX MEA"}} == await log_in_and_read(url)


async def test_the_page_in_asgi_mode(tmp_path: Path) -> None:
    """The page's program answers its own claims under an ASGI server."""
    (tmp_path / "page.py").write_text(seed_program(LONG_SECRET))
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "page:app", "--port", str(port), "--app-dir", str(tmp_path)]
    with serving(command, port) as url:
        assert {"data": {"VERI TAS": "LUX MEA"}} == await log_in_and_read(url)


def test_the_pages_own_secret_is_refused_with_the_command_that_makes_a_good_one(tmp_path: Path) -> None:
    """Twelve bytes are no secret: the program stops at once and says what to do."""
    (tmp_path / "page.py").write_text(seed_program("super-secret"))
    run = subprocess.run(
        [sys.executable, str(tmp_path / "page.py")], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode != 0
    assert "secrets.token_urlsafe" in run.stderr
