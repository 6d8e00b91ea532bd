"""The examples, each run by the very commands of its own docstring, over a real socket."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sockets import PATIENCE
from tests.support import ROOT, SECRET, free_port, serving

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SERVERS = ("uvicorn", "sanic")
CLAIMS = {"data": {"VERI TAS": "LUX MEA"}}


def commands(path: Path) -> list[list[str]]:
    """The commands in the docstring of an example that start a server."""
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text is not None
    lines = [shlex.split(line) for line in text.splitlines() if line.startswith("    ") and "$(" not in line]
    return [words for words in lines if words[0] in SERVERS]


RUNS = [
    pytest.param(path, words, id=f"{path.stem}-{words[0]}")
    for path in EXAMPLES
    for words in commands(path)
    if path.stem != "browser_app"  # below, and in tests/system/browser
]


def test_every_example_says_how_to_run_it() -> None:
    """There are five examples, and the docstring of each has a command that serves it."""
    names = ["any_asgi_app", "browser_app", "fastapi_app", "sanic_app", "starlette_app"]
    assert names == [path.stem for path in EXAMPLES]
    assert [True] * 5 == [bool(commands(path)) for path in EXAMPLES]


def mint() -> str:
    """A token as the docstring of `any_asgi_app` makes one."""
    command = [sys.executable, "-m", "examples.any_asgi_app"]
    environment = {**os.environ, "JWT_SECRET_KEY": SECRET}
    made = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return made.stdout.strip()


@pytest.mark.parametrize(("path", "words"), RUNS)
def test_an_example_does_what_it_says(path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Served as its docstring says, an example refuses requests without a token, gives back the claims of a login, and logs out."""
    httpx2 = pytest.importorskip("httpx2")
    pytest.importorskip(words[0])
    pytest.importorskip(path.stem.removesuffix("_app").replace("any_asgi", "uvicorn"))
    monkeypatch.chdir(ROOT)
    port = free_port()
    at = words.index("--port") + 1
    command = [sys.executable, "-m", *words[:at], str(port), *words[at + 1 :]]
    is_raw = path.stem == "any_asgi_app"
    with (
        serving(command, port, JWT_SECRET_KEY=SECRET) as url,
        httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client,
    ):
        protected = "/" if is_raw else "/protected"
        absent = client.get(protected)
        assert (401, 'Bearer realm="api"') == (absent.status_code, absent.headers["www-authenticate"])
        if is_raw:
            token = mint()
        else:
            wrong = client.post("/login", json={"username": "test", "password": "wrong"})
            assert 403 == wrong.status_code
            login = client.post("/login", json={"username": "test", "password": "test"})
            assert (200, "no-store") == (login.status_code, login.headers["cache-control"])
            token = login.json()["access_token"]
        header = {"Authorization": f"Bearer {token}"}
        answer = client.get(protected, headers=header)
        assert (200, CLAIMS) == (answer.status_code, answer.json())
        if not is_raw:
            # The login has started a session: the logout ends it, and its token with it.
            assert 200 == client.post("/auth/logout", data={"token": token}).status_code
            assert 401 == client.get(protected, headers=header).status_code


def test_the_example_with_cookies_does_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows its page without a token, sets cookies at the login, and refuses a change without the CSRF value."""
    httpx2 = pytest.importorskip("httpx2")
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    monkeypatch.chdir(ROOT)
    port = free_port()
    command = [sys.executable, "-m", *commands(ROOT / "examples" / "browser_app.py")[0][:-1], str(port)]
    with (
        serving(command, port, JWT_SECRET_KEY=SECRET) as url,
        httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client,
    ):
        assert (200, 401) == (client.get("/").status_code, client.get("/protected").status_code)
        assert 403 == client.post("/login", json={"username": "test", "password": "wrong"}).status_code
        login = client.post("/login", json={"username": "test", "password": "test"})
        cookies = dict(line.split(";")[0].split("=", 1) for line in login.headers.get_list("set-cookie"))
        # By hand, since the client keeps Secure cookies to itself on http.
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        answer = client.get("/protected", headers=headers)
        assert (200, CLAIMS) == (answer.status_code, answer.json())
        assert 403 == client.post("/visits", headers=headers).status_code
        headers["X-CSRF-Token"] = cookies["__Host-csrf_token"]
        assert (200, {"visits": 1}) == ((visit := client.post("/visits", headers=headers)).status_code, visit.json())


def test_an_example_without_its_secret_says_what_to_set() -> None:
    """Without JWT_SECRET_KEY an example does not start, and the last line says which settings there are."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JWT_")}
    command = [sys.executable, "-m", "examples.any_asgi_app"]
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert 1 == run.returncode
    assert "no key: set JWT_SECRET_KEY" in run.stderr.splitlines()[-1]
