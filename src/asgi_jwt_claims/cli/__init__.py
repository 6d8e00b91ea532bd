"""The command `asgi-jwt-claims`, which uses the public API only.

Without the packages of the extras `cli` and `demo`, `main` says which one is missing.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_OF_THE_EXTRA = frozenset({"click", "fastapi", "httpx2", "sanic", "uvicorn"})


def main() -> None:
    """Run the command line, and end the process.

    Raises:
        SystemExit: With 0 on success, 1 if a check failed, 2 for a wrong command or a missing package.
    """
    try:
        from .commands import commands  # noqa: PLC0415 -- needs click, which may be missing

        commands(prog_name="asgi-jwt-claims")
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing not in _OF_THE_EXTRA:
            raise
        extra = "cli" if missing == "click" else "demo"
        print(f"{missing} is not installed: pip install 'asgi-jwt-claims[{extra}]'", file=sys.stderr)
        raise SystemExit(2) from None
