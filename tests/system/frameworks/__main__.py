"""Run the checks against frameworks, each in a process of its own, and write the page if all pass.

The names of modules in `apps` choose some of them; the rows of the others stay as they are.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support import ROOT

from .checks import CHECKS
from .frameworks import FRAMEWORKS, Framework
from .page import PAGE, render, versions_of, versions_on


def failures(framework: Framework) -> list[str]:
    """What went otherwise than the page would say."""
    command = [sys.executable, "-m", "tests.system.frameworks.run", framework.module]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        return [f"{framework.name}: {done.stderr}"]
    errors = json.loads(done.stdout.splitlines()[-1])
    wrong = [
        f"{framework.name}: {name}: {error}" for name, error in errors.items() if error and name not in framework.lacks
    ]
    return wrong + [
        f"{framework.name}: {name} passes; it lacks nothing" for name in framework.lacks if not errors[name]
    ]


def main(names: list[str]) -> int:
    """Run, tell, and write."""
    versions = versions_on(PAGE.read_text()) if PAGE.exists() else {}
    wrong: list[str] = []
    for framework in FRAMEWORKS:
        if not names or framework.module in names:
            found = failures(framework)
            versions[framework.name] = versions_of(framework)
            print(f"{framework.name} {versions[framework.name]}: {len(CHECKS) - len(found)} as expected", flush=True)  # noqa: T201 -- a program
            wrong += found
    print("\n".join(wrong))  # noqa: T201 -- as above
    if not wrong:
        PAGE.write_text(render(versions))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
