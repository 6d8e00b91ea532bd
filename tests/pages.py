"""The pages of the documentation, and the programs on them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from tests.support import ROOT, SECRET

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
IDS = [str(page.relative_to(ROOT)) for page in PAGES]

NEEDED = {
    "aws-lambda": ["mangum"],
    "blacksheep": ["blacksheep"],
    "connexion": ["connexion"],
    "datasette": ["datasette"],
    "falcon": ["falcon"],
    "faststream": ["faststream.redis"],
    "gradio": ["gradio"],
    "lilya-and-ravyn": ["lilya", "ravyn"],
    "nicegui": ["nicegui"],
    "quart": ["quart"],
    "wsgi": ["flask", "a2wsgi"],
}
"""What the programs of a page import that only the tox environment `frameworks` installs."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    line: int
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [Block(text.count("\n", 0, found.start()) + 1, *found.groups()) for found in FENCE.finditer(text)]


def forget_plugin() -> None:
    from datasette.plugins import pm  # noqa: PLC0415 -- only where it is installed

    pm.unregister(name="jwt_claims")


def forget_pages() -> None:
    from nicegui.testing.general import nicegui_reset_globals  # noqa: PLC0415 -- as above

    with nicegui_reset_globals():
        pass


CLEANED = {"datasette": forget_plugin, "nicegui": forget_pages}
"""What takes back the changes that the program of a page has made to the process."""


@contextlib.contextmanager
def django_without_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a page configure Django, also where a test has done so."""
    conf = pytest.importorskip("django.conf")
    for name in ("ninja", "rest_framework"):  # which cannot be imported without settings
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    monkeypatch.setenv("NINJA_SKIP_REGISTRY", "yes")
    importlib.import_module("django.urls").clear_url_caches()
    kept = vars(conf.settings)
    before = dict(kept)
    kept.clear()
    kept["_wrapped"] = importlib.import_module("django.utils.functional").empty
    try:
        yield
    finally:
        kept.clear()
        kept.update(before)


@contextlib.contextmanager
def executed(page: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names that a page defines, after all its python blocks have run, in their order, as one program."""
    sanic = pytest.importorskip("sanic")
    for name in ("fastapi", *NEEDED.get(page.stem, [])):
        pytest.importorskip(name, exc_type=ImportError)
    monkeypatch.setenv("JWT_SECRET_KEY", SECRET)
    monkeypatch.chdir(tempfile.mkdtemp())  # where pages that keep a file keep it
    before = set(sanic.Sanic._app_registry)
    if page.stem == "litestar":
        pytest.importorskip("litestar")
    setting_up = django_without_settings(monkeypatch) if page.stem == "django" else contextlib.nullcontext()
    program = ModuleType(f"program_of_{page.stem.replace('-', '_').lower()}")
    monkeypatch.setitem(sys.modules, program.__name__, program)
    namespace: dict[str, Any] = vars(program)
    try:
        with setting_up:
            for block in blocks(page):
                if block.language == "python":
                    # Lines are numbered as they stand on the page, so that a traceback shows where.
                    source = "\n" * block.line + block.text
                    exec(compile(source, str(page), "exec", dont_inherit=True), namespace)
            yield namespace
    finally:
        if page.stem in CLEANED:
            CLEANED[page.stem]()
        for name in set(sanic.Sanic._app_registry) - before:
            sanic.Sanic.unregister_app(sanic.Sanic._app_registry[name])
