"""Measure what importing costs in new processes, with `python -X importtime`."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from .measure import less, median_ratio
from .sections import Chart, Section, Table, Target, ratio

if TYPE_CHECKING:
    from .measure import Effort

OURS: Final = "asgi_jwt_claims"
BASE: Final = "python-jose, key classes alone"

STATEMENTS: Final = {
    BASE: "import jose.backends",
    OURS: "import asgi_jwt_claims",
    "asgi_jwt_claims.starlette": "import asgi_jwt_claims.starlette",
    "asgi_jwt_claims.fastapi": "import asgi_jwt_claims.fastapi",
    "asgi_jwt_claims.sanic": "import asgi_jwt_claims.sanic",
    "python-jose": "import jose.jwt",
    "PyJWT": "import jwt",
    "joserfc": "import joserfc.jwt",
    "Authlib": "import authlib.jose",
    "jwcrypto": "import jwcrypto.jwt",
    "oxyjwt": "import oxyjwt",
    "starlette authentication": "import starlette.middleware.authentication",
    "mcp bearer backend": "import mcp.server.auth.middleware.bearer_auth",
    "authx": "import authx",
    "fastapi-jwt": "import fastapi_jwt",
    "litestar JWTAuth": "import litestar.security.jwt",
    "quart-jwt-extended": "import quart_jwt_extended",
}

TEXT: Final = """\
Each statement alone in a new process, all of them in turn, several times over; the median, as `-X importtime` counts it,
without what Python imports for itself at the start. The key classes of python-jose bring `cryptography` with them. The
target is about the first two."""

LIMIT: Final = 10.0
SELDOM: Final = 3
"""The target is about the first two; for the others every third round is enough."""

# import time: self [us] | cumulative | imported package; indented when something else imported it.
_LINE = re.compile(r"import time:\s+\d+ \|\s+(\d+) \| (\s*)(\S+)")


def run(effort: Effort) -> Section:
    """Import everything, again and again."""
    section = Section("imports", "Import time", TEXT)
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS if _can_import(name, section.notes)}
    for number in range(effort.repeats):
        for name, values in times.items():
            if name in {BASE, OURS} or number % SELDOM == 0:
                values.append(milliseconds(STATEMENTS[name]))
    rows = []
    for name, values in times.items():
        # Those of the same rounds: what is measured in every third has had every third of the base beside it.
        base = times[BASE] if name in {BASE, OURS} else times[BASE][::SELDOM]
        median, beyond, share = (
            statistics.median(values),
            statistics.median(less(values, base)),
            median_ratio(values, base),
        )
        section.data[name] = {"milliseconds": median, "beyond the first": beyond, "ratio": share}
        rows.append([name, f"{median:.0f}", f"{beyond:+.1f}", ratio(share)])
    section.tables.append(Table("Importing", ["what", "ms", "beyond the first, ms", "ratio to the first"], rows))
    beyond = section.data[OURS]["beyond the first"]
    section.targets.append(Target(f"import of {OURS} beyond {BASE}", beyond, LIMIT, "ms"))
    bars = {name: {"import": statistics.median(values)} for name, values in times.items()}
    section.charts.append(Chart("import time", "ms", bars))
    return section


def _can_import(name: str, notes: list[str]) -> bool:
    """Whether it is there at all; the first time also compiles what is not compiled yet."""
    try:
        milliseconds(STATEMENTS[name])
    except subprocess.CalledProcessError as error:
        notes.append(f"{name} left out: {error.stderr.strip().splitlines()[-1]}")
        return False
    return True


def milliseconds(statement: str) -> float:
    """Return the time that the imports of a statement take in a new process."""
    # Isolated: neither this folder nor the environment has a say in what is found.
    command = [sys.executable, "-I", "-X", "importtime", "-c", statement]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 -- our own words
    # `site` is the last thing that Python imports for itself.
    _, _, ours = done.stderr.partition("| site\n")
    lines = (_LINE.match(line) for line in ours.splitlines())
    return sum(int(line[1]) for line in lines if line and not line[2]) / 1000
