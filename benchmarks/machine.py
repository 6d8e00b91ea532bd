"""Collect the facts about the machine and the packages, which each report shows."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

from cryptography.hazmat.backends.openssl import backend

PACKAGES: Final = (
    "asgi-jwt-claims",
    "cryptography",
    "python-jose",
    "PyJWT",
    "joserfc",
    "Authlib",
    "jwcrypto",
    "oxyjwt",
    "starlette",
    "fastapi",
    "sanic",
    "mcp",
    "authx",
    "fastapi-jwt",
    "litestar",
    "quart",
    "quart-jwt-extended",
    "uvicorn",
    "uvloop",
    "httptools",
)


def facts() -> dict[str, str]:
    """By name; a package that is not installed says so."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "OpenSSL in cryptography": backend.openssl_version_text(),
        "OpenSSL in Python": _python_openssl(),
        **{name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    """The name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _python_openssl() -> str:
    try:
        # Absent from a Python that was built without OpenSSL.
        from ssl import OPENSSL_VERSION  # noqa: PLC0415 -- may be missing, and only this line needs it
    except ImportError:
        return "none"
    return OPENSSL_VERSION


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
