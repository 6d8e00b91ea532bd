"""Import a module when one of its names is used (PEP 562), and say which extra a missing package belongs to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

__all__ = ["importer", "needs"]


def importer(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package, given the names that each of its modules defines."""
    homes = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load


@contextlib.contextmanager
def needs(package: str, extra: str | None = None) -> Iterator[None]:
    """Name the command that installs `package` if the import within fails without it.

    `extra` is the extra that installs it; None if the extra has the name of the package. An import that fails
    inside of the package, for example because a third one is missing, keeps its own error.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        command = f'pip install "asgi-jwt-claims[{extra or package}]"'
        raise ModuleNotFoundError(f"{package} is not installed: {command}", name=package) from None
