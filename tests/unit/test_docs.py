"""The documentation: its commands exist, its links lead to files and headings, its tables are complete."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest

import asgi_jwt_claims
from asgi_jwt_claims import JWTConfig, errors
from asgi_jwt_claims.auth.options import MiddlewareOptions
from asgi_jwt_claims.jwks import FetchPolicy
from tests.pages import FENCE, IDS, PAGES, blocks
from tests.support import ROOT, for_each

LINK = re.compile(r"\]\(([^)\s]+)\)")
LANGUAGES = {"python", "console", "text", "json", "http", "js"}

PROGRAMS = {"asgi-jwt-claims", "curl", "export", "openssl", "python", "sanic", "tox", "uvicorn", "cd"}
MODULES_OF_OTHERS = {"pip", "tox", "venv"}


def commands(page: Path) -> list[list[str]]:
    """The commands of the console blocks of a page, each as words; `&&` begins another one."""
    lines = [line for block in blocks(page) if block.language == "console" for line in block.text.splitlines()]
    parts = [part for line in lines if not line.startswith("#") for part in line.split(" && ")]
    return [shlex.split(part) for part in parts if part.strip()]


# Scripts --------------------------------------------------------------------------------------------------------------


def test_every_script_is_run_by_the_browser_tests() -> None:
    """Scripts stand on one page, which `tests/system/browser` serves to a browser; a test or another script calls each function."""
    scripts = {page: [block.text for block in blocks(page) if block.language == "js"] for page in PAGES}
    assert [ROOT / "docs" / "how-to" / "cookies.md"] == [page for page, found in scripts.items() if found]
    script = "\n".join(text for found in scripts.values() for text in found)
    functions = re.findall(r"^(?:async )?function (\w+)\(", script, re.MULTILINE)
    calls = "\n".join(
        [script, *(path.read_text() for path in sorted((ROOT / "tests" / "system" / "browser").glob("*.py")))]
    )
    assert functions
    assert [] == [name for name in functions if len(re.findall(rf"\b{name}\(", calls)) < 2]


# Commands -------------------------------------------------------------------------------------------------------------


@for_each("page", PAGES)
def test_the_languages_of_blocks_are_known(page: Path) -> None:
    """Every block says what it is written in, so that none escapes these tests by a misspelt name."""
    assert [] == [block for block in blocks(page) if block.language not in LANGUAGES]


@for_each("page", PAGES)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    """Every command in a console block is a program that the page may expect, with a target that is there."""
    for words in commands(page):
        program = words[0]
        assert (words, True) == (words, program in PROGRAMS or program.startswith("TOKEN="))
        if program == "python" and words[1] == "-m":
            name = words[2]
            assert (words, True) == (words, name in MODULES_OF_OTHERS or importlib.util.find_spec(name) is not None)
        if program in ("uvicorn", "sanic") and words[1].startswith("examples."):
            module, _, attribute = words[1].partition(":")
            assert (words, True, "app") == (words, (ROOT / f"{module.replace('.', '/')}.py").exists(), attribute)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_our_own_command_takes_what_pages_give_it(page: Path) -> None:
    """Every `asgi-jwt-claims ...` on a page is understood by the command line."""
    testing = pytest.importorskip("click.testing")
    commands_of_ours = importlib.import_module("asgi_jwt_claims.cli.commands").commands
    ours = [words[1:] for words in commands(page) if words[0] == "asgi-jwt-claims"]
    ours += [words[3:] for words in commands(page) if words[:3] == ["python", "-m", "asgi_jwt_claims"]]
    for arguments in ours:
        # With --help after them, the options are read and nothing is run.
        assert (arguments, 0) == (
            arguments,
            testing.CliRunner().invoke(commands_of_ours, [*arguments, "--help"]).exit_code,
        )


def test_the_readme_has_exactly_two_commands() -> None:
    """The README tells a fresh machine two things: how to see the library work, and how to test it."""
    console = [block.text for block in blocks(ROOT / "README.md") if block.language == "console"]
    assert [
        "python -m pip install '.[demo]' && asgi-jwt-claims demo --check\n",
        "python -m pip install tox && python -m tox\n",
    ] == console


FLOW = re.compile(r"^\d+\. \[`([^`]+)`\]\(src/asgi_jwt_claims/([^)]+)\) \S", re.MULTILINE)


def test_the_readme_names_the_six_files_of_a_request() -> None:
    """The section "How a request flows" is six lines, numbered in order, and each begins with a file that exists."""
    text = (ROOT / "README.md").read_text()
    section = text.partition("## How a request flows\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if re.match(r"\d+\. ", line)]
    assert [1, 2, 3, 4, 5, 6] == [int(line.partition(".")[0]) for line in lines]
    names = [(shown, target) for line in lines for shown, target in FLOW.findall(line)]
    assert 6 == len(names)
    for shown, target in names:
        assert (target, True) == (shown, (ROOT / "src" / "asgi_jwt_claims" / target).is_file())


# Links ----------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that a Markdown viewer gives to the headings of a page."""
    text = FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@for_each("page", PAGES)
def test_relative_links_have_targets(page: Path) -> None:
    """Every relative link names a file of the repository, and its anchor a heading of that file."""
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert (link, True) == (link, path.exists())
        if anchor:
            assert (link, True) == (link, anchor in anchors(path))


# The checklist --------------------------------------------------------------------------------------------------------


def named_items() -> set[int]:
    """The numbers of the checklist that the tests name: `# S21`, or several of them divided by commas."""
    text = "\n".join(path.read_text() for path in ROOT.glob("tests/**/*.py"))
    return {int(number) for found in re.findall(r"# (S\d+(?:, S\d+)*)", text) for number in re.findall(r"\d+", found)}


def listed_items() -> list[int]:
    text = (ROOT / "docs" / "security-checklist.md").read_text()
    return [int(number) for number in re.findall(r"^\| S(\d+) \|", text, re.MULTILINE)]


def test_every_item_that_a_test_names_is_on_the_checklist() -> None:
    """Every `# S21` in a test has its row on the checklist."""
    assert set() == named_items() - set(listed_items())
    assert named_items()


def test_no_item_that_a_test_names_is_said_to_come_later() -> None:
    """A rule that a test proves holds today, so the checklist names its module."""
    later = re.findall(
        r"^\| S(\d+) \|.*\| later part \|$", (ROOT / "docs" / "security-checklist.md").read_text(), re.MULTILINE
    )
    assert later
    assert set() == named_items() & set(map(int, later))


def test_the_checklist_is_in_order_and_complete() -> None:
    """The checklist has every number from 1 to 155, and 179, once."""
    assert [*range(1, 156), 179] == listed_items()


def test_every_place_on_the_checklist_exists() -> None:
    """Where the checklist says that an item is enforced, there is such a module; or it says that its part comes later."""
    text = (ROOT / "docs" / "security-checklist.md").read_text()
    places = dict(re.findall(r"^\| S(\d+) \|.*\| ([^|]+) \|$", text, re.MULTILINE))
    assert 156 == len(places)
    for number, place in places.items():
        names = re.findall(r"`([\w./]+)`", place)
        existing = [
            (ROOT / "src" / "asgi_jwt_claims" / f"{name}.py").exists() or (ROOT / name).exists() for name in names
        ]
        assert (number, True) == (number, all(existing) and bool(names or place in ("later part", "not our business")))


def test_every_place_of_the_threat_model_exists() -> None:
    """The table of defences names modules and folders that exist."""
    text = (ROOT / "SECURITY.md").read_text().partition("### What is defended, and where\n")[2].partition("\n### ")[0]
    places = re.findall(r"^\|[^|]+\|[^|]+\| (.+) \|$", text, re.MULTILINE)
    names = {name for place in places for name in re.findall(r"`([\w/]+)`", place)}
    package = ROOT / "src" / "asgi_jwt_claims"
    assert 40 < len(places)
    assert set() == {name for name in names if not (package / name).is_dir() and not (package / f"{name}.py").is_file()}


# The reference --------------------------------------------------------------------------------------------------------


def reference_names() -> set[str]:
    return set(re.findall(r"`(?:await )?(\w+)[`(]", (ROOT / "docs" / "reference.md").read_text()))


def test_the_reference_has_every_public_name() -> None:
    """Every name that the package and the public modules export is in the reference."""
    modules = [
        "access",
        "config",
        "errors",
        "introspection",
        "jwks",
        "keys",
        "middleware",
        "oauth",
        "responses",
        "sessions",
        "sources",
        "stores",
        "tokens",
    ]
    modules += ["starlette", "testing"]
    public = {name for module in modules for name in importlib.import_module(f"asgi_jwt_claims.{module}").__all__}
    internal = {
        "ErrorResponder",
        "UNAUTHORIZED_CLOSE",
        "close_code",
        "json_response",
        "send_response",
        "DEFAULT_SOURCES",
        "Credentials",
        "Source",
        "extract_credentials",
        "is_source",
        "AccessPolicy",
        "why_absent",
        "check_config",
        "MAX_GRACE",
        "MAX_LEEWAY",
        "KeySource",
        "notify_refused",
    }
    assert set() == {*asgi_jwt_claims.__all__, *(public - internal)} - reference_names()


@pytest.mark.parametrize("adapter", ["django", "django.testing", "fastapi", "litestar", "mcp", "sanic", "starlette"])
def test_the_reference_has_every_name_of_an_adapter(adapter: str) -> None:
    """Every name that an adapter exports is in the reference."""
    pytest.importorskip(adapter.partition(".")[0])
    assert set() == set(importlib.import_module(f"asgi_jwt_claims.{adapter}").__all__) - reference_names()


def test_the_reference_has_every_setting_and_option() -> None:
    """Every setting of `JWTConfig` and every option of the middleware has its row, with its default."""
    text = (ROOT / "docs" / "reference.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE))
    initial = [name for name, field in JWTConfig.__dataclass_fields__.items() if field.init]
    assert [] == [name for name in [*initial, *MiddlewareOptions.__annotations__] if name not in rows]
    plain = {
        field.name: repr(field.default).replace("'", '"')
        for field in dataclasses.fields(JWTConfig)
        if field.init and isinstance(field.default, str | bool | int | None)
    }
    assert plain == {name: rows[name].strip("`").replace("8,192", "8192") for name in plain}


def test_the_reference_has_every_part_of_the_policy() -> None:
    """Every time and cap of `FetchPolicy` has its row, with its default."""
    text = (ROOT / "docs" / "reference.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+)(?: \w+)? \|", text, re.MULTILINE))
    defaults = {field.name: field.default for field in dataclasses.fields(FetchPolicy)}
    assert defaults == {name: float(rows[name]) for name in defaults}


def error_classes(root: type[errors.JWTError]) -> list[type[errors.JWTError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in error_classes(child))]


def test_the_reference_has_every_error() -> None:
    """Every error of the library stands in the reference with its code, its status and its RFC 6750 word."""
    text = (ROOT / "docs" / "reference.md").read_text()
    rows = {
        row[0]: row[1:] for row in re.findall(r"^\| `(\w+Error)` \| `(\w+)` \| (\S+) \| (\S+) \|", text, re.MULTILINE)
    }
    ours = [kind for kind in error_classes(errors.JWTError) if kind.__module__.startswith(errors.__name__)]
    expected = {
        kind.__name__: (kind.code, str(kind.status), f"`{kind.error}`" if kind.error else "-")
        if issubclass(kind, errors.TokenError)
        else (kind.code, "-", "-")
        for kind in ours
        if kind not in (errors.JWTError, errors.ConfigurationError, errors.TokenError)
    }
    assert expected == {name: row for name, row in rows.items() if name in expected}


# The extras -----------------------------------------------------------------------------------------------------------


def test_the_extra_for_a_clone_is_what_tox_installs() -> None:
    """`dev` has every extra for users and the groups `test`, `integration` and `mcp`, which an old pip does not know."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    expected = {"asgi-jwt-claims[all]", *groups["test"], *groups["integration"], *groups["mcp"]}
    assert expected == set(project["project"]["optional-dependencies"]["dev"])
