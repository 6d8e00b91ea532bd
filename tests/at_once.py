"""`python -m tests.at_once 'COMMAND' 'COMMAND'...`: programs that use one processor each, all at the same time.

Prints what each has said, one after another. The status is 1 if any of them failed.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

__all__: list[str] = []


def main() -> None:
    """Run the commands, and wait for all of them."""
    with ThreadPoolExecutor(len(sys.argv)) as pool:
        runs = list(pool.map(_run, sys.argv[1:]))
    for command, run in zip(sys.argv[1:], runs, strict=True):
        sys.stdout.write(f"{command}\n{run.stdout}\n")
    sys.exit(any(run.returncode for run in runs))


def _run(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shlex.split(command), check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


if __name__ == "__main__":
    main()
