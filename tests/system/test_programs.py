"""The programs of the documentation run, answer, and print what their page says."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

from asgi_jwt_claims import create_access_token
from tests.pages import NEEDED, PAGES, blocks, executed
from tests.sockets import PATIENCE
from tests.support import ROOT, serve_sanic
from tests.system.frameworks.run import started

PATHS = {"datasette": "/-/actor.json"}
"""Where the application of a page answers with the user claims, if not at `/protected`."""

WITH_PROGRAMS = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


def for_pages(pages: Iterable[Path]) -> pytest.MarkDecorator:
    """Run a test for each of these pages; the tox environment `frameworks` runs it for those that need a framework."""
    marks = {True: [pytest.mark.frameworks], False: []}
    return pytest.mark.parametrize(
        "page",
        [pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks[page.stem in NEEDED]) for page in pages],
    )


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@for_pages(WITH_PROGRAMS)
async def test_the_programs_of_a_page_run(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every python block runs after those before it; an `app` refuses without a token and answers with one."""
    httpx2 = pytest.importorskip("httpx2")
    with executed(page, monkeypatch) as names:
        app = names.get("app")
        if app is None:
            return
        async with contextlib.AsyncExitStack() as serving:
            transport = None
            url = "http://testserver"
            if type(app).__name__ == "Sanic":
                url = await serving.enter_async_context(serve_sanic(app))
            else:
                if page.stem in NEEDED:
                    await serving.enter_async_context(started(app))
                transport = httpx2.ASGITransport(app)
            client = await serving.enter_async_context(
                httpx2.AsyncClient(base_url=url, transport=transport, timeout=PATIENCE, trust_env=False)
            )
            path = PATHS.get(page.stem, "/protected")
            absent = await client.get(path)
            token = create_access_token("alice", names["config"], user_claims={"VERI TAS": "LUX MEA"})
            answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
        assert 401 == absent.status_code
        assert (200, True) == (answer.status_code, "LUX MEA" in answer.text)


FRAMEWORK_PAGES = ("any-asgi-app", "cors", "django", "fastapi", "litestar", "sanic", "starlette", *NEEDED)

PROMISING = [ROOT / "README.md", ROOT / "docs" / "tutorial.md"]
PROMISING += [ROOT / "docs" / "how-to" / f"{name}.md" for name in FRAMEWORK_PAGES]


@for_pages(PROMISING)
def test_the_pages_that_promise_an_app_have_one(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages about frameworks, and the README, leave an `app` that the test above asks."""
    with executed(page, monkeypatch) as names:
        assert (True, True) == ("app" in names, "config" in names)


WITH_TESTS = [page for page in WITH_PROGRAMS if re.search(r"^(?:async )?def test_", page.read_text(), re.MULTILINE)]


@for_pages(WITH_TESTS)
def test_the_tests_of_a_page_pass(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page shows as a test of an application passes."""
    with executed(page, monkeypatch) as names:
        tests = [
            test for name, test in names.items() if name.startswith("test_") and not inspect.signature(test).parameters
        ]
        assert tests
        for test in tests:
            if inspect.iscoroutinefunction(test):
                anyio.run(test)
            else:
                test()


PRINTED = re.compile(r"^ *print\(.*\)  # (.+)$", re.MULTILINE)


@for_pages(WITH_PROGRAMS)
def test_programs_print_what_the_page_says(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The comment behind a `print(...)` begins what is printed; after a colon or "..." follows an explanation."""
    promised = [
        re.split(r"(?<!\w): (?=[a-z])|: (?=fifteen)|; \.\.\.", text)[0] for text in PRINTED.findall(page.read_text())
    ]
    with executed(page, monkeypatch):
        printed = capsys.readouterr().out.splitlines()
    assert promised == [line[: len(text)] for line, text in zip(printed, promised, strict=True)]
