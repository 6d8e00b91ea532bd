"""The command line: the demonstration served, checked, interrupted, and asked for without its packages."""

from __future__ import annotations

import contextlib
import importlib
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import asgi_jwt_claims
from asgi_jwt_claims.cli import main
from tests.sockets import PATIENCE

HINT = "is not installed: pip install 'asgi-jwt-claims[demo]'\n"
HINT_FOR_CLICK = "click is not installed: pip install 'asgi-jwt-claims[cli]'\n"
SERVERS = ["Sanic (ASGI mode)", "Sanic (own server)", "Starlette", "FastAPI"]
REQUESTS = ["log in", "read the claims", "no token", "claims changed", "expired token", "refresh token"]
SUBMODULES = ("apps", "check", "commands", "servers")

# Missing packages: everywhere, the core alone included ----------------------------------------------------------------


@pytest.fixture
def fresh_cli() -> Iterator[None]:
    """The modules of the command line are imported anew in the test, and put back after it."""
    package = sys.modules["asgi_jwt_claims.cli"]
    before = {name: sys.modules.pop(f"asgi_jwt_claims.cli.{name}", None) for name in SUBMODULES}
    yield
    for name, module in before.items():
        sys.modules.pop(f"asgi_jwt_claims.cli.{name}", None)
        with contextlib.suppress(AttributeError):
            delattr(package, name)
        if module is not None:
            sys.modules[f"asgi_jwt_claims.cli.{name}"] = module
            setattr(package, name, module)


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["asgi-jwt-claims", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.usefixtures("fresh_cli")
def test_without_click(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without click, the command ends with 2 and one line on stderr that says what to install."""
    monkeypatch.setitem(sys.modules, "click", None)
    assert 2 == run_main(monkeypatch, "demo")
    assert ("", HINT_FOR_CLICK) == capsys.readouterr()


@pytest.mark.usefixtures("fresh_cli")
@pytest.mark.parametrize("missing", ["fastapi", "sanic", "uvicorn", "httpx2"])
def test_without_a_package_of_the_demo(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a package that the demonstration needs, the command ends with 2 and one line that says what to install."""
    for name in ("click", "fastapi", "sanic", "uvicorn"):
        pytest.importorskip(name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert 2 == run_main(monkeypatch, "demo", "--check")
    assert ("", f"{missing} {HINT}") == capsys.readouterr()


@pytest.mark.usefixtures("fresh_cli")
def test_a_missing_module_of_another_kind_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that no extra provides is missing for another reason, and its error passes untouched."""
    monkeypatch.setitem(sys.modules, "asgi_jwt_claims.cli.commands", None)
    with pytest.raises(ModuleNotFoundError, match=r"asgi_jwt_claims\.cli\.commands"):
        main()


def test_a_real_process_without_click() -> None:
    """In a process of its own, too, a missing package makes one line, exit code 2 and no traceback."""
    program = "import sys; sys.modules['click'] = None; from asgi_jwt_claims.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (2, "", HINT_FOR_CLICK) == (run.returncode, run.stdout, run.stderr)


def test_importing_dunder_main_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """`asgi_jwt_claims.__main__` only runs as a program; importing it does nothing."""
    module = importlib.import_module("asgi_jwt_claims.__main__")
    assert (main, ("", "")) == (module.main, capsys.readouterr())


# The commands ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the command line in this process; a server has time to start, since the machine may be busy."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    pytest.importorskip("sanic")
    testing = pytest.importorskip("click.testing")
    commands = importlib.import_module("asgi_jwt_claims.cli.commands").commands
    monkeypatch.setattr(module("servers"), "START_SECONDS", PATIENCE)

    def run(*arguments: str) -> Any:
        return testing.CliRunner().invoke(commands, arguments)

    return run


def module(name: str) -> Any:
    return importlib.import_module(f"asgi_jwt_claims.cli.{name}")


def table(output: str) -> list[list[str]]:
    """The lines of a table, divided where at least two spaces are."""
    return [re.split(" {2,}", line) for line in output.splitlines()]


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & set(SERVERS)


def test_python_m_is_the_command(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m asgi_jwt_claims --version` is `asgi-jwt-claims --version`: the version, and exit code 0."""
    assert 0 == invoke("--version").exit_code
    monkeypatch.setattr(sys, "argv", ["anything", "--version"])
    monkeypatch.delitem(sys.modules, "asgi_jwt_claims.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("asgi_jwt_claims", run_name="__main__", alter_sys=False)
    assert (0, f"asgi-jwt-claims, version {asgi_jwt_claims.__version__}\n") == (
        ended.value.code,
        capsys.readouterr().out,
    )


def test_help_names_the_options(invoke: Callable[..., Any]) -> None:
    """`demo --help` names both options and the default port."""
    result = invoke("demo", "--help")
    assert (0, True) == (result.exit_code, all(word in result.output for word in ("--check", "--port", "8000")))


@pytest.mark.parametrize("port", ["-1", "65533", "http"])
def test_a_port_that_cannot_be(port: str, invoke: Callable[..., Any]) -> None:
    """A port that four servers cannot stand on is a usage error."""
    assert 2 == invoke("demo", "--port", port).exit_code


def test_check_passes(invoke: Callable[..., Any]) -> None:
    """`demo --check` asks every server for everything, finds every answer right, exits with 0 and leaves nothing running."""
    result = invoke("demo", "--check")
    head, *rows, last = table(result.output)
    assert (0, ["All answers are right."]) == (result.exit_code, last)
    assert ["server", "request", "expected", "actual"] == head
    assert [(server, request, "ok") for server in SERVERS for request in REQUESTS] == [
        (row[0], row[1], row[4]) for row in rows
    ]
    assert all(expected == actual for _, _, expected, actual, _ in rows)
    assert set() == threads()


def test_check_as_a_process() -> None:
    """`python -m asgi_jwt_claims demo --check` does the same in a process of its own."""
    for name in ("click", "fastapi", "sanic", "uvicorn"):
        pytest.importorskip(name)
    command = [sys.executable, "-m", "asgi_jwt_claims", "demo", "--check"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (0, "All answers are right.") == (run.returncode, run.stdout.splitlines()[-1])


def test_a_demo_that_lets_expired_tokens_in_fails_the_check(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When one server gives a wrong answer, its row says FAIL with both answers, and the exit code is 1."""
    servers = module("servers")
    build = servers.starlette_app

    def an_hour_behind(config: Any) -> Any:
        return build(config.replace(clock=lambda: time.time() - 3600, required_claims=("exp",)))

    replaced = [(name, kind, an_hour_behind if name == "Starlette" else app) for name, kind, app in servers.SERVERS]
    monkeypatch.setattr(servers, "SERVERS", replaced)
    result = invoke("demo", "--check")
    rows = table(result.output)
    expected = [
        "Starlette",
        "expired token",
        "401 The token has expired.",
        '200 {"data": {"VERI TAS": "LUX MEA"}}',
        "FAIL",
    ]
    assert (1, ["1 of the answers are wrong."]) == (result.exit_code, rows[-1])
    assert [expected] == [row for row in rows if row[-1] == "FAIL"]


def application(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Any:
    """An ASGI application that gives one answer to everything."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


REFUSAL = b'{"error": "invalid_token", "error_description": "Authentication is required."}'


@pytest.mark.parametrize(
    ("answer", "logged_in", "without_token"),
    [
        (application(200, [], b"[]"), "nothing of use (TypeError)", "200 []"),
        (application(500, [], b"no JSON"), "nothing of use (JSONDecodeError)", "nothing of use (JSONDecodeError)"),
        (
            application(401, [(b"www-authenticate", b'Bearer realm="api"')], REFUSAL),
            "nothing of use (KeyError)",
            "401 Authentication is required. (another challenge)",
        ),
    ],
    ids=["let in", "broken", "wrong challenge"],
)
def test_check_of_servers_that_answer_nonsense(
    answer: Any, logged_in: str, without_token: str, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table shows each wrong answer of a server, and the round goes on to its end."""
    servers = module("servers")
    monkeypatch.setattr(servers, "SERVERS", [("only", servers.uvicorn_server, lambda _: answer)])
    result = invoke("demo", "--check")
    _, *rows, last = table(result.output)
    assert (1, ["6 of the answers are wrong."], None) == (result.exit_code, last, result.exception.__context__)
    assert [[logged_in, "FAIL"], [without_token, "FAIL"]] == [rows[0][3:], rows[2][3:]]


def test_check_of_a_server_that_is_gone(invoke: Callable[..., Any]) -> None:
    """A server that cannot be reached is six wrong answers, not a traceback."""
    del invoke
    check, servers = module("check"), module("servers")
    with servers.running_demo(0) as (config, running):
        pass
    assert [("nothing of use (ConnectError)", False)] * 6 == [
        (row.actual, row.is_right) for row in check.check_all(config, running[2:3])
    ]


def test_stopping_does_not_wait_for_clients(invoke: Callable[..., Any]) -> None:
    """Clients that keep their connections open do not keep the servers, nor their ports."""
    del invoke
    httpx2 = pytest.importorskip("httpx2")
    with contextlib.ExitStack() as clients:
        with module("servers").running_demo(0) as (_, servers):
            for server in servers:
                client = clients.enter_context(httpx2.Client(base_url=server.url, timeout=PATIENCE, trust_env=False))
                assert 401 == client.get("/protected").status_code
        assert set() == threads()
        for server in servers:
            with pytest.raises(httpx2.ConnectError):
                httpx2.get(server.url, timeout=PATIENCE, trust_env=False)


# Serving --------------------------------------------------------------------------------------------------------------


def log_in_and_read(url: str) -> Any:
    httpx2 = pytest.importorskip("httpx2")
    with httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        login = client.post("/login", json={"username": "test", "password": "test"})
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        return client.get("/protected", headers=headers).json()


def test_the_demo_serves_until_it_is_interrupted(invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstration prints lines for each server, serves what they say, and ends cleanly at Ctrl-C."""
    commands = module("commands")
    seen: list[Any] = []

    def interrupt(_: float) -> None:
        # Three naps: the demonstration goes on serving until it is told otherwise.
        seen.append(sorted(threads()))
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(commands, "time", SimpleNamespace(sleep=interrupt))
    result = invoke("demo", "--port", "0")
    assert (0, [sorted(SERVERS)] * 3, set()) == (result.exit_code, seen, threads())
    assert SERVERS == re.findall(r"^# (.*)$", result.output, re.MULTILINE)
    assert "Stopped." == result.output.splitlines()[-1]
    assert 4 == len(set(re.findall(r"curl -i (http://127\.0\.0\.1:\d+)/protected", result.output)))


def test_a_server_that_stops_by_itself_ends_the_demo(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a server ends without being told to, the demonstration says so and exits with 1."""
    monkeypatch.setattr(module("servers").DemoServer, "is_running", property(lambda server: not server._server.started))
    monkeypatch.setattr(module("servers").DemoServer, "stop", stop_for_certain(module("servers").DemoServer.stop))
    result = invoke("demo", "--port", "0")
    assert (1, "Error: a server has stopped by itself") == (result.exit_code, result.output.splitlines()[-1])


def stop_for_certain(stop: Callable[[Any], None]) -> Callable[[Any], None]:
    """Stops a server even where the test pretends that it has ended."""

    def ask_and_stop(server: Any) -> None:
        server._server.should_exit = True
        server._thread.join(10)
        stop(server)

    return ask_and_stop


@pytest.mark.parametrize("wait", [15.0, 0.0], ids=["ended", "late"])
def test_a_server_that_does_not_start(wait: float, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ends while it starts, or does not start in time, is one line and exit code 1."""
    servers = module("servers")

    def end(_: Any) -> None:
        if wait == 0.0:
            threading.Event().wait(0.2)

    broken = SimpleNamespace(run=end, started=False, should_exit=False)
    monkeypatch.setattr(servers, "START_SECONDS", wait)
    monkeypatch.setattr(servers, "SERVERS", [("Broken", lambda _: broken, lambda _: None)])
    result = invoke("demo", "--check")
    assert (1, "Error: Broken did not start\n") == (result.exit_code, result.output)


def test_a_port_that_is_taken(invoke: Callable[..., Any]) -> None:
    """A port in use is one line that says which and what to do, and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("demo", "--port", str(min(port, 65_532)))
    assert (1, True) == (
        result.exit_code,
        result.output.startswith(f"Error: port {port} cannot be used") and "--port" in result.output,
    )


def test_the_printed_lines_work_and_ctrl_c_ends_the_process() -> None:
    """As a process: every server answers where the lines say, and SIGINT ends all of it with exit code 0."""
    for name in ("click", "fastapi", "sanic", "uvicorn"):
        pytest.importorskip(name)
    # Where the tests run in the background, SIGINT is ignored, and a child would inherit that.
    heeding = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); runpy.run_module"
    program = f"{heeding}('asgi_jwt_claims', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", program, "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        killer = threading.Timer(PATIENCE, process.kill)  # a process that says nothing does not hold the tests up
        killer.start()
        try:
            urls: list[str] = []
            for line in process.stdout:
                urls += re.findall(r"curl -i (\S+)/protected", line)
                if "Ctrl-C" in line:
                    break
            assert [{"data": {"VERI TAS": "LUX MEA"}}] * 4 == [log_in_and_read(url) for url in urls]
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert (0, "\nStopped.\n") == (process.wait(PATIENCE), rest)
        finally:
            killer.cancel()
            process.kill()


def test_the_login_under_bad_input(invoke: Callable[..., Any]) -> None:
    """A login without the right password is answered by one of the 400s, without a token."""
    del invoke
    httpx2 = pytest.importorskip("httpx2")
    bodies = [b"", b"{", b"[]", b"null", b'{"username": "test"}', b'{"username": "test", "password": "wrong"}']
    with module("servers").running_demo(0) as (_, servers):
        for server in servers:
            with httpx2.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
                headers = {"content-type": "application/json"}
                answers = [client.post("/login", content=body, headers=headers) for body in bodies]
            assert [(server.name, 4)] * 6 == [(server.name, answer.status_code // 100) for answer in answers]
            assert not any("access_token" in answer.text for answer in answers)
