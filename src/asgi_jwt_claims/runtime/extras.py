"""The packages of the extras: what an import says where one of them is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["needs"]


@contextlib.contextmanager
def needs(package: str, extra: str | None = None) -> Iterator[None]:
    """Let an import that fails because `package` is not installed name the command that installs it.

    An import that fails inside of the package, for want of a third one for example, keeps its own error.

    Args:
        package: The name that is imported.
        extra: The extra that installs it, if that has another name.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        command = f'pip install "asgi-jwt-claims[{extra or package}]"'
        raise ModuleNotFoundError(f"{package} is not installed: {command}", name=package) from None
