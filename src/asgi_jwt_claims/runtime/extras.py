"""Name the extra to install if an optional package is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["needs"]


@contextlib.contextmanager
def needs(package: str, extra: str | None = None) -> Iterator[None]:
    """Name the command that installs `package` if the import within fails without it.

    An import that fails inside of the package, for example because a third one is missing, keeps its own error.

    Args:
        package: The name that is imported.
        extra: The extra that installs it; None if it has the same name.

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
