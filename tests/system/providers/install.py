"""Install what these tests talk to, beside copies of the programs that use it: `python tests/system/providers/install.py DIR`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(directory: Path) -> None:
    """Copy the programs into `directory` and let npm install there what they import."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        print(f"nothing is installed, and the tests will be skipped: there is no {' and no '.join(missing)} here")
        return
    directory.mkdir(parents=True, exist_ok=True)
    for path in (HERE / "package.json", *HERE.glob("*.mjs")):
        shutil.copy(path, directory)
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(command, cwd=directory, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
