"""Write `docs/frameworks.md`, and read its rows back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version
from textwrap import fill

from tests.support import ROOT

from .checks import CHECKS, described
from .frameworks import FRAMEWORKS, Framework

PAGE = ROOT / "docs" / "frameworks.md"
LETTERS = "abcdefgh"

HEAD = """\
# Frameworks

The same {checks} checks are run against {frameworks} frameworks, from their released packages. `tox -e frameworks` runs them
and writes this page. The applications are in `tests/system/frameworks/apps`, one file for each framework.

"wrapped" is `JWTMiddleware(app, config)`, and `install` that of the framework's own adapter. `+`: the check passes. A
letter: the framework cannot do this, for the reason below.

"""

ROW = re.compile(r"^\| (?:\[([^\]]+)\]\([^)]*\)|([^|\[]+?)) \| ([^|]+) \| [^|]+ \|(?: (?:\+|[a-h]) \|)+$", re.MULTILINE)


def reasons() -> list[str]:
    """Why checks cannot pass, in the order of the page."""
    return list(dict.fromkeys(why for framework in FRAMEWORKS for why in framework.lacks.values()))


def versions_of(framework: Framework) -> str:
    """The versions that are installed."""
    return ", ".join(version(name) for name in framework.distributions)


def versions_on(text: str) -> dict[str, str]:
    """The versions on a page, by the names of the frameworks."""
    return {linked or plain: versions for linked, plain, versions in ROW.findall(text)}


def render(versions: Mapping[str, str]) -> str:
    """The page, on which every framework has passed in these versions."""
    letters = dict(zip(reasons(), LETTERS, strict=False))
    columns = ["framework", "version", "guarded by", *map(str, range(1, len(CHECKS) + 1))]
    rows = [columns, ["---"] * len(columns)]
    for framework in FRAMEWORKS:
        cells = [letters[framework.lacks[name]] if name in framework.lacks else "+" for name in CHECKS]
        name = f"[{framework.name}](how-to/{framework.page}.md)" if framework.page else framework.name
        rows.append([name, versions[framework.name], framework.how, *cells])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    notes = [fill(f"- {letter}: {reason}", 120, subsequent_indent="  ") for reason, letter in letters.items()]
    legend = [f"| {number} | {name} | {described(name)} |" for number, name in enumerate(CHECKS, 1)]
    return "\n".join(
        [
            HEAD.format(checks=len(CHECKS), frameworks=len(FRAMEWORKS)) + lines[0],
            *lines[1:],
            "",
            *notes,
            "",
            "| | check | what holds |",
            "|---|---|---|",
            *legend,
            "",
        ]
    )
