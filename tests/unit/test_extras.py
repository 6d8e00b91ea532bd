"""What an import says where the package of an extra is missing, and where it is there but broken."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgi_jwt_claims.errors import SettingError
from asgi_jwt_claims.jwks import HTTPXFetch

NEEDS = {
    "fastapi": "fastapi",
    "mcp": "mcp",
    "sanic": "sanic",
    "litestar": "litestar",
    "django": "django",
    "compat.sanic_jwt_extended": "sanic",
    "stores.redis": "redis",
    "stores.coredis": "coredis",
}


@pytest.fixture(autouse=True)
def unloaded() -> Iterator[None]:
    """Modules that need an extra, and its packages, are loaded anew, and are as they were after the test."""
    before = dict(sys.modules)
    ours = tuple(f"asgi_jwt_claims.{name}" for name in NEEDS)
    for name in before:
        if name.startswith(ours) or name.partition(".")[0] in NEEDS.values():
            del sys.modules[name]
    yield
    sys.modules.clear()
    sys.modules.update(before)


@pytest.mark.parametrize(("module", "package"), NEEDS.items())
def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch, module: str, package: str) -> None:
    """The error is the one that Python raises for it, and its message is the command that helps."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(f"asgi_jwt_claims.{module}")
    assert f'{package} is not installed: pip install "asgi-jwt-claims[{package}]"' == str(caught.value)
    assert (package, None, True) == (caught.value.name, caught.value.__cause__, caught.value.__suppress_context__)


@pytest.mark.parametrize("module", [module for module, package in NEEDS.items()])
@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("import missing_there", ModuleNotFoundError, "missing_there"),
        ("import {package}.gone", ModuleNotFoundError, "{package}.gone"),
        ("from os import missing_there", ImportError, "os"),
        ("raise ImportError('too old', name='{package}')", ImportError, "{package}"),
        ("raise ValueError(1)", ValueError, None),
    ],
)
def test_a_package_that_is_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, text: str, kind: type[Exception], name: str | None
) -> None:
    """What a package that is installed lacks or raises is what is seen."""
    package = NEEDS[module]
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(text.format(package=package))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(kind) as caught:
        importlib.import_module(f"asgi_jwt_claims.{module}")
    assert kind is type(caught.value)
    assert "pip install" not in str(caught.value)
    assert (name and name.format(package=package)) == getattr(caught.value, "name", None)


def test_keys_without_a_way_to_fetch_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without httpx2 the error names the extra; with one that is broken it is that one's own."""
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(SettingError, match=r'pip install "asgi-jwt-claims\[jwks\]"'):
        HTTPXFetch()
    monkeypatch.delitem(sys.modules, "httpx2")
    (tmp_path / "httpx2.py").write_text("import missing_there")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="missing_there"):
        HTTPXFetch()
